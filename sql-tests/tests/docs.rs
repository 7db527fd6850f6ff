//! Runs every SQL example of the documentation against the demo product.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

use chrono::DateTime;
use futures::TryStreamExt;
use hedgerow_engine::demo::{DemoOptions, seed};
use hedgerow_engine::{Engine, EngineOptions, EventStore, Location, SessionOptions};
use hedgerow_parser::Dialect;
use tempfile::TempDir;

/// The documents: the README and everything in `docs`.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let docs = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut documents: Vec<PathBuf> = docs.collect();
    documents.push(root.join("README.md"));
    documents.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    documents
}

/// The statements in the blocks of a document that are marked as SQL.
fn statements(document: &str) -> Vec<String> {
    let blocks = document.split("```sql\n").skip(1);
    let texts = blocks.map(|block| block.split("```").next().unwrap());
    let statements = texts.flat_map(|text| text.split(";\n").map(str::trim).map(str::to_owned));
    statements.filter(|statement| !statement.is_empty()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sql_example_runs() {
    let folder = TempDir::new().unwrap();
    let location = Location(folder.path().to_string_lossy().into_owned());
    let store = EventStore::create(&location).await.unwrap();
    let project = store.create_project("default").await.unwrap();
    let end = DateTime::from_timestamp(1_772_323_200, 0).unwrap();
    let options = DemoOptions { events: 5_000, ..DemoOptions::new(end) };
    seed(&store, project, &options, &mut ()).await.unwrap();
    let engine = Engine::open(&location, EngineOptions::default()).await.unwrap();
    let options = SessionOptions { project: "default".to_owned(), dialect: Dialect::Hogql };
    let session = engine.session(options).await.unwrap();
    let mut run = 0;
    for document in documents() {
        for statement in statements(&std::fs::read_to_string(&document).unwrap()) {
            let result = async { session.query(&statement).await?.try_collect::<Vec<_>>().await };
            if let Err(error) = result.await {
                panic!("{}: {error}\n{statement}", document.display());
            }
            run += 1;
        }
    }
    assert!(run >= 3, "the documents have only {run} examples");
}
