//! NULL.

use hedgerow_parser::Span;

use super::arithmetic::{one, two};
use super::conditions::{coalesce, null_if, null_test};
use super::function::{Arg, Function};
use super::{PlanContext, Typed};
use crate::error::Result;

/// What concerns NULL.
pub(super) const FUNCTIONS: &[Function] = &[
    Function::rewrite("isNull", &[Arg::Any], |_, span, args| {
        Ok(null_test(one(args)?, false, span))
    })
    .any_case()
    .doc("True if the argument is NULL. Same as `IS NULL`.")
    .examples(&[("isNull(NULL)", "true"), ("isNull(1)", "false")]),
    Function::rewrite("isNotNull", &[Arg::Any], |_, span, args| {
        Ok(null_test(one(args)?, true, span))
    })
    .doc("True if the argument is not NULL. Same as `IS NOT NULL`.")
    .examples(&[("isNotNull(1)", "true")]),
    Function::rewrite("ifNull", &[Arg::Any, Arg::Any], coalesce)
        .any_case()
        .doc("The first argument, or the second where it is NULL. Same as `??`.")
        .examples(&[("ifNull(NULL, 5)", "5"), ("ifNull(4, 5)", "4")]),
    Function::rewrite("coalesce", &[Arg::Any], coalesce)
        .any_case()
        .variadic()
        .doc("The first argument that is not NULL; NULL if all are.")
        .examples(&[("coalesce(NULL, NULL, 'x')", "x")]),
    Function::rewrite("nullIf", &[Arg::Any, Arg::Any], |cx, span, args| {
        let [value, unwanted] = two(args)?;
        null_if(cx, span, value, unwanted)
    })
    .any_case()
    .doc("NULL if the arguments are equal, else the first one.")
    .examples(&[("nullIf('', '')", "NULL"), ("nullIf(1, 2)", "1")]),
    Function::rewrite("assumeNotNull", &[Arg::Any], same)
        .doc("The argument. ClickHouse needs it to drop Nullable from a type.")
        .examples(&[("assumeNotNull(1)", "1")]),
    Function::rewrite("toNullable", &[Arg::Any], same)
        .doc("The argument. ClickHouse needs it to add Nullable to a type.")
        .examples(&[("toNullable(1)", "1")]),
];

fn same(_: &dyn PlanContext, _: Span, args: Vec<Typed>) -> Result<Typed> {
    one(args)
}
