//! A run: rows in the order of days and then of the sort key, in blocks that can be read alone.
//!
//! On disk a block is the keys of its events, and then its rows: an Arrow IPC stream in one piece
//! of LZ4.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use arrow::array::{AsArray, RecordBatch};
use arrow::buffer::Buffer;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::StreamWriter;
use lz4_flex::block::{compress_prepend_size, decompress_size_prepended};

use crate::error::{Error, ErrorKind, Result};
use crate::storage::build::gather::gather;
use crate::storage::build::order::{
    Day, Days, Key, Row, SortKey, Wanted, column, keys, sort_key, sorted_rows,
};
use crate::storage::{PROPERTIES, events_schema};
use crate::views::trimmed_batch;

const BLOCK_ROWS: usize = 2048;
const BLOCK_BYTES: usize = 4 << 20;
/// Days with fewer rows share a block.
const BLOCK_ROWS_MIN: usize = 256;
/// What a row weighs beside its documents.
const ROW_BYTES: usize = 256;
/// A key on disk: the uuid, and the timestamp.
const KEY_BYTES: usize = 24;

/// Sorted rows.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) blocks: Vec<Block>,
    pub(super) days: BTreeMap<Day, DayTotal>,
    /// Without a name: it is gone with the process.
    file: Option<File>,
}

/// Some rows of a run that follow each other.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) bytes: usize,
    first: (Day, SortKey),
    last: (Day, SortKey),
    rows: Rows,
}

/// Where the rows of a block are.
#[derive(Debug)]
enum Rows {
    Memory(RecordBatch),
    /// In the file: the place of the keys, and how long these and the rows are.
    Disk {
        start: u64,
        keys_length: usize,
        rows_length: usize,
    },
}

/// How much there is of a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct DayTotal {
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

impl DayTotal {
    pub(super) fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.bytes += other.bytes;
    }
}

/// Where a run keeps its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Memory,
    Disk,
}

impl Run {
    /// Sorts rows.
    ///
    /// # Errors
    /// `Storage` when the temporary file cannot be written.
    pub(super) fn sort(batches: &[RecordBatch], place: Place) -> Result<Self> {
        let mut spill = match place {
            Place::Memory => None,
            Place::Disk => Some(Spill::new()?),
        };
        let rows = sorted_rows(batches, Days::Apart, None)?;
        let weights = Weights::of(batches)?;
        let sources: Vec<&RecordBatch> = batches.iter().collect();
        let mut blocks = Vec::new();
        for rows in cut(&rows, &weights) {
            let (Some(first), Some(last)) = (rows.first(), rows.last()) else { continue };
            let batch = gather(&sources, rows)?;
            blocks.push(Block {
                bytes: weights.sum(rows),
                first: (first.day(), sort_key(&batch, 0)?),
                last: (last.day(), sort_key(&batch, batch.num_rows() - 1)?),
                rows: match &mut spill {
                    None => Rows::Memory(batch),
                    Some(spill) => spill.write(&batch)?,
                },
            });
        }
        let days = rows.chunk_by(|a, b| a.day() == b.day()).filter_map(|rows| {
            let bytes = weights.sum(rows) as u64;
            Some((rows.first()?.day(), DayTotal { rows: rows.len() as u64, bytes }))
        });
        Ok(Self { blocks, days: days.collect(), file: spill.map(|spill| spill.file) })
    }

    /// The blocks that may hold wanted rows.
    pub(super) fn holding(&self, wanted: &Wanted) -> impl Iterator<Item = &Block> {
        self.blocks.iter().filter(|block| block.may_hold(wanted))
    }

    /// The rows of a block of this run.
    ///
    /// # Errors
    /// `Storage` when the temporary file cannot be read.
    pub(super) fn rows(&self, block: &Block) -> Result<RecordBatch> {
        match &block.rows {
            Rows::Memory(batch) => Ok(batch.clone()),
            Rows::Disk { start, keys_length, rows_length } => {
                decode(&self.read(start + *keys_length as u64, *rows_length)?)
            }
        }
    }

    /// The keys of a block of this run.
    ///
    /// # Errors
    /// `Storage` when the temporary file cannot be read.
    pub(super) fn keys(&self, block: &Block) -> Result<Vec<Key>> {
        match &block.rows {
            Rows::Memory(batch) => Ok(keys(batch)?.collect()),
            Rows::Disk { start, keys_length, .. } => {
                Ok(decode_keys(&self.read(*start, *keys_length)?))
            }
        }
    }

    fn read(&self, start: u64, length: usize) -> Result<Vec<u8>> {
        let file = self.file.as_ref().ok_or_else(|| Error::internal("a run without a file"))?;
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, start).map_err(temporary_error)?;
        Ok(bytes)
    }
}

impl Block {
    /// False when no row of the block is wanted.
    pub(super) fn may_hold(&self, wanted: &Wanted) -> bool {
        self.first.0 <= *wanted.days.end()
            && self.last.0 >= *wanted.days.start()
            && self
                .first_within(wanted)
                .is_none_or(|first| wanted.before.as_ref().is_none_or(|before| first < before))
            && self
                .last_within(wanted)
                .is_none_or(|last| wanted.from.as_ref().is_none_or(|from| last >= from))
    }

    /// The least key that the block has of the wanted days; none when it is not known.
    pub(super) fn first_within(&self, wanted: &Wanted) -> Option<&SortKey> {
        let (day, key) = &self.first;
        (wanted.days.start() == wanted.days.end() && wanted.days.contains(day)).then_some(key)
    }

    fn last_within(&self, wanted: &Wanted) -> Option<&SortKey> {
        let (day, key) = &self.last;
        (wanted.days.start() == wanted.days.end() && wanted.days.contains(day)).then_some(key)
    }
}

/// Cuts rows into blocks of about the same size, so that whoever reads a day reads hardly any
/// rows of others.
fn cut<'r>(rows: &'r [Row], weights: &Weights<'_>) -> Vec<&'r [Row]> {
    let mut blocks = Vec::new();
    let mut rest = rows;
    let mut together = 0;
    for day in rows.chunk_by(|a, b| a.day() == b.day()) {
        together += day.len();
        if together >= BLOCK_ROWS_MIN || together == rest.len() {
            let (days, others) = rest.split_at(together);
            let count = together.div_ceil(BLOCK_ROWS).max(1);
            for block in days.chunks(together.div_ceil(count)) {
                weights.cut(block, &mut blocks);
            }
            (rest, together) = (others, 0);
        }
    }
    blocks
}

/// How many bytes rows have, about.
struct Weights<'a> {
    /// The views of their documents, by batch.
    documents: Vec<[&'a [u128]; 2]>,
}

impl<'a> Weights<'a> {
    fn of(batches: &'a [RecordBatch]) -> Result<Self> {
        let views = |batch: &'a RecordBatch, name| -> Result<&'a [u128]> {
            Ok(column(batch, name)?.as_string_view().views())
        };
        let documents = |batch| Ok([views(batch, PROPERTIES)?, views(batch, "person_properties")?]);
        Ok(Self { documents: batches.iter().map(documents).collect::<Result<_>>()? })
    }

    fn row(&self, row: &Row) -> usize {
        let (batch, row) = row.place();
        // The low half of a view is the length of its text.
        let length = |views: &[u128]| (views[row] & u128::from(u32::MAX)) as usize;
        ROW_BYTES + self.documents[batch].iter().map(|views| length(views)).sum::<usize>()
    }

    fn sum(&self, rows: &[Row]) -> usize {
        rows.iter().map(|row| self.row(row)).sum()
    }

    /// Cuts rows where they take too many bytes for one block.
    fn cut<'r>(&self, rows: &'r [Row], blocks: &mut Vec<&'r [Row]>) {
        let (mut start, mut bytes) = (0, 0);
        for (index, row) in rows.iter().enumerate() {
            bytes += self.row(row);
            if bytes >= BLOCK_BYTES || index + 1 == rows.len() {
                blocks.push(&rows[start..=index]);
                (start, bytes) = (index + 1, 0);
            }
        }
    }
}

/// The file of a run, while it is being written.
struct Spill {
    file: File,
    length: u64,
}

impl Spill {
    fn new() -> Result<Self> {
        Ok(Self { file: tempfile::tempfile().map_err(temporary_error)?, length: 0 })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<Rows> {
        let (keys, rows) = (encode_keys(batch)?, encode(batch)?);
        for bytes in [&keys, &rows] {
            self.file.write_all(bytes).map_err(temporary_error)?;
        }
        let start = self.length;
        self.length += (keys.len() + rows.len()) as u64;
        Ok(Rows::Disk { start, keys_length: keys.len(), rows_length: rows.len() })
    }
}

fn encode(batch: &RecordBatch) -> Result<Vec<u8>> {
    let mut writer = StreamWriter::try_new(Vec::new(), events_schema())?;
    writer.write(&trimmed_batch(batch)?)?;
    Ok(compress_prepend_size(&writer.into_inner()?))
}

fn decode(bytes: &[u8]) -> Result<RecordBatch> {
    let damaged = || Error::internal("a run is not as it was written");
    let stream = decompress_size_prepended(bytes).map_err(|error| damaged().caused_by(error))?;
    let batch = StreamDecoder::new().decode(&mut Buffer::from_vec(stream))?;
    batch.ok_or_else(damaged)
}

fn encode_keys(batch: &RecordBatch) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(batch.num_rows() * KEY_BYTES);
    for (uuid, timestamp) in keys(batch)? {
        bytes.extend_from_slice(&uuid);
        bytes.extend_from_slice(&timestamp.to_le_bytes());
    }
    Ok(bytes)
}

fn decode_keys(bytes: &[u8]) -> Vec<Key> {
    let (keys, _) = bytes.as_chunks::<KEY_BYTES>();
    let key = |key: &[u8; KEY_BYTES]| {
        let (uuid, timestamp) = key.split_at(16);
        let timestamp = timestamp.try_into().unwrap_or_default();
        (uuid.try_into().unwrap_or_default(), i64::from_le_bytes(timestamp))
    };
    keys.iter().map(key).collect()
}

fn temporary_error(error: io::Error) -> Error {
    Error::new(ErrorKind::Storage, format!("cannot make a temporary file: {error}"))
        .hint("TMPDIR says where temporary files go.")
        .caused_by(error)
}
