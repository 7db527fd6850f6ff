//! Health, readiness, and the end of a server.

use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_postgres::error::SqlState;

use crate::support::{ENDLESS_ROWS, start};

async fn get(address: std::net::SocketAddr, path: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_draining_server_says_so_and_finishes_what_runs() {
    let server = start().await;
    assert!(get(server.http, "/health").await.starts_with("HTTP/1.1 200"));
    assert!(get(server.http, "/ready").await.starts_with("HTTP/1.1 200"));

    let (busy, idle) = (server.client().await, server.client().await);
    let no_params: [&str; 0] = [];
    let mut rows = Box::pin(busy.query_raw(ENDLESS_ROWS, no_params).await.unwrap());
    rows.next().await.unwrap().unwrap();
    server.lifecycle.drain.cancel();
    let error = idle.simple_query("select 1").await.unwrap_err();
    assert!(error.is_closed() || error.code() == Some(&SqlState::ADMIN_SHUTDOWN), "{error:?}");

    assert!(get(server.http, "/health").await.starts_with("HTTP/1.1 200"));
    assert!(get(server.http, "/ready").await.starts_with("HTTP/1.1 503"));
    rows.next().await.unwrap().unwrap();

    server.lifecycle.stop.cancel();
    let error = loop {
        match rows.next().await.unwrap() {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), Some(&SqlState::ADMIN_SHUTDOWN));
    server.serving.await.unwrap();
}

#[tokio::test]
async fn addresses_that_cannot_be_are_named() {
    use hedgerow::server::{Addresses, Server};
    use hedgerow_engine::{Engine, EngineOptions};

    let engine = Engine::without_store(&EngineOptions::default()).unwrap();
    let server = start().await;
    let any = "127.0.0.1:0".to_owned();
    for (address, expected) in [
        (server.pg.to_string(), "the port is in use"),
        ("0.0.0.0:0".to_owned(), "loopback only"),
        ("nonsense".to_owned(), "cannot listen on nonsense (--flight)"),
    ] {
        let addresses = Addresses { pg: any.clone(), flight: address, http: any.clone() };
        let error = Server::bind(std::sync::Arc::clone(&engine), &addresses).await.unwrap_err();
        assert!(error.contains(expected) && error.contains("--flight"), "{error}");
    }
}
