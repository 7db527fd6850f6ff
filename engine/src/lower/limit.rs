//! LIMIT in all its forms, OFFSET, LIMIT BY and DISTINCT ON: which of the ordered rows are kept.
//!
//! A plain LIMIT is DataFusion's. The others number the rows with window functions and filter.

use datafusion::common::ScalarValue;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_window::expr_fn::{rank, row_number};
use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{
    Expr, ExprFunctionExt, LogicalPlan, LogicalPlanBuilder, SortExpr, WindowFrame,
    WindowFunctionDefinition, and, cast, col, ident, lit, when,
};
use hedgerow_parser::ast;

use super::aggregate::find_aggregate;
use super::expr::{Lowering, balanced, constant};
use super::order::{self, OrderKey};
use super::scope::Scope;
use super::window;
use crate::error::{Error, ErrorKind, Result};
use crate::functions::{PlanContext, Typed};
use crate::types::Type;

/// As good as no limit; two of them can be added.
const COUNT_MAX: i64 = i64::MAX / 2;

/// How many rows a clause speaks of.
enum Count {
    /// A literal, or a parameter without a value yet.
    Known(Expr),
    /// Known when the query runs: a scalar subquery.
    Late(Typed),
}

/// LIMIT and OFFSET of a query.
#[derive(Default)]
pub(super) struct Limit {
    /// None for all rows.
    fetch: Option<Count>,
    skip: Option<Count>,
    /// `fetch` counts hundredths of the rows.
    percent: bool,
    ties: bool,
}

/// `LIMIT n [OFFSET m] BY keys`, and DISTINCT ON, which is `LIMIT 1 BY`.
pub(super) struct PerKey {
    pub(super) keys: Vec<Expr>,
    fetch: Option<Count>,
    skip: Option<Count>,
}

impl Limit {
    /// Lowers the two clauses.
    ///
    /// # Errors
    /// `TypeMismatch` for what is not a number, `InvalidArgument` for a negative or varying one.
    pub(super) fn new<'a>(
        scope: &Scope<'a>,
        limit: Option<&'a ast::Limit>,
        offset: Option<&'a ast::Expr>,
        ordered: bool,
    ) -> Result<Self> {
        let skip = offset.map(|offset| count(scope, offset, "OFFSET")).transpose()?.flatten();
        let Some(limit) = limit else { return Ok(Self { skip, ..Self::default() }) };
        if limit.with_ties && !ordered {
            return Err(Error::new(ErrorKind::Syntax, "WITH TIES without ORDER BY")
                .at(limit.count.span)
                .hint("Ties are rows that ORDER BY does not tell apart."));
        }
        let fetch = match limit.percent {
            true => percentage(scope, &limit.count)?,
            false => count(scope, &limit.count, "LIMIT")?,
        };
        Ok(Self { fetch, skip, percent: limit.percent, ties: limit.with_ties })
    }

    /// True when it keeps all rows.
    pub(super) fn is_all(&self) -> bool {
        self.fetch.is_none() && self.skip.is_none()
    }

    /// True when it may leave out many rows.
    pub(super) fn is_cut(&self) -> bool {
        self.fetch.is_some()
    }

    /// The rows that are kept, in order.
    pub(super) fn apply(
        self,
        scope: &mut Scope<'_>,
        plan: LogicalPlan,
        keys: &[OrderKey],
    ) -> Result<LogicalPlan> {
        let plain = |count: &Option<Count>| !matches!(count, Some(Count::Late(_)));
        if self.is_all() {
            return Ok(plan);
        }
        if plain(&self.fetch) && plain(&self.skip) && !self.percent && !self.ties {
            let known = |count: Option<Count>| match count {
                Some(Count::Known(expr)) => Some(expr),
                _ => None,
            };
            let (skip, fetch) = (known(self.skip), known(self.fetch));
            return Ok(LogicalPlanBuilder::from(plan).limit_by_expr(skip, fetch)?.build()?);
        }
        let sorts: Vec<SortExpr> = keys.iter().map(|key| key.sort.clone()).collect();
        let env = scope.env;
        let name = |what: &str| env.fresh(what);
        let (number, peer, total) = (name("number"), name("rank"), name("total"));
        let mut windows = vec![over(row_number(), &[], &sorts)?.alias(&number)];
        if self.ties {
            windows.push(over(rank(), &[], &sorts)?.alias(&peer));
        }
        if self.percent {
            windows.push(row_count().alias(&total));
        }
        let mut checks = Vec::new();
        let skip = self.skip.map(|skip| skip.value(scope, "OFFSET")).transpose()?;
        let skip = skip.unwrap_or_else(|| lit(0_i64));
        let fetch = self.fetch.map(|fetch| fetch.value(scope, "LIMIT")).transpose()?;
        checks.push(as_int(ident(&number)).gt(skip.clone()));
        if let Some(mut fetch) = fetch {
            if self.percent {
                let total = cast(ident(&total), Type::Float64.to_arrow());
                let share = total * fetch / lit(100.0_f64);
                fetch = as_int(datafusion::functions::math::expr_fn::ceil(share));
            }
            let position = as_int(ident(if self.ties { &peer } else { &number }));
            checks.push(position.lt_eq(skip + fetch.clone()));
            // Without rows there are no ties.
            checks.push(fetch.gt(lit(0_i64)));
        }
        let plan = filtered_by_windows(plan, windows, checks)?;
        order::sorted(plan, keys)
    }
}

impl PerKey {
    /// `LIMIT n [OFFSET m] BY`.
    pub(super) fn limit_by<'a>(
        scope: &Scope<'a>,
        limit: &'a ast::LimitBy,
        keys: Vec<Expr>,
    ) -> Result<Self> {
        let fetch = count(scope, &limit.count, "LIMIT BY")?;
        let skip = match &limit.offset {
            Some(offset) => count(scope, offset, "OFFSET")?,
            None => None,
        };
        Ok(Self { keys, fetch, skip })
    }

    /// The first row of each key.
    pub(super) fn distinct_on(keys: Vec<Expr>) -> Self {
        Self { keys, fetch: Some(Count::Known(lit(1_i64))), skip: None }
    }

    /// The rows that are kept, counted within each key in ORDER BY order.
    pub(super) fn apply(
        self,
        scope: &mut Scope<'_>,
        plan: LogicalPlan,
        keys: &[OrderKey],
    ) -> Result<LogicalPlan> {
        let sorts: Vec<SortExpr> = keys.iter().map(|key| key.sort.clone()).collect();
        let number = scope.env.fresh("number");
        let window = over(row_number(), &self.keys, &sorts)?.alias(&number);
        let mut checks = Vec::new();
        let skip = self.skip.map(|skip| skip.value(scope, "OFFSET")).transpose()?;
        let fetch = self.fetch.map(|fetch| fetch.value(scope, "LIMIT BY")).transpose()?;
        let number = as_int(ident(&number));
        if let Some(fetch) = fetch {
            let last = match &skip {
                Some(skip) => skip.clone() + fetch,
                None => fetch,
            };
            checks.push(number.clone().lt_eq(last));
        }
        checks.extend(skip.map(|skip| number.gt(skip)));
        filtered_by_windows(plan, vec![window], checks)
    }
}

impl Count {
    /// The number; an error in its place when it turns out negative.
    fn value(self, scope: &mut Scope<'_>, clause: &str) -> Result<Expr> {
        match self {
            Self::Known(expr) => Ok(expr),
            Self::Late(typed) => {
                let span = typed.span;
                let negative = super::expr::boolean(typed.expr.clone().lt(lit(0_i64)), span);
                let message = Typed::text(format!("{clause} must not be negative"), span);
                let refused =
                    Lowering::new(scope).call_scalar("throwIf", vec![negative, message], span)?;
                // NULL is no limit, as in PostgreSQL, and no offset.
                let default = if clause == "OFFSET" { 0 } else { COUNT_MAX };
                let count =
                    datafusion::functions::expr_fn::coalesce(vec![typed.expr, lit(default)]);
                Ok(when(refused.expr, lit(0_i64)).otherwise(count)?)
            }
        }
    }
}

fn over(function: Expr, partition: &[Expr], sorts: &[SortExpr]) -> Result<Expr> {
    let builder = function.partition_by(partition.to_vec());
    let builder = if sorts.is_empty() { builder } else { builder.order_by(sorts.to_vec()) };
    Ok(builder.build()?)
}

/// `count(*) OVER ()`.
fn row_count() -> Expr {
    Expr::WindowFunction(Box::new(WindowFunction {
        fun: WindowFunctionDefinition::AggregateUDF(count_udaf()),
        params: WindowFunctionParams {
            args: vec![lit(1_i64)],
            partition_by: Vec::new(),
            order_by: Vec::new(),
            window_frame: WindowFrame::new(None),
            filter: None,
            null_treatment: None,
            distinct: false,
        },
    }))
}

fn as_int(expr: Expr) -> Expr {
    cast(expr, Type::Int64.to_arrow())
}

/// The rows for which all checks over the windows hold; the windows' columns are gone after it.
fn filtered_by_windows(
    plan: LogicalPlan,
    windows: Vec<Expr>,
    checks: Vec<Expr>,
) -> Result<LogicalPlan> {
    let columns: Vec<Expr> = plan.schema().columns().into_iter().map(col).collect();
    let mut builder = LogicalPlanBuilder::from(plan);
    for window in windows {
        // A node of its own for each: those of one node must share their order.
        builder = builder.window([window])?;
    }
    let builder = match balanced(checks, and) {
        Some(checks) => builder.filter(checks)?,
        None => builder,
    };
    Ok(builder.project(columns)?.build()?)
}

/// A number of rows that does not depend on them; none for NULL, which PostgreSQL reads as no
/// limit.
fn count<'a>(scope: &Scope<'a>, expr: &'a ast::Expr, clause: &str) -> Result<Option<Count>> {
    let typed = lower_outside(scope, expr, clause)?;
    if !(typed.ty.is_integer() || typed.ty == Type::Null) {
        let message = format!("{clause} must be an integer, not {}", typed.ty);
        return Err(Error::new(ErrorKind::TypeMismatch, message).at(expr.span));
    }
    let mut outside = Scope::new(scope.env, scope.ctes)?;
    let typed = Lowering::new(&mut outside).coerce(typed, &Type::Int64)?;
    let refused = |message: &str| {
        Error::new(ErrorKind::InvalidArgument, format!("{clause} must not be {message}"))
            .at(expr.span)
    };
    match constant(&typed.expr) {
        Some(ScalarValue::Int64(Some(count))) if count < 0 => {
            Err(refused("negative").hint(format!("Leave {clause} out to get all rows.")))
        }
        Some(ScalarValue::Int64(Some(count))) => Ok(Some(Count::Known(lit(count.min(COUNT_MAX))))),
        Some(_) => Ok(None),
        None if matches!(typed.expr, Expr::Placeholder(_)) => Ok(Some(Count::Known(typed.expr))),
        None if typed.expr.any_column_refs() || typed.expr.is_volatile() => {
            Err(refused("an expression that varies"))
        }
        None => Ok(Some(Count::Late(typed))),
    }
}

/// A constant from 0 to 100.
fn percentage<'a>(scope: &Scope<'a>, expr: &'a ast::Expr) -> Result<Option<Count>> {
    let typed = lower_outside(scope, expr, "LIMIT")?;
    if !(typed.ty.is_numeric() || typed.ty == Type::Null) {
        let message = format!("a percentage must be a number, not {}", typed.ty);
        return Err(Error::new(ErrorKind::TypeMismatch, message).at(expr.span));
    }
    let mut outside = Scope::new(scope.env, scope.ctes)?;
    let typed = Lowering::new(&mut outside).coerce(typed, &Type::Float64)?;
    match constant(&typed.expr) {
        Some(ScalarValue::Float64(Some(share))) if (0.0..=100.0).contains(&share) => {
            Ok(Some(Count::Known(lit(share))))
        }
        Some(ScalarValue::Float64(None)) => Ok(None),
        None if matches!(typed.expr, Expr::Placeholder(_)) => Ok(Some(Count::Known(typed.expr))),
        _ => {
            let message = "a percentage must be a constant from 0 to 100";
            Err(Error::new(ErrorKind::InvalidArgument, message).at(expr.span))
        }
    }
}

/// Lowers an expression that sees no rows.
///
/// # Errors
/// `Grouping` and `Windowing` for what is computed from rows, beside those of any expression.
pub(super) fn lower_outside<'a>(
    scope: &Scope<'a>,
    expr: &'a ast::Expr,
    clause: &str,
) -> Result<Typed> {
    let mut outside = Scope::new(scope.env, scope.ctes)?;
    let typed = Lowering::new(&mut outside).lower(expr)?;
    refuse_rows(&outside, &typed, clause)?;
    Ok(typed)
}

/// Refuses aggregates, window functions and `arrayJoin` where there is at most one row.
pub(super) fn refuse_rows(scope: &Scope<'_>, typed: &Typed, clause: &str) -> Result<()> {
    if let Some(aggregate) = find_aggregate(&typed.expr) {
        let message = format!("aggregate function {aggregate} in {clause}");
        return Err(Error::new(ErrorKind::Grouping, message)
            .at(typed.span)
            .hint("Compute it in a subquery."));
    }
    window::refuse(typed, clause)?;
    if !scope.walked.is_empty() {
        let message = format!("arrayJoin in {clause}");
        return Err(Error::new(ErrorKind::InvalidArgument, message).at(typed.span));
    }
    Ok(())
}
