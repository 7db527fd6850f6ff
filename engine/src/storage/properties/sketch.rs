//! How many different values there are, in a few bytes: exact while they are few, then a
//! HyperLogLog of 64 registers, whose standard error is 13 %.

use std::collections::BTreeSet;

/// So many values are told apart exactly.
const FEW_MAX: usize = 10;
const REGISTERS: usize = 64;
/// The bits of a hash that choose its register.
const INDEX_BITS: u32 = REGISTERS.trailing_zeros();
/// The constant of HyperLogLog for 64 registers.
const ALPHA: f64 = 0.709;

/// The digits of the text form, in base 64.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Digits of a hash of 32 bits.
const HASH_DIGITS: usize = 6;

/// A set of hashes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Sketch {
    Few(BTreeSet<u32>),
    /// By the low bits of a hash: the most zeros that followed these, and one.
    Many([u8; REGISTERS]),
}

impl Default for Sketch {
    fn default() -> Self {
        Self::Few(BTreeSet::new())
    }
}

impl Sketch {
    pub(super) fn add_bytes(&mut self, value: &[u8]) {
        // The low half of the hash is as good as the high one.
        self.add(twox_hash::XxHash3_64::oneshot(value) as u32);
    }

    fn add(&mut self, hash: u32) {
        match self {
            Self::Few(hashes) => {
                hashes.insert(hash);
                if hashes.len() > FEW_MAX {
                    let hashes = std::mem::take(hashes);
                    *self = Self::Many([0; REGISTERS]);
                    hashes.into_iter().for_each(|hash| self.add(hash));
                }
            }
            Self::Many(registers) => {
                let register = &mut registers[hash as usize % REGISTERS];
                let zeros = (hash >> INDEX_BITS).trailing_zeros().min(u32::BITS - INDEX_BITS);
                *register = (*register).max(zeros as u8 + 1);
            }
        }
    }

    /// Adds all that the other one has seen.
    pub(super) fn merge(&mut self, other: &Self) {
        match (&mut *self, other) {
            (_, Self::Few(hashes)) => hashes.iter().for_each(|hash| self.add(*hash)),
            (Self::Many(registers), Self::Many(others)) => {
                registers.iter_mut().zip(others).for_each(|(a, b)| *a = (*a).max(*b));
            }
            (Self::Few(_), Self::Many(_)) => {
                let few = std::mem::replace(self, other.clone());
                self.merge(&few);
            }
        }
    }

    /// About how many values it has seen.
    pub(super) fn count(&self) -> u64 {
        let registers = match self {
            Self::Few(hashes) => return hashes.len() as u64,
            Self::Many(registers) => registers,
        };
        let size = REGISTERS as f64;
        let sum: f64 = registers.iter().map(|register| (-f64::from(*register)).exp2()).sum();
        let raw = ALPHA * size * size / sum;
        let empty = registers.iter().filter(|register| **register == 0).count();
        let count = match raw <= 2.5 * size && empty > 0 {
            // So many balls leave so many urns empty.
            true => size * (size / empty as f64).ln(),
            false => raw,
        };
        (count.round() as u64).max(FEW_MAX as u64)
    }

    /// As text: 6 digits for each hash, or one for each register.
    pub(super) fn to_text(&self) -> String {
        let digit = |value: u32| char::from(DIGITS[value as usize % DIGITS.len()]);
        match self {
            Self::Few(hashes) => {
                let digits = |hash: &u32| {
                    let hash = *hash;
                    (0..HASH_DIGITS).map(move |place| digit(hash.unbounded_shr(6 * place as u32)))
                };
                hashes.iter().flat_map(digits).collect()
            }
            Self::Many(registers) => registers.iter().map(|value| digit((*value).into())).collect(),
        }
    }

    /// Reads [`Self::to_text`]; none for other text.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let value = |byte: &u8| DIGITS.iter().position(|digit| digit == byte);
        let values: Vec<u32> = text
            .bytes()
            .map(|byte| value(&byte).map(|value| value as u32))
            .collect::<Option<_>>()?;
        if values.len() == REGISTERS {
            let registers: Vec<u8> = values.into_iter().map(|value| value as u8).collect();
            return Some(Self::Many(registers.try_into().ok()?));
        }
        let hash =
            |digits: &[u32]| digits.iter().rev().fold(0u32, |hash, digit| (hash << 6) | digit);
        values
            .len()
            .is_multiple_of(HASH_DIGITS)
            .then(|| Self::Few(values.chunks(HASH_DIGITS).map(hash).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sketch(values: std::ops::Range<u64>) -> Sketch {
        let mut sketch = Sketch::default();
        values.for_each(|value| sketch.add_bytes(value.to_string().as_bytes()));
        sketch
    }

    #[test]
    fn few_values_are_counted_exactly_and_many_about() {
        for count in 0..=FEW_MAX as u64 {
            assert_eq!(sketch(0..count).count(), count);
        }
        for count in [30, 200, 5_000, 1_000_000] {
            let found = sketch(0..count).count() as f64;
            let error = (found - count as f64).abs() / count as f64;
            assert!(error < 0.3, "{count}: {found}");
        }
    }

    #[test]
    fn merged_it_has_seen_what_both_have() {
        for (a, b) in
            [(0..3, 2..6), (0..5, 0..900), (0..900, 3..5), (0..700, 300..2000), (0..7, 3..12)]
        {
            let whole = sketch(a.start.min(b.start)..a.end.max(b.end));
            let mut merged = sketch(a);
            merged.merge(&sketch(b));
            assert_eq!(merged, whole);
        }
    }

    #[test]
    fn it_survives_the_log() {
        for count in [0, 1, 10, 11, 5_000] {
            let sketch = sketch(0..count);
            assert_eq!(Sketch::from_text(&sketch.to_text()), Some(sketch));
        }
        assert_eq!(Sketch::from_text("ABC"), None);
        assert_eq!(Sketch::from_text("ABCDE "), None);
    }
}
