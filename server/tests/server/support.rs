//! A server in the test's own process, on free ports, without data.

use std::net::SocketAddr;
use std::time::Duration;

use hedgerow::server::{Addresses, Lifecycle, Server};
use hedgerow_engine::ingest::IngestOptions;
use hedgerow_engine::{Engine, EngineOptions, EventStore, Location};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

pub(crate) struct Running {
    pub(crate) pg: SocketAddr,
    pub(crate) flight: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) serving: JoinHandle<()>,
}

pub(crate) async fn start() -> Running {
    start_on(Engine::without_store(&EngineOptions::default()).unwrap()).await
}

/// The same, over data.
pub(crate) async fn start_on(engine: std::sync::Arc<Engine>) -> Running {
    let any = || "127.0.0.1:0".to_owned();
    let addresses = Addresses { pg: any(), flight: any(), http: any() };
    let server = Server::bind(engine, &addresses).await.unwrap();
    Running {
        pg: server.pg(),
        flight: server.flight(),
        http: server.http(),
        lifecycle: server.lifecycle().clone(),
        serving: tokio::spawn(server.serve()),
    }
}

/// A server over an empty data folder, with an export folder beside it.
pub(crate) async fn start_over_store() -> (Running, TempDir) {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("export")).unwrap();
    let location = Location::from(folder.path().join("data").as_path());
    let store = EventStore::create(&location).await.unwrap();
    store.create_project("default").await.unwrap();
    let options = EngineOptions {
        export_folder: Some(folder.path().join("export")),
        ..EngineOptions::default()
    };
    (start_on(Engine::open(&location, options).await.unwrap()).await, folder)
}

/// A server that takes events in, over an empty data folder. They stay in memory unless a test
/// has them flushed.
pub(crate) async fn start_for_ingest() -> (Running, TempDir) {
    start_with_tokens(&[]).await
}

/// The same, with these tokens and their projects.
pub(crate) async fn start_with_tokens(tokens: &[(&str, &str)]) -> (Running, TempDir) {
    let folder = TempDir::new().unwrap();
    let location = Location::from(folder.path());
    let store = EventStore::create(&location).await.unwrap();
    store.create_project("default").await.unwrap();
    for (token, project) in tokens {
        store.add_token(token, store.create_project(project).await.unwrap()).await.unwrap();
    }
    let ingest = IngestOptions { flush_after: Duration::from_hours(1), ..IngestOptions::default() };
    let options = EngineOptions::default();
    let engine = Engine::open_for_ingest(&location, options, ingest).await.unwrap();
    (start_on(engine).await, folder)
}

/// What a simple query answers: rows as texts, and the number of each command tag as `#n`.
pub(crate) async fn answers(client: &Client, sql: &str) -> Vec<String> {
    let messages = client.simple_query(sql).await.unwrap();
    let shown = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            let cells = (0..row.len()).map(|at| row.get(at).unwrap_or("∅").to_owned());
            Some(cells.collect::<Vec<_>>().join("|"))
        }
        SimpleQueryMessage::CommandComplete(rows) => Some(format!("#{rows}")),
        _ => None,
    });
    shown.collect()
}

impl Running {
    /// A client of the default project.
    pub(crate) async fn client(&self) -> Client {
        self.client_with("").await
    }

    /// The same, with more of a connection string.
    pub(crate) async fn client_with(&self, options: &str) -> Client {
        let (host, port) = (self.pg.ip(), self.pg.port());
        let config = format!("host={host} port={port} user=tester dbname=default {options}");
        let (client, connection) = tokio_postgres::connect(&config, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }
}

/// A query that runs until somebody ends it.
const ENDLESS: &str = "select number from numbers(10000000000) where number % 7 = 8";
/// A result that nobody reads to its end.
pub(crate) const ENDLESS_ROWS: &str = "select number from numbers(10000000000)";
/// Endless in operators of their own.
pub(crate) const ENDLESS_KINDS: [&str; 6] = [
    ENDLESS,
    ENDLESS_ROWS,
    "select n, s from (select number as n, 1 as s from numbers(1)) as t \
     order by n with fill to 10000000000 interpolate (s as s + 1) limit 1 offset 1000000000",
    "select count() from (select 1 as n order by n with fill to 10000000000) as t",
    "with recursive r as (select 1 as n union all select n + 1 from r) select count() from r",
    "with x as materialized (select number from numbers(10000000000) where number % 7 = 8) \
     select count() from x as a join x as b on a.number = b.number",
];
