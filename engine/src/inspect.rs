//! Inspection of a data folder: what is where, and what is in no file yet, whoever else uses the
//! folder meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::min;
use arrow::datatypes::TimestampMicrosecondType;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use object_store::path::Path;

use crate::error::{Error, Result};
use crate::ingest::{WAL_FOLDER, read_record};
use crate::storage::{CREATED_AT, EventStore, Location, ProjectId, column};
use crate::wal::{Seq, Survey, local, objects};

pub use crate::storage::{Contents, Files, Form, ProjectFiles};

/// How often the write-ahead log is read while somebody changes it.
const TRIES_MAX: usize = 5;

/// What a data folder holds.
#[derive(Debug, Clone)]
pub struct Inspection {
    pub contents: Contents,
    /// None when there never was one.
    pub log: Option<WriteAheadLog>,
    pub inspected_at: DateTime<Utc>,
}

/// The write-ahead log, and what of it is in no file yet.
#[derive(Debug, Clone)]
pub struct WriteAheadLog {
    /// True while a server has it open; none in object stores, where nobody can know.
    pub is_open: Option<bool>,
    /// How many times it was opened.
    pub epoch: u64,
    /// Files or objects.
    pub segments: u64,
    pub bytes: u64,
    /// The number of the last record that there was, from 1; 0 before the first.
    pub last_record: u64,
    /// Up to here they are in files.
    pub flushed_record: u64,
    pub waiting: Waiting,
}

/// Records that are in no file yet.
#[derive(Debug, Clone, Default)]
pub struct Waiting {
    pub records: u64,
    pub bytes: u64,
    pub events: BTreeMap<ProjectId, u64>,
    /// When the oldest of the events was taken in.
    pub oldest: Option<DateTime<Utc>>,
}

impl Inspection {
    /// How long the oldest event that is in no file yet has been waiting.
    pub fn lag(&self) -> Option<TimeDelta> {
        let oldest = self.log.as_ref()?.waiting.oldest?;
        Some((self.inspected_at - oldest).max(TimeDelta::zero()))
    }
}

/// Adds up what a data folder holds. Changes nothing, and keeps nobody out.
///
/// # Errors
/// `Storage` when there is no data folder, or it cannot be read.
pub async fn inspect(location: &Location) -> Result<Inspection> {
    let store = EventStore::open(location).await?;
    let mut tries = 1;
    loop {
        let contents = store.contents().await?;
        match read_wal(&store, location, Seq(contents.flushed)).await {
            Ok(log) => return Ok(Inspection { contents, log, inspected_at: Utc::now() }),
            // A server may have moved into files, and removed, what was about to be read.
            Err(_) if tries < TRIES_MAX => tries += 1,
            Err(error) => return Err(error),
        }
    }
}

async fn read_wal(
    store: &EventStore,
    location: &Location,
    after: Seq,
) -> Result<Option<WriteAheadLog>> {
    let (survey, waiting) = match location.folder()? {
        Some(folder) => {
            let read = move || survey_folder(&folder.join(WAL_FOLDER), after);
            let read = tokio::task::spawn_blocking(read).await;
            read.map_err(|error| Error::internal(error.to_string()))??
        }
        None => {
            let (_, root) = store.object_store();
            let mut waiting = Ok(Waiting::default());
            let mut see = |record| add(&mut waiting, &record);
            let folder = Path::from(WAL_FOLDER);
            (objects::survey::survey(Arc::clone(root), folder, after, &mut see).await?, waiting?)
        }
    };
    let log = |Survey { is_open, epoch, last, bytes, segments }| WriteAheadLog {
        is_open,
        epoch,
        segments: segments as u64,
        bytes,
        last_record: last.0,
        flushed_record: after.0,
        waiting,
    };
    Ok(survey.map(log))
}

fn survey_folder(folder: &std::path::Path, after: Seq) -> Result<(Option<Survey>, Waiting)> {
    let mut waiting = Ok(Waiting::default());
    let survey = local::survey::survey(folder, after, &mut |record| add(&mut waiting, &record))?;
    Ok((survey, waiting?))
}

/// Adds a record, up to the first one that cannot be read.
fn add(waiting: &mut Result<Waiting>, record: &Bytes) {
    if let Ok(sum) = waiting
        && let Err(error) = sum.add(record)
    {
        *waiting = Err(error);
    }
}

impl Waiting {
    fn add(&mut self, record: &Bytes) -> Result<()> {
        self.records += 1;
        self.bytes += record.len() as u64;
        for (project, rows) in read_record(record)? {
            *self.events.entry(project).or_default() += rows.num_rows() as u64;
            let taken_in = column(&rows, CREATED_AT)?.as_primitive::<TimestampMicrosecondType>();
            let first = min(taken_in).and_then(DateTime::from_timestamp_micros);
            self.oldest = self.oldest.into_iter().chain(first).min();
        }
        Ok(())
    }
}
