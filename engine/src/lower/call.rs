//! Calls of functions: scalar, aggregate, window, with lambdas.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::Field;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::expr::LambdaVariable;
use datafusion::logical_expr::{Expr, SortExpr};
use hedgerow_parser::{Dialect, Span, ast};

use super::aggregate::{self, find_aggregate};
use super::expr::{Lowering, constant};
use super::scope::Cte;
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
        if let Some(value) = self.call_lambda(call, span)? {
            return Ok(value);
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
        let callable = registry().lookup(&call.name.name, any_case).map_err(|error| {
            let error = error.at(call.name.span);
            match call.name.name.eq_ignore_ascii_case("exists") {
                true => error.hint("EXISTS takes a query: EXISTS (SELECT …)."),
                false => error,
            }
        })?;
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
            if let Some(param) = self.lambda_parameter(&inner.expr) {
                let message =
                    format!("{} cannot read the lambda parameter {param}", call.name.name);
                return Err(Error::new(ErrorKind::Grouping, message).at(inner.span).hint(
                    "Aggregates read rows; use arraySum, arrayMax and their kin on arrays.",
                ));
            }
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
        let arrival = match self.scope.relations.as_slice() {
            [only] if call.over.is_none() => only.order.clone(),
            _ => Vec::new(),
        };
        let distinct = call.distinct;
        Ok(AggregateInput { span, params, args, distinct, filter, order_by, arrival })
    }

    fn higher_order(
        &mut self,
        function: &'static Function,
        call: &'a ast::Call,
        span: Span,
    ) -> Result<Typed> {
        let Some((first, arrays)) = call.args.split_first() else {
            return function.call_higher_order(self, span, None, Vec::new());
        };
        let Some((params, body)) = self.lambda(first)? else {
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
            // Without the extension type, as elements of arrays may have lost it.
            let field = Arc::new(Field::new(unique.clone(), ty.to_arrow(), true));
            let variable = LambdaVariable::new(unique.clone(), Some(field));
            let typed =
                Typed { expr: Expr::LambdaVariable(variable), ty: ty.clone(), span: param.span };
            if frame.insert(param.name.clone(), typed).is_some() {
                let message = format!("lambda parameter {} is declared twice", param.name);
                return Err(Error::new(ErrorKind::Duplicate, message).at(param.span));
            }
            named.push((unique, ty));
        }
        let body = self.lambda_body(first, body, frame)?;
        let lambda = Lambda { params: named, body };
        function.call_higher_order(self, span, Some(lambda), arrays)
    }
}

impl<'a> Lowering<'_, 'a> {
    /// The parameter of a lambda around this place that an expression reads.
    fn lambda_parameter(&self, expr: &Expr) -> Option<&String> {
        let parameters = self.lambdas.iter().flatten();
        let mut parameters = parameters
            .filter(|(_, value)| expr.exists(|node| Ok(*node == value.expr)).unwrap_or_default());
        parameters
            .find(|(_, value)| matches!(value.expr, Expr::LambdaVariable(_)))
            .map(|(name, _)| name)
    }

    /// The parameters and the body of a lambda, written out or named by WITH.
    fn lambda(&mut self, expr: &'a ast::Expr) -> Result<Option<(&'a [ast::Ident], &'a ast::Expr)>> {
        let meant = match &expr.kind {
            ast::ExprKind::Field(chain) => match chain.as_slice() {
                [name] if !self.hides(name)? => self.named_lambda(name),
                _ => None,
            },
            _ => Some(expr),
        };
        Ok(match meant.map(|expr| &expr.kind) {
            Some(ast::ExprKind::Lambda { params, body }) => Some((params, body)),
            _ => None,
        })
    }

    /// True for a name that means something nearer than WITH.
    fn hides(&mut self, name: &ast::Ident) -> Result<bool> {
        Ok(self.lambdas.iter().any(|frame| frame.contains_key(&name.name))
            || self.scope.aliases.contains_key(name.name.as_str())
            || self.scope.column(&name.name, name.span)?.is_some())
    }

    /// The lambda that WITH gives this name.
    fn named_lambda(&self, name: &ast::Ident) -> Option<&'a ast::Expr> {
        let ctes = self.scope.ctes;
        match ctes.find(&name.name) {
            Some(Cte::Scalar(expr)) if matches!(expr.kind, ast::ExprKind::Lambda { .. }) => {
                Some(expr)
            }
            _ => None,
        }
    }

    /// Lowers the body of the lambda that `expr` is or names. One from WITH does not see the
    /// parameters of the lambdas around its call.
    fn lambda_body(
        &mut self,
        expr: &'a ast::Expr,
        body: &'a ast::Expr,
        frame: HashMap<String, Typed>,
    ) -> Result<Typed> {
        if matches!(expr.kind, ast::ExprKind::Lambda { .. }) {
            self.lambdas.push(frame);
            let body = self.lower(body);
            self.lambdas.pop();
            return body;
        }
        self.named_body(body, frame, expr.span)
    }

    /// The body of a lambda that WITH gave a name: of what is around its use it sees nothing.
    fn named_body(
        &mut self,
        body: &'a ast::Expr,
        frame: HashMap<String, Typed>,
        used_at: Span,
    ) -> Result<Typed> {
        let address = std::ptr::from_ref(body).addr();
        if self.scalars.contains(&address) {
            let message = "a lambda cannot call itself";
            return Err(Error::new(ErrorKind::UnknownFunction, message).at(used_at));
        }
        let around = std::mem::replace(&mut self.lambdas, vec![frame]);
        self.scalars.push(address);
        let lowered = self.lower(body);
        self.scalars.pop();
        self.lambdas = around;
        lowered
    }

    /// Calls a lambda that WITH gave a name: its body, with the arguments for the parameters.
    fn call_lambda(&mut self, call: &'a ast::Call, span: Span) -> Result<Option<Typed>> {
        let Some(lambda) = self.named_lambda(&call.name) else { return Ok(None) };
        let ast::ExprKind::Lambda { params, body } = &lambda.kind else { return Ok(None) };
        if call.over.is_some() {
            let message = format!("{} is not a window function", call.name.name);
            return Err(Error::new(ErrorKind::Windowing, message).at(span));
        }
        self.only_args(call, span)?;
        let args = self.args(&call.args)?;
        if args.len() != params.len() {
            let message = format!(
                "function {} expects {} argument{}, found {}",
                call.name.name,
                params.len(),
                if params.len() == 1 { "" } else { "s" },
                args.len()
            );
            return Err(Error::new(ErrorKind::UnknownFunction, message).at(span));
        }
        let frame = params.iter().zip(args).map(|(param, arg)| (param.name.clone(), arg)).collect();
        let typed = self.named_body(body, frame, call.name.span)?;
        Ok(Some(Typed { span, ..typed }))
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
