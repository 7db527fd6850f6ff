//! Properties read the same however a file lays them out: against `serde_json`, over random
//! documents, in files whose columns differ, and again once upkeep has rewritten these.

#![expect(clippy::unwrap_used, reason = "a failure here is the test failing")]

use std::collections::HashMap;
use std::fmt::Write;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type};
use futures::TryStreamExt;
use hedgerow_engine::ingest::{ImportOptions, Source, import};
use hedgerow_engine::storage::MaintainOptions;
use hedgerow_engine::{Engine, EngineOptions, EventStore, Location, Session, SessionOptions};
use hedgerow_parser::Dialect;
use proptest::prelude::*;
use serde_json::value::RawValue;
use tempfile::TempDir;

/// A document as its members, keys and values as they are written.
type Document = Vec<(String, String)>;

/// Keys as they are written between quotes.
const KEYS: [&str; 18] = [
    "a",
    "b",
    "c",
    "$browser",
    "a.b",
    "a b",
    "q\\\"",
    "\\u0061",
    "é;{}",
    "",
    "it's",
    "\\\\",
    "日本語",
    "שלום",
    "ключ",
    "\\ud83e\\udd94",
    "🦔",
    "__p_s__a",
];
/// Paths to read, as HogQL writes them behind `properties`, and as keys.
const PATHS: [(&str, &[&str]); 15] = [
    (".a", &["a"]),
    (".b", &["b"]),
    (".c", &["c"]),
    (".`$browser`", &["$browser"]),
    (".`a.b`", &["a.b"]),
    (".`é;{}`", &["é;{}"]),
    (".a.b", &["a", "b"]),
    (".c.a.b", &["c", "a", "b"]),
    (".missing", &["missing"]),
    ("['']", &[""]),
    ("['q\"']", &["q\""]),
    ("['it\\'s'].`日本語`", &["it's", "日本語"]),
    (".`שלום`", &["שלום"]),
    ("['\\\\']", &["\\"]),
    (".`🦔`", &["🦔"]),
];

/// Text as HogQL writes it.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

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
        "\"nan\"",
        "\"-inf\"",
        "\"1e0\"",
        "\"+1.0\"",
        "\" 1\"",
        "\"True\"",
        "\"\\u0000\"",
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

/// A folder with a store of these files, and the documents by distinct id.
async fn import_files(files: &[Vec<Document>]) -> (TempDir, EventStore, HashMap<String, String>) {
    let (folder, inputs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = EventStore::create(&Location::from(folder.path())).await.unwrap();
    let project = store.create_project("default").await.unwrap();
    let mut all: HashMap<String, String> = HashMap::new();
    for file in files {
        let mut lines = String::new();
        for document in file {
            let (id, document) =
                (all.len().to_string(), object(document.iter().map(|(k, v)| (k, v.clone()))));
            writeln!(
                lines,
                r#"{{"event":"e","distinct_id":"{id}","timestamp":"2024-01-01T00:00:00Z","properties":{document}}}"#
            )
            .unwrap();
            all.insert(id, document);
        }
        let path = inputs.path().join("lines.ndjson");
        std::fs::write(&path, lines).unwrap();
        let options = ImportOptions { strict: true, maintain: false, ..ImportOptions::default() };
        import(&store, project, vec![Source::Path(path)], options, &mut ()).await.unwrap();
    }
    (folder, store, all)
}

async fn session(folder: &TempDir) -> Session {
    let location = Location::from(folder.path());
    let engine = Engine::open(&location, EngineOptions::default()).await.unwrap();
    let options = SessionOptions { project: "default".to_owned(), dialect: Dialect::Hogql };
    engine.session(options).await.unwrap()
}

/// Every key is read as this type from now on, whatever was learned.
async fn set_types(session: &Session, ty: &str) {
    let keys = PATHS.iter().filter(|(_, keys)| keys.len() == 1).map(|(_, keys)| keys[0]);
    let types: serde_json::Map<String, serde_json::Value> =
        keys.map(|key| (key.to_owned(), ty.into())).collect();
    let types = serde_json::to_string(&types).unwrap();
    drop(session.query(&format!("set property_types = {}", literal(&types))).await.unwrap());
}

/// The documents, byte for byte.
async fn check_documents(session: &Session, all: &HashMap<String, String>) {
    let mut rows = 0;
    for batch in answer(session, "select distinct_id, properties from events").await {
        rows += batch.num_rows();
        for row in 0..batch.num_rows() {
            let document = &all[&column_text(&batch, 0, row).unwrap()];
            assert_eq!(column_text(&batch, 1, row).as_ref(), Some(document));
        }
    }
    assert_eq!(rows, all.len());
}

/// What stands at every path, in every way of reading it.
async fn check_reads(session: &Session, all: &HashMap<String, String>) {
    const VIEWS: usize = 6;
    set_types(session, "String").await;
    let mut views = Vec::new();
    for (path, keys) in PATHS {
        let raw = keys.iter().map(|key| literal(key)).collect::<Vec<_>>().join(", ");
        views.push(format!(
            "properties{path}, properties{path} = 'x', JSONExtractRaw(properties, {raw}),
                JSONExtractString(properties, {raw}), JSONExtractFloat(properties, {raw}),
                jsonb_extract_path_text(properties, {raw})"
        ));
    }
    let query = format!("select distinct_id, {} from events", views.join(", "));
    for batch in &answer(session, &query).await {
        for row in 0..batch.num_rows() {
            let document = &all[&column_text(batch, 0, row).unwrap()];
            for (index, (path, keys)) in PATHS.iter().enumerate() {
                let column = |view: usize| 1 + index * VIEWS + view;
                let text_of = |view: usize| column_text(batch, column(view), row);
                let place = || format!("{path} of {document}");
                let raw = find(document, keys);
                let expected = raw.and_then(text);
                assert_eq!(text_of(0), expected, "{}", place());
                let is_x = batch.column(column(1)).as_boolean().value(row);
                assert_eq!(is_x, expected.as_deref() == Some("x"), "{}", place());
                assert_eq!(text_of(2).as_deref(), Some(raw.unwrap_or("")), "{}", place());
                assert_eq!(text_of(3), expected.clone().or(Some(String::new())), "{}", place());
                let float = batch.column(column(4)).as_primitive::<Float64Type>().value(row);
                let number = expected.and_then(|text| text.parse().ok()).unwrap_or(0.0);
                assert_eq!(float.to_bits(), f64::to_bits(number), "{}", place());
                let plain = match raw {
                    Some("\"\"") => Some(String::new()),
                    raw => raw.and_then(text),
                };
                assert_eq!(text_of(5), plain, "{}", place());
            }
        }
    }
}

/// Filters prune by the columns of properties; they must find the same rows.
async fn check_filters(session: &Session, all: &HashMap<String, String>) {
    set_types(session, "String").await;
    for (path, keys) in PATHS {
        for wanted in ["x", "1"] {
            let query =
                format!("select count() from events where properties{path} = {}", literal(wanted));
            let count =
                answer(session, &query).await[0].column(0).as_primitive::<Int64Type>().value(0);
            let has =
                |document: &&String| find(document, keys).and_then(text).as_deref() == Some(wanted);
            let expected = all.values().filter(has).count();
            assert_eq!(count, i64::try_from(expected).unwrap(), "{query}");
        }
    }
}

/// Keys that have been given a type.
async fn check_types(session: &Session, all: &HashMap<String, String>) {
    let typed: Vec<_> = PATHS.iter().filter(|(_, keys)| keys.len() == 1).collect();
    let reads: Vec<_> = typed.iter().map(|(path, _)| format!("properties{path}")).collect();
    let query = format!("select distinct_id, {} from events", reads.join(", "));
    for ty in ["Numeric", "Boolean"] {
        set_types(session, ty).await;
        for batch in &answer(session, &query).await {
            for row in 0..batch.num_rows() {
                let document = &all[&column_text(batch, 0, row).unwrap()];
                for (column, (path, keys)) in batch.columns()[1..].iter().zip(&typed) {
                    let expected = find(document, keys).and_then(text);
                    let (found, expected) = match ty {
                        "Numeric" => (
                            column.as_primitive::<Float64Type>().iter().nth(row).unwrap(),
                            expected.and_then(|text| text.parse().ok()),
                        ),
                        _ => (
                            column.as_boolean().iter().nth(row).unwrap().map(f64::from),
                            expected
                                .and_then(|text| text.parse().ok())
                                .map(|is: bool| f64::from(is)),
                        ),
                    };
                    let bits = (found.map(f64::to_bits), expected.map(f64::to_bits));
                    assert_eq!(bits.0, bits.1, "{path} of {document} as {ty}");
                }
            }
        }
    }
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
        let number =
            |batches: &[RecordBatch]| batches[0].column(place).as_primitive::<Int64Type>().value(0);
        assert_eq!(number(&found), number(&expected), "{condition} at {path}");
    }
}

async fn check(files: &[Vec<Document>]) {
    let (folder, store, all) = import_files(files).await;
    let as_imported = session(&folder).await;
    check_documents(&as_imported, &all).await;
    check_reads(&as_imported, &all).await;
    check_filters(&as_imported, &all).await;
    check_types(&as_imported, &all).await;
    for path in STEPS {
        check_functions(&as_imported, path).await;
    }
    for (_, keys) in PATHS {
        let path = keys.iter().map(|key| literal(key)).collect::<Vec<_>>().join(", ");
        check_functions(&as_imported, &path).await;
        check_conditions(&as_imported, &path).await;
    }

    let report = store.maintain(&MaintainOptions::default()).await.unwrap();
    assert_eq!((report.files_after, report.duplicates), (1, 0));
    let rewritten = session(&folder).await;
    check_documents(&rewritten, &all).await;
    check_reads(&rewritten, &all).await;
}

#[test]
fn every_layout_gives_what_the_documents_say() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = ProptestConfig { cases: 12, max_shrink_iters: 60, ..ProptestConfig::default() };
    proptest!(config, |(files in proptest::collection::vec(documents(), 1..4))| {
        runtime.block_on(check(&files));
    });
}
