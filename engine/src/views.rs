//! Views of text, and the buffers that they share with other rows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

/// Text of up to so many bytes stands in the view itself.
const INLINE_BYTES_MAX: u32 = 12;

/// The column without bytes of text that is not in it.
pub(crate) fn trimmed(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Utf8View => Arc::new(column.as_string_view().gc()),
        _ => Arc::clone(column),
    }
}

/// The batch with each of its columns [`trimmed`].
pub(crate) fn trimmed_batch(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    RecordBatch::try_new(batch.schema(), batch.columns().iter().map(trimmed).collect())
}

/// The bytes of a batch's own rows: of text, not of the buffers in which it lies with others'.
pub(crate) fn own_bytes(batch: &RecordBatch) -> usize {
    let column_bytes = |column: &ArrayRef| match column.as_string_view_opt() {
        Some(text) => {
            let apart = text.lengths().filter(|length| *length > INLINE_BYTES_MAX);
            let apart: usize = apart.map(|length| length as usize).sum();
            text.len() * size_of::<u128>() + apart
        }
        None => column.to_data().get_slice_memory_size().unwrap_or_default(),
    };
    batch.columns().iter().map(column_bytes).sum()
}
