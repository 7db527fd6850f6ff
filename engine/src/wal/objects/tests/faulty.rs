//! A store in memory that fails, loses replies, and lets puts wait.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;

use crate::wal::testing::Random;

/// One client's way to a store that others use too.
#[derive(Debug)]
pub(super) struct Faulty {
    store: Arc<InMemory>,
    faults: Arc<Mutex<Faults>>,
    /// Puts wait for it.
    pub(super) gate: tokio::sync::Mutex<()>,
}

/// In percent of the requests.
#[derive(Debug)]
struct Faults {
    refused: usize,
    /// Done, and the reply is lost.
    lost: usize,
    /// Refused, and done later all the same.
    late: usize,
    /// Whether requests take their time, and some very long.
    slow: bool,
    unconditional: bool,
    random: Random,
}

impl Faulty {
    pub(super) fn new(store: &Arc<InMemory>, seed: u64) -> Arc<Self> {
        let faults = Faults {
            refused: 0,
            lost: 0,
            late: 0,
            slow: false,
            unconditional: false,
            random: Random::new(seed),
        };
        Arc::new(Self {
            store: Arc::clone(store),
            faults: Arc::new(Mutex::new(faults)),
            gate: tokio::sync::Mutex::default(),
        })
    }

    pub(super) fn fail(&self, refused: usize, lost: usize) {
        let mut faults = self.faults.lock();
        (faults.refused, faults.lost) = (refused, lost);
    }

    pub(super) fn be_slow_and_late(&self, late: usize) {
        let mut faults = self.faults.lock();
        (faults.slow, faults.late) = (true, late);
    }

    pub(super) fn refuse_conditions(&self) {
        self.faults.lock().unconditional = true;
    }

    fn before(&self) -> Result<()> {
        self.faults.lock().before()
    }

    /// Lets others have their turns, as with a store on the network.
    async fn travel(&self) {
        let turns = self.faults.lock().turns();
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    }

    fn after<T>(&self, done: Result<T>) -> Result<T> {
        let mut faults = self.faults.lock();
        let lost = faults.lost;
        match faults.random.percent(lost) {
            true => Err(error("the reply is lost")),
            false => done,
        }
    }
}

impl Faults {
    fn turns(&mut self) -> usize {
        let most = match self.slow {
            false => 2,
            true if self.random.percent(95) => 8,
            true => 500,
        };
        1 + self.random.below(most)
    }

    fn before(&mut self) -> Result<()> {
        match self.random.percent(self.refused) {
            true => Err(error("503 slow down")),
            false => Ok(()),
        }
    }
}

fn error(text: &str) -> Error {
    Error::Generic { store: "faulty", source: text.into() }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.before()?;
        if self.faults.lock().unconditional {
            let operation = "conditional put".to_owned();
            return Err(Error::NotImplemented { operation, implementer: self.to_string() });
        }
        drop(self.gate.lock().await);
        let late = {
            let mut faults = self.faults.lock();
            let late = faults.late;
            faults.random.percent(late).then(|| 5 * faults.turns())
        };
        if let Some(turns) = late {
            let (store, location) = (Arc::clone(&self.store), location.clone());
            tokio::spawn(async move {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
                store.put_opts(&location, payload, options).await
            });
            return Err(error("timed out"));
        }
        self.travel().await;
        let done = self.store.put_opts(location, payload, options).await;
        self.travel().await;
        self.after(done)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.before()?;
        self.travel().await;
        let done = self.store.get_opts(location, options).await;
        self.travel().await;
        done
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let faults = Arc::clone(&self.faults);
        let mut turns = faults.lock().turns();
        // Waits for its turn before each of them.
        let locations = locations.then(move |path| {
            let turns = std::mem::take(&mut turns);
            async move {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
                path
            }
        });
        let deleted = self.store.delete_stream(locations.boxed());
        deleted.map(move |path| faults.lock().before().and(path)).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let faults = Arc::clone(&self.faults);
        let listed = self.store.list(prefix);
        // Half of a listing may have come when it fails.
        let mut fails = faults.lock().before().err();
        let end = 1 + faults.lock().random.below(5);
        let items = listed.enumerate().map(move |(index, item)| match index == end {
            true => fails.take().map_or(item, Err),
            false => item,
        });
        items.boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}
