//! ORDER BY keys, and columns that only ordering and limiting need.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, plan_err};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, SortExpr};
use hedgerow_parser::{Span, ast};

use super::scope::Scope;
use super::{Environment, aggregate};
use crate::error::{Error, Result};
use crate::functions::{Typed, intervals};
use crate::types::Type;

/// A sort key of a query.
pub(super) struct OrderKey {
    pub(super) sort: SortExpr,
    pub(super) ty: Type,
    pub(super) span: Span,
    /// The ORDER BY item it is; none for a helper key before it.
    pub(super) item: Option<usize>,
}

/// The keys of the ORDER BY item at `index`.
///
/// # Errors
/// `Unsupported` for a collation other than by bytes.
pub(super) fn keys(order: &ast::OrderBy, index: usize, key: Typed) -> Result<Vec<OrderKey>> {
    let (ty, span) = (key.ty.clone(), order.expr.span);
    let sorts = by_value(order, key)?;
    let last = sorts.len() - 1;
    let keys = sorts.into_iter().enumerate().map(|(i, sort)| OrderKey {
        sort,
        ty: ty.clone(),
        span,
        item: (i == last).then_some(index),
    });
    Ok(keys.collect())
}

/// The sort expressions of an ORDER BY item inside a call or a window, where rows cannot be
/// filled in.
pub(super) fn sort_key(order: &ast::OrderBy, key: Typed) -> Result<Vec<SortExpr>> {
    if order.fill.is_some() {
        let message = "WITH FILL belongs to the ORDER BY of a query";
        return Err(Error::unsupported(message).at(order.expr.span));
    }
    by_value(order, key)
}

/// NULLs come last in both directions unless the text says otherwise, and so do NaNs, as in
/// ClickHouse.
fn by_value(order: &ast::OrderBy, key: Typed) -> Result<Vec<SortExpr>> {
    if let Some(collation) = order.collate.as_deref() {
        check_collation(collation).map_err(|error| error.at(order.expr.span))?;
    }
    let nulls_first = order.nulls_first.unwrap_or(false);
    let mut keys = Vec::with_capacity(2);
    if order.descending && key.ty.is_float() {
        let is_nan = datafusion::functions::math::expr_fn::isnan(key.expr.clone());
        keys.push(SortExpr::new(is_nan, true, nulls_first));
    }
    let key = if key.ty == Type::Interval { intervals::length(key)? } else { key };
    keys.push(SortExpr::new(key.expr, !order.descending, nulls_first));
    Ok(keys)
}

/// Text is ordered by its bytes, which is also the order of Unicode code points.
fn check_collation(name: &str) -> Result<()> {
    const BY_BYTES: [&str; 6] = ["c", "posix", "binary", "ucs_basic", "c.utf8", "c.utf-8"];
    if BY_BYTES.contains(&name.to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    Err(Error::unsupported(format!("no collation named {name}"))
        .hint("Text is ordered by its bytes (COLLATE 'C'); order by lower(x) to ignore case."))
}

/// The plan in this order.
pub(super) fn sorted(plan: LogicalPlan, keys: &[OrderKey]) -> Result<LogicalPlan> {
    if keys.is_empty() {
        return Ok(plan);
    }
    let sorts = keys.iter().map(|key| key.sort.clone());
    Ok(LogicalPlanBuilder::from(plan).sort(sorts)?.build()?)
}

/// The plan, and the keys over its columns by which its rows are sorted. Columns of keys that its
/// last projection dropped become columns again.
pub(super) fn arrival(plan: LogicalPlan) -> Result<(LogicalPlan, Vec<SortExpr>)> {
    let drops = match &plan {
        LogicalPlan::Projection(projection) => {
            projection.expr.iter().all(|expr| matches!(expr, Expr::Column(_))).then_some(projection)
        }
        _ => None,
    };
    let Some(projection) = drops else {
        let keys = sorted_by(&plan);
        return Ok((plan, keys));
    };
    let keys = sorted_by(&projection.input);
    let mut all = projection.expr.clone();
    for column in keys.iter().flat_map(|key| key.expr.column_refs()) {
        let column = Expr::Column(column.clone());
        if !all.contains(&column) {
            all.push(column);
        }
    }
    if all.len() == projection.expr.len() {
        return Ok((plan, keys));
    }
    let input = LogicalPlan::clone(&projection.input);
    Ok((LogicalPlanBuilder::from(input).project(all)?.build()?, keys))
}

/// The keys of a sort that decides about the order of a plan's rows; none when there is no such
/// sort, or its keys cannot be computed from the plan's columns.
fn sorted_by(plan: &LogicalPlan) -> Vec<SortExpr> {
    match plan {
        LogicalPlan::Sort(sort) if !sort.expr.iter().any(|key| key.expr.is_volatile()) => {
            sort.expr.clone()
        }
        LogicalPlan::Limit(limit) => sorted_by(&limit.input),
        LogicalPlan::Projection(projection) => {
            let output = |column: &Column| {
                let place = projection.expr.iter().position(|expr| match expr {
                    Expr::Alias(alias) => alias.expr.try_as_col() == Some(column),
                    expr => expr.try_as_col() == Some(column),
                })?;
                Some(Column::from(projection.schema.qualified_field(place)))
            };
            over(&sorted_by(&projection.input), output)
        }
        _ => Vec::new(),
    }
}

/// Sort keys over other columns; none when one of theirs has no counterpart.
pub(super) fn over(
    keys: &[SortExpr],
    counterpart: impl Fn(&Column) -> Option<Column>,
) -> Vec<SortExpr> {
    let renamed = |key: &SortExpr| {
        let expr = key.expr.clone().transform(|node| match node.try_as_col() {
            None => Ok(Transformed::no(node)),
            Some(column) => match counterpart(column) {
                Some(other) => Ok(Transformed::yes(Expr::Column(other))),
                None => plan_err!("no counterpart of {column}"),
            },
        });
        Some(SortExpr::new(expr.ok()?.data, key.asc, key.nulls_first))
    };
    keys.iter().map(renamed).collect::<Option<_>>().unwrap_or_default()
}

/// The keys by which the rows of the only source arrive, where the plan still has them.
pub(super) fn of_arrival(scope: &Scope<'_>, plan: &LogicalPlan, span: Span) -> Vec<OrderKey> {
    let [only] = scope.relations.as_slice() else { return Vec::new() };
    let key = |sort: &SortExpr| {
        let (_, field) = sort.expr.to_field(plan.schema()).ok()?;
        let ty = Type::from_field(&field);
        Some(OrderKey { sort: sort.clone(), ty, span, item: None })
    };
    only.order.iter().map(key).collect::<Option<_>>().unwrap_or_default()
}

/// Rewrites expressions to speak of a projection's output. The projection gets a column for
/// each expression that it cannot express.
pub(super) fn over_output<'e>(
    env: &Environment<'_>,
    exprs: impl IntoIterator<Item = &'e mut Expr>,
    projection: &mut Vec<(String, Expr)>,
) -> Result<()> {
    let output = |name: &str| Expr::Column(Column::new_unqualified(name));
    let mut outputs: Vec<(Expr, Expr)> =
        projection.iter().map(|(name, expr)| (expr.clone(), output(name))).collect();
    for expr in exprs {
        let rewritten = aggregate::replace(expr.clone(), &outputs)?;
        let covered = rewritten.column_refs().iter().all(|column| {
            let column = Expr::Column((*column).clone());
            outputs.iter().any(|(_, output)| *output == column)
        });
        *expr = if covered && !rewritten.is_volatile() {
            rewritten
        } else {
            let name = env.fresh("order");
            let hidden = std::mem::replace(expr, output(&name));
            projection.push((name.clone(), hidden.clone()));
            outputs.push((hidden, output(&name)));
            continue;
        };
    }
    Ok(())
}
