//! Events over HTTP: who may send them, and into which project they go.

use std::net::SocketAddr;
use std::sync::Arc;

use hedgerow::server::{Addresses, Server};
use hedgerow_engine::{Engine, EngineOptions, EventStore, Location};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{answers, start_for_ingest, start_with_tokens};

/// Posts a body: the status, and the answer.
async fn post(address: SocketAddr, body: &str) -> (u16, serde_json::Value) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST /batch/ HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

fn batch(key: &str, event: &str) -> String {
    format!(r#"{{"api_key":"{key}","batch":[{{"event":"{event}","distinct_id":"u"}}]}}"#)
}

#[tokio::test]
async fn without_tokens_everybody_on_this_machine() {
    let (server, _folder) = start_for_ingest().await;
    assert_eq!(post(server.http, &batch("anything", "a")).await.0, 200);
    let bare = r#"{"event":"b","distinct_id":"u"}"#;
    assert_eq!(post(server.http, bare).await.0, 200);
    let client = server.client().await;
    assert_eq!(answers(&client, "select event from events order by 1").await, ["a", "b", "#2"]);
    // The same events, whichever way they come.
    let uuid = "00000000-0000-4000-8000-000000000001";
    let event = format!(
        r#"{{"uuid":"{uuid}","event":"c","distinct_id":"u","timestamp":"2026-03-01T10:00:00Z"}}"#
    );
    assert_eq!(post(server.http, &event).await.0, 200);
    let sql = format!(
        "insert into events (uuid, event, distinct_id, timestamp) \
         values ('{uuid}', 'c', 'u', '2026-03-01 10:00:00')"
    );
    assert_eq!(answers(&client, &sql).await, ["#0"]);
}

#[tokio::test]
async fn with_tokens_whoever_has_one() {
    let tokens = [("phc_one", "default"), ("phc_two", "shop")];
    let (server, _folder) = start_with_tokens(&tokens).await;
    assert_eq!(post(server.http, &batch("phc_one", "one")).await.0, 200);
    assert_eq!(post(server.http, &batch("phc_two", "two")).await.0, 200);
    for (body, reason) in [
        (batch("phc_three", "three"), "no project has the token 'phc_three'"),
        (batch("", "three"), "the request has no project token"),
        (r#"[{"event":"b","distinct_id":"u"}]"#.to_owned(), "the request has no project token"),
    ] {
        let (status, answer) = post(server.http, &body).await;
        assert_eq!(status, 401, "{body}");
        assert_eq!(answer["type"], "authentication_error");
        assert_eq!(answer["detail"], reason);
    }
    let sql = "select event from events";
    assert_eq!(answers(&server.client().await, sql).await, ["one", "#1"]);
    let shop = server.client_with("dbname=shop").await;
    assert_eq!(answers(&shop, sql).await, ["two", "#1"]);
}

#[tokio::test]
async fn other_machines_need_a_token() {
    use hedgerow_engine::ingest::IngestOptions;
    let folder = TempDir::new().unwrap();
    let location = Location::from(folder.path());
    let store = EventStore::create(&location).await.unwrap();
    let project = store.create_project("default").await.unwrap();
    for (token, expected) in [(None, 401), (Some("phc_one"), 200)] {
        if let Some(token) = token {
            store.add_token(token, project).await.unwrap();
        }
        let engine =
            Engine::open_for_ingest(&location, EngineOptions::default(), IngestOptions::default());
        let engine = engine.await.unwrap();
        let addresses = Addresses {
            pg: "127.0.0.1:0".to_owned(),
            flight: "127.0.0.1:0".to_owned(),
            http: "0.0.0.0:0".to_owned(),
        };
        let server = Server::bind(Arc::clone(&engine), &addresses).await.unwrap();
        let lifecycle = server.lifecycle().clone();
        let address = SocketAddr::from(([127, 0, 0, 1], server.http().port()));
        let serving = tokio::spawn(server.serve());
        let (status, answer) = post(address, &batch("phc_one", "a")).await;
        assert_eq!(status, expected, "{answer}");
        if token.is_none() {
            let detail = answer["detail"].as_str().unwrap();
            assert!(detail.contains("no project tokens") && detail.contains("--token"), "{detail}");
        }
        lifecycle.drain.cancel();
        serving.await.unwrap();
        engine.close().await;
        drop(engine);
    }
    let shop = store.create_project("shop").await.unwrap();
    let error = store.add_token("phc_one", shop).await.unwrap_err();
    assert!(error.message.contains("belongs to another project"), "{error}");
    for token in ["", "a b", "a/b", "../a", &"x".repeat(201)] {
        store.add_token(token, project).await.unwrap_err();
    }
}
