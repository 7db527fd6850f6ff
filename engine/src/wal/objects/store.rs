//! The log's objects: their keys, and requests that are repeated while that can help.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use futures::stream::{self, StreamExt};
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use tokio::time::Instant;
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::wal::Seq;

/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(3);

/// Where an object stands: keys are in the order of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) epoch: u64,
    /// Position of its first record; 0 for the claim of the epoch.
    pub(super) position: Seq,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}/{:020}", self.epoch, self.position.0)
    }
}

/// An object as a listing shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Object {
    pub(super) key: Key,
    pub(super) bytes: u64,
}

/// What became of an object that should be new.
#[derive(Debug)]
pub(super) enum Created {
    /// It is there now.
    Done,
    /// There was one already. It may be the same: a try may succeed whose reply is lost.
    Taken(Bytes),
}

/// The objects of one log in a store.
#[derive(Debug, Clone)]
pub(super) struct Store {
    objects: Arc<dyn ObjectStore>,
    folder: Path,
    limits: Limits,
}

/// How long to try.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// A request that takes longer counts as failed. It may still be done, and later.
    pub(crate) request: Duration,
    /// How long a request that fails is repeated.
    pub(crate) patience: Duration,
    /// The pause after the first failure; later ones are longer.
    pub(crate) pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(30),
            patience: Duration::from_secs(30),
            pause: Duration::from_millis(50),
        }
    }
}

impl Store {
    pub(super) fn new(objects: Arc<dyn ObjectStore>, folder: Path, limits: Limits) -> Self {
        Self { objects, folder, limits }
    }

    /// The object's name in the store, for errors.
    pub(super) fn place(&self, key: Key) -> String {
        self.path(key).to_string()
    }

    fn path(&self, key: Key) -> Path {
        self.folder
            .clone()
            .join(format!("{:020}", key.epoch))
            .join(format!("{:020}", key.position.0))
    }

    fn key(&self, path: &Path) -> Option<Key> {
        let mut parts = path.prefix_match(&self.folder)?;
        let mut number = || parts.next()?.as_ref().parse().ok();
        let key = Key { epoch: number()?, position: Seq(number()?) };
        parts.next().is_none().then_some(key)
    }

    /// All objects, in order.
    pub(super) async fn list(&self) -> Result<Vec<Object>> {
        let listed = self.patiently("list", self.folder.as_ref(), || async {
            self.objects.list(Some(&self.folder)).try_collect::<Vec<_>>().await
        });
        let mut objects: Vec<Object> = listed
            .await?
            .into_iter()
            .filter_map(|meta| Some(Object { key: self.key(&meta.location)?, bytes: meta.size }))
            .collect();
        objects.sort_unstable();
        Ok(objects)
    }

    /// An object's bytes; nothing when there is none.
    pub(super) async fn get(&self, key: Key) -> Result<Option<Bytes>> {
        let path = self.path(key);
        let get = || async {
            match self.objects.get(&path).await {
                Ok(found) => found.bytes().await.map(Some),
                Err(StoreError::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        };
        self.patiently("read", path.as_ref(), get).await
    }

    /// Puts an object where there is none.
    pub(super) async fn create(&self, key: Key, bytes: &Bytes) -> Result<Created> {
        let path = self.path(key);
        let create = || async {
            let payload = PutPayload::from_bytes(bytes.clone());
            match self.objects.put_opts(&path, payload, PutMode::Create.into()).await {
                Ok(_) => Ok(Created::Done),
                Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => {
                    // Not found now means that the store contradicts itself, perhaps not for long.
                    self.objects.get(&path).await?.bytes().await.map(Created::Taken)
                }
                Err(error) => Err(error),
            }
        };
        self.patiently("write", path.as_ref(), create).await
    }

    /// Puts an object in the place of another.
    pub(super) async fn replace(&self, key: Key, bytes: &Bytes) -> Result<()> {
        let path = self.path(key);
        let replace = || async {
            let payload = PutPayload::from_bytes(bytes.clone());
            self.objects.put(&path, payload).await.map(drop)
        };
        self.patiently("write", path.as_ref(), replace).await
    }

    /// Removes objects; those that are gone already count as removed.
    pub(super) async fn delete(&self, keys: &[Key]) -> Result<()> {
        let delete = || async {
            let paths: Vec<_> = keys.iter().map(|key| Ok(self.path(*key))).collect();
            let mut deleted = self.objects.delete_stream(stream::iter(paths).boxed());
            while let Some(path) = deleted.next().await {
                match path {
                    Ok(_) | Err(StoreError::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        };
        self.patiently("delete objects of", self.folder.as_ref(), delete).await
    }

    /// Repeats a request until it succeeds, cannot succeed, or patience ends. The pauses grow, and
    /// are random so that many writers do not come back at the same time.
    async fn patiently<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        action: &str,
        place: &str,
        request: impl Fn() -> F,
    ) -> Result<T> {
        let end = Instant::now() + self.limits.patience;
        let mut pause = self.limits.pause;
        loop {
            let error = match tokio::time::timeout(self.limits.request, request()).await {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(error)) => Some(error),
                Err(_) => None,
            };
            let wait = pause.mul_f64(0.5 + random());
            let hopeless = error.as_ref().is_some_and(is_final);
            if hopeless || Instant::now() + wait >= end {
                return Err(self.gave_up(action, place, error));
            }
            match wait.is_zero() {
                true => tokio::task::yield_now().await,
                false => tokio::time::sleep(wait).await,
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    fn gave_up(&self, action: &str, place: &str, error: Option<StoreError>) -> Error {
        let what = error.as_ref().map_or_else(
            || format!("the store did not answer within {} s", self.limits.request.as_secs_f64()),
            ToString::to_string,
        );
        let message = format!("cannot {action} {place} for the write-ahead log: {what}");
        let failed = Error::new(ErrorKind::Storage, message).hint(
            "Appending goes on as soon as the store answers; what was refused can be sent again.",
        );
        match error {
            Some(error) => failed.caused_by(error),
            None => failed,
        }
    }
}

/// Whether the same request would fail in the same way again.
fn is_final(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::InvalidPath { .. }
            | StoreError::NotSupported { .. }
            | StoreError::NotImplemented { .. }
            | StoreError::PermissionDenied { .. }
            | StoreError::Unauthenticated { .. }
            | StoreError::UnknownConfigurationKey { .. }
    )
}

/// From 0 to 1, for pauses only.
fn random() -> f64 {
    Uuid::new_v4().as_u128() as u32 as f64 / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    #[test]
    fn keys_are_in_order_and_read_back() {
        let memory = Arc::new(InMemory::new());
        let store = Store::new(memory, Path::from("some/wal"), Limits::default());
        let mut before = String::new();
        for (epoch, position) in [(1, 0), (1, 1), (1, 90), (1, 1000), (2, 0), (10, 7)] {
            let key = Key { epoch, position: Seq(position) };
            let path = store.path(key);
            assert_eq!(store.key(&path), Some(key));
            assert!(before.as_str() < path.as_ref(), "{before} {path}");
            before = path.to_string();
        }
        for other in ["some/wal/1", "some/wal/1/2/3", "some/wal/1/x", "other/wal/1/2"] {
            assert_eq!(store.key(&Path::from(other)), None, "{other}");
        }
    }
}
