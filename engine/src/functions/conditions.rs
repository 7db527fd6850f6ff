//! Logic and conditions.

use std::ops::Not;

use datafusion::logical_expr as logical;
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::{Expr, Operator, binary_expr};
use hedgerow_parser::Span;

use super::arithmetic::{exactly, one};
use super::coerce::common;
use super::function::{Arg, Count, Function, check_count};
use super::{PlanContext, Typed};
use crate::error::{Error, Result};
use crate::types::Type;

/// Logic and conditions.
pub(super) const FUNCTIONS: &[Function] = &[
    Function::rewrite("and", &[Arg::Bool, Arg::Bool], |_, span, args| fold(args, span, Expr::and))
        .variadic()
        .doc("True if all arguments are. Same as `AND`.")
        .examples(&[("and(true, false)", "false"), ("and(true, 1)", "true")]),
    Function::rewrite("or", &[Arg::Bool, Arg::Bool], |_, span, args| fold(args, span, Expr::or))
        .variadic()
        .doc("True if any argument is. Same as `OR`.")
        .examples(&[("or(true, false)", "true")]),
    Function::rewrite("xor", &[Arg::Bool, Arg::Bool], |_, span, args| {
        fold(args, span, |a, b| binary_expr(a, Operator::NotEq, b))
    })
    .variadic()
    .doc("True if an odd number of arguments is.")
    .examples(&[("xor(true, false)", "true"), ("xor(true, true)", "false")]),
    Function::rewrite("not", &[Arg::Bool], |_, span, args| {
        Ok(Typed::new(one(args)?.expr.not(), Type::Bool, span))
    })
    .any_case()
    .doc("True for false, false for true, NULL for NULL. Same as `NOT`.")
    .examples(&[("not(true)", "false")]),
    Function::rewrite("if", &[Arg::Bool, Arg::Any, Arg::Any], |cx, span, args| {
        let [condition, then, otherwise] = exactly(args)?;
        case(cx, span, vec![(condition, then)], Some(otherwise))
    })
    .any_case()
    .doc("The second argument where the first is true, else the third; NULL is not true.")
    .examples(&[("if(1 > 2, 'more', 'less')", "less"), ("if(NULL, 1, 2)", "2")]),
    Function::rewrite("multiIf", &[Arg::Any, Arg::Any, Arg::Any], multi_if)
        .variadic()
        .doc("The value after the first true condition: (c1, v1, c2, v2, ..., otherwise).")
        .examples(&[("multiIf(false, 'a', true, 'b', 'c')", "b")]),
];

fn fold(args: Vec<Typed>, span: Span, join: fn(Expr, Expr) -> Expr) -> Result<Typed> {
    let joined = args.into_iter().map(|arg| arg.expr).reduce(join);
    let expr = joined.ok_or_else(|| Error::internal("arguments were not counted"))?;
    Ok(Typed::new(expr, Type::Bool, span))
}

/// Conditions with their values, in order, and the value otherwise, NULL by default.
///
/// # Errors
/// `TypeMismatch` when a condition is no boolean or the values have no common type.
pub fn case(
    cx: &dyn PlanContext,
    span: Span,
    branches: Vec<(Typed, Typed)>,
    otherwise: Option<Typed>,
) -> Result<Typed> {
    let (conditions, mut values): (Vec<_>, Vec<_>) = branches.into_iter().unzip();
    values.extend(otherwise);
    let (mut values, ty) = common(values, cx.timezone())?;
    let otherwise = (values.len() > conditions.len()).then(|| values.pop()).flatten();
    let branches = conditions.into_iter().zip(values).map(|(condition, value)| {
        let condition = cx.coerce(condition, &Type::Bool)?;
        Ok((Box::new(condition.expr), Box::new(value.expr)))
    });
    let expr = Expr::Case(Case {
        expr: None,
        when_then_expr: branches.collect::<Result<_>>()?,
        else_expr: otherwise.map(|value| Box::new(value.expr)),
    });
    Ok(Typed::new(expr, ty, span))
}

fn multi_if(cx: &dyn PlanContext, span: Span, mut args: Vec<Typed>) -> Result<Typed> {
    if args.len().is_multiple_of(2) {
        let odd = Count { min: args.len() + 1, max: Some(args.len() + 1) };
        check_count("multiIf", "argument", odd, args.len())
            .map_err(|error| error.hint("Add the value for when no condition is true."))?;
    }
    let otherwise = args.pop();
    let mut branches = Vec::with_capacity(args.len() / 2);
    let mut args = args.into_iter();
    while let (Some(condition), Some(value)) = (args.next(), args.next()) {
        branches.push((condition, value));
    }
    case(cx, span, branches, otherwise)
}

/// `value IS NULL` or its opposite.
pub(super) fn null_test(value: Typed, negated: bool, span: Span) -> Typed {
    let value = Box::new(value.expr);
    let expr = if negated { Expr::IsNotNull(value) } else { Expr::IsNull(value) };
    Typed::new(expr, Type::Bool, span)
}

/// The first value that is not NULL.
pub(super) fn coalesce(cx: &dyn PlanContext, span: Span, args: Vec<Typed>) -> Result<Typed> {
    let (mut values, ty) = common(args, cx.timezone())?;
    // What follows a value that cannot be NULL is never reached.
    if let Some(certain) = values.iter().position(|value| !value.nullable(cx.schema())) {
        values.truncate(certain + 1);
    }
    let mut values: Vec<_> = values.into_iter().map(|value| value.expr).collect();
    let expr = if values.len() == 1 {
        values.remove(0)
    } else {
        datafusion::functions::core::coalesce().call(values)
    };
    Ok(Typed::new(expr, ty, span))
}

/// NULL where `value` equals `unwanted`, else `value`.
pub(super) fn null_if(
    cx: &dyn PlanContext,
    span: Span,
    value: Typed,
    unwanted: Typed,
) -> Result<Typed> {
    use hedgerow_parser::ast::BinaryOp;
    let ty = value.ty.clone();
    let null = Typed::null(ty.clone(), span)?;
    let equal = super::comparison::compare(cx, BinaryOp::Eq, value.clone(), unwanted, true, span)?;
    let expr = logical::when(equal.expr, null.expr).otherwise(value.expr)?;
    Ok(Typed::new(expr, ty, span))
}
