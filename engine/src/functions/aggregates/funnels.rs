//! How far each group gets through a sequence of conditions.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, UInt8Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, UInt8Type};
use datafusion::common::ScalarValue;

use super::aggregate;
use super::groups::{Groups, Kernel, PerGroup, explode, lists, passing};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::function::{Arg, Function};
use crate::types::Type;

/// Aggregates over conditions.
pub(in crate::functions) const FUNCTIONS: &[Function] = &[
    aggregate("windowFunnel", &[Arg::Quantity, Arg::Bool], window_funnel)
        .params(1, None)
        .variadic()
        .doc(
            "windowFunnel(seconds[, mode, ...])(timestamp, condition, ...): how many of the \
             conditions are met one after the other within that time of the first. For dates the \
             window counts days, for numbers ones. Modes: strict_order, strict_deduplication, \
             strict_increase. A NULL condition is false.",
        )
        .examples(&[("windowFunnel(10)(toDateTime('2024-01-01 00:00:00'), true, false)", "1")]),
    aggregate("retention", &[Arg::Bool], |types, _| retention(types))
        .variadic()
        .doc("An array: 1 for each condition met in some row, if the first one was met, else 0.")
        .examples(&[("retention(true, false)", "[1,0]")]),
];

/// The longest chain of conditions met in order within `window` of the first one.
///
/// The rules are those of ClickHouse, found by comparison on random events: events are sorted
/// by time and step; each step remembers the time of the latest chain that reached it; an event
/// extends the chain of the step before it when it lies within the window of the chain's start.
#[derive(Debug)]
struct Funnel {
    steps: usize,
    /// In units of the timestamps.
    window: i64,
    /// A step that was reached already ends the search.
    strict_deduplication: bool,
    /// Any other event ends the search.
    strict_order: bool,
    /// Each step must be later than the one before, not only as late.
    strict_increase: bool,
}

/// `windowFunnel(seconds[, mode…])(timestamp, condition…)`.
pub(super) fn window_funnel(types: &[Type], params: &[ScalarValue]) -> Result<Box<dyn Groups>> {
    let invalid = |message: String| Error::new(ErrorKind::InvalidArgument, message);
    let window = match params.first().map(|window| window.cast_to(&DataType::Int64)) {
        Some(Ok(ScalarValue::Int64(Some(window)))) if window >= 0 => window,
        _ => return Err(invalid("the window of windowFunnel must be a whole number".to_owned())),
    };
    if !types[0].is_integer() && !types[0].is_temporal() {
        let message = format!("windowFunnel measures whole numbers and times, found {}", types[0]);
        return Err(Error::new(ErrorKind::TypeMismatch, message));
    }
    check_conditions("windowFunnel", types.len() - 1, usize::from(u8::MAX) - 1)?;
    let microseconds = matches!(types[0], Type::DateTime(_));
    let mut funnel = Funnel {
        steps: types.len() - 1,
        window: window.saturating_mul(if microseconds { 1_000_000 } else { 1 }),
        strict_deduplication: false,
        strict_order: false,
        strict_increase: false,
    };
    for mode in &params[1..] {
        match mode.try_as_str().flatten() {
            Some("strict_deduplication") => funnel.strict_deduplication = true,
            Some("strict_order") => funnel.strict_order = true,
            Some("strict_increase") => funnel.strict_increase = true,
            Some(mode @ ("strict_once" | "allow_reentry")) => {
                return Err(Error::unsupported(format!("windowFunnel mode '{mode}'")));
            }
            _ => {
                return Err(invalid(format!("no windowFunnel mode {mode}")).hint(
                    "Modes are 'strict_order', 'strict_deduplication' and 'strict_increase'.",
                ));
            }
        }
    }
    Ok(PerGroup::boxed(funnel))
}

/// An event: its time, and which step it is, counted from 1; 0 for no step.
type Event = (i64, u8);

impl Funnel {
    fn level(&self, events: &[Event]) -> i64 {
        if self.steps == 1 && !self.strict_order {
            return i64::from(!events.is_empty());
        }
        // By step: when the latest chain that reached it began, and when it reached the step.
        let mut reached: Vec<Option<(i64, i64)>> = vec![None; self.steps];
        let mut begun = false;
        for (time, step) in events {
            let Some(step) = usize::from(*step).checked_sub(1) else {
                if begun {
                    break;
                }
                continue;
            };
            if step == 0 {
                reached[0] = Some((*time, *time));
                begun = true;
            } else if self.strict_deduplication && reached[step].is_some() {
                break;
            } else if let Some((start, previous)) = reached[step - 1] {
                let in_window = *time <= start.saturating_add(self.window);
                if in_window && (!self.strict_increase || previous < *time) {
                    reached[step] = Some((start, *time));
                    if step + 1 == self.steps {
                        break;
                    }
                }
            } else if self.strict_order && begun {
                return reached.iter().position(Option::is_none).unwrap_or(self.steps) as i64;
            }
        }
        reached.iter().rposition(Option::is_some).map_or(0, |last| last as i64 + 1)
    }
}

impl Kernel for Funnel {
    type Group = Vec<Event>;
    const ROW_BYTES: usize = 2 * size_of::<Event>();

    fn returns(&self) -> Type {
        Type::Int64
    }

    fn state_types(&self) -> Vec<Type> {
        vec![Type::Int64.array(), Type::UInt8.array()]
    }

    fn nullable(&self) -> bool {
        false
    }

    fn skips_null(&self) -> bool {
        false
    }

    fn update(&self, to: &mut [Vec<Event>], args: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let times = match args[0].data_type() {
            DataType::Date32 => cast(&cast(&args[0], &DataType::Int32)?, &DataType::Int64)?,
            _ => cast(&args[0], &DataType::Int64)?,
        };
        let times = times.as_primitive::<Int64Type>();
        let conditions: Vec<&BooleanArray> = args[1..].iter().map(|arg| arg.as_boolean()).collect();
        for (row, group) in groups.iter().enumerate().filter(|(row, _)| times.is_valid(*row)) {
            let mut any = false;
            for (step, condition) in conditions.iter().enumerate() {
                if condition.is_valid(row) && condition.value(row) {
                    to[*group].push((times.value(row), step as u8 + 1));
                    any = true;
                }
            }
            if self.strict_order && !any {
                to[*group].push((times.value(row), 0));
            }
        }
        Ok(())
    }

    fn merge(&self, to: &mut [Vec<Event>], states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let (times, owners) = explode(states[0].as_list(), groups)?;
        let (steps, _) = explode(states[1].as_list(), groups)?;
        let times = times.as_primitive::<Int64Type>().values();
        let steps = steps.as_primitive::<UInt8Type>().values();
        for (row, group) in owners.iter().enumerate() {
            to[*group].push((times[row], steps[row]));
        }
        Ok(())
    }

    fn state(&self, groups: &[Vec<Event>]) -> Result<Vec<ArrayRef>> {
        let lengths = groups.iter().map(Vec::len);
        let events = || groups.iter().flatten();
        let times = Int64Array::from_iter_values(events().map(|(time, _)| *time));
        let steps = UInt8Array::from_iter_values(events().map(|(_, step)| *step));
        Ok(vec![
            Arc::new(lists(Arc::new(times), &Type::Int64, lengths.clone())),
            Arc::new(lists(Arc::new(steps), &Type::UInt8, lengths)),
        ])
    }

    fn finish(&self, groups: &[Vec<Event>]) -> Result<ArrayRef> {
        let levels = groups.iter().map(|events| {
            if events.is_sorted() {
                return self.level(events);
            }
            let mut events = events.clone();
            events.sort_unstable();
            self.level(&events)
        });
        Ok(Arc::new(Int64Array::from_iter_values(levels)))
    }
}

/// For each condition, 1 if a row met the first condition and some row met this one.
pub(super) fn retention(types: &[Type]) -> Result<Box<dyn Groups>> {
    check_conditions("retention", types.len(), 64)?;
    Ok(PerGroup::boxed(Retention { conditions: types.len() }))
}

fn check_conditions(function: &str, given: usize, most: usize) -> Result<()> {
    if given <= most {
        return Ok(());
    }
    let message = format!("{function} takes at most {most} conditions, found {given}");
    Err(Error::new(ErrorKind::InvalidArgument, message))
}

#[derive(Debug)]
struct Retention {
    conditions: usize,
}

impl Kernel for Retention {
    /// A bit per condition.
    type Group = u64;

    fn returns(&self) -> Type {
        Type::Int64.array()
    }

    fn state_types(&self) -> Vec<Type> {
        vec![Type::Int64]
    }

    fn nullable(&self) -> bool {
        false
    }

    fn skips_null(&self) -> bool {
        false
    }

    fn update(&self, to: &mut [u64], args: &[ArrayRef], groups: &[usize]) -> Result<()> {
        for (bit, condition) in args.iter().enumerate() {
            let met = passing(condition.as_boolean());
            met.set_indices().for_each(|row| to[groups[row]] |= 1 << bit);
        }
        Ok(())
    }

    fn merge(&self, to: &mut [u64], states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        for (met, group) in states[0].as_primitive::<Int64Type>().values().iter().zip(groups) {
            to[*group] |= *met as u64;
        }
        Ok(())
    }

    fn state(&self, groups: &[u64]) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(Int64Array::from_iter_values(groups.iter().map(|met| *met as i64)))])
    }

    fn finish(&self, groups: &[u64]) -> Result<ArrayRef> {
        let bits = groups
            .iter()
            .flat_map(|met| (0..self.conditions).map(move |bit| (met & 1 & (met >> bit)) as i64));
        let bits = Arc::new(Int64Array::from_iter_values(bits));
        Ok(Arc::new(lists(bits, &Type::Int64, groups.iter().map(|_| self.conditions))))
    }
}
