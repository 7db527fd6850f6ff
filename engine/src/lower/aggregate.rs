//! GROUP BY and aggregate functions: everything after them sees only keys and aggregates.

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};
use hedgerow_parser::{Span, ast};

use super::scope::Scope;
use super::select::{self, Exprs};
use super::subquery;
use crate::error::{Error, ErrorKind, Result};
use crate::functions::Typed;

/// The keys of GROUP BY; none when the SELECT has no such clause.
pub(super) fn keys<'a>(
    scope: &mut Scope<'a>,
    select: &'a ast::Select,
    exprs: &Exprs,
) -> Result<Option<Vec<Typed>>> {
    let keys = match &select.group_by {
        None => return Ok(None),
        Some(ast::GroupBy::Keys { keys, modifier: None, totals: false }) => keys
            .iter()
            .map(|key| select::positional(scope, key, &exprs.items))
            .collect::<Result<Vec<_>>>()?,
        Some(ast::GroupBy::All) => exprs
            .items
            .iter()
            .map(|(_, typed)| typed)
            .filter(|typed| find_aggregate(&typed.expr).is_none())
            .cloned()
            .collect(),
        Some(_) => {
            let message = "CUBE, ROLLUP, GROUPING SETS and TOTALS are not available yet";
            return Err(Error::unsupported(message).at(select.span));
        }
    };
    if let Some((key, aggregate)) =
        keys.iter().find_map(|key| find_aggregate(&key.expr).map(|name| (key, name)))
    {
        return Err(misplaced(&aggregate, "GROUP BY").at(key.span));
    }
    Ok(Some(keys))
}

/// The error for an aggregate in a clause that is evaluated before aggregation.
pub(super) fn misplaced(aggregate: &str, clause: &str) -> Error {
    Error::new(ErrorKind::Grouping, format!("aggregate function {aggregate} in {clause}"))
        .hint("Conditions on aggregates belong into HAVING.")
}

/// The name of an aggregate function in an expression, when there is one.
pub(super) fn find_aggregate(expr: &Expr) -> Option<String> {
    let mut name = None;
    let found = expr.apply(|node| match node {
        Expr::AggregateFunction(aggregate) => {
            name = Some(aggregate.func.name().to_owned());
            Ok(TreeNodeRecursion::Stop)
        }
        _ => Ok(TreeNodeRecursion::Continue),
    });
    found.ok().and(name)
}

/// Puts the aggregation on the scope's plan and rewrites the expressions to its output.
/// Nothing happens when there is neither a GROUP BY nor an aggregate.
pub(super) fn plan(
    scope: &mut Scope<'_>,
    mut keys: Option<Vec<Typed>>,
    exprs: &mut Exprs,
) -> Result<()> {
    let key_exprs = keys.iter_mut().flatten().map(|key| &mut key.expr);
    subquery::join_before_aggregation(scope, key_exprs, exprs)?;
    let mut aggregates: Vec<Expr> = Vec::new();
    exprs.for_each_mut(&mut |expr, _| {
        expr.apply(|node| {
            if matches!(node, Expr::AggregateFunction(_)) {
                if !aggregates.contains(node) {
                    aggregates.push(node.clone());
                }
                return Ok(TreeNodeRecursion::Jump);
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(())
    })?;
    if keys.is_none() && aggregates.is_empty() {
        return Ok(());
    }
    let mut replacements: Vec<(Expr, Expr)> = Vec::new();
    let mut group_exprs = Vec::new();
    for key in keys.into_iter().flatten() {
        if replacements.iter().any(|(expr, _)| *expr == key.expr) {
            continue;
        }
        let (group_expr, output) = match &key.expr {
            Expr::Column(_) => (key.expr.clone(), key.expr.clone()),
            computed => named(computed.clone(), scope.env.fresh("key")),
        };
        group_exprs.push(group_expr);
        replacements.push((key.expr, output));
    }
    let mut aggregate_exprs = Vec::with_capacity(aggregates.len());
    for aggregate in aggregates {
        let (expr, output) = named(aggregate.clone(), scope.env.fresh("aggregate"));
        aggregate_exprs.push(expr);
        replacements.push((aggregate, output));
    }
    let plan = LogicalPlanBuilder::from(scope.plan.clone());
    scope.plan = plan.aggregate(group_exprs, aggregate_exprs)?.build()?;
    exprs.for_each_mut(&mut |expr, span| {
        *expr = replace(std::mem::take(expr), &replacements)?;
        check_grouped(scope, expr, span)
    })
}

fn named(expr: Expr, name: String) -> (Expr, Expr) {
    (expr.alias(name.clone()), Expr::Column(Column::new_unqualified(name)))
}

/// The expression with every occurrence of a left side replaced by its right side.
pub(super) fn replace(expr: Expr, replacements: &[(Expr, Expr)]) -> Result<Expr> {
    let replaced = expr.transform_down(|node| {
        Ok(match replacements.iter().find(|(from, _)| *from == node) {
            Some((_, to)) => Transformed::new(to.clone(), true, TreeNodeRecursion::Jump),
            None => Transformed::no(node),
        })
    })?;
    Ok(replaced.data)
}

fn check_grouped(scope: &Scope<'_>, expr: &Expr, span: Span) -> Result<()> {
    let schema = scope.plan.schema();
    let missing = expr.column_refs().into_iter().find(|column| !schema.has_column(column)).cloned();
    match missing {
        None => Ok(()),
        Some(column) => {
            let message = format!(
                "column {} must appear in GROUP BY or be used in an aggregate function",
                column.name
            );
            Err(Error::new(ErrorKind::Grouping, message)
                .at(span)
                .hint(format!("Add it to GROUP BY, or take any({}).", column.name)))
        }
    }
}
