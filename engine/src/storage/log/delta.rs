//! The log as a Delta table, so that other tools can read it. Nothing of the library's types
//! leaves this file.

use std::collections::{HashMap, HashSet};
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arrow::datatypes::{DataType, Field, Schema};
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties, TransactionError};
use deltalake_core::kernel::{
    Action, Add, ArrayType, DataType as DeltaType, MapType, PrimitiveType, Remove, StructField,
    StructType, Transaction,
};
use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore, get_actions};
use deltalake_core::operations::create::CreateBuilder;
use deltalake_core::operations::vacuum::VacuumMode;
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::{DeltaTable, DeltaTableError};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::crash_point;
use crate::error::{Error, ErrorKind, Result};
use crate::storage::build::PART_BYTES;
use crate::storage::deleted::DeletedRows;
use crate::storage::log::{
    Change, ChangeKind, Difference, LogSnapshot, Outcome, TableLog, Version,
};
use crate::storage::part::{Part, PartStatistics};
use crate::storage::properties::PropertyCounts;
use crate::storage::root_url;
use crate::storage::schema::COMMENT;
use crate::storage::writer::{
    CHECKSUM_KEY, DELETED_KEY, LAYOUT_KEY, LAYOUT_VERSION, PROPERTIES_KEY,
};

/// An import may be about to commit the files that it has written: they stay for so long.
const UNCOMMITTED_KEEP: Duration = Duration::from_hours(24);
/// Commits of the log are deleted when they are a month old: who has not looked for long may miss
/// the next one, and goes by a listing.
const FOLLOWED: TimeDelta = TimeDelta::hours(1);
/// What commits are told by.
const COMMIT_KEY: &str = "hedgerow.commit";
const LOG_FOLDER: &str = "_delta_log";
/// The application whose transactions say how much of the write-ahead log is in the table.
const WAL: &str = "hedgerow-wal";

/// The log of one Delta table.
#[derive(Debug)]
pub(crate) struct DeltaLog {
    log: LogStoreRef,
    state: Mutex<State>,
    deletions: AtomicU64,
    /// The one that was last asked for.
    earlier: Mutex<Option<Arc<LogSnapshot>>>,
}

#[derive(Debug)]
struct State {
    snapshot: Arc<LogSnapshot>,
    /// When that was the newest version.
    looked: DateTime<Utc>,
    /// The library's picture, which commits are made on. It takes long to update with many files,
    /// and so may be of an earlier version.
    table: DeltaTable,
}

impl DeltaLog {
    /// Opens the table in the folder `name` of a data folder.
    ///
    /// # Errors
    /// `Storage` when there is none or its log cannot be read.
    pub(crate) async fn open(root: &Arc<dyn ObjectStore>, name: &str) -> Result<Self> {
        let log = log_store(root, name)?;
        let mut table = DeltaTable::new(Arc::clone(&log));
        table.load().await.map_err(storage_error)?;
        let snapshot = Arc::new(read_snapshot(&table, &log).await?);
        let state = Mutex::new(State { snapshot, looked: Utc::now(), table });
        Ok(Self { log, state, deletions: AtomicU64::new(0), earlier: Mutex::default() })
    }

    /// Creates the table, unless somebody did already. `statistics` names the columns whose
    /// ranges the log knows.
    pub(crate) async fn create(
        root: &Arc<dyn ObjectStore>,
        name: &str,
        schema: &Schema,
        statistics: &[&str],
    ) -> Result<Self> {
        let log = log_store(root, name)?;
        if !log.is_delta_table_location().await.map_err(storage_error)? {
            let created = CreateBuilder::new()
                .with_log_store(log)
                .with_table_name(name)
                .with_columns(delta_columns(schema)?)
                .with_configuration(configuration(statistics))
                .with_save_mode(SaveMode::Ignore)
                .await;
            match created {
                Ok(_) | Err(DeltaTableError::VersionAlreadyExists(_)) => {}
                // Two processes created it at once: the other one's table is as good.
                Err(DeltaTableError::Transaction { .. }) => {}
                Err(error) => return Err(storage_error(error)),
            }
        }
        Self::open(root, name).await
    }
}

impl DeltaLog {
    /// The library's picture of the newest version.
    async fn newest(&self) -> Result<DeltaTable> {
        let mut state = self.state.lock().await;
        state.table.update_state().await.map_err(storage_error)?;
        Ok(state.table.clone())
    }

    /// The earliest version whose commit is there; later ones all are.
    async fn earliest(&self) -> Result<Option<Version>> {
        let store = self.log.object_store(None);
        let files = store.list(Some(&Path::from(LOG_FOLDER)));
        let versions = files.try_filter_map(|file| {
            let name = file.location.filename().and_then(|name| name.strip_suffix(".json"));
            ready(Ok(name.and_then(|name| name.parse::<Version>().ok())))
        });
        let versions: Vec<Version> = versions.try_collect().await?;
        Ok(versions.into_iter().min())
    }

    async fn committed_at(&self, version: Version) -> Result<DateTime<Utc>> {
        let gone = || Error::new(ErrorKind::Storage, format!("version {version} is gone"));
        let actions = read_commit(&self.log, version).await?.ok_or_else(gone)?;
        let said = actions.iter().find_map(|action| match action {
            Action::CommitInfo(commit) => DateTime::from_timestamp_millis(commit.timestamp?),
            _ => None,
        });
        match said {
            Some(time) => Ok(time),
            // Other tools need not say when.
            None => {
                let path = Path::from(format!("{LOG_FOLDER}/{version:020}.json"));
                Ok(self.log.object_store(None).head(&path).await?.last_modified)
            }
        }
    }
}

#[async_trait]
impl TableLog for DeltaLog {
    async fn snapshot(&self) -> Result<Arc<LogSnapshot>> {
        let mut state = self.state.lock().await;
        let deletions = state.refresh(&self.log).await?;
        self.deletions.fetch_add(deletions, Ordering::Release);
        Ok(Arc::clone(&state.snapshot))
    }

    fn deletions(&self) -> u64 {
        self.deletions.load(Ordering::Acquire)
    }

    async fn snapshot_at(
        &self,
        time: DateTime<Utc>,
    ) -> Result<Result<Arc<LogSnapshot>, Option<DateTime<Utc>>>> {
        let newest = self.snapshot().await?;
        let Some(earliest) = self.earliest().await? else { return Ok(Err(None)) };
        let first = self.committed_at(earliest).await?;
        if first > time {
            return Ok(Err(Some(first)));
        }
        let (mut version, mut last) = (earliest, newest.version);
        while version < last {
            let middle = version + (last - version).div_ceil(2);
            match self.committed_at(middle).await? <= time {
                true => version = middle,
                false => last = middle - 1,
            }
        }
        if version == newest.version {
            return Ok(Ok(newest));
        }
        let mut earlier = self.earlier.lock().await;
        if let Some(known) = earlier.as_ref().filter(|known| known.version == version) {
            return Ok(Ok(Arc::clone(known)));
        }
        let mut table = DeltaTable::new(Arc::clone(&self.log));
        table.load_version(version).await.map_err(storage_error)?;
        let snapshot = Arc::new(read_snapshot(&table, &self.log).await?);
        *earlier = Some(Arc::clone(&snapshot));
        Ok(Ok(snapshot))
    }

    async fn commit(&self, expected: Version, change: Change) -> Result<Outcome> {
        let mut state = self.state.lock().await;
        if state.snapshot.version != expected || state.table.version() > Some(expected) {
            return Ok(Outcome::Moved);
        }
        state.table.update_incremental(Some(expected)).await.map_err(storage_error)?;
        let operation = match change.kind {
            ChangeKind::Append => DeltaOperation::Write {
                mode: SaveMode::Append,
                partition_by: None,
                predicate: None,
            },
            ChangeKind::Rewrite => DeltaOperation::Optimize {
                predicate: None,
                target_size: i64::try_from(PART_BYTES).unwrap_or(i64::MAX),
            },
            ChangeKind::Delete => DeltaOperation::Delete { predicate: None },
        };
        let change_kind = change.kind;
        let data_change = change_kind != ChangeKind::Rewrite;
        let removes = change.removes.iter().map(|part| remove_action(part, data_change));
        let adds = change.adds.into_iter().map(|part| add_action(part, data_change));
        let id = change.id.to_string().into();
        let mut properties = CommitProperties::default()
            .with_max_retries(0)
            .with_metadata([(COMMIT_KEY.to_owned(), id)]);
        if let Some(flushed) = change.flushed {
            let transaction = Transaction::new(WAL, flushed.cast_signed());
            properties = properties.with_application_transaction(transaction);
        }
        let outcome = CommitBuilder::from(properties)
            .with_actions(removes.chain(adds).collect())
            .build(
                Some(state.table.snapshot().map_err(storage_error)?),
                Arc::clone(&self.log),
                operation,
            )
            .await;
        match outcome {
            Ok(done) => {
                state.table.state = Some(done.snapshot());
                // At once, not with the next look at the log, which counts it once more.
                let is_deletion = change_kind == ChangeKind::Delete;
                self.deletions.fetch_add(u64::from(is_deletion), Ordering::Release);
                Ok(Outcome::Committed(done.version()))
            }
            Err(error) => {
                // A put whose answer was lost may have been done, and meets itself when it is sent
                // again.
                let version = expected + 1;
                let met = read_commit(&self.log, version).await;
                let is_ours = met.map(|met| met.is_some_and(|met| is_of(&met, change.id)));
                match (is_ours, is_conflict(&error)) {
                    (Ok(true), _) => Ok(Outcome::Committed(version)),
                    (Ok(false), true) => Ok(Outcome::Moved),
                    (Err(unread), true) => Err(unread),
                    (_, false) => Err(storage_error(error)),
                }
            }
        }
    }

    async fn replaced(&self) -> Result<HashSet<Path>> {
        unused(&self.newest().await?, VacuumMode::Lite, Duration::ZERO).await
    }

    async fn has_commit(&self, change: Uuid, after: Version) -> Result<bool> {
        let mut version = after;
        while let Some(actions) = read_commit(&self.log, version + 1).await? {
            version += 1;
            if is_of(&actions, change) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn files(&self, upto: Version) -> Result<Vec<Path>> {
        let store = self.log.object_store(None);
        let files = store.list(Some(&Path::from(LOG_FOLDER))).map_ok(|file| file.location);
        let is_needed = |path: &Path| {
            let version = path.filename().and_then(|name| name.split('.').next()?.parse().ok());
            version.is_some_and(|version: Version| version <= upto)
        };
        Ok(files.try_filter(|path| ready(is_needed(path))).try_collect().await?)
    }

    async fn vacuum(&self, keep: Duration) -> Result<u64> {
        let table = self.newest().await?;
        let mut unused_files = unused(&table, VacuumMode::Lite, keep).await?;
        let uncommitted = unused(&table, VacuumMode::Full, keep.max(UNCOMMITTED_KEEP));
        unused_files.extend(uncommitted.await?);
        // The log names files for days after they are gone.
        let store = self.log.object_store(None);
        let there =
            store.list(None).try_filter(|file| ready(unused_files.contains(&file.location)));
        let there: Vec<_> = there.map_ok(|file| file.location).try_collect().await?;
        for location in &there {
            crash_point::reach("vacuum.delete");
            store.delete(location).await?;
        }
        crash_point::reach("vacuum.deleted");
        Ok(there.len() as u64)
    }
}

impl State {
    /// Reads the commits that came since, one by one: a small read each, where the library lists
    /// the log and goes through all files again. Tells how many of them deleted rows.
    async fn refresh(&mut self, log: &LogStoreRef) -> Result<u64> {
        let now = Utc::now();
        if (now - self.looked).abs() > FOLLOWED {
            return self.reload(log).await;
        }
        let (mut version, mut change) = (self.snapshot.version, Difference::default());
        let mut deletions = 0;
        while let Some(actions) = read_commit(log, version + 1).await? {
            version += 1;
            deletions += u64::from(deletes(&actions));
            for action in actions {
                match action {
                    Action::Add(add) => change.add(read_part(add)?),
                    Action::Remove(remove) => change.remove(remove.path),
                    Action::Txn(Transaction { app_id, version, .. }) if app_id == WAL => {
                        change.flushed = Some(version.unsigned_abs());
                    }
                    // Whether the table can still be read is the library's to say.
                    Action::Metadata(_) | Action::Protocol(_) => return self.reload(log).await,
                    Action::Txn(_)
                    | Action::Cdc(_)
                    | Action::CommitInfo(_)
                    | Action::DomainMetadata(_) => {}
                }
            }
        }
        if version != self.snapshot.version {
            self.snapshot = Arc::new(self.snapshot.after(version, &change));
        }
        self.looked = now;
        Ok(deletions)
    }

    /// Tells of a deletion: there may have been some.
    async fn reload(&mut self, log: &LogStoreRef) -> Result<u64> {
        let now = Utc::now();
        self.table.update_state().await.map_err(storage_error)?;
        if self.table.version() != Some(self.snapshot.version) {
            self.snapshot = Arc::new(read_snapshot(&self.table, log).await?);
        }
        self.looked = now;
        Ok(1)
    }
}

/// Files that are not used since `keep`; [`VacuumMode::Lite`] finds those that commits removed.
async fn unused(table: &DeltaTable, mode: VacuumMode, keep: Duration) -> Result<HashSet<Path>> {
    let keep = TimeDelta::from_std(keep).unwrap_or(TimeDelta::MAX);
    let unused = table.clone().vacuum().with_mode(mode).with_dry_run(true);
    let unused = unused.with_enforce_retention_duration(false).with_retention_period(keep).await;
    let (_, unused) = unused.map_err(storage_error)?;
    Ok(unused.files_deleted.into_iter().map(Path::from).collect())
}

async fn read_commit(log: &LogStoreRef, version: Version) -> Result<Option<Vec<Action>>> {
    let commit = log.read_commit_entry(version).await.map_err(storage_error)?;
    commit.map(|commit| get_actions(version, &commit).map_err(storage_error)).transpose()
}

/// True for the actions of a commit that deleted rows, whoever made it.
fn deletes(actions: &[Action]) -> bool {
    actions.iter().any(|action| match action {
        Action::CommitInfo(commit) => commit.operation.as_deref() == Some("DELETE"),
        _ => false,
    })
}

/// True for the actions of the commit of a change.
fn is_of(actions: &[Action], change: Uuid) -> bool {
    let change = Some(change.to_string());
    actions.iter().any(|action| match action {
        Action::CommitInfo(commit) => {
            commit.info.get(COMMIT_KEY).and_then(|id| id.as_str()) == change.as_deref()
        }
        _ => false,
    })
}

async fn read_snapshot(table: &DeltaTable, log: &LogStoreRef) -> Result<LogSnapshot> {
    let state = table.snapshot().map_err(storage_error)?;
    let flushed = state.transaction_version(log.as_ref(), WAL).await.map_err(storage_error)?;
    let files = state.log_data();
    let parts = files.iter().map(|file| {
        #[expect(deprecated, reason = "the only way to the tags of a file")]
        let part = read_part(file.add_action())?;
        Ok((part.path.clone(), Arc::new(part)))
    });
    let parts = parts.collect::<Result<_>>()?;
    Ok(LogSnapshot::new(state.version(), parts, flushed.map_or(0, i64::unsigned_abs)))
}

fn read_part(add: Add) -> Result<Part> {
    if add.deletion_vector.is_some() {
        return Err(Error::new(
            ErrorKind::Storage,
            format!("{} has deleted rows marked by another tool, which cannot be read", add.path),
        ));
    }
    let tag = |key| add.tags.as_ref().and_then(|tags| tags.get(key)?.as_deref());
    let properties = tag(PROPERTIES_KEY).and_then(PropertyCounts::from_json).map(Arc::new);
    let layout = tag(LAYOUT_KEY);
    let deleted = tag(DELETED_KEY).map(DeletedRows::from_text).transpose();
    let deleted = deleted.map_err(|error| {
        let message = format!("{}: {}", add.path, error.message);
        Error { message, ..error }
    })?;
    Ok(Part {
        deleted: deleted.map(Arc::new),
        size_bytes: add.size.unsigned_abs(),
        modified_ms: add.modification_time,
        sorted: layout == Some(LAYOUT_VERSION),
        statistics: add.stats.as_deref().and_then(PartStatistics::from_json),
        properties,
        checksum: tag(CHECKSUM_KEY).and_then(|digits| u32::from_str_radix(digits, 16).ok()),
        path: add.path,
    })
}

fn add_action(part: Part, data_change: bool) -> Action {
    let tag = |key: &str, value: String| (key.to_owned(), Some(value));
    let layout = part.sorted.then(|| tag(LAYOUT_KEY, LAYOUT_VERSION.to_owned()));
    let properties = part.properties.as_ref().map(|counts| tag(PROPERTIES_KEY, counts.to_json()));
    let deleted = part.deleted.as_ref().map(|deleted| tag(DELETED_KEY, deleted.to_text()));
    let checksum = part.checksum.map(|checksum| tag(CHECKSUM_KEY, format!("{checksum:08x}")));
    let tags = layout.into_iter().chain(properties).chain(deleted).chain(checksum);
    let tags: HashMap<_, _> = tags.collect();
    Action::Add(Add {
        tags: (!tags.is_empty()).then_some(tags),
        stats: part.statistics.as_ref().map(PartStatistics::to_json),
        path: part.path,
        size: part.size_bytes.cast_signed(),
        modification_time: part.modified_ms,
        data_change,
        ..Add::default()
    })
}

fn remove_action(part: &Part, data_change: bool) -> Action {
    Action::Remove(Remove {
        path: part.path.clone(),
        data_change,
        deletion_timestamp: Some(Utc::now().timestamp_millis()),
        extended_file_metadata: Some(true),
        partition_values: Some(HashMap::new()),
        size: Some(part.size_bytes.cast_signed()),
        tags: None,
        deletion_vector: None,
        base_row_id: None,
        default_row_commit_version: None,
    })
}

/// True for the errors that say: another commit was first.
fn is_conflict(error: &DeltaTableError) -> bool {
    match error {
        DeltaTableError::VersionAlreadyExists(_) => true,
        DeltaTableError::Transaction { source } => matches!(
            source,
            TransactionError::VersionAlreadyExists(_)
                | TransactionError::MaxCommitAttempts(_)
                | TransactionError::CommitConflict(_)
        ),
        _ => false,
    }
}

fn log_store(root: &Arc<dyn ObjectStore>, name: &str) -> Result<LogStoreRef> {
    let url = root_url()?.join(&format!("{name}/")).map_err(|_| Error::internal("table name"))?;
    let table: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(Arc::clone(root), name));
    Ok(default_logstore(table, Arc::clone(root), &url, &StorageConfig::default()))
}

fn configuration(statistics: &[&str]) -> Vec<(String, Option<String>)> {
    let entry = |key: &str, value: String| (key.to_owned(), Some(value));
    let mut entries = vec![
        entry("delta.checkpointInterval", "100".to_owned()),
        entry("delta.enableExpiredLogCleanup", "true".to_owned()),
    ];
    if !statistics.is_empty() {
        entries.push(entry("delta.dataSkippingStatsColumns", statistics.join(",")));
    }
    entries
}

fn delta_columns(schema: &Schema) -> Result<Vec<StructField>> {
    schema.fields().iter().map(|field| delta_column(field)).collect()
}

fn delta_column(field: &Field) -> Result<StructField> {
    let column = StructField::new(field.name(), delta_type(field)?, field.is_nullable());
    Ok(match field.metadata().get(COMMENT) {
        Some(comment) => column.with_metadata([(COMMENT, comment.as_str())]),
        None => column,
    })
}

fn delta_type(field: &Field) -> Result<DeltaType> {
    let unknown = || Error::internal(format!("no Delta type for {}", field.data_type()));
    Ok(DeltaType::Primitive(match field.data_type() {
        DataType::Boolean => PrimitiveType::Boolean,
        DataType::Int8 => PrimitiveType::Byte,
        DataType::Int16 => PrimitiveType::Short,
        DataType::Int32 => PrimitiveType::Integer,
        DataType::Int64 => PrimitiveType::Long,
        DataType::Float32 => PrimitiveType::Float,
        DataType::Float64 => PrimitiveType::Double,
        DataType::Decimal128(precision, scale) => {
            let scale = u8::try_from(*scale).map_err(|_| unknown())?;
            PrimitiveType::decimal(*precision, scale).map_err(|_| unknown())?
        }
        DataType::Utf8 | DataType::Utf8View => PrimitiveType::String,
        DataType::FixedSizeBinary(_) => PrimitiveType::Binary,
        DataType::Date32 => PrimitiveType::Date,
        DataType::Timestamp(..) => PrimitiveType::Timestamp,
        DataType::List(item) => {
            let array = ArrayType::new(delta_type(item)?, item.is_nullable());
            return Ok(DeltaType::Array(Box::new(array)));
        }
        DataType::Struct(fields) => {
            let columns = fields.iter().map(|field| delta_column(field));
            let columns = columns.collect::<Result<Vec<_>>>()?;
            let fields = StructType::try_new(columns).map_err(|_| unknown())?;
            return Ok(DeltaType::Struct(Box::new(fields)));
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => {
                let (key, value) = (&fields[0], &fields[1]);
                let map = MapType::new(delta_type(key)?, delta_type(value)?, value.is_nullable());
                return Ok(DeltaType::Map(Box::new(map)));
            }
            _ => return Err(unknown()),
        },
        _ => return Err(unknown()),
    }))
}

fn storage_error(error: DeltaTableError) -> Error {
    Error::new(ErrorKind::Storage, format!("cannot use the log: {error}")).caused_by(error)
}
