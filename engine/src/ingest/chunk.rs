//! The reading end: inputs cut into chunks of records, each small enough to hand to a worker.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use bytes::Bytes;
use memchr::{memchr_iter, memrchr};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::error::Result;
use crate::ingest::source::{Format, Input, Opened, invalid, open, read_error};
use crate::storage::{SHREDDED_KEY, is_property_column};

/// A run of records of one input.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) input: Arc<str>,
    /// Counts inputs: where it changes, another file begins.
    pub(super) input_number: u64,
    pub(super) records: Records,
}

#[derive(Debug)]
pub(super) enum Records {
    /// Whole lines; the number of the first, counted from 1.
    Lines {
        first: u64,
        bytes: Bytes,
    },
    /// A line that was too long to read; its number.
    LongLine {
        line: u64,
    },
    Csv {
        header: Arc<csv::ByteRecord>,
        rows: Vec<csv::ByteRecord>,
    },
    /// Rows of a Parquet file; the number of the first, counted from 1.
    Rows {
        first: u64,
        batch: RecordBatch,
    },
}

const CHUNK_BYTES: usize = 1 << 20;
/// Longer lines are not events but damage.
pub(super) const LINE_BYTES_MAX: usize = 64 << 20;
const PARQUET_ROWS: usize = 2048;

/// Reads all inputs in order and gives their chunks to `send`, until that returns false.
///
/// # Errors
/// `InvalidInput` when an input cannot be read to its end.
pub(super) fn read_inputs(
    inputs: Vec<Input>,
    format: Option<Format>,
    bytes_read: &Arc<AtomicU64>,
    send: &mut dyn FnMut(Chunk) -> bool,
) -> Result<()> {
    for (input_number, input) in (0..).zip(inputs) {
        let name = Arc::clone(&input.name);
        let mut send = |records| send(Chunk { input: Arc::clone(&name), input_number, records });
        let more = match open(input, format, bytes_read)? {
            Opened::Text { format: Format::Csv, reader } => read_csv(&name, reader, &mut send)?,
            Opened::Text { reader, .. } => read_lines(&name, reader, &mut send)?,
            Opened::Parquet(file) => read_parquet(&name, file, &mut send)?,
        };
        if !more {
            break;
        }
    }
    Ok(())
}

type Send<'a> = &'a mut dyn FnMut(Records) -> bool;

fn read_lines(
    name: &str,
    mut reader: Box<dyn BufRead + std::marker::Send>,
    send: Send<'_>,
) -> Result<bool> {
    let mut first = 1;
    let mut rest: Vec<u8> = Vec::new();
    loop {
        let mut bytes = std::mem::take(&mut rest);
        let wanted = CHUNK_BYTES.max(bytes.len() * 2);
        let missing = wanted - bytes.len();
        // One byte more than is read: the reader would make room for it before it sees the end.
        bytes.reserve_exact(missing + 1);
        reader
            .by_ref()
            .take(missing as u64)
            .read_to_end(&mut bytes)
            .map_err(|error| read_error(name, &error))?;
        let at_end = bytes.len() < wanted;
        match memrchr(b'\n', &bytes) {
            _ if at_end => {}
            Some(end) => rest = bytes.split_off(end + 1),
            None if bytes.len() <= LINE_BYTES_MAX => {
                rest = bytes;
                continue;
            }
            None => {
                if !send(Records::LongLine { line: first }) {
                    return Ok(false);
                }
                reader.skip_until(b'\n').map_err(|error| read_error(name, &error))?;
                first += 1;
                continue;
            }
        }
        let lines = memchr_iter(b'\n', &bytes).count() as u64;
        if !bytes.is_empty() && !send(Records::Lines { first, bytes: bytes.into() }) {
            return Ok(false);
        }
        if at_end {
            return Ok(true);
        }
        first += lines;
    }
}

fn read_csv(
    name: &str,
    reader: Box<dyn BufRead + std::marker::Send>,
    send: Send<'_>,
) -> Result<bool> {
    let since_record = Arc::new(AtomicUsize::new(0));
    let limited = LimitedRecords { reader, since_record: Arc::clone(&since_record) };
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(limited);
    let read_error = |error: csv::Error| invalid(format!("cannot read {name}: {error}"));
    let header = Arc::new(reader.byte_headers().map_err(read_error)?.clone());
    let mut names = HashSet::new();
    if let Some(twice) = header.iter().find(|name| !names.insert(*name)) {
        let twice = String::from_utf8_lossy(twice);
        return Err(invalid(format!("{name} has two columns named '{twice}'")));
    }
    loop {
        let mut rows = Vec::new();
        let mut bytes = 0;
        while bytes < CHUNK_BYTES {
            let mut row = csv::ByteRecord::new();
            if !reader.read_byte_record(&mut row).map_err(read_error)? {
                break;
            }
            since_record.store(0, Ordering::Relaxed);
            bytes += row.as_slice().len() + row.len() * size_of::<usize>();
            rows.push(row);
        }
        if rows.is_empty() {
            return Ok(true);
        }
        if !send(Records::Csv { header: Arc::clone(&header), rows }) {
            return Ok(false);
        }
    }
}

/// Stops a record that does not end: one lost quote would swallow the rest of a file.
struct LimitedRecords<R> {
    reader: R,
    since_record: Arc<AtomicUsize>,
}

impl<R: Read> Read for LimitedRecords<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        let bytes = self.since_record.fetch_add(count, Ordering::Relaxed);
        if bytes > LINE_BYTES_MAX {
            let message = format!(
                "a record is longer than {} MiB; is a quote left open?",
                LINE_BYTES_MAX >> 20
            );
            return Err(io::Error::other(message));
        }
        Ok(count)
    }
}

/// All columns but those that repeat what the documents of a file of ours say.
fn documents_only(builder: &ParquetRecordBatchReaderBuilder<File>) -> ProjectionMask {
    let is_ours = builder.schema().metadata().contains_key(SHREDDED_KEY);
    let fields = builder.schema().fields().iter().enumerate();
    let kept = fields.filter(|(_, field)| !(is_ours && is_property_column(field.name())));
    ProjectionMask::roots(builder.parquet_schema(), kept.map(|(place, _)| place))
}

fn read_parquet(name: &str, file: File, send: Send<'_>) -> Result<bool> {
    let error = |error: &dyn std::fmt::Display| invalid(format!("cannot read {name}: {error}"));
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(|builder| {
            let documents = documents_only(&builder);
            builder.with_projection(documents).with_batch_size(PARQUET_ROWS).build()
        })
        .map_err(|cause| error(&cause))?;
    let mut first = 1;
    for batch in reader {
        let batch = batch.map_err(|cause| error(&cause))?;
        let rows = batch.num_rows() as u64;
        if !send(Records::Rows { first, batch }) {
            return Ok(false);
        }
        first += rows;
    }
    Ok(true)
}
