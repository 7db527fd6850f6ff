//! Input that is large, deep, wide or wrong: what can be kept is kept and read right, the rest is
//! set aside with a reason, and memory stays bounded.

#![expect(clippy::unwrap_used, reason = "a failure here is the test failing")]

mod fixture;

use std::fmt::Write;
use std::fs::File;
use std::path::PathBuf;

use fixture::{Fixture, text};
use futures::TryStreamExt;
use hedgerow_engine::ingest::{ImportOptions, ImportReport};
use hedgerow_engine::storage::{MaintainOptions, events_schema};
use hedgerow_engine::{EngineOptions, Session};
use parquet::file::reader::{FileReader, SerializedFileReader};

/// What little memory imports and queries get here.
const BUFFER_BYTES: usize = 8 << 20;
const QUERY_BYTES: usize = 64 << 20;

async fn import(fixture: &Fixture, lines: &str) -> ImportReport {
    let file = fixture.file("events.json", lines);
    let options = ImportOptions { buffer_bytes: BUFFER_BYTES, ..ImportOptions::default() };
    fixture.import(&file, options).await.unwrap()
}

async fn maintain(fixture: &Fixture) {
    let options = MaintainOptions { buffer_bytes: BUFFER_BYTES, ..MaintainOptions::default() };
    fixture.store.maintain(&options).await.unwrap();
}

async fn session(fixture: &Fixture) -> Session {
    let options = EngineOptions {
        query_memory_bytes_max: QUERY_BYTES,
        cache_bytes_max: 4 << 20,
        ..EngineOptions::default()
    };
    fixture.session(options).await
}

async fn rows(session: &Session, query: &str) -> String {
    let stream = session.query(query).await.unwrap_or_else(|error| panic!("{query}: {error}"));
    text(&stream.try_collect::<Vec<_>>().await.unwrap())
}

/// An event at a second of 2026-01-01, about a person of the same number.
fn line(second: usize, properties: &str) -> String {
    let time = 1_767_225_600 + second;
    format!(
        r#"{{"event":"e","distinct_id":"u{second}","timestamp":{time},"properties":{properties}}}"#
    )
}

fn counts(report: &ImportReport) -> (u64, u64, u64) {
    (report.imported, report.duplicates, report.rejected)
}

fn reasons(report: &ImportReport) -> Vec<(u64, &str)> {
    report.first_rejects.iter().map(|reject| (reject.line, reject.reason.as_str())).collect()
}

fn files(fixture: &Fixture, folder: &str, ending: &str) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(fixture.folder.path().join("data/events").join(folder)).unwrap();
    let paths = folder.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|name| name == ending)).collect()
}

/// A hundred thousand keys, of which each event has fifty, and one event with ten thousand more.
fn many_keys() -> String {
    let mut lines = String::new();
    for event in 0..2_000 {
        let keys: Vec<_> =
            (0..50).map(|key| format!(r#""k{}":{event}"#, event * 50 + key)).collect();
        writeln!(lines, "{}", line(event, &format!(r#"{{"all":"x",{}}}"#, keys.join(","))))
            .unwrap();
    }
    let keys: Vec<_> = (0..10_000).map(|key| format!(r#""wide{key}":"w{key}""#)).collect();
    lines + &line(2_000, &format!("{{{}}}", keys.join(",")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_keys() {
    let fixture = Fixture::new().await;
    assert_eq!(counts(&import(&fixture, &many_keys()).await), (2_001, 0, 0));
    maintain(&fixture).await;
    for file in files(&fixture, "", "parquet") {
        let footer = SerializedFileReader::new(File::open(file).unwrap()).unwrap();
        let footer = footer.metadata().file_metadata();
        // 192 paths with up to three columns and 16 remainders, for two columns of documents.
        let schema = footer.schema_descr();
        let columns = schema.num_columns() - events_schema().fields().len();
        assert!(schema.columns().iter().any(|column| column.name() == "__p_s__all"));
        assert!(columns <= 2 * (192 * 3 + 16), "{columns} columns");
        let entries = footer.key_value_metadata().unwrap().iter();
        let bytes: usize = entries.filter_map(|entry| entry.value.as_ref()).map(String::len).sum();
        assert!(bytes < 256 << 10, "{bytes} bytes in the footer");
    }
    for file in files(&fixture, "_delta_log", "json") {
        let bytes = std::fs::metadata(&file).unwrap().len();
        assert!(bytes < 256 << 10, "{bytes} bytes in {}", file.display());
    }
    let session = session(&fixture).await;
    for (query, expected) in [
        ("select count(), count(properties.all) from events", "2001|2000"),
        (
            "select distinct_id, properties.k0, properties.k1 from events where properties.k49 = '0'",
            "u0|0|0",
        ),
        ("select distinct_id from events where properties.k99999 = '1999'", "u1999"),
        ("select count() from events where properties.k99999 is not null", "1"),
        (
            "select distinct_id, properties.wide9999 from events where properties.wide0 = 'w0'",
            "u2000|w9999",
        ),
        ("select count() from events where properties.k100000 is not null", "0"),
        (
            "select JSONLength(properties), count() from events group by 1 order by 1",
            "51|2000\n10000|1",
        ),
        (
            "select sum(toInt(properties.k500)), sum(toInt(properties.k77777)) from events",
            "10|1555",
        ),
        // Each key occurs once.
        (
            "select count(), uniqExact(key) from (select arrayJoin(JSONExtractKeys(properties)) as key from events) where key like 'k%'",
            "100000|100000",
        ),
    ] {
        assert_eq!(rows(&session, query).await, expected, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_of_a_megabyte() {
    const MEGABYTE: usize = 1 << 20;
    let fixture = Fixture::new().await;
    let value = |event: usize| {
        let unit = format!("{event:04}-é\\n");
        unit.repeat(MEGABYTE / unit.len())
    };
    let event = |event| line(event, &format!(r#"{{"n":{event},"text":"{}"}}"#, value(event)));
    let (one, two): (Vec<_>, Vec<_>) =
        (0..12).map(event).enumerate().partition(|(n, _)| n % 2 == 0);
    for lines in [one, two] {
        let lines: Vec<_> = lines.into_iter().map(|(_, line)| line).collect();
        assert_eq!(counts(&import(&fixture, &lines.join("\n")).await), (6, 0, 0));
    }
    // Of the 9 bytes of a unit 8 are left once it is unescaped.
    let length = MEGABYTE / 9 * 8;
    for _ in 0..2 {
        let session = session(&fixture).await;
        for (query, expected) in [
            (
                "select count(), min(length(properties.text)), max(length(properties.text)) from events",
                format!("12|{length}|{length}"),
            ),
            (
                "select distinct_id from events where properties.text like '0009-é%' and properties.text like '%0009-é\\n'",
                "u9".to_owned(),
            ),
            ("select count(distinct properties.text) from events", "12".to_owned()),
            (
                "select distinct_id, substring(properties.text, 1, 4) from events order by properties.text desc limit 2",
                "u11|0011\nu10|0010".to_owned(),
            ),
            (
                "select sum(toInt(properties.n)) from events where length(properties.text) > 9",
                "66".to_owned(),
            ),
        ] {
            assert_eq!(rows(&session, query).await, expected, "{query}");
        }
        maintain(&fixture).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deep_documents_are_read_or_rejected() {
    let fixture = Fixture::new().await;
    // The document itself is the first level.
    let arrays = |depth: usize| format!("{}7{}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    let objects =
        |depth: usize| format!("{}7{}", r#"{"x":"#.repeat(depth - 1), "}".repeat(depth - 1));
    let mut lines = Vec::new();
    for (number, depth) in [(0, 500), (1, 512), (2, 513), (3, 5_000), (4, 100_000)] {
        lines.push(line(number, &format!(r#"{{"x":{},"plan":"a"}}"#, arrays(depth))));
        lines.push(line(10 + number, &format!(r#"{{"x":{},"plan":"o"}}"#, objects(depth))));
    }
    lines.push(line(5, &format!(r#""{{\"x\":{}}}""#, arrays(600))));
    lines.push(line(6, "{}").replacen('{', &format!(r#"{{"extra":{},"#, arrays(600)), 1));
    lines.push(line(7, "{}").replacen(
        '{',
        &format!(r#"{{"person_properties":{},"#, objects(600)),
        1,
    ));
    lines.push(line(8, r#"{"plan":"flat"}"#));
    let report = import(&fixture, &lines.join("\n")).await;
    assert_eq!(counts(&report), (5, 0, 9));
    let deep = "properties is nested deeper than 512 levels";
    let person = "person_properties is nested deeper than 512 levels";
    let extra = "extra is nested deeper than 512 levels";
    let lines = [5, 6, 7, 8, 9, 10, 11].map(|line| (line, deep));
    assert_eq!(reasons(&report), [&lines[..], &[(12, extra), (13, person)]].concat());

    let session = session(&fixture).await;
    let plans = "select distinct_id, properties.plan from events order by distinct_id";
    assert_eq!(rows(&session, plans).await, "u0|a\nu1|a\nu10|o\nu11|o\nu8|flat");
    let deepest = format!("JSONExtractInt(properties{})", ", 'x'".repeat(512));
    let query = format!("select {deepest} from events where distinct_id = 'u11'");
    assert_eq!(rows(&session, &query).await, "7");
    let query = "select length(properties.x), properties.x.x.x.x like '{\"x\":{%' from events where properties.plan = 'o' order by 1";
    let of = |depth: usize| objects(depth).len();
    assert_eq!(rows(&session, query).await, format!("{}|true\n{}|true", of(500), of(512)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn times_from_the_first_year_to_the_last() {
    let fixture = Fixture::new().await;
    let at = |time: &str| {
        format!(
            r#"{{"event":"e","distinct_id":{time},"timestamp":{time},"properties":{{"t":{time}}}}}"#
        )
    };
    let lines: Vec<_> = [
        r#""0001-01-01T00:00:00Z""#,
        r#""0001-01-01T00:00:00.000001Z""#,
        r#""1969-12-31T23:59:59.999999Z""#,
        "0",
        r#""2026-01-01""#,
        r#""9999-12-31T23:59:59.999999Z""#,
        // Beyond.
        r#""0000-12-31T23:59:59Z""#,
        r#""0001-01-01T00:00:00+00:01""#,
        r#""9999-12-31T23:59:59.9-00:01""#,
        r#""10000-01-01T00:00:00Z""#,
        r#""-0044-03-15T00:00:00Z""#,
        "-99999999999",
        "1e19",
        "1e300",
        r#""294247-01-10T04:00:54.775807Z""#,
    ]
    .map(at)
    .into();
    let report = import(&fixture, &lines.join("\n")).await;
    // 1e19 nanoseconds are in the year 2286.
    assert_eq!(counts(&report), (7, 0, 8));
    assert!(
        reasons(&report).iter().all(|(_, reason)| reason.starts_with("timestamp is not a time: "))
    );
    for _ in 0..2 {
        let session = session(&fixture).await;
        for (condition, expected) in [
            ("true", "7"),
            ("timestamp < toDateTime('0001-01-01 00:00:00.000001')", "1"),
            ("timestamp < toDateTime('1970-01-01 00:00:00')", "3"),
            ("timestamp >= toDateTime('1970-01-01 00:00:00')", "4"),
            ("timestamp > toDateTime('9999-12-31 23:59:59')", "1"),
            ("toYear(timestamp) in (1, 9999)", "3"),
            (
                "timestamp between toDateTime('2026-01-01 00:00:00') and toDateTime('2300-01-01 00:00:00')",
                "2",
            ),
        ] {
            let query = format!("select count() from events where {condition}");
            assert_eq!(rows(&session, &query).await, expected, "{query}");
        }
        let ends = "select min(timestamp), max(timestamp) from events";
        assert_eq!(rows(&session, ends).await, "0001-01-01T00:00:00Z|9999-12-31T23:59:59.999999Z");
        let latest = "select properties.t from events order by timestamp desc limit 2";
        assert_eq!(rows(&session, latest).await, "9999-12-31T23:59:59.999999Z\n1e19");
        maintain(&fixture).await;
    }
}
