//! Arrow Flight SQL.
//!
//! ```text
//! handshake ─> principal ─> service ─┬─ statements (prepared, bound, ticketed: handles)
//!                                    └─ metadata   (catalogs, tables, types, server)
//! rows in (bulk ingestion): ingest ─> engine
//! batches back: wire (types every client knows) ─> IPC, in messages below the client's limit
//! ```
//! Quoted text is read with HogQL's rules: people write it by hand in notebooks, and values come
//! as real parameters (`$1`, `$2`, …).

mod handles;
mod ingest;
mod metadata;
mod params;
mod service;
mod wire;

use std::sync::Arc;

use arrow_flight::flight_service_server::FlightServiceServer;
use hedgerow_engine::Engine;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::server::Lifecycle;
use service::Service;

/// The largest request: a query with its parameters.
const REQUEST_BYTES_MAX: usize = 256 << 20;

/// Flight SQL on one port.
#[derive(Debug)]
pub(crate) struct FlightServer {
    service: Service,
    lifecycle: Lifecycle,
}

impl FlightServer {
    pub(crate) fn new(engine: Arc<Engine>, lifecycle: Lifecycle) -> Self {
        Self { service: Service::new(engine, lifecycle.clone()), lifecycle }
    }

    /// Answers clients until the server drains and their running calls are done, or it stops.
    pub(crate) async fn serve(self, listener: TcpListener) {
        let Self { service, lifecycle } = self;
        let service = FlightServiceServer::new(service)
            .max_decoding_message_size(REQUEST_BYTES_MAX)
            .max_encoding_message_size(usize::MAX);
        let drain = lifecycle.drain.clone();
        // The builder's own setting does not reach a listener that is given to it.
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let serving = Server::builder()
            .add_service(service)
            .serve_with_incoming_shutdown(incoming, drain.cancelled());
        tokio::select! {
            result = serving => if let Err(error) = result {
                tracing::error!(%error, "Flight SQL ended");
            },
            () = lifecycle.stop.cancelled() => {}
        }
    }
}
