//! What is told of properties: by EXPLAIN, by `system.properties`, and by types set by hand.

#![expect(clippy::unwrap_used, reason = "a failure here is the test failing")]

use std::fmt::Write;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Float64Type;
use futures::TryStreamExt;
use hedgerow_engine::ingest::{ImportOptions, Source, import};
use hedgerow_engine::{Engine, EngineOptions, EventStore, Location, Session, SessionOptions};
use hedgerow_parser::Dialect;
use serde_json::{Value, json};

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
