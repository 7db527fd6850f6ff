//! Queries as people mistype them, each with the place, the message and the hint it gets.
//!
//! `errors/mistakes.txt` holds blocks: the query on one line, a caret below the place, the
//! SQLSTATE and the message, the hint. With `UPDATE_MISTAKES=1` the file is written anew, to be
//! reviewed in the diff.

use std::path::Path;

use futures::TryStreamExt;
use hedgerow::error::sqlstate;
use hedgerow_engine::{ErrorKind, Session, SessionOptions};
use hedgerow_parser::Dialect;
use hedgerow_sql_tests::fixture::Fixture;

/// The block of a query.
async fn block(session: &Session, query: &str) -> String {
    let outcome = async { session.query(query).await?.try_collect::<Vec<_>>().await }.await;
    let error = match outcome {
        Ok(_) => panic!("no error: {query}"),
        Err(error) => error,
    };
    assert_ne!(error.kind, ErrorKind::Internal, "{query}");
    assert!(!error.message.contains('\n'), "{query}");
    let span = error.span.unwrap_or_else(|| panic!("no place: {query}"));
    let column = query[..span.start as usize].chars().count();
    let width = query[span.range()].chars().count().max(1);
    let hint = error.hint.unwrap_or_else(|| panic!("no hint: {query}"));
    format!(
        "{query}\n{}{} {}: {}\nhint: {hint}",
        " ".repeat(column),
        "^".repeat(width),
        sqlstate(error.kind),
        error.message
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_explained() {
    let fixture = Fixture::create().await.unwrap();
    let options = SessionOptions { project: "default".to_owned(), dialect: Dialect::Hogql };
    let session = fixture.engine.session(options).await.unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("errors/mistakes.txt");
    let expected = std::fs::read_to_string(&file).unwrap();
    let mut found = Vec::new();
    for block in expected.split("\n\n") {
        found.push(self::block(&session, block.lines().next().unwrap()).await);
    }
    assert!(found.len() >= 40, "only {} mistakes", found.len());
    let found = format!("{}\n", found.join("\n\n"));
    if std::env::var_os("UPDATE_MISTAKES").is_some() {
        std::fs::write(&file, found).unwrap();
        return;
    }
    let expected: Vec<&str> = expected.trim_end().split("\n\n").collect();
    let found: Vec<&str> = found.trim_end().split("\n\n").collect();
    for (expected, found) in expected.iter().zip(&found) {
        assert_eq!(expected, found);
    }
}
