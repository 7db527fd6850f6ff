//! ANY and SEMI joins: a row takes at most one match.
//!
//! Which one is no accident: the first by the columns of its table, from left to right, or by
//! what identifies its rows.

use datafusion::common::{Column, JoinType};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::functions_aggregate::expr_fn::first_value;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, SortExpr, col, lit};
use hedgerow_parser::Span;

use super::condition::{Condition, Terms};
use super::{Side, Sides, all, order};
use crate::error::{Error, Result};
use crate::functions::aggregates::default_value;
use crate::lower::scope::Scope;
use crate::types::Type;

/// `ANY LEFT`, `ANY RIGHT`: all rows of that side, each with at most one match. `ANY INNER`: one
/// row for each key that both sides have.
pub(super) fn any(
    scope: &Scope<'_>,
    sides: &Sides,
    kind: JoinType,
    condition: Condition,
    span: Span,
) -> Result<LogicalPlan> {
    match kind {
        JoinType::Left => one_match(scope, sides, Side::Left, kind, condition),
        JoinType::Right => one_match(scope, sides, Side::Right, kind, condition),
        _ => {
            let terms = Terms::of(condition.expr.clone(), sides);
            if terms.equal.is_empty() || !terms.mixed.is_empty() || !terms.ordered.is_empty() {
                let message = "ANY INNER JOIN takes one row for each key, and so needs equalities";
                return Err(Error::unsupported(message)
                    .at(span)
                    .hint("Write SEMI JOIN for one match for each row of the left."));
            }
            let left = first_of_each(scope, sides, Side::Left, &terms)?;
            let right = first_of_each(scope, sides, Side::Right, &terms)?;
            all(&Sides { left, right, ..*sides }, kind, condition)
        }
    }
}

/// The rows of one side that have a match, each with one.
pub(super) fn semi(
    scope: &Scope<'_>,
    sides: &Sides,
    side: Side,
    condition: Condition,
) -> Result<LogicalPlan> {
    one_match(scope, sides, side, JoinType::Inner, condition)
}

/// A join in which each row of `side` has at most one match.
fn one_match(
    scope: &Scope<'_>,
    sides: &Sides,
    side: Side,
    kind: JoinType,
    condition: Condition,
) -> Result<LogicalPlan> {
    let terms = Terms::of(condition.expr.clone(), sides);
    let by_key = !terms.equal.is_empty() && terms.mixed.is_empty() && terms.ordered.is_empty();
    let left = || sides.left.clone();
    let right = || sides.right.clone();
    match (by_key, side) {
        // Rows with equal keys have the same matches: one of them is chosen before joining.
        (true, Side::Left) => {
            let right = first_of_each(scope, sides, Side::Right, &terms)?;
            all(&Sides { left: left(), right, ..*sides }, kind, condition)
        }
        (true, Side::Right) => {
            let left = first_of_each(scope, sides, Side::Left, &terms)?;
            all(&Sides { left, right: right(), ..*sides }, kind, condition)
        }
        // Otherwise rows are numbered, and one of the matches is chosen for each number.
        (false, Side::Left) => {
            let (left, number) = numbered(scope, left())?;
            let joined = all(&Sides { left, right: right(), ..*sides }, kind, condition)?;
            let ties = ascending(order(&scope.relations[sides.split..]));
            first_of_groups(scope, joined, vec![col(number.clone())], ties, Some(&number))
        }
        (false, Side::Right) => {
            let (right, number) = numbered(scope, right())?;
            let joined = all(&Sides { left: left(), right, ..*sides }, kind, condition)?;
            let ties = ascending(order(&scope.relations[..sides.split]));
            first_of_groups(scope, joined, vec![col(number.clone())], ties, Some(&number))
        }
    }
}

/// The first row for each key of the rows of a side that meet the conditions on it alone.
fn first_of_each(
    scope: &Scope<'_>,
    sides: &Sides,
    side: Side,
    terms: &Terms,
) -> Result<LogicalPlan> {
    let (plan, keys, filters, relations) = match side {
        Side::Left => {
            let keys = terms.equal.iter().map(|(left, _)| left.clone());
            (&sides.left, keys.collect(), &terms.left, &scope.relations[..sides.split])
        }
        Side::Right => {
            let keys = terms.equal.iter().map(|(_, right)| right.clone());
            (&sides.right, keys.collect::<Vec<_>>(), &terms.right, &scope.relations[sides.split..])
        }
    };
    let plan = match conjunction(filters.iter().cloned()) {
        Some(filter) => LogicalPlanBuilder::from(plan.clone()).filter(filter)?.build()?,
        None => plan.clone(),
    };
    first_of_groups(scope, plan, keys, ascending(order(relations)), None)
}

/// The first row of each group, with the columns it had, without `dropped`.
fn first_of_groups(
    scope: &Scope<'_>,
    plan: LogicalPlan,
    keys: Vec<Expr>,
    ties: Vec<SortExpr>,
    dropped: Option<&Column>,
) -> Result<LogicalPlan> {
    let mut firsts = Vec::new();
    let mut output = Vec::new();
    for (qualifier, field) in plan.schema().iter() {
        let column = Column::new(qualifier.cloned(), field.name());
        if dropped == Some(&column) {
            continue;
        }
        let name = scope.env.fresh("first");
        firsts.push(first_value(col(column.clone()), ties.clone()).alias(&name));
        let first = col(Column::new_unqualified(name));
        // DataFusion does not know that a group has a row.
        let first = match field.is_nullable() {
            true => first,
            false => coalesce(vec![first, lit(default_value(&Type::from_field(field))?)]),
        };
        output.push(first.alias_qualified(column.relation, column.name));
    }
    let keys = keys.into_iter().map(|key| key.alias(scope.env.fresh("key")));
    Ok(LogicalPlanBuilder::from(plan).aggregate(keys, firsts)?.project(output)?.build()?)
}

/// The plan with a number for each of its rows.
fn numbered(scope: &Scope<'_>, plan: LogicalPlan) -> Result<(LogicalPlan, Column)> {
    let number = datafusion::functions_window::expr_fn::row_number();
    let column = Column::new_unqualified(scope.env.fresh("row"));
    let plan = LogicalPlanBuilder::from(plan).window([number.alias(&column.name)])?.build()?;
    Ok((plan, column))
}

fn ascending(keys: Vec<Expr>) -> Vec<SortExpr> {
    keys.into_iter().map(|key| key.sort(true, false)).collect()
}
