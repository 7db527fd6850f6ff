//! What was read of files in an object store, kept in memory and on a local disk.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, TryLockError};
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use foyer::{
    BlockEngineConfig, DeviceBuilder, FsDeviceBuilder, HybridCache, HybridCacheBuilder,
    HybridCachePolicy, RecoverMode,
};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error as StoreError, GetOptions, GetResult, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result as StoreResult,
};

use crate::error::{Error, ErrorKind, Result};
use crate::storage::location::Location;

/// Files are kept in pieces of this size: what a request for less costs is mostly the time until
/// the first byte.
const PIECE_BYTES: u64 = 256 << 10;
/// The disk is written and freed in blocks of 16 MiB, of which there must be some.
const DISK_BYTES_MIN: u64 = 64 << 20;
/// Pieces looked for on the disk at a time.
const LOOKS_AT_A_TIME: usize = 16;
/// Of two processes that write to the same files neither would find what it wrote.
const LOCK_FILE: &str = "lock";

/// How much of the files of an object store is kept on this machine.
#[derive(Debug, Clone)]
pub struct RangeCacheOptions {
    /// Bytes in memory.
    pub memory_bytes: usize,
    /// A folder for what does not fit there and outlives the process; no other process may use it.
    pub folder: Option<PathBuf>,
    /// Bytes in that folder, at least 64 MiB.
    pub disk_bytes: u64,
}

impl Default for RangeCacheOptions {
    fn default() -> Self {
        Self { memory_bytes: 256 << 20, folder: None, disk_bytes: 10 << 30 }
    }
}

/// Pieces of files by name and number.
#[derive(Debug)]
pub(crate) struct RangeCache {
    pieces: HybridCache<String, Bytes>,
    /// Locked as long as it is open.
    _lock: Option<File>,
}

impl RangeCache {
    /// # Errors
    /// `Storage` when the folder cannot be used, or another process uses it; `InvalidArgument` for
    /// too little of a disk.
    pub(crate) async fn open(options: &RangeCacheOptions) -> Result<Self> {
        if options.folder.is_some() && options.disk_bytes < DISK_BYTES_MIN {
            let message = format!("a disk cache needs {} MiB at least", DISK_BYTES_MIN >> 20);
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        let mut builder = HybridCacheBuilder::new()
            .with_name("ranges")
            // A process that is killed finds its pieces again.
            .with_policy(HybridCachePolicy::WriteOnInsertion)
            .with_flush_on_close(false)
            .memory(options.memory_bytes)
            .with_weighter(|name: &String, piece: &Bytes| name.len() + piece.len())
            .storage();
        let mut lock = None;
        if let Some(folder) = &options.folder {
            lock = Some(lock_folder(folder)?);
            let device = FsDeviceBuilder::new(folder)
                .with_capacity(usize::try_from(options.disk_bytes).unwrap_or(usize::MAX))
                .build()
                .map_err(|error| unusable(folder, error))?;
            builder = builder
                // What cannot be read there is read from the store again.
                .with_recover_mode(RecoverMode::Quiet)
                .with_engine_config(BlockEngineConfig::new(device));
        }
        let pieces = builder.build().await.map_err(|error| {
            Error::new(ErrorKind::Storage, format!("cannot open the cache: {error}"))
                .caused_by(error)
        })?;
        Ok(Self { pieces, _lock: lock })
    }

    /// Writes to the disk what is not there yet.
    pub(crate) async fn close(&self) {
        if let Err(error) = self.pieces.close().await {
            tracing::warn!(%error, "the cache on the disk could not be closed");
        }
    }

    /// A piece, if it is kept: from memory or the disk.
    async fn find(&self, name: &str) -> Option<Bytes> {
        match self.pieces.get(name).await {
            Ok(found) => found.map(|entry| entry.value().clone()),
            Err(error) => {
                tracing::debug!(%error, "a piece in the cache cannot be read");
                None
            }
        }
    }

    fn keep(&self, name: String, piece: &[u8]) {
        // A copy, or the piece would hold all that was read with it.
        self.pieces.insert(name, Bytes::copy_from_slice(piece));
    }
}

fn lock_folder(folder: &FilePath) -> Result<File> {
    std::fs::create_dir_all(folder).map_err(|error| unusable(folder, error))?;
    let lock = File::create(folder.join(LOCK_FILE)).map_err(|error| unusable(folder, error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            let shown = folder.display();
            let message = format!("another process keeps its cache in {shown}");
            Err(Error::new(ErrorKind::Storage, message).hint("Give each process its own folder."))
        }
        Err(TryLockError::Error(error)) => Err(unusable(folder, error)),
    }
}

fn unusable(folder: &FilePath, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    let message = format!("cannot keep a cache in {}: {error}", folder.display());
    Error::new(ErrorKind::Storage, message).caused_by(error)
}

/// An object store whose ranges come from the cache where it has them. Only for files that never
/// change under their names.
#[derive(Debug)]
pub(crate) struct CachedRanges {
    store: Arc<dyn ObjectStore>,
    cache: Arc<RangeCache>,
    /// Folders may share a disk.
    location: Location,
}

impl CachedRanges {
    pub(crate) fn new(
        store: Arc<dyn ObjectStore>,
        cache: Arc<RangeCache>,
        location: Location,
    ) -> Self {
        Self { store, cache, location }
    }

    fn name(&self, path: &Path, number: u64) -> String {
        format!("{}/{path}#{number}", self.location)
    }

    /// The pieces that are kept, and the numbers of those that are not.
    async fn find(&self, path: &Path, numbers: &[u64]) -> (BTreeMap<u64, Bytes>, Vec<u64>) {
        let looks = numbers.iter().map(|number| {
            let name = self.name(path, *number);
            async move { (*number, self.cache.find(&name).await) }
        });
        let mut looks = stream::iter(looks.collect::<Vec<_>>()).buffer_unordered(LOOKS_AT_A_TIME);
        let (mut found, mut missing) = (BTreeMap::new(), Vec::new());
        while let Some((number, piece)) = looks.next().await {
            match piece {
                Some(piece) => drop(found.insert(number, piece)),
                None => missing.push(number),
            }
        }
        missing.sort_unstable();
        (found, missing)
    }
}

impl fmt::Display for CachedRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cached {}", self.store)
    }
}

#[async_trait]
impl ObjectStore for CachedRanges {
    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> StoreResult<Vec<Bytes>> {
        let numbers = pieces_of(ranges);
        let (mut pieces, missing) = self.find(path, &numbers).await;
        let runs = runs(&missing);
        let bytes: Vec<Range<u64>> =
            runs.iter().map(|run| run.start * PIECE_BYTES..run.end * PIECE_BYTES).collect();
        let read = match bytes.is_empty() {
            true => Vec::new(),
            false => self.store.get_ranges(path, &bytes).await?,
        };
        for (run, bytes) in runs.into_iter().zip(read) {
            // The last piece of a file is as short as it is.
            for (number, piece) in run.zip(bytes.chunks(PIECE_BYTES as usize)) {
                self.cache.keep(self.name(path, number), piece);
                pieces.insert(number, bytes.slice_ref(piece));
            }
        }
        ranges
            .iter()
            .map(|range| cut(&pieces, range).ok_or_else(|| ends_before(path, range)))
            .collect()
    }

    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> StoreResult<PutResult> {
        self.store.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> StoreResult<GetResult> {
        self.store.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, StoreResult<Path>>,
    ) -> BoxStream<'static, StoreResult<Path>> {
        self.store.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        self.store.copy_opts(from, to, options).await
    }
}

/// The numbers of the pieces that ranges lie in, in order.
fn pieces_of(ranges: &[Range<u64>]) -> Vec<u64> {
    let mut numbers: Vec<u64> = ranges.iter().flat_map(pieces_of_range).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

fn pieces_of_range(range: &Range<u64>) -> Range<u64> {
    range.start / PIECE_BYTES..range.end.div_ceil(PIECE_BYTES)
}

/// Numbers that follow each other, as ranges of them.
fn runs(numbers: &[u64]) -> Vec<Range<u64>> {
    let follow = numbers.chunk_by(|one, next| one + 1 == *next);
    follow.filter_map(|run| Some(*run.first()?..*run.last()? + 1)).collect()
}

/// The bytes of a range, out of pieces; none when they end before it does.
fn cut(pieces: &BTreeMap<u64, Bytes>, range: &Range<u64>) -> Option<Bytes> {
    let part = |number: u64| {
        let piece = pieces.get(&number)?;
        let first = number * PIECE_BYTES;
        let start = range.start.saturating_sub(first);
        let end = (range.end - first).min(PIECE_BYTES);
        let within = usize::try_from(start).ok()?..usize::try_from(end).ok()?;
        (within.end <= piece.len()).then(|| piece.slice(within))
    };
    let numbers = pieces_of_range(range);
    match numbers.end - numbers.start {
        0 => Some(Bytes::new()),
        1 => part(numbers.start),
        _ => {
            let parts: Vec<Bytes> = numbers.map(part).collect::<Option<_>>()?;
            Some(parts.concat().into())
        }
    }
}

fn ends_before(path: &Path, range: &Range<u64>) -> StoreError {
    let message = format!("{path} ends before byte {}", range.end);
    StoreError::Generic { store: "cached", source: message.into() }
}

#[cfg(test)]
mod tests;
