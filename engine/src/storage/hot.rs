//! Events that are durable in the write-ahead log but in no file yet: what a query reads besides
//! the files.
//!
//! Each batch has the position of its record in the log. A commit that moves batches into files
//! says up to which position they are there, so that a snapshot reads each event once: from the
//! files of a version, and from the batches behind its position.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use parking_lot::Mutex;

use crate::error::Result;
use crate::functions::json::scan;
use crate::storage::build::column;
use crate::storage::properties::PropertyCounts;
use crate::storage::{PROPERTIES, ProjectId};
use crate::views::trimmed_batch;

/// The position of a record in the write-ahead log.
pub(crate) type Position = u64;

/// Events of one project that came together, in the columns of the store.
#[derive(Debug)]
pub(crate) struct HotBatch {
    pub(crate) position: Position,
    pub(crate) project: ProjectId,
    pub(crate) rows: RecordBatch,
    pub(crate) properties: PropertyCounts,
    /// In memory.
    pub(crate) bytes: usize,
}

impl HotBatch {
    /// # Errors
    /// `Internal` when the rows are not in the columns of the store.
    pub(crate) fn new(position: Position, project: ProjectId, rows: RecordBatch) -> Result<Self> {
        let mut properties = PropertyCounts::default();
        for document in column(&rows, PROPERTIES)?.as_string_view().iter().flatten() {
            let complete = scan::members(document, &mut |key, raw| {
                properties.add(&scan::unescape(key), raw);
            });
            if !complete {
                properties.miss();
            }
        }
        // Not what else came in the same buffers.
        let rows = trimmed_batch(&rows)?;
        let bytes = rows.get_array_memory_size();
        Ok(Self { position, project, rows, properties, bytes })
    }
}

/// All batches, in the order of their positions. Many snapshots look, few batches come.
#[derive(Debug, Default)]
pub(crate) struct Hot(Mutex<Arc<Vec<Arc<HotBatch>>>>);

impl Hot {
    /// Adds batches behind all others.
    pub(crate) fn add(&self, batches: impl IntoIterator<Item = HotBatch>) {
        Arc::make_mut(&mut self.0.lock()).extend(batches.into_iter().map(Arc::new));
    }

    /// The batches at this moment.
    pub(crate) fn all(&self) -> Arc<Vec<Arc<HotBatch>>> {
        Arc::clone(&self.0.lock())
    }

    /// What they take in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.0.lock().iter().map(|batch| batch.bytes).sum()
    }

    /// Forgets the batches up to a position: they are in files.
    pub(crate) fn forget(&self, upto: Position) {
        Arc::make_mut(&mut self.0.lock()).retain(|batch| batch.position > upto);
    }
}
