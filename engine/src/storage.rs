//! The event store: sorted Parquet files in an object store, under a Delta log.
//!
//! A data folder holds `hedgerow.json` (the version of this layout), `projects/<id>.json` (one
//! small file per project), `events/` (one table with the events of all projects),
//! `definitions/` (the views and tables that users made) and `tables/` (the rows of those tables).

mod adapt;
mod as_of;
mod build;
mod copy;
mod definitions;
mod delete;
mod deleted;
pub(crate) mod durable;
mod guard;
mod hot;
mod inspect;
mod location;
mod log;
mod maintain;
mod mutations;
mod part;
mod projects;
mod properties;
mod range_cache;
mod reader;
mod retention;
mod scan;
mod schema;
mod shred;
mod tables;
#[cfg(test)]
pub(crate) mod testing;
mod tokens;
mod upload;
mod verify;
mod writer;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use datafusion::catalog::TableProvider;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_plan::metrics::Count;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode};
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::storage::location::no_data_folder;
use crate::storage::log::delta::DeltaLog;
use crate::storage::log::{LogSnapshot, TableLog};
use crate::storage::scan::{EventsTable, ScanCache};

pub use crate::storage::inspect::{Contents, Files, ProjectFiles};
pub use crate::storage::location::Location;
pub use crate::storage::maintain::{Effort, Form, MaintainOptions, MaintainReport};
pub use crate::storage::properties::{Properties, Property, Seen};
pub use crate::storage::range_cache::RangeCacheOptions;
pub use crate::storage::schema::{COMMENT, HIDDEN, PROPERTY_TYPES, events_schema};
pub use crate::storage::verify::{Finding, Remark};

pub(crate) use crate::storage::adapt::Origin;
pub(crate) use crate::storage::build::{
    BUFFER_BYTES, BuildOptions, BuiltParts, Key, Sorter, column, default_workers, keys,
    shares_events,
};
pub(crate) use crate::storage::copy::Copying;
pub(crate) use crate::storage::definitions::{
    Definitions, TableColumn, TableDefinition, Version as DefinitionsVersion, ViewColumn,
    ViewDefinition,
};
pub(crate) use crate::storage::delete::Places;
pub(crate) use crate::storage::guard::{ScannedFor, check_project};
pub(crate) use crate::storage::hot::{Hot, HotBatch, Position};
pub(crate) use crate::storage::location::{check_conditional_put, open_root};
pub(crate) use crate::storage::log::{Change, Outcome};
pub(crate) use crate::storage::mutations::Mutation;
pub(crate) use crate::storage::part::Part;
pub(crate) use crate::storage::properties::PropertyValues;
pub(crate) use crate::storage::range_cache::{CachedRanges, RangeCache};
pub(crate) use crate::storage::scan::{EventsSource, OpenFile, PropertyOrigins};
pub(crate) use crate::storage::schema::{
    CREATED_AT, DISTINCT_ID_HASH, EVENT, FILE, GROUP_COUNT, PROPERTIES, ROW, STATISTICS_COLUMNS,
    TEAM_ID, TIMESTAMP, UUID, all_columns, distinct_id_hash,
};
pub(crate) use crate::storage::shred::{SHREDDED_KEY, is_property_column};
pub(crate) use crate::storage::tables::stored;
pub(crate) use crate::storage::upload::upload;
pub(crate) use crate::storage::verify::{Totals, note, problem};
pub(crate) use crate::storage::writer::PartWriter;

/// A project's number: HogQL's `team_id`. No scan can be built without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProjectId(pub i64);

/// All events of all projects. Clones share everything.
#[derive(Debug, Clone)]
pub struct EventStore {
    store: Arc<dyn ObjectStore>,
    /// The name under which scans refer to the store.
    url: Url,
    scan_url: ObjectStoreUrl,
    /// The same store, for reading files that never change, which queries do: it may keep them.
    reads: Arc<dyn ObjectStore>,
    range_cache: Option<Arc<RangeCache>>,
    log: Arc<dyn TableLog>,
    cache: Arc<ScanCache>,
    /// Events that are in the write-ahead log alone; none where nobody ingests.
    hot: Arc<Hot>,
    /// The newest definitions seen, and the logs of users' tables.
    seen: Arc<definitions::Seen>,
    logs: Arc<tables::Logs>,
}

/// One pinned version of the log, and what came after it: a query reads exactly this.
#[derive(Debug)]
pub struct Snapshot {
    log: Arc<LogSnapshot>,
    /// Not in the files of this version.
    hot: Vec<Arc<HotBatch>>,
}

const FORMAT_FILE: &str = "hedgerow.json";
/// Of the first nobody has released a Hedgerow: its files have other hashes.
const FORMAT_VERSION: u32 = 2;
/// What scans keep in memory, unless told otherwise.
pub(crate) const CACHE_BYTES: usize = 1 << 30;
pub(crate) const EVENTS_FOLDER: &str = "events";
/// The data folder, wherever it is: what scans and the log call it.
const ROOT_URL: &str = "hedgerow://data/";

/// What [`FORMAT_FILE`] holds.
#[derive(Serialize, Deserialize)]
struct Format {
    version: u32,
}

impl EventStore {
    /// Opens an existing store.
    ///
    /// # Errors
    /// `Storage` when there is none at `location`, it cannot be read, or a newer Hedgerow wrote it.
    pub async fn open(location: &Location) -> Result<Self> {
        Self::open_in(open_root(location, false)?, location).await
    }

    /// Opens a store, creating it where there is none.
    ///
    /// # Errors
    /// `Storage` when it cannot be created or read, a newer Hedgerow wrote it, or it would be new in
    /// an object store without conditional put.
    pub async fn create(location: &Location) -> Result<Self> {
        let objects = open_root(location, true)?;
        if location.folder()?.is_none() && read_format(objects.as_ref()).await?.is_none() {
            check_conditional_put(objects.as_ref()).await?;
        }
        Self::create_in(objects, location).await
    }

    /// Opens an existing store whose data folder is the root of `objects`. Listings must come in
    /// order, and puts must be conditional where they are asked to be.
    ///
    /// # Errors
    /// As for [`EventStore::open`]; they call the store by `location`.
    pub async fn open_in(objects: Arc<dyn ObjectStore>, location: &Location) -> Result<Self> {
        check_folder(objects.as_ref(), location).await?;
        let log = DeltaLog::open(&objects, EVENTS_FOLDER).await?;
        Self::assemble(objects, log)
    }

    /// Opens a store whose data folder is the root of `objects`, creating it where there is none.
    ///
    /// # Errors
    /// As for [`EventStore::create`]; they call the store by `location`.
    pub async fn create_in(objects: Arc<dyn ObjectStore>, location: &Location) -> Result<Self> {
        if let Some(format) = read_format(objects.as_ref()).await? {
            check_format(&format, location)?;
        }
        let log =
            DeltaLog::create(&objects, EVENTS_FOLDER, events_schema(), &STATISTICS_COLUMNS).await?;
        // Last, so that a folder with this file is complete.
        write_format(objects.as_ref()).await?;
        Self::assemble(objects, log)
    }

    fn assemble(store: Arc<dyn ObjectStore>, log: DeltaLog) -> Result<Self> {
        let scan_url = ObjectStoreUrl::parse(ROOT_URL)?;
        Ok(Self {
            reads: Arc::clone(&store),
            range_cache: None,
            store,
            url: root_url()?,
            scan_url,
            log: Arc::new(log),
            cache: Arc::new(ScanCache::new(CACHE_BYTES)),
            hot: Arc::default(),
            seen: Arc::default(),
            logs: Arc::default(),
        })
    }

    /// The same store, with so much memory for footers and decoded columns.
    #[must_use]
    pub fn with_cache_bytes(mut self, bytes_max: usize) -> Self {
        self.cache = Arc::new(ScanCache::new(bytes_max));
        self
    }

    /// The same store, which keeps what queries read of its files on this machine.
    ///
    /// # Errors
    /// `Storage` when the folder for it cannot be used, or another process uses it.
    pub async fn with_range_cache(
        mut self,
        options: &RangeCacheOptions,
        location: &Location,
    ) -> Result<Self> {
        let cache = Arc::new(RangeCache::open(options).await?);
        let store = Arc::clone(&self.store);
        self.reads = Arc::new(CachedRanges::new(store, Arc::clone(&cache), location.clone()));
        self.range_cache = Some(cache);
        Ok(self)
    }

    /// Ends its use in order: what is kept on this machine is there for the next process.
    pub async fn close(&self) {
        if let Some(cache) = &self.range_cache {
            cache.close().await;
        }
    }

    /// The projects by name, in the order of their numbers.
    ///
    /// # Errors
    /// `Storage` when they cannot be read.
    pub async fn projects(&self) -> Result<Vec<(String, ProjectId)>> {
        projects::list(self.store.as_ref()).await
    }

    /// The number of a project, giving it one where it is new.
    ///
    /// # Errors
    /// `InvalidArgument` when the name is empty, too long or has control characters; `Storage`.
    pub async fn create_project(&self, name: &str) -> Result<ProjectId> {
        projects::create(self.store.as_ref(), name).await
    }

    /// The tokens with which senders name projects.
    ///
    /// # Errors
    /// `Storage` when they cannot be read.
    pub async fn tokens(&self) -> Result<HashMap<String, ProjectId>> {
        tokens::list(self.store.as_ref()).await
    }

    /// Gives a project a token, for good.
    ///
    /// # Errors
    /// `InvalidArgument` for one that is empty, too long or has strange characters;
    /// `AlreadyExists` when another project has it; `Storage`.
    pub async fn add_token(&self, token: &str, project: ProjectId) -> Result<()> {
        tokens::add(self.store.as_ref(), token, project).await
    }

    /// The newest version, found by reading only what the log gained since the last call, and all
    /// events acknowledged by now.
    ///
    /// # Errors
    /// `Storage` when the log cannot be read.
    pub async fn snapshot(&self) -> Result<Arc<Snapshot>> {
        // In this order: what is moved into files in between is seen in both places, and read in
        // the files.
        let hot = self.hot.all();
        let log = self.log.snapshot().await?;
        let hot = hot.iter().filter(|batch| batch.position > log.flushed).cloned().collect();
        Ok(Arc::new(Snapshot { log, hot }))
    }

    /// The `events` table of one project at one version. Queries over it find the files through
    /// [`EventStore::object_store`], which their runtime must have registered.
    pub fn events(&self, snapshot: &Arc<Snapshot>, project: ProjectId) -> Arc<dyn TableProvider> {
        Arc::new(EventsTable {
            project,
            snapshot: Arc::clone(snapshot),
            store: Arc::clone(&self.reads),
            cache: Arc::clone(&self.cache),
            placed: false,
        })
    }

    /// The same with the columns of [`placed_schema`], for events in files.
    pub(crate) fn placed_events(
        &self,
        snapshot: &Arc<Snapshot>,
        project: ProjectId,
    ) -> Arc<dyn TableProvider> {
        Arc::new(EventsTable {
            project,
            snapshot: Arc::clone(snapshot),
            store: Arc::clone(&self.reads),
            cache: Arc::clone(&self.cache),
            placed: true,
        })
    }

    /// A file with its footer.
    pub(crate) async fn open_part(&self, part: &Part) -> Result<Arc<OpenFile>> {
        Ok(OpenFile::cached(&self.cache, &self.reads, part, &Count::new()).await?)
    }

    /// The newest version of a project's views and tables.
    ///
    /// # Errors
    /// `Storage` when they cannot be read.
    pub(crate) async fn definitions(&self, project: ProjectId) -> Result<DefinitionsVersion> {
        definitions::newest(self.store.as_ref(), &self.seen, project).await
    }

    /// Changes a project's views and tables, if `base` is still the newest version; false when
    /// it is not.
    ///
    /// # Errors
    /// `Storage` when they cannot be written.
    pub(crate) async fn define(
        &self,
        project: ProjectId,
        base: &DefinitionsVersion,
        changed: Definitions,
    ) -> Result<bool> {
        definitions::commit(self.store.as_ref(), &self.seen, project, base, changed).await
    }

    /// True when there is something like a store, if perhaps a damaged one, at `location`.
    ///
    /// # Errors
    /// `Storage` when nothing can be read there, or another version wrote it.
    pub(crate) async fn exists(location: &Location) -> Result<bool> {
        let root = open_root(location, false)?;
        let Some(bytes) = fetch_format(root.as_ref()).await? else { return Ok(false) };
        // Of a file that cannot be read, whoever opens the store tells.
        parse_format(&bytes).map_or(Ok(()), |format| check_format(&format, location))?;
        Ok(true)
    }

    /// How many deletions of events this process knows of: of others when it looks at the log.
    pub(crate) fn deletions(&self) -> u64 {
        self.log.deletions()
    }

    /// The events that are in no file yet.
    pub(crate) fn hot(&self) -> &Hot {
        &self.hot
    }

    /// The object store and the URL under which scans refer to it.
    pub fn object_store(&self) -> (&Url, &Arc<dyn ObjectStore>) {
        (&self.url, &self.store)
    }

    /// Stores a finished file. Nobody sees it before a commit names it.
    pub(crate) async fn put_part(&self, writer: PartWriter, modified_ms: i64) -> Result<Part> {
        let (bytes, statistics, properties) = writer.finish()?;
        let path = format!("{}.parquet", Uuid::now_v7());
        let part = Part {
            size_bytes: bytes.len() as u64,
            modified_ms,
            sorted: true,
            statistics: Some(statistics),
            properties: Some(Arc::new(properties)),
            checksum: Some(crc32c::crc32c(&bytes)),
            deleted: None,
            path,
        };
        // Nobody else has the name, so that the store may send it again.
        upload(self.store.as_ref(), &part.location()?, bytes).await?;
        Ok(part)
    }

    /// The rows of a part, with these columns of [`events_schema`], in its types.
    pub(crate) async fn read_part(
        &self,
        part: &Part,
        columns: &[&str],
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        reader::read_part(&self.store, part, columns).await
    }

    /// Deletes parts that were never committed. Should that fail, they stay as files that nobody
    /// sees.
    pub(crate) async fn discard_parts(&self, parts: impl IntoIterator<Item = &Part>) {
        for part in parts {
            if let Ok(location) = part.location()
                && let Err(error) = self.store.delete(&location).await
            {
                tracing::warn!(%location, %error, "an unused file could not be deleted");
            }
        }
    }

    /// Changes the files of `events`, all at once, if `snapshot` is still the newest version.
    pub(crate) async fn commit(&self, snapshot: &Snapshot, change: Change) -> Result<Outcome> {
        self.log.commit(snapshot.log.version, change).await
    }

    /// The same, whatever others add meanwhile; false when the files that it is about are others
    /// by now. Nothing has changed then.
    async fn change_parts(
        &self,
        snapshot: &Arc<Snapshot>,
        parts: &[Arc<Part>],
        change: &Change,
    ) -> Result<bool> {
        let mut snapshot = Arc::clone(snapshot);
        loop {
            if let Outcome::Committed(_) = self.commit(&snapshot, change.clone()).await? {
                return Ok(true);
            }
            snapshot = self.snapshot().await?;
            if !parts.iter().all(|part| snapshot.has(part)) {
                return Ok(false);
            }
        }
    }
}

impl Snapshot {
    /// The files of this version.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Arc<Part>> {
        self.log.parts.values()
    }

    /// True when the file is there, with the same rows.
    fn has(&self, part: &Part) -> bool {
        self.log.parts.get(&part.path).is_some_and(|found| found.deleted == part.deleted)
    }

    /// False when the log shows that the project has no events.
    pub fn may_have_events(&self, project: ProjectId) -> bool {
        self.parts().any(|part| part.may_have(project)) || self.hot_of(project).next().is_some()
    }

    /// The batches that are not in files.
    pub(crate) fn hot(&self) -> &[Arc<HotBatch>] {
        &self.hot
    }

    /// The batches of a project that are not in files.
    pub(crate) fn hot_of(&self, project: ProjectId) -> impl Iterator<Item = &Arc<HotBatch>> {
        self.hot.iter().filter(move |batch| batch.project == project)
    }

    /// Records of the write-ahead log up to here are in the files.
    pub(crate) fn flushed(&self) -> Position {
        self.log.flushed
    }

    /// How many rows a project has; those of files shared with others or without statistics are
    /// left out.
    pub(crate) fn rows_of(&self, project: ProjectId) -> u64 {
        let own = self.parts().filter(|part| part.is_only(project));
        own.filter_map(|part| part.rows()).sum()
    }

    /// The properties that a project's events have.
    pub fn properties(&self, project: ProjectId) -> Arc<Properties> {
        let mut properties = self.log.properties.of(project, || {
            let mut properties = Properties::default();
            self.parts().for_each(|part| properties.add(part, project));
            properties
        });
        for batch in self.hot_of(project) {
            Arc::make_mut(&mut properties).add_counts(&batch.properties);
        }
        properties
    }

    /// What is known of the values under their keys, by key.
    pub(crate) fn property_values(&self, project: ProjectId) -> BTreeMap<String, PropertyValues> {
        PropertyValues::of(self.parts(), project)
    }

    /// The files that an older version did not have.
    pub(crate) fn parts_since(&self, older: &Self) -> impl Iterator<Item = &Arc<Part>> {
        self.parts().filter(|part| !older.log.parts.contains_key(&part.path))
    }
}

fn root_url() -> Result<Url> {
    Url::parse(ROOT_URL).map_err(|error| Error::internal(error.to_string()))
}

/// Refuses what is no data folder of this version.
async fn check_folder(root: &dyn ObjectStore, location: &Location) -> Result<()> {
    match read_format(root).await? {
        Some(format) => check_format(&format, location),
        None => Err(no_data_folder(location)),
    }
}

async fn read_format(root: &dyn ObjectStore) -> Result<Option<Format>> {
    fetch_format(root).await?.as_ref().map(parse_format).transpose()
}

/// The format file; none where there is no store.
async fn fetch_format(root: &dyn ObjectStore) -> Result<Option<Bytes>> {
    match root.get(&Path::from(FORMAT_FILE)).await {
        Ok(file) => Ok(Some(file.bytes().await?)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn parse_format(bytes: &Bytes) -> Result<Format> {
    serde_json::from_slice(bytes).map_err(|error| {
        Error::new(ErrorKind::Storage, format!("{FORMAT_FILE} is damaged")).caused_by(error)
    })
}

/// Writes the format file, unless somebody else has.
async fn write_format(root: &dyn ObjectStore) -> Result<()> {
    let format = Format { version: FORMAT_VERSION };
    let bytes = serde_json::to_vec(&format).map_err(|error| Error::internal(error.to_string()))?;
    let path = Path::from(FORMAT_FILE);
    match root.put_opts(&path, bytes.into(), PutMode::Create.into()).await {
        Ok(_) | Err(StoreError::AlreadyExists { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn check_format(format: &Format, location: &Location) -> Result<()> {
    if format.version == FORMAT_VERSION {
        return Ok(());
    }
    let hint = match format.version < FORMAT_VERSION {
        true => "It was written before the first release. Import the events anew.",
        false => "Use the newer Hedgerow that wrote it.",
    };
    Err(Error::new(
        ErrorKind::Storage,
        format!(
            "{location} has format {}, and this Hedgerow reads {FORMAT_VERSION}",
            format.version
        ),
    )
    .hint(hint))
}
