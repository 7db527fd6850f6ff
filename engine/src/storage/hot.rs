//! Events that are durable in the write-ahead log but in no file yet: what a query reads besides
//! the files.
//!
//! Each batch has the position of its record in the log. A commit that moves batches into files
//! says up to which position they are there, so that a snapshot reads each event once: from the
//! files of a version, and from the batches behind its position.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::{concat_batches, min};
use arrow::datatypes::TimestampMicrosecondType;
use parking_lot::Mutex;

use crate::error::Result;
use crate::functions::json::scan;
use crate::storage::build::column;
use crate::storage::properties::PropertyCounts;
use crate::storage::{CREATED_AT, PROPERTIES, ProjectId};
use crate::views::trimmed_batch;

/// The position of a record in the write-ahead log.
pub(crate) type Position = u64;

/// Batches are joined up to so many rows: many small ones would cost each query more than their rows
/// do.
const JOINED_ROWS_MAX: usize = 64 << 10;

/// Events of one project that came together, or one after the other, in the columns of the store.
#[derive(Debug)]
pub(crate) struct HotBatch {
    /// Of the last of its records.
    pub(crate) position: Position,
    pub(crate) project: ProjectId,
    pub(crate) rows: RecordBatch,
    pub(crate) properties: PropertyCounts,
    /// When the first of them was taken in, in microseconds.
    pub(crate) taken_in: Option<i64>,
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
        Self::of(position, project, &rows, properties)
    }

    fn of(
        position: Position,
        project: ProjectId,
        rows: &RecordBatch,
        properties: PropertyCounts,
    ) -> Result<Self> {
        // Not what else came in the same buffers.
        let rows = trimmed_batch(rows)?;
        let bytes = rows.get_array_memory_size();
        let taken_in = min(column(&rows, CREATED_AT)?.as_primitive::<TimestampMicrosecondType>());
        Ok(Self { position, project, rows, properties, taken_in, bytes })
    }

    /// These events, and later ones of the project.
    fn joined(&self, later: &Self) -> Result<Self> {
        let rows = concat_batches(&self.rows.schema(), [&self.rows, &later.rows])?;
        let mut properties = self.properties.clone();
        properties.join(&later.properties);
        Self::of(later.position, self.project, &rows, properties)
    }

    /// True when joining pays: a row is copied a few times, however many come.
    fn takes(&self, later: &Self) -> bool {
        let (rows, more) = (self.rows.num_rows(), later.rows.num_rows());
        self.project == later.project && rows <= 2 * more && rows + more <= JOINED_ROWS_MAX
    }
}

/// All batches, in the order of their positions. Many snapshots look, few batches come.
#[derive(Debug, Default)]
pub(crate) struct Hot(Mutex<Batches>);

#[derive(Debug, Default)]
struct Batches {
    all: Arc<Vec<Arc<HotBatch>>>,
    /// Batches up to here are about to be moved into files, and stay as they are.
    sealed: Position,
}

impl Hot {
    /// Adds batches behind all others.
    ///
    /// # Errors
    /// `Internal` when batches have other columns than the store.
    pub(crate) fn add(&self, batches: impl IntoIterator<Item = HotBatch>) -> Result<()> {
        let mut held = self.0.lock();
        batches.into_iter().try_for_each(|batch| held.add(batch))
    }

    /// The batches at this moment.
    pub(crate) fn all(&self) -> Arc<Vec<Arc<HotBatch>>> {
        Arc::clone(&self.0.lock().all)
    }

    /// The batches at this moment, which later ones are not joined to.
    pub(crate) fn seal(&self) -> Arc<Vec<Arc<HotBatch>>> {
        let mut held = self.0.lock();
        held.sealed = held.all.last().map_or(held.sealed, |last| last.position);
        Arc::clone(&held.all)
    }

    /// What they take in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.0.lock().all.iter().map(|batch| batch.bytes).sum()
    }

    /// Forgets the batches up to a position: they are in files.
    pub(crate) fn forget(&self, upto: Position) {
        Arc::make_mut(&mut self.0.lock().all).retain(|batch| batch.position > upto);
    }
}

impl Batches {
    fn add(&mut self, mut batch: HotBatch) -> Result<()> {
        let all = Arc::make_mut(&mut self.all);
        let (project, sealed) = (batch.project, self.sealed);
        let is_open = |known: &Arc<HotBatch>| known.project == project && known.position > sealed;
        while let Some(at) = all.iter().rposition(is_open)
            && all[at].takes(&batch)
        {
            batch = all.remove(at).joined(&batch)?;
        }
        all.push(Arc::new(batch));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::scan::tests::batch;

    const OURS: ProjectId = ProjectId(1);
    const THEIRS: ProjectId = ProjectId(2);

    fn add(hot: &Hot, position: Position, project: ProjectId, rows: usize) {
        let rows = batch(&vec![(project.0, "e", "u", 1); rows]);
        hot.add([HotBatch::new(position, project, rows).unwrap()]).unwrap();
    }

    fn held(hot: &Hot) -> Vec<(Position, i64, usize)> {
        let held = |batch: &Arc<HotBatch>| (batch.position, batch.project.0, batch.rows.num_rows());
        hot.all().iter().map(held).collect()
    }

    #[test]
    fn small_batches_are_joined_within_a_project() {
        let hot = Hot::default();
        for position in 1..=100 {
            add(&hot, position, if position % 2 == 0 { OURS } else { THEIRS }, 1);
        }
        let all = held(&hot);
        assert!(all.len() < 20, "{all:?}");
        assert!(all.is_sorted(), "{all:?}");
        assert_eq!(all.iter().map(|(_, _, rows)| rows).sum::<usize>(), 100);
        assert_eq!(all.last().unwrap().0, 100);
        // A large one stays as it is.
        add(&hot, 101, OURS, 1_000);
        add(&hot, 102, OURS, 1);
        let end: Vec<_> = held(&hot).into_iter().rev().take(2).collect();
        assert_eq!(end[0], (102, 1, 1));
        assert!(end[1].2 >= 1_000);
    }

    #[test]
    fn what_is_on_its_way_into_files_stays_apart() {
        let hot = Hot::default();
        add(&hot, 1, OURS, 1);
        add(&hot, 2, OURS, 1);
        let sealed = hot.seal();
        assert_eq!(sealed.last().unwrap().position, 2);
        add(&hot, 3, OURS, 5);
        add(&hot, 4, OURS, 5);
        assert_eq!(held(&hot), [(2, 1, 2), (4, 1, 10)]);
        hot.forget(2);
        assert_eq!(held(&hot), [(4, 1, 10)]);
        // A snapshot from before keeps what it has.
        assert_eq!(sealed.iter().map(|batch| batch.rows.num_rows()).sum::<usize>(), 2);
    }
}
