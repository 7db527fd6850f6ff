//! Events in the order of the input → one sorted Parquet file.

use std::collections::BTreeSet;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};

use crate::error::{Error, Result};
use crate::storage::{DISTINCT_ID_HASH, EVENT, PartWriter, TIMESTAMP, UUID};

/// Rows handed to the Parquet writer at a time.
const WRITE_ROWS: usize = 8192;
/// Rows by which a file chooses the properties that get columns.
const SAMPLE_ROWS: usize = 2048;

/// A row's sort key and its place. The order of the fields is the order of the rows; all rows
/// belong to one project.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    /// The rank of the event's name among those at hand.
    event: u32,
    distinct_id_hash: i64,
    timestamp: i64,
    uuid: [u8; 16],
    batch: u32,
    row: u32,
}

/// Writes the rows of all batches in the order of the store's sort key.
pub(super) fn write_sorted(batches: &[RecordBatch]) -> Result<PartWriter> {
    let mut rows = collect_rows(batches)?;
    rows.sort_unstable();
    let batches: Vec<&RecordBatch> = batches.iter().collect();
    let place = |row: &Row| (row.batch as usize, row.row as usize);
    let sample: Vec<_> =
        rows.iter().step_by(rows.len().div_ceil(SAMPLE_ROWS).max(1)).map(place).collect();
    let mut writer = PartWriter::new(&[interleave_record_batch(&batches, &sample)?])?;
    for run in rows.chunks(WRITE_ROWS) {
        let places: Vec<_> = run.iter().map(place).collect();
        writer.write(&interleave_record_batch(&batches, &places)?)?;
    }
    Ok(writer)
}

fn collect_rows(batches: &[RecordBatch]) -> Result<Vec<Row>> {
    let mut names = BTreeSet::new();
    for batch in batches {
        names.extend(column(batch, EVENT)?.as_string_view().iter().flatten());
    }
    let ranks: std::collections::HashMap<&str, u32> = names.into_iter().zip(0..).collect();
    let mut rows = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
    for (batch_number, batch) in (0..).zip(batches) {
        let events = column(batch, EVENT)?.as_string_view();
        let hashes = column(batch, DISTINCT_ID_HASH)?.as_primitive::<Int64Type>().values();
        let times = column(batch, TIMESTAMP)?.as_primitive::<TimestampMicrosecondType>().values();
        let uuids = column(batch, UUID)?.as_fixed_size_binary();
        for (row_number, index) in (0..).zip(0..batch.num_rows()) {
            rows.push(Row {
                event: ranks.get(events.value(index)).copied().unwrap_or_default(),
                distinct_id_hash: hashes[index],
                timestamp: times[index],
                uuid: uuid_bytes(uuids.value(index)),
                batch: batch_number,
                row: row_number,
            });
        }
    }
    Ok(rows)
}

/// A column of the store's schema.
pub(super) fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a dyn Array> {
    let column = batch.column_by_name(name).map(AsRef::as_ref);
    column.ok_or_else(|| Error::internal(format!("no column {name} in a batch of events")))
}

pub(super) fn uuid_bytes(bytes: &[u8]) -> [u8; 16] {
    let mut uuid = [0; 16];
    uuid.copy_from_slice(bytes);
    uuid
}
