//! Other programs on the folder of a running server.

use std::process::{Command, Output};

use hedgerow_engine::{EventStore, Location};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use crate::statements::spawn_with;
use crate::support::answers;

const A: &str = "00000000-0000-4000-8000-00000000000a";

fn hedgerow(command: &str, folder: &TempDir, args: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_hedgerow");
    let mut hedgerow = Command::new(program);
    hedgerow.arg(command).arg("--data").arg(folder.path()).args(args).output().unwrap()
}

fn succeed(output: Output) -> (String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (told, warned) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{told}{warned}");
    (told, warned)
}

fn inspected(folder: &TempDir) -> serde_json::Value {
    let (told, _) = succeed(hedgerow("inspect", folder, &["--format", "json"]));
    serde_json::from_str(&told).unwrap()
}

async fn connect(address: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(address, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn query_import_and_upkeep_beside_a_server() {
    let folder = TempDir::new().unwrap();
    let store = EventStore::create(&Location::from(folder.path())).await.unwrap();
    store.create_project("default").await.unwrap();
    let (mut server, address) = spawn_with(folder.path(), &["--flush-seconds", "3600"]);
    let client = connect(&address).await;
    let facts = "select count(), uniqExact(uuid) from events";
    let sql = format!(
        "insert into events (uuid, event, distinct_id, timestamp) \
         values ('{A}', 'a', 'u', '2026-03-01 10:00:00')"
    );
    assert_eq!(answers(&client, &sql).await, ["#1"]);

    let sql = "insert into events (event, distinct_id) values ('b', 'u')";
    assert_eq!(succeed(hedgerow("query", &folder, &[sql])).1, "INSERT 0 1\n");
    assert_eq!(answers(&client, facts).await, ["2|2", "#1"]);

    let file = folder.path().join("import.ndjson");
    let lines = format!(
        r#"{{"uuid":"{A}","event":"a","distinct_id":"u","timestamp":"2026-03-01T10:00:00Z"}}
           {{"event":"c","distinct_id":"u","timestamp":"2026-03-01T10:00:00Z"}}"#
    );
    std::fs::write(&file, lines).unwrap();
    let (told, _) = succeed(hedgerow("import", &folder, &[file.to_str().unwrap()]));
    assert!(told.starts_with("2 events imported, 0 duplicates"), "{told}");
    // The event that waits in memory is there twice, until it is moved into files.
    assert_eq!(answers(&client, facts).await, ["4|3", "#1"]);
    succeed(hedgerow("maintain", &folder, &[]));
    assert_eq!(answers(&client, facts).await, ["4|3", "#1"]);

    let (told, _) = succeed(hedgerow("verify", &folder, &[]));
    assert!(told.starts_with("note: wal: left out: a server has it open\n"), "{told}");

    let sql = "select hot_rows, accepted, refused, stored, repeated, wal_records, \
               lag_seconds >= 0 from system.ingest";
    assert_eq!(answers(&client, sql).await, ["1|1|0|1|0|1|t", "#1"]);
    let sql = "select sum(rows) from system.files";
    assert_eq!(answers(&client, sql).await, ["3", "#1"]);
    let told = inspected(&folder);
    assert_eq!(told["events"]["rows"], 3);
    assert_eq!(told["projects"][0]["waiting_events"], 1);
    assert_eq!((&told["wal"]["open"], &told["wal"]["last_record"]), (&true.into(), &1.into()));
    assert!(told["lag_seconds"].as_f64().is_some_and(|lag| lag >= 0.0), "{told}");

    let any = ["--pg", "127.0.0.1:0", "--flight", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    for command in ["server", "demo"] {
        let second = hedgerow(command, &folder, &any);
        let told = String::from_utf8(second.stderr).unwrap();
        assert!(second.status.code() == Some(1) && told.contains("another process"), "{told}");
    }

    server.kill().unwrap();
    server.wait().unwrap();
    let (told, _) = succeed(hedgerow("verify", &folder, &[]));
    assert!(told.contains("write-ahead log: 1 records; 0 problems"), "{told}");
    let told = inspected(&folder);
    assert_eq!(
        (&told["wal"]["open"], &told["wal"]["waiting"]["events"]),
        (&false.into(), &1.into())
    );
    let (mut server, address) = spawn_with(folder.path(), &["--flush-seconds", "0"]);
    let client = connect(&address).await;
    let moved = "select flushed_record = last_record from system.ingest";
    while answers(&client, moved).await != ["t", "#1"] {
        tokio::task::yield_now().await;
    }
    assert_eq!(answers(&client, facts).await, ["3|3", "#1"]);
    server.kill().unwrap();
    server.wait().unwrap();
    succeed(hedgerow("verify", &folder, &[]));
    let told = inspected(&folder);
    assert_eq!(
        (&told["events"]["rows"], &told["wal"]["waiting"]["events"]),
        (&3.into(), &0.into())
    );
    assert!(told["lag_seconds"].is_null(), "{told}");
}
