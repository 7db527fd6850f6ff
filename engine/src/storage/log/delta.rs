//! The log as a Delta table, so that other tools can read it. Nothing of the library's types
//! leaves this file.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, Field, Schema};
use async_trait::async_trait;
use chrono::{TimeDelta, Utc};
use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties, TransactionError};
use deltalake_core::kernel::{
    Action, Add, ArrayType, DataType as DeltaType, LogicalFileView, MapType, PrimitiveType, Remove,
    StructField, StructType, Transaction,
};
use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use deltalake_core::operations::create::CreateBuilder;
use deltalake_core::operations::vacuum::VacuumMode;
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::{DeltaTable, DeltaTableError};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::sync::Mutex;

use crate::error::{Error, ErrorKind, Result};
use crate::storage::build::PART_BYTES;
use crate::storage::hot::Position;
use crate::storage::log::{Change, LogSnapshot, Outcome, TableLog, Version};
use crate::storage::part::{Part, PartStatistics};
use crate::storage::properties::PropertyCounts;
use crate::storage::root_url;
use crate::storage::schema::COMMENT;
use crate::storage::writer::{LAYOUT_KEY, LAYOUT_VERSION, PROPERTIES_KEY};

/// An import may be about to commit the files that it has written: they stay for so long.
const UNCOMMITTED_KEEP: Duration = Duration::from_hours(24);
/// The application whose transactions say how much of the write-ahead log is in the table.
const WAL: &str = "hedgerow-wal";

/// The log of one Delta table.
#[derive(Debug)]
pub(crate) struct DeltaLog {
    log: LogStoreRef,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    table: DeltaTable,
    snapshot: Arc<LogSnapshot>,
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
        let flushed = read_flushed(&table, &log).await?;
        let snapshot = Arc::new(read_snapshot(&table, flushed, None)?);
        Ok(Self { log, state: Mutex::new(State { table, snapshot }) })
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

#[async_trait]
impl TableLog for DeltaLog {
    async fn snapshot(&self) -> Result<Arc<LogSnapshot>> {
        let mut state = self.state.lock().await;
        state.refresh().await?;
        Ok(Arc::clone(&state.snapshot))
    }

    async fn look_up_flushed(&self) -> Result<()> {
        let mut state = self.state.lock().await;
        state.refresh().await?;
        let flushed = read_flushed(&state.table, &self.log).await?;
        let snapshot = read_snapshot(&state.table, flushed, Some(&state.snapshot))?;
        state.snapshot = Arc::new(snapshot);
        Ok(())
    }

    async fn commit(&self, expected: Version, change: Change) -> Result<Outcome> {
        let mut state = self.state.lock().await;
        if state.snapshot.version != expected {
            return Ok(Outcome::Moved);
        }
        let path = change.adds.first().map(|part| part.path.clone());
        let is_new = change.rewritten.is_empty();
        let operation = match is_new {
            true => DeltaOperation::Write {
                mode: SaveMode::Append,
                partition_by: None,
                predicate: None,
            },
            false => DeltaOperation::Optimize {
                predicate: None,
                target_size: i64::try_from(PART_BYTES).unwrap_or(i64::MAX),
            },
        };
        let removes = change.rewritten.iter().map(|part| remove_action(part));
        let adds = change.adds.into_iter().map(|part| add_action(part, is_new));
        let mut properties = CommitProperties::default().with_max_retries(0);
        if let Some(flushed) = change.flushed {
            let transaction = Transaction::new(WAL, flushed.cast_signed());
            properties = properties.with_application_transaction(transaction);
        }
        let flushed = change.flushed.unwrap_or(state.snapshot.flushed);
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
                state.refresh_with(flushed).await?;
                Ok(Outcome::Committed(done.version()))
            }
            Err(error) if is_conflict(&error) => {
                // A put whose answer was lost and that was sent again meets itself: the files
                // are in the log then.
                state.refresh().await?;
                let ours = path.is_some_and(|path| state.snapshot.parts.contains_key(&path));
                if !ours {
                    return Ok(Outcome::Moved);
                }
                state.snapshot =
                    Arc::new(read_snapshot(&state.table, flushed, Some(&state.snapshot))?);
                Ok(Outcome::Committed(state.snapshot.version))
            }
            Err(error) => Err(storage_error(error)),
        }
    }

    async fn vacuum(&self, keep: Duration) -> Result<u64> {
        let table = self.state.lock().await.table.clone();
        let unused = async |mode, keep: Duration| {
            let keep = TimeDelta::from_std(keep).unwrap_or(TimeDelta::MAX);
            let unused = table.clone().vacuum().with_mode(mode).with_dry_run(true);
            let unused =
                unused.with_enforce_retention_duration(false).with_retention_period(keep).await;
            let (_, unused) = unused.map_err(storage_error)?;
            Ok::<_, Error>(unused.files_deleted.into_iter().map(Path::from))
        };
        let mut unused_files: HashSet<Path> = unused(VacuumMode::Lite, keep).await?.collect();
        unused_files.extend(unused(VacuumMode::Full, keep.max(UNCOMMITTED_KEEP)).await?);
        // The log names files for days after they are gone.
        let store = self.log.object_store(None);
        let there =
            store.list(None).try_filter(|file| ready(unused_files.contains(&file.location)));
        let there: Vec<_> = there.map_ok(|file| file.location).try_collect().await?;
        for location in &there {
            store.delete(location).await?;
        }
        Ok(there.len() as u64)
    }
}

impl State {
    /// Others never flush: the position is the one that was known.
    async fn refresh(&mut self) -> Result<()> {
        self.refresh_with(self.snapshot.flushed).await
    }

    async fn refresh_with(&mut self, flushed: Position) -> Result<()> {
        self.table.update_state().await.map_err(storage_error)?;
        if self.table.version() != Some(self.snapshot.version) {
            self.snapshot = Arc::new(read_snapshot(&self.table, flushed, Some(&self.snapshot))?);
        }
        Ok(())
    }
}

async fn read_flushed(table: &DeltaTable, log: &LogStoreRef) -> Result<Position> {
    let state = table.snapshot().map_err(storage_error)?;
    let flushed = state.transaction_version(log.as_ref(), WAL).await.map_err(storage_error)?;
    Ok(flushed.map_or(0, i64::unsigned_abs))
}

/// The file list; parts that the snapshot before already had are taken over from it.
fn read_snapshot(
    table: &DeltaTable,
    flushed: Position,
    before: Option<&LogSnapshot>,
) -> Result<LogSnapshot> {
    let state = table.snapshot().map_err(storage_error)?;
    let mut parts = BTreeMap::new();
    for file in state.log_data().iter() {
        let path = file.path().into_owned();
        let known = before.and_then(|before| before.parts.get(&path)).cloned();
        let part = match known {
            Some(part) => part,
            None => Arc::new(read_part(&file)?),
        };
        parts.insert(path, part);
    }
    Ok(LogSnapshot::new(state.version(), parts, flushed, before))
}

fn read_part(file: &LogicalFileView) -> Result<Part> {
    if file.deletion_vector_descriptor().is_some() {
        return Err(Error::new(
            ErrorKind::Storage,
            format!(
                "{} has deleted rows marked by another tool, which cannot be read",
                file.path()
            ),
        ));
    }
    #[expect(deprecated, reason = "the only way to the tags of a file")]
    let add = file.add_action();
    let tag = |key| add.tags.as_ref().and_then(|tags| tags.get(key)?.as_deref());
    let properties = tag(PROPERTIES_KEY).and_then(PropertyCounts::from_json).map(Arc::new);
    let layout = tag(LAYOUT_KEY);
    Ok(Part {
        size_bytes: add.size.unsigned_abs(),
        modified_ms: add.modification_time,
        sorted: layout == Some(LAYOUT_VERSION),
        statistics: add.stats.as_deref().and_then(PartStatistics::from_json),
        properties,
        path: add.path,
    })
}

fn add_action(part: Part, data_change: bool) -> Action {
    let tag = |key: &str, value: String| (key.to_owned(), Some(value));
    let layout = part.sorted.then(|| tag(LAYOUT_KEY, LAYOUT_VERSION.to_owned()));
    let properties = part.properties.as_ref().map(|counts| tag(PROPERTIES_KEY, counts.to_json()));
    let tags: HashMap<_, _> = layout.into_iter().chain(properties).collect();
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

fn remove_action(part: &Part) -> Action {
    Action::Remove(Remove {
        path: part.path.clone(),
        data_change: false,
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
