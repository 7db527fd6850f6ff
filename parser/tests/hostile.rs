//! No text makes the parser panic, and what it accepts it can print and read again.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::Path;

use hedgerow_parser::{Dialect, parse_expr, parse_query};
use proptest::prelude::*;

/// Parses in every way; accepted texts survive printing.
fn try_everything(text: &str) {
    for dialect in [Dialect::Hogql, Dialect::Postgres] {
        if let Err(error) = parse_query(text, dialect) {
            // The place is in the text, on character boundaries, and can be reported.
            assert!(text.get(error.span.range()).is_some(), "{text:?} {error:?}");
            assert!(error.span.position(text) <= text.chars().count() + 1);
            assert!(!error.message.is_empty() && !error.message.contains('\n'), "{text:?}");
        }
        if let Ok(query) = parse_query(text, dialect) {
            let canonical = query.to_string();
            let again = parse_query(&canonical, Dialect::Hogql);
            assert_eq!(again.as_ref(), Ok(&query), "{text:?}\n{canonical}");
        }
        if let Ok(expr) = parse_expr(text, dialect) {
            let canonical = expr.to_string();
            let again = parse_expr(&canonical, Dialect::Hogql);
            assert_eq!(again.as_ref(), Ok(&expr), "{text:?}\n{canonical}");
        }
    }
}

/// The first lines of the blocks of the corpus, wrong ones included.
fn corpus() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let folders = ["ok", "err", "postgres"].map(|folder| root.join(folder));
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    files
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .flat_map(|text| {
            text.split("\n\n")
                .filter_map(|block| block.lines().next().map(String::from))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Pieces that mean something to the lexer or the grammar.
fn fragment() -> impl Strategy<Value = String> {
    prop::sample::select(
        "select from where group by order limit offset with as case when then else end not and or \
         in is null between like interval day cast array columns lambda distinct union all join \
         on using left any sample pivot unpivot for values window over partition rows preceding \
         filter within recursive materialized cohort ignore nulls top final id date 'text' \"q\" \
         `b` f' ' \" ` ( ) [ ] { } , ; . ?. ? ?? : :: := -> + - * / % || = == != <> < <= > >= <=> \
         ~ =~ !~ ~* ! # #1 -- // /* */ /> </ <A 1 0x1F 0b1 1.5 .5 1e3 0x1p3 a b $c é \\ \\n \u{0} \
         \u{FEFF} \n true false inf nan exclude replace interpolate fill collate settings"
            .split(' ')
            .map(String::from)
            .collect::<Vec<_>>(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 3_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_text(text in any::<String>()) {
        try_everything(&text);
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        try_everything(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn fragments(
        parts in prop::collection::vec(fragment(), 0..30),
        glue in prop::sample::select(vec!["", " "]),
    ) {
        let text = parts.join(glue);
        try_everything(&text);
        try_everything(&format!("select {text}"));
        try_everything(&format!("select a from {text}"));
    }

    /// Statements with characters or fragments taken out, put in, doubled or swapped.
    #[test]
    fn mutated_statements(
        statement in prop::sample::select(corpus()),
        other in prop::sample::select(corpus()),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..6, fragment()), 1..4),
    ) {
        let mut characters: Vec<char> = statement.chars().collect();
        for (place, action, fragment) in edits {
            let at = place.index(characters.len() + 1);
            match action {
                0 => characters.truncate(at),
                1 if at < characters.len() => {
                    characters.remove(at);
                }
                2 => {
                    let tail = characters.split_off(at);
                    characters.extend(fragment.chars().chain(tail));
                }
                3 => {
                    let tail = characters.split_off(at);
                    characters.extend(other.chars().chain(tail));
                }
                4 => {
                    let tail = characters[at..].to_vec();
                    characters.extend(tail);
                }
                _ if at < characters.len() => characters.swap(at, 0),
                _ => {}
            }
        }
        try_everything(&characters.into_iter().collect::<String>());
    }
}

/// Every beginning of every statement, and every statement without one of its words.
#[test]
fn truncated_statements() {
    for statement in corpus() {
        for (at, _) in statement.char_indices() {
            try_everything(&statement[..at]);
        }
        let words: Vec<&str> = statement.split(' ').collect();
        for at in 0..words.len() {
            let text = [&words[..at], &words[at + 1..]].concat().join(" ");
            try_everything(&text);
        }
    }
}
