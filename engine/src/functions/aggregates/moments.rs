//! Variance, covariance, correlation, skewness, kurtosis and the regression line.
//!
//! Central moments are kept and merged as such (Welford; Pébay 2008, "Formulas for robust,
//! one-pass parallel computation of covariances and arbitrary-order statistical moments"), so
//! that no large squares are subtracted from each other.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, StructArray};
use arrow::datatypes::{DataType, Float64Type};

use super::groups::{Groups, Kernel, PerGroup};
use super::statistic;
use crate::error::Result;
use crate::functions::function::{Arg, Function};
use crate::types::Type;

const ONE: &[Arg] = &[Arg::Float];
const TWO: &[Arg] = &[Arg::Float, Arg::Float];

/// Statistics of one and two variables.
pub(in crate::functions) const FUNCTIONS: &[Function] = &[
    statistic("varPop", ONE, |_, _| Ok(moments(Statistic::VarPop)))
        .aliases(&["var_pop", "varPopStable"])
        .doc("The population variance.")
        .examples(&[("varPop(2)", "0")]),
    statistic("varSamp", ONE, |_, _| Ok(moments(Statistic::VarSamp)))
        .aliases(&["var_samp", "variance", "varSampStable"])
        .doc("The sample variance; NaN for a single value.")
        .examples(&[("varSamp(2)", "nan")]),
    statistic("stddevPop", ONE, |_, _| Ok(moments(Statistic::StddevPop)))
        .aliases(&["stddev_pop", "stddevPopStable"])
        .doc("The population standard deviation.")
        .examples(&[("stddevPop(2)", "0")]),
    statistic("stddevSamp", ONE, |_, _| Ok(moments(Statistic::StddevSamp)))
        .aliases(&["stddev_samp", "stddev", "stddevSampStable"])
        .doc("The sample standard deviation; NaN for a single value.")
        .examples(&[("stddevSamp(2)", "nan")]),
    statistic("skewPop", ONE, |_, _| Ok(moments(Statistic::SkewPop)))
        .doc("The population skewness.")
        .examples(&[("skewPop(2)", "nan")]),
    statistic("skewSamp", ONE, |_, _| Ok(moments(Statistic::SkewSamp)))
        .doc("The sample skewness.")
        .examples(&[("skewSamp(2)", "nan")]),
    statistic("kurtPop", ONE, |_, _| Ok(moments(Statistic::KurtPop)))
        .doc("The population kurtosis.")
        .examples(&[("kurtPop(2)", "nan")]),
    statistic("kurtSamp", ONE, |_, _| Ok(moments(Statistic::KurtSamp)))
        .doc("The sample kurtosis.")
        .examples(&[("kurtSamp(2)", "nan")]),
    statistic("covarPop", TWO, |_, _| Ok(relation(Relation::CovarPop)))
        .aliases(&["covar_pop", "covarPopStable"])
        .doc("The population covariance.")
        .examples(&[("covarPop(2, 3)", "0")]),
    statistic("covarSamp", TWO, |_, _| Ok(relation(Relation::CovarSamp)))
        .aliases(&["covar_samp", "covarSampStable"])
        .doc("The sample covariance; NaN for a single row.")
        .examples(&[("covarSamp(2, 3)", "nan")]),
    statistic("corr", TWO, |_, _| Ok(relation(Relation::Corr)))
        .aliases(&["corrStable"])
        .doc("Pearson's correlation.")
        .examples(&[("corr(2, 3)", "nan")]),
    statistic("simpleLinearRegression", TWO, |_, _| Ok(relation(Relation::Line)))
        .doc("Slope k and intercept b of the line through the points (x, y) of all rows.")
        .examples(&[("simpleLinearRegression(2, 3)", "(nan,nan)")]),
];

/// What is asked of the moments of one variable.
#[derive(Debug, Clone, Copy)]
pub(super) enum Statistic {
    VarPop,
    VarSamp,
    StddevPop,
    StddevSamp,
    SkewPop,
    SkewSamp,
    KurtPop,
    KurtSamp,
}

pub(super) fn moments(statistic: Statistic) -> Box<dyn Groups> {
    PerGroup::boxed(Univariate(statistic))
}

#[derive(Debug)]
struct Univariate(Statistic);

/// Count, mean and the sums of the second to fourth powers of the distances from it.
#[derive(Debug, Default, Clone, Copy)]
struct Moments {
    n: f64,
    mean: f64,
    m2: f64,
    m3: f64,
    m4: f64,
}

impl Moments {
    fn of(value: f64) -> Self {
        Self { n: 1.0, mean: value, ..Self::default() }
    }

    fn merge(&mut self, other: &Self) {
        if other.n == 0.0 {
            return;
        }
        let (a, b) = (*self, *other);
        let n = a.n + b.n;
        let delta = b.mean - a.mean;
        let (share, square) = (delta / n, delta * delta);
        self.n = n;
        self.mean = a.mean + share * b.n;
        self.m2 = a.m2 + b.m2 + delta * share * a.n * b.n;
        self.m3 = a.m3
            + b.m3
            + square * share * a.n * b.n * (a.n - b.n) / n
            + 3.0 * share * (a.n * b.m2 - b.n * a.m2);
        self.m4 = a.m4
            + b.m4
            + square * share * share * a.n * b.n * (a.n * a.n - a.n * b.n + b.n * b.n) / n
            + 6.0 * share * share * (a.n * a.n * b.m2 + b.n * b.n * a.m2)
            + 4.0 * share * (a.n * b.m3 - b.n * a.m3);
    }

    fn var_pop(&self) -> f64 {
        self.m2 / self.n
    }

    /// NaN for a single value.
    fn var_samp(&self) -> f64 {
        if self.n > 1.0 { self.m2 / (self.n - 1.0) } else { f64::NAN }
    }
}

impl Kernel for Univariate {
    type Group = Moments;

    fn returns(&self) -> Type {
        Type::Float64
    }

    fn state_types(&self) -> Vec<Type> {
        vec![Type::Float64; 5]
    }

    fn update(&self, to: &mut [Moments], args: &[ArrayRef], groups: &[usize]) -> Result<()> {
        for (value, group) in args[0].as_primitive::<Float64Type>().values().iter().zip(groups) {
            to[*group].merge(&Moments::of(*value));
        }
        Ok(())
    }

    fn merge(&self, to: &mut [Moments], states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let [n, mean, m2, m3, m4] = floats(states);
        for (row, group) in groups.iter().enumerate() {
            let (n, mean, m2) = (n[row], mean[row], m2[row]);
            to[*group].merge(&Moments { n, mean, m2, m3: m3[row], m4: m4[row] });
        }
        Ok(())
    }

    fn state(&self, groups: &[Moments]) -> Result<Vec<ArrayRef>> {
        let column = |get: fn(&Moments) -> f64| -> ArrayRef {
            Arc::new(Float64Array::from_iter_values(groups.iter().map(get)))
        };
        Ok(vec![
            column(|group| group.n),
            column(|group| group.mean),
            column(|group| group.m2),
            column(|group| group.m3),
            column(|group| group.m4),
        ])
    }

    fn finish(&self, groups: &[Moments]) -> Result<ArrayRef> {
        let statistic = |group: &Moments| match self.0 {
            Statistic::VarPop => group.var_pop(),
            Statistic::VarSamp => group.var_samp(),
            Statistic::StddevPop => group.var_pop().sqrt(),
            Statistic::StddevSamp => group.var_samp().sqrt(),
            Statistic::SkewPop => group.m3 / group.n / group.var_pop().powf(1.5),
            Statistic::SkewSamp => group.m3 / group.n / group.var_samp().powf(1.5),
            Statistic::KurtPop => group.m4 / group.n / group.var_pop().powi(2),
            Statistic::KurtSamp => group.m4 / group.n / group.var_samp().powi(2),
        };
        let values = groups.iter().map(|group| (group.n > 0.0).then(|| statistic(group)));
        Ok(Arc::new(values.collect::<Float64Array>()))
    }
}

/// What is asked of the moments of two variables.
#[derive(Debug, Clone, Copy)]
pub(super) enum Relation {
    CovarPop,
    CovarSamp,
    /// Pearson's correlation.
    Corr,
    /// Slope `k` and intercept `b` of the line through the points (first argument, second).
    Line,
}

pub(super) fn relation(relation: Relation) -> Box<dyn Groups> {
    PerGroup::boxed(Bivariate(relation))
}

#[derive(Debug)]
struct Bivariate(Relation);

/// Count, means, sums of squared distances from them and of their product.
#[derive(Debug, Default, Clone, Copy)]
struct Comoments {
    n: f64,
    mean_x: f64,
    mean_y: f64,
    m2_x: f64,
    m2_y: f64,
    c2: f64,
}

impl Comoments {
    fn merge(&mut self, other: &Self) {
        if other.n == 0.0 {
            return;
        }
        let (a, b) = (*self, *other);
        let n = a.n + b.n;
        let (x, y) = (b.mean_x - a.mean_x, b.mean_y - a.mean_y);
        let weight = a.n * b.n / n;
        *self = Self {
            n,
            mean_x: a.mean_x + x * b.n / n,
            mean_y: a.mean_y + y * b.n / n,
            m2_x: a.m2_x + b.m2_x + x * x * weight,
            m2_y: a.m2_y + b.m2_y + y * y * weight,
            c2: a.c2 + b.c2 + x * y * weight,
        };
    }

    fn slope(&self) -> f64 {
        self.c2 / self.m2_x
    }
}

impl Kernel for Bivariate {
    type Group = Comoments;

    fn returns(&self) -> Type {
        match self.0 {
            Relation::Line => Type::Tuple(
                ["k", "b"].into_iter().map(|name| (name.to_owned(), Type::Float64)).collect(),
            ),
            _ => Type::Float64,
        }
    }

    fn state_types(&self) -> Vec<Type> {
        vec![Type::Float64; 6]
    }

    fn update(&self, to: &mut [Comoments], args: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let [x, y] = floats(args);
        for (row, group) in groups.iter().enumerate() {
            let point =
                Comoments { n: 1.0, mean_x: x[row], mean_y: y[row], ..Comoments::default() };
            to[*group].merge(&point);
        }
        Ok(())
    }

    fn merge(&self, to: &mut [Comoments], states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let [n, mean_x, mean_y, m2_x, m2_y, c2] = floats(states);
        for (row, group) in groups.iter().enumerate() {
            to[*group].merge(&Comoments {
                n: n[row],
                mean_x: mean_x[row],
                mean_y: mean_y[row],
                m2_x: m2_x[row],
                m2_y: m2_y[row],
                c2: c2[row],
            });
        }
        Ok(())
    }

    fn state(&self, groups: &[Comoments]) -> Result<Vec<ArrayRef>> {
        let column = |get: fn(&Comoments) -> f64| -> ArrayRef {
            Arc::new(Float64Array::from_iter_values(groups.iter().map(get)))
        };
        Ok(vec![
            column(|group| group.n),
            column(|group| group.mean_x),
            column(|group| group.mean_y),
            column(|group| group.m2_x),
            column(|group| group.m2_y),
            column(|group| group.c2),
        ])
    }

    fn finish(&self, groups: &[Comoments]) -> Result<ArrayRef> {
        let column = |get: fn(&Comoments) -> f64| -> ArrayRef {
            let values = groups.iter().map(|group| (group.n > 0.0).then(|| get(group)));
            Arc::new(values.collect::<Float64Array>())
        };
        Ok(match self.0 {
            Relation::CovarPop => column(|group| group.c2 / group.n),
            Relation::CovarSamp => {
                column(|group| if group.n > 1.0 { group.c2 / (group.n - 1.0) } else { f64::NAN })
            }
            Relation::Corr => column(|group| group.c2 / (group.m2_x * group.m2_y).sqrt()),
            Relation::Line => {
                let line = [
                    column(Comoments::slope),
                    column(|group| group.mean_y - group.slope() * group.mean_x),
                ];
                let DataType::Struct(fields) = self.returns().to_arrow() else {
                    unreachable!("a tuple is a struct")
                };
                let empty = groups.iter().map(|group| group.n > 0.0).collect::<Vec<_>>();
                Arc::new(StructArray::new(fields, line.into(), Some(empty.into())))
            }
        })
    }
}

fn floats<const N: usize>(columns: &[ArrayRef]) -> [&[f64]; N] {
    std::array::from_fn(|i| columns[i].as_primitive::<Float64Type>().values().as_ref())
}
