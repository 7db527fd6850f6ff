//! What the kernels over dates and times have in common.

use arrow::array::PrimitiveArray;
use arrow::datatypes::{Date32Type, TimestampMicrosecondType};
use chrono::{Datelike, NaiveDate, NaiveDateTime};
use hedgerow_parser::ast::IntervalUnit;

use crate::error::{Error, ErrorKind, Result};
use crate::functions::Typed;
use crate::functions::arguments::{Arguments, Column};
use crate::functions::intervals;
use crate::types::Type;
use crate::types::time::{self, DAY, Zone};

/// The zone of a datetime argument; UTC for a date.
///
/// # Errors
/// `InvalidArgument` for an unknown zone.
pub fn zone(args: &Arguments<'_>, index: usize) -> Result<Zone> {
    match &args.types[index] {
        Type::DateTime(zone) => Zone::parse(zone),
        _ => Zone::parse("UTC"),
    }
}

/// A date or datetime argument as local time.
pub enum Locals<'a> {
    Dates(Column<&'a PrimitiveArray<Date32Type>>),
    Instants(Column<&'a PrimitiveArray<TimestampMicrosecondType>>, Zone),
}

impl<'a> Locals<'a> {
    /// The argument at an index.
    ///
    /// # Errors
    /// `InvalidArgument` for an unknown zone.
    pub fn new(args: &'a Arguments<'_>, index: usize) -> Result<Self> {
        Ok(match &args.types[index] {
            Type::Date => Self::Dates(args.date(index)),
            _ => Self::Instants(args.datetime(index), zone(args, index)?),
        })
    }

    /// Microseconds since the local epoch.
    pub fn micros(&self, row: usize) -> Option<i64> {
        match self {
            Self::Dates(days) => Some(i64::from(days.get(row)?) * DAY),
            Self::Instants(instants, zone) => Some(zone.to_local(instants.get(row)?)),
        }
    }

    /// Days since the epoch.
    pub fn day(&self, row: usize) -> Option<i32> {
        match self {
            Self::Dates(days) => days.get(row),
            Self::Instants(..) => i32::try_from(self.micros(row)?.div_euclid(DAY)).ok(),
        }
    }

    /// The date on the calendar.
    pub fn date(&self, row: usize) -> Option<NaiveDate> {
        time::date(self.day(row)?)
    }

    /// The date and time on calendar and clock.
    pub fn civil(&self, row: usize) -> Option<NaiveDateTime> {
        time::civil(self.micros(row)?)
    }
}

/// The unit that a constant argument names.
///
/// # Errors
/// `InvalidArgument` when it is no constant, or names no unit.
pub fn constant_unit(unit: &Typed) -> Result<IntervalUnit> {
    let name = unit.as_text().ok_or_else(|| {
        Error::new(ErrorKind::InvalidArgument, "the unit of time must be a constant text")
            .hint("Write it as 'day'.")
    });
    name.and_then(intervals::unit).map_err(|error| error.at(unit.span))
}

/// Months since the beginning of year 0.
pub fn month_number(date: NaiveDate) -> i64 {
    i64::from(date.year()) * 12 + i64::from(date.month0())
}

/// Monday of the week of a day; both as days since the epoch, which was a Thursday.
pub fn monday(day: i32) -> i32 {
    day - (day + 3).rem_euclid(7)
}

/// Sunday on or before a day.
pub fn sunday(day: i32) -> i32 {
    day - (day + 4).rem_euclid(7)
}
