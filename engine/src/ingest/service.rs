//! The way of events into the store while it is being queried.
//!
//! ```text
//! append → one group at a time: without repeats → write-ahead log → queryable → acknowledged
//!                                              later, in the background → files → trim
//! ```
//! A group is what all callers that wait bring together. It is one record of the log, so it is
//! there as a whole or not at all. The commit that brings events into files says up to which
//! record they are there; what comes behind is read from memory, after a restart too.

mod counts;
mod flush;
mod recent;
mod record;
#[cfg(test)]
mod simulation;
mod upkeep;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use bytes::Bytes;
use datafusion::common::HashSet;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::{Error, ErrorKind, Result};
pub(crate) use crate::ingest::service::counts::Counts;
use crate::ingest::service::flush::Flusher;
use crate::ingest::service::recent::Recent;
pub(crate) use crate::ingest::service::record::decode as read_record;
use crate::storage::{
    EventStore, HotBatch, Location, ProjectId, check_conditional_put, default_workers,
    events_schema,
};
use crate::wal::local::{LocalOptions, LocalWal};
use crate::wal::objects::{ObjectOptions, ObjectWal};
use crate::wal::{Seq, Wal, WalStatus};

/// How events are taken in.
#[derive(Debug, Clone)]
pub struct IngestOptions {
    /// Events of so many bytes in memory are moved into files.
    pub flush_bytes: usize,
    /// Events of this age are.
    pub flush_after: Duration,
    /// With so many bytes in memory nothing more is taken.
    pub pending_bytes_max: usize,
}

impl Default for IngestOptions {
    fn default() -> Self {
        let flush_after = Duration::from_secs(10);
        Self { flush_bytes: 0, flush_after, pending_bytes_max: 0 }.with_memory(512 << 20)
    }
}

impl IngestOptions {
    /// The same, with so much memory for events that are in no file.
    #[must_use]
    pub fn with_memory(self, bytes: usize) -> Self {
        // What comes while an eighth is moved has room.
        Self { flush_bytes: bytes / 8, pending_bytes_max: bytes, ..self }
    }
}

/// What became of events that were handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Stored now.
    pub stored: u64,
    /// Stored before: same project, uuid and timestamp.
    pub repeated: u64,
}

/// Where the write-ahead log is in a data folder.
pub(crate) const WAL_FOLDER: &str = "wal";
/// Records that are put into batches together when a log is read.
const REPLAYED_TOGETHER: usize = 16;
/// Requests that wait for their turn.
const QUEUE_MAX: usize = 1024;

/// Takes events in. There is one for a store, in one process.
#[derive(Debug)]
pub struct Ingest {
    queue: mpsc::Sender<Request>,
    store: EventStore,
    /// Of requests that wait.
    waiting_bytes: AtomicUsize,
    pending_bytes_max: usize,
    counts: Mutex<BTreeMap<ProjectId, Counts>>,
    wal: Arc<dyn Wal>,
    flusher: Arc<Flusher>,
    closing: CancellationToken,
    tasks: TaskTracker,
}

/// Events that wait to become durable.
#[derive(Debug)]
struct Request {
    project: ProjectId,
    rows: RecordBatch,
    answer: oneshot::Sender<Result<Appended>>,
}

impl Ingest {
    /// Opens the write-ahead log of a store, and makes what it holds queryable.
    ///
    /// # Errors
    /// `Storage` when another process takes events in, the log cannot be read, or the object store
    /// has no conditional put.
    pub async fn open(
        store: &EventStore,
        location: &Location,
        options: IngestOptions,
    ) -> Result<Self> {
        let wal = open_wal(store, location).await?;
        let snapshot = store.snapshot().await?;
        let deletions = store.deletions();
        let mut recent = Recent::of(store, &snapshot).await?;
        replay(store, wal.as_ref(), Seq(snapshot.flushed()), &mut recent).await?;
        let grown = Arc::new(Notify::new());
        let flusher = Arc::new(Flusher::new(
            store.clone(),
            Arc::clone(&wal),
            options.clone(),
            Arc::clone(&grown),
        ));
        let (queue, requests) = mpsc::channel(QUEUE_MAX);
        let appender = Appender {
            store: store.clone(),
            wal: Arc::clone(&wal),
            recent,
            deletions,
            grown,
            requests,
        };
        let closing = CancellationToken::new();
        let tasks = TaskTracker::new();
        tasks.spawn(appender.run(closing.clone()));
        let due = Arc::new(Notify::new());
        tasks.spawn(Arc::clone(&flusher).run(Arc::clone(&due), closing.clone()));
        tasks.spawn(upkeep::run(store.clone(), due, closing.clone()));
        let pending_bytes_max = options.pending_bytes_max;
        let (store, waiting_bytes) = (store.clone(), AtomicUsize::new(0));
        Ok(Self {
            queue,
            store,
            waiting_bytes,
            pending_bytes_max,
            counts: Mutex::default(),
            wal,
            flusher,
            closing,
            tasks,
        })
    }

    /// Stores events of a project, those that it does not have yet. They are durable and in every
    /// query when this returns.
    ///
    /// # Errors
    /// `Overloaded` when too many events wait to be moved into files, with nothing stored;
    /// `Storage` when the log cannot be written: the events may have been stored then, and sending
    /// them again is right.
    pub async fn append(&self, project: ProjectId, rows: RecordBatch) -> Result<Appended> {
        let outcome = self.hand_over(project, rows).await;
        self.counts.lock().entry(project).or_default().add(&outcome);
        outcome
    }

    async fn hand_over(&self, project: ProjectId, rows: RecordBatch) -> Result<Appended> {
        let bytes = rows.get_array_memory_size();
        let _waiting = Waiting::new(&self.waiting_bytes, bytes);
        let waiting = self.waiting_bytes.load(Ordering::Relaxed);
        if self.store.hot().bytes() + waiting > self.pending_bytes_max {
            return Err(Error::new(
                ErrorKind::Overloaded,
                "too many events wait to be written to files",
            )
            .hint("Send them again in a while."));
        }
        let (answer, answered) = oneshot::channel();
        let ended = || Error::new(ErrorKind::Storage, "the server is ending");
        self.queue.send(Request { project, rows, answer }).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }

    /// What became of a project's requests.
    pub(crate) fn counts(&self, project: ProjectId) -> Counts {
        self.counts.lock().get(&project).copied().unwrap_or_default()
    }

    /// What the write-ahead log holds now.
    pub(crate) fn wal_status(&self) -> WalStatus {
        self.wal.status()
    }

    /// Moves all events that are acknowledged by now into files.
    ///
    /// # Errors
    /// `Storage` when files cannot be written; the events stay where they are.
    pub async fn flush(&self) -> Result<()> {
        self.flusher.flush().await
    }

    /// Ends when the events that were handed over are durable.
    pub async fn close(&self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Counts the bytes of a request while it waits.
struct Waiting<'a> {
    total: &'a AtomicUsize,
    bytes: usize,
}

impl<'a> Waiting<'a> {
    fn new(total: &'a AtomicUsize, bytes: usize) -> Self {
        total.fetch_add(bytes, Ordering::Relaxed);
        Self { total, bytes }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Opens the log, which one process has at a time.
async fn open_wal(store: &EventStore, location: &Location) -> Result<Arc<dyn Wal>> {
    let after = Seq(store.snapshot().await?.flushed());
    let wal: Arc<dyn Wal> = match location.folder()? {
        Some(folder) => {
            let options = LocalOptions { after, ..LocalOptions::default() };
            let open = move || LocalWal::open(&folder.join(WAL_FOLDER), &options);
            let opened = spawn_blocking(open).await;
            Arc::new(opened.map_err(|error| Error::internal(error.to_string()))??)
        }
        None => {
            let options = ObjectOptions { after, ..ObjectOptions::default() };
            let (_, objects) = store.object_store();
            check_conditional_put(objects.as_ref()).await?;
            Arc::new(ObjectWal::open(Arc::clone(objects), Path::from(WAL_FOLDER), options).await?)
        }
    };
    let WalStatus { epoch, first, last, bytes, segments, failed } = wal.status();
    tracing::info!(epoch, %first, %last, bytes, segments, failed, "the write-ahead log is open");
    Ok(wal)
}

/// Reads what is in the log but in no file.
async fn replay(store: &EventStore, wal: &dyn Wal, after: Seq, recent: &mut Recent) -> Result<()> {
    let read = wal.replay(after).chunks(REPLAYED_TOGETHER).map(async |records| {
        let records: Vec<_> = records.into_iter().collect::<Result<_>>()?;
        let read = spawn_blocking(move || events_of(&records)).await;
        read.map_err(|error| Error::internal(error.to_string()))?
    });
    let mut read = pin!(read.buffered(default_workers()));
    while let Some(mut batches) = read.try_next().await? {
        for batch in &mut batches {
            // A record may be there twice: after an error its events were sent again.
            let new = recent.without_known(batch.project, &batch.rows, &mut HashSet::new())?;
            recent.add(batch.project, &batch.rows)?;
            if new.as_ref().is_none_or(|new| new.num_rows() < batch.rows.num_rows()) {
                // Without rows too: the position moves on with the next flush.
                let new = new.unwrap_or_else(|| batch.rows.slice(0, 0));
                *batch = HotBatch::new(batch.position, batch.project, new)?;
            }
        }
        store.hot().add(batches)?;
    }
    Ok(())
}

/// The events of records that follow each other: one batch for each project, in the order of their
/// last records.
fn events_of(records: &[(Seq, Bytes)]) -> Result<Vec<HotBatch>> {
    let mut found: Vec<(ProjectId, Seq, Vec<RecordBatch>)> = Vec::new();
    for (seq, bytes) in records {
        for (project, rows) in record::decode(bytes)? {
            match found.iter_mut().find(|(known, ..)| *known == project) {
                Some((_, last, batches)) => {
                    *last = *seq;
                    batches.push(rows);
                }
                None => found.push((project, *seq, vec![rows])),
            }
        }
    }
    found.sort_by_key(|(_, last, _)| *last);
    let joined = found.into_iter().map(|(project, last, batches)| {
        HotBatch::new(last.0, project, concat_batches(events_schema(), &batches)?)
    });
    joined.collect()
}

/// Makes requests durable, one group at a time.
struct Appender {
    store: EventStore,
    wal: Arc<dyn Wal>,
    recent: Recent,
    /// The deletions that `recent` knows of.
    deletions: u64,
    grown: Arc<Notify>,
    requests: mpsc::Receiver<Request>,
}

impl Appender {
    async fn run(mut self, closing: CancellationToken) {
        let mut group = Vec::new();
        loop {
            tokio::select! {
                biased;
                count = self.requests.recv_many(&mut group, QUEUE_MAX) => {
                    if count == 0 {
                        return;
                    }
                }
                () = closing.cancelled() => {
                    // What waits already is still taken; then the queue is empty.
                    self.requests.close();
                    continue;
                }
            }
            let requests = std::mem::take(&mut group);
            let (rows, answers): (Vec<_>, Vec<_>) = requests
                .into_iter()
                .map(|request| ((request.project, request.rows), request.answer))
                .unzip();
            let outcome = self.append(&rows).await;
            for (place, answer) in answers.into_iter().enumerate() {
                let outcome =
                    outcome.as_ref().map(|appended| appended[place]).map_err(Clone::clone);
                // Whoever asked may be gone.
                let _ = answer.send(outcome);
            }
        }
    }

    /// What became of each request.
    async fn append(&mut self, requests: &[(ProjectId, RecordBatch)]) -> Result<Vec<Appended>> {
        // Events that were deleted, by whomever, may come again.
        let deletions = self.store.deletions();
        if deletions != self.deletions {
            let snapshot = self.store.snapshot().await?;
            self.recent = Recent::of(&self.store, &snapshot).await?;
            self.deletions = deletions;
        }
        let mut in_group = HashSet::new();
        let mut appended = Vec::with_capacity(requests.len());
        let mut news: Vec<(ProjectId, Vec<RecordBatch>)> = Vec::new();
        for (project, rows) in requests {
            let new = self.recent.without_known(*project, rows, &mut in_group)?;
            let stored = new.as_ref().map_or(0, RecordBatch::num_rows);
            let repeated = (rows.num_rows() - stored) as u64;
            appended.push(Appended { stored: stored as u64, repeated });
            let Some(new) = new else { continue };
            match news.iter_mut().find(|(known, _)| known == project) {
                Some((_, batches)) => batches.push(new),
                None => news.push((*project, vec![new])),
            }
        }
        if news.is_empty() {
            return Ok(appended);
        }
        let batches = news
            .into_iter()
            .map(|(project, batches)| Ok((project, concat_batches(events_schema(), &batches)?)))
            .collect::<Result<Vec<_>>>()?;
        let Seq(position) = self.wal.append(record::encode(&batches)?).await?;
        for (project, rows) in &batches {
            self.recent.add(*project, rows)?;
        }
        let batches =
            batches.into_iter().map(|(project, rows)| HotBatch::new(position, project, rows));
        self.store.hot().add(batches.collect::<Result<Vec<_>>>()?)?;
        self.grown.notify_one();
        Ok(appended)
    }
}

/// The rows for which `is_new` holds; none when there are none.
fn only(rows: &RecordBatch, is_new: Vec<bool>) -> Result<Option<RecordBatch>> {
    match is_new.iter().filter(|is| **is).count() {
        0 => Ok(None),
        count if count == rows.num_rows() => Ok(Some(rows.clone())),
        _ => Ok(Some(filter_record_batch(rows, &BooleanArray::from(is_new))?)),
    }
}
