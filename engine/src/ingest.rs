//! The way of events into the store.
//!
//! An import is a pipeline: one thread reads and decompresses, workers parse, one task at a time
//! sorts. Once all is read, files are built without duplicates. Everything an import adds becomes
//! visible at once, with the one commit at its end.

mod capture;
mod chunk;
mod columns;
mod event;
mod load;
mod parse;
mod record;
mod service;
mod source;
mod time;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryBuilder, RecordBatch};
use chrono::{DateTime, Utc};
use datafusion::common::{HashMap, HashSet};
use futures::stream::{self, Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::ingest::chunk::{Chunk, read_inputs};
use crate::ingest::event::{EventBatch, repeated_uuid};
use crate::ingest::parse::{Parsed, Parser};
use crate::ingest::source::{expand, invalid};
use crate::storage::{
    BUFFER_BYTES, BuildOptions, BuiltParts, Change, Effort, EventStore, MaintainOptions, Outcome,
    Part, ProjectId, Snapshot, Sorter, UUID, column, default_workers, shares_events,
};

pub use crate::ingest::capture::Senders;
pub(crate) use crate::ingest::capture::capture;
pub(crate) use crate::ingest::columns::Filled;
pub use crate::ingest::columns::Refused;
pub(crate) use crate::ingest::load::Load;
pub use crate::ingest::parse::Reject;
pub use crate::ingest::record::{EventName, Mapping};
pub use crate::ingest::service::{Appended, Ingest, IngestOptions};
pub(crate) use crate::ingest::service::{Counts, WAL_FOLDER, read_record};
pub use crate::ingest::source::{Format, Source};

/// How to import.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// Which fields of the input play which role.
    pub mapping: Mapping,
    /// The format of all sources; none: found out for each.
    pub format: Option<Format>,
    /// Stop at the first record that cannot be imported, with nothing added.
    pub strict: bool,
    /// The `created_at` of events that do not say.
    pub imported_at: DateTime<Utc>,
    /// Bytes of events held before they are sorted and put aside; twice as much is in memory
    /// while that goes on.
    pub buffer_bytes: usize,
    /// Threads that parse, and files in work at a time.
    pub workers: usize,
    /// Rewrite small files afterwards, where that is worth it at once.
    pub maintain: bool,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            mapping: Mapping::default(),
            format: None,
            strict: false,
            imported_at: Utc::now(),
            buffer_bytes: BUFFER_BYTES,
            workers: default_workers(),
            maintain: true,
        }
    }
}

/// How far an import has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Events read, duplicates included.
    pub events: u64,
    /// Bytes read, as they are stored.
    pub bytes: u64,
    /// Bytes there are to read; none when a source is a stream.
    pub bytes_total: Option<u64>,
}

/// Watches an import.
pub trait Observer: Send {
    /// The import has come this far.
    fn progress(&mut self, _progress: Progress) {}

    /// A record was not imported.
    ///
    /// # Errors
    /// What it returns ends the import, with nothing added.
    fn rejected(&mut self, _reject: &Reject) -> Result<()> {
        Ok(())
    }
}

/// An observer that does not care.
impl Observer for () {}

/// What an import did.
#[derive(Debug, Clone, Default)]
pub struct ImportReport {
    /// Events added.
    pub imported: u64,
    /// Events that the store had already.
    pub duplicates: u64,
    /// Records that could not be imported.
    pub rejected: u64,
    /// The first of them.
    pub first_rejects: Vec<Reject>,
    /// Inputs read.
    pub inputs: u64,
    /// Bytes read, as they are stored.
    pub bytes: u64,
    pub elapsed: Duration,
}

const FIRST_REJECTS_MAX: usize = 10;

/// Imports events into a project. Nothing is visible before all is read; then everything is.
///
/// Events that the store has already (same uuid and timestamp) are skipped, so importing a file
/// again adds nothing. An event without a uuid gets one from its content, and equal records of
/// one file get different ones.
///
/// # Errors
/// `InvalidInput` when a source cannot be read, or with `strict` for the first bad record;
/// `Storage` when the store fails. Nothing is added then.
pub async fn import(
    store: &EventStore,
    project: ProjectId,
    sources: Vec<Source>,
    options: ImportOptions,
    observer: &mut dyn Observer,
) -> Result<ImportReport> {
    let started = Instant::now();
    let inputs = expand(sources)?;
    let mut import = Import {
        report: ImportReport { inputs: inputs.len() as u64, ..ImportReport::default() },
        bytes_total: inputs.iter().map(|input| input.size_bytes).sum(),
        bytes_read: Arc::default(),
        repeats: Repeats::default(),
        sorter: Sorter::new(options.buffer_bytes),
        strict: options.strict,
    };
    let commit = Commit {
        store,
        project,
        snapshot: store.snapshot().await?,
        modified_ms: options.imported_at.timestamp_millis(),
        workers: options.workers,
    };
    let parser = Parser {
        project,
        mapping: options.mapping,
        imported_at: options.imported_at.timestamp_micros(),
    };
    let bytes_read = Arc::clone(&import.bytes_read);
    let chunks =
        read_in_background(move |send| read_inputs(inputs, options.format, &bytes_read, send));
    let parsed = parse_in_background(chunks, parser, options.workers.max(1));
    let events = import.run(Box::pin(parsed), observer).await?;
    let Import { mut report, sorter, .. } = import;
    report.duplicates = commit.run(sorter).await?;
    report.imported = events - report.duplicates;
    if options.maintain && report.imported > 0 {
        tidy(store).await;
    }
    report.elapsed = started.elapsed();
    Ok(report)
}

/// The events are safe by now: what fails here makes queries slower, no more.
async fn tidy(store: &EventStore) {
    let options = MaintainOptions { effort: Effort::Light, ..MaintainOptions::default() };
    if let Err(error) = store.maintain(&options).await {
        tracing::warn!(%error, "upkeep after an import failed");
    }
}

/// Runs the reader on a thread of its own, a few chunks ahead of the workers.
fn read_in_background(
    read: impl FnOnce(&mut dyn FnMut(Chunk) -> bool) -> Result<()> + Send + 'static,
) -> impl Stream<Item = Result<Chunk>> + Send {
    const CHUNKS_AHEAD: usize = 4;
    let (sender, mut receiver) = mpsc::channel(CHUNKS_AHEAD);
    spawn_blocking(move || {
        // Sending fails once the import is over; then nobody wants to know more.
        let outcome = read(&mut |chunk| sender.blocking_send(Ok(chunk)).is_ok());
        if let Err(error) = outcome {
            let _ = sender.blocking_send(Err(error));
        }
    });
    stream::poll_fn(move |context| receiver.poll_recv(context))
}

/// Parses chunks on several threads, keeping their order.
fn parse_in_background(
    chunks: impl Stream<Item = Result<Chunk>> + Send,
    parser: Parser,
    workers: usize,
) -> impl Stream<Item = Result<Parsed>> + Send {
    let parser = Arc::new(parser);
    chunks
        .map(move |chunk| {
            let parser = Arc::clone(&parser);
            async move {
                let chunk = chunk?;
                spawn_blocking(move || parser.parse(chunk)).await.map_err(panicked)?
            }
        })
        .buffered(workers)
}

fn panicked(error: tokio::task::JoinError) -> Error {
    Error::internal(format!("an import task died: {error}"))
}

/// A running import.
struct Import {
    report: ImportReport,
    bytes_total: Option<u64>,
    bytes_read: Arc<AtomicU64>,
    repeats: Repeats,
    sorter: Sorter,
    strict: bool,
}

impl Import {
    async fn run(
        &mut self,
        mut parsed: impl Stream<Item = Result<Parsed>> + Unpin,
        observer: &mut dyn Observer,
    ) -> Result<u64> {
        let mut events = 0;
        while let Some(parsed) = parsed.next().await {
            let parsed = parsed?;
            self.set_aside(parsed.rejects, observer)?;
            let batch = self.repeats.tell_apart(parsed.input_number, parsed.events)?;
            events += batch.num_rows() as u64;
            self.sorter.push(batch).await?;
            let bytes = self.bytes_read.load(Ordering::Relaxed);
            self.report.bytes = bytes;
            observer.progress(Progress { events, bytes, bytes_total: self.bytes_total });
        }
        Ok(events)
    }

    fn set_aside(&mut self, rejects: Vec<Reject>, observer: &mut dyn Observer) -> Result<()> {
        for reject in rejects {
            if self.strict {
                let Reject { input, line, reason, .. } = reject;
                return Err(invalid(format!("{input}, line {line}: {reason}")));
            }
            observer.rejected(&reject)?;
            self.report.rejected += 1;
            if self.report.first_rejects.len() < FIRST_REJECTS_MAX {
                self.report.first_rejects.push(reject);
            }
        }
        Ok(())
    }
}

/// Tells equal records of one file apart, for which it remembers 64 bits of each derived id.
#[derive(Default)]
struct Repeats {
    input_number: u64,
    seen: HashSet<u64>,
    counts: HashMap<Uuid, u32>,
}

impl Repeats {
    fn tell_apart(&mut self, input_number: u64, events: EventBatch) -> Result<RecordBatch> {
        if input_number != self.input_number {
            *self = Self { input_number, ..Self::default() };
        }
        let uuids = column(&events.rows, UUID)?.as_fixed_size_binary();
        let mut changed: HashMap<usize, Uuid> = HashMap::new();
        for row in events.derived {
            let row = row as usize;
            let content = Uuid::from_slice(uuids.value(row)).unwrap_or_default();
            if !self.seen.insert(content.as_u64_pair().1) {
                let count = self.counts.entry(content).or_default();
                *count += 1;
                changed.insert(row, repeated_uuid(content, *count));
            }
        }
        if changed.is_empty() {
            return Ok(events.rows);
        }
        let mut builder = FixedSizeBinaryBuilder::with_capacity(uuids.len(), 16);
        for row in 0..uuids.len() {
            match changed.get(&row) {
                Some(uuid) => builder.append_value(uuid.as_bytes())?,
                None => builder.append_value(uuids.value(row))?,
            }
        }
        let index = events.rows.schema_ref().index_of(UUID)?;
        let mut columns: Vec<ArrayRef> = events.rows.columns().to_vec();
        columns[index] = Arc::new(builder.finish());
        Ok(RecordBatch::try_new(events.rows.schema(), columns)?)
    }
}

/// Makes events part of the store, those that it does not have yet.
struct Commit<'a> {
    store: &'a EventStore,
    project: ProjectId,
    snapshot: Arc<Snapshot>,
    modified_ms: i64,
    workers: usize,
}

impl Commit<'_> {
    /// Writes the files, and commits them: how many events were duplicates.
    async fn run(mut self, sorter: Sorter) -> Result<u64> {
        let known = self.snapshot.parts().map(Arc::clone).collect();
        let BuiltParts { mut parts, mut duplicates } = self.build(sorter, known).await?;
        // After an error the commit may be there all the same: its files stay until upkeep knows.
        self.commit(&mut parts, &mut duplicates).await?;
        Ok(duplicates)
    }

    async fn commit(&mut self, parts: &mut Vec<Part>, duplicates: &mut u64) -> Result<()> {
        while !parts.is_empty() {
            let change = Change::add(parts.clone());
            match self.store.commit(&self.snapshot, change).await? {
                Outcome::Committed(_) => break,
                Outcome::Moved => self.rebase(parts, duplicates).await?,
            }
        }
        Ok(())
    }

    async fn build(&self, sorter: Sorter, known: Vec<Arc<Part>>) -> Result<BuiltParts> {
        let sorted = sorter.finish().await?;
        let options = BuildOptions {
            modified_ms: self.modified_ms,
            workers: self.workers,
            rows_elsewhere: self.snapshot.rows_of(self.project),
        };
        self.store.build_parts(self.project, sorted, known, options).await
    }

    /// Takes out what somebody else has committed since this import began.
    async fn rebase(&mut self, parts: &mut Vec<Part>, duplicates: &mut u64) -> Result<()> {
        let newest = self.store.snapshot().await?;
        let news: Vec<_> = newest.parts_since(&self.snapshot).map(Arc::clone).collect();
        self.snapshot = newest;
        for part in std::mem::take(parts) {
            if !shares_events(self.store, self.project, &part, &news).await? {
                parts.push(part);
                continue;
            }
            let mut sorter = Sorter::new(BUFFER_BYTES);
            sorter.push_part(self.store, self.project, &part).await?;
            let built = self.build(sorter, news.clone()).await?;
            *duplicates += built.duplicates;
            parts.extend(built.parts);
            self.store.discard_parts(&[part]).await;
        }
        Ok(())
    }
}
