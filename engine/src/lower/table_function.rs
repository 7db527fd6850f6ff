//! Table functions: `numbers`, `generate_series`, `range`, `unnest`.
//!
//! Over constants a series is produced while it is read. Over the columns of the sources before
//! it, a function is an array that is walked for each row.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{Field, Schema};
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, ScalarValue};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::functions_table::generate_series::{GenSeriesArgs, GenerateSeriesTable};
use datafusion::logical_expr::{Expr, ExprFunctionExt, LogicalPlan, LogicalPlanBuilder, cast, col};
use hedgerow_parser::{Span, ast};

use super::array_join::{self, Empty};
use super::expr::{Lowering, constant};
use super::operators;
use super::scope::{Relation, RelationColumn, Scope};
use crate::error::{Error, ErrorKind, Result, did_you_mean};
use crate::functions::{PlanContext, Typed};
use crate::types::Type;

const NAMES: &[&str] = &["numbers", "generate_series", "range", "unnest"];

/// Functions whose arrays are walked, with the names of the columns and what each column is.
const WALKED: &[(&str, &[(&str, &str)])] = &[
    ("json_array_elements", &[("value", "jsonb_array_elements")]),
    ("json_array_elements_text", &[("value", "jsonb_array_elements_text")]),
    ("json_each", &[("key", "jsonb_object_keys"), ("value", "__jsonValues")]),
    ("json_each_text", &[("key", "jsonb_object_keys"), ("value", "__jsonValueTexts")]),
    ("json_object_keys", &[("json_object_keys", "jsonb_object_keys")]),
    ("jsonb_array_elements", &[("value", "jsonb_array_elements")]),
    ("jsonb_array_elements_text", &[("value", "jsonb_array_elements_text")]),
    ("jsonb_each", &[("key", "jsonb_object_keys"), ("value", "__jsonValues")]),
    ("jsonb_each_text", &[("key", "jsonb_object_keys"), ("value", "__jsonValueTexts")]),
    ("jsonb_object_keys", &[("jsonb_object_keys", "jsonb_object_keys")]),
    ("regexp_matches", &[("regexp_matches", "regexp_matches")]),
    ("regexp_split_to_table", &[("regexp_split_to_table", "regexp_split_to_array")]),
    ("string_to_table", &[("string_to_table", "string_to_array")]),
];

/// What a table function stands for.
enum Rows {
    /// A series of integers that are constants.
    Series(GenSeriesArgs),
    /// Arrays to walk side by side, under these names.
    Arrays(Vec<(String, Typed)>),
}

/// A table function among the sources of FROM.
///
/// # Errors
/// `UnknownFunction` for an unknown name or a wrong number of arguments; `TypeMismatch` and
/// `InvalidArgument` for wrong ones.
pub(super) fn lower<'a>(
    scope: &mut Scope<'a>,
    source: &'a ast::Source,
    name: &'a ast::Ident,
    args: &'a [ast::Expr],
) -> Result<(Relation, LogicalPlan)> {
    let mut inner = Scope::new(scope.env, scope.ctes)?;
    let known = known_as(source, name);
    match rows(&mut inner, name, args, source.span)? {
        Rows::Series(series) => {
            let column = column_name(source, name);
            let (columns, plan) = self::series(known, column, series, source.ordinality)?;
            Ok((Relation::new(known, columns), plan))
        }
        Rows::Arrays(mut arrays) => {
            let extra = complete(&mut inner, source, name, &mut arrays)?;
            let mut columns = array_join::walk(&mut inner, known, arrays, Empty::Drop)?;
            hide(&mut columns, extra);
            Ok((Relation::new(known, columns), inner.plan))
        }
    }
}

/// A table function on the right of a join, if it reads columns of the left, whose plan is the
/// scope's: its rows are put beside each row of the left.
pub(super) fn lateral<'a>(
    scope: &mut Scope<'a>,
    source: &'a ast::Source,
    empty: Empty,
) -> Result<Option<Relation>> {
    let ast::SourceKind::Function(name, args) = &source.kind else { return Ok(None) };
    let plan = scope.plan.clone();
    let arrays = match rows(scope, name, args, source.span)? {
        Rows::Arrays(arrays) if arrays.iter().any(|(_, a)| !a.expr.column_refs().is_empty()) => {
            arrays
        }
        _ => {
            scope.plan = plan;
            return Ok(None);
        }
    };
    let mut arrays = arrays;
    let extra = complete(scope, source, name, &mut arrays)?;
    let known = known_as(source, name);
    let mut columns = array_join::walk(scope, known, arrays, empty)?;
    hide(&mut columns, extra);
    Ok(Some(Relation::new(known, columns)))
}

fn known_as<'a>(source: &'a ast::Source, name: &'a ast::Ident) -> &'a str {
    source.alias.as_ref().map_or(name.name.as_str(), |alias| alias.name.as_str())
}

/// The name of the only column: that of the function. As in PostgreSQL, `unnest` and
/// `generate_series` take the alias of the table instead.
fn column_name(source: &ast::Source, name: &ast::Ident) -> String {
    match (&source.alias, name.name.as_str()) {
        (Some(alias), "unnest" | "generate_series") => alias.name.clone(),
        (Some(alias), walked) if WALKED.iter().any(|(name, _)| *name == walked) => {
            alias.name.clone()
        }
        (_, "numbers") => "number".to_owned(),
        (_, other) => other.to_owned(),
    }
}

/// Names the only column, and numbers the rows if asked to; true when a last column repeats the
/// only one under the name it had: `item` and `item.value` are the same then.
fn complete(
    scope: &mut Scope<'_>,
    source: &ast::Source,
    name: &ast::Ident,
    arrays: &mut Vec<(String, Typed)>,
) -> Result<bool> {
    let mut repeated = None;
    if let [(only, array)] = arrays.as_mut_slice() {
        let named = column_name(source, name);
        let walked = WALKED.iter().any(|(walked, _)| *walked == name.name);
        if walked && source.columns.is_empty() && *only != named {
            repeated = Some((only.clone(), array.clone()));
        }
        *only = named;
    }
    if source.ordinality {
        arrays.push(ordinals(scope, arrays)?);
    }
    let extra = repeated.is_some();
    arrays.extend(repeated);
    Ok(extra)
}

fn hide(columns: &mut [RelationColumn], last: bool) {
    if let Some(column) = columns.last_mut().filter(|_| last) {
        column.hidden = true;
    }
}

/// `WITH ORDINALITY` on arrays: the numbers from 1 to the longest one's length.
fn ordinals(scope: &mut Scope<'_>, arrays: &[(String, Typed)]) -> Result<(String, Typed)> {
    let span = arrays.first().map_or_else(Span::default, |(_, array)| array.span);
    let mut lowering = Lowering::new(scope);
    let mut end = Typed::int(0, span);
    for (_, array) in arrays {
        let length = lowering.call_scalar("length", vec![array.clone()], span)?;
        // A NULL array is an empty one.
        let length = lowering.call_scalar("ifNull", vec![length, Typed::int(0, span)], span)?;
        end = lowering.call_scalar("greatest", vec![end, length], span)?;
    }
    let one = Typed::int(1, span);
    let end = operators::binary(&lowering, ast::BinaryOp::Plus, end, one.clone(), span)?;
    let numbers = lowering.call_scalar("range", vec![one, end], span)?;
    Ok(("ordinality".to_owned(), numbers))
}

fn rows<'a>(
    scope: &mut Scope<'a>,
    name: &'a ast::Ident,
    args: &'a [ast::Expr],
    span: Span,
) -> Result<Rows> {
    if let Some((_, columns)) = WALKED.iter().find(|(walked, _)| *walked == name.name) {
        let mut lowering = Lowering::new(scope);
        let args = args.iter().map(|arg| lowering.lower(arg)).collect::<Result<Vec<_>>>()?;
        let arrays = columns.iter().map(|(column, function)| {
            Ok(((*column).to_owned(), lowering.call_scalar(function, args.clone(), span)?))
        });
        return Ok(Rows::Arrays(arrays.collect::<Result<_>>()?));
    }
    if !NAMES.contains(&name.name.as_str()) {
        let message = format!("no table function named {}", name.name);
        let error = Error::new(ErrorKind::UnknownFunction, message).at(name.span);
        let known = NAMES.iter().copied().chain(WALKED.iter().map(|(walked, _)| *walked));
        let hint = did_you_mean(&name.name, known);
        return Err(error.hint(hint.unwrap_or_else(|| format!("There are {}.", NAMES.join(", ")))));
    }
    let mut lowering = Lowering::new(scope);
    let args = args.iter().map(|arg| lowering.lower(arg)).collect::<Result<Vec<_>>>()?;
    let (least, most) = match name.name.as_str() {
        "numbers" | "range" => (1, 3),
        "generate_series" => (1, 3),
        _ => (1, usize::MAX),
    };
    if !(least..=most).contains(&args.len()) {
        let expected = if most == usize::MAX { "at least 1 array" } else { "1 to 3 arguments" };
        let message =
            format!("table function {} takes {expected}, found {}", name.name, args.len());
        return Err(Error::new(ErrorKind::UnknownFunction, message).at(span));
    }
    if name.name == "unnest" {
        let arrays = args.into_iter().map(|array| {
            Ok((name.name.clone(), array_join::as_array(&mut lowering, array, "unnest")?))
        });
        return Ok(Rows::Arrays(arrays.collect::<Result<_>>()?));
    }
    if args.iter().any(|arg| arg.ty.is_temporal() || arg.ty == Type::Interval) {
        return times(&mut lowering, name, args, span);
    }
    integers(&mut lowering, name, args, span)
}

/// A series of integers: (stop), (start, stop) or (start, stop, step); for `numbers` (count) or
/// (start, count[, step]).
fn integers(
    lowering: &mut Lowering<'_, '_>,
    name: &ast::Ident,
    args: Vec<Typed>,
    span: Span,
) -> Result<Rows> {
    let args = args
        .into_iter()
        .map(|arg| match &arg.ty {
            ty if ty.is_integer() || *ty == Type::Null => lowering.coerce(arg, &Type::Int64),
            other => {
                let message = format!("table function {} takes integers, not {other}", name.name);
                Err(Error::new(ErrorKind::TypeMismatch, message).at(arg.span))
            }
        })
        .collect::<Result<Vec<_>>>()?;
    let int = |value: i64| Typed::int(value, span);
    let include_end = name.name == "generate_series";
    let mut args = args.into_iter();
    let (start, stop, step) = match (args.next(), args.next(), args.next()) {
        (Some(stop), None, _) => (int(0), stop, int(1)),
        (Some(start), Some(stop), step) => (start, stop, step.unwrap_or_else(|| int(1))),
        (None, ..) => return Err(Error::internal("the arguments were counted")),
    };
    let values = [&start, &stop, &step].map(|arg| match constant(&arg.expr) {
        Some(ScalarValue::Int64(value)) => value,
        _ => None,
    });
    if values[2] == Some(0) {
        let message = "the step must not be zero";
        return Err(Error::new(ErrorKind::InvalidArgument, message).at(step.span));
    }
    if let [Some(start), Some(stop), Some(step)] = values {
        let end = match name.name.as_str() {
            // A count of numbers, not their end.
            "numbers" if stop < 0 => start,
            "numbers" => start.saturating_add(stop.saturating_mul(step)),
            _ => stop,
        };
        let series = GenSeriesArgs::Int64Args { start, end, step, include_end, name: "series" };
        return Ok(Rows::Series(series));
    }
    let binary =
        |op, left: &Typed, right: Typed| operators::binary(lowering, op, left.clone(), right, span);
    let end = match name.name.as_str() {
        "numbers" => {
            let length = binary(ast::BinaryOp::Multiply, &stop, step.clone())?;
            binary(ast::BinaryOp::Plus, &start, length)?
        }
        "range" => stop,
        _ => {
            let Some(step) = values[2] else {
                let message = "the step of generate_series must be a constant";
                return Err(Error::new(ErrorKind::InvalidArgument, message).at(step.span));
            };
            binary(ast::BinaryOp::Plus, &stop, int(step.signum()))?
        }
    };
    let column = if name.name == "numbers" { "number" } else { &name.name };
    let array = lowering.call_scalar("range", vec![start, end, step], span)?;
    Ok(Rows::Arrays(vec![(column.to_owned(), array)]))
}

/// `generate_series(start, stop, interval)`, the stop included, and `range`, without it.
fn times(
    lowering: &mut Lowering<'_, '_>,
    name: &ast::Ident,
    args: Vec<Typed>,
    span: Span,
) -> Result<Rows> {
    let count = args.len();
    let Ok([start, stop, step]) = <[Typed; 3]>::try_from(args) else {
        let message = format!(
            "a series of times needs a start, a stop and an interval, found {count} arguments"
        );
        return Err(Error::new(ErrorKind::UnknownFunction, message).at(span));
    };
    if name.name == "numbers" {
        let message = "table function numbers takes integers";
        return Err(Error::new(ErrorKind::TypeMismatch, message)
            .at(span)
            .hint("Write generate_series(start, stop, INTERVAL 1 DAY)."));
    }
    let ty = Type::DateTime(lowering.timezone().into());
    let bounds = [lowering.coerce(start, &ty)?, lowering.coerce(stop, &ty)?];
    let step = lowering.coerce(step, &Type::Interval)?;
    let included = Typed::bool(name.name == "generate_series", span);
    let args = bounds.into_iter().chain([step, included]).collect();
    let array = lowering.call_scalar("__times", args, span)?;
    Ok(Rows::Arrays(vec![(name.name.clone(), array)]))
}

/// A series as a table with one column, and another one when its rows are numbered.
fn series(
    known: &str,
    name: String,
    args: GenSeriesArgs,
    ordinality: bool,
) -> Result<(Vec<RelationColumn>, LogicalPlan)> {
    let backwards = matches!(args, GenSeriesArgs::Int64Args { step, .. } if step < 0);
    let column = Column::new(Some(known), &name);
    let schema = Arc::new(Schema::new(vec![Field::new(&name, Type::Int64.to_arrow(), false)]));
    let table: Arc<dyn TableProvider> = match few(&args) {
        Some(numbers) => {
            let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(numbers)])?;
            Arc::new(MemTable::try_new(schema, vec![vec![batch]])?)
        }
        // A billion numbers take no memory: they are produced while they are read.
        None => Arc::new(GenerateSeriesTable::new(schema, args)),
    };
    let mut plan = LogicalPlanBuilder::scan(known, provider_as_source(table), None)?;
    if backwards {
        // For what asks in which order the rows come.
        plan = plan.sort([col(column.clone()).sort(false, false)])?;
    }
    let sort = col(column.clone()).sort(!backwards, false);
    let mut columns = vec![RelationColumn { name, column, ty: Type::Int64, hidden: false }];
    if ordinality {
        let number = datafusion::functions_window::expr_fn::row_number();
        let number = number.order_by(vec![sort]).build()?.alias("__row");
        plan = plan.window([number])?;
        let mut exprs: Vec<Expr> = columns.iter().map(|c| col(c.column.clone())).collect();
        let number = cast(col("__row"), Type::Int64.to_arrow());
        exprs.push(number.alias_qualified(Some(known), "ordinality"));
        plan = plan.project(exprs)?;
        let column = Column::new(Some(known), "ordinality");
        let (name, ty) = ("ordinality".to_owned(), Type::Int64);
        columns.push(RelationColumn { name, column, ty, hidden: false });
    }
    Ok((columns, plan.build()?))
}

/// The numbers of a short series: the planner of joins sees how short it is.
fn few(args: &GenSeriesArgs) -> Option<Int64Array> {
    const COUNT_MAX: usize = 1024;
    let GenSeriesArgs::Int64Args { start, end, step, include_end, .. } = args else { return None };
    let is_in = |number: &i64| match (*step > 0, include_end) {
        (true, true) => number <= end,
        (true, false) => number < end,
        (false, true) => number >= end,
        (false, false) => number > end,
    };
    let numbers = std::iter::successors(Some(*start), |number| number.checked_add(*step));
    let numbers: Vec<i64> = numbers.take_while(is_in).take(COUNT_MAX + 1).collect();
    (numbers.len() <= COUNT_MAX).then(|| numbers.into())
}
