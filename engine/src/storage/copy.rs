//! Copying a data folder, file by file: a version of everything, while others go on.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use chrono::Utc;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt};

use crate::error::{Error, ErrorKind, Result};
use crate::storage::build::{BUFFER_BYTES, BuildOptions, Sorter};
use crate::storage::hot::Position;
use crate::storage::log::delta::DeltaLog;
use crate::storage::log::{Change, ChangeKind, TableLog};
use crate::storage::{
    EVENTS_FOLDER, EventStore, FORMAT_FILE, Outcome, ProjectId, definitions, mutations, projects,
    tables, tokens, upload,
};

/// Folders of small files, each of which is written once and then stays, or is written anew as a
/// whole.
const SMALL: [&str; 4] = [projects::FOLDER, tokens::FOLDER, definitions::FOLDER, mutations::FOLDER];
/// They are held in memory, whole.
const FILES_AT_A_TIME: usize = 2;

/// Files on their way into an empty store.
pub(crate) struct Copying<'a> {
    from: &'a EventStore,
    to: &'a Arc<dyn ObjectStore>,
    /// Files that never change.
    done: HashSet<Path>,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

impl<'a> Copying<'a> {
    /// # Errors
    /// `AlreadyExists` when there is anything in the target; `Storage`.
    pub(crate) async fn begin(from: &'a EventStore, to: &'a Arc<dyn ObjectStore>) -> Result<Self> {
        if let Some(file) = to.list(None).next().await.transpose()? {
            let message = format!("the target is not empty: it has {}", file.location);
            return Err(Error::new(ErrorKind::AlreadyExists, message)
                .hint("Copy into a folder or prefix of its own."));
        }
        Ok(Self { from, to, done: HashSet::new(), files: 0, bytes: 0 })
    }

    /// Copies the newest version of everything but the write-ahead log, and not again what is there
    /// from a time before: the position up to which records of that log are in the files.
    ///
    /// # Errors
    /// `Storage` when files cannot be read or written, or are gone.
    pub(crate) async fn copy_newest(&mut self) -> Result<Position> {
        for folder in SMALL {
            let files = self.from.store.list(Some(&Path::from(folder)));
            let files: Vec<Path> = files.map_ok(|file| file.location).try_collect().await?;
            self.copy(files).await?;
        }
        let tables = self.from.store.list_with_delimiter(Some(&Path::from(tables::FOLDER))).await?;
        for folder in tables.common_prefixes {
            let log = self.from.table_log(folder.as_ref()).await?;
            self.copy_table(folder.as_ref(), log.as_ref()).await?;
        }
        self.copy_table(EVENTS_FOLDER, self.from.log.as_ref()).await
    }

    /// Adds the events that are in no file, which are those up to a position of the write-ahead log,
    /// and makes the copy one that can be opened.
    ///
    /// # Errors
    /// `Storage`.
    pub(crate) async fn end(
        &mut self,
        rows: Vec<(ProjectId, RecordBatch)>,
        upto: Position,
    ) -> Result<()> {
        let log = DeltaLog::open(self.to, EVENTS_FOLDER).await?;
        let target = EventStore::assemble(Arc::clone(self.to), log)?;
        let snapshot = target.snapshot().await?;
        let mut by_project: BTreeMap<ProjectId, Sorter> = BTreeMap::new();
        for (project, rows) in rows {
            let sorter = by_project.entry(project).or_insert_with(|| Sorter::new(BUFFER_BYTES));
            sorter.push(rows).await?;
        }
        let mut change = Change { flushed: Some(upto), ..Change::new(ChangeKind::Append) };
        for (project, sorter) in by_project {
            let options = BuildOptions {
                modified_ms: Utc::now().timestamp_millis(),
                workers: 1,
                rows_elsewhere: snapshot.rows_of(project),
            };
            let known = snapshot.parts().map(Arc::clone).collect();
            let sorted = sorter.finish().await?;
            change.adds.extend(target.build_parts(project, sorted, known, options).await?.parts);
        }
        if !change.adds.is_empty() && target.commit(&snapshot, change).await? == Outcome::Moved {
            return Err(Error::new(ErrorKind::Storage, "somebody else uses the target"));
        }
        self.copy(vec![Path::from(FORMAT_FILE)]).await
    }

    /// The files first, then the log that names them.
    async fn copy_table(&mut self, folder: &str, log: &dyn TableLog) -> Result<Position> {
        let snapshot = log.snapshot().await?;
        let parts = snapshot.parts.values().map(|part| part.location_in(folder));
        self.copy_once(parts.collect::<Result<_>>()?).await?;
        let files = log.files(snapshot.version).await?;
        let files = files
            .iter()
            .map(|file| Path::from_iter(Path::from(folder).parts().chain(file.parts())));
        self.copy_once(files.collect()).await?;
        Ok(snapshot.flushed)
    }

    /// Copies files that never change.
    async fn copy_once(&mut self, mut files: Vec<Path>) -> Result<()> {
        files.retain(|file| !self.done.contains(file));
        self.copy(files.clone()).await?;
        self.done.extend(files);
        Ok(())
    }

    async fn copy(&mut self, files: Vec<Path>) -> Result<()> {
        let (from, to) = (&self.from.store, self.to);
        let copies = files.iter().map(|path| copy(from, to, path)).collect::<Vec<_>>();
        let mut copies = stream::iter(copies).buffer_unordered(FILES_AT_A_TIME);
        while let Some(bytes) = copies.try_next().await? {
            self.files += 1;
            self.bytes += bytes;
        }
        Ok(())
    }
}

/// Copies a file: its size.
async fn copy(from: &Arc<dyn ObjectStore>, to: &Arc<dyn ObjectStore>, path: &Path) -> Result<u64> {
    let bytes = match from.get(path).await {
        Ok(file) => file.bytes().await?,
        Err(StoreError::NotFound { .. }) => {
            let message = format!("{path} is gone: upkeep has removed it meanwhile");
            return Err(
                Error::new(ErrorKind::Storage, message).hint("Copy again, into an empty place.")
            );
        }
        Err(error) => return Err(error.into()),
    };
    let size = bytes.len() as u64;
    upload(to.as_ref(), path, bytes).await?;
    Ok(size)
}
