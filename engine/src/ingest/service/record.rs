//! Events as a record of the write-ahead log: an Arrow IPC stream with a batch for each project.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use arrow::ipc::CompressionType;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use bytes::{Buf, Bytes};

use crate::error::{Error, ErrorKind, Result};
use crate::storage::{ProjectId, TEAM_ID, column, events_schema};
use crate::views::trimmed_batch;

/// How records begin: the version of their format.
const VERSION: u8 = 1;

/// # Errors
/// `Internal` when the rows are not in the columns of the store.
pub(super) fn encode(batches: &[(ProjectId, RecordBatch)]) -> Result<Bytes> {
    let options =
        IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
    let mut writer = StreamWriter::try_new_with_options(vec![VERSION], events_schema(), options)?;
    for (_, rows) in batches {
        writer.write(&trimmed_batch(rows)?)?;
    }
    Ok(writer.into_inner()?.into())
}

/// # Errors
/// `Storage` for a record of another version, or one that is no record.
pub(crate) fn decode(record: &Bytes) -> Result<Vec<(ProjectId, RecordBatch)>> {
    let damaged = || Error::new(ErrorKind::Storage, "a record of the write-ahead log is damaged");
    match record.first() {
        Some(&VERSION) => {}
        Some(version) => {
            let message = format!("the write-ahead log has a record of format {version}");
            return Err(Error::new(ErrorKind::Storage, message)
                .hint("Use the newer Hedgerow that wrote it."));
        }
        None => return Err(damaged()),
    }
    let reader = StreamReader::try_new(record.slice(1..).reader(), None)
        .map_err(|error| damaged().caused_by(error))?;
    let batches = reader.map(|rows| {
        let rows = rows.map_err(|error| damaged().caused_by(error))?;
        if rows.num_rows() == 0 || rows.schema().fields() != events_schema().fields() {
            return Err(damaged());
        }
        let team = column(&rows, TEAM_ID)?.as_primitive::<Int64Type>().value(0);
        Ok((ProjectId(team), rows))
    });
    batches.collect()
}
