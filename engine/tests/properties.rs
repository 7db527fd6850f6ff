//! Properties read the same however a file lays them out: against `serde_json`, over random
//! documents, in files whose columns differ.

#![expect(clippy::unwrap_used, reason = "a failure here is the test failing")]

use std::collections::HashMap;
use std::fmt::Write;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Float64Type;
use futures::TryStreamExt;
use hedgerow_engine::ingest::{ImportOptions, Source, import};
use hedgerow_engine::{Engine, EngineOptions, EventStore, Location, Session, SessionOptions};
use hedgerow_parser::Dialect;
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// A document as its members, keys and values as they are written.
type Document = Vec<(String, String)>;

/// Keys as they are written between quotes.
const KEYS: [&str; 10] = ["a", "b", "c", "$browser", "a.b", "a b", "q\\\"", "\\u0061", "é;{}", ""];
/// Paths to read, as HogQL writes them, and as keys.
const PATHS: [(&str, &[&str]); 9] = [
    ("a", &["a"]),
    ("b", &["b"]),
    ("c", &["c"]),
    ("`$browser`", &["$browser"]),
    ("`a.b`", &["a.b"]),
    ("`é;{}`", &["é;{}"]),
    ("a.b", &["a", "b"]),
    ("c.a.b", &["c", "a", "b"]),
    ("missing", &["missing"]),
];

fn scalar() -> impl Strategy<Value = String> {
    let words = [
        "null",
        "true",
        "false",
        "\"\"",
        "\"x\"",
        "\"Chrome\"",
        "\"1\"",
        "\"true\"",
        "\"null\"",
        "\"\\u00e9\\/\\n\"",
        "\"\\ud83d\"",
        "\"{\\\"a\\\":1}\"",
        "0",
        "1",
        "-1",
        "1.0",
        "1e0",
        "-0",
        "0.1",
        "1.50",
        "2.5",
        "123456789012345678901234567890",
        "18446744073709551615",
        "\"1e0\"",
        "\"inf\"",
        "9007199254740993",
        "1e400",
        "-1E-7",
    ];
    prop_oneof![
        4 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned),
        1 => any::<f64>().prop_filter("JSON", |n| n.is_finite()).prop_map(|n| n.to_string()),
        1 => any::<i64>().prop_map(|n| n.to_string()),
        1 => "[a-z ]{0,12}".prop_map(|text| format!("\"{text}\"")),
    ]
}

fn value() -> impl Strategy<Value = String> {
    scalar().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(
                (proptest::sample::select(KEYS.to_vec()), inner.clone()),
                0..4
            )
            .prop_map(|members| object(members.into_iter())),
            proptest::collection::vec(inner, 0..3)
                .prop_map(|items| format!("[{}]", items.join(", "))),
        ]
    })
}

fn object<K: AsRef<str>>(members: impl Iterator<Item = (K, String)>) -> String {
    let members: Vec<_> =
        members.map(|(key, value)| format!("\"{}\": {value}", key.as_ref())).collect();
    format!("{{{}}}", members.join(","))
}

/// Documents of one file: each key mostly has values of one kind there, so that columns are made.
fn documents() -> impl Strategy<Value = Vec<Document>> {
    let key = proptest::sample::select(KEYS.to_vec()).prop_map(str::to_owned);
    let usual = proptest::sample::select(vec![
        "\"x\"",
        "7",
        "true",
        "{\"a\":{\"b\":1},\"b\":\"y\"}",
        "2.50",
    ]);
    usual.prop_flat_map(move |usual| {
        let value = prop_oneof![2 => Just(usual.to_owned()), 1 => value()];
        proptest::collection::vec(proptest::collection::vec((key.clone(), value), 0..6), 1..30)
    })
}

/// The value at a path, as it is written; of equal keys the last.
fn find<'d>(document: &'d str, path: &[&str]) -> Option<&'d str> {
    let Some((key, rest)) = path.split_first() else { return Some(document) };
    let members: HashMap<String, &'d RawValue> = serde_json::from_str(document).ok()?;
    find(members.get(*key)?.get(), rest)
}

/// Functions of a document and a path.
const FUNCTIONS: [&str; 14] = [
    "JSONExtractString",
    "JSONExtractFloat",
    "JSONExtractInt",
    "JSONExtractUInt",
    "JSONExtractBool",
    "JSONExtractRaw",
    "JSONHas",
    "JSONType",
    "JSONLength",
    "JSONExtractArrayRaw",
    "JSONExtractKeys",
    "JSONExtractKeysAndValuesRaw",
    "jsonb_extract_path",
    "jsonb_extract_path_text",
];
/// Paths of those functions alone: through arrays, and to places among members.
const STEPS: [&str; 6] =
    ["'a', 1", "'b', -1", "'a', 'b', 2", "'c', 1, 'a'", "'a', '0'", "'b', NULL"];
/// The text of the documents: nothing that a column could answer.
const DOCUMENT: &str = "concat(toString(properties), ' ')";

/// Every function over the column gives what it gives over the text of the documents.
async fn check_functions(session: &Session, path: &str) {
    let calls = FUNCTIONS
        .map(|function| format!("{function}(properties, {path}), {function}({DOCUMENT}, {path})"));
    let query = format!("select {}, properties from events", calls.join(", "));
    for batch in &answer(session, &query).await {
        let documents = batch.columns().last().unwrap().as_string_view();
        for (function, pair) in FUNCTIONS.iter().zip(batch.columns().chunks_exact(2)) {
            for row in 0..batch.num_rows() {
                let document = documents.value(row);
                let (found, expected) = (pair[0].slice(row, 1), pair[1].slice(row, 1));
                assert_eq!(&found, &expected, "{function} at {path} of {document}");
            }
        }
    }
}

/// Conditions leave out files and row groups by what columns and footers say: they find the rows
/// that they find in the text of the documents.
async fn check_conditions(session: &Session, path: &str) {
    let conditions = [
        "JSONHas(?)",
        "not JSONHas(?)",
        "JSONExtractInt(?) = 1",
        "JSONExtractInt(?) = 0",
        "JSONExtractBool(?)",
        "JSONType(?) = 'Int64'",
        "JSONType(?) = 'Null'",
        "JSONLength(?) > 0",
        "JSONExtractRaw(?) = '1.0'",
    ];
    let of =
        |condition: &str, document: &str| condition.replace('?', &format!("{document}, {path}"));
    let expected = conditions.map(|condition| format!("countIf({})", of(condition, DOCUMENT)));
    let expected = format!("select {} from events", expected.join(", "));
    let found = conditions.map(|condition| {
        format!("(select count() from events where {})", of(condition, "properties"))
    });
    let expected = answer(session, &expected).await;
    let found = answer(session, &format!("select {}", found.join(", "))).await;
    for (place, condition) in conditions.iter().enumerate() {
        let number = |batches: &[RecordBatch]| {
            batches[0].column(place).as_primitive::<arrow::datatypes::Int64Type>().value(0)
        };
        assert_eq!(number(&found), number(&expected), "{condition} at {path}");
    }
}

/// What a property is as text.
fn text(raw: &str) -> Option<String> {
    match raw {
        "null" | "\"\"" => None,
        "\"\\ud83d\"" => Some("\u{fffd}".to_owned()),
        _ if raw.starts_with('"') => Some(serde_json::from_str(raw).unwrap()),
        _ => Some(raw.to_owned()),
    }
}

fn column_text(batch: &RecordBatch, column: usize, row: usize) -> Option<String> {
    let column = batch.column(column).as_string_view();
    column.is_valid(row).then(|| column.value(row).to_owned())
}

async fn answer(session: &Session, query: &str) -> Vec<RecordBatch> {
    session.query(query).await.unwrap().try_collect().await.unwrap()
}

/// A session of an engine of its own.
async fn session(location: &Location) -> Session {
    let engine = Engine::open(location, EngineOptions::default()).await.unwrap();
    let options = SessionOptions { project: "default".to_owned(), dialect: Dialect::Hogql };
    engine.session(options).await.unwrap()
}

/// A store with the events of some tests.
struct Fixture {
    session: Session,
    folder: tempfile::TempDir,
}

impl Fixture {
    /// One file for each list of documents; its events are named by the number of the document.
    async fn new(files: &[Vec<String>]) -> Self {
        let (folder, inputs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let location = Location::from(folder.path());
        let store = EventStore::create(&location).await.unwrap();
        let project = store.create_project("default").await.unwrap();
        let mut id = 0;
        for documents in files {
            let mut lines = String::new();
            for document in documents {
                writeln!(
                    lines,
                    r#"{{"event":"e","distinct_id":"{id}","timestamp":"2024-01-01T00:00:00Z","properties":{document}}}"#
                )
                .unwrap();
                id += 1;
            }
            let path = inputs.path().join("lines.ndjson");
            std::fs::write(&path, lines).unwrap();
            let options =
                ImportOptions { strict: true, maintain: false, ..ImportOptions::default() };
            import(&store, project, vec![Source::Path(path)], options, &mut ()).await.unwrap();
        }
        Self { session: session(&location).await, folder }
    }
}

async fn check(files: &[Vec<Document>]) {
    let documents = |file: &Vec<Document>| -> Vec<String> {
        file.iter().map(|d| object(d.iter().map(|(k, v)| (k, v.clone())))).collect()
    };
    let files: Vec<_> = files.iter().map(documents).collect();
    let Fixture { session, folder: _folder } = Fixture::new(&files).await;
    let all: HashMap<String, String> =
        files.into_iter().flatten().enumerate().map(|(id, d)| (id.to_string(), d)).collect();
    // Keys have the types that were learned; here each is read as text, then as a number.
    let types = |ty: &str| {
        let types: Vec<_> = PATHS
            .iter()
            .filter(|(_, keys)| keys.len() == 1)
            .map(|(_, keys)| format!("\"{}\": \"{ty}\"", keys[0]))
            .collect();
        format!("set property_types = '{{{}}}'", types.join(", "))
    };
    for path in STEPS {
        check_functions(&session, path).await;
    }
    for (path, keys) in PATHS {
        let steps = keys.iter().map(|key| format!("'{key}'")).collect::<Vec<_>>().join(", ");
        check_functions(&session, &steps).await;
        check_conditions(&session, &steps).await;
        drop(session.query(&types("String")).await.unwrap());
        let raw = keys.iter().map(|key| format!("'{key}'")).collect::<Vec<_>>().join(", ");
        let query = format!(
            "select distinct_id, properties.{path} as a, a = 'x' as b, JSONExtractRaw(properties, {raw}),
                JSONExtractString(properties, {raw}), JSONExtractFloat(properties, {raw}),
                jsonb_extract_path_text(properties, {raw}) from events"
        );
        let mut rows = 0;
        for batch in &answer(&session, &query).await {
            rows += batch.num_rows();
            for row in 0..batch.num_rows() {
                let document = &all[&column_text(batch, 0, row).unwrap()];
                let raw = find(document, keys);
                let expected = raw.and_then(text);
                assert_eq!(column_text(batch, 1, row), expected, "{path} of {document}");
                assert_eq!(
                    batch.column(2).as_boolean().value(row),
                    expected.as_deref() == Some("x"),
                    "{path} of {document}"
                );
                assert_eq!(
                    column_text(batch, 3, row).as_deref(),
                    Some(raw.unwrap_or("")),
                    "{path} of {document}"
                );
                let string = column_text(batch, 4, row);
                assert_eq!(
                    string,
                    expected.clone().or(Some(String::new())),
                    "{path} of {document}"
                );
                let float = batch.column(5).as_primitive::<Float64Type>().value(row);
                let number = expected.and_then(|text| text.parse().ok());
                assert_eq!(float, number.unwrap_or(0.0), "{path} of {document}");
                let plain = match raw {
                    Some("\"\"") => Some(String::new()),
                    raw => raw.and_then(text),
                };
                assert_eq!(column_text(batch, 6, row), plain, "{path} of {document}");
            }
        }
        assert_eq!(rows, all.len());
        // Filters prune by the columns of properties; they must find the same rows.
        for (condition, wanted) in
            [("= 'x'", "x"), ("= 'Chrome'", "Chrome"), ("= '1'", "1"), ("= 'true'", "true")]
        {
            let query = format!("select count() from events where properties.{path} {condition}");
            let count = answer(&session, &query).await[0]
                .column(0)
                .as_primitive::<arrow::datatypes::Int64Type>()
                .value(0);
            let expected = all
                .values()
                .filter(|document| find(document, keys).and_then(text).as_deref() == Some(wanted))
                .count();
            assert_eq!(count, i64::try_from(expected).unwrap(), "{query}");
        }
        if keys.len() > 1 {
            continue;
        }
        let query = format!("select distinct_id, properties.{path} as a from events");
        let expected = |batch: &RecordBatch, row| {
            let document = &all[&column_text(batch, 0, row).unwrap()];
            (document, find(document, keys).and_then(text))
        };
        drop(session.query(&types("Numeric")).await.unwrap());
        for batch in &answer(&session, &query).await {
            for (row, found) in batch.column(1).as_primitive::<Float64Type>().iter().enumerate() {
                let (document, text) = expected(batch, row);
                assert_eq!(found, text.and_then(|t| t.parse().ok()), "{path} of {document}");
            }
        }
        drop(session.query(&types("Boolean")).await.unwrap());
        for batch in &answer(&session, &query).await {
            for (row, found) in batch.column(1).as_boolean().iter().enumerate() {
                let (document, text) = expected(batch, row);
                assert_eq!(found, text.and_then(|t| t.parse().ok()), "{path} of {document}");
            }
        }
    }
}

#[test]
fn every_layout_gives_what_the_documents_say() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = ProptestConfig { cases: 16, max_shrink_iters: 60, ..ProptestConfig::default() };
    proptest!(config, |(files in proptest::collection::vec(documents(), 1..4))| {
        runtime.block_on(check(&files));
    });
}

/// Files that lay out the same keys differently: plain; with escapes, odd numbers and an object;
/// with null, and numbers as strings.
fn mixed_layouts() -> Vec<Vec<String>> {
    let files: [&[&str]; 3] = [
        &[r#"{"plan":"free","n":1}"#, r#"{"plan":"team","n":2}"#],
        &[r#"{"plan":"a\"b","n":1.0,"o":{"x":1}}"#],
        &[r#"{"plan":"free","n":"7"}"#, r#"{"plan":null,"n":"8"}"#],
    ];
    files.map(|file| file.iter().map(|document| (*document).to_owned()).collect()).into()
}

/// What EXPLAIN says about the scan of a query.
async fn explained(session: &Session, options: &str, query: &str) -> Value {
    let batches = answer(session, &format!("explain ({options}format json) {query}")).await;
    let plan: Value = serde_json::from_str(batches[0].column(0).as_string_view().value(0)).unwrap();
    fn scan(step: &Value) -> Option<&Value> {
        if step["Node Type"] == "Scan events" {
            return Some(step);
        }
        step["Plans"].as_array()?.iter().find_map(scan)
    }
    scan(&plan[0]["Plan"]).unwrap_or_else(|| panic!("no scan in {plan}")).clone()
}

/// Of files and properties: from columns, from remainder, from text, absent.
fn origins(scan: &Value) -> [&Value; 4] {
    ["Columns", "Remainder", "Text"]
        .map(|origin| &scan[format!("Properties From {origin}")])
        .into_iter()
        .chain([&scan["Properties Absent"]])
        .collect::<Vec<_>>()
        .try_into()
        .unwrap()
}

#[tokio::test]
async fn explain_says_what_is_not_read_from_columns() {
    let fixture = Fixture::new(&mixed_layouts()).await;
    let session = &fixture.session;
    let query = "select JSONExtractRaw(properties, 'plan'), JSONExtractInt(properties, 'n'),
            JSONHas(properties, 'o') from events";
    for options in ["", "analyze, "] {
        let scan = explained(session, options, query).await;
        assert_eq!(origins(&scan), [3, 2, 2, 2], "{scan}");
        let remainder = json!({"properties.n": 1, "properties.o": 1});
        assert_eq!(scan["Read From Remainder"], remainder, "{scan}");
        assert_eq!(scan["Read From Text"], json!({"properties.plan": 2}), "{scan}");
    }
    // Views that need no spelling: nothing is read from the text.
    let query = "select JSONType(properties, 'plan'), JSONLength(properties, 'o'),
            JSONExtractBool(properties, 'n'), JSONExtractInt(properties, 'o', 'x') from events";
    let scan = explained(session, "analyze, ", query).await;
    assert_eq!(origins(&scan), [6, 1, 0, 5], "{scan}");
    assert_eq!(scan["Read From Remainder"], json!({"properties.o": 1}), "{scan}");
    assert!(scan["Read From Text"].is_null(), "{scan}");
    // Files in which nothing is read are not counted: here one is left.
    let query = "select count() from events where JSONHas(properties, 'o')";
    for options in ["", "analyze, "] {
        assert_eq!(origins(&explained(session, options, query).await), [0, 1, 0, 0]);
    }
    let text = answer(session, &format!("explain {query}")).await;
    let lines: Vec<_> = text[0].column(0).as_string_view().iter().flatten().collect();
    let said = "read from remainder: properties.o (1 file)";
    assert!(lines.iter().any(|line| line.trim() == said), "{lines:?}");
    // Without properties there is nothing to say.
    let scan = explained(session, "", "select event from events").await;
    assert!(scan["Properties Absent"].is_null(), "{scan}");
}

/// Files with more ids than a sample has, values of two kinds, rare ones and long ones.
#[tokio::test]
async fn the_catalogue_tells_of_the_values() {
    let document = |number: usize| {
        let plan = ["free", "free", "free", "team"][number % 4];
        let id = format!("\"id-{}\"", number % 9_000);
        let size =
            if number.is_multiple_of(10) { "\"7\"".to_owned() } else { (number % 3).to_string() };
        let note = if number == 5 { r#","note":"once""# } else { "" };
        format!(r#"{{"plan":"{plan}","id":{id},"size":{size}{note},"long":"{}"}}"#, "x".repeat(65))
    };
    let files: Vec<Vec<String>> =
        vec![(0..9_000).map(document).collect(), (0..3_000).map(document).collect()];
    let fixture = Fixture::new(&files).await;
    let query = "select key, toString(fill_rate), toString(misfits), distinct_values,
            toString(frequent_values) from system.properties order by key";
    let batches = answer(&fixture.session, query).await;
    let batch = &batches[0];
    let row = |key: &str| {
        let row =
            (0..batch.num_rows()).find(|row| column_text(batch, 0, *row).as_deref() == Some(key));
        let row = row.unwrap();
        let distinct = batch.column(3).as_primitive::<arrow::datatypes::Int64Type>();
        (
            [1, 2, 4].map(|column| column_text(batch, column, row)),
            distinct.is_valid(row).then(|| distinct.value(row)),
        )
    };
    let ([fill, misfits, frequent], distinct) = row("plan");
    assert_eq!((fill.as_deref(), misfits.as_deref(), distinct), (Some("1"), Some("0"), Some(2)));
    // Every fourth row of the sorted file is not every fourth event: the shares are about right.
    let frequent = frequent.unwrap();
    assert!(frequent.starts_with("[('free',0.7"), "{frequent}");
    // The second file has a third of the same ids: a seventh is the standard error.
    let (_, distinct) = row("id");
    assert!((6_000..12_000).contains(&distinct.unwrap()), "{distinct:?}");
    // Strings with 7, numbers 0, 1 and 2: all read as text.
    let ([_, misfits, _], distinct) = row("size");
    assert_eq!((misfits.as_deref(), distinct), (Some("0"), Some(4)));
    // Too rare for a column: 2 of 12000 events.
    let ([fill, _, frequent], distinct) = row("note");
    let fill: f64 = fill.unwrap().parse().unwrap();
    assert!((fill - 2.0 / 12_000.0).abs() < 1e-9, "{fill}");
    assert!(distinct.is_none_or(|distinct| distinct == 1), "{distinct:?}");
    assert!(frequent.is_none_or(|frequent| frequent == "[('once',1)]"));
    // Values of more than 64 bytes are not listed.
    let ([_, _, frequent], distinct) = row("long");
    assert_eq!((frequent.as_deref(), distinct), (Some("[]"), Some(1)));
}

#[tokio::test]
async fn a_type_set_by_hand_is_seen_by_others_at_once() {
    let fixture = Fixture::new(&mixed_layouts()).await;
    let other = session(&Location::from(fixture.folder.path())).await;
    let catalogue = "select concat(type, ' ', type_source, ' ', toString(misfits))
        from system.properties where key = 'n'";
    let row = async || column_text(&answer(&other, catalogue).await[0], 0, 0).unwrap();
    assert_eq!(row().await, "String learned 0");
    let alter = "alter table events alter column properties.n";
    drop(fixture.session.query(&format!("{alter} type Numeric")).await.unwrap());
    assert_eq!(row().await, "Numeric set 0");
    // 1 and 2, 1.0, "7" and "8".
    let sum = &answer(&other, "select sum(properties.n) from events").await[0];
    assert_eq!(sum.column(0).as_primitive::<Float64Type>().value(0), 19.0);
    drop(fixture.session.query(&format!("{alter} type Boolean")).await.unwrap());
    assert_eq!(row().await, "Boolean set 5");
    drop(fixture.session.query(&format!("{alter} drop type")).await.unwrap());
    assert_eq!(row().await, "String learned 0");
}
