//! An object store that fails, for tests.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error as StoreError, GetOptions, GetResult, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result as StoreResult,
};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const WRITES: u32 = 100;
const READS: u32 = 1000;

/// A store as one process sees it: requests are refused, or are done and their answers lost; none is
/// done once the process is dead.
#[derive(Debug)]
pub(crate) struct Faulty {
    objects: Arc<InMemory>,
    chance: Mutex<StdRng>,
    /// Of a hundred writes. Of a thousand reads, since a start needs many of them, and no client
    /// repeats them here.
    refused: u32,
    lost: u32,
    dead: AtomicBool,
    /// What is put next into the log is there, but nobody hears of it.
    log_falls_mute: AtomicBool,
    log_is_mute: AtomicBool,
}

impl Faulty {
    pub(crate) fn new(objects: Arc<InMemory>, seed: u64, refused: u32, lost: u32) -> Arc<Self> {
        Arc::new(Self {
            objects,
            chance: Mutex::new(StdRng::seed_from_u64(seed)),
            refused,
            lost,
            dead: AtomicBool::new(false),
            log_falls_mute: AtomicBool::new(false),
            log_is_mute: AtomicBool::new(false),
        })
    }

    /// Nothing is done any more.
    pub(crate) fn die(&self) {
        self.dead.store(true, Ordering::Relaxed);
    }

    pub(crate) fn lose_next_commit(&self) {
        self.log_falls_mute.store(true, Ordering::Relaxed);
    }

    fn check_log(&self, path: &Path) -> StoreResult<()> {
        match self.log_is_mute.load(Ordering::Relaxed) && is_of_log(path) {
            true => Err(failed("the log is mute")),
            false => Ok(()),
        }
    }

    async fn on_its_way(&self, of: u32) -> StoreResult<()> {
        // Others come first: a request takes a while.
        let turns = self.chance.lock().random_range(0..4);
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        let refused = self.chance.lock().random_range(0..of) < self.refused;
        match refused || self.dead.load(Ordering::Relaxed) {
            true => Err(failed("busy")),
            false => Ok(()),
        }
    }

    fn on_its_way_back<T>(&self, of: u32, done: T) -> StoreResult<T> {
        match self.chance.lock().random_range(0..of) < self.lost {
            true => Err(failed("the answer is lost")),
            false => Ok(done),
        }
    }
}

fn is_of_log(path: &Path) -> bool {
    path.as_ref().contains("_delta_log")
}

fn failed(what: &str) -> StoreError {
    StoreError::Generic { store: "simulated", source: what.into() }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faulty {}", self.objects)
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> StoreResult<PutResult> {
        self.on_its_way(WRITES).await?;
        let done = self.objects.put_opts(path, payload, options).await?;
        if is_of_log(path) && self.log_falls_mute.load(Ordering::Relaxed) {
            self.log_is_mute.store(true, Ordering::Relaxed);
        }
        self.check_log(path)?;
        self.on_its_way_back(WRITES, done)
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        self.on_its_way(WRITES).await?;
        self.objects.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> StoreResult<GetResult> {
        self.on_its_way(READS).await?;
        self.check_log(path)?;
        let done = self.objects.get_opts(path, options).await?;
        self.on_its_way_back(READS, done)
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, StoreResult<Path>>,
    ) -> BoxStream<'static, StoreResult<Path>> {
        match self.dead.load(Ordering::Relaxed) {
            true => paths.map(|_| Err(failed("dead"))).boxed(),
            false => self.objects.delete_stream(paths),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        self.objects.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        self.on_its_way(READS).await?;
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        self.on_its_way(WRITES).await?;
        self.objects.copy_opts(from, to, options).await
    }
}
