//! Conversion of arrays between types. Pure.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, FixedSizeBinaryBuilder, ListArray,
    ListBuilder, MapArray, PrimitiveArray, StringViewBuilder, StructArray, new_null_array,
};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, IntervalMonthDayNano,
    IntervalMonthDayNanoType, TimestampMicrosecondType, UInt64Type,
};
use datafusion::common::ScalarValue;

use super::display::Display;
use crate::error::{Error, ErrorKind, Result};
use crate::functions::only_value;
use crate::types::Type;
use crate::types::time::{self, Order, SECOND, Zone};

/// What happens to a value that has no counterpart in the other type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// An error.
    Fail,
    /// NULL.
    NullOnFailure,
    /// NULL, also for a fraction that an integer cannot keep.
    Exact,
}

/// Dates are days since the epoch up to this number, seconds above it, as in ClickHouse.
const LAST_DAY_NUMBER: f64 = 65_535.0;

/// True when there is a conversion at all.
pub fn possible(from: &Type, to: &Type) -> bool {
    match (from, to) {
        (from, to) if from == to => true,
        (Type::Null, _) | (_, Type::String) => true,
        (Type::Array(from), Type::Array(to)) => possible(from, to),
        (Type::Map(from_key, from), Type::Map(to_key, to)) => {
            possible(from_key, to_key) && possible(from, to)
        }
        (Type::Tuple(from), Type::Tuple(to)) => {
            from.len() == to.len() && from.iter().zip(to).all(|((_, a), (_, b))| possible(a, b))
        }
        (_, Type::Json) => from.is_text(),
        (from, to) if from.is_text() => match to {
            Type::Array(element) => possible(from, element),
            to => to.is_numeric() || to.is_temporal() || matches!(to, Type::Uuid | Type::Interval),
        },
        (from, to) => {
            (from.is_numeric() || from.is_temporal()) && (to.is_numeric() || to.is_temporal())
        }
    }
}

/// The constant that a text means.
///
/// # Errors
/// `InvalidText` or `InvalidDateTime`, quoting the text.
pub fn constant(text: &str, to: &Type) -> Result<ScalarValue> {
    let array = ScalarValue::from(text).to_array_of_size(1)?;
    let text = cast(&array, &Type::String.to_arrow())?;
    let value = convert(&text, &Type::String, to, Strictness::Fail)?;
    only_value(&value)
}

/// Converts an array. [`possible`] must hold for the types.
///
/// # Errors
/// With [`Strictness::Fail`], the first value that has no counterpart.
pub fn convert(
    array: &ArrayRef,
    from: &Type,
    to: &Type,
    strictness: Strictness,
) -> Result<ArrayRef> {
    match (from, to) {
        (from, to) if from.to_arrow() == to.to_arrow() => Ok(Arc::clone(array)),
        (Type::Null, _) => Ok(new_null_array(&to.to_arrow(), array.len())),
        (_, Type::String) => to_text(array, from),
        (Type::Array(from), Type::Array(to)) => {
            let list = array.as_list::<i32>();
            let values = convert(list.values(), from, to, strictness)?;
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            Ok(Arc::new(ListArray::try_new(to.item_field(), offsets, values, nulls)?))
        }
        (Type::Tuple(from), Type::Tuple(to)) => {
            let (columns, nulls) = (array.as_struct().columns(), array.nulls().cloned());
            let pairs = columns.iter().zip(from.iter().zip(to));
            let elements =
                pairs.map(|(column, ((_, a), (_, b)))| convert(column, a, b, strictness));
            let elements = elements.collect::<Result<Vec<_>>>()?;
            let fields = to.iter().map(|(name, ty)| ty.to_field(name, true)).collect();
            let length = array.len();
            Ok(Arc::new(StructArray::try_new_with_length(fields, elements, nulls, length)?))
        }
        (Type::Map(from_key, from), Type::Map(to_key, to_value)) => {
            let map = array.as_map();
            let DataType::Map(field, sorted) = to.to_arrow() else {
                return Err(Error::internal("a map that is none"));
            };
            let DataType::Struct(fields) = field.data_type() else {
                return Err(Error::internal("a map without entries"));
            };
            let keys = convert(map.keys(), from_key, to_key, strictness)?;
            let values = convert(map.values(), from, to_value, strictness)?;
            let entries = StructArray::try_new(fields.clone(), vec![keys, values], None)?;
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            Ok(Arc::new(MapArray::try_new(Arc::clone(&field), offsets, entries, nulls, sorted)?))
        }
        (from, _) if from.is_text() => from_text(array, to, strictness),
        (Type::Date | Type::DateTime(_), to) => from_time(array, from, to, strictness),
        (_, Type::Date | Type::DateTime(_)) => number_to_time(array, to),
        (from, to) if from.is_float() && to.is_integer() => float_to_int(array, to, strictness),
        (from, Type::Decimal(..)) if from.is_float() => float_to_decimal(array, to, strictness),
        (_, to) => Ok(cast_number(array, to, strictness)?),
    }
}

fn cast_number(array: &ArrayRef, to: &Type, strictness: Strictness) -> Result<ArrayRef> {
    let options = CastOptions { safe: strictness != Strictness::Fail, ..Default::default() };
    let array = match (array.data_type(), to) {
        (DataType::Boolean, Type::Decimal(..)) => &cast(array, &DataType::Int64)?,
        (DataType::Decimal128(..), Type::Bool) => &cast(array, &DataType::Float64)?,
        _ => array,
    };
    cast_with_options(array, &to.to_arrow(), &options)
        .map_err(|_| Error::new(ErrorKind::OutOfRange, format!("number out of range of {to}")))
}

fn to_text(array: &ArrayRef, from: &Type) -> Result<ArrayRef> {
    let display = Display::new(array, from)?;
    let mut builder = StringViewBuilder::with_capacity(array.len());
    let mut buffer = String::new();
    for row in 0..array.len() {
        buffer.clear();
        if display.write(row, &mut buffer) {
            builder.append_value(&buffer);
        } else {
            builder.append_null();
        }
    }
    Ok(Arc::new(builder.finish()))
}

fn from_text(array: &ArrayRef, to: &Type, strictness: Strictness) -> Result<ArrayRef> {
    Ok(match to {
        Type::Bool => {
            let rows = rows(array, to, strictness, parse_bool);
            Arc::new(rows.collect::<Result<BooleanArray>>()?)
        }
        Type::Float64 => primitive::<Float64Type>(array, to, strictness, parse_float)?,
        Type::Float32 => cast(&from_text(array, &Type::Float64, strictness)?, &to.to_arrow())?,
        Type::UInt64 => primitive::<UInt64Type>(array, to, strictness, parse_integer)?,
        to if to.is_integer() => {
            let wide = primitive::<Int64Type>(array, to, strictness, parse_integer)?;
            cast_number(&wide, to, strictness)?
        }
        Type::Decimal(precision, scale) => {
            let (digits, limit) = (u32::from(scale.unsigned_abs()), decimal_limit(*precision));
            let values = rows(array, to, strictness, |text| parse_decimal(text, digits, limit));
            let values = values.collect::<Result<PrimitiveArray<Decimal128Type>>>()?;
            Arc::new(values.with_precision_and_scale(*precision, *scale)?)
        }
        Type::Interval => {
            primitive::<IntervalMonthDayNanoType>(array, to, strictness, parse_interval)?
        }
        Type::Array(element) => text_to_list(array, to, element, strictness)?,
        Type::Date => primitive::<Date32Type>(array, to, strictness, time::parse_date)?,
        Type::DateTime(name) => {
            let zone = Zone::parse(name)?;
            let parse = |text: &str| time::parse_datetime(text, &zone, Order::DayFirst);
            let instants = rows(array, to, strictness, parse);
            let instants =
                instants.collect::<Result<PrimitiveArray<TimestampMicrosecondType>>>()?;
            Arc::new(instants.with_timezone(Arc::clone(name)))
        }
        Type::Uuid => {
            let mut builder = FixedSizeBinaryBuilder::with_capacity(array.len(), 16);
            for uuid in rows(array, to, strictness, |text| uuid::Uuid::parse_str(text).ok()) {
                match uuid? {
                    Some(uuid) => builder.append_value(uuid.as_bytes())?,
                    None => builder.append_null(),
                }
            }
            Arc::new(builder.finish())
        }
        to => return Err(Error::internal(format!("no conversion of text to {to}"))),
    })
}

/// The values of a text array, parsed; text that cannot be read is treated by `strictness`.
fn rows<'a, T>(
    array: &'a ArrayRef,
    to: &'a Type,
    strictness: Strictness,
    parse: impl Fn(&str) -> Option<T> + 'a,
) -> impl Iterator<Item = Result<Option<T>>> + 'a {
    array.as_string_view().iter().map(move |text| {
        let Some(text) = text else { return Ok(None) };
        match parse(text) {
            None if strictness == Strictness::Fail => Err(unreadable(text, to)),
            value => Ok(value),
        }
    })
}

fn parse_interval(text: &str) -> Option<IntervalMonthDayNano> {
    let interval = hedgerow_parser::parse_interval(text)?;
    let nanoseconds = interval.microseconds.checked_mul(1000)?;
    Some(IntervalMonthDayNano::new(interval.months, interval.days, nanoseconds))
}

/// `{a,b}`, as PostgreSQL writes arrays.
fn text_to_list(
    array: &ArrayRef,
    to: &Type,
    element: &Type,
    strictness: Strictness,
) -> Result<ArrayRef> {
    let mut builder = ListBuilder::new(StringViewBuilder::new());
    for items in rows(array, to, strictness, hedgerow_parser::parse_array) {
        match items? {
            Some(items) => builder.append_value(items),
            None => builder.append_null(),
        }
    }
    let list = builder.finish();
    let values: ArrayRef = Arc::clone(list.values());
    let values = convert(&values, &Type::String, element, strictness)?;
    let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
    Ok(Arc::new(ListArray::try_new(element.item_field(), offsets, values, nulls)?))
}

fn primitive<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    to: &Type,
    strictness: Strictness,
    parse: impl Fn(&str) -> Option<T::Native>,
) -> Result<ArrayRef> {
    let values = rows(array, to, strictness, parse).collect::<Result<PrimitiveArray<T>>>()?;
    Ok(Arc::new(values))
}

fn unreadable(text: &str, to: &Type) -> Error {
    let kind = match to {
        Type::Date | Type::DateTime(_) => ErrorKind::InvalidDateTime,
        _ => ErrorKind::InvalidText,
    };
    let shown: String = text.chars().take(100).collect();
    let error = Error::new(kind, format!("cannot read '{shown}' as {to}"));
    match to {
        Type::Date => error.hint("Write dates as '2024-03-10'."),
        Type::DateTime(_) => error.hint("Write times as '2024-03-10 12:30:00'."),
        Type::Bool => error.hint("Write true or false; conditions are connected with AND and OR."),
        Type::Uuid => error.hint("Write UUIDs as '550e8400-e29b-41d4-a716-446655440000'."),
        ty if ty.is_numeric() => error.hint("Write numbers without quotes."),
        _ => error,
    }
}

/// An optional sign and digits, nothing else.
fn parse_integer<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// A decimal number, `inf` or `nan`; no blanks.
fn parse_float(text: &str) -> Option<f64> {
    text.parse().ok()
}

fn parse_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "enable" | "enabled" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "off" | "disable" | "disabled" | "0" => Some(false),
        _ => None,
    }
}

/// Digits behind the scale are cut off, as in ClickHouse.
fn parse_decimal(text: &str, scale: u32, limit: i128) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let padding = std::iter::repeat(b'0');
    let kept = fraction.bytes().chain(padding).take(scale as usize);
    let cut = fraction.bytes().skip(scale as usize);
    if !cut.clone().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let value = whole.bytes().chain(kept).try_fold(0_i128, |value, digit| {
        let digit = char::from(digit).to_digit(10)?;
        value.checked_mul(10)?.checked_add(digit.into())
    });
    value.filter(|value| *value < limit).map(|value| sign * value)
}

/// Decimals that are as large or larger have too many digits.
fn decimal_limit(precision: u8) -> i128 {
    10_i128.checked_pow(precision.into()).unwrap_or(i128::MAX)
}

fn float_to_decimal(array: &ArrayRef, to: &Type, strictness: Strictness) -> Result<ArrayRef> {
    let Type::Decimal(precision, scale) = to else {
        return Err(Error::internal("the target is a decimal"));
    };
    let (factor, limit) = (10_f64.powi((*scale).into()), decimal_limit(*precision) as f64);
    let floats = cast(array, &Type::Float64.to_arrow())?;
    let values = floats.as_primitive::<Float64Type>().iter().map(|value| {
        let Some(value) = value else { return Ok(None) };
        // The product may fall short of a decimal that the float stands for by its last bit.
        let scaled = value * factor;
        let nearest = scaled.round();
        let near = (scaled - nearest).abs() <= scaled.abs() * f64::EPSILON;
        let whole = if near { nearest } else { scaled.trunc() };
        match whole.abs() < limit {
            true => Ok(Some(whole as i128)),
            false if strictness == Strictness::Fail => {
                Err(Error::new(ErrorKind::OutOfRange, format!("number out of range of {to}")))
            }
            false => Ok(None),
        }
    });
    let values = values.collect::<Result<PrimitiveArray<Decimal128Type>>>()?;
    Ok(Arc::new(values.with_precision_and_scale(*precision, *scale)?))
}

fn float_to_int(array: &ArrayRef, to: &Type, strictness: Strictness) -> Result<ArrayRef> {
    let floats = cast(array, &Type::Float64.to_arrow())?;
    let floats = floats.as_primitive::<Float64Type>();
    let whole: PrimitiveArray<Float64Type> = if strictness == Strictness::Exact {
        floats.unary_opt(|value| (value.fract() == 0.0).then_some(value))
    } else {
        floats.unary(f64::trunc)
    };
    cast_number(&(Arc::new(whole) as ArrayRef), to, strictness)
}

fn from_time(array: &ArrayRef, from: &Type, to: &Type, strictness: Strictness) -> Result<ArrayRef> {
    match (from, to) {
        (Type::Date, Type::DateTime(name)) => {
            let zone = Zone::parse(name)?;
            let midnight = |day: i32| zone.to_instant(i64::from(day) * time::DAY);
            let instants = array
                .as_primitive::<Date32Type>()
                .unary::<_, TimestampMicrosecondType>(midnight)
                .with_timezone(Arc::clone(name));
            Ok(Arc::new(instants))
        }
        (Type::DateTime(_), Type::DateTime(name)) => {
            let instants = array.as_primitive::<TimestampMicrosecondType>().clone();
            Ok(Arc::new(instants.with_timezone(Arc::clone(name))))
        }
        (Type::DateTime(name), Type::Date) => {
            let zone = Zone::parse(name)?;
            let day = |instant: i64| zone.to_local(instant).div_euclid(time::DAY) as i32;
            let days = array.as_primitive::<TimestampMicrosecondType>();
            Ok(Arc::new(days.unary::<_, Date32Type>(day)))
        }
        (Type::Date, to) => cast_number(&cast(array, &Type::Int32.to_arrow())?, to, strictness),
        (_, to) if to.is_float() => {
            let instants = array.as_primitive::<TimestampMicrosecondType>();
            let seconds = instants.unary::<_, Float64Type>(|us| us as f64 / SECOND as f64);
            cast_number(&(Arc::new(seconds) as ArrayRef), to, strictness)
        }
        (_, to) => {
            let instants = array.as_primitive::<TimestampMicrosecondType>();
            let seconds = instants.unary::<_, Int64Type>(|us| us.div_euclid(SECOND));
            cast_number(&(Arc::new(seconds) as ArrayRef), to, strictness)
        }
    }
}

/// Seconds since the epoch; for dates also days.
fn number_to_time(array: &ArrayRef, to: &Type) -> Result<ArrayRef> {
    let numbers = cast(array, &Type::Float64.to_arrow())?;
    let numbers = numbers.as_primitive::<Float64Type>();
    let Type::DateTime(name) = to else {
        let day = |number: f64| {
            let days = if number <= LAST_DAY_NUMBER { number } else { number / 86_400.0 };
            days.is_finite().then(|| days.floor() as i32)
        };
        return Ok(Arc::new(numbers.unary_opt::<_, Date32Type>(day)));
    };
    let instant =
        |seconds: f64| seconds.is_finite().then(|| (seconds * SECOND as f64).round() as i64);
    let instants = numbers.unary_opt::<_, TimestampMicrosecondType>(instant);
    Ok(Arc::new(instants.with_timezone(Arc::clone(name))))
}
