//! Whole queries: set operations and common table expressions.

use std::collections::HashMap;

use datafusion::common::Column;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use hedgerow_parser::{Span, ast};

use super::expr::Lowering;
use super::scope::{Cte, Ctes, Relation, Scope};
use super::{Environment, Lowered, OutputColumn, placeholder, select, subquery};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::{PlanContext, Typed};
use crate::types::Type;

/// Lowers a top-level query.
pub(super) fn lower(env: &Environment<'_>, query: &ast::Query) -> Result<Lowered> {
    let ctes = Ctes { parent: None, entries: HashMap::new(), outer: None };
    let lowered = lower_in(env, &ctes, query)?;
    subquery::refuse_unjoined(&lowered.plan)?;
    Ok(lowered)
}

/// Lowers a query that sees the common table expressions of its surroundings.
pub(super) fn lower_in(
    env: &Environment<'_>,
    ctes: &Ctes<'_>,
    query: &ast::Query,
) -> Result<Lowered> {
    match query {
        ast::Query::Select(query) => {
            let ctes = declare(env, ctes, query.with.as_ref())?;
            select::lower(env, &ctes, query)
        }
        ast::Query::Set(set) => {
            let ctes = declare(env, ctes, set.with.as_ref())?;
            set_query(env, &ctes, set)
        }
        ast::Query::Values(values) => self::values(env, ctes, values),
        ast::Query::Placeholder(expr) => placeholder::lower_query(env, ctes, expr),
    }
}

/// The scope that a WITH clause opens. Each entry sees the earlier ones and everything outside.
fn declare<'a>(
    env: &Environment<'_>,
    parent: &'a Ctes<'a>,
    with: Option<&'a ast::With>,
) -> Result<Ctes<'a>> {
    let mut ctes = Ctes { parent: Some(parent), entries: HashMap::new(), outer: None };
    let Some(with) = with else { return Ok(ctes) };
    for cte in &with.ctes {
        let entry = match &cte.body {
            ast::CteBody::Scalar(expr) => Cte::Scalar(expr),
            ast::CteBody::Table { columns, key, materialized: _, query } => {
                if with.recursive && mentions(query, &cte.name.name) || !key.is_empty() {
                    return Err(Error::unsupported("recursive queries are not available yet")
                        .at(cte.name.span));
                }
                let lowered = lower_in(env, &ctes, query)?;
                Cte::Table(rename(lowered, columns, cte.name.span)?)
            }
        };
        if ctes.entries.insert(&cte.name.name, entry).is_some() {
            let message = format!("common table expression {} is declared twice", cte.name.name);
            return Err(Error::new(ErrorKind::Duplicate, message).at(cte.name.span));
        }
    }
    Ok(ctes)
}

/// True when `FROM` of a query's own branches names `table`.
fn mentions(query: &ast::Query, table: &str) -> bool {
    fn in_join(join: &ast::Join, table: &str) -> bool {
        match join {
            ast::Join::Source(source) => match &source.kind {
                ast::SourceKind::Table(name) => {
                    matches!(name.as_slice(), [only] if only.name == table)
                }
                ast::SourceKind::Query(query) => mentions(query, table),
                _ => false,
            },
            ast::Join::Join { left, right, .. } => in_join(left, table) || in_join(right, table),
        }
    }
    match query {
        ast::Query::Select(select) => select.from.as_ref().is_some_and(|f| in_join(f, table)),
        ast::Query::Set(set) => {
            mentions(&set.first, table) || set.rest.iter().any(|(_, query)| mentions(query, table))
        }
        _ => false,
    }
}

/// Gives the columns of a query new names, as `AS t(a, b)` does. The counts must match.
pub(super) fn rename(mut lowered: Lowered, names: &[ast::Ident], span: Span) -> Result<Lowered> {
    if names.is_empty() {
        return Ok(lowered);
    }
    if names.len() != lowered.columns.len() {
        let message = format!(
            "{} column names were given for {} columns",
            names.len(),
            lowered.columns.len()
        );
        return Err(Error::new(ErrorKind::Syntax, message).at(span));
    }
    for (column, name) in lowered.columns.iter_mut().zip(names) {
        column.name.clone_from(&name.name);
    }
    Ok(lowered)
}

fn set_query(env: &Environment<'_>, ctes: &Ctes<'_>, set: &ast::SetQuery) -> Result<Lowered> {
    // The first branch's WITH is visible to the later ones.
    let first_with = match &set.first {
        ast::Query::Select(select) => select.with.as_ref(),
        _ => None,
    };
    let later = declare(env, ctes, first_with)?;
    let mut operands = vec![(None, lower_in(env, ctes, &set.first)?, set.first.span())];
    for (operator, query) in &set.rest {
        let right = lower_in(env, &later, query)?;
        match operands.pop() {
            // INTERSECT binds tighter than the others.
            Some((before, left, span)) if operator.kind == ast::SetKind::Intersect => {
                let both = combine(env, left, *operator, right, query.span())?;
                operands.push((before, both, span));
            }
            Some(last) => {
                operands.push(last);
                operands.push((Some(*operator), right, query.span()));
            }
            None => return Err(Error::internal("set query without operands")),
        }
    }
    let mut operands = operands.into_iter();
    let Some((_, mut lowered, _)) = operands.next() else {
        return Err(Error::internal("set query without operands"));
    };
    for (operator, right, span) in operands {
        let operator = operator.ok_or_else(|| Error::internal("operand without operator"))?;
        lowered = combine(env, lowered, operator, right, span)?;
    }
    if set.order_by.is_empty() && set.limit.is_none() && set.offset.is_none() {
        return Ok(lowered);
    }
    order_and_limit(env, ctes, set, lowered)
}

/// The trailing clauses of a set query see its output columns.
fn order_and_limit(
    env: &Environment<'_>,
    ctes: &Ctes<'_>,
    set: &ast::SetQuery,
    lowered: Lowered,
) -> Result<Lowered> {
    let mut scope = Scope::new(env, ctes)?;
    let columns = lowered.columns.clone();
    let (relation, plan) = Relation::of_query(&env.fresh("set"), lowered)?;
    let outputs: Vec<OutputColumn> = columns
        .into_iter()
        .zip(&relation.columns)
        .map(|(output, column)| OutputColumn { column: column.column.clone(), ..output })
        .collect();
    scope.plan = plan;
    scope.add_relation(relation, set.span)?;
    let keys = set
        .order_by
        .iter()
        .map(|order| match select::position(&order.expr) {
            Some(position) => {
                let output = select::at_position(&outputs, position, &order.expr)?;
                let expr = Expr::Column(output.column.clone());
                let typed = Typed { expr, ty: output.ty.clone(), span: order.expr.span };
                select::sort_key(order, typed)
            }
            None => {
                let typed = Lowering::new(&mut scope).lower(&order.expr)?;
                select::sort_key(order, typed)
            }
        })
        .collect::<Result<Vec<_>>>()?;
    let mut plan = scope.plan.clone();
    if !keys.is_empty() {
        plan = LogicalPlanBuilder::from(plan).sort(keys.into_iter().flatten())?.build()?;
    }
    plan = select::limit(&mut scope, plan, set.limit.as_ref(), set.offset.as_ref())?;
    let exprs = outputs.iter().map(|o| Expr::Column(o.column.clone()).alias(&o.column.name));
    let plan = LogicalPlanBuilder::from(plan).project(exprs.collect::<Vec<_>>())?.build()?;
    let columns = outputs
        .into_iter()
        .map(|output| OutputColumn {
            column: Column::new_unqualified(output.column.name.clone()),
            ..output
        })
        .collect();
    Ok(Lowered { plan, columns })
}

fn combine(
    env: &Environment<'_>,
    left: Lowered,
    operator: ast::SetOperator,
    right: Lowered,
    span: Span,
) -> Result<Lowered> {
    let name = match operator.kind {
        ast::SetKind::Union => "UNION",
        ast::SetKind::Intersect => "INTERSECT",
        ast::SetKind::Except => "EXCEPT",
    };
    if operator.by_name || operator.all && operator.kind != ast::SetKind::Union {
        let suffix = if operator.by_name { "BY NAME" } else { "ALL" };
        return Err(Error::unsupported(format!("{name} {suffix} is not available yet")).at(span));
    }
    if left.columns.len() != right.columns.len() {
        let message = format!(
            "each {name} query must have the same number of columns: {} and {}",
            left.columns.len(),
            right.columns.len()
        );
        return Err(Error::new(ErrorKind::Syntax, message).at(span));
    }
    let types = left
        .columns
        .iter()
        .zip(&right.columns)
        .map(|(a, b)| {
            a.ty.common(&b.ty).ok_or_else(|| {
                let message = format!(
                    "{name} types {} and {} of column {} cannot be matched",
                    a.ty, b.ty, a.name
                );
                Error::new(ErrorKind::TypeMismatch, message).at(span)
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let columns: Vec<OutputColumn> = left
        .columns
        .iter()
        .zip(&types)
        .map(|(column, ty)| OutputColumn {
            name: column.name.clone(),
            column: Column::new_unqualified(column.column.name.clone()),
            ty: ty.clone(),
        })
        .collect();
    let left = converted(env, left, &columns, span)?;
    let right = converted(env, right, &columns, span)?;
    let builder = LogicalPlanBuilder::from(left);
    let plan = match operator.kind {
        ast::SetKind::Union if operator.all => builder.union(right)?.build()?,
        ast::SetKind::Union => builder.union(right)?.distinct()?.build()?,
        ast::SetKind::Intersect => LogicalPlanBuilder::intersect(builder.build()?, right, false)?,
        ast::SetKind::Except => LogicalPlanBuilder::except(builder.build()?, right, false)?,
    };
    Ok(Lowered { plan, columns })
}

/// The same rows with the types and internal names of `target`.
fn converted(
    env: &Environment<'_>,
    lowered: Lowered,
    target: &[OutputColumn],
    span: Span,
) -> Result<LogicalPlan> {
    let ctes = Ctes { parent: None, entries: HashMap::new(), outer: None };
    let mut scope = Scope::new(env, &ctes)?;
    scope.plan = lowered.plan;
    let exprs = lowered
        .columns
        .into_iter()
        .zip(target)
        .map(|(column, target)| {
            let typed = Typed { expr: Expr::Column(column.column), ty: column.ty, span };
            let typed = Lowering::new(&mut scope).coerce(typed, &target.ty)?;
            Ok(select::laid_out(typed, scope.plan.schema())?.alias(&target.column.name))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(LogicalPlanBuilder::from(scope.plan).project(exprs)?.build()?)
}

/// `VALUES` rows: columns `col0`, `col1`, … of the common type of their values.
fn values(env: &Environment<'_>, ctes: &Ctes<'_>, values: &ast::Values) -> Result<Lowered> {
    let mut scope = Scope::new(env, ctes)?;
    let rows = values
        .rows
        .iter()
        .map(|row| row.iter().map(|e| Lowering::new(&mut scope).lower(e)).collect())
        .collect::<Result<Vec<Vec<Typed>>>>()?;
    let width = rows.first().map_or(0, Vec::len);
    let mut types = vec![Type::Null; width];
    for row in &rows {
        if row.len() != width {
            let message = "VALUES lists must all be the same length";
            return Err(Error::new(ErrorKind::Syntax, message).at(values.span));
        }
        for (ty, value) in types.iter_mut().zip(row) {
            *ty = ty.common(&value.ty).ok_or_else(|| {
                let message = format!("VALUES types {ty} and {} cannot be matched", value.ty);
                Error::new(ErrorKind::TypeMismatch, message).at(value.span)
            })?;
        }
    }
    let rows = rows
        .into_iter()
        .map(|row| {
            let converted = row.into_iter().zip(&types).map(|(value, ty)| {
                let typed = Lowering::new(&mut scope).coerce(value, ty)?;
                select::laid_out(typed, scope.plan.schema())
            });
            converted.collect::<Result<Vec<_>>>()
        })
        .collect::<Result<Vec<_>>>()?;
    let plan = LogicalPlanBuilder::values(rows)?.build()?;
    let columns = types
        .into_iter()
        .zip(plan.schema().columns())
        .enumerate()
        .map(|(i, (ty, column))| OutputColumn { name: format!("col{i}"), column, ty })
        .collect();
    Ok(Lowered { plan, columns })
}
