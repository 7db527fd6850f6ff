//! The formatter changes nothing but the layout, and is content with its own.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::Path;

use hedgerow_parser::{Dialect, format, parse_query};

/// Every valid statement of the parser's corpus and of the oracle's.
fn statements() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut statements = Vec::new();
    for folder in ["tests/corpus/ok", "../sql-tests/oracle/corpus"] {
        for file in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = file.unwrap().path();
            let is_expr = path.file_name().unwrap().to_string_lossy().starts_with("expr_");
            for block in std::fs::read_to_string(&path).unwrap().trim_end().split("\n\n") {
                let text: Vec<&str> =
                    block.lines().take_while(|line| !line.starts_with("=> ")).collect();
                let text = text.join("\n");
                statements.push(if is_expr { format!("select {text}") } else { text });
            }
        }
    }
    statements.retain(|text| parse_query(text, Dialect::Hogql).is_ok());
    assert!(statements.len() > 2_000, "{}", statements.len());
    statements
}

fn check(text: &str) {
    let once = format(text, Dialect::Hogql).unwrap_or_else(|error| panic!("{text}: {error}"));
    let tree = parse_query(text, Dialect::Hogql).unwrap();
    assert_eq!(parse_query(&once, Dialect::Hogql).as_ref(), Ok(&tree), "{text}\n{once}");
    let twice = format(&once, Dialect::Hogql).unwrap();
    assert_eq!(once, twice, "{text}");
}

#[test]
fn statements_keep_their_trees_and_settle() {
    for text in statements() {
        check(&text);
    }
}

/// With a comment after every word, all of them are there in their order.
#[test]
fn comments_are_kept_in_order() {
    for text in statements() {
        if text.contains(['\'', '<', '{', '"', '`', '#'])
            || text.contains("--")
            || text.contains("//")
            || text.contains("/*")
        {
            continue;
        }
        for (before, after) in [("/* ", " */ "), ("-- ", "\n"), ("\n-- ", "\n")] {
            let mut commented = String::new();
            let mut wanted = Vec::new();
            for (at, word) in text.split(' ').enumerate() {
                commented.push_str(&format!("{word} {before}c{at}{after}"));
                wanted.push(format!("c{at}"));
            }
            if parse_query(&commented, Dialect::Hogql).is_err() {
                continue;
            }
            check(&commented);
            let formatted = format(&commented, Dialect::Hogql).unwrap();
            let found: Vec<String> = formatted
                .split(before.trim())
                .skip(1)
                .map(|rest| rest.split_whitespace().next().unwrap_or_default().to_owned())
                .collect();
            assert_eq!(found, wanted, "{commented}\n{formatted}");
        }
    }
}

#[test]
fn layouts() {
    let cases = [
        ("select   a,b from t where x=1", "SELECT a, b FROM t WHERE x = 1\n"),
        ("select 1;select 2 ;", "SELECT 1;\n\nSELECT 2;\n"),
        ("-- first\nselect 1 -- one\n", "-- first\nSELECT 1  -- one\n"),
        (
            "select -a, - -1, a[1:2], {'k':1}, c?x:y, f (a)(b), x::int",
            "SELECT -a, - -1, a[1:2], {'k': 1}, c ? x : y, f(a)(b), x::int\n",
        ),
        ("set a=when", "SET a = when\n"),
        ("select 0x1 .8", "SELECT 0x1 .8\n"),
        ("select a # 1\nb // 2\n,", "SELECT\n    a  # 1\n        b,  // 2\n"),
        ("select a between symmetric#1 and 2", "SELECT a BETWEEN symmetric #1 AND 2\n"),
        ("", ""),
    ];
    for (text, layout) in cases {
        assert_eq!(format(text, Dialect::Hogql).as_deref(), Ok(layout), "{text}");
    }
    // A comma stays with its item, even where it is the first character too many.
    let item = "a".repeat(96);
    let layout = format!("SELECT\n    {item},  -- c\n    b\n");
    assert_eq!(format(&format!("select {item}, -- c\nb"), Dialect::Hogql), Ok(layout));
    let postgres = [
        ("select a# -b, a #1", "SELECT a # -b, a #1\n"),
        // The line break makes them one.
        ("select 'a'\n  'b',c", "SELECT\n    'a'\n  'b',\n    c\n"),
    ];
    for (text, layout) in postgres {
        assert_eq!(format(text, Dialect::Postgres).as_deref(), Ok(layout), "{text}");
    }
    let long = "with active as (select person_id, count() as n from events where timestamp >= now() - interval 30 day \
                and event = '$pageview' group by person_id) select p.properties.email ?? 'unknown' as email, n from active \
                left join persons p on p.id = active.person_id where n > 3 order by n desc limit 10";
    let layout = "\
WITH active AS (
    SELECT person_id, count() AS n
    FROM events
    WHERE timestamp >= now() - INTERVAL 30 DAY AND event = '$pageview'
    GROUP BY person_id
)
SELECT p.properties.email ?? 'unknown' AS email, n
FROM active
LEFT JOIN persons p ON p.id = active.person_id
WHERE n > 3
ORDER BY n DESC
LIMIT 10
";
    assert_eq!(format(long, Dialect::Hogql).as_deref(), Ok(layout));
}
