//! `INSERT INTO events`: stored when it is acknowledged, all rows or none.

use std::time::{Duration, SystemTime};

use hedgerow_engine::{Engine, EngineOptions, EventStore, Location};
use tempfile::TempDir;
use tokio_postgres::error::ErrorPosition;

use crate::statements::spawn;
use crate::support::{answers, start_for_ingest, start_on};

const A: &str = "00000000-0000-4000-8000-00000000000a";

#[tokio::test]
async fn what_is_not_given_is_as_if_it_had_not_been_sent() {
    let (server, _folder) = start_for_ingest().await;
    let client = server.client().await;
    let sql = format!(
        "insert into events (uuid, event, distinct_id, timestamp, properties, person_id, \"$group_1\") \
         values ('{A}', 'signup', 'ann', '2026-03-01 10:00:00', \
         '{{\"plan\": \"pro\", \"$session_id\": \"s1\", \"$group_0\": \"acme\"}}', '{A}', 'team')"
    );
    assert_eq!(answers(&client, &sql).await, ["#1"]);
    let sql = "select toString(uuid), event, distinct_id, timestamp = '2026-03-01 10:00:00', \
               properties.plan, \"$session_id\", \"$group_0\", \"$group_1\", toString(person_id), \
               person_mode, team_id from events";
    let expected = format!("{A}|signup|ann|t|pro|s1|acme|team|{A}|full|1");
    assert_eq!(answers(&client, sql).await, [&expected, "#1"]);

    // Equal rows without a uuid are two events; the next statement comes at another time.
    let sql = "insert into events (event, distinct_id) values ('e', 'u'), ('e', 'u')";
    assert_eq!(answers(&client, sql).await, ["#2"]);
    assert_eq!(answers(&client, sql).await, ["#2"]);
    let sql = "select count(), uniqExact(uuid), uniqExact(person_id), uniqExact(timestamp), \
               countIf(timestamp = created_at and timestamp > now() - interval 1 hour), \
               any(properties) from events where event = 'e'";
    assert_eq!(answers(&client, sql).await, ["4|4|1|2|4|{}", "#1"]);
}

#[tokio::test]
async fn repeated_events_are_not_counted() {
    let (server, _folder) = start_for_ingest().await;
    let client = server.client().await;
    let rows = |from: u32, to: u32| {
        let row = |n| format!("('{n:08}-0000-4000-8000-000000000000', 'e', 'u', '2026-03-01')");
        let rows: Vec<_> = (from..to).map(row).collect();
        format!(
            "insert into events (uuid, event, distinct_id, timestamp) values {}",
            rows.join(",")
        )
    };
    assert_eq!(answers(&client, &rows(0, 3)).await, ["#3"]);
    assert_eq!(answers(&client, &rows(2, 5)).await, ["#2"]);
    assert_eq!(answers(&client, &rows(0, 5)).await, ["#0"]);
    let again = format!(
        "{}, ('00000009-0000-4000-8000-000000000000', 'e', 'u', '2026-03-01')",
        rows(9, 10)
    );
    assert_eq!(answers(&client, &again).await, ["#1"]);
    assert_eq!(answers(&client, "select count() from events").await, ["6", "#1"]);
}

#[tokio::test]
async fn parameters_and_queries() {
    let (server, _folder) = start_for_ingest().await;
    let client = server.client().await;
    let insert = client
        .prepare("insert into events (event, distinct_id, timestamp, properties) values ($1, $2, $3, $4)")
        .await
        .unwrap();
    let names: Vec<_> = insert.params().iter().map(|ty| ty.name().to_owned()).collect();
    assert_eq!(names, ["text", "text", "timestamptz", "jsonb"]);
    let insert = "insert into events (event, distinct_id, timestamp) values ($1, $2, $3)";
    let insert = client.prepare(insert).await.unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_772_359_200);
    for n in 0..3_u64 {
        let time = time + Duration::from_secs(n);
        assert_eq!(client.execute(&insert, &[&"paid", &"bob", &time]).await.unwrap(), 1);
    }
    let sql = "insert into events (event, distinct_id, timestamp, properties) \
               select 'copy', distinct_id, timestamp, properties from events where event = 'paid'";
    assert_eq!(answers(&client, sql).await, ["#3"]);
    let sql = "create table kept as select * from events where event = 'copy'; \
               insert into events select * from kept; drop table kept";
    assert_eq!(answers(&client, sql).await, ["#3", "#0", "#0"]);
    let sql = "select event, count(), min(timestamp) = '2026-03-01 10:00:00' from events group by event order by 1";
    assert_eq!(answers(&client, sql).await, ["copy|3|t", "paid|3|t", "#2"]);
    let sql =
        "prepare p as insert into events (event, distinct_id) values ($1, 'x'); execute p('p')";
    assert_eq!(answers(&client, sql).await, ["#0", "#1"]);
}

#[tokio::test]
async fn a_row_at_fault_keeps_all_out() {
    let (server, _folder) = start_for_ingest().await;
    let client = server.client().await;
    // The caret stands where the error does.
    for (rest, code, message) in [
        (
            "(event, distinct_id) values ('a', 'b'), (^'a', null)",
            "23502",
            "row 2: distinct_id is missing",
        ),
        ("(event, distinct_id) values (^'', 'b')", "23502", "event is missing"),
        ("(event) values (^'a')", "23502", "distinct_id is missing"),
        (
            "(event, distinct_id, properties) values (^'a', 'b', '[1]')",
            "22P02",
            "properties is not a JSON object",
        ),
        (
            "(event, distinct_id, properties) values (^'a', 'b', '{')",
            "22P02",
            "properties is not a JSON object",
        ),
        ("(event, distinct_id, uuid) values ('a', 'b', ^'x')", "22P02", "UUID"),
        ("(event, distinct_id, timestamp) values ('a', 'b', ^'x')", "22007", "DateTime"),
        ("(event, distinct_id, timestamp) values ('a', 'b', ^5)", "42804", "DateTime"),
        ("(event, distinct_id) values (^1, 'b')", "42804", "cannot convert Int64 to String"),
        ("(event, distinct_id) ^select 'a', ''", "23502", "distinct_id is missing"),
        ("(event, ^distinctid) values ('a', 'b')", "42703", "no column named distinctid"),
        ("(event, distinct_id, distinct_id_hash) ^values ('a', 'b', 1)", "0A000", "is computed"),
        ("(event, distinct_id, team_id) values (^'a', 'b', 7)", "22023", "team_id is 1"),
        ("(event, ^event) values ('a', 'b')", "42712", "is named twice"),
        ("^values ('a', 'b')", "42601", "INSERT fills 17 columns"),
    ] {
        let position = "insert into events ".len() + rest.find('^').unwrap() + 1;
        let sql = format!("insert into events {}", rest.replace('^', ""));
        let error = client.simple_query(&sql).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        let position = ErrorPosition::Original(u32::try_from(position).unwrap());
        let found = (error.code().code(), error.position());
        assert_eq!(found, (code, Some(&position)), "{sql}: {error:?}");
        assert!(error.message().contains(message), "{sql}: {error:?}");
    }
    assert_eq!(answers(&client, "select count() from events").await, ["0", "#1"]);
    let error =
        client.simple_query("insert into events (distnct_id) values ('a')").await.unwrap_err();
    assert_eq!(error.as_db_error().unwrap().hint(), Some("Did you mean distinct_id?"));
    let error = client
        .simple_query("begin; insert into events (event, distinct_id) values ('a', 'b')")
        .await;
    assert_eq!(error.unwrap_err().code().unwrap().code(), "25001");
}

/// More than one record of the log takes: the rows become files at once.
#[tokio::test]
async fn many_rows_become_files_at_once() {
    let (server, folder) = start_for_ingest().await;
    let client = server.client().await;
    let sql = "insert into events (event, distinct_id, timestamp, properties) \
               select 'big', toString(number % 1000), toDateTime('2026-03-01') + toIntervalSecond(number), \
               concat('{\"n\":', toString(number), ',\"text\":\"', repeat('x', 1000), '\"}') from numbers(32000)";
    assert_eq!(answers(&client, sql).await, ["#32000"]);
    let facts = "select count(), uniqExact(uuid), sum(toInt(properties.n)) from events";
    // The sum of the numbers below 32 000 is 32 000 * 31 999 / 2.
    assert_eq!(answers(&client, facts).await, ["32000|32000|511984000", "#1"]);
    assert_eq!(answers(&client, sql).await, ["#0"]);
    let small =
        "insert into events (event, distinct_id, timestamp) values ('small', 'u', '2026-03-01')";
    assert_eq!(answers(&client, small).await, ["#1"]);
    let failing = sql.replace("'big'", "if(number = 31999, '', 'bad')");
    assert_eq!(client.simple_query(&failing).await.unwrap_err().code().unwrap().code(), "23502");
    // Another process sees what is in files.
    let engine =
        Engine::open(&Location::from(folder.path()), EngineOptions::default()).await.unwrap();
    let reader = start_on(engine).await;
    assert_eq!(answers(&reader.client().await, facts).await, ["32000|32000|511984000", "#1"]);
}

/// An engine that takes no events in commits them itself.
#[tokio::test]
async fn without_ingest_rows_become_files() {
    let folder = TempDir::new().unwrap();
    let location = Location::from(folder.path());
    let store = EventStore::create(&location).await.unwrap();
    store.create_project("default").await.unwrap();
    let engine = Engine::open(&location, EngineOptions::default()).await.unwrap();
    let server = start_on(engine).await;
    let client = server.client().await;
    let sql = "insert into events (event, distinct_id, timestamp) values ('a', 'u', '2026-03-01')";
    assert_eq!(answers(&client, sql).await, ["#1"]);
    assert_eq!(answers(&client, sql).await, ["#0"]);
    let other = Engine::open(&location, EngineOptions::default()).await.unwrap();
    let other = start_on(other).await;
    assert_eq!(answers(&other.client().await, "select event from events").await, ["a", "#1"]);
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    let folder = TempDir::new().unwrap();
    let store = EventStore::create(&Location::from(folder.path())).await.unwrap();
    store.create_project("default").await.unwrap();
    let (mut child, address) = spawn(folder.path());
    let (client, connection) =
        tokio_postgres::connect(&address, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    for n in 0..20 {
        let sql =
            format!("insert into events (event, distinct_id) values ('a{n}', 'u'), ('b{n}', 'u')");
        assert_eq!(answers(&client, &sql).await, ["#2"]);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    connection.await.unwrap().ok();

    let (mut child, address) = spawn(folder.path());
    let (client, connection) =
        tokio_postgres::connect(&address, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let found = answers(&client, "select count(), uniqExact(event) from events").await;
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(found, ["40|40", "#1"]);
}
