//! Reading properties: the one seam between a path such as `properties.plan.name` and the way
//! properties are stored.
//!
//! Lowering builds every property read as a call of one of the functions here, with the JSON
//! column and the path as arguments:
//!
//! ```text
//! __property(properties, 'plan', 'name')
//! ```
//! The kernels here read the JSON text, and say what the functions mean. A file that has the
//! property in a column of its own answers the call from there: see `storage/adapt.rs`, which
//! finds the calls with [`read_of`].

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::logical_expr::ScalarUDF;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::expressions::{Column, Literal};
use hedgerow_parser::Span;

use super::scan::{self, Step};
use crate::error::{Error, Result};
use crate::functions::adapter::Adapter;
use crate::functions::arguments::Arguments;
use crate::functions::function::{Arg, Function, Kernel, Nulls, Returns};
use crate::functions::registry;

/// As what a property is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Text: strings without quotes, anything else as it is written.
    Text,
    /// The same, with `''` for an empty string: how PostgreSQL reads it.
    PlainText,
    /// JSON text; NULL for null.
    Raw,
    /// JSON text, `null` included.
    Spelling,
    /// A float.
    Number,
    /// A boolean.
    Boolean,
    /// An integer, exact where the float of the same text would not be.
    Integer,
    /// What JSONExtractBool gives: true, and numbers other than 0.
    Truth,
    /// Whether there is a value, be it null.
    Exists,
    /// The name of the kind of value.
    Kind,
    /// What objects and arrays hold: any other value gives the same as none.
    Members,
}

/// The functions that read properties. Those that give a value of their own where there is none,
/// as ClickHouse's do, say so; the others give NULL there. The first of a view is its own.
const READERS: [(&str, View, bool); 17] = [
    ("__property", View::Text, false),
    ("JSONExtractString", View::Text, true),
    ("jsonb_extract_path_text", View::PlainText, false),
    ("__propertyRaw", View::Raw, false),
    ("jsonb_extract_path", View::Spelling, false),
    ("JSONExtractRaw", View::Spelling, true),
    ("__propertyNumber", View::Number, false),
    ("JSONExtractFloat", View::Number, true),
    ("__propertyBoolean", View::Boolean, false),
    ("JSONExtractInt", View::Integer, true),
    ("JSONExtractBool", View::Truth, true),
    ("JSONHas", View::Exists, true),
    ("JSONType", View::Kind, true),
    ("JSONLength", View::Members, true),
    ("JSONExtractArrayRaw", View::Members, true),
    ("JSONExtractKeys", View::Members, true),
    ("JSONExtractKeysAndValuesRaw", View::Members, true),
];

impl View {
    /// The function that reads it.
    pub fn function(self) -> &'static str {
        READERS.iter().find(|(_, view, _)| *view == self).map_or("", |(name, ..)| name)
    }

    /// The view that a function of this name reads.
    pub fn of_function(name: &str) -> Option<Self> {
        Self::with_default(name).map(|(view, _)| view)
    }

    /// The view that a function reads, and whether it gives something other than NULL where there
    /// is no value.
    fn with_default(name: &str) -> Option<(Self, bool)> {
        let reader = READERS.iter().find(|(function, ..)| *function == name);
        reader.map(|(_, view, has_default)| (*view, *has_default))
    }

    /// The function that reads it, as DataFusion wants it.
    pub fn udf(self) -> Option<Arc<ScalarUDF>> {
        Some(Adapter::udf(registry().get(self.function())?, Span::default()))
    }

    /// The type that [`Self::function`] gives.
    pub fn returns(self) -> DataType {
        match self {
            Self::Number => DataType::Float64,
            Self::Boolean | Self::Truth | Self::Exists => DataType::Boolean,
            Self::Integer | Self::Members => DataType::Int64,
            Self::Text | Self::PlainText | Self::Raw | Self::Spelling | Self::Kind => {
                DataType::Utf8View
            }
        }
    }
}

/// The functions that stand for property reads, and what their columns need.
pub(in crate::functions) const FUNCTIONS: &[Function] = &[
    reading("__property", Returns::Text, |args| {
        let (documents, path) = (args.text(0), fixed_path(args)?);
        args.texts(|row, out| {
            let value = documents.get(row).and_then(|json| scan::find(json, &path));
            Ok(value.and_then(|value| write_text(value, out)))
        })
    })
    .doc(
        "The value at a constant path as text: strings without quotes, anything else as it \
         is written. NULL for a missing key, JSON null, an empty string, and invalid JSON.",
    )
    .examples(&[
        ("__property('{\"a\":{\"b\":\"x\"}}', 'a', 'b')", "x"),
        ("__property('{\"a\":[1, 2.50]}', 'a', 2)", "2.50"),
        ("__property('{\"a\":\"\"}', 'a')", "NULL"),
    ]),
    reading("__propertyRaw", Returns::Json, |args| {
        let (documents, path) = (args.text(0), fixed_path(args)?);
        let find = |row| scan::find(documents.get(row)?, &path);
        Ok(args.strs(|row| find(row).filter(|value| *value != "null")))
    })
    .doc("The value at a constant path as JSON text. NULL where it is missing or null.")
    .examples(&[("__propertyRaw('{\"a\":\"x\"}', 'a')", "\"x\"")]),
    reading("__propertyNumber", Returns::Float, |args| {
        let (documents, path) = (args.text(0), fixed_path(args)?);
        let mut text = String::new();
        Ok(args.floats(|row| {
            text.clear();
            write_text(scan::find(documents.get(row)?, &path)?, &mut text)?;
            text.parse().ok()
        }))
    })
    .doc("The number that the value at a constant path is, or spells. NULL for anything else.")
    .examples(&[
        ("__propertyNumber('{\"a\":\"1.50\"}', 'a')", "1.5"),
        ("__propertyNumber('{\"a\":true}', 'a')", "NULL"),
    ]),
    reading("__propertyBoolean", Returns::Bool, |args| {
        let (documents, path) = (args.text(0), fixed_path(args)?);
        Ok(args.bools(|row| match scan::find(documents.get(row)?, &path)? {
            "true" | "\"true\"" => Some(true),
            "false" | "\"false\"" => Some(false),
            _ => None,
        }))
    })
    .doc("True or false, where the value at a constant path is that or spells it, else NULL.")
    .examples(&[
        ("__propertyBoolean('{\"a\":true}', 'a')", "true"),
        ("__propertyBoolean('{\"a\":\"false\"}', 'a')", "false"),
        ("__propertyBoolean('{\"a\":1}', 'a')", "NULL"),
    ]),
    converting(Conversion::NumberText, &[Arg::Float], Returns::Text, |args| {
        let numbers = args.float(0);
        args.texts(|row, out| {
            // Writing to a String cannot fail.
            Ok(numbers.get(row).map(|number| write!(out, "{number}").unwrap_or_default()))
        })
    }),
    converting(Conversion::BooleanText, &[Arg::Bool], Returns::Text, |args| {
        let values = args.bool(0);
        Ok(args.strs(|row| values.get(row).map(|value| if value { "true" } else { "false" })))
    }),
    converting(Conversion::TextNumber, &[Arg::Text], Returns::Float, |args| {
        let texts = args.text(0);
        Ok(args.floats(|row| texts.get(row)?.parse().ok()))
    }),
    converting(Conversion::TextBoolean, &[Arg::Text], Returns::Bool, |args| {
        let texts = args.text(0);
        Ok(args.bools(|row| match texts.get(row)? {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }))
    }),
    converting(Conversion::NumberInteger, &[Arg::Float], Returns::Int, |args| {
        let numbers = args.float(0);
        Ok(args.ints(|row| numbers.get(row).map(|number| number as i64)))
    }),
    converting(Conversion::NumberTruth, &[Arg::Float], Returns::Bool, |args| {
        let numbers = args.float(0);
        Ok(args.bools(|row| numbers.get(row).map(|number| number != 0.0)))
    }),
    converting(Conversion::NumberKind, &[Arg::Float], Returns::Text, |args| {
        let numbers = args.float(0);
        let kind = |number: f64| if number.fract() == 0.0 { "Int64" } else { "Double" };
        Ok(args.strs(|row| numbers.get(row).map(kind)))
    }),
    converting(Conversion::TextInteger, &[Arg::Text], Returns::Int, |args| {
        let texts = args.text(0);
        Ok(args.ints(|row| texts.get(row).and_then(integer)))
    }),
    converting(Conversion::TextSpelling, &[Arg::Text], Returns::Text, |args| {
        let texts = args.text(0);
        args.texts(|row, out| {
            // Writing to a String cannot fail.
            Ok(texts.get(row).map(|text| write!(out, "\"{text}\"").unwrap_or_default()))
        })
    }),
];

/// The integer that a text spells, without its fraction.
pub(super) fn integer(text: &str) -> Option<i64> {
    // Text of many digits must not go through a float.
    text.parse().ok().or_else(|| text.parse::<f64>().ok().map(|number| number as i64))
}

/// A function that reads a JSON text at a constant path.
const fn reading(name: &'static str, returns: Returns, kernel: Kernel) -> Function {
    Function::scalar(name, &[Arg::Text, Arg::Any], returns, kernel)
        .variadic()
        .nulls(Nulls::Introduce)
        .towards_leaves()
}

/// How a column of one kind of values answers a read of another view. In a column of numbers,
/// those whose float is not what was written are not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conversion {
    NumberText,
    BooleanText,
    TextNumber,
    TextBoolean,
    NumberInteger,
    NumberTruth,
    NumberKind,
    TextInteger,
    /// For texts that need no escapes.
    TextSpelling,
}

impl Conversion {
    const fn function(self) -> &'static str {
        match self {
            Self::NumberText => "__numberText",
            Self::BooleanText => "__booleanText",
            Self::TextNumber => "__textNumber",
            Self::TextBoolean => "__textBoolean",
            Self::NumberInteger => "__numberInteger",
            Self::NumberTruth => "__numberTruth",
            Self::NumberKind => "__numberKind",
            Self::TextInteger => "__textInteger",
            Self::TextSpelling => "__textSpelling",
        }
    }

    /// The function as DataFusion wants it.
    pub fn udf(self) -> Option<Arc<ScalarUDF>> {
        let function = registry().get(self.function())?;
        Some(Adapter::udf(function, Span::default()))
    }

    /// The type that it gives.
    pub fn returns(self) -> DataType {
        match self {
            Self::NumberText | Self::BooleanText | Self::NumberKind | Self::TextSpelling => {
                DataType::Utf8View
            }
            Self::TextNumber => DataType::Float64,
            Self::TextBoolean | Self::NumberTruth => DataType::Boolean,
            Self::NumberInteger | Self::TextInteger => DataType::Int64,
        }
    }
}

const fn converting(
    conversion: Conversion,
    args: &'static [Arg],
    returns: Returns,
    kernel: Kernel,
) -> Function {
    Function::scalar(conversion.function(), args, returns, kernel)
        .nulls(Nulls::Introduce)
        .doc("From a column of one kind of properties to the view of another.")
}

/// A property read in a physical plan.
pub struct Read<'e> {
    pub view: View,
    /// Where there is no value it gives something other than NULL.
    pub has_default: bool,
    /// The JSON column.
    pub column: &'e Column,
    /// The keys that the path begins with, at least one.
    pub keys: Vec<&'e str>,
    /// The path goes on, through arrays.
    pub goes_on: bool,
    pub call: &'e ScalarFunctionExpr,
}

impl Read<'_> {
    /// The column and the path, as EXPLAIN shows them.
    pub fn name(&self) -> String {
        let rest = if self.goes_on { ".*" } else { "" };
        format!("{}.{}{rest}", self.column.name(), self.keys.join("."))
    }
}

/// The property read that an expression is; none for other expressions, for paths that do not
/// begin with a key, and for values that are no columns.
pub fn read_of(expr: &dyn PhysicalExpr) -> Option<Read<'_>> {
    let call = expr.downcast_ref::<ScalarFunctionExpr>()?;
    let name = call.fun().name();
    let (view, has_default) = View::with_default(name)?;
    let (json, path) = call.args().split_first()?;
    let column = json.downcast_ref::<Column>()?;
    let path = path.iter().map(|step| Some(step.downcast_ref::<Literal>()?.value()));
    let path = path.collect::<Option<Vec<_>>>()?;
    // PostgreSQL's digits are a place where they meet an array.
    let may_be_place = |key: &str| name.starts_with("jsonb_") && key.parse::<i64>().is_ok();
    let keys: Vec<&str> =
        path.iter().map_while(|step| step.try_as_str()?.filter(|key| !may_be_place(key))).collect();
    let goes_on = keys.len() < path.len();
    (!keys.is_empty()).then_some(Read { view, has_default, column, keys, goes_on, call })
}

/// The path that the constant arguments from `first` on spell.
pub(super) fn constant_path<'a>(
    args: &'a Arguments<'_>,
    range: std::ops::Range<usize>,
) -> Option<Vec<Step<'a>>> {
    range.map(|index| if args.is_constant(index) { step(args, index, 0) } else { None }).collect()
}

/// The step that an argument spells in a row.
pub(super) fn step<'a>(args: &'a Arguments<'_>, index: usize, row: usize) -> Option<Step<'a>> {
    let array = args.raw(index);
    let row = if args.is_constant(index) { 0 } else { row };
    if array.is_null(row) {
        return None;
    }
    match array.data_type() {
        DataType::Utf8View => Some(Step::Key(array.as_string_view().value(row).into())),
        DataType::Int64 => Some(Step::Index(array.as_primitive::<Int64Type>().value(row))),
        _ => None,
    }
}

fn fixed_path<'a>(args: &'a Arguments<'_>) -> Result<Vec<Step<'a>>> {
    let path = constant_path(args, 1..args.count());
    path.ok_or_else(|| Error::internal("the path of a property is constant"))
}

/// Writes a value as a property reads it; none for NULL.
fn write_text(value: &str, out: &mut String) -> Option<()> {
    match value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some("") => return None,
        Some(raw) => scan::unescape_into(raw, out),
        None if value == "null" => return None,
        None => out.push_str(value),
    }
    Some(())
}
