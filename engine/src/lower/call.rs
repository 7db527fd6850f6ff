//! Calls of functions: scalar, aggregate, window, with lambdas.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::logical_expr::expr::LambdaVariable;
use datafusion::logical_expr::{Expr, SortExpr};
use hedgerow_parser::{Dialect, Span, ast};

use super::aggregate::{self, find_aggregate};
use super::expr::{Lowering, constant};
use super::{array_join, order, special, subquery, window};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::{AggregateInput, Callable, Function, Lambda, Typed, registry};
use crate::types::Type;

impl<'a> Lowering<'_, 'a> {
    /// Lowers a call.
    pub(super) fn call(
        &mut self,
        call: &'a ast::Call,
        span: Span,
        ignore_nulls: bool,
    ) -> Result<Typed> {
        // `f(x IGNORE NULLS)` is `f(x) IGNORE NULLS`.
        let within = matches!(call.args.first(), Some(arg) if is_ignoring(arg));
        let ignore_nulls = ignore_nulls || within;
        if let [arg] = call.args.as_slice()
            && let ast::ExprKind::Subquery(query) = &arg.kind
            && call.name.name.eq_ignore_ascii_case("exists")
        {
            return subquery::exists(self, query, span);
        }
        if call.name.name == "matchesAction" {
            return special::action(self, call, span);
        }
        if call.name.name == "arrayJoin" && call.over.is_none() {
            self.only_args(call, span)?;
            return array_join::function(self, call, span);
        }
        if call.name.name.eq_ignore_ascii_case("grouping") && call.over.is_none() {
            self.only_args(call, span)?;
            let args = self.args(&call.args)?;
            return aggregate::grouping_call(args, span);
        }
        if call.args.is_empty()
            && call.over.is_none()
            && let Some(value) = self.of_session(&call.name.name.to_ascii_lowercase())
        {
            return Ok(Typed::text(value, span));
        }
        let any_case = self.scope.env.dialect.get() == Dialect::Postgres;
        let callable = registry()
            .lookup(&call.name.name, any_case)
            .map_err(|error| error.at(call.name.span))?;
        let plain = call.over.is_none();
        if ignore_nulls && !matches!(callable, Callable::Aggregate(_) | Callable::Window(_)) {
            let message = format!("{} takes no IGNORE NULLS", call.name.name);
            return Err(Error::new(ErrorKind::Windowing, message).at(span));
        }
        match callable {
            Callable::Aggregate(function) => {
                let Some(over) = &call.over else {
                    self.rows = aggregate::rows(self.scope)?;
                    let typed = self.aggregate_input(call, span);
                    let typed = typed.and_then(|input| function.call(self, input));
                    self.rows = None;
                    return typed;
                };
                let input = self.aggregate_input(call, span)?;
                let typed = function.call(self, input)?;
                window::over_aggregate(self, typed, over, span)
            }
            Callable::Window(function) => match &call.over {
                Some(over) => {
                    self.only_args(call, span)?;
                    let args = self.args(&call.args)?;
                    let call = (function, args, ignore_nulls);
                    window::over_function(self, call, over, span)
                }
                None => {
                    let message = format!("{} is a window function", call.name.name);
                    Err(Error::new(ErrorKind::Windowing, message)
                        .at(span)
                        .hint("Add OVER (PARTITION BY … ORDER BY …)."))
                }
            },
            _ if !plain => {
                let message = format!("{} is not a window function", call.name.name);
                Err(Error::new(ErrorKind::Windowing, message).at(span))
            }
            Callable::HigherOrder(function) => {
                self.only_args(call, span)?;
                self.higher_order(function, call, span)
            }
            Callable::Scalar(function) => {
                self.only_args(call, span)?;
                let params = self.args(call.params.as_deref().unwrap_or_default())?;
                no_names(&call.args, &function.signature())?;
                let args = self.args(&call.args)?;
                function.call(self, span, params, args)
            }
        }
    }

    /// Calls a scalar function that lowering itself needs.
    pub(super) fn call_scalar(
        &mut self,
        name: &str,
        args: Vec<Typed>,
        span: Span,
    ) -> Result<Typed> {
        match registry().lookup(name, false)? {
            Callable::Scalar(function) => function.call(self, span, Vec::new(), args),
            _ => Err(Error::internal(format!("{name} is not a scalar function"))),
        }
    }

    /// Lowers the items of a list, in which `*COLUMNS(…)` stands for several.
    pub(super) fn args(&mut self, args: &'a [ast::Expr]) -> Result<Vec<Typed>> {
        let mut lowered = Vec::with_capacity(args.len());
        for arg in args {
            match &arg.kind {
                ast::ExprKind::Spread(inner) => special::spread(self, inner, &mut lowered)?,
                ast::ExprKind::IgnoreNulls(inner) if is_ignoring(arg) => {
                    lowered.push(self.lower(inner)?);
                }
                _ => lowered.push(self.lower(arg)?),
            }
        }
        Ok(lowered)
    }

    /// Refuses the clauses that only aggregates take.
    fn only_args(&self, call: &ast::Call, span: Span) -> Result<()> {
        let clause = if call.distinct {
            "DISTINCT"
        } else if !call.within_group.is_empty() {
            "WITHIN GROUP"
        } else if !call.order_by.is_empty() {
            "ORDER BY"
        } else if call.filter.is_some() {
            "FILTER"
        } else {
            return Ok(());
        };
        let message = format!("{clause} is given, but {} is not an aggregate", call.name.name);
        Err(Error::new(ErrorKind::Grouping, message).at(span))
    }

    fn aggregate_input(&mut self, call: &'a ast::Call, span: Span) -> Result<AggregateInput> {
        let mut params = self.args(call.params.as_deref().unwrap_or_default())?;
        for param in &mut params {
            // A computed constant is as good as a written one: `windowFunnel(7 * 86400)`.
            if let Some(value) = constant(&param.expr) {
                *param = Typed::constant(value, param.ty.clone(), param.span);
            }
        }
        let mut args = match call.args.as_slice() {
            // count(*) counts rows, as count() does.
            [only] if is_bare_star(only) => Vec::new(),
            args => self.args(args)?,
        };
        let filter = call.filter.as_ref().map(|filter| self.condition(filter)).transpose()?;
        let mut order_by = Vec::with_capacity(call.order_by.len());
        for order in &call.order_by {
            let key = self.lower(&order.expr)?;
            order_by.extend(order::sort_key(order, key)?);
        }
        for order in &call.within_group {
            let key = self.lower(&order.expr)?;
            if call.args.is_empty() {
                // `mode() WITHIN GROUP (ORDER BY x)` is of x.
                args.push(key);
            } else {
                let nulls_first = order.nulls_first.unwrap_or(false);
                order_by.push(SortExpr::new(key.expr, !order.descending, nulls_first));
            }
        }
        for inner in args.iter().chain(&filter) {
            // Over a window, the arguments are computed after aggregation.
            if let Some(nested) = find_aggregate(&inner.expr).filter(|_| call.over.is_none()) {
                let message = format!(
                    "aggregate function {nested} is inside aggregate function {}",
                    call.name.name
                );
                return Err(Error::new(ErrorKind::Grouping, message)
                    .at(inner.span)
                    .hint("Compute the inner one in a subquery."));
            }
            if call.over.is_none() {
                window::refuse(inner, "an aggregate function")?;
            }
        }
        Ok(AggregateInput { span, params, args, distinct: call.distinct, filter, order_by })
    }

    fn higher_order(
        &mut self,
        function: &'static Function,
        call: &'a ast::Call,
        span: Span,
    ) -> Result<Typed> {
        let Some((ast::ExprKind::Lambda { params, body }, arrays)) =
            call.args.split_first().map(|(first, rest)| (&first.kind, rest))
        else {
            let arrays = self.args(&call.args)?;
            return function.call_higher_order(self, span, None, arrays);
        };
        let arrays = self.args(arrays)?;
        let types: Vec<Type> = arrays.iter().map(|array| array.ty.clone()).collect();
        let types = function
            .lambda_parameters(params.len(), &types)
            .map_err(|error| error.at(call.args[0].span))?;
        // Each parameter gets a name of its own: nested lambdas may reuse the user's.
        let mut frame = HashMap::with_capacity(params.len());
        let mut named = Vec::with_capacity(params.len());
        for (param, ty) in params.iter().zip(types) {
            let unique = self.scope.env.fresh(&param.name);
            let field = Arc::new(ty.to_field(unique.clone(), true));
            let variable = LambdaVariable::new(unique.clone(), Some(field));
            let typed =
                Typed { expr: Expr::LambdaVariable(variable), ty: ty.clone(), span: param.span };
            if frame.insert(param.name.clone(), typed).is_some() {
                let message = format!("lambda parameter {} is declared twice", param.name);
                return Err(Error::new(ErrorKind::Duplicate, message).at(param.span));
            }
            named.push((unique, ty));
        }
        self.lambdas.push(frame);
        let body = self.lower(body);
        self.lambdas.pop();
        let lambda = Lambda { params: named, body: body? };
        function.call_higher_order(self, span, Some(lambda), arrays)
    }
}

/// Refuses `name := value`, which no function of ours takes.
fn no_names(args: &[ast::Expr], signature: &str) -> Result<()> {
    match args.iter().find_map(|arg| match &arg.kind {
        ast::ExprKind::NamedArgument(name, _) => Some((name, arg.span)),
        _ => None,
    }) {
        Some((name, span)) => {
            let message = format!("no argument named {}: arguments go by position", name.name);
            let hint = format!("Write it as {signature}.");
            Err(Error::new(ErrorKind::InvalidArgument, message).at(span).hint(hint))
        }
        None => Ok(()),
    }
}

/// `x IGNORE NULLS`, where x is no call: there it belongs to the call around it.
fn is_ignoring(arg: &ast::Expr) -> bool {
    matches!(&arg.kind, ast::ExprKind::IgnoreNulls(inner)
        if !matches!(inner.kind, ast::ExprKind::Call(_)))
}

fn is_bare_star(expr: &ast::Expr) -> bool {
    matches!(&expr.kind, ast::ExprKind::Star(star)
        if star.table.is_empty() && star.exclude.is_empty() && star.replace.is_empty())
}
