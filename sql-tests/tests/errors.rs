//! Queries as people mistype them, each with the place, the message and the hint it gets.
//!
//! `errors/mistakes.txt` holds blocks: the query on one line, a caret below the place, the
//! SQLSTATE and the message, the hint. With `UPDATE_MISTAKES=1` the file is written anew, to be
//! reviewed in the diff.

use std::path::Path;

use futures::TryStreamExt;
use hedgerow::error::sqlstate;
use hedgerow_engine::{Error, ErrorKind, Session, SessionOptions};
use hedgerow_parser::Dialect;
use hedgerow_sql_tests::fixture::Fixture;

/// The error that a query ends with.
async fn error(session: &Session, query: &str) -> Error {
    let outcome = async { session.query(query).await?.try_collect::<Vec<_>>().await }.await;
    match outcome {
        Ok(_) => panic!("no error: {query}"),
        Err(error) => error,
    }
}

/// The block of a query.
async fn block(session: &Session, query: &str) -> String {
    let error = error(session, query).await;
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

/// What only some rows are wrong about is found while the query runs.
#[tokio::test(flavor = "multi_thread")]
async fn errors_while_running_tell_their_place() {
    let fixture = Fixture::create().await.unwrap();
    let options = SessionOptions { project: "default".to_owned(), dialect: Dialect::Hogql };
    let session = fixture.engine.session(options).await.unwrap();
    for (query, blamed) in [
        ("select 1 + intDiv(1, number) from numbers(3)", "intDiv(1, number)"),
        ("select number, 7 % number from numbers(3)", "7 % number"),
        ("select sum(7 % number) from numbers(3)", "7 % number"),
        ("select count() from numbers(3) where 7 % number = 1", "7 % number"),
        (
            "select 1, toDecimal(1, 2) / toDecimal(number, 2) from numbers(3)",
            "toDecimal(1, 2) / toDecimal(number, 2)",
        ),
        (
            "select arrayMap((x, y) -> x, [1], range(number)) from numbers(3)",
            "arrayMap((x, y) -> x, [1], range(number))",
        ),
        ("select arrayMap(x -> 2 * intDiv(9, x), range(number)) from numbers(3)", "intDiv(9, x)"),
        (
            "select 5, topKWeighted(2)(number, -number) from numbers(3)",
            "topKWeighted(2)(number, -number)",
        ),
        ("with intDiv(4, number) as q select 1, q from numbers(2)", "intDiv(4, number)"),
        ("select * from (select intDiv(1, number) from numbers(3))", "intDiv(1, number)"),
    ] {
        let error = error(&session, query).await;
        let span = error.span.unwrap_or_else(|| panic!("no place: {query}: {error}"));
        assert_eq!(&query[span.range()], blamed, "{query}");
    }
}

/// A place in the text of a view or of a variable is none in the text that was sent.
#[tokio::test(flavor = "multi_thread")]
async fn places_are_of_the_text_that_was_sent() {
    let fixture = Fixture::create().await.unwrap();
    let options = SessionOptions { project: "default".to_owned(), dialect: Dialect::Hogql };
    let session = fixture.engine.session(options).await.unwrap();
    for statement in [
        "create view quotients as select 'some text before it', intDiv(1, number) as q from numbers(3)",
        "set var.q = (select max(intDiv(1, number)) from numbers(3))",
        "prepare p as select 'some text before it', intDiv(1, number) as q from numbers(3)",
    ] {
        drop(session.query(statement).await.unwrap());
    }
    for query in ["select q from quotients", "select {variables.q}", "execute p"] {
        let error = error(&session, query).await;
        assert_eq!((error.kind, error.span), (ErrorKind::DivisionByZero, None), "{query}");
    }
}
