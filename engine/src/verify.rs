//! Verification of a data folder: all that is durable is read and checked, whoever else uses the
//! folder meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use object_store::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::ingest::{WAL_FOLDER, read_record};
use crate::storage::{EventStore, Location, Totals, note, problem};
use crate::wal::{Reading, Seq, Sight, local, objects};

pub use crate::storage::{Finding, Remark};

/// How often the write-ahead log of an object store is read while somebody changes it.
const TRIES_MAX: usize = 5;

/// How much was verified, and what came of it.
#[derive(Debug, Clone, Default)]
pub struct VerifyReport {
    /// Of the log of events; none when it could not be opened.
    pub version: Option<u64>,
    /// Files of events and of tables that users made.
    pub files: u64,
    /// Size of these files.
    pub bytes: u64,
    /// Events in files without problems.
    pub events: u64,
    /// Tables that users made.
    pub tables: u64,
    /// Records of the write-ahead log that are in no file yet; none when they were left out.
    pub records: Option<u64>,
    pub problems: u64,
    pub elapsed: Duration,
}

/// Reads a whole data folder and hands what it finds to `see`. Changes nothing.
///
/// # Errors
/// `Storage` when there is no data folder, another version of Hedgerow wrote it, or nothing can be
/// read any more.
pub async fn verify(
    location: &Location,
    see: &mut (dyn FnMut(Finding) + Send),
) -> Result<VerifyReport> {
    let started = Instant::now();
    let mut report = VerifyReport::default();
    let mut problems = 0;
    let mut see = |finding: Finding| {
        problems += u64::from(matches!(finding, Finding::Problem(_)));
        see(finding);
    };
    if !EventStore::exists(location).await? {
        // Its error says what is there instead.
        return EventStore::open(location).await.map(|_| report);
    }
    match EventStore::open(location).await {
        Ok(store) => {
            let totals = store.verify(&mut see).await?;
            let Totals { version, files, bytes, events, tables } = totals;
            let records = check_wal(&store, location, &mut see).await?;
            let version = Some(version);
            report = VerifyReport { version, files, bytes, events, tables, records, ..report };
        }
        Err(error) => {
            // Either may be what keeps it from being opened.
            see(problem("hedgerow.json, events/_delta_log", error.message));
            see(note(WAL_FOLDER, "left out: only the log of events tells what is needed of it"));
        }
    }
    report.problems = problems;
    report.elapsed = started.elapsed();
    Ok(report)
}

/// Reads the write-ahead log, unless somebody is about to change it: how many records it has.
async fn check_wal(
    store: &EventStore,
    location: &Location,
    see: &mut (dyn FnMut(Finding) + Send),
) -> Result<Option<u64>> {
    for _ in 0..TRIES_MAX {
        let (reading, seen) = read_wal(store, location).await?;
        match reading {
            Reading::Whole => {
                seen.findings.into_iter().for_each(see);
                return Ok(Some(seen.records));
            }
            Reading::InUse if location.folder()?.is_some() => break,
            Reading::InUse => {}
        }
    }
    see(note(WAL_FOLDER, "left out: a server has it open"));
    Ok(None)
}

/// What was seen of the write-ahead log.
#[derive(Debug, Default)]
struct Seen {
    records: u64,
    findings: Vec<Finding>,
}

impl Seen {
    fn add(&mut self, sight: Sight) {
        match sight {
            Sight::Record(seq, record) => {
                self.records += 1;
                if let Err(error) = read_record(&record) {
                    let what = format!("record {seq}: {}", error.message);
                    self.findings.push(problem(WAL_FOLDER, what));
                }
            }
            Sight::CutOff(file, bytes) => {
                let what = format!("{bytes} bytes at its end are of a write that was cut off");
                self.findings.push(note(file, what));
            }
            Sight::Damage(error) => self.findings.push(problem(WAL_FOLDER, error.message)),
        }
    }
}

async fn read_wal(store: &EventStore, location: &Location) -> Result<(Reading, Seen)> {
    let after = Seq(store.snapshot().await?.flushed());
    let mut seen = Seen::default();
    match location.folder()? {
        Some(folder) => {
            let read = move || {
                let reading =
                    local::survey::read(&folder.join(WAL_FOLDER), after, &mut |s| seen.add(s))?;
                Ok::<_, Error>((reading, seen))
            };
            let ended = |error: tokio::task::JoinError| {
                Error::new(ErrorKind::Internal, "reading the write-ahead log died").caused_by(error)
            };
            tokio::task::spawn_blocking(read).await.map_err(ended)?
        }
        None => {
            let (_, root) = store.object_store();
            let folder = Path::from(WAL_FOLDER);
            let mut add = |sight| seen.add(sight);
            let reading = objects::survey::read(Arc::clone(root), folder, after, &mut add).await?;
            Ok((reading, seen))
        }
    }
}
