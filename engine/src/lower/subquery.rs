//! Subqueries in expressions. Membership tests become joins in which NULL matches NULL, because
//! that is what `IN` means in HogQL (reference: `language.md`, 10.3).
//!
//! A subquery that reads no outer values is a plain scalar subquery. Any other, and every `IN`,
//! stands in the expression as a [`pending`] function of those values until the clause it stands
//! in is planned; then [`attach`](mod@attach) joins it to the plan.

mod attach;
mod pending;

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, JoinType, Spans};
use datafusion::functions_aggregate::array_agg::array_agg_udaf;
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, Subquery, and, col, lit, not,
};
use hedgerow_parser::{Span, ast};

use self::attach::{attach, matching};
use self::pending::{Pending, Question};
use super::aggregate::{find_aggregate, misplaced};
use super::decorrelate::reads_outside;
use super::expr::{Lowering, boolean};
use super::outer::{self, Captured};
use super::scope::{Ctes, Scope};
use super::select::Exprs;
use super::{Environment, Lowered, operators, select, volatile, window};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::comparison::in_filter;
use crate::functions::{PlanContext, Typed};
use crate::types::Type;

/// Puts a WHERE condition on the scope's plan, each AND term on its own: a term that only asks
/// for rows of a subquery becomes a semi or anti join.
pub(super) fn filter<'a>(scope: &mut Scope<'a>, condition: &'a ast::Expr) -> Result<()> {
    let terms = match &condition.kind {
        ast::ExprKind::And(terms) => terms.as_slice(),
        _ => std::slice::from_ref(condition),
    };
    let mut plain = Vec::with_capacity(terms.len());
    for term in terms {
        let typed = Lowering::new(scope).condition(term)?;
        refuse_late(&typed)?;
        let (test, kind) = match &typed.expr {
            Expr::Not(inner) => (inner.as_ref(), JoinType::LeftAnti),
            test => (test, JoinType::LeftSemi),
        };
        match pending::of(test).filter(|(pending, _)| pending.question != Question::Value) {
            Some((pending, args)) => {
                let mut args = args.to_vec();
                join_in(scope, &mut args)?;
                let alias = scope.env.fresh("in");
                let plan = scope.plan.clone();
                scope.plan = matching(scope.env, plan, pending, &args, kind, &alias)?;
            }
            None => {
                let mut expr = [typed.expr];
                join_in(scope, &mut expr)?;
                plain.extend(expr.map(in_filter));
            }
        }
    }
    volatile::compute(scope, &mut plain)?;
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

/// Joins the subqueries in expressions over the scope's plan to that plan.
pub(super) fn join_in<'e>(
    scope: &mut Scope<'_>,
    exprs: impl IntoIterator<Item = &'e mut Expr>,
) -> Result<()> {
    let mut joined = Joined::default();
    exprs.into_iter().try_for_each(|expr| joined.resolve(scope, expr))
}

/// Joins the subqueries that aggregation needs: those in its keys and in arguments of aggregates.
pub(super) fn join_before_aggregation<'e>(
    scope: &mut Scope<'_>,
    keys: impl IntoIterator<Item = &'e mut Expr>,
    exprs: &mut Exprs,
) -> Result<()> {
    let mut joined = Joined::default();
    for key in keys {
        joined.resolve(scope, key)?;
    }
    let in_keys = joined.answers.clone();
    exprs.for_each_mut(&mut |expr, _| {
        joined.resolve_in(scope, expr, &in_keys, |node| matches!(node, Expr::AggregateFunction(_)))
    })
}

/// Joins the subqueries in window functions.
pub(super) fn join_before_windows(scope: &mut Scope<'_>, exprs: &mut Exprs) -> Result<()> {
    let mut joined = Joined::default();
    exprs.for_each_mut(&mut |expr, _| {
        joined.resolve_in(scope, expr, &HashMap::new(), |node| {
            matches!(node, Expr::WindowFunction(_))
        })
    })
}

/// Joins all subqueries that are left.
pub(super) fn join_rest(scope: &mut Scope<'_>, exprs: &mut Exprs) -> Result<()> {
    let mut joined = Joined::default();
    exprs.for_each_mut(&mut |expr, _| joined.resolve(scope, expr))
}

/// Refuses a plan in which a subquery was left where it cannot be joined.
pub(super) fn refuse_unjoined(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|node| match pending::of(node) {
                Some((pending, _)) => Err(pending.misplaced().into()),
                None => Ok(TreeNodeRecursion::Continue),
            })
        })
    })?;
    Ok(())
}

/// True for a subquery that is not joined yet.
pub(super) fn is_pending(expr: &Expr) -> bool {
    pending::of(expr).is_some()
}

/// The subqueries joined at one point of a plan.
#[derive(Default)]
struct Joined {
    answers: HashMap<String, Expr>,
}

impl Joined {
    /// Joins every subquery of the expression, those in arguments of others first.
    fn resolve(&mut self, scope: &mut Scope<'_>, expr: &mut Expr) -> Result<()> {
        let resolved = std::mem::take(expr).transform_up(|node| {
            let Some((pending, args)) = pending::of(&node) else {
                return Ok(Transformed::no(node));
            };
            if let Some(answer) = self.answers.get(&pending.id) {
                return Ok(Transformed::yes(answer.clone()));
            }
            let (plan, answer) = attach(scope.env, scope.plan.clone(), pending, args)?;
            scope.plan = plan;
            self.answers.insert(pending.id.clone(), answer.clone());
            Ok(Transformed::yes(answer))
        })?;
        *expr = resolved.data;
        Ok(())
    }

    /// Joins the subqueries within the nodes that `within` picks, and puts in answers `known`.
    fn resolve_in(
        &mut self,
        scope: &mut Scope<'_>,
        expr: &mut Expr,
        known: &HashMap<String, Expr>,
        within: fn(&Expr) -> bool,
    ) -> Result<()> {
        let resolved = std::mem::take(expr).transform_down(|mut node| {
            if let Some(answer) = pending::of(&node).and_then(|(p, _)| known.get(&p.id)) {
                return Ok(Transformed::new(answer.clone(), true, TreeNodeRecursion::Jump));
            }
            if !within(&node) {
                return Ok(Transformed::no(node));
            }
            self.resolve(scope, &mut node)?;
            Ok(Transformed::new(node, true, TreeNodeRecursion::Jump))
        })?;
        *expr = resolved.data;
        Ok(())
    }
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
            let nested = lowered.iter().any(|item| matches!(item.ty, Type::Tuple(_)));
            if matches!(value.ty, Type::Tuple(_))
                && !nested
                && matches!(right.kind, ast::ExprKind::Tuple(_))
            {
                // `(1, 2) IN ((1, 2))`: parentheses around the only tuple change nothing.
                lowered = vec![lowering.call_scalar("tuple", lowered, right.span)?];
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

/// `value [NOT] IN (select …)`.
fn in_query<'a>(
    lowering: &mut Lowering<'_, 'a>,
    value: Typed,
    query: &'a ast::Query,
    negated: bool,
    span: Span,
) -> Result<Typed> {
    let of_lambda = value.expr.exists(|node| Ok(matches!(node, Expr::LambdaVariable(_))))?;
    let member = if of_lambda {
        in_array_of(lowering, value, query)?
    } else {
        once(lowering, query, |lowering| contains(lowering, value, query))?
    };
    Ok(boolean(if negated { not(member.expr) } else { member.expr }, span))
}

fn contains<'a>(
    lowering: &mut Lowering<'_, 'a>,
    value: Typed,
    query: &'a ast::Query,
) -> Result<Typed> {
    let span = query.span();
    let (lowered, captured) = outer::lower(lowering, query)?;
    let values = match &value.ty {
        Type::Tuple(elements) if lowered.columns.len() > 1 => (1..=elements.len())
            .map(|i| {
                let index = Typed::int(i as i64, span);
                lowering.call_scalar("tupleElement", vec![value.clone(), index], span)
            })
            .collect::<Result<Vec<_>>>()?,
        _ => vec![value],
    };
    if values.len() != lowered.columns.len() {
        return Err(wrong_width(values.len(), &lowered, span));
    }
    let env = lowering.scope.env;
    let mut args = Vec::with_capacity(values.len() + captured.len());
    let mut outputs = Vec::with_capacity(values.len());
    for (value, output) in values.into_iter().zip(&lowered.columns) {
        let ty = common(&value, &output.ty)?;
        let value = lowering.coerce(value, &ty)?;
        args.push(select::laid_out(value, lowering.schema())?);
        let expr = col(output.column.clone());
        let typed = Typed { expr, ty: output.ty.clone(), span };
        outputs.push(over(env, &lowered.plan, |cx| {
            let typed = cx.coerce(typed, &ty)?;
            Ok(select::laid_out(typed, cx.schema())?.alias(&output.column.name))
        })?);
    }
    let columns = lowered.columns.iter().map(|output| &output.column.name);
    let columns = columns.map(Column::new_unqualified).collect();
    let plan = LogicalPlanBuilder::from(lowered.plan).project(outputs)?.build()?;
    let args = with_captured(args, captured);
    let id = env.fresh("subquery");
    Ok(Pending::expr(id, Question::Contains, plan, columns, args, Type::Bool, span))
}

/// The type in which a value is compared with a column of a subquery.
fn common(value: &Typed, column: &Type) -> Result<Type> {
    if value.as_text().is_some() && !column.is_text() || value.is_untyped_parameter() {
        return Ok(column.clone());
    }
    value.ty.common(column).ok_or_else(|| {
        let message = format!("{} cannot be compared with {column}", value.ty);
        Error::new(ErrorKind::TypeMismatch, message).at(value.span)
    })
}

fn with_captured(mut args: Vec<Expr>, captured: Vec<Captured>) -> (Vec<Expr>, Vec<String>) {
    let mut names = Vec::with_capacity(captured.len());
    for Captured { expr, name } in captured {
        args.push(expr);
        names.push(name);
    }
    (args, names)
}

/// In a lambda there are no rows to join: the subquery's values are searched as an array.
fn in_array_of<'a>(
    lowering: &mut Lowering<'_, 'a>,
    value: Typed,
    query: &'a ast::Query,
) -> Result<Typed> {
    let span = query.span();
    let (lowered, captured) = outer::lower(lowering, query)?;
    let [column] = lowered.columns.as_slice() else {
        return Err(wrong_width(1, &lowered, span));
    };
    let (ty, expr) = (column.ty.clone().array(), col(column.column.clone()));
    let collected = array_agg_udaf().call(vec![expr]).alias("values");
    let plan = LogicalPlanBuilder::from(lowered.plan).aggregate(Vec::<Expr>::new(), [collected])?;
    let array = of_value(lowering, plan.build()?, ty, captured, span)?;
    let none = lowering.call_scalar("array", Vec::new(), span)?;
    let array = lowering.call_scalar("ifNull", vec![array, none], span)?;
    let found = lowering.call_scalar("has", vec![array, value], span)?;
    let found = lowering.coerce(found, &Type::Bool)?;
    Ok(boolean(found.expr.is_true(), span))
}

/// A subquery as a value: one row at most; several columns make a tuple.
pub(super) fn scalar<'a>(
    lowering: &mut Lowering<'_, 'a>,
    query: &'a ast::Query,
    span: Span,
) -> Result<Typed> {
    once(lowering, query, |lowering| {
        let (lowered, captured) = outer::lower(lowering, query)?;
        if let [column] = lowered.columns.as_slice() {
            let ty = column.ty.clone();
            return of_value(lowering, lowered.plan, ty, captured, span);
        }
        let columns = lowered.columns.into_iter().map(|output| Typed {
            expr: col(output.column),
            ty: output.ty,
            span,
        });
        let columns = columns.collect();
        let env = lowering.scope.env;
        let tuple =
            over(env, &lowered.plan, |cx| crate::functions::call(cx, span, "tuple", columns))?;
        let plan = LogicalPlanBuilder::from(lowered.plan).project([tuple.expr.alias("tuple")])?;
        of_value(lowering, plan.build()?, tuple.ty, captured, span)
    })
}

/// The value of a plan with one column.
fn of_value(
    lowering: &Lowering<'_, '_>,
    plan: LogicalPlan,
    ty: Type,
    captured: Vec<Captured>,
    span: Span,
) -> Result<Typed> {
    if captured.is_empty() && !reads_outside(&plan) {
        let plan = if always_one_row(&plan) { plan } else { nullable(lowering, plan, &ty, span)? };
        return Ok(Typed { expr: Expr::ScalarSubquery(as_subquery(plan)), ty, span });
    }
    let id = lowering.scope.env.fresh("subquery");
    let columns = plan.schema().columns();
    let args = with_captured(Vec::new(), captured);
    Ok(Pending::expr(id, Question::Value, plan, columns, args, ty, span))
}

/// True for plans that aggregate everything into one row, or compute one without a table.
fn always_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(node) => node.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(node) => node.produce_one_row,
        LogicalPlan::Projection(node) => always_one_row(&node.input),
        LogicalPlan::SubqueryAlias(node) => always_one_row(&node.input),
        _ => false,
    }
}

/// The plan with a column that can be NULL, as the value is where there is no row.
fn nullable(
    lowering: &Lowering<'_, '_>,
    plan: LogicalPlan,
    ty: &Type,
    span: Span,
) -> Result<LogicalPlan> {
    let Some(column) = plan.schema().columns().into_iter().next() else {
        return Err(Error::internal("a subquery without a column"));
    };
    let name = column.name.clone();
    let args = vec![Typed::new(col(column), ty.clone(), span), Typed::int(1, span)];
    let value = crate::functions::call(lowering, span, "__only", args)?.expr.alias(name);
    Ok(LogicalPlanBuilder::from(plan).project([value])?.build()?)
}

/// `exists(select …)`: whether there is any row.
pub(super) fn exists<'a>(
    lowering: &mut Lowering<'_, 'a>,
    query: &'a ast::Query,
    span: Span,
) -> Result<Typed> {
    once(lowering, query, |lowering| {
        let (lowered, captured) = outer::lower(lowering, query)?;
        if !captured.is_empty() || reads_outside(&lowered.plan) {
            let (id, args) =
                (lowering.scope.env.fresh("subquery"), with_captured(Vec::new(), captured));
            let (question, ty) = (Question::Exists, Type::Bool);
            return Ok(Pending::expr(id, question, lowered.plan, Vec::new(), args, ty, span));
        }
        let count = datafusion::functions_aggregate::expr_fn::count(lit(1_i64));
        let plan = LogicalPlanBuilder::from(lowered.plan)
            .limit(0, Some(1))?
            .aggregate(Vec::<Expr>::new(), vec![count.alias("count")])?
            .project(vec![col("count").gt(lit(0_i64)).alias("exists")])?
            .build()?;
        Ok(boolean(Expr::ScalarSubquery(as_subquery(plan)), span))
    })
}

/// Lowers a subquery once, however often its expression is inlined: the same text then is the
/// same value to GROUP BY.
fn once<'a>(
    lowering: &mut Lowering<'_, 'a>,
    query: &'a ast::Query,
    lower: impl FnOnce(&mut Lowering<'_, 'a>) -> Result<Typed>,
) -> Result<Typed> {
    let place = std::ptr::from_ref(query).addr();
    if let Some(known) = lowering.scope.subqueries.get(&place) {
        return Ok(known.clone());
    }
    let typed = lower(lowering)?;
    if lowering.lambdas.is_empty() {
        lowering.scope.subqueries.insert(place, typed.clone());
    }
    Ok(typed)
}

/// Does something in the context of a plan that no query text stands for.
fn over<T>(
    env: &Environment<'_>,
    plan: &LogicalPlan,
    f: impl FnOnce(&Lowering<'_, '_>) -> Result<T>,
) -> Result<T> {
    let ctes = Ctes::none();
    let mut scope = Scope::new(env, &ctes)?;
    scope.plan = plan.clone();
    f(&Lowering::new(&mut scope))
}

/// The plan with a column for each expression that is not one already.
fn with_columns(
    env: &Environment<'_>,
    plan: LogicalPlan,
    exprs: Vec<Expr>,
) -> Result<(LogicalPlan, Vec<Column>)> {
    let mut projection: Vec<Expr> = plan.schema().columns().into_iter().map(col).collect();
    let width = projection.len();
    let mut columns = Vec::with_capacity(exprs.len());
    for expr in exprs {
        match expr {
            Expr::Column(column) => columns.push(column),
            computed => {
                let name = env.fresh("key");
                projection.push(computed.alias(name.clone()));
                columns.push(Column::new_unqualified(name));
            }
        }
    }
    if projection.len() == width {
        return Ok((plan, columns));
    }
    Ok((LogicalPlanBuilder::from(plan).project(projection)?.build()?, columns))
}

fn as_subquery(plan: LogicalPlan) -> Subquery {
    Subquery { subquery: Arc::new(plan), outer_ref_columns: Vec::new(), spans: Spans::new() }
}

fn wrong_width(expected: usize, lowered: &Lowered, span: Span) -> Error {
    let message =
        format!("the subquery has {} columns where {expected} are compared", lowered.columns.len());
    Error::new(ErrorKind::Syntax, message).at(span)
}
