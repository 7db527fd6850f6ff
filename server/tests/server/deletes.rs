//! `DELETE FROM events` over the wires, on a server that takes events in.

use hedgerow_engine::{Engine, EngineOptions, Location, SessionOptions};
use hedgerow_parser::Dialect;
use tokio_postgres::error::ErrorPosition;

use crate::support::{answers, start_for_ingest};

const ROW: &str = "insert into events (uuid, event, distinct_id, timestamp) values \
                   ('00000000-0000-4000-8000-00000000000a', 'signup', 'ann', '2026-03-01 10:00:00')";

#[tokio::test]
async fn acknowledged_events_are_deleted_at_once() {
    let (server, _folder) = start_for_ingest().await;
    let client = server.client().await;
    let insert =
        "insert into events (event, distinct_id) values ('a', 'ann'), ('a', 'bob'), ('b', 'ann')";
    // In files, in memory, and both.
    for _ in 0..3 {
        assert_eq!(answers(&client, insert).await, ["#3"]);
        assert_eq!(answers(&client, "delete from events where event = 'a'").await, ["#2"]);
        assert_eq!(answers(&client, "select distinct event from events").await, ["b", "#1"]);
    }
    assert_eq!(answers(&client, insert).await, ["#3"]);
    let counts = "select count(), countIf(event = 'a') from events";
    assert_eq!(answers(&client, counts).await, ["6|2", "#1"]);
    // An alias, a subquery, and another client that looks.
    let other = server.client().await;
    let sql = "delete from events as e where e.distinct_id = 'bob' and e.event in (select event from events)";
    assert_eq!(answers(&client, sql).await, ["#1"]);
    assert_eq!(answers(&other, "select count() from events").await, ["5", "#1"]);
    let sql = "select state, events from system.mutations order by created_at desc limit 1";
    assert_eq!(answers(&other, sql).await, ["deleted|1", "#1"]);
    assert_eq!(answers(&client, "delete from events").await, ["#5"]);
    assert_eq!(answers(&other, "select count() from events").await, ["0", "#1"]);
}

#[tokio::test]
async fn a_deleted_event_can_be_sent_again() {
    let (server, _folder) = start_for_ingest().await;
    let client = server.client().await;
    for _ in 0..2 {
        assert_eq!(answers(&client, ROW).await, ["#1"]);
        assert_eq!(answers(&client, ROW).await, ["#0"]);
        assert_eq!(answers(&client, "delete from events where distinct_id = 'ann'").await, ["#1"]);
        assert_eq!(answers(&client, "select count() from events").await, ["0", "#1"]);
    }
    assert_eq!(answers(&client, ROW).await, ["#1"]);
}

#[tokio::test]
async fn another_process_deletes() {
    let (server, folder) = start_for_ingest().await;
    let client = server.client().await;
    assert_eq!(answers(&client, ROW).await, ["#1"]);
    // Into files, where others find it.
    assert_eq!(answers(&client, "delete from events where event = 'nothing'").await, ["#0"]);
    let location = Location::from(folder.path());
    let engine = Engine::open(&location, EngineOptions::default()).await.unwrap();
    let options = SessionOptions { project: "default".to_owned(), dialect: Dialect::Hogql };
    let session = engine.session(options).await.unwrap();
    let done = session.query("delete from events where distinct_id = 'ann'").await.unwrap();
    assert_eq!(done.outcome().unwrap().rows, Some(1));
    assert_eq!(answers(&client, "select count() from events").await, ["0", "#1"]);
    assert_eq!(answers(&client, ROW).await, ["#1"]);
    assert_eq!(answers(&client, ROW).await, ["#0"]);
    assert_eq!(answers(&client, "select count() from events").await, ["1", "#1"]);
}

#[tokio::test]
async fn parameters_transactions_and_errors() {
    let (server, _folder) = start_for_ingest().await;
    let client = server.client().await;
    let insert = "insert into events (event, distinct_id, properties) values ('a', 'ann', '{\"n\": 1}'), ('a', 'bob', '{\"n\": 2}')";
    assert_eq!(answers(&client, insert).await, ["#2"]);
    let delete = "delete from events where distinct_id = $1 and toInt(properties.n) = $2";
    let delete = client.prepare(delete).await.unwrap();
    assert_eq!(client.execute(&delete, &[&"ann", &2_i64]).await.unwrap(), 0);
    assert_eq!(client.execute(&delete, &[&"ann", &1_i64]).await.unwrap(), 1);
    let sql = "prepare gone as delete from events where distinct_id = $1; execute gone('nobody')";
    assert_eq!(answers(&client, sql).await, ["#0", "#0"]);

    for (sql, code) in [
        ("delete from events where ^nme = 'a'", "42703"),
        ("delete from ^system.properties", "42501"),
        ("delete from events ^returning *", "0A000"),
        ("delete from events ^using persons where true", "42601"),
        ("delete from events where 1 = 1 ^limit 5", "42601"),
    ] {
        let position = u32::try_from(sql.find('^').unwrap() + 1).unwrap();
        let sql = sql.replace('^', "");
        let error = client.simple_query(&sql).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        let found = (error.code().code(), error.position());
        assert_eq!(found, (code, Some(&ErrorPosition::Original(position))), "{sql}: {error:?}");
    }
    client.batch_execute("begin").await.unwrap();
    let error = client.simple_query("delete from events").await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "25001");
    client.batch_execute("rollback").await.unwrap();
    assert_eq!(answers(&client, "select distinct_id from events").await, ["bob", "#1"]);
}
