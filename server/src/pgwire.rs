//! The Postgres wire protocol.
//!
//! ```text
//! startup ─> connection ─┬─ simple ────┬─> backend: route ─┬─ utility  (the session itself)
//!                        └─ extended ──┘                   ├─ catalog  (system tables)
//!                                                          └─ engine   (HogQL)
//! rows back: values ─> rows (text or binary, by types) ─> outbox ─> client
//! ```

mod backend;
mod cancel;
mod catalog;
mod connection;
mod copy;
mod copy_in;
mod error;
mod extended;
mod message;
mod outbox;
mod params;
mod prepared;
mod route;
mod rows;
mod simple;
mod startup;
mod types;
mod utility;
mod variables;

use std::sync::Arc;

use hedgerow_engine::Engine;
use tokio::net::TcpListener;

use crate::server::Lifecycle;
use cancel::Cancels;

/// What all connections share.
#[derive(Debug)]
pub(crate) struct PgServer {
    engine: Arc<Engine>,
    lifecycle: Lifecycle,
    cancels: Arc<Cancels>,
}

impl PgServer {
    pub(crate) fn new(engine: Arc<Engine>, lifecycle: Lifecycle) -> Self {
        Self { engine, lifecycle, cancels: Arc::default() }
    }

    /// Accepts clients until the server drains.
    pub(crate) async fn serve(self, listener: TcpListener) {
        let server = Arc::new(self);
        loop {
            let accepted = tokio::select! {
                () = server.lifecycle.drain.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let socket = match accepted {
                Ok((socket, _)) => socket,
                Err(error) => {
                    server.lifecycle.accept_failed(&error).await;
                    continue;
                }
            };
            let task = Arc::clone(&server);
            server.lifecycle.clients.spawn(async move {
                if let Some(connection) = startup::open(&task, socket).await {
                    connection.serve().await;
                }
            });
        }
    }
}
