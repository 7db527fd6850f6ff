//! One table of files that lay the same properties out in different ways, against one file that
//! has only the documents: every query gives the same answer over both.

#![expect(clippy::unwrap_used, reason = "a failure here is the test failing")]

mod fixture;
mod foreign;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use fixture::{Fixture, text};
use foreign::Event;
use futures::TryStreamExt;
use hedgerow_engine::ingest::ImportOptions;
use hedgerow_engine::storage::{Effort, MaintainOptions};
use hedgerow_engine::{EngineOptions, ProjectId, Session};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::KeyValue;
use serde_json::Value;
use uuid::Uuid;

/// Events in each file.
const ROWS: usize = 60;

/// The documents of one file, by the number of the row.
type Layout = fn(usize) -> String;

/// A file each; [`mixed`] adds some of other tools.
const LAYOUTS: [(&str, Layout); 10] = [
    ("every value in a column of its own", |n| {
        format!(
            r#"{{"plan":"{}","n":{n},"ok":{},"o":{{"k":"v{}","deep":{{"x":{n}.5}}}},"tags":["a",{n}],"a.b":"dot","Ключ":"да"}}"#,
            ["free", "team", "pro"][n % 3],
            n % 2 == 0,
            n % 5
        )
    }),
    ("values that columns do not give back", |n| {
        let number = ["1", "1.0", "1e0", "1.50", "-0", "123456789012345678901234567890"][n % 6];
        let plan = [r#""""#, "null", r#""te\u0061m""#, r#""team""#, r#""\"team\"""#][n % 5];
        format!(r#"{{"n":{number},"plan":{plan},"o":{{"k":{number},"deep":{{"x":{number}}}}}}}"#)
    }),
    ("none of the keys", |n| match n % 3 {
        0 => "{}".to_owned(),
        _ => format!(r#"{{"other":{n}}}"#),
    }),
    ("keys that more frequent ones have crowded out of columns", |n| {
        let frequent: Vec<_> = (0..200).map(|key| format!(r#""f{key:03}":{n}"#)).collect();
        let rare = match n % 2 {
            0 => format!(r#","plan":"team","n":{n},"ok":true,"o":{{"k":"v1","deep":{{"x":7}}}}"#),
            _ => String::new(),
        };
        format!("{{{}{rare}}}", frequent.join(","))
    }),
    ("more keys than a footer lists", |n| {
        let many: Vec<_> = (0..50).map(|key| format!(r#""k{n}_{key}":{key}"#)).collect();
        match n {
            17 => format!(r#"{{{},"plan":"team","zebra":"seen"}}"#, many.join(",")),
            _ => format!("{{{}}}", many.join(",")),
        }
    }),
    ("values of several types under each key", |n| {
        let value = [r#""team""#, "5", "true", r#""5""#, r#""true""#, "2.5", r#""nan""#][n % 7];
        format!(r#"{{"plan":{value},"n":{value},"ok":{value},"o":{value}}}"#)
    }),
    ("objects, arrays and scalars at the same place", |n| {
        let value = [
            r#"{"k":"v1","deep":{"x":3}}"#,
            r#"{"k":{"deeper":"v2"},"deep":[1,{"x":4}]}"#,
            r#"[{"k":"v3"}]"#,
            r#""o""#,
            "null",
            r#"{"k":null,"k":"v4"}"#,
        ][n % 6];
        format!(r#"{{ "o" : {value} , "plan" : {value} }}"#)
    }),
    ("keys that come twice", |n| {
        let twice = [
            r#""plan":"free","plan":"team""#,
            r#""plan":{"k":1},"pl\u0061n":"team""#,
            r#""plan":"team","plan":null"#,
            r#""o":{"k":"v1"},"o":{"deep":{"x":1}}"#,
            r#""n":1,"n":1.0"#,
            r#""n":"x","n":2"#,
        ][n % 6];
        format!("{{{twice}}}")
    }),
    ("text that is long, odd or of another script", |n| {
        let value = [
            r"\ud83e\udd94",
            "🦔",
            r#"\"\\\/\b\f\n\r\t"#,
            "שלום",
            "%team_",
            " team",
            r"\ud83d",
            "team",
        ][n % 8];
        let long = "x".repeat(n * 40);
        format!(r#"{{"plan":"{value}","long":"{value}{long}","Ключ":"{value}","":"{n}"}}"#)
    }),
    ("text that columns of events hold too, or something else there", |n| {
        let session = [r#""s1""#, r#""s2""#, "5", "null", r#""""#, r#"{"k":1}"#, "true"][n % 7];
        let window = [r#""w0""#, r#""w1""#, r#""\u0077\u0031""#, "1.0"][n % 4];
        match n % 5 {
            0 => r#"{"plan":"team"}"#.to_owned(),
            1 => format!(r#"{{"$session_id":"s0","$session_id":{session}}}"#),
            _ => format!(r#"{{"$session_id":{session},"$window_id":{window}}}"#),
        }
    }),
];

/// Queries whose rows may come in any order.
const QUERIES: &[&str] = &[
    "select count() from events",
    "select uuid, properties from events",
    "select uuid, properties.plan, properties.n, properties.ok from events",
    "select uuid, properties.o, properties.tags, properties.other from events",
    "select uuid, properties.o.k, properties.o.deep.x, properties.o.deep from events",
    "select uuid, properties.plan.k, properties.tags.1, properties.missing.key from events",
    "select uuid, properties['a.b'], properties.a.b, properties.`Ключ`, properties[''] from events",
    "select uuid from events where properties.plan = 'team'",
    "select uuid from events where properties.plan != 'team'",
    "select uuid from events where 'team' = properties.plan and event = 'e1'",
    "select uuid from events where properties.plan in ('team', 'free', '5')",
    "select uuid from events where properties.plan not in ('team', 'free')",
    "select uuid from events where properties.plan is null",
    "select uuid from events where properties.plan is not null and properties.o is null",
    "select uuid from events where properties.plan like 't%m'",
    "select uuid from events where properties.plan not like '%e%'",
    "select uuid from events where properties.plan ilike '%TEAM%'",
    "select uuid from events where match(properties.plan, '^.?te[a-z]m')",
    "select uuid from events where properties.plan > 'free' and properties.plan <= 'team'",
    "select uuid from events where properties.plan between 'a' and 'z'",
    "select uuid from events where lower(properties.plan) = 'team' or properties.ok = 'true'",
    "select uuid from events where properties.plan = properties.o",
    "select uuid from events where properties.plan = '' or properties.zebra = 'seen'",
    "select uuid from events where properties.n = '1'",
    "select uuid from events where properties.n = '1.0'",
    "select uuid from events where toFloat(properties.n) = 1 and toString(properties.n) != '1'",
    "select uuid, toFloat(properties.n), toInt(properties.n) from events",
    "select uuid from events where toFloat(properties.n) > 3",
    "select uuid from events where toFloat(properties.n) between 1 and 2.5",
    "select uuid from events where toFloat(properties.n) is null and properties.n is not null",
    "select uuid from events where toInt(properties.n) in (1, 5, 7)",
    "select uuid from events where properties.o.k = 'v1'",
    "select uuid from events where properties.o.deep.x >= '3' or properties.o.k is null",
    "select uuid from events where toFloat(properties.o.deep.x) < 10",
    "select uuid from events where properties.zebra = 'seen' or properties.k3_7 = '7'",
    "select uuid from events where properties.f007 = '7' or properties.f199 in ('3', '4')",
    "select uuid from events where length(properties.long) > 1000",
    "select uuid, properties.$session_id, properties.$window_id, toFloat(properties.$session_id) from events",
    "select uuid from events where properties.$session_id = 's1' or properties.$window_id = 'w1'",
    "select uuid from events where properties.$session_id is null and properties.$window_id is not null",
    "select uuid, JSONExtractString(properties, '$session_id'), properties ->> '$session_id', properties ->> '$window_id' from events",
    "select properties.$session_id as s, properties.$window_id as w, count() from events group by s, w",
    "select uuid, JSONExtractString(properties, 'plan'), JSONExtractString(properties, 'o', 'k') from events",
    "select uuid, JSONExtractFloat(properties, 'n'), JSONExtractInt(properties, 'n') from events",
    "select uuid, JSONExtractBool(properties, 'ok'), JSONExtractRaw(properties, 'o') from events",
    "select uuid, JSONHas(properties, 'plan'), JSONType(properties, 'plan'), JSONLength(properties) from events",
    "select uuid, JSONExtract(properties, 'n', 'Nullable(Int64)'), JSONExtract(properties, 'tags', 'Array(String)') from events",
    "select uuid, JSONExtractKeys(properties), JSONExtractArrayRaw(properties, 'tags') from events",
    "select uuid from events where JSONExtractString(properties, 'plan') = ''",
    "select uuid from events where JSONExtractFloat(properties, 'n') = 0",
    "select uuid from events where JSONExtractString(properties, 'o', 'deep', 'x') = '7'",
    "select uuid, properties ->> 'plan', properties.o ->> 'k', jsonb_extract_path_text(properties, 'o', 'deep') from events",
    "select uuid from events where properties ->> 'plan' = 'team' or properties ->> 'plan' = ''",
    "select uuid from events where properties ->> 'plan' is null",
    "select uuid from events where (properties ->> 'n')::float > 2",
    "select properties.plan as p, count(), count(distinct distinct_id) from events group by p",
    "select properties.o.k as k, properties.ok as ok, count() from events group by k, ok",
    "select properties.n as n, min(uuid), max(properties.plan) from events group by n having count() > 1",
    "select event, uniq(properties.plan), countIf(properties.plan = 'team'), countIf(properties.ok = 'true') from events group by event",
    "select sumIf(toFloat(properties.n), toFloat(properties.n) < 1000), avgIf(toInt(properties.o.deep.x), properties.o.deep.x = '7') from events",
    "select count(properties.plan), count(properties.n), count(properties.o.k), count(properties.missing) from events",
    "select distinct properties.plan from events",
    "select if(properties.plan = 'team', 't', coalesce(properties.plan, 'none')) as c, count() from events group by c",
    "select a.uuid, b.uuid from events a join events b on a.properties.o.k = b.properties.o.k and a.properties.plan != b.properties.plan where a.event = 'e1'",
    "select uuid from events where properties.plan in (select properties.plan from events where properties.ok = 'true')",
    "select uuid from events where timestamp >= toDateTime('2026-01-03 00:00:10') and timestamp < toDateTime('2026-01-07 00:00:05') and properties.plan = 'team'",
    "select distinct_id, groupArray(properties.plan) from (select distinct_id, properties, timestamp from events order by timestamp, uuid) group by distinct_id",
];

/// Queries that say in which order rows come.
const ORDERED: &[&str] = &[
    "select uuid from events order by timestamp desc, uuid limit 25",
    "select uuid, properties.plan from events order by properties.plan nulls last, uuid",
    "select uuid, toFloat(properties.n) as n from events where n < 1e9 order by n desc, uuid limit 40",
    "select uuid from events where properties.plan = 'team' order by timestamp, uuid limit 7 offset 3",
    "select properties.o.k as k, count() as c from events group by k order by c desc, k limit 5",
    "select uuid, lag(properties.plan) over (partition by distinct_id order by timestamp, uuid) as before from events order by uuid",
];

/// What a session reads keys as.
const AS_TEXT: &str = "{}";
const TYPED: &str = r#"{"plan": "String", "n": "Numeric", "ok": "Boolean", "o": "String"}"#;

/// A day for each file, from 2026-01-01 on.
fn events(file: usize, project: ProjectId, layout: Layout) -> Vec<Event> {
    let event = |row| Event {
        uuid: 0x4000_8000_0000_0000_0000 + (file * ROWS + row) as u128,
        event: format!("e{}", row % 3),
        distinct_id: format!("u{}", row % 11),
        timestamp_ms: 1_767_225_600_000 + (file * 86_400_000 + row * 1_250) as i64,
        project: project.0,
        properties: layout(row),
    };
    (0..ROWS).map(event).collect()
}

fn line(event: &Event) -> String {
    let Event { uuid, event, distinct_id, timestamp_ms, properties, .. } = event;
    let uuid = Uuid::from_u128(*uuid);
    format!(
        r#"{{"uuid":"{uuid}","event":"{event}","distinct_id":"{distinct_id}","timestamp":{timestamp_ms},"$window_id":"w1","properties":{properties}}}"#
    )
}

async fn import(fixture: &Fixture, events: &[Event]) {
    let lines: Vec<_> = events.iter().map(line).collect();
    let file = fixture.file("events.json", lines.join("\n"));
    let options = ImportOptions { strict: true, maintain: false, ..ImportOptions::default() };
    assert_eq!(fixture.import(&file, options).await.unwrap().imported, events.len() as u64);
}

fn data(fixture: &Fixture) -> PathBuf {
    fixture.folder.path().join("data")
}

/// The Parquet files of a store, the oldest first.
fn files(fixture: &Fixture) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(data(fixture).join("events")).unwrap();
    let mut files: Vec<_> = folder
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|name| name == "parquet"))
        .collect();
    files.sort();
    files
}

/// What the footer of a file says of its layout.
fn layout(file: &Path) -> Value {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap();
    let footer = reader.metadata().file_metadata().key_value_metadata().unwrap();
    let layout = footer.iter().find(|entry| entry.key == "hedgerow.shredded").unwrap();
    serde_json::from_str(layout.value.as_ref().unwrap()).unwrap()
}

/// All rows of a file and its footer, without the columns that a tool has dropped.
fn without(file: &Path, dropped: impl Fn(&str) -> bool) -> (RecordBatch, Vec<KeyValue>) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap();
    let footer = reader.metadata().file_metadata().key_value_metadata().unwrap().clone();
    let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    let [whole] = batches.as_slice() else { panic!("{} batches", batches.len()) };
    let schema = whole.schema();
    let kept = (0..whole.num_columns()).filter(|column| !dropped(schema.field(*column).name()));
    (whole.project(&kept.collect::<Vec<_>>()).unwrap(), footer)
}

/// A store with a file of every layout, and all of its events.
async fn mixed() -> (Fixture, Vec<Event>) {
    let fixture = Fixture::new().await;
    let other = fixture.store.create_project("other").await.unwrap();
    let mut all = Vec::new();
    let mut add = |events: Vec<Event>| {
        let range = all.len()..all.len() + events.len();
        all.extend(events);
        all[range].to_vec()
    };
    for (file, (_, layout)) in LAYOUTS.iter().enumerate() {
        import(&fixture, &add(events(file, fixture.project, *layout))).await;
    }
    let own = |file: usize, layout: usize| events(file, fixture.project, LAYOUTS[layout].1);
    let next = LAYOUTS.len();
    // Another tool's types.
    let rows = foreign::batch(&add([own(next, 0), own(next + 1, 1)].concat()));
    foreign::commit(&data(&fixture), &foreign::in_other_types(&rows), None);
    // One file for two projects.
    let mut shared = add(own(next + 2, 5));
    shared.extend(events(next + 3, other, LAYOUTS[5].1));
    foreign::commit(&data(&fixture), &foreign::batch(&shared), None);
    // Our own file, of which a tool has kept the footer but not all columns.
    for (file, dropped) in [(next + 4, "__p_s__"), (next + 5, "__p_rem_")] {
        let donor = Fixture::new().await;
        import(&donor, &add(own(file, 5))).await;
        let (rows, footer) = without(&files(&donor)[0], |name| name.starts_with(dropped));
        foreign::commit(&data(&fixture), &rows, Some(footer));
    }
    (fixture, all)
}

/// The same events in one file that has nothing but the documents.
async fn plain(events: &[Event]) -> Fixture {
    let fixture = Fixture::new().await;
    foreign::commit(&data(&fixture), &foreign::batch(events), None);
    fixture
}

/// The rows of a query, or what is wrong with it.
async fn rows(session: &Session, query: &str) -> Result<Vec<String>, String> {
    let stream = session.query(query).await.map_err(|error| error.to_string())?;
    let batches: Result<Vec<_>, _> = stream.try_collect().await;
    let batches = batches.map_err(|error| error.to_string())?;
    Ok(text(&batches).lines().map(str::to_owned).collect())
}

/// Asks both for all queries, with these types: the queries whose answers differ, or tell nothing.
async fn compare(mixed: &Session, plain: &Session, types: &str) -> Vec<String> {
    let set = format!("set property_types = '{types}'");
    rows(mixed, &set).await.unwrap();
    rows(plain, &set).await.unwrap();
    let any_order = QUERIES.iter().map(|query| (query, false));
    let mut wrong = Vec::new();
    for (query, is_ordered) in any_order.chain(ORDERED.iter().map(|query| (query, true))) {
        let (mut found, mut expected) = (rows(mixed, query).await, rows(plain, query).await);
        if let (false, Ok(found), Ok(expected)) = (is_ordered, &mut found, &mut expected) {
            found.sort();
            expected.sort();
        }
        let tells = expected.as_ref().is_ok_and(|rows| !rows.is_empty() || types != AS_TEXT);
        if found != expected || !tells {
            wrong.push(format!("{query}\n{types}\n{}", difference(&found, &expected)));
        }
    }
    wrong
}

fn difference(
    found: &Result<Vec<String>, String>,
    expected: &Result<Vec<String>, String>,
) -> String {
    let (Ok(found), Ok(expected)) = (found, expected) else {
        return format!("{found:.300?} instead of {expected:.300?}");
    };
    let first = found.iter().zip(expected).find(|(found, expected)| found != expected);
    format!("{} rows instead of {}; first: {first:?}", found.len(), expected.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_layout_answers_like_the_documents() {
    let (mixed, events) = mixed().await;
    let plain = plain(&events).await;
    let session = mixed.session(EngineOptions::default()).await;
    let oracle = plain.session(EngineOptions::default()).await;
    for types in [AS_TEXT, TYPED] {
        let wrong = compare(&session, &oracle, types).await;
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    }

    let everything = MaintainOptions {
        effort: Effort::Full,
        keep: Duration::ZERO,
        ..MaintainOptions::default()
    };
    let report = mixed.store.maintain(&everything).await.unwrap();
    assert_eq!((report.rewritten > 0, report.duplicates), (true, 0));
    assert_eq!(mixed.count().await, events.len() as i64);
    let without_memory = EngineOptions { cache_bytes_max: 0, ..EngineOptions::default() };
    let wrong = compare(&mixed.session(without_memory).await, &oracle, AS_TEXT).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    let others = fixture::sql_in(&mixed.store, ProjectId(2), "select count(*) from events").await;
    assert_eq!(text(&others), ROWS.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_layouts_are_what_they_are_called() {
    let (mixed, _) = mixed().await;
    let layouts: Vec<Value> = files(&mixed)[..LAYOUTS.len()]
        .iter()
        .map(|file| layout(file)["properties"].clone())
        .collect();
    let columns = |file: usize, path: &str| {
        let mut columns = layouts[file]["paths"].get(path)?.clone();
        // Which spellings are lost is another matter.
        columns.as_object_mut()?.remove("lost");
        Some(columns)
    };
    let all = serde_json::json!({"text": true});
    assert_eq!(columns(0, "plan"), Some(all));
    assert_eq!(columns(0, "o.deep.x"), Some(serde_json::json!({"number": true})));
    assert_eq!(columns(0, "a%2Eb"), Some(serde_json::json!({"text": true})));
    // 1.0 and its like stand elsewhere, too: the fifth kind.
    assert_eq!(columns(1, "n"), Some(serde_json::json!({"number": true, "elsewhere": 1 << 4})));
    assert_eq!(columns(2, "plan"), None);
    assert_eq!(columns(3, "plan"), None);
    assert!(layouts[3]["rest"].as_array().unwrap().contains(&"plan".into()));
    assert_eq!(layouts[4]["rest"], Value::Null);
    let several = serde_json::json!({"text": true, "number": true, "boolean": true});
    assert_eq!(columns(5, "plan"), Some(several));
    assert_eq!(columns(9, "$window_id").unwrap()["twin"], "mostly");
}

/// Queries about numbers that their file keeps as decimals, and about what it leaves in documents.
const OF_DECIMALS: &[&str] = &[
    "select uuid, properties.n, properties.price, properties.at from events",
    "select uuid, JSONExtractFloat(properties, 'n'), JSONExtractInt(properties, 'n'), JSONExtractBool(properties, 'n'), JSONType(properties, 'n'), JSONExtractRaw(properties, 'n') from events",
    "select uuid, JSONExtractString(properties, 'price'), toInt(properties.price), JSONHas(properties, 'price') from events",
    "select uuid from events where properties.n = 7",
    "select uuid from events where properties.n > 998.5",
    "select uuid from events where properties.price between 0.29 and 0.31",
    "select uuid from events where properties.price > 9000000",
    "select uuid from events where properties.at >= 1767225610.1",
    "select sum(properties.n), min(properties.price), max(properties.at), count(properties.n) from events",
    "select properties.n, count() from events group by 1",
    "select uuid, properties.$insert_id from events",
    "select uuid from events where properties.$insert_id = 'receipt 17'",
    "select uuid from events where properties.$time >= 1767225610.1",
    "select uuid, JSONExtractKeys(properties), JSONExtractRaw(properties, '$insert_id'), JSONType(properties, '$insert_id') from events",
];

/// Events of one person in the order of time, so that a sample of every fifth row misses the
/// numbers that no column of decimals can hold.
fn of_decimals(project: ProjectId) -> Vec<Event> {
    const ODD: [&str; 8] = ["1.5", "1.0", "-0", "1e3", "12345678901", "0.125", r#""7""#, "null"];
    let event = |row: usize| {
        let fits = row % 50 != 23;
        let odd = ODD[(row / 50) % ODD.len()];
        let n = if fits { (row % 1000).to_string() } else { odd.to_owned() };
        let price = if fits { format!("{}.{}", row % 90, row % 9 + 1) } else { odd.to_owned() };
        let at =
            if fits { format!("1767225{:03}.{}5", row % 1000, row % 10) } else { odd.to_owned() };
        let receipt = match row % 100 {
            17 => r#"{"receipt":17}"#.to_owned(),
            _ => format!(r#""receipt {row}""#),
        };
        Event {
            uuid: 0x4000_8000_0000_0000_0000 + row as u128,
            event: "e".to_owned(),
            distinct_id: "u".to_owned(),
            timestamp_ms: 1_767_225_600_000 + row as i64,
            project: project.0,
            properties: format!(
                r#"{{"n":{n},"price":{price},"at":{at},"$insert_id":{receipt},"$time":{at}}}"#
            ),
        }
    };
    (0..10_000).map(event).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decimals_answer_like_the_documents() {
    let mixed = Fixture::new().await;
    let events = of_decimals(mixed.project);
    import(&mixed, &events).await;
    let footer = layout(&files(&mixed)[0])["properties"].clone();
    // The fourth kind: plain numbers are missing in the columns.
    for path in ["n", "price", "at"] {
        let columns = &footer["paths"][path];
        assert_eq!(columns["number"], true, "{footer}");
        assert_ne!(columns["elsewhere"].as_u64().unwrap() & (1 << 3), 0, "{footer}");
    }
    assert_eq!(footer["left"], serde_json::json!(["$insert_id", "$time"]));
    let file = File::open(&files(&mixed)[0]).unwrap();
    let stored = Arc::clone(ParquetRecordBatchReaderBuilder::try_new(file).unwrap().schema());
    let types = ["n", "price", "at"].map(|path| {
        let column = stored.field_with_name(&format!("__p_n__{path}")).unwrap();
        column.data_type().to_string()
    });
    assert_eq!(types, ["Decimal128(9, 0)", "Decimal128(9, 1)", "Decimal128(16, 2)"]);
    assert!(stored.fields().iter().all(|field| !field.name().contains("insert")));

    let plain = plain(&events).await;
    let session = mixed.session(EngineOptions::default()).await;
    let oracle = plain.session(EngineOptions::default()).await;
    for types in ["{}", r#"{"n": "Numeric", "price": "Numeric", "at": "Numeric"}"#] {
        let set = format!("set property_types = '{types}'");
        rows(&session, &set).await.unwrap();
        rows(&oracle, &set).await.unwrap();
        for query in OF_DECIMALS {
            let (mut found, mut expected) =
                (rows(&session, query).await, rows(&oracle, query).await);
            if let (Ok(found), Ok(expected)) = (&mut found, &mut expected) {
                found.sort();
                expected.sort();
            }
            assert!(found == expected, "{query}\n{types}\n{}", difference(&found, &expected));
        }
    }
}
