//! The engine: opens the store, assembles what sessions share, owns the query threads.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use chrono::Utc;
use datafusion::execution::SessionState;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::SessionConfig;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::catalog::Catalog;
use crate::error::{Error, ErrorKind, Result, did_you_mean};
use crate::execute::fill::Planner;
use crate::execute::{leaves, order};
use crate::ingest::{Appended, Filled, Ingest, IngestOptions, Load, Senders, capture};
use crate::session::{Session, SessionOptions};
use crate::storage::{
    CACHE_BYTES, Definitions, EventStore, Location, ProjectId, RangeCacheOptions, Snapshot,
    default_workers,
};

/// Planning recurses over expressions as deep as the parser's limits allow.
const QUERY_STACK_BYTES: usize = 16 << 20;

/// How much of the machine queries may use.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Bytes that running queries may hold together before they spill or fail.
    pub query_memory_bytes_max: usize,
    /// Bytes of footers and decoded columns that scans keep.
    pub cache_bytes_max: usize,
    /// What is kept of the files of an object store; a data folder of this machine needs none of it.
    pub range_cache: RangeCacheOptions,
    /// Threads that run queries; also the number of partitions a plan is cut into.
    pub query_threads: usize,
    /// The folder that COPY may write to; none means that it may not.
    pub export_folder: Option<PathBuf>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            query_memory_bytes_max: 4 << 30,
            cache_bytes_max: CACHE_BYTES,
            range_cache: RangeCacheOptions::default(),
            query_threads: default_workers(),
            export_folder: None,
        }
    }
}

/// Everything that outlives a session.
#[derive(Debug)]
pub struct Engine {
    /// None for an engine that answers only queries over constants.
    store: Option<EventStore>,
    /// None for an engine that only reads.
    ingest: Option<Arc<Ingest>>,
    state: SessionState,
    export_folder: Option<PathBuf>,
    /// Always present; an Option so that it can be shut down when the engine is dropped.
    query_runtime: Option<Runtime>,
}

impl Engine {
    /// Opens the data folder at `location`.
    ///
    /// # Errors
    /// `Storage` when there is no data folder or it cannot be read.
    pub async fn open(location: &Location, options: EngineOptions) -> Result<Arc<Self>> {
        let store = open_store(location, &options).await?;
        Self::assemble(Some(store), None, &options)
    }

    /// Opens the data folder at `location`, and takes events in. One process at a time can.
    ///
    /// # Errors
    /// `Storage` when there is no data folder, it cannot be read or written, or another process
    /// takes events in.
    pub async fn open_for_ingest(
        location: &Location,
        options: EngineOptions,
        ingest: IngestOptions,
    ) -> Result<Arc<Self>> {
        let store = open_store(location, &options).await?;
        let ingest = Ingest::open(&store, location, ingest).await?;
        Self::assemble(Some(store), Some(Arc::new(ingest)), &options)
    }

    /// An engine without data: only system tables and table functions can be read.
    ///
    /// # Errors
    /// `Internal` when no threads can be started.
    pub fn without_store(options: &EngineOptions) -> Result<Arc<Self>> {
        Self::assemble(None, None, options)
    }

    fn assemble(
        store: Option<EventStore>,
        ingest: Option<Arc<Ingest>>,
        options: &EngineOptions,
    ) -> Result<Arc<Self>> {
        let pool = Arc::new(FairSpillPool::new(options.query_memory_bytes_max));
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(pool).build_arc()?;
        if let Some(store) = &store {
            let (url, objects) = store.object_store();
            runtime.register_object_store(url, Arc::clone(objects));
        }
        let mut config = SessionConfig::new()
            .with_target_partitions(options.query_threads)
            .with_information_schema(false);
        // `x IS TRUE` is planned as a comparison that counts as nullable, which the check takes
        // for a mistake.
        config.options_mut().execution.skip_physical_aggregate_schema_check = true;
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_default_features()
            .with_query_planner(Arc::new(Planner))
            .with_optimizer_rules(leaves::rules())
            .with_physical_optimizer_rules(order::rules())
            .build();
        let query_runtime = Builder::new_multi_thread()
            .worker_threads(options.query_threads)
            .thread_name("query")
            .thread_stack_size(QUERY_STACK_BYTES)
            .enable_all()
            .build()
            .map_err(|error| Error::internal("cannot start query threads").caused_by(error))?;
        Ok(Arc::new(Self {
            store,
            ingest,
            state,
            export_folder: options.export_folder.clone(),
            query_runtime: Some(query_runtime),
        }))
    }

    /// The store underneath, for import and upkeep.
    pub fn store(&self) -> Option<&EventStore> {
        self.store.as_ref()
    }

    /// Stores the events of a capture request: all of them or none. They are durable and in every
    /// query when this returns.
    ///
    /// # Errors
    /// `UnknownToken` for a sender who is none of `senders`; `InvalidInput` that names the event
    /// at fault; those of [`Ingest::append`]; `Unsupported` when this engine only reads.
    pub async fn capture(&self, senders: Arc<Senders>, body: Bytes) -> Result<Appended> {
        let Some(ingest) = &self.ingest else {
            return Err(Error::unsupported("this server takes no events in"));
        };
        let received_at = Utc::now();
        let read = tokio::task::spawn_blocking(move || capture(&senders, &body, received_at));
        let (project, rows) = read.await.map_err(|error| Error::internal(error.to_string()))??;
        ingest.append(project, rows).await
    }

    /// Rows for the events of a project, of these columns: stored when the load is finished.
    ///
    /// # Errors
    /// `NotAllowed` without a data folder.
    pub(crate) fn load(&self, project: ProjectId, columns: Vec<Filled>) -> Result<Load> {
        let Some(store) = &self.store else { return Err(no_store()) };
        Ok(Load::new(store.clone(), self.ingest.clone(), project, columns))
    }

    /// True when events can be sent to it.
    pub fn takes_events(&self) -> bool {
        self.ingest.is_some()
    }

    /// Ends taking events in, once those at hand are durable, and writes what is kept of an object
    /// store to this machine's disk.
    pub async fn close(&self) {
        if let Some(ingest) = &self.ingest {
            ingest.close().await;
        }
        if let Some(store) = &self.store {
            store.close().await;
        }
    }

    /// A session in one project. An engine without data has every project, all empty.
    ///
    /// # Errors
    /// `UnknownProject` when the store has no such project.
    pub async fn session(self: &Arc<Self>, options: SessionOptions) -> Result<Session> {
        let project = match &self.store {
            Some(store) => find_project(store, &options.project).await?,
            None => ProjectId(0),
        };
        Ok(Session::new(Arc::clone(self), project, options))
    }

    /// The tables of a project as they are now.
    pub(crate) async fn catalog(&self, project: ProjectId) -> Result<Catalog> {
        match &self.store {
            Some(store) => {
                let definitions = store.definitions(project).await?.definitions;
                self.catalog_with(project, &definitions).await
            }
            None => Ok(Catalog::without_store()),
        }
    }

    /// Moves all events that are acknowledged into files, where statements that change events find
    /// them.
    pub(crate) async fn flush(&self) -> Result<()> {
        match &self.ingest {
            Some(ingest) => ingest.flush().await,
            None => Ok(()),
        }
    }

    /// The tables of a project as they are now, with these views and tables of users.
    pub(crate) async fn catalog_with(
        &self,
        project: ProjectId,
        definitions: &Arc<Definitions>,
    ) -> Result<Catalog> {
        match &self.store {
            Some(store) => self.catalog_at(store, &store.snapshot().await?, project, definitions),
            None => Ok(Catalog::without_store()),
        }
    }

    /// The tables of a project at a version.
    pub(crate) fn catalog_at(
        &self,
        store: &EventStore,
        snapshot: &Arc<Snapshot>,
        project: ProjectId,
        definitions: &Arc<Definitions>,
    ) -> Result<Catalog> {
        Catalog::new(store, self.ingest.as_ref(), snapshot, project, definitions)
    }

    /// The folder that COPY may write to.
    pub(crate) fn export_folder(&self) -> Option<&Path> {
        self.export_folder.as_deref()
    }

    /// What one query is planned with; its clock stands still from here on.
    pub(crate) fn query_state(&self) -> SessionState {
        let mut state = self.state.clone();
        state.mark_start_execution();
        state
    }

    pub(crate) fn query_threads(&self) -> Result<&Handle> {
        match &self.query_runtime {
            Some(runtime) => Ok(runtime.handle()),
            None => Err(Error::internal("the engine has been shut down")),
        }
    }

    /// Runs work on the query threads, so that planning never holds up the network. Dropping
    /// the future stops the work; a panic in it becomes an error.
    pub(crate) async fn on_query_threads<T: Send + 'static, E: From<Error> + Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, E> {
        let task = self.query_threads()?.spawn(work);
        match tokio_util::task::AbortOnDropHandle::new(task).await {
            Ok(result) => result,
            Err(error) => Err(Error::internal(format!("planning stopped: {error}")).into()),
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(runtime) = self.query_runtime.take() {
            // Waiting here would block, which a caller inside another runtime must not.
            runtime.shutdown_background();
        }
    }
}

/// The error for writing without a place to write to.
pub(crate) fn no_store() -> Error {
    Error::new(ErrorKind::NotAllowed, "there is no data folder to write to")
        .hint("Name one with --data.")
}

async fn open_store(location: &Location, options: &EngineOptions) -> Result<EventStore> {
    let store = EventStore::open(location).await?.with_cache_bytes(options.cache_bytes_max);
    match location.folder()? {
        None => store.with_range_cache(&options.range_cache, location).await,
        Some(_) => {
            if options.range_cache.folder.is_some() {
                tracing::warn!("the disk cache is of no use: {location} is no object store");
            }
            Ok(store)
        }
    }
}

async fn find_project(store: &EventStore, name: &str) -> Result<ProjectId> {
    let projects = store.projects().await?;
    if let Some((_, id)) = projects.iter().find(|(known, _)| known == name) {
        return Ok(*id);
    }
    let error = Error::new(ErrorKind::UnknownProject, format!("no project named {name}"));
    let names = projects.iter().map(|(known, _)| known.as_str());
    Err(match did_you_mean(name, names) {
        Some(hint) => error.hint(hint),
        None => error,
    })
}
