//! Completions and diagnostics, as an editor asks for them.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use hedgerow_engine::editor::{Completion, CompletionKind, Severity};
use hedgerow_engine::{Session, SessionOptions, Type};
use hedgerow_parser::Dialect;
use hedgerow_sql_tests::fixture::Fixture;

async fn session(fixture: &Fixture) -> Session {
    let options = SessionOptions { project: "default".to_owned(), dialect: Dialect::Hogql };
    fixture.engine.session(options).await.unwrap()
}

/// The completions where `|` stands in the text.
async fn at_cursor(session: &Session, marked: &str) -> Vec<Completion> {
    let cursor = marked.find('|').unwrap();
    let text = marked.replacen('|', "", 1);
    session.completions(&text, cursor).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_completions() {
    let fixture = Fixture::create().await.unwrap();
    let session = session(&fixture).await;
    // Each text with a prefix of what is offered for it.
    let cases: &[(&str, &[&str])] = &[
        ("|", &["SELECT", "WITH"]),
        ("sel|", &["SELECT"]),
        ("select * from |", &["events"]),
        ("select * from ev|", &["events"]),
        ("select * from events where dist|", &["distinct_id"]),
        ("select tim| from events", &["timestamp", "timeSlot"]),
        ("select e.ti| from events as e", &["timestamp"]),
        ("select e.properties.pri| from events e", &["price"]),
        ("select properties.$bro| from events", &["$browser"]),
        ("select properties.bro| from events", &["$browser"]),
        ("select count() as total, event from events group by event order by tot|", &["total"]),
        ("with active as (select distinct_id as who from events) select * from act|", &["active"]),
        ("with active as (select distinct_id as who from events) select wh| from active", &["who"]),
        ("select s.n| from (select 1 as nothing) as s", &["nothing"]),
        ("select * from events |", &["WHERE", "JOIN"]),
        ("select * from events gr|", &["GROUP BY"]),
        ("select event from events group |", &["BY"]),
        ("select * from events where event = 'a' or|", &["ORDER BY"]),
        ("select * from events left |", &["JOIN"]),
        ("select * from events where event is |", &["NULL", "NOT NULL"]),
        ("select * from system.pro|", &["properties"]),
        ("select row_number() over (|", &["PARTITION BY", "ORDER BY"]),
        ("set time|", &["timezone"]),
        ("select {fil|} from events", &["filters"]),
        ("select 1; select dist| from events", &["distinct_id"]),
        ("select 'ev|'", &[]),
        ("select 1 -- ev|", &[]),
        ("select 1 as ev|", &[]),
        ("select * from events where event in (select ev| from events)", &["event", "events"]),
        ("select * from events where event in (select event from ev|)", &["events"]),
    ];
    for (marked, expected) in cases {
        let found = at_cursor(&session, marked).await;
        let labels: Vec<&str> = found.iter().map(|found| found.label.as_str()).collect();
        let first = &labels[..expected.len().min(labels.len())];
        // The operator OR is one of the words that `or` begins.
        let without_or: Vec<&str> = labels.iter().copied().filter(|label| *label != "OR").collect();
        let matches = first == *expected || without_or.starts_with(expected);
        assert!(matches, "{marked}: {labels:?}");
        assert!(!expected.is_empty() || labels.is_empty(), "{marked}: {labels:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_completion_says() {
    let fixture = Fixture::create().await.unwrap();
    let session = session(&fixture).await;

    let price = at_cursor(&session, "select properties.pri| from events").await.remove(0);
    assert_eq!((price.kind, price.insert.as_str()), (CompletionKind::Property, "price"));
    assert_eq!(price.detail.as_deref(), Some("Float64"));
    assert_eq!(price.replaces.range(), 18..21);

    // Types set by hand win, for values too.
    session.set("property_types", r#"{"price": "string", "qty": "Boolean"}"#).unwrap();
    let price = at_cursor(&session, "select properties.pri| from events").await.remove(0);
    assert_eq!(price.detail.as_deref(), Some("String"));
    let text = "select properties.price, properties.qty from events";
    let types: Vec<_> = session.prepare(text, &[]).await.unwrap().schema.fields().to_vec();
    assert_eq!(
        types.iter().map(|field| Type::from_field(field)).collect::<Vec<_>>(),
        [Type::String, Type::Bool]
    );
    for wrong in ["price=String", r#"{"price": "Money"}"#, "[1]"] {
        assert!(session.set("property_types", wrong).is_err(), "{wrong}");
    }
    session.set("property_types", "").unwrap();

    let found = at_cursor(&session, "select lengt| from events").await;
    assert_eq!(found[0].insert, "length(");
    assert!(found[0].detail.as_deref().unwrap().starts_with("length("));

    // A name that has to be quoted is; internal functions are not offered.
    let text = "with t as (select 1 as `two words`) select two| from t";
    assert_eq!(at_cursor(&session, text).await[0].insert, "`two words`");
    let all = at_cursor(&session, "select |").await;
    assert!(all.iter().all(|found| !found.label.starts_with('_')));
    assert!(at_cursor(&session, "select __prop|").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn diagnostics_point_at_the_first_error_of_each_statement() {
    let fixture = Fixture::create().await.unwrap();
    let session = session(&fixture).await;
    let text = "select 1;\nselect evnt from events;\n-- no statement\n;select ';' +";
    let found = session.diagnostics(text).await.unwrap();
    let shown: Vec<_> = found
        .iter()
        .map(|found| (found.span.range(), found.hint.as_deref().unwrap_or_default()))
        .collect();
    let (name, end) = (text.find("evnt").unwrap(), text.len());
    assert_eq!(shown[0], (name..name + 4, "Did you mean event?"));
    assert_eq!(shown[1].0, end..end);
    assert_eq!(shown.len(), 2);

    // A property that no event has is no error, and hardly meant.
    let found = session.diagnostics("select properties.prise from events").await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].severity, Severity::Warning);
    assert_eq!(found[0].message, "no event has a property named prise");
    assert_eq!(found[0].hint.as_deref(), Some("Did you mean price?"));
    assert_eq!(found[0].span.range(), 18..23);
    assert!(session.diagnostics(" \n-- nothing").await.unwrap().is_empty());
}

/// The queries of the slt files.
fn queries() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("slt");
    let files = ["select/basic.slt", "events/events.slt", "errors/errors.slt"];
    let texts = files.map(|file| std::fs::read_to_string(folder.join(file)).unwrap());
    let records = texts.iter().flat_map(|text| text.split("\n\n"));
    let query = |record: &str| {
        let lines = record.lines().skip_while(|line| !line.starts_with("query "));
        let lines: Vec<&str> = lines.skip(1).take_while(|line| *line != "----").collect();
        lines.join("\n")
    };
    records.map(query).filter(|query| !query.is_empty()).collect()
}

/// Wherever the cursor stands, and wherever the text breaks off, there is an answer.
#[tokio::test(flavor = "multi_thread")]
async fn every_cursor_has_an_answer() {
    let fixture = Fixture::create().await.unwrap();
    let session = session(&fixture).await;
    let mut queries = queries();
    assert!(queries.len() > 100);
    queries.push("select '日本' as `ü`, {x} from (select \"ünclosed".to_owned());
    queries.push("((((((( select with with as ( from from , , . .. ;; ' ".to_owned());
    for (index, query) in queries.iter().enumerate() {
        // Every query at some cursors, some at all of them.
        let step = if index % 12 == 0 || index + 2 >= queries.len() { 1 } else { 13 };
        for cursor in (0..=query.len()).step_by(step) {
            session.completions(query, cursor).await.unwrap();
            if query.is_char_boundary(cursor) {
                session.completions(&query[..cursor], cursor).await.unwrap();
            }
        }
        session.diagnostics(query).await.unwrap();
    }
}
