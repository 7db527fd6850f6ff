//! HTTP: whether the process lives, and whether it takes work.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::server::Lifecycle;

/// Answers until the server stops, so that a draining server can say so.
pub(crate) async fn serve(lifecycle: Lifecycle, listener: TcpListener) {
    let routes = Router::new()
        .route("/health", get(|| async { "ok\n" }))
        .route("/ready", get(ready))
        .with_state(lifecycle.clone());
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
async fn ready(State(lifecycle): State<Lifecycle>) -> (StatusCode, &'static str) {
    match lifecycle.drain.is_cancelled() {
        false => (StatusCode::OK, "ready\n"),
        true => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
    }
}
