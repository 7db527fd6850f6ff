//! UNION, INTERSECT and EXCEPT. NULLs are equal to each other in all of them.

use datafusion::common::{Column, JoinType, NullEquality, ScalarValue};
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{Expr, ExprFunctionExt, LogicalPlan, LogicalPlanBuilder, col, lit};
use hedgerow_parser::{Span, ast};

use super::expr::Lowering;
use super::limit::Limit;
use super::order;
use super::query::{self, lower_in};
use super::scope::{Ctes, Relation, Scope};
use super::{Environment, Lowered, OutputColumn, fill, select};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::{PlanContext, Typed};
use crate::types::Type;

/// Lowers a set query whose WITH clause is already in `ctes`.
pub(super) fn lower(
    env: &Environment<'_>,
    ctes: &Ctes<'_>,
    set: &ast::SetQuery,
) -> Result<Lowered> {
    // The first branch's WITH is visible to the later ones.
    let first_with = match &set.first {
        ast::Query::Select(select) if !set.rest.is_empty() => select.with.as_ref(),
        _ => None,
    };
    let later = query::declare(env, ctes, first_with)?;
    let first = match &set.first {
        ast::Query::Select(select) if first_with.is_some() => select::lower(env, &later, select)?,
        first => lower_in(env, ctes, first)?,
    };
    let mut operands = vec![(None, first, set.first.span())];
    for (operator, query) in &set.rest {
        let right = lower_in(env, &later, query).map_err(|error| own_order(error, query))?;
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

/// An ORDER BY after the last operand is that operand's own, which surprises.
fn own_order(error: Error, query: &ast::Query) -> Error {
    let ast::Query::Select(select) = query else { return error };
    let within = |order: &ast::OrderBy| {
        let inside =
            |span: Span| order.expr.span.start <= span.start && span.end <= order.expr.span.end;
        error.span.is_some_and(inside)
    };
    if error.kind != ErrorKind::UnknownColumn || !select.order_by.iter().any(within) {
        return error;
    }
    error.hint(
        "This ORDER BY is of the last SELECT; to order all rows, write (…) UNION (…) ORDER BY.",
    )
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
    let mut keys = Vec::with_capacity(set.order_by.len());
    for (index, order) in set.order_by.iter().enumerate() {
        let typed = match select::position(&order.expr) {
            Some(position) => {
                let output = select::at_position(&outputs, position, &order.expr)?;
                let expr = Expr::Column(output.column.clone());
                Typed { expr, ty: output.ty.clone(), span: order.expr.span }
            }
            None => Lowering::new(&mut scope).lower(&order.expr)?,
        };
        keys.extend(order::keys(order, index, typed)?);
    }
    let limit = Limit::new(&scope, set.limit.as_ref(), set.offset.as_ref(), !keys.is_empty())?;
    let plan = match fill::is_in(&set.order_by) {
        true => {
            let plan = scope.plan.clone();
            fill::plan(&mut scope, plan, &mut keys, (&set.order_by, None), &outputs, &[])?
        }
        false => order::sorted(scope.plan.clone(), &keys)?,
    };
    let plan = limit.apply(&mut scope, plan, &keys)?;
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
    let (left, right) = match operator.by_name {
        true => matched_by_name(left, right, operator.kind, name, span)?,
        false => (left, right),
    };
    if left.columns.len() != right.columns.len() {
        let message = format!(
            "each {name} query must have the same number of columns: {} and {}",
            left.columns.len(),
            right.columns.len()
        );
        return Err(Error::new(ErrorKind::Syntax, message)
            .at(span)
            .hint("Name the columns on both sides; they match by position."));
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
                Error::new(ErrorKind::TypeMismatch, message)
                    .at(span)
                    .hint("Convert one of them, for example with toString(…).")
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
    let plan = match (operator.kind, operator.all) {
        (ast::SetKind::Union, true) => builder.union(right)?.build()?,
        (ast::SetKind::Union, false) => builder.union(right)?.distinct()?.build()?,
        (ast::SetKind::Intersect, false) => {
            LogicalPlanBuilder::intersect(builder.build()?, right, false)?
        }
        (ast::SetKind::Except, false) => {
            LogicalPlanBuilder::except(builder.build()?, right, false)?
        }
        (ast::SetKind::Intersect, true) => {
            matched_rows(env, builder.build()?, right, JoinType::LeftSemi)?
        }
        (ast::SetKind::Except, true) => {
            matched_rows(env, builder.build()?, right, JoinType::LeftAnti)?
        }
    };
    Ok(Lowered { plan, columns })
}

/// INTERSECT ALL and EXCEPT ALL: the n-th of equal rows on the left meets the n-th on the right.
fn matched_rows(
    env: &Environment<'_>,
    left: LogicalPlan,
    right: LogicalPlan,
    kind: JoinType,
) -> Result<LogicalPlan> {
    let number = env.fresh("number");
    let numbered = |plan: LogicalPlan, alias: &str| -> Result<LogicalPlan> {
        let columns: Vec<Expr> = plan.schema().columns().into_iter().map(col).collect();
        let window = row_number().partition_by(columns).build()?.alias(&number);
        Ok(LogicalPlanBuilder::from(plan).window([window])?.alias(alias)?.build()?)
    };
    let columns = left.schema().columns();
    let (one, other) = (env.fresh("left"), env.fresh("right"));
    let (left, right) = (numbered(left, &one)?, numbered(right, &other)?);
    let on = (left.schema().columns(), right.schema().columns());
    let shown = columns.into_iter().map(|column| {
        Expr::Column(Column::new(Some(one.as_str()), &column.name)).alias(&column.name)
    });
    let shown: Vec<Expr> = shown.collect();
    let joined = LogicalPlanBuilder::from(left).join_detailed(
        right,
        kind,
        on,
        None,
        NullEquality::NullEqualsNull,
    )?;
    Ok(joined.project(shown)?.build()?)
}

/// BY NAME: columns meet by their names. UNION takes the columns of both sides and fills in NULL;
/// the others need the same names on both.
fn matched_by_name(
    left: Lowered,
    right: Lowered,
    kind: ast::SetKind,
    name: &str,
    span: Span,
) -> Result<(Lowered, Lowered)> {
    let mut names: Vec<String> = Vec::new();
    for side in [&left, &right] {
        for (index, column) in side.columns.iter().enumerate() {
            if side.columns[..index].iter().any(|earlier| earlier.name == column.name) {
                let message = format!("{name} BY NAME with two columns named {}", column.name);
                return Err(Error::new(ErrorKind::Ambiguous, message).at(span));
            }
            if !names.contains(&column.name) {
                names.push(column.name.clone());
            }
        }
    }
    let missing = names.iter().find(|name| {
        [&left, &right].iter().any(|side| !side.columns.iter().any(|c| c.name == **name))
    });
    if let Some(missing) = missing.filter(|_| kind != ast::SetKind::Union) {
        let message = format!("{name} BY NAME, but column {missing} is on one side only");
        return Err(Error::new(ErrorKind::UnknownColumn, message).at(span));
    }
    Ok((arranged(left, &names)?, arranged(right, &names)?))
}

/// The columns in the order of `names`; NULL where there is none of a name.
fn arranged(lowered: Lowered, names: &[String]) -> Result<Lowered> {
    let mut exprs = Vec::with_capacity(names.len());
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        let found = lowered.columns.iter().find(|column| column.name == *name);
        let (expr, ty) = match found {
            Some(output) => (Expr::Column(output.column.clone()), output.ty.clone()),
            None => (lit(ScalarValue::Null), Type::Null),
        };
        exprs.push(expr.alias(name));
        let column = Column::new_unqualified(name.clone());
        columns.push(OutputColumn { name: name.clone(), column, ty });
    }
    let plan = LogicalPlanBuilder::from(lowered.plan).project(exprs)?.build()?;
    Ok(Lowered { plan, columns })
}

/// The same rows with the types and internal names of `target`.
pub(super) fn converted(
    env: &Environment<'_>,
    lowered: Lowered,
    target: &[OutputColumn],
    span: Span,
) -> Result<LogicalPlan> {
    let ctes = Ctes::none();
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
