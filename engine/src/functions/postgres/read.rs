//! `to_timestamp` and `to_date` of texts by a template.

use chrono::{Duration, NaiveDate, NaiveTime, Weekday};

use super::template::{Field, FieldPiece, Piece};
use super::write::JULIAN_EPOCH;
use crate::error::{Error, ErrorKind, Result};
use crate::functions::dates::parts::{MONTHS, WEEKDAYS};
use crate::types::time;

/// What has been read of a time.
#[derive(Default)]
struct Read {
    year: Option<i64>,
    month: Option<u32>,
    day: Option<u32>,
    ordinal: Option<u32>,
    iso_year: Option<i64>,
    iso_week: Option<u32>,
    iso_day: Option<u32>,
    week_of_year: Option<u32>,
    julian: Option<i64>,
    hour: u32,
    is_half: bool,
    pm: Option<bool>,
    minute: u32,
    second: u32,
    micros: u32,
    offset_hours: Option<i64>,
    offset_minutes: i64,
}

/// A local date and time, and the offset from UTC in seconds if the text has one.
pub(super) struct ReadTime {
    pub(super) date: NaiveDate,
    pub(super) time: NaiveTime,
    pub(super) offset: Option<i64>,
}

/// Reads `text`. What the text leaves out begins its year, month or day; what it has beyond the
/// template is not read, as in PostgreSQL.
///
/// # Errors
/// `InvalidDateTime` for text that does not fit, or for no date on the calendar.
pub(super) fn read(pieces: &[Piece], text: &str) -> Result<ReadTime> {
    let mut fields = Read::default();
    let mut rest = text.trim_start();
    for (at, piece) in pieces.iter().enumerate() {
        if rest.is_empty() {
            break;
        }
        match piece {
            Piece::Character(c) if is_separator(*c) => {
                // One separator for another, or for none.
                let next = rest.chars().next();
                if let Some(next) = next.filter(|next| is_separator(*next)) {
                    rest = &rest[next.len_utf8()..];
                }
            }
            Piece::Character(_) => rest = skip(rest, 1),
            Piece::Quoted(text) => rest = skip(rest, text.chars().count()),
            Piece::Field(piece) => {
                let ends = ends_by_itself(pieces.get(at + 1)) || piece.fill;
                rest = fields.read(*piece, ends, rest.trim_start())?;
            }
        }
    }
    fields.finish(text)
}

fn is_separator(c: char) -> bool {
    c.is_ascii() && !c.is_ascii_alphanumeric()
}

fn skip(text: &str, characters: usize) -> &str {
    text.char_indices().nth(characters).map_or("", |(at, _)| &text[at..])
}

/// True when a number before this piece may have any number of digits.
fn ends_by_itself(next: Option<&Piece>) -> bool {
    match next {
        None | Some(Piece::Quoted(_)) => true,
        Some(Piece::Character(c)) => !c.is_ascii_digit(),
        Some(Piece::Field(piece)) => !piece.field.is_number(),
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidDateTime, message)
}

impl Read {
    /// Reads one field; gives what follows.
    fn read<'t>(&mut self, piece: FieldPiece, ends: bool, text: &'t str) -> Result<&'t str> {
        let named = |names: &[&str], letters: usize| -> Result<(u32, &'t str)> {
            let found = names.iter().enumerate().find_map(|(at, name)| {
                let name = &name[..letters.min(name.len())];
                let (head, rest) = text.split_at_checked(name.len())?;
                head.eq_ignore_ascii_case(name).then_some((at as u32, rest))
            });
            found.ok_or_else(|| {
                let word: String = text.chars().take_while(|c| c.is_alphanumeric()).collect();
                invalid(format!("'{word}' is no name of a month or day"))
            })
        };
        let digits_max = match piece.field {
            Field::Year(digits) | Field::IsoYear(digits) | Field::Fraction(digits) => digits.into(),
            Field::DayOfYear | Field::IsoDayOfYear => 3,
            Field::Quarter | Field::DayOfWeek | Field::IsoDay | Field::WeekOfMonth => 1,
            Field::Julian => 7,
            Field::SecondOfDay => 5,
            _ => 2,
        };
        if !piece.field.is_number() {
            return Ok(match piece.field {
                Field::MonthName => {
                    let (month, rest) = named(&MONTHS, usize::MAX)?;
                    self.month = Some(month + 1);
                    rest
                }
                Field::MonthAbbreviated => {
                    let (month, rest) = named(&MONTHS, 3)?;
                    self.month = Some(month + 1);
                    rest
                }
                Field::DayName => named(&WEEKDAYS, usize::MAX)?.1,
                Field::DayAbbreviated => named(&WEEKDAYS, 3)?.1,
                Field::Half { dots } => {
                    let halves = if dots { ["A.M.", "P.M."] } else { ["AM", "PM"] };
                    let (half, rest) = named(&halves, usize::MAX)?;
                    self.pm = Some(half == 1);
                    rest
                }
                Field::Era { dots } => named(&[if dots { "A.D." } else { "AD" }], usize::MAX)?.1,
                Field::OffsetHour => self.offset_hour(text)?,
                Field::OffsetMinute => {
                    let (minutes, rest) = number(text, 2)?;
                    self.offset_minutes = minutes;
                    rest
                }
                _ => {
                    let message = "this word of the template can be written, but not read";
                    return Err(Error::unsupported(message).hint("Use TZH:TZM for offsets."));
                }
            });
        }
        if piece.field == Field::YearComma {
            let (thousands, rest) = number(text, 3)?;
            let rest = rest.strip_prefix(',').ok_or_else(|| invalid("a comma is missing"))?;
            let (ones, rest) = number(rest, 3)?;
            self.year = Some(thousands * 1000 + ones);
            return Ok(rest);
        }
        let fraction = matches!(piece.field, Field::Fraction(_));
        let (value, rest) = if ends && !fraction {
            number(text, 9)?
        } else {
            let (value, rest) = number(text, digits_max)?;
            let found = text.len() - rest.len();
            if found < digits_max && !ends {
                return Err(invalid(format!("'{text}' has too few digits for the template")));
            }
            (value, rest)
        };
        let small = u32::try_from(value).unwrap_or(u32::MAX);
        match piece.field {
            Field::Year(digits) => self.year = Some(whole_year(value, digits)),
            Field::IsoYear(digits) => self.iso_year = Some(whole_year(value, digits)),
            Field::Month => self.month = Some(small),
            Field::DayOfMonth => self.day = Some(small),
            Field::DayOfYear => self.ordinal = Some(small),
            Field::IsoWeek => self.iso_week = Some(small),
            Field::IsoDay => self.iso_day = Some(small),
            Field::WeekOfYear => self.week_of_year = Some(small),
            Field::Julian => self.julian = Some(value),
            Field::Hour24 => self.hour = small,
            Field::Hour12 => {
                self.hour = small;
                self.is_half = true;
            }
            Field::Minute => self.minute = small,
            Field::Second => self.second = small,
            Field::SecondOfDay => {
                (self.hour, self.minute, self.second) = (small / 3600, small / 60 % 60, small % 60);
            }
            Field::Fraction(_) => {
                let found = (text.len() - rest.len()) as u32;
                self.micros = small.saturating_mul(10_u32.pow(6_u32.saturating_sub(found)));
            }
            // PostgreSQL does not use these either.
            Field::Quarter | Field::DayOfWeek => {}
            _ => {
                let message = "this word of the template can be written, but not read";
                return Err(Error::unsupported(message));
            }
        }
        Ok(rest)
    }

    fn offset_hour<'t>(&mut self, text: &'t str) -> Result<&'t str> {
        let (sign, digits) = match text.as_bytes().first() {
            Some(b'-') => (-1, &text[1..]),
            Some(b'+') => (1, &text[1..]),
            _ => (1, text),
        };
        let (hours, rest) = number(digits, 2)?;
        // The sign holds for the minutes, too.
        self.offset_hours = Some(sign * hours);
        Ok(rest)
    }

    fn finish(self, text: &str) -> Result<ReadTime> {
        let out_of_range = || invalid(format!("'{text}' is no date and time on the calendar"));
        let hour = match (self.is_half, self.pm) {
            (true, _) if !(1..=12).contains(&self.hour) => return Err(out_of_range()),
            (_, Some(pm)) if (1..=12).contains(&self.hour) => {
                self.hour % 12 + if pm { 12 } else { 0 }
            }
            (true, None) => self.hour % 12,
            _ => self.hour,
        };
        // 24:00:00 ends the day.
        let next_day = hour == 24 && self.minute == 0 && self.second == 0;
        let clock = if next_day { 0 } else { hour };
        let time = NaiveTime::from_hms_micro_opt(clock, self.minute, self.second, self.micros);
        let date = self.date().ok_or_else(out_of_range)?;
        let date = if next_day { date + Duration::days(1) } else { date };
        let offset = self.offset_hours.map(|hours| {
            let minutes = if hours < 0 { -self.offset_minutes } else { self.offset_minutes };
            hours * 3600 + minutes * 60
        });
        Ok(ReadTime { date, time: time.ok_or_else(out_of_range)?, offset })
    }

    fn date(&self) -> Option<NaiveDate> {
        if let Some(julian) = self.julian {
            return time::date(i32::try_from(julian - JULIAN_EPOCH).ok()?);
        }
        if let Some(year) = self.iso_year {
            let day = match self.iso_day.unwrap_or(1) {
                day @ 1..=7 => Weekday::try_from(day as u8 - 1).ok()?,
                _ => return None,
            };
            let year = i32::try_from(year).ok()?;
            return NaiveDate::from_isoywd_opt(year, self.iso_week.unwrap_or(1), day);
        }
        let year = i32::try_from(self.year?).ok()?;
        if let Some(week) = self.week_of_year {
            return NaiveDate::from_yo_opt(year, (week.checked_sub(1)?) * 7 + 1);
        }
        match self.ordinal {
            Some(ordinal) => NaiveDate::from_yo_opt(year, ordinal),
            None => NaiveDate::from_ymd_opt(year, self.month.unwrap_or(1), self.day.unwrap_or(1)),
        }
    }
}

/// A year of fewer than four digits is one near 2020.
fn whole_year(value: i64, digits: u8) -> i64 {
    match value {
        _ if digits == 4 => value,
        0..70 => value + 2000,
        70..100 => value + 1900,
        100..520 => value + 2000,
        520..1000 => value + 1000,
        _ => value,
    }
}

fn number(text: &str, digits_max: usize) -> Result<(i64, &str)> {
    let length = text.bytes().take(digits_max).take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at(length);
    let value = digits.parse().map_err(|_| {
        let start: String = text.chars().take(10).collect();
        invalid(format!("'{start}' is no number, which the template asks for"))
    })?;
    Ok((value, rest))
}
