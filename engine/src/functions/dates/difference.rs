//! Time between two dates or times.

use arrow::array::ArrayRef;
use hedgerow_parser::Span;
use hedgerow_parser::ast::IntervalUnit;

use super::calendar::{Locals, constant_unit, month_number};
use super::zone_argument;
use crate::error::{Error, Result};
use crate::functions::arguments::Arguments;
use crate::functions::coerce::{coerce, common};
use crate::functions::function::{Arg, Function, Returns};
use crate::functions::{PlanContext, Typed, intervals};
use crate::types::Type;
use crate::types::time::{self, DAY, SECOND};

/// Differences.
pub(in crate::functions) const FUNCTIONS: &[Function] = &[
    Function::scalar(
        "dateDiff",
        &[Arg::Text, Arg::Any, Arg::Any, Arg::Text],
        Returns::Int,
        date_diff,
    )
    .aliases(&["date_diff", "timestampDiff", "timestamp_diff"])
    .prepare(same_calendar)
    .optional(1)
    .doc("How many boundaries of the unit lie between two times; weeks begin on Monday.")
    .examples(&[
        ("dateDiff('month', toDate('2024-01-31'), toDate('2024-02-01'))", "1"),
        (
            "dateDiff('day', toDateTime('2024-01-01 23:00:00'), toDateTime('2024-01-02 01:00:00'))",
            "1",
        ),
    ]),
    Function::scalar("age", &[Arg::Text, Arg::Any, Arg::Any, Arg::Text], Returns::Int, age)
        .prepare(same_calendar)
        .optional(1)
        .doc("How many complete units lie between two times.")
        .examples(&[
            ("age('month', toDate('2024-01-31'), toDate('2024-02-29'))", "0"),
            ("age('week', toDate('2024-01-01'), toDate('2024-01-16'))", "2"),
        ]),
];

/// Checks the unit, reads text constants as times, and brings both to one calendar.
fn same_calendar(cx: &dyn PlanContext, _: Span, args: &mut Vec<Typed>) -> Result<()> {
    let zone = (args.len() == 4).then(|| args.pop());
    let mut rest = args.drain(..);
    let (Some(unit), Some(from), Some(to)) = (rest.next(), rest.next(), rest.next()) else {
        return Err(Error::internal("arguments were not counted"));
    };
    drop(rest);
    constant_unit(&unit)?;
    let instant = |value: Typed| match (&zone, &value.ty) {
        (Some(zone), _) => {
            let zone = zone_argument(cx, zone.as_ref())?;
            coerce(value, &Type::DateTime(zone.name().into()), zone.name())
        }
        (None, Type::Date | Type::DateTime(_)) => Ok(value),
        (None, _) => cx.coerce(value, &Type::DateTime(cx.timezone().into())),
    };
    let (mut both, _) = common(vec![instant(from)?, instant(to)?], cx.timezone())?;
    args.push(unit);
    args.append(&mut both);
    Ok(())
}

fn constant_of(args: &Arguments<'_>) -> Result<IntervalUnit> {
    let unit = args.text(0).constant();
    intervals::unit(unit.ok_or_else(|| Error::internal("the unit was not checked"))?)
}

fn date_diff(args: &Arguments<'_>) -> Result<ArrayRef> {
    let unit = constant_of(args)?;
    let (from, to) = (Counter::new(args, 1)?, Counter::new(args, 2)?);
    Ok(args.ints(|row| Some(to.count(unit, row)? - from.count(unit, row)?)))
}

/// Numbers the units of time.
struct Counter<'a> {
    locals: Locals<'a>,
}

impl<'a> Counter<'a> {
    fn new(args: &'a Arguments<'_>, index: usize) -> Result<Self> {
        Ok(Self { locals: Locals::new(args, index)? })
    }

    fn count(&self, unit: IntervalUnit, row: usize) -> Option<i64> {
        Some(match unit {
            IntervalUnit::Second => self.clock(row)?.div_euclid(SECOND),
            IntervalUnit::Minute => self.clock(row)?.div_euclid(60 * SECOND),
            IntervalUnit::Hour => self.clock(row)?.div_euclid(3600 * SECOND),
            IntervalUnit::Day => self.locals.day(row)?.into(),
            IntervalUnit::Week => (i64::from(self.locals.day(row)?) + 3).div_euclid(7),
            IntervalUnit::Month => month_number(self.locals.date(row)?),
            IntervalUnit::Quarter => month_number(self.locals.date(row)?).div_euclid(3),
            IntervalUnit::Year => month_number(self.locals.date(row)?).div_euclid(12),
        })
    }

    /// The instant, moved so that hours of the zone begin at full hours.
    fn clock(&self, row: usize) -> Option<i64> {
        match &self.locals {
            Locals::Dates(_) => self.locals.micros(row),
            Locals::Instants(instants, zone) => {
                let instant = instants.get(row)?;
                Some(instant + zone.offset(instant).rem_euclid(3600) * SECOND)
            }
        }
    }
}

fn age(args: &Arguments<'_>) -> Result<ArrayRef> {
    let unit = constant_of(args)?;
    let (from, to) = (Counter::new(args, 1)?, Counter::new(args, 2)?);
    Ok(args.ints(|row| {
        let clock = [from.clock(row)?, to.clock(row)?];
        let local = [from.locals.micros(row)?, to.locals.micros(row)?];
        Some(if clock[0] <= clock[1] {
            complete(unit, clock, local)?
        } else {
            -complete(unit, [clock[1], clock[0]], [local[1], local[0]])?
        })
    }))
}

/// Complete units between ordered times.
fn complete(unit: IntervalUnit, clock: [i64; 2], local: [i64; 2]) -> Option<i64> {
    let elapsed = |length: i64, times: [i64; 2]| (times[1] - times[0]) / length;
    let months = || {
        let [from, to] = [time::civil(local[0])?, time::civil(local[1])?];
        let months = month_number(to.date()) - month_number(from.date());
        use chrono::Datelike;
        let incomplete = (to.day(), to.time()) < (from.day(), from.time());
        Some(months - i64::from(incomplete))
    };
    Some(match unit {
        IntervalUnit::Second => elapsed(SECOND, clock),
        IntervalUnit::Minute => elapsed(60 * SECOND, clock),
        IntervalUnit::Hour => elapsed(3600 * SECOND, clock),
        IntervalUnit::Day => elapsed(DAY, local),
        IntervalUnit::Week => elapsed(7 * DAY, local),
        IntervalUnit::Month => months()?,
        IntervalUnit::Quarter => months()? / 3,
        IntervalUnit::Year => months()? / 12,
    })
}
