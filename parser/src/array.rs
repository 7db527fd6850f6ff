//! Arrays as text: PostgreSQL's format of one dimension.

/// The elements of a one-dimensional array constant of PostgreSQL; none for NULL.
pub fn parse_array(text: &str) -> Option<Vec<Option<String>>> {
    let body = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut items = Vec::new();
    let mut rest = body.trim_start();
    if rest.is_empty() {
        return Some(items);
    }
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut item = String::new();
            let mut characters = quoted.char_indices();
            let end = loop {
                match characters.next()? {
                    (at, '"') => break at + 1,
                    (_, '\\') => item.push(characters.next()?.1),
                    (_, other) => item.push(other),
                }
            };
            items.push(Some(item));
            rest = quoted[end..].trim_start();
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            let item = rest[..end].trim();
            if item.is_empty() || item.contains(['{', '}', '"']) {
                return None;
            }
            let is_null = item.eq_ignore_ascii_case("null");
            items.push((!is_null).then(|| item.replace('\\', "")));
            rest = &rest[end..];
        }
        if rest.is_empty() {
            return Some(items);
        }
        rest = rest.strip_prefix(',')?.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::parse_array;

    #[test]
    fn array_constants() {
        let some =
            |items: &[&str]| Some(items.iter().map(|item| Some((*item).to_owned())).collect());
        assert_eq!(parse_array("{}"), Some(vec![]));
        assert_eq!(parse_array("{1, 2}"), some(&["1", "2"]));
        assert_eq!(parse_array(r#"{"a b","c\"d",e}"#), some(&["a b", "c\"d", "e"]));
        assert_eq!(parse_array("{NULL,\"NULL\"}"), Some(vec![None, Some("NULL".into())]));
        for malformed in ["", "{", "}", "{,}", "{1,}", "{\"a}", "{\"a\"b}", "{{1}}", "1"] {
            assert_eq!(parse_array(malformed), None, "{malformed}");
        }
    }
}
