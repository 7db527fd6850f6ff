//! UNPIVOT: columns become rows, with the column's name beside its value.

use datafusion::common::Column;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, and, col};
use hedgerow_parser::ast;

use super::array_join::{self, Empty};
use super::expr::{Lowering, balanced};
use super::pivot::{members, named, output, plain_columns, visible};
use super::scope::{RelationColumn, Scope};
use super::{Lowered, from};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::Typed;

/// `source UNPIVOT [INCLUDE NULLS] (value FOR name IN (columns), …)`: a row for each of the
/// columns, which go; the other columns stay. A row in which a value is NULL is left out.
///
/// # Errors
/// `TypeMismatch` when the columns have no common type.
pub(super) fn lower<'a>(outer: &Scope<'a>, unpivot: &'a ast::Unpivot) -> Result<Lowered> {
    let mut scope = Scope::new(outer.env, outer.ctes)?;
    from::lower(&mut scope, &unpivot.source)?;
    let mut gone: Vec<Column> = Vec::new();
    let mut made: Vec<RelationColumn> = Vec::new();
    for (value, name, columns) in &unpivot.columns {
        let mut names = vec![new_name(name)?];
        let values = members(value).iter().map(new_name).collect::<Result<Vec<_>>>()?;
        let mut labels = Vec::with_capacity(columns.len());
        let mut rows: Vec<Vec<Typed>> = vec![Vec::with_capacity(columns.len()); values.len()];
        for column in columns {
            let (inner, alias) = named(column);
            let typed = plain_columns(&mut scope, inner)?;
            if typed.len() != values.len() {
                let message =
                    format!("{} columns for {} values of UNPIVOT", typed.len(), values.len());
                return Err(Error::new(ErrorKind::Syntax, message).at(inner.span));
            }
            gone.extend(typed.iter().flat_map(|column| column.expr.column_refs()).cloned());
            let label = match alias {
                Some(alias) => alias.to_owned(),
                None => {
                    let parts = members(inner).iter().map(new_name).collect::<Result<Vec<_>>>()?;
                    parts.join("_")
                }
            };
            labels.push(Typed::text(label, column.span));
            rows.iter_mut().zip(typed).for_each(|(row, column)| row.push(column));
        }
        let mut lowering = Lowering::new(&mut scope);
        let mut arrays = vec![lowering.call_scalar("array", labels, name.span)?];
        for row in rows {
            arrays.push(
                lowering.call_scalar("array", row, value.span).map_err(|e| e.at(value.span))?,
            );
        }
        names.extend(values);
        let arrays = names.into_iter().zip(arrays).collect();
        let qualifier = scope.env.fresh("unpivot");
        let columns = array_join::walk(&mut scope, &qualifier, arrays, Empty::Drop)?;
        let present = columns[1..].iter().map(|value| col(value.column.clone()).is_not_null());
        if !unpivot.include_nulls
            && let Some(present) = balanced(present.collect(), and)
        {
            scope.plan = LogicalPlanBuilder::from(scope.plan).filter(present)?.build()?;
        }
        made.extend(columns);
    }
    let mut items = visible(&mut scope, unpivot.columns[0].0.span, &gone);
    for column in made {
        let span = unpivot.columns[0].0.span;
        items.push((column.name, Typed::new(Expr::Column(column.column), column.ty, span)));
    }
    output(&scope, items)
}

/// The name of a new column, or of a column that goes.
fn new_name(expr: &ast::Expr) -> Result<String> {
    match &expr.kind {
        ast::ExprKind::Field(chain) if !chain.is_empty() => Ok(chain[chain.len() - 1].name.clone()),
        _ => {
            let message = "UNPIVOT takes plain names here";
            Err(Error::new(ErrorKind::Syntax, message).at(expr.span))
        }
    }
}
