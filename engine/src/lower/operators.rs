//! Operators with HogQL's NULL semantics (reference: `language.md`, 10.3).

use datafusion::logical_expr::{Expr, ExprSchemable, and, lit, not, or};
use hedgerow_parser::ast::BinaryOp;
use hedgerow_parser::{Dialect, Span};

use super::expr::{Lowering, balanced, boolean, constant};
use crate::error::Result;
use crate::functions::{PlanContext, Typed, arithmetic, call, comparison};
use crate::types::Type;

/// `left op right`.
pub(super) fn binary(
    lowering: &Lowering<'_, '_>,
    op: BinaryOp,
    left: Typed,
    right: Typed,
    span: Span,
) -> Result<Typed> {
    let (left, right) = match lowering.scope.env.dialect.get() {
        Dialect::Postgres => match in_postgres(lowering, op, left, right, span)? {
            Ok(done) => return Ok(done),
            Err(operands) => operands,
        },
        Dialect::Hogql => (left, right),
    };
    match op {
        BinaryOp::Multiply
        | BinaryOp::Divide
        | BinaryOp::Modulo
        | BinaryOp::Plus
        | BinaryOp::Minus
        | BinaryOp::Concat => arithmetic::binary(lowering, op, left, right, span),
        _ => comparison::compare(lowering, op, left, right, lowering.null_safe, span),
    }
}

/// What PostgreSQL's text means by other arithmetic on times: a difference of times is an
/// interval, and a date moved by an interval is a time. Else the operands, as they are to be used.
fn in_postgres(
    lowering: &Lowering<'_, '_>,
    op: BinaryOp,
    left: Typed,
    right: Typed,
    span: Span,
) -> Result<std::result::Result<Typed, (Typed, Typed)>> {
    let time = |value: Typed| match value.ty {
        Type::Date => lowering.coerce(value, &Type::DateTime(lowering.timezone().into())),
        _ => Ok(value),
    };
    Ok(match (op, &left.ty, &right.ty) {
        (BinaryOp::Minus, Type::Date, Type::Date) => Err((left, right)),
        (BinaryOp::Minus, a, b) if a.is_temporal() && b.is_temporal() => {
            Ok(call(lowering, span, "__difference", vec![left, right])?)
        }
        (BinaryOp::Plus | BinaryOp::Minus, Type::Date, Type::Interval) => Err((time(left)?, right)),
        (BinaryOp::Plus, Type::Interval, Type::Date) => Err((left, time(right)?)),
        _ => Err((left, right)),
    })
}

/// `left IS [NOT] DISTINCT FROM right`: NULL equals NULL, also in join constraints.
pub(super) fn distinct_from(
    lowering: &Lowering<'_, '_>,
    left: Typed,
    right: Typed,
    negated: bool,
    span: Span,
) -> Result<Typed> {
    let op = if negated { BinaryOp::Eq } else { BinaryOp::NotEq };
    comparison::compare(lowering, op, left, right, true, span)
}

/// `value [NOT] BETWEEN low AND high`: false when anything is NULL, negated or not.
pub(super) fn between(
    lowering: &Lowering<'_, '_>,
    value: Typed,
    low: Typed,
    high: Typed,
    negated: bool,
    span: Span,
) -> Result<Typed> {
    let (below, above) =
        if negated { (BinaryOp::Lt, BinaryOp::Gt) } else { (BinaryOp::GtEq, BinaryOp::LtEq) };
    let bounds = [&low.expr, &high.expr].map(Clone::clone);
    let low = comparison::compare(lowering, below, value.clone(), low, lowering.null_safe, span)?;
    let high = comparison::compare(lowering, above, value, high, lowering.null_safe, span)?;
    if !negated {
        return Ok(boolean(and(low.expr, high.expr), span));
    }
    let outside = or(low.expr, high.expr);
    let present = bounds
        .into_iter()
        .filter(|bound| bound.nullable(lowering.schema()).unwrap_or(true))
        .map(Expr::is_not_null)
        .fold(outside, and);
    Ok(boolean(present, span))
}

/// `value [NOT] IN (items)`: NULL is in a list that contains NULL, and in no other.
pub(super) fn in_list(
    lowering: &Lowering<'_, '_>,
    value: Typed,
    items: Vec<Typed>,
    negated: bool,
    span: Span,
) -> Result<Typed> {
    let (nulls, items): (Vec<Typed>, Vec<Typed>) = items.into_iter().partition(Typed::is_null);
    let lists_null = !nulls.is_empty();
    let member = if matches!(value.ty, Type::Tuple(_)) || !items.iter().all(|i| plain(i, &value)) {
        let equal = items
            .into_iter()
            .map(|item| {
                let op = BinaryOp::Eq;
                comparison::compare(lowering, op, value.clone(), item, lowering.null_safe, span)
                    .map(|typed| typed.expr)
            })
            .collect::<Result<Vec<_>>>()?;
        balanced(equal, or).unwrap_or_else(|| lit(false))
    } else {
        member_of_constants(lowering, &value, items)?
    };
    let member = if lists_null { or(member, value.expr.is_null()) } else { member };
    Ok(boolean(if negated { not(member) } else { member }, span))
}

/// True when the item can stand in the list as it is, converted to the type of the value.
fn plain(item: &Typed, value: &Typed) -> bool {
    // A text with a time is more than a date; no signed integer holds all unsigned ones.
    let cut = value.ty == Type::Date && item.as_text().is_some_and(|text| text.contains(':'));
    constant(&item.expr).is_some()
        && (item.ty == value.ty
            || item.ty == Type::String && item.as_text().is_some() && !cut
            || value.ty == Type::Float64 && item.ty.is_numeric()
            || item.ty.is_integer() && item.ty != Type::UInt64 && value.ty == Type::Int64)
}

/// One hash lookup per row; never NULL, and in a form that statistics can prune by.
fn member_of_constants(
    lowering: &Lowering<'_, '_>,
    value: &Typed,
    items: Vec<Typed>,
) -> Result<Expr> {
    let mut items = items
        .into_iter()
        .map(|item| lowering.coerce(item, &value.ty).map(|item| item.expr))
        .collect::<Result<Vec<_>>>()?;
    if value.ty.is_float() {
        // The lookup goes by bits: two zeros are equal, and NaN equals nothing.
        let number = |item: &Expr| constant(item).and_then(|value| f64::try_from(value).ok());
        items.retain(|item| !number(item).is_some_and(f64::is_nan));
        if items.iter().any(|item| number(item) == Some(0.0)) {
            items.extend([lit(0.0), lit(-0.0)]);
        }
    }
    if items.is_empty() {
        return Ok(lit(false));
    }
    let member = value.expr.clone().in_list(items, false);
    Ok(if lowering.null_safe && value.nullable(lowering.schema()) {
        and(member, value.expr.clone().is_not_null())
    } else {
        member
    })
}
