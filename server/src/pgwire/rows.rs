//! Rows as DataRow messages, written straight into the outgoing buffer.

use bytes::{BufMut, BytesMut};
use chrono_tz::Tz;
use hedgerow_engine::Type;

use super::copy::LineEncoder;
use super::error::PgError;
use super::types::{Format, binary, format_of};
use crate::values::{Column, Value, text};

/// Encodes rows one after the other.
#[derive(Debug)]
pub(super) struct RowEncoder<'a> {
    formats: &'a [Format],
    zone: Tz,
    scratch: String,
}

/// What rows become.
#[derive(Debug)]
pub(super) enum Encoder<'a> {
    /// DataRow messages.
    Rows(RowEncoder<'a>),
    /// Lines of COPY.
    Lines(LineEncoder),
}

impl Encoder<'_> {
    /// Appends one row; on an error nothing of it remains.
    ///
    /// # Errors
    /// 22003, 22021 and 54000 for values that the wire cannot carry.
    pub(super) fn write(
        &mut self,
        out: &mut BytesMut,
        types: &[Type],
        columns: &[Column],
        row: usize,
    ) -> Result<(), PgError> {
        match self {
            Self::Rows(encoder) => encoder.write(out, types, columns, row),
            Self::Lines(encoder) => encoder.write(out, columns, row),
        }
    }
}

impl<'a> RowEncoder<'a> {
    pub(super) fn new(formats: &'a [Format], zone: Tz) -> Self {
        Self { formats, zone, scratch: String::new() }
    }

    fn write(
        &mut self,
        out: &mut BytesMut,
        types: &[Type],
        columns: &[Column],
        row: usize,
    ) -> Result<(), PgError> {
        let start = out.len();
        let result = self.write_row(out, types, columns, row);
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    fn write_row(
        &mut self,
        out: &mut BytesMut,
        types: &[Type],
        columns: &[Column],
        row: usize,
    ) -> Result<(), PgError> {
        let start = out.len();
        out.put_u8(b'D');
        out.put_i32(0);
        out.put_u16(columns.len() as u16);
        for (at, (ty, column)) in types.iter().zip(columns).enumerate() {
            let value = column.value(row);
            if matches!(value, Value::Null) {
                out.put_i32(-1);
                continue;
            }
            let length_at = out.len();
            out.put_i32(0);
            self.write_value(out, ty, &value, format_of(self.formats, at))?;
            set_length(out, length_at, 4)?;
        }
        set_length(out, start + 1, 0)
    }

    fn write_value(
        &mut self,
        out: &mut BytesMut,
        ty: &Type,
        value: &Value<'_>,
        format: Format,
    ) -> Result<(), PgError> {
        let start = out.len();
        match (format, value) {
            (Format::Binary, value) => binary::write_value(out, ty, value)?,
            (Format::Text, Value::Text(text) | Value::Json(text)) => {
                out.put_slice(text.as_bytes());
            }
            (Format::Text, value) => {
                self.scratch.clear();
                text::write_value(&mut self.scratch, value, self.zone);
                out.put_slice(self.scratch.as_bytes());
            }
        }
        // Legal in HogQL; clients of this wire would cut the text there without a word.
        let textual = format == Format::Text || matches!(value, Value::Text(_) | Value::Json(_));
        if textual && out[start..].contains(&0) {
            return Err(PgError::error(
                "22021",
                "text with a NUL character cannot be sent over this protocol",
            )
            .hint("Remove it with replaceAll(text, char(0), '')."));
        }
        Ok(())
    }
}

/// Fills in a length that was left open; `own` of its bytes do not count.
fn set_length(out: &mut BytesMut, at: usize, own: usize) -> Result<(), PgError> {
    let length = i32::try_from(out.len() - at - own)
        .map_err(|_| PgError::error("54000", "a value is larger than 2 GB"))?;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}
