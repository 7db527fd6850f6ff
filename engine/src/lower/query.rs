//! Whole queries: set operations and common table expressions.

use std::collections::HashMap;

use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use hedgerow_parser::{Span, ast};

use super::expr::Lowering;
use super::scope::{Cte, Ctes, Scope};
use super::{
    Environment, Lowered, OutputColumn, placeholder, recursion, select, sets, shared, subquery,
};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::{PlanContext, Typed};
use crate::types::Type;

/// Lowers a top-level query.
pub(super) fn lower(env: &Environment<'_>, query: &ast::Query) -> Result<Lowered> {
    let none = Ctes::none();
    let lowered = match query {
        // The rows of a view are read by others.
        ast::Query::Select(select) if !env.in_view() => {
            let ctes = declare(env, &none, select.with.as_ref())?;
            select::lower_outermost(env, &ctes, select)?
        }
        query => lower_in(env, &none, query)?,
    };
    subquery::refuse_unjoined(&lowered.plan)?;
    Ok(Lowered { plan: shared::settle(env, lowered.plan)?, ..lowered })
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
            sets::lower(env, &ctes, set)
        }
        ast::Query::Values(values) => self::values(env, ctes, values),
        ast::Query::Placeholder(expr) => placeholder::lower_query(env, ctes, expr),
        ast::Query::Tag(tag) => {
            let alone = ast::Select::new(vec![ast::Expr::clone(tag)], tag.span);
            select::lower(env, ctes, &alone)
        }
    }
}

/// The scope that a WITH clause opens. Each entry sees the earlier ones and everything outside.
pub(super) fn declare<'a>(
    env: &Environment<'_>,
    parent: &'a Ctes<'a>,
    with: Option<&'a ast::With>,
) -> Result<Ctes<'a>> {
    let mut ctes = Ctes { parent: Some(parent), entries: HashMap::new(), outer: None };
    let Some(with) = with else { return Ok(ctes) };
    for cte in &with.ctes {
        let entry = match &cte.body {
            ast::CteBody::Scalar(expr) => Cte::Scalar(expr),
            ast::CteBody::Table { columns, key, materialized, query } => {
                let lowered = match with.recursive && recursion::mentions(query, &cte.name.name) {
                    true => recursion::lower(env, &ctes, &cte.name, columns, key, query)?,
                    false => not_recursive(env, &ctes, cte, columns, key, query)?,
                };
                Cte::Table(env.share(lowered, *materialized)?)
            }
        };
        if ctes.entries.insert(&cte.name.name, entry).is_some() {
            let message = format!("common table expression {} is declared twice", cte.name.name);
            return Err(Error::new(ErrorKind::Duplicate, message).at(cte.name.span));
        }
    }
    Ok(ctes)
}

fn not_recursive(
    env: &Environment<'_>,
    ctes: &Ctes<'_>,
    cte: &ast::Cte,
    columns: &[ast::Ident],
    key: &[ast::Ident],
    query: &ast::Query,
) -> Result<Lowered> {
    if let Some(key) = key.first() {
        let message = format!("USING KEY, but {} does not read itself", cte.name.name);
        return Err(Error::new(ErrorKind::Syntax, message).at(key.span));
    }
    let lowered = lower_in(env, ctes, query).map_err(|error| {
        let itself =
            error.kind == ErrorKind::UnknownTable && recursion::mentions(query, &cte.name.name);
        match itself {
            true => error.hint("To read itself, a query needs WITH RECURSIVE."),
            false => error,
        }
    })?;
    rename(lowered, columns, cte.name.span)
}

/// Gives the columns of a query new names, as `AS t(a, b)` does. The counts must match.
pub(super) fn rename(mut lowered: Lowered, names: &[ast::Ident], span: Span) -> Result<Lowered> {
    if names.is_empty() {
        return Ok(lowered);
    }
    if names.len() != lowered.columns.len() {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let (given, found) = (names.len(), lowered.columns.len());
        let message = format!(
            "{given} column name{} given for {found} column{}",
            plural(given),
            plural(found)
        );
        return Err(Error::new(ErrorKind::Syntax, message)
            .at(span)
            .hint("Every column needs a name in the list."));
    }
    refuse_twice(names)?;
    for (column, name) in lowered.columns.iter_mut().zip(names) {
        column.name.clone_from(&name.name);
    }
    Ok(lowered)
}

/// The plan of rows. Constants lose the names of their types: one row may have them and another,
/// with NULL in its place, not.
pub(super) fn rows_plan(mut rows: Vec<Vec<Expr>>) -> Result<LogicalPlan> {
    for value in rows.iter_mut().flatten() {
        if let Expr::Literal(_, metadata) = value {
            *metadata = None;
        }
    }
    Ok(LogicalPlanBuilder::values(rows)?.build()?)
}

/// Refuses a list of column names that has one twice.
pub(super) fn refuse_twice(names: &[ast::Ident]) -> Result<()> {
    let twice = |(i, name): &(usize, &ast::Ident)| names[..*i].iter().any(|n| n.name == name.name);
    match names.iter().enumerate().find(twice) {
        None => Ok(()),
        Some((_, name)) => {
            let message = format!("column name {} is given twice", name.name);
            let error = Error::new(ErrorKind::Duplicate, message).at(name.span);
            Err(error.hint("Every column needs a name of its own."))
        }
    }
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
    if !scope.plan.schema().fields().is_empty() {
        let message = "IN (SELECT …) and arrayJoin cannot stand in VALUES";
        return Err(Error::unsupported(message).at(values.span).hint("Write SELECT instead."));
    }
    let plan = rows_plan(rows)?;
    let columns = types
        .into_iter()
        .zip(plan.schema().columns())
        .enumerate()
        .map(|(i, (ty, column))| OutputColumn { name: format!("col{i}"), column, ty })
        .collect();
    Ok(Lowered { plan, columns })
}
