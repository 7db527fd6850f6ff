//! Numbers, strings and the constants that are words.

use super::Parser;
use super::hints::interval_hint;
use crate::Result;
use crate::ast::{Expr, ExprKind, Float, IntervalUnit, Literal, TypeName};
use crate::error::SyntaxError;
use crate::interval::parse_interval;
use crate::span::Span;
use crate::token::{Keyword, TokenKind};

impl Parser<'_> {
    /// Whether a number begins this many tokens further: digits, `.5`, `inf`, `nan`.
    pub(super) fn begins_number(&self, distance: usize) -> bool {
        match self.nth(distance) {
            TokenKind::Keyword(Keyword::Inf | Keyword::Infinity | Keyword::NaN) => true,
            TokenKind::Dot => self.nth(distance + 1) == TokenKind::Integer,
            kind => kind.is_number(),
        }
    }

    /// A number whose sign, if any, was consumed.
    pub(super) fn number(&mut self, start: Span, negative: bool) -> Result<Expr> {
        let token = self.advance();
        let written = self.slice(token.span);
        let literal = match token.kind {
            TokenKind::Integer if self.fraction_follows() => {
                // `1 .5`: the lexer saw a name-like gap and left the pieces apart.
                self.advance();
                let fraction = self.advance();
                decimal_float(&format!("{written}.{}", self.slice(fraction.span)), negative)
            }
            // `1 . a` and `1.from t` could be 1.0 or a member; nobody means either.
            TokenKind::Integer
                if self.kind() == TokenKind::Dot
                    && (self.span().start > token.span.end || self.at_clause(1)) =>
            {
                return Err(self.unexpected("an operator"));
            }
            TokenKind::Integer if written.contains('_') => {
                integer(&written.replace('_', ""), negative)
            }
            TokenKind::Integer => integer(written, negative),
            TokenKind::Hexadecimal => based_integer(&written[2..], 16, negative),
            TokenKind::Binary if written.len() > 2 => based_integer(&written[2..], 2, negative),
            TokenKind::Float => float(written, negative),
            TokenKind::Dot => {
                let fraction = self.advance();
                decimal_float(&format!("0.{}", self.slice(fraction.span)), negative)
            }
            TokenKind::Keyword(Keyword::NaN) => Literal::Float(Float(f64::NAN)),
            TokenKind::Keyword(Keyword::Inf | Keyword::Infinity) => {
                Literal::Float(Float(if negative { f64::NEG_INFINITY } else { f64::INFINITY }))
            }
            _ => return Err(SyntaxError::new("malformed number", token.span)),
        };
        Ok(Expr::new(ExprKind::Literal(literal), self.span_from(start)))
    }

    fn at_clause(&self, distance: usize) -> bool {
        matches!(self.nth(distance), TokenKind::Keyword(keyword) if keyword.follows_point())
    }

    fn fraction_follows(&self) -> bool {
        self.kind() == TokenKind::Dot && self.nth(1) == TokenKind::Integer
    }

    /// `INTERVAL '5 minutes'`: one whole number of one unit is that; anything more, such as
    /// `1 day 02:00:00`, is a cast of the text.
    pub(super) fn interval_text(&self, text: &str, span: Span) -> Result<ExprKind> {
        let simple = text.split_once(' ').and_then(|(count, unit)| {
            let digits = count.strip_prefix('-').unwrap_or(count);
            let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            let count = if all_digits { count.parse::<i64>().ok()? } else { return None };
            let unit = unit.to_ascii_lowercase();
            let unit = unit.strip_suffix('s').unwrap_or(&unit);
            Some((count, UNITS.iter().find(|(name, _)| *name == unit)?.1))
        });
        if let Some((count, unit)) = simple {
            let value = Box::new(Expr::new(ExprKind::Literal(Literal::Int(count)), span));
            return Ok(ExprKind::Interval { value, unit });
        }
        if parse_interval(text).is_none() {
            return Err(SyntaxError::new("malformed interval", span)
                .expected("numbers and units, as in '5 minutes' or '1 day 02:00:00'")
                .hint(interval_hint(text)));
        }
        let text = Expr::new(ExprKind::Literal(Literal::String(text.to_owned())), span);
        let name = "interval".to_owned();
        let target = TypeName { name, args: Vec::new(), array_depth: 0, span };
        Ok(ExprKind::Cast { expr: Box::new(text), target, safe: false })
    }

    /// The unit after an interval's value.
    pub(super) fn interval_unit(&mut self) -> Result<IntervalUnit> {
        let unit = match self.keyword() {
            Some(Keyword::Second) => IntervalUnit::Second,
            Some(Keyword::Minute) => IntervalUnit::Minute,
            Some(Keyword::Hour) => IntervalUnit::Hour,
            Some(Keyword::Day) => IntervalUnit::Day,
            Some(Keyword::Week) => IntervalUnit::Week,
            Some(Keyword::Month) => IntervalUnit::Month,
            Some(Keyword::Quarter) => IntervalUnit::Quarter,
            Some(Keyword::Year | Keyword::Yyyy) => IntervalUnit::Year,
            _ => {
                return Err(self
                    .unexpected("a unit: SECOND, MINUTE, HOUR, DAY, WEEK, MONTH, QUARTER or YEAR")
                    .hint("Units are singular, as in INTERVAL 5 DAY."));
            }
        };
        self.advance();
        Ok(unit)
    }
}

const UNITS: &[(&str, IntervalUnit)] = &[
    ("second", IntervalUnit::Second),
    ("minute", IntervalUnit::Minute),
    ("hour", IntervalUnit::Hour),
    ("day", IntervalUnit::Day),
    ("week", IntervalUnit::Week),
    ("month", IntervalUnit::Month),
    ("quarter", IntervalUnit::Quarter),
    ("year", IntervalUnit::Year),
];

fn integer(digits: &str, negative: bool) -> Literal {
    let sign = if negative { "-" } else { "" };
    match format!("{sign}{digits}").parse() {
        Ok(value) => Literal::Int(value),
        Err(_) => big_integer(digits, negative),
    }
}

fn big_integer(digits: &str, negative: bool) -> Literal {
    let digits = digits.trim_start_matches('0');
    let sign = if negative { "-" } else { "" };
    Literal::BigInt(format!("{sign}{digits}"))
}

/// Digits of base 2 or 16, of any number, to decimal.
fn based_integer(digits: &str, base: u32, negative: bool) -> Literal {
    if let Ok(value) = i64::from_str_radix(digits, base) {
        return Literal::Int(if negative { -value } else { value });
    }
    let negative_min = negative && u64::from_str_radix(digits, base) == Ok(i64::MIN.unsigned_abs());
    if negative_min {
        return Literal::Int(i64::MIN);
    }
    // Schoolbook: nine decimal digits a limb, lowest first. Quadratic, but such numbers are rare.
    const LIMB: u64 = 1_000_000_000;
    let mut limbs = vec![0_u64];
    for digit in digits.chars().filter_map(|character| character.to_digit(base)) {
        let mut carry = u64::from(digit);
        for limb in &mut limbs {
            let value = *limb * u64::from(base) + carry;
            *limb = value % LIMB;
            carry = value / LIMB;
        }
        if carry > 0 {
            limbs.push(carry);
        }
    }
    let decimal: String = limbs.iter().rev().map(|limb| format!("{limb:09}")).collect();
    big_integer(&decimal, negative)
}

fn decimal_float(written: &str, negative: bool) -> Literal {
    // Digits, a dot and an exponent always parse; out of range gives infinity, as it should.
    let value: f64 = written.parse().unwrap_or(f64::NAN);
    Literal::Float(Float(if negative { -value } else { value }))
}

fn float(written: &str, negative: bool) -> Literal {
    match written.get(..2) {
        Some("0x" | "0X") => {
            let value = hexadecimal_float(&written[2..]);
            Literal::Float(Float(if negative { -value } else { value }))
        }
        _ => decimal_float(written, negative),
    }
}

/// The value of `1.8p1`: hexadecimal digits, then a binary exponent.
fn hexadecimal_float(written: &str) -> f64 {
    let (digits, exponent) = written.split_once(['p', 'P']).unwrap_or((written, "0"));
    let mut exponent: i64 = exponent.parse().unwrap_or(if exponent.starts_with('-') {
        i64::from(i32::MIN)
    } else {
        i64::from(i32::MAX)
    });
    let (integer, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    // The first 15 significant digits fill the mantissa; later ones only round.
    let mut mantissa = 0_u64;
    let mut sticky = false;
    let digits = integer.chars().map(|c| (c, false)).chain(fraction.chars().map(|c| (c, true)));
    for (character, is_fraction) in digits {
        let digit = u64::from(character.to_digit(16).unwrap_or(0));
        if mantissa >> 58 == 0 {
            mantissa = mantissa * 16 + digit;
            exponent -= if is_fraction { 4 } else { 0 };
        } else {
            sticky |= digit != 0;
            exponent += if is_fraction { 0 } else { 4 };
        }
    }
    if sticky {
        mantissa |= 1;
    }
    scale(mantissa, exponent)
}

/// `mantissa × 2^exponent`, in steps that cannot overflow half-way.
fn scale(mantissa: u64, exponent: i64) -> f64 {
    let mut value = mantissa as f64;
    let mut exponent = exponent.clamp(-2200, 2200);
    while exponent > 0 && value.is_finite() {
        let step = exponent.min(512);
        value *= 2_f64.powi(step as i32);
        exponent -= step;
    }
    while exponent < 0 && value != 0.0 {
        let step = (-exponent).min(512);
        value /= 2_f64.powi(step as i32);
        exponent += step;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_floats() {
        let cases = [
            ("1p3", 8.0),
            ("1.8p1", 3.0),
            (".8p0", 0.5),
            ("1p-1074", f64::from_bits(1)),
            ("1p99999", f64::INFINITY),
            ("1p-99999", 0.0),
            ("ffffffffffffffffffp0", 4_722_366_482_869_645_213_695.0),
        ];
        for (text, value) in cases {
            assert_eq!(hexadecimal_float(text), value, "{text}");
        }
    }

    #[test]
    fn large_based_integers() {
        let big = |text: &str| Literal::BigInt(text.into());
        assert_eq!(based_integer("FFFFFFFFFFFFFFFF", 16, false), big("18446744073709551615"));
        assert_eq!(based_integer("8000000000000000", 16, true), Literal::Int(i64::MIN));
        assert_eq!(
            based_integer("123456789ABCDEF0123456789", 16, true),
            big("-90144042682896311822508713865")
        );
    }
}
