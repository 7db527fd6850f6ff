//! What stands at a path of a document, and which of its views a column can give.

use serde::{Deserialize, Serialize};

/// The kinds of JSON values, told apart by what columns make of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Kind {
    Null,
    /// `""`, which HogQL reads as NULL.
    Empty,
    Text,
    /// A number that a float gives back as it is written.
    Number,
    /// A number that it does not: `1.0`, `1e3`, 20 digits.
    OddNumber,
    Boolean,
    /// An object or an array.
    Container,
}

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::Null,
        Self::Empty,
        Self::Text,
        Self::Number,
        Self::OddNumber,
        Self::Boolean,
        Self::Container,
    ];
}

/// A set of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Kinds(u8);

impl Kinds {
    pub(crate) fn insert(&mut self, kind: Kind) {
        self.0 |= 1 << kind as u8;
    }

    pub(crate) fn contains(self, kind: Kind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
    pub(crate) fn is_empty(&self) -> bool {
        self.0 == 0
    }
}

/// The kind of a well-formed JSON value.
pub(super) fn kind_of(raw: &str) -> Kind {
    match raw.as_bytes() {
        b"null" => Kind::Null,
        b"\"\"" => Kind::Empty,
        [b'"', ..] => Kind::Text,
        [b'{' | b'[', ..] => Kind::Container,
        [b't' | b'f', ..] => Kind::Boolean,
        _ if is_plain_number(raw) => Kind::Number,
        _ => Kind::OddNumber,
    }
}

/// The most digits that every float gives back.
const DIGITS_MAX: usize = 15;

/// True for a JSON number that reads as a float whose shortest text is the same: at most 15
/// digits, no exponent, no zeros at the end of a fraction.
fn is_plain_number(raw: &str) -> bool {
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let negative_zero =
        raw.len() > digits.len() && digits.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    whole.len() + fraction.len() <= DIGITS_MAX
        && is_digits(whole)
        && is_digits(fraction)
        && !fraction.ends_with('0')
        && !digits.ends_with('.')
        && !negative_zero
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_numbers_are_the_text_of_their_float() {
        for raw in ["0", "1", "-1", "12.5", "0.1", "-0.001", "999999999999999", "0.00000000000001"]
        {
            assert_eq!(kind_of(raw), Kind::Number, "{raw}");
            assert_eq!(raw.parse::<f64>().unwrap().to_string(), raw);
        }
        for raw in
            ["1.0", "0.10", "-0", "-0.0", "1e3", "1E3", "1000000000000000", "0.1234567890123456"]
        {
            assert_eq!(kind_of(raw), Kind::OddNumber, "{raw}");
        }
    }

    #[test]
    fn every_plain_number_reads_back() {
        use proptest::prelude::*;
        proptest!(|(raw in "-?(0|[1-9][0-9]{0,16})(\\.[0-9]{1,16})?")| {
            if kind_of(&raw) == Kind::Number {
                prop_assert_eq!(raw.parse::<f64>().unwrap().to_string(), raw);
            }
        });
    }
}
