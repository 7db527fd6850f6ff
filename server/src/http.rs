//! HTTP: whether the process lives and takes work, and events from SDKs.

mod capture;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use hedgerow_engine::Engine;
use hedgerow_engine::ingest::Senders;
use tokio::net::TcpListener;

use crate::server::Lifecycle;

/// What routes need.
#[derive(Debug, Clone)]
struct Service {
    engine: Arc<Engine>,
    senders: Arc<Senders>,
    lifecycle: Lifecycle,
}

/// Answers until the server stops, so that a draining server can say so.
pub(crate) async fn serve(
    engine: Arc<Engine>,
    senders: Senders,
    lifecycle: Lifecycle,
    listener: TcpListener,
) {
    let senders = Arc::new(senders);
    let batch = || post(capture::batch).layer(DefaultBodyLimit::max(capture::BODY_BYTES_MAX));
    let routes = Router::new()
        .route("/health", get(|| async { "ok\n" }))
        .route("/ready", get(ready))
        .route("/batch", batch())
        .route("/batch/", batch())
        .with_state(Service { engine, senders, lifecycle: lifecycle.clone() });
    let done = async move {
        lifecycle.drain.cancelled().await;
        lifecycle.clients.close();
        tokio::select! {
            () = lifecycle.clients.wait() => {}
            () = lifecycle.stop.cancelled() => {}
        }
    };
    if let Err(error) = axum::serve(listener, routes).with_graceful_shutdown(done).await {
        tracing::error!(%error, "HTTP ended");
    }
}

/// 200 once the store is open and every port listens, which is so before the first request can
/// come; 503 while the server drains.
async fn ready(State(service): State<Service>) -> (StatusCode, &'static str) {
    match service.lifecycle.drain.is_cancelled() {
        false => (StatusCode::OK, "ready\n"),
        true => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
    }
}
