//! Chunks of records → batches of events, on worker threads. A record that cannot become an
//! event is set aside with its place and the reason.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field as ArrowField, Schema};
use arrow::json::LineDelimitedWriter;
use bytes::Bytes;
use memchr::memchr;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::error::Result;
use crate::functions::json::scan;
use crate::ingest::chunk::{Chunk, LINE_BYTES_MAX, Records};
use crate::ingest::event::{EventBatch, EventBuilder};
use crate::ingest::record::{Field, Fields, Mapping, Reason, Value, read_event};
use crate::storage::ProjectId;

/// A record that was not imported.
#[derive(Debug, Clone)]
pub struct Reject {
    /// The file, as it was named.
    pub input: Arc<str>,
    /// The line it starts on, or its row in a Parquet file, counted from 1.
    pub line: u64,
    /// Why, as a phrase in lower case.
    pub reason: String,
    /// The record as it was read, without a line end; empty where it was too long to keep.
    pub record: Bytes,
}

/// What a chunk held.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) input_number: u64,
    pub(super) events: EventBatch,
    pub(super) rejects: Vec<Reject>,
}

/// What all workers need to know.
#[derive(Debug)]
pub(super) struct Parser {
    pub(super) project: ProjectId,
    pub(super) mapping: Mapping,
    /// Microseconds since the epoch.
    pub(super) imported_at: i64,
}

impl Parser {
    pub(super) fn parse(&self, chunk: Chunk) -> Result<Parsed> {
        let mut worker = Worker {
            parser: self,
            input: chunk.input,
            builder: EventBuilder::new(self.project, self.imported_at),
            rejects: Vec::new(),
        };
        match chunk.records {
            Records::Lines { first, bytes } => {
                worker.builder.share(&bytes);
                worker.lines(first, &bytes)?;
            }
            Records::LongLine { line } => worker.reject(line, too_long(), Bytes::new()),
            Records::Csv { header, rows } => worker.csv(&header, &rows)?,
            Records::Rows { first, batch } => worker.lines(first, &json_lines(&batch)?.into())?,
        }
        Ok(Parsed {
            input_number: chunk.input_number,
            events: worker.builder.finish()?,
            rejects: worker.rejects,
        })
    }
}

struct Worker<'a> {
    parser: &'a Parser,
    input: Arc<str>,
    builder: EventBuilder,
    rejects: Vec<Reject>,
}

impl Worker<'_> {
    fn reject(&mut self, line: u64, reason: Reason, record: Bytes) {
        let input = Arc::clone(&self.input);
        self.rejects.push(Reject { input, line, reason: reason.into_owned(), record });
    }

    fn lines(&mut self, first: u64, bytes: &Bytes) -> Result<()> {
        let mut rest: &[u8] = bytes;
        let mut number = first;
        while !rest.is_empty() {
            let start = rest;
            let length = memchr(b'\n', start).map_or(start.len(), |end| end + 1);
            rest = &start[length..];
            let mut line = start[..length].trim_ascii();
            if number == 1 {
                line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
            }
            if !line.is_empty() {
                self.line(number, bytes, line)?;
            }
            number += 1;
        }
        Ok(())
    }

    fn line(&mut self, number: u64, bytes: &Bytes, line: &[u8]) -> Result<()> {
        let records = match std::str::from_utf8(line) {
            _ if line.len() > LINE_BYTES_MAX => {
                self.reject(number, too_long(), Bytes::new());
                return Ok(());
            }
            Ok(text) => records_of_line(text),
            Err(error) => {
                let place = error.valid_up_to() + 1;
                Err(Cow::Owned(format!("not UTF-8 from byte {place} on")))
            }
        };
        match records {
            Err(reason) => self.reject(number, reason, bytes.slice_ref(line)),
            Ok(records) => {
                for Record { text, fields } in records {
                    let outcome = match fields {
                        Ok(fields) => self.record(&fields)?,
                        Err(reason) => Err(reason),
                    };
                    if let Err(reason) = outcome {
                        self.reject(number, reason, bytes.slice_ref(text.as_bytes()));
                    }
                }
            }
        }
        Ok(())
    }

    fn record(&mut self, fields: &Fields<'_>) -> Result<Result<(), Reason>> {
        match read_event(fields, &self.parser.mapping, None) {
            Ok(event) => self.builder.append(&event).map(Ok),
            Err(fault) => Ok(Err(fault.reason)),
        }
    }

    fn csv(&mut self, header: &csv::ByteRecord, rows: &[csv::ByteRecord]) -> Result<()> {
        for row in rows {
            let line = row.position().map_or(0, csv::Position::line);
            let outcome = match csv_fields(header, row) {
                Ok(fields) => self.record(&fields)?,
                Err(reason) => Err(reason),
            };
            if let Err(reason) = outcome {
                let record = csv_text(row);
                self.reject(line, reason, record);
            }
        }
        Ok(())
    }
}

fn too_long() -> Reason {
    Cow::Owned(format!("the line is longer than {} MiB", LINE_BYTES_MAX >> 20))
}

/// What should be an event, with its own text.
pub(super) struct Record<'a> {
    text: &'a str,
    pub(super) fields: Result<Fields<'a>, Reason>,
}

/// The events of a line: one object, an array of them, or the body of a capture request.
pub(super) fn records_of_line(line: &str) -> Result<Vec<Record<'_>>, Reason> {
    if line.starts_with('[') {
        return records_of_array(line);
    }
    let fields = object_fields(line)?;
    match fields.array("batch") {
        Some(batch) if fields.lacks("event") => records_of_array(batch),
        _ => Ok(vec![Record { text: line, fields: Ok(fields) }]),
    }
}

fn records_of_array(array: &str) -> Result<Vec<Record<'_>>, Reason> {
    let items: Vec<&RawValue> = serde_json::from_str(array).map_err(|error| json_reason(&error))?;
    Ok(items
        .into_iter()
        .map(|item| Record { text: item.get(), fields: object_fields(item.get()) })
        .collect())
}

fn object_fields(text: &str) -> Result<Fields<'_>, Reason> {
    Fields::of_json(text).ok_or_else(|| not_an_object(text))
}

/// What is wrong with a text that is no object with fields.
fn not_an_object(text: &str) -> Reason {
    match serde_json::from_str::<BTreeMap<String, &RawValue>>(text) {
        Ok(fields) => {
            let deep = fields.iter().find(|(_, raw)| scan::is_too_deep(raw.get()));
            let name = deep.map_or("the record", |(name, _)| name);
            Cow::Owned(format!("{name} is nested deeper than {} levels", scan::DEPTH_MAX))
        }
        Err(error) => json_reason(&error),
    }
}

fn json_reason(error: &serde_json::Error) -> Reason {
    // The library counts lines from the start of its own input, which is always one line.
    let text = error.to_string();
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    let message = message.replace("expected a map", "expected a JSON object");
    match error.column() {
        0 => Cow::Owned(format!("not a JSON object: {message}")),
        column => Cow::Owned(format!("not a JSON object: {message} at column {column}")),
    }
}

fn csv_fields<'a>(
    header: &'a csv::ByteRecord,
    row: &'a csv::ByteRecord,
) -> Result<Fields<'a>, Reason> {
    if row.len() != header.len() {
        let (found, expected) = (row.len(), header.len());
        return Err(Cow::Owned(format!("{found} cells where the header has {expected}")));
    }
    let text = |bytes: &'a [u8]| std::str::from_utf8(bytes).map_err(|_| Cow::Borrowed("not UTF-8"));
    let field = |(name, cell)| {
        Ok(Field { name: Cow::Borrowed(text(name)?), value: Value::Text(text(cell)?) })
    };
    let fields: Vec<_> = header.iter().zip(row).map(field).collect::<Result<_, Reason>>()?;
    Ok(fields.into())
}

fn csv_text(row: &csv::ByteRecord) -> Bytes {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing into memory does not fail; a record that cannot be shown is still reported.
    let _ = writer.write_byte_record(row);
    let mut text = writer.into_inner().unwrap_or_default();
    text.truncate(text.trim_ascii_end().len());
    text.into()
}

/// Rows as JSON lines, NULLs left out.
fn json_lines(batch: &RecordBatch) -> Result<Vec<u8>> {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(&with_uuid_text(batch)?)?;
    writer.finish()?;
    Ok(writer.into_inner())
}

/// The batch with columns of 16 bytes as UUID text: that is what such columns hold, in Hedgerow's
/// own files too.
fn with_uuid_text(batch: &RecordBatch) -> Result<RecordBatch> {
    let convert = |(field, column): (&Arc<ArrowField>, &ArrayRef)| match column.data_type() {
        DataType::FixedSizeBinary(16) => {
            let values = column.as_fixed_size_binary();
            let text: StringArray = values
                .iter()
                .map(|bytes| Some(Uuid::from_slice(bytes?).ok()?.to_string()))
                .collect();
            let field = ArrowField::new(field.name(), DataType::Utf8, true);
            (Arc::new(field), Arc::new(text) as ArrayRef)
        }
        _ => (Arc::clone(field), Arc::clone(column)),
    };
    let columns = batch.schema_ref().fields().iter().zip(batch.columns()).map(convert);
    let (fields, columns): (Vec<_>, Vec<_>) = columns.unzip();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}
