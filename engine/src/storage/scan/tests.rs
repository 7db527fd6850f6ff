//! What a scan reads, and whose rows it gives.

use arrow::array::{
    ArrayRef, AsArray, FixedSizeBinaryArray, Int64Array, RecordBatch, StringViewArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::{DataType, Int64Type};
use arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::{SessionConfig, SessionContext};
use std::sync::Arc;
use uuid::Uuid;

use crate::error::ErrorKind;
use crate::storage::{
    Change, EventStore, Location, Outcome, Part, PartWriter, ProjectId, check_project,
    distinct_id_hash, events_schema,
};

/// An event by project, name, distinct id and second.
pub(crate) type Row<'a> = (i64, &'a str, &'a str, i64);

const OURS: ProjectId = ProjectId(1);
const THEIRS: ProjectId = ProjectId(2);

async fn store() -> (tempfile::TempDir, EventStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = EventStore::create(&Location::from(folder.path())).await.unwrap();
    (folder, store)
}

/// A file with these rows, already in the order of the sort key.
pub(crate) async fn put(store: &EventStore, rows: &[Row<'_>]) -> Part {
    let mut writer =
        PartWriter::new(&RecordBatch::new_empty(Arc::clone(events_schema())), 1).unwrap();
    writer.write(&batch(rows)).unwrap();
    store.put_part(writer, 0).await.unwrap()
}

pub(crate) async fn commit(store: &EventStore, parts: Vec<Part>) {
    let snapshot = store.snapshot().await.unwrap();
    let outcome = store.commit(&snapshot, Change::add(parts)).await.unwrap();
    assert!(matches!(outcome, Outcome::Committed(_)));
}

pub(crate) fn batch(rows: &[Row<'_>]) -> RecordBatch {
    let text = |pick: fn(&Row<'_>) -> String| -> ArrayRef {
        Arc::new(rows.iter().map(pick).map(Some).collect::<StringViewArray>())
    };
    let columns = events_schema().fields().iter().map(|field| -> ArrayRef {
        match field.name().as_str() {
            "event" => text(|row| row.1.to_owned()),
            "distinct_id" => text(|row| row.2.to_owned()),
            "team_id" => Arc::new(rows.iter().map(|row| Some(row.0)).collect::<Int64Array>()),
            "distinct_id_hash" => Arc::new(
                rows.iter().map(|row| Some(distinct_id_hash(row.2))).collect::<Int64Array>(),
            ),
            _ => match field.data_type() {
                DataType::FixedSizeBinary(_) => {
                    let uuids = rows.iter().map(|_| Uuid::new_v4().into_bytes());
                    Arc::new(FixedSizeBinaryArray::try_from_iter(uuids).unwrap())
                }
                DataType::Timestamp(..) => {
                    let times = rows.iter().map(|row| Some(row.3 * 1_000_000));
                    Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
                }
                DataType::Utf8View => text(|_| String::new()),
                other => new_null_array(other, rows.len()),
            },
        }
    });
    RecordBatch::try_new(Arc::clone(events_schema()), columns.collect()).unwrap()
}

async fn context(store: &EventStore, project: ProjectId) -> SessionContext {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
    let (url, objects) = store.object_store();
    context.register_object_store(url, Arc::clone(objects));
    let snapshot = store.snapshot().await.unwrap();
    context.register_table("events", store.events(&snapshot, project)).unwrap();
    context
}

async fn sql(store: &EventStore, project: ProjectId, sql: &str) -> Vec<RecordBatch> {
    let frame = context(store, project).await.sql(sql).await.unwrap();
    frame.collect().await.unwrap()
}

async fn count(store: &EventStore, project: ProjectId, condition: &str) -> i64 {
    let batches = sql(store, project, &format!("select count(*) from events {condition}")).await;
    batches[0].column(0).as_primitive::<Int64Type>().value(0)
}

/// How many files the plan of a query names.
async fn files_planned(store: &EventStore, project: ProjectId, query: &str) -> usize {
    let plan = sql(store, project, &format!("explain {query}")).await;
    let plan = pretty_format_batches(&plan).unwrap().to_string();
    let files = plan.split("files=").nth(1).and_then(|rest| rest.split('/').next());
    files.map_or(0, |files| files.parse().unwrap())
}

#[tokio::test]
async fn a_project_sees_its_own_rows_only_even_in_shared_files() {
    let (_folder, store) = store().await;
    let shared = put(&store, &[(1, "a", "x", 1), (1, "b", "x", 2), (2, "a", "x", 3)]).await;
    let theirs = put(&store, &[(2, "a", "y", 4)]).await;
    commit(&store, vec![shared, theirs]).await;

    assert_eq!(count(&store, OURS, "").await, 2);
    assert_eq!(count(&store, THEIRS, "").await, 2);
    assert_eq!(count(&store, OURS, "where event = 'a'").await, 1);
    assert_eq!(count(&store, ProjectId(3), "").await, 0);
    // team_id is read for the filter, whether the query wants it or not.
    let names = sql(&store, OURS, "select event from events order by event limit 5").await;
    assert_eq!(names[0].num_columns(), 1);
    let all = sql(&store, THEIRS, "select * from events").await;
    let teams = all.iter().flat_map(|batch| {
        batch.column_by_name("team_id").unwrap().as_primitive::<Int64Type>().values().to_vec()
    });
    assert_eq!(teams.collect::<Vec<_>>(), [2, 2]);
    let limited = sql(&store, OURS, "select distinct_id from events limit 1").await;
    assert_eq!(limited.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
}

#[tokio::test]
async fn files_that_cannot_match_are_not_planned() {
    let (_folder, store) = store().await;
    let parts = vec![
        put(&store, &[(1, "a", "x", 100), (1, "b", "x", 200)]).await,
        put(&store, &[(1, "c", "y", 300), (1, "d", "y", 400)]).await,
        put(&store, &[(2, "a", "x", 100)]).await,
    ];
    commit(&store, parts).await;

    assert_eq!(files_planned(&store, OURS, "select event from events").await, 2);
    assert_eq!(files_planned(&store, THEIRS, "select event from events").await, 1);
    let check = async |condition: &str, files: usize, rows: i64| {
        let query = format!("select event from events where {condition}");
        assert_eq!(files_planned(&store, OURS, &query).await, files, "{condition}");
        assert_eq!(count(&store, OURS, &format!("where {condition}")).await, rows, "{condition}");
    };
    check("event = 'b'", 1, 1).await;
    check("event in ('a', 'd')", 2, 2).await;
    check("event = 'zzz'", 0, 0).await;
    check("timestamp < to_timestamp(250)", 1, 2).await;
    check("timestamp >= to_timestamp(200) and timestamp <= to_timestamp(300)", 2, 2).await;
    // By its hash.
    check("distinct_id = 'y'", 1, 2).await;
    check("'x' = distinct_id", 1, 2).await;
    check("distinct_id in ('x', 'y')", 2, 4).await;
    check("distinct_id in ('nobody')", 0, 0).await;
    check("distinct_id != 'y'", 2, 2).await;
    check("distinct_id = 'y' or event = 'a'", 2, 3).await;
}

#[tokio::test]
async fn files_of_other_tools_are_not_taken_for_sorted() {
    let (_folder, store) = store().await;
    let foreign = put(&store, &[(1, "b", "x", 1), (1, "a", "x", 1)]).await;
    commit(&store, vec![Part { sorted: false, statistics: None, ..foreign }]).await;
    let rows = sql(&store, OURS, "select event from events order by team_id, event").await;
    assert_eq!(rows[0].column(0).as_string_view().value(0), "a");
    assert_eq!(count(&store, OURS, "").await, 2);
    assert_eq!(count(&store, THEIRS, "").await, 0);
}

#[tokio::test]
async fn an_empty_store_has_no_rows() {
    let (_folder, store) = store().await;
    assert_eq!(count(&store, OURS, "").await, 0);
    assert!(sql(&store, OURS, "select * from events").await.iter().all(|b| b.num_rows() == 0));
}

#[tokio::test]
async fn a_snapshot_does_not_move() {
    let (_folder, store) = store().await;
    let part = put(&store, &[(1, "a", "x", 1)]).await;
    let uncommitted = put(&store, &[(1, "a", "x", 1)]).await;
    commit(&store, vec![part]).await;
    let before = context(&store, OURS).await;
    commit(&store, vec![uncommitted]).await;
    let frame = before.sql("select count(*) from events").await.unwrap();
    let rows = frame.collect().await.unwrap();
    assert_eq!(rows[0].column(0).as_primitive::<Int64Type>().value(0), 1);
    assert_eq!(count(&store, OURS, "").await, 2);
}

#[tokio::test]
async fn of_two_commits_on_one_version_one_has_to_look_again() {
    let (_folder, store) = store().await;
    let snapshot = store.snapshot().await.unwrap();
    let one = put(&store, &[(1, "a", "x", 1)]).await;
    let two = put(&store, &[(1, "b", "x", 1)]).await;
    assert_eq!(
        store.commit(&snapshot, Change::add(vec![one])).await.unwrap(),
        Outcome::Committed(1)
    );
    assert_eq!(
        store.commit(&snapshot, Change::add(vec![two.clone()])).await.unwrap(),
        Outcome::Moved
    );
    let newest = store.snapshot().await.unwrap();
    assert_eq!(store.commit(&newest, Change::add(vec![two])).await.unwrap(), Outcome::Committed(2));
}

#[tokio::test]
async fn another_process_is_noticed_when_committing() {
    let (folder, store) = store().await;
    let other = EventStore::open(&Location::from(folder.path())).await.unwrap();
    let snapshot = store.snapshot().await.unwrap();
    let one = put(&store, &[(1, "a", "x", 1)]).await;
    commit(&other, vec![put(&other, &[(1, "b", "x", 1)]).await]).await;
    assert_eq!(store.commit(&snapshot, Change::add(vec![one])).await.unwrap(), Outcome::Moved);
}

#[tokio::test]
async fn a_long_log_has_checkpoints_and_reads_back() {
    let (folder, store) = store().await;
    for second in 0..105 {
        let part = put(&store, &[(1, "a", "x", second)]).await;
        commit(&store, vec![part]).await;
    }
    let log = folder.path().join("events/_delta_log");
    assert!(log.join("_last_checkpoint").is_file());
    let reopened = EventStore::open(&Location::from(folder.path())).await.unwrap();
    assert_eq!(count(&reopened, OURS, "").await, 105);
    let query = "select event from events where timestamp = to_timestamp(7)";
    assert_eq!(files_planned(&reopened, OURS, query).await, 1);
}

#[tokio::test]
async fn a_plan_that_lost_its_project_is_refused() {
    let (_folder, store) = store().await;
    let shared = put(&store, &[(1, "a", "x", 1), (2, "a", "x", 3)]).await;
    let ours = put(&store, &[(1, "b", "x", 1)]).await;
    commit(&store, vec![shared, ours]).await;
    let context = context(&store, OURS).await;
    let plan = async |sql: &str| {
        let frame = context.sql(sql).await.unwrap();
        frame.create_physical_plan().await.unwrap()
    };
    for sql in [
        "select * from events",
        "select event, count(*) from events where event > 'a' group by 1 order by 2 limit 3",
        "select 1 from events a join events b on a.uuid = b.uuid",
    ] {
        let plan = plan(sql).await;
        check_project(&plan, OURS).unwrap();
        let error = check_project(&plan, THEIRS).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Internal, "{sql}");
    }
}
