//! Finding values in JSON text without building a tree.
//!
//! One pass over the text checks it as a whole and remembers where the wanted value stands.
//! Of keys that occur twice the last one counts.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

/// How deep arrays and objects may lie within each other; deeper text counts as invalid.
pub const DEPTH_MAX: usize = 512;

/// One step of a path into a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<'a> {
    /// A key of an object.
    Key(Cow<'a, str>),
    /// A 1-based place in an array, or among the values of an object; negative from the end.
    Index(i64),
}

/// A key or an element with the text of its value.
pub type Entry<'j> = (Option<Cow<'j, str>>, &'j str);

/// The text of the value at a path; none when there is none, or the document is invalid.
pub fn find<'j>(json: &'j str, path: &[Step<'_>]) -> Option<&'j str> {
    let mut scanner = Scanner::new(json);
    scanner.document(Some(path))?;
    match scanner.found {
        Found::Text(range) => json.get(range),
        // From the end: the place is known only when the array has been read.
        Found::FromEnd { container, steps_left } => {
            let (step, rest) = path[path.len() - steps_left..].split_first()?;
            let entries = entries(json.get(container)?);
            let Step::Index(index) = step else { return None };
            let place = entries.len().checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?;
            find(entries.get(place)?.1, rest)
        }
        Found::Nothing => None,
    }
}

/// True for a well-formed document.
pub fn is_valid(json: &str) -> bool {
    Scanner::new(json).document(None).is_some()
}

/// True for text that would be well-formed if it were not so deep; other mistakes are not told apart.
pub fn is_too_deep(json: &str) -> bool {
    // Hardly any text has so many brackets at all, and each of them needs its counterpart.
    let brackets = || json.bytes().filter(|byte| matches!(byte, b'{' | b'[')).count();
    json.len() > 2 * DEPTH_MAX && brackets() > DEPTH_MAX && !is_valid(json)
}

/// Hands over the members of an object: the key between its quotes, and the text of the value.
/// False for anything but a well-formed object; some of its members may have been handed over.
pub fn members<'j>(json: &'j str, member: &mut dyn FnMut(&'j str, &'j str)) -> bool {
    let mut scanner = Scanner::new(json);
    scanner.whole_object(&mut |scanner, key, _| {
        let raw = scanner.text_of(|scanner| scanner.value(None, 1))?;
        member(key?, raw);
        Some(())
    })
}

/// Where a member was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// In the object itself.
    Wrapper,
    /// In the document inside.
    Document,
}

/// The same for an object that wraps documents: each of its values may be as deep as a document.
/// The members of the object under the key `document`, spelled like that, are handed over too,
/// before it is itself.
pub fn wrapped<'j>(
    json: &'j str,
    document: &str,
    member: &mut dyn FnMut(Level, &'j str, &'j str),
) -> bool {
    let mut scanner = Scanner::new(json);
    scanner.whole_object(&mut |scanner, key, _| {
        let key = key?;
        let raw = match key == document && scanner.peek() == Some(b'{') {
            false => scanner.text_of(|scanner| scanner.value(None, 0))?,
            true => scanner.text_of(|scanner| {
                scanner.container(true, 0, &mut |scanner, key, _| {
                    let raw = scanner.text_of(|scanner| scanner.value(None, 1))?;
                    member(Level::Document, key?, raw);
                    Some(())
                })
            })?,
        };
        member(Level::Wrapper, key, raw);
        Some(())
    })
}

/// The elements of an array, or the keys and values of an object; nothing for other values.
pub fn entries(json: &str) -> Vec<Entry<'_>> {
    let mut scanner = Scanner::new(json);
    let mut entries = Vec::new();
    scanner.blank();
    let object = match scanner.peek() {
        Some(b'{') => true,
        Some(b'[') => false,
        _ => return entries,
    };
    let complete = scanner.container(object, 0, &mut |scanner, key, _| {
        let start = scanner.at;
        scanner.value(None, 1)?;
        entries.push((key.map(unescape), &json[start..scanner.at]));
        Some(())
    });
    if complete.is_none() {
        entries.clear();
    }
    entries
}

/// The content of a string, given what stands between its quotes.
pub fn unescape(raw: &str) -> Cow<'_, str> {
    if memchr(b'\\', raw.as_bytes()).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut text = String::with_capacity(raw.len());
    unescape_into(raw, &mut text);
    Cow::Owned(text)
}

/// Writes the content of a string. Lone surrogates become replacement characters.
pub fn unescape_into(raw: &str, out: &mut String) {
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let Some(escape) = rest.as_bytes().get(at + 1) else { return };
        rest = &rest[at + 2..];
        match escape {
            b'n' => out.push('\n'),
            b't' => out.push('\t'),
            b'r' => out.push('\r'),
            b'b' => out.push('\u{8}'),
            b'f' => out.push('\u{c}'),
            b'u' => rest = unescape_unicode(rest, out),
            other => out.push(char::from(*other)),
        }
    }
    out.push_str(rest);
}

/// Reads the digits after `\u`, and a second escape where the first is half of a pair.
fn unescape_unicode<'t>(text: &'t str, out: &mut String) -> &'t str {
    let unit = |text: &str| u16::from_str_radix(text.get(..4)?, 16).ok();
    let Some(first) = unit(text) else { return text };
    let mut rest = &text[4..];
    let second = rest.strip_prefix("\\u").and_then(unit);
    let pair = second.filter(|_| (0xD800..0xDC00).contains(&first));
    let units: &[u16] = match pair {
        Some(second) if (0xDC00..0xE000).contains(&second) => {
            rest = &rest[6..];
            &[first, second]
        }
        _ => &[first],
    };
    let decoded = char::decode_utf16(units.iter().copied());
    out.extend(decoded.map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)));
    rest
}

/// Where the wanted value was last seen.
enum Found {
    Nothing,
    Text(Range<usize>),
    FromEnd { container: Range<usize>, steps_left: usize },
}

struct Scanner<'j> {
    text: &'j str,
    bytes: &'j [u8],
    at: usize,
    found: Found,
}

/// What happens to a member: its key, between the quotes, and its 1-based place.
type Member<'f, 'j> = &'f mut dyn FnMut(&mut Scanner<'j>, Option<&'j str>, i64) -> Option<()>;

/// Every function gives none when the text is malformed.
impl<'j> Scanner<'j> {
    fn new(text: &'j str) -> Self {
        Self { text, bytes: text.as_bytes(), at: 0, found: Found::Nothing }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn blank(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn document(&mut self, path: Option<&[Step<'_>]>) -> Option<()> {
        self.blank();
        self.value(path, 0)?;
        self.blank();
        (self.at == self.bytes.len()).then_some(())
    }

    /// Reads one value; `path` leads from it to the wanted one.
    fn value(&mut self, path: Option<&[Step<'_>]>, depth: usize) -> Option<()> {
        let start = self.at;
        match self.peek()? {
            b'"' => self.string().map(|_| ())?,
            b'{' => self.object(path, depth)?,
            b'[' => self.array(path, depth)?,
            b't' => self.word("true")?,
            b'f' => self.word("false")?,
            b'n' => self.word("null")?,
            _ => self.number()?,
        }
        match path {
            Some([]) => self.found = Found::Text(start..self.at),
            Some([Step::Index(index), ..]) if *index < 0 => {
                let steps_left = path.map_or(0, <[_]>::len);
                self.found = Found::FromEnd { container: start..self.at, steps_left };
            }
            _ => {}
        }
        Some(())
    }

    /// The text that `read` goes over.
    fn text_of(&mut self, read: impl FnOnce(&mut Self) -> Option<()>) -> Option<&'j str> {
        let start = self.at;
        read(self)?;
        Some(&self.text[start..self.at])
    }

    /// Reads a text that is one object; false for anything else.
    fn whole_object(&mut self, member: Member<'_, 'j>) -> bool {
        self.blank();
        if self.peek() != Some(b'{') || self.container(true, 0, member).is_none() {
            return false;
        }
        self.blank();
        self.at == self.bytes.len()
    }

    fn object(&mut self, path: Option<&[Step<'_>]>, depth: usize) -> Option<()> {
        self.container(true, depth, &mut |scanner, key, place| {
            let next = match path.and_then(<[_]>::split_first) {
                Some((Step::Key(wanted), rest)) if key.is_some_and(|key| is_key(key, wanted)) => {
                    Some(rest)
                }
                Some((Step::Index(wanted), rest)) if *wanted == place => Some(rest),
                _ => None,
            };
            if next.is_some() {
                scanner.found = Found::Nothing;
            }
            scanner.value(next, depth + 1)
        })
    }

    fn array(&mut self, path: Option<&[Step<'_>]>, depth: usize) -> Option<()> {
        self.container(false, depth, &mut |scanner, _, place| {
            let next = match path.and_then(<[_]>::split_first) {
                Some((Step::Index(wanted), rest)) if *wanted == place => Some(rest),
                _ => None,
            };
            scanner.value(next, depth + 1)
        })
    }

    /// Reads `{…}` or `[…]`, handing each member to `member` with the scanner at its value.
    fn container(&mut self, object: bool, depth: usize, member: Member<'_, 'j>) -> Option<()> {
        if depth >= DEPTH_MAX {
            return None;
        }
        let close = if object { b'}' } else { b']' };
        self.at += 1;
        self.blank();
        if self.eat(close).is_some() {
            return Some(());
        }
        for place in 1.. {
            let key = if object {
                let key = self.string()?;
                self.blank();
                self.eat(b':')?;
                self.blank();
                Some(key)
            } else {
                None
            };
            member(self, key, place)?;
            self.blank();
            if self.eat(b',').is_none() {
                return self.eat(close);
            }
            self.blank();
        }
        None
    }

    /// Reads a string; gives what stands between the quotes.
    fn string(&mut self) -> Option<&'j str> {
        self.eat(b'"')?;
        let start = self.at;
        loop {
            self.at += plain_length(&self.bytes[self.at..]);
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    let escape = *self.bytes.get(self.at + 1)?;
                    let digits = match escape {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 0,
                        b'u' => 4,
                        _ => return None,
                    };
                    let hex = self.bytes.get(self.at + 2..self.at + 2 + digits)?;
                    if !hex.iter().all(u8::is_ascii_hexdigit) {
                        return None;
                    }
                    self.at += 2 + digits;
                }
                // Control characters must be escaped.
                _ => return None,
            }
        }
        let raw = &self.text[start..self.at];
        self.at += 1;
        Some(raw)
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.bytes[self.at..].starts_with(word.as_bytes()).then(|| self.at += word.len())
    }

    /// Reads at least one digit.
    fn digits(&mut self) -> Option<()> {
        let count = self.bytes[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        (count > 0).then_some(())
    }

    fn number(&mut self) -> Option<()> {
        if self.peek()? == b'-' {
            self.at += 1;
        }
        if self.peek()? == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }
}

fn is_key(raw: &str, wanted: &str) -> bool {
    if raw.contains('\\') { unescape(raw) == wanted } else { raw == wanted }
}

/// How many bytes come before the next quote, backslash or control character: eight at a time,
/// since most of a document is text.
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // The classic test for a byte below `limit` (at most 128): it may also flag bytes after a
    // true one, never before, so the first flag is right.
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGH;
    let mut at = 0;
    for chunk in bytes.chunks_exact(8) {
        let Ok(eight) = <[u8; 8]>::try_from(chunk) else { break };
        let word = u64::from_le_bytes(eight);
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
        let special = quote | backslash | below(word, 0x20);
        if special != 0 {
            return at + (special.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    at + bytes[at..].iter().position(special).unwrap_or(bytes.len() - at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Step<'_> {
        Step::Key(Cow::Borrowed(name))
    }

    fn check(json: &str, path: &[Step<'_>], expected: Option<&str>) {
        assert_eq!(find(json, path), expected, "{json} at {path:?}");
    }

    #[test]
    fn paths_are_followed() {
        let json = r#" {"a": {"b": [1, {"c": "x"}, -2.5e3]}, "n": null, "": 7, "a.b": true} "#;
        check(json, &[key("a"), key("b"), Step::Index(1)], Some("1"));
        check(json, &[key("a"), key("b"), Step::Index(2), key("c")], Some("\"x\""));
        check(json, &[key("a"), key("b"), Step::Index(-1)], Some("-2.5e3"));
        check(json, &[key("a"), key("b"), Step::Index(-2), key("c")], Some("\"x\""));
        check(json, &[key("a"), key("b"), Step::Index(4)], None);
        check(json, &[key("a"), key("b"), Step::Index(-4)], None);
        check(json, &[key("a"), Step::Index(1)], Some(r#"[1, {"c": "x"}, -2.5e3]"#));
        check(json, &[key("n")], Some("null"));
        check(json, &[key("")], Some("7"));
        check(json, &[key("a.b")], Some("true"));
        check(json, &[key("missing")], None);
        check(json, &[key("n"), key("x")], None);
        check("[1,2]", &[], Some("[1,2]"));
    }

    #[test]
    fn the_last_of_equal_keys_counts() {
        check(r#"{"a":1,"a":2}"#, &[key("a")], Some("2"));
        check(r#"{"a":{"b":1},"a":2}"#, &[key("a"), key("b")], None);
        check(r#"{"a":{"b":1},"\u0061":{"b":3}}"#, &[key("a"), key("b")], Some("3"));
    }

    #[test]
    fn escapes_are_understood() {
        check(r#"{"a\"b":1}"#, &[key("a\"b")], Some("1"));
        check(r#"{"x":"\\","a":1}"#, &[key("a")], Some("1"));
        check(r#"{"\\a":1,"\\\\a":2}"#, &[key(r"\\a")], Some("2"));
        check(r#"{"\\a":1,"\\\\a":2}"#, &[key(r"\a")], Some("1"));
        check(r#"{"long text with a \" quote far behind":"\u00e9","a":1}"#, &[key("a")], Some("1"));
        assert_eq!(unescape(r"\u00e9\n\ud83d\ude00\ud83d!"), "é\n😀\u{fffd}!");
    }

    #[test]
    fn malformed_documents_have_no_values() {
        for json in [
            "",
            "{",
            r#"{"a":1"#,
            r#"{"a":1,}"#,
            r#"{"a" 1}"#,
            r#"{"a":1} x"#,
            r#"{"a":01}"#,
            r#"{"a":1.}"#,
            r#"{"a":tru}"#,
            r#"{"a":"\x"}"#,
            "{\"a\":1,\"b\":\"\n\"}",
            "{a:1}",
            r#"{"a":1,"b":[}"#,
            r#"{"a":1,"b":"\u12g4"}"#,
            r#"{"a":1,"b":-}"#,
        ] {
            check(json, &[key("a")], None);
            assert!(!is_valid(json), "{json}");
            assert!(entries(json).is_empty() || !is_valid(json), "{json}");
        }
        assert!(!is_valid(&"[".repeat(100_000)));
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(is_valid(&nested(DEPTH_MAX)) && !is_too_deep(&nested(DEPTH_MAX)));
        assert!(!is_valid(&nested(DEPTH_MAX + 1)) && is_too_deep(&nested(DEPTH_MAX + 1)));
        assert!(!is_too_deep(&format!("[{}[]]", "[],".repeat(DEPTH_MAX))));
    }

    #[test]
    fn it_agrees_with_serde_json() {
        use proptest::prelude::*;
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            ".{0,20}".prop_map(Into::into),
        ];
        let document = leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::btree_map("[a-c\"\\\\é]{0,3}", inner, 0..4)
                    .prop_map(|members| members.into_iter().collect::<serde_json::Value>()),
            ]
        });
        proptest!(|(value in document)| {
            for text in [value.to_string(), serde_json::to_string_pretty(&value)?] {
                prop_assert!(is_valid(&text));
                for (name, member) in value.as_object().into_iter().flatten() {
                    let found = find(&text, &[key(name)]).map(serde_json::from_str);
                    prop_assert_eq!(found.transpose()?, Some(member.clone()));
                }
                for (i, element) in value.as_array().into_iter().flatten().enumerate() {
                    let found = find(&text, &[Step::Index(i as i64 + 1)]).map(serde_json::from_str);
                    prop_assert_eq!(found.transpose()?, Some(element.clone()));
                }
            }
        });
    }
}
