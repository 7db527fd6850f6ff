//! What the partitions of a scan take their work from.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use arrow::array::RecordBatch;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::error::{Error, Result};
use crate::storage::HotBatch;
use crate::storage::part::Part;
use crate::storage::scan::files::Found;

/// Files in the order in which they are read, and the row groups of those that have been opened.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Somebody is done with opening a file.
    opened: Notify,
}

#[derive(Debug)]
struct State {
    groups: VecDeque<(Found, usize)>,
    files: VecDeque<Arc<Part>>,
    /// Rows in memory.
    hot: VecDeque<RecordBatch>,
    /// Files being opened, which may bring more row groups.
    opening: usize,
    /// Partitions that take work from here.
    partitions: HashSet<usize>,
}

pub(super) enum Work {
    /// To be opened; the row groups go to the second.
    File(Arc<Part>, Opening),
    Group(Found, usize),
    Hot(RecordBatch),
}

impl Queue {
    pub(super) fn new(parts: &[Arc<Part>], hot: &[Arc<HotBatch>]) -> Self {
        let files = parts.iter().cloned().collect();
        Self {
            state: Mutex::new(State {
                groups: VecDeque::new(),
                files,
                hot: hot.iter().flat_map(|batch| slices(&batch.rows)).collect(),
                opening: 0,
                partitions: HashSet::new(),
            }),
            opened: Notify::new(),
        }
    }

    /// Says that a partition begins.
    ///
    /// # Errors
    /// `Internal` when it has before: a plan that runs again must have been reset, or it would
    /// find nothing left.
    pub(super) fn join(&self, partition: usize) -> Result<()> {
        match self.state.lock().partitions.insert(partition) {
            true => Ok(()),
            false => Err(Error::internal("a scan was started twice")),
        }
    }

    /// The next work; none when there will be no more.
    pub(super) async fn take(self: &Arc<Self>) -> Option<Work> {
        loop {
            let opened = self.opened.notified();
            {
                let mut state = self.state.lock();
                if let Some(rows) = state.hot.pop_front() {
                    return Some(Work::Hot(rows));
                }
                if let Some((found, group)) = state.groups.pop_front() {
                    return Some(Work::Group(found, group));
                }
                if let Some(part) = state.files.pop_front() {
                    state.opening += 1;
                    return Some(Work::File(part, Opening { queue: Arc::clone(self) }));
                }
                if state.opening == 0 {
                    return None;
                }
            }
            opened.await;
        }
    }
}

/// Rows in pieces that are worth a turn each.
fn slices(rows: &RecordBatch) -> impl Iterator<Item = RecordBatch> {
    const ROWS: usize = 8192;
    let starts = (0..rows.num_rows()).step_by(ROWS);
    starts.map(|start| rows.slice(start, ROWS.min(rows.num_rows() - start)))
}

/// A file is being opened. Others wait for its row groups until this is dropped.
pub(super) struct Opening {
    queue: Arc<Queue>,
}

impl Opening {
    pub(super) fn add(&self, found: &Found, groups: &[usize]) {
        let groups = groups.iter().map(|group| (found.clone(), *group));
        self.queue.state.lock().groups.extend(groups);
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.queue.state.lock().opening -= 1;
        self.queue.opened.notify_waiters();
    }
}
