//! The parser is bounded: hostile texts end in an error, quickly, on a small stack.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use hedgerow_parser::limits::{HEIGHT_MAX, NESTING_MAX, TEXT_BYTES_MAX, TOKENS_MAX};
use hedgerow_parser::{Dialect, SyntaxErrorKind, parse_expr, parse_query};

/// Three quarters of a tokio worker's stack: callers need some of it.
const STACK_BYTES: usize = 3 << 19;

/// Generous for an unoptimised build on a busy machine; quadratic behaviour takes far longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What happened to a text: the outcome of parsing, with the tree printed, cloned, compared and
/// dropped on the way.
fn outcome(text: String) -> Result<(), SyntaxErrorKind> {
    let started = Instant::now();
    let result = std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(move || {
            let query = parse_query(&text, Dialect::Hogql).map_err(|error| error.kind)?;
            let canonical = query.to_string();
            assert!(!canonical.is_empty());
            // It nests more than what it was read from, and is still read.
            if text.len() < 100_000 {
                assert_eq!(parse_query(&canonical, Dialect::Hogql).as_ref(), Ok(&query));
            }
            assert_eq!(query.clone(), query);
            assert!(format!("{query:?}").len() > 10);
            Ok(())
        })
        .unwrap()
        .join()
        .unwrap();
    assert!(started.elapsed() < PATIENCE, "took {:?}", started.elapsed());
    result
}

/// Everything that nests: what opens, the core, what closes.
const NESTINGS: &[(&str, &str, &str)] = &[
    ("select ", "1", ""),
    ("(", "1", ")"),
    ("[", "1", "]"),
    ("{", "a", "}"),
    ("{a: ", "1", "}"),
    ("f(", "1", ")"),
    ("f(1)(", "1", ")"),
    ("not(", "1", ")"),
    ("not ", "a", ""),
    ("- ", "a", ""),
    ("a[", "1", "]"),
    ("(1, ", "1", ")"),
    ("(select ", "1", ")"),
    ("(select a from (select ", "1", "))"),
    ("x -> ", "1", ""),
    ("(x) -> ", "1", ""),
    ("a := ", "1", ""),
    ("case when ", "a", " then 1 end"),
    ("case a when 1 then ", "1", " end"),
    ("cast(", "a", " as int)"),
    ("interval ", "1", " day"),
    ("a ? 1 : ", "1", ""),
    ("a ? ", "1", " : 1"),
    ("f'{", "1", "}'"),
    ("<A>", "x", "</A>"),
    ("<A b={", "1", "}/>"),
    ("a = (b or ", "c", ")"),
    ("f(a order by ", "b", ")"),
    ("f() over (order by ", "b", ")"),
    ("columns(", "a", ")"),
    ("lambda x: ", "1", ""),
    ("substring(", "a", " from 1)"),
];

fn nested(levels: usize, (open, core, close): (&str, &str, &str)) -> String {
    let start = if open == "select " { "" } else { "select " };
    format!("{start}{}{core}{}", open.repeat(levels), close.repeat(levels))
}

#[test]
fn moderate_nesting_is_accepted() {
    for nesting in NESTINGS.iter().skip(1) {
        assert_eq!(outcome(nested(20, *nesting)), Ok(()), "{nesting:?}");
    }
}

/// As deep as the limit allows, whatever counts how much: the stack holds.
#[test]
fn the_deepest_accepted_nesting_fits_the_stack() {
    for nesting in NESTINGS.iter().skip(1) {
        let deepest = (1..=NESTING_MAX as usize + 1)
            .rev()
            .find(|levels| outcome(nested(*levels, *nesting)).is_ok());
        assert!(deepest.is_some_and(|levels| levels >= 20), "{nesting:?} {deepest:?}");
    }
}

#[test]
fn deep_nesting_is_too_complex() {
    for nesting in NESTINGS.iter().skip(1) {
        let result = outcome(nested(10_000, *nesting));
        // The unit of an interval is looked for nearby only, so this one fails otherwise.
        let expected = match nesting.0 {
            "interval " => SyntaxErrorKind::Syntax,
            _ => SyntaxErrorKind::TooComplex,
        };
        assert_eq!(result, Err(expected), "{nesting:?}");
    }
    // Texts that never close fail too, in linear time, whichever error comes first.
    for (open, core, _) in NESTINGS {
        assert!(outcome(format!("select {}{core}", open.repeat(10_000))).is_err(), "{open}");
    }
}

#[test]
fn deep_sources_and_types() {
    for levels in [10_usize, 10_000] {
        let texts = [
            format!("select a from {}t{}", "(".repeat(levels), ")".repeat(levels)),
            format!("select a from {}select 1{}", "(".repeat(levels), ")".repeat(levels)),
            format!("select a from {}", "t join (".repeat(levels) + "t" + &")".repeat(levels)),
            format!("{}select 1{}", "(".repeat(levels), ")".repeat(levels)),
            format!("select cast(a as {}int{})", "array(".repeat(levels), ")".repeat(levels)),
            format!("{}select 1", "with x as (".repeat(levels) + &"select 1) ".repeat(levels)),
        ];
        for text in texts {
            let expected = if levels == 10 { Ok(()) } else { Err(SyntaxErrorKind::TooComplex) };
            let start: String = text.chars().take(60).collect();
            assert_eq!(outcome(text), expected, "{start}");
        }
    }
}

#[test]
fn ten_thousand_parentheses_fail_within_milliseconds() {
    let text = format!("select {}1{}", "(".repeat(10_000), ")".repeat(10_000));
    let started = Instant::now();
    let error = parse_query(&text, Dialect::Hogql).unwrap_err();
    assert_eq!(error.kind, SyntaxErrorKind::TooComplex);
    assert!(started.elapsed() < Duration::from_millis(500));
}

#[test]
fn chains_of_and_and_or_are_flat() {
    for word in [" and ", " or ", ", "] {
        let text = format!("select {}", vec!["a = 1"; 10_000].join(word));
        assert_eq!(outcome(text), Ok(()));
    }
    let branches = "when a then b ".repeat(10_000);
    assert_eq!(outcome(format!("select case {branches} end")), Ok(()));
    assert_eq!(outcome(format!("select 1{}", " union all select 1".repeat(10_000))), Ok(()));
}

#[test]
fn other_chains_are_bounded_without_recursion() {
    let links = [
        " + 1",
        " || 'a'",
        " = 1",
        " is null",
        " ?? 1",
        "[1]",
        ".1",
        ".f()",
        "(1)",
        " ignore nulls",
        " between 1 and 2",
        " as x",
        " in (1)",
        " <=> b",
        "?.b",
        "[1:2]",
    ];
    for link in links {
        // `.f()` is two operations.
        let fits = HEIGHT_MAX as usize / 2 - 10;
        assert_eq!(outcome(format!("select a{}", link.repeat(fits))), Ok(()), "{link}");
        for count in [HEIGHT_MAX as usize + 1, 10_000, 100_000] {
            let result = outcome(format!("select a{}", link.repeat(count)));
            assert_eq!(result, Err(SyntaxErrorKind::TooComplex), "{link}");
        }
    }
    // The canonical text of casts nests.
    for (count, wanted) in
        [(NESTING_MAX as usize - 10, Ok(())), (200, Err(SyntaxErrorKind::TooComplex))]
    {
        assert_eq!(outcome(format!("select a{}", "::int".repeat(count))), wanted);
    }
    let joins = " join t on a = b".repeat(10_000);
    assert_eq!(outcome(format!("select a from t{joins}")), Err(SyntaxErrorKind::TooComplex));
    let pivots = " pivot (sum(a) for b in (1))".repeat(10_000);
    assert_eq!(outcome(format!("select a from t{pivots}")), Err(SyntaxErrorKind::TooComplex));
}

/// Nesting on the left side and chains on the right: both heights add up.
#[test]
fn chains_inside_nesting_are_bounded() {
    let levels = NESTING_MAX as usize / 2;
    let text = format!(
        "select {}a{}",
        "(".repeat(levels),
        format!("{})", " + 1".repeat(40)).repeat(levels)
    );
    assert_eq!(outcome(text), Err(SyntaxErrorKind::TooComplex));
    // Siblings do not add up.
    let mut wide = String::from("select 1");
    for _ in 0..2_000 {
        wide.push_str(", f(a + b + c, (d + e) * 2)");
    }
    assert_eq!(outcome(wide), Ok(()));
}

#[test]
fn many_of_a_kind_stay_linear() {
    const MANY: usize = 100_000;
    let texts = [
        format!("select f({} x)", "a, ".repeat(MANY)),
        format!("select f({} x -> x)", "a, ".repeat(MANY)),
        format!("select {} 1", "case, ".repeat(MANY)),
        format!("select {} 1", "interval + ".repeat(MANY)),
        format!("select {} 1", "interval, ".repeat(MANY)),
        format!("select {} 1", "interval (a), ".repeat(MANY)),
        format!("select {} 1", "lambda x, ".repeat(MANY)),
        format!("select lambda {} 1", "lambda, ".repeat(MANY)),
        format!("select {} 1", "(a), ".repeat(MANY)),
        format!("select {} 1", "(case), ".repeat(MANY)),
        format!("select {}", "case ".repeat(MANY)),
        format!("select {} end", "case when ".repeat(MANY)),
        format!("select a from t {}", "left ".repeat(MANY)),
        format!("select a from t {}", "join u ".repeat(400)),
        format!("select a from t {} {}", "join u ".repeat(400), "on 1 ".repeat(400)),
        format!("select '{}'", "\\n".repeat(MANY)),
        format!("select f'{}'", "{a} b".repeat(MANY)),
        format!("select <a>{}</a>", "<b/>{c} d".repeat(MANY)),
        format!("select {} 1", "/* a */".repeat(MANY)),
        format!("select {} 1", "-- a\n".repeat(MANY)),
        format!("select {}", "{".repeat(MANY)),
        format!("select {}", "<a ".repeat(MANY)),
        format!("select {}", "f'{".repeat(MANY)),
        format!("select 0x{}", "f".repeat(MANY)),
        format!("select {}", "9".repeat(MANY)),
        format!("select 1e{}", "9".repeat(900)),
    ];
    for text in texts {
        let _ = outcome(text);
    }
}

#[test]
fn text_and_token_limits() {
    let long = format!("select '{}'", "a".repeat(TEXT_BYTES_MAX));
    assert_eq!(outcome(long), Err(SyntaxErrorKind::TooComplex));
    let within = format!("select '{}'", "a".repeat(TEXT_BYTES_MAX - 100));
    assert!(parse_query(&within, Dialect::Hogql).is_ok());
    let mut many = String::from("select 1");
    for _ in 0..TOKENS_MAX / 2 {
        let _ = write!(many, ",1");
    }
    assert_eq!(outcome(many), Err(SyntaxErrorKind::TooComplex));
    assert!(parse_expr("", Dialect::Hogql).is_err());
    assert!(parse_query("", Dialect::Hogql).is_err());
    assert!(parse_query("\0", Dialect::Hogql).is_err());
}
