//! What was deleted, and how far that has come: a small file for each statement.
//!
//! The file is written before the commit and after it. Upkeep finds out what became of statements
//! whose process ended in between, and when no file has the deleted events any more.

use chrono::Utc;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::storage::log::Version;
use crate::storage::{EVENTS_FOLDER, EventStore, ProjectId, Snapshot};

pub(super) const FOLDER: &str = "mutations";
const FILES_AT_A_TIME: usize = 16;

/// A statement that deleted events.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Mutation {
    pub(crate) id: Uuid,
    project: i64,
    pub(crate) statement: String,
    /// Milliseconds since the epoch.
    pub(crate) created_ms: i64,
    pub(crate) state: State,
    pub(crate) events: u64,
    /// Files that still have the events, and are read without them.
    pub(crate) marked: Vec<String>,
    /// Files that no version has any more.
    pub(crate) replaced: Vec<String>,
    /// The commit that did it, and the version that it was made for, or a later one.
    commit: Uuid,
    expected: Version,
}

/// How far a mutation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// At work, or its process has ended.
    Running,
    /// It ended before anything was deleted.
    Failed,
    /// No query sees the events; files still have them.
    Deleted,
    /// No file has them.
    Removed,
}

impl State {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Failed => "failed",
            Self::Deleted => "deleted",
            Self::Removed => "removed",
        }
    }
}

impl Mutation {
    pub(crate) fn new(project: ProjectId, statement: String) -> Self {
        Self {
            id: Uuid::now_v7(),
            project: project.0,
            statement,
            created_ms: Utc::now().timestamp_millis(),
            state: State::Running,
            events: 0,
            marked: Vec::new(),
            replaced: Vec::new(),
            commit: Uuid::nil(),
            expected: 0,
        }
    }

    /// For another attempt.
    pub(super) fn forget_files(&mut self) {
        self.events = 0;
        self.marked.clear();
        self.replaced.clear();
    }

    pub(super) fn begin(&mut self, commit: Uuid, expected: Version) {
        (self.commit, self.expected) = (commit, expected);
    }
}

impl EventStore {
    /// The mutations of a project, the earliest first.
    ///
    /// # Errors
    /// `Storage` when they cannot be read.
    pub(crate) async fn mutations(&self, project: ProjectId) -> Result<Vec<Mutation>> {
        self.mutations_in(folder(project)).await
    }

    async fn mutations_in(&self, folder: Path) -> Result<Vec<Mutation>> {
        let files: Vec<_> = self.store.list(Some(&folder)).try_collect().await?;
        let read = files.into_iter().map(|file| self.read_mutation(file.location));
        let read = stream::iter(read.collect::<Vec<_>>()).buffer_unordered(FILES_AT_A_TIME);
        let mut mutations: Vec<Mutation> = read.try_collect().await?;
        mutations.sort_by_key(|mutation| mutation.id);
        Ok(mutations)
    }

    pub(super) async fn put_mutation(&self, mutation: &Mutation) -> Result<()> {
        let bytes =
            serde_json::to_vec(mutation).map_err(|error| Error::internal(error.to_string()))?;
        let location = folder(ProjectId(mutation.project)).join(format!("{}.json", mutation.id));
        self.store.put(&location, bytes.into()).await?;
        Ok(())
    }

    async fn read_mutation(&self, location: Path) -> Result<Mutation> {
        let bytes = self.store.get(&location).await?.bytes().await?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Error::new(ErrorKind::Storage, format!("{location} is damaged")).caused_by(error)
        })
    }

    /// Finds out how far mutations have come that are not through.
    ///
    /// # Errors
    /// `Storage` when files or the log cannot be read.
    pub(super) async fn settle_mutations(&self) -> Result<()> {
        let snapshot = self.snapshot().await?;
        for mut mutation in self.mutations_in(Path::from(FOLDER)).await? {
            let state = self.state(&snapshot, &mutation).await?;
            if state != mutation.state {
                mutation.state = state;
                self.put_mutation(&mutation).await?;
            }
        }
        Ok(())
    }

    async fn state(&self, snapshot: &Snapshot, mutation: &Mutation) -> Result<State> {
        let is_deleted = match mutation.state {
            State::Failed | State::Removed => return Ok(mutation.state),
            State::Deleted => true,
            State::Running => self.log.has_commit(mutation.commit, mutation.expected).await?,
        };
        if !is_deleted {
            let age_ms = Utc::now().timestamp_millis() - mutation.created_ms;
            let is_over = age_ms > RUNNING_MAX_MS;
            return Ok(if is_over { State::Failed } else { State::Running });
        }
        let is_marked = |path: &String| snapshot.log.parts.contains_key(path);
        if mutation.marked.iter().any(is_marked) {
            return Ok(State::Deleted);
        }
        for path in mutation.marked.iter().chain(&mutation.replaced) {
            match self.store.head(&Path::from(EVENTS_FOLDER).join(path.as_str())).await {
                Ok(_) => return Ok(State::Deleted),
                Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(State::Removed)
    }
}

/// A statement that has not committed for so long has ended without.
const RUNNING_MAX_MS: i64 = 24 * 3_600_000;

fn folder(project: ProjectId) -> Path {
    Path::from(FOLDER).join(project.0.to_string())
}
