//! A copy of a data folder that is in use has all that was acknowledged, and is one to work on.

#![expect(clippy::unwrap_used, reason = "a failure here is the test failing")]

mod fixture;

use std::sync::Arc;

use fixture::Fixture;
use futures::TryStreamExt;
use hedgerow_engine::backup::copy;
use hedgerow_engine::ingest::IngestOptions;
use hedgerow_engine::verify::verify;
use hedgerow_engine::{
    Engine, EngineOptions, ErrorKind, EventStore, Location, Session, SessionOptions,
};
use hedgerow_parser::Dialect;

async fn open(location: &Location) -> (Arc<Engine>, Session) {
    let options = (EngineOptions::default(), IngestOptions::default());
    let engine = Engine::open_for_ingest(location, options.0, options.1).await.unwrap();
    let options = SessionOptions { project: "default".to_owned(), dialect: Dialect::Hogql };
    let session = engine.session(options).await.unwrap();
    (engine, session)
}

async fn ask(session: &Session, sql: &str) -> String {
    let rows = session.query(sql).await.unwrap().try_collect::<Vec<_>>().await.unwrap();
    fixture::text(&rows)
}

/// Opens a folder for as long as it is looked at.
async fn with(location: &Location, work: impl AsyncFn(&Session)) {
    let (engine, session) = open(location).await;
    work(&session).await;
    drop(session);
    engine.close().await;
}

const SUMS: &str = "select count(), sum(toInt(properties.n)), uniq(uuid), max(event) from events";

#[tokio::test]
async fn a_folder_in_use_is_copied_and_restored() {
    let fixture = Fixture::new().await;
    let lines: String = (0..1_000)
        .map(|n| {
            format!(
                "{{\"event\":\"e{}\",\"distinct_id\":\"u{}\",\"timestamp\":{},\"properties\":{{\"n\":{n}}}}}\n",
                n % 3,
                n % 7,
                1_767_225_600 + n * 600
            )
        })
        .collect();
    fixture.import_text("a.ndjson", lines).await;
    let place = |name: &str| Location::from(fixture.folder.path().join(name).as_path());
    let (data, backup, restored) = (place("data"), place("backup"), place("restored"));
    let (engine, session) = open(&data).await;
    for sql in [
        "create table mine as select event, count() as n from events group by event",
        "create view seen as select event from mine",
        "alter table events set (retention_days = 20000)",
        "delete from events where distinct_id = 'u3' and event = 'e1'",
        // In no file yet.
        "insert into events (event, distinct_id, properties) values ('hot', 'u1', '{\"n\": 5000}'), \
         ('hot', 'u2', '{\"n\": 5000}')",
    ] {
        ask(&session, sql).await;
    }
    fixture.store.add_token("phc_1", fixture.project).await.unwrap();
    let wanted = ask(&session, SUMS).await;
    let report = copy(&data, &backup).await.unwrap();
    assert_eq!(report.events_from_log, 2);
    assert!(report.files > 5 && report.bytes > 1_000, "{report:?}");

    // Life goes on, and the copy does not see it.
    ask(&session, "delete from events where event = 'hot'").await;
    ask(&session, "drop table mine cascade").await;
    let again = copy(&data, &backup).await.unwrap_err();
    assert_eq!(again.kind, ErrorKind::AlreadyExists);
    engine.close().await;

    assert_eq!(copy(&backup, &restored).await.unwrap().events_from_log, 0);
    for place in [&backup, &restored] {
        let mut findings = Vec::new();
        let report = verify(place, &mut |finding| findings.push(format!("{finding:?}"))).await;
        assert_eq!(report.unwrap().problems, 0, "{findings:?}");
        with(place, async |session| {
            assert_eq!(ask(session, SUMS).await, wanted);
            assert_eq!(ask(session, "select count() from seen").await, "3");
            assert_eq!(ask(session, "select value from system.options").await, "20000");
            assert_eq!(ask(session, "select state from system.mutations").await, "deleted");
        })
        .await;
        // It takes events in where the other one had been.
        with(place, async |session| {
            ask(session, "insert into events (event, distinct_id) values ('new', 'u')").await;
        })
        .await;
        with(place, async |session| {
            let count = "select count() from events where event = 'new'";
            assert_eq!(ask(session, count).await, "1");
        })
        .await;
        assert_eq!(EventStore::open(place).await.unwrap().tokens().await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn what_is_no_data_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| Location::from(folder.path().join(name).as_path());
    let error = copy(&place("nothing"), &place("copy")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Storage);
    assert!(error.message.contains("no data folder"), "{}", error.message);
    assert!(!folder.path().join("copy").exists());
}
