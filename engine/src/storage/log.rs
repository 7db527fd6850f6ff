//! The log of a table: which files it consists of at each version. Only the log moves, one
//! version at a time; files never change.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;

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
    /// A version with these files, and what `before` has found out that still holds.
    pub(crate) fn new(
        version: Version,
        parts: BTreeMap<String, Arc<Part>>,
        flushed: Position,
        before: Option<&Self>,
    ) -> Self {
        let properties = match before {
            Some(before) if before.parts.keys().all(|path| parts.contains_key(path)) => {
                let added = parts.iter().filter(|(path, _)| !before.parts.contains_key(*path));
                before.properties.grown(added.map(|(_, part)| part))
            }
            _ => PropertyCache::default(),
        };
        let known = before.and_then(|before| before.index.get());
        let index = known.and_then(|known| known.changed(&parts));
        Self {
            version,
            parts,
            flushed,
            properties,
            index: index.map_or_else(OnceLock::new, OnceLock::from),
        }
    }

    /// The bounds of all parts, made ready for pruning when they are first asked for.
    pub(crate) fn index(&self) -> &PartIndex {
        self.index.get_or_init(|| PartIndex::new(self.parts.values().cloned().collect()))
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
    fn grown<'a>(&self, added: impl Iterator<Item = &'a Arc<Part>>) -> Self {
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
#[derive(Debug, Clone, Default)]
pub(crate) struct Change {
    pub(crate) adds: Vec<Part>,
    /// Files whose rows are all in `adds`.
    pub(crate) rewritten: Vec<Arc<Part>>,
    /// With these files all records of the write-ahead log up to here are in the table.
    pub(crate) flushed: Option<Position>,
}

impl Change {
    /// New rows.
    pub(crate) fn add(adds: Vec<Part>) -> Self {
        Self { adds, ..Self::default() }
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

    /// Looks up how much of the write-ahead log is in the table. Needed by who takes over the
    /// write-ahead log; afterwards nobody else can change it.
    async fn look_up_flushed(&self) -> Result<()>;

    /// Changes the files on top of `expected`, and only on top of that, as a whole.
    async fn commit(&self, expected: Version, change: Change) -> Result<Outcome>;

    /// Deletes the files that no version of the last `keep` names, and after a day at least those
    /// that never were committed: how many there were.
    async fn vacuum(&self, keep: Duration) -> Result<u64>;
}
