//! What storage costs: documents into the columns of files, and columns out of them. Every run
//! generates its events anew, in a temporary folder.

#![expect(clippy::unwrap_used, reason = "a failure here is the benchmark failing")]

use std::io::{Cursor, Read};
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures::TryStreamExt;
use hedgerow_engine::demo::{self, DemoOptions};
use hedgerow_engine::ingest::{Format, ImportOptions, Source, import};
use hedgerow_engine::{
    Engine, EngineOptions, EventStore, Location, ProjectId, Session, SessionOptions,
};
use hedgerow_parser::Dialect;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Events that queries read.
const STORED: u64 = 200_000;
/// Events that one import brings.
const IMPORTED: u64 = 10_000;
const PROJECT: &str = "default";

const QUERIES: [(&str, &str); 6] = [
    ("scan a column", "select max(distinct_id) from events"),
    ("scan a property", "select max(properties.$current_url) from events"),
    ("filter by property", "select count() from events where properties.$browser = 'Safari'"),
    (
        "filter by text in a property",
        "select count() from events where properties.$current_url like '%board%'",
    ),
    (
        "group by property",
        "select properties.$geoip_city_name as city, count() from events group by city",
    ),
    ("distinct persons", "select count(distinct person_id) from events"),
];

fn options(events: u64, wide: bool) -> DemoOptions {
    let end = "2026-01-01T00:00:00Z".parse().unwrap();
    DemoOptions { events, wide, ..DemoOptions::new(end) }
}

fn lines(options: &DemoOptions) -> String {
    let mut lines = String::new();
    demo::events(options).read_to_string(&mut lines).unwrap();
    lines
}

/// The same events with nothing to cut into columns.
fn without_properties(lines: &str) -> String {
    let bare = lines.lines().map(|line| {
        let mut event: Value = serde_json::from_str(line).unwrap();
        event["properties"] = Value::Object(serde_json::Map::new());
        event.to_string()
    });
    bare.collect::<Vec<_>>().join("\n")
}

async fn store(folder: &TempDir) -> (EventStore, ProjectId) {
    let store = EventStore::create(&Location::from(folder.path())).await.unwrap();
    let project = store.create_project(PROJECT).await.unwrap();
    (store, project)
}

async fn import_lines(store: &EventStore, project: ProjectId, lines: String) {
    let reader = Box::new(Cursor::new(lines));
    let sources = vec![Source::Reader { name: "memory".to_owned(), reader }];
    let options = ImportOptions {
        format: Some(Format::Json),
        strict: true,
        maintain: false,
        ..ImportOptions::default()
    };
    import(store, project, sources, options, &mut ()).await.unwrap();
}

/// Lines to committed files. What properties cost is the difference to events without any.
fn shred(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let (narrow, wide) = (lines(&options(IMPORTED, false)), lines(&options(IMPORTED, true)));
    let bare = without_properties(&narrow);
    let mut group = criterion.benchmark_group("shred");
    group.sample_size(10).throughput(Throughput::Elements(IMPORTED));
    for (name, lines) in [("no properties", bare), ("narrow", narrow), ("wide", wide)] {
        group.bench_function(name, |bencher| {
            let setup = || {
                let folder = TempDir::new().unwrap();
                let (store, project) = runtime.block_on(store(&folder));
                (folder, store, project, lines.clone())
            };
            let routine = |(folder, store, project, lines)| {
                runtime.block_on(import_lines(&store, project, lines));
                folder
            };
            bencher.iter_batched(setup, routine, BatchSize::PerIteration);
        });
    }
    group.finish();
}

/// A session of an engine of its own, with so much memory for decoded columns.
async fn session(folder: &TempDir, cache_bytes_max: usize) -> (Arc<Engine>, Session) {
    let location = Location::from(folder.path());
    let options = EngineOptions { cache_bytes_max, ..EngineOptions::default() };
    let engine = Engine::open(&location, options).await.unwrap();
    let options = SessionOptions { project: PROJECT.to_owned(), dialect: Dialect::Hogql };
    let session = engine.session(options).await.unwrap();
    (engine, session)
}

/// Whole queries, with columns that are in memory and with columns that are read again each time.
fn query(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let folder = TempDir::new().unwrap();
    runtime.block_on(async {
        let (store, project) = store(&folder).await;
        import_lines(&store, project, lines(&options(STORED, false))).await;
    });
    for (name, cache_bytes_max) in
        [("cached", EngineOptions::default().cache_bytes_max), ("read", 0)]
    {
        let (_engine, session) = runtime.block_on(session(&folder, cache_bytes_max));
        let mut group = criterion.benchmark_group(name);
        group.sample_size(20).throughput(Throughput::Elements(STORED));
        for (name, text) in QUERIES {
            group.bench_function(name, |bencher| {
                bencher.to_async(&runtime).iter(async || {
                    let rows = session.query(text).await.unwrap();
                    rows.try_collect::<Vec<_>>().await.unwrap()
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, shred, query);
criterion_main!(benches);
