//! Functions of PostgreSQL, under the names it has for them. Its operators and its calls with
//! words between their arguments become calls of these in the grammar.

pub mod arrays;
pub mod build;
pub mod documents;
mod numbers;
mod read;
mod template;
pub mod texts;
pub mod times;
mod write;

use std::borrow::Cow;

use arrow::array::ArrayRef;
use hedgerow_parser::Span;

use super::arguments::Arguments;
use super::arithmetic::two;
use super::function::{Arg, Function, Nulls, Returns};
use super::strings::search::Patterns;
use super::{PlanContext, Typed, call};
use crate::error::{Error, ErrorKind, Result};
use crate::types::Type;

/// Times, texts and patterns.
pub(super) const FUNCTIONS: &[Function] = &[
    Function::rewrite("extract_timestamp", &[Arg::Text, Arg::Any], extract)
        .doc("EXTRACT(part FROM time): days of the week count from Sunday as 0, seconds have their fraction.")
        .examples(&[
            ("extract_timestamp('dow', toDate('2024-03-10'))", "0"),
            ("extract_timestamp('epoch', toDateTime('1970-01-01 00:01:00'))", "60"),
            ("extract_timestamp('century', toDate('2024-03-10'))", "21"),
        ]),
    Function::scalar("__intervalPart", &[Arg::Text, Arg::Interval], Returns::Float, interval_part)
        .nulls(Nulls::Introduce)
        .doc("EXTRACT(part FROM interval)."),
    Function::scalar("text_substr", &[Arg::Text, Arg::Int, Arg::Int], Returns::Text, substring)
        .optional(1)
        .doc("SUBSTRING(text FROM start FOR length), in characters, the first being 1.")
        .examples(&[
            ("text_substr('héllo', 2, 3)", "éll"),
            ("text_substr('hello', -1, 3)", "h"),
        ]),
    Function::scalar("textregexsubstr", &[Arg::Text, Arg::Text], Returns::Text, regex_substring)
        .nulls(Nulls::Introduce)
        .doc("SUBSTRING(text FROM 'pattern'): the first group, else the match; NULL if none.")
        .examples(&[
            ("textregexsubstr('price: 42', '[0-9]+')", "42"),
            ("textregexsubstr('a=1', '=(.)')", "1"),
        ]),
    Function::scalar(
        "textoverlay",
        &[Arg::Text, Arg::Text, Arg::Int, Arg::Int],
        Returns::Text,
        overlay,
    )
    .optional(1)
    .doc("OVERLAY(text PLACING new FROM start FOR length), in characters.")
    .examples(&[("textoverlay('Txxxxas', 'hom', 2, 4)", "Thomas")]),
    Function::scalar("like_escape", &[Arg::Text, Arg::Text], Returns::Text, |args| {
        let (patterns, escapes) = (args.text(0), args.text(1));
        Ok(args.strs(|row| Some(like_escape(patterns.get(row)?, escapes.get(row)?))))
    })
    .doc("A LIKE pattern with another escape character, as one with a backslash.")
    .examples(&[("like_escape('x!%', '!')", "x\\%")]),
    Function::scalar("similar_to_escape", &[Arg::Text, Arg::Text], Returns::Text, |args| {
        let patterns = args.text(0);
        let escapes = (args.count() > 1).then(|| args.text(1));
        Ok(args.strs(|row| {
            let escape = match &escapes {
                Some(escapes) => escapes.get(row)?,
                None => "\\",
            };
            Some(similar_to_escape(patterns.get(row)?, escape.chars().next()))
        }))
    })
    .optional(1)
    .doc("A SIMILAR TO pattern as a regular expression.")
    .examples(&[("similar_to_escape('a%(b|c)_')", "^(?s:a.*(?:b|c).)$")]),
    Function::rewrite("bitNot", &[Arg::Int], |cx, span, mut args| {
        // In two's complement.
        let value = args.pop().ok_or_else(|| Error::internal("arguments were not counted"))?;
        call(cx, span, "bitXor", vec![value, Typed::int(-1, span)])
    })
    .doc("Every bit turned around.")
    .examples(&[("bitNot(5)", "-6")]),
    Function::rewrite("localtimestamp", &[], |cx, span, _| call(cx, span, "now", Vec::new()))
        .any_case()
        .doc("The time at which the query began.")
        .examples(&[("localtimestamp() = now()", "true")]),
];

/// A word that is a constant text, in lower case.
fn word_of(value: &Typed, what: &str) -> Result<String> {
    value.as_text().map(str::to_ascii_lowercase).ok_or_else(|| {
        let message = format!("{what} must be a constant text");
        Error::new(ErrorKind::InvalidArgument, message).at(value.span)
    })
}

fn extract(cx: &dyn PlanContext, span: Span, args: Vec<Typed>) -> Result<Typed> {
    let [part, value] = two(args)?;
    let name = word_of(&part, "the part")?;
    if value.ty == Type::Interval {
        return call(cx, span, "__intervalPart", vec![part, value]);
    }
    let of = |function: &str| call(cx, span, function, vec![value.clone()]);
    let with = |op: &str, left: Typed, number: i64| {
        call(cx, span, op, vec![left, Typed::int(number, span)])
    };
    let in_minute = || {
        let micros = of("toUnixTimestamp64Micro")?;
        with("modulo", micros, 60_000_000)
    };
    Ok(match name.as_str() {
        "year" | "years" => of("toYear")?,
        "quarter" => of("toQuarter")?,
        "month" | "months" => of("toMonth")?,
        "week" | "weeks" => of("toISOWeek")?,
        "isoyear" => of("toISOYear")?,
        "day" | "days" => of("toDayOfMonth")?,
        "dow" => with("modulo", of("toDayOfWeek")?, 7)?,
        "isodow" => of("toDayOfWeek")?,
        "doy" => of("toDayOfYear")?,
        "hour" | "hours" => of("toHour")?,
        "minute" | "minutes" => of("toMinute")?,
        "second" | "seconds" => with("divide", in_minute()?, 1_000_000)?,
        "millisecond" | "milliseconds" => with("divide", in_minute()?, 1_000)?,
        "microsecond" | "microseconds" => in_minute()?,
        "epoch" => with("divide", of("toUnixTimestamp64Micro")?, 1_000_000)?,
        "decade" => with("intDiv", of("toYear")?, 10)?,
        "century" => {
            let years = with("plus", of("toYear")?, 99)?;
            with("intDiv", years, 100)?
        }
        "millennium" => {
            let years = with("plus", of("toYear")?, 999)?;
            with("intDiv", years, 1000)?
        }
        "timezone" => of("timeZoneOffset")?,
        _ => {
            return Err(Error::new(ErrorKind::InvalidArgument, format!("no part named {name}"))
                .at(part.span)
                .hint("Parts are year, quarter, month, week, day, dow, doy, hour, minute, second and epoch."));
        }
    })
}

fn interval_part(args: &Arguments<'_>) -> Result<ArrayRef> {
    let (parts, intervals) = (args.text(0), args.interval(1));
    args.try_primitives::<arrow::datatypes::Float64Type>(|row| {
        let (Some(part), Some(interval)) = (parts.get(row), intervals.get(row)) else {
            return Ok(None);
        };
        let seconds = interval.nanoseconds as f64 / 1e9;
        let (months, days) = (f64::from(interval.months), f64::from(interval.days));
        Ok(Some(match part.to_ascii_lowercase().as_str() {
            "year" | "years" => (months / 12.0).trunc(),
            "quarter" => ((months % 12.0) / 3.0).trunc() + 1.0,
            "month" | "months" => months % 12.0,
            "day" | "days" => days,
            "hour" | "hours" => (seconds / 3600.0).trunc(),
            "minute" | "minutes" => ((seconds % 3600.0) / 60.0).trunc(),
            "second" | "seconds" => seconds % 60.0,
            // A year has 365.25 days there, a month 30.
            "epoch" => {
                let years = (months / 12.0).trunc();
                (years * 365.25 + (months % 12.0) * 30.0 + days) * 86_400.0 + seconds
            }
            other => {
                let message = format!("an interval has no part named {other}");
                return Err(Error::new(ErrorKind::InvalidArgument, message));
            }
        }))
    })
}

/// The byte offset of a character, the length for one beyond the end.
fn offset(text: &str, character: i64) -> usize {
    let at = usize::try_from(character).unwrap_or(0);
    text.char_indices().nth(at).map_or(text.len(), |(offset, _)| offset)
}

fn substring(args: &Arguments<'_>) -> Result<ArrayRef> {
    let (texts, starts) = (args.text(0), args.int(1));
    let lengths = (args.count() > 2).then(|| args.int(2));
    args.texts(|row, out| {
        let (Some(text), Some(start)) = (texts.get(row), starts.get(row)) else { return Ok(None) };
        let end = match &lengths {
            None => i64::MAX,
            Some(lengths) => {
                let Some(length) = lengths.get(row) else { return Ok(None) };
                if length < 0 {
                    return Err(negative_length());
                }
                start.saturating_add(length)
            }
        };
        // Positions before the first character count, but hold nothing.
        let from = offset(text, start.saturating_sub(1).max(0));
        let to = offset(text, end.saturating_sub(1).max(0));
        out.push_str(text.get(from..to.max(from)).unwrap_or_default());
        Ok(Some(()))
    })
}

fn negative_length() -> Error {
    Error::new(ErrorKind::InvalidArgument, "the length of a substring cannot be negative")
}

fn regex_substring(args: &Arguments<'_>) -> Result<ArrayRef> {
    let (texts, mut patterns) = (args.text(0), Patterns::new(args, 1));
    args.texts(|row, out| {
        let (Some(text), Some(pattern)) = (texts.get(row), patterns.get(row)?) else {
            return Ok(None);
        };
        let Some(found) = pattern.captures(text) else { return Ok(None) };
        let group = if found.len() > 1 { found.get(1) } else { found.get(0) };
        Ok(group.map(|group| out.push_str(group.as_str())))
    })
}

fn overlay(args: &Arguments<'_>) -> Result<ArrayRef> {
    let (texts, news, starts) = (args.text(0), args.text(1), args.int(2));
    let lengths = (args.count() > 3).then(|| args.int(3));
    args.texts(|row, out| {
        let (Some(text), Some(new), Some(start)) = (texts.get(row), news.get(row), starts.get(row))
        else {
            return Ok(None);
        };
        let length = match &lengths {
            None => new.chars().count() as i64,
            Some(lengths) => match lengths.get(row) {
                Some(length) => length,
                None => return Ok(None),
            },
        };
        if start < 1 {
            return Err(negative_length());
        }
        let from = offset(text, start - 1);
        let to = offset(text, start.saturating_sub(1).saturating_add(length).max(0));
        out.push_str(&text[..from]);
        out.push_str(new);
        out.push_str(&text[to..]);
        Ok(Some(()))
    })
}

fn like_escape<'a>(pattern: &'a str, escape: &str) -> Cow<'a, str> {
    let escape = escape.chars().next();
    if escape == Some('\\') {
        return pattern.into();
    }
    let mut out = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        if Some(character) == escape {
            let Some(next) = characters.next() else { break };
            if matches!(next, '%' | '_' | '\\') {
                out.push('\\');
            }
            out.push(next);
        } else {
            if character == '\\' {
                out.push('\\');
            }
            out.push(character);
        }
    }
    out.into()
}

/// SIMILAR TO as a regular expression over the whole text: `%` and `_` as in LIKE, `| * + ? { } ( )`
/// and classes as in a regular expression, everything else literal.
fn similar_to_escape(pattern: &str, escape: Option<char>) -> String {
    let mut out = String::from("^(?s:");
    let mut in_class = false;
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        if Some(character) == escape {
            if let Some(next) = characters.next() {
                out.push_str(&regex::escape(next.encode_utf8(&mut [0; 4])));
            }
            continue;
        }
        match character {
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '\\' => out.push_str("\\\\"),
            other if in_class => out.push(other),
            '[' => {
                in_class = true;
                out.push('[');
            }
            '%' => out.push_str(".*"),
            '_' => out.push('.'),
            '(' => out.push_str("(?:"),
            '|' | '*' | '+' | '?' | '{' | '}' | ')' => out.push(character),
            other => out.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    out.push_str(")$");
    out
}
