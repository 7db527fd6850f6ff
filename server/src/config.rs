//! The configuration file, and how it meets flags and environment variables.

use std::path::{Path, PathBuf};

use clap::Args;
use hedgerow_engine::EngineOptions;
use hedgerow_engine::storage::RangeCacheOptions;
use serde::Deserialize;

use crate::cli::failure::Failure;
use crate::cli::{backup, check, demo, import, inspect, maintain, query, server, verify};

/// The whole file: a table of options per command.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// See `--log`.
    pub log: Option<String>,
    /// For every command that runs queries.
    pub engine: EngineFlags,
    pub demo: demo::Options,
    pub server: server::Options,
    pub import: import::Options,
    pub maintain: maintain::Options,
    pub inspect: inspect::Options,
    pub verify: verify::Options,
    pub backup: backup::Options,
    pub restore: backup::RestoreOptions,
    pub query: query::Options,
    pub check: check::Options,
}

impl Config {
    /// Reads the file; none given means nothing configured.
    ///
    /// # Errors
    /// When it cannot be read, or has a line that means nothing.
    pub(crate) fn read(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self::default()) };
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::new(format!("cannot read {shown}: {error}")))?;
        toml::from_str(&text)
            .map_err(|error| Failure::new(format!("in {shown}: {}", error.to_string().trim_end())))
    }
}

/// Gives each named option that has no value the one of the second struct.
macro_rules! fill {
    ($first:ident, $second:ident; $($field:ident),+ $(,)?) => {
        $($first.$field = $first.$field.or($second.$field);)+
    };
}
pub(crate) use fill;

/// How much of the machine queries may use.
#[derive(Debug, Default, Clone, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EngineFlags {
    /// Memory in megabytes that running queries may hold together before they spill to disk or
    /// fail. Default: 4096.
    #[arg(long, value_name = "MB", env = "HEDGEROW_QUERY_MEMORY_MB")]
    query_memory_mb: Option<usize>,
    /// Memory in megabytes for columns that queries have read, so that the next need not read them
    /// again. Default: 1024.
    #[arg(long, value_name = "MB", env = "HEDGEROW_CACHE_MB")]
    cache_mb: Option<usize>,
    /// Memory in megabytes for what queries have read of the files of an object store. Default: 256.
    #[arg(long, value_name = "MB", env = "HEDGEROW_REMOTE_CACHE_MB")]
    remote_cache_mb: Option<usize>,
    /// Folder on a local disk for more of that, which the next process finds there. No two
    /// processes may have the same. Default: none.
    #[arg(long, value_name = "DIR", env = "HEDGEROW_DISK_CACHE")]
    disk_cache: Option<PathBuf>,
    /// Megabytes that this folder may take, at least 64. Default: 10240.
    #[arg(long, value_name = "MB", env = "HEDGEROW_DISK_CACHE_MB")]
    disk_cache_mb: Option<u64>,
    /// Threads that run queries. More than the machine has cores gains nothing. Default: one per
    /// core.
    #[arg(long, value_name = "N", env = "HEDGEROW_QUERY_THREADS")]
    query_threads: Option<usize>,
    /// Folder that `COPY … TO 'file'` may write to. Default: none, and COPY is refused.
    #[arg(long, value_name = "DIR", env = "HEDGEROW_EXPORT_FOLDER")]
    export_folder: Option<PathBuf>,
}

impl EngineFlags {
    /// These flags, and those of the file where they say nothing.
    #[must_use]
    pub(crate) fn over(mut self, file: Self) -> Self {
        fill!(
            self, file;
            query_memory_mb, query_threads, cache_mb, remote_cache_mb, disk_cache, disk_cache_mb,
            export_folder,
        );
        self
    }

    /// What the engine is opened with.
    pub(crate) fn options(&self) -> EngineOptions {
        let defaults = EngineOptions::default();
        let bytes =
            |mb: Option<usize>, default: usize| mb.map_or(default, |mb| mb.saturating_mul(1 << 20));
        let range_cache = RangeCacheOptions {
            memory_bytes: bytes(self.remote_cache_mb, defaults.range_cache.memory_bytes),
            folder: self.disk_cache.clone(),
            disk_bytes: self
                .disk_cache_mb
                .map_or(defaults.range_cache.disk_bytes, |mb| mb.saturating_mul(1 << 20)),
        };
        EngineOptions {
            query_memory_bytes_max: bytes(self.query_memory_mb, defaults.query_memory_bytes_max),
            cache_bytes_max: bytes(self.cache_mb, defaults.cache_bytes_max),
            range_cache,
            query_threads: self.query_threads.map_or(defaults.query_threads, |n| n.max(1)),
            export_folder: self.export_folder.clone(),
        }
    }
}
