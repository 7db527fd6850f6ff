//! Joins subqueries to the plan of the query around them.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, JoinType, NullEquality};
use datafusion::functions_aggregate::count::count;
use datafusion::functions_aggregate::first_last::first_value;
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, LogicalPlan, LogicalPlanBuilder, col, lit, when,
};

use super::pending::{Pending, Question};
use super::{as_subquery, with_columns};
use crate::error::{Error, Result};
use crate::functions::{self, Typed};
use crate::lower::Environment;
use crate::lower::decorrelate::{Domain, bind, over_nothing, reads, reads_in};
use crate::lower::expr::balanced;
use crate::types::Type;

/// The plan with the answer to a subquery, and the answer.
pub(super) fn attach(
    env: &Environment<'_>,
    plan: LogicalPlan,
    pending: &Pending,
    args: &[Expr],
) -> Result<(LogicalPlan, Expr)> {
    match pending.question {
        Question::Value => value(env, plan, pending, args),
        Question::Exists | Question::Contains => {
            let alias = env.fresh("in");
            let plan = matching(env, plan, pending, args, JoinType::LeftMark, &alias)?;
            mark(env, plan, &alias)
        }
    }
}

/// The plan with only those rows for which the subquery has a match; for a mark join, with all
/// rows and the answer in a column `mark` of `alias`.
pub(super) fn matching(
    env: &Environment<'_>,
    plan: LogicalPlan,
    pending: &Pending,
    args: &[Expr],
    kind: JoinType,
    alias: &str,
) -> Result<LogicalPlan> {
    let (plan, args) = with_columns(env, plan, args.to_vec())?;
    let (values, outer) = args.split_at(args.len() - pending.names.len());
    let outer: Vec<Expr> = outer.iter().cloned().map(col).collect();
    let inner = match pending.question {
        Question::Exists => without_effect(&pending.plan),
        _ => &pending.plan,
    };
    let outputs: Vec<Expr> = pending.columns.iter().cloned().map(col).collect();
    let right = match over_condition(env, inner, outputs, pending)? {
        Some(right) => right,
        None => by_domain(env, &plan, inner, pending, &outer)?,
    };
    let inner = LogicalPlanBuilder::from(right.plan).alias(alias)?.build()?;
    let qualified = |name: &str| Column::new(Some(alias), name);
    let mut left_keys: Vec<Column> = values.to_vec();
    let mut right_keys: Vec<Column> = right.columns.iter().map(|name| qualified(name)).collect();
    for (value, name) in args[values.len()..].iter().zip(&right.domain) {
        left_keys.push(value.clone());
        right_keys.push(qualified(name));
    }
    let terms = right.condition.iter().map(|term| bind(term, &pending.names, &outer));
    let mut condition = balanced(terms.collect::<Result<Vec<_>>>()?, Expr::and);
    if left_keys.is_empty() && condition.is_none() {
        condition = Some(lit(true));
    }
    let condition = condition.map(|condition| qualify(condition, &right.own, alias)).transpose()?;
    // Terms with `=` are such that NULLs cannot meet in them.
    let plan = LogicalPlanBuilder::from(plan).join_detailed(
        inner,
        kind,
        (left_keys, right_keys),
        condition,
        NullEquality::NullEqualsNull,
    )?;
    Ok(plan.build()?)
}

/// The right side of a match.
struct Right {
    plan: LogicalPlan,
    /// What is compared with the values.
    columns: Vec<String>,
    /// What is compared with the outer values.
    domain: Vec<String>,
    /// What else has to hold, over `own` and outer values.
    condition: Vec<Expr>,
    /// The names of `plan` in `condition`.
    own: Vec<String>,
}

fn qualify(condition: Expr, own: &[String], alias: &str) -> Result<Expr> {
    let qualified = condition.transform_up(|node| match node {
        Expr::Column(column) if column.relation.is_none() && own.contains(&column.name) => {
            Ok(Transformed::yes(col(Column::new(Some(alias), column.name))))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(qualified.data)
}

/// Leaves out what does not change whether there are rows.
fn without_effect(plan: &LogicalPlan) -> &LogicalPlan {
    match plan {
        LogicalPlan::Sort(node) if node.fetch.is_none() => without_effect(&node.input),
        LogicalPlan::Distinct(Distinct::All(input)) => without_effect(input),
        LogicalPlan::Projection(node) => without_effect(&node.input),
        LogicalPlan::Limit(node) => match (&node.skip, node.fetch.as_deref()) {
            (None, Some(Expr::Literal(count, _))) if count.to_string() != "0" => {
                without_effect(&node.input)
            }
            _ => plan,
        },
        _ => plan,
    }
}

/// The common case: outer values occur only in filters over a plan that reads none. Then the
/// filters are the condition of the join.
fn over_condition(
    env: &Environment<'_>,
    plan: &LogicalPlan,
    mut outputs: Vec<Expr>,
    pending: &Pending,
) -> Result<Option<Right>> {
    let mut terms: Vec<Expr> = Vec::new();
    let mut base = plan;
    while reads(base, &pending.names) {
        match base {
            LogicalPlan::Filter(node) => {
                terms.extend(split_conjunction_owned(node.predicate.clone()));
                base = &node.input;
            }
            LogicalPlan::Projection(node) => {
                let columns = node.schema.columns();
                for expr in outputs.iter_mut().chain(&mut terms) {
                    *expr = substituted(expr, &columns, &node.expr)?;
                }
                base = &node.input;
            }
            LogicalPlan::SubqueryAlias(node) => {
                let columns = node.schema.columns();
                let inner: Vec<Expr> = node.input.schema().columns().into_iter().map(col).collect();
                for expr in outputs.iter_mut().chain(&mut terms) {
                    *expr = substituted(expr, &columns, &inner)?;
                }
                base = &node.input;
            }
            LogicalPlan::Sort(node) if node.fetch.is_none() => base = &node.input,
            _ => return Ok(None),
        }
    }
    let volatile = outputs.iter().chain(&terms).any(Expr::is_volatile);
    if volatile || outputs.iter().any(|output| reads_in(output, &pending.names)) {
        return Ok(None);
    }
    let (condition, own_terms): (Vec<Expr>, Vec<Expr>) =
        terms.into_iter().partition(|term| reads_in(term, &pending.names));
    let mut builder = LogicalPlanBuilder::from(base.clone());
    if let Some(predicate) = balanced(own_terms, Expr::and) {
        builder = builder.filter(predicate)?;
    }
    let mut exprs = Vec::new();
    let mut name = |expr: Expr| {
        let name = env.fresh("inner");
        exprs.push(expr.alias(&name));
        name
    };
    let columns: Vec<String> = outputs.into_iter().map(&mut name).collect();
    let mut used: Vec<Column> = Vec::new();
    for column in condition.iter().flat_map(Expr::column_refs) {
        if !used.contains(column) {
            used.push(column.clone());
        }
    }
    let own: Vec<String> = used.iter().map(|column| name(col(column.clone()))).collect();
    let renamed: Vec<Expr> = own.iter().map(|name| col(Column::new_unqualified(name))).collect();
    let condition = condition.iter().map(|term| substituted(term, &used, &renamed));
    let condition = condition.collect::<Result<Vec<_>>>()?;
    if exprs.is_empty() {
        exprs.push(lit(true).alias(env.fresh("inner")));
    }
    let plan = builder.project(exprs)?.build()?;
    Ok(Some(Right { plan, columns, domain: Vec::new(), condition, own }))
}

fn substituted(expr: &Expr, columns: &[Column], exprs: &[Expr]) -> Result<Expr> {
    let replaced = expr.clone().transform_down(|node| {
        let Expr::Column(column) = &node else { return Ok(Transformed::no(node)) };
        let position = columns.iter().position(|known| known == column).or_else(|| {
            let same_name = |known: &Column| column.relation.is_none() && known.name == column.name;
            columns.iter().position(same_name)
        });
        Ok(match position {
            Some(position) => {
                let expr = exprs[position].clone().unalias();
                Transformed::new(expr, true, TreeNodeRecursion::Jump)
            }
            None => Transformed::no(node),
        })
    })?;
    Ok(replaced.data)
}

/// The general case: the subquery for all combinations of outer values.
fn by_domain(
    env: &Environment<'_>,
    outer: &LogicalPlan,
    inner: &LogicalPlan,
    pending: &Pending,
    values: &[Expr],
) -> Result<Right> {
    let domain = Domain::new(env, outer, values, &pending.names)?;
    let plan = domain.join(inner).map_err(|error| error.at(pending.span))?;
    let mut exprs = Vec::new();
    let mut columns = Vec::with_capacity(pending.columns.len());
    for column in &pending.columns {
        let name = env.fresh("inner");
        exprs.push(col(column.clone()).alias(&name));
        columns.push(name);
    }
    exprs.extend(pending.names.iter().map(|name| col(Column::new_unqualified(name))));
    if exprs.is_empty() {
        exprs.push(lit(true).alias(env.fresh("inner")));
    }
    let plan = LogicalPlanBuilder::from(plan).project(exprs)?.build()?;
    let domain = pending.names.clone();
    Ok(Right { plan, columns, domain, condition: Vec::new(), own: Vec::new() })
}

/// The mark of a mark join under a name of its own: a second one would add the same.
fn mark(env: &Environment<'_>, plan: LogicalPlan, alias: &str) -> Result<(LogicalPlan, Expr)> {
    let name = env.fresh("mark");
    let exprs: Vec<Expr> = plan
        .schema()
        .iter()
        .map(|(qualifier, field)| {
            let column = col(Column::new(qualifier.cloned(), field.name()));
            let is_mark = field.name() == "mark" && qualifier.is_some_and(|q| q.table() == alias);
            if is_mark { column.alias(&name) } else { column }
        })
        .collect();
    let plan = LogicalPlanBuilder::from(plan).project(exprs)?.build()?;
    Ok((plan, col(Column::new_unqualified(name))))
}

/// The single value of a subquery, NULL where it has no row.
fn value(
    env: &Environment<'_>,
    plan: LogicalPlan,
    pending: &Pending,
    args: &[Expr],
) -> Result<(LogicalPlan, Expr)> {
    let mut outputs: Vec<Expr> = plan.schema().columns().into_iter().map(col).collect();
    let (plan, args) = with_columns(env, plan, args.to_vec())?;
    let outer: Vec<Expr> = args.iter().cloned().map(col).collect();
    let domain = Domain::new(env, &plan, &outer, &pending.names)?;
    let single = split_single(&pending.plan, &pending.names)?;
    let inner = single.as_ref().map_or(&pending.plan, |single| &single.grouped);
    let inner = LogicalPlanBuilder::from(domain.join(inner).map_err(|e| e.at(pending.span))?);
    let column = pending.columns.first().ok_or_else(|| Error::internal("no value"))?;
    let (found, rows) = (env.fresh("value"), env.fresh("rows"));
    let read = |name: &String| col(Column::new_unqualified(name));
    let keys: Vec<Expr> = pending.names.iter().map(read).collect();
    let copies: Vec<String> = keys.iter().map(|_| env.fresh("outer")).collect();
    let copied = keys.iter().zip(&copies).map(|(key, copy)| key.clone().alias(copy));
    let at_most_one = single.is_some() || pending.plan.max_rows().is_some_and(|rows| rows <= 1);
    let right = if at_most_one {
        let value = [col(column.clone()).alias(&found), lit(1_i64).alias(&rows)];
        inner.project(copied.chain(value).collect::<Vec<_>>())?
    } else {
        let first = first_value(col(column.clone()), Vec::new()).alias(&found);
        let counted = [first, count(lit(1_i64)).alias(&rows)];
        let exprs: Vec<Expr> = copied.chain([read(&found), read(&rows)]).collect();
        inner.aggregate(keys, counted)?.project(exprs)?
    };
    let joined = join_values(plan, right.build()?, &args, &copies)?;
    let answer = match single {
        Some(single) => {
            let empty = Expr::ScalarSubquery(as_subquery(single.without_rows));
            when(read(&rows).is_null(), empty).otherwise(read(&found))?
        }
        None if at_most_one => read(&found),
        None => only_row(env, &joined, (read(&found), read(&rows)), pending)?,
    };
    let name = env.fresh("scalar");
    outputs.push(answer.alias(&name));
    let plan = LogicalPlanBuilder::from(joined).project(outputs)?.build()?;
    Ok((plan, col(Column::new_unqualified(name))))
}

fn join_values(
    left: LogicalPlan,
    right: LogicalPlan,
    args: &[Column],
    copies: &[String],
) -> Result<LogicalPlan> {
    let builder = LogicalPlanBuilder::from(left);
    if args.is_empty() {
        return Ok(builder.join_on(right, JoinType::Left, [lit(true)])?.build()?);
    }
    let copies: Vec<Column> = copies.iter().map(Column::new_unqualified).collect();
    let keys = (args.to_vec(), copies);
    let null_equality = NullEquality::NullEqualsNull;
    Ok(builder.join_detailed(right, JoinType::Left, keys, None, null_equality)?.build()?)
}

/// A subquery that aggregates without GROUP BY, and so has one row whatever it reads.
struct Single {
    /// The subquery; combinations without rows to aggregate may be missing in it.
    grouped: LogicalPlan,
    /// What it gives over no rows.
    without_rows: LogicalPlan,
}

/// None for other subqueries, and when outer values are read after the aggregation.
fn split_single(plan: &LogicalPlan, names: &[String]) -> Result<Option<Single>> {
    let expressions_read =
        |node: &LogicalPlan| node.expressions().iter().any(|expr| reads_in(expr, names));
    match plan {
        LogicalPlan::Aggregate(node) if node.group_expr.is_empty() => {
            // A key that is the same everywhere: like no key, but without a row over nothing.
            let key = vec![lit(true).alias("__all")];
            let (input, aggregates) = (Arc::clone(&node.input), node.aggr_expr.clone());
            let grouped = LogicalPlan::Aggregate(Aggregate::try_new(input, key, aggregates)?);
            Ok(Some(Single { grouped, without_rows: over_nothing(node)? }))
        }
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) if !expressions_read(plan) => {
            let Some(inner) = split_single(plan.inputs()[0], names)? else { return Ok(None) };
            let over = |input: LogicalPlan| plan.with_new_exprs(plan.expressions(), vec![input]);
            let grouped = over(inner.grouped)?;
            let without_rows = over(inner.without_rows)?;
            Ok(Some(Single { grouped, without_rows }))
        }
        LogicalPlan::Sort(node) if node.fetch.is_none() => split_single(&node.input, names),
        LogicalPlan::Limit(node) => match (&node.skip, node.fetch.as_deref()) {
            (None, Some(Expr::Literal(count, _))) if count.to_string() != "0" => {
                split_single(&node.input, names)
            }
            _ => Ok(None),
        },
        _ => Ok(None),
    }
}

/// The value, or an error where there were several rows.
fn only_row(
    env: &Environment<'_>,
    plan: &LogicalPlan,
    (value, rows): (Expr, Expr),
    pending: &Pending,
) -> Result<Expr> {
    let span = pending.span;
    let value = Typed::new(value, pending.ty.clone(), span);
    let rows = Typed::new(rows, Type::Int64, span);
    super::over(env, plan, |cx| Ok(functions::call(cx, span, "__only", vec![value, rows])?.expr))
}
