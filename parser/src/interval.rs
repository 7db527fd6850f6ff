//! Intervals as text: PostgreSQL's input format, which holds HogQL's.

/// What an interval text says. The three parts do not convert into each other: a month has no
/// fixed number of days, and a day no fixed number of hours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IntervalText {
    pub months: i32,
    pub days: i32,
    pub microseconds: i64,
}

/// Reads `5 minutes`, `1 day 02:00:00`, `-1 month`, `1.5 days`, `1-2`, `P1DT2H`, `3 days ago`.
/// None for anything else, and for more than an interval can hold.
pub fn parse_interval(text: &str) -> Option<IntervalText> {
    let text = text.trim();
    let mut total = Total::default();
    if let Some(iso) = text.strip_prefix('P') {
        total.iso(iso)?;
        return total.finish();
    }
    let mut rest = text.strip_prefix('@').unwrap_or(text).trim_start();
    let mut ago = false;
    let mut any = false;
    while !rest.is_empty() {
        if ago {
            return None;
        }
        if let Some(after) = strip_word(rest, "ago").filter(|_| any) {
            (ago, rest) = (true, after);
            continue;
        }
        rest = total.part(rest)?;
        any = true;
    }
    if ago {
        total.negate();
    }
    if any { total.finish() } else { None }
}

/// Sums, in floating point only where a fraction was written.
#[derive(Default)]
struct Total {
    months: i64,
    days: i64,
    microseconds: i64,
}

impl Total {
    /// One `number unit`, `HH:MM[:SS]` or `years-months` at the start; what follows it.
    fn part<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        let end = text
            .find(|c: char| !c.is_ascii_digit() && !matches!(c, '+' | '-' | '.' | ':'))
            .unwrap_or(text.len());
        let (number, rest) = (&text[..end], text[end..].trim_start());
        let (negative, digits) = match number.as_bytes().first()? {
            b'-' => (true, &number[1..]),
            b'+' => (false, &number[1..]),
            _ => (false, number),
        };
        if digits.contains(':') {
            self.clock(digits, negative)?;
            return Some(rest);
        }
        if let Some((years, months)) = digits.split_once('-') {
            let months = whole(years)?.checked_mul(12)?.checked_add(whole(months)?)?;
            self.months = self.months.checked_add(if negative { -months } else { months })?;
            return Some(rest);
        }
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (unit, rest) = (&rest[..letters], &rest[letters..]);
        // A number alone counts seconds.
        let unit = if unit.is_empty() { "second" } else { unit };
        self.add(digits, negative, &unit.to_ascii_lowercase())?;
        Some(rest.trim_start())
    }

    fn clock(&mut self, digits: &str, negative: bool) -> Option<()> {
        let mut parts = digits.split(':');
        let (hours, minutes) = (whole(parts.next()?)?, whole(parts.next()?)?);
        let (seconds, fraction) = number(parts.next().unwrap_or("0"))?;
        if parts.next().is_some() || minutes > 59 || seconds > 59 {
            return None;
        }
        let seconds = hours.checked_mul(3600)?.checked_add(minutes * 60 + seconds)?;
        let micros = seconds.checked_mul(1_000_000)?.checked_add(micros(fraction))?;
        self.microseconds =
            self.microseconds.checked_add(if negative { -micros } else { micros })?;
        Some(())
    }

    fn add(&mut self, digits: &str, negative: bool, unit: &str) -> Option<()> {
        let sign = if negative { -1 } else { 1 };
        let (count, fraction) = number(digits)?;
        let (count, fraction) = (sign * count, fraction * sign as f64);
        let months = match unit {
            "month" | "months" | "mon" | "mons" => 1,
            "quarter" | "quarters" => 3,
            "year" | "years" | "yr" | "yrs" | "y" => 12,
            "decade" | "decades" => 120,
            "century" | "centuries" => 1_200,
            "millennium" | "millennia" => 12_000,
            _ => 0,
        };
        if months > 0 {
            self.months = self.months.checked_add(count.checked_mul(months)?)?;
            if months == 1 {
                return self.add_days(fraction * 30.0);
            }
            self.months = self.months.checked_add((fraction * months as f64).round() as i64)?;
            return Some(());
        }
        let days = match unit {
            "day" | "days" | "d" => 1,
            "week" | "weeks" | "w" => 7,
            _ => 0,
        };
        if days > 0 {
            self.days = self.days.checked_add(count.checked_mul(days)?)?;
            return self.add_days(fraction * days as f64);
        }
        let micros: i64 = match unit {
            "microsecond" | "microseconds" | "us" | "usec" | "usecs" => 1,
            "millisecond" | "milliseconds" | "ms" | "msec" | "msecs" => 1_000,
            "second" | "seconds" | "sec" | "secs" | "s" => 1_000_000,
            "minute" | "minutes" | "min" | "mins" | "m" => 60_000_000,
            "hour" | "hours" | "hr" | "hrs" | "h" => 3_600_000_000,
            _ => return None,
        };
        let part = (fraction * micros as f64).round() as i64;
        self.microseconds =
            self.microseconds.checked_add(count.checked_mul(micros)?.checked_add(part)?)?;
        Some(())
    }

    /// Days with a fraction, which becomes time.
    fn add_days(&mut self, days: f64) -> Option<()> {
        self.days = self.days.checked_add(days.trunc() as i64)?;
        let micros = (days.fract() * 86_400_000_000.0).round() as i64;
        self.microseconds = self.microseconds.checked_add(micros)?;
        Some(())
    }

    /// What follows the P of `P1Y2M3DT4H5M6S`.
    fn iso(&mut self, text: &str) -> Option<()> {
        let (mut rest, mut time, mut any) = (text, false, false);
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('T').filter(|_| !time) {
                (rest, time) = (after, true);
                continue;
            }
            let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
            let digits = &rest[..end];
            let (negative, digits) = match digits.strip_prefix('-') {
                Some(digits) => (true, digits),
                None => (false, digits),
            };
            let unit = match (rest.as_bytes()[end], time) {
                (b'Y', false) => "year",
                (b'M', false) => "month",
                (b'W', false) => "week",
                (b'D', false) => "day",
                (b'H', true) => "hour",
                (b'M', true) => "minute",
                (b'S', true) => "second",
                _ => return None,
            };
            self.add(digits, negative, unit)?;
            rest = &rest[end + 1..];
            any = true;
        }
        any.then_some(())
    }

    fn negate(&mut self) {
        (self.months, self.days, self.microseconds) =
            (-self.months, -self.days, -self.microseconds);
    }

    fn finish(self) -> Option<IntervalText> {
        Some(IntervalText {
            months: i32::try_from(self.months).ok()?,
            days: i32::try_from(self.days).ok()?,
            microseconds: self.microseconds,
        })
    }
}

fn strip_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (head, tail) = text.split_at_checked(word.len())?;
    let ends = !tail.starts_with(|c: char| c.is_ascii_alphanumeric());
    (head.eq_ignore_ascii_case(word) && ends).then(|| tail.trim_start())
}

/// Digits and nothing else, few enough to calculate with.
fn whole(digits: &str) -> Option<i64> {
    let fits = !digits.is_empty() && digits.len() <= 15;
    (fits && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// The whole part of `1.5`, and its fraction.
fn number(text: &str) -> Option<(i64, f64)> {
    let (whole_part, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) || text == "." {
        return None;
    }
    let count = if whole_part.is_empty() && !fraction.is_empty() { 0 } else { whole(whole_part)? };
    let fraction = if fraction.is_empty() { 0.0 } else { format!("0.{fraction}").parse().ok()? };
    Some((count, fraction))
}

fn micros(fraction: f64) -> i64 {
    (fraction * 1_000_000.0).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let interval =
            |months, days, microseconds| Some(IntervalText { months, days, microseconds });
        const HOUR: i64 = 3_600_000_000;
        for (text, expected) in [
            ("5 minutes", interval(0, 0, 300_000_000)),
            ("5 MINUTES", interval(0, 0, 300_000_000)),
            ("1 day 02:00:00", interval(0, 1, 2 * HOUR)),
            ("24:00:00", interval(0, 0, 24 * HOUR)),
            ("P1D", interval(0, 1, 0)),
            ("P1Y2M3DT4H5M6.5S", interval(14, 3, 4 * HOUR + 306_500_000)),
            ("PT0S", interval(0, 0, 0)),
            ("-1 month", interval(-1, 0, 0)),
            ("1.5 days", interval(0, 1, 12 * HOUR)),
            ("0.5 months", interval(0, 15, 0)),
            ("1.5 years", interval(18, 0, 0)),
            ("1-2", interval(14, 0, 0)),
            ("2 weeks 1 day ago", interval(0, -15, 0)),
            ("1 year 2 mons -3 days 04:05:06.789", interval(14, -3, 14_706_789_000)),
            ("@ 1 hour", interval(0, 0, HOUR)),
            ("1h30m", interval(0, 0, 90 * 60_000_000)),
            ("30", interval(0, 0, 30_000_000)),
            ("-00:30", interval(0, 0, -HOUR / 2)),
            ("250 ms", interval(0, 0, 250_000)),
            ("", None),
            ("ago", None),
            ("P", None),
            ("PT", None),
            ("1 day ago ago", None),
            ("1 fortnight", None),
            ("day", None),
            ("1:2:3:4", None),
            ("1:99", None),
            ("99999999999 years", None),
            ("9999999999999999999 days", None),
            ("é", None),
            ("1 é", None),
        ] {
            assert_eq!(parse_interval(text), expected, "{text}");
        }
    }
}
