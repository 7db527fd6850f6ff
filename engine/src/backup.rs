//! Backup and restore: a data folder, copied whole to another place while it is in use.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use bytes::Bytes;
use object_store::path::Path;

use crate::error::{Error, Result};
use crate::ingest::{WAL_FOLDER, read_record};
use crate::storage::{Copying, EventStore, Location, Position, ProjectId, open_root};
use crate::wal::{Seq, local, objects};

/// How often the write-ahead log is read while a server moves its events into files.
const TRIES_MAX: usize = 10;

/// What was copied.
#[derive(Debug, Clone, Default)]
pub struct CopyReport {
    pub files: u64,
    pub bytes: u64,
    /// Events of the write-ahead log, which are in files of the copy.
    pub events_from_log: u64,
    pub elapsed: Duration,
}

/// Copies the data folder at `from` into the empty place `to`, which may be in another store: all
/// that was acknowledged when it began, and maybe what came meanwhile. The copy cannot be opened
/// before it is complete. Of earlier versions it has the log, but no files.
///
/// # Errors
/// `AlreadyExists` when there is anything at `to`; `Storage` when there is no data folder at `from`,
/// or files cannot be read or written.
pub async fn copy(from: &Location, to: &Location) -> Result<CopyReport> {
    let started = Instant::now();
    let source = EventStore::open(from).await?;
    let target = open_root(to, true)?;
    let mut copying = Copying::begin(&source, &target).await?;
    // The second time there is little to copy, so that the log does not move on meanwhile.
    copying.copy_newest().await?;
    let mut tries = 1;
    let (rows, upto) = loop {
        let flushed = copying.copy_newest().await?;
        match waiting(&source, from, Seq(flushed)).await {
            Ok(waiting) => break waiting,
            // A server may have moved into files, and removed, what was about to be read.
            Err(_) if tries < TRIES_MAX => tries += 1,
            Err(error) => return Err(error),
        }
    };
    let events_from_log = rows.iter().map(|(_, rows)| rows.num_rows() as u64).sum();
    copying.end(rows, upto).await?;
    let Copying { files, bytes, .. } = copying;
    Ok(CopyReport { files, bytes, events_from_log, elapsed: started.elapsed() })
}

/// The events of the write-ahead log after a position, and up to which one they are.
async fn waiting(
    source: &EventStore,
    from: &Location,
    after: Seq,
) -> Result<(Vec<(ProjectId, RecordBatch)>, Position)> {
    let (survey, records) = match from.folder()? {
        Some(folder) => {
            let read = move || {
                let mut records = Vec::new();
                let mut see = |record| records.push(record);
                let survey = local::survey::survey(&folder.join(WAL_FOLDER), after, &mut see)?;
                Ok::<_, Error>((survey, records))
            };
            let read = tokio::task::spawn_blocking(read).await;
            read.map_err(|error| Error::internal(error.to_string()))??
        }
        None => {
            let mut records: Vec<Bytes> = Vec::new();
            let (_, root) = source.object_store();
            let folder = Path::from(WAL_FOLDER);
            let mut see = |record| records.push(record);
            let survey = objects::survey::survey(Arc::clone(root), folder, after, &mut see).await?;
            (survey, records)
        }
    };
    let mut rows = Vec::new();
    for record in &records {
        rows.extend(read_record(record)?);
    }
    Ok((rows, survey.map_or(after, |survey| survey.last.max(after)).0))
}
