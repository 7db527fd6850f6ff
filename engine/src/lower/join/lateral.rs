//! Sources that read columns of the sources before them.

use datafusion::common::JoinType;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, lit};
use hedgerow_parser::{Span, ast};

use super::Kind;
use crate::error::{Error, Result};
use crate::functions::comparison::in_filter;
use crate::lower::array_join::Empty;
use crate::lower::expr::Lowering;
use crate::lower::scope::Scope;
use crate::lower::{from, table_function};

/// The plan of a join with a table function that reads the left side; none when it does not.
pub(super) fn function<'a>(
    scope: &mut Scope<'a>,
    left: &LogicalPlan,
    kind: Kind,
    right: &'a ast::Source,
    constraint: Option<&'a ast::JoinConstraint>,
    span: Span,
) -> Result<Option<LogicalPlan>> {
    scope.plan = left.clone();
    let empty = match kind {
        Kind::All(JoinType::Left) => Empty::Null,
        _ => Empty::Drop,
    };
    let Some(mut relation) = table_function::lateral(scope, right, empty)? else {
        return Ok(None);
    };
    from::rename_columns(&mut relation, &right.columns, right.span)?;
    scope.add_relation(relation, right.span)?;
    let condition = match constraint {
        None => None,
        Some(ast::JoinConstraint::On(expr)) => {
            Some(in_filter(Lowering::for_join(scope).condition(expr)?.expr))
        }
        Some(ast::JoinConstraint::Using(_)) => {
            return Err(Error::unsupported("USING cannot join a function of the left side")
                .at(span)
                .hint("Write ON."));
        }
    };
    let plan = LogicalPlanBuilder::from(scope.plan.clone());
    match (kind, condition) {
        (Kind::Cross, None) => Ok(Some(plan.build()?)),
        (Kind::All(JoinType::Inner), Some(condition)) => Ok(Some(plan.filter(condition)?.build()?)),
        (Kind::All(JoinType::Left), Some(condition)) if condition == lit(true) => {
            Ok(Some(plan.build()?))
        }
        (Kind::All(JoinType::Left), _) => {
            Err(Error::unsupported("a LEFT JOIN with a function of the left side takes ON true")
                .at(span)
                .hint("Put the condition into a subquery of the left side, or into WHERE."))
        }
        _ => Err(Error::unsupported("a function of the left side cannot be joined like this")
            .at(span)
            .hint("Write CROSS JOIN, INNER JOIN … ON …, or LEFT JOIN … ON true.")),
    }
}
