//! Subqueries in expressions. Membership tests become joins in which NULL matches NULL, because
//! that is what `IN` means in HogQL (reference: `language.md`, 10.3).

use std::sync::Arc;

use datafusion::common::{Column, JoinType, NullEquality, Spans};
use datafusion::logical_expr::expr::InSubquery;
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, Subquery, and, col, lit, not,
};
use hedgerow_parser::{Span, ast};

use super::aggregate::{find_aggregate, misplaced};
use super::expr::{Lowering, boolean};
use super::scope::Scope;
use super::{Lowered, operators, query, select, window};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::comparison::in_filter;
use crate::functions::{PlanContext, Typed};
use crate::types::Type;

/// Puts a WHERE condition on the scope's plan, each AND term on its own: a membership test in
/// a subquery becomes a semi or anti join.
pub(super) fn filter<'a>(scope: &mut Scope<'a>, condition: &'a ast::Expr) -> Result<()> {
    let terms = match &condition.kind {
        ast::ExprKind::And(terms) => terms.as_slice(),
        _ => std::slice::from_ref(condition),
    };
    let mut plain = Vec::with_capacity(terms.len());
    for term in terms {
        if let ast::ExprKind::In { expr, right, negated } = &term.kind
            && let ast::ExprKind::Subquery(query) = &right.kind
        {
            let value = Lowering::new(scope).lower(expr)?;
            refuse_late(&value)?;
            let kind = if *negated { JoinType::LeftAnti } else { JoinType::LeftSemi };
            join(scope, value, query, kind)?;
        } else {
            let typed = Lowering::new(scope).condition(term)?;
            refuse_late(&typed)?;
            plain.push(in_filter(typed.expr));
        }
    }
    if let Some(condition) = super::expr::balanced(plain, and) {
        let plan = LogicalPlanBuilder::from(scope.plan.clone());
        scope.plan = plan.filter(condition)?.build()?;
    }
    Ok(())
}

fn refuse_late(typed: &Typed) -> Result<()> {
    if let Some(aggregate) = find_aggregate(&typed.expr) {
        return Err(misplaced(&aggregate, "WHERE").at(typed.span));
    }
    window::refuse(typed, "WHERE")
}

/// `expr [NOT] IN right`.
pub(super) fn membership<'a>(
    lowering: &mut Lowering<'_, 'a>,
    expr: &'a ast::Expr,
    right: &'a ast::Expr,
    negated: bool,
    span: Span,
) -> Result<Typed> {
    let value = lowering.lower(expr)?;
    match &right.kind {
        ast::ExprKind::Subquery(query) => in_query(lowering, value, query, negated, span),
        ast::ExprKind::Tuple(items) | ast::ExprKind::Array(items) => {
            let mut lowered = Vec::with_capacity(items.len());
            for item in items {
                lowered.push(lowering.lower(item)?);
            }
            operators::in_list(lowering, value, lowered, negated, span)
        }
        _ => {
            let right = lowering.lower(right)?;
            match right.ty {
                Type::Array(_) => {
                    let member = lowering.call_scalar("has", vec![right, value], span)?;
                    let member = lowering.coerce(member, &Type::Bool)?.expr.is_true();
                    Ok(boolean(if negated { not(member) } else { member }, span))
                }
                _ => operators::in_list(lowering, value, vec![right], negated, span),
            }
        }
    }
}

fn in_query<'a>(
    lowering: &mut Lowering<'_, 'a>,
    value: Typed,
    query: &'a ast::Query,
    negated: bool,
    span: Span,
) -> Result<Typed> {
    let late = find_aggregate(&value.expr).is_some() || window::contains(&value.expr);
    let member = if late || !lowering.lambdas.is_empty() {
        // The value exists only after aggregation: test it there.
        let lowered = query::lower_in(lowering.scope.env, lowering.scope.ctes, query)?;
        let [column] = lowered.columns.as_slice() else {
            return Err(wrong_width(1, &lowered, span));
        };
        let value = lowering.coerce(value, &column.ty)?;
        let subquery = as_subquery(lowered.plan);
        let test = Expr::InSubquery(InSubquery::new(Box::new(value.expr), subquery, false));
        test.is_true()
    } else {
        join(lowering.scope, value, query, JoinType::LeftMark)?
    };
    Ok(boolean(if negated { not(member) } else { member }, span))
}

/// Joins the scope's plan with a subquery on equality with its columns. For a mark join the
/// result is the mark.
fn join<'a>(
    scope: &mut Scope<'a>,
    value: Typed,
    query: &'a ast::Query,
    kind: JoinType,
) -> Result<Expr> {
    let span = query.span();
    let lowered = query::lower_in(scope.env, scope.ctes, query)?;
    let values = match &value.ty {
        Type::Tuple(elements) if lowered.columns.len() > 1 => (1..=elements.len())
            .map(|i| {
                let index = Typed::int(i as i64, span);
                Lowering::new(scope).call_scalar("tupleElement", vec![value.clone(), index], span)
            })
            .collect::<Result<Vec<_>>>()?,
        _ => vec![value],
    };
    if values.len() != lowered.columns.len() {
        return Err(wrong_width(values.len(), &lowered, span));
    }
    let alias = scope.env.fresh("in");
    let mut left = Vec::with_capacity(values.len());
    let mut right = Vec::with_capacity(values.len());
    for (value, output) in values.into_iter().zip(&lowered.columns) {
        let ty = value.ty.common(&output.ty).ok_or_else(|| {
            let message = format!("cannot compare {} with {}", value.ty, output.ty);
            Error::new(ErrorKind::TypeMismatch, message).at(value.span)
        })?;
        let value = Lowering::new(scope).coerce(value, &ty)?;
        left.push(select::laid_out(value, scope.plan.schema())?);
        let mut inner = Scope::new(scope.env, scope.ctes)?;
        inner.plan = lowered.plan.clone();
        let expr = Expr::Column(output.column.clone());
        let typed = Typed { expr, ty: output.ty.clone(), span };
        let typed = Lowering::new(&mut inner).coerce(typed, &ty)?;
        right.push(select::laid_out(typed, inner.plan.schema())?.alias(&output.column.name));
    }
    let right_columns: Vec<Column> = lowered
        .columns
        .iter()
        .map(|output| Column::new(Some(alias.as_str()), output.column.name.clone()))
        .collect();
    let inner = LogicalPlanBuilder::from(lowered.plan).project(right)?.alias(alias.as_str())?;
    let (plan, left_columns) = with_columns(scope, left)?;
    scope.plan = LogicalPlanBuilder::from(plan)
        .join_detailed(
            inner.build()?,
            kind,
            (left_columns, right_columns),
            None,
            NullEquality::NullEqualsNull,
        )?
        .build()?;
    if kind != JoinType::LeftMark {
        return Ok(lit(true));
    }
    // Each mark gets a name of its own: a second mark join would add the same one.
    let mark = scope.env.fresh("mark");
    let exprs: Vec<Expr> = scope
        .plan
        .schema()
        .iter()
        .map(|(qualifier, field)| {
            let column = Expr::Column(Column::new(qualifier.cloned(), field.name()));
            if field.name() == "mark" && qualifier.is_some_and(|q| q.table() == alias) {
                column.alias(&mark)
            } else {
                column
            }
        })
        .collect();
    let plan = LogicalPlanBuilder::from(scope.plan.clone());
    scope.plan = plan.project(exprs)?.build()?;
    Ok(col(Column::new_unqualified(mark)))
}

/// The scope's plan with a column for each expression that is not one already.
fn with_columns(scope: &Scope<'_>, exprs: Vec<Expr>) -> Result<(LogicalPlan, Vec<Column>)> {
    let mut projection: Vec<Expr> = scope.plan.schema().columns().into_iter().map(col).collect();
    let width = projection.len();
    let mut columns = Vec::with_capacity(exprs.len());
    for expr in exprs {
        match expr {
            Expr::Column(column) => columns.push(column),
            computed => {
                let name = scope.env.fresh("key");
                projection.push(computed.alias(name.clone()));
                columns.push(Column::new_unqualified(name));
            }
        }
    }
    if projection.len() == width {
        return Ok((scope.plan.clone(), columns));
    }
    let plan = LogicalPlanBuilder::from(scope.plan.clone()).project(projection)?.build()?;
    Ok((plan, columns))
}

/// A subquery as a value: one row at most; several columns make a tuple.
pub(super) fn scalar<'a>(
    lowering: &mut Lowering<'_, 'a>,
    query: &'a ast::Query,
    span: Span,
) -> Result<Typed> {
    let lowered = query::lower_in(lowering.scope.env, lowering.scope.ctes, query)?;
    if let [column] = lowered.columns.as_slice() {
        let ty = column.ty.clone();
        return Ok(Typed { expr: Expr::ScalarSubquery(as_subquery(lowered.plan)), ty, span });
    }
    let mut inner = Scope::new(lowering.scope.env, lowering.scope.ctes)?;
    inner.plan = lowered.plan;
    let columns = lowered.columns.into_iter().map(|output| Typed {
        expr: Expr::Column(output.column),
        ty: output.ty,
        span,
    });
    let columns = columns.collect();
    let tuple = Lowering::new(&mut inner).call_scalar("tuple", columns, span)?;
    let plan = LogicalPlanBuilder::from(inner.plan).project(vec![tuple.expr.alias("tuple")])?;
    let expr = Expr::ScalarSubquery(as_subquery(plan.build()?));
    Ok(Typed { expr, ty: tuple.ty, span })
}

/// `exists(select …)`: whether there is any row.
pub(super) fn exists<'a>(
    lowering: &mut Lowering<'_, 'a>,
    query: &'a ast::Query,
    span: Span,
) -> Result<Typed> {
    let lowered = query::lower_in(lowering.scope.env, lowering.scope.ctes, query)?;
    let count = datafusion::functions_aggregate::expr_fn::count(lit(1_i64));
    let plan = LogicalPlanBuilder::from(lowered.plan)
        .limit(0, Some(1))?
        .aggregate(Vec::<Expr>::new(), vec![count.alias("count")])?
        .project(vec![col("count").gt(lit(0_i64)).alias("exists")])?
        .build()?;
    Ok(boolean(Expr::ScalarSubquery(as_subquery(plan)), span))
}

fn as_subquery(plan: LogicalPlan) -> Subquery {
    Subquery { subquery: Arc::new(plan), outer_ref_columns: Vec::new(), spans: Spans::new() }
}

fn wrong_width(expected: usize, lowered: &Lowered, span: Span) -> Error {
    let message =
        format!("the subquery has {} columns where {expected} are compared", lowered.columns.len());
    Error::new(ErrorKind::Syntax, message).at(span)
}
