//! COPY … TO STDOUT: a query's rows as lines of text.
//!
//! Formats are those of PostgreSQL's COPY (manual page COPY, "Text Format", "CSV Format").

use arrow::datatypes::Schema;
use bytes::{BufMut, BytesMut};
use chrono_tz::Tz;
use hedgerow_parser::ast::{Copy, CopyFormat};

use super::error::PgError;
use crate::values::{Column, Value, text};

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineFormat {
    /// Between tabs, with `\N` for NULL.
    Text,
    /// NULL is nothing, an empty text is `""`.
    Csv,
}

/// What COPY was asked for beside the query.
#[derive(Debug, Clone, Copy)]
pub(super) struct CopyOut {
    pub format: LineFormat,
    /// A first line with the names of the columns.
    pub header: bool,
}

impl CopyOut {
    /// # Errors
    /// 0A000 for a format that cannot be sent.
    pub(super) fn new(copy: &Copy) -> Result<Self, PgError> {
        let format = match copy.format {
            None | Some(CopyFormat::Text) => LineFormat::Text,
            Some(CopyFormat::Csv) => LineFormat::Csv,
            Some(CopyFormat::Parquet) => {
                return Err(PgError::unsupported("FORMAT parquet is for files")
                    .hint("Name a file, or use FORMAT csv."));
            }
        };
        Ok(Self { format, header: copy.header.unwrap_or(false) })
    }

    /// The message with the names of the columns.
    ///
    /// # Errors
    /// 54000 beyond 2 GB.
    pub(super) fn write_header(&self, out: &mut BytesMut, schema: &Schema) -> Result<(), PgError> {
        let mut line = String::new();
        for (at, field) in schema.fields().iter().enumerate() {
            self.format.separate(&mut line, at);
            self.format.write_cell(&mut line, field.name());
        }
        write_line(out, line)
    }
}

/// Encodes rows as CopyData messages, a line each.
#[derive(Debug)]
pub(super) struct LineEncoder {
    format: LineFormat,
    zone: Tz,
    scratch: String,
}

impl LineEncoder {
    pub(super) fn new(format: LineFormat, zone: Tz) -> Self {
        Self { format, zone, scratch: String::new() }
    }

    /// # Errors
    /// 54000 beyond 2 GB.
    pub(super) fn write(
        &mut self,
        out: &mut BytesMut,
        columns: &[Column],
        row: usize,
    ) -> Result<(), PgError> {
        let mut line = String::new();
        for (at, column) in columns.iter().enumerate() {
            self.format.separate(&mut line, at);
            match column.value(row) {
                Value::Null if self.format == LineFormat::Text => line.push_str("\\N"),
                Value::Null => {}
                Value::Text(text) | Value::Json(text) => self.format.write_cell(&mut line, text),
                value => {
                    self.scratch.clear();
                    text::write_value(&mut self.scratch, &value, self.zone);
                    self.format.write_cell(&mut line, &self.scratch);
                }
            }
        }
        write_line(out, line)
    }
}

impl LineFormat {
    fn separate(self, line: &mut String, column: usize) {
        if column > 0 {
            line.push(if self == Self::Text { '\t' } else { ',' });
        }
    }

    fn write_cell(self, line: &mut String, cell: &str) {
        match self {
            Self::Text => cell.chars().for_each(|c| match c {
                '\\' => line.push_str("\\\\"),
                '\n' => line.push_str("\\n"),
                '\r' => line.push_str("\\r"),
                '\t' => line.push_str("\\t"),
                '\u{8}' => line.push_str("\\b"),
                '\u{b}' => line.push_str("\\v"),
                '\u{c}' => line.push_str("\\f"),
                c => line.push(c),
            }),
            // A line of `\.` would end the data.
            Self::Csv
                if cell.is_empty() || cell == "\\." || cell.contains(['"', ',', '\n', '\r']) =>
            {
                line.push('"');
                line.push_str(&cell.replace('"', "\"\""));
                line.push('"');
            }
            Self::Csv => line.push_str(cell),
        }
    }
}

/// A CopyData message.
fn write_line(out: &mut BytesMut, mut line: String) -> Result<(), PgError> {
    line.push('\n');
    let length = i32::try_from(line.len() + 4)
        .map_err(|_| PgError::error("54000", "a row is larger than 2 GB"))?;
    out.put_u8(b'd');
    out.put_i32(length);
    out.put_slice(line.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_escaped_as_in_postgresql() {
        for (format, cell, expected) in [
            (LineFormat::Text, "a\tb\\c\nd", "a\\tb\\\\c\\nd"),
            (LineFormat::Text, "\\N", "\\\\N"),
            (LineFormat::Text, "", ""),
            (LineFormat::Csv, "", "\"\""),
            (LineFormat::Csv, "a \"b\", c", "\"a \"\"b\"\", c\""),
            (LineFormat::Csv, "\\.", "\"\\.\""),
            (LineFormat::Csv, "a b", "a b"),
        ] {
            let mut line = String::new();
            format.write_cell(&mut line, cell);
            assert_eq!(line, expected);
        }
    }
}
