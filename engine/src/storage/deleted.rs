//! Rows of a file that are deleted and still there: the log says which, and nobody reads them.
//!
//! Files never change, so that a few deleted rows are a mark in the log, as a Roaring bitmap
//! (<https://roaringbitmap.org>), until upkeep writes the file anew without them.

use std::ops::Range;

use arrow::buffer::BooleanBuffer;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use roaring::RoaringBitmap;

use crate::error::{Error, ErrorKind, Result};

/// The deleted rows of one file, by their number in it; at least one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DeletedRows {
    rows: RoaringBitmap,
    /// Since when the oldest of them is deleted, in milliseconds since the epoch.
    pub(crate) since_ms: i64,
}

impl DeletedRows {
    /// None where there are no rows.
    pub(crate) fn new(mut rows: RoaringBitmap, since_ms: i64) -> Option<Self> {
        rows.optimize();
        (!rows.is_empty()).then_some(Self { rows, since_ms })
    }

    /// These, and those deleted before.
    pub(crate) fn with(self, before: Option<&Self>) -> Self {
        let Some(before) = before else { return self };
        let mut rows = self.rows | &before.rows;
        rows.optimize();
        Self { rows, since_ms: self.since_ms.min(before.since_ms) }
    }

    pub(crate) fn has_all(&self, rows: &RoaringBitmap) -> bool {
        rows.is_subset(&self.rows)
    }

    pub(crate) fn count(&self) -> u64 {
        self.rows.len()
    }

    /// After the last of them.
    pub(crate) fn end(&self) -> u64 {
        self.rows.max().map_or(0, |last| u64::from(last) + 1)
    }

    /// In the log.
    pub(crate) fn bytes(&self) -> usize {
        self.rows.serialized_size()
    }

    /// The rows of a range that are not deleted; none when all are there.
    pub(crate) fn kept(&self, range: Range<u64>) -> Option<BooleanBuffer> {
        let row = |row: u64| u32::try_from(row).unwrap_or(u32::MAX);
        let (start, end) = (row(range.start), row(range.end));
        if self.rows.range_cardinality(start..end) == 0 {
            return None;
        }
        let mut deleted = self.rows.range(start..end).peekable();
        let kept = (start..end).map(|row| deleted.next_if_eq(&row).is_none());
        Some(kept.collect())
    }

    pub(crate) fn to_text(&self) -> String {
        let mut bytes = Vec::with_capacity(self.bytes());
        // Writing to memory does not fail.
        let _ = self.rows.serialize_into(&mut bytes);
        format!("{}:{}", self.since_ms, BASE64_STANDARD.encode(bytes))
    }

    /// # Errors
    /// `Storage` for what [`Self::to_text`] has not written: rows would come back.
    pub(crate) fn from_text(text: &str) -> Result<Self> {
        let read = || {
            let (since_ms, rows) = text.split_once(':')?;
            let bytes = BASE64_STANDARD.decode(rows).ok()?;
            let rows = RoaringBitmap::deserialize_from(bytes.as_slice()).ok()?;
            Self::new(rows, since_ms.parse().ok()?)
        };
        read().ok_or_else(|| {
            Error::new(ErrorKind::Storage, "the log's list of deleted rows cannot be read")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deleted(rows: impl IntoIterator<Item = u32>) -> DeletedRows {
        DeletedRows::new(rows.into_iter().collect(), 7).unwrap()
    }

    #[test]
    fn the_log_keeps_them() {
        let rows = deleted([0, 5, 70_000].into_iter().chain(100_000..200_000));
        assert_eq!(DeletedRows::from_text(&rows.to_text()).unwrap(), rows);
        assert!(rows.to_text().len() < 200);
        assert!(DeletedRows::new(RoaringBitmap::new(), 7).is_none());
        for damaged in ["", "7:", "7:AAAA", "x:OjAAAA=="] {
            assert!(DeletedRows::from_text(damaged).is_err(), "{damaged}");
        }
    }

    #[test]
    fn kept_rows_of_a_range() {
        let rows = deleted([3, 4, 9]);
        let kept = |range| rows.kept(range).map(|kept| kept.iter().collect::<Vec<_>>());
        assert_eq!(kept(0..3), None);
        assert_eq!(kept(2..6), Some(vec![true, false, false, true]));
        assert_eq!(kept(9..10), Some(vec![false]));
        assert_eq!(kept(10..1 << 40), None);
    }

    #[test]
    fn later_ones_join_those_before() {
        let both = deleted([1]).with(Some(&DeletedRows { since_ms: 3, ..deleted([2, 1]) }));
        assert_eq!(both, DeletedRows { since_ms: 3, ..deleted([1, 2]) });
        assert_eq!((both.count(), both.end()), (2, 3));
    }
}
