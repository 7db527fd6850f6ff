//! Comparison that never yields NULL.
//!
//! Where an operand can be NULL, `=` is false and `!=` is true if one side is NULL; two NULLs
//! are equal (`language.md` of the HogQL reference, 10.3). The forms built here say so exactly
//! and evaluate each operand once:
//!
//! | | one side can be NULL | both can |
//! |---|---|---|
//! | `=` | `(a = b) IS TRUE` | `a IS NOT DISTINCT FROM b` |
//! | `!=` | `(a = b) IS NOT TRUE` | `a IS DISTINCT FROM b` |
//! | `<` … | `(a < b) IS TRUE` | the same |
//! | `LIKE`, `~` | `(a LIKE b) IS TRUE` | `… OR (a IS NULL AND b IS NULL)` |
//! | their negations | `… IS NOT TRUE` | `NOT (…)` |
//!
//! As a condition a false and a NULL are the same, so [`in_filter`] takes `IS TRUE` off again
//! there: what statistics, bloom filters and joins see is the plain operator.

mod floats;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr as logical;
use datafusion::logical_expr::{BinaryExpr, Expr, Like, Operator, binary_expr};
use hedgerow_parser::Span;
use hedgerow_parser::ast::BinaryOp;

use super::arithmetic::two;
use super::coerce::{common, conversion_hint};
use super::function::{Arg, Function};
use super::strings::search;
use super::{PlanContext, Typed, intervals};
use crate::error::{Error, ErrorKind, Result};
use crate::types::Type;

macro_rules! operator {
    ($name:literal, $op:ident, $doc:literal, $example:literal, $result:literal) => {
        Function::rewrite($name, &[Arg::Any, Arg::Any], |cx, span, args| {
            let [left, right] = two(args)?;
            compare(cx, BinaryOp::$op, left, right, true, span)
        })
        .doc($doc)
        .examples(&[($example, $result)])
    };
}

/// The operators by their names as functions.
pub(super) const FUNCTIONS: &[Function] = &[
    operator!("equals", Eq, "Same as `=`.", "equals(1, 1)", "true"),
    operator!("notEquals", NotEq, "Same as `!=`.", "notEquals(1, NULL)", "true"),
    operator!("less", Lt, "Same as `<`.", "less(1, 2)", "true"),
    operator!("greater", Gt, "Same as `>`.", "greater(1, 2)", "false"),
    operator!("lessOrEquals", LtEq, "Same as `<=`.", "lessOrEquals(2, 2)", "true"),
    operator!("greaterOrEquals", GtEq, "Same as `>=`.", "greaterOrEquals(1, 2)", "false"),
    operator!(
        "like",
        Like,
        "Same as `LIKE`: `%` stands for any text, `_` for one character.",
        "like('events', 'ev%')",
        "true"
    ),
    operator!("notLike", NotLike, "Same as `NOT LIKE`.", "notLike('events', 'ev%')", "false"),
    operator!(
        "ilike",
        ILike,
        "Same as `ILIKE`: LIKE in any letter case.",
        "ilike('Events', 'EV%')",
        "true"
    ),
    operator!("notILike", NotILike, "Same as `NOT ILIKE`.", "notILike('Events', 'EV%')", "false"),
];

/// `left op right`, for the comparing operators. With `null_safe` false, as in join
/// constraints, a NULL operand gives NULL.
///
/// A parameter counts as a value: one that turns out NULL equals nothing.
///
/// # Errors
/// `TypeMismatch`, naming both types; `Internal` for other operators.
pub fn compare(
    cx: &dyn PlanContext,
    op: BinaryOp,
    left: Typed,
    right: Typed,
    null_safe: bool,
    span: Span,
) -> Result<Typed> {
    let comparison = Comparison::of(op)?;
    if null_safe && (left.is_null() || right.is_null()) {
        let other = if left.is_null() { right } else { left };
        return Ok(comparison.with_null(other, span));
    }
    let (left, right) = match comparison.test {
        Test::Order(_) => match unify(cx, left, right)? {
            (left, right) if (&left.ty, &right.ty) == (&Type::Interval, &Type::Interval) => {
                (intervals::length(left)?, intervals::length(right)?)
            }
            both => both,
        },
        Test::Like { .. } | Test::Match { .. } => texts(cx, left, right)?,
    };
    let nullable = [can_be_null(cx, &left), can_be_null(cx, &right)];
    let (a, b) = (left.expr.clone(), right.expr.clone());
    let test = match comparison.test {
        Test::Order(op) if left.ty.is_float() => {
            let test = floats::compare(cx, op, left.expr, right.expr);
            if null_safe && nullable == [true, true] && test.compares_nan {
                let test = comparison.with_nulls(test.expr, a, b);
                return Ok(Typed::new(test, Type::Bool, span));
            }
            test.expr
        }
        test => test.build(left, right)?,
    };
    let expr = if !null_safe || nullable == [false, false] {
        if comparison.negated { negate(test) } else { test }
    } else {
        comparison.null_safe(test, a, b, nullable == [true, true])
    };
    Ok(Typed::new(expr, Type::Bool, span))
}

/// A condition that holds for the same rows as `expr`, in the plainest form: where NULL counts
/// as false. For WHERE, HAVING, QUALIFY, PREWHERE and filters of aggregates.
pub fn in_filter(expr: Expr) -> Expr {
    match expr {
        Expr::IsTrue(inner) => in_filter(*inner),
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            binary_expr(in_filter(*left), op, in_filter(*right))
        }
        other => other,
    }
}

/// An operator as a test and whether its outcome is turned around.
struct Comparison {
    test: Test,
    negated: bool,
}

#[derive(Clone, Copy)]
enum Test {
    Order(Operator),
    Like { any_case: bool },
    Match { any_case: bool },
}

impl Comparison {
    fn of(op: BinaryOp) -> Result<Self> {
        let (test, negated) = match op {
            BinaryOp::Eq => (Test::Order(Operator::Eq), false),
            BinaryOp::NotEq => (Test::Order(Operator::Eq), true),
            BinaryOp::Lt => (Test::Order(Operator::Lt), false),
            BinaryOp::LtEq => (Test::Order(Operator::LtEq), false),
            BinaryOp::Gt => (Test::Order(Operator::Gt), false),
            BinaryOp::GtEq => (Test::Order(Operator::GtEq), false),
            BinaryOp::Like => (Test::Like { any_case: false }, false),
            BinaryOp::NotLike => (Test::Like { any_case: false }, true),
            BinaryOp::ILike => (Test::Like { any_case: true }, false),
            BinaryOp::NotILike => (Test::Like { any_case: true }, true),
            BinaryOp::Match => (Test::Match { any_case: false }, false),
            BinaryOp::NotMatch => (Test::Match { any_case: false }, true),
            BinaryOp::IMatch => (Test::Match { any_case: true }, false),
            BinaryOp::NotIMatch => (Test::Match { any_case: true }, true),
            BinaryOp::Plus
            | BinaryOp::Minus
            | BinaryOp::Multiply
            | BinaryOp::Divide
            | BinaryOp::Modulo
            | BinaryOp::Concat => {
                return Err(Error::internal(format!("{op:?} is no comparison")));
            }
        };
        Ok(Self { test, negated })
    }

    /// True for the tests that two NULLs pass.
    fn holds_for_nulls(&self) -> bool {
        !matches!(self.test, Test::Order(op) if op != Operator::Eq)
    }

    /// The comparison with a constant NULL.
    fn with_null(&self, other: Typed, span: Span) -> Typed {
        if !self.holds_for_nulls() {
            return Typed::bool(false, span);
        }
        let other = Box::new(other.expr);
        let expr = if self.negated { Expr::IsNotNull(other) } else { Expr::IsNull(other) };
        Typed::new(expr, Type::Bool, span)
    }

    /// The test between operands that can both be NULL.
    fn with_nulls(&self, test: Expr, a: Expr, b: Expr) -> Expr {
        let test = Expr::IsTrue(Box::new(test));
        let test = match self.holds_for_nulls() {
            true => test.or(a.is_null().and(b.is_null())),
            false => test,
        };
        if self.negated { logical::not(test) } else { test }
    }

    fn null_safe(&self, test: Expr, a: Expr, b: Expr, both: bool) -> Expr {
        if both && matches!(self.test, Test::Order(Operator::Eq)) {
            let op =
                if self.negated { Operator::IsDistinctFrom } else { Operator::IsNotDistinctFrom };
            return binary_expr(a, op, b);
        }
        if both && self.holds_for_nulls() {
            return self.with_nulls(test, a, b);
        }
        let test = Box::new(test);
        if self.negated { Expr::IsNotTrue(test) } else { Expr::IsTrue(test) }
    }
}

/// The opposite of a test that is never NULL.
fn negate(test: Expr) -> Expr {
    match test {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            binary_expr(*left, Operator::NotEq, *right)
        }
        Expr::Like(like) => Expr::Like(Like { negated: !like.negated, ..like }),
        other => logical::not(other),
    }
}

impl Test {
    fn build(self, left: Typed, right: Typed) -> Result<Expr> {
        Ok(match self {
            Self::Order(op) => binary_expr(left.expr, op, right.expr),
            Self::Like { any_case } => Expr::Like(Like::new(
                false,
                Box::new(left.expr),
                Box::new(right.expr),
                None,
                any_case,
            )),
            Self::Match { any_case } => search::matches(left, right, any_case)?.expr,
        })
    }
}

fn can_be_null(cx: &dyn PlanContext, value: &Typed) -> bool {
    !matches!(value.expr, Expr::Placeholder(_)) && value.nullable(cx.schema())
}

fn texts(cx: &dyn PlanContext, left: Typed, right: Typed) -> Result<(Typed, Typed)> {
    let text = |value: Typed| {
        let (ty, span) = (value.ty.clone(), value.span);
        if ty.is_text() {
            return Ok(value);
        }
        cx.coerce(value, &Type::String).map_err(|error| match error.kind {
            ErrorKind::TypeMismatch => Error::new(
                ErrorKind::TypeMismatch,
                format!("LIKE and regular expressions need text, found {ty}"),
            )
            .hint("Convert it with toString(...).")
            .at(span),
            _ => error,
        })
    };
    Ok((text(left)?, text(right)?))
}

/// Brings two operands to one type. Constants follow the other side, so that a column stays
/// a bare column.
fn unify(cx: &dyn PlanContext, left: Typed, right: Typed) -> Result<(Typed, Typed)> {
    if left.ty == right.ty && !left.is_untyped_parameter() {
        return Ok((left, right));
    }
    let follows = |value: &Typed| value.as_constant().is_some() || value.is_untyped_parameter();
    if follows(&right)
        && let Some((right, left)) = follow(cx, &right, &left)?
    {
        return Ok((left, right));
    }
    if follows(&left)
        && let Some(pair) = follow(cx, &left, &right)?
    {
        return Ok(pair);
    }
    both(cx, left, right)
}

/// A constant as the type of the other operand; none when it has no counterpart there.
fn follow(cx: &dyn PlanContext, constant: &Typed, other: &Typed) -> Result<Option<(Typed, Typed)>> {
    let (constant, other) = (constant.clone(), other.clone());
    // A number that is neither 0 nor 1 is not the same as true.
    let number = constant.ty.is_numeric() && !constant.as_constant().is_some_and(is_bit);
    if other.ty == Type::Bool && number {
        return Ok(None);
    }
    if other.ty == Type::Date && constant.as_text().is_some_and(has_time) {
        let instant = Type::DateTime(cx.timezone().into());
        return Ok(Some((cx.coerce(constant, &instant)?, cx.coerce(other, &instant)?)));
    }
    match cx.coerce(constant, &other.ty) {
        Ok(converted) => Ok(Some((converted, other))),
        Err(error) if error.kind == ErrorKind::TypeMismatch => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_bit(value: &ScalarValue) -> bool {
    let float = value.cast_to(&DataType::Float64);
    matches!(float, Ok(ScalarValue::Float64(Some(number))) if number == 0.0 || number == 1.0)
}

fn has_time(text: &str) -> bool {
    text.contains(':')
}

fn both(cx: &dyn PlanContext, left: Typed, right: Typed) -> Result<(Typed, Typed)> {
    let (a, b, span) = (left.ty.clone(), right.ty.clone(), left.span.to(right.span));
    // No integer type holds both, and a float would lose digits.
    let signs_differ = (a == Type::UInt64 && b.is_signed()) || (b == Type::UInt64 && a.is_signed());
    if signs_differ {
        let wide = Type::Decimal(20, 0);
        return Ok((cx.coerce(left, &wide)?, cx.coerce(right, &wide)?));
    }
    let (values, _) = common(vec![left, right], cx.timezone()).map_err(|error| {
        if error.kind != ErrorKind::TypeMismatch {
            return error;
        }
        let message = format!("{a} cannot be compared with {b}");
        let error = Error::new(ErrorKind::TypeMismatch, message).at(span);
        match conversion_hint(&a, &b).or_else(|| conversion_hint(&b, &a)) {
            Some(hint) => error.hint(hint),
            None => error,
        }
    })?;
    let [left, right] = two(values)?;
    Ok((left, right))
}

#[cfg(test)]
mod tests;
