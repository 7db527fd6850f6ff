//! Aliases of volatile expressions, such as `rand() as r`: wherever the alias is used, it is the
//! same value.
//!
//! Such an expression carries a name of its own while it is inlined. Before a step that uses it,
//! it becomes a column under that name.

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, col};

use super::aggregate::find_aggregate;
use super::scope::Scope;
use super::{subquery, window};
use crate::error::Result;
use crate::functions::Typed;

const PREFIX: &str = "volatile";

impl<'a> Scope<'a> {
    /// The value of an alias: under a name of its own when two evaluations could differ.
    pub(super) fn aliased(&mut self, alias: &'a str, typed: Typed) -> Typed {
        if let Some(known) = self.volatile.get(alias) {
            return Typed { span: typed.span, ..known.clone() };
        }
        if !is_volatile(&typed.expr) {
            return typed;
        }
        let expr = typed.expr.alias(self.env.fresh(PREFIX));
        let typed = Typed { expr, ..typed };
        self.volatile.insert(alias, typed.clone());
        typed
    }
}

/// Makes columns of the named volatile expressions that can be computed from the plan as it is,
/// and puts the columns where the expressions were. Those inside of others come first.
pub(super) fn compute<'e>(
    scope: &mut Scope<'_>,
    exprs: impl IntoIterator<Item = &'e mut Expr>,
) -> Result<()> {
    if scope.volatile.is_empty() {
        return Ok(());
    }
    let mut exprs: Vec<&mut Expr> = exprs.into_iter().collect();
    loop {
        let found = innermost(&exprs)?;
        if found.is_empty() {
            return Ok(());
        }
        put_columns(scope, &mut exprs, &found)?;
    }
}

/// The named expressions that have no other in them, and can be computed.
fn innermost(exprs: &[&mut Expr]) -> Result<Vec<Expr>> {
    let mut found: Vec<Expr> = Vec::new();
    for expr in exprs {
        expr.apply(|node| {
            let Some(inner) = named(node) else { return Ok(TreeNodeRecursion::Continue) };
            if inner.exists(|node| Ok(named(node).is_some()))? {
                return Ok(TreeNodeRecursion::Continue);
            }
            if is_ready(node) && !found.contains(node) {
                found.push(node.clone());
            }
            Ok(TreeNodeRecursion::Jump)
        })?;
    }
    Ok(found)
}

fn put_columns(scope: &mut Scope<'_>, exprs: &mut [&mut Expr], found: &[Expr]) -> Result<()> {
    let mut projection: Vec<Expr> = scope.plan.schema().columns().into_iter().map(col).collect();
    projection.extend(found.iter().cloned());
    scope.plan = LogicalPlanBuilder::from(scope.plan.clone()).project(projection)?.build()?;
    let known = scope.volatile.values_mut().map(|typed| &mut typed.expr);
    for expr in exprs.iter_mut().map(|expr| &mut **expr).chain(known) {
        let computed = std::mem::take(expr).transform_down(|node| {
            if !found.contains(&node) {
                return Ok(Transformed::no(node));
            }
            let name = node.schema_name().to_string();
            let column = col(Column::new_unqualified(name));
            Ok(Transformed::new(column, true, TreeNodeRecursion::Jump))
        })?;
        *expr = computed.data;
    }
    Ok(())
}

/// What a named expression computes.
fn named(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::Alias(alias) if alias.name.starts_with(&format!("__{PREFIX}_")) => Some(&alias.expr),
        _ => None,
    }
}

/// Whether two evaluations could differ. Named expressions and the joins of subqueries are
/// computed once anyway.
fn is_volatile(expr: &Expr) -> bool {
    let mut found = false;
    let walked = expr.apply(|node| {
        if named(node).is_some() {
            return Ok(TreeNodeRecursion::Jump);
        }
        found = found || (!subquery::is_pending(node) && node.is_volatile_node());
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found || walked.is_err()
}

/// False for what exists only after aggregation, windows or the joins of subqueries.
fn is_ready(expr: &Expr) -> bool {
    let is_joined = !expr.exists(|node| Ok(subquery::is_pending(node))).unwrap_or(true);
    is_joined && find_aggregate(expr).is_none() && !window::contains(expr)
}
