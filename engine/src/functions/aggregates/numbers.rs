//! Sets of small numbers, as those of interned values are.

use datafusion::common::HashSet;
use datafusion::common::hash_utils::RandomState;

/// A set of numbers: by its bits where it has many of those there are, else a hash table.
#[derive(Debug)]
pub(super) enum NumberSet {
    Few(HashSet<u32, RandomState>),
    /// The bits, and how many of them are set.
    Dense(Vec<u64>, usize),
}

/// A hash table takes about as many bits for each of its numbers.
const BITS_PER_NUMBER: usize = 64;
/// Smaller sets stay hash tables.
const DENSE_MIN: usize = 64;

impl Default for NumberSet {
    fn default() -> Self {
        Self::Few(HashSet::default())
    }
}

impl NumberSet {
    /// Adds a number below `count`: true when it was not there.
    #[inline]
    pub(super) fn insert(&mut self, number: u32, count: usize) -> bool {
        match self {
            Self::Dense(bits, set) => {
                let (word, bit) = (number as usize / 64, 1 << (number % 64));
                if let Some(word) = bits.get_mut(word) {
                    let is_new = *word & bit == 0;
                    *word |= bit;
                    *set += usize::from(is_new);
                    return is_new;
                }
                self.grow(number, count)
            }
            Self::Few(numbers) => {
                if numbers.len() < numbers.capacity() || numbers.len() < DENSE_MIN {
                    return numbers.insert(number);
                }
                self.grow(number, count)
            }
        }
    }

    /// Makes room in the form that suits, then adds the number.
    #[cold]
    fn grow(&mut self, number: u32, count: usize) -> bool {
        let is_dense = count <= self.len() * BITS_PER_NUMBER;
        match (&mut *self, is_dense) {
            (Self::Dense(bits, _), true) => bits.resize(count.div_ceil(64), 0),
            (Self::Few(numbers), true) => {
                let mut bits = vec![0; count.div_ceil(64)];
                for number in numbers.iter() {
                    bits[*number as usize / 64] |= 1 << (number % 64);
                }
                *self = Self::Dense(bits, numbers.len());
            }
            (Self::Dense(..), false) => *self = Self::Few(self.iter().chain([number]).collect()),
            (Self::Few(numbers), false) => return numbers.insert(number),
        }
        match self {
            Self::Few(_) => true,
            Self::Dense(..) => self.insert(number, count),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(numbers) => numbers.len(),
            Self::Dense(_, count) => *count,
        }
    }

    /// The numbers, in any order.
    pub(super) fn iter(&self) -> Box<dyn Iterator<Item = u32> + '_> {
        match self {
            Self::Few(numbers) => Box::new(numbers.iter().copied()),
            Self::Dense(bits, _) => Box::new((0..).zip(bits).flat_map(|(word, bits)| {
                let set = (0..64).filter(move |bit| bits & (1 << bit) != 0);
                set.map(move |bit| word * 64 + bit)
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_form_holds_the_same_numbers() {
        // Dense, then sparse, then dense again, with every number twice.
        let all = (0..500).chain((1..500).map(|n| n * 1_000)).chain(400_000..500_000);
        let (mut set, mut expected) = (NumberSet::default(), BTreeSet::new());
        let mut count = 600;
        for number in all {
            count = count.max(number as usize + 1);
            for _ in 0..2 {
                assert_eq!(set.insert(number, count), expected.insert(number), "{number}");
            }
            assert_eq!(set.len(), expected.len());
        }
        assert!(matches!(set, NumberSet::Dense(..)));
        assert_eq!(set.iter().collect::<BTreeSet<_>>(), expected);
    }
}
