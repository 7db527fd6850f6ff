//! The rows of one file against what the log and the footer say of them.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::Int64Type;
use arrow::error::ArrowError;
use parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::reader::ChunkReader;

use super::content::{Content, Data};
use super::documents::Documents;
use super::order::Order;
use super::statistics::Bounds;
use crate::storage::Part;
use crate::storage::build::column;
use crate::storage::schema::{DISTINCT_ID, DISTINCT_ID_HASH, distinct_id_hash, events_schema};
use crate::storage::shred::{Layouts, SHREDDED_KEY};

/// The rows of a file, none if it cannot be read to its end; and what is wrong with it.
type Outcome = (Option<u64>, Vec<String>);

/// Checks a file of `events`. Blocks the thread.
pub(super) fn check_events(content: Content, part: &Part) -> Outcome {
    let mut problems = Vec::new();
    let rows = match open(content) {
        Ok(file) => read_events(file, part, &mut problems),
        Err(error) => Err(format!("its footer cannot be read: {error}")),
    };
    ended(rows, part, problems)
}

/// Checks a file of a table that users made. Blocks the thread.
pub(super) fn check_table(content: Content, part: &Part) -> Outcome {
    let rows = match open(content) {
        Ok(file) => count(file.batches),
        Err(error) => Err(format!("its footer cannot be read: {error}")),
    };
    ended(rows, part, Vec::new())
}

fn ended(rows: Result<u64, String>, part: &Part, mut problems: Vec<String>) -> Outcome {
    match rows {
        Ok(rows) => {
            if let Some(stated) = part.rows_in_file().filter(|stated| *stated != rows) {
                problems.push(format!("it has {rows} rows, by the log {stated}"));
            }
            if part.deleted.as_ref().is_some_and(|deleted| deleted.end() > rows) {
                problems.push(format!("the log says that rows after its {rows} are deleted"));
            }
            (Some(rows), problems)
        }
        Err(what) => {
            problems.push(what);
            (None, problems)
        }
    }
}

/// A file whose footer was read.
struct OpenFile {
    batches: ParquetRecordBatchReader,
    layouts: Result<Layouts, String>,
}

fn open(content: Content) -> Result<OpenFile, ParquetError> {
    match content.data {
        Data::Held(bytes) => open_in(bytes),
        Data::Aside(file) => open_in(file),
    }
}

fn open_in<R: ChunkReader + 'static>(reader: R) -> Result<OpenFile, ParquetError> {
    // As scans do: Arrow's types are no news of the data.
    let options = ArrowReaderOptions::new()
        .with_skip_arrow_metadata(true)
        .with_page_index_policy(PageIndexPolicy::Optional);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(reader, options)?;
    let entries = builder.metadata().file_metadata().key_value_metadata().into_iter().flatten();
    let text = entries.filter(|entry| entry.key == SHREDDED_KEY).find_map(|e| e.value.as_deref());
    let layouts = match text {
        Some(text) => serde_json::from_str(text)
            .map_err(|error| format!("its footer's {SHREDDED_KEY} cannot be read: {error}")),
        None => Ok(Layouts::new()),
    };
    Ok(OpenFile { layouts, batches: builder.build()? })
}

fn count(batches: ParquetRecordBatchReader) -> Result<u64, String> {
    let mut rows = 0;
    for batch in batches {
        rows += batch.map_err(|error| undecodable(rows, &error))?.num_rows() as u64;
    }
    Ok(rows)
}

fn read_events(file: OpenFile, part: &Part, problems: &mut Vec<String>) -> Result<u64, String> {
    let OpenFile { batches, layouts } = file;
    let layouts = layouts.unwrap_or_else(|what| {
        problems.push(what);
        Layouts::new()
    });
    let mut documents = Documents::of(layouts, part.sorted);
    let mut bounds = Bounds::new(part.statistics.as_ref());
    let mut order = Order::default();
    let (mut rows, mut hashes) = (0, 0);
    for batch in batches {
        let batch = batch.map_err(|error| undecodable(rows, &error))?;
        let events = as_events(&batch).map_err(|error| format!("no file of events: {error}"))?;
        let failed = |error: crate::error::Error| error.message;
        bounds.add(&events);
        if part.sorted {
            order.add(&events).map_err(failed)?;
            hashes += wrong_hashes(&events).map_err(failed)?;
        }
        documents.add(&batch, &events).map_err(failed)?;
        rows += batch.num_rows() as u64;
    }
    problems.extend(bounds.problems());
    problems.extend(order.problem());
    if hashes > 0 {
        problems.push(format!("{DISTINCT_ID_HASH} of {hashes} rows is not that of {DISTINCT_ID}"));
    }
    problems.extend(documents.problems());
    Ok(rows)
}

fn undecodable(rows: u64, error: &ArrowError) -> String {
    format!("it cannot be decoded after row {rows}: {error}")
}

/// The columns of `events`, in their types. Other tools may choose other types, and leave out
/// columns that may be NULL.
fn as_events(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns =
        events_schema().fields().iter().map(|field| match batch.column_by_name(field.name()) {
            Some(column) => cast(column, field.data_type()),
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        });
    RecordBatch::try_new(Arc::clone(events_schema()), columns.collect::<Result<_, _>>()?)
}

/// Scans look persons up by the hash.
fn wrong_hashes(events: &RecordBatch) -> crate::error::Result<u64> {
    let hashes = column(events, DISTINCT_ID_HASH)?.as_primitive::<Int64Type>().values();
    let ids = column(events, DISTINCT_ID)?.as_string_view();
    let pairs = ids.iter().flatten().zip(hashes);
    Ok(pairs.filter(|(id, hash)| distinct_id_hash(id) != **hash).count() as u64)
}
