//! Results as files: one sink per format, fed batch by batch.

use std::io::{BufWriter, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::writer::StreamWriter;
use chrono_tz::Tz;
use clap::ValueEnum;
use hedgerow_engine::{Error, Type};
use parquet::arrow::ArrowWriter;
use serde::Deserialize;

use super::failure::Failure;
use crate::values::{Column, Value, columns, json, text, types};

/// The form of a result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    /// Aligned columns for people; widths are those of the first thousand rows.
    #[default]
    Table,
    /// Comma-separated values with a header (RFC 4180); NULL is an empty field.
    Csv,
    /// Tab-separated values with a header; \t, \n, \\ and \N for NULL.
    Tsv,
    /// JSON lines: {"columns":[…],"types":[…]}, then one array per row.
    Jsonl,
    /// One Parquet file.
    Parquet,
    /// An Arrow IPC stream.
    Arrow,
}

impl Format {
    /// True when a terminal cannot show it.
    pub(super) fn is_binary(self) -> bool {
        matches!(self, Self::Parquet | Self::Arrow)
    }
}

type Target = BufWriter<Box<dyn Write + Send>>;

/// Where a result goes.
pub(super) struct Sink(Form);

enum Form {
    Table(Table),
    Rows { target: Target, types: Vec<Type>, form: RowForm, zone: Tz },
    Parquet(Box<ArrowWriter<Target>>),
    Arrow(Box<StreamWriter<Target>>),
}

#[derive(Clone, Copy)]
enum RowForm {
    Csv,
    Tsv,
    Json,
}

impl Sink {
    /// Begins a result.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn open(
        format: Format,
        target: Box<dyn Write + Send>,
        schema: &SchemaRef,
        zone: Tz,
    ) -> Result<Self, Failure> {
        let mut target = BufWriter::new(target);
        let types = types(schema);
        let rows = |form| match form {
            Format::Csv => Some(RowForm::Csv),
            Format::Tsv => Some(RowForm::Tsv),
            Format::Jsonl => Some(RowForm::Json),
            _ => None,
        };
        Ok(Self(match format {
            Format::Csv | Format::Tsv | Format::Jsonl => {
                let form = rows(format).unwrap_or(RowForm::Json);
                write_header(&mut target, schema, &types, form)?;
                Form::Rows { target, types, form, zone }
            }
            Format::Table => Form::Table(Table::new(target, schema, types, zone)),
            Format::Parquet => {
                let writer = ArrowWriter::try_new(target, SchemaRef::clone(schema), None)
                    .map_err(parquet_failure)?;
                Form::Parquet(Box::new(writer))
            }
            Format::Arrow => {
                let writer = StreamWriter::try_new(target, schema).map_err(Error::from)?;
                Form::Arrow(Box::new(writer))
            }
        }))
    }

    /// Adds a batch.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        match &mut self.0 {
            Form::Table(table) => table.add(batch),
            Form::Rows { target, types, form, zone } => {
                let columns = columns(types, batch)?;
                let mut line = String::new();
                for row in 0..batch.num_rows() {
                    line.clear();
                    form.write_row(&mut line, &columns, row, *zone);
                    target.write_all(line.as_bytes())?;
                }
                Ok(())
            }
            Form::Parquet(writer) => writer.write(batch).map_err(parquet_failure),
            Form::Arrow(writer) => Ok(writer.write(batch).map_err(Error::from)?),
        }
    }

    /// Ends the result.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn finish(self) -> Result<(), Failure> {
        let mut target = match self.0 {
            Form::Table(table) => table.finish()?,
            Form::Rows { target, .. } => target,
            Form::Parquet(writer) => writer.into_inner().map_err(parquet_failure)?,
            Form::Arrow(writer) => writer.into_inner().map_err(Error::from)?,
        };
        Ok(target.flush()?)
    }
}

impl RowForm {
    fn write_row(self, line: &mut String, columns: &[Column], row: usize, zone: Tz) {
        if matches!(self, Self::Json) {
            json::write_row(line, columns, row);
        } else {
            let mut cell = String::new();
            for (at, column) in columns.iter().enumerate() {
                if at > 0 {
                    line.push(if matches!(self, Self::Csv) { ',' } else { '\t' });
                }
                let value = column.value(row);
                cell.clear();
                text::write_value(&mut cell, &value, zone);
                let null = matches!(value, Value::Null);
                self.write_cell(line, &cell, null);
            }
        }
        line.push('\n');
    }

    fn write_cell(self, line: &mut String, cell: &str, null: bool) {
        match self {
            // An empty text is quoted, so that it is not taken for NULL.
            Self::Csv if null => {}
            Self::Csv if cell.is_empty() || cell.contains([',', '"', '\n', '\r']) => {
                line.push('"');
                line.push_str(&cell.replace('"', "\"\""));
                line.push('"');
            }
            Self::Tsv if null => line.push_str("\\N"),
            Self::Tsv => {
                for c in cell.chars() {
                    match c {
                        '\t' => line.push_str("\\t"),
                        '\n' => line.push_str("\\n"),
                        '\r' => line.push_str("\\r"),
                        '\\' => line.push_str("\\\\"),
                        other => line.push(other),
                    }
                }
            }
            Self::Csv | Self::Json => line.push_str(cell),
        }
    }
}

fn write_header(
    target: &mut Target,
    schema: &Schema,
    types: &[Type],
    form: RowForm,
) -> Result<(), Failure> {
    let mut line = String::new();
    match form {
        RowForm::Json => {
            line.push('{');
            line.push_str(&json::header(schema, types));
            line.push('}');
        }
        RowForm::Csv | RowForm::Tsv => {
            for (at, field) in schema.fields().iter().enumerate() {
                if at > 0 {
                    line.push(if matches!(form, RowForm::Csv) { ',' } else { '\t' });
                }
                form.write_cell(&mut line, field.name(), false);
            }
        }
    }
    line.push('\n');
    Ok(target.write_all(line.as_bytes())?)
}

/// Rows held to find the widths of the columns.
const WIDTH_ROWS: usize = 1_000;

/// Aligned columns.
struct Table {
    target: Target,
    types: Vec<Type>,
    zone: Tz,
    names: Vec<String>,
    widths: Vec<usize>,
    held: Vec<Vec<String>>,
    /// True once the widths are fixed and rows go straight out.
    started: bool,
    rows: usize,
}

impl Table {
    fn new(target: Target, schema: &Schema, types: Vec<Type>, zone: Tz) -> Self {
        let names: Vec<String> =
            schema.fields().iter().map(|field| printable(field.name())).collect();
        let widths = names.iter().map(|name| name.chars().count()).collect();
        Self { target, types, zone, names, widths, held: Vec::new(), started: false, rows: 0 }
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        let columns = columns(&self.types, batch)?;
        for row in 0..batch.num_rows() {
            let cells = columns.iter().map(|column| {
                let value = column.value(row);
                let mut cell = String::new();
                text::write_value(&mut cell, &value, self.zone);
                if matches!(value, Value::Null) { "NULL".to_owned() } else { printable(&cell) }
            });
            let cells: Vec<_> = cells.collect();
            self.rows += 1;
            if self.started {
                self.write_cells(&cells)?;
                continue;
            }
            for (width, cell) in self.widths.iter_mut().zip(&cells) {
                *width = (*width).max(cell.chars().count());
            }
            self.held.push(cells);
            if self.held.len() == WIDTH_ROWS {
                self.start()?;
            }
        }
        Ok(())
    }

    fn start(&mut self) -> Result<(), Failure> {
        self.started = true;
        let names = std::mem::take(&mut self.names);
        self.write_cells(&names)?;
        let rules: Vec<_> = self.widths.iter().map(|width| "-".repeat(width + 2)).collect();
        writeln!(self.target, "{}", rules.join("+"))?;
        for cells in std::mem::take(&mut self.held) {
            self.write_cells(&cells)?;
        }
        Ok(())
    }

    fn write_cells(&mut self, cells: &[String]) -> Result<(), Failure> {
        let mut line = String::new();
        for (at, cell) in cells.iter().enumerate() {
            line.push_str(if at > 0 { " | " } else { " " });
            let fill = " ".repeat(self.widths[at].saturating_sub(cell.chars().count()));
            // Numbers are read from the right.
            if self.types[at].is_numeric() && self.types[at] != Type::Bool {
                line.push_str(&fill);
                line.push_str(cell);
            } else {
                line.push_str(cell);
                line.push_str(&fill);
            }
        }
        Ok(writeln!(self.target, "{}", line.trim_end())?)
    }

    fn finish(mut self) -> Result<Target, Failure> {
        if !self.started {
            self.start()?;
        }
        let plural = if self.rows == 1 { "" } else { "s" };
        writeln!(self.target, "({} row{plural})", self.rows)?;
        Ok(self.target)
    }
}

/// Text on one line.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn parquet_failure(error: parquet::errors::ParquetError) -> Failure {
    Failure::new(format!("cannot write the Parquet file: {error}"))
}
