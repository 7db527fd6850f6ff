//! Intervals: months, days and nanoseconds.

use arrow::array::ArrayRef;
use arrow::datatypes::{IntervalMonthDayNano, IntervalMonthDayNanoType};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr};
use hedgerow_parser::Span;
use hedgerow_parser::ast::IntervalUnit;

use super::adapter::Adapter;
use super::arguments::Arguments;
use super::function::{Arg, Function, Returns};
use super::{PlanContext, Typed, registry};
use crate::error::{Error, ErrorKind, Result};
use crate::types::Type;
use crate::types::time::DAY;

macro_rules! interval {
    ($name:literal, $unit:ident, $doc:literal, $example:literal, $result:literal) => {
        Function::scalar($name, &[Arg::Int], Returns::Interval, |args| {
            intervals(args, IntervalUnit::$unit)
        })
        .doc($doc)
        .examples(&[($example, $result)])
    };
}

/// `__intervalLength(interval)`.
const LENGTH: Function =
    Function::scalar("__intervalLength", &[Arg::Interval], Returns::Int, |args| {
        let intervals = args.interval(0);
        Ok(args.ints(|row| {
            let interval = intervals.get(row)?;
            let days = i64::from(interval.months) * 30 + i64::from(interval.days);
            Some((days.saturating_mul(DAY)).saturating_add(interval.nanoseconds / 1000))
        }))
    })
    .doc("The length in microseconds; a month counts as 30 days, a day as 24 hours.");

/// Intervals of one unit each.
pub(super) const FUNCTIONS: &[Function] = &[
    LENGTH,
    interval!(
        "toIntervalSecond",
        Second,
        "So many seconds.",
        "toDateTime('2024-01-01 00:00:00') + toIntervalSecond(90)",
        "2024-01-01 00:01:30"
    ),
    interval!(
        "toIntervalMinute",
        Minute,
        "So many minutes.",
        "toDateTime('2024-01-01 00:00:00') + toIntervalMinute(90)",
        "2024-01-01 01:30:00"
    ),
    interval!(
        "toIntervalHour",
        Hour,
        "So many hours.",
        "toDate('2024-01-01') + toIntervalHour(36)",
        "2024-01-02 12:00:00"
    ),
    interval!(
        "toIntervalDay",
        Day,
        "So many days on the calendar.",
        "toDate('2024-02-28') + toIntervalDay(2)",
        "2024-03-01"
    ),
    interval!(
        "toIntervalWeek",
        Week,
        "So many times seven days.",
        "toDate('2024-01-01') + toIntervalWeek(2)",
        "2024-01-15"
    ),
    interval!(
        "toIntervalMonth",
        Month,
        "So many months; a day that the month lacks becomes its last.",
        "toDate('2024-01-31') + toIntervalMonth(1)",
        "2024-02-29"
    ),
    interval!(
        "toIntervalQuarter",
        Quarter,
        "So many times three months.",
        "toDate('2024-01-31') + toIntervalQuarter(1)",
        "2024-04-30"
    ),
    interval!(
        "toIntervalYear",
        Year,
        "So many years.",
        "toDate('2024-02-29') + toIntervalYear(1)",
        "2025-02-28"
    ),
];

/// How long an interval is, as a number to compare it by.
///
/// # Errors
/// `Internal`, when the function behind it is missing.
pub fn length(interval: Typed) -> Result<Typed> {
    let function = registry().get(LENGTH.name);
    let function = function.ok_or_else(|| Error::internal("no length of intervals"))?;
    let expr = Adapter::udf(function, interval.span).call(vec![interval.expr]);
    Ok(Typed::new(expr, Type::Int64, interval.span))
}

/// `count` units; none when that is more than an interval can hold.
pub fn interval(count: i64, unit: IntervalUnit) -> Option<IntervalMonthDayNano> {
    let months = |factor: i64| {
        let months = i32::try_from(count.checked_mul(factor)?).ok()?;
        Some(IntervalMonthDayNano::new(months, 0, 0))
    };
    let days = |factor: i64| {
        let days = i32::try_from(count.checked_mul(factor)?).ok()?;
        Some(IntervalMonthDayNano::new(0, days, 0))
    };
    let seconds = |factor: i64| {
        let nanos = count.checked_mul(factor)?.checked_mul(1_000_000_000)?;
        Some(IntervalMonthDayNano::new(0, 0, nanos))
    };
    match unit {
        IntervalUnit::Second => seconds(1),
        IntervalUnit::Minute => seconds(60),
        IntervalUnit::Hour => seconds(3600),
        IntervalUnit::Day => days(1),
        IntervalUnit::Week => days(7),
        IntervalUnit::Month => months(1),
        IntervalUnit::Quarter => months(3),
        IntervalUnit::Year => months(12),
    }
}

/// `INTERVAL value UNIT`.
///
/// # Errors
/// As the call of the function it stands for.
pub fn of_unit(
    cx: &dyn PlanContext,
    value: Typed,
    unit: IntervalUnit,
    span: Span,
) -> Result<Typed> {
    let name = match unit {
        IntervalUnit::Second => "toIntervalSecond",
        IntervalUnit::Minute => "toIntervalMinute",
        IntervalUnit::Hour => "toIntervalHour",
        IntervalUnit::Day => "toIntervalDay",
        IntervalUnit::Week => "toIntervalWeek",
        IntervalUnit::Month => "toIntervalMonth",
        IntervalUnit::Quarter => "toIntervalQuarter",
        IntervalUnit::Year => "toIntervalYear",
    };
    super::call(cx, span, name, vec![value])
}

/// The unit of a name: `day`, `days`, `dd`, in any letter case.
///
/// # Errors
/// `InvalidArgument` for another name.
pub fn unit(name: &str) -> Result<IntervalUnit> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "second" | "seconds" | "ss" | "s" => IntervalUnit::Second,
        "minute" | "minutes" | "mi" | "n" => IntervalUnit::Minute,
        "hour" | "hours" | "hh" | "h" => IntervalUnit::Hour,
        "day" | "days" | "dd" | "d" => IntervalUnit::Day,
        "week" | "weeks" | "wk" | "ww" => IntervalUnit::Week,
        "month" | "months" | "mm" | "m" => IntervalUnit::Month,
        "quarter" | "quarters" | "qq" | "q" => IntervalUnit::Quarter,
        "year" | "years" | "yyyy" | "yy" => IntervalUnit::Year,
        _ => {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("no unit of time named '{name}'"),
            )
            .hint("Use second, minute, hour, day, week, month, quarter or year."));
        }
    })
}

/// True when an interval moves a date by less than days, so that the sum is a datetime.
pub(super) fn has_time(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(value)), _) => value.nanoseconds != 0,
        Expr::ScalarFunction(call) => {
            matches!(call.func.name(), "toIntervalSecond" | "toIntervalMinute" | "toIntervalHour")
        }
        Expr::Negative(inner) => has_time(inner),
        Expr::Alias(alias) => has_time(&alias.expr),
        Expr::BinaryExpr(BinaryExpr { left, right, .. }) => has_time(left) || has_time(right),
        _ => true,
    }
}

fn intervals(args: &Arguments<'_>, unit: IntervalUnit) -> Result<ArrayRef> {
    let counts = args.int(0);
    args.try_primitives::<IntervalMonthDayNanoType>(|row| {
        let Some(count) = counts.get(row) else { return Ok(None) };
        let value = interval(count, unit).ok_or_else(|| {
            Error::new(ErrorKind::OutOfRange, format!("interval of {count} is too long"))
        })?;
        Ok(Some(value))
    })
}
