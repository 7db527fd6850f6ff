//! Texts that PostgreSQL's tools write: each is read as PostgreSQL reads it over the Postgres
//! wire, and as HogQL reads it in a session of HogQL.
//!
//! A block of `dialects/*.txt` is a statement and what it gives: `postgres: ` over the wire, with
//! values from PostgreSQL 15 where the text is valid there, `hogql: ` in HogQL. Cells are
//! separated by `|`, rows by ` / `; `error 42601` is a failure; `⏎` is a line break.
//! `oracle/postgres.py` fills in and checks the values; `-- hedgerow: ` gives the reason why one
//! differs.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::sync::Arc;

use hedgerow::server::{Addresses, Lifecycle, Server};
use hedgerow_engine::SessionOptions;
use hedgerow_parser::Dialect;
use hedgerow_sql_tests::engines::Embedded;
use hedgerow_sql_tests::fixture::Fixture;
use sqllogictest::{AsyncDB, DBOutput};
use tokio::task::JoinHandle;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

struct Case {
    text: String,
    postgres: Option<String>,
    hogql: Option<String>,
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dialects");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let texts = files.iter().map(|file| std::fs::read_to_string(file).unwrap());
    let blocks: Vec<String> =
        texts.flat_map(|text| text.split("\n\n").map(str::to_owned).collect::<Vec<_>>()).collect();
    let cases = blocks.iter().filter_map(|block| {
        let mut lines = block.lines().filter(|line| !line.starts_with("-- "));
        let text = lines.next()?.replace('⏎', "\n");
        let lines: Vec<&str> = lines.collect();
        let answer = |prefix: &str| {
            lines
                .iter()
                .find_map(|line| line.strip_prefix(prefix))
                .map(|text| text.strip_prefix(' ').unwrap_or(text).replace('⏎', "\n"))
        };
        Some(Case { text, postgres: answer("postgres:"), hogql: answer("hogql:") })
    });
    cases.collect()
}

async fn over_the_wire(client: &Client, text: &str) -> String {
    let messages = match client.simple_query(text).await {
        Ok(messages) => messages,
        Err(error) => {
            let code = error.code().map_or("", |state| state.code());
            return format!("error {code}");
        }
    };
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            let cells = (0..row.len()).map(|at| row.get(at).unwrap_or("NULL"));
            Some(cells.collect::<Vec<_>>().join("|"))
        }
        _ => None,
    });
    rows.collect::<Vec<_>>().join(" / ")
}

async fn in_process(database: &mut Embedded, text: &str) -> String {
    match database.run(text).await {
        Ok(DBOutput::Rows { rows, .. }) => {
            rows.iter().map(|row| row.join("|")).collect::<Vec<_>>().join(" / ")
        }
        Ok(_) => String::new(),
        Err(failure) => format!("error {}", failure.sqlstate),
    }
}

/// A server over the fixture, and clients of it.
struct Served {
    fixture: Fixture,
    config: String,
    lifecycle: Lifecycle,
    serving: JoinHandle<()>,
}

impl Served {
    async fn start() -> Self {
        let fixture = Fixture::create().await.unwrap();
        let any_port = || "127.0.0.1:0".to_owned();
        let addresses = Addresses { pg: any_port(), flight: any_port(), http: any_port() };
        let server = Server::bind(Arc::clone(&fixture.engine), &addresses).await.unwrap();
        let config = format!("host=127.0.0.1 port={} user=test dbname=default", server.pg().port());
        let lifecycle = server.lifecycle().clone();
        let serving = tokio::spawn(async move { server.serve().await });
        Self { fixture, config, lifecycle, serving }
    }

    async fn client(&self) -> (Client, JoinHandle<()>) {
        let (client, connection) = tokio_postgres::connect(&self.config, NoTls).await.unwrap();
        (client, tokio::spawn(async move { connection.await.unwrap() }))
    }

    async fn stop(self) {
        self.lifecycle.drain.cancel();
        self.serving.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_readings() {
    let served = Served::start().await;
    let (client, connection) = served.client().await;
    let options = SessionOptions { project: "default".to_owned(), dialect: Dialect::Hogql };
    let mut embedded = Embedded::new(served.fixture.engine.session(options).await.unwrap());
    let (mut failures, mut compared) = (Vec::new(), 0);
    for Case { text, postgres, hogql } in cases() {
        if let Some(expected) = postgres {
            let found = over_the_wire(&client, &text).await;
            compared += 1;
            if found.trim_end() != expected.trim_end() {
                failures.push(format!("{text}\n  postgres: {found}\n  expected: {expected}"));
            }
        }
        if let Some(expected) = hogql {
            let found = in_process(&mut embedded, &text).await;
            compared += 1;
            if found != expected {
                failures.push(format!("{text}\n  hogql:    {found}\n  expected: {expected}"));
            }
        }
    }
    drop(client);
    connection.await.unwrap();
    served.stop().await;
    assert!(compared > 250, "only {compared} answers were compared");
    assert!(failures.is_empty(), "{} failures\n\n{}", failures.len(), failures.join("\n\n"));
}

/// Parameters get their types from where they stand, as in PostgreSQL.
#[tokio::test(flavor = "multi_thread")]
async fn parameters() {
    let served = Served::start().await;
    let (client, connection) = served.client().await;
    let types = async |text: &str| -> Result<Vec<Type>, String> {
        let prepared = client.prepare(text).await;
        let prepared = prepared.map_err(|error| error.code().unwrap().code().to_owned())?;
        Ok(prepared.params().to_vec())
    };
    for (text, expected) in [
        ("select count(*) from events where event = any($1)", Type::TEXT_ARRAY),
        ("select count(*) from events where event <> all($1)", Type::TEXT_ARRAY),
        ("select x from (values (1), (2)) as t(x) where x = any($1)", Type::INT8_ARRAY),
        ("select event from events limit $1", Type::INT8),
        ("select 1 fetch first $1 rows only", Type::INT8),
        ("select date_trunc($1, timestamp) from events", Type::TEXT),
        ("select extract(year from $1::timestamptz)", Type::TIMESTAMPTZ),
        ("select now() + $1::interval", Type::INTERVAL),
        ("select event from events where timestamp >= $1", Type::TIMESTAMPTZ),
        ("select properties ->> $1 from events", Type::TEXT),
        ("select 'abc' similar to $1", Type::TEXT),
        ("select substring('hello' from $1)", Type::INT8),
        ("select string_agg(event, $1) from events", Type::TEXT),
        ("select percentile_cont($1) within group (order by 1)", Type::FLOAT8),
        ("select to_char(timestamp, $1) from events", Type::TEXT),
        ("select make_interval(days => $1)", Type::INT8),
    ] {
        assert_eq!(types(text).await, Ok(vec![expected]), "{text}");
    }
    // An interval has to be cast, as in PostgreSQL.
    assert_eq!(types("select now() + interval $1").await, Err("42601".to_owned()));

    let count = async |text: &str, params: &[&(dyn ToSql + Sync)]| -> i64 {
        client.query_one(text, params).await.unwrap().get(0)
    };
    let views = "select count(*) from events where event = any($1)";
    let view = vec!["$pageview", "nothing"];
    assert_eq!(count(views, &[&view]).await, 40);
    assert_eq!(count(views, &[&Vec::<&str>::new()]).await, 0);
    assert_eq!(count(views, &[&None::<Vec<&str>>]).await, 0);
    let others = "select count(*) from events where event <> all($1)";
    assert_eq!(count(others, &[&view]).await, 29);
    let day = "select count(*) from events where date_trunc($1, timestamp) = $2::text::timestamptz";
    assert_eq!(count(day, &[&"day", &"2026-03-01"]).await, 28);
    let joined = "select string_agg(x, $1) from (values ('a'), ('b')) as t(x)";
    let joined: String = client.query_one(joined, &[&"; "]).await.unwrap().get(0);
    assert_eq!(joined, "a; b");
    let median = "select percentile_cont($1) within group (order by x) from (values (1), (3)) t(x)";
    let median: f64 = client.query_one(median, &[&0.5]).await.unwrap().get(0);
    assert!((median - 2.0).abs() < 1e-9, "{median}");

    drop(client);
    connection.await.unwrap();
    served.stop().await;
}
