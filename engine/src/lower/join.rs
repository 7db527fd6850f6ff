//! Joins of sources.

use std::collections::HashMap;

use datafusion::common::{Column, JoinType};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, and, col, lit};
use hedgerow_parser::{Span, ast};

use super::expr::{Lowering, balanced};
use super::scope::{Relation, Scope};
use super::{from, operators};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::Typed;
use crate::functions::aggregates::default_value;
use crate::types::Type;

/// The plan of a join tree, whose relations are added to the scope from left to right.
pub(super) fn lower<'a>(scope: &mut Scope<'a>, join: &'a ast::Join) -> Result<LogicalPlan> {
    let (left, kind, strictness, natural, right, constraint, span) = match join {
        ast::Join::Source(source) => return from::source(scope, source),
        ast::Join::Join { left, kind, strictness, natural, right, constraint, span } => {
            (left, *kind, *strictness, *natural, right, constraint.as_ref(), *span)
        }
    };
    let left_plan = lower(scope, left)?;
    let left_relations = scope.relations.len();
    let right_plan = lower(scope, right)?;
    let kind = join_type(kind, strictness, natural, span)?;
    // The constraint is lowered against both sides.
    scope.plan =
        LogicalPlanBuilder::from(left_plan.clone()).cross_join(right_plan.clone())?.build()?;
    let condition = match constraint {
        None => None,
        Some(ast::JoinConstraint::On(expr)) => {
            Some(Lowering::for_join(scope).condition(expr)?.expr)
        }
        Some(ast::JoinConstraint::Using(names)) => Some(using(scope, names, left_relations, kind)?),
    };
    let plan = match (kind, condition) {
        (None, None) => return Ok(scope.plan.clone()),
        (None, Some(_)) => {
            return Err(Error::new(ErrorKind::Syntax, "CROSS JOIN takes no condition").at(span));
        }
        (Some(_), None) => {
            return Err(Error::new(ErrorKind::Syntax, "the join has no condition")
                .at(span)
                .hint("Add ON or USING, or write CROSS JOIN."));
        }
        (Some(kind), Some(condition)) => {
            let plan = LogicalPlanBuilder::from(left_plan.clone())
                .join_on(right_plan.clone(), kind, [condition])?
                .build()?;
            with_defaults(plan, kind, &left_plan, &right_plan)?
        }
    };
    if matches!(kind, Some(JoinType::LeftSemi | JoinType::LeftAnti)) {
        scope.relations.truncate(left_relations);
    }
    if matches!(kind, Some(JoinType::RightSemi | JoinType::RightAnti)) {
        scope.relations.drain(..left_relations);
    }
    Ok(plan)
}

/// None for a cross join.
fn join_type(
    kind: ast::JoinKind,
    strictness: Option<ast::JoinStrictness>,
    natural: bool,
    span: Span,
) -> Result<Option<JoinType>> {
    use ast::{JoinKind, JoinStrictness};
    if natural {
        return Err(Error::unsupported("NATURAL JOIN is not available yet").at(span));
    }
    Ok(match (kind, strictness) {
        (JoinKind::Cross, None) => None,
        (JoinKind::Inner, None | Some(JoinStrictness::All)) => Some(JoinType::Inner),
        (JoinKind::Left, None | Some(JoinStrictness::All)) => Some(JoinType::Left),
        (JoinKind::Right, None | Some(JoinStrictness::All)) => Some(JoinType::Right),
        (JoinKind::Full, None | Some(JoinStrictness::All)) => Some(JoinType::Full),
        (JoinKind::Left | JoinKind::Inner, Some(JoinStrictness::Semi)) => Some(JoinType::LeftSemi),
        (JoinKind::Left | JoinKind::Inner, Some(JoinStrictness::Anti)) => Some(JoinType::LeftAnti),
        (JoinKind::Right, Some(JoinStrictness::Semi)) => Some(JoinType::RightSemi),
        (JoinKind::Right, Some(JoinStrictness::Anti)) => Some(JoinType::RightAnti),
        (JoinKind::Positional, _) => {
            return Err(Error::unsupported("POSITIONAL JOIN is not available yet").at(span));
        }
        _ => {
            let message = "ANY and ASOF joins are not available yet";
            return Err(Error::unsupported(message).at(span));
        }
    })
}

/// `USING (a, b)`: equality of the columns, which are one column from here on.
fn using(
    scope: &mut Scope<'_>,
    names: &[ast::Ident],
    left_relations: usize,
    kind: Option<JoinType>,
) -> Result<Expr> {
    let mut terms = Vec::with_capacity(names.len());
    for name in names {
        let find = |relations: &[Relation]| {
            let mut columns = relations.iter().flat_map(|r| &r.columns);
            columns.find(|c| c.name == name.name && !scope.merged.contains(&c.column)).cloned()
        };
        let (left, right) = scope.relations.split_at(left_relations);
        let (Some(left), Some(right)) = (find(left), find(right)) else {
            let message = format!("column {} of USING is not on both sides of the join", name.name);
            return Err(Error::new(ErrorKind::UnknownColumn, message).at(name.span));
        };
        // The merged column is the one whose rows the join keeps.
        match kind {
            Some(JoinType::Right | JoinType::RightSemi | JoinType::RightAnti) => {
                scope.merged.insert(left.column.clone());
            }
            Some(JoinType::Full) => {
                return Err(Error::unsupported("FULL JOIN with USING is not available yet")
                    .at(name.span)
                    .hint("Write ON a.x = b.x, and choose with coalesce."));
            }
            _ => {
                scope.merged.insert(right.column.clone());
            }
        }
        let typed = |column: Column, ty: Type| Typed { expr: col(column), ty, span: name.span };
        let (left, right) = (typed(left.column, left.ty), typed(right.column, right.ty));
        let lowering = Lowering::for_join(scope);
        terms.push(operators::binary(&lowering, ast::BinaryOp::Eq, left, right, name.span)?.expr);
    }
    balanced(terms, and).ok_or_else(|| Error::internal("USING without columns"))
}

/// In HogQL the columns of a missing match that cannot be NULL themselves take the default of
/// their type, not NULL (reference: `language.md`, 5.2).
fn with_defaults(
    plan: LogicalPlan,
    kind: JoinType,
    left: &LogicalPlan,
    right: &LogicalPlan,
) -> Result<LogicalPlan> {
    let sides: &[&LogicalPlan] = match kind {
        JoinType::Left => &[right],
        JoinType::Right => &[left],
        JoinType::Full => &[left, right],
        _ => return Ok(plan),
    };
    let mut defaults: HashMap<Column, Expr> = HashMap::new();
    for side in sides {
        for (qualifier, field) in side.schema().iter().filter(|(_, field)| !field.is_nullable()) {
            let default = default_value(&Type::from_field(field))?;
            defaults.insert(Column::new(qualifier.cloned(), field.name()), lit(default));
        }
    }
    if defaults.is_empty() {
        return Ok(plan);
    }
    let exprs = plan
        .schema()
        .columns()
        .into_iter()
        .map(|column| match defaults.remove(&column) {
            Some(default) => {
                let value = coalesce(vec![col(column.clone()), default]);
                Ok(value.alias_qualified(column.relation, column.name))
            }
            None => Ok(col(column)),
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(LogicalPlanBuilder::from(plan).project(exprs)?.build()?)
}
