//! A run: rows in the order of days and then of the sort key, in blocks that can be read alone.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::interleave_record_batch;
use arrow::ipc::CompressionType;
use arrow::ipc::reader::FileReader;
use arrow::ipc::writer::{FileWriter, IpcWriteOptions};

use crate::error::{Error, ErrorKind, Result};
use crate::storage::build::order::{Day, Days, SortKey, Wanted, column, sort_key, sorted_rows};
use crate::storage::{PROPERTIES, events_schema};
use crate::views::trimmed_batch;

const BLOCK_ROWS: usize = 1024;
const BLOCK_BYTES: usize = 4 << 20;
/// What a row weighs beside its documents.
const ROW_BYTES: usize = 256;

/// Sorted rows.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) blocks: Vec<Block>,
    pub(super) days: BTreeMap<Day, DayTotal>,
    data: Data,
}

/// Some rows of a run that follow each other.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) bytes: usize,
    first: (Day, SortKey),
    last: (Day, SortKey),
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

#[derive(Debug)]
enum Data {
    Memory(Vec<RecordBatch>),
    /// An Arrow IPC file without a name: it is gone with the process.
    Disk(Arc<File>),
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
        let mut sink = Sink::new(place)?;
        let rows = sorted_rows(batches, Days::Apart, None)?;
        let sources: Vec<&RecordBatch> = batches.iter().collect();
        let mut days: BTreeMap<Day, DayTotal> = BTreeMap::new();
        let mut blocks = Vec::new();
        let (mut places, mut bytes) = (Vec::with_capacity(BLOCK_ROWS), 0);
        for (index, row) in rows.iter().enumerate() {
            let weight = weight(&batches[row.batch as usize], row.row as usize)?;
            let one = DayTotal { rows: 1, bytes: weight as u64 };
            days.entry(row.day()).or_default().add(one);
            places.push(row.place());
            bytes += weight;
            if places.len() == BLOCK_ROWS || bytes >= BLOCK_BYTES || index + 1 == rows.len() {
                let batch = interleave_record_batch(&sources, &places)?;
                let first = &rows[index + 1 - places.len()];
                blocks.push(Block {
                    bytes,
                    first: (first.day(), sort_key(&batch, 0)?),
                    last: (row.day(), sort_key(&batch, batch.num_rows() - 1)?),
                });
                sink.write(batch)?;
                places.clear();
                bytes = 0;
            }
        }
        Ok(Self { blocks, days, data: sink.finish()? })
    }

    /// The blocks that may hold wanted rows.
    pub(super) fn holding(&self, wanted: &Wanted) -> impl Iterator<Item = usize> {
        let holding = self.blocks.iter().enumerate().filter(|(_, block)| block.may_hold(wanted));
        holding.map(|(index, _)| index)
    }

    /// A reader of blocks, with these columns or all.
    ///
    /// # Errors
    /// `Storage` when the temporary file cannot be read.
    pub(super) fn reader(&self, columns: Option<&[usize]>) -> Result<Reader<'_>> {
        Ok(match &self.data {
            Data::Memory(batches) => Reader::Memory(batches),
            Data::Disk(file) => {
                let cursor = Cursor { file: Arc::clone(file), position: 0 };
                Reader::Disk(Box::new(FileReader::try_new(cursor, columns.map(<[_]>::to_vec))?))
            }
        })
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

/// Reads the blocks of a run in any order.
pub(super) enum Reader<'a> {
    Memory(&'a [RecordBatch]),
    Disk(Box<FileReader<Cursor>>),
}

impl Reader<'_> {
    pub(super) fn block(&mut self, index: usize) -> Result<RecordBatch> {
        match self {
            Self::Memory(batches) => Ok(batches[index].clone()),
            Self::Disk(reader) => {
                reader.set_index(index)?;
                let block = reader.next();
                Ok(block.ok_or_else(|| Error::internal("a run ended early"))??)
            }
        }
    }
}

/// The bytes of a row, about.
fn weight(batch: &RecordBatch, row: usize) -> Result<usize> {
    let length = |name| -> Result<usize> {
        // The low half of a view is the length of its text.
        let views = column(batch, name)?.as_string_view().views();
        Ok((views[row] & u128::from(u32::MAX)) as usize)
    };
    Ok(ROW_BYTES + length(PROPERTIES)? + length("person_properties")?)
}

enum Sink {
    Memory(Vec<RecordBatch>),
    Disk(Box<FileWriter<File>>),
}

impl Sink {
    fn new(place: Place) -> Result<Self> {
        Ok(match place {
            Place::Memory => Self::Memory(Vec::new()),
            Place::Disk => {
                let file = tempfile::tempfile().map_err(temporary_error)?;
                let options = IpcWriteOptions::default()
                    .try_with_compression(Some(CompressionType::LZ4_FRAME))?;
                let writer = FileWriter::try_new_with_options(file, events_schema(), options)?;
                Self::Disk(Box::new(writer))
            }
        })
    }

    fn write(&mut self, batch: RecordBatch) -> Result<()> {
        match self {
            Self::Memory(batches) => batches.push(batch),
            Self::Disk(writer) => writer.write(&trimmed_batch(&batch)?)?,
        }
        Ok(())
    }

    fn finish(self) -> Result<Data> {
        Ok(match self {
            Self::Memory(batches) => Data::Memory(batches),
            // Writes the footer too.
            Self::Disk(writer) => Data::Disk(Arc::new(writer.into_inner()?)),
        })
    }
}

/// A position of its own in a file that others read too.
pub(super) struct Cursor {
    file: Arc<File>,
    position: u64,
}

impl Read for Cursor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Cursor {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
            SeekFrom::End(offset) => self.file.metadata()?.len().checked_add_signed(offset),
        };
        self.position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

fn temporary_error(error: io::Error) -> Error {
    Error::new(ErrorKind::Storage, format!("cannot make a temporary file: {error}"))
        .hint("TMPDIR says where temporary files go.")
        .caused_by(error)
}
