//! Values as text, in ClickHouse's spelling: what `toString` gives.

use std::fmt::Write as _;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, IntervalMonthDayNanoType, TimestampMicrosecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};

use crate::error::Result;
use crate::types::Type;
use crate::types::time::{self, Zone};

/// Writes values of one array as text.
pub struct Display<'a> {
    array: &'a ArrayRef,
    form: Form<'a>,
}

/// How the values of an array are written.
enum Form<'a> {
    Null,
    Bool,
    Int8,
    Int16,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    Float32,
    Float64,
    Decimal(i8),
    Text,
    Uuid,
    Date,
    DateTime(Zone),
    Interval,
    Array(Box<Display<'a>>),
    Tuple(Vec<Display<'a>>),
    Map(Box<Display<'a>>, Box<Display<'a>>),
}

impl<'a> Display<'a> {
    /// A writer for an array laid out as `ty`.
    ///
    /// # Errors
    /// `InvalidArgument` for an unknown time zone.
    pub fn new(array: &'a ArrayRef, ty: &Type) -> Result<Self> {
        let form = match ty {
            Type::Null => Form::Null,
            Type::Bool => Form::Bool,
            Type::Int8 => Form::Int8,
            Type::Int16 => Form::Int16,
            Type::Int32 => Form::Int32,
            Type::Int64 => Form::Int64,
            Type::UInt8 => Form::UInt8,
            Type::UInt16 => Form::UInt16,
            Type::UInt32 => Form::UInt32,
            Type::UInt64 => Form::UInt64,
            Type::Float32 => Form::Float32,
            Type::Float64 => Form::Float64,
            Type::Decimal(_, scale) => Form::Decimal(*scale),
            Type::String | Type::Json => Form::Text,
            Type::Uuid => Form::Uuid,
            Type::Date => Form::Date,
            Type::DateTime(zone) => Form::DateTime(Zone::parse(zone)?),
            Type::Interval => Form::Interval,
            Type::Array(element) => {
                Form::Array(Box::new(Self::new(array.as_list::<i32>().values(), element)?))
            }
            Type::Tuple(elements) => Form::Tuple(
                array
                    .as_struct()
                    .columns()
                    .iter()
                    .zip(elements)
                    .map(|(column, (_, ty))| Self::new(column, ty))
                    .collect::<Result<_>>()?,
            ),
            Type::Map(key, value) => Form::Map(
                Box::new(Self::new(array.as_map().keys(), key)?),
                Box::new(Self::new(array.as_map().values(), value)?),
            ),
        };
        Ok(Self { array, form })
    }

    /// Writes the value of a row; false, and nothing written, for NULL.
    pub fn write(&self, row: usize, out: &mut String) -> bool {
        if self.array.is_null(row) || matches!(self.form, Form::Null) {
            return false;
        }
        self.write_value(row, out);
        true
    }

    /// Inside of arrays and tuples: NULL as `NULL`, texts and times in quotes.
    fn write_nested(&self, row: usize, out: &mut String) {
        if self.array.is_null(row) || matches!(self.form, Form::Null) {
            out.push_str("NULL");
            return;
        }
        match self.form {
            Form::Text => write_quoted(self.array.as_string_view().value(row), out),
            Form::Uuid | Form::Date | Form::DateTime(_) => {
                out.push('\'');
                self.write_value(row, out);
                out.push('\'');
            }
            _ => self.write_value(row, out),
        }
    }

    fn write_value(&self, row: usize, out: &mut String) {
        macro_rules! number {
            ($type:ty) => {
                write!(out, "{}", self.array.as_primitive::<$type>().value(row))
            };
        }
        let written = match &self.form {
            Form::Null => Ok(()),
            Form::Bool => write!(out, "{}", self.array.as_boolean().value(row)),
            Form::Int8 => number!(Int8Type),
            Form::Int16 => number!(Int16Type),
            Form::Int32 => number!(Int32Type),
            Form::Int64 => number!(Int64Type),
            Form::UInt8 => number!(UInt8Type),
            Form::UInt16 => number!(UInt16Type),
            Form::UInt32 => number!(UInt32Type),
            Form::UInt64 => number!(UInt64Type),
            Form::Float32 => {
                write_float32(self.array.as_primitive::<Float32Type>().value(row), out);
                Ok(())
            }
            Form::Float64 => {
                write_float(self.array.as_primitive::<Float64Type>().value(row), out);
                Ok(())
            }
            Form::Decimal(scale) => {
                write_decimal(self.array.as_primitive::<Decimal128Type>().value(row), *scale, out);
                Ok(())
            }
            Form::Text => {
                out.push_str(self.array.as_string_view().value(row));
                Ok(())
            }
            Form::Uuid => {
                write_uuid(self.array.as_fixed_size_binary().value(row), out);
                Ok(())
            }
            Form::Date => {
                time::write_date(self.array.as_primitive::<Date32Type>().value(row), out);
                Ok(())
            }
            Form::DateTime(zone) => {
                let instant = self.array.as_primitive::<TimestampMicrosecondType>().value(row);
                time::write_datetime(zone.to_local(instant), out);
                Ok(())
            }
            Form::Interval => {
                let value = self.array.as_primitive::<IntervalMonthDayNanoType>().value(row);
                write_interval(value.months, value.days, value.nanoseconds, out);
                Ok(())
            }
            Form::Array(values) => {
                let offsets = self.array.as_list::<i32>().value_offsets();
                let range = offsets[row] as usize..offsets[row + 1] as usize;
                out.push('[');
                write_separated(range, out, |i, out| values.write_nested(i, out));
                out.push(']');
                Ok(())
            }
            Form::Tuple(columns) => {
                out.push('(');
                write_separated(0..columns.len(), out, |i, out| columns[i].write_nested(row, out));
                out.push(')');
                Ok(())
            }
            Form::Map(keys, values) => {
                let offsets = self.array.as_map().value_offsets();
                let range = offsets[row] as usize..offsets[row + 1] as usize;
                out.push('{');
                write_separated(range, out, |i, out| {
                    keys.write_nested(i, out);
                    out.push(':');
                    values.write_nested(i, out);
                });
                out.push('}');
                Ok(())
            }
        };
        debug_assert!(written.is_ok(), "writing to a string cannot fail");
    }
}

fn write_separated(
    range: std::ops::Range<usize>,
    out: &mut String,
    write: impl Fn(usize, &mut String),
) {
    let first = range.start;
    for i in range {
        out.push_str(if i == first { "" } else { "," });
        write(i, out);
    }
}

/// `'it\'s'`.
pub fn write_quoted(text: &str, out: &mut String) {
    out.push('\'');
    for character in text.chars() {
        match character {
            '\'' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0' => out.push_str("\\0"),
            other => out.push(other),
        }
    }
    out.push('\'');
}

/// The shortest text that reads back as the same number: plain between 1e-6 and 1e21,
/// scientific beyond.
pub fn write_float(value: f64, out: &mut String) {
    write_digits(&format!("{:e}", value.abs()), value.is_sign_negative(), value.is_nan(), out);
}

fn write_float32(value: f32, out: &mut String) {
    write_digits(&format!("{:e}", value.abs()), value.is_sign_negative(), value.is_nan(), out);
}

/// Lays out `1.25e-3`.
fn write_digits(scientific: &str, negative: bool, nan: bool, out: &mut String) {
    if nan {
        out.push_str("nan");
        return;
    }
    if negative {
        out.push('-');
    }
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        out.push_str(scientific);
        return;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-6..21).contains(&exponent) {
        out.push_str(scientific);
        return;
    }
    let digits = mantissa.replace('.', "");
    let point = exponent + 1;
    if point <= 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', point.unsigned_abs() as usize));
        out.push_str(if digits == "0" { "" } else { &digits });
    } else if digits.len() <= point as usize {
        out.push_str(&digits);
        out.extend(std::iter::repeat_n('0', point as usize - digits.len()));
    } else {
        let (whole, fraction) = digits.split_at(point as usize);
        out.extend([whole, ".", fraction]);
    }
}

/// A decimal without trailing zeros.
fn write_decimal(value: i128, scale: i8, out: &mut String) {
    let digits = value.unsigned_abs().to_string();
    let scale = scale.max(0) as usize;
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    out.push_str(if value < 0 { "-" } else { "" });
    out.push_str(whole);
    let fraction = fraction.trim_end_matches('0');
    if !fraction.is_empty() {
        out.extend([".", fraction]);
    }
}

/// Lower-case hex in the usual groups.
pub fn write_uuid(bytes: &[u8], out: &mut String) {
    if let Ok(uuid) = uuid::Uuid::from_slice(bytes) {
        out.push_str(uuid.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()));
    }
}

/// `1 year 2 months 3 days 04:05:06`: PostgreSQL's form, since ClickHouse's needs a unit.
fn write_interval(months: i32, days: i32, nanos: i64, out: &mut String) {
    let start = out.len();
    let mut part = |count: i32, unit: &str| {
        if count != 0 {
            let blank = if out.len() == start { "" } else { " " };
            let plural = if count.abs() == 1 { "" } else { "s" };
            let _ = write!(out, "{blank}{count} {unit}{plural}");
        }
    };
    part(months / 12, "year");
    part(months % 12, "month");
    part(days, "day");
    if nanos != 0 || out.len() == start {
        let blank = if out.len() == start { "" } else { " " };
        let sign = if nanos < 0 { "-" } else { "" };
        let micros = nanos.unsigned_abs() / 1000;
        let seconds = micros / 1_000_000;
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        let _ = write!(out, "{blank}{sign}{hours:02}:{minutes:02}:{:02}", seconds % 60);
        if !micros.is_multiple_of(1_000_000) {
            let _ = write!(out, ".{:06}", micros % 1_000_000);
        }
    }
}
