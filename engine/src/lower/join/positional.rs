//! POSITIONAL joins: the first row with the first, the second with the second.

use datafusion::common::{Column, JoinType};
use datafusion::logical_expr::{
    Expr, ExprFunctionExt, LogicalPlan, LogicalPlanBuilder, SortExpr, col,
};
use hedgerow_parser::Span;

use super::Sides;
use crate::error::{Error, Result};
use crate::lower::aggregate;
use crate::lower::scope::Scope;

/// Rows by their place. Where one side has fewer rows, its columns are NULL.
///
/// # Errors
/// `Unsupported`, unless both sides have an order: rows of a table have no place.
pub(super) fn plan(scope: &Scope<'_>, sides: Sides, span: Span) -> Result<LogicalPlan> {
    let (left, left_place) = placed(scope, sides.left, span)?;
    let (right, right_place) = placed(scope, sides.right, span)?;
    let kept = left.schema().columns().into_iter().chain(right.schema().columns());
    let kept: Vec<Expr> = kept.filter(|c| *c != left_place && *c != right_place).map(col).collect();
    Ok(LogicalPlanBuilder::from(left)
        .join(right, JoinType::Full, (vec![left_place], vec![right_place]), None)?
        .project(kept)?
        .build()?)
}

/// The plan with the place of each row.
fn placed(scope: &Scope<'_>, plan: LogicalPlan, span: Span) -> Result<(LogicalPlan, Column)> {
    let Some(order) = order_of(&plan)? else {
        return Err(Error::unsupported("a POSITIONAL JOIN needs sides with an order of their own")
            .at(span)
            .hint("Write (SELECT … ORDER BY …), by selected columns, on both sides."));
    };
    let place = datafusion::functions_window::expr_fn::row_number();
    let place = if order.is_empty() { place } else { place.order_by(order).build()? };
    let column = Column::new_unqualified(scope.env.fresh("place"));
    let plan = LogicalPlanBuilder::from(plan).window([place.alias(&column.name)])?.build()?;
    Ok((plan, column))
}

/// The order in which a plan gives its rows, in terms of its columns; empty when it is the order
/// in which they were written, none when there is none or its keys are not among the columns.
fn order_of(plan: &LogicalPlan) -> Result<Option<Vec<SortExpr>>> {
    let (input, names) = match plan {
        LogicalPlan::Values(_) | LogicalPlan::EmptyRelation(_) => return Ok(Some(Vec::new())),
        LogicalPlan::Sort(sort) => return Ok(Some(sort.expr.clone())),
        LogicalPlan::Limit(limit) => return order_of(&limit.input),
        LogicalPlan::Filter(filter) => return order_of(&filter.input),
        LogicalPlan::SubqueryAlias(alias) => {
            let names = alias.input.schema().columns().into_iter().map(col);
            (&alias.input, names.zip(plan.schema().columns()).collect::<Vec<_>>())
        }
        LogicalPlan::Projection(projection) => {
            let exprs = projection.expr.iter().map(|expr| expr.clone().unalias());
            (&projection.input, exprs.zip(plan.schema().columns()).collect())
        }
        _ => return Ok(None),
    };
    let Some(order) = order_of(input)? else { return Ok(None) };
    let names: Vec<(Expr, Expr)> =
        names.into_iter().map(|(inner, outer)| (inner, col(outer))).collect();
    let mut renamed = Vec::with_capacity(order.len());
    for key in order {
        let expr = aggregate::replace(key.expr, &names)?;
        if expr.column_refs().iter().any(|column| !plan.schema().has_column(column)) {
            return Ok(None);
        }
        renamed.push(SortExpr::new(expr, key.asc, key.nulls_first));
    }
    Ok(Some(renamed))
}
