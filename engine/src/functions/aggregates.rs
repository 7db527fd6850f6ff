//! Aggregates and their combinators.
//!
//! A row names the function that makes empty [`Groups`](groups::Groups) for given argument
//! types; return type, state, NULL rule and all combinators follow from these.

mod bytes;
mod call;
pub(super) mod collect;
mod combinators;
pub(super) mod distinct;
pub(super) mod funnels;
mod groups;
pub(super) mod moments;
mod numbers;
pub(super) mod pick;
pub(super) mod quantiles;
pub(super) mod sums;
pub(super) mod tally;
#[cfg(test)]
mod tests;
mod udaf;
mod wrappers;

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::AggregateUDF;

pub(crate) use call::default_value;
pub use call::{AggregateCall, AggregateInput};
pub use combinators::Combinator;
pub(crate) use groups::passing;

use self::groups::Groups;
use super::function::{Arg, Body, Function};
use crate::error::{Error, ErrorKind, Result};
use crate::types::Type;

/// How an aggregate is computed.
#[derive(Clone, Copy)]
pub struct AggregateBody {
    make: MakeGroups,
    /// DataFusion's function, where it means the same for these types.
    native: fn(&[Type]) -> Option<Arc<AggregateUDF>>,
    /// The result for no rows, when no argument can be NULL and the groups say NULL.
    empty: Empty,
    /// True when ORDER BY changes the result.
    ordered: bool,
    form: Form,
}

/// Makes empty groups for arguments of these types, with these parameters.
type MakeGroups = fn(&[Type], &[ScalarValue]) -> Result<Box<dyn Groups>>;

/// Where a call has its parameter and arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `f(parameters)(arguments)`
    Plain,
    /// `f(parameter) WITHIN GROUP (ORDER BY argument)`
    WithinGroup,
    /// `f(argument, parameter)`
    ParameterLast,
}

/// What becomes of no rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Empty {
    /// 0, '', 1970-01-01.
    Default,
    /// NaN; the default where the result is no float.
    Nan,
    /// All bits set.
    Ones,
    Null,
}

impl AggregateBody {
    const fn new(make: MakeGroups) -> Self {
        let native = |_: &[Type]| None;
        Self { make, native, empty: Empty::Default, ordered: false, form: Form::Plain }
    }

    const fn native(mut self, native: fn(&[Type]) -> Option<Arc<AggregateUDF>>) -> Self {
        self.native = native;
        self
    }

    const fn empty(mut self, empty: Empty) -> Self {
        self.empty = empty;
        self
    }

    const fn ordered(mut self) -> Self {
        self.ordered = true;
        self
    }

    const fn form(mut self, form: Form) -> Self {
        self.form = form;
        self
    }
}

const fn aggregate(name: &'static str, args: &'static [Arg], make: MakeGroups) -> Function {
    Function::aggregate(name, args, AggregateBody::new(make))
}

const fn statistic(name: &'static str, args: &'static [Arg], make: MakeGroups) -> Function {
    Function::aggregate(name, args, AggregateBody::new(make).empty(Empty::Nan))
}

const fn ordered(name: &'static str, args: &'static [Arg], make: MakeGroups) -> Function {
    Function::aggregate(name, args, AggregateBody::new(make).ordered())
}

/// How many values an array may have: no parameter, no limit.
fn limit(params: &[ScalarValue]) -> Result<usize> {
    params.first().map_or(Ok(usize::MAX), whole)
}

/// How many values are the top: ten unless a parameter says otherwise.
fn top(params: &[ScalarValue]) -> Result<usize> {
    params.first().map_or(Ok(10), whole)
}

fn whole(param: &ScalarValue) -> Result<usize> {
    match param.cast_to(&DataType::Int64) {
        Ok(ScalarValue::Int64(Some(number))) if number > 0 => Ok(number as usize),
        _ => Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("the parameter must be a positive whole number, found {param}"),
        )),
    }
}

fn text_of(param: &ScalarValue) -> Result<&str> {
    param.try_as_str().flatten().ok_or_else(|| {
        let message = format!("the parameter must be a text, found {param}");
        Error::new(ErrorKind::InvalidArgument, message)
    })
}

/// An aggregate with combinators, where `name` is one: the longest base name wins.
pub(super) fn parse(
    name: &str,
    find: impl Fn(&str) -> Option<&'static Function>,
) -> Option<AggregateCall> {
    let mut base = name;
    let mut combinators = Vec::new();
    while let Some((rest, combinator)) = Combinator::strip(base) {
        base = rest;
        combinators.insert(0, combinator);
        if let Some(function) = find(base)
            && matches!(function.body, Body::Aggregate(_))
        {
            return Some(AggregateCall { function, combinators });
        }
    }
    None
}

/// The aggregate with a combinator that a name means in the wrong letter case: `countif`.
pub(super) fn respelt(
    name: &str,
    find: impl Fn(&str) -> Option<&'static Function>,
) -> Option<String> {
    Combinator::ALL.iter().find_map(|(suffix, _)| {
        let at = name.len().checked_sub(suffix.len()).filter(|at| name.is_char_boundary(*at))?;
        let (base, written) = name.split_at(at);
        let aggregate = find(base).filter(|f| matches!(f.body, Body::Aggregate(_)))?;
        written.eq_ignore_ascii_case(suffix).then(|| format!("{}{suffix}", aggregate.name))
    })
}

/// The name with combinators, whatever alias was written.
fn label(function: &Function, combinators: &[Combinator]) -> String {
    let suffixes = combinators.iter().map(|combinator| combinator.suffix());
    std::iter::once(function.name).chain(suffixes).collect()
}

/// Empty groups for arguments of these types.
fn build(
    function: &'static Function,
    combinators: &[Combinator],
    types: &[Type],
    params: &[ScalarValue],
) -> Result<Box<dyn Groups>> {
    let Some((outer, rest)) = combinators.split_last() else {
        let Body::Aggregate(body) = function.body else {
            return Err(Error::internal(format!("{} is no aggregate", function.name)));
        };
        return (body.make)(types, params);
    };
    let inner = build(function, rest, &outer.inner_types(types)?, params)?;
    outer.wrap(types, inner, &label(function, rest))
}

/// An aggregate of plain values by the row each belongs to; NULL for rows without values.
///
/// # Errors
/// `Internal` for the name of no aggregate, and whatever the aggregate itself finds wrong.
pub(super) fn reduce(
    name: &str,
    ty: &Type,
    values: &ArrayRef,
    rows: &[usize],
    count: usize,
) -> Result<ArrayRef> {
    let function = super::registry().get(name).ok_or_else(|| Error::internal("no such name"))?;
    let mut groups = build(function, &[], std::slice::from_ref(ty), &[])?;
    groups.grow(count);
    groups::add(groups.as_mut(), std::slice::from_ref(values), rows, None)?;
    groups.finish(count)
}
