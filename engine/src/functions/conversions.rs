//! Conversions by name.

pub mod convert;
pub mod display;

use arrow::array::ArrayRef;
use hedgerow_parser::Span;
use hedgerow_parser::ast::{ExprKind, TypeName};

use self::convert::Strictness;
use super::adapter::Adapter;
use super::arguments::Arguments;
use super::arithmetic::{one, two};
use super::coerce::{self, mismatch};
use super::conditions::{case, coalesce, null_test};
use super::dates::zone_argument;
use super::function::{Arg, Argument, Function, Nulls, Returns};
use super::{PlanContext, Typed};
use crate::error::{Error, ErrorKind, Result};
use crate::types::Type;
use crate::types::time::{self, Order, Zone};

/// A conversion to a type by a function of one argument.
macro_rules! conversion {
    ($name:literal, $aliases:expr, $ty:ident, $how:ident, $doc:literal, $($example:tt),+) => {
        Function::rewrite($name, &[Arg::Any], |_, span, args| {
            $how(one(args)?, &Type::$ty, span)
        })
        .aliases($aliases)
        .doc($doc)
        .examples(&[$($example),+])
    };
}

/// The functions that convert.
pub(super) const FUNCTIONS: &[Function] = &[
    CAST,
    TRY_CAST,
    EXACT_CAST,
    conversion!(
        "toInt",
        &["toInt64", "toIntOrNull", "toInt64OrNull"],
        Int64,
        exact,
        "An integer; NULL for what is none, fractions included.",
        ("toInt('42')", "42"),
        ("toInt('x')", "NULL"),
        ("toInt(1.5)", "NULL")
    ),
    conversion!(
        "toFloat",
        &["toFloat64", "toFloatOrNull", "toFloat64OrNull"],
        Float64,
        exact,
        "A float; NULL for text that is none.",
        ("toFloat('1.5')", "1.5"),
        ("toFloat('')", "NULL")
    ),
    conversion!(
        "toBool",
        &[],
        Bool,
        exact,
        "True or false; NULL for text that is neither.",
        ("toBool('yes')", "true"),
        ("toBool(0)", "false"),
        ("toBool('x')", "NULL")
    ),
    conversion!(
        "toUUID",
        &["toUUIDOrNull"],
        Uuid,
        exact,
        "A UUID; NULL for text that is none.",
        ("toUUID('550E8400-e29b-41d4-a716-446655440000')", "550e8400-e29b-41d4-a716-446655440000"),
        ("toUUID('x')", "NULL")
    ),
    conversion!(
        "toDate",
        &["to_date", "toDateOrNull"],
        Date,
        exact,
        "The date, in the zone of a datetime; NULL for text that is none. Numbers are days, \
         or seconds if above 65535.",
        ("toDate('2024-03-10 12:00:00')", "2024-03-10"),
        ("toDate(19000)", "2022-01-08"),
        ("toDate('x')", "NULL")
    ),
    conversion!(
        "toNullableString",
        &[],
        String,
        exact,
        "The text.",
        ("toNullableString(1.5)", "1.5")
    ),
    conversion!(
        "_toInt8",
        &[],
        Int8,
        strict,
        "Int8; an error if it does not fit.",
        ("_toInt8(42)", "42")
    ),
    conversion!(
        "_toInt16",
        &[],
        Int16,
        strict,
        "Int16; an error if it does not fit.",
        ("_toInt16(42)", "42")
    ),
    conversion!(
        "_toInt32",
        &[],
        Int32,
        strict,
        "Int32; an error if it does not fit.",
        ("_toInt32(42)", "42")
    ),
    conversion!(
        "_toInt64",
        &[],
        Int64,
        strict,
        "Int64; an error if it does not fit.",
        ("_toInt64('42')", "42")
    ),
    conversion!(
        "_toUInt8",
        &[],
        UInt8,
        strict,
        "UInt8; an error if it does not fit.",
        ("_toUInt8(42)", "42")
    ),
    conversion!(
        "_toUInt64",
        &[],
        UInt64,
        strict,
        "UInt64; an error if it does not fit.",
        ("_toUInt64(42)", "42")
    ),
    conversion!(
        "_toDate",
        &[],
        Date,
        strict,
        "A date; an error if it is none.",
        ("_toDate('2024-03-10')", "2024-03-10")
    ),
    Function::rewrite("toIntOrZero", &[Arg::Any], |cx, span, args| {
        or_default(cx, span, args, &Type::Int64)
    })
    .aliases(&["toInt64OrZero"])
    .doc("An integer; 0 for what is none.")
    .examples(&[("toIntOrZero('42')", "42"), ("toIntOrZero('x')", "0")]),
    Function::rewrite("toIntOrDefault", &[Arg::Any, Arg::Any], |cx, span, args| {
        or_default(cx, span, args, &Type::Int64)
    })
    .aliases(&["toInt64OrDefault"])
    .optional(1)
    .doc("An integer; the second argument, by default 0, for what is none.")
    .examples(&[("toIntOrDefault('x', -1)", "-1"), ("toIntOrDefault('5', -1)", "5")]),
    Function::rewrite("toFloatOrZero", &[Arg::Any], |cx, span, args| {
        or_default(cx, span, args, &Type::Float64)
    })
    .aliases(&["toFloat64OrZero"])
    .doc("A float; 0 for what is none.")
    .examples(&[("toFloatOrZero('x')", "0")]),
    Function::rewrite("toFloatOrDefault", &[Arg::Any, Arg::Any], |cx, span, args| {
        or_default(cx, span, args, &Type::Float64)
    })
    .aliases(&["toFloat64OrDefault"])
    .optional(1)
    .doc("A float; the second argument, by default 0, for what is none.")
    .examples(&[("toFloatOrDefault('x', 1.5)", "1.5")]),
    Function::rewrite("toUUIDOrDefault", &[Arg::Any, Arg::Uuid], |cx, span, args| {
        or_default(cx, span, args, &Type::Uuid)
    })
    .doc("A UUID; the second argument for text that is none.")
    .examples(&[(
        "toUUIDOrDefault('x', toUUID('550e8400-e29b-41d4-a716-446655440000'))",
        "550e8400-e29b-41d4-a716-446655440000",
    )]),
    Function::rewrite("toDecimal", &[Arg::Any, Arg::Int], |_, span, args| {
        let [value, scale] = two(args)?;
        exact(value, &Type::Decimal(18, constant_scale(&scale)?), span)
    })
    .doc("A decimal of a constant scale, up to 18 digits, without what lies behind; NULL for what is \
         none.")
    .examples(&[("toDecimal('1.255', 2)", "1.25"), ("toDecimal('x', 2)", "NULL")]),
    Function::rewrite("toString", &[Arg::Any, Arg::Text], to_string)
        .optional(1)
        .doc("The text of any value; times in the given zone, by default their own.")
        .examples(&[
            ("toString(1.5)", "1.5"),
            ("toString([1, 2])", "[1,2]"),
            ("toString(toDateTime('2024-01-01 00:00:00'), 'Asia/Tokyo')", "2024-01-01 09:00:00"),
        ]),
    Function::rewrite("toDateTime", &[Arg::Any, Arg::Text], to_datetime)
        .optional(1)
        .doc(
            "A datetime: text in many forms, read as local time of the zone where it names none; \
             seconds since the epoch; the midnight of a date. Computed text that is none gives \
             NULL, a constant is an error.",
        )
        .examples(&[
            ("toDateTime('2024-03-10T12:30:00Z')", "2024-03-10 12:30:00"),
            ("toDateTime(1700000000)", "2023-11-14 22:13:20"),
            ("toDateTime(concat('x', 'y'))", "NULL"),
        ]),
    Function::rewrite("toDateTime64", &[Arg::Any, Arg::Int, Arg::Text], |cx, span, mut args| {
        // Every datetime has microseconds.
        if args.len() > 1 {
            args.remove(1);
        }
        to_datetime(cx, span, args)
    })
    .optional(2)
    .doc("As toDateTime; the precision given second is always 6.")
    .examples(&[("toDateTime64('2024-03-10 12:30:00.25', 6)", "2024-03-10 12:30:00.250000")]),
    Function::rewrite("parseDateTimeBestEffort", &[Arg::Text, Arg::Text], |cx, span, args| {
        let zone = zone_argument(cx, args.get(1))?;
        let value = args.into_iter().next();
        let value = value.ok_or_else(|| Error::internal("arguments were not counted"))?;
        exact(value, &Type::DateTime(zone.name().into()), span)
    })
    .aliases(&["parseDateTimeBestEffortOrNull", "parseDateTime64BestEffort"])
    .optional(1)
    .doc("The datetime of a text in many forms; NULL for text that is none.")
    .examples(&[
        ("parseDateTimeBestEffort('10 Mar 2024 12:30')", "2024-03-10 12:30:00"),
        ("parseDateTimeBestEffort('x')", "NULL"),
    ]),
    Function::scalar(
        "toDateTimeUS",
        &[Arg::Text, Arg::Text],
        Returns::Derived(zone_of_second),
        to_datetime_us,
    )
    .prepare(complete_zone)
    .optional(1)
    .nulls(Nulls::Introduce)
    .doc("As toDateTime, but 03/10/2024 is March 10th.")
    .examples(&[("toDateTimeUS('03/10/2024 12:30:00')", "2024-03-10 12:30:00")]),
    Function::rewrite("fromUnixTimestamp", &[Arg::Number, Arg::Text], to_datetime)
        .aliases(&["to_timestamp"])
        .optional(1)
        .doc("The datetime of seconds since the epoch.")
        .examples(&[("fromUnixTimestamp(1700000000)", "2023-11-14 22:13:20")]),
    Function::scalar(
        "fromUnixTimestamp64Milli",
        &[Arg::Int, Arg::Text],
        Returns::Derived(zone_of_second),
        |args| {
            let millis = args.int(0);
            args.datetimes(|row| Ok(millis.get(row).and_then(|millis| millis.checked_mul(1000))))
        },
    )
    .prepare(complete_zone)
    .optional(1)
    .nulls(Nulls::Introduce)
    .doc("The datetime of milliseconds since the epoch.")
    .examples(&[("fromUnixTimestamp64Milli(1700000000123)", "2023-11-14 22:13:20.123000")]),
    Function::rewrite("accurateCast", &[Arg::Any, Arg::Text], |cx, span, args| {
        let [value, name] = two(args)?;
        strict(value, &named_type(cx, &name)?, span)
    })
    .doc("Converts to the type of a constant name; an error for what does not fit.")
    .examples(&[("accurateCast('5', 'Int64')", "5")]),
    Function::rewrite("accurateCastOrNull", &[Arg::Any, Arg::Text], |cx, span, args| {
        let [value, name] = two(args)?;
        exact(value, &named_type(cx, &name)?, span)
    })
    .doc("Converts to the type of a constant name; NULL for what does not fit.")
    .examples(&[("accurateCastOrNull('x', 'Int64')", "NULL")]),
    Function::rewrite("toTypeName", &[Arg::Any], |_, span, args| {
        Ok(Typed::text(one(args)?.ty.to_string(), span))
    })
    .doc("The name of the argument's type.")
    .examples(&[("toTypeName([1.5])", "Array(Float64)")]),
];

/// `__cast(value, NULL of the target type)`: what all conversions become. The target travels as
/// the type of a NULL, so that the call says everything about itself.
const CAST: Function =
    Function::scalar("__cast", &[Arg::Any, Arg::Any], Returns::Derived(target), |args| {
        convert(args, Strictness::Fail)
    })
    .nulls(Nulls::First)
    .doc("Converts to the type of the second argument; a value without counterpart is an error.");

const TRY_CAST: Function =
    Function::scalar("__tryCast", &[Arg::Any, Arg::Any], Returns::Derived(target), |args| {
        convert(args, Strictness::NullOnFailure)
    })
    .nulls(Nulls::Custom)
    .doc("Converts to the type of the second argument; a value without counterpart gives NULL.");

const EXACT_CAST: Function =
    Function::scalar("__exactCast", &[Arg::Any, Arg::Any], Returns::Derived(target), |args| {
        convert(args, Strictness::Exact)
    })
    .nulls(Nulls::Custom)
    .doc("As __tryCast; a number that the type cannot hold exactly gives NULL, too.");

/// A conversion. [`convert::possible`] must hold for the types.
///
/// # Errors
/// `Internal`, when the type has no NULL constant.
pub fn converted(value: Typed, target: &Type, strictness: Strictness) -> Result<Typed> {
    let function = match strictness {
        Strictness::Fail => &CAST,
        Strictness::NullOnFailure => &TRY_CAST,
        Strictness::Exact => &EXACT_CAST,
    };
    let span = value.span;
    let target_null = Typed::null(target.clone(), span)?;
    let expr = Adapter::udf(function, span).call(vec![value.expr, target_null.expr]);
    Ok(Typed::new(expr, target.clone(), span))
}

fn target(args: &[Argument<'_>]) -> Result<Type> {
    let target = args.get(1).ok_or_else(|| Error::internal("a cast without a target"))?;
    Ok(target.ty.clone())
}

fn convert(args: &Arguments<'_>, strictness: Strictness) -> Result<ArrayRef> {
    convert::convert(&args.expanded(0)?, &args.types[0], args.returns, strictness)
}

fn exact(value: Typed, target: &Type, span: Span) -> Result<Typed> {
    by_name(value, target, Strictness::Exact, span)
}

fn strict(value: Typed, target: &Type, span: Span) -> Result<Typed> {
    by_name(value, target, Strictness::Fail, span)
}

fn by_name(value: Typed, target: &Type, strictness: Strictness, span: Span) -> Result<Typed> {
    if value.ty == *target {
        return Ok(value);
    }
    if value.is_untyped_parameter() {
        // Text is what a driver sends for a parameter of unknown type.
        let text = coerce::coerce(value, &Type::String, "UTC")?;
        return by_name(text, target, strictness, span);
    }
    if value.is_null() {
        return Typed::null(target.clone(), span);
    }
    if !convert::possible(&value.ty, target) {
        return Err(mismatch(&value.ty, target).at(value.span));
    }
    Ok(Typed { span, ..converted(value, target, strictness)? })
}

/// The converted value, NULL for NULL, and the second argument or zero for what does not fit.
fn or_default(cx: &dyn PlanContext, span: Span, args: Vec<Typed>, ty: &Type) -> Result<Typed> {
    let mut args = args.into_iter();
    let value = args.next().ok_or_else(|| Error::internal("arguments were not counted"))?;
    let default = match args.next() {
        Some(default) => cx.coerce(default, ty)?,
        None => cx.coerce(Typed::int(0, span), ty)?,
    };
    let known = coalesce(cx, span, vec![exact(value.clone(), ty, span)?, default])?;
    if !value.nullable(cx.schema()) {
        return Ok(known);
    }
    case(cx, span, vec![(null_test(value, true, span), known)], None)
}

fn constant_scale(scale: &Typed) -> Result<i8> {
    let value = scale.as_constant().and_then(|value| i64::try_from(value.clone()).ok());
    value.filter(|scale| (0..=18).contains(scale)).map(|scale| scale as i8).ok_or_else(|| {
        Error::new(ErrorKind::InvalidArgument, "the scale must be a constant from 0 to 18")
            .at(scale.span)
    })
}

fn to_string(cx: &dyn PlanContext, span: Span, args: Vec<Typed>) -> Result<Typed> {
    if args.len() == 2 {
        let [value, zone] = two(args)?;
        let shown = super::call(cx, span, "toTimeZone", vec![value, zone])?;
        return exact(shown, &Type::String, span);
    }
    exact(one(args)?, &Type::String, span)
}

fn to_datetime(cx: &dyn PlanContext, span: Span, args: Vec<Typed>) -> Result<Typed> {
    let zone = zone_argument(cx, args.get(1))?;
    let target = Type::DateTime(zone.name().into());
    let value = args.into_iter().next();
    let value = value.ok_or_else(|| Error::internal("arguments were not counted"))?;
    match &value.ty {
        Type::DateTime(_) | Type::Date | Type::Null => coerce::coerce(value, &target, zone.name()),
        Type::String if value.as_text().is_some() => coerce::coerce(value, &target, zone.name()),
        _ => exact(value, &target, span),
    }
}

fn complete_zone(cx: &dyn PlanContext, span: Span, args: &mut Vec<Typed>) -> Result<()> {
    let zone = zone_argument(cx, args.get(1))?;
    args.truncate(1);
    args.push(Typed::text(zone.name(), span));
    Ok(())
}

fn zone_of_second(args: &[Argument<'_>]) -> Result<Type> {
    let zone = args.get(1).and_then(|zone| zone.constant?.try_as_str().flatten());
    let zone = zone.ok_or_else(|| Error::internal("the time zone was not completed"))?;
    Ok(Type::DateTime(zone.into()))
}

fn to_datetime_us(args: &Arguments<'_>) -> Result<ArrayRef> {
    let Type::DateTime(name) = args.returns else {
        return Err(Error::internal("toDateTimeUS gives a datetime"));
    };
    let (zone, texts) = (Zone::parse(name)?, args.text(0));
    args.datetimes(|row| {
        Ok(texts.get(row).and_then(|text| time::parse_datetime(text, &zone, Order::MonthFirst)))
    })
}

/// The type that a constant text names, in the syntax of CAST.
pub(super) fn named_type(cx: &dyn PlanContext, name: &Typed) -> Result<Type> {
    let text = name.as_text().ok_or_else(|| {
        Error::new(ErrorKind::InvalidArgument, "the type must be a constant text").at(name.span)
    })?;
    let parsed: Option<TypeName> =
        hedgerow_parser::parse_expr(&format!("CAST(NULL AS {text})"), Default::default())
            .ok()
            .and_then(|expr| match expr.kind {
                ExprKind::Cast { target, .. } => Some(target),
                _ => None,
            });
    let parsed = parsed.ok_or_else(|| {
        Error::new(ErrorKind::TypeMismatch, format!("no type named {text}")).at(name.span)
    })?;
    Type::parse(&parsed, cx.timezone()).map_err(|error| Error { span: Some(name.span), ..error })
}
