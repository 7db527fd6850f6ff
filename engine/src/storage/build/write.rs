//! One cell of all runs → its files.

use std::sync::Arc;

use arrow::array::RecordBatch;
use tokio::runtime::Handle;

use crate::error::Result;
use crate::storage::build::cells::{Cell, pieces};
use crate::storage::build::gather::{gather, gather_places};
use crate::storage::build::order::{Days, Key, Row, Wanted, day_of, keys, sorted_rows};
use crate::storage::build::repeats::{Repeats, find_repeats, may_hold};
use crate::storage::build::run::{Block, Run};
use crate::storage::build::sorter::Sorted;
use crate::storage::{EventStore, Part, PartWriter, ProjectId};

/// Rows handed to the Parquet writer at a time.
const WRITE_ROWS: usize = 8192;
/// Rows by which a file chooses the properties that get columns, and the blocks they come from.
const SAMPLE_ROWS: usize = 2048;
const SAMPLE_BLOCKS: usize = 16;
/// A file of this size is not continued: another one takes the rows that follow.
pub(crate) const PART_BYTES: usize = 192 << 20;
/// Bytes of rows that are put in order at once.
const PIECE_BYTES: usize = 128 << 20;

/// Writes cells.
pub(super) struct CellWriter {
    pub(super) store: EventStore,
    pub(super) project: ProjectId,
    pub(super) sorted: Sorted,
    /// Files whose events are not wanted again.
    pub(super) known: Vec<Arc<Part>>,
    pub(super) modified_ms: i64,
}

/// The files of a cell; those written before an error too.
pub(super) struct Built {
    pub(super) parts: Vec<Part>,
    /// How many rows were duplicates.
    pub(super) outcome: Result<u64>,
}

impl CellWriter {
    /// Writes a cell. Blocks the thread.
    pub(super) fn write(&self, cell: &Cell) -> Built {
        let mut parts = Vec::new();
        let outcome = self.write_parts(cell, &mut parts);
        Built { parts, outcome }
    }

    fn write_parts(&self, cell: &Cell, parts: &mut Vec<Part>) -> Result<u64> {
        let blocks = self.sorted.runs.iter().flat_map(|run| &run.blocks);
        let pieces = pieces(cell, blocks, PIECE_BYTES);
        let mut whole = match pieces.as_slice() {
            [piece] => Some(self.load(piece)?),
            _ => None,
        };
        let mut repeats = self.repeats(cell, whole.as_deref())?;
        let mut sample: Option<RecordBatch> = None;
        let mut writer: Option<PartWriter> = None;
        let mut dropped = 0;
        for piece in &pieces {
            let batches = match whole.take() {
                Some(batches) => batches,
                None => self.load(piece)?,
            };
            let mut rows = sorted_rows(&batches, Days::Together, Some(piece))?;
            let found = rows.len();
            rows.retain(|row| repeats.takes(&row.key()));
            dropped += (found - rows.len()) as u64;
            let sources: Vec<&RecordBatch> = batches.iter().collect();
            for run in rows.chunks(WRITE_ROWS) {
                let mut open = match writer.take() {
                    Some(open) => open,
                    None => {
                        let sample = match &sample {
                            Some(sample) => sample,
                            None if pieces.len() == 1 => sample.insert(thinned(&sources, &rows)?),
                            None => sample.insert(self.sample(cell)?),
                        };
                        PartWriter::new(sample, cell.rows)?
                    }
                };
                open.write(&gather(&sources, run)?)?;
                match open.bytes() < PART_BYTES {
                    true => writer = Some(open),
                    false => parts.push(self.put(open)?),
                }
            }
        }
        if let Some(open) = writer {
            parts.push(self.put(open)?);
        }
        Ok(dropped)
    }

    fn put(&self, writer: PartWriter) -> Result<Part> {
        Handle::current().block_on(self.store.put_part(writer, self.modified_ms))
    }

    /// `whole`: all of the cell, if it is at hand.
    fn repeats(&self, cell: &Cell, whole: Option<&[RecordBatch]>) -> Result<Repeats> {
        let known: Vec<&Part> = self
            .known
            .iter()
            .filter(|part| may_hold(part, self.project, &cell.days))
            .map(AsRef::as_ref)
            .collect();
        let scan = |see: &mut dyn FnMut(Key)| self.scan_keys(cell, whole, see);
        Handle::current().block_on(find_repeats(&self.store, self.project, &known, cell.rows, scan))
    }

    /// Hands the key of every row of a cell to `see`.
    fn scan_keys(
        &self,
        cell: &Cell,
        whole: Option<&[RecordBatch]>,
        see: &mut dyn FnMut(Key),
    ) -> Result<()> {
        let is_in = |(_, time): &Key| cell.days.contains(&day_of(*time));
        match whole {
            Some(batches) => {
                for batch in batches {
                    keys(batch)?.filter(is_in).for_each(&mut *see);
                }
            }
            None => {
                for (run, block) in self.blocks(&Wanted::all_of(&cell.days)) {
                    run.keys(block)?.into_iter().filter(is_in).for_each(&mut *see);
                }
            }
        }
        Ok(())
    }

    /// The blocks that hold a piece, in the order in which they came.
    fn load(&self, piece: &Wanted) -> Result<Vec<RecordBatch>> {
        self.blocks(piece).map(|(run, block)| run.rows(block)).collect()
    }

    fn blocks(&self, wanted: &Wanted) -> impl Iterator<Item = (&Run, &Block)> {
        let runs = self.sorted.runs.iter();
        runs.flat_map(move |run| run.holding(wanted).map(move |block| (run, block)))
    }

    /// Rows from all over a cell.
    fn sample(&self, cell: &Cell) -> Result<RecordBatch> {
        let whole = Wanted::all_of(&cell.days);
        let blocks: Vec<_> = self.blocks(&whole).collect();
        let spread = blocks.iter().step_by(blocks.len().div_ceil(SAMPLE_BLOCKS).max(1));
        let batches: Vec<_> = spread.map(|(run, block)| run.rows(block)).collect::<Result<_>>()?;
        let rows = sorted_rows(&batches, Days::Together, Some(&whole))?;
        thinned(&batches.iter().collect::<Vec<_>>(), &rows)
    }
}

/// Some of the rows, from all over them.
fn thinned(sources: &[&RecordBatch], rows: &[Row]) -> Result<RecordBatch> {
    let some = rows.iter().step_by(rows.len().div_ceil(SAMPLE_ROWS).max(1));
    let places: Vec<_> = some.map(Row::place).collect();
    gather_places(sources, &places)
}
