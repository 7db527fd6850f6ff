//! Arithmetic, on numbers and on dates.
//!
//! Numbers follow ClickHouse: integers wrap around, `/` always divides as floats, the
//! remainder of an integer division by zero is an error, booleans count as 0 and 1. Dates and
//! times move by intervals on the local calendar, by integers in days or seconds.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::compute::kernels::numeric;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, UInt64Type};
use datafusion::common::ScalarValue;
use datafusion::functions::core;
use datafusion::logical_expr as logical;
use datafusion::logical_expr::{ExprSchemable, Operator, ScalarUDF, binary_expr};
use hedgerow_parser::Span;
use hedgerow_parser::ast::BinaryOp;

use super::arguments::Arguments;
use super::coerce::common;
use super::function::{Arg, Argument, Function, Returns};
use super::{PlanContext, Typed, call, comparison, dates, strings};
use crate::error::{Error, ErrorKind, Result};
use crate::types::Type;

/// The functions behind the operators, and their relatives.
pub(super) const FUNCTIONS: &[Function] = &[
    Function::rewrite("plus", &[Arg::Any, Arg::Any], |cx, span, args| {
        apply(cx, BinaryOp::Plus, args, span)
    })
    .doc("The sum. Same as `+`; a date moves by days, a datetime by seconds.")
    .examples(&[("plus(1, 2)", "3"), ("plus(toDate('2024-01-31'), 1)", "2024-02-01")]),
    Function::rewrite("minus", &[Arg::Any, Arg::Any], |cx, span, args| {
        apply(cx, BinaryOp::Minus, args, span)
    })
    .doc("The difference. Same as `-`; in days between dates, in seconds between datetimes.")
    .examples(&[("minus(1, 2)", "-1"), ("toDate('2024-03-01') - toDate('2024-02-01')", "29")]),
    Function::rewrite("multiply", &[Arg::Any, Arg::Any], |cx, span, args| {
        apply(cx, BinaryOp::Multiply, args, span)
    })
    .doc("The product. Same as `*`.")
    .examples(&[("multiply(2, 1.5)", "3")]),
    Function::rewrite("divide", &[Arg::Any, Arg::Any], |cx, span, args| {
        apply(cx, BinaryOp::Divide, args, span)
    })
    .doc("The quotient as a float. Same as `/`; division by zero gives inf or nan.")
    .examples(&[("divide(7, 2)", "3.5"), ("divide(1, 0)", "inf")]),
    Function::rewrite("modulo", &[Arg::Any, Arg::Any], |cx, span, args| {
        apply(cx, BinaryOp::Modulo, args, span)
    })
    .aliases(&["mod"])
    .doc("The remainder, with the sign of the first argument. Same as `%`.")
    .examples(&[("modulo(7, 3)", "1"), ("modulo(-7, 3)", "-1"), ("modulo(5.5, 2)", "1.5")]),
    Function::rewrite("negate", &[Arg::Any], |cx, span, args| negate(cx, one(args)?, span))
        .doc("The number with the other sign. Same as unary `-`.")
        .examples(&[("negate(5)", "-5"), ("negate(-1.5)", "1.5")]),
    Function::scalar("abs", &[Arg::Number], Returns::First, abs)
        .any_case()
        .doc("The absolute value.")
        .examples(&[("abs(-3)", "3"), ("abs(-2.5)", "2.5")]),
    WRAPPED,
    REMAINDER,
    DECIMAL_QUOTIENT,
    Function::scalar("intDiv", &[Arg::Number, Arg::Number], Returns::Derived(quotient), int_div)
        .doc("The quotient without its fraction. Division by zero is an error.")
        .examples(&[("intDiv(7, 2)", "3"), ("intDiv(-7, 2)", "-3"), ("intDiv(5.5, 2)", "2")]),
    Function::scalar("intDivOrZero", &[Arg::Int, Arg::Int], Returns::Int, |args| {
        integers(args, |a, b| Ok(if b == 0 { 0 } else { a.wrapping_div(b) }))
    })
    .doc("The quotient without its fraction; 0 for division by zero.")
    .examples(&[("intDivOrZero(7, 2)", "3"), ("intDivOrZero(7, 0)", "0")]),
    Function::scalar("moduloOrZero", &[Arg::Int, Arg::Int], Returns::Int, |args| {
        integers(args, |a, b| Ok(if b == 0 { 0 } else { a.wrapping_rem(b) }))
    })
    .doc("The remainder of integers; 0 for division by zero.")
    .examples(&[("moduloOrZero(7, 4)", "3"), ("moduloOrZero(7, 0)", "0")]),
    Function::scalar("positiveModulo", &[Arg::Int, Arg::Int], Returns::Int, |args| {
        integers(args, |a, b| Ok(a.wrapping_rem_euclid(not_zero(b)?)))
    })
    .aliases(&["positive_modulo", "pmod"])
    .doc("The remainder of integers, never negative.")
    .examples(&[("positiveModulo(-7, 3)", "2")]),
    Function::scalar("gcd", &[Arg::Int, Arg::Int], Returns::Int, |args| {
        integers(args, |a, b| Ok(gcd(a, b)))
    })
    .doc("The greatest common divisor.")
    .examples(&[("gcd(12, 18)", "6")]),
    Function::scalar("lcm", &[Arg::Int, Arg::Int], Returns::Int, |args| {
        integers(args, |a, b| {
            let divisor = gcd(a, b);
            Ok(if divisor == 0 { 0 } else { (a / divisor).wrapping_mul(b).wrapping_abs() })
        })
    })
    .doc("The least common multiple.")
    .examples(&[("lcm(4, 6)", "12")]),
    Function::rewrite("greatest", &[Arg::Any, Arg::Any], |cx, span, args| {
        extreme(cx, core::greatest(), args, span)
    })
    .any_case()
    .variadic()
    .doc("The largest argument that is not NULL.")
    .examples(&[("greatest(1, 2)", "2"), ("greatest('a', 'b', NULL)", "b")]),
    Function::rewrite("least", &[Arg::Any, Arg::Any], |cx, span, args| {
        extreme(cx, core::least(), args, span)
    })
    .any_case()
    .variadic()
    .doc("The smallest argument that is not NULL.")
    .examples(&[("least(1, 2)", "1")]),
    Function::scalar("max2", &[Arg::Float, Arg::Float], Returns::Float, |args| {
        let (a, b) = (args.float(0), args.float(1));
        Ok(args.floats(|row| Some(a.get(row)?.max(b.get(row)?))))
    })
    .any_case()
    .doc("The larger of two numbers, as a float.")
    .examples(&[("max2(1, 2)", "2")]),
    Function::scalar("min2", &[Arg::Float, Arg::Float], Returns::Float, |args| {
        let (a, b) = (args.float(0), args.float(1));
        Ok(args.floats(|row| Some(a.get(row)?.min(b.get(row)?))))
    })
    .any_case()
    .doc("The smaller of two numbers, as a float.")
    .examples(&[("min2(1, 2)", "1")]),
];

/// What unsigned numbers become before they are calculated with signed ones, as in ClickHouse.
const WRAPPED: Function = Function::scalar("__wrapped", &[Arg::Any], Returns::Int, |args| {
    let values = args.uint(0);
    Ok(args.ints(|row| values.get(row).map(u64::cast_signed)))
})
.doc("The signed integer of the same bits.");

/// The operator `%` between integers.
const REMAINDER: Function =
    Function::scalar("__remainder", &[Arg::Any, Arg::Any], Returns::Derived(quotient), remainder)
        .doc("The remainder, with the sign of the first argument. By zero it is an error.");

/// The operator `/` between decimals.
const DECIMAL_QUOTIENT: Function = Function::scalar(
    "__decimalQuotient",
    &[Arg::Any, Arg::Any],
    Returns::Derived(decimal_quotient_type),
    |args| {
        let quotient = numeric::div(&args.expanded(0)?, &args.expanded(1)?)?;
        Ok(cast(&quotient, &args.returns.to_arrow())?)
    },
)
.doc("The quotient, with the larger scale of the two. By zero it is an error.");

/// `left op right`, for every binary operator of the syntax.
///
/// # Errors
/// `TypeMismatch`, naming both types, when the operator does not take them.
pub fn binary(
    cx: &dyn PlanContext,
    op: BinaryOp,
    left: Typed,
    right: Typed,
    span: Span,
) -> Result<Typed> {
    let result = match op {
        BinaryOp::Plus => plus(cx, left, right, span),
        BinaryOp::Minus => minus(cx, left, right, span),
        BinaryOp::Multiply => match (&left.ty, &right.ty) {
            (Type::Interval, _) => scaled(cx, left, right, false, span),
            (_, Type::Interval) => scaled(cx, right, left, false, span),
            _ => numbers(cx, Operator::Multiply, left, right, span),
        },
        BinaryOp::Modulo => numbers(cx, Operator::Modulo, left, right, span),
        BinaryOp::Divide if left.ty == Type::Interval => scaled(cx, left, right, true, span),
        BinaryOp::Divide => divide(cx, left, right, span),
        BinaryOp::Concat => strings::concat(cx, span, vec![left, right]),
        BinaryOp::Eq
        | BinaryOp::NotEq
        | BinaryOp::Lt
        | BinaryOp::LtEq
        | BinaryOp::Gt
        | BinaryOp::GtEq
        | BinaryOp::Like
        | BinaryOp::NotLike
        | BinaryOp::ILike
        | BinaryOp::NotILike
        | BinaryOp::Match
        | BinaryOp::NotMatch
        | BinaryOp::IMatch
        | BinaryOp::NotIMatch => comparison::compare(cx, op, left, right, true, span),
    };
    result.map_err(|error| error.at(span))
}

fn apply(cx: &dyn PlanContext, op: BinaryOp, args: Vec<Typed>, span: Span) -> Result<Typed> {
    let [left, right] = two(args)?;
    binary(cx, op, left, right, span)
}

/// The only argument.
pub(super) fn one(args: Vec<Typed>) -> Result<Typed> {
    let [value] = exactly(args)?;
    Ok(value)
}

/// The only two arguments.
pub(super) fn two(args: Vec<Typed>) -> Result<[Typed; 2]> {
    exactly(args)
}

/// So many arguments; the registry has counted them.
pub(super) fn exactly<const N: usize>(args: Vec<Typed>) -> Result<[Typed; N]> {
    args.try_into().map_err(|_| Error::internal("arguments were not counted"))
}

/// `-value`.
///
/// # Errors
/// `TypeMismatch` for anything but numbers and intervals.
pub fn negate(cx: &dyn PlanContext, value: Typed, span: Span) -> Result<Typed> {
    let target = match &value.ty {
        ty @ (Type::Interval | Type::Decimal(..)) => ty.clone(),
        Type::Null => Type::Float64,
        ty if ty.is_float() => Type::Float64,
        ty if ty.is_numeric() => Type::Int64,
        ty => {
            return Err(Error::new(ErrorKind::TypeMismatch, format!("{ty} cannot be negated")));
        }
    };
    let value = cx.coerce(value, &target)?;
    // From 0, so that integers wrap around and 0.0 keeps its sign.
    let zero = match target {
        Type::Int64 => logical::lit(0_i64),
        Type::Float64 => logical::lit(0.0),
        _ => return Ok(Typed::new(logical::Expr::Negative(Box::new(value.expr)), target, span)),
    };
    Ok(Typed::new(binary_expr(zero, Operator::Minus, value.expr), target, span))
}

fn mismatch(op: Operator, left: &Type, right: &Type) -> Error {
    let error = Error::new(
        ErrorKind::TypeMismatch,
        format!("operator {op} cannot be applied to {left} and {right}"),
    );
    match (left, right) {
        (ty, other) | (other, ty) if ty.is_text() && other.is_numeric() => {
            error.hint("Convert the text with toFloat(...) or toInt(...).")
        }
        (ty, other) | (other, ty) if ty.is_text() && other.is_temporal() => {
            error.hint("Convert the text with toDateTime(...) or toDate(...).")
        }
        _ => error,
    }
}

fn plus(cx: &dyn PlanContext, left: Typed, right: Typed, span: Span) -> Result<Typed> {
    match (&left.ty, &right.ty) {
        (Type::Interval, Type::Interval) => {
            Ok(native(Operator::Plus, left, right, Type::Interval, span))
        }
        (ty, _) if ty.is_temporal() => dates::moved(cx, left, right, false, span),
        (_, ty) if ty.is_temporal() => dates::moved(cx, right, left, false, span),
        _ => numbers(cx, Operator::Plus, left, right, span),
    }
}

fn minus(cx: &dyn PlanContext, left: Typed, right: Typed, span: Span) -> Result<Typed> {
    match (&left.ty, &right.ty) {
        (Type::Interval, Type::Interval) => {
            Ok(native(Operator::Minus, left, right, Type::Interval, span))
        }
        (a, b) if a.is_temporal() && b.is_temporal() => elapsed(cx, left, right, span),
        (ty, _) if ty.is_temporal() => dates::moved(cx, left, right, true, span),
        _ => numbers(cx, Operator::Minus, left, right, span),
    }
}

/// Days between dates, seconds between datetimes.
fn elapsed(cx: &dyn PlanContext, left: Typed, right: Typed, span: Span) -> Result<Typed> {
    if (&left.ty, &right.ty) == (&Type::Date, &Type::Date) {
        let days = |date: Typed| date.expr.cast_to(&DataType::Int32, cx.schema());
        let days = |date| days(date)?.cast_to(&DataType::Int64, cx.schema());
        let expr = binary_expr(days(left)?, Operator::Minus, days(right)?);
        return Ok(Typed::new(expr, Type::Int64, span));
    }
    let (values, _) = common(vec![left, right], cx.timezone())?;
    let [left, right] = two(values)?;
    let micros = |instant: Typed| instant.expr.cast_to(&DataType::Int64, cx.schema());
    let micros = binary_expr(micros(left)?, Operator::Minus, micros(right)?);
    let expr = binary_expr(micros, Operator::Divide, logical::lit(1_000_000_i64));
    Ok(Typed::new(expr, Type::Int64, span))
}

fn native(op: Operator, left: Typed, right: Typed, ty: Type, span: Span) -> Typed {
    Typed::new(binary_expr(left.expr, op, right.expr), ty, span)
}

/// Arithmetic on numbers.
fn numbers(
    cx: &dyn PlanContext,
    op: Operator,
    left: Typed,
    right: Typed,
    span: Span,
) -> Result<Typed> {
    let (left, right) = same_sign(cx, left, right)?;
    let ty =
        number_type(op, &left.ty, &right.ty).ok_or_else(|| mismatch(op, &left.ty, &right.ty))?;
    if op == Operator::Modulo && ty.is_integer() {
        let integer = |value: Typed| match value.ty {
            Type::UInt64 => Ok(value),
            _ => cx.coerce(value, &Type::Int64),
        };
        return REMAINDER.call(cx, span, vec![], vec![integer(left)?, integer(right)?]);
    }
    let operand = |value: Typed| match (&ty, &value.ty) {
        (Type::Int64, Type::UInt64) => WRAPPED.call(cx, span, vec![], vec![value]),
        // Precision and scale of the result are DataFusion's business.
        (Type::Decimal(..), Type::Decimal(..)) => Ok(value),
        (Type::Decimal(..), _) => cx.coerce(value, &Type::Decimal(19, 0)),
        _ => cx.coerce(value, &ty),
    };
    let result = native(op, operand(left)?, operand(right)?, ty, span);
    match result.ty {
        Type::Decimal(..) => decimal_result(cx, result),
        _ => Ok(result),
    }
}

/// A constant that is not negative counts as unsigned beside an unsigned number.
fn same_sign(cx: &dyn PlanContext, left: Typed, right: Typed) -> Result<(Typed, Typed)> {
    let follows = |value: &Typed, other: &Typed| {
        other.ty == Type::UInt64
            && value.ty.is_signed()
            && value.as_constant().is_some_and(is_natural)
    };
    if follows(&right, &left) {
        return Ok((left, cx.coerce(right, &Type::UInt64)?));
    }
    if follows(&left, &right) {
        return Ok((cx.coerce(left, &Type::UInt64)?, right));
    }
    Ok((left, right))
}

fn is_natural(value: &ScalarValue) -> bool {
    i64::try_from(value.clone()).is_ok_and(|value| value >= 0)
}

/// The type of `intDiv` and `%`: unsigned between unsigned numbers.
fn quotient(args: &[Argument<'_>]) -> Result<Type> {
    let unsigned = |arg: &Argument<'_>| {
        arg.ty.is_unsigned() || arg.ty.is_integer() && arg.constant.is_some_and(is_natural)
    };
    let first = args.first().is_some_and(|arg| arg.ty == Type::UInt64);
    Ok(if first && args.iter().all(unsigned) { Type::UInt64 } else { Type::Int64 })
}

fn decimal_quotient_type(args: &[Argument<'_>]) -> Result<Type> {
    match args {
        [Argument { ty: Type::Decimal(_, a), .. }, Argument { ty: Type::Decimal(_, b), .. }] => {
            Ok(Type::Decimal(38, *a.max(b)))
        }
        _ => Err(Error::internal("a quotient of decimals")),
    }
}

fn decimal_result(cx: &dyn PlanContext, result: Typed) -> Result<Typed> {
    let (_, field) = result.expr.to_field(cx.schema())?;
    Ok(Typed { ty: Type::from_field(&field), ..result })
}

/// An interval times a number, or divided by it.
fn scaled(
    cx: &dyn PlanContext,
    interval: Typed,
    number: Typed,
    divides: bool,
    span: Span,
) -> Result<Typed> {
    if !number.ty.is_numeric() && number.ty != Type::Null {
        let op = if divides { Operator::Divide } else { Operator::Multiply };
        return Err(mismatch(op, &interval.ty, &number.ty));
    }
    call(cx, span, "__scaledInterval", vec![interval, number, Typed::bool(divides, span)])
}

/// The type in which two numbers are added, subtracted, multiplied.
fn number_type(op: Operator, left: &Type, right: &Type) -> Option<Type> {
    Some(match (left, right) {
        (Type::Null, Type::Null) => Type::Float64,
        (Type::Null, ty) | (ty, Type::Null) => number_type(op, ty, ty)?,
        (a, b) if !a.is_numeric() || !b.is_numeric() => return None,
        (a, b) if a.is_float() || b.is_float() => Type::Float64,
        (Type::Decimal(p, s), _) | (_, Type::Decimal(p, s)) => Type::Decimal(*p, *s),
        (Type::UInt64, other) | (other, Type::UInt64)
            if !other.is_signed() && op != Operator::Minus =>
        {
            Type::UInt64
        }
        _ => Type::Int64,
    })
}

/// As floats; between decimals a decimal with the larger scale.
fn divide(cx: &dyn PlanContext, left: Typed, right: Typed, span: Span) -> Result<Typed> {
    if matches!((&left.ty, &right.ty), (Type::Decimal(..), Type::Decimal(..))) {
        return DECIMAL_QUOTIENT.call(cx, span, vec![], vec![left, right]);
    }
    if number_type(Operator::Divide, &left.ty, &right.ty).is_none() {
        return Err(mismatch(Operator::Divide, &left.ty, &right.ty));
    }
    let left = cx.coerce(left, &Type::Float64)?;
    let right = cx.coerce(right, &Type::Float64)?;
    Ok(native(Operator::Divide, left, right, Type::Float64, span))
}

fn extreme(
    cx: &dyn PlanContext,
    udf: Arc<ScalarUDF>,
    args: Vec<Typed>,
    span: Span,
) -> Result<Typed> {
    let (args, ty) = common(args, cx.timezone())?;
    Ok(Typed::new(udf.call(args.into_iter().map(|arg| arg.expr).collect()), ty, span))
}

fn by_zero() -> Error {
    Error::new(ErrorKind::DivisionByZero, "division by zero")
        .hint("intDivOrZero and moduloOrZero give 0 instead.")
}

fn integers(args: &Arguments<'_>, compute: fn(i64, i64) -> Result<i64>) -> Result<ArrayRef> {
    let (a, b) = (args.int(0), args.int(1));
    args.try_primitives::<Int64Type>(|row| match (a.get(row), b.get(row)) {
        (Some(a), Some(b)) => compute(a, b).map(Some),
        _ => Ok(None),
    })
}

fn int_div(args: &Arguments<'_>) -> Result<ArrayRef> {
    if !args.types.iter().any(|ty| matches!(ty, Type::Float64 | Type::Decimal(..))) {
        return int_div_integers(args);
    }
    let args = args.cast(&Type::Float64)?;
    let (a, b) = (args.float(0), args.float(1));
    args.try_primitives::<Int64Type>(|row| match (a.get(row), b.get(row)) {
        (Some(_), Some(0.0)) => Err(by_zero()),
        (Some(a), Some(b)) => Ok(Some((a / b) as i64)),
        _ => Ok(None),
    })
}

fn int_div_integers(args: &Arguments<'_>) -> Result<ArrayRef> {
    match args.types.contains(&Type::UInt64) {
        true => wide_integers(args, |a, b| a / b),
        false => integers(args, |a, b| Ok(a.wrapping_div(not_zero(b)?))),
    }
}

fn remainder(args: &Arguments<'_>) -> Result<ArrayRef> {
    match args.types.contains(&Type::UInt64) {
        true => wide_integers(args, |a, b| a % b),
        false => integers(args, |a, b| Ok(a.wrapping_rem(not_zero(b)?))),
    }
}

fn not_zero(divisor: i64) -> Result<i64> {
    if divisor == 0 { Err(by_zero()) } else { Ok(divisor) }
}

/// Divides where an argument is unsigned. What does not fit the result wraps around.
fn wide_integers(args: &Arguments<'_>, compute: fn(i128, i128) -> i128) -> Result<ArrayRef> {
    let wide = |index: usize, row: usize| match args.types[index] {
        Type::UInt64 => args.uint(index).get(row).map(i128::from),
        _ => args.int(index).get(row).map(i128::from),
    };
    let divided = |row: usize| match (wide(0, row), wide(1, row)) {
        (Some(_), Some(0)) => Err(by_zero()),
        (Some(a), Some(b)) => Ok(Some(compute(a, b))),
        _ => Ok(None),
    };
    match args.returns {
        Type::UInt64 => {
            args.try_primitives::<UInt64Type>(|row| Ok(divided(row)?.map(|q| q as u64)))
        }
        _ => args.try_primitives::<Int64Type>(|row| Ok(divided(row)?.map(|q| q as i64))),
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a as i64
}

fn abs(args: &Arguments<'_>) -> Result<ArrayRef> {
    let array = args.expanded(0)?;
    Ok(match array.data_type() {
        DataType::Float64 => {
            Arc::new(array.as_primitive::<Float64Type>().unary::<_, Float64Type>(f64::abs))
        }
        DataType::Int64 => {
            Arc::new(array.as_primitive::<Int64Type>().unary::<_, Int64Type>(i64::wrapping_abs))
        }
        DataType::Decimal128(precision, scale) => {
            let values = array.as_primitive::<Decimal128Type>();
            let values = values.unary::<_, Decimal128Type>(i128::wrapping_abs);
            Arc::new(values.with_precision_and_scale(*precision, *scale)?)
        }
        _ => array,
    })
}
