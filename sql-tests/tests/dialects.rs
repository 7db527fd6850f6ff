//! Texts that PostgreSQL's tools write: each is read as PostgreSQL reads it over the Postgres
//! wire, and as HogQL reads it in a session of HogQL.
//!
//! A block of `dialects/*.txt` is a statement and what it gives: `postgres: ` over the wire, with
//! values from PostgreSQL 15 where the text is valid there, `hogql: ` in HogQL. Cells are
//! separated by `|`, rows by ` / `; `error 42601` is a failure; `⏎` is a line break.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::sync::Arc;

use hedgerow::server::{Addresses, Server};
use hedgerow_engine::SessionOptions;
use hedgerow_parser::Dialect;
use hedgerow_sql_tests::engines::Embedded;
use hedgerow_sql_tests::fixture::Fixture;
use sqllogictest::{AsyncDB, DBOutput};
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
                .map(|text| text.trim().to_owned())
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

#[tokio::test(flavor = "multi_thread")]
async fn both_readings() {
    let fixture = Fixture::create().await.unwrap();
    let any_port = || "127.0.0.1:0".to_owned();
    let addresses = Addresses { pg: any_port(), flight: any_port(), http: any_port() };
    let server = Server::bind(Arc::clone(&fixture.engine), &addresses).await.unwrap();
    let config = format!("host=127.0.0.1 port={} user=test dbname=default", server.pg().port());
    let lifecycle = server.lifecycle().clone();
    let serving = tokio::spawn(server.serve());
    let (client, connection) = tokio_postgres::connect(&config, NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let options = SessionOptions { project: "default".to_owned(), dialect: Dialect::Hogql };
    let mut embedded = Embedded::new(fixture.engine.session(options).await.unwrap());
    let (mut failures, mut compared) = (Vec::new(), 0);
    for Case { text, postgres, hogql } in cases() {
        if let Some(expected) = postgres {
            let found = over_the_wire(&client, &text).await;
            compared += 1;
            if found != expected {
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
    lifecycle.drain.cancel();
    serving.await.unwrap();
    connection.await.unwrap().unwrap();
    assert!(compared > 100, "only {compared} answers were compared");
    assert!(failures.is_empty(), "{} failures\n\n{}", failures.len(), failures.join("\n\n"));
}
