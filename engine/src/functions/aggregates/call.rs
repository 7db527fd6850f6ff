//! From a call to an expression with one aggregate in it.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Float32Array, Float64Array, ListArray, MapArray, StructArray,
    new_empty_array, new_null_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::SortOptions;
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr as logical;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{AggregateUDF, ExprSchemable};
use hedgerow_parser::Span;

use super::combinators::Combinator;
use super::udaf::Aggregate;
use super::{AggregateBody, Empty, Form};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::function::{Body, Function};
use crate::functions::{PlanContext, Typed, registry};
use crate::types::Type;

/// An aggregate with what its name adds to it.
#[derive(Debug, Clone)]
pub struct AggregateCall {
    pub function: &'static Function,
    /// From the function outwards: `sumArrayIf` is `[Array, If]`.
    pub combinators: Vec<Combinator>,
}

/// A call of an aggregate.
#[derive(Debug)]
pub struct AggregateInput {
    pub span: Span,
    /// The first parenthesis of `quantile(0.9)(x)`.
    pub params: Vec<Typed>,
    pub args: Vec<Typed>,
    pub distinct: bool,
    /// `FILTER (WHERE …)`.
    pub filter: Option<Typed>,
    /// `f(x ORDER BY …)`, and the argument of `percentile_cont(p) WITHIN GROUP (ORDER BY …)`.
    pub order_by: Vec<logical::SortExpr>,
    /// How the rows are sorted that arrive, which counts when there is no ORDER BY.
    pub arrival: Vec<logical::SortExpr>,
}

/// What the outermost combinators ask for; these need no kernel of their own.
#[derive(Debug, Default)]
struct Outside {
    conditions: Vec<Typed>,
    distinct: bool,
    or_null: bool,
    or_default: bool,
}

/// A function of DataFusion with its arguments, the type of its result, and whether that can be
/// NULL.
struct Planned {
    udaf: Arc<AggregateUDF>,
    args: Vec<logical::Expr>,
    ty: Type,
    nullable: bool,
}

impl AggregateCall {
    /// An expression with exactly one aggregate in it, perhaps inside a coalesce.
    ///
    /// Over no rows it is 0, '' and so on if no argument can be NULL, else NULL; counts are 0
    /// and arrays empty in any case.
    ///
    /// # Errors
    /// As [`Function::call`]; `Unsupported` for combinators that do not go together.
    pub fn call(&self, cx: &dyn PlanContext, mut input: AggregateInput) -> Result<Typed> {
        let span = input.span;
        let mut function = self.function;
        if function.name == "count" && std::mem::take(&mut input.distinct) {
            // Of several arguments, too, the distinct tuples are counted.
            function = registry().get("uniqExact").unwrap_or(function);
        }
        let Body::Aggregate(body) = function.body else {
            return Err(Error::internal(format!("{} is no aggregate", function.name)));
        };
        let call = Self { function, combinators: self.combinators.clone() };
        call.plan(&body, cx, input).map_err(|error| error.at(span))
    }

    fn plan(
        &self,
        body: &AggregateBody,
        cx: &dyn PlanContext,
        mut input: AggregateInput,
    ) -> Result<Typed> {
        arrange(self.function, body.form, cx, &mut input)?;
        let params = constants(&input.params)?;
        let (outside, inside) = self.outside(cx, &mut input)?;
        let mut args = self.convert(cx, input.args, &inside, params.len())?;
        if args.is_empty() {
            // An aggregate learns from its arguments how many rows there are.
            args.push(Typed::int(1, input.span));
        }
        let nullable = args.iter().any(|arg| arg.nullable(cx.schema()));
        let filter = conjunction(cx, input.filter.into_iter().chain(outside.conditions))?;
        let distinct = input.distinct || outside.distinct;
        let types: Vec<_> = args.iter().map(|arg| arg.ty.clone()).collect();
        let plain = inside.is_empty() && params.is_empty() && !distinct;
        let counts = self.function.name == "count";
        let planned = match (body.native)(&types) {
            Some(udaf) if plain && !(counts && outside.or_null) => {
                let (args, ty) = native_form(self.function, args)?;
                Planned { udaf, args, ty, nullable: !counts }
            }
            _ => {
                let order_by = match (body.ordered, input.order_by.is_empty()) {
                    (false, _) => &[],
                    (true, true) => input.arrival.as_slice(),
                    (true, false) => input.order_by.as_slice(),
                };
                let (order, keys) = sort_keys(cx, order_by)?;
                let aggregate = Aggregate::new(self.function, inside, params, distinct, order);
                let aggregate = aggregate.at(input.span);
                own_form(aggregate, args, keys, outside.or_null)?
            }
        };
        let empty = match (outside.or_null, outside.or_default, body.empty) {
            _ if !planned.nullable => None,
            (true, _, _) | (_, false, Empty::Null) => None,
            (_, true, _) => Some(Empty::Default),
            (_, _, empty) => (!nullable).then_some(empty),
        };
        let call =
            AggregateFunction::new_udf(planned.udaf, planned.args, false, filter, Vec::new(), None);
        let mut expr = logical::Expr::AggregateFunction(call);
        if let Some(empty) = empty {
            let value = ScalarValue::try_from_array(&value_of(empty, &planned.ty)?, 0)?;
            expr = coalesce(vec![expr, logical::Expr::Literal(value, None)]);
        }
        Ok(Typed::new(expr, planned.ty, input.span))
    }

    /// Takes the outermost combinators off, and their arguments.
    fn outside(
        &self,
        cx: &dyn PlanContext,
        input: &mut AggregateInput,
    ) -> Result<(Outside, Vec<Combinator>)> {
        let mut inside = self.combinators.clone();
        // HogQL says avgArrayOrNull where the query says avgArray.
        let or_null = matches!(self.function.name, "avg" | "median")
            && self.combinators == [Combinator::Array];
        let mut outside = Outside { or_null, ..Outside::default() };
        while let Some(outermost) = inside.last() {
            match outermost {
                Combinator::If => {
                    let condition = input.args.pop().ok_or_else(|| {
                        let name = super::label(self.function, &self.combinators);
                        let message = format!("function {name} expects a condition");
                        Error::new(ErrorKind::UnknownFunction, message)
                            .hint("The condition is the last argument.")
                    })?;
                    outside.conditions.push(condition_of(cx, condition)?);
                }
                Combinator::OrNull => outside.or_null = true,
                Combinator::OrDefault => outside.or_default = true,
                Combinator::Distinct => outside.distinct = true,
                _ => break,
            }
            inside.pop();
        }
        Ok((outside, inside))
    }

    /// Checks the arguments and converts them so that the function itself sees what its row
    /// declares.
    fn convert(
        &self,
        cx: &dyn PlanContext,
        args: Vec<Typed>,
        inside: &[Combinator],
        params: usize,
    ) -> Result<Vec<Typed>> {
        let mut levels = vec![args.iter().map(|arg| arg.ty.clone()).collect::<Vec<_>>()];
        for combinator in inside.iter().rev() {
            let inner = combinator.inner_types(&levels[levels.len() - 1])?;
            levels.push(inner);
        }
        let innermost = levels.pop().unwrap_or_default();
        self.function.check_counts(params, innermost.len())?;
        if inside.is_empty() {
            return self.function.coerce_arguments(cx, args);
        }
        let mut targets = Vec::with_capacity(innermost.len());
        for (position, ty) in innermost.iter().enumerate() {
            let Some(arg) = self.function.args.get(position).or(self.function.args.last()) else {
                return Err(Error::internal("an argument too many"));
            };
            targets.push(arg.target(ty, cx.timezone()).ok_or_else(|| {
                let name = super::label(self.function, &self.combinators);
                let wanted = arg.describe();
                let message = format!("function {name} works on {wanted} values, found {ty}");
                Error::new(ErrorKind::TypeMismatch, message)
            })?);
        }
        for combinator in inside {
            let types = levels.pop().unwrap_or_default();
            targets = combinator.outer_types(&types, targets);
        }
        let pairs = args.into_iter().zip(targets);
        pairs.map(|(arg, target)| cx.coerce(arg, &target)).collect()
    }
}

/// True for a parameter of the statement, which has its value only when the statement runs; until
/// then any value will do.
fn is_parameter(value: &Typed) -> bool {
    matches!(value.expr, logical::Expr::Placeholder(_))
}

/// Brings parameter and arguments to where [`Form::Plain`] has them.
fn arrange(
    function: &Function,
    form: Form,
    cx: &dyn PlanContext,
    input: &mut AggregateInput,
) -> Result<()> {
    let wrong = |shape: &str| {
        let name = function.name;
        Error::new(ErrorKind::InvalidArgument, format!("{name} is written {name}{shape}"))
    };
    match form {
        Form::Plain => {}
        Form::WithinGroup => {
            let shape = "(level) WITHIN GROUP (ORDER BY value)";
            let (1, [key]) = (input.args.len(), input.order_by.as_slice()) else {
                return Err(wrong(shape));
            };
            if is_parameter(&input.args[0]) {
                cx.coerce(input.args[0].clone(), &Type::Float64)?;
                input.args[0] = Typed::constant(0.5.into(), Type::Float64, input.span);
            }
            let level = constants(&input.args)?[0].cast_to(&DataType::Float64)?;
            let ScalarValue::Float64(Some(level)) = level else { return Err(wrong(shape)) };
            let level = ScalarValue::from(if key.asc { level } else { 1.0 - level });
            let (_, field) = key.expr.to_field(cx.schema())?;
            let argument = Typed::new(key.expr.clone(), Type::from_field(&field), input.span);
            let params = vec![Typed::constant(level, Type::Float64, input.span)];
            (input.params, input.args) = (params, vec![argument]);
            input.order_by.clear();
        }
        Form::ParameterLast => {
            let Some(parameter) = input.args.pop() else {
                return Err(wrong("(value, parameter)"));
            };
            input.params = vec![match is_parameter(&parameter) {
                true => {
                    cx.coerce(parameter, &Type::String)?;
                    Typed::text("", input.span)
                }
                false => parameter,
            }];
        }
    }
    Ok(())
}

fn constants(params: &[Typed]) -> Result<Vec<ScalarValue>> {
    let constant = |param: &Typed| match param.as_constant() {
        Some(value) => Ok(value.clone()),
        None => {
            let error = Error::new(ErrorKind::InvalidArgument, "a parameter must be a constant");
            Err(error.at(param.span))
        }
    };
    params.iter().map(constant).collect()
}

/// A condition as a boolean; numbers are true unless 0.
fn condition_of(cx: &dyn PlanContext, condition: Typed) -> Result<Typed> {
    if condition.ty != Type::Bool && condition.ty.is_numeric() {
        let expr = logical::cast(condition.expr, DataType::Boolean);
        return Ok(Typed::new(expr, Type::Bool, condition.span));
    }
    cx.coerce(condition, &Type::Bool)
}

fn conjunction(
    cx: &dyn PlanContext,
    conditions: impl Iterator<Item = Typed>,
) -> Result<Option<Box<logical::Expr>>> {
    let mut all: Option<logical::Expr> = None;
    for condition in conditions {
        let condition = condition_of(cx, condition)?.expr;
        all = Some(match all {
            Some(others) => others.and(condition),
            None => condition,
        });
    }
    Ok(all.map(Box::new))
}

/// Sort options, and the keys with their types.
type SortKeys = (Vec<SortOptions>, Vec<(logical::Expr, Type)>);

fn sort_keys(cx: &dyn PlanContext, order_by: &[logical::SortExpr]) -> Result<SortKeys> {
    let options = order_by.iter().map(|key| SortOptions::new(!key.asc, key.nulls_first)).collect();
    let keys = order_by.iter().map(|key| {
        let (_, field) = key.expr.to_field(cx.schema())?;
        Ok((key.expr.clone(), Type::from_field(&field)))
    });
    Ok((options, keys.collect::<Result<_>>()?))
}

/// The arguments as DataFusion's function wants them, and the type of its result.
fn native_form(function: &Function, args: Vec<Typed>) -> Result<(Vec<logical::Expr>, Type)> {
    let ty = args.first().map_or(Type::Null, |arg| arg.ty.clone());
    let exprs: Vec<_> = args.into_iter().map(|arg| arg.expr).collect();
    Ok(match (function.name, ty) {
        ("count", _) => (exprs, Type::Int64),
        // The sum has more digits than its terms.
        ("sum", Type::Decimal(_, scale)) => {
            let wide = Type::Decimal(38, scale);
            let cast = |expr| logical::cast(expr, wide.to_arrow());
            (exprs.into_iter().map(cast).collect(), wide)
        }
        (_, ty) => (exprs, ty),
    })
}

/// An aggregate of ours over its arguments and, after them, sort keys.
fn own_form(
    mut aggregate: Aggregate,
    args: Vec<Typed>,
    keys: Vec<(logical::Expr, Type)>,
    or_null: bool,
) -> Result<Planned> {
    let (mut exprs, mut types) = (Vec::new(), Vec::new());
    for (expr, ty) in args.into_iter().map(|arg| (arg.expr, arg.ty)).chain(keys) {
        exprs.push(expr);
        types.push(ty);
    }
    let mut groups = aggregate.groups(&types)?;
    // An array or map is empty, never NULL.
    let single = !matches!(groups.returns(), Type::Array(_) | Type::Map(..));
    if or_null && single && !groups.nullable() {
        aggregate = aggregate.or_null();
        groups = aggregate.groups(&types)?;
    }
    let (ty, nullable) = (groups.returns(), groups.nullable());
    Ok(Planned { udaf: aggregate.udaf(&types)?, args: exprs, ty, nullable })
}

/// What a value of this type is when there is none: 0, '', 1970-01-01.
///
/// # Errors
/// `Internal`, from Arrow.
pub(crate) fn default_value(ty: &Type) -> Result<ScalarValue> {
    Ok(ScalarValue::try_from_array(&value_of(Empty::Default, ty)?, 0)?)
}

/// What a result is over no rows, as an array of one value.
fn value_of(empty: Empty, ty: &Type) -> Result<ArrayRef> {
    let layout = ty.to_arrow();
    Ok(match (ty, layout) {
        (Type::Float64, _) if empty == Empty::Nan => Arc::new(Float64Array::from(vec![f64::NAN])),
        (Type::Float32, _) if empty == Empty::Nan => Arc::new(Float32Array::from(vec![f32::NAN])),
        (Type::Int64, _) if empty == Empty::Ones => ScalarValue::Int64(Some(-1)).to_array()?,
        (Type::UInt64, _) if empty == Empty::Ones => {
            ScalarValue::UInt64(Some(u64::MAX)).to_array()?
        }
        (Type::Tuple(elements), DataType::Struct(fields)) => {
            let values = elements.iter().map(|(_, ty)| value_of(empty, ty));
            Arc::new(StructArray::try_new(fields, values.collect::<Result<_>>()?, None)?)
        }
        (Type::Array(_), DataType::List(item)) => Arc::new(ListArray::new(
            Arc::clone(&item),
            OffsetBuffer::from_lengths([0]),
            new_empty_array(item.data_type()),
            None,
        )),
        (Type::Map(..), DataType::Map(entries, sorted)) => {
            let none = new_empty_array(entries.data_type()).as_struct().clone();
            let offsets = OffsetBuffer::from_lengths([0]);
            Arc::new(MapArray::try_new(entries, offsets, none, None, sorted)?)
        }
        (Type::Null, layout) => new_null_array(&layout, 1),
        (_, layout) => ScalarValue::new_default(&layout)?.to_array()?,
    })
}
