//! Statements with their canonical text, and mistakes with what is said about them.
//!
//! The files of `corpus/ok` named `expr_*` and `query_*` were checked against the reference
//! parser (release 1.3.88): it gives the text and its canonical form the same tree. `own_*` holds
//! what the reference refuses or drops.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::Path;

use hedgerow_parser::{Dialect, SyntaxError, parse_expr, parse_query};

/// The blocks of every file of a folder: path, first line, remaining lines.
fn blocks(folder: &str) -> Vec<(String, String, Vec<String>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(folder);
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut blocks = Vec::new();
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        for block in std::fs::read_to_string(&file).unwrap().split("\n\n") {
            let mut lines = block.lines().map(String::from);
            if let Some(first) = lines.next() {
                blocks.push((name.clone(), first, lines.collect()));
            }
        }
    }
    blocks
}

/// Checks that a text prints as this canonical one, and that both have the same tree.
fn check<T: PartialEq + std::fmt::Debug + ToString>(
    text: &str,
    canonical: &str,
    parse: impl Fn(&str, Dialect) -> Result<T, SyntaxError>,
) {
    let tree = parse(text, Dialect::Hogql).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(tree.to_string(), canonical, "{text}");
    assert_eq!(parse(canonical, Dialect::Hogql).as_ref(), Ok(&tree), "{text}");
}

#[test]
fn valid_texts() {
    let blocks = blocks("ok");
    assert!(blocks.len() > 800, "only {} statements were found", blocks.len());
    for (file, text, lines) in blocks {
        let canonical = lines.first().and_then(|line| line.strip_prefix("=> ")).unwrap();
        if file.starts_with("expr_") {
            check(&text, canonical, parse_expr);
        } else {
            check(&text, canonical, parse_query);
        }
    }
}

/// The files of `corpus/postgres` are read as PostgreSQL's text; their canonical text is HogQL.
/// `⏎` is a line break.
#[test]
fn postgres_texts() {
    for (file, text, lines) in blocks("postgres") {
        let canonical = lines.first().and_then(|line| line.strip_prefix("=> ")).unwrap();
        let tree = parse_query(&text.replace('⏎', "\n"), Dialect::Postgres)
            .unwrap_or_else(|error| panic!("{file}: {text}: {error}"));
        assert_eq!(tree.to_string(), canonical, "{file}: {text}");
        assert_eq!(parse_query(canonical, Dialect::Hogql).as_ref(), Ok(&tree), "{file}: {text}");
    }
}

/// What a reader of the error sees: the place underlined, the message, what was expected, a hint.
fn report(text: &str, error: &SyntaxError) -> Vec<String> {
    let before = text[..error.span.start as usize].chars().count();
    let width = text[error.span.range()].chars().count().max(1);
    let mut lines = vec![format!("{}{} {}", " ".repeat(before), "^".repeat(width), error.message)];
    lines.push(format!("kind: {:?}", error.kind));
    lines.extend(error.expected.iter().map(|expected| format!("expected: {expected}")));
    lines.extend(error.hint.iter().map(|hint| format!("hint: {hint}")));
    lines
}

#[test]
fn mistakes() {
    for (file, text, lines) in blocks("err") {
        let error = match parse_query(&text, Dialect::Hogql) {
            Ok(query) => panic!("{file}: {text} is accepted as {query}"),
            Err(error) => error,
        };
        let report = report(&text, &error);
        assert_eq!(report, lines, "{file}: {text}\n{}", report.join("\n"));
        assert_eq!(
            error.span.position(&text),
            text[..error.span.start as usize].chars().count() + 1
        );
        assert!(!error.message.contains('\n'));
        // Lower case, but for keywords.
        let mut start = error.message.chars().map(char::is_uppercase);
        assert!(start.next() != Some(true) || start.next() == Some(true), "{}", error.message);
    }
}

/// Equal trees for texts that say the same; each pair is a rule of the language reference.
#[test]
fn precedence() {
    let pairs = [
        ("a ?? b = c", "a ?? (b = c)"),
        ("a || b + c", "(a || b) + c"),
        ("a = b = c", "(a = b) = c"),
        ("a - b - c", "(a - b) - c"),
        ("a + b * c % d", "a + ((b * c) % d)"),
        ("a between 1 and 2 and c", "(a between 1 and 2) and c"),
        ("a between b ?? c and d", "a between (b ?? c) and d"),
        ("not (a) = b", "(not(a)) = b"),
        ("not a and b", "(not a) and b"),
        ("a and b or c and d", "(a and b) or (c and d)"),
        ("a and (b and c)", "a and b and c"),
        ("a ? b : c ? d : e", "a ? b : (c ? d : e)"),
        ("a ? b ? c : d : e", "a ? (b ? c : d) : e"),
        ("a or b ? c : d", "(a or b) ? c : d"),
        ("e as x = 1", "(e as x) = 1"),
        ("a is null = b", "(a is null) = b"),
        ("a = b is null", "(a = b) is null"),
        ("a <=> b", "a is not distinct from b"),
        ("a is distinct from b = c", "a is distinct from (b = c)"),
        ("-a::int", "-(a::int)"),
        ("-a * b", "(-a) * b"),
        ("-1::int", "(-1)::int"),
        ("a.1.2", "(a.1).2"),
        ("a == b", "a = b"),
        ("a <> b", "a != b"),
        ("a ~ b", "a =~ b"),
        ("a ~* b", "a =~* b"),
        ("x -> x + 1", "(x) -> (x + 1)"),
        ("f(x, y -> x)", "f((x, y) -> x)"),
        ("lambda x, y: x", "(x, y) -> x"),
        ("interval a + 1 day", "interval (a + 1) day"),
        ("interval '5 minutes'", "interval 5 minute"),
        ("array[1, 2]", "[1, 2]"),
        ("a in cohort b + 1", "a in cohort (b + 1)"),
        ("(a)", "a"),
        ("1 as a as b", "(1 as a) as b"),
        ("trim(leading 'x' from y)", "trimLeft(y, 'x')"),
    ];
    for (a, b) in pairs {
        let parse = |text| parse_expr(text, Dialect::Hogql);
        assert_eq!(parse(a).unwrap(), parse(b).unwrap(), "{a} and {b}");
    }
    let different = [
        ("not (a) = b", "not a = b"),
        ("not (a)", "not a"),
        ("(a).b", "a.b"),
        ("(a,)", "(a)"),
        ("a ?? b = c", "(a ?? b) = c"),
        ("-(1)", "-1"),
    ];
    for (a, b) in different {
        let parse = |text| parse_expr(text, Dialect::Hogql);
        assert_ne!(parse(a).unwrap(), parse(b).unwrap(), "{a} and {b}");
    }
}

#[test]
fn standard_strings() {
    let standard = |text| parse_expr(text, Dialect::Postgres).map(|expr| expr.to_string());
    let cases = [
        (r"'a\nb'", r"'a\\nb'"),
        (r"'it''s'", r"'it\'s'"),
        (r"'\'", r"'\\'"),
        (r"E'a\nb'", r"'a\nb'"),
        (r"e'\''", r"'\''"),
        (r#""a\b""#, r"`a\\b`"),
        (r"e", "e"),
        (r"E + 1", "E + 1"),
    ];
    for (text, canonical) in cases {
        assert_eq!(standard(text).as_deref(), Ok(canonical), "{text}");
    }
    assert!(standard(r"'a\'b'").is_err());
    assert!(parse_expr(r"E'a'", Dialect::Hogql).is_ok());
}

#[test]
fn hogql_strings() {
    let cases = [
        (r"'a\nb\t\\'", "'a\\nb\\t\\\\'"),
        (r"'it''s \'x\''", r"'it\'s \'x\''"),
        (r"'a\0b'", "'ab'"),
        (r"'a\x41'", r"'a\\x41'"),
        ("'a\nb'", r"'a\nb'"),
        ("\u{FEFF} \u{2003}'a'\u{A0}", "'a'"),
    ];
    for (text, canonical) in cases {
        let parsed = parse_expr(text, Dialect::Hogql).map(|expr| expr.to_string());
        assert_eq!(parsed.as_deref(), Ok(canonical), "{text}");
    }
}
