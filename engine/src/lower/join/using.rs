//! USING and NATURAL: columns of both sides that are one column from the join on.

use datafusion::common::Column;
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, and, col};
use hedgerow_parser::{Span, ast};

use super::condition::Condition;
use super::{Kind, Side, Sides};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::Typed;
use crate::lower::expr::{Lowering, balanced};
use crate::lower::operators;
use crate::lower::scope::{RelationColumn, Scope};

/// `USING (a, b)`.
pub(super) fn columns(
    scope: &mut Scope<'_>,
    sides: &Sides,
    kind: Kind,
    names: &[ast::Ident],
) -> Result<Condition> {
    let mut terms = Vec::with_capacity(names.len());
    let mut merged = Vec::new();
    for name in names {
        let left = find(scope, &sides.left, name)?;
        let right = find(scope, &sides.right, name)?;
        terms.push(join_column(scope, kind, name, left, right, &mut merged)?);
    }
    let expr = balanced(terms, and).ok_or_else(|| Error::internal("USING without columns"))?;
    Ok(Condition { expr, merged, using: true })
}

/// The visible columns that both sides have; none when there is none.
pub(super) fn natural(
    scope: &mut Scope<'_>,
    sides: &Sides,
    kind: Kind,
    span: Span,
) -> Result<Option<Condition>> {
    let (left, right) = scope.relations.split_at(sides.split);
    let visible = |relations: &[crate::lower::scope::Relation]| -> Vec<String> {
        let columns = relations.iter().flat_map(|relation| &relation.columns);
        columns.filter(|column| !column.hidden).map(|column| column.name.clone()).collect()
    };
    let right = visible(right);
    let mut common: Vec<ast::Ident> = Vec::new();
    for name in visible(left) {
        if right.contains(&name) && !common.iter().any(|other| other.name == name) {
            common.push(ast::Ident::new(name, span));
        }
    }
    if common.is_empty() {
        return Ok(None);
    }
    columns(scope, sides, kind, &common).map(Some)
}

/// The column of one side that a name means.
fn find(scope: &Scope<'_>, side: &LogicalPlan, name: &ast::Ident) -> Result<RelationColumn> {
    let all = scope.relations.iter().flat_map(|relation| &relation.columns);
    let mut found = all.chain(&scope.coalesced).filter(|column| {
        column.name == name.name
            && !scope.merged.contains(&column.column)
            && side.schema().has_column(&column.column)
    });
    match (found.next(), found.next()) {
        (Some(column), None) => Ok(column.clone()),
        (Some(_), Some(_)) => {
            let message = format!("column {} of USING is twice on one side of the join", name.name);
            Err(Error::new(ErrorKind::Ambiguous, message)
                .at(name.span)
                .hint("Join with ON, and say which one."))
        }
        (None, _) => {
            let message = format!("column {} of USING is not on both sides of the join", name.name);
            Err(Error::new(ErrorKind::UnknownColumn, message).at(name.span))
        }
    }
}

/// Equates two columns and leaves one of them, or the one that is there, under the bare name.
fn join_column(
    scope: &mut Scope<'_>,
    kind: Kind,
    name: &ast::Ident,
    left: RelationColumn,
    right: RelationColumn,
    merged: &mut Vec<Expr>,
) -> Result<Expr> {
    let typed =
        |side: &RelationColumn| Typed::new(col(side.column.clone()), side.ty.clone(), name.span);
    let common = left.ty.common(&right.ty);
    let lowering = Lowering::for_join(scope);
    let equal =
        operators::binary(&lowering, ast::BinaryOp::Eq, typed(&left), typed(&right), name.span)?;
    match kind.kept() {
        Some(Side::Left) => _ = scope.merged.insert(right.column),
        Some(Side::Right) => _ = scope.merged.insert(left.column),
        None => {
            let (Expr::BinaryExpr(BinaryExpr { left: a, right: b, .. }), Some(ty)) =
                (&equal.expr, common)
            else {
                let message = format!(
                    "{} and {} cannot be one column in a FULL JOIN with USING",
                    left.ty, right.ty
                );
                return Err(Error::new(ErrorKind::TypeMismatch, message)
                    .at(name.span)
                    .hint("Join with ON, and choose with coalesce."));
            };
            let qualifier = scope.env.fresh("using");
            let column = Column::new(Some(qualifier.clone()), &name.name);
            let value = coalesce(vec![(**a).clone(), (**b).clone()]);
            merged.push(value.alias_qualified(Some(qualifier), &name.name));
            scope.merged.extend([left.column, right.column]);
            let hidden = false;
            scope.coalesced.push(RelationColumn { name: name.name.clone(), column, ty, hidden });
        }
    }
    Ok(equal.expr)
}
