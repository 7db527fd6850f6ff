//! What scans read, as EXPLAIN ANALYZE tells it.

#![expect(clippy::unwrap_used, reason = "a failure here is the test failing")]

use std::fmt::Write;

use arrow::array::AsArray;
use futures::TryStreamExt;
use hedgerow_engine::ingest::{ImportOptions, Source, import};
use hedgerow_engine::{Engine, EngineOptions, EventStore, Location, Session, SessionOptions};
use hedgerow_parser::Dialect;
use serde_json::Value;

const DAY: u64 = 86_400;
const EVENTS: u64 = 4_000;

/// Days 0, 1 and 2 with events that have a long text, and a plan on the first two days.
fn events() -> String {
    let mut lines = String::new();
    for number in 0..3 * EVENTS {
        let day = number / EVENTS;
        let time = 1_767_225_600 + day * DAY + number % EVENTS;
        let plan = match day {
            0 => r#""plan":"free","#,
            1 if number % 2 == 0 => r#""plan":"team","#,
            1 => r#""plan":"free","#,
            _ => "",
        };
        // Text that does not compress.
        let noise: String = (1..9)
            .map(|n| format!("{:016x}", (number * 8 + n).wrapping_mul(0x9E37_79B9_7F4A_7C15)))
            .collect();
        writeln!(
            lines,
            r#"{{"event":"e{}","distinct_id":"u{}","timestamp":{time},"properties":{{{plan}"text":"{noise}"}}}}"#,
            number % 3,
            number % 100
        )
        .unwrap();
    }
    lines
}

struct Fixture {
    session: Session,
    _folder: tempfile::TempDir,
}

impl Fixture {
    async fn new(cache_bytes_max: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::from(folder.path().join("data").as_path());
        let store = EventStore::create(&location).await.unwrap();
        let project = store.create_project("default").await.unwrap();
        let file = folder.path().join("events.json");
        std::fs::write(&file, events()).unwrap();
        let options = ImportOptions::default();
        import(&store, project, vec![Source::Path(file)], options, &mut ()).await.unwrap();
        let options = EngineOptions { cache_bytes_max, ..EngineOptions::default() };
        let engine = Engine::open(&location, options).await.unwrap();
        let options = SessionOptions { project: "default".to_owned(), dialect: Dialect::Hogql };
        Self { session: engine.session(options).await.unwrap(), _folder: folder }
    }

    async fn text(&self, query: &str) -> String {
        let rows = self.session.query(query).await.unwrap();
        let batches: Vec<_> = rows.try_collect().await.unwrap();
        batches[0].column(0).as_string_view().value(0).to_owned()
    }

    async fn count(&self, condition: &str) -> String {
        self.text(&format!("select toString(count()) from events where {condition}")).await
    }

    /// What the scan of a query did.
    async fn scan(&self, query: &str) -> Value {
        let plan = self.text(&format!("explain (analyze, format json) {query}")).await;
        let plan: Value = serde_json::from_str(&plan).unwrap();
        find(&plan[0]["Plan"]).unwrap_or_else(|| panic!("no scan in {plan}")).clone()
    }
}

fn find(step: &Value) -> Option<&Value> {
    if step["Node Type"] == "Scan events" {
        return Some(step);
    }
    step["Plans"].as_array()?.iter().find_map(find)
}

fn number(scan: &Value, key: &str) -> u64 {
    scan[key].as_u64().unwrap_or_else(|| panic!("no {key} in {scan}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_property_filter_reads_one_column() {
    let fixture = Fixture::new(64 << 20).await;
    let query = "select count() from events where properties.plan = 'team'";
    let cold = fixture.scan(query).await;
    // The third day has no plan at all, as the log says; the first has others only, by statistics.
    assert_eq!((number(&cold, "Files"), number(&cold, "Files Pruned")), (2, 1));
    assert_eq!((number(&cold, "Row Groups Read"), number(&cold, "Row Groups Pruned")), (1, 1));
    assert_eq!(number(&cold, "Column Chunks Decoded"), 1);
    assert_eq!(number(&cold, "Actual Rows"), EVENTS / 2);
    assert!(number(&cold, "Bytes Read") * 5 < number(&cold, "Bytes"), "{cold}");

    let hot = fixture.scan(query).await;
    assert_eq!((number(&hot, "Bytes Read"), number(&hot, "Column Chunks Decoded")), (0, 0));
    assert_eq!(number(&hot, "Column Chunks In Memory"), 1);
    assert_eq!(fixture.count("properties.plan = 'team'").await, (EVENTS / 2).to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_is_one_file_and_the_latest_events_are_in_the_last() {
    let fixture = Fixture::new(64 << 20).await;
    let day = "timestamp >= toDateTime('2026-01-02 00:00:00') and timestamp < toDateTime('2026-01-03 00:00:00')";
    let scan = fixture.scan(&format!("select count() from events where {day}")).await;
    assert_eq!((number(&scan, "Files"), number(&scan, "Files Pruned")), (1, 2));
    assert_eq!(fixture.count(day).await, EVENTS.to_string());

    let latest = "select properties.text from events order by timestamp desc limit 10";
    let scan = fixture.scan(latest).await;
    assert!(number(&scan, "Files Read") <= 2, "{scan}");
    // One person's events: by the hash of the id.
    let scan = fixture.scan("select event from events where distinct_id = 'u7'").await;
    assert_eq!(number(&scan, "Actual Rows"), 3 * EVENTS / 100);
    assert_eq!(fixture.count("distinct_id = 'nobody'").await, "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identifiers_are_looked_up_by_filters() {
    let fixture = Fixture::new(64 << 20).await;
    let uuid = fixture.text("select toString(uuid) from events where event = 'e1' limit 1").await;
    let found = fixture.scan(&format!("select event from events where uuid = '{uuid}'")).await;
    assert_eq!(number(&found, "Actual Rows"), 1);
    assert_eq!((number(&found, "Row Groups Read"), number(&found, "Row Groups Pruned")), (1, 2));
    let unknown = "'00000000-0000-4000-8000-000000000000'";
    for condition in [
        format!("uuid = {unknown}"),
        format!("uuid in ({unknown}, '11111111-1111-4111-8111-111111111111')"),
        "distinct_id = 'nobody'".to_owned(),
        "distinct_id in ('nobody', 'nowhere') and event = 'e1'".to_owned(),
    ] {
        let query = format!("select event from events where {condition}");
        let cold = fixture.scan(&query).await;
        assert_eq!(number(&cold, "Actual Rows"), 0, "{condition}");
        // A filter may be wrong about a value that is not there.
        assert!(number(&cold, "Row Groups Read") <= 1, "{condition}: {cold}");
        // The filters stay in memory.
        assert_eq!(number(&fixture.scan(&query).await, "Bytes Read"), 0, "{condition}");
    }
    let either = format!("uuid = '{uuid}' or distinct_id = 'u7'");
    let rows = fixture.count(&either).await;
    assert!(rows == "120" || rows == "121", "{rows}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_memory_for_columns_the_answers_are_the_same() {
    let (with, without) = (Fixture::new(64 << 20).await, Fixture::new(0).await);
    for condition in [
        "properties.plan = 'team'",
        "properties.plan is null",
        "properties.plan like 'f%' and event = 'e1'",
        "properties.text like '%00%' and event in ('e0', 'e2')",
        "lower(event) = 'e2' or properties.plan = 'team'",
        "distinct_id = 'u7' and properties.text > '8'",
        "event = 'none'",
        "length(properties.plan) = 4 and length(distinct_id) = 2",
    ] {
        let (a, b) = (with.count(condition).await, without.count(condition).await);
        assert_eq!(a, b, "{condition}");
        assert_eq!(with.count(condition).await, a, "{condition}, again");
    }
    // By arithmetic: of each day's 4000 events every third has the name e2.
    assert_eq!(without.count("event = 'e2'").await, EVENTS.to_string());
    assert_eq!(without.count("properties.plan is null").await, EVENTS.to_string());
}
