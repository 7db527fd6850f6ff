//! Window functions. Every aggregate is one, too; see [`super::aggregates`].

mod frame;
mod int;
mod last_match;
mod shift;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use datafusion::functions_window::cume_dist::cume_dist_udwf;
use datafusion::functions_window::nth_value::nth_value_udwf;
use datafusion::functions_window::ntile::ntile_udwf;
use datafusion::functions_window::rank::{dense_rank_udwf, percent_rank_udwf, rank_udwf};
use datafusion::functions_window::row_number::row_number_udwf;
use datafusion::logical_expr::{WindowFunctionDefinition, WindowUDF};
use hedgerow_parser::Span;

use self::frame::{Direction, InFrame};
use self::int::Int;
pub(crate) use self::last_match::LastMatch;
pub(crate) use self::shift::Shift;
use super::aggregates::default_value;
use super::function::{Arg, Function, WindowCall};
use super::{PlanContext, Typed};
use crate::error::{Error, ErrorKind, Result};
use crate::types::Type;

const VALUE_OFFSET_DEFAULT: &[Arg] = &[Arg::Any, Arg::Int, Arg::Any];

/// The window functions.
pub(super) const FUNCTIONS: &[Function] = &[
    Function::window("row_number", &[], |function, cx, span, args| {
        integer(row_number_udwf(), function, cx, span, args)
    })
    .aliases(&["rowNumber"])
    .any_case()
    .doc("The number of the row in its partition, from 1.")
    .examples(&[("row_number() OVER ()", "1")]),
    Function::window("rank", &[], |function, cx, span, args| {
        integer(rank_udwf(), function, cx, span, args)
    })
    .any_case()
    .doc("The number of the first row that is equal by ORDER BY, from 1.")
    .examples(&[("rank() OVER (ORDER BY 1)", "1")]),
    Function::window("dense_rank", &[], |function, cx, span, args| {
        integer(dense_rank_udwf(), function, cx, span, args)
    })
    .aliases(&["denseRank"])
    .any_case()
    .doc("How many different rows by ORDER BY there are up to this one.")
    .examples(&[("dense_rank() OVER (ORDER BY 1)", "1")]),
    Function::window("percent_rank", &[], |function, cx, span, args| {
        plain(percent_rank_udwf(), Type::Float64, function, cx, span, args)
    })
    .aliases(&["percentRank"])
    .any_case()
    .doc("(rank - 1) / (rows of the partition - 1); 0 in a partition of one row.")
    .examples(&[("percent_rank() OVER (ORDER BY 1)", "0")]),
    Function::window("cume_dist", &[], |function, cx, span, args| {
        plain(cume_dist_udwf(), Type::Float64, function, cx, span, args)
    })
    .any_case()
    .doc("The share of the partition's rows that come before this one or are equal.")
    .examples(&[("cume_dist() OVER (ORDER BY 1)", "1")]),
    Function::window("ntile", &[Arg::Int], |function, cx, span, args| {
        integer(ntile_udwf(), function, cx, span, args)
    })
    .any_case()
    .doc("The number, from 1, of the bucket when the partition is cut into that many.")
    .examples(&[("ntile(2) OVER (ORDER BY 1)", "1")]),
    Function::window("lag", VALUE_OFFSET_DEFAULT, |_, cx, span, args| {
        shifted(shift::lag(), cx, span, args)
    })
    .optional(2)
    .any_case()
    .doc(
        "The value so many rows (default 1) before this one in the partition. Beyond its edge the \
         third argument, else NULL if the value can be NULL, else 0, '' and so on.",
    )
    .examples(&[("lag(5, 1, 7) OVER (ORDER BY 1)", "7")]),
    Function::window("lead", VALUE_OFFSET_DEFAULT, |_, cx, span, args| {
        shifted(shift::lead(), cx, span, args)
    })
    .optional(2)
    .any_case()
    .doc("The value so many rows (default 1) after this one in the partition. See lag.")
    .examples(&[("lead(5) OVER (ORDER BY 1)", "0")]),
    Function::window("lagInFrame", VALUE_OFFSET_DEFAULT, |_, cx, span, args| {
        shifted(Arc::new(InFrame::new(Direction::Back).into()), cx, span, args)
    })
    .optional(2)
    .doc("As lag, within the frame instead of the partition.")
    .examples(&[("lagInFrame('a') OVER (ORDER BY 1)", "")]),
    Function::window("leadInFrame", VALUE_OFFSET_DEFAULT, |_, cx, span, args| {
        shifted(Arc::new(InFrame::new(Direction::Ahead).into()), cx, span, args)
    })
    .optional(2)
    .doc(
        "As lead, within the frame instead of the partition. The frame must reach forward: without \
         one it ends with the current row.",
    )
    .examples(&[("leadInFrame(5) OVER (ORDER BY 1)", "0")]),
    Function::window("nth_value", &[Arg::Any, Arg::Int], |function, cx, span, args| {
        if args.get(1).and_then(whole).is_none_or(|n| n < 1) {
            return Err(invalid(function.name, "must be a whole number above 0"));
        }
        let ty = args[0].ty.clone();
        plain(nth_value_udwf(), ty, function, cx, span, args)
    })
    .any_case()
    .doc("The value of the n-th row of the frame, from 1; NULL if there is none.")
    .examples(&[("nth_value(5, 1) OVER (ORDER BY 1)", "5")]),
];

/// A function of DataFusion that counts in UInt64.
fn integer(
    udwf: Arc<WindowUDF>,
    function: &'static Function,
    cx: &dyn PlanContext,
    span: Span,
    args: Vec<Typed>,
) -> Result<WindowCall> {
    let udwf = Arc::new(WindowUDF::new_from_impl(Int::new(udwf)));
    plain(udwf, Type::Int64, function, cx, span, args)
}

fn plain(
    udwf: Arc<WindowUDF>,
    ty: Type,
    function: &'static Function,
    cx: &dyn PlanContext,
    _span: Span,
    args: Vec<Typed>,
) -> Result<WindowCall> {
    if let Some(buckets) = args.iter().find(|_| function.name == "ntile")
        && whole(buckets).is_none_or(|buckets| buckets < 1)
    {
        return Err(invalid(function.name, "must be a whole number above 0"));
    }
    let args = function.coerce_arguments(cx, args)?.into_iter().map(|arg| arg.expr).collect();
    Ok((WindowFunctionDefinition::WindowUDF(udwf), args, ty))
}

/// A value of another row: value, offset, default.
fn shifted(
    udwf: Arc<WindowUDF>,
    cx: &dyn PlanContext,
    span: Span,
    args: Vec<Typed>,
) -> Result<WindowCall> {
    let mut args = args.into_iter();
    let value = args.next().ok_or_else(|| Error::internal("no value"))?;
    let offset = args.next().unwrap_or_else(|| Typed::int(1, span));
    if whole(&offset).is_none_or(|offset| offset < 0) {
        return Err(invalid(udwf.name(), "must be a whole number, not negative").at(offset.span));
    }
    let ty = value.ty.clone();
    let default = match args.next() {
        Some(default) => cx.coerce(default, &ty)?,
        None if value.nullable(cx.schema()) => Typed::null(ty.clone(), span)?,
        None => Typed::constant(default_value(&ty)?, ty.clone(), span),
    };
    if default.as_constant().is_none() {
        return Err(invalid(udwf.name(), "must be constant").at(default.span));
    }
    let args = vec![value.expr, offset.expr, default.expr];
    Ok((WindowFunctionDefinition::WindowUDF(udwf), args, ty))
}

fn whole(value: &Typed) -> Option<i64> {
    match value.as_constant()?.cast_to(&arrow::datatypes::DataType::Int64) {
        Ok(datafusion::common::ScalarValue::Int64(number)) if value.ty.is_integer() => number,
        _ => None,
    }
}

fn invalid(name: &str, what: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("the last argument of {name} {what}"))
}
