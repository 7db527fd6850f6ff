//! `to_char` and `to_number` of numbers: templates such as `9,999.99`.

use crate::error::{Error, ErrorKind, Result};

/// A piece of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    /// `9` or `0`.
    Digit {
        zero: bool,
    },
    /// `.` or `D`.
    Point,
    /// `,` or `G`.
    Group,
    /// `S`: the sign, right beside the number.
    Sign,
    /// `SG`, `MI`, `PL`: the sign at this place.
    FixedSign {
        plus: bool,
        minus: bool,
    },
    /// `L`: there is no currency, so a blank.
    Currency,
    Character(char),
}

/// A template of numbers.
#[derive(Debug)]
pub(super) struct Template {
    pieces: Vec<Piece>,
    /// `FM`: no blanks, and no zeros after the point that `9` stands for.
    fill: bool,
    /// `PR`: negative numbers in angle brackets.
    brackets: bool,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// `Unsupported` for `EEEE`, `RN`, `TH` and `V`; `InvalidArgument` for two points.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut template = Self { pieces: Vec::new(), fill: false, brackets: false };
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            let upper = rest.get(..2).unwrap_or_default().to_ascii_uppercase();
            let fixed = |plus, minus| Piece::FixedSign { plus, minus };
            let (piece, length) = match (upper.as_str(), character.to_ascii_uppercase()) {
                ("FM", _) => {
                    template.fill = true;
                    (None, 2)
                }
                ("PR", _) => {
                    template.brackets = true;
                    (None, 2)
                }
                ("SG", _) => (Some(fixed(true, true)), 2),
                ("MI", _) => (Some(fixed(false, true)), 2),
                ("PL", _) => (Some(fixed(true, false)), 2),
                ("TH" | "RN" | "EE", _) | (_, 'V') => {
                    let message = format!("{upper} in a template of numbers is not supported");
                    return Err(Error::unsupported(message));
                }
                (_, '9') => (Some(Piece::Digit { zero: false }), 1),
                (_, '0') => (Some(Piece::Digit { zero: true }), 1),
                (_, '.' | 'D') => (Some(Piece::Point), 1),
                (_, ',' | 'G') => (Some(Piece::Group), 1),
                (_, 'S') => (Some(Piece::Sign), 1),
                (_, 'L') => (Some(Piece::Currency), 1),
                (_, '"') => {
                    let quoted = &rest[1..];
                    let end = quoted.find('"').unwrap_or(quoted.len());
                    template.pieces.extend(quoted[..end].chars().map(Piece::Character));
                    (None, (end + 2).min(rest.len()))
                }
                _ => (Some(Piece::Character(character)), character.len_utf8()),
            };
            template.pieces.extend(piece);
            rest = &rest[length..];
        }
        if template.pieces.iter().filter(|piece| **piece == Piece::Point).count() > 1 {
            let message = "a template of numbers has one decimal point";
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        Ok(template)
    }

    fn digits(&self, after_point: bool) -> impl Iterator<Item = bool> + '_ {
        let mut seen = false;
        self.pieces.iter().filter_map(move |piece| {
            seen |= *piece == Piece::Point;
            match piece {
                Piece::Digit { zero } if seen == after_point => Some(*zero),
                _ => None,
            }
        })
    }

    /// Writes a number that is given as plain decimal digits, perhaps with a sign and a point.
    pub(super) fn write(&self, number: &str, out: &mut String) {
        let (before, after) = (self.digits(false).count(), self.digits(true).count());
        let (negative, magnitude) = match number.strip_prefix('-') {
            Some(magnitude) => (true, magnitude),
            None => (false, number),
        };
        let Some((mut whole, mut fraction)) = rounded(magnitude, after) else {
            // Not a number, or infinite: no digits to show.
            (0..before + after).for_each(|_| out.push('#'));
            return;
        };
        let negative = negative && format!("{whole}{fraction}").bytes().any(|b| b != b'0');
        if whole.len() > before {
            whole = "#".repeat(before);
            fraction = "#".repeat(after);
        }
        let mut writer = Writer {
            template: self,
            negative,
            blanks: before - whole.len(),
            first_zero: self.digits(false).position(|zero| zero),
            // With digits after the point, a zero before it is not shown.
            hidden_zero: whole == "0" && after > 0 && !self.digits(false).any(|zero| zero),
            kept: self.kept(&fraction),
            sign_done: self.pieces.iter().any(|piece| matches!(piece, Piece::FixedSign { .. })),
            digits: whole.bytes().chain(fraction.bytes()).collect(),
            place: 0,
            before,
        };
        writer.write(out);
    }

    /// How many digits after the point are shown.
    fn kept(&self, fraction: &str) -> usize {
        if !self.fill {
            return fraction.len();
        }
        let significant = fraction.trim_end_matches('0').len();
        let forced = self.digits(true).enumerate().filter(|(_, zero)| *zero).map(|(at, _)| at + 1);
        forced.max().unwrap_or(0).max(significant)
    }

    /// Reads a number by this template, as plain decimal digits.
    ///
    /// # Errors
    /// `InvalidText` when there is no digit.
    pub(super) fn read(&self, text: &str) -> Result<String> {
        let mut rest = text.trim_start();
        let (mut number, mut negative) = (String::new(), false);
        let mut point = false;
        for piece in &self.pieces {
            let Some(next) = rest.chars().next() else { break };
            let taken = match piece {
                Piece::Digit { .. } => {
                    // A sign may stand before the number without a place of its own.
                    if matches!(next, '-' | '+' | '<') && number.is_empty() {
                        negative = next != '+';
                        rest = &rest[1..];
                    }
                    match rest.chars().next() {
                        Some(digit) if digit.is_ascii_digit() => {
                            number.push(digit);
                            true
                        }
                        _ => false,
                    }
                }
                Piece::Point => {
                    if next == '.' && !point {
                        point = true;
                        number.push('.');
                    }
                    next == '.'
                }
                Piece::Group => next == ',',
                Piece::Sign | Piece::FixedSign { .. } => {
                    negative |= next == '-';
                    matches!(next, '-' | '+' | ' ')
                }
                Piece::Currency => !next.is_ascii_digit(),
                Piece::Character(_) => !next.is_ascii_digit() && !matches!(next, '-' | '+' | '.'),
            };
            if taken {
                rest = rest.get(rest.chars().next().map_or(0, char::len_utf8)..).unwrap_or("");
            }
        }
        if !number.bytes().any(|b| b.is_ascii_digit()) {
            let message = format!("'{text}' is no number that fits the template");
            return Err(Error::new(ErrorKind::InvalidText, message));
        }
        Ok(format!("{}{number}", if negative { "-" } else { "" }))
    }
}

struct Writer<'a> {
    template: &'a Template,
    negative: bool,
    /// Places before the first digit.
    blanks: usize,
    first_zero: Option<usize>,
    hidden_zero: bool,
    kept: usize,
    sign_done: bool,
    digits: Vec<u8>,
    /// The place among all digits of the template.
    place: usize,
    before: usize,
}

impl Writer<'_> {
    fn write(&mut self, out: &mut String) {
        let fill = self.template.fill;
        let last_digit =
            self.template.pieces.iter().rposition(|piece| matches!(piece, Piece::Digit { .. }));
        let first_digit =
            self.template.pieces.iter().position(|piece| matches!(piece, Piece::Digit { .. }));
        let trailing_sign = self
            .template
            .pieces
            .iter()
            .position(|piece| *piece == Piece::Sign)
            .is_some_and(|at| Some(at) > first_digit);
        if trailing_sign {
            self.sign_done = true;
        }
        let mut begun = false;
        for (at, piece) in self.template.pieces.iter().enumerate() {
            match piece {
                Piece::Digit { .. } => {
                    begun |= self.digit(out);
                    if Some(at) == last_digit && self.template.brackets {
                        match (self.negative, fill) {
                            (true, _) => out.push('>'),
                            (false, true) => {}
                            (false, false) => out.push(' '),
                        }
                    }
                }
                Piece::Point => {
                    self.sign(out);
                    out.push('.');
                    begun = true;
                }
                Piece::Group if begun => out.push(','),
                Piece::Group if fill => {}
                Piece::Group => out.push(' '),
                Piece::Sign if trailing_sign => out.push(if self.negative { '-' } else { '+' }),
                Piece::Sign => {}
                Piece::FixedSign { minus, .. } if self.negative && *minus => out.push('-'),
                Piece::FixedSign { plus, .. } if !self.negative && *plus => out.push('+'),
                Piece::FixedSign { .. } if fill => {}
                Piece::FixedSign { .. } => out.push(' '),
                Piece::Currency if fill => {}
                Piece::Currency => out.push(' '),
                Piece::Character(character) => out.push(*character),
            }
        }
    }

    /// Writes what stands at a place for a digit; true when it is one.
    fn digit(&mut self, out: &mut String) -> bool {
        let place = self.place;
        self.place += 1;
        if place < self.blanks {
            if self.first_zero.is_some_and(|zero| place >= zero) {
                self.sign(out);
                out.push('0');
                return true;
            }
            if !self.template.fill {
                out.push(' ');
            }
            return false;
        }
        if place + 1 == self.before && self.hidden_zero {
            // `9.9` of 0.1 is `.1`; with FM, 0 is `0.`.
            if self.template.fill && self.kept == 0 {
                self.sign(out);
                out.push('0');
                return true;
            }
            if !self.template.fill {
                out.push(' ');
            }
            return false;
        }
        if place >= self.before + self.kept {
            return true;
        }
        self.sign(out);
        out.push(char::from(self.digits[place - self.blanks]));
        true
    }

    /// The sign before the first digit, once.
    fn sign(&mut self, out: &mut String) {
        if std::mem::replace(&mut self.sign_done, true) {
            return;
        }
        let anchored = self.template.pieces.contains(&Piece::Sign);
        match (self.negative, self.template.brackets) {
            (true, true) => out.push('<'),
            (true, false) => out.push('-'),
            (false, _) if anchored => out.push('+'),
            (false, _) if self.template.fill => {}
            (false, _) => out.push(' '),
        }
    }
}

/// Digits before and after the point, rounded half away from zero; none unless all are digits.
fn rounded(magnitude: &str, places: usize) -> Option<(String, String)> {
    let (whole, fraction) = magnitude.split_once('.').unwrap_or((magnitude, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let shown = fraction.bytes().chain(std::iter::repeat(b'0')).take(places);
    let mut digits: Vec<u8> = std::iter::once(b'0').chain(whole.bytes()).chain(shown).collect();
    if fraction.as_bytes().get(places).is_some_and(|next| *next >= b'5') {
        for digit in digits.iter_mut().rev() {
            if *digit != b'9' {
                *digit += 1;
                break;
            }
            *digit = b'0';
        }
    }
    let text = String::from_utf8(digits).ok()?;
    let (whole, fraction) = text.split_at(text.len() - places);
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    Some((whole.to_owned(), fraction.to_owned()))
}
