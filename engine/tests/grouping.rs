//! Groupings with more groups than fit into caches or memory.

#![expect(clippy::unwrap_used, reason = "a failure here is the test failing")]

use arrow::array::AsArray;
use futures::TryStreamExt;
use hedgerow_engine::{Engine, EngineOptions, EventStore, Location, Session, SessionOptions};
use hedgerow_parser::Dialect;
use serde_json::Value;

async fn session(query_memory_bytes_max: usize) -> (tempfile::TempDir, Session) {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::from(folder.path().join("data").as_path());
    let store = EventStore::create(&location).await.unwrap();
    store.create_project("default").await.unwrap();
    let options = EngineOptions { query_memory_bytes_max, ..EngineOptions::default() };
    let engine = Engine::open(&location, options).await.unwrap();
    let options = SessionOptions { project: "default".to_owned(), dialect: Dialect::Hogql };
    (folder, engine.session(options).await.unwrap())
}

async fn text(session: &Session, query: &str) -> String {
    let rows = session.query(query).await.unwrap();
    let batches: Vec<_> = rows.try_collect().await.unwrap();
    batches[0].column(0).as_string_view().value(0).to_owned()
}

const ROWS: u64 = 1_200_000;

/// Each of 400 000 texts three times, with numbers that add up to what arithmetic says.
const GROUPS: &str = "select toString(number % 400000) as k, count() as c, sum(number) as s,
    min(number) as low, max(number) as high from numbers(1200000) group by k";

async fn check(session: &Session) {
    let totals = format!(
        "select concat(toString(count()), ' ', toString(sum(c)), ' ', toString(sum(s)), ' ',
            toString(countIf(low = toInt(k) and high - low = 800000 and s = 3 * low + 1200000)))
         from ({GROUPS}) as g"
    );
    let sum = ROWS * (ROWS - 1) / 2;
    assert_eq!(text(session, &totals).await, format!("400000 {ROWS} {sum} 400000"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_groups_in_memory() {
    let (_folder, session) = session(1 << 30).await;
    check(&session).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_groups_on_disk() {
    let (_folder, session) = session(64 << 20).await;
    check(&session).await;
    let plan = text(&session, &format!("explain (analyze, format json) {GROUPS}")).await;
    let plan: Value = serde_json::from_str(&plan).unwrap();
    assert!(spilled(&plan[0]["Plan"]) > 0, "{plan}");
}

fn spilled(step: &Value) -> u64 {
    let own = step["Bytes Spilled"].as_u64().unwrap_or_default();
    own + step["Plans"].as_array().map_or(0, |plans| plans.iter().map(spilled).sum())
}
