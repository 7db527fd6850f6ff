//! Runs every file of `slt/` over every interface. The folder `wikipedia` reads the project of
//! that name, `shop` likewise, all others the project `default`.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

use hedgerow::server::{Addresses, Server};
use hedgerow_engine::SessionOptions;
use hedgerow_parser::{Dialect, ast, parse_query};
use hedgerow_sql_tests::Letter;
use hedgerow_sql_tests::engines::{Embedded, Flight, Pgwire};
use hedgerow_sql_tests::fixture::Fixture;
use sqllogictest::{
    AsyncDB, QueryExpect, Record, Runner, SortMode, parse_file, strict_column_validator,
};

/// The files under `slt/`, with the projects they read.
fn files() -> Vec<(PathBuf, &'static str)> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "slt") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("slt"), &mut found);
    found.sort();
    let project = |path: &Path| {
        let within = |name: &str| path.components().any(|part| part.as_os_str() == name);
        ["wikipedia", "shop"].into_iter().find(|name| within(name)).unwrap_or("default")
    };
    found.into_iter().map(|path| (path.clone(), project(&path))).collect()
}

/// Runs one file; all its failures come back, not only the first.
async fn run<D: AsyncDB<ColumnType = Letter>>(database: D, file: &Path) -> Vec<String> {
    let mut database = Some(database);
    let mut runner = Runner::new(|| {
        let database = database.take();
        async move { Ok(database.unwrap()) }
    });
    runner.with_column_validator(strict_column_validator);
    let mut failures = Vec::new();
    for record in parse_file(file).unwrap() {
        if let Err(error) = runner.run_async(record).await {
            failures.push(error.to_string());
        }
    }
    runner.shutdown_async().await;
    failures
}

fn report(failures: Vec<String>) {
    assert!(failures.is_empty(), "{} failures\n\n{}", failures.len(), failures.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded() {
    let fixture = Fixture::create().await.unwrap();
    let mut failures = Vec::new();
    for (file, project) in files() {
        let options = SessionOptions { project: project.to_owned(), dialect: Dialect::Hogql };
        let session = fixture.engine.session(options).await.unwrap();
        failures.extend(run(Embedded::new(session), &file).await);
    }
    report(failures);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_the_wires() {
    let fixture = Fixture::create().await.unwrap();
    let any_port = || "127.0.0.1:0".to_owned();
    let addresses = Addresses { pg: any_port(), flight: any_port(), http: any_port() };
    let server = Server::bind(std::sync::Arc::clone(&fixture.engine), &addresses).await.unwrap();
    let (pg, flight) = (server.pg(), server.flight());
    let lifecycle = server.lifecycle().clone();
    let serving = tokio::spawn(server.serve());
    let mut failures = Vec::new();
    for (file, project) in files() {
        failures.extend(run(Pgwire::connect(pg, project).await.unwrap(), &file).await);
        failures.extend(run(Flight::connect(flight, project).await.unwrap(), &file).await);
    }
    lifecycle.drain.cancel();
    serving.await.unwrap();
    report(failures);
}

/// Rows come in any order unless the query or `rowsort` says otherwise: an expectation of several
/// rows without either would hold by chance.
#[test]
fn every_order_is_asked_for() {
    let ordered = |query: &ast::Query| match query {
        ast::Query::Select(select) => !select.order_by.is_empty(),
        ast::Query::Set(set) => !set.order_by.is_empty(),
        ast::Query::Values(_) | ast::Query::Placeholder(_) | ast::Query::Tag(_) => false,
    };
    let mut failures = Vec::new();
    for (file, _) in files() {
        for record in parse_file::<Letter>(&file).unwrap() {
            let Record::Query { sql, expected, loc, .. } = record else { continue };
            let QueryExpect::Results { sort_mode, results, .. } = expected else { continue };
            let sorted = sort_mode.is_some_and(|mode| mode != SortMode::NoSort);
            // Statements other than queries fix their own order.
            let unordered = |query| !ordered(&query);
            if results.len() > 1
                && !sorted
                && parse_query(&sql, Dialect::Hogql).is_ok_and(unordered)
            {
                failures.push(format!("{loc}: {sql}"));
            }
        }
    }
    report(failures);
}
