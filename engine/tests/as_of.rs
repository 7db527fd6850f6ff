//! `FROM events AS OF TIMESTAMP`: an earlier version, or an error that says why not.

#![expect(clippy::unwrap_used, reason = "a failure here is the test failing")]

mod fixture;

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use fixture::Fixture;
use futures::TryStreamExt;
use hedgerow_engine::storage::MaintainOptions;
use hedgerow_engine::{EngineOptions, ErrorKind, Session};

fn event(number: u64) -> String {
    format!(
        r#"{{"uuid":"00000000-0000-4000-8000-{number:012x}","event":"e","distinct_id":"u{number}","timestamp":"2026-03-01T10:00:00Z"}}"#
    )
}

/// A time that is after all that has happened and before all that will.
async fn between() -> DateTime<Utc> {
    let now = Utc::now();
    let mut later = now;
    // The log counts milliseconds.
    while later.timestamp_millis() < now.timestamp_millis() + 2 {
        tokio::task::yield_now().await;
        later = Utc::now();
    }
    DateTime::from_timestamp_millis(now.timestamp_millis() + 1).unwrap()
}

fn told(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

async fn ask(session: &Session, sql: &str) -> Result<String, (ErrorKind, String)> {
    let rows = match session.query(sql).await {
        Ok(rows) => rows.try_collect::<Vec<_>>().await,
        Err(error) => Err(error),
    };
    match rows {
        Ok(batches) => Ok(fixture::text(&batches)),
        Err(error) => Err((error.kind, error.message)),
    }
}

#[tokio::test]
async fn each_version_is_there() {
    let fixture = Fixture::new().await;
    let session = fixture.session(EngineOptions::default()).await;
    let empty = between().await;
    let mut times = Vec::new();
    for number in 0..5 {
        fixture.import_text("a.ndjson", event(number)).await;
        times.push(between().await);
    }
    let count = async |time: DateTime<Utc>| {
        ask(&session, &format!("select count() from events as of timestamp '{}'", told(time))).await
    };
    assert_eq!(count(empty).await.unwrap(), "0");
    for (number, time) in times.iter().enumerate() {
        assert_eq!(count(*time).await.unwrap(), (number + 1).to_string());
    }
    // Both at once, in the session's zone, with an alias.
    ask(&session, "set timezone = 'Asia/Tokyo'").await.unwrap();
    let local = times[1] + chrono::TimeDelta::hours(9);
    let sql = format!(
        "select new.distinct_id from events new left anti join events as of timestamp '{}' as old \
         on new.uuid = old.uuid order by 1",
        local.format("%Y-%m-%d %H:%M:%S%.3f")
    );
    assert_eq!(ask(&session, &sql).await.unwrap(), "u2\nu3\nu4");

    // Upkeep keeps the versions of a day, as long as it is not told otherwise.
    fixture.store.maintain(&MaintainOptions::default()).await.unwrap();
    assert_eq!(count(times[2]).await.unwrap(), "3");
    let now = MaintainOptions { keep: Duration::ZERO, ..MaintainOptions::default() };
    fixture.store.maintain(&now).await.unwrap();
    let (kind, message) = count(times[2]).await.unwrap_err();
    assert_eq!(kind, ErrorKind::InvalidArgument);
    assert!(message.contains("are gone"), "{message}");
    assert_eq!(count(between().await).await.unwrap(), "5");
}

#[tokio::test]
async fn what_was_deleted_is_not_shown_again() {
    let fixture = Fixture::new().await;
    let session = fixture.session(EngineOptions::default()).await;
    fixture.import_text("a.ndjson", event(1) + "\n" + &event(2)).await;
    let before = told(between().await);
    ask(&session, "delete from events where distinct_id = 'u1'").await.unwrap();
    let after = told(between().await);
    let sql = |time: &str| format!("select distinct_id from events as of timestamp '{time}'");
    let (kind, message) = ask(&session, &sql(&before)).await.unwrap_err();
    assert_eq!(kind, ErrorKind::InvalidArgument);
    assert!(message.contains("events were deleted at"), "{message}");
    assert_eq!(ask(&session, &sql(&after)).await.unwrap(), "u2");
}

#[tokio::test]
async fn times_that_cannot_be_had() {
    let fixture = Fixture::new().await;
    let session = fixture.session(EngineOptions::default()).await;
    fixture.import_text("a.ndjson", event(1)).await;
    ask(&session, "create table mine as select 1 as a").await.unwrap();
    for (source, kind, message) in [
        ("events as of timestamp '2001-01-01'", ErrorKind::InvalidArgument, "the log begins at 2"),
        ("events as of timestamp '2999-01-01'", ErrorKind::InvalidArgument, "is still to come"),
        ("events as of timestamp 'soon'", ErrorKind::InvalidDateTime, "not a time: 'soon'"),
        ("mine as of timestamp '2026-01-01'", ErrorKind::Unsupported, "has no earlier versions"),
        ("(select 1) as of timestamp '2026-01-01'", ErrorKind::Syntax, "AS OF"),
    ] {
        let (found, text) = ask(&session, &format!("select 1 from {source}")).await.unwrap_err();
        assert_eq!(found, kind, "{source}: {text}");
        assert!(text.contains(message), "{source}: {text}");
    }
    // The words are names elsewhere.
    assert_eq!(ask(&session, "select of.event from events as of").await.unwrap(), "e");
}
