//! The process: listeners, readiness, drain.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hedgerow_engine::Engine;
use hedgerow_engine::ingest::Senders;
use tokio::net::{TcpListener, lookup_host};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::flight::FlightServer;
use crate::http;
use crate::pgwire::PgServer;

/// The project of clients that name none.
pub const DEFAULT_PROJECT: &str = "default";

/// The schema of tables whose name has none: tools insist on this one.
pub(crate) const DEFAULT_SCHEMA: &str = "public";

/// Schema and name of a table as clients list it.
pub(crate) fn schema_and_name(table: &str) -> (&str, &str) {
    table.split_once('.').unwrap_or((DEFAULT_SCHEMA, table))
}

/// How the server ends: first no new work, then no work at all.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    /// Cancelled when no new work is taken.
    pub drain: CancellationToken,
    /// Cancelled when work that still runs must end.
    pub stop: CancellationToken,
    /// Everything that serves a client.
    pub clients: TaskTracker,
}

impl Lifecycle {
    /// A failing accept is the client's fault, or a shortage that passes.
    pub async fn accept_failed(&self, error: &io::Error) {
        tracing::warn!(%error, "accepting a connection failed");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Where to listen, as `host:port`.
#[derive(Debug, Clone)]
pub struct Addresses {
    pub pg: String,
    pub flight: String,
    pub http: String,
}

/// A server whose ports are open.
#[derive(Debug)]
pub struct Server {
    engine: Arc<Engine>,
    /// Who may send events over HTTP.
    senders: Senders,
    lifecycle: Lifecycle,
    pg: Port,
    flight: Port,
    http: Port,
}

#[derive(Debug)]
struct Port {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Opens the ports. Until credentials can be configured, queries are answered on loopback
    /// only. Events over HTTP are taken from whoever names the token of a project; while there is
    /// no token, from everybody on loopback.
    ///
    /// # Errors
    /// One line that names the flag of the address at fault.
    pub async fn bind(engine: Arc<Engine>, addresses: &Addresses) -> Result<Self, String> {
        let http = open(&addresses.http, "--http", Reach::Anyone).await?;
        let on_loopback = http.address.ip().is_loopback();
        Ok(Self {
            senders: senders(&engine, on_loopback).await.map_err(|error| error.to_string())?,
            engine,
            lifecycle: Lifecycle::default(),
            pg: open(&addresses.pg, "--pg", Reach::ThisMachine).await?,
            flight: open(&addresses.flight, "--flight", Reach::ThisMachine).await?,
            http,
        })
    }

    /// What ends the server.
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// The address of the Postgres wire.
    pub fn pg(&self) -> SocketAddr {
        self.pg.address
    }

    /// The address of Flight SQL.
    pub fn flight(&self) -> SocketAddr {
        self.flight.address
    }

    /// The address of HTTP.
    pub fn http(&self) -> SocketAddr {
        self.http.address
    }

    /// Serves clients until the lifecycle ends it and the last of them is gone.
    pub async fn serve(self) {
        let Self { engine, senders, lifecycle, pg, flight, http } = self;
        tokio::join!(
            PgServer::new(Arc::clone(&engine), lifecycle.clone()).serve(pg.listener),
            FlightServer::new(Arc::clone(&engine), lifecycle.clone()).serve(flight.listener),
            http::serve(engine, senders, lifecycle.clone(), http.listener),
        );
        lifecycle.clients.close();
        lifecycle.clients.wait().await;
    }
}

/// Who may send events to a server over this store.
async fn senders(engine: &Engine, on_loopback: bool) -> hedgerow_engine::Result<Senders> {
    let tokens = match engine.store() {
        Some(store) => store.tokens().await?,
        None => HashMap::new(),
    };
    match engine.store() {
        Some(store) if tokens.is_empty() && on_loopback && engine.takes_events() => {
            Ok(Senders::Anyone(store.create_project(DEFAULT_PROJECT).await?))
        }
        _ => Ok(Senders::Tokens(tokens)),
    }
}

/// Who can reach a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    ThisMachine,
    Anyone,
}

async fn open(address: &str, flag: &str, reach: Reach) -> Result<Port, String> {
    let explain =
        |error: &dyn std::fmt::Display| format!("cannot listen on {address} ({flag}): {error}");
    let resolved = lookup_host(address).await.map_err(|error| explain(&error))?.next();
    let Some(resolved) = resolved else { return Err(explain(&"no such host")) };
    if reach == Reach::ThisMachine && !resolved.ip().is_loopback() {
        return Err(explain(
            &"without configured credentials Hedgerow answers queries on loopback only \
              (127.0.0.1, ::1)",
        ));
    }
    let listener = TcpListener::bind(resolved).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => explain(&"the port is in use"),
        _ => explain(&error),
    })?;
    let address = listener.local_addr().map_err(|error| explain(&error))?;
    Ok(Port { listener, address })
}
