//! The tables that users make: a folder with a Delta table each.
//!
//! A table is created with its rows before anything names it; what makes it visible is the
//! project's [definitions](super::definitions). Rows that are added later become visible with
//! one commit to the table's log. Files hold types that every reader of Delta tables knows;
//! [`stored`] says which.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Statistics;
use datafusion::common::stats::Precision;
use datafusion::config::TableParquetOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use futures::{Stream, StreamExt};
use parking_lot::Mutex;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::storage::guard::ScannedFor;
use crate::storage::log::delta::DeltaLog;
use crate::storage::log::{Change, LogSnapshot, Outcome, TableLog};
use crate::storage::part::{Part, PartStatistics};
use crate::storage::{EventStore, ProjectId, upload};

pub(super) const FOLDER: &str = "tables";
/// A file is closed when it has grown to this, so that writing takes little memory.
const FILE_BYTES: usize = 128 << 20;

/// The logs that were opened, by folder.
pub(super) type Logs = Mutex<HashMap<String, Arc<dyn TableLog>>>;

/// How values of a type lie in the files of a table.
///
/// # Errors
/// `Unsupported` for types that Delta tables do not have.
pub(crate) fn stored(data_type: &DataType) -> Result<DataType> {
    let nested = |field: &FieldRef| -> Result<FieldRef> {
        let data_type = stored(field.data_type())?;
        Ok(Arc::new(Field::new(field.name(), data_type, field.is_nullable())))
    };
    Ok(match data_type {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Decimal128(..)
        | DataType::FixedSizeBinary(_)
        | DataType::Date32 => data_type.clone(),
        // Delta's integers are signed.
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Utf8View => DataType::Utf8,
        DataType::Timestamp(..) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::List(item) => DataType::List(nested(item)?),
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(nested).collect::<Result<Fields>>()?)
        }
        DataType::Map(entries, sorted) => DataType::Map(nested(entries)?, *sorted),
        DataType::Interval(_) => {
            return Err(Error::unsupported("intervals cannot be stored in a table")
                .hint("Store text, made with toString(...), or a number of seconds."));
        }
        other => return Err(Error::unsupported(format!("{other} cannot be stored in a table"))),
    })
}

fn stored_schema(schema: &Schema) -> Result<SchemaRef> {
    let fields = schema
        .fields()
        .iter()
        .map(|field| Ok(Field::new(field.name(), stored(field.data_type())?, true)))
        .collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(Schema::new(fields)))
}

impl EventStore {
    /// Writes rows as a new table that nothing names yet: its folder, and how many rows it has.
    ///
    /// # Errors
    /// Those of `batches`; `Unsupported` for types that cannot be stored; `Storage`.
    pub(crate) async fn create_table(
        &self,
        schema: &SchemaRef,
        batches: impl Stream<Item = Result<RecordBatch>> + Unpin,
    ) -> Result<(String, u64)> {
        let folder = format!("{FOLDER}/{}", Uuid::now_v7());
        let stored = stored_schema(schema)?;
        let (parts, rows) = self.write_parts(&folder, &stored, batches).await?;
        let log = DeltaLog::create(&self.store, &folder, &stored, &[]).await?;
        if !parts.is_empty() {
            let snapshot = log.snapshot().await?;
            if let Outcome::Moved = log.commit(snapshot.version, Change::add(parts)).await? {
                return Err(Error::internal("somebody else wrote to a new table"));
            }
        }
        Ok((folder, rows))
    }

    /// Adds rows to a table, all at once: how many there were.
    ///
    /// # Errors
    /// Those of `batches`; `Storage`.
    pub(crate) async fn append(
        &self,
        folder: &str,
        schema: &SchemaRef,
        batches: impl Stream<Item = Result<RecordBatch>> + Unpin,
    ) -> Result<u64> {
        let (parts, rows) = self.write_parts(folder, &stored_schema(schema)?, batches).await?;
        if parts.is_empty() {
            return Ok(0);
        }
        let log = self.table_log(folder).await?;
        loop {
            // Rows that are only added cannot contradict what others add.
            let snapshot = log.snapshot().await?;
            let change = Change::add(parts.clone());
            if let Outcome::Committed(_) = log.commit(snapshot.version, change).await? {
                return Ok(rows);
            }
        }
    }

    /// A table of a project for one query, which reads one version of it however often it
    /// names it.
    pub(crate) fn table(
        &self,
        project: ProjectId,
        name: &str,
        folder: &str,
        schema: SchemaRef,
    ) -> Arc<dyn TableProvider> {
        Arc::new(UserTable {
            project,
            name: name.into(),
            folder: folder.to_owned(),
            schema,
            store: self.clone(),
            snapshot: OnceCell::new(),
        })
    }

    pub(super) async fn table_log(&self, folder: &str) -> Result<Arc<dyn TableLog>> {
        if let Some(log) = self.logs.lock().get(folder) {
            return Ok(Arc::clone(log));
        }
        let log: Arc<dyn TableLog> = Arc::new(DeltaLog::open(&self.store, folder).await?);
        Ok(Arc::clone(self.logs.lock().entry(folder.to_owned()).or_insert(log)))
    }

    async fn write_parts(
        &self,
        folder: &str,
        stored: &SchemaRef,
        mut batches: impl Stream<Item = Result<RecordBatch>> + Unpin,
    ) -> Result<(Vec<Part>, u64)> {
        let mut parts = Vec::new();
        let mut rows = 0;
        let mut file: Option<ArrowWriter<Vec<u8>>> = None;
        while let Some(batch) = batches.next().await.transpose()? {
            if batch.num_rows() == 0 {
                continue;
            }
            rows += batch.num_rows() as u64;
            let writer = match &mut file {
                Some(writer) => writer,
                None => file.insert(open_file(stored)?),
            };
            writer.write(&laid_out(&batch, stored)?).map_err(write_error)?;
            if writer.bytes_written() + writer.in_progress_size() >= FILE_BYTES
                && let Some(full) = file.take()
            {
                parts.push(self.put_file(folder, full).await?);
            }
        }
        if let Some(last) = file {
            parts.push(self.put_file(folder, last).await?);
        }
        Ok((parts, rows))
    }

    async fn put_file(&self, folder: &str, mut writer: ArrowWriter<Vec<u8>>) -> Result<Part> {
        writer.flush().map_err(write_error)?;
        let rows: i64 = writer.flushed_row_groups().iter().map(|group| group.num_rows()).sum();
        let bytes = writer.into_inner().map_err(write_error)?;
        let part = Part {
            path: format!("{}.parquet", Uuid::now_v7()),
            properties: None,
            checksum: Some(crc32c::crc32c(&bytes)),
            deleted: None,
            size_bytes: bytes.len() as u64,
            modified_ms: chrono::Utc::now().timestamp_millis(),
            sorted: false,
            statistics: Some(PartStatistics {
                rows: rows.unsigned_abs(),
                ..PartStatistics::default()
            }),
        };
        let path = part.location_in(folder)?;
        upload(self.store.as_ref(), &path, bytes.into()).await?;
        Ok(part)
    }
}

fn open_file(schema: &SchemaRef) -> Result<ArrowWriter<Vec<u8>>> {
    let properties = WriterProperties::builder()
        .set_created_by(concat!("hedgerow ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    ArrowWriter::try_new(Vec::new(), Arc::clone(schema), Some(properties)).map_err(write_error)
}

fn laid_out(batch: &RecordBatch, stored: &SchemaRef) -> Result<RecordBatch> {
    let columns = batch
        .columns()
        .iter()
        .zip(stored.fields())
        .map(|(column, field)| Ok(cast(column, field.data_type())?))
        .collect::<Result<Vec<_>>>()?;
    Ok(RecordBatch::try_new(Arc::clone(stored), columns)?)
}

fn write_error(error: parquet::errors::ParquetError) -> Error {
    Error::new(ErrorKind::Storage, format!("cannot encode Parquet: {error}")).caused_by(error)
}

/// A table of a project, as one query reads it.
#[derive(Debug)]
struct UserTable {
    project: ProjectId,
    name: Arc<str>,
    folder: String,
    schema: SchemaRef,
    store: EventStore,
    /// The version that the query reads, pinned by its first scan.
    snapshot: OnceCell<Arc<LogSnapshot>>,
}

impl UserTable {
    async fn pinned(&self) -> Result<&Arc<LogSnapshot>> {
        let newest = || async { self.store.table_log(&self.folder).await?.snapshot().await };
        self.snapshot.get_or_try_init(newest).await
    }

    /// The files in groups of about the same size; each group is read by one thread.
    fn file_groups(&self, snapshot: &LogSnapshot, count: usize) -> Result<Vec<FileGroup>> {
        let files_of_table = snapshot.parts.len();
        let mut groups = vec![(0, Vec::new()); count.clamp(1, files_of_table.max(1))];
        let mut by_size: Vec<_> = snapshot.parts.values().collect();
        by_size.sort_by_key(|part| std::cmp::Reverse(part.size_bytes));
        for part in by_size {
            let scanned_for =
                ScannedFor { project: self.project, table: Arc::clone(&self.name), files_of_table };
            let file = PartitionedFile::new_from_meta(part.meta_in(&self.folder)?);
            if let Some((bytes, files)) = groups.iter_mut().min_by_key(|(bytes, _)| *bytes) {
                *bytes += part.size_bytes;
                files.push(file.with_extension(scanned_for));
            }
        }
        Ok(groups.into_iter().map(|(_, files)| FileGroup::new(files)).collect())
    }
}

#[async_trait]
impl TableProvider for UserTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Row groups and pages are dropped by their statistics; rows are filtered above the scan.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> DataFusionResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let snapshot = self.pinned().await?;
        let options = TableParquetOptions {
            global: state.config().options().execution.parquet.clone(),
            ..TableParquetOptions::default()
        };
        let footers = state.runtime_env().cache_manager.get_file_metadata_cache();
        let reader = CachedParquetFileReaderFactory::new(Arc::clone(&self.store.reads), footers);
        let source = ParquetSource::new(self.schema())
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(reader));
        let mut statistics = Statistics::new_unknown(&self.schema);
        let rows: Option<u64> =
            snapshot.parts.values().map(|part| Some(part.statistics.as_ref()?.rows)).sum();
        if let Some(rows) = rows {
            statistics.num_rows = Precision::Exact(usize::try_from(rows).unwrap_or(usize::MAX));
        }
        let groups = self.file_groups(snapshot, state.config().target_partitions())?;
        let config = FileScanConfigBuilder::new(self.store.scan_url.clone(), Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}
