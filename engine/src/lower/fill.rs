//! ORDER BY … WITH FILL, and INTERPOLATE.

use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{ArrayRef, new_null_array};
use arrow::datatypes::IntervalMonthDayNano;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, LogicalPlanBuilder, col};
use hedgerow_parser::{Span, ast};

use super::expr::{Lowering, constant};
use super::order::{self, OrderKey};
use super::scope::{Relation, RelationColumn, Scope};
use super::{OutputColumn, limit, select};
use crate::error::{Error, ErrorKind, Result};
use crate::execute::fill::grid::{self, Level, Step, Value};
use crate::execute::fill::{Fill, Late, Source, Spec};
use crate::functions::aggregates::default_value;
use crate::functions::{PlanContext, Typed};
use crate::types::Type;

/// What INTERPOLATE names; an empty list means every column.
type Interpolate<'a> = Option<&'a [(ast::Ident, Option<ast::Expr>)]>;

/// True when an ORDER BY fills gaps.
pub(super) fn is_in(order_by: &[ast::OrderBy]) -> bool {
    order_by.iter().any(|order| order.fill.is_some())
}

/// Columns that compute the same as an earlier one, and that one.
pub(super) fn twins(projection: &[(String, Expr)]) -> Vec<(usize, usize)> {
    let first = |expr: &Expr| projection.iter().position(|(_, earlier)| earlier == expr);
    let pairs = projection.iter().enumerate();
    let pairs = pairs.filter(|(_, (_, expr))| !expr.is_volatile());
    let pairs = pairs.filter_map(|(index, (_, expr))| Some((index, first(expr)?)));
    pairs.filter(|(index, first)| index != first).collect()
}

/// The plan in the order of `keys`, with the gaps filled. `columns` are what a user sees of it.
/// A key's `twins` are filled like it, unless INTERPOLATE names them.
///
/// # Errors
/// `TypeMismatch` for keys that have no steps, `InvalidArgument` for a step or bounds that lead
/// nowhere, `UnknownColumn` in INTERPOLATE.
pub(super) fn plan<'a>(
    scope: &mut Scope<'a>,
    plan: LogicalPlan,
    keys: &mut [OrderKey],
    (order_by, interpolate): (&'a [ast::OrderBy], Interpolate<'a>),
    columns: &[OutputColumn],
    twins: &[(usize, usize)],
) -> Result<LogicalPlan> {
    let plan = with_key_columns(scope, plan, keys)?;
    let schema = Arc::clone(plan.schema());
    let mut sources = vec![Source::Default; schema.fields().len()];
    let mut levels = Vec::new();
    let mut computed = Vec::new();
    let mut late = Vec::new();
    let mut ended = None;
    for (key, item) in keys.iter().filter_map(|key| Some((key, &order_by[key.item?]))) {
        let Expr::Column(column) = &key.sort.expr else { continue };
        let index = schema.index_of_column(column)?;
        match &item.fill {
            None if levels.is_empty() => sources[index] = Source::Same,
            None => ended = Some(key.span),
            Some(_) if ended.is_some() => {
                let message = "keys WITH FILL must follow each other in ORDER BY";
                return Err(Error::unsupported(message).at(key.span));
            }
            Some(fill) => {
                sources[index] = Source::Key(levels.len());
                let mut bounds =
                    Bounds { level: levels.len(), computed: &mut computed, late: &mut late };
                levels.push(level(scope, (item, fill), key, index, &mut bounds)?);
            }
        }
    }
    for (twin, first) in twins {
        sources[*twin] = sources[*first].clone();
    }
    let defaults = schema
        .fields()
        .iter()
        .map(|field| match field.is_nullable() {
            true => Ok(new_null_array(field.data_type(), 1)),
            false => Ok(default_value(&Type::from_field(field))?.to_array_of_size(1)?),
        })
        .collect::<Result<Vec<ArrayRef>>>()?;
    if let Some(interpolate) = interpolate {
        let mut inner = output_scope(scope, &plan, columns)?;
        let all: Vec<(&str, Span, Option<&ast::Expr>)> = match interpolate.is_empty() {
            true => columns.iter().map(|c| (c.name.as_str(), Span::default(), None)).collect(),
            false => interpolate
                .iter()
                .map(|(name, expr)| (name.name.as_str(), name.span, expr.as_ref()))
                .collect(),
        };
        for (name, span, expr) in all {
            let found = columns.iter().find(|column| column.name == name);
            let Some(output) = found else {
                let message = format!("no column named {name} in the result to INTERPOLATE");
                return Err(Error::new(ErrorKind::UnknownColumn, message).at(span));
            };
            let index = schema.index_of_column(&output.column)?;
            let is_twin = twins.iter().any(|(twin, _)| *twin == index);
            if !matches!(sources[index], Source::Default) && (interpolate.is_empty() || !is_twin) {
                if interpolate.is_empty() {
                    continue;
                }
                let message = format!("column {name} is ordered by, and cannot be interpolated");
                return Err(Error::new(ErrorKind::InvalidArgument, message).at(span));
            }
            sources[index] = match expr {
                None => Source::Before,
                Some(expr) => {
                    let typed = Lowering::new(&mut inner).lower(expr)?;
                    limit::refuse_rows(&inner, &typed, "INTERPOLATE")?;
                    let typed = Lowering::new(&mut inner).coerce(typed, &output.ty)?;
                    computed.push(select::laid_out(typed, inner.plan.schema())?);
                    Source::Computed(computed.len() - 1)
                }
            };
        }
    }
    let plan = order::sorted(plan, keys)?;
    let order = keys.iter().map(|key| key.sort.clone()).collect();
    let directions = keys.iter().map(|key| (key.sort.asc, key.sort.nulls_first)).collect();
    let spec = Spec { levels, sources, defaults, directions, late };
    let node = Arc::new(Fill::new(plan, order, computed, spec));
    Ok(LogicalPlan::Extension(Extension { node }))
}

/// The plan with a column for each key, which then is that column.
fn with_key_columns(
    scope: &Scope<'_>,
    plan: LogicalPlan,
    keys: &mut [OrderKey],
) -> Result<LogicalPlan> {
    let mut projection: Vec<Expr> = plan.schema().columns().into_iter().map(col).collect();
    let width = projection.len();
    for key in keys.iter_mut().filter(|key| key.item.is_some()) {
        if !matches!(key.sort.expr, Expr::Column(_)) {
            let name = scope.env.fresh("key");
            let column = Expr::Column(datafusion::common::Column::new_unqualified(&name));
            let computed = std::mem::replace(&mut key.sort.expr, column);
            projection.push(computed.alias(name));
        }
    }
    if projection.len() == width {
        return Ok(plan);
    }
    Ok(LogicalPlanBuilder::from(plan).project(projection)?.build()?)
}

/// A scope that sees the output columns.
fn output_scope<'a>(
    scope: &Scope<'a>,
    plan: &LogicalPlan,
    columns: &[OutputColumn],
) -> Result<Scope<'a>> {
    let mut inner = Scope::new(scope.env, scope.ctes)?;
    inner.plan = plan.clone();
    let columns = columns.iter().map(|output| RelationColumn {
        name: output.name.clone(),
        column: output.column.clone(),
        ty: output.ty.clone(),
        hidden: false,
    });
    let name = scope.env.fresh("row");
    let relation = Relation::new(&name, columns.collect());
    inner.add_relation(relation, Span::default())?;
    Ok(inner)
}

/// Where bounds go that are known only when the query is planned, such as `today()`.
struct Bounds<'b> {
    level: usize,
    computed: &'b mut Vec<Expr>,
    late: &'b mut Vec<Late>,
}

fn level<'a>(
    scope: &Scope<'a>,
    (order, fill): (&'a ast::OrderBy, &'a ast::Fill),
    key: &OrderKey,
    column: usize,
    bounds: &mut Bounds<'_>,
) -> Result<Level> {
    let ty = &key.ty;
    if !grid::can_fill(&ty.to_arrow()) {
        let message = format!("WITH FILL needs a number, a date or a time, not {ty}");
        return Err(Error::new(ErrorKind::TypeMismatch, message).at(key.span));
    }
    let step = match &fill.step {
        Some(step) => self::step(scope, step, ty)?,
        None => None,
    };
    let step = step.unwrap_or_else(|| unit(ty, if order.descending { -1 } else { 1 }));
    let step_span = fill.step.as_ref().map_or(key.span, |step| step.span);
    check_step(step, order.descending).map_err(|error| error.at(step_span))?;
    let mut level = Level {
        column,
        descending: order.descending,
        nulls_first: key.sort.nulls_first,
        from: None,
        to: None,
        step,
    };
    for (expr, is_end) in [(&fill.from, false), (&fill.to, true)] {
        let Some(expr) = expr else { continue };
        let value = bound(scope, expr, ty, is_end, bounds)?;
        match is_end {
            true => level.to = value,
            false => level.from = value,
        }
    }
    if let (Some(from), Some(to), Some(end)) = (level.from, level.to, &fill.to)
        && level.before(to, from)
    {
        let message = "WITH FILL goes from FROM to TO in the order of the key, not back";
        return Err(Error::new(ErrorKind::InvalidArgument, message).at(end.span));
    }
    Ok(level)
}

/// Lowers an expression that sees no columns.
fn outside<'a>(scope: &Scope<'a>, expr: &'a ast::Expr, ty: Option<&Type>) -> Result<Typed> {
    let typed = limit::lower_outside(scope, expr, "WITH FILL")?;
    let mut outside = Scope::new(scope.env, scope.ctes)?;
    match ty {
        Some(ty) => Ok(Lowering::new(&mut outside).coerce(typed, ty)?),
        None => Ok(typed),
    }
}

/// A bound as a value; none when it is known only later.
fn bound<'a>(
    scope: &Scope<'a>,
    expr: &'a ast::Expr,
    ty: &Type,
    is_end: bool,
    bounds: &mut Bounds<'_>,
) -> Result<Option<Value>> {
    let typed = outside(scope, expr, Some(ty)).map_err(|error| error.at(expr.span))?;
    let refused = || {
        let message = "the bounds of WITH FILL must be constants, not NULL";
        Error::new(ErrorKind::InvalidArgument, message).at(expr.span)
    };
    match constant(&typed.expr) {
        Some(value) => {
            let value = value.cast_to(&ty.to_arrow())?.to_array_of_size(1)?;
            grid::read(&value)?.first().copied().flatten().map(Some).ok_or_else(refused)
        }
        None if typed.expr.any_column_refs()
            || typed.expr.is_volatile()
            || typed.expr.exists(|e| Ok(matches!(e, Expr::ScalarSubquery(_))))? =>
        {
            Err(refused())
        }
        None => {
            let expr_index = bounds.computed.len();
            let layout = ty.to_arrow();
            bounds.computed.push(datafusion::logical_expr::cast(typed.expr, layout));
            bounds.late.push(Late {
                level: bounds.level,
                is_end,
                expr: expr_index,
                span: expr.span,
            });
            Ok(None)
        }
    }
}

/// One, in the units of the key: days of a date, seconds of a time.
fn unit(ty: &Type, count: i64) -> Step {
    match ty {
        Type::Float32 | Type::Float64 => Step::Float(count as f64),
        Type::DateTime(_) => Step::Int(i128::from(count) * 1_000_000),
        Type::Decimal(_, scale) => {
            Step::Int(i128::from(count) * 10_i128.pow(u32::try_from(*scale).unwrap_or(0)))
        }
        _ => Step::Int(i128::from(count)),
    }
}

/// The step; none for a parameter that has no value yet.
fn step<'a>(scope: &Scope<'a>, expr: &'a ast::Expr, ty: &Type) -> Result<Option<Step>> {
    let mismatch = |found: &Type| {
        let message = format!("WITH FILL cannot step through {ty} by {found}");
        Error::new(ErrorKind::TypeMismatch, message).at(expr.span)
    };
    let typed = outside(scope, expr, None)?;
    if typed.expr.exists(|node| Ok(matches!(node, Expr::Placeholder(_))))? {
        let by_number =
            matches!(ty, Type::Date | Type::DateTime(_)) && typed.is_untyped_parameter();
        outside(
            scope,
            expr,
            if by_number { Some(&Type::Int64) } else { typed.is_untyped_parameter().then_some(ty) },
        )?;
        return Ok(None);
    }
    let target = match (ty, &typed.ty) {
        (Type::Date | Type::DateTime(_), Type::Interval) => Type::Interval,
        (_, Type::Interval) => return Err(mismatch(&typed.ty)),
        (Type::Float32 | Type::Float64, found) if found.is_numeric() => Type::Float64,
        (Type::Decimal(..), found) if found.is_numeric() => ty.clone(),
        (_, found) if found.is_integer() => Type::Int64,
        (_, found) => return Err(mismatch(found)),
    };
    let typed = outside(scope, expr, Some(&target))?;
    let value = constant(&typed.expr).filter(|value| !value.is_null()).ok_or_else(|| {
        let message = "the STEP of WITH FILL must be a constant, not NULL";
        Error::new(ErrorKind::InvalidArgument, message).at(expr.span)
    })?;
    if let ScalarValue::IntervalMonthDayNano(Some(interval)) = value {
        let step = match ty {
            Type::DateTime(zone) => {
                let zone: Tz = zone.parse().map_err(|_| mismatch(&Type::Interval))?;
                Step::Time(interval, zone)
            }
            _ if interval.nanoseconds == 0 => Step::Days(interval),
            _ => {
                let message = "WITH FILL cannot step through days by less than a day";
                return Err(Error::new(ErrorKind::InvalidArgument, message).at(expr.span));
            }
        };
        return Ok(Some(step));
    }
    let value = value.cast_to(&target.to_arrow())?.to_array_of_size(1)?;
    match grid::read(&value)?.first().copied().flatten() {
        Some(Value::Float(step)) => Ok(Some(Step::Float(step))),
        Some(Value::Int(step)) => Ok(Some(Step::Int(match ty {
            Type::DateTime(_) => step.saturating_mul(1_000_000),
            _ => step,
        }))),
        None => Err(mismatch(&typed.ty)),
    }
}

/// A step must lead in the direction of the order.
fn check_step(step: Step, descending: bool) -> Result<()> {
    let signs = match step {
        Step::Int(step) => [step.signum() as i64, 0, 0],
        Step::Float(step) => [
            if step > 0.0 {
                1
            } else if step < 0.0 {
                -1
            } else {
                0
            },
            0,
            0,
        ],
        Step::Days(interval) | Step::Time(interval, _) => {
            let IntervalMonthDayNano { months, days, nanoseconds } = interval;
            [i64::from(months.signum()), i64::from(days.signum()), nanoseconds.signum()]
        }
    };
    let message = match (signs.iter().any(|s| *s > 0), signs.iter().any(|s| *s < 0)) {
        (false, false) => "the STEP of WITH FILL must not be zero",
        (true, true) => "the STEP of WITH FILL must not have parts of both signs",
        (true, false) if descending => "the STEP of WITH FILL must be negative in descending order",
        (false, true) if !descending => {
            "the STEP of WITH FILL must not be negative in ascending order"
        }
        _ => return Ok(()),
    };
    Err(Error::new(ErrorKind::InvalidArgument, message))
}
