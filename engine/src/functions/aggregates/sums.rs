//! Counts, sums and means, and the bitwise folds.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, Float64Array, Int64Array,
    PrimitiveArray,
};
use arrow::datatypes::{Decimal128Type, Float64Type, Int64Type, UInt64Type};

use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::sum::sum_udaf;

use super::groups::{Groups, Kernel, PerGroup};
use super::{AggregateBody, Empty, aggregate, statistic};
use crate::error::{Error, Result};
use crate::functions::function::{Arg, Function};
use crate::types::Type;

/// Counts, sums, means and bits.
pub(in crate::functions) const FUNCTIONS: &[Function] = &[
    Function::aggregate(
        "count",
        &[Arg::Any],
        AggregateBody::new(|_, _| Ok(count())).native(|_| Some(count_udaf())),
    )
    .optional(1)
    .any_case()
    .doc("The number of rows, or of those where the argument is not NULL.")
    .examples(&[("count()", "1"), ("count(NULL)", "0")]),
    Function::aggregate(
        "sum",
        &[Arg::Number],
        AggregateBody::new(|types, _| fold(types, Fold::Sum)).native(|_| Some(sum_udaf())),
    )
    .aliases(&["sumWithOverflow"])
    .any_case()
    .doc("The sum. Integers wrap around; booleans count as 0 and 1.")
    .examples(&[("sum(2)", "2"), ("sum(true)", "1")]),
    Function::aggregate(
        "avg",
        &[Arg::Float],
        AggregateBody::new(|_, _| Ok(mean())).native(|_| Some(avg_udaf())).empty(Empty::Nan),
    )
    .any_case()
    .doc("The mean, as a float.")
    .examples(&[("avg(2)", "2")]),
    statistic("avgWeighted", &[Arg::Float, Arg::Float], |_, _| Ok(mean()))
        .doc("The mean of the first argument by the weights in the second.")
        .examples(&[("avgWeighted(2, 3)", "2")]),
    Function::aggregate(
        "groupBitAnd",
        &[Arg::Int],
        AggregateBody::new(|types, _| fold(types, Fold::And)).empty(Empty::Ones),
    )
    .aliases(&["bit_and", "BIT_AND"])
    .doc("The bits that are set in all values.")
    .examples(&[("groupBitAnd(6)", "6")]),
    aggregate("groupBitOr", &[Arg::Int], |types, _| fold(types, Fold::Or))
        .aliases(&["bit_or", "BIT_OR"])
        .doc("The bits that are set in any value.")
        .examples(&[("groupBitOr(6)", "6")]),
    aggregate("groupBitXor", &[Arg::Int], |types, _| fold(types, Fold::Xor))
        .aliases(&["bit_xor", "BIT_XOR"])
        .doc("The bits that are set in an odd number of values.")
        .examples(&[("groupBitXor(6)", "6")]),
];

/// The number of rows without NULL among the arguments.
pub(super) fn count() -> Box<dyn Groups> {
    PerGroup::boxed(Count)
}

#[derive(Debug)]
struct Count;

impl Kernel for Count {
    type Group = i64;

    fn returns(&self) -> Type {
        Type::Int64
    }

    fn state_types(&self) -> Vec<Type> {
        vec![Type::Int64]
    }

    fn nullable(&self) -> bool {
        false
    }

    fn update(&self, to: &mut [i64], _args: &[ArrayRef], groups: &[usize]) -> Result<()> {
        groups.iter().for_each(|group| to[*group] += 1);
        Ok(())
    }

    fn merge(&self, to: &mut [i64], states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        for (count, group) in states[0].as_primitive::<Int64Type>().values().iter().zip(groups) {
            to[*group] += count;
        }
        Ok(())
    }

    fn state(&self, groups: &[i64]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.finish(groups)?])
    }

    fn finish(&self, groups: &[i64]) -> Result<ArrayRef> {
        Ok(Arc::new(Int64Array::from(groups.to_vec())))
    }
}

/// How two numbers become one.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fold {
    /// Integers wrap around.
    Sum,
    And,
    Or,
    Xor,
}

/// Folds the numbers of a group; NULL if there is none.
pub(super) fn fold(types: &[Type], fold: Fold) -> Result<Box<dyn Groups>> {
    match (&types[0], fold) {
        (Type::Float64, Fold::Sum) => Ok(folding::<Float64Type>(Type::Float64, f64::add_wrapping)),
        (Type::Decimal(_, scale), Fold::Sum) => {
            Ok(folding::<Decimal128Type>(Type::Decimal(38, *scale), i128::add_wrapping))
        }
        (Type::UInt64, fold) => Ok(folding::<UInt64Type>(
            Type::UInt64,
            match fold {
                Fold::Sum => u64::add_wrapping,
                Fold::And => |a, b| a & b,
                Fold::Or => |a, b| a | b,
                Fold::Xor => |a, b| a ^ b,
            },
        )),
        (Type::Int64, fold) => Ok(folding::<Int64Type>(
            Type::Int64,
            match fold {
                Fold::Sum => i64::add_wrapping,
                Fold::And => |a, b| a & b,
                Fold::Or => |a, b| a | b,
                Fold::Xor => |a, b| a ^ b,
            },
        )),
        (other, _) => Err(Error::internal(format!("cannot fold {other}"))),
    }
}

fn folding<T: ArrowPrimitiveType + Debug>(
    ty: Type,
    combine: fn(T::Native, T::Native) -> T::Native,
) -> Box<dyn Groups> {
    PerGroup::boxed(Folding::<T> { ty, combine })
}

#[derive(Debug)]
struct Folding<T: ArrowPrimitiveType> {
    ty: Type,
    combine: fn(T::Native, T::Native) -> T::Native,
}

impl<T: ArrowPrimitiveType + Debug> Kernel for Folding<T> {
    type Group = Option<T::Native>;

    fn returns(&self) -> Type {
        self.ty.clone()
    }

    fn state_types(&self) -> Vec<Type> {
        vec![self.ty.clone()]
    }

    fn update(&self, to: &mut [Self::Group], args: &[ArrayRef], groups: &[usize]) -> Result<()> {
        for (value, group) in args[0].as_primitive::<T>().values().iter().zip(groups) {
            let sum = &mut to[*group];
            *sum = Some(sum.map_or(*value, |sum| (self.combine)(sum, *value)));
        }
        Ok(())
    }

    fn merge(&self, to: &mut [Self::Group], states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        for (value, group) in states[0].as_primitive::<T>().iter().zip(groups) {
            let Some(value) = value else { continue };
            let sum = &mut to[*group];
            *sum = Some(sum.map_or(value, |sum| (self.combine)(sum, value)));
        }
        Ok(())
    }

    fn state(&self, groups: &[Self::Group]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.finish(groups)?])
    }

    fn finish(&self, groups: &[Self::Group]) -> Result<ArrayRef> {
        let sums: PrimitiveArray<T> = groups.iter().copied().collect();
        Ok(Arc::new(sums.with_data_type(self.ty.to_arrow())))
    }
}

/// The mean of floats, by the weights in a second argument if there is one.
pub(super) fn mean() -> Box<dyn Groups> {
    PerGroup::boxed(Mean)
}

#[derive(Debug)]
struct Mean;

/// Sum of values times weights, sum of weights.
#[derive(Debug, Default)]
struct Weighted {
    rows: i64,
    sum: f64,
    weight: f64,
}

impl Kernel for Mean {
    type Group = Weighted;

    fn returns(&self) -> Type {
        Type::Float64
    }

    fn state_types(&self) -> Vec<Type> {
        vec![Type::Int64, Type::Float64, Type::Float64]
    }

    fn update(&self, to: &mut [Weighted], args: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let values = args[0].as_primitive::<Float64Type>().values();
        let weights = args.get(1).map(|weights| weights.as_primitive::<Float64Type>().values());
        for (row, group) in groups.iter().enumerate() {
            let weight = weights.map_or(1.0, |weights| weights[row]);
            let group = &mut to[*group];
            group.rows += 1;
            group.sum += values[row] * weight;
            group.weight += weight;
        }
        Ok(())
    }

    fn merge(&self, to: &mut [Weighted], states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let rows = states[0].as_primitive::<Int64Type>().values();
        let sums = states[1].as_primitive::<Float64Type>().values();
        let weights = states[2].as_primitive::<Float64Type>().values();
        for (row, group) in groups.iter().enumerate() {
            let group = &mut to[*group];
            group.rows += rows[row];
            group.sum += sums[row];
            group.weight += weights[row];
        }
        Ok(())
    }

    fn state(&self, groups: &[Weighted]) -> Result<Vec<ArrayRef>> {
        Ok(vec![
            Arc::new(Int64Array::from_iter_values(groups.iter().map(|group| group.rows))),
            Arc::new(Float64Array::from_iter_values(groups.iter().map(|group| group.sum))),
            Arc::new(Float64Array::from_iter_values(groups.iter().map(|group| group.weight))),
        ])
    }

    fn finish(&self, groups: &[Weighted]) -> Result<ArrayRef> {
        let mean = |group: &Weighted| (group.rows > 0).then(|| group.sum / group.weight);
        Ok(Arc::new(groups.iter().map(mean).collect::<Float64Array>()))
    }
}
