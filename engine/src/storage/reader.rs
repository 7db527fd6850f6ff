//! Reading a part outside of queries: for upkeep, and to find duplicates.

use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{cast, filter_record_batch};
use datafusion::datasource::physical_plan::parquet::{
    DefaultParquetFileReaderFactory, ParquetFileReaderFactory,
};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::stream::{BoxStream, StreamExt};
use object_store::ObjectStore;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::errors::ParquetError;

use crate::error::{Error, ErrorKind, Result};
use crate::storage::part::Part;
use crate::storage::schema::events_schema;

/// The rows of a part that are not deleted, with these columns of [`events_schema`], in its types. Other tools that
/// rewrite files may choose other types.
pub(crate) async fn read_part(
    store: &Arc<dyn ObjectStore>,
    part: &Part,
    columns: &[&str],
) -> Result<BoxStream<'static, Result<RecordBatch>>> {
    let file: Box<dyn AsyncFileReader> = DefaultParquetFileReaderFactory::new(Arc::clone(store))
        .create_reader(0, part.to_file()?, None, &ExecutionPlanMetricsSet::new())?;
    let builder = ParquetRecordBatchStreamBuilder::new(file).await.map_err(read_error)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    let batches = builder.with_projection(mask).build().map_err(read_error)?;

    let indices = columns.iter().map(|name| events_schema().index_of(name));
    let schema = Arc::new(events_schema().project(&indices.collect::<Result<Vec<_>, _>>()?)?);
    let deleted = part.deleted.clone();
    let mut next_row = 0;
    let conform = move |batch: Result<RecordBatch, ParquetError>| {
        let mut batch = batch.map_err(read_error)?;
        let rows = next_row..next_row + batch.num_rows() as u64;
        next_row = rows.end;
        if let Some(kept) = deleted.as_ref().and_then(|deleted| deleted.kept(rows)) {
            batch = filter_record_batch(&batch, &BooleanArray::new(kept, None))?;
        }
        let columns = schema.fields().iter().map(|field| {
            let index = batch.schema_ref().index_of(field.name())?;
            cast(batch.column(index), field.data_type())
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        Ok(RecordBatch::try_new(Arc::clone(&schema), columns)?)
    };
    Ok(batches.map(conform).boxed())
}

fn read_error(error: ParquetError) -> Error {
    Error::new(ErrorKind::Storage, format!("cannot read a file of the store: {error}"))
        .caused_by(error)
}
