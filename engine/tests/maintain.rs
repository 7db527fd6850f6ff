//! Files hold whole days, whatever came in which order; upkeep keeps it so and loses nothing.

#![expect(clippy::unwrap_used, reason = "a failure here is the test failing")]

mod fixture;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, Int64Type};
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use fixture::Fixture;
use futures::TryStreamExt;
use hedgerow_engine::EngineOptions;
use hedgerow_engine::ingest::ImportOptions;
use hedgerow_engine::storage::{Effort, MaintainOptions};

const DAY: u64 = 86_400;

/// Events of `days`, `each` a day, with uuids of their own from `first` on; days in turn, so that
/// their order is not that of the files.
fn events(days: &[u64], each: u64, first: u64) -> String {
    let mut lines = String::new();
    for number in 0..each {
        for (index, day) in days.iter().enumerate() {
            let id = first + number * days.len() as u64 + index as u64;
            let time = 1_767_225_600 + day * DAY + number * (DAY / each);
            let (name, who) = (["a", "b", "c"][id as usize % 3], id % 17);
            writeln!(
                lines,
                r#"{{"uuid":"00000000-0000-4000-8000-{id:012x}","event":"{name}","distinct_id":"u{who}","timestamp":{time},"properties":{{"n":{id},"day":"{day}"}}}}"#
            )
            .unwrap();
        }
    }
    lines
}

/// The committed files: their days, and how many rows each has.
async fn files(fixture: &Fixture) -> BTreeMap<PathBuf, (i64, i64, i64)> {
    let context = SessionContext::new();
    let mut files = BTreeMap::new();
    let named = std::fs::read_dir(fixture.folder.path().join("data/events")).unwrap();
    for path in named.map(|entry| entry.unwrap().path()) {
        if path.extension().is_none_or(|extension| extension != "parquet") {
            continue;
        }
        let frame = context
            .read_parquet(path.to_str().unwrap(), ParquetReadOptions::default())
            .await
            .unwrap();
        context.deregister_table("t").unwrap();
        context.register_table("t", frame.into_view()).unwrap();
        let day = |end| format!("{end}(extract(epoch from timestamp)::bigint / 86400)");
        let sql = format!("select {}, {}, count(*) from t", day("min"), day("max"));
        let batches = context.sql(&sql).await.unwrap().collect().await.unwrap();
        let cell = |index: usize| batches[0].column(index).as_primitive::<Int64Type>().value(0);
        files.insert(path, (cell(0), cell(1), cell(2)));
    }
    files
}

/// Days since the first, rows: of each file that the log names, once unused ones are gone.
async fn days(fixture: &Fixture) -> Vec<(i64, i64, i64)> {
    let mut days: Vec<_> = files(fixture).await.into_values().collect();
    days.sort_unstable();
    days.into_iter().map(|(first, last, rows)| (first - 20_454, last - 20_454, rows)).collect()
}

/// The sum of a property, as HogQL reads it.
async fn sum_of_n(fixture: &Fixture) -> f64 {
    let session = fixture.session(EngineOptions::default()).await;
    let rows = session.query("select sum(toFloat(properties.n)) from events").await.unwrap();
    let batches: Vec<_> = rows.try_collect().await.unwrap();
    batches[0].column(0).as_primitive::<Float64Type>().value(0)
}

fn at_once(effort: Effort) -> MaintainOptions {
    MaintainOptions { effort, keep: Duration::ZERO, ..MaintainOptions::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_makes_one_file_a_day() {
    let fixture = Fixture::new().await;
    let report = fixture.import_text("events.json", events(&[0, 1, 2, 40], 200, 0)).await;
    assert_eq!((report.imported, fixture.count().await), (800, 800));
    assert_eq!(days(&fixture).await, [(0, 0, 200), (1, 1, 200), (2, 2, 200), (40, 40, 200)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_put_aside_on_disk_come_back_in_order() {
    let fixture = Fixture::new().await;
    let file = fixture.file("events.json", events(&[0, 1, 2], 20_000, 0));
    // Dozens of pieces on disk.
    let options = ImportOptions { buffer_bytes: 1 << 20, ..ImportOptions::default() };
    let report = fixture.import(&file, options).await.unwrap();
    assert_eq!((report.imported, report.duplicates), (60_000, 0));
    assert_eq!(days(&fixture).await, [(0, 0, 20_000), (1, 1, 20_000), (2, 2, 20_000)]);
    // n counts from 0 to 59 999; every third has the same name.
    let count =
        fixture.rows("select count(*), count(distinct uuid), sum(distinct_id_hash) from events");
    let sorted = fixture.rows(
        "select count(*), count(distinct uuid), sum(distinct_id_hash) from (select * from events order by event, distinct_id_hash, timestamp, uuid)",
    );
    assert_eq!(count.await, sorted.await);
    let runs = fixture.rows(
        "select count(*) from (select event, distinct_id_hash, timestamp, lag(timestamp) over (partition by event, distinct_id_hash order by timestamp) as before from events) where timestamp < before",
    );
    assert_eq!(runs.await, "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_comes_twice_is_stored_once_even_on_disk() {
    let fixture = Fixture::new().await;
    // The second half repeats the first with other names: uuid and timestamp decide.
    let once = events(&[0, 1], 5_000, 0);
    let again = once.replace(r#""event":"a""#, r#""event":"z""#);
    let file = fixture.file("events.json", once + &again);
    let options = ImportOptions { buffer_bytes: 1 << 20, ..ImportOptions::default() };
    let report = fixture.import(&file, options).await.unwrap();
    assert_eq!((report.imported, report.duplicates), (10_000, 10_000));
    assert_eq!(
        fixture.rows("select count(*), count(distinct uuid) from events").await,
        "10000|10000"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_small_imports_become_one_file_a_day() {
    let fixture = Fixture::new().await;
    for number in 0..12 {
        let file = fixture.file("events.json", events(&[0, 1, 2], 50, number * 1_000));
        let options = ImportOptions { maintain: number > 5, ..ImportOptions::default() };
        fixture.import(&file, options).await.unwrap();
    }
    // 12 times n from 1000·i to 1000·i + 149.
    let (rows, sum) = (12 * 150, (0..12).map(|i| 150 * 1_000 * i + 149 * 150 / 2).sum::<u64>());
    let totals = || fixture.rows("select count(*), count(distinct uuid) from events");
    assert_eq!(totals().await, format!("{rows}|{rows}"));
    let report = fixture.store.maintain(&at_once(Effort::Full)).await.unwrap();
    // What importing alone keeps in shape.
    assert!(report.files_before <= 3 * 4, "{} files", report.files_before);
    assert_eq!((report.files_after, report.duplicates), (3, 0));
    assert_eq!(days(&fixture).await, [(0, 0, 600), (1, 1, 600), (2, 2, 600)]);
    assert_eq!(totals().await, format!("{rows}|{rows}"));
    assert_eq!(sum_of_n(&fixture).await, sum as f64);

    let report = fixture.store.maintain(&at_once(Effort::Full)).await.unwrap();
    assert_eq!((report.rewritten, report.events, report.deleted), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_an_import_may_be_about_to_commit_stay_for_a_day() {
    let fixture = Fixture::new().await;
    fixture.import_text("events.json", events(&[0], 10, 0)).await;
    let folder = fixture.folder.path().join("data/events");
    let written = |name: &str, age: Duration| {
        let file = std::fs::File::create_new(folder.join(name)).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    };
    written("new.parquet", Duration::ZERO);
    written("older.parquet", Duration::from_hours(23));
    written("abandoned.parquet", Duration::from_hours(25));
    let report = fixture.store.maintain(&at_once(Effort::Full)).await.unwrap();
    assert_eq!(report.deleted, 1);
    assert!(folder.join("new.parquet").exists() && folder.join("older.parquet").exists());
    assert!(!folder.join("abandoned.parquet").exists());
}
