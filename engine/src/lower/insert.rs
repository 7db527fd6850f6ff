//! Rows for a table: a query, brought to the table's columns.

use datafusion::common::Column;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};
use hedgerow_parser::{Span, ast};

use super::expr::Lowering;
use super::scope::{Ctes, Scope};
use super::{Environment, Lowered, OutputColumn, query, select};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::{PlanContext, Typed};
use crate::types::Type;

/// A column of the table.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) ty: Type,
    /// Which column of the query fills it; none leaves it NULL.
    pub(crate) from: Option<usize>,
}

/// Lowers a query to the columns `targets`. Values are converted as they are by themselves; in
/// `VALUES` each text is read as its column's type.
///
/// # Errors
/// `Syntax` when the query has more or fewer columns than are filled; `TypeMismatch` for values
/// that do not become the column's type by themselves.
pub(super) fn lower(
    env: &Environment<'_>,
    source: &ast::Query,
    targets: &[Target],
) -> Result<Lowered> {
    let ctes = Ctes::none();
    let mut scope = Scope::new(env, &ctes)?;
    let filled = targets.iter().filter(|target| target.from.is_some()).count();
    let found: Vec<Typed> = match source {
        ast::Query::Values(values) => rows(&mut scope, values, targets, filled)?,
        query => {
            let lowered = query::lower_in(env, &ctes, query)?;
            check_width(lowered.columns.len(), filled, query.span())?;
            scope.plan = lowered.plan;
            let typed = |column: OutputColumn| Typed {
                expr: Expr::Column(column.column),
                ty: column.ty,
                span: query.span(),
            };
            lowered.columns.into_iter().map(typed).collect()
        }
    };
    let mut exprs = Vec::with_capacity(targets.len());
    let mut columns = Vec::with_capacity(targets.len());
    for (at, target) in targets.iter().enumerate() {
        let typed = match target.from {
            Some(from) => Lowering::new(&mut scope)
                .coerce(found[from].clone(), &target.ty)
                .map_err(|error| about(error, target))?,
            None => Typed::null(target.ty.clone(), source.span())?,
        };
        let name = format!("__insert_{at}");
        exprs.push(select::laid_out(typed, scope.plan.schema())?.alias(&name));
        columns.push(OutputColumn {
            name: target.name.clone(),
            column: Column::new_unqualified(name),
            ty: target.ty.clone(),
        });
    }
    let plan = LogicalPlanBuilder::from(scope.plan).project(exprs)?.build()?;
    Ok(Lowered { plan, columns })
}

/// `VALUES`: each value is converted by itself, so that a text constant becomes a time where the
/// column is one.
fn rows<'a>(
    scope: &mut Scope<'a>,
    values: &'a ast::Values,
    targets: &[Target],
    filled: usize,
) -> Result<Vec<Typed>> {
    let mut types = vec![Type::Null; filled];
    for target in targets {
        if let Some(from) = target.from {
            types[from] = target.ty.clone();
        }
    }
    let mut rows = Vec::with_capacity(values.rows.len());
    for row in &values.rows {
        check_width(row.len(), filled, values.span)?;
        let mut lowered = Vec::with_capacity(filled);
        for (value, ty) in row.iter().zip(&types) {
            let mut lowering = Lowering::new(scope);
            let typed = lowering.lower(value)?;
            let typed = lowering.coerce(typed, ty)?;
            lowered.push(select::laid_out(typed, scope.plan.schema())?);
        }
        rows.push(lowered);
    }
    scope.plan = query::rows_plan(rows)?;
    let columns = scope.plan.schema().columns().into_iter().zip(types);
    let typed = |(column, ty)| Typed { expr: Expr::Column(column), ty, span: values.span };
    Ok(columns.map(typed).collect())
}

fn check_width(found: usize, filled: usize, span: Span) -> Result<()> {
    if found == filled {
        return Ok(());
    }
    let message = format!("INSERT fills {filled} columns, and the query has {found}");
    Err(Error::new(ErrorKind::Syntax, message)
        .at(span)
        .hint("Name the columns to fill: INSERT INTO t (a, b) …."))
}

fn about(error: Error, target: &Target) -> Error {
    match error.kind {
        ErrorKind::TypeMismatch => {
            Error { message: format!("column {}: {}", target.name, error.message), ..error }
        }
        _ => error,
    }
}
