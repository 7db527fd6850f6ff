//! Deleted events are gone from every query, and nothing else is: a plain model in memory is asked
//! the same, after every step.

#![expect(clippy::unwrap_used, reason = "a failure here is the test failing")]

mod fixture;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use fixture::Fixture;
use futures::TryStreamExt;
use hedgerow_engine::storage::{Effort, MaintainOptions};
use hedgerow_engine::{EngineOptions, ErrorKind, Session};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// An event by its number: everything else follows from it.
type Number = u64;

const NAMES: [&str; 3] = ["view", "buy", "leave"];
const DAY: u64 = 86_400;

fn line(n: Number) -> String {
    let (name, who) = (NAMES[n as usize % 3], n % 23);
    let time = 1_767_225_600 + n % 5 * DAY + n;
    // Some files have a column for `rare`, some have not.
    let rare =
        if n.is_multiple_of(41) { format!(r#","rare":"r{}""#, n % 3) } else { String::new() };
    format!(
        r#"{{"uuid":"00000000-0000-4000-8000-{n:012x}","event":"{name}","distinct_id":"u{who}","timestamp":{time},"properties":{{"n":{n},"day":{}{rare}}}}}"#,
        n % 5,
    )
}

fn lines(numbers: impl IntoIterator<Item = Number>) -> String {
    numbers.into_iter().fold(String::new(), |mut lines, n| {
        writeln!(lines, "{}", line(n)).unwrap();
        lines
    })
}

/// A condition, and the same in Rust.
fn condition(rng: &mut StdRng) -> (String, Box<dyn Fn(Number) -> bool>) {
    let k = rng.random_range(0..23_u64);
    let m = rng.random_range(2..9_u64);
    match rng.random_range(0..9) {
        0 => (format!("distinct_id = 'u{k}'"), Box::new(move |n| n % 23 == k)),
        1 => (
            format!("toInt(properties.n) % {m} = 0 and event = 'buy'"),
            Box::new(move |n| n.is_multiple_of(m) && n % 3 == 1),
        ),
        2 => (
            format!("toInt(properties.n) between {} and {}", k * 50, k * 50 + 30),
            Box::new(move |n| (k * 50..=k * 50 + 30).contains(&n)),
        ),
        3 => {
            ("properties.rare = 'r1'".to_owned(), Box::new(|n| n.is_multiple_of(41) && n % 3 == 1))
        }
        4 => {
            (format!("distinct_id in (select 'u{k}' from events)"), Box::new(move |n| n % 23 == k))
        }
        5 => (
            format!(
                "timestamp >= toDateTime({}) and timestamp < toDateTime({}) and toInt(properties.n) % 2 = 1",
                1_767_225_600 + (k % 5) * DAY,
                1_767_225_600 + (k % 5 + 1) * DAY - 40_000
            ),
            // No number reaches the end of the day.
            Box::new(move |n| n % 5 == k % 5 && n % 2 == 1),
        ),
        6 => (
            format!("properties.absent is null and toInt(properties.day) = {}", k % 5),
            Box::new(move |n| n % 5 == k % 5),
        ),
        7 => (
            format!("not (properties.rare != 'r0') and toInt(properties.n) < {}", k * 100),
            Box::new(move |n| n.is_multiple_of(41) && n.is_multiple_of(3) && n < k * 100),
        ),
        _ => (
            format!("uuid = '00000000-0000-4000-8000-{k:012x}' or event = 'nothing'"),
            Box::new(move |n| n == k),
        ),
    }
}

async fn run(session: &Session, sql: &str) -> Option<u64> {
    let result = session.query(sql).await.unwrap();
    result.outcome().unwrap().rows
}

async fn check(fixture: &Fixture, session: &Session, expected: &BTreeSet<Number>, step: &str) {
    // By statistics, by a scan of one column, and by the documents.
    assert_eq!(fixture.count().await as usize, expected.len(), "{step}");
    let sql = "select count(), sum(n), countIf(length(text) > 0), countIf(event = 'buy'), \
               uniqExact(distinct_id) from (select toInt(properties.n) as n, toString(properties) \
               as text, event, distinct_id from events)";
    let sum: u64 = expected.iter().sum();
    let buys = expected.iter().filter(|n| **n % 3 == 1).count();
    let persons: BTreeSet<_> = expected.iter().map(|n| n % 23).collect();
    let sum = if expected.is_empty() { String::new() } else { sum.to_string() };
    let wanted = format!("{}|{sum}|{}|{buys}|{}", expected.len(), expected.len(), persons.len());
    let batches: Vec<_> = session.query(sql).await.unwrap().try_collect().await.unwrap();
    assert_eq!(fixture::text(&batches), wanted, "{step}");
}

#[tokio::test]
async fn what_is_left_is_what_a_model_says() {
    for seed in [1, 2, 3] {
        let mut rng = StdRng::seed_from_u64(seed);
        let fixture = Fixture::new().await;
        let session = fixture.session(EngineOptions::default()).await;
        let mut expected: BTreeSet<Number> = BTreeSet::new();
        for round in 0..24 {
            let step = match rng.random_range(0..10) {
                0..3 => {
                    let first = rng.random_range(0..2_000);
                    let numbers = first..first + rng.random_range(1..400);
                    fixture.import_text(&format!("{round}.ndjson"), lines(numbers.clone())).await;
                    expected.extend(numbers);
                    "import".to_owned()
                }
                3 => {
                    let effort = if rng.random() { Effort::Full } else { Effort::Light };
                    let options = MaintainOptions {
                        effort,
                        keep: Duration::ZERO,
                        ..MaintainOptions::default()
                    };
                    fixture.store.maintain(&options).await.unwrap();
                    format!("{effort:?}")
                }
                _ => {
                    let (sql, goes) = condition(&mut rng);
                    let before = expected.len();
                    expected.retain(|n| !goes(*n));
                    let sql = format!("delete from events where {sql}");
                    let deleted = run(&session, &sql).await;
                    assert_eq!(deleted, Some((before - expected.len()) as u64), "{seed}: {sql}");
                    sql
                }
            };
            check(&fixture, &session, &expected, &format!("seed {seed}, {round}: {step}")).await;
        }
        assert_eq!(run(&session, "delete from events").await, Some(expected.len() as u64));
        check(&fixture, &session, &BTreeSet::new(), "all").await;
    }
}

#[tokio::test]
async fn upkeep_removes_what_is_deleted_and_says_so() {
    let fixture = Fixture::new().await;
    let session = fixture.session(EngineOptions::default()).await;
    fixture.import_text("a.ndjson", lines(0..3_000)).await;
    let files = || {
        let folder = std::fs::read_dir(fixture.folder.path().join("data/events")).unwrap();
        let files = folder.map(|file| file.unwrap().path());
        files
            .filter(|path| path.extension().is_some_and(|it| it == "parquet"))
            .collect::<BTreeSet<_>>()
    };
    let before = files();
    assert_eq!(run(&session, "delete from events where event = 'buy'").await, Some(1_000));
    assert_eq!(files(), before);
    assert_eq!(run(&session, "delete from events where event = 'buy'").await, Some(0));
    let states = "select state, events, files_marked > 0, statement from system.mutations";
    let batches: Vec<_> = session.query(states).await.unwrap().try_collect().await.unwrap();
    let statement = "DELETE FROM events WHERE event = 'buy'";
    assert_eq!(fixture::text(&batches), format!("deleted|1000|true|{statement}"));

    // Who reads files of yesterday may still do so.
    fixture.store.maintain(&MaintainOptions::default()).await.unwrap();
    assert!(files().is_superset(&before) && files() != before);
    let batches: Vec<_> = session.query(states).await.unwrap().try_collect().await.unwrap();
    assert_eq!(fixture::text(&batches), format!("deleted|1000|true|{statement}"));
    let now = MaintainOptions { keep: Duration::ZERO, ..MaintainOptions::default() };
    fixture.store.maintain(&now).await.unwrap();
    assert!(files().is_disjoint(&before));
    let batches: Vec<_> = session.query(states).await.unwrap().try_collect().await.unwrap();
    assert_eq!(fixture::text(&batches), format!("removed|1000|true|{statement}"));
    assert_eq!(fixture.count().await, 2_000);
}

#[tokio::test]
async fn events_that_were_deleted_can_come_again() {
    let fixture = Fixture::new().await;
    let session = fixture.session(EngineOptions::default()).await;
    fixture.import_text("a.ndjson", lines(0..500)).await;
    assert_eq!(run(&session, "delete from events where distinct_id = 'u7'").await, Some(22));
    let report = fixture.import_text("b.ndjson", lines(0..500)).await;
    assert_eq!((report.imported, report.duplicates), (22, 478));
    assert_eq!(fixture.count().await, 500);
}

#[tokio::test]
async fn many_scattered_rows_are_no_marks() {
    let fixture = Fixture::new().await;
    let session = fixture.session(EngineOptions::default()).await;
    // Of 300 000 rows of one day every seventh: a bitmap of 40 kB.
    let text = (0..300_000_u64).fold(String::new(), |mut text, n| {
        let (who, time) = (n % 1_000, 1_767_225_600 + n % DAY);
        writeln!(
            text,
            r#"{{"event":"e","distinct_id":"u{who}","timestamp":{time},"properties":{{"n":{n}}}}}"#
        )
        .unwrap();
        text
    });
    fixture.import_text("a.ndjson", text).await;
    let sql = "delete from events where properties.n % 7 = 3";
    let expected = (0..300_000_u64).filter(|n| n % 7 == 3).count() as u64;
    assert_eq!(run(&session, sql).await, Some(expected));
    assert_eq!(fixture.count().await as u64, 300_000 - expected);
    let batches: Vec<_> = session
        .query("select sum(files_replaced) > 0 from system.mutations")
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(fixture::text(&batches), "true");
}

#[tokio::test]
async fn what_cannot_be_deleted_is_refused() {
    let fixture = Fixture::new().await;
    let session = fixture.session(EngineOptions::default()).await;
    fixture.import_text("a.ndjson", lines(0..10)).await;
    run(&session, "create table mine as select 1 as a").await;
    for (sql, kind, place) in [
        ("delete from mine", ErrorKind::Unsupported, "mine"),
        ("delete from nothing", ErrorKind::UnknownTable, "nothing"),
        ("delete from events where evnt = 'a'", ErrorKind::UnknownColumn, "evnt"),
        ("delete from events where event", ErrorKind::TypeMismatch, "event"),
        (
            "delete from events where event = 'a' returning uuid",
            ErrorKind::Unsupported,
            "returning",
        ),
        ("delete events", ErrorKind::Syntax, "events"),
        ("delete from events e (a) where a = 1", ErrorKind::Syntax, "a"),
    ] {
        let error = session.query(sql).await.err().unwrap();
        let found = error.span.map(|span| &sql[span.start as usize..span.end as usize]);
        assert_eq!((error.kind, found), (kind, Some(place)), "{sql}: {}", error.message);
    }
    assert_eq!(fixture.count().await, 10);
}

#[tokio::test]
async fn retention_deletes_whole_days() {
    let fixture = Fixture::new().await;
    let session = fixture.session(EngineOptions::default()).await;
    let today = chrono::Utc::now().date_naive();
    // Ten days, of which the last are today's; 30 events each, in files of several days.
    let text = (0..300_u64).fold(String::new(), |mut text, n| {
        let day = today - chrono::Days::new(n % 10);
        writeln!(
            text,
            r#"{{"event":"e","distinct_id":"u{n}","timestamp":"{day}T00:{:02}:00Z"}}"#,
            n % 60
        )
        .unwrap();
        text
    });
    fixture.import_text("a.ndjson", text).await;
    let upkeep =
        async || fixture.store.maintain(&MaintainOptions::default()).await.unwrap().expired;
    assert_eq!(upkeep().await, 0);
    run(&session, "alter table events set (retention_days = 4)").await;
    let value = "select value from system.options where name = 'retention_days'";
    let batches: Vec<_> = session.query(value).await.unwrap().try_collect().await.unwrap();
    assert_eq!(fixture::text(&batches), "4");
    // Today and the four days before.
    assert_eq!(upkeep().await, 150);
    assert_eq!((fixture.count().await, upkeep().await), (150, 0));
    run(&session, "alter table events reset (retention_days)").await;
    assert_eq!((upkeep().await, fixture.count().await), (0, 150));
    let sql = "select events from system.mutations where statement like 'retention of 4 days%'";
    let batches: Vec<_> = session.query(sql).await.unwrap().try_collect().await.unwrap();
    assert_eq!(fixture::text(&batches), "150");
    for (sql, kind) in [
        ("alter table events set (retention_days = 0)", ErrorKind::InvalidArgument),
        ("alter table events set (retention_days = 'x')", ErrorKind::InvalidArgument),
        ("alter table events set (retention = 1)", ErrorKind::UnknownObject),
        ("alter table nothing set (retention_days = 1)", ErrorKind::UnknownTable),
        ("alter table events set (retention_days)", ErrorKind::Syntax),
    ] {
        assert_eq!(session.query(sql).await.err().unwrap().kind, kind, "{sql}");
    }
}
