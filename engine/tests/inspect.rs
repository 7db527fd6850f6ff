//! What a data folder holds is told by project, day and form, beside a server too.

#![expect(clippy::unwrap_used, reason = "a failure here is the test failing")]

mod fixture;
mod foreign;

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use fixture::Fixture;
use hedgerow_engine::ingest::IngestOptions;
use hedgerow_engine::inspect::{Form, Inspection, inspect};
use hedgerow_engine::storage::{Effort, MaintainOptions};
use hedgerow_engine::{Engine, EngineOptions, Location, SessionOptions};
use hedgerow_parser::Dialect;

fn location(fixture: &Fixture) -> Location {
    Location::from(fixture.folder.path().join("data").as_path())
}

async fn inspected(fixture: &Fixture) -> Inspection {
    inspect(&location(fixture)).await.unwrap()
}

/// Events at noon of a day in January.
fn lines(day: u32, numbers: std::ops::Range<u32>) -> String {
    let line = |n| {
        format!(
            r#"{{"event":"e","distinct_id":"u{n}","timestamp":"2026-01-{day:02}T12:00:{:02}Z"}}"#,
            n % 60
        )
    };
    numbers.map(line).collect::<Vec<_>>().join("\n")
}

/// The files of each form: large, small, mixed.
fn forms(inspection: &Inspection) -> [u64; 3] {
    let names = inspection.contents.forms.map(|(form, _)| form);
    assert_eq!(names, [Form::Large, Form::Small, Form::Mixed]);
    inspection.contents.forms.map(|(_, files)| files.files)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_was_never_written_is_empty() {
    let fixture = Fixture::new().await;
    let Inspection { contents, log, .. } = inspected(&fixture).await;
    assert_eq!((contents.version, contents.checkpoint), (0, None));
    let events = contents.events;
    assert_eq!((events.files, events.rows, events.bytes), (0, Some(0), 0));
    assert_eq!((contents.unused_files, contents.upkeep_due, contents.tables), (0, 0, 0));
    let [project] = contents.projects.as_slice() else { panic!("{:?}", contents.projects) };
    assert_eq!(project.name.as_deref(), Some("default"));
    assert_eq!((project.files.files, project.times, project.days.len()), (0, None, 0));
    assert!(log.is_none());
    assert!(!fixture.folder.path().join("data/wal").exists());

    let none = Location::from(fixture.folder.path().join("none").as_path());
    assert!(inspect(&none).await.unwrap_err().message.starts_with("no data folder"));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_told_by_project_day_and_form() {
    let fixture = Fixture::new().await;
    fixture.import_text("1.ndjson", lines(1, 0..100)).await;
    // Too few to be put together with the others at once.
    fixture.import_text("2.ndjson", lines(1, 100..110)).await;
    fixture.import_text("3.ndjson", lines(20, 0..7)).await;
    let session = fixture.session(EngineOptions::default()).await;
    session.query("create table t as select uuid from events limit 5").await.unwrap();

    let before = inspected(&fixture).await;
    let contents = &before.contents;
    let project = &contents.projects[0];
    assert_eq!(contents.version, 3);
    assert_eq!((contents.events.files, contents.events.rows), (3, Some(117)));
    assert_eq!(project.files, contents.events);
    let bytes: u64 = project.days.iter().map(|(_, files)| files.bytes).sum();
    assert_eq!(bytes, contents.events.bytes);
    let days = project.days.iter().map(|(days, files)| {
        let days = days.as_ref().unwrap();
        format!("{}..{}: {} {:?}", days.start(), days.end(), files.files, files.rows.unwrap())
    });
    let expected = ["2026-01-01..2026-01-01: 2 110", "2026-01-20..2026-01-20: 1 7"];
    assert_eq!(days.collect::<Vec<_>>(), expected);
    let (first, last) = project.times.unwrap();
    assert_eq!(first.to_rfc3339(), "2026-01-01T12:00:00+00:00");
    assert_eq!(last.to_rfc3339(), "2026-01-20T12:00:06+00:00");
    assert_eq!(forms(&before), [0, 3, 0]);
    assert_eq!((contents.tables, contents.table_files.rows), (1, Some(5)));

    let full = MaintainOptions { effort: Effort::Full, ..MaintainOptions::default() };
    let report = fixture.store.maintain(&full).await.unwrap();
    assert_eq!(contents.upkeep_due, report.rewritten);
    let after = inspected(&fixture).await.contents;
    assert_eq!((after.upkeep_due, after.unused_files), (0, report.rewritten));
    assert!(after.unused_bytes > 0);
    assert_eq!(after.events.rows, Some(117));

    let event = |uuid, project| foreign::Event {
        uuid,
        event: "e".to_owned(),
        distinct_id: "u".to_owned(),
        timestamp_ms: 1_767_225_600_000,
        project,
        properties: "{}".to_owned(),
    };
    let rows = foreign::batch(&[event(1, fixture.project.0), event(2, 77)]);
    foreign::commit(&fixture.folder.path().join("data"), &rows, None);
    let with_foreign = inspected(&fixture).await;
    assert_eq!(forms(&with_foreign)[2], 1);
    let contents = with_foreign.contents;
    assert_eq!((contents.shared.files, contents.shared.rows), (1, Some(2)));
    assert!(contents.upkeep_due > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_are_found() {
    let fixture = Fixture::new().await;
    let log = fixture.folder.path().join("data/events/_delta_log");
    std::fs::write(log.join("00000000000000000000.checkpoint.parquet"), "").unwrap();
    assert_eq!(inspected(&fixture).await.contents.checkpoint, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_no_file_yet_is_told_beside_the_server() {
    let fixture = Fixture::new().await;
    let ingest = IngestOptions { flush_after: Duration::from_hours(1), ..IngestOptions::default() };
    let options = EngineOptions::default();
    let location = location(&fixture);
    let engine = Engine::open_for_ingest(&location, options.clone(), ingest.clone()).await.unwrap();
    let project = || SessionOptions { project: "default".to_owned(), dialect: Dialect::Hogql };
    let session = engine.session(project()).await.unwrap();

    let log = inspected(&fixture).await.log.unwrap();
    assert_eq!((log.is_open, log.epoch, log.last_record), (Some(true), 1, 0));
    assert_eq!((log.waiting.records, log.waiting.oldest), (0, None));

    let before = Utc::now();
    session
        .query("insert into events (event, distinct_id) values ('a', 'u'), ('b', 'u')")
        .await
        .unwrap();
    session.query("insert into events (event, distinct_id) values ('c', 'u')").await.unwrap();
    let inspection = inspected(&fixture).await;
    let lag = inspection.lag().unwrap();
    assert!(lag >= TimeDelta::zero() && lag <= inspection.inspected_at - before, "{lag}");
    let log = inspection.log.unwrap();
    assert_eq!((log.last_record, log.flushed_record, log.waiting.records), (2, 0, 2));
    assert_eq!(log.waiting.events, [(fixture.project, 3)].into());
    assert!(log.waiting.bytes > 0 && log.bytes > log.waiting.bytes && log.segments == 1);
    assert_eq!(inspection.contents.events.rows, Some(0));

    // It goes on after a crash, or here a server that ended.
    engine.close().await;
    drop((session, engine));
    let inspection = inspected(&fixture).await;
    assert_eq!(inspection.log.as_ref().unwrap().is_open, Some(false));
    assert_eq!(inspection.log.unwrap().waiting.records, 2);

    let soon = IngestOptions { flush_after: Duration::ZERO, ..ingest };
    let engine = Engine::open_for_ingest(&location, options, soon).await.unwrap();
    let flushed = loop {
        let inspection = inspected(&fixture).await;
        if inspection.contents.flushed == 2 {
            break inspection;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(flushed.contents.events.rows, Some(3));
    assert_eq!(flushed.lag(), None);
    let log = flushed.log.unwrap();
    assert_eq!((log.epoch, log.last_record, log.waiting.records), (2, 2, 0));
    engine.close().await;
}
