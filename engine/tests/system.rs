//! `system.files` and `system.ingest`: what a project may know of where its events are.

#![expect(clippy::unwrap_used, reason = "a failure here is the test failing")]

mod fixture;
mod foreign;

use std::sync::Arc;
use std::time::Duration;

use fixture::{Fixture, text};
use futures::TryStreamExt;
use hedgerow_engine::ingest::IngestOptions;
use hedgerow_engine::{Engine, EngineOptions, ErrorKind, Location, Session, SessionOptions};
use hedgerow_parser::Dialect;

fn location(fixture: &Fixture) -> Location {
    Location::from(fixture.folder.path().join("data").as_path())
}

async fn session(engine: &Arc<Engine>, project: &str) -> Session {
    let options = SessionOptions { project: project.to_owned(), dialect: Dialect::Hogql };
    engine.session(options).await.unwrap()
}

async fn rows(session: &Session, sql: &str) -> String {
    let batches: Vec<_> = session.query(sql).await.unwrap().try_collect().await.unwrap();
    text(&batches)
}

fn event(uuid: u128, project: i64) -> foreign::Event {
    foreign::Event {
        uuid,
        event: "e".to_owned(),
        distinct_id: "u".to_owned(),
        timestamp_ms: 1_767_225_600_000,
        project,
        properties: "{}".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_told_of_its_own_files() {
    let fixture = Fixture::new().await;
    let other = fixture.store.create_project("other").await.unwrap();
    let lines = (0..40).map(|n| {
        format!(
            r#"{{"event":"e","distinct_id":"u{n}","timestamp":"2026-01-01T12:00:{n:02}Z","properties":{{"n":{n},"s":"x{n}"}}}}"#
        )
    });
    fixture.import_text("1.ndjson", lines.collect::<Vec<_>>().join("\n")).await;
    let engine = Engine::open(&location(&fixture), EngineOptions::default()).await.unwrap();
    let (own, others) = (session(&engine, "default").await, session(&engine, "other").await);

    let facts = "select rows, toString(min_timestamp), toString(max_timestamp), form, sorted,
        shared, layout_version > 0, property_columns > 2, row_groups,
        dateDiff('minute', written_at, now()) < 60 from system.files";
    let expected = "40|2026-01-01 12:00:00|2026-01-01 12:00:39|small|true|false|true|true|1|true";
    assert_eq!(rows(&own, facts).await, expected);
    assert_eq!(rows(&others, facts).await, "");

    // The names and sizes are those in the folder.
    let listed =
        rows(&own, "select concat(path, ' ', toString(bytes), ' ', crc32c) from system.files");
    let listed = listed.await;
    let [path, bytes, checksum]: [&str; 3] =
        listed.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let content = std::fs::read(fixture.folder.path().join("data").join(path)).unwrap();
    assert_eq!(bytes, content.len().to_string());
    assert_eq!(checksum, format!("{:08x}", crc32c::crc32c(&content)));

    // Of a file with events of both, neither is told how many the other one has.
    let both = foreign::batch(&[event(1, fixture.project.0), event(2, other.0), event(3, other.0)]);
    foreign::commit(&fixture.folder.path().join("data"), &both, None);
    let facts = "select rows, min_timestamp, form, sorted, shared, crc32c, layout_version,
        property_columns from system.files where shared";
    for session in [&own, &others] {
        assert_eq!(rows(session, facts).await, "||mixed|false|true|||0");
    }
    let counts = "select count(), countIf(shared), sum(rows) from system.files";
    assert_eq!(rows(&own, counts).await, "2|1|40");
    assert_eq!(rows(&others, counts).await, "1|1|");
    // It is known which project events are of once the file has been put in order.
    fixture.store.maintain(&Default::default()).await.unwrap();
    assert_eq!(rows(&others, "select rows, form, shared from system.files").await, "2|small|false");

    let error = own.query("insert into system.files (path) values ('x')").await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::NotAllowed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_told_how_its_events_come_in() {
    let fixture = Fixture::new().await;
    fixture.store.create_project("other").await.unwrap();
    let location = location(&fixture);
    let ingest = IngestOptions { flush_after: Duration::from_hours(1), ..IngestOptions::default() };
    let engine = Engine::open_for_ingest(&location, EngineOptions::default(), ingest.clone());
    let engine = engine.await.unwrap();
    let (own, others) = (session(&engine, "default").await, session(&engine, "other").await);

    let facts = "select hot_rows, hot_bytes > 0, lag_seconds >= 0 and lag_seconds < 600, accepted,
        refused, stored, repeated, wal_epoch, wal_records, last_record, flushed_record,
        wal_segments, wal_bytes > 0, wal_error from system.ingest";
    assert_eq!(rows(&own, facts).await, "0|false|false|0|0|0|0|1|0|0|0|0|false|");

    let insert = |uuid: u32| {
        format!(
            "insert into events (uuid, event, distinct_id, timestamp)
             values ('{uuid:08}-0000-4000-8000-000000000000', 'e', 'u', '2026-03-01')"
        )
    };
    for uuid in [1, 2, 1] {
        own.query(&insert(uuid)).await.unwrap();
    }
    others.query(&insert(7)).await.unwrap();
    assert_eq!(rows(&own, facts).await, "2|true|true|3|0|2|1|1|3|3|0|1|true|");
    assert_eq!(rows(&others, facts).await, "1|true|true|1|0|1|0|1|3|3|0|1|true|");

    engine.close().await;
    drop((own, others, engine));
    // As much as there is in memory already, and no more.
    let full = IngestOptions { pending_bytes_max: 1, ..ingest };
    let engine = Engine::open_for_ingest(&location, EngineOptions::default(), full).await.unwrap();
    let own = session(&engine, "default").await;
    let error = own.query(&insert(3)).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Overloaded);
    assert_eq!(rows(&own, facts).await, "2|true|true|0|1|0|0|2|3|3|0|1|true|");

    // A process that only reads has nothing to tell.
    let reader = Engine::open(&location, EngineOptions::default()).await.unwrap();
    let reader = session(&reader, "default").await;
    assert_eq!(rows(&reader, "select count() from system.ingest").await, "0");
    engine.close().await;
}
