//! Calls of functions: scalar, aggregate, window, with lambdas.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::LambdaVariable;
use hedgerow_parser::{Span, ast};

use super::aggregate::find_aggregate;
use super::expr::{Lowering, constant};
use super::{select, subquery, window};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::{AggregateInput, Callable, Function, Lambda, Typed, registry};
use crate::types::Type;

impl<'a> Lowering<'_, 'a> {
    /// Lowers a call.
    pub(super) fn call(&mut self, call: &'a ast::Call, span: Span) -> Result<Typed> {
        if let [arg] = call.args.as_slice()
            && let ast::ExprKind::Subquery(query) = &arg.kind
            && call.name.name.eq_ignore_ascii_case("exists")
        {
            return subquery::exists(self, query, span);
        }
        if !call.within_group.is_empty() {
            let message = "WITHIN GROUP is not available yet";
            return Err(Error::unsupported(message).at(span).hint("Use quantile(0.5)(x)."));
        }
        let callable =
            registry().lookup(&call.name.name).map_err(|error| error.at(call.name.span))?;
        let plain = call.over.is_none();
        match callable {
            Callable::Aggregate(aggregate) => {
                let input = self.aggregate_input(call, span)?;
                let typed = aggregate.call(self, input)?;
                match &call.over {
                    None => Ok(typed),
                    Some(over) => window::over_aggregate(self, typed, over, span),
                }
            }
            Callable::Window(function) => match &call.over {
                Some(over) => {
                    self.only_args(call, span)?;
                    let args = self.args(&call.args)?;
                    window::over_function(self, function, args, over, span)
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
        match registry().lookup(name)? {
            Callable::Scalar(function) => function.call(self, span, Vec::new(), args),
            _ => Err(Error::internal(format!("{name} is not a scalar function"))),
        }
    }

    fn args(&mut self, args: &'a [ast::Expr]) -> Result<Vec<Typed>> {
        args.iter().map(|arg| self.lower(arg)).collect()
    }

    /// Refuses the clauses that only aggregates take.
    fn only_args(&self, call: &ast::Call, span: Span) -> Result<()> {
        let clause = if call.distinct {
            "DISTINCT"
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
        let args = match call.args.as_slice() {
            // count(*) counts rows, as count() does.
            [only] if is_bare_star(only) => Vec::new(),
            args => self.args(args)?,
        };
        let filter = call.filter.as_ref().map(|filter| self.condition(filter)).transpose()?;
        let mut order_by = Vec::with_capacity(call.order_by.len());
        for order in &call.order_by {
            let key = self.lower(&order.expr)?;
            order_by.extend(select::sort_key(order, key)?);
        }
        for inner in args.iter().chain(&filter) {
            // Over a window, the arguments are computed after aggregation.
            if let Some(nested) = find_aggregate(&inner.expr).filter(|_| call.over.is_none()) {
                let message = format!(
                    "aggregate function {nested} is inside aggregate function {}",
                    call.name.name
                );
                return Err(Error::new(ErrorKind::Grouping, message).at(inner.span));
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

fn is_bare_star(expr: &ast::Expr) -> bool {
    matches!(&expr.kind, ast::ExprKind::Star(star)
        if star.table.is_empty() && star.exclude.is_empty() && star.replace.is_empty())
}
