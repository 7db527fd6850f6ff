//! tokio-postgres: simple and extended queries, types, errors, transactions, cancelling.

use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::support::{ENDLESS_KINDS, start};

/// The rows of a simple query as texts, NULL as `∅`.
async fn texts(client: &Client, sql: &str) -> Vec<Vec<String>> {
    let messages = client.simple_query(sql).await.unwrap();
    let rows = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|at| row.get(at).unwrap_or("∅").to_owned()).collect())
        }
        _ => None,
    });
    rows.collect()
}

async fn text(client: &Client, sql: &str) -> String {
    texts(client, sql).await.remove(0).remove(0)
}

async fn code(client: &Client, sql: &str) -> SqlState {
    client.simple_query(sql).await.unwrap_err().code().unwrap().clone()
}

#[tokio::test]
async fn texts_are_as_postgres_prints_them() {
    let server = start().await;
    let client = server.client().await;
    for (sql, expected) in [
        ("select true", "t"),
        ("select 42", "42"),
        ("select 0.1 + 0.2", "0.30000000000000004"),
        ("select 1 / 0", "Infinity"),
        ("select toDecimal(1.5, 3)", "1.500"),
        ("select null", "∅"),
        ("select toDate('2026-11-13')", "2026-11-13"),
        ("select toDateTime('2026-11-13 10:00:00')", "2026-11-13 10:00:00+00"),
        (
            "select toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0')",
            "61f0c404-5cb3-11e7-907b-a6006ad3dba0",
        ),
        ("select ['a', 'b c', null]", "{a,\"b c\",NULL}"),
        ("select [1, 2]", "{1,2}"),
        ("select [[1], [2, 3]]", "[[1],[2,3]]"),
        ("select (1, 'a')", "[1,\"a\"]"),
        ("select 'a\\b'", "a\\b"),
    ] {
        assert_eq!(text(&client, sql).await, expected, "{sql}");
    }
    client.batch_execute("set time zone 'Asia/Kolkata'").await.unwrap();
    assert_eq!(
        text(&client, "select toDateTime('2026-11-13 10:00:00', 'UTC')").await,
        "2026-11-13 15:30:00+05:30"
    );
}

#[tokio::test]
async fn binary_results_and_parameters() {
    let server = start().await;
    let client = server.client().await;
    let row = client
        .query_one(
            "select $1 + 1, concat($2, '!'), [1, 2], 1.5, true, ['x', null]",
            &[&41_i64, &"hi"],
        )
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 42);
    assert_eq!(row.get::<_, &str>(1), "hi!");
    assert_eq!(row.get::<_, Vec<i64>>(2), [1, 2]);
    assert!((row.get::<_, f64>(3) - 1.5).abs() < f64::EPSILON);
    assert!(row.get::<_, bool>(4));
    assert_eq!(row.get::<_, Vec<Option<&str>>>(5), [Some("x"), None]);
}

#[tokio::test]
async fn described_types() {
    let server = start().await;
    let client = server.client().await;
    for (sql, expected) in [
        ("select true", Type::BOOL),
        ("select 1", Type::INT8),
        ("select toDecimal(1, 2)", Type::NUMERIC),
        ("select 1.5", Type::FLOAT8),
        ("select 'a'", Type::TEXT),
        ("select null", Type::TEXT),
        ("select toDate('2026-11-13')", Type::DATE),
        ("select now()", Type::TIMESTAMPTZ),
        ("select generateUUIDv4()", Type::UUID),
        ("select ['a']", Type::TEXT_ARRAY),
        ("select [[1]]", Type::JSONB),
        ("select (1, 2)", Type::JSONB),
        ("select toIntervalDay(1)", Type::INTERVAL),
    ] {
        let statement = client.prepare(sql).await.unwrap();
        assert_eq!(*statement.columns()[0].type_(), expected, "{sql}");
    }
    let statement = client.prepare_typed("select $1", &[Type::INT4]).await.unwrap();
    assert_eq!(statement.params(), [Type::INT4]);
}

#[tokio::test]
async fn quotes_are_standard_until_the_session_says_otherwise() {
    let server = start().await;
    let client = server.client().await;
    // What a client that doubles quotes makes of `foo\' or 1=1 --`.
    assert_eq!(text(&client, "select 'foo\\'' or 1=1 --'").await, "foo\\' or 1=1 --");
    client.batch_execute("set hogql_strings = on").await.unwrap();
    assert_eq!(text(&client, "select 'it\\'s'").await, "it's");
    // Legal in HogQL, and nothing that clients of this protocol could read to its end.
    assert_eq!(code(&client, "select decodeURLComponent('a%00b')").await.code(), "22021");
}

#[tokio::test]
async fn several_statements_stop_at_the_first_error() {
    let server = start().await;
    let client = server.client().await;
    assert_eq!(texts(&client, "select 1; select 2;").await, [["1"], ["2"]]);
    let error = client.simple_query("select 'é'; select nosuch; select 3").await.unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(*error.code(), SqlState::UNDEFINED_COLUMN);
    // Counted in characters of all that was sent.
    assert_eq!(error.position(), Some(&tokio_postgres::error::ErrorPosition::Original(20)));
    assert!(client.simple_query("").await.unwrap().len() <= 1);
    assert_eq!(texts(&client, " ; -- nothing").await, Vec::<Vec<String>>::new());
}

#[tokio::test]
async fn errors_have_codes() {
    let server = start().await;
    let client = server.client().await;
    for (sql, expected) in [
        ("selec 1", "42601"),
        ("select a", "42703"),
        ("select * from nowhere", "42P01"),
        ("select nosuch(1)", "42883"),
        ("select $1", "42P02"),
        // This engine has no store.
        ("insert into events values (1)", "42P01"),
        ("set nosuch = 1", "42704"),
        ("show nosuch", "42704"),
        ("set server_version = '1'", "55P02"),
        ("set statement_timeout = 'soon'", "22023"),
        ("set time zone 'Atlantis'", "22023"),
        ("declare c cursor for select 1", "0A000"),
    ] {
        assert_eq!(code(&client, sql).await.code(), expected, "{sql}");
    }
}

#[tokio::test]
async fn transactions_keep_state() {
    let server = start().await;
    let mut client = server.client().await;
    client.batch_execute("begin; set local statement_timeout = '5s'").await.unwrap();
    assert_eq!(text(&client, "show statement_timeout").await, "5000ms");
    assert_eq!(code(&client, "select a").await, SqlState::UNDEFINED_COLUMN);
    assert_eq!(code(&client, "select 1").await, SqlState::IN_FAILED_SQL_TRANSACTION);
    client.batch_execute("rollback").await.unwrap();
    assert_eq!(text(&client, "show statement_timeout").await, "0");

    client.batch_execute("begin; set application_name = 'x'; savepoint a").await.unwrap();
    assert_eq!(code(&client, "select a").await, SqlState::UNDEFINED_COLUMN);
    client.batch_execute("rollback to a; commit").await.unwrap();
    assert_eq!(text(&client, "show application_name").await, "x");
    client.batch_execute("reset application_name").await.unwrap();
    assert_eq!(text(&client, "show application_name").await, "");

    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind("select number from numbers(5)", &[]).await.unwrap();
    let mut numbers = Vec::new();
    for expected in [2, 2, 1, 0] {
        let rows = transaction.query_portal(&portal, 2).await.unwrap();
        assert_eq!(rows.len(), expected);
        numbers.extend(rows.iter().map(|row| row.get::<_, i64>(0)));
    }
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn cancelling_ends_the_statement_and_nothing_else() {
    let server = start().await;
    let client = server.client().await;
    for sql in ENDLESS_KINDS {
        let cancel = client.cancel_token();
        let running = client.simple_query(sql);
        let cancelling = async {
            // The request may come before the statement: then it hits nothing, so repeat it.
            loop {
                cancel.cancel_query(tokio_postgres::NoTls).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let error = tokio::select! {
            result = running => result.unwrap_err(),
            () = cancelling => unreachable!(),
        };
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{sql}");
    }
    // A late cancel may still be on its way; the session lives.
    while client.simple_query("select 1").await.is_err() {}
}

#[tokio::test]
async fn the_time_limit_covers_planning_running_and_rows() {
    let server = start().await;
    let client = server.client_with("options='-c statement_timeout=50ms'").await;
    for sql in ENDLESS_KINDS {
        assert_eq!(code(&client, sql).await, SqlState::QUERY_CANCELED, "{sql}");
    }
    client.batch_execute("set statement_timeout = 0; select 1").await.unwrap();
}

#[tokio::test]
async fn a_project_that_does_not_exist_is_no_database() {
    let server = start().await;
    let (host, port) = (server.pg.ip(), server.pg.port());
    let config = format!("host={host} port={port} user=tester options='-c nosuch=1'");
    let Err(error) = tokio_postgres::connect(&config, tokio_postgres::NoTls).await else {
        panic!("connected");
    };
    assert_eq!(error.code(), Some(&SqlState::UNDEFINED_OBJECT));
}
