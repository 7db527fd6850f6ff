//! Quantiles, all of them exact: the values of a group are kept until its result is wanted.

use std::cmp::Ordering;
use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, Int64Array, PrimitiveArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, UInt64Type};

use datafusion::common::ScalarValue;

use super::groups::{Groups, Kernel, PerGroup, explode, lists};
use super::{AggregateBody, Empty, Form, MakeGroups, statistic};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::function::{Arg, Function};
use crate::types::Type;

/// The quantiles of one level or several.
macro_rules! groups {
    ($method:ident) => {
        |types, params| quantiles(types, Method::$method, levels(params)?, false)
    };
    ($method:ident, many) => {
        |types, params| quantiles(types, Method::$method, levels(params)?, true)
    };
}

const VALUE: &[Arg] = &[Arg::Quantity];
const WEIGHTED: &[Arg] = &[Arg::Quantity, Arg::Int];

/// Quantiles.
pub(in crate::functions) const FUNCTIONS: &[Function] = &[
    statistic("quantile", VALUE, groups!(Interpolated))
        .aliases(&["quantileTDigest", "quantileBFloat16", "quantileExactInclusive"])
        .params(0, Some(1))
        .doc("The quantile of a level (default 0.5), exact, interpolated between neighbours.")
        .examples(&[("quantile(0.9)(2)", "2")]),
    statistic("median", VALUE, groups!(Interpolated))
        .aliases(&["medianTDigest", "medianBFloat16"])
        .doc("The median, exact, interpolated between neighbours.")
        .examples(&[("median(2)", "2")]),
    statistic("quantiles", VALUE, groups!(Interpolated, many))
        .aliases(&["quantilesTDigest", "quantilesBFloat16", "quantilesExactInclusive"])
        .params(1, None)
        .doc("An array with the quantiles of several levels, see quantile.")
        .examples(&[("quantiles(0.5, 0.9)(2)", "[2,2]")]),
    statistic("quantileExact", VALUE, groups!(Exact))
        .aliases(&["quantileExactHigh", "quantileTiming"])
        .params(0, Some(1))
        .doc("The value at place ⌊level · n⌋ of the n sorted values, counted from 0.")
        .examples(&[("quantileExact(0.9)(2)", "2")]),
    statistic("medianExact", VALUE, groups!(Exact))
        .aliases(&["medianExactHigh", "medianTiming"])
        .doc("The value in the middle of the sorted values, the upper of two.")
        .examples(&[("medianExact(2)", "2")]),
    statistic("quantilesExact", VALUE, groups!(Exact, many))
        .aliases(&["quantilesExactHigh", "quantilesTiming"])
        .params(1, None)
        .doc("An array with the quantiles of several levels, see quantileExact.")
        .examples(&[("quantilesExact(0.5, 0.9)(2)", "[2,2]")]),
    statistic("quantileExactLow", VALUE, groups!(Low))
        .params(0, Some(1))
        .doc("As quantileExact, except that the median is the lower of the two in the middle.")
        .examples(&[("quantileExactLow(0.9)(2)", "2")]),
    statistic("medianExactLow", VALUE, groups!(Low))
        .doc("The value in the middle of the sorted values, the lower of two.")
        .examples(&[("medianExactLow(2)", "2")]),
    statistic("quantilesExactLow", VALUE, groups!(Low, many))
        .params(1, None)
        .doc("An array with the quantiles of several levels, see quantileExactLow.")
        .examples(&[("quantilesExactLow(0.5)(2)", "[2]")]),
    statistic("quantileExactExclusive", VALUE, groups!(Exclusive))
        .params(0, Some(1))
        .doc("The quantile interpolated at place level · (n + 1) of the sorted values, from 1.")
        .examples(&[("quantileExactExclusive(0.9)(2)", "2")]),
    statistic("quantilesExactExclusive", VALUE, groups!(Exclusive, many))
        .params(1, None)
        .doc("An array with the quantiles of several levels, see quantileExactExclusive.")
        .examples(&[("quantilesExactExclusive(0.9)(2)", "[2]")]),
    statistic("quantileExactWeighted", WEIGHTED, groups!(Weighted))
        .aliases(&["quantileTDigestWeighted", "quantileTimingWeighted"])
        .params(0, Some(1))
        .doc("The first value at which the weights in the second argument reach their share.")
        .examples(&[("quantileExactWeighted(0.5)(2, 3)", "2")]),
    statistic("medianExactWeighted", WEIGHTED, groups!(Weighted))
        .aliases(&["medianTDigestWeighted", "medianTimingWeighted"])
        .doc("The median by the weights in the second argument.")
        .examples(&[("medianExactWeighted(2, 3)", "2")]),
    statistic("quantilesExactWeighted", WEIGHTED, groups!(Weighted, many))
        .aliases(&["quantilesTDigestWeighted", "quantilesTimingWeighted"])
        .params(1, None)
        .doc("An array with the quantiles of several levels, see quantileExactWeighted.")
        .examples(&[("quantilesExactWeighted(0.5)(2, 3)", "[2]")]),
    within_group("percentile_cont", groups!(Interpolated))
        .doc("percentile_cont(level) WITHIN GROUP (ORDER BY x): as quantile, NULL for no rows.")
        .examples(&[("percentile_cont(0.5) WITHIN GROUP (ORDER BY 2)", "2")]),
    within_group("percentile_disc", groups!(Discrete))
        .doc(
            "percentile_disc(level) WITHIN GROUP (ORDER BY x): the first of the sorted values \
              that has at least this share of them up to it; NULL for no rows.",
        )
        .examples(&[("percentile_disc(0.5) WITHIN GROUP (ORDER BY 2)", "2")]),
];

const fn within_group(name: &'static str, make: MakeGroups) -> Function {
    let body = AggregateBody::new(make).empty(Empty::Null).form(Form::WithinGroup);
    Function::aggregate(name, VALUE, body).params(1, Some(1))
}

/// The levels among the parameters; the median if there is none.
fn levels(params: &[ScalarValue]) -> Result<Vec<f64>> {
    let level = |param: &ScalarValue| match param.cast_to(&DataType::Float64) {
        Ok(ScalarValue::Float64(Some(level))) => Ok(level),
        _ => Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("a quantile's level must be a number, found {param}"),
        )),
    };
    match params {
        [] => Ok(vec![0.5]),
        _ => params.iter().map(level).collect(),
    }
}

/// Where between the sorted values x[0] … x[n-1] the quantile of level p lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    /// At p·(n−1), interpolated linearly.
    Interpolated,
    /// x at ⌊p·n⌋.
    Exact,
    /// x at ⌊p·n⌋, except that the median of an even number is the lower one in the middle.
    Low,
    /// x at ⌈p·n⌉ − 1.
    Discrete,
    /// At p·(n+1) − 1, interpolated linearly.
    Exclusive,
    /// The first x at which the weights, in a second argument, reach p of their sum.
    Weighted,
}

impl Method {
    fn is_interpolated(self) -> bool {
        matches!(self, Self::Interpolated | Self::Exclusive)
    }
}

/// The quantiles of some levels: one value, or an array for `many`.
fn quantiles(
    types: &[Type],
    method: Method,
    levels: Vec<f64>,
    many: bool,
) -> Result<Box<dyn Groups>> {
    if let Some(wrong) = levels.iter().find(|level| !(0.0..=1.0).contains(*level)) {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("a quantile's level must be between 0 and 1, found {wrong}"),
        ));
    }
    if method == Method::Exclusive && levels.iter().any(|level| *level == 0.0 || *level == 1.0) {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            "the level of an exclusive quantile must lie between 0 and 1, without the ends",
        ));
    }
    let input = types[0].clone();
    let item = match (&input, method.is_interpolated()) {
        (ty, true) if ty.is_integer() || ty.is_float() => Type::Float64,
        (ty, _) => ty.clone(),
    };
    let shape = Shape { input, item, method, levels, many };
    Ok(match shape.input {
        Type::Float64 => PerGroup::boxed(Quantiles::<Float64Type>::new(shape)),
        Type::UInt64 => PerGroup::boxed(Quantiles::<UInt64Type>::new(shape)),
        Type::Decimal(..) => PerGroup::boxed(Quantiles::<Decimal128Type>::new(shape)),
        _ => PerGroup::boxed(Quantiles::<Int64Type>::new(shape)),
    })
}

#[derive(Debug)]
struct Shape {
    input: Type,
    item: Type,
    method: Method,
    levels: Vec<f64>,
    many: bool,
}

/// Values are kept as numbers: dates as days, times as microseconds.
#[derive(Debug)]
struct Quantiles<T> {
    shape: Shape,
    numbers: std::marker::PhantomData<fn() -> T>,
}

/// A number that can be put in order and interpolated.
trait Number: Copy + Debug + Send + Sync + Default {
    fn order(&self, other: &Self) -> Ordering;
    fn to_float(self) -> f64;
    fn from_float(float: f64) -> Self;
}

impl Number for f64 {
    fn order(&self, other: &Self) -> Ordering {
        self.total_cmp(other)
    }
    fn to_float(self) -> f64 {
        self
    }
    fn from_float(float: f64) -> Self {
        float
    }
}

macro_rules! integer {
    ($($native:ty),*) => {
        $(impl Number for $native {
            fn order(&self, other: &Self) -> Ordering {
                self.cmp(other)
            }
            fn to_float(self) -> f64 {
                self as f64
            }
            fn from_float(float: f64) -> Self {
                float as Self
            }
        })*
    };
}
integer!(i64, u64, i128);

impl<T: ArrowPrimitiveType<Native: Number> + Debug> Quantiles<T> {
    fn new(shape: Shape) -> Self {
        Self { shape, numbers: std::marker::PhantomData }
    }

    /// The numbers of an argument.
    fn read(&self, values: &ArrayRef) -> Result<PrimitiveArray<T>> {
        let values = match values.data_type() {
            DataType::Date32 => cast(&cast(values, &DataType::Int32)?, &DataType::Int64)?,
            DataType::Timestamp(..) => cast(values, &DataType::Int64)?,
            _ => Arc::clone(values),
        };
        Ok(values.as_primitive::<T>().clone())
    }

    /// The inverse of [`Self::read`].
    fn write(&self, numbers: PrimitiveArray<T>, ty: &Type) -> Result<ArrayRef> {
        let layout = ty.to_arrow();
        Ok(match layout {
            DataType::Decimal128(..) => Arc::new(numbers.with_data_type(layout)),
            DataType::Date32 => cast(&cast(&numbers, &DataType::Int32)?, &layout)?,
            _ => cast(&numbers, &layout)?,
        })
    }

    fn weighted(&self) -> bool {
        self.shape.method == Method::Weighted
    }

    /// The quantiles of one group, which has values.
    fn solve(&self, group: &Values<T::Native>, results: &mut Vec<Quantile<T::Native>>) {
        if self.weighted() {
            let mut pairs: Vec<_> = group.values.iter().zip(&group.weights).collect();
            pairs.sort_unstable_by(|a, b| a.0.order(b.0));
            let total: f64 = pairs.iter().map(|(_, weight)| **weight as f64).sum();
            for level in &self.shape.levels {
                let threshold = (total * level).ceil();
                let mut reached = 0.0;
                let at = pairs.iter().position(|(_, weight)| {
                    reached += **weight as f64;
                    reached >= threshold
                });
                results.push(Quantile::Value(*pairs[at.unwrap_or(pairs.len() - 1)].0));
            }
            return;
        }
        let mut values = group.values.clone();
        values.sort_unstable_by(T::Native::order);
        results.extend(self.shape.levels.iter().map(|level| self.one(&values, *level)));
    }

    fn one(&self, sorted: &[T::Native], level: f64) -> Quantile<T::Native> {
        let (n, last) = (sorted.len() as f64, sorted.len() - 1);
        let at = |place: f64| Quantile::Value(sorted[(place.max(0.0) as usize).min(last)]);
        let between = |place: f64| {
            let place = place.clamp(0.0, last as f64);
            let (low, share) = (place as usize, place.fract());
            let (a, b) = (sorted[low].to_float(), sorted[(low + 1).min(last)].to_float());
            Quantile::Float(if share == 0.0 { a } else { a * (1.0 - share) + b * share })
        };
        match self.shape.method {
            Method::Interpolated => between(level * (n - 1.0)),
            Method::Exclusive => between(level * (n + 1.0) - 1.0),
            Method::Low if level == 0.5 => at(((n - 1.0) / 2.0).floor()),
            Method::Discrete => at((level * n).ceil() - 1.0),
            Method::Exact | Method::Low | Method::Weighted => at((level * n).floor()),
        }
    }
}

#[derive(Debug, Default)]
struct Values<N> {
    values: Vec<N>,
    weights: Vec<i64>,
}

#[derive(Clone)]
enum Quantile<N> {
    Value(N),
    Float(f64),
}

impl<T: ArrowPrimitiveType<Native: Number> + Debug> Kernel for Quantiles<T> {
    type Group = Values<T::Native>;
    const ROW_BYTES: usize = 2 * size_of::<T::Native>();

    fn returns(&self) -> Type {
        if self.shape.many { self.shape.item.clone().array() } else { self.shape.item.clone() }
    }

    fn state_types(&self) -> Vec<Type> {
        let weights = self.weighted().then(|| Type::Int64.array());
        [self.shape.input.clone().array()].into_iter().chain(weights).collect()
    }

    fn nullable(&self) -> bool {
        !self.shape.many
    }

    fn update(&self, to: &mut [Self::Group], args: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let values = self.read(&args[0])?;
        for (value, group) in values.values().iter().zip(groups) {
            to[*group].values.push(*value);
        }
        if self.weighted() {
            let weights = args[1].as_primitive::<Int64Type>();
            for (weight, group) in weights.values().iter().zip(groups) {
                if *weight < 0 {
                    return Err(Error::new(
                        ErrorKind::InvalidArgument,
                        "a weight cannot be negative",
                    ));
                }
                to[*group].weights.push(*weight);
            }
        }
        Ok(())
    }

    fn merge(&self, to: &mut [Self::Group], states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let mut args = Vec::with_capacity(states.len());
        let mut owners = Vec::new();
        for state in states {
            let (values, of) = explode(state.as_list(), groups)?;
            args.push(values);
            owners = of;
        }
        self.update(to, &args, &owners)
    }

    fn state(&self, groups: &[Self::Group]) -> Result<Vec<ArrayRef>> {
        let lengths = groups.iter().map(|group| group.values.len());
        let values = groups.iter().flat_map(|group| &group.values).copied();
        let values = PrimitiveArray::<T>::from_iter_values(values);
        let values = self.write(values, &self.shape.input)?;
        let mut columns: Vec<ArrayRef> =
            vec![Arc::new(lists(values, &self.shape.input, lengths.clone()))];
        if self.weighted() {
            let weights = groups.iter().flat_map(|group| &group.weights).copied();
            let weights = Arc::new(Int64Array::from_iter_values(weights));
            columns.push(Arc::new(lists(weights, &Type::Int64, lengths)));
        }
        Ok(columns)
    }

    fn finish(&self, groups: &[Self::Group]) -> Result<ArrayRef> {
        let width = self.shape.levels.len();
        let mut results = Vec::with_capacity(groups.len() * width);
        for group in groups {
            if !group.values.is_empty() {
                self.solve(group, &mut results);
            } else if self.shape.item == Type::Float64 {
                results.extend(std::iter::repeat_n(Quantile::Float(f64::NAN), width));
            } else {
                results.extend(std::iter::repeat_n(Quantile::Value(T::Native::default()), width));
            }
        }
        // An array of quantiles has them even where there are no values.
        let present = groups.iter().map(|group| !group.values.is_empty());
        let nulls = (!self.shape.many).then(|| present.collect::<Vec<_>>().into());
        let values: ArrayRef = if self.shape.item == Type::Float64 {
            let floats = results.into_iter().map(|quantile| match quantile {
                Quantile::Value(number) => number.to_float(),
                Quantile::Float(float) => float,
            });
            Arc::new(PrimitiveArray::<Float64Type>::new(floats.collect(), nulls))
        } else {
            let numbers = results.into_iter().map(|quantile| match quantile {
                Quantile::Value(number) => number,
                Quantile::Float(float) => T::Native::from_float(float),
            });
            self.write(PrimitiveArray::<T>::new(numbers.collect(), nulls), &self.shape.item)?
        };
        if !self.shape.many {
            return Ok(values);
        }
        Ok(Arc::new(lists(values, &self.shape.item, groups.iter().map(|_| width))))
    }
}
