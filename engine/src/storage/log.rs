//! The log of a table: which files it consists of at each version. Only the log moves, one
//! version at a time; files never change.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use object_store::path::Path;
use parking_lot::Mutex;
use uuid::Uuid;

use crate::error::Result;
use crate::storage::hot::Position;
use crate::storage::part::{Part, PartIndex};
use crate::storage::{ProjectId, Properties};

pub(crate) mod delta;

/// The number of a commit; the first is 0.
pub(crate) type Version = u64;

/// The files of a table at one version.
#[derive(Debug)]
pub(crate) struct LogSnapshot {
    pub(crate) version: Version,
    /// By path. A part that two snapshots share is the same allocation.
    pub(crate) parts: BTreeMap<String, Arc<Part>>,
    /// Records of the write-ahead log up to here are in the parts.
    pub(crate) flushed: Position,
    /// Computed when they are first asked for.
    pub(crate) properties: PropertyCache,
    index: OnceLock<PartIndex>,
}

impl LogSnapshot {
    pub(crate) fn new(
        version: Version,
        parts: BTreeMap<String, Arc<Part>>,
        flushed: Position,
    ) -> Self {
        let (properties, index) = (PropertyCache::default(), OnceLock::new());
        Self { version, parts, flushed, properties, index }
    }

    /// The version that commits made of this one, with what this one has found out that still
    /// holds.
    pub(crate) fn after(&self, version: Version, change: &Difference) -> Self {
        let mut parts = self.parts.clone();
        let mut are_gone = false;
        for path in &change.removed {
            are_gone |= parts.remove(path).is_some();
        }
        for (path, part) in &change.added {
            are_gone |= parts.insert(path.clone(), Arc::clone(part)).is_some();
        }
        let added: Vec<_> = change.added.values().cloned().collect();
        let properties = match are_gone {
            true => PropertyCache::default(),
            false => self.properties.grown(&added),
        };
        let index = self.index.get().and_then(|index| index.changed(&parts, &added, are_gone));
        Self {
            version,
            parts,
            flushed: change.flushed.unwrap_or(self.flushed),
            properties,
            index: index.map_or_else(OnceLock::new, OnceLock::from),
        }
    }

    /// The bounds of all parts, made ready for pruning when they are first asked for.
    pub(crate) fn index(&self) -> &PartIndex {
        self.index.get_or_init(|| PartIndex::new(self.parts.values().cloned().collect()))
    }
}

/// What commits did to a table, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Difference {
    /// By path.
    added: BTreeMap<String, Arc<Part>>,
    removed: HashSet<String>,
    /// Where the position in the write-ahead log moved to, if it did.
    pub(crate) flushed: Option<Position>,
}

impl Difference {
    pub(crate) fn add(&mut self, part: Part) {
        self.added.insert(part.path.clone(), Arc::new(part));
    }

    pub(crate) fn remove(&mut self, path: String) {
        self.added.remove(&path);
        self.removed.insert(path);
    }
}

/// The properties of projects at one version.
#[derive(Debug, Default)]
pub(crate) struct PropertyCache(Mutex<HashMap<ProjectId, Arc<Properties>>>);

impl PropertyCache {
    pub(crate) fn of(
        &self,
        project: ProjectId,
        compute: impl FnOnce() -> Properties,
    ) -> Arc<Properties> {
        let mut known = self.0.lock();
        Arc::clone(known.entry(project).or_insert_with(|| Arc::new(compute())))
    }

    /// Those of a version that has these parts more.
    fn grown(&self, added: &[Arc<Part>]) -> Self {
        let mut known = self.0.lock().clone();
        for part in added {
            for (project, properties) in &mut known {
                Arc::make_mut(properties).add(part, *project);
            }
        }
        Self(Mutex::new(known))
    }
}

/// What a commit does to the files of a table.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// By which the commit is known again.
    pub(crate) id: Uuid,
    pub(crate) kind: ChangeKind,
    /// A file that is there already is replaced, in what the log says of it.
    pub(crate) adds: Vec<Part>,
    pub(crate) removes: Vec<Arc<Part>>,
    /// With these files all records of the write-ahead log up to here are in the table.
    pub(crate) flushed: Option<Position>,
}

/// What a commit does to the rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    /// There are more.
    Append,
    /// The same are in other files.
    Rewrite,
    /// There are fewer.
    Delete,
}

impl Change {
    pub(crate) fn new(kind: ChangeKind) -> Self {
        let (adds, removes) = (Vec::new(), Vec::new());
        Self { id: Uuid::now_v7(), kind, adds, removes, flushed: None }
    }

    /// New rows.
    pub(crate) fn add(adds: Vec<Part>) -> Self {
        Self { adds, ..Self::new(ChangeKind::Append) }
    }
}

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is durable, as this version.
    Committed(Version),
    /// Somebody else committed first. Nothing has changed; look at the newest version, then
    /// decide again.
    Moved,
}

/// The log of one table.
#[async_trait]
pub(crate) trait TableLog: std::fmt::Debug + Send + Sync {
    /// The newest version. Reads only what the log gained since the last call.
    async fn snapshot(&self) -> Result<Arc<LogSnapshot>>;

    /// How many commits deleted rows, of those that this process knows of.
    fn deletions(&self) -> u64;

    /// The version that was the newest at a time; else when the earliest that is still known was
    /// made, none when that is not known either.
    async fn snapshot_at(
        &self,
        time: DateTime<Utc>,
    ) -> Result<Result<Arc<LogSnapshot>, Option<DateTime<Utc>>>>;

    /// Changes the files on top of `expected`, and only on top of that, as a whole.
    async fn commit(&self, expected: Version, change: Change) -> Result<Outcome>;

    /// Files of the table that commits of late have replaced, relative to it; some may be gone.
    async fn replaced(&self) -> Result<HashSet<Path>>;
    /// True when a commit after this version is that of the change.
    async fn has_commit(&self, change: Uuid, after: Version) -> Result<bool>;

    /// The files of the log, relative to the table, by which a version of it can be read.
    async fn files(&self, upto: Version) -> Result<Vec<Path>>;

    /// Deletes the files that no version of the last `keep` names, and after a day at least those
    /// that never were committed: how many there were.
    async fn vacuum(&self, keep: Duration) -> Result<u64>;
}
