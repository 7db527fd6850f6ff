//! Reading properties: the one seam between a path such as `properties.plan.name` and the way
//! properties are stored.
//!
//! Lowering builds every property read with [`read`] or [`read_raw`]. What it builds is a call
//! of an internal function with the JSON column and the constant path as arguments:
//!
//! ```text
//! __property(properties, 'plan', 'name')
//! ```
//! The kernel here reads the JSON text. A rule that knows of another place for a property, such
//! as a column of its own, recognises the call with [`path_of`] and replaces it; the meaning
//! stays the one given here.

use std::borrow::Cow;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use hedgerow_parser::Span;

use super::scan::{self, Step};
use crate::error::{Error, Result};
use crate::functions::Typed;
use crate::functions::adapter::Adapter;
use crate::functions::arguments::Arguments;
use crate::functions::function::{Arg, Function, Nulls, Returns};
use crate::types::Type;

/// The functions that stand for property reads.
pub(in crate::functions) const FUNCTIONS: &[Function] = &[PROPERTY, PROPERTY_RAW];

const PROPERTY: Function =
    Function::scalar("__property", &[Arg::Text, Arg::Any], Returns::Text, property)
        .variadic()
        .nulls(Nulls::Introduce)
        .doc(
            "The value at a constant path as text: strings without quotes, anything else as it \
             is written. NULL for a missing key, JSON null, an empty string, and invalid JSON.",
        )
        .examples(&[
            ("__property('{\"a\":{\"b\":\"x\"}}', 'a', 'b')", "x"),
            ("__property('{\"a\":[1, 2.50]}', 'a', 2)", "2.50"),
            ("__property('{\"a\":\"\"}', 'a')", "NULL"),
        ]);

const PROPERTY_RAW: Function =
    Function::scalar("__property_raw", &[Arg::Text, Arg::Any], Returns::Json, property_raw)
        .variadic()
        .nulls(Nulls::Introduce)
        .doc("The value at a constant path as JSON text. NULL where it is missing or null.")
        .examples(&[("__property_raw('{\"a\":\"x\"}', 'a')", "\"x\"")]);

/// The property at a path of a JSON value, as text; NULL when missing, null or empty.
pub fn read(json: Typed, path: &[Step<'_>], span: Span) -> Typed {
    call(&PROPERTY, json, path, Type::String, span)
}

/// The property at a path of a JSON value, as JSON text; NULL when missing or null.
pub fn read_raw(json: Typed, path: &[Step<'_>], span: Span) -> Typed {
    call(&PROPERTY_RAW, json, path, Type::Json, span)
}

/// The JSON value and the path of a property read; none for other expressions.
pub fn path_of(expr: &Expr) -> Option<(&Expr, Vec<Step<'_>>)> {
    let Expr::ScalarFunction(call) = expr else { return None };
    if call.func.name() != PROPERTY.name {
        return None;
    }
    let (json, path) = call.args.split_first()?;
    let step = |arg| match arg {
        &Expr::Literal(ScalarValue::Int64(Some(index)), _) => Some(Step::Index(index)),
        Expr::Literal(value, _) => Some(Step::Key(Cow::Borrowed(value.try_as_str()??))),
        _ => None,
    };
    Some((json, path.iter().map(step).collect::<Option<_>>()?))
}

fn call(
    function: &'static Function,
    json: Typed,
    path: &[Step<'_>],
    ty: Type,
    span: Span,
) -> Typed {
    let steps = path.iter().map(|step| match step {
        Step::Key(key) => Typed::text(key.as_ref(), span).expr,
        Step::Index(index) => Typed::int(*index, span).expr,
    });
    let args = std::iter::once(json.expr).chain(steps).collect();
    Typed::new(Adapter::udf(function, span).call(args), ty, span)
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

fn property(args: &Arguments<'_>) -> Result<ArrayRef> {
    let (documents, path) = (args.text(0), fixed_path(args)?);
    args.texts(|row, out| {
        let value = documents.get(row).and_then(|json| scan::find(json, &path));
        Ok(value.and_then(|value| write_text(value, out)))
    })
}

fn property_raw(args: &Arguments<'_>) -> Result<ArrayRef> {
    let (documents, path) = (args.text(0), fixed_path(args)?);
    Ok(args.strs(|row| scan::find(documents.get(row)?, &path).filter(|value| *value != "null")))
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
