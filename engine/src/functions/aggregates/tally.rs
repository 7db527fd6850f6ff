//! Aggregates over how often each value occurs.

use std::cmp::Reverse;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, UInt64Array};
use arrow::datatypes::{Int64Type, UInt64Type};

use super::collect::{Source, Tally};
use super::distinct::explode_all;
use super::groups::{Groups, lists};
use super::{aggregate, ordered, top};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::function::{Arg, Function};
use crate::types::Type;

/// Aggregates over frequencies.
pub(in crate::functions) const FUNCTIONS: &[Function] = &[
    ordered("topK", &[Arg::Any], |types, params| tally(types, Question::Top(top(params)?)))
        .aliases(&["approx_top_k"])
        .params(0, Some(1))
        .doc(
            "The most frequent values, counted exactly; of two equally frequent the smaller first.",
        )
        .examples(&[("topK(3)('a')", "['a']")]),
    ordered("topKWeighted", &[Arg::Any, Arg::Int], |types, params| {
        tally(types, Question::Top(top(params)?))
    })
    .params(0, Some(1))
    .doc("The values with the largest sum of weights in the second argument.")
    .examples(&[("topKWeighted(3)('a', 5)", "['a']")]),
    aggregate("entropy", &[Arg::Any], |types, _| tally(types, Question::Entropy))
        .doc("The Shannon entropy of the values, in bits.")
        .examples(&[("entropy('a')", "0")]),
];

/// What is asked of the counts.
#[derive(Debug, Clone, Copy)]
pub(super) enum Question {
    /// The most frequent values, most frequent first, the smaller of two equally frequent first.
    Top(usize),
    /// The Shannon entropy in bits.
    Entropy,
}

/// Counts values; a second argument gives the weight of each row.
pub(super) fn tally(types: &[Type], question: Question) -> Result<Box<dyn Groups>> {
    let counts = Tally::new(&types[..1], usize::MAX, false)?;
    Ok(Box::new(Frequencies { ty: types[0].clone(), weighted: types.len() > 1, counts, question }))
}

#[derive(Debug)]
struct Frequencies {
    ty: Type,
    weighted: bool,
    counts: Tally,
    question: Question,
}

impl Groups for Frequencies {
    fn returns(&self) -> Type {
        match self.question {
            Question::Top(_) => self.ty.clone().array(),
            Question::Entropy => Type::Float64,
        }
    }

    fn state_types(&self) -> Vec<Type> {
        vec![self.ty.clone().array(), Type::UInt64.array()]
    }

    fn nullable(&self) -> bool {
        matches!(self.question, Question::Entropy)
    }

    fn grow(&mut self, count: usize) {
        self.counts.grow(count);
    }

    fn update(&mut self, args: &[ArrayRef], groups: &[usize]) -> Result<()> {
        if !self.weighted {
            return self.counts.push(&args[..1], groups);
        }
        let weights = args[1].as_primitive::<Int64Type>().values();
        if weights.iter().any(|weight| *weight < 0) {
            return Err(Error::new(ErrorKind::InvalidArgument, "a weight cannot be negative"));
        }
        self.counts.count(&args[..1], |row| weights[row] as u64, groups)
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let (columns, owners) = explode_all(states, groups)?;
        let times = columns[1].as_primitive::<UInt64Type>().values();
        self.counts.count(&columns[..1], |row| times[row], &owners)
    }

    fn state(&self, count: usize) -> Result<Vec<ArrayRef>> {
        let (mut values, lengths) = self.counts.gather(count)?;
        let entries = self.counts.counts(count).iter().flat_map(|group| &group.entries);
        let times = UInt64Array::from_iter_values(entries.map(|(_, times)| *times));
        let lengths = lengths.into_iter();
        Ok(vec![
            Arc::new(lists(values.swap_remove(0), &self.ty, lengths.clone())),
            Arc::new(lists(Arc::new(times), &Type::UInt64, lengths)),
        ])
    }

    fn finish(&self, count: usize) -> Result<ArrayRef> {
        let groups = self.counts.counts(count).iter();
        match self.question {
            Question::Top(wanted) => {
                let mut numbers = Vec::new();
                let mut lengths = Vec::with_capacity(count);
                for group in groups {
                    let mut entries = group.entries.clone();
                    entries.sort_unstable_by_key(|(number, times)| {
                        (Reverse(*times), self.counts.bytes(*number))
                    });
                    entries.truncate(wanted);
                    lengths.push(entries.len());
                    numbers.extend(entries.into_iter().map(|(number, _)| number));
                }
                let mut values = self.counts.decode(numbers.into_iter())?;
                Ok(Arc::new(lists(values.swap_remove(0), &self.ty, lengths.into_iter())))
            }
            Question::Entropy => {
                let entropies = groups.map(|group| {
                    let times = || group.entries.iter().map(|(_, times)| *times as f64);
                    let total: f64 = times().sum();
                    let bits: f64 = times().map(|times| times / total).map(|p| -p * p.log2()).sum();
                    // Adding 0 turns the -0 of a single value into 0.
                    (total > 0.0).then_some(bits + 0.0)
                });
                Ok(Arc::new(entropies.collect::<Float64Array>()))
            }
        }
    }

    fn forget(&mut self, count: usize) {
        self.counts.forget(count);
    }

    fn size(&self) -> usize {
        self.counts.size()
    }
}
