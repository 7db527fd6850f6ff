//! One SELECT: its clauses in the order they are evaluated.

use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, SortExpr, cast, lit,
};
use hedgerow_parser::{Dialect, Span, ast};

use super::expr::Lowering;
use super::scope::{Ctes, Scope};
use super::star::Item;
use super::{Environment, Lowered, OutputColumn, aggregate, from, star, subquery, window};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::comparison::in_filter;
use crate::session::Notice;
use crate::functions::{PlanContext, Typed};
use crate::types::Type;

/// The lowered expressions of a SELECT, all over the same input.
pub(super) struct Exprs {
    /// The select list, with output names.
    pub(super) items: Vec<(String, Typed)>,
    pub(super) having: Option<Typed>,
    pub(super) qualify: Option<Typed>,
    pub(super) order_by: Vec<(SortExpr, Span)>,
    pub(super) limit_by: Vec<Typed>,
}

impl Exprs {
    /// Every expression, with the place to blame for it.
    pub(super) fn for_each_mut(
        &mut self,
        f: &mut dyn FnMut(&mut Expr, Span) -> Result<()>,
    ) -> Result<()> {
        let items = self.items.iter_mut().map(|(_, typed)| typed);
        let typed =
            items.chain(&mut self.having).chain(&mut self.qualify).chain(&mut self.limit_by);
        for typed in typed {
            f(&mut typed.expr, typed.span)?;
        }
        for (sort, span) in &mut self.order_by {
            f(&mut sort.expr, *span)?;
        }
        Ok(())
    }
}

/// Lowers a SELECT whose WITH clause is already in `ctes`.
pub(super) fn lower(
    env: &Environment<'_>,
    ctes: &Ctes<'_>,
    select: &ast::Select,
) -> Result<Lowered> {
    refuse(select)?;
    for lock in &select.locks {
        let message = "rows are not locked: FOR UPDATE and FOR SHARE have no effect".to_owned();
        env.warn(Notice { message, hint: None }, lock.span);
    }
    let mut scope = Scope::new(env, ctes)?;
    if let Some(join) = &select.from {
        from::lower(&mut scope, join)?;
    }
    scope.declare(select)?;
    for condition in select.prewhere.iter().chain(&select.filter) {
        subquery::filter(&mut scope, condition)?;
    }
    let items = star::expand(&scope, &select.columns)?;
    let mut exprs = lower_exprs(&mut scope, select, &items)?;
    let keys = aggregate::keys(&mut scope, select, &exprs)?;
    aggregate::plan(&mut scope, keys, &mut exprs)?;
    if let Some(mut having) = exprs.having.take() {
        subquery::join_in(&mut scope, [&mut having.expr])?;
        scope.plan = LogicalPlanBuilder::from(scope.plan).filter(having.expr)?.build()?;
    }
    window::limit_by(&mut scope, select, &mut exprs)?;
    window::plan(&mut scope, &mut exprs)?;
    subquery::join_rest(&mut scope, &mut exprs)?;
    if let Some(qualify) = exprs.qualify.take() {
        scope.plan = LogicalPlanBuilder::from(scope.plan).filter(qualify.expr)?.build()?;
    }
    project(&mut scope, select, exprs)
}

/// Clauses whose meaning comes later. Refused here, so that none is silently lost.
fn refuse(select: &ast::Select) -> Result<()> {
    let refused = [
        (!select.array_joins.is_empty(), "ARRAY JOIN"),
        (!select.distinct_on.is_empty(), "DISTINCT ON"),
        (select.interpolate.is_some(), "INTERPOLATE"),
        (select.limit.as_ref().is_some_and(|limit| limit.percent), "LIMIT in percent"),
        (select.limit.as_ref().is_some_and(|limit| limit.with_ties), "LIMIT WITH TIES"),
        (select.limit_by.is_some() && select.distinct, "LIMIT BY with DISTINCT"),
    ];
    match refused.into_iter().find(|(present, _)| *present) {
        Some((_, clause)) => {
            Err(Error::unsupported(format!("{clause} is not available yet")).at(select.span))
        }
        None => Ok(()),
    }
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
    for order in &select.order_by {
        let typed = positional(scope, &order.expr, &lowered)?;
        let keys = sort_key(order, typed)?;
        order_by.extend(keys.into_iter().map(|key| (key, order.expr.span)));
    }
    let mut limit_by = Vec::new();
    for key in select.limit_by.iter().flat_map(|limit| &limit.keys) {
        limit_by.push(positional(scope, key, &lowered)?);
    }
    Ok(Exprs { items: lowered, having, qualify, order_by, limit_by })
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
        None if scope.env.dialect == Dialect::Postgres => match aliased(expr, items) {
            Some((_, typed)) => Ok(Typed { span: expr.span, ..typed.clone() }),
            None => Lowering::new(scope).lower(expr),
        },
        None => Lowering::new(scope).lower(expr),
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

/// The sort expressions of one ORDER BY item. NULLs come last in both directions unless the
/// text says otherwise, and so do NaNs, as in ClickHouse.
pub(super) fn sort_key(order: &ast::OrderBy, key: Typed) -> Result<Vec<SortExpr>> {
    if order.collate.is_some() || order.fill.is_some() {
        let clause = if order.fill.is_some() { "WITH FILL" } else { "COLLATE" };
        return Err(
            Error::unsupported(format!("{clause} is not available yet")).at(order.expr.span)
        );
    }
    let nulls_first = order.nulls_first.unwrap_or(false);
    let mut keys = Vec::with_capacity(2);
    if order.descending && key.ty.is_float() {
        let is_nan = datafusion::functions::math::expr_fn::isnan(key.expr.clone());
        keys.push(SortExpr::new(is_nan, true, nulls_first));
    }
    keys.push(SortExpr::new(key.expr, !order.descending, nulls_first));
    Ok(keys)
}

/// LIMIT and OFFSET, both constant.
pub(super) fn limit<'a>(
    scope: &mut Scope<'a>,
    plan: LogicalPlan,
    limit: Option<&'a ast::Limit>,
    offset: Option<&'a ast::Expr>,
) -> Result<LogicalPlan> {
    if limit.is_none() && offset.is_none() {
        return Ok(plan);
    }
    let fetch = limit.map(|limit| row_count(scope, &limit.count, "LIMIT")).transpose()?.flatten();
    let skip = offset.map(|offset| row_count(scope, offset, "OFFSET")).transpose()?.flatten();
    Ok(LogicalPlanBuilder::from(plan).limit_by_expr(skip, fetch)?.build()?)
}

/// A constant number of rows; none for NULL, which PostgreSQL reads as no limit.
pub(super) fn row_count<'a>(
    scope: &mut Scope<'a>,
    expr: &'a ast::Expr,
    clause: &str,
) -> Result<Option<Expr>> {
    let mut outside = Scope::new(scope.env, scope.ctes)?;
    let mut lowering = Lowering::new(&mut outside);
    let typed = lowering.lower(expr)?;
    if !(typed.ty.is_integer() || typed.ty == Type::Null) {
        let message = format!("{clause} must be an integer, not {}", typed.ty);
        return Err(Error::new(ErrorKind::TypeMismatch, message).at(expr.span));
    }
    let typed = lowering.coerce(typed, &Type::Int64)?;
    let negative = |message: &str| {
        Error::new(ErrorKind::InvalidArgument, format!("{clause} must not be {message}"))
            .at(expr.span)
    };
    match super::expr::constant(&typed.expr) {
        Some(datafusion::common::ScalarValue::Int64(Some(count))) if count < 0 => {
            Err(negative("negative"))
        }
        Some(datafusion::common::ScalarValue::Int64(Some(count))) => Ok(Some(lit(count))),
        Some(_) => Ok(None),
        None if matches!(typed.expr, Expr::Placeholder(_)) => Ok(Some(typed.expr)),
        None => Err(negative("an expression that varies")),
    }
}

/// The expression in the layout its type promises, whatever a library function returned.
pub(super) fn laid_out(typed: Typed, schema: &DFSchema) -> Result<Expr> {
    let target = typed.ty.to_arrow();
    if matches!(typed.expr, Expr::Placeholder(_)) || typed.expr.get_type(schema)? == target {
        return Ok(typed.expr);
    }
    Ok(cast(typed.expr, target))
}

/// DISTINCT, ORDER BY, LIMIT and the final columns.
fn project<'a>(scope: &mut Scope<'a>, select: &'a ast::Select, exprs: Exprs) -> Result<Lowered> {
    let schema = scope.plan.schema();
    let mut columns: Vec<OutputColumn> = Vec::with_capacity(exprs.items.len());
    let mut projection = Vec::with_capacity(exprs.items.len());
    for (name, typed) in exprs.items {
        let unique = unique_name(&columns, &name);
        let ty = typed.ty.clone();
        let column = Column::new_unqualified(unique.clone());
        columns.push(OutputColumn { name, column, ty });
        projection.push((unique, laid_out(typed, schema)?));
    }
    let keys: Vec<SortExpr> = exprs.order_by.into_iter().map(|(key, _)| key).collect();
    let mut plan = std::mem::replace(&mut scope.plan, LogicalPlanBuilder::empty(true).build()?);
    let (limits, offset) = (select.limit.as_ref(), select.offset.as_ref());
    // With a LIMIT, expensive columns are left to the rows it keeps.
    let volatile = projection.iter().any(|(_, expr)| expr.is_volatile());
    let lazy = limits.is_some() && !select.distinct && !volatile;
    if lazy {
        plan = limit(scope, sorted(plan, keys.clone())?, limits, offset)?;
    }
    let visible = projection.len();
    let keys = keys_over_output(scope.env, keys, &mut projection)?;
    if select.distinct && projection.len() > visible {
        let message = "with SELECT DISTINCT, ORDER BY expressions must be in the select list";
        return Err(Error::new(ErrorKind::Grouping, message).at(select.span));
    }
    let hides = projection.len() > visible;
    let projected = projection.into_iter().map(|(name, expr)| expr.alias(name));
    let mut builder = LogicalPlanBuilder::from(plan).project(projected.collect::<Vec<_>>())?;
    if select.distinct {
        builder = builder.distinct()?;
    }
    // The order must be the last thing computed: operators above it need not keep it.
    plan = sorted(builder.build()?, keys)?;
    if !lazy {
        plan = limit(scope, plan, limits, offset)?;
    }
    if hides {
        let shown = columns.iter().map(|output| Expr::Column(output.column.clone()));
        plan = LogicalPlanBuilder::from(plan).project(shown.collect::<Vec<_>>())?.build()?;
    }
    Ok(Lowered { plan, columns })
}

fn sorted(plan: LogicalPlan, keys: Vec<SortExpr>) -> Result<LogicalPlan> {
    if keys.is_empty() {
        return Ok(plan);
    }
    Ok(LogicalPlanBuilder::from(plan).sort(keys)?.build()?)
}

/// ORDER BY keys in terms of the projection, which gets a column for each key that it cannot
/// express.
fn keys_over_output(
    env: &Environment<'_>,
    keys: Vec<SortExpr>,
    projection: &mut Vec<(String, Expr)>,
) -> Result<Vec<SortExpr>> {
    let output = |name: &str| Expr::Column(Column::new_unqualified(name));
    let outputs: Vec<(Expr, Expr)> =
        projection.iter().map(|(name, expr)| (expr.clone(), output(name))).collect();
    let mut over_output = Vec::with_capacity(keys.len());
    for key in keys {
        let expr = aggregate::replace(key.expr.clone(), &outputs)?;
        let covered = expr.column_refs().iter().all(|column| {
            let column = Expr::Column((*column).clone());
            outputs.iter().any(|(_, output)| *output == column)
        });
        let expr = if covered {
            expr
        } else {
            let name = env.fresh("order");
            projection.push((name.clone(), key.expr));
            output(&name)
        };
        over_output.push(SortExpr::new(expr, key.asc, key.nulls_first));
    }
    Ok(over_output)
}

/// The name itself, or the name with a number when an earlier column has it.
fn unique_name(columns: &[OutputColumn], name: &str) -> String {
    let taken = |candidate: &str| columns.iter().any(|c| c.column.name == candidate);
    if !taken(name) {
        return name.to_owned();
    }
    let mut number = 2;
    loop {
        let candidate = format!("{name}:{number}");
        if !taken(&candidate) {
            return candidate;
        }
        number += 1;
    }
}
