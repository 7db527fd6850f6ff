//! Import and scan, seen from outside.

#![expect(clippy::unwrap_used, reason = "a failure here is the test failing")]

mod fixture;

use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use fixture::{Fixture, sql_in};
use hedgerow_engine::ingest::{
    EventName, Format, ImportOptions, ImportReport, Mapping, Observer, Progress, Reject, Source,
    import,
};
use hedgerow_engine::{Error, ErrorKind, EventStore, Location, Result};
use tokio::sync::oneshot;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../sql-tests/data").join(name)
}

fn shop() -> ImportOptions {
    let mapping = Mapping {
        event: Some(EventName::Field("event".to_owned())),
        distinct_id: Some("user_id".to_owned()),
        timestamp: Some("timestamp".to_owned()),
        session_id: Some("session_id".to_owned()),
    };
    ImportOptions { mapping, ..ImportOptions::default() }
}

fn wikipedia() -> ImportOptions {
    let mapping = Mapping {
        event: Some(EventName::Constant("edit".to_owned())),
        distinct_id: Some("user".to_owned()),
        timestamp: Some("time".to_owned()),
        session_id: None,
    };
    ImportOptions { mapping, ..ImportOptions::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shop_file_is_imported_completely_and_only_once() {
    let fixture = Fixture::new().await;
    let report = fixture.import(&data("shop-clicks.csv.gz"), shop()).await.unwrap();
    assert_eq!((report.imported, report.duplicates, report.rejected), (31_106, 0, 0));
    assert_eq!(fixture.count().await, 31_106);
    let report = fixture.import(&data("shop-clicks.csv.gz"), shop()).await.unwrap();
    assert_eq!((report.imported, report.duplicates, report.rejected), (0, 31_106, 0));
    assert_eq!(fixture.count().await, 31_106);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wikipedia_file_is_imported_completely_and_only_once() {
    let fixture = Fixture::new().await;
    let options = ImportOptions { buffer_bytes: 4 << 20, ..wikipedia() };
    let file = data("wikipedia-edits.json.gz");
    let report = fixture.import(&file, options.clone()).await.unwrap();
    assert_eq!((report.imported, report.duplicates, report.rejected), (39_244, 0, 0));
    assert_eq!(fixture.count().await, 39_244);
    let report = fixture.import(&file, options).await.unwrap();
    assert_eq!((report.imported, report.duplicates, report.rejected), (0, 39_244, 0));
    assert_eq!(fixture.count().await, 39_244);
}

/// Counts of a report.
fn counts(report: &ImportReport) -> (u64, u64, u64) {
    (report.imported, report.duplicates, report.rejected)
}

/// A minimal event, at a second of 2024-01-01.
fn line(name: &str, second: u32) -> String {
    format!(
        r#"{{"event":"{name}","distinct_id":"d","timestamp":"2024-01-01T00:00:{second:02}Z","properties":{{}}}}"#
    )
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn an_event_fills_its_columns() {
    let fixture = Fixture::new().await;
    let event = r#"{
        "uuid":"0190a1b2-0000-7000-8000-000000000001","event":"$pageview","distinct_id":"ann",
        "timestamp":"2024-03-13T10:21:14.123456+02:00","created_at":"2024-03-14",
        "person_id":"0190a1b2-0000-7000-8000-000000000002","team_id":77,"sent_at":"2024-03-13",
        "person_properties":{"plan":"pro"},"person_created_at":1700000000,
        "$set":{"email":"a@b.c"},
        "properties":{ "$session_id":"s1","$window_id":"w1","$group_0":"acme","$group_4":5,
            "$elements_chain":"a:b","n":1.50,"text":"\u00e9","$process_person_profile":false }
    }"#
    .replace('\n', " ");
    let report = fixture.import_text("one.json", &event).await;
    assert_eq!(counts(&report), (1, 0, 0));
    let ids = fixture.rows("select uuid, person_id from events").await;
    assert_eq!(ids, "0190a1b2000070008000000000000001|0190a1b2000070008000000000000002");
    let columns = r#"event, distinct_id, team_id, cast(timestamp as varchar),
        cast(created_at as varchar), "$session_id", "$window_id", "$group_0", "$group_1",
        "$group_4", elements_chain, person_mode, person_properties,
        cast(person_created_at as varchar)"#;
    assert_eq!(
        fixture.rows(&format!("select {columns} from events")).await,
        "$pageview|ann|1|2024-03-13T08:21:14.123456Z|2024-03-14T00:00:00Z|s1|w1|acme||5|a:b|\
         propertyless|{\"plan\":\"pro\"}|2023-11-14T22:13:20Z"
    );
    // Byte for byte, with what stood outside of properties in front.
    let properties = fixture.rows("select properties from events").await;
    assert!(
        properties.starts_with(r#"{"$set":{"email":"a@b.c"}, "$session_id":"s1""#),
        "{properties}"
    );
    assert!(properties.contains(r#""n":1.50,"text":"\u00e9""#), "{properties}");
}

#[tokio::test]
async fn shapes_of_senders_are_understood() {
    let fixture = Fixture::new().await;
    let content = [
        // Properties as text, as some exports have it; numbers as ids and times.
        r#"{"event":"a","distinct_id":7,"timestamp":1700000000,"properties":"{\"x\":\"y\"}"}"#,
        // No properties at all, distinct id inside, unknown field outside.
        r#"{"event":"b","timestamp":"2024-01-01","properties":{"distinct_id":"in","k":2},"k":1,"extra":[1]}"#,
        // The body of a capture request, and an array.
        r#"{"api_key":"k","batch":[{"event":"c","distinct_id":"d","timestamp":"2024-01-01"},{"event":"d","distinct_id":"d","timestamp":"2024-01-01"}]}"#,
        r#"[{"event":"e","distinct_id":"d","timestamp":"2024-01-01","properties":null}]"#,
        "",
        "  \r",
    ]
    .join("\n");
    assert_eq!(counts(&fixture.import_text("shapes.json", content).await), (5, 0, 0));
    assert_eq!(
        fixture.rows("select event, distinct_id, properties from events order by event").await,
        "a|7|{\"x\":\"y\"}\n\
         b|in|{\"extra\":[1],\"distinct_id\":\"in\",\"k\":2}\n\
         c|d|{}\nd|d|{}\ne|d|{}"
    );
}

#[tokio::test]
async fn of_fields_that_come_twice_the_last_counts() {
    let fixture = Fixture::new().await;
    let two = r#""properties":{"$session_id":"two"}"#;
    let one = two.replace("two", "one");
    let as_text = r#""properties":"{\"$session_id\":\"two\"}""#;
    let escaped = two.replace("prop", r"pr\u006fp");
    let fields = [
        two.to_owned(),
        format!("{one},{two}"),
        escaped.clone(),
        format!("{one},{escaped}"),
        as_text.to_owned(),
        format!("{one},{as_text}"),
        format!("{two},\"$session_id\":null"),
        r#""properties":{"$session_id":"one","$session_id":"two"}"#.to_owned(),
        r#""properties":{"nested":{"$session_id":"one"},"$session_\u0069d":"two"}"#.to_owned(),
    ];
    let line = |fields: &String| {
        format!(r#"{{"event":"a","distinct_id":"d","timestamp":"2024-01-01",{fields}}}"#)
    };
    let lines: Vec<_> = fields.iter().map(line).collect();
    let report = fixture.import_text("twice.json", lines.join("\n")).await;
    assert_eq!(counts(&report), (9, 0, 0));
    let rows = r#"select "$session_id", count(*) from events group by 1"#;
    assert_eq!(fixture.rows(rows).await, "two|9");
}

#[tokio::test]
async fn bad_lines_are_named_and_the_rest_is_imported() {
    let fixture = Fixture::new().await;
    let good = line("good", 1);
    let mut content = Vec::new();
    for bad in [
        "not json",
        "{\"event\":\"x\"",
        "42",
        r#"{"event":"x","timestamp":"2024-01-01"}"#,
        r#"{"distinct_id":"d","timestamp":"2024-01-01"}"#,
        r#"{"event":"x","distinct_id":"d"}"#,
        r#"{"event":"x","distinct_id":"d","timestamp":"soon"}"#,
        r#"{"event":"x","distinct_id":"d","timestamp":null}"#,
        r#"{"event":"x","distinct_id":{"a":1},"timestamp":"2024-01-01"}"#,
        r#"{"event":"x","distinct_id":"d","timestamp":"2024-01-01","uuid":"12"}"#,
        r#"{"event":"x","distinct_id":"d","timestamp":"2024-01-01","properties":[1]}"#,
        r#"{"event":"x","distinct_id":"d","timestamp":"2024-01-01","properties":"{"}"#,
    ] {
        content.extend_from_slice(bad.as_bytes());
        content.push(b'\n');
    }
    content.extend_from_slice(b"{\"event\":\"\xff\"}\n");
    content.extend_from_slice(good.as_bytes());
    let path = fixture.file("bad.json", &content);

    /// Keeps the rejects.
    #[derive(Default)]
    struct Rejects(Vec<Reject>);
    impl Observer for Rejects {
        fn rejected(&mut self, reject: &Reject) -> Result<()> {
            self.0.push(reject.clone());
            Ok(())
        }
    }
    let mut rejects = Rejects::default();
    let sources = vec![Source::Path(path.clone())];
    let options = ImportOptions::default();
    let report =
        import(&fixture.store, fixture.project, sources, options, &mut rejects).await.unwrap();
    assert_eq!(counts(&report), (1, 0, 13));
    assert_eq!(report.first_rejects.len(), 10);

    let found: Vec<_> =
        rejects.0.iter().map(|reject| (reject.line, reject.reason.as_str())).collect();
    assert_eq!(
        found,
        [
            (1, "not a JSON object: expected ident at column 2"),
            (2, "not a JSON object: EOF while parsing an object at column 12"),
            (
                3,
                "not a JSON object: invalid type: integer `42`, expected a JSON object at column 2"
            ),
            (4, "distinct_id is missing"),
            (5, "event is missing"),
            (6, "timestamp is missing"),
            (7, "timestamp is not a time: 'soon'"),
            (8, "timestamp is missing"),
            (9, "distinct_id is not text"),
            (10, "uuid is not a UUID: '12'"),
            (11, "properties is not a JSON object"),
            (12, "properties is not a JSON object"),
            (13, "not UTF-8 from byte 11 on"),
        ]
    );
    assert_eq!(&rejects.0[0].record[..], b"not json");
    assert_eq!(&rejects.0[12].record[..], b"{\"event\":\"\xff\"}");
    assert_eq!(rejects.0[0].input.as_ref(), path.display().to_string());

    let strict = ImportOptions { strict: true, ..ImportOptions::default() };
    let fresh = Fixture::new().await;
    let error = fresh.import(&path, strict).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidInput);
    assert!(
        error.message.ends_with("bad.json, line 1: not a JSON object: expected ident at column 2")
    );
    assert_eq!(fresh.count().await, 0);
}

#[tokio::test]
async fn sources_that_cannot_be_read_are_clear_errors() {
    let fixture = Fixture::new().await;
    let whole = gzip(line("a", 1).repeat(2000).as_bytes());
    let cases: [(PathBuf, &str); 8] = [
        (fixture.file("twice.csv", "a,b,a\n1,2,3\n"), "two columns named 'a'"),
        (fixture.folder.path().join("missing.json"), "no such file or folder"),
        (fixture.file("cut.json.gz", &whole[..whole.len() / 2]), "cannot read"),
        (fixture.file("noise.json.zst", b"\x28\xb5\x2f\xfd\xff\xff\xff\xff"), "cannot read"),
        (fixture.file("unknown", "hello"), "cannot tell the format"),
        (fixture.file("short.parquet", "PAR1"), "cannot read"),
        (fixture.file("packed.parquet.gz", gzip(b"PAR1....")), "is not a plain Parquet file"),
        (fixture.file("folder/readme.txt", "hello").parent().unwrap().into(), "no event files in"),
    ];
    for (path, message) in cases {
        let error = fixture.import(&path, ImportOptions::default()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidInput, "{}", path.display());
        assert!(error.message.contains(message), "{}: {}", path.display(), error.message);
        assert!(error.message.contains(&path.display().to_string()), "{}", error.message);
    }
    assert_eq!(fixture.count().await, 0);
    // What was written before the error is gone again.
    let left = std::fs::read_dir(fixture.folder.path().join("data/events")).unwrap();
    let parquet = left.flatten().filter(|file| file.path().extension() == Some("parquet".as_ref()));
    assert_eq!(parquet.count(), 0);
}

#[tokio::test]
async fn compression_and_folders() {
    let fixture = Fixture::new().await;
    let two = format!("{}\n{}\n", line("a", 1), line("b", 2));
    fixture.file("in/1.json", format!("\u{feff}{two}"));
    // Gzip and zstd streams may consist of several members.
    let members = [gzip(line("c", 3).as_bytes()), gzip(b"\n"), gzip(line("d", 4).as_bytes())];
    fixture.file("in/deep/2.jsonl.gz", members.concat());
    let zstd = [two.replace("\"a\"", "\"e\""), line("f", 5)]
        .map(|text| zstd::encode_all(text.as_bytes(), 1).unwrap())
        .concat();
    fixture.file("in/deep/3.ndjson.zst", zstd);
    fixture.file("in/.hidden.json", "nonsense");
    fixture.file("in/notes.txt", "nonsense");
    let report =
        fixture.import(&fixture.folder.path().join("in"), ImportOptions::default()).await.unwrap();
    // The b of the third file repeats that of the first.
    assert_eq!(counts(&report), (6, 1, 0));
    assert_eq!(report.inputs, 3);
    assert_eq!(fixture.rows("select event from events order by 1").await, "a\nb\nc\nd\ne\nf");
}

#[tokio::test]
async fn a_stream_is_read_like_a_file() {
    let fixture = Fixture::new().await;
    /// The last progress.
    struct Last(Option<Progress>);
    impl Observer for Last {
        fn progress(&mut self, progress: Progress) {
            self.0 = Some(progress);
        }
    }
    let text = gzip(format!("{}\n{}", line("a", 1), line("b", 2)).as_bytes());
    let bytes = text.len() as u64;
    let reader = Box::new(Cursor::new(text));
    let sources = vec![Source::Reader { name: "standard input".to_owned(), reader }];
    let mut last = Last(None);
    let options = ImportOptions::default();
    let report =
        import(&fixture.store, fixture.project, sources, options, &mut last).await.unwrap();
    assert_eq!(counts(&report), (2, 0, 0));
    assert_eq!(last.0, Some(Progress { events: 2, bytes, bytes_total: None }));
}

#[tokio::test]
async fn csv_cells_become_properties_with_types() {
    let fixture = Fixture::new().await;
    let csv = "who,what,when,session,number,decimal,padded,quoted,empty,flag\n\
        u1,buy,2024-01-01 10:00:00,s,12,-1.5,007,\"a \"\"b\"\"\nc\",,true\n\
        u1,buy,2024-01-01\n\
        u2,,2024-01-01,s,1,1,1,1,1,1\n";
    let mapping = Mapping {
        event: Some(EventName::Field("what".to_owned())),
        distinct_id: Some("who".to_owned()),
        timestamp: Some("when".to_owned()),
        session_id: Some("session".to_owned()),
    };
    let options = ImportOptions { mapping, format: Some(Format::Csv), ..ImportOptions::default() };
    let report = fixture.import(&fixture.file("cells", csv), options).await.unwrap();
    assert_eq!(counts(&report), (1, 0, 2));
    let reasons: Vec<_> = report
        .first_rejects
        .iter()
        .map(|reject| (reject.line, reject.reason.as_str(), reject.record.clone()))
        .collect();
    assert_eq!(
        reasons,
        [
            (4, "3 cells where the header has 10", "u1,buy,2024-01-01".into()),
            (5, "what is missing", "u2,,2024-01-01,s,1,1,1,1,1,1".into()),
        ]
    );
    assert_eq!(
        fixture.rows("select event, distinct_id, \"$session_id\", properties from events").await,
        r#"buy|u1|s|{"number":12,"decimal":-1.5,"padded":"007","quoted":"a \"b\"\nc","flag":"true"}"#
    );
}

#[tokio::test]
async fn equal_lines_of_a_file_are_different_events_once() {
    let fixture = Fixture::new().await;
    let three = [line("a", 1), line("a", 1), line("b", 1), line("a", 1)].join("\n");
    assert_eq!(counts(&fixture.import_text("1.json", &three).await), (4, 0, 0));
    assert_eq!(counts(&fixture.import_text("2.json", &three).await), (0, 4, 0));
    let five = [three, line("a", 1)].join("\n");
    assert_eq!(counts(&fixture.import_text("3.json", &five).await), (1, 4, 0));
}

#[tokio::test]
async fn an_event_is_known_by_uuid_and_timestamp_within_its_project() {
    let fixture = Fixture::new().await;
    let uuid = r#"{"uuid":"0190a1b2-0000-7000-8000-000000000001","#;
    let event = |second| line("a", second).replacen('{', uuid, 1);
    let twice = [event(1), event(2), event(1)].join("\n");
    assert_eq!(counts(&fixture.import_text("1.json", &twice).await), (2, 1, 0));
    let other = fixture.store.create_project("other").await.unwrap();
    let sources = vec![Source::Path(fixture.file("2.json", &twice))];
    let report =
        import(&fixture.store, other, sources, ImportOptions::default(), &mut ()).await.unwrap();
    assert_eq!(counts(&report), (2, 1, 0));
    assert_eq!(fixture.count().await, 2);
}

#[tokio::test]
async fn parquet_files_are_imported_too() {
    let fixture = Fixture::new().await;
    let event = r#"{"event":"a","distinct_id":"d","timestamp":"2024-01-01T00:00:01.5Z","properties":{"n":1.0,"s":"é"}}"#;
    assert_eq!(counts(&fixture.import_text("1.json", event).await), (1, 0, 0));
    // A file of the store is a Parquet file like any other; its uuids are known.
    let files = std::fs::read_dir(fixture.folder.path().join("data/events")).unwrap();
    let stored = files
        .flatten()
        .map(|file| file.path())
        .find(|path| path.extension() == Some("parquet".as_ref()))
        .unwrap();
    let report = fixture.import(&stored, ImportOptions::default()).await.unwrap();
    assert_eq!(counts(&report), (0, 1, 0));

    let other = Fixture::new().await;
    let report = other.import(&stored, ImportOptions::default()).await.unwrap();
    assert_eq!(counts(&report), (1, 0, 0));
    let all = "select * from events";
    assert_eq!(other.rows(all).await, fixture.rows(all).await);
}

#[tokio::test]
async fn small_buffers_give_the_same_events() {
    let fixture = Fixture::new().await;
    let lines: Vec<_> = (0..5000)
        .map(|n| {
            format!(
                r#"{{"event":"e{}","distinct_id":"d{}","timestamp":{},"properties":{{"n":{}}}}}"#,
                n % 3,
                n % 100,
                1_700_000_000 + n % 50,
                n % 2500
            )
        })
        .collect();
    let path = fixture.file("many.json", lines.join("\n"));
    let options = ImportOptions { buffer_bytes: 1, ..ImportOptions::default() };
    let report = fixture.import(&path, options.clone()).await.unwrap();
    assert_eq!(counts(&report), (5000, 0, 0));
    assert_eq!(counts(&fixture.import(&path, options).await.unwrap()), (0, 5000, 0));
    let sorted = "select event, count(*), count(distinct uuid) from events group by 1 order by 1";
    assert_eq!(fixture.rows(sorted).await, "e0|1667|1667\ne1|1667|1667\ne2|1666|1666");
}

/// A stream that says when it is first read and ends only when it is told to.
struct Gated {
    content: Cursor<String>,
    started: Option<oneshot::Sender<()>>,
    release: mpsc::Receiver<()>,
}

impl Read for Gated {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if let Some(started) = self.started.take() {
            started.send(()).unwrap();
        }
        match self.content.read(buffer)? {
            0 => {
                self.release.recv().unwrap();
                Ok(0)
            }
            count => Ok(count),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_overtaken_by_another_still_lands_without_duplicates() {
    let fixture = Fixture::new().await;
    let location = Location::from(fixture.folder.path().join("data").as_path());
    let other = EventStore::open(&location).await.unwrap();
    let text = |from: u32| (from..from + 30).map(|n| line("a", n)).collect::<Vec<_>>().join("\n");
    let (started, is_started) = oneshot::channel();
    let (release, released) = mpsc::channel();
    let reader = Gated { content: Cursor::new(text(0)), started: Some(started), release: released };
    let slow = [Source::Reader { name: "slow".to_owned(), reader: Box::new(reader) }];
    let project = fixture.project;
    let slow = tokio::spawn(async move {
        import(&other, project, slow.into(), ImportOptions::default(), &mut ()).await
    });
    is_started.await.unwrap();
    assert_eq!(counts(&fixture.import_text("fast.json", text(20)).await), (30, 0, 0));
    release.send(()).unwrap();
    assert_eq!(counts(&slow.await.unwrap().unwrap()), (20, 10, 0));
    assert_eq!(fixture.count().await, 50);
}

#[tokio::test]
async fn files_without_a_commit_are_invisible() {
    let fixture = Fixture::new().await;
    fixture.import_text("1.json", line("a", 1)).await;
    // What a crash before the commit leaves behind.
    let events = fixture.folder.path().join("data/events");
    let committed = std::fs::read_dir(&events)
        .unwrap()
        .flatten()
        .map(|file| file.path())
        .find(|path| path.extension() == Some("parquet".as_ref()))
        .unwrap();
    std::fs::copy(&committed, events.join("orphan.parquet")).unwrap();
    std::fs::write(events.join("half.parquet#12300000001"), "PAR1").unwrap();
    std::fs::write(events.join("_delta_log/00000000000000000002.json#12300000001"), "{").unwrap();
    let location = Location::from(fixture.folder.path().join("data").as_path());
    let reopened = EventStore::open(&location).await.unwrap();
    let rows = sql_in(&reopened, fixture.project, "select * from events").await;
    assert_eq!(rows.iter().map(|batch| batch.num_rows()).sum::<usize>(), 1);
    assert_eq!(counts(&fixture.import_text("2.json", line("b", 1)).await), (1, 0, 0));
}

#[tokio::test]
async fn an_observer_can_stop_an_import() {
    /// Cannot write its rejects.
    struct Full;
    impl Observer for Full {
        fn rejected(&mut self, _reject: &Reject) -> Result<()> {
            Err(Error::new(ErrorKind::InvalidInput, "the disk is full"))
        }
    }
    let fixture = Fixture::new().await;
    let path = fixture.file("1.json", format!("{}\nbad\n", line("a", 1)));
    let sources = vec![Source::Path(path)];
    let options = ImportOptions::default();
    let error = import(&fixture.store, fixture.project, sources, options, &mut Full).await;
    assert_eq!(error.unwrap_err().message, "the disk is full");
    assert_eq!(fixture.count().await, 0);
}

#[tokio::test]
async fn lines_without_end_are_set_aside_and_quotes_without_end_are_an_error() {
    let fixture = Fixture::new().await;
    let endless = || std::io::repeat(b'x').take(65 << 20);
    let run = async |format, start: String, end: String| {
        let reader = Cursor::new(start).chain(endless()).chain(Cursor::new(end));
        let sources = vec![Source::Reader { name: "endless".to_owned(), reader: Box::new(reader) }];
        let options = ImportOptions { format: Some(format), ..ImportOptions::default() };
        import(&fixture.store, fixture.project, sources, options, &mut ()).await
    };
    let json = run(Format::Json, line("a", 1) + "\n", format!("\n{}", line("b", 1))).await.unwrap();
    assert_eq!(counts(&json), (2, 0, 1));
    assert_eq!(json.first_rejects[0].line, 2);
    assert_eq!(json.first_rejects[0].reason, "the line is longer than 64 MiB");

    let header = "event,distinct_id,timestamp\n\"".to_owned();
    let error = run(Format::Csv, header, String::new()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidInput);
    assert!(error.message.ends_with("is a quote left open?"), "{}", error.message);
}

#[tokio::test]
async fn brackets_without_end_are_no_event() {
    let fixture = Fixture::new().await;
    let nothing = "[".repeat(1_000_000);
    assert_eq!(counts(&fixture.import_text("open.json", nothing).await), (0, 0, 1));
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipe_is_read_as_a_stream() {
    let fixture = Fixture::new().await;
    let pipe = fixture.folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let target = pipe.clone();
    let writer = std::thread::spawn(move || std::fs::write(target, line("a", 1)).unwrap());
    let report = fixture.import(&pipe, ImportOptions::default()).await.unwrap();
    writer.join().unwrap();
    assert_eq!(counts(&report), (1, 0, 0));
}
