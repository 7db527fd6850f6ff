//! Values as JSON text.

use arrow::array::{Array, ArrayRef, AsArray};

use crate::error::Result;
use crate::functions::arguments::Arguments;
use crate::functions::conversions::display::Display;
use crate::types::Type;

/// The kernel of `toJSONString`.
pub(super) fn to_json(args: &Arguments<'_>) -> Result<ArrayRef> {
    let array = args.expanded(0)?;
    let writer = Writer::new(&array, &args.types[0])?;
    args.texts(|row, out| {
        if array.is_null(row) {
            return Ok(None);
        }
        writer.write(row, out);
        Ok(Some(()))
    })
}

/// Writes values of one array as JSON.
pub(in crate::functions) struct Writer<'a> {
    array: &'a ArrayRef,
    form: Form<'a>,
}

enum Form<'a> {
    /// Numbers, booleans and JSON: their text is JSON.
    Bare(Display<'a>),
    /// Texts, dates and the like.
    Quoted(Display<'a>),
    Array(Box<Writer<'a>>),
    Tuple(Vec<Writer<'a>>),
    Map(Box<Writer<'a>>, Box<Writer<'a>>),
}

impl<'a> Writer<'a> {
    pub(in crate::functions) fn new(array: &'a ArrayRef, ty: &Type) -> Result<Self> {
        let form = match ty {
            Type::Array(element) => {
                Form::Array(Box::new(Self::new(array.as_list::<i32>().values(), element)?))
            }
            Type::Tuple(elements) => {
                let columns = array.as_struct().columns().iter().zip(elements);
                Form::Tuple(columns.map(|(c, (_, ty))| Self::new(c, ty)).collect::<Result<_>>()?)
            }
            Type::Map(key, value) => Form::Map(
                Box::new(Self::new(array.as_map().keys(), key)?),
                Box::new(Self::new(array.as_map().values(), value)?),
            ),
            Type::Json | Type::Null => Form::Bare(Display::new(array, ty)?),
            ty if ty.is_numeric() => Form::Bare(Display::new(array, ty)?),
            ty => Form::Quoted(Display::new(array, ty)?),
        };
        Ok(Self { array, form })
    }

    pub(in crate::functions) fn write(&self, row: usize, out: &mut String) {
        if self.array.is_null(row) {
            out.push_str("null");
            return;
        }
        match &self.form {
            Form::Bare(display) => {
                let start = out.len();
                // JSON has no infinity and no nan.
                if !display.write(row, out) || matches!(&out[start..], "inf" | "-inf" | "nan") {
                    out.truncate(start);
                    out.push_str("null");
                }
            }
            Form::Quoted(display) => {
                let mut text = String::new();
                display.write(row, &mut text);
                write_string(&text, out);
            }
            Form::Array(values) => {
                let offsets = self.array.as_list::<i32>().value_offsets();
                write_list('[', ']', offsets[row]..offsets[row + 1], out, |i, out| {
                    values.write(i as usize, out);
                });
            }
            Form::Tuple(columns) => {
                write_list('[', ']', 0..columns.len() as i32, out, |i, out| {
                    columns[i as usize].write(row, out);
                });
            }
            Form::Map(keys, values) => {
                let offsets = self.array.as_map().value_offsets();
                write_list('{', '}', offsets[row]..offsets[row + 1], out, |i, out| {
                    keys.write_key(i as usize, out);
                    out.push(':');
                    values.write(i as usize, out);
                });
            }
        }
    }

    /// Keys are strings, whatever their type.
    pub(in crate::functions) fn write_key(&self, row: usize, out: &mut String) {
        let mut text = String::new();
        self.write(row, &mut text);
        if text.starts_with('"') {
            out.push_str(&text);
        } else {
            write_string(&text, out);
        }
    }
}

pub(in crate::functions) fn write_list(
    open: char,
    close: char,
    range: std::ops::Range<i32>,
    out: &mut String,
    mut write: impl FnMut(i32, &mut String),
) {
    out.push(open);
    for i in range.clone() {
        out.push_str(if i == range.start { "" } else { "," });
        write(i, out);
    }
    out.push(close);
}

/// A string with its quotes and escapes.
fn write_string(text: &str, out: &mut String) {
    use std::fmt::Write as _;
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..'\u{20}' => {
                let _ = write!(out, "\\u{:04x}", character as u32);
            }
            other => out.push(other),
        }
    }
    out.push('"');
}
