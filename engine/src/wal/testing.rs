//! What the tests of both logs share.

use std::ops::RangeInclusive;

use bytes::Bytes;
use futures::TryStreamExt;

use super::{Seq, Wal};
use crate::error::Result;

/// Runs a test with many seeds. One that fails is named; `HEDGEROW_TEST_SEED` runs it alone, and
/// `HEDGEROW_TEST_SEEDS` sets how many there are.
pub(super) fn with_seeds(count: u64, test: impl Fn(u64)) {
    struct Named(u64);
    impl Drop for Named {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("failed with HEDGEROW_TEST_SEED={}", self.0);
            }
        }
    }
    for seed in seeds(count) {
        let _named = Named(seed);
        test(seed);
    }
}

/// So many seeds, unless the environment says otherwise.
pub(crate) fn seeds(count: u64) -> RangeInclusive<u64> {
    let wanted = |name| std::env::var(name).ok().map(|number| number.parse().unwrap());
    let all = 1..=wanted("HEDGEROW_TEST_SEEDS").unwrap_or(count);
    wanted("HEDGEROW_TEST_SEED").map_or(all, |seed| seed..=seed)
}

/// xorshift64*, so that a seed gives the same run everywhere.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// From 0 to before `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        ((self.next() >> 33) % end as u64) as usize
    }

    pub(super) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// A record, now and then with zeros in it, as they can be mistaken for what a disk never
    /// wrote.
    pub(super) fn record(&mut self, bytes_max: usize) -> Bytes {
        let length = self.below(bytes_max + 1);
        let mut record: Vec<u8> = (0..length).map(|_| self.next() as u8).collect();
        if self.percent(10) {
            record[length / 2..].fill(0);
        }
        record.into()
    }

    pub(super) fn records(&mut self, count_max: usize, bytes_max: usize) -> Vec<Bytes> {
        (0..=self.below(count_max)).map(|_| self.record(bytes_max)).collect()
    }
}

pub(super) async fn replayed(wal: &dyn Wal, after: u64) -> Result<Vec<(Seq, Bytes)>> {
    wal.replay(Seq(after)).try_collect().await
}

/// Records with their positions, from `first` on.
pub(super) fn numbered(first: u64, records: &[Bytes]) -> Vec<(Seq, Bytes)> {
    (first..).map(Seq).zip(records.iter().cloned()).collect()
}

/// A record that names itself.
pub(super) fn text(text: impl std::fmt::Display) -> Bytes {
    Bytes::from(text.to_string())
}
