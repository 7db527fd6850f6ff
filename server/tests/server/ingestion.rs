//! Bulk ingestion with the Flight SQL client of the Arrow project.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Date32Array, DictionaryArray, FixedSizeBinaryArray, Float64Array,
    Int64Array, LargeStringArray, NullArray, RecordBatch, StringArray, StringViewArray,
    TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray,
};
use arrow::datatypes::Int32Type;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{
    CommandStatementIngest, TableDefinitionOptions, TableExistsOption, TableNotExistOption,
};
use futures::stream;
use tonic::transport::{Channel, Endpoint};

use crate::support::{Running, answers, start_for_ingest};

async fn connect(server: &Running) -> FlightSqlServiceClient<Channel> {
    let endpoint = Endpoint::new(format!("http://{}", server.flight)).unwrap();
    FlightSqlServiceClient::new(endpoint.connect().await.unwrap())
}

fn append() -> CommandStatementIngest {
    CommandStatementIngest {
        table_definition_options: Some(TableDefinitionOptions {
            if_not_exist: TableNotExistOption::Fail.into(),
            if_exists: TableExistsOption::Append.into(),
        }),
        table: "events".to_owned(),
        ..CommandStatementIngest::default()
    }
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .unwrap()
}

async fn ingest(
    server: &Running,
    command: CommandStatementIngest,
    batches: Vec<RecordBatch>,
) -> Result<i64, String> {
    let mut client = connect(server).await;
    let batches = stream::iter(batches.into_iter().map(Ok));
    client.execute_ingest(command, batches).await.map_err(|error| format!("{error:?}"))
}

/// Columns of one row: a good event, with one of them as it is given.
fn row(name: &str, array: ArrayRef) -> RecordBatch {
    row_of("e", name, array)
}

fn row_of(event: &str, name: &str, array: ArrayRef) -> RecordBatch {
    let text = |text: &str| Arc::new(StringArray::from(vec![text])) as ArrayRef;
    let mut columns = vec![("event", text(event)), ("distinct_id", text("u"))];
    columns.retain(|(known, _)| *known != name);
    columns.push((name, array));
    batch(columns)
}

#[tokio::test]
async fn columns_of_many_types() {
    let (server, _folder) = start_for_ingest().await;
    let client = server.client().await;
    const ID: [u8; 16] = [7; 16];
    // 2026-03-01 10:00:00 UTC: date -u -d @1772359200
    const SECONDS: i64 = 1_772_359_200;
    let uuid = "07070707-0707-0707-0707-070707070707";
    let dictionary: DictionaryArray<Int32Type> = vec!["s1"].into_iter().collect();
    let time = format!("toUnixTimestamp(timestamp) = {SECONDS}");
    let midnight = "toString(timestamp) = '2026-03-01 00:00:00'";
    let cases: Vec<(&str, ArrayRef, String)> = vec![
        ("timestamp", Arc::new(TimestampSecondArray::from(vec![SECONDS])), time.clone()),
        (
            "timestamp",
            Arc::new(
                TimestampMillisecondArray::from(vec![SECONDS * 1000]).with_timezone("Asia/Tokyo"),
            ),
            time.clone(),
        ),
        (
            "timestamp",
            Arc::new(
                TimestampNanosecondArray::from(vec![SECONDS * 1_000_000_000 + 999])
                    .with_timezone("+05:30"),
            ),
            time.clone(),
        ),
        ("timestamp", Arc::new(StringViewArray::from(vec!["2026-03-01T12:00:00+02:00"])), time),
        ("timestamp", Arc::new(Date32Array::from(vec![20_513])), midnight.to_owned()),
        (
            "uuid",
            Arc::new(FixedSizeBinaryArray::try_from_iter([ID].into_iter()).unwrap()),
            format!("toString(uuid) = '{uuid}'"),
        ),
        ("uuid", Arc::new(BinaryArray::from_vec(vec![&ID])), format!("toString(uuid) = '{uuid}'")),
        (
            "uuid",
            Arc::new(LargeStringArray::from(vec![uuid])),
            format!("toString(uuid) = '{uuid}'"),
        ),
        (
            "properties",
            Arc::new(StringArray::from(vec!["{\"a\":1}"])),
            "properties.a = 1".to_owned(),
        ),
        ("distinct_id", Arc::new(Int64Array::from(vec![42])), "distinct_id = '42'".to_owned()),
        ("$session_id", Arc::new(dictionary), "\"$session_id\" = 's1'".to_owned()),
        ("person_id", Arc::new(NullArray::new(1)), "true".to_owned()),
        ("team_id", Arc::new(Int64Array::from(vec![1])), "team_id = 1".to_owned()),
    ];
    for (number, (name, array, condition)) in (1..100).zip(cases) {
        let found = format!("{array:?}");
        let event = format!("e{number}");
        let stored = ingest(&server, append(), vec![row_of(&event, name, array)]).await;
        assert_eq!(stored, Ok(1), "{found}");
        let sql =
            format!("select count(), countIf({condition}) from events where event = '{event}'");
        assert_eq!(answers(&client, &sql).await, ["1|1", "#1"], "{found}");
    }
}

#[tokio::test]
async fn several_batches_are_stored_together() {
    let (server, _folder) = start_for_ingest().await;
    let client = server.client().await;
    let batches: Vec<_> = (0..10)
        .map(|n| {
            let ids: Vec<_> = (0..1000).map(|id| format!("u{}", n * 1000 + id)).collect();
            batch(vec![
                ("event", Arc::new(StringArray::from(vec!["bulk"; 1000])) as ArrayRef),
                ("distinct_id", Arc::new(StringArray::from(ids))),
                ("timestamp", Arc::new(TimestampSecondArray::from(vec![1_772_359_200; 1000]))),
            ])
        })
        .collect();
    assert_eq!(ingest(&server, append(), batches.clone()).await, Ok(10_000));
    assert_eq!(ingest(&server, append(), batches).await, Ok(0));
    let facts = "select count(), uniqExact(distinct_id) from events";
    assert_eq!(answers(&client, facts).await, ["10000|10000", "#1"]);
}

#[tokio::test]
async fn what_is_refused() {
    let (server, _folder) = start_for_ingest().await;
    let client = server.client().await;
    client.batch_execute("create table mine (event String)").await.unwrap();
    let good = || row("event", Arc::new(StringArray::from(vec!["e"])));
    let mode = |if_not_exist: TableNotExistOption, if_exists: TableExistsOption| {
        Some(TableDefinitionOptions {
            if_not_exist: if_not_exist.into(),
            if_exists: if_exists.into(),
        })
    };
    use TableExistsOption::{Fail, Replace};
    use TableNotExistOption::Create;
    let with = |change: &dyn Fn(&mut CommandStatementIngest)| {
        let mut command = append();
        change(&mut command);
        command
    };
    for (command, code, message) in [
        (with(&|c| c.table_definition_options = mode(Create, Fail)), "42P07", "already exists"),
        (
            with(&|c| c.table_definition_options = mode(Create, Replace)),
            "0A000",
            "cannot be replaced",
        ),
        (with(&|c| c.table_definition_options = None), "22023", "mode"),
        (with(&|c| c.table = "evnts".to_owned()), "42P01", "no table named evnts"),
        (with(&|c| c.table = "mine".to_owned()), "0A000", "not into mine"),
        (with(&|c| c.schema = Some("system".to_owned())), "42P01", "system.events"),
        (with(&|c| c.catalog = Some("other".to_owned())), "3D000", "other"),
        (with(&|c| c.temporary = true), "0A000", "temporary"),
        (with(&|c| c.transaction_id = Some("t".into())), "0A000", "transactions"),
        (with(&|c| drop(c.options.insert("a".to_owned(), String::new()))), "0A000", "no option a"),
    ] {
        let error = ingest(&server, command.clone(), vec![good()]).await.unwrap_err();
        assert!(error.contains(code) && error.contains(message), "{command:?}: {error}");
    }
    let bad: Vec<(&str, ArrayRef, &str, &str)> = vec![
        ("evnt", Arc::new(StringArray::from(vec!["e"])), "42703", "no column named evnt"),
        ("timestamp", Arc::new(Float64Array::from(vec![1.0])), "42804", "Float64"),
        ("timestamp", Arc::new(Int64Array::from(vec![1])), "42804", "Int64"),
        ("timestamp", Arc::new(Date32Array::from(vec![i32::MAX])), "22007", "years 1 to 9999"),
        ("timestamp", Arc::new(TimestampSecondArray::from(vec![i64::MAX])), "22007", "years"),
        ("timestamp", Arc::new(StringArray::from(vec!["soon"])), "22007", "row 2: timestamp"),
        ("uuid", Arc::new(BinaryArray::from_vec(vec![b"short"])), "22P02", "row 2: uuid"),
        ("uuid", Arc::new(StringArray::from(vec!["x"])), "22P02", "uuid is not a UUID"),
        ("properties", Arc::new(StringArray::from(vec!["5"])), "22P02", "properties is not"),
        ("properties", Arc::new(Int64Array::from(vec![5])), "42804", "JSON text"),
        ("distinct_id", Arc::new(StringArray::new_null(1)), "23502", "distinct_id is missing"),
        ("team_id", Arc::new(Int64Array::from(vec![2])), "22023", "team_id is 1"),
        ("distinct_id_hash", Arc::new(Int64Array::from(vec![2])), "0A000", "is computed"),
    ];
    for (name, array, code, message) in bad {
        let bad = row(name, Arc::clone(&array));
        // The first row is good, as far as it goes.
        let good = row(name, arrow::array::new_null_array(array.data_type(), 1));
        let batches = if name == "distinct_id" { vec![bad] } else { vec![good, bad] };
        let error = ingest(&server, append(), batches).await.unwrap_err();
        assert!(error.contains(code) && error.contains(message), "{name} {array:?}: {error}");
    }
    assert_eq!(answers(&client, "select count() from events").await, ["0", "#1"]);
}
