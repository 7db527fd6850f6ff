//! Arrays walked into rows: ARRAY JOIN, the function `arrayJoin`, and what is made of them.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, NullHandling, TableReference, UnnestOptions};
use datafusion::logical_expr::expr::Unnest;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, col, when};
use hedgerow_parser::{Span, ast};

use super::aggregate::{self, find_aggregate, misplaced};
use super::expr::Lowering;
use super::scope::{RelationColumn, Scope, Walked};
use super::select::{self, Exprs};
use super::{subquery, window};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::aggregates::default_value;
use crate::functions::{PlanContext, Typed};
use crate::types::Type;

/// What becomes of a row whose arrays are empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Empty {
    /// It goes.
    Drop,
    /// It stays, with NULLs.
    Null,
}

/// Puts `[LEFT] ARRAY JOIN e AS a, …` on the scope's plan: a row for each element, the arrays
/// side by side. LEFT keeps a row without elements, with the default of their type.
///
/// # Errors
/// `TypeMismatch` for anything but arrays and maps; `Duplicate` for an alias that the SELECT
/// already has. Arrays of different lengths are an error when they are met.
pub(super) fn lower<'a>(scope: &mut Scope<'a>, clauses: &'a [ast::ArrayJoin]) -> Result<()> {
    for clause in clauses {
        let mut arrays = Vec::with_capacity(clause.items.len());
        for (expr, name) in &clause.items {
            let taken = |column: &RelationColumn| column.name == name.name;
            if scope.aliases.contains_key(name.name.as_str())
                || scope.elements.iter().any(taken)
                || arrays.iter().any(|(other, _): &(String, _)| *other == name.name)
            {
                let message = format!("alias {} is declared twice", name.name);
                return Err(Error::new(ErrorKind::Duplicate, message).at(name.span));
            }
            let mut lowering = Lowering::new(scope);
            let typed = lowering.lower(expr)?;
            if let Some(aggregate) = find_aggregate(&typed.expr) {
                return Err(misplaced(&aggregate, "ARRAY JOIN").at(expr.span));
            }
            window::refuse(&typed, "ARRAY JOIN")?;
            let mut array = as_array(&mut lowering, typed, "ARRAY JOIN")?;
            if clause.left {
                array = or_default(&mut lowering, array)?;
            }
            arrays.push((name.name.clone(), array));
        }
        if let [(_, first), rest @ ..] = arrays.as_mut_slice()
            && !rest.is_empty()
        {
            let all = std::iter::once(first.clone()).chain(rest.iter().map(|(_, a)| a.clone()));
            *first = Lowering::new(scope).call_scalar("__aligned", all.collect(), first.span)?;
        }
        let qualifier = scope.env.fresh("array");
        let columns = walk(scope, &qualifier, arrays, Empty::Drop)?;
        scope.elements.extend(columns);
    }
    Ok(())
}

/// Puts a row for each element on the scope's plan. Shorter arrays are filled up with NULLs; a
/// NULL array is an empty one. The elements are columns under `qualifier`.
pub(super) fn walk(
    scope: &mut Scope<'_>,
    qualifier: &str,
    arrays: Vec<(String, Typed)>,
    empty: Empty,
) -> Result<Vec<RelationColumn>> {
    let mut arrays = arrays;
    subquery::join_in(scope, arrays.iter_mut().map(|(_, array)| &mut array.expr))?;
    let mut before = without_keys(scope)?;
    let mut after: Vec<Expr> = scope.plan.schema().columns().into_iter().map(col).collect();
    let (mut walked, mut columns): (_, Vec<RelationColumn>) = (Vec::new(), Vec::new());
    for (name, array) in arrays {
        let Type::Array(element) = array.ty.clone() else {
            return Err(Error::internal("only arrays are walked"));
        };
        let internal = Column::new_unqualified(scope.env.fresh("elements"));
        let place = columns.len();
        let unique = match columns.iter().any(|column| column.name == name) {
            true => format!("{name}:{place}"),
            false => name.clone(),
        };
        before.push(select::laid_out(array, scope.plan.schema())?.alias(&internal.name));
        after.push(col(internal.clone()).alias_qualified(Some(qualifier), unique.clone()));
        walked.push(internal);
        columns.push(RelationColumn {
            column: Column::new(Some(TableReference::bare(qualifier)), unique),
            name,
            ty: *element,
            hidden: false,
        });
    }
    let options = UnnestOptions::new().with_null_handling(match empty {
        Empty::Drop => NullHandling::Drop,
        Empty::Null => NullHandling::PreserveAndExpandEmpty,
    });
    scope.plan = LogicalPlanBuilder::from(scope.plan.clone())
        .project(before)?
        .unnest_columns_with_options(walked, options)?
        .project(after)?
        .build()?;
    Ok(columns)
}

/// The columns of the scope's plan, without what DataFusion knows of unique ones among them: its
/// Unnest node would go on to believe that they are, and leave out columns of ORDER BY and GROUP
/// BY that follow from them.
fn without_keys(scope: &mut Scope<'_>) -> Result<Vec<Expr>> {
    let schema = std::sync::Arc::clone(scope.plan.schema());
    let keys = schema.functional_dependencies();
    let is_key = |index| keys.iter().any(|key| key.source_indices.contains(&index));
    let columns = schema.iter().enumerate().map(|(index, (qualifier, field))| {
        let column = Column::new(qualifier.cloned(), field.name());
        if !is_key(index) {
            return Ok(col(column));
        }
        let (relation, name) = (column.relation.clone(), column.name.clone());
        let typed = Typed::new(col(column), Type::from_field(field), Span::default());
        let same = Lowering::new(scope).call_scalar("__same", vec![typed], Span::default())?;
        Ok(same.expr.alias_qualified(relation, name))
    });
    columns.collect()
}

/// An array as it is, a map as an array of its entries.
pub(super) fn as_array(
    lowering: &mut Lowering<'_, '_>,
    typed: Typed,
    place: &str,
) -> Result<Typed> {
    let span = typed.span;
    match &typed.ty {
        Type::Array(element) if **element != Type::Null => Ok(typed),
        // Elements need a type to be stored: `[]` and `[NULL]` alone have none.
        Type::Array(_) => lowering.coerce(typed, &Type::String.array()),
        Type::Map(..) => {
            let keys = lowering.call_scalar("mapKeys", vec![typed.clone()], span)?;
            let values = lowering.call_scalar("mapValues", vec![typed], span)?;
            lowering.call_scalar("arrayZip", vec![keys, values], span)
        }
        other => {
            let message = format!("{place} needs an array or a map, not {other}");
            Err(Error::new(ErrorKind::TypeMismatch, message).at(span))
        }
    }
}

/// The array, or one default element where it has none.
fn or_default(lowering: &mut Lowering<'_, '_>, array: Typed) -> Result<Typed> {
    let Type::Array(element) = &array.ty else {
        return Err(Error::internal("only arrays are walked"));
    };
    let span = array.span;
    let default = Typed::constant(default_value(element)?, *element.clone(), span);
    let default = lowering.call_scalar("array", vec![default], span)?;
    let default = select::laid_out(default, lowering.schema())?;
    let present = lowering.call_scalar("notEmpty", vec![array.clone()], span)?;
    let ty = array.ty.clone();
    let array = select::laid_out(array, lowering.schema())?;
    let expr = when(present.expr.is_true(), array).otherwise(default)?;
    Ok(Typed { expr, ty, span })
}

/// `arrayJoin(array)`: an element, and the row once for each. The same call elsewhere in the
/// SELECT is the same element. An array that exists only after aggregation is left to [`late`].
pub(super) fn function<'a>(
    lowering: &mut Lowering<'_, 'a>,
    call: &'a ast::Call,
    span: Span,
) -> Result<Typed> {
    let refused = if !lowering.lambdas.is_empty() {
        Some("a lambda")
    } else if !lowering.null_safe {
        Some("a join condition")
    } else {
        None
    };
    if let Some(place) = refused {
        return Err(Error::unsupported(format!("arrayJoin cannot stand in {place}"))
            .at(span)
            .hint("Write ARRAY JOIN … AS … after FROM, and use the alias."));
    }
    let [array] = call.args.as_slice() else {
        let message = format!("function arrayJoin takes 1 argument, found {}", call.args.len());
        return Err(Error::new(ErrorKind::UnknownFunction, message).at(span));
    };
    let calls = &lowering.scope.walked;
    if let Some(walked) = calls.iter().find(|walked| std::ptr::eq(walked.call, call)) {
        return Ok(Typed { span, ..walked.element.clone() });
    }
    let array = lowering.lower(array)?;
    let array = as_array(lowering, array, "arrayJoin")?;
    let Type::Array(element) = &array.ty else {
        return Err(Error::internal("only arrays are walked"));
    };
    let calls = &lowering.scope.walked;
    let expr = array.expr.clone();
    let element = if let Some(walked) = calls.iter().find(|walked| walked.array == expr) {
        walked.element.clone()
    } else if find_aggregate(&expr).is_some() || window::contains(&expr) {
        let ty = *element.clone();
        let array = select::laid_out(array, lowering.schema())?;
        Typed::new(Expr::Unnest(Unnest::new(array)), ty, span)
    } else {
        let scope = &mut *lowering.scope;
        let qualifier = scope.env.fresh("array");
        let arrays = vec![("arrayJoin".to_owned(), array)];
        let column = walk(scope, &qualifier, arrays, Empty::Drop)?.pop();
        let column = column.ok_or_else(|| Error::internal("an array was walked"))?;
        Typed::new(col(column.column), column.ty, span)
    };
    lowering.scope.walked.push(Walked { call, array: expr, element: element.clone() });
    Ok(Typed { span, ..element })
}

/// Walks the arrays of `arrayJoin` that aggregation, or window functions, made: those that are
/// plain expressions over the scope's plan by now.
pub(super) fn late(scope: &mut Scope<'_>, exprs: &mut Exprs) -> Result<()> {
    loop {
        let mut next: Option<Expr> = None;
        exprs.for_each_mut(&mut |expr, _| {
            expr.apply(|node| match node {
                Expr::Unnest(Unnest { expr: array, .. }) if next.is_none() && is_plain(array) => {
                    next = Some(node.clone());
                    Ok(TreeNodeRecursion::Stop)
                }
                _ => Ok(TreeNodeRecursion::Continue),
            })?;
            Ok(())
        })?;
        let Some(Expr::Unnest(Unnest { expr: array, .. })) = &next else { return Ok(()) };
        let mut array = (**array).clone();
        subquery::join_in(scope, [&mut array])?;
        let name = scope.env.fresh("elements");
        let mut projection = without_keys(scope)?;
        projection.push(array.alias(name.clone()));
        let column = Column::new_unqualified(name);
        let options = UnnestOptions::new().with_null_handling(NullHandling::Drop);
        scope.plan = LogicalPlanBuilder::from(scope.plan.clone())
            .project(projection)?
            .unnest_columns_with_options(vec![column.clone()], options)?
            .build()?;
        let replacement = [(next.unwrap_or_default(), col(column))];
        exprs.for_each_mut(&mut |expr, _| {
            *expr = aggregate::replace(std::mem::take(expr), &replacement)?;
            Ok(())
        })?;
    }
}

/// True when nothing in the expression has to be computed by a plan node of its own first.
fn is_plain(expr: &Expr) -> bool {
    let waits = expr.exists(|node| {
        Ok(matches!(node, Expr::Unnest(_) | Expr::AggregateFunction(_) | Expr::WindowFunction(_)))
    });
    !waits.unwrap_or(true)
}
