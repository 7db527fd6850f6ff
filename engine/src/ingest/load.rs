//! A statement's rows on their way into `events`: all of them, or none.
//!
//! Rows up to a few megabytes become one record of the write-ahead log. More of them are sorted
//! aside and become files with one commit, as those of an import. An engine that takes no events
//! in, such as that of `hedgerow query`, has only the second way.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use chrono::{DateTime, Utc};

use crate::answer::Notice;
use crate::error::Result;
use crate::ingest::columns::{self, Filled, Refused};
use crate::ingest::event::EventBuilder;
use crate::ingest::{Appended, Commit, Ingest, Repeats, tidy};
use crate::storage::{EventStore, ProjectId, Sorter, default_workers, events_schema};
use crate::views::own_bytes;

/// Rows are gathered to batches of so many, or of so many bytes.
const BATCH_ROWS: usize = 8192;
const BATCH_BYTES: usize = 8 << 20;
/// Events of so many bytes go into one record of the log; more become files.
const RECORD_BYTES_MAX: usize = 32 << 20;
/// Bytes of events in memory while they are sorted aside; twice as much at times.
const SORT_BYTES: usize = 64 << 20;

/// Rows that are not stored yet. Dropping it stores none of them.
pub(crate) struct Load {
    store: EventStore,
    /// None for an engine that takes no events in.
    ingest: Option<Arc<Ingest>>,
    project: ProjectId,
    received_at: DateTime<Utc>,
    columns: Vec<Filled>,
    /// Rows so far.
    rows: u64,
    builder: EventBuilder,
    builder_rows: usize,
    builder_bytes: usize,
    repeats: Repeats,
    held: Held,
}

/// Events that are read.
enum Held {
    Memory { batches: Vec<RecordBatch>, bytes: usize },
    Aside(Sorter),
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Load").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl Appended {
    /// What whoever sent the events should know.
    pub fn notice(self) -> Option<Notice> {
        let count = match self.repeated {
            0 => return None,
            1 => "1 event was there".to_owned(),
            more => format!("{more} events were there"),
        };
        Some(Notice::new(format!("{count} already and not stored again")))
    }
}

impl Load {
    /// Rows with these columns. An event without a timestamp happens now.
    pub(crate) fn new(
        store: EventStore,
        ingest: Option<Arc<Ingest>>,
        project: ProjectId,
        columns: Vec<Filled>,
    ) -> Self {
        let received_at = Utc::now();
        Self {
            store,
            ingest,
            project,
            received_at,
            columns,
            rows: 0,
            builder: EventBuilder::new(project, received_at.timestamp_micros()),
            builder_rows: 0,
            builder_bytes: 0,
            repeats: Repeats::default(),
            held: Held::Memory { batches: Vec::new(), bytes: 0 },
        }
    }

    /// Adds rows, in the order of the columns.
    ///
    /// # Errors
    /// What is wrong with the first row at fault, and `Storage`: the load must be dropped then.
    pub(crate) async fn push(&mut self, rows: &RecordBatch) -> Result<(), Refused> {
        let received_at = self.received_at.timestamp_micros();
        let mut start = 0;
        while start < rows.num_rows() {
            let length = (BATCH_ROWS - self.builder_rows).min(rows.num_rows() - start);
            let some = rows.slice(start, length);
            columns::append(&mut self.builder, self.project, &self.columns, &some, received_at)
                .map_err(|refused| refused.behind(self.rows))?;
            start += length;
            self.rows += length as u64;
            self.builder_rows += length;
            self.builder_bytes += own_bytes(&some);
            if self.builder_rows == BATCH_ROWS || self.builder_bytes >= BATCH_BYTES {
                self.hold().await?;
            }
        }
        Ok(())
    }

    /// Stores all rows; repeats of events that are there already are counted apart. They are
    /// durable and in every query when this returns.
    ///
    /// # Errors
    /// As [`Ingest::append`].
    pub(crate) async fn finish(mut self) -> Result<Appended> {
        self.hold().await?;
        let Self { store, ingest, project, rows, held, .. } = self;
        let sorter = match (held, &ingest) {
            _ if rows == 0 => return Ok(Appended { stored: 0, repeated: 0 }),
            (Held::Memory { batches, .. }, Some(ingest)) => {
                return ingest.append(project, concat_batches(events_schema(), &batches)?).await;
            }
            (Held::Memory { batches, .. }, None) => aside(batches).await?,
            (Held::Aside(sorter), _) => sorter,
        };
        if let Some(ingest) = &ingest {
            // Repeats are found in files only.
            ingest.flush().await?;
        }
        let commit = Commit {
            snapshot: store.snapshot().await?,
            store: &store,
            project,
            modified_ms: self.received_at.timestamp_millis(),
            workers: default_workers(),
        };
        let repeated = commit.run(sorter).await?;
        if ingest.is_none() {
            tidy(&store).await;
        }
        Ok(Appended { stored: rows - repeated, repeated })
    }

    /// Makes a batch of the rows that are read, and puts it aside if there are many.
    async fn hold(&mut self) -> Result<()> {
        if self.builder_rows == 0 {
            return Ok(());
        }
        (self.builder_rows, self.builder_bytes) = (0, 0);
        let fresh = EventBuilder::new(self.project, self.received_at.timestamp_micros());
        let events = std::mem::replace(&mut self.builder, fresh).finish()?;
        let batch = self.repeats.tell_apart(0, events)?;
        match &mut self.held {
            Held::Aside(sorter) => sorter.push(batch).await?,
            Held::Memory { batches, bytes } => {
                *bytes += own_bytes(&batch);
                batches.push(batch);
                if *bytes > RECORD_BYTES_MAX {
                    self.held = Held::Aside(aside(std::mem::take(batches)).await?);
                }
            }
        }
        Ok(())
    }
}

async fn aside(batches: Vec<RecordBatch>) -> Result<Sorter> {
    let mut sorter = Sorter::new(SORT_BYTES);
    for batch in batches {
        sorter.push(batch).await?;
    }
    Ok(sorter)
}
