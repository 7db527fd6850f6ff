//! Names that a subquery takes from the queries around it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::Column;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::Expr;
use hedgerow_parser::{Span, ast};

use super::expr::Lowering;
use super::property;
use super::scope::Ctes;
use super::{Lowered, query};
use crate::error::{Error, Result};
use crate::functions::{PlanContext, Typed};

/// The queries around a subquery, for names that mean nothing inside.
pub(super) trait Outer {
    /// What a dotted name means outside, as a value that the subquery reads; none when it means
    /// nothing there either.
    ///
    /// # Errors
    /// As for any name; `Unsupported` for lambda parameters.
    fn read(&self, chain: &[ast::Ident], span: Span) -> Result<Option<Typed>>;
}

/// A value of the outer query that a subquery reads.
#[derive(Debug, Clone)]
pub(super) struct Captured {
    /// Over the plan of the outer query.
    pub(super) expr: Expr,
    /// Under which the subquery's plan reads it; unique in the whole query.
    pub(super) name: String,
}

/// An expression of the outer query in which a subquery stands.
struct Enclosing<'l, 's, 'a> {
    lowering: RefCell<&'l mut Lowering<'s, 'a>>,
    captured: RefCell<Vec<Captured>>,
}

impl Outer for Enclosing<'_, '_, '_> {
    fn read(&self, chain: &[ast::Ident], span: Span) -> Result<Option<Typed>> {
        let mut lowering = self.lowering.borrow_mut();
        let Some((base, rest)) = lowering.find(chain, span)? else { return Ok(None) };
        let value = property::walk(&mut lowering, base, rest, span)?;
        let depends = value.expr.any_column_refs() || value.expr.is_volatile();
        if matches!(value.expr, Expr::OuterReferenceColumn(..))
            || value.as_constant().is_some()
            || !depends && matches!(value.expr, Expr::Placeholder(_))
        {
            return Ok(Some(value));
        }
        if value.expr.exists(|node| Ok(matches!(node, Expr::LambdaVariable(_))))? {
            let message = format!("a subquery cannot read the lambda parameter {}", chain[0].name);
            return Err(Error::unsupported(message).at(span));
        }
        let mut captured = self.captured.borrow_mut();
        let known = captured.iter().find(|known| known.expr == value.expr);
        let name = match known {
            Some(known) => known.name.clone(),
            None => {
                let name = lowering.scope.env.fresh("outer");
                captured.push(Captured { expr: value.expr.clone(), name: name.clone() });
                name
            }
        };
        let field = Arc::new(value.ty.to_field(&name, value.nullable(lowering.schema())));
        let expr = Expr::OuterReferenceColumn(field, Column::new_unqualified(name));
        Ok(Some(Typed { expr, ty: value.ty, span }))
    }
}

/// Lowers a query that stands in an expression and may read the names in sight there; also gives
/// the values it reads.
pub(super) fn lower<'a>(
    lowering: &mut Lowering<'_, 'a>,
    query: &'a ast::Query,
) -> Result<(Lowered, Vec<Captured>)> {
    let (env, parent) = (lowering.scope.env, lowering.scope.ctes);
    let enclosing = Enclosing { lowering: RefCell::new(lowering), captured: RefCell::default() };
    let ctes = Ctes { parent: Some(parent), entries: HashMap::new(), outer: Some(&enclosing) };
    let lowered = query::lower_in(env, &ctes, query)?;
    Ok((lowered, enclosing.captured.into_inner()))
}
