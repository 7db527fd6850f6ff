//! Data folders written by earlier versions are opened, answered from and written to: one for each
//! number in `hedgerow.json`, in `formats`.
//!
//! The events are numbered: 60 imported ones, of which every fifth was deleted, and five that a
//! killed server left in the write-ahead log only. Expected sums are worked out from that.

#![expect(clippy::unwrap_used, reason = "a failure here is the test failing")]

mod fixture;

use std::fs;
use std::path::Path;

use futures::TryStreamExt;
use hedgerow_engine::ingest::IngestOptions;
use hedgerow_engine::storage::MaintainOptions;
use hedgerow_engine::verify::verify;
use hedgerow_engine::{Engine, EngineOptions, EventStore, Location, Session, SessionOptions};
use hedgerow_parser::Dialect;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        match path.is_dir() {
            true => copy(&path, &to.join(name)),
            false => drop(fs::copy(&path, to.join(name)).unwrap()),
        }
    }
}

async fn ask(session: &Session, sql: &str) -> String {
    let rows = session.query(sql).await.unwrap().try_collect::<Vec<_>>().await.unwrap();
    fixture::text(&rows)
}

/// What every version must answer.
async fn check(session: &Session) {
    let left = || (0..60).filter(|n| n % 5 != 3);
    let sum = |name: u64| left().filter(|n| n % 3 == name).sum::<u64>();
    let expected = format!(
        "buy|16|{}\nlate|5|{}\nleave|16|{}\nview|16|{}",
        sum(1),
        (1000..1005).sum::<u64>(),
        sum(2),
        sum(0)
    );
    let sums =
        "select event, count(), sum(toInt(properties.n)) from events group by event order by event";
    assert_eq!(ask(session, sums).await, expected);
    let nested =
        "select count() from events where properties.nested.a[1] = '59' and \"$session_id\" = 's3'";
    assert_eq!(ask(session, nested).await, "1");
    let made = "select (select count() from buyers), (select sum(n) from mine), \
                (select type from system.properties where key = 'n'), \
                (select value from system.options), (select events from system.mutations)";
    assert_eq!(ask(session, made).await, "4|60|String|36500|12");
}

#[tokio::test]
async fn folders_of_earlier_versions_are_read_and_written() {
    let formats = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats");
    let mut seen = 0;
    for format in fs::read_dir(formats).unwrap().map(|entry| entry.unwrap().path()) {
        let folder = tempfile::tempdir().unwrap();
        copy(&format, folder.path());
        let location = Location::from(folder.path());
        let mut findings = Vec::new();
        let report = verify(&location, &mut |finding| findings.push(format!("{finding:?}"))).await;
        assert_eq!(report.unwrap().problems, 0, "{findings:?}");

        let options = (EngineOptions::default(), IngestOptions::default());
        let engine = Engine::open_for_ingest(&location, options.0, options.1).await.unwrap();
        let options = SessionOptions { project: "default".to_owned(), dialect: Dialect::Hogql };
        let session = engine.session(options).await.unwrap();
        check(&session).await;
        ask(&session, "insert into events (event, distinct_id) values ('new', 'u')").await;
        ask(&session, "delete from events where event = 'new'").await;
        let store = EventStore::open(&location).await.unwrap();
        store.maintain(&MaintainOptions::default()).await.unwrap();
        let mutations = "select count() from system.mutations where state != 'running'";
        assert_eq!(ask(&session, mutations).await, "2");
        let sums = "select count(), countIf(event = 'late') from events";
        assert_eq!(ask(&session, sums).await, "53|5");
        engine.close().await;
        seen += 1;
    }
    assert!(seen > 0);
}
