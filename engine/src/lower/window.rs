//! Window functions.

use arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::{NullTreatment, WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{
    Expr, ExpressionPlacement, LogicalPlanBuilder, SortExpr, WindowFrame, WindowFrameBound,
    WindowFrameUnits, WindowFunctionDefinition, col,
};
use hedgerow_parser::{Span, ast};

use super::expr::{Lowering, constant};
use super::order;
use super::scope::Scope;
use super::select::Exprs;
use super::subquery;
use crate::error::{Error, ErrorKind, Result, did_you_mean};
use crate::functions::{Function, PlanContext, Typed};
use crate::types::Type;

/// The lowered clauses of OVER.
struct Window {
    partition_by: Vec<Expr>,
    order_by: Vec<SortExpr>,
    frame: WindowFrame,
}

/// An aggregate call with OVER: its aggregate becomes a window function, whatever is around it.
pub(super) fn over_aggregate<'a>(
    lowering: &mut Lowering<'_, 'a>,
    typed: Typed,
    over: &'a ast::Over,
    span: Span,
) -> Result<Typed> {
    let window = window(lowering, over, span)?;
    // Only the outermost: aggregates in its arguments are computed before the window.
    let expr = typed.expr.transform_down(|node| {
        let Expr::AggregateFunction(aggregate) = node else { return Ok(Transformed::no(node)) };
        let params = aggregate.params;
        let over = Expr::WindowFunction(Box::new(WindowFunction {
            fun: WindowFunctionDefinition::AggregateUDF(aggregate.func),
            params: WindowFunctionParams {
                args: params.args,
                partition_by: window.partition_by.clone(),
                order_by: window.order_by.clone(),
                window_frame: window.frame.clone(),
                filter: params.filter,
                null_treatment: params.null_treatment,
                distinct: params.distinct,
            },
        }));
        Ok(Transformed::new(over, true, TreeNodeRecursion::Jump))
    })?;
    Ok(Typed { expr: expr.data, ty: typed.ty, span })
}

/// A window function proper.
pub(super) fn over_function<'a>(
    lowering: &mut Lowering<'_, 'a>,
    (function, args, ignore_nulls): (&'static Function, Vec<Typed>, bool),
    over: &'a ast::Over,
    span: Span,
) -> Result<Typed> {
    if ignore_nulls && !matches!(function.name, "lag" | "lead" | "nth_value") {
        let message = format!("{} takes no IGNORE NULLS", function.name);
        return Err(Error::new(ErrorKind::Windowing, message).at(span));
    }
    let window = window(lowering, over, span)?;
    let (fun, args, ty) = function.call_window(lowering, span, args)?;
    let expr = Expr::WindowFunction(Box::new(WindowFunction {
        fun,
        params: WindowFunctionParams {
            args,
            partition_by: window.partition_by,
            order_by: window.order_by,
            window_frame: window.frame,
            filter: None,
            null_treatment: ignore_nulls.then_some(NullTreatment::IgnoreNulls),
            distinct: false,
        },
    }));
    Ok(Typed { expr, ty, span })
}

fn window<'a>(lowering: &mut Lowering<'_, 'a>, over: &'a ast::Over, span: Span) -> Result<Window> {
    let spec = match over {
        ast::Over::Spec(spec) => spec,
        ast::Over::Name(name) => match lowering.scope.windows.get(name.name.as_str()) {
            Some(spec) => spec,
            None => {
                let message = format!("no window named {}", name.name);
                let error = Error::new(ErrorKind::UnknownColumn, message).at(name.span);
                let known = lowering.scope.windows.keys().copied();
                let hint = did_you_mean(&name.name, known).unwrap_or_else(|| {
                    format!("Define it after HAVING: WINDOW {} AS (…).", name.name)
                });
                return Err(error.hint(hint));
            }
        },
    };
    let mut partition_by = Vec::with_capacity(spec.partition_by.len());
    for key in &spec.partition_by {
        partition_by.push(lowering.lower(key)?.expr);
    }
    let mut order_by = Vec::with_capacity(spec.order_by.len());
    let mut plain_keys = true;
    for order in &spec.order_by {
        let key = lowering.lower(&order.expr)?;
        plain_keys &= is_plain(&key.ty);
        order_by.extend(order::sort_key(order, key)?);
    }
    let frame = match &spec.frame {
        Some(frame) => self::frame(lowering, frame, &spec.order_by)?,
        None => WindowFrame::new((!order_by.is_empty()).then_some(false)),
    };
    let mut frame = check_frame(frame, order_by.len(), span)?;
    if frame.units == WindowFrameUnits::Range && !plain_keys {
        // Without an offset the two mean the same, and only groups are made of any values.
        frame.units = WindowFrameUnits::Groups;
    }
    Ok(Window { partition_by, order_by, frame })
}

/// True for types by whose values DataFusion makes ranges.
fn is_plain(ty: &Type) -> bool {
    ty.is_numeric() || ty.is_temporal() || ty.is_text() || *ty == Type::Null
}

fn check_frame(frame: WindowFrame, keys: usize, span: Span) -> Result<WindowFrame> {
    let offset = |bound: &WindowFrameBound| match bound {
        WindowFrameBound::Preceding(value) | WindowFrameBound::Following(value) => !value.is_null(),
        WindowFrameBound::CurrentRow => false,
    };
    let by_value = offset(&frame.start_bound) || offset(&frame.end_bound);
    if backwards(&frame) {
        let message = "the window frame ends before it starts";
        return Err(Error::new(ErrorKind::Windowing, message).at(span));
    }
    if frame.units == WindowFrameUnits::Range && by_value && keys != 1 {
        let message = "RANGE with an offset needs exactly one ORDER BY expression";
        return Err(Error::new(ErrorKind::Windowing, message).at(span));
    }
    if frame.units == WindowFrameUnits::Groups && keys == 0 {
        return Err(Error::new(ErrorKind::Windowing, "GROUPS needs an ORDER BY").at(span));
    }
    Ok(frame)
}

/// True for a frame whose end cannot come after its start.
fn backwards(frame: &WindowFrame) -> bool {
    use WindowFrameBound::{CurrentRow, Following, Preceding};
    match (&frame.start_bound, &frame.end_bound) {
        (Following(start), _) if start.is_null() => true,
        (_, Preceding(end)) if end.is_null() => true,
        (Following(_), CurrentRow | Preceding(_)) | (CurrentRow, Preceding(_)) => true,
        (Preceding(start), Preceding(end)) => !start.is_null() && start < end,
        (Following(start), Following(end)) => !end.is_null() && start > end,
        _ => false,
    }
}

fn frame<'a>(
    lowering: &mut Lowering<'_, 'a>,
    frame: &'a ast::Frame,
    order_by: &'a [ast::OrderBy],
) -> Result<WindowFrame> {
    let key = match (frame.unit, order_by) {
        (ast::FrameUnit::Range, [order]) => Some(lowering.lower(&order.expr)?.ty),
        _ => None,
    };
    let start = bound(lowering, &frame.start, key.as_ref())?;
    let end = match &frame.end {
        Some(end) => bound(lowering, end, key.as_ref())?,
        None => WindowFrameBound::CurrentRow,
    };
    let units = match frame.unit {
        ast::FrameUnit::Rows => WindowFrameUnits::Rows,
        ast::FrameUnit::Range => WindowFrameUnits::Range,
        ast::FrameUnit::Groups => WindowFrameUnits::Groups,
    };
    Ok(WindowFrame::new_bounds(units, start, end))
}

/// A frame bound. Offsets count rows, or are in the unit of the RANGE key.
fn bound<'a>(
    lowering: &mut Lowering<'_, 'a>,
    bound: &'a ast::FrameBound,
    key: Option<&Type>,
) -> Result<WindowFrameBound> {
    let (expr, preceding) = match bound {
        ast::FrameBound::CurrentRow => return Ok(WindowFrameBound::CurrentRow),
        ast::FrameBound::UnboundedPreceding => {
            return Ok(WindowFrameBound::Preceding(ScalarValue::UInt64(None)));
        }
        ast::FrameBound::UnboundedFollowing => {
            return Ok(WindowFrameBound::Following(ScalarValue::UInt64(None)));
        }
        ast::FrameBound::Preceding(expr) => (expr, true),
        ast::FrameBound::Following(expr) => (expr, false),
    };
    let typed = lowering.lower(expr)?;
    let target = match (key, &typed.ty) {
        (None, _) => Type::UInt64,
        (Some(Type::Date | Type::DateTime(_)), Type::Interval) => Type::Interval,
        (Some(other), Type::Interval) => {
            let message = format!("a RANGE of an interval needs a date or time, not {other}");
            return Err(Error::new(ErrorKind::TypeMismatch, message).at(expr.span));
        }
        (Some(Type::Date | Type::DateTime(_)), other) => {
            let message = format!("a RANGE over time needs an interval, not {other}");
            return Err(Error::new(ErrorKind::TypeMismatch, message).at(expr.span));
        }
        (Some(key), _) => key.clone(),
    };
    if constant(&typed.expr).is_some_and(|value| is_negative(&value)) {
        let message = "a frame bound must not be negative";
        return Err(Error::new(ErrorKind::InvalidArgument, message)
            .at(expr.span)
            .hint("PRECEDING and FOLLOWING give the direction."));
    }
    let typed = lowering.coerce(typed, &target)?;
    let value = constant(&typed.expr).filter(|value| !value.is_null()).ok_or_else(|| {
        Error::new(ErrorKind::InvalidArgument, "a frame bound must be a constant").at(expr.span)
    })?;
    Ok(if preceding {
        WindowFrameBound::Preceding(value)
    } else {
        WindowFrameBound::Following(value)
    })
}

fn is_negative(value: &ScalarValue) -> bool {
    f64::try_from(value.cast_to(&DataType::Float64).unwrap_or(ScalarValue::Null))
        .is_ok_and(|number| number < 0.0)
}

/// True when a window function is in the expression.
pub(super) fn contains(expr: &Expr) -> bool {
    expr.exists(|node| Ok(matches!(node, Expr::WindowFunction(_)))).unwrap_or(false)
}

/// Refuses window functions where the rows they range over are not known yet.
pub(super) fn refuse(typed: &Typed, place: &str) -> Result<()> {
    if contains(&typed.expr) {
        return Err(Error::new(ErrorKind::Windowing, format!("a window function in {place}"))
            .at(typed.span)
            .hint("Compute it in a subquery, or filter with QUALIFY."));
    }
    Ok(())
}

/// Puts the window functions on the scope's plan and rewrites the expressions to their output.
pub(super) fn plan(scope: &mut Scope<'_>, exprs: &mut Exprs) -> Result<()> {
    subquery::join_before_windows(scope, exprs)?;
    if !exprs.all_mut().any(|expr| contains(expr)) {
        return Ok(());
    }
    read_before(scope, exprs)?;
    let mut windows: Vec<Expr> = Vec::new();
    exprs.for_each_mut(&mut |expr, _| {
        expr.apply(|node| {
            if matches!(node, Expr::WindowFunction(_)) {
                if !windows.contains(node) {
                    windows.push(node.clone());
                }
                return Ok(TreeNodeRecursion::Jump);
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(())
    })?;
    let replacements: Vec<(Expr, Expr)> = windows
        .iter()
        .map(|window| {
            let output = Column::new_unqualified(window.schema_name().to_string());
            (window.clone(), col(output))
        })
        .collect();
    scope.plan = LogicalPlanBuilder::window_plan(scope.plan.clone(), windows)?;
    exprs.for_each_mut(&mut |expr, _| {
        *expr = super::aggregate::replace(std::mem::take(expr), &replacements)?;
        Ok(())
    })
}

/// Makes columns of the property reads in the expressions, so that the rows which are sorted for
/// windows carry those and not whole documents.
fn read_before(scope: &mut Scope<'_>, exprs: &mut Exprs) -> Result<()> {
    let mut reads: Vec<Expr> = Vec::new();
    let schema = scope.plan.schema();
    exprs.for_each_mut(&mut |expr, _| {
        expr.apply(|node| {
            let is_read = matches!(node, Expr::ScalarFunction(_))
                && node.placement() == ExpressionPlacement::MoveTowardsLeafNodes
                && node.column_refs().iter().all(|column| schema.has_column(column));
            if is_read && !reads.contains(node) {
                reads.push(node.clone());
            }
            Ok(if is_read { TreeNodeRecursion::Jump } else { TreeNodeRecursion::Continue })
        })?;
        Ok(())
    })?;
    let named: Vec<(Expr, String)> =
        reads.into_iter().map(|read| (read, scope.env.fresh("read"))).collect();
    if named.is_empty() {
        return Ok(());
    }
    let columns = scope.plan.schema().columns().into_iter().map(col);
    let computed = named.iter().map(|(read, name)| read.clone().alias(name));
    let projection: Vec<Expr> = columns.chain(computed).collect();
    scope.plan = LogicalPlanBuilder::from(scope.plan.clone()).project(projection)?.build()?;
    let replacements: Vec<(Expr, Expr)> =
        named.into_iter().map(|(read, name)| (read, col(Column::new_unqualified(name)))).collect();
    exprs.for_each_mut(&mut |expr, _| {
        *expr = super::aggregate::replace(std::mem::take(expr), &replacements)?;
        Ok(())
    })
}
