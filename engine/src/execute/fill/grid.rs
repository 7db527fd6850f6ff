//! The values that WITH FILL steps through.

use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Decimal128Array, Float64Array, Int64Array,
    TimestampMicrosecondArray, UInt64Array,
};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, IntervalMonthDayNano, TimeUnit,
    TimestampMicrosecondType, UInt64Type,
};

use chrono::{DateTime, MappedLocalTime, Months, Offset, TimeDelta, TimeZone};

use crate::error::{Error, ErrorKind, Result};

/// A value of a key: integers, days and microseconds as they are, decimals by their digits.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(crate) enum Value {
    Int(i128),
    Float(f64),
}

/// How far apart the values are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    Int(i128),
    Float(f64),
    /// On days.
    Days(IntervalMonthDayNano),
    /// On microseconds, in a time zone.
    Time(IntervalMonthDayNano, Tz),
}

/// One key of ORDER BY that is filled.
#[derive(Debug, Clone)]
pub(crate) struct Level {
    /// The key among the plan's columns.
    pub(crate) column: usize,
    pub(crate) descending: bool,
    pub(crate) nulls_first: bool,
    pub(crate) from: Option<Value>,
    /// Not reached.
    pub(crate) to: Option<Value>,
    pub(crate) step: Step,
}

impl Level {
    /// The value after this one; none when there is none in the type.
    pub(crate) fn next(&self, value: Value) -> Option<Value> {
        match (value, self.step) {
            (Value::Int(value), Step::Int(step)) => value.checked_add(step).map(Value::Int),
            (Value::Float(value), Step::Float(step)) => {
                // A step that is lost in the value's last digit would never end.
                Some(value + step).filter(|next| *next != value).map(Value::Float)
            }
            (Value::Int(value), Step::Days(step)) => {
                let day = i32::try_from(value).ok()?;
                let next = Date32Type::add_month_day_nano_opt(day, step)?;
                Some(Value::Int(i128::from(next)))
            }
            (Value::Int(value), Step::Time(step, zone)) => {
                let next = later(i64::try_from(value).ok()?, step, zone)?;
                Some(Value::Int(i128::from(next)))
            }
            _ => None,
        }
        .filter(|next| self.before(value, *next))
    }

    /// True when `a` comes before `b` in this key's order.
    pub(crate) fn before(&self, a: Value, b: Value) -> bool {
        if self.descending { a > b } else { a < b }
    }
}

/// A time in microseconds, moved by an interval. Months and days keep the time of day in the zone;
/// where clocks skip that time, it is as much later, and where they show it twice, the first.
fn later(time: i64, step: IntervalMonthDayNano, zone: Tz) -> Option<i64> {
    let mut moved = DateTime::from_timestamp_micros(time)?.naive_utc();
    if (step.months, step.days) != (0, 0) {
        let local = moved.checked_add_offset(zone.offset_from_utc_datetime(&moved).fix())?;
        let months = Months::new(step.months.unsigned_abs());
        let local = match step.months < 0 {
            true => local.checked_sub_months(months)?,
            false => local.checked_add_months(months)?,
        };
        let local = local.checked_add_signed(TimeDelta::days(step.days.into()))?;
        let offset = match zone.offset_from_local_datetime(&local) {
            MappedLocalTime::Single(offset) | MappedLocalTime::Ambiguous(offset, _) => offset,
            // As before the clocks were put forward.
            MappedLocalTime::None => zone.offset_from_utc_datetime(&(local - TimeDelta::days(1))),
        };
        moved = local.checked_sub_offset(offset.fix())?;
    }
    let moved = moved.checked_add_signed(TimeDelta::nanoseconds(step.nanoseconds))?;
    Some(moved.and_utc().timestamp_micros())
}

/// True for the types of keys that can be filled.
pub(crate) fn can_fill(layout: &DataType) -> bool {
    layout.is_integer()
        || layout.is_floating()
        || matches!(
            layout,
            DataType::Decimal128(..)
                | DataType::Date32
                | DataType::Timestamp(TimeUnit::Microsecond, _)
        )
}

/// The values of a column. NULL and NaN are none.
///
/// # Errors
/// `Internal` for a type that cannot be filled.
pub(crate) fn read(column: &ArrayRef) -> Result<Vec<Option<Value>>> {
    fn ints<T: Into<i128>>(values: impl Iterator<Item = Option<T>>) -> Vec<Option<Value>> {
        values.map(|value| value.map(|value| Value::Int(value.into()))).collect()
    }
    Ok(match column.data_type() {
        layout if layout.is_floating() => {
            let floats = cast(column, &DataType::Float64)?;
            let floats = floats.as_primitive::<Float64Type>().iter();
            floats.map(|value| value.filter(|v| !v.is_nan()).map(Value::Float)).collect()
        }
        DataType::UInt64 => ints(column.as_primitive::<UInt64Type>().iter()),
        DataType::Decimal128(..) => ints(column.as_primitive::<Decimal128Type>().iter()),
        DataType::Date32 => ints(column.as_primitive::<Date32Type>().iter()),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            ints(column.as_primitive::<TimestampMicrosecondType>().iter())
        }
        layout if layout.is_integer() => {
            let integers = cast(column, &DataType::Int64)?;
            ints(integers.as_primitive::<Int64Type>().iter())
        }
        other => return Err(Error::internal(format!("WITH FILL of {other}"))),
    })
}

/// A column of these values.
///
/// # Errors
/// `OutOfRange` for a value beyond the type.
pub(crate) fn write(values: &[Option<Value>], layout: &DataType) -> Result<ArrayRef> {
    fn ints<T: TryFrom<i128>>(values: &[Option<Value>]) -> Result<Vec<Option<T>>> {
        let convert = |value: &Option<Value>| match value {
            None => Ok(None),
            Some(Value::Int(value)) => T::try_from(*value).map(Some).map_err(|_| {
                Error::new(ErrorKind::OutOfRange, "WITH FILL leaves the range of the key's type")
            }),
            Some(Value::Float(_)) => Err(Error::internal("a float among the values to fill in")),
        };
        values.iter().map(convert).collect()
    }
    Ok(match layout {
        layout if layout.is_floating() => {
            let float = |value: &Option<Value>| match value {
                Some(Value::Float(value)) => Some(*value),
                _ => None,
            };
            cast(&Float64Array::from_iter(values.iter().map(float)), layout)?
        }
        DataType::UInt64 => Arc::new(UInt64Array::from(ints::<u64>(values)?)),
        DataType::Decimal128(precision, scale) => Arc::new(
            Decimal128Array::from(ints::<i128>(values)?)
                .with_precision_and_scale(*precision, *scale)?,
        ),
        DataType::Date32 => Arc::new(Date32Array::from(ints::<i32>(values)?)),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => Arc::new(
            TimestampMicrosecondArray::from(ints::<i64>(values)?).with_timezone_opt(zone.clone()),
        ),
        layout => {
            let options = CastOptions { safe: false, ..CastOptions::default() };
            cast_with_options(&Int64Array::from(ints::<i64>(values)?), layout, &options)?
        }
    })
}
