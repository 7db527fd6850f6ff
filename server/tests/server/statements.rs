//! Statements around SELECT over the wire: tags, descriptions, transactions, durability.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use futures::TryStreamExt;
use hedgerow_engine::{EventStore, Location};
use tempfile::TempDir;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

use crate::support::{answers, start_over_store as start};

async fn code(client: &Client, sql: &str) -> String {
    let error = client.simple_query(sql).await.unwrap_err();
    error.code().unwrap_or(&SqlState::SUCCESSFUL_COMPLETION).code().to_owned()
}

#[tokio::test]
async fn several_statements_and_their_counts() {
    let (server, _folder) = start().await;
    let client = server.client().await;
    let sql = "create table t as select number as n from numbers(3); \
               insert into t values (10), (11); set var.least = 2; \
               select n from t where n >= {variables.least} order by n; drop table t";
    assert_eq!(answers(&client, sql).await, ["#3", "#2", "#0", "2", "10", "11", "#3", "#0"]);
    let error = client.simple_query("select 'é'; select 1; selct 2; select 3").await.unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.position(), Some(&tokio_postgres::error::ErrorPosition::Original(23)));
}

#[tokio::test]
async fn views_are_seen_by_every_session_and_listed() {
    let (server, _folder) = start().await;
    let (one, other) = (server.client().await, server.client().await);
    one.batch_execute("create view v as select 1 as a, 'x' as b").await.unwrap();
    assert_eq!(answers(&other, "select * from v").await, ["1|x", "#1"]);
    for (sql, expected) in [
        ("select relkind from pg_class where relname = 'v'", "v"),
        ("select definition from pg_views where viewname = 'v'", "SELECT 1 AS a, 'x' AS b"),
        ("select table_type from information_schema.tables where table_name = 'v'", "VIEW"),
        ("select count(*) from pg_tables where tablename = 'v'", "0"),
        ("select count(*) from information_schema.columns where table_name = 'v'", "2"),
    ] {
        assert_eq!(answers(&other, sql).await[0], expected, "{sql}");
    }
    other.batch_execute("drop view v").await.unwrap();
    assert_eq!(code(&one, "select * from v").await, "42P01");
}

#[tokio::test]
async fn statements_are_described_without_running() {
    let (server, _folder) = start().await;
    let client = server.client().await;
    let explain = client.prepare("explain select number from numbers(3)").await.unwrap();
    let columns: Vec<_> = explain.columns().iter().map(|column| column.name()).collect();
    assert_eq!(columns, ["QUERY PLAN"]);
    let plan = client.query(&explain, &[]).await.unwrap();
    assert!(!plan.is_empty());
    let json = answers(&client, "explain (analyze, format json) select 1").await;
    let json: serde_json::Value = serde_json::from_str(&json[0]).unwrap();
    assert!(json[0]["Plan"]["Node Type"].is_string() && json[0]["Execution Time"].is_number());

    client.batch_execute("create table t (n int)").await.unwrap();
    let insert = client.prepare("insert into t values ($1), ($2)").await.unwrap();
    assert!(insert.columns().is_empty() && insert.params().len() == 2);
    assert_eq!(client.execute(&insert, &[&1_i64, &2_i64]).await.unwrap(), 2);
    assert_eq!(answers(&client, "select sum(n) from t").await, ["3", "#1"]);
}

#[tokio::test]
async fn prepared_statements_share_their_names() {
    let (server, _folder) = start().await;
    let client = server.client().await;
    let sql = "prepare p (int) as select $1 + 1 as n; execute p(41); execute p(1)";
    assert_eq!(answers(&client, sql).await, ["#0", "42", "#1", "2", "#1"]);
    assert_eq!(code(&client, "prepare p as select 1").await, "42P05");
    assert_eq!(code(&client, "execute p").await, "42P02");
    let described = client.prepare("execute p(1)").await.unwrap();
    assert_eq!(described.columns()[0].name(), "n");
    assert_eq!(answers(&client, "prepare c as select version()").await, ["#0"]);
    assert!(answers(&client, "execute c").await[0].starts_with("PostgreSQL"));
    client.batch_execute("deallocate p").await.unwrap();
    assert_eq!(code(&client, "execute p(1)").await, "26000");
}

#[tokio::test]
async fn transactions_do_not_write() {
    let (server, _folder) = start().await;
    let client = server.client().await;
    for (before, expected) in [("begin", "25001"), ("begin read only", "25006")] {
        client.batch_execute(before).await.unwrap();
        assert_eq!(code(&client, "create view v as select 1 as a").await, expected);
        assert_eq!(code(&client, "select 1").await, "25P02");
        client.batch_execute("rollback").await.unwrap();
    }
    client.batch_execute("set default_transaction_read_only = on").await.unwrap();
    assert_eq!(code(&client, "create table t (a int)").await, "25006");
    assert_eq!(answers(&client, "select 1").await, ["1", "#1"]);
    assert_eq!(code(&client, "select * from v").await, "42P01");
}

#[tokio::test]
async fn copies_stay_in_their_folder() {
    let (server, folder) = start().await;
    let client = server.client().await;
    let sql = "copy (select number as n, 'a,\"b\"' as text, null as nothing from numbers(2)) \
               to 'sub/out.csv'";
    assert_eq!(answers(&client, sql).await, ["#2"]);
    let written = std::fs::read_to_string(folder.path().join("export/sub/out.csv")).unwrap();
    assert_eq!(written, "n,text,nothing\r\n0,\"a,\"\"b\"\"\",\r\n1,\"a,\"\"b\"\"\",\r\n");
    for name in ["../out.csv", "/tmp/out.csv", "sub/../../out.csv"] {
        assert_eq!(code(&client, &format!("copy (select 1 as a) to '{name}'")).await, "42501");
    }
    let failing = "copy (select throwIf(number = 99999) as x from numbers(100000)) to 'bad.csv'";
    client.simple_query(failing).await.unwrap_err();
    let left: Vec<_> = std::fs::read_dir(folder.path().join("export")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    answers(
        &client,
        "copy (select toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0') as u) to 'a.parquet'",
    )
    .await;
    assert!(folder.path().join("export/a.parquet").metadata().unwrap().len() > 0);
}

#[tokio::test]
async fn rows_are_copied_to_the_client() {
    let (server, _folder) = start().await;
    let client = server.client().await;
    let query = "select number as n, 'a\tb, \"c\"' as t, null as x, '' as e from numbers(2)";
    for (options, expected) in [
        ("", "0\ta\\tb, \"c\"\t\\N\t\n1\ta\\tb, \"c\"\t\\N\t\n"),
        (
            "with (format csv, header)",
            "n,t,x,e\n0,\"a\tb, \"\"c\"\"\",,\"\"\n1,\"a\tb, \"\"c\"\"\",,\"\"\n",
        ),
    ] {
        let copied = client.copy_out(&format!("copy ({query}) to stdout {options}")).await.unwrap();
        let lines: Vec<_> = copied.try_collect().await.unwrap();
        assert_eq!(String::from_utf8(lines.concat()).unwrap(), expected);
    }
    // An error in the middle ends the copy, not the connection.
    let sql = "copy (select throwIf(number = 100000, 'now') from numbers(200000)) to stdout";
    let copied = client.copy_out(sql).await.unwrap();
    assert!(copied.try_collect::<Vec<_>>().await.is_err());
    assert_eq!(code(&client, "copy events to stdout (format parquet)").await, "0A000");
    assert_eq!(answers(&client, "select 1").await, ["1", "#1"]);
}

/// A server process of its own, with its address. What it prints later goes nowhere: it has to
/// live with that.
pub(crate) fn spawn(data: &std::path::Path) -> (Child, String) {
    spawn_with(data, &[])
}

/// The same, with more options.
pub(crate) fn spawn_with(data: &std::path::Path, args: &[&str]) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hedgerow"))
        .args(["server", "--pg", "127.0.0.1:0", "--flight", "127.0.0.1:0", "--http", "127.0.0.1:0"])
        .arg("--data")
        .arg(data)
        .args(args)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let address = first.split("postgres://").nth(1).unwrap().trim().to_owned();
    (child, format!("postgres://tester@{address}"))
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    let folder = TempDir::new().unwrap();
    let store = EventStore::create(&Location::from(folder.path())).await.unwrap();
    store.create_project("default").await.unwrap();
    let (mut child, address) = spawn(folder.path());
    let (client, connection) = tokio_postgres::connect(&address, NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let sql = "create table t as select number as n from numbers(100000); \
               insert into t values (-1); create view v as select max(n) as most from t";
    client.batch_execute(sql).await.unwrap();
    // Child::kill sends SIGKILL.
    child.kill().unwrap();
    child.wait().unwrap();
    connection.await.unwrap().ok();

    let (mut child, address) = spawn(folder.path());
    let (client, connection) = tokio_postgres::connect(&address, NoTls).await.unwrap();
    tokio::spawn(connection);
    let found = answers(&client, "select count(), min(n), (select most from v) from t").await;
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(found, ["100001|-1|99999", "#1"]);
}
