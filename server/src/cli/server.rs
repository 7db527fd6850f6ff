//! `hedgerow server`.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use hedgerow_engine::ingest::IngestOptions;
use hedgerow_engine::{Engine, Location};
use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};

use super::failure::Failure;
use crate::config::{EngineFlags, fill};
use crate::server::{Addresses, DEFAULT_PROJECT, Lifecycle, Server};

/// Options of `hedgerow server`.
#[derive(Debug, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Data folder, or object-store URL (s3://, gs://, az://).
    #[arg(long, value_name = "DIR|URL", env = "HEDGEROW_DATA")]
    data: Option<String>,
    #[command(flatten)]
    #[serde(skip)]
    engine: EngineFlags,
    /// Seconds after which events are moved from memory into files. Default: 10.
    #[arg(long, value_name = "SECONDS", env = "HEDGEROW_FLUSH_SECONDS")]
    flush_seconds: Option<f64>,
    /// Memory in MiB for events that are in no file yet. With so much waiting nothing more is taken, and
    /// senders are told to try again. Default: 512.
    #[arg(long, value_name = "MIB", env = "HEDGEROW_INGEST_MEMORY_MB")]
    ingest_memory_mb: Option<usize>,
    /// Token with which SDKs send events into a project, as TOKEN or TOKEN=PROJECT; several with
    /// commas between. Kept in the data folder. While it has none, everybody on this machine can
    /// send events into the project default, and nobody else.
    #[arg(
        long = "token",
        value_name = "TOKEN[=PROJECT]",
        env = "HEDGEROW_TOKENS",
        value_delimiter = ','
    )]
    tokens: Vec<String>,
    /// Where the server listens.
    #[command(flatten)]
    pub listen: Listen,
}

/// Where a server listens, and how it ends.
#[derive(Debug, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Listen {
    /// Address of the Postgres wire; port 0 takes a free one. Default: 127.0.0.1:5433.
    #[arg(long, value_name = "ADDR", env = "HEDGEROW_PG")]
    pg: Option<String>,
    /// Address of Arrow Flight SQL; port 0 takes a free one. Default: 127.0.0.1:5434.
    #[arg(long, value_name = "ADDR", env = "HEDGEROW_FLIGHT")]
    flight: Option<String>,
    /// Address of HTTP; port 0 takes a free one. Default: 127.0.0.1:5435.
    #[arg(long, value_name = "ADDR", env = "HEDGEROW_HTTP")]
    http: Option<String>,
    /// Seconds that running queries may take to finish after the server is told to end; a second
    /// signal ends them at once. Default: 30.
    #[arg(long, value_name = "SECONDS", env = "HEDGEROW_GRACE_SECONDS")]
    grace_seconds: Option<u64>,
}

impl Options {
    /// These options, and those of the file where they say nothing.
    #[must_use]
    pub(crate) fn over(mut self, file: Self, engine: EngineFlags) -> Self {
        self.engine = self.engine.over(engine);
        self.listen = self.listen.over(file.listen);
        if self.tokens.is_empty() {
            self.tokens = file.tokens;
        }
        fill!(self, file; data, flush_seconds, ingest_memory_mb);
        self
    }
}

impl Listen {
    /// These options, and those of the file where they say nothing.
    #[must_use]
    pub(crate) fn over(mut self, file: Self) -> Self {
        fill!(self, file; pg, flight, http, grace_seconds);
        self
    }

    fn addresses(&self) -> Addresses {
        let or = |given: &Option<String>, default: &str| {
            given.clone().unwrap_or_else(|| default.to_owned())
        };
        Addresses {
            pg: or(&self.pg, "127.0.0.1:5433"),
            flight: or(&self.flight, "127.0.0.1:5434"),
            http: or(&self.http, "127.0.0.1:5435"),
        }
    }

    /// Serves `engine` until a signal ends it. `ready` is told the server once it listens.
    ///
    /// # Errors
    /// When an address cannot be listened on.
    pub(crate) async fn serve(
        &self,
        engine: Arc<Engine>,
        ready: impl FnOnce(&Server) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let server = Server::bind(engine, &self.addresses()).await.map_err(Failure::new)?;
        let lifecycle = server.lifecycle().clone();
        let grace = Duration::from_secs(self.grace_seconds.unwrap_or(30));
        let ending = tokio::spawn(end_on_signals(lifecycle, grace));
        if let Err(error) = ready(&server) {
            // Whoever started the server may have stopped listening to it.
            tracing::warn!(%error, "the addresses could not be printed");
        }
        server.serve().await;
        ending.abort();
        Ok(())
    }
}

/// Runs the server.
///
/// # Errors
/// When the data folder cannot be opened, or an address cannot be listened on.
pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let Some(data) = options.data else {
        return Err(Failure::new("no data folder: give one with --data DIR|URL"));
    };
    let mut ingest = IngestOptions::default();
    if let Some(seconds) = options.flush_seconds {
        ingest.flush_after = Duration::try_from_secs_f64(seconds)
            .map_err(|error| Failure::new(format!("--flush-seconds {seconds}: {error}")))?;
    }
    if let Some(mib) = options.ingest_memory_mb {
        ingest = ingest.with_memory(mib.saturating_mul(1 << 20));
    }
    let engine = Engine::open_for_ingest(&Location(data), options.engine.options(), ingest).await?;
    let served = match add_tokens(&engine, &options.tokens).await {
        Ok(()) => options.listen.serve(Arc::clone(&engine), print_addresses).await,
        Err(failure) => Err(failure),
    };
    engine.close().await;
    served
}

async fn add_tokens(engine: &Engine, tokens: &[String]) -> Result<(), Failure> {
    let Some(store) = engine.store() else { return Ok(()) };
    for token in tokens {
        let (token, project) = token.split_once('=').unwrap_or((token, DEFAULT_PROJECT));
        store.add_token(token, store.create_project(project).await?).await?;
    }
    Ok(())
}

/// Where the server can be reached, with the ports it really got.
///
/// # Errors
/// When stdout cannot be written.
pub(crate) fn print_addresses(server: &Server) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "Postgres    postgres://{}/{DEFAULT_PROJECT}", server.pg())?;
    writeln!(out, "Flight SQL  grpc://{}", server.flight())?;
    writeln!(out, "HTTP        http://{}", server.http())?;
    out.flush()
}

/// The first SIGTERM or SIGINT drains; the second, or the end of the grace time, stops.
async fn end_on_signals(lifecycle: Lifecycle, grace: Duration) {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be watched: the server only ends when it is killed");
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!(grace_seconds = grace.as_secs(), "draining");
    lifecycle.drain.cancel();
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = tokio::time::sleep(grace) => {}
    }
    lifecycle.stop.cancel();
}
