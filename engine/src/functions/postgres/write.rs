//! `to_char` of times and intervals.

use std::fmt::Write as _;

use arrow::array::ArrayRef;
use arrow::datatypes::IntervalMonthDayNano;
use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike};

use super::template::{Case, Field, FieldPiece, Piece, parse};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::arguments::Arguments;
use crate::functions::dates::calendar::{Locals, zone};
use crate::functions::dates::parts::{MONTHS, WEEKDAYS};
use crate::types::time::{self, Zone};

/// Julian day number of 1970-01-01.
pub(super) const JULIAN_EPOCH: i64 = 2_440_588;

const ROMAN: [&str; 12] =
    ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];

/// What is shown: a time on calendar and clock with its zone, or an interval, which has no names.
struct Shown<'a> {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
    time: Option<(NaiveDate, &'a Zone, i64)>,
}

/// The kernel for times.
pub(super) fn time_to_char(args: &Arguments<'_>) -> Result<ArrayRef> {
    let (locals, zone, instants) = (Locals::new(args, 0)?, zone(args, 0)?, args.datetime(0));
    rows(args, |row| {
        let (Some(instant), Some(local)) = (instants.get(row), locals.civil(row)) else {
            return None;
        };
        Some(Shown::of_time(local, &zone, instant))
    })
}

/// The kernel for intervals.
pub(super) fn interval_to_char(args: &Arguments<'_>) -> Result<ArrayRef> {
    let intervals = args.interval(0);
    rows(args, |row| intervals.get(row).map(Shown::of_interval))
}

fn rows<'a>(args: &Arguments<'_>, shown: impl Fn(usize) -> Option<Shown<'a>>) -> Result<ArrayRef> {
    let templates = args.text(1);
    let constant = templates.constant().map(parse).transpose()?;
    args.texts(|row, out| {
        let (Some(shown), Some(template)) = (shown(row), templates.get(row)) else {
            return Ok(None);
        };
        if template.is_empty() {
            return Ok(None);
        }
        match &constant {
            Some(pieces) => shown.write(pieces, out)?,
            None => shown.write(&parse(template)?, out)?,
        }
        Ok(Some(()))
    })
}

impl<'a> Shown<'a> {
    fn of_time(local: NaiveDateTime, zone: &'a Zone, instant: i64) -> Self {
        Self {
            year: local.year().into(),
            month: local.month().into(),
            day: local.day().into(),
            hour: local.hour().into(),
            minute: local.minute().into(),
            second: local.second().into(),
            micros: (local.nanosecond() / 1000).into(),
            time: Some((local.date(), zone, instant)),
        }
    }

    fn of_interval(interval: IntervalMonthDayNano) -> Self {
        let micros = interval.nanoseconds / 1000;
        let seconds = micros / 1_000_000;
        Self {
            year: (interval.months / 12).into(),
            month: (interval.months % 12).into(),
            day: interval.days.into(),
            hour: seconds / 3600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            micros: micros % 1_000_000,
            time: None,
        }
    }

    fn write(&self, pieces: &[Piece], out: &mut String) -> Result<()> {
        for piece in pieces {
            match piece {
                Piece::Character(character) => out.push(*character),
                Piece::Quoted(text) => out.push_str(text),
                Piece::Field(piece) => self.write_field(*piece, out)?,
            }
        }
        Ok(())
    }

    fn date(&self) -> Result<NaiveDate> {
        self.time.map(|(date, ..)| date).ok_or_else(|| {
            let message = "an interval has no date, which the template asks for";
            Error::new(ErrorKind::InvalidDateTime, message)
        })
    }

    fn write_field(&self, piece: FieldPiece, out: &mut String) -> Result<()> {
        if !piece.field.is_number() {
            return self.write_word(piece, out);
        }
        let (number, digits) = match piece.field {
            Field::Fraction(digits) => {
                let value = self.micros / 10_i64.pow(6 - u32::from(digits));
                (value, digits.into())
            }
            Field::YearComma => {
                let (thousands, rest) = (self.year / 1000, self.year % 1000);
                let _ = write!(out, "{thousands},{rest:03}");
                return Ok(());
            }
            Field::Year(digits) => last_digits(self.year, digits),
            Field::IsoYear(digits) => last_digits(self.date()?.iso_week().year().into(), digits),
            Field::Century => ((self.year + 99).div_euclid(100), 2),
            Field::Month => (self.month, 2),
            Field::DayOfMonth => (self.day, 2),
            Field::Hour24 => (self.hour, 2),
            Field::Hour12 => (if self.hour % 12 == 0 { 12 } else { self.hour % 12 }, 2),
            Field::Minute => (self.minute, 2),
            Field::Second => (self.second, 2),
            Field::SecondOfDay => (self.hour * 3600 + self.minute * 60 + self.second, 0),
            Field::DayOfYear => (self.date()?.ordinal().into(), 3),
            Field::DayOfWeek => (i64::from(self.date()?.weekday().num_days_from_sunday()) + 1, 1),
            Field::IsoDay => (self.date()?.weekday().number_from_monday().into(), 1),
            Field::IsoWeek => (self.date()?.iso_week().week().into(), 2),
            Field::IsoDayOfYear => {
                let (date, week) = (self.date()?, self.date()?.iso_week().week());
                let day = (week - 1) * 7 + date.weekday().number_from_monday();
                (day.into(), 3)
            }
            Field::Julian => (i64::from(time::days(self.date()?)) + JULIAN_EPOCH, 0),
            Field::Quarter => ((self.date()?.month0() / 3 + 1).into(), 1),
            Field::WeekOfYear => ((self.date()?.ordinal0() / 7 + 1).into(), 2),
            Field::WeekOfMonth => ((self.date()?.day0() / 7 + 1).into(), 1),
            _ => return Err(Error::internal("a word among the numbers of a template")),
        };
        let fraction = matches!(piece.field, Field::Fraction(_));
        let digits = if piece.fill && !fraction { 0 } else { digits };
        let sign = if number < 0 { "-" } else { "" };
        let magnitude = number.unsigned_abs();
        let _ = write!(out, "{sign}{magnitude:0digits$}");
        if let Some(case) = piece.ordinal {
            cased(ordinal(magnitude), case, 0, out);
        }
        Ok(())
    }

    fn write_word(&self, piece: FieldPiece, out: &mut String) -> Result<()> {
        match piece.field {
            Field::Era { dots } => {
                let era = if self.year > 0 { ["AD", "A.D."] } else { ["BC", "B.C."] };
                cased(era[usize::from(dots)], piece.case, 0, out);
            }
            Field::Half { dots } => {
                let half = if self.hour % 24 < 12 { ["AM", "A.M."] } else { ["PM", "P.M."] };
                cased(half[usize::from(dots)], piece.case, 0, out);
            }
            Field::DayName | Field::DayAbbreviated => {
                let name = WEEKDAYS[self.date()?.weekday().num_days_from_monday() as usize];
                name_of(name, piece, piece.field == Field::DayAbbreviated, out);
            }
            Field::MonthName | Field::MonthAbbreviated => {
                let name = MONTHS[self.date()?.month0() as usize];
                name_of(name, piece, piece.field == Field::MonthAbbreviated, out);
            }
            Field::MonthRoman => {
                let width = if piece.fill { 0 } else { 4 };
                cased(ROMAN[self.date()?.month0() as usize], piece.case, width, out);
            }
            _ => return self.write_zone(piece, out),
        }
        Ok(())
    }

    fn write_zone(&self, piece: FieldPiece, out: &mut String) -> Result<()> {
        let Some((_, zone, instant)) = self.time else {
            self.date()?;
            return Ok(());
        };
        let seconds = zone.offset(instant);
        let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.abs() / 60);
        let _ = match piece.field {
            Field::ZoneName => {
                cased(&zone.abbreviation(instant), piece.case, 0, out);
                Ok(())
            }
            Field::OffsetHour => write!(out, "{sign}{:02}", minutes / 60),
            Field::OffsetMinute => write!(out, "{:02}", minutes % 60),
            _ if minutes % 60 == 0 => write!(out, "{sign}{:02}", minutes / 60),
            _ => write!(out, "{sign}{:02}:{:02}", minutes / 60, minutes % 60),
        };
        Ok(())
    }
}

/// The last digits of a year; all of it for four.
fn last_digits(year: i64, digits: u8) -> (i64, usize) {
    let shown = if digits == 4 { year } else { year.rem_euclid(10_i64.pow(digits.into())) };
    (shown, digits.into())
}

/// A name, padded to the longest of its kind unless abbreviated.
fn name_of(name: &str, piece: FieldPiece, abbreviated: bool, out: &mut String) {
    match (abbreviated, piece.fill) {
        (true, _) => cased(&name[..3], piece.case, 0, out),
        (false, true) => cased(name, piece.case, 0, out),
        (false, false) => cased(name, piece.case, 9, out),
    }
}

fn cased(text: &str, case: Case, width: usize, out: &mut String) {
    let text = match case {
        Case::Upper => text.to_ascii_uppercase(),
        Case::Lower => text.to_ascii_lowercase(),
        Case::Capital => text.to_owned(),
    };
    let _ = write!(out, "{text:width$}");
}

fn ordinal(number: u64) -> &'static str {
    match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    }
}
