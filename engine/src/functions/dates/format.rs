//! Dates and times by format: `%Y-%m-%d`.

use std::fmt::Write as _;

use arrow::array::ArrayRef;
use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use hedgerow_parser::Span;

use super::calendar::{self, Locals};
use super::parts::{MONTHS, WEEKDAYS, quarter};
use super::zone_argument;
use crate::error::{Error, ErrorKind, Result};
use crate::functions::arguments::Arguments;
use crate::functions::coerce::coerce;
use crate::functions::function::{Arg, Argument, Function, Nulls, Returns};
use crate::functions::{PlanContext, Typed};
use crate::types::Type;
use crate::types::time::{self, SECOND, Zone};

/// Writing and reading by format.
pub(in crate::functions) const FUNCTIONS: &[Function] = &[
    Function::scalar(
        "formatDateTime",
        &[Arg::DateTime, Arg::Text, Arg::Text],
        Returns::Text,
        format_datetime,
    )
    .aliases(&["to_char", "DATE_FORMAT"])
    .prepare(show_in_zone)
    .optional(1)
    .doc("Writes a time by a format of MySQL's codes, such as `%Y-%m-%d %H:%i:%S`.")
    .examples(&[
        (
            "formatDateTime(toDateTime('2024-03-05 07:08:09'), '%Y-%m-%d %H:%i:%S')",
            "2024-03-05 07:08:09",
        ),
        ("formatDateTime(toDateTime('2024-03-05 07:08:09'), '%W, %M %e')", "Tuesday, March 5"),
    ]),
    Function::scalar(
        "parseDateTime",
        &[Arg::Text, Arg::Text, Arg::Text],
        Returns::Derived(zone_of_third),
        parse_datetime,
    )
    .aliases(&["parseDateTimeOrNull"])
    .prepare(project_zone)
    .optional(1)
    .nulls(Nulls::Introduce)
    .doc("Reads a time by a format of MySQL's codes; NULL where the text does not fit.")
    .examples(&[
        ("parseDateTime('2024/03/05 07-08', '%Y/%m/%d %H-%i')", "2024-03-05 07:08:00"),
        ("parseDateTime('x', '%Y')", "NULL"),
    ]),
];

fn show_in_zone(cx: &dyn PlanContext, _: Span, args: &mut Vec<Typed>) -> Result<()> {
    if args.len() == 3 {
        let zone = zone_argument(cx, args.pop().as_ref())?;
        let value = args.remove(0);
        args.insert(0, coerce(value, &Type::DateTime(zone.name().into()), zone.name())?);
    }
    Ok(())
}

fn project_zone(cx: &dyn PlanContext, span: Span, args: &mut Vec<Typed>) -> Result<()> {
    let zone = zone_argument(cx, args.get(2))?;
    args.truncate(2);
    args.push(Typed::text(zone.name(), span));
    Ok(())
}

fn zone_of_third(args: &[Argument<'_>]) -> Result<Type> {
    let zone = args.get(2).and_then(|zone| zone.constant?.try_as_str().flatten());
    let zone = zone.ok_or_else(|| Error::internal("the time zone was not completed"))?;
    Ok(Type::DateTime(zone.into()))
}

/// A piece of a format.
#[derive(Debug, Clone, Copy)]
enum Piece<'a> {
    Text(&'a str),
    Code(char),
}

fn pieces(format: &str) -> Result<Vec<Piece<'_>>> {
    let mut pieces = Vec::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        if at > 0 {
            pieces.push(Piece::Text(&rest[..at]));
        }
        let Some(code) = rest[at + 1..].chars().next() else {
            return Err(unknown_code("%"));
        };
        pieces.push(Piece::Code(code));
        rest = &rest[at + 1 + code.len_utf8()..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

fn unknown_code(code: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("'{code}' is no code of a time format"))
        .hint("The codes are MySQL's, such as %Y, %m, %d, %H, %i and %S.")
}

fn format_datetime(args: &Arguments<'_>) -> Result<ArrayRef> {
    let (locals, formats, zone) = (Locals::new(args, 0)?, args.text(1), calendar::zone(args, 0)?);
    let constant = formats.constant().map(pieces).transpose()?;
    let instants = args.datetime(0);
    args.texts(|row, out| {
        let (Some(instant), Some(local), Some(format)) =
            (instants.get(row), locals.civil(row), formats.get(row))
        else {
            return Ok(None);
        };
        let parsed;
        let pieces = match &constant {
            Some(pieces) => pieces,
            None => {
                parsed = pieces(format)?;
                &parsed
            }
        };
        for piece in pieces {
            match *piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Code(code) => write_code(code, local, zone.offset(instant), out)?,
            }
        }
        Ok(Some(()))
    })
}

fn write_code(code: char, t: NaiveDateTime, offset: i64, out: &mut String) -> Result<()> {
    let week = t.iso_week();
    let (pm, hour12) = t.hour12();
    let half = if pm { "PM" } else { "AM" };
    let weekday = t.weekday();
    let written = match code {
        'a' => write!(out, "{}", &WEEKDAYS[weekday.num_days_from_monday() as usize][..3]),
        'b' => write!(out, "{}", &MONTHS[t.month0() as usize][..3]),
        'c' | 'm' => write!(out, "{:02}", t.month()),
        'C' => write!(out, "{:02}", t.year().div_euclid(100)),
        'd' => write!(out, "{:02}", t.day()),
        'D' => write!(out, "{:02}/{:02}/{:02}", t.month(), t.day(), t.year().rem_euclid(100)),
        'e' => write!(out, "{}", t.day()),
        'F' => write!(out, "{:04}-{:02}-{:02}", t.year(), t.month(), t.day()),
        'f' => write!(out, "{:06}", t.nanosecond() / 1000),
        'G' => write!(out, "{:04}", week.year()),
        'g' => write!(out, "{:02}", week.year().rem_euclid(100)),
        'h' | 'I' | 'l' => write!(out, "{hour12:02}"),
        'H' | 'k' => write!(out, "{:02}", t.hour()),
        'i' => write!(out, "{:02}", t.minute()),
        'j' => write!(out, "{:03}", t.ordinal()),
        'M' => write!(out, "{}", MONTHS[t.month0() as usize]),
        'n' => writeln!(out),
        'p' => write!(out, "{half}"),
        'Q' => write!(out, "{}", quarter(t.date())),
        'r' => write!(out, "{hour12:02}:{:02} {half}", t.minute()),
        'R' => write!(out, "{:02}:{:02}", t.hour(), t.minute()),
        's' | 'S' => write!(out, "{:02}", t.second()),
        't' => write!(out, "\t"),
        'T' => write!(out, "{:02}:{:02}:{:02}", t.hour(), t.minute(), t.second()),
        'u' => write!(out, "{}", weekday.number_from_monday()),
        'V' => write!(out, "{:02}", week.week()),
        'w' => write!(out, "{}", weekday.num_days_from_sunday()),
        'W' => write!(out, "{}", WEEKDAYS[weekday.num_days_from_monday() as usize]),
        'y' => write!(out, "{:02}", t.year().rem_euclid(100)),
        'Y' => write!(out, "{:04}", t.year()),
        'z' => {
            let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.abs() / 60);
            write!(out, "{sign}{:02}{:02}", minutes / 60, minutes % 60)
        }
        '%' => write!(out, "%"),
        other => return Err(unknown_code(&format!("%{other}"))),
    };
    written.map_err(|_| Error::internal("writing to a string cannot fail"))
}

fn parse_datetime(args: &Arguments<'_>) -> Result<ArrayRef> {
    let (texts, formats) = (args.text(0), args.text(1));
    let zone = match args.returns {
        Type::DateTime(zone) => Zone::parse(zone)?,
        _ => return Err(Error::internal("parseDateTime gives a datetime")),
    };
    let constant = formats.constant().map(pieces).transpose()?;
    args.datetimes(|row| {
        let (Some(text), Some(format)) = (texts.get(row), formats.get(row)) else {
            return Ok(None);
        };
        let parsed = match &constant {
            Some(pieces) => read(pieces, text)?,
            None => read(&pieces(format)?, text)?,
        };
        Ok(parsed.map(|(local, offset)| match offset {
            Some(seconds) => local - seconds * SECOND,
            None => zone.to_instant(local),
        }))
    })
}

/// What has been read so far; what the format leaves out is the beginning of 1970.
struct Fields {
    year: i32,
    month: u32,
    day: u32,
    ordinal: Option<u32>,
    hour: u32,
    minute: u32,
    second: u32,
    micros: u32,
    pm: Option<bool>,
    offset: Option<i64>,
}

/// Local microseconds and the offset, if the text has one; none when the text does not fit.
fn read(pieces: &[Piece<'_>], text: &str) -> Result<Option<(i64, Option<i64>)>> {
    let mut fields = Fields {
        year: 1970,
        month: 1,
        day: 1,
        ordinal: None,
        hour: 0,
        minute: 0,
        second: 0,
        micros: 0,
        pm: None,
        offset: None,
    };
    let mut rest = text;
    for piece in pieces {
        let after = match *piece {
            Piece::Text(expected) => rest.strip_prefix(expected),
            Piece::Code(code) => fields.read(code, rest)?,
        };
        match after {
            Some(after) => rest = after,
            None => return Ok(None),
        }
    }
    Ok(if rest.is_empty() { fields.finish() } else { None })
}

impl Fields {
    /// Reads one code; gives what follows.
    fn read<'t>(&mut self, code: char, text: &'t str) -> Result<Option<&'t str>> {
        Ok(match code {
            'Y' | 'G' => number(text, 4).map(|(year, rest)| {
                self.year = year as i32;
                rest
            }),
            'y' => number(text, 2).map(|(year, rest)| {
                self.year = year as i32 + if year >= 70 { 1900 } else { 2000 };
                rest
            }),
            'm' | 'c' => set(&mut self.month, text, 2),
            'd' | 'e' => set(&mut self.day, text.trim_start(), 2),
            'j' => number(text, 3).map(|(day, rest)| {
                self.ordinal = Some(day);
                rest
            }),
            'H' | 'k' => set(&mut self.hour, text, 2),
            'h' | 'I' | 'l' => {
                self.pm.get_or_insert(false);
                set(&mut self.hour, text, 2)
            }
            'i' => set(&mut self.minute, text, 2),
            's' | 'S' => set(&mut self.second, text, 2),
            'f' => {
                let length = text.bytes().take_while(u8::is_ascii_digit).count().min(6);
                number(text, 6).map(|(digits, rest)| {
                    self.micros = digits * 10_u32.pow(6 - length as u32);
                    rest
                })
            }
            'p' => self.half(text),
            'M' => name(text, &MONTHS, None).map(|(month, rest)| {
                self.month = month + 1;
                rest
            }),
            'b' => name(text, &MONTHS, Some(3)).map(|(month, rest)| {
                self.month = month + 1;
                rest
            }),
            'W' => name(text, &WEEKDAYS, None).map(|(_, rest)| rest),
            'a' => name(text, &WEEKDAYS, Some(3)).map(|(_, rest)| rest),
            'z' => self.offset(text),
            'F' => self.all(&['Y', 'm', 'd'], '-', text)?,
            'T' => self.all(&['H', 'i', 's'], ':', text)?,
            'R' => self.all(&['H', 'i'], ':', text)?,
            'D' => self.all(&['m', 'd', 'y'], '/', text)?,
            'n' => text.strip_prefix('\n'),
            't' => text.strip_prefix('\t'),
            '%' => text.strip_prefix('%'),
            other => return Err(unknown_code(&format!("%{other}"))),
        })
    }

    fn all<'t>(
        &mut self,
        codes: &[char],
        separator: char,
        text: &'t str,
    ) -> Result<Option<&'t str>> {
        let mut rest = Some(text);
        for (i, code) in codes.iter().enumerate() {
            let next =
                if i == 0 { rest } else { rest.and_then(|rest| rest.strip_prefix(separator)) };
            rest = match next {
                Some(next) => self.read(*code, next)?,
                None => return Ok(None),
            };
        }
        Ok(rest)
    }

    fn half<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        let (half, rest) = text.split_at_checked(2)?;
        self.pm = Some(match half.to_ascii_uppercase().as_str() {
            "AM" => false,
            "PM" => true,
            _ => return None,
        });
        Some(rest)
    }

    fn offset<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        let (sign, digits) = match text.as_bytes().first()? {
            b'+' => (1, &text[1..]),
            b'-' => (-1, &text[1..]),
            _ => return None,
        };
        let (hours, rest) = number(digits, 2)?;
        let (minutes, rest) = number(rest.strip_prefix(':').unwrap_or(rest), 2)?;
        self.offset = Some(sign * i64::from(hours * 3600 + minutes * 60));
        Some(rest)
    }

    fn finish(self) -> Option<(i64, Option<i64>)> {
        let date = match self.ordinal {
            Some(day) => NaiveDate::from_yo_opt(self.year, day)?,
            None => NaiveDate::from_ymd_opt(self.year, self.month, self.day)?,
        };
        let hour = match self.pm {
            Some(_) if !(1..=12).contains(&self.hour) => return None,
            Some(pm) => self.hour % 12 + if pm { 12 } else { 0 },
            None => self.hour,
        };
        let time = NaiveTime::from_hms_micro_opt(hour, self.minute, self.second, self.micros)?;
        Some((time::local(date.and_time(time)), self.offset))
    }
}

fn number(text: &str, digits_max: usize) -> Option<(u32, &str)> {
    let length = text.bytes().take(digits_max).take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at(length);
    Some((digits.parse().ok()?, rest))
}

fn set<'t>(field: &mut u32, text: &'t str, digits_max: usize) -> Option<&'t str> {
    let (value, rest) = number(text, digits_max)?;
    *field = value;
    Some(rest)
}

/// One of several names, or of their first letters.
fn name<'t>(text: &'t str, names: &[&str], letters: Option<usize>) -> Option<(u32, &'t str)> {
    names.iter().enumerate().find_map(|(i, name)| {
        let name = letters.map_or(*name, |letters| &name[..letters]);
        let (head, rest) = text.split_at_checked(name.len())?;
        head.eq_ignore_ascii_case(name).then_some((i as u32, rest))
    })
}
