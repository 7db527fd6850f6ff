//! Events from memory into files.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::sync::{Mutex, Notify};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::IngestOptions;
use crate::crash_point;
use crate::error::Result;
use crate::storage::{
    BuildOptions, Change, EventStore, HotBatch, Outcome, Part, ProjectId, Snapshot, Sorter,
};
use crate::wal::{Seq, Wal};

/// After so many flushes small files are put together.
const FLUSHES_PER_UPKEEP: u32 = 8;
/// A flush that failed is tried again after this.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Moves events into files.
#[derive(Debug)]
pub(super) struct Flusher {
    store: EventStore,
    wal: Arc<dyn Wal>,
    options: IngestOptions,
    /// There are more events in memory.
    grown: Arc<Notify>,
    /// One at a time.
    flushing: Mutex<()>,
}

impl Flusher {
    pub(super) fn new(
        store: EventStore,
        wal: Arc<dyn Wal>,
        options: IngestOptions,
        grown: Arc<Notify>,
    ) -> Self {
        Self { store, wal, options, grown, flushing: Mutex::new(()) }
    }

    /// Flushes when there is enough, or when it has waited long enough. Tells `upkeep` when small
    /// files have come together.
    pub(super) async fn run(self: Arc<Self>, upkeep: Arc<Notify>, closing: CancellationToken) {
        let mut flushes = 0;
        while !closing.is_cancelled() {
            tokio::select! {
                () = self.wait() => {}
                () = closing.cancelled() => return,
            }
            if let Err(error) = self.flush().await {
                tracing::error!(%error, "events could not be moved into files");
                sleep(RETRY_AFTER).await;
                continue;
            }
            flushes += 1;
            if flushes % FLUSHES_PER_UPKEEP == 0 {
                upkeep.notify_one();
            }
        }
    }

    /// Until a flush is due.
    async fn wait(&self) {
        while self.store.hot().all().is_empty() {
            self.grown.notified().await;
        }
        let due = Instant::now() + self.options.flush_after;
        while self.store.hot().bytes() < self.options.flush_bytes {
            tokio::select! {
                () = self.grown.notified() => {}
                () = tokio::time::sleep_until(due) => return,
            }
        }
    }

    /// Moves all events of this moment into files.
    pub(super) async fn flush(&self) -> Result<()> {
        let _one_at_a_time = self.flushing.lock().await;
        let batches = self.store.hot().seal();
        let Some(last) = batches.last() else { return Ok(()) };
        let upto = last.position;
        loop {
            let snapshot = self.store.snapshot().await?;
            if snapshot.flushed() >= upto {
                // Whoever has taken the log over has done it. The position must not go back.
                break;
            }
            let adds = self.build(&snapshot, &batches).await?;
            crash_point::reach("flush.put");
            let change = Change { flushed: Some(upto), ..Change::add(adds.clone()) };
            let outcome = self.store.commit(&snapshot, change).await;
            match outcome {
                Ok(Outcome::Committed(_)) => break,
                // Somebody else may have brought the same events.
                Ok(Outcome::Moved) => self.store.discard_parts(&adds).await,
                // The commit may be there all the same: its files stay until upkeep knows.
                Err(error) => return Err(error),
            }
        }
        crash_point::reach("flush.committed");
        self.store.hot().forget(upto);
        self.wal.trim(Seq(upto)).await?;
        crash_point::reach("flush.trimmed");
        Ok(())
    }

    /// Files of these events, without those that the store has.
    async fn build(&self, snapshot: &Snapshot, batches: &[Arc<HotBatch>]) -> Result<Vec<Part>> {
        let mut by_project: BTreeMap<ProjectId, Vec<&HotBatch>> = BTreeMap::new();
        for batch in batches {
            by_project.entry(batch.project).or_default().push(batch);
        }
        let mut parts = Vec::new();
        for (project, batches) in by_project {
            // All of it is in memory, in one run.
            let mut sorter = Sorter::new(usize::MAX);
            for batch in batches {
                sorter.push(batch.rows.clone()).await?;
            }
            let options = BuildOptions {
                modified_ms: Utc::now().timestamp_millis(),
                workers: 1,
                rows_elsewhere: snapshot.rows_of(project),
            };
            let known = snapshot.parts().map(Arc::clone).collect();
            let built = self.store.build_parts(project, sorter.finish().await?, known, options);
            match built.await {
                Ok(built) => parts.extend(built.parts),
                Err(error) => {
                    self.store.discard_parts(&parts).await;
                    return Err(error);
                }
            }
        }
        Ok(parts)
    }
}
