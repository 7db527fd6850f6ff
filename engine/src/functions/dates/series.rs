//! Times in equal steps.

use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{ArrayRef, ListArray, TimestampMicrosecondArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{IntervalMonthDayNano, TimestampMicrosecondType};

use crate::error::{Error, ErrorKind, Result};
use crate::functions::arguments::Arguments;
use crate::functions::function::{Arg, Function, Returns};
use crate::types::Type;

/// A guard against steps that were meant to be longer.
const TIMES_MAX: usize = 50_000_000;

/// What `generate_series` and `range` over times ask for.
pub(in crate::functions) const FUNCTIONS: &[Function] = &[Function::scalar(
    "__times",
    &[Arg::DateTime, Arg::DateTime, Arg::Interval, Arg::Bool],
    Returns::Derived(|args| Ok(args[0].ty.clone().array())),
    times,
)
.doc("The times from a first one to a last one in steps of an interval, the last one included or not.")];

fn times(args: &Arguments<'_>) -> Result<ArrayRef> {
    let Type::Array(element) = args.returns else {
        return Err(Error::internal("the result is an array"));
    };
    let Type::DateTime(zone) = element.as_ref() else {
        return Err(Error::internal("the elements are times"));
    };
    let tz: Tz = zone.parse()?;
    let (starts, stops) = (args.datetime(0), args.datetime(1));
    let (steps, included) = (args.interval(2), args.bool(3));
    let mut values: Vec<i64> = Vec::new();
    let mut lengths = Vec::with_capacity(args.rows);
    let mut present = Vec::with_capacity(args.rows);
    for row in 0..args.rows {
        let before = values.len();
        let bounds = starts.get(row).zip(stops.get(row)).zip(steps.get(row));
        present.push(bounds.is_some());
        if let Some(((start, stop), step)) = bounds {
            let forward = is_forward(step)?;
            let inside = |time: i64| match (time == stop, forward) {
                (true, _) => included.get(row) == Some(true),
                (false, true) => time < stop,
                (false, false) => time > stop,
            };
            let mut next = Some(start);
            while let Some(time) = next.filter(|time| inside(*time)) {
                if values.len() == TIMES_MAX {
                    let message = format!("a series would have more than {TIMES_MAX} times");
                    return Err(Error::new(ErrorKind::OutOfRange, message));
                }
                values.push(time);
                // By day and month in the time zone: a day may have 23 hours.
                next = TimestampMicrosecondType::add_month_day_nano(time, step, tz)
                    .filter(|next| if forward { *next > time } else { *next < time });
            }
        }
        lengths.push(values.len() - before);
    }
    let values = TimestampMicrosecondArray::from(values).with_timezone(Arc::clone(zone));
    let offsets = OffsetBuffer::from_lengths(lengths);
    let nulls = Some(NullBuffer::from(present));
    Ok(Arc::new(ListArray::try_new(element.item_field(), offsets, Arc::new(values), nulls)?))
}

fn is_forward(step: IntervalMonthDayNano) -> Result<bool> {
    let parts = [i64::from(step.months), i64::from(step.days), step.nanoseconds];
    let (forward, back) = (parts.iter().any(|p| *p > 0), parts.iter().any(|p| *p < 0));
    if forward == back {
        let message = "the step of a series of times must go in one direction";
        return Err(Error::new(ErrorKind::InvalidArgument, message));
    }
    Ok(forward)
}
