//! The function library: one const table row beside its kernel per function.
//!
//! ```text
//! Registry ── lookup(name) ──> Callable ── call(context, arguments) ──> Typed
//! ```
//! A family file (`functions/strings.rs`, …) opens with its table of [`Function`]s. Everything
//! that is known about functions derives from these tables: lookup, arity and type errors,
//! `system.functions`, documentation, tests. Lowering asks the registry for a [`Callable`] and
//! gives it lowered arguments; the callable checks and converts them and builds the DataFusion
//! expression.
//!
//! Reading order: [`function`] (a row and what it can be), [`registry`](mod@registry) (names to
//! rows), [`coerce`](mod@coerce) (implicit and explicit conversions), [`arguments`] (what a
//! kernel sees), `adapter` (a row as DataFusion sees it), then the families.

pub mod function;
pub mod registry;

pub mod arguments;
pub mod coerce;

pub mod arithmetic;
pub mod arrays;
pub mod comparison;
pub mod conditions;
pub mod conversions;
pub mod dates;
pub mod intervals;
pub mod json;
pub mod maps;
pub mod math;
pub mod nulls;
pub mod other;
pub mod postgres;
pub mod rounding;
pub mod strings;
pub mod tuples;
pub mod urls;

pub mod aggregates;
pub mod higher_order;
pub mod windows;

mod adapter;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::FieldRef;
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr as logical;
use datafusion::logical_expr::ExprSchemable;
use hedgerow_parser::Span;

pub use aggregates::{AggregateCall, AggregateInput};
pub use function::Function;
pub use higher_order::Lambda;
pub use registry::{Callable, registry};

use crate::error::{Error, Result};
use crate::types::Type;

/// The tables of all families, in the order of the documentation.
const FAMILIES: &[&[Function]] = &[
    arithmetic::FUNCTIONS,
    comparison::FUNCTIONS,
    conditions::FUNCTIONS,
    nulls::FUNCTIONS,
    conversions::FUNCTIONS,
    dates::FUNCTIONS,
    dates::parts::FUNCTIONS,
    dates::truncate::FUNCTIONS,
    dates::difference::FUNCTIONS,
    dates::format::FUNCTIONS,
    dates::series::FUNCTIONS,
    intervals::FUNCTIONS,
    json::FUNCTIONS,
    json::property::FUNCTIONS,
    strings::FUNCTIONS,
    strings::search::FUNCTIONS,
    strings::replace::FUNCTIONS,
    strings::split::FUNCTIONS,
    urls::FUNCTIONS,
    math::FUNCTIONS,
    rounding::FUNCTIONS,
    other::FUNCTIONS,
    postgres::FUNCTIONS,
    postgres::documents::FUNCTIONS,
    postgres::build::FUNCTIONS,
    postgres::times::FUNCTIONS,
    postgres::texts::FUNCTIONS,
    postgres::arrays::FUNCTIONS,
    arrays::FUNCTIONS,
    arrays::aligned::FUNCTIONS,
    arrays::make::FUNCTIONS,
    arrays::combine::FUNCTIONS,
    arrays::search::FUNCTIONS,
    tuples::FUNCTIONS,
    maps::FUNCTIONS,
    aggregates::sums::FUNCTIONS,
    aggregates::pick::FUNCTIONS,
    aggregates::distinct::FUNCTIONS,
    aggregates::collect::FUNCTIONS,
    aggregates::tally::FUNCTIONS,
    aggregates::quantiles::FUNCTIONS,
    aggregates::moments::FUNCTIONS,
    aggregates::funnels::FUNCTIONS,
    windows::FUNCTIONS,
    higher_order::FUNCTIONS,
];

/// A lowered expression with its HogQL type.
#[derive(Debug, Clone)]
pub struct Typed {
    pub expr: logical::Expr,
    pub ty: Type,
    /// Where the user wrote it.
    pub span: Span,
}

impl Typed {
    /// An expression, its type and its place.
    pub fn new(expr: logical::Expr, ty: Type, span: Span) -> Self {
        Self { expr, ty, span }
    }

    /// A constant. `value` must be laid out as `ty` is.
    pub fn constant(value: ScalarValue, ty: Type, span: Span) -> Self {
        let field = ty.to_field("", false);
        let metadata = (!field.metadata().is_empty()).then(|| FieldMetadata::from(&field));
        Self { expr: logical::Expr::Literal(value, metadata), ty, span }
    }

    /// A NULL of a type.
    ///
    /// # Errors
    /// `Internal`, when the type has no NULL constant.
    pub fn null(ty: Type, span: Span) -> Result<Self> {
        Ok(Self::constant(ScalarValue::try_from(&ty.to_arrow())?, ty, span))
    }

    /// A text constant.
    pub fn text(text: impl Into<String>, span: Span) -> Self {
        Self::constant(ScalarValue::Utf8View(Some(text.into())), Type::String, span)
    }

    /// An integer constant.
    pub fn int(value: i64, span: Span) -> Self {
        Self::constant(ScalarValue::Int64(Some(value)), Type::Int64, span)
    }

    /// A boolean constant.
    pub fn bool(value: bool, span: Span) -> Self {
        Self::constant(ScalarValue::Boolean(Some(value)), Type::Bool, span)
    }

    /// The constant this is; none when it has to be computed.
    pub fn as_constant(&self) -> Option<&ScalarValue> {
        match &self.expr {
            logical::Expr::Literal(value, _) => Some(value),
            _ => None,
        }
    }

    /// The text constant this is.
    pub fn as_text(&self) -> Option<&str> {
        self.as_constant()?.try_as_str().flatten()
    }

    /// True for a constant NULL.
    pub fn is_null(&self) -> bool {
        self.as_constant().is_some_and(ScalarValue::is_null)
    }

    /// True for a parameter that has not got its type yet.
    pub fn is_untyped_parameter(&self) -> bool {
        self.ty == Type::Null && matches!(self.expr, logical::Expr::Placeholder(_))
    }

    /// True unless the value can be shown never to be NULL.
    pub fn nullable(&self, schema: &DFSchema) -> bool {
        self.expr.nullable(schema).unwrap_or(true)
    }

    /// The Arrow field of the value.
    pub fn field(&self, name: &str, schema: &DFSchema) -> FieldRef {
        Arc::new(self.ty.to_field(name, self.nullable(schema)))
    }
}

/// What a function may ask about the query it is planned for.
pub trait PlanContext {
    /// The project's time zone, as an IANA name.
    fn timezone(&self) -> &str;
    /// True when the project's weeks start on Monday, false for Sunday.
    fn week_starts_monday(&self) -> bool;
    /// The columns in scope, for the nullability of arguments.
    fn schema(&self) -> &DFSchema;
    /// Converts to `target`, reading strings as HogQL reads them (see
    /// [`coerce`](mod@coerce)); also gives an untyped parameter its type.
    ///
    /// # Errors
    /// `TypeMismatch`, naming both types, when there is no implicit conversion.
    fn coerce(&self, value: Typed, target: &Type) -> Result<Typed> {
        coerce::coerce(value, target, self.timezone())
    }
}

/// The value of an array of length 1. DataFusion's own conversion would lose the extension types
/// of list elements.
pub(crate) fn only_value(array: &ArrayRef) -> Result<ScalarValue> {
    Ok(match array.as_list_opt::<i32>() {
        Some(list) if list.is_valid(0) => ScalarValue::List(Arc::new(list.clone())),
        _ => ScalarValue::try_from_array(array, 0)?,
    })
}

/// A call of a scalar function by its name: how one function is written in terms of another.
pub(crate) fn call(
    cx: &dyn PlanContext,
    span: Span,
    name: &str,
    args: Vec<Typed>,
) -> Result<Typed> {
    let function = registry().get(name);
    let function = function.ok_or_else(|| Error::internal(format!("no function named {name}")))?;
    function.call(cx, span, Vec::new(), args)
}
