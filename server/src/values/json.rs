//! Values as JSON: numbers exact, NaN and infinities as strings, times ISO 8601 in UTC, UUIDs as
//! text, arrays and tuples as arrays, maps as objects.

use arrow::datatypes::Schema;
use hedgerow_engine::Type;

use super::calendar::{write_iso_date, write_iso_datetime};
use super::text::{write_decimal, write_interval, write_uuid};
use super::{Column, Value, put};

/// Appends the value at `row`.
pub(crate) fn write(out: &mut String, column: &Column, row: usize) {
    write_value(out, &column.value(row));
}

/// The names and types of the columns, as the first two fields of an object.
pub(crate) fn header(schema: &Schema, types: &[Type]) -> String {
    let mut out = String::from("\"columns\":[");
    separated(&mut out, schema.fields(), |out, field| write_text(out, field.name()));
    out.push_str("],\"types\":[");
    separated(&mut out, types, |out, ty| write_text(out, &ty.to_string()));
    out.push(']');
    out
}

/// Appends one row as an array.
pub(crate) fn write_row(out: &mut String, columns: &[Column], row: usize) {
    out.push('[');
    separated(out, columns, |out, column| write(out, column, row));
    out.push(']');
}

/// Appends a value. Writing to a `String` cannot fail.
pub(crate) fn write_value(out: &mut String, value: &Value<'_>) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(value) => put!(out, "{value}"),
        Value::UInt(value) => put!(out, "{value}"),
        Value::Float32(value) => write_float(out, *value),
        Value::Float64(value) => write_float(out, *value),
        Value::Decimal(digits, scale) => write_decimal(out, *digits, *scale),
        Value::Text(text) => write_text(out, text),
        Value::Json(text) => write_json(out, text),
        Value::Uuid(bytes) => {
            out.push('"');
            write_uuid(out, bytes);
            out.push('"');
        }
        Value::Date(days) => {
            out.push('"');
            write_iso_date(out, i64::from(*days));
            out.push('"');
        }
        Value::DateTime(micros) => {
            out.push('"');
            write_iso_datetime(out, *micros);
            out.push('"');
        }
        Value::Interval { months, days, nanos } => {
            out.push('"');
            write_interval(out, *months, *days, *nanos);
            out.push('"');
        }
        Value::Array(items, range) => {
            out.push('[');
            separated(out, range.clone(), |out, row| write(out, items, row));
            out.push(']');
        }
        Value::Tuple(columns, row) => write_row(out, columns, *row),
        Value::Map(keys, values, range) => {
            out.push('{');
            separated(out, range.clone(), |out, row| {
                write_key(out, &keys.value(row));
                out.push(':');
                write(out, values, row);
            });
            out.push('}');
        }
    }
}

/// Appends text as a JSON string.
pub(crate) fn write_text(out: &mut String, text: &str) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[plain..at]);
        plain = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            _ => put!(out, "\\u{byte:04x}"),
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

fn write_float<T: Into<f64> + Copy + serde::Serialize>(out: &mut String, value: T) {
    let wide: f64 = value.into();
    if wide.is_nan() {
        out.push_str("\"NaN\"");
    } else if wide.is_infinite() {
        out.push_str(if wide > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" });
    } else {
        out.push_str(&serde_json::to_string(&value).unwrap_or_default());
    }
}

/// JSON text goes out as it is, but on one line; text that is not JSON goes out as a string.
fn write_json(out: &mut String, text: &str) {
    if serde_json::from_str::<&serde_json::value::RawValue>(text).is_err() {
        write_text(out, text);
    } else if text.contains(['\n', '\r']) {
        // Valid JSON has line breaks only between its tokens.
        out.extend(text.chars().map(|c| if matches!(c, '\n' | '\r') { ' ' } else { c }));
    } else {
        out.push_str(text);
    }
}

/// Keys of JSON objects are strings: what is not one is quoted.
pub(crate) fn write_key(out: &mut String, key: &Value<'_>) {
    let mut text = String::new();
    write_value(&mut text, key);
    if text.starts_with('"') { out.push_str(&text) } else { write_text(out, &text) }
}

fn separated<T>(
    out: &mut String,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut String, T),
) {
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(out, item);
    }
}
