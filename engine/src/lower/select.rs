//! One SELECT: its clauses in the order they are evaluated.

use std::collections::{HashMap, HashSet};

use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlanBuilder, cast};
use hedgerow_parser::{Dialect, Span, ast};

use super::expr::Lowering;
use super::limit::{Limit, PerKey};
use super::order::{self, OrderKey};
use super::scope::{Ctes, Scope};
use super::star::Item;
use super::totals::Totals;
use super::{
    Environment, Lowered, OutputColumn, aggregate, array_join, fill, from, star, subquery, totals,
    volatile, window,
};
use crate::answer::Notice;
use crate::error::{Error, ErrorKind, Result};
use crate::functions::Typed;
use crate::functions::comparison::in_filter;

/// The lowered expressions of a SELECT, all over the same input.
pub(super) struct Exprs {
    /// The select list, with output names.
    pub(super) items: Vec<(String, Typed)>,
    /// Which of the items are meant by their names, where several have the same.
    meant: Vec<bool>,
    pub(super) having: Option<Typed>,
    pub(super) qualify: Option<Typed>,
    pub(super) order_by: Vec<OrderKey>,
    pub(super) distinct_on: Vec<Typed>,
    pub(super) limit_by: Vec<Typed>,
}

impl Exprs {
    /// Nothing but output columns.
    pub(super) fn of_items(items: Vec<(String, Typed)>) -> Self {
        Self {
            meant: meant(&[], &items),
            items,
            having: None,
            qualify: None,
            order_by: Vec::new(),
            distinct_on: Vec::new(),
            limit_by: Vec::new(),
        }
    }

    /// Every expression.
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Expr> {
        let items = self.items.iter_mut().map(|(_, typed)| typed);
        let conditions = self.having.iter_mut().chain(&mut self.qualify);
        let keys = self.distinct_on.iter_mut().chain(&mut self.limit_by);
        let typed = items.chain(conditions).chain(keys).map(|typed| &mut typed.expr);
        typed.chain(self.order_by.iter_mut().map(|key| &mut key.sort.expr))
    }

    /// Every expression, with the place to blame for it.
    pub(super) fn for_each_mut(
        &mut self,
        f: &mut dyn FnMut(&mut Expr, Span) -> Result<()>,
    ) -> Result<()> {
        let items = self.items.iter_mut().map(|(_, typed)| typed);
        let conditions = self.having.iter_mut().chain(&mut self.qualify);
        let keys = self.distinct_on.iter_mut().chain(&mut self.limit_by);
        for typed in items.chain(conditions).chain(keys) {
            f(&mut typed.expr, typed.span)?;
        }
        for key in &mut self.order_by {
            f(&mut key.sort.expr, key.span)?;
        }
        Ok(())
    }
}

/// Lowers a SELECT whose WITH clause is already in `ctes`, and whose rows another query reads.
pub(super) fn lower(
    env: &Environment<'_>,
    ctes: &Ctes<'_>,
    select: &ast::Select,
) -> Result<Lowered> {
    totals::check(select, false)?;
    clauses(env, ctes, select)
}

/// Lowers the outermost SELECT, whose WITH clause is already in `ctes`.
pub(super) fn lower_outermost(
    env: &Environment<'_>,
    ctes: &Ctes<'_>,
    select: &ast::Select,
) -> Result<Lowered> {
    totals::check(select, true)?;
    clauses(env, ctes, select)
}

fn clauses(env: &Environment<'_>, ctes: &Ctes<'_>, select: &ast::Select) -> Result<Lowered> {
    for lock in &select.locks {
        let message = "rows are not locked: FOR UPDATE and FOR SHARE have no effect".to_owned();
        env.warn(Notice { message, hint: None }, lock.span);
    }
    let mut scope = Scope::new(env, ctes)?;
    if let Some(join) = &select.from {
        from::lower(&mut scope, join)?;
    }
    scope.declare(select)?;
    array_join::lower(&mut scope, &select.array_joins)?;
    for condition in select.prewhere.iter().chain(&select.filter) {
        subquery::filter(&mut scope, condition)?;
    }
    let items = star::expand(&scope, &select.columns)?;
    aggregate::prepare(&mut scope, select)?;
    let mut exprs = lower_exprs(&mut scope, select, &items)?;
    let keys = aggregate::keys(&mut scope, select, &exprs)?;
    let totals = aggregate::plan(&mut scope, keys, &mut exprs)?;
    array_join::late(&mut scope, &mut exprs)?;
    volatile::compute(&mut scope, exprs.all_mut())?;
    if let Some(mut having) = exprs.having.take() {
        subquery::join_in(&mut scope, [&mut having.expr])?;
        scope.plan = LogicalPlanBuilder::from(scope.plan).filter(having.expr)?.build()?;
    }
    let totals = totals.map(|totals| totals_row(&mut scope, select, totals)).transpose()?;
    after_having(&mut scope, &mut exprs)?;
    project(&mut scope, select, exprs, totals)
}

/// Windows and subqueries over the groups that are kept, and QUALIFY.
fn after_having(scope: &mut Scope<'_>, exprs: &mut Exprs) -> Result<()> {
    window::plan(scope, exprs)?;
    volatile::compute(scope, exprs.all_mut())?;
    subquery::join_rest(scope, exprs)?;
    volatile::compute(scope, exprs.all_mut())?;
    array_join::late(scope, exprs)?;
    if let Some(qualify) = exprs.qualify.take() {
        scope.plan = LogicalPlanBuilder::from(scope.plan.clone()).filter(qualify.expr)?.build()?;
    }
    Ok(())
}

/// The select list over the row of totals. The groups on the scope's plan are those that HAVING
/// kept.
fn totals_row<'a>(
    scope: &mut Scope<'a>,
    select: &ast::Select,
    totals: Totals<'a>,
) -> Result<Lowered> {
    let mut kept = None;
    if select.having.is_some() {
        scope.plan = totals::shared(scope.env, scope.plan.clone())?;
        kept = Some(scope.plan.clone());
    }
    let mut alone = Scope::new(scope.env, scope.ctes)?;
    alone.plan = totals.row(scope.env, kept)?;
    alone.volatile = totals.volatile;
    let mut exprs = Exprs::of_items(totals.items);
    array_join::late(&mut alone, &mut exprs)?;
    volatile::compute(&mut alone, exprs.all_mut())?;
    after_having(&mut alone, &mut exprs)?;
    let (columns, projection) = outputs(exprs.items, &exprs.meant, alone.plan.schema())?;
    let projection = projection.into_iter().map(|(name, expr)| expr.alias(name));
    let plan = LogicalPlanBuilder::from(alone.plan).project(projection.collect::<Vec<_>>())?;
    Ok(Lowered { plan: plan.build()?, columns })
}

/// Which items are meant by their name: of several, the one with an alias, else the last.
fn meant(items: &[Item<'_>], lowered: &[(String, Typed)]) -> Vec<bool> {
    let aliased = |index: usize| match items.get(index) {
        Some(Item::Expr(expr, _)) => matches!(expr.kind, ast::ExprKind::Alias(..)),
        _ => false,
    };
    let mut by_name: HashMap<&str, usize> = HashMap::with_capacity(lowered.len());
    for (index, (name, _)) in lowered.iter().enumerate() {
        let known = by_name.entry(name).or_insert(index);
        if !aliased(*known) {
            *known = index;
        }
    }
    lowered.iter().enumerate().map(|(index, (name, _))| by_name[name.as_str()] == index).collect()
}

fn lower_exprs<'a>(
    scope: &mut Scope<'a>,
    select: &'a ast::Select,
    items: &[Item<'a>],
) -> Result<Exprs> {
    let mut lowered = Vec::with_capacity(items.len());
    for item in items {
        lowered.push(star::lower_item(scope, item)?);
    }
    let having = condition(scope, select.having.as_ref())?;
    let qualify = condition(scope, select.qualify.as_ref())?;
    let mut order_by = Vec::with_capacity(select.order_by.len());
    for (index, order) in select.order_by.iter().enumerate() {
        let typed = order_key(scope, &order.expr, &lowered)?;
        order_by.extend(order::keys(order, index, typed)?);
    }
    let mut distinct_on = Vec::with_capacity(select.distinct_on.len());
    for key in &select.distinct_on {
        distinct_on.push(order_key(scope, key, &lowered)?);
    }
    let mut limit_by = Vec::new();
    for key in select.limit_by.iter().flat_map(|limit| &limit.keys) {
        limit_by.push(positional(scope, key, &lowered)?);
    }
    let meant = meant(items, &lowered);
    Ok(Exprs { items: lowered, meant, having, qualify, order_by, distinct_on, limit_by })
}

fn condition<'a>(scope: &mut Scope<'a>, expr: Option<&'a ast::Expr>) -> Result<Option<Typed>> {
    let Some(expr) = expr else { return Ok(None) };
    let typed = Lowering::new(scope).condition(expr)?;
    Ok(Some(Typed { expr: in_filter(typed.expr), ..typed }))
}

/// An expression, or the select item at the position it gives.
pub(super) fn positional<'a>(
    scope: &mut Scope<'a>,
    expr: &'a ast::Expr,
    items: &[(String, Typed)],
) -> Result<Typed> {
    match position(expr) {
        Some(position) => {
            let (_, typed) = at_position(items, position, expr)?;
            Ok(Typed { span: expr.span, ..typed.clone() })
        }
        None => Lowering::new(scope).lower(expr),
    }
}

/// A key of ORDER BY: in PostgreSQL's text a bare name is a select item before it is a column.
fn order_key<'a>(
    scope: &mut Scope<'a>,
    expr: &'a ast::Expr,
    items: &[(String, Typed)],
) -> Result<Typed> {
    let is_postgres = scope.env.dialect.get() == Dialect::Postgres;
    match aliased(expr, items).filter(|_| is_postgres) {
        Some((_, typed)) => Ok(Typed { span: expr.span, ..typed.clone() }),
        None => positional(scope, expr, items),
    }
}

/// The item that a bare name in PostgreSQL's ORDER BY means.
fn aliased<'t>(expr: &ast::Expr, items: &'t [(String, Typed)]) -> Option<&'t (String, Typed)> {
    match &expr.kind {
        ast::ExprKind::Field(chain) if chain.len() == 1 => {
            items.iter().find(|(name, _)| *name == chain[0].name)
        }
        _ => None,
    }
}

/// The number in `ORDER BY 2`.
pub(super) fn position(expr: &ast::Expr) -> Option<i64> {
    match &expr.kind {
        ast::ExprKind::Literal(ast::Literal::Int(position)) => Some(*position),
        _ => None,
    }
}

/// The item at a 1-based position.
pub(super) fn at_position<'t, T>(items: &'t [T], position: i64, expr: &ast::Expr) -> Result<&'t T> {
    let index = usize::try_from(position).ok().and_then(|position| position.checked_sub(1));
    index.and_then(|index| items.get(index)).ok_or_else(|| {
        let message =
            format!("position {position} is not in the select list of {} columns", items.len());
        Error::new(ErrorKind::InvalidArgument, message).at(expr.span)
    })
}

/// The expression in the layout its type promises, whatever a library function returned.
pub(super) fn laid_out(typed: Typed, schema: &DFSchema) -> Result<Expr> {
    let target = typed.ty.to_arrow();
    if matches!(typed.expr, Expr::Placeholder(_)) || typed.expr.get_type(schema)? == target {
        return Ok(typed.expr);
    }
    Ok(cast(typed.expr, target))
}

/// An expression under its unique name.
type Named = (String, Expr);

/// The columns of a select list, and what they are.
fn outputs(
    items: Vec<(String, Typed)>,
    meant: &[bool],
    schema: &DFSchema,
) -> Result<(Vec<OutputColumn>, Vec<Named>)> {
    let mut columns: Vec<OutputColumn> = Vec::with_capacity(items.len());
    let mut projection = Vec::with_capacity(items.len());
    let mut taken: HashSet<String> = items.iter().map(|(name, _)| name.clone()).collect();
    for ((name, typed), meant) in items.into_iter().zip(meant) {
        let unique = if *meant { name.clone() } else { unique_name(&mut taken, &name) };
        let ty = typed.ty.clone();
        let column = Column::new_unqualified(unique.clone());
        columns.push(OutputColumn { name, column, ty });
        projection.push((unique, laid_out(typed, schema)?));
    }
    Ok((columns, projection))
}

/// DISTINCT, ORDER BY, LIMIT, totals and the final columns.
fn project<'a>(
    scope: &mut Scope<'a>,
    select: &'a ast::Select,
    exprs: Exprs,
    totals: Option<Lowered>,
) -> Result<Lowered> {
    let (columns, mut projection) = outputs(exprs.items, &exprs.meant, scope.plan.schema())?;
    let mut keys = exprs.order_by;
    let mut per_key = Vec::new();
    if !exprs.distinct_on.is_empty() {
        let keys = exprs.distinct_on.into_iter().map(|key| key.expr).collect();
        per_key.push(PerKey::distinct_on(keys));
    }
    if let Some(limit) = &select.limit_by {
        let keys = exprs.limit_by.into_iter().map(|key| key.expr).collect();
        per_key.push(PerKey::limit_by(scope, limit, keys)?);
    }
    let (ordered, offset) = (!keys.is_empty(), select.offset.as_ref());
    let mut limit = Limit::new(scope, select.limit.as_ref(), offset, ordered)?;
    let mut plan = std::mem::replace(&mut scope.plan, LogicalPlanBuilder::empty(true).build()?);
    let fills = fill::is_in(&select.order_by);
    if let Some(interpolate) = select.interpolate.as_ref().filter(|_| !fills) {
        let span = interpolate.first().map_or(select.span, |(name, _)| name.span);
        return Err(Error::new(ErrorKind::Syntax, "INTERPOLATE without WITH FILL").at(span));
    }
    // Expensive columns are left to the rows that are kept.
    let volatile = projection.iter().any(|(_, expr)| expr.is_volatile());
    if !select.distinct && !volatile {
        let arrival = order::of_arrival(scope, &plan, select.span);
        let first = if keys.is_empty() { &arrival } else { &keys };
        for per_key in per_key.drain(..) {
            plan = per_key.apply(scope, plan, first)?;
        }
        if limit.is_cut() && !fills {
            plan = order::sorted(plan, &keys)?;
            plan = std::mem::take(&mut limit).apply(scope, plan, &keys)?;
        }
    }
    let visible = projection.len();
    let sorts = keys.iter_mut().map(|key| &mut key.sort.expr);
    let per_keys = per_key.iter_mut().flat_map(|per_key| &mut per_key.keys);
    order::over_output(scope.env, sorts.chain(per_keys), &mut projection)?;
    let hides = projection.len() > visible;
    if select.distinct && hides {
        let message = "with SELECT DISTINCT, ORDER BY and LIMIT BY see only the select list";
        return Err(Error::new(ErrorKind::Grouping, message)
            .at(keys.first().map_or(select.span, |key| key.span))
            .hint("Add the expression to the select list, or use GROUP BY."));
    }
    let twins = if fills { fill::twins(&projection) } else { Vec::new() };
    let projected = projection.into_iter().map(|(name, expr)| expr.alias(name));
    let mut builder = LogicalPlanBuilder::from(plan).project(projected.collect::<Vec<_>>())?;
    if select.distinct {
        builder = builder.distinct()?;
    }
    plan = builder.build()?;
    for per_key in per_key {
        plan = per_key.apply(scope, plan, &keys)?;
    }
    // The order must be the last thing computed: operators above it need not keep it.
    plan = match fills {
        true => {
            let interpolate = select.interpolate.as_deref();
            fill::plan(scope, plan, &mut keys, (&select.order_by, interpolate), &columns, &twins)?
        }
        false => order::sorted(plan, &keys)?,
    };
    plan = limit.apply(scope, plan, &keys)?;
    let has_totals = totals.is_some();
    if let Some(row) = totals {
        totals::check_columns(&row.columns, &columns)?;
        plan = totals::append(scope.env, plan, row.plan, &keys)?;
    }
    if hides || fills || has_totals {
        let shown = columns.iter().map(|output| Expr::Column(output.column.clone()));
        plan = LogicalPlanBuilder::from(plan).project(shown.collect::<Vec<_>>())?.build()?;
    }
    Ok(Lowered { plan, columns })
}

/// The name with a number that makes it unique.
fn unique_name(taken: &mut HashSet<String>, name: &str) -> String {
    let mut number = 2;
    loop {
        let candidate = format!("{name}:{number}");
        if taken.insert(candidate.clone()) {
            return candidate;
        }
        number += 1;
    }
}
