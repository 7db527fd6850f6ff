//! The way of events into the store.
//!
//! An import is a pipeline: one thread reads and decompresses, workers parse, one task at a time
//! drops duplicates, sorts and writes files. Everything an import adds becomes visible at once,
//! with the one commit at its end.

mod chunk;
mod dedupe;
mod event;
mod parse;
mod record;
mod sort;
mod source;
mod time;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryBuilder, RecordBatch};
use chrono::{DateTime, Utc};
use futures::stream::{self, Stream, StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::ingest::chunk::{Chunk, read_inputs};
use crate::ingest::dedupe::drop_duplicates;
use crate::ingest::event::{EventBatch, repeated_uuid};
use crate::ingest::parse::{Parsed, Parser};
use crate::ingest::sort::{column, write_sorted};
use crate::ingest::source::{expand, invalid};
use crate::storage::{EventStore, Outcome, Part, ProjectId, Snapshot, UUID, events_schema};

pub use crate::ingest::parse::Reject;
pub use crate::ingest::record::{EventName, Mapping};
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
    /// Bytes of events held before they are sorted and written as one file; twice as much is in
    /// memory while a file is being written. Larger files make queries faster.
    pub buffer_bytes: usize,
    /// Threads that parse.
    pub workers: usize,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            mapping: Mapping::default(),
            format: None,
            strict: false,
            imported_at: Utc::now(),
            buffer_bytes: 256 << 20,
            workers: std::thread::available_parallelism().map_or(2, usize::from),
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
        buffer: Vec::new(),
        buffer_bytes: 0,
        flush: Flush::new(store.clone(), project, store.snapshot().await?, &options),
        strict: options.strict,
        buffer_bytes_max: options.buffer_bytes,
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
    let outcome = import.run(Box::pin(parsed), observer).await;
    match outcome {
        Ok(()) => {
            import.report.elapsed = started.elapsed();
            Ok(import.report)
        }
        Err(error) => {
            import.flush.abandon().await;
            Err(error)
        }
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
    buffer: Vec<RecordBatch>,
    buffer_bytes: usize,
    buffer_bytes_max: usize,
    flush: Flush,
    strict: bool,
}

impl Import {
    async fn run(
        &mut self,
        mut parsed: impl Stream<Item = Result<Parsed>> + Unpin,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let mut events = 0;
        while let Some(parsed) = parsed.next().await {
            let parsed = parsed?;
            self.set_aside(parsed.rejects, observer)?;
            let batch = self.repeats.tell_apart(parsed.input_number, parsed.events)?;
            events += batch.num_rows() as u64;
            self.buffer_bytes += batch.get_array_memory_size();
            self.buffer.push(batch);
            if self.buffer_bytes >= self.buffer_bytes_max {
                self.flush_buffer().await?;
            }
            let bytes = self.bytes_read.load(Ordering::Relaxed);
            self.report.bytes = bytes;
            observer.progress(Progress { events, bytes, bytes_total: self.bytes_total });
        }
        self.flush_buffer().await?;
        self.flush.commit().await?;
        self.report.duplicates = self.flush.duplicates;
        self.report.imported = events - self.flush.duplicates;
        Ok(())
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

    async fn flush_buffer(&mut self) -> Result<()> {
        self.buffer_bytes = 0;
        self.flush.start(std::mem::take(&mut self.buffer)).await
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

/// What became of a buffer: a file, unless all of it was duplicates.
struct Flushed {
    part: Option<Part>,
    duplicates: u64,
}

/// Writes files, one at a time, while the next one's events are being read.
struct Flush {
    store: EventStore,
    project: ProjectId,
    snapshot: Arc<Snapshot>,
    modified_ms: i64,
    running: Option<JoinHandle<Result<Flushed>>>,
    /// Written, not yet committed.
    written: Vec<Arc<Part>>,
    duplicates: u64,
}

impl Flush {
    fn new(
        store: EventStore,
        project: ProjectId,
        snapshot: Arc<Snapshot>,
        options: &ImportOptions,
    ) -> Self {
        Self {
            store,
            project,
            snapshot,
            modified_ms: options.imported_at.timestamp_millis(),
            running: None,
            written: Vec::new(),
            duplicates: 0,
        }
    }

    /// Begins to write a file, once the one before is done.
    async fn start(&mut self, batches: Vec<RecordBatch>) -> Result<()> {
        self.wait().await?;
        let parts: Vec<_> = self.snapshot.parts().chain(&self.written).map(Arc::clone).collect();
        let (store, project, modified_ms) = (self.store.clone(), self.project, self.modified_ms);
        self.running = Some(tokio::spawn(async move {
            let (batches, duplicates) = drop_duplicates(&store, project, &parts, batches).await?;
            let part = match batches.is_empty() {
                true => None,
                false => Some(write_part(&store, batches, modified_ms).await?),
            };
            Ok(Flushed { part, duplicates })
        }));
        Ok(())
    }

    async fn wait(&mut self) -> Result<()> {
        if let Some(running) = self.running.take() {
            let flushed = running.await.map_err(panicked)??;
            self.written.extend(flushed.part.map(Arc::new));
            self.duplicates += flushed.duplicates;
        }
        Ok(())
    }

    /// Makes all files visible.
    async fn commit(&mut self) -> Result<()> {
        self.wait().await?;
        while !self.written.is_empty() {
            let parts = self.written.iter().map(|part| Part::clone(part)).collect();
            match self.store.commit(&self.snapshot, parts).await? {
                Outcome::Committed(_) => return Ok(()),
                Outcome::Moved => self.rebase().await?,
            }
        }
        Ok(())
    }

    /// Takes out what somebody else has committed since this import began.
    async fn rebase(&mut self) -> Result<()> {
        let newest = self.store.snapshot().await?;
        let news: Vec<_> = newest.parts_since(&self.snapshot).map(Arc::clone).collect();
        self.snapshot = newest;
        for part in std::mem::take(&mut self.written) {
            let columns: Vec<_> =
                events_schema().fields().iter().map(|field| field.name().as_str()).collect();
            let batches = self.store.read_part(&part, &columns).await?.try_collect().await?;
            let (batches, duplicates) =
                drop_duplicates(&self.store, self.project, &news, batches).await?;
            if duplicates == 0 {
                self.written.push(part);
                continue;
            }
            self.duplicates += duplicates;
            if !batches.is_empty() {
                let part = write_part(&self.store, batches, self.modified_ms).await?;
                self.written.push(Arc::new(part));
            }
            self.store.discard_part(&part).await;
        }
        Ok(())
    }

    /// Removes what was written and will not be committed.
    async fn abandon(&mut self) {
        // The error that ended the import is the one to report.
        let _ = self.wait().await;
        for part in &self.written {
            self.store.discard_part(part).await;
        }
    }
}

async fn write_part(
    store: &EventStore,
    batches: Vec<RecordBatch>,
    modified_ms: i64,
) -> Result<Part> {
    let writer = spawn_blocking(move || write_sorted(&batches)).await.map_err(panicked)??;
    store.put_part(writer, modified_ms).await
}
