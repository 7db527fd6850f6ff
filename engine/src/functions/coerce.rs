//! Conversions: those that happen by themselves, and those that are asked for.
//!
//! By themselves only conversions happen that keep the meaning: numbers widen, booleans count
//! as 0 and 1, a date is its midnight, and text *constants* become what they are compared with
//! or passed as. Text that is computed has to be converted by name, so that a mistyped property
//! is an error and not a silent NULL.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr as logical;
use datafusion::logical_expr::expr::{Cast, Placeholder};

use super::aggregates::default_value;
use super::conversions;
use super::conversions::convert::{self, Strictness};
use super::{Typed, only_value};
use crate::error::{Error, ErrorKind, Result};
use crate::types::Type;

/// Converts a value to `target` where that happens by itself, and gives an untyped parameter
/// its type. Text constants are read in `timezone`.
///
/// # Errors
/// `TypeMismatch`, naming both types, when there is no implicit conversion; `InvalidText` or
/// `InvalidDateTime` when a text constant cannot be read as `target`.
pub fn coerce(value: Typed, target: &Type, timezone: &str) -> Result<Typed> {
    if value.ty == *target || *target == Type::Null {
        return Ok(value);
    }
    if value.is_untyped_parameter() {
        return Ok(typed_parameter(value, target));
    }
    if value.is_null() {
        return Typed::null(target.clone(), value.span);
    }
    if is_empty_map(&value) && matches!(target, Type::Map(..)) {
        return Ok(Typed::constant(default_value(target)?, target.clone(), value.span));
    }
    if value.ty.is_text() && target.is_text() {
        return Ok(Typed { ty: target.clone(), ..value });
    }
    if let Some(text) = value.as_text() {
        return read_constant(text, target, timezone, &value);
    }
    if let Some(number) = value.as_constant()
        && value.ty.is_numeric()
        && target.is_numeric()
    {
        return narrow_constant(number, target, &value);
    }
    if widens(&value.ty, target) {
        return convert_to(value, target);
    }
    Err(mismatch(&value.ty, target).at(value.span))
}

/// The error for a conversion that does not happen by itself.
pub fn mismatch(from: &Type, to: &Type) -> Error {
    let error = Error::new(ErrorKind::TypeMismatch, format!("cannot convert {from} to {to}"));
    match conversion_hint(from, to) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// How a value of one type is made one of the other by name.
pub fn conversion_hint(from: &Type, to: &Type) -> Option<String> {
    let function = match to {
        _ if from == to => return None,
        Type::String if !matches!(from, Type::Array(_) | Type::Tuple(_)) => "toString",
        Type::Float32 | Type::Float64 if from.is_text() => "toFloat",
        ty if ty.is_integer() && (from.is_text() || from.is_float()) => "toInt",
        Type::Bool if from.is_text() => "toBool",
        Type::Uuid if from.is_text() => "toUUID",
        Type::Date if from.is_text() || from.is_temporal() => "toDate",
        Type::DateTime(_) if from.is_text() => "toDateTime",
        Type::DateTime(_) if from.is_numeric() => "fromUnixTimestamp",
        _ => return None,
    };
    Some(format!("Convert it with {function}(...)."))
}

/// Brings several values to one type, as for the branches of `if` or the elements of an array.
/// Text constants follow the others where those are dates, times or UUIDs.
///
/// # Errors
/// `TypeMismatch`, naming two types that have no type in common.
pub fn common(values: Vec<Typed>, timezone: &str) -> Result<(Vec<Typed>, Type)> {
    let mut ty = Type::Null;
    for value in values.iter().filter(|value| value.as_text().is_none() && !is_empty_map(value)) {
        ty = ty.common(&value.ty).ok_or_else(|| no_common(&ty, &value.ty).at(value.span))?;
    }
    for value in values.iter().filter(|value| value.as_text().is_some() || is_empty_map(value)) {
        if !matches!(ty, Type::Uuid | Type::Date | Type::DateTime(_) | Type::Map(..)) {
            ty = ty.common(&value.ty).ok_or_else(|| no_common(&ty, &value.ty).at(value.span))?;
        }
    }
    let values = values.into_iter().map(|value| coerce(value, &ty, timezone));
    Ok((values.collect::<Result<_>>()?, ty))
}

/// `map()`, which can be a map of anything.
fn is_empty_map(value: &Typed) -> bool {
    matches!(&value.expr, logical::Expr::ScalarFunction(call)
        if call.func.name() == "map" && call.args.is_empty())
}

fn no_common(a: &Type, b: &Type) -> Error {
    let error = Error::new(ErrorKind::TypeMismatch, format!("{a} and {b} have no common type"));
    match conversion_hint(b, a).or_else(|| conversion_hint(a, b)) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// Converts a value as `CAST` does. Text that is no number gives NULL; other text that cannot be
/// read is an error, or NULL when `safe`. Floats lose their fraction on the way to integers.
///
/// # Errors
/// `TypeMismatch` when the types have nothing to do with each other.
pub fn cast(value: Typed, target: &Type, safe: bool, timezone: &str) -> Result<Typed> {
    if value.ty == *target || value.is_null() || value.is_untyped_parameter() {
        return coerce(value, target, timezone);
    }
    if !convert::possible(&value.ty, target) {
        return Err(mismatch(&value.ty, target).at(value.span));
    }
    if widens(&value.ty, target) && !value.ty.is_text() {
        return convert_to(value, target);
    }
    // What a constant means is known before any row is read.
    if let Some(text) = value.as_text()
        && !safe
        && matches!(target, Type::Uuid | Type::Date | Type::DateTime(_) | Type::Bool)
    {
        let constant = convert::constant(text, target).map_err(|error| error.at(value.span))?;
        return Ok(Typed::constant(constant, target.clone(), value.span));
    }
    let lenient = safe || (value.ty.is_text() && target.is_numeric());
    let strictness = if lenient { Strictness::NullOnFailure } else { Strictness::Fail };
    conversions::converted(value, target, strictness)
}

fn typed_parameter(value: Typed, target: &Type) -> Typed {
    let logical::Expr::Placeholder(Placeholder { id, .. }) = value.expr else {
        return value;
    };
    let field = Arc::new(target.to_field(id.clone(), true));
    let expr = logical::Expr::Placeholder(Placeholder::new_with_field(id, Some(field)));
    Typed::new(expr, target.clone(), value.span)
}

/// True for conversions that lose nothing, whatever the value.
fn widens(from: &Type, to: &Type) -> bool {
    match (from, to) {
        (from, to) if from == to => true,
        (Type::Null, _) => true,
        (from, to) if from.is_text() && to.is_text() => true,
        (Type::Date | Type::DateTime(_), Type::DateTime(_)) => true,
        (Type::Array(from), Type::Array(to)) => widens(from, to),
        (Type::Map(from_key, from), Type::Map(to_key, to)) => {
            widens(from_key, to_key) && widens(from, to)
        }
        (Type::Tuple(from), Type::Tuple(to)) => {
            let fits = |((a, from), (b, to)): (&(String, Type), &(String, Type))| {
                (a == b || is_place(a)) && widens(from, to)
            };
            from.len() == to.len() && from.iter().zip(to).all(fits)
        }
        (from, to) if from.is_numeric() && to.is_numeric() => match to {
            // Anything but zero is true.
            Type::Bool => true,
            Type::Float64 => true,
            Type::Float32 => !matches!(from, Type::Float64),
            Type::Int64 | Type::UInt64 => from.is_integer() || *from == Type::Bool,
            Type::Decimal(..) => !from.is_float(),
            _ => false,
        },
        _ => false,
    }
}

/// True for what stands for the name of an unnamed element of a tuple.
fn is_place(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_digit())
}

/// True for types whose elements have names, which Arrow would match.
fn has_names(ty: &Type) -> bool {
    match ty {
        Type::Tuple(_) => true,
        Type::Array(element) => has_names(element),
        Type::Map(_, value) => has_names(value),
        _ => false,
    }
}

/// A conversion for which [`widens`] holds.
fn convert_to(value: Typed, target: &Type) -> Result<Typed> {
    let span = value.span;
    if value.ty.to_arrow() == target.to_arrow() {
        return Ok(Typed { ty: target.clone(), ..value });
    }
    if let Some(constant) = value.as_constant() {
        let array = constant.to_array_of_size(1)?;
        let array = convert::convert(&array, &value.ty, target, Strictness::Fail)?;
        return Ok(Typed::constant(only_value(&array)?, target.clone(), span));
    }
    if has_names(target) || !arrow_converts(&value.ty, target) {
        return conversions::converted(value, target, Strictness::Fail);
    }
    Ok(Typed::new(cast_expr(value.expr, target), target.clone(), span))
}

/// False for conversions that Arrow lacks or that fail with its words: booleans and decimals,
/// unsigned numbers beyond the signed ones, and midnights, which need the rules for hours that the
/// clocks skip.
fn arrow_converts(from: &Type, to: &Type) -> bool {
    match (from, to) {
        (Type::Bool, Type::Decimal(..))
        | (Type::Decimal(..), Type::Bool)
        | (Type::UInt64, Type::Int64)
        | (Type::Int64, Type::UInt64)
        | (Type::Date, Type::DateTime(_)) => false,
        (from, Type::Decimal(..)) if from.is_integer() => false,
        (Type::Array(from), Type::Array(to)) => arrow_converts(from, to),
        (Type::Map(from_key, from), Type::Map(to_key, to)) => {
            arrow_converts(from_key, to_key) && arrow_converts(from, to)
        }
        _ => true,
    }
}

fn cast_expr(expr: logical::Expr, target: &Type) -> logical::Expr {
    let field = Arc::new(target.to_field("", true));
    logical::Expr::Cast(Cast::new_from_field(Box::new(expr), field))
}

/// A number constant in another number type, where that keeps its value.
fn narrow_constant(number: &ScalarValue, target: &Type, value: &Typed) -> Result<Typed> {
    let whole = number.to_array_of_size(1)?;
    let converted = match arrow_converts(&value.ty, target) {
        true => number.cast_to(&target.to_arrow()).ok(),
        false => convert::convert(&whole, &value.ty, target, Strictness::Fail)
            .and_then(|array| only_value(&array))
            .ok(),
    };
    let converted = converted.filter(|converted| {
        *target == Type::Bool
            || value.ty == Type::Bool
            || converted.cast_to(&number.data_type()).is_ok_and(|back| back == *number)
            || (target.is_float() && !matches!(number.data_type(), DataType::Float64))
    });
    match converted {
        Some(converted) => Ok(Typed::constant(converted, target.clone(), value.span)),
        None => Err(mismatch(&value.ty, target).at(value.span)),
    }
}

/// A text constant as what it is used as.
fn read_constant(text: &str, target: &Type, timezone: &str, value: &Typed) -> Result<Typed> {
    let read = match target {
        Type::Uuid | Type::Date | Type::DateTime(_) | Type::Bool | Type::Interval => true,
        target => target.is_numeric(),
    };
    if !read {
        return Err(mismatch(&value.ty, target).at(value.span));
    }
    let read_as = match target {
        Type::DateTime(_) => Type::DateTime(timezone.into()),
        target => target.clone(),
    };
    let constant = convert::constant(text, &read_as).map_err(|error| error.at(value.span))?;
    convert_to(Typed::constant(constant, read_as, value.span), target)
}
