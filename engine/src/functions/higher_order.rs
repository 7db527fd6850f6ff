//! Functions that take a lambda.
//!
//! Almost all are alike: the lambda is evaluated once for all elements of all arrays of a batch,
//! then a kernel makes one value per row of the elements and what the lambda gave for them.
//! Without a lambda the elements themselves stand in for that. Only `arrayFold` goes position by
//! position.

mod adapter;
mod elements;
mod fold;
mod kernels;
#[cfg(test)]
mod tests;

use arrow::array::ArrayRef;
use datafusion::logical_expr as logical;
use datafusion::logical_expr::expr::HigherOrderFunction;
use hedgerow_parser::Span;

use self::adapter::Adapter;
use self::elements::Elements;
use super::function::{Arg, Count, Function, check_count};
use super::{PlanContext, Typed};
use crate::error::{Error, ErrorKind, Result};
use crate::types::Type;

pub(super) use kernels::FUNCTIONS;

/// A lowered lambda.
#[derive(Debug, Clone)]
pub struct Lambda {
    pub params: Vec<(String, Type)>,
    pub body: Typed,
}

/// How a function of a lambda is computed.
#[derive(Clone, Copy)]
pub struct HigherOrderBody {
    kernel: Kernel,
    /// What the lambda's result, or the elements, are converted to.
    result: Arg,
    /// The type of the function's result for elements and converted lambda results of these
    /// types.
    returns: fn(&Type, &Type) -> Type,
    lambda: Needs,
    /// True when the result can be NULL though no array is.
    nullable: bool,
}

#[derive(Clone, Copy)]
enum Kernel {
    /// One value per row, of all elements at once.
    Elements(fn(&Elements<'_>) -> Result<ArrayRef>),
    /// The last argument is where the accumulation starts.
    Fold,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    Lambda,
    /// Without a lambda, exactly one array.
    LambdaOrNot,
}

impl HigherOrderBody {
    const fn new(
        result: Arg,
        returns: fn(&Type, &Type) -> Type,
        kernel: fn(&Elements<'_>) -> Result<ArrayRef>,
    ) -> Self {
        let lambda = Needs::LambdaOrNot;
        Self { kernel: Kernel::Elements(kernel), result, returns, lambda, nullable: false }
    }

    const fn needs_lambda(mut self) -> Self {
        self.lambda = Needs::Lambda;
        self
    }

    const fn nullable(mut self) -> Self {
        self.nullable = true;
        self
    }

    fn folds(&self) -> bool {
        matches!(self.kernel, Kernel::Fold)
    }
}

/// The types of a lambda's parameters: those of the elements, one array per parameter. A single
/// array of tuples may feed one parameter per tuple element. An accumulator comes first.
///
/// # Errors
/// `InvalidArgument` for a wrong number of parameters, `TypeMismatch` for what is no array.
pub(super) fn lambda_parameters(
    function: &'static Function,
    body: &HigherOrderBody,
    lambda_arity: usize,
    arrays: &[Type],
) -> Result<Vec<Type>> {
    check_shape(function, body, true, arrays.len())?;
    let (arrays, start) = match (body.folds(), arrays.split_last()) {
        (true, Some((start, arrays))) => (arrays, Some(start.clone())),
        _ => (arrays, None),
    };
    let elements = arrays.iter().enumerate().map(|(i, ty)| element(function, i, ty));
    let mut elements: Vec<_> = elements.collect::<Result<_>>()?;
    let wanted = lambda_arity.saturating_sub(usize::from(start.is_some()));
    if let [Type::Tuple(fields)] = elements.as_slice()
        && wanted == fields.len()
        && wanted > 1
    {
        elements = fields.iter().map(|(_, ty)| ty.clone()).collect();
    }
    if wanted != elements.len() || (start.is_some() && lambda_arity == 0) {
        let expected = elements.len() + usize::from(start.is_some());
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "the lambda of {} must have {expected} parameter{} here, found {lambda_arity}",
                function.name,
                if expected == 1 { "" } else { "s" }
            ),
        ));
    }
    Ok(start.into_iter().chain(elements).collect())
}

fn element(function: &Function, position: usize, ty: &Type) -> Result<Type> {
    match ty {
        Type::Array(element) => Ok(element.as_ref().clone()),
        Type::Null => Ok(Type::Null),
        _ => Err(Error::new(
            ErrorKind::TypeMismatch,
            format!(
                "function {} works on arrays, found {ty} as number {}",
                function.name,
                position + 1
            ),
        )),
    }
}

/// Plans a call.
///
/// # Errors
/// As [`Function::call`].
pub(super) fn plan(
    function: &'static Function,
    body: &HigherOrderBody,
    cx: &dyn PlanContext,
    span: Span,
    lambda: Option<Lambda>,
    mut args: Vec<Typed>,
) -> Result<Typed> {
    check_shape(function, body, lambda.is_some(), args.len())?;
    let types: Vec<_> = args.iter().map(|arg| arg.ty.clone()).collect();
    let elements = match body.folds() {
        true => types[types.len() - 1].clone(),
        false => element(function, 0, &types[0])?,
    };
    for (arg, ty) in args.iter_mut().zip(&types) {
        if *ty == Type::Null {
            *arg = Typed::null(Type::Null.array(), arg.span)?;
        }
    }
    let mut unpacks = false;
    let result = match lambda {
        Some(lambda) => {
            lambda_parameters(function, body, lambda.params.len(), &types)?;
            unpacks = lambda.params.len() > types.len();
            let converted = match body.folds() {
                true => cx.coerce(lambda.body, &elements)?,
                false => converted(function, body, cx, lambda.body)?,
            };
            let names = lambda.params.into_iter().map(|(name, _)| name).collect();
            let expr = logical::Expr::Lambda(logical::expr::Lambda::new(names, converted.expr));
            args.push(Typed::new(expr, converted.ty.clone(), span));
            converted.ty
        }
        None => {
            let target = target(function, body, cx, &elements)?;
            let array = args.swap_remove(0);
            args.push(match target == elements {
                true => array,
                false => cx.coerce(array, &target.clone().array())?,
            });
            target
        }
    };
    let ty = (body.returns)(&elements, &result);
    let args = args.into_iter().map(|arg| arg.expr).collect();
    let call = HigherOrderFunction::new(Adapter::udf(function, span, *body, unpacks), args);
    Ok(Typed::new(logical::Expr::HigherOrderFunction(call), ty, span))
}

fn check_shape(
    function: &Function,
    body: &HigherOrderBody,
    has_lambda: bool,
    args: usize,
) -> Result<()> {
    let message = match (body.lambda, has_lambda) {
        (Needs::Lambda, false) => {
            format!("function {} expects a lambda as its first argument", function.name)
        }
        (Needs::LambdaOrNot, false) if args != 1 => {
            format!("function {} without a lambda expects 1 array, found {args}", function.name)
        }
        _ => {
            let least = 1 + usize::from(body.folds());
            return check_count(function.name, "array", Count { min: least, max: None }, args);
        }
    };
    Err(Error::new(ErrorKind::UnknownFunction, message))
}

/// The lambda's result as the kernel wants it.
fn converted(
    function: &Function,
    body: &HigherOrderBody,
    cx: &dyn PlanContext,
    value: Typed,
) -> Result<Typed> {
    let target = target(function, body, cx, &value.ty).map_err(|error| error.at(value.span))?;
    cx.coerce(value, &target)
}

fn target(
    function: &Function,
    body: &HigherOrderBody,
    cx: &dyn PlanContext,
    ty: &Type,
) -> Result<Type> {
    if body.result == Arg::Bool && ty.is_numeric() {
        // Numbers are true unless 0; the kernel sees to it.
        return Ok(ty.clone());
    }
    body.result.target(ty, cx.timezone()).ok_or_else(|| {
        let wanted = body.result.describe();
        let message = format!("function {} works on {wanted} values, found {ty}", function.name);
        Error::new(ErrorKind::TypeMismatch, message)
    })
}
