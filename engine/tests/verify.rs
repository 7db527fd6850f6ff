//! Damage of every kind is found, with the name of the file; what is sound is left in peace.

#![expect(clippy::unwrap_used, reason = "a failure here is the test failing")]

mod fixture;
mod foreign;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fixture::Fixture;
use foreign::Event;
use hedgerow_engine::ingest::IngestOptions;
use hedgerow_engine::storage::{Effort, MaintainOptions};
use hedgerow_engine::verify::{Finding, Remark, VerifyReport, verify};
use hedgerow_engine::{Engine, EngineOptions, Location, SessionOptions};
use hedgerow_parser::Dialect;
use serde_json::Value;

fn data(fixture: &Fixture) -> PathBuf {
    fixture.folder.path().join("data")
}

/// What is found in a data folder: problems as they are, notes with a word before.
async fn findings(data: &Path) -> (Vec<String>, VerifyReport) {
    let mut found = Vec::new();
    let mut see = |finding| {
        found.push(match finding {
            Finding::Problem(Remark { file, what }) => format!("{file}: {what}"),
            Finding::Note(Remark { file, what }) => format!("note {file}: {what}"),
        });
    };
    let report = verify(&Location::from(data), &mut see).await.unwrap();
    (found, report)
}

fn lines(day: u32, count: u32) -> String {
    let line = |n: u32| {
        format!(
            r#"{{"uuid":"00000000-0000-4000-8000-{day:04x}{n:08x}","event":"e{}","distinct_id":"u{}","timestamp":"2026-01-0{day}T00:00:{:02}Z","$session_id":"s","properties":{{"n":{n},"price":{n}.25,"a.b":"x{}","ok":true,"$session_id":"s","o":{{"k":"v{n}"}},"list":[{n}],"half":1.0}}}}"#,
            n % 3,
            n % 17,
            n % 60,
            n % 7
        )
    };
    (0..count).map(line).collect::<Vec<_>>().join("\n")
}

/// A store with events of two days, in a file each.
async fn two_days() -> Fixture {
    let fixture = Fixture::new().await;
    fixture.import_text("1.ndjson", lines(1, 300)).await;
    fixture.import_text("2.ndjson", lines(2, 200)).await;
    fixture
}

/// The files of `events` that the log names, in order.
fn parts(data: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(data.join("events")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|name| name == "parquet")).collect();
    files.sort();
    files
}

fn name(part: &Path) -> String {
    format!("events/{}", part.file_name().unwrap().to_str().unwrap())
}

/// Changes what the log says of its first added file.
fn change_log(data: &Path, change: impl Fn(&mut Value)) {
    let log = data.join("events/_delta_log");
    for version in 1.. {
        let path = log.join(format!("{version:020}.json"));
        let text = fs::read_to_string(&path).unwrap();
        let mut actions: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let Some(add) = actions.iter_mut().find_map(|action| action.get_mut("add")) else {
            continue;
        };
        change(add);
        let lines: Vec<_> = actions.iter().map(Value::to_string).collect();
        return fs::write(path, lines.join("\n")).unwrap();
    }
}

/// One problem, about the first of two files.
async fn check_broken(break_it: impl Fn(&Path, &Path), expected: &str) {
    let fixture = two_days().await;
    let data = data(&fixture);
    let part = parts(&data)[0].clone();
    break_it(&data, &part);
    let (found, report) = findings(&data).await;
    assert_eq!(report.problems, 1, "{expected}: {found:?}");
    let problem = found.iter().find(|line| !line.starts_with("note ")).unwrap();
    assert!(problem.starts_with(&name(&part)) && problem.contains(expected), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_store_is_left_in_peace() {
    let fixture = two_days().await;
    let data = data(&fixture);
    let session = fixture.session(EngineOptions::default()).await;
    session.query("create table t as select uuid, event from events").await.unwrap();
    fixture.store.add_token("phc_1", fixture.project).await.unwrap();
    let (found, report) = findings(&data).await;
    assert_eq!(found, [] as [&str; 0]);
    assert_eq!((report.files, report.events, report.tables), (3, 500, 1));
    assert_eq!((report.records, report.problems), (Some(0), 0));

    // Files that were replaced stay for a while, and nobody is troubled by them.
    fixture.import_text("3.ndjson", lines(1, 320)).await;
    let full = MaintainOptions { effort: Effort::Full, ..MaintainOptions::default() };
    assert!(fixture.store.maintain(&full).await.unwrap().rewritten > 0);
    let (found, report) = findings(&data).await;
    assert_eq!(found, [] as [&str; 0]);
    assert_eq!(report.events, 520);

    fs::write(data.join("events/left.parquet"), "x").unwrap();
    let (found, report) = findings(&data).await;
    assert_eq!(found, ["note events/left.parquet: no commit names it; it has 1 bytes"]);
    assert_eq!(report.problems, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_to_a_file_is_found() {
    let flip = |at: fn(usize) -> usize| {
        move |_: &Path, part: &Path| {
            let mut bytes = fs::read(part).unwrap();
            let at = at(bytes.len());
            bytes[at] ^= 1;
            fs::write(part, bytes).unwrap();
        }
    };
    check_broken(flip(|_| 4), "its checksum is").await;
    check_broken(flip(|length| length / 2), "its checksum is").await;
    check_broken(flip(|length| length - 1), "its checksum is").await;
    let cut = |_: &Path, part: &Path| {
        let bytes = fs::read(part).unwrap();
        fs::write(part, &bytes[..bytes.len() / 2]).unwrap();
    };
    check_broken(cut, "by the log").await;
    check_broken(|_, part| fs::remove_file(part).unwrap(), "it is not there").await;
    // As another tool would have written it: without a checksum.
    let undecodable = |data: &Path, part: &Path| {
        change_log(data, |add| add["tags"] = Value::Null);
        let length = fs::read(part).unwrap().len();
        fs::write(part, vec![0; length]).unwrap();
    };
    check_broken(undecodable, "its footer cannot be read").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_wrong_about_a_file_is_found() {
    for (part_of, name, value, expected) in [
        ("", "numRecords", 299.into(), "300 rows, by the log 299"),
        ("/minValues", "timestamp", "2026-01-01T00:00:05.000000Z".into(), "timestamp has values"),
        ("/nullCount", "event", 1.into(), "event is NULL in 0 rows"),
    ] {
        let state = |data: &Path, _: &Path| {
            change_log(data, |add| {
                let text = add["stats"].as_str().unwrap();
                let mut stated: Value = serde_json::from_str(text).unwrap();
                stated.pointer_mut(part_of).unwrap()[name] = Value::clone(&value);
                add["stats"] = Value::String(stated.to_string());
            });
        };
        check_broken(state, expected).await;
    }
    check_broken(|data, _| change_log(data, |add| add["size"] = 5.into()), "by the log 5").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_events_are_not_missed() {
    let fixture = two_days().await;
    let data = data(&fixture);
    let session = fixture.session(EngineOptions::default()).await;
    session.query("delete from events where properties.n < 7").await.unwrap();
    fixture.import_text("again.ndjson", lines(1, 3)).await;
    let (found, report) = findings(&data).await;
    assert_eq!(found, [] as [&str; 0]);
    assert_eq!(report.events, 500 - 14 + 3);

    let mutations = fs::read_dir(data.join("mutations/1")).unwrap();
    let mutation = mutations.map(|entry| entry.unwrap().path()).next().unwrap();
    let sound = fs::read(&mutation).unwrap();
    fs::write(&mutation, "{").unwrap();
    let (found, _) = findings(&data).await;
    assert!(found.len() == 1 && found[0].starts_with("mutations/1: "), "{found:?}");
    fs::write(&mutation, sound).unwrap();

    let full = MaintainOptions { effort: Effort::Full, ..MaintainOptions::default() };
    fixture.store.maintain(&full).await.unwrap();
    let (found, report) = findings(&data).await;
    assert_eq!((found.len(), report.events), (0, 500 - 14 + 3));

    // The file has no row 4000.
    let deleted = |data: &Path, _: &Path| {
        let row = "1:OjAAAAEAAAAAAAAAEAAAAKAP";
        change_log(data, |add| add["tags"]["hedgerow.deleted"] = row.into());
    };
    check_broken(deleted, "rows after its 300 are deleted").await;
}

fn event(number: u128) -> Event {
    Event {
        uuid: number,
        event: "e".to_owned(),
        distinct_id: "u".to_owned(),
        timestamp_ms: 1_767_225_600_000,
        project: 1,
        properties: "{}".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_other_tools_are_sound_until_they_are_called_sorted() {
    let fixture = Fixture::new().await;
    let data = data(&fixture);
    let rows = foreign::batch(&[event(2), event(1)]);
    foreign::commit(&data, &foreign::in_other_types(&rows), None);
    assert_eq!(findings(&data).await.0, [] as [&str; 0]);
    change_log(&data, |add| add["tags"] = serde_json::json!({ "hedgerow.layout": "1" }));
    let (found, _) = findings(&data).await;
    let expected = "the log calls it sorted, and row 2 comes before the one above it";
    assert!(found.iter().any(|line| line.ends_with(expected)), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_are_there_twice_are_found() {
    let fixture = two_days().await;
    let data = data(&fixture);
    let part = parts(&data)[0].clone();
    fs::copy(&part, data.join("events/again.parquet")).unwrap();
    let log = data.join("events/_delta_log");
    let first = fs::read_to_string(log.join(format!("{:020}.json", 1))).unwrap();
    let add = first.lines().find(|line| line.contains("\"add\"")).unwrap();
    let own = part.file_name().unwrap().to_str().unwrap();
    let next = fs::read_dir(&log).unwrap().count();
    fs::write(log.join(format!("{next:020}.json")), add.replace(own, "again.parquet")).unwrap();
    let (found, report) = findings(&data).await;
    assert_eq!(report.problems, 1, "{found:?}");
    assert!(found[0].contains("300 of its events are in"), "{found:?}");
    assert!(found[0].contains("again.parquet") && found[0].contains(own), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn property_columns_that_differ_from_the_documents_are_found() {
    let fixture = two_days().await;
    let data = data(&fixture);
    let part = parts(&data)[0].clone();
    // The same columns and footer, with other documents.
    let file = fs::File::open(&part).unwrap();
    let options = parquet::arrow::arrow_reader::ArrowReaderOptions::new();
    let builder =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new_with_options(
            file,
            options.with_skip_arrow_metadata(true),
        )
        .unwrap();
    let footer = builder.metadata().file_metadata().key_value_metadata().cloned();
    let batch = builder.with_batch_size(1000).build().unwrap().next().unwrap().unwrap();
    let at = batch.schema().index_of("properties").unwrap();
    let mut columns = batch.columns().to_vec();
    let documents = arrow::array::AsArray::as_string::<i32>(&columns[at]).iter();
    let documents = documents.map(|text| text.map(|text| text.replace("\"x3\"", "\"y3\"")));
    columns[at] = std::sync::Arc::new(documents.collect::<arrow::array::StringArray>());
    let changed = arrow::array::RecordBatch::try_new(batch.schema(), columns).unwrap();
    let properties = parquet::file::properties::WriterProperties::builder()
        .set_key_value_metadata(footer)
        .build();
    let mut bytes = Vec::new();
    let options = parquet::arrow::arrow_writer::ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(true);
    let mut writer =
        parquet::arrow::ArrowWriter::try_new_with_options(&mut bytes, changed.schema(), options)
            .unwrap();
    writer.write(&changed).unwrap();
    writer.close().unwrap();
    fs::write(&part, &bytes).unwrap();
    change_log(&data, |add| {
        add["size"] = bytes.len().into();
        add["tags"].as_object_mut().unwrap().remove("hedgerow.crc32c");
    });
    let (found, _) = findings(&data).await;
    let expected = format!("{}: __p_s__a%2Eb do not say what properties says", name(&part));
    assert_eq!(found, [expected]);
}

#[tokio::test(flavor = "multi_thread")]
async fn small_files_are_read() {
    let fixture = two_days().await;
    let data = data(&fixture);
    let session = fixture.session(EngineOptions::default()).await;
    session.query("create table t as select 1 as a").await.unwrap();
    fixture.store.add_token("phc_1", fixture.project).await.unwrap();
    for (file, said) in [
        ("tokens/phc_1.json", "tokens: tokens/phc_1.json is damaged"),
        ("definitions/1/00000000000000000001.json", "is damaged"),
        ("projects/1.json", "projects: projects/1.json is damaged"),
        ("hedgerow.json", "hedgerow.json is damaged"),
        ("events/_delta_log/00000000000000000000.json", "cannot use the log"),
    ] {
        let path = data.join(file);
        let sound = fs::read(&path).unwrap();
        fs::write(&path, "{").unwrap();
        let (found, report) = findings(&data).await;
        assert!(report.problems >= 1, "{file}");
        assert!(found.iter().any(|line| line.contains(said)), "{found:?}");
        fs::write(&path, sound).unwrap();
    }
    let tables = fs::read_dir(data.join("tables")).unwrap();
    let table = tables.map(|entry| entry.unwrap().path()).next().unwrap();
    fs::remove_dir_all(table).unwrap();
    let (found, _) = findings(&data).await;
    assert!(found.len() == 1 && found[0].contains("the table t"), "{found:?}");
    let error = verify(&Location::from(data.join("none").as_path()), &mut |_| ()).await;
    assert!(error.unwrap_err().message.starts_with("no data folder"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_write_ahead_log_is_read_when_nobody_has_it() {
    let fixture = two_days().await;
    let data = data(&fixture);
    let location = Location::from(data.as_path());
    let ingest = IngestOptions { flush_after: Duration::from_hours(1), ..IngestOptions::default() };
    let engine =
        Engine::open_for_ingest(&location, EngineOptions::default(), ingest).await.unwrap();
    let options = SessionOptions { project: "default".to_owned(), dialect: Dialect::Hogql };
    let session = engine.session(options).await.unwrap();
    for n in 0..3 {
        let sql = format!("insert into events (event, distinct_id) values ('w{n}', 'u')");
        session.query(&sql).await.unwrap();
    }
    let (found, report) = findings(&data).await;
    assert_eq!(found, ["note wal: left out: a server has it open"]);
    assert_eq!(report.records, None);
    engine.close().await;
    drop((session, engine));

    let wal = data.join("wal");
    let listed = || {
        let files = fs::read_dir(&wal).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files.map(|path| (fs::read(&path).unwrap(), path)).collect();
        files.sort();
        files
    };
    let before = listed();
    let (found, report) = findings(&data).await;
    assert_eq!((found.len(), report.records), (0, Some(3)));
    assert!(listed() == before);

    let (bytes, segment) =
        before.iter().find(|(_, path)| path.extension().is_some_and(|e| e == "wal")).unwrap();
    // What a crash leaves at the end.
    fs::write(segment, [bytes.as_slice(), &[7; 10]].concat()).unwrap();
    let (found, report) = findings(&data).await;
    assert!(found.len() == 1 && found[0].ends_with("of a write that was cut off"), "{found:?}");
    assert_eq!((report.records, report.problems), (Some(3), 0));
    let mut damaged = bytes.clone();
    damaged[bytes.len() / 3] ^= 1;
    fs::write(segment, &damaged).unwrap();
    let (found, report) = findings(&data).await;
    assert_eq!(report.problems, 1, "{found:?}");
    let file = segment.file_name().unwrap().to_str().unwrap();
    assert!(found[0].contains(file) && found[0].contains("damaged"), "{found:?}");
    assert!(fs::read(segment).unwrap() == damaged);
}
