//! A row of the function tables.

use std::fmt;
use std::sync::Arc;

use arrow::array::ArrayRef;
use datafusion::common::ScalarValue;
use datafusion::logical_expr as logical;
use datafusion::logical_expr::{ScalarUDF, Volatility, WindowFunctionDefinition};
use hedgerow_parser::Span;

use super::adapter::Adapter;
use super::aggregates::AggregateBody;
use super::arguments::Arguments;
use super::higher_order::{self, HigherOrderBody, Lambda};
use super::{PlanContext, Typed};
use crate::error::{Error, ErrorKind, Result};
use crate::types::Type;

/// Everything that is known about one function.
#[derive(Clone, Copy)]
pub struct Function {
    pub name: &'static str,
    /// Other names, of equal standing in lookup.
    pub aliases: &'static [&'static str],
    /// True when any letter case of the names matches.
    pub any_case: bool,
    /// How many parameters stand in the first parenthesis of `f(params)(args)`.
    pub params: Count,
    /// The kinds of the arguments; the last one repeats when `variadic`.
    pub args: &'static [Arg],
    /// How many of `args`, counted from the end, may be left out.
    pub optional: usize,
    pub variadic: bool,
    pub body: Body,
    pub volatility: Volatility,
    /// Cheaper where the data is: scans may answer it, so plans compute it right above them.
    pub towards_leaves: bool,
    /// One sentence, then what is worth knowing.
    pub doc: &'static str,
    /// Calls and what they give, as `toString` shows it; `error: …` for what is refused.
    pub examples: &'static [(&'static str, &'static str)],
    prepare: Option<Prepare>,
}

/// What a function is.
#[derive(Clone, Copy)]
pub enum Body {
    /// A kernel over Arrow arrays.
    Scalar { kernel: Kernel, returns: Returns, nulls: Nulls },
    /// A function of DataFusion that means the same.
    Native { udf: fn() -> Arc<ScalarUDF>, returns: Returns },
    /// An expression over other functions and operators.
    Rewrite(Rewrite),
    /// An aggregate, see [`super::aggregates`].
    Aggregate(AggregateBody),
    /// A window function, see [`super::windows`].
    Window(WindowPlan),
    /// A function that takes a lambda, see [`super::higher_order`].
    HigherOrder(HigherOrderBody),
}

/// Computes the values of all rows. Arrays arrive in the layout of [`Type::to_arrow`]; the
/// result has the layout of the return type and one value per row.
pub type Kernel = fn(&Arguments<'_>) -> Result<ArrayRef>;
/// Builds an expression out of converted arguments.
pub type Rewrite = fn(&dyn PlanContext, Span, Vec<Typed>) -> Result<Typed>;
/// Completes the arguments of a call before they are converted: defaults, units, zones.
pub type Prepare = fn(&dyn PlanContext, Span, &mut Vec<Typed>) -> Result<()>;
/// Plans a window function.
pub type WindowPlan =
    fn(&'static Function, &dyn PlanContext, Span, Vec<Typed>) -> Result<WindowCall>;
/// The function to run over a window, its arguments and its result's type.
pub type WindowCall = (WindowFunctionDefinition, Vec<logical::Expr>, Type);

/// What an argument is converted to before a kernel sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arg {
    /// Left as it is.
    Any,
    Bool,
    /// Int64.
    Int,
    /// Float64.
    Float,
    /// Int64, UInt64, Float64 or a decimal.
    Number,
    /// A number as above, or a date or time as it is.
    Quantity,
    Text,
    Uuid,
    Date,
    DateTime,
    /// Date or DateTime.
    Temporal,
    Interval,
    /// Any array.
    Array,
    /// An array of texts.
    Texts,
    Map,
    Tuple,
}

/// The type of a result.
#[derive(Clone, Copy)]
pub enum Returns {
    Bool,
    Int,
    Float,
    Text,
    Json,
    Uuid,
    Date,
    Interval,
    Texts,
    /// The type of the first argument.
    First,
    Derived(fn(&[Argument<'_>]) -> Result<Type>),
}

/// What is known about an argument before execution.
#[derive(Debug, Clone)]
pub struct Argument<'a> {
    pub ty: Type,
    pub constant: Option<&'a ScalarValue>,
}

/// What a kernel does about NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nulls {
    /// NULL if any argument is NULL, and only then.
    Propagate,
    /// NULL if any argument is NULL, and for reasons of its own.
    Introduce,
    /// NULL exactly where the first argument is.
    First,
    /// NULL is a value like others; the result is never NULL.
    Absorb,
    /// NULL is a value like others; the result may be NULL.
    Custom,
}

/// A number of things: at least, and at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    pub min: usize,
    pub max: Option<usize>,
}

impl Count {
    const NONE: Self = Self { min: 0, max: Some(0) };

    fn admits(self, given: usize) -> bool {
        given >= self.min && self.max.is_none_or(|max| given <= max)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.min, self.max) {
            (min, Some(max)) if min == max => write!(f, "{min}"),
            (min, Some(max)) => write!(f, "{min} to {max}"),
            (min, None) => write!(f, "at least {min}"),
        }
    }
}

/// Rows are built where they stand: `Function::scalar(…).any_case().doc(…).examples(…)`.
impl Function {
    const fn new(name: &'static str, args: &'static [Arg], body: Body) -> Self {
        Self {
            name,
            aliases: &[],
            any_case: false,
            params: Count::NONE,
            args,
            optional: 0,
            variadic: false,
            body,
            volatility: Volatility::Immutable,
            towards_leaves: false,
            doc: "",
            examples: &[],
            prepare: None,
        }
    }

    /// A function computed by a kernel of ours, NULL if any argument is NULL.
    pub const fn scalar(
        name: &'static str,
        args: &'static [Arg],
        returns: Returns,
        kernel: Kernel,
    ) -> Self {
        Self::new(name, args, Body::Scalar { kernel, returns, nulls: Nulls::Propagate })
    }

    /// A function of DataFusion with the same meaning.
    pub const fn native(
        name: &'static str,
        args: &'static [Arg],
        returns: Returns,
        udf: fn() -> Arc<ScalarUDF>,
    ) -> Self {
        Self::new(name, args, Body::Native { udf, returns })
    }

    /// A function that becomes another expression while lowering.
    pub const fn rewrite(name: &'static str, args: &'static [Arg], rewrite: Rewrite) -> Self {
        Self::new(name, args, Body::Rewrite(rewrite))
    }

    /// An aggregate.
    pub const fn aggregate(name: &'static str, args: &'static [Arg], body: AggregateBody) -> Self {
        Self::new(name, args, Body::Aggregate(body))
    }

    /// A window function.
    pub const fn window(name: &'static str, args: &'static [Arg], plan: WindowPlan) -> Self {
        Self::new(name, args, Body::Window(plan))
    }

    /// A function with an optional or required lambda before its `args`.
    pub const fn higher_order(name: &'static str, body: HigherOrderBody) -> Self {
        Self::new(name, &[Arg::Array], Body::HigherOrder(body)).variadic()
    }

    /// Other names.
    #[must_use]
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// Any letter case of the names matches.
    #[must_use]
    pub const fn any_case(mut self) -> Self {
        self.any_case = true;
        self
    }

    /// Takes parameters in a first parenthesis.
    #[must_use]
    pub const fn params(mut self, min: usize, max: Option<usize>) -> Self {
        self.params = Count { min, max };
        self
    }

    /// The last `count` arguments may be left out.
    #[must_use]
    pub const fn optional(mut self, count: usize) -> Self {
        self.optional = count;
        self
    }

    /// The last argument may be repeated.
    #[must_use]
    pub const fn variadic(mut self) -> Self {
        self.variadic = true;
        self
    }

    /// How a kernel treats NULL, if not by propagating it.
    #[must_use]
    pub const fn nulls(mut self, nulls: Nulls) -> Self {
        if let Body::Scalar { kernel, returns, .. } = self.body {
            self.body = Body::Scalar { kernel, returns, nulls };
        }
        self
    }

    /// Scans may answer calls on columns and constants.
    #[must_use]
    pub const fn towards_leaves(mut self) -> Self {
        self.towards_leaves = true;
        self
    }

    /// Gives another value each time it is evaluated.
    #[must_use]
    pub const fn volatile(mut self) -> Self {
        self.volatility = Volatility::Volatile;
        self
    }

    /// Completes the arguments before they are converted.
    #[must_use]
    pub const fn prepare(mut self, prepare: Prepare) -> Self {
        self.prepare = Some(prepare);
        self
    }

    /// What it does.
    #[must_use]
    pub const fn doc(mut self, doc: &'static str) -> Self {
        self.doc = doc;
        self
    }

    /// Calls and what they give.
    #[must_use]
    pub const fn examples(mut self, examples: &'static [(&'static str, &'static str)]) -> Self {
        self.examples = examples;
        self
    }
}

impl Function {
    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// How many arguments it takes.
    pub fn arity(&self) -> Count {
        let max = if self.variadic { None } else { Some(self.args.len()) };
        Count { min: self.args.len() - self.optional, max }
    }

    /// The call as documentation shows it: `substring(text, integer[, integer])`.
    pub fn signature(&self) -> String {
        let required = self.args.len() - self.optional;
        let mut text = format!("{}(", self.name);
        for (i, arg) in self.args.iter().enumerate() {
            text.push_str(if i >= required { "[" } else { "" });
            text.push_str(if i > 0 { ", " } else { "" });
            text.push_str(arg.describe());
        }
        text.push_str(if self.variadic { ", ..." } else { "" });
        text.push_str(&"]".repeat(self.optional));
        text.push(')');
        text
    }

    /// Plans a call of a scalar function.
    ///
    /// # Errors
    /// `UnknownFunction` for a wrong number of arguments, `TypeMismatch` for arguments that
    /// cannot be converted, and whatever the function finds wrong with constants.
    pub fn call(
        &'static self,
        cx: &dyn PlanContext,
        span: Span,
        params: Vec<Typed>,
        mut args: Vec<Typed>,
    ) -> Result<Typed> {
        self.check_counts(params.len(), args.len()).map_err(|error| error.at(span))?;
        if let Some(prepare) = self.prepare {
            prepare(cx, span, &mut args).map_err(|error| error.at(span))?;
        }
        let args = self.coerce_arguments(cx, args)?;
        self.build(cx, span, args).map_err(|error| error.at(span))
    }

    fn build(&'static self, cx: &dyn PlanContext, span: Span, args: Vec<Typed>) -> Result<Typed> {
        let (udf, returns) = match self.body {
            Body::Rewrite(rewrite) => return rewrite(cx, span, args),
            Body::Scalar { returns, .. } => (Adapter::udf(self, span), returns),
            Body::Native { udf, returns } => (udf(), returns),
            Body::Aggregate(_) | Body::Window(_) | Body::HigherOrder(_) => {
                return Err(Error::internal(format!("{} is no scalar function", self.name)));
            }
        };
        let facts: Vec<_> = args
            .iter()
            .map(|arg| Argument { ty: arg.ty.clone(), constant: arg.as_constant() })
            .collect();
        let ty = returns.resolve(&facts)?;
        let args = args.into_iter().map(|arg| arg.expr).collect();
        Ok(Typed::new(udf.call(args), ty, span))
    }

    /// The types of a lambda's parameters.
    ///
    /// # Errors
    /// `UnknownFunction` when this is no function of a lambda, `TypeMismatch` for wrong arrays.
    pub fn lambda_parameters(
        &'static self,
        lambda_arity: usize,
        arrays: &[Type],
    ) -> Result<Vec<Type>> {
        match self.body {
            Body::HigherOrder(body) => {
                higher_order::lambda_parameters(self, &body, lambda_arity, arrays)
            }
            _ => Err(Error::new(
                ErrorKind::UnknownFunction,
                format!("function {} takes no lambda", self.name),
            )),
        }
    }

    /// Plans a call of a higher-order function.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub fn call_higher_order(
        &'static self,
        cx: &dyn PlanContext,
        span: Span,
        lambda: Option<Lambda>,
        arrays: Vec<Typed>,
    ) -> Result<Typed> {
        match self.body {
            Body::HigherOrder(body) => higher_order::plan(self, &body, cx, span, lambda, arrays)
                .map_err(|error| error.at(span)),
            _ => Err(Error::internal(format!("{} is no higher-order function", self.name))),
        }
    }

    /// Plans a call of a window function.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub fn call_window(
        &'static self,
        cx: &dyn PlanContext,
        span: Span,
        args: Vec<Typed>,
    ) -> Result<WindowCall> {
        match self.body {
            Body::Window(plan) => {
                self.check_counts(0, args.len()).map_err(|error| error.at(span))?;
                plan(self, cx, span, args).map_err(|error| error.at(span))
            }
            _ => Err(Error::internal(format!("{} is no window function", self.name))),
        }
    }

    /// Checks how many parameters and arguments a call has.
    ///
    /// # Errors
    /// `UnknownFunction`, with the signature as hint.
    pub fn check_counts(&self, params: usize, args: usize) -> Result<()> {
        check_count(self.name, "parameter", self.params, params)
            .and_then(|()| check_count(self.name, "argument", self.arity(), args))
            .map_err(|error| error.hint(format!("Write it as {}.", self.signature())))
    }

    /// Converts the arguments of a call to what the row declares.
    ///
    /// # Errors
    /// `TypeMismatch`, naming the argument's type and what is expected.
    pub fn coerce_arguments(&self, cx: &dyn PlanContext, args: Vec<Typed>) -> Result<Vec<Typed>> {
        let convert = |(i, value): (usize, Typed)| match self.args.get(i).or(self.args.last()) {
            Some(arg) => arg.accept(cx, value, self, i),
            None => Ok(value),
        };
        args.into_iter().enumerate().map(convert).collect()
    }
}

/// Checks a number of arguments or parameters.
///
/// # Errors
/// `UnknownFunction`: there is no form of the function that takes so many.
pub fn check_count(name: &str, noun: &str, expected: Count, given: usize) -> Result<()> {
    if expected.admits(given) {
        return Ok(());
    }
    let plural =
        if expected.min == 1 && expected.max.is_none_or(|max| max == 1) { "" } else { "s" };
    Err(Error::new(
        ErrorKind::UnknownFunction,
        format!("function {name} expects {expected} {noun}{plural}, found {given}"),
    ))
}

impl Arg {
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Bool => "boolean",
            Self::Int => "integer",
            Self::Float | Self::Number => "number",
            Self::Quantity => "number, date or datetime",
            Self::Text => "text",
            Self::Uuid => "UUID",
            Self::Date => "date",
            Self::DateTime => "datetime",
            Self::Temporal => "date or datetime",
            Self::Interval => "interval",
            Self::Array => "array",
            Self::Texts => "array of texts",
            Self::Map => "map",
            Self::Tuple => "tuple",
        }
    }

    /// The type a value of type `ty` is converted to; none when this kind does not take it.
    pub(super) fn target(self, ty: &Type, zone: &str) -> Option<Type> {
        let kept = || Some(ty.clone());
        let date_time = || match ty {
            Type::DateTime(_) => ty.clone(),
            _ => Type::DateTime(zone.into()),
        };
        match self {
            Self::Any => kept(),
            Self::Bool => Some(Type::Bool),
            Self::Int => Some(Type::Int64),
            Self::Float => Some(Type::Float64),
            Self::Number => match ty {
                Type::UInt64 | Type::Decimal(..) => kept(),
                ty if ty.is_float() => Some(Type::Float64),
                // What is not known yet, a parameter, may well have a fraction.
                Type::Null => Some(Type::Float64),
                ty if ty.is_numeric() => Some(Type::Int64),
                _ => None,
            },
            Self::Quantity if ty.is_temporal() => kept(),
            Self::Quantity => Self::Number.target(ty, zone),
            Self::Text => Some(if *ty == Type::Json { Type::Json } else { Type::String }),
            Self::Uuid => Some(Type::Uuid),
            Self::Date => Some(Type::Date),
            Self::DateTime => Some(date_time()),
            Self::Temporal => Some(if *ty == Type::Date { Type::Date } else { date_time() }),
            Self::Interval => Some(Type::Interval),
            Self::Array => match ty {
                Type::Null => Some(Type::Null.array()),
                Type::Array(_) => kept(),
                _ => None,
            },
            Self::Texts => Some(Type::String.array()),
            Self::Map => matches!(ty, Type::Map(..)).then(|| ty.clone()),
            Self::Tuple => matches!(ty, Type::Tuple(_)).then(|| ty.clone()),
        }
    }

    fn accept(
        self,
        cx: &dyn PlanContext,
        value: Typed,
        function: &Function,
        position: usize,
    ) -> Result<Typed> {
        let (ty, span) = (value.ty.clone(), value.span);
        let target = self.target(&ty, cx.timezone());
        let converted = target.and_then(|target| match cx.coerce(value, &target) {
            Err(error) if error.kind == ErrorKind::TypeMismatch => None,
            other => Some(other),
        });
        converted.unwrap_or_else(|| {
            Err(Error::new(
                ErrorKind::TypeMismatch,
                format!(
                    "argument {} of function {} must be {}, found {ty}",
                    position + 1,
                    function.name,
                    self.describe(),
                ),
            )
            .hint(format!("Write it as {}.", function.signature()))
            .at(span))
        })
    }
}

impl Returns {
    /// The type of the result for these arguments.
    ///
    /// # Errors
    /// What the function finds wrong with types or constants.
    pub fn resolve(self, args: &[Argument<'_>]) -> Result<Type> {
        Ok(match self {
            Self::Bool => Type::Bool,
            Self::Int => Type::Int64,
            Self::Float => Type::Float64,
            Self::Text => Type::String,
            Self::Json => Type::Json,
            Self::Uuid => Type::Uuid,
            Self::Date => Type::Date,
            Self::Interval => Type::Interval,
            Self::Texts => Type::String.array(),
            Self::First => args.first().map_or(Type::Null, |arg| arg.ty.clone()),
            Self::Derived(derive) => derive(args)?,
        })
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Functions are equal when their names are: rows live in tables that a test keeps unique.
impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Function {}
