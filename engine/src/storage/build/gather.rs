//! Rows from several batches → one batch.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, RecordBatch};
use arrow::compute::interleave;
use arrow::datatypes::DataType;

use crate::error::Result;
use crate::storage::build::order::Row;

/// The rows, each from where it is in the sources, which have the same columns.
pub(super) fn gather(sources: &[&RecordBatch], rows: &[Row]) -> Result<RecordBatch> {
    let places: Vec<_> = rows.iter().map(Row::place).collect();
    gather_places(sources, &places)
}

/// The rows at these places: a batch and a row in it.
pub(super) fn gather_places(
    sources: &[&RecordBatch],
    places: &[(usize, usize)],
) -> Result<RecordBatch> {
    let schema = sources[0].schema();
    let column = |index: usize| -> Result<ArrayRef> {
        let arrays: Vec<&dyn Array> =
            sources.iter().map(|batch| &*batch.columns()[index]).collect();
        // The kernel takes values of a fixed size one by one, each with a call of its own.
        match schema.field(index).data_type() {
            DataType::FixedSizeBinary(size)
                if arrays.iter().all(|array| array.null_count() == 0) =>
            {
                Ok(Arc::new(gather_fixed(&arrays, *size, places)?))
            }
            _ => Ok(interleave(&arrays, places)?),
        }
    };
    let columns = (0..schema.fields().len()).map(column).collect::<Result<_>>()?;
    Ok(RecordBatch::try_new(schema, columns)?)
}

fn gather_fixed(
    arrays: &[&dyn Array],
    size: i32,
    places: &[(usize, usize)],
) -> Result<FixedSizeBinaryArray> {
    let arrays: Vec<_> = arrays.iter().map(|array| array.as_fixed_size_binary()).collect();
    let mut bytes = Vec::with_capacity(places.len() * usize::try_from(size).unwrap_or_default());
    for (array, row) in places {
        bytes.extend_from_slice(arrays[*array].value(*row));
    }
    Ok(FixedSizeBinaryArray::try_new(size, bytes.into(), None)?)
}
