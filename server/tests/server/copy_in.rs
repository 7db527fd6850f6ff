//! `COPY events FROM STDIN`: all rows or none, and errors with their line.

use bytes::Bytes;
use futures::SinkExt;
use tokio_postgres::Client;

use crate::support::{answers, start_for_ingest};

/// Sends data in pieces of `piece` bytes: how many rows were stored.
async fn copy(
    client: &Client,
    sql: &str,
    data: &str,
    piece: usize,
) -> Result<u64, tokio_postgres::Error> {
    let mut sink = Box::pin(client.copy_in(sql).await?);
    for piece in data.as_bytes().chunks(piece) {
        sink.send(Bytes::copy_from_slice(piece)).await?;
    }
    sink.as_mut().finish().await
}

#[tokio::test]
async fn text_and_csv() {
    let (server, _folder) = start_for_ingest().await;
    let client = server.client().await;
    let text = "signup\tann\t2026-03-01 10:00:00+00\t{\"plan\":\"pro\"}\n\
                signup\tbob\\tb\t2026-03-01 12:00:00+02\t\\N\n";
    let sql = "copy events (event, distinct_id, timestamp, properties) from stdin";
    assert_eq!(copy(&client, sql, text, 7).await.unwrap(), 2);
    let csv = "paid,\"c, \"\"d\"\"\ne\",2026-03-01T10:00:00Z,\"{\"\"text\"\":\"\"a\\nb\"\"}\"\r\n";
    let csv = format!("event,distinct_id,timestamp,properties\r\n{csv}paid,e,,\r\n");
    let sql = "copy events (event, distinct_id, timestamp, properties) from stdin with (format csv, header match)";
    assert_eq!(copy(&client, sql, &csv, 5).await.unwrap(), 2);
    let sql = "select event, distinct_id, properties.plan, properties.text, timestamp > now() - interval 1 hour \
               from events where not (distinct_id = 'ann' and timestamp != '2026-03-01 10:00:00') order by 1, 2";
    let expected = [
        "paid|c, \"d\"\ne|∅|a\nb|f",
        "paid|e|∅|∅|t",
        "signup|ann|pro|∅|f",
        "signup|bob\tb|∅|∅|f",
        "#4",
    ];
    assert_eq!(answers(&client, sql).await, expected);
    // The same times again, in other words: nothing new.
    assert_eq!(
        copy(
            &client,
            "copy events (event, distinct_id, timestamp, properties) from stdin",
            text,
            100
        )
        .await
        .unwrap(),
        0
    );
    // Times without an offset are in the session's zone.
    client.batch_execute("set timezone = 'Asia/Kolkata'").await.unwrap();
    let sql = "copy events (event, distinct_id, timestamp) from stdin delimiter '|' null '-'";
    assert_eq!(copy(&client, sql, "zone|u|2026-03-01 10:00:00\n", 100).await.unwrap(), 1);
    let sql = "select toTimeZone(timestamp, 'UTC')::text from events where event = 'zone'";
    assert!(
        answers(&client, sql).await[0].contains("04:30:00"),
        "{:?}",
        answers(&client, sql).await
    );
}

#[tokio::test]
async fn what_is_copied_out_can_be_copied_in() {
    let (server, _folder) = start_for_ingest().await;
    let (other, _other_folder) = start_for_ingest().await;
    let (from, to) = (server.client().await, other.client().await);
    let sql = "insert into events (event, distinct_id, timestamp, properties) \
               select 'e', toString(number), toDateTime('2026-03-01') + toIntervalSecond(number), \
               concat('{\"text\":\"a\\tb\\\\n\\\"', toString(number), '\"}') from numbers(1000)";
    assert_eq!(answers(&from, sql).await, ["#1000"]);
    for format in ["", "with (format csv, header)"] {
        use futures::TryStreamExt;
        let sql = format!("copy (select * from events) to stdout {format}");
        let lines: Vec<_> = from.copy_out(&sql).await.unwrap().try_collect().await.unwrap();
        let data = String::from_utf8(lines.concat()).unwrap();
        let sql = format!("copy events from stdin {format}");
        let stored = copy(&to, &sql, &data, 1000).await.unwrap();
        assert_eq!(stored, if format.is_empty() { 1000 } else { 0 });
    }
    let facts = "select count(), toString(min(uuid)), toString(max(uuid)), max(properties), sum(length(properties)) from events";
    assert_eq!(answers(&to, facts).await, answers(&from, facts).await);
}

#[tokio::test]
async fn an_error_stores_nothing_and_tells_its_line() {
    let (server, _folder) = start_for_ingest().await;
    let client = server.client().await;
    let columns = "(event, distinct_id, timestamp, uuid, properties)";
    let good = "e\tu\t2026-03-01\t\\N\t{}\n";
    for (line, code, message, context) in [
        ("e\tu", "22P04", "missing data for column \"timestamp\"", "COPY events, line 3"),
        (
            "e\tu\t\\N\t\\N\t{}\tx",
            "22P04",
            "extra data after last expected column",
            "COPY events, line 3",
        ),
        ("e\tu\tsoon\t\\N\t{}", "22007", "soon", "COPY events, line 3, column timestamp: \"soon\""),
        ("e\tu\t\\N\tx1\t{}", "22P02", "x1", "COPY events, line 3, column uuid: \"x1\""),
        ("e\tu\t\\N\t\\N\t{", "22P02", "properties is not a JSON object", "COPY events, line 3"),
        ("e\t\\N\t\\N\t\\N\t{}", "23502", "distinct_id is missing", "COPY events, line 3"),
        ("e\tu\\000\t\\N\t\\N\t{}", "22021", "0x00", "COPY events, line 3"),
        ("e\tu\\377\t\\N\t\\N\t{}", "22021", "UTF8", "COPY events, line 3"),
    ] {
        let data = format!("{good}{good}{line}\n{good}");
        let sql = format!("copy events {columns} from stdin");
        let error = copy(&client, &sql, &data, 9).await.unwrap_err();
        let error = error.as_db_error().unwrap_or_else(|| panic!("{line}: {error:?}"));
        assert_eq!((error.code().code(), error.where_()), (code, Some(context)), "{error:?}");
        assert!(error.message().contains(message), "{error:?}");
        assert_eq!(answers(&client, "select count() from events").await, ["0", "#1"]);
    }
    for (sql, code) in [
        ("copy events (evnt) from stdin", "42703"),
        ("copy nothing from stdin", "42P01"),
        ("copy events (distinct_id_hash) from stdin", "0A000"),
        ("copy events from stdin (format parquet)", "0A000"),
        ("copy events from stdin (delimiter 'ab')", "0A000"),
        ("copy events from '/etc/passwd'", "0A000"),
    ] {
        // The driver sends one Sync too many when a COPY does not begin.
        let client = server.client().await;
        let error = copy(&client, sql, "x\n", 1).await.unwrap_err();
        let found = error.code().map(|code| code.code());
        assert_eq!(found, Some(code), "{sql}: {error:?}");
    }
    client.batch_execute("create table t (a int)").await.unwrap();
    let other = server.client().await;
    let error = copy(&other, "copy t from stdin", "1\n", 1).await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "0A000");
    client.batch_execute("begin").await.unwrap();
    let error = copy(&client, "copy events (event) from stdin", "1\n", 1).await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "25001");
}

#[tokio::test]
async fn giving_up_stores_nothing() {
    let (server, _folder) = start_for_ingest().await;
    let client = server.client().await;
    let mut sink =
        Box::pin(client.copy_in("copy events (event, distinct_id) from stdin").await.unwrap());
    sink.send(Bytes::from_static(b"a\tu\n")).await.unwrap();
    // The driver sends CopyFail.
    drop(sink);
    assert_eq!(answers(&client, "select count() from events").await, ["0", "#1"]);
    let other = server.client().await;
    let mut sink =
        Box::pin(other.copy_in("copy events (event, distinct_id) from stdin").await.unwrap());
    sink.send(Bytes::from_static(b"a\tu\n")).await.unwrap();
    drop((sink, other));
    assert_eq!(answers(&client, "select count() from events").await, ["0", "#1"]);
    assert_eq!(
        copy(&client, "copy events (event, distinct_id) from stdin", "a\tu", 1).await.unwrap(),
        1
    );
}

/// More than one record of the log takes, with a mistake at the end, and without.
#[tokio::test]
async fn many_rows_are_all_or_none_too() {
    let (server, _folder) = start_for_ingest().await;
    let client = server.client().await;
    let text = "x".repeat(1000);
    let line = |n: u32| {
        format!(
            "u{},e,2026-03-0{}T00:00:00Z,\"{{\"\"n\"\":{n},\"\"t\"\":\"\"{text}\"\"}}\"\n",
            n % 100,
            1 + n % 3
        )
    };
    let data: String = (0..32_000).map(line).collect();
    let sql = "copy events (distinct_id, event, timestamp, properties) from stdin csv";
    let error = copy(&client, sql, &format!("{data}u,,,\n"), 1 << 16).await.unwrap_err();
    assert_eq!(error.as_db_error().unwrap().where_(), Some("COPY events, line 32001"), "{error:?}");
    assert_eq!(answers(&client, "select count() from events").await, ["0", "#1"]);
    assert_eq!(copy(&client, sql, &data, 1 << 16).await.unwrap(), 32_000);
    let facts = "select count(), uniqExact(uuid), sum(toInt(properties.n)) from events";
    assert_eq!(answers(&client, facts).await, ["32000|32000|511984000", "#1"]);
}
