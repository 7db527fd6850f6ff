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
use datafusion::common::ScalarValue;
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
    /// JSON text.
    Raw,
    /// A float.
    Number,
    /// A boolean.
    Boolean,
}

impl View {
    const ALL: [Self; 5] = [Self::Text, Self::PlainText, Self::Raw, Self::Number, Self::Boolean];

    /// The function that reads it.
    pub const fn function(self) -> &'static str {
        match self {
            Self::Text => "__property",
            Self::PlainText => "jsonb_extract_path_text",
            Self::Raw => "__propertyRaw",
            Self::Number => "__propertyNumber",
            Self::Boolean => "__propertyBoolean",
        }
    }

    /// The view that a function of this name reads.
    pub fn of_function(name: &str) -> Option<Self> {
        Self::with_default(name).map(|(view, _)| view)
    }

    /// The view that a function reads, and what it gives instead of NULL, as ClickHouse's do.
    fn with_default(name: &str) -> Option<(Self, Option<ScalarValue>)> {
        match name {
            "JSONExtractString" => {
                Some((Self::Text, Some(ScalarValue::Utf8View(Some(String::new())))))
            }
            "JSONExtractFloat" => Some((Self::Number, Some(ScalarValue::Float64(Some(0.0))))),
            _ => {
                Self::ALL.into_iter().find(|view| view.function() == name).map(|view| (view, None))
            }
        }
    }

    /// The function that reads it, as DataFusion wants it.
    pub fn udf(self) -> Option<Arc<ScalarUDF>> {
        Some(Adapter::udf(registry().get(self.function())?, Span::default()))
    }

    /// The type that it gives.
    pub fn returns(self) -> DataType {
        match self {
            Self::Text | Self::PlainText | Self::Raw => DataType::Utf8View,
            Self::Number => DataType::Float64,
            Self::Boolean => DataType::Boolean,
        }
    }
}

/// The functions that stand for property reads, and what their columns need.
pub(in crate::functions) const FUNCTIONS: &[Function] = &[
    reading(View::Text, Returns::Text, |args| {
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
    reading(View::Raw, Returns::Json, |args| {
        let (documents, path) = (args.text(0), fixed_path(args)?);
        let find = |row| scan::find(documents.get(row)?, &path);
        Ok(args.strs(|row| find(row).filter(|value| *value != "null")))
    })
    .doc("The value at a constant path as JSON text. NULL where it is missing or null.")
    .examples(&[("__propertyRaw('{\"a\":\"x\"}', 'a')", "\"x\"")]),
    reading(View::Number, Returns::Float, |args| {
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
    reading(View::Boolean, Returns::Bool, |args| {
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
];

/// A function that reads a JSON text at a constant path.
const fn reading(view: View, returns: Returns, kernel: Kernel) -> Function {
    Function::scalar(view.function(), &[Arg::Text, Arg::Any], returns, kernel)
        .variadic()
        .nulls(Nulls::Introduce)
        .towards_leaves()
}

/// How a column of one kind of values answers a read of another view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conversion {
    NumberText,
    BooleanText,
    TextNumber,
    TextBoolean,
}

impl Conversion {
    const fn function(self) -> &'static str {
        match self {
            Self::NumberText => "__numberText",
            Self::BooleanText => "__booleanText",
            Self::TextNumber => "__textNumber",
            Self::TextBoolean => "__textBoolean",
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
            Self::NumberText | Self::BooleanText => DataType::Utf8View,
            Self::TextNumber => DataType::Float64,
            Self::TextBoolean => DataType::Boolean,
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
    /// What ClickHouse's functions give instead of NULL.
    pub default: Option<ScalarValue>,
    /// The JSON column.
    pub column: &'e Column,
    /// The path: its keys, where it has nothing but keys.
    pub keys: Vec<&'e str>,
    pub call: &'e ScalarFunctionExpr,
}

/// The property read that an expression is; none for other expressions, paths through arrays,
/// and values that are no columns.
pub fn read_of(expr: &dyn PhysicalExpr) -> Option<Read<'_>> {
    let call = expr.downcast_ref::<ScalarFunctionExpr>()?;
    let (view, default) = View::with_default(call.fun().name())?;
    let (json, path) = call.args().split_first()?;
    let column = json.downcast_ref::<Column>()?;
    let keys = path.iter().map(|step| step.downcast_ref::<Literal>()?.value().try_as_str()?);
    let keys = keys.collect::<Option<Vec<_>>>()?;
    Some(Read { view, default, column, keys, call })
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
