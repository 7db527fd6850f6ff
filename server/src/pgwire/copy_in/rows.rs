//! Rows of cells → batches of columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringViewBuilder, new_empty_array};
use arrow::datatypes::{Field, SchemaRef};
use chrono_tz::Tz;
use datafusion::common::ScalarValue;
use hedgerow_engine::{Error, Type};

use super::super::error::PgError;
use super::super::params::{null, parse};
use super::lines::bad;

/// A batch is full with so many rows, or so many bytes of text.
const BATCH_ROWS: usize = 8192;
const BATCH_BYTES: usize = 1 << 20;
/// How much of a cell an error shows.
const SHOWN_CHARS: usize = 100;

/// A batch under construction.
#[derive(Debug)]
pub(super) struct Rows {
    schema: SchemaRef,
    columns: Vec<Column>,
    /// In which times without an offset are.
    zone: Tz,
    /// The line of each row.
    lines: Vec<u64>,
    bytes: usize,
}

#[derive(Debug)]
struct Column {
    name: String,
    ty: Type,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Text(StringViewBuilder),
    Other(Vec<ScalarValue>),
}

impl Rows {
    pub(super) fn new(schema: SchemaRef, zone: Tz) -> Self {
        let columns = schema.fields().iter().map(|field| Column::new(field)).collect();
        Self { schema, columns, zone, lines: Vec::new(), bytes: 0 }
    }

    /// The names of the columns.
    pub(super) fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// Adds a row.
    ///
    /// # Errors
    /// 22P04 for too few or too many cells; for a cell that cannot be read, as for a parameter.
    /// With the column, where it is one.
    pub(super) fn push(&mut self, cells: Vec<Option<String>>, line: u64) -> Result<(), PgError> {
        if cells.len() > self.columns.len() {
            return Err(bad("extra data after last expected column"));
        }
        if let Some(column) = self.columns.get(cells.len()) {
            return Err(bad(format!("missing data for column \"{}\"", column.name)));
        }
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            self.bytes += cell.as_ref().map_or(0, String::len);
            column.push(cell.as_deref(), self.zone)?;
        }
        self.lines.push(line);
        Ok(())
    }

    pub(super) fn is_full(&self) -> bool {
        self.lines.len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    /// The rows so far, with their lines; the next row begins a new batch.
    ///
    /// # Errors
    /// Internal ones.
    pub(super) fn take(&mut self) -> Result<(RecordBatch, Vec<u64>), Error> {
        self.bytes = 0;
        let columns = self.columns.iter_mut().map(Column::take).collect::<Result<Vec<_>, _>>()?;
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        Ok((batch, std::mem::take(&mut self.lines)))
    }
}

impl Column {
    fn new(field: &Field) -> Self {
        let ty = Type::from_field(field);
        let values = match ty {
            Type::String | Type::Json => Values::Text(StringViewBuilder::new()),
            _ => Values::Other(Vec::new()),
        };
        Self { name: field.name().clone(), ty, values }
    }

    fn push(&mut self, cell: Option<&str>, zone: Tz) -> Result<(), PgError> {
        match (&mut self.values, cell) {
            (Values::Text(texts), cell) => texts.append_option(cell),
            (Values::Other(values), None) => values.push(null(&self.ty)?),
            (Values::Other(values), Some(text)) => {
                let value = parse(text, &self.ty, zone).map_err(|error| {
                    let mut shown: String = text.chars().take(SHOWN_CHARS).collect();
                    if shown.len() < text.len() {
                        shown.push_str("...");
                    }
                    error.context(format!("column {}: \"{shown}\"", self.name))
                })?;
                values.push(value);
            }
        }
        Ok(())
    }

    fn take(&mut self) -> Result<ArrayRef, Error> {
        match &mut self.values {
            Values::Text(texts) => Ok(Arc::new(texts.finish())),
            Values::Other(values) if values.is_empty() => Ok(new_empty_array(&self.ty.to_arrow())),
            Values::Other(values) => Ok(ScalarValue::iter_to_array(std::mem::take(values))?),
        }
    }
}

/// The columns of a table as a row of names would have them.
///
/// # Errors
/// 22P04 for other names, or another order.
pub(super) fn check_header(rows: &Rows, cells: &[Option<String>]) -> Result<(), PgError> {
    let (got, expected) = (cells.len(), rows.names().len());
    if got != expected {
        let message =
            format!("wrong number of fields in header line: got {got}, expected {expected}");
        return Err(bad(message));
    }
    for (number, (cell, name)) in (1..).zip(cells.iter().zip(rows.names())) {
        if cell.as_deref() != Some(name) {
            let got = cell.as_ref().map_or("null".to_owned(), |cell| format!("\"{cell}\""));
            let message = format!(
                "column name mismatch in header line field {number}: got {got}, expected \"{name}\""
            );
            return Err(bad(message));
        }
    }
    Ok(())
}
