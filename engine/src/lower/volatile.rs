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
/// and puts the columns where the expressions were.
pub(super) fn compute<'e>(
    scope: &mut Scope<'_>,
    exprs: impl IntoIterator<Item = &'e mut Expr>,
) -> Result<()> {
    if scope.volatile.is_empty() {
        return Ok(());
    }
    let mut exprs: Vec<&mut Expr> = exprs.into_iter().collect();
    let mut found: Vec<Expr> = Vec::new();
    for expr in &exprs {
        expr.apply(|node| {
            if is_named(node) && is_ready(node) {
                if !found.contains(node) {
                    found.push(node.clone());
                }
                return Ok(TreeNodeRecursion::Jump);
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    if found.is_empty() {
        return Ok(());
    }
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

fn is_named(expr: &Expr) -> bool {
    matches!(expr, Expr::Alias(alias) if alias.name.starts_with(&format!("__{PREFIX}_")))
}

/// Whether two evaluations could differ; the joins of subqueries are computed once anyway.
fn is_volatile(expr: &Expr) -> bool {
    let found = expr.exists(|node| Ok(!subquery::is_pending(node) && node.is_volatile_node()));
    found.unwrap_or(true)
}

/// False for what exists only after aggregation, windows or the joins of subqueries.
fn is_ready(expr: &Expr) -> bool {
    let is_joined = !expr.exists(|node| Ok(subquery::is_pending(node))).unwrap_or(true);
    is_joined && find_aggregate(expr).is_none() && !window::contains(expr)
}
