//! Where a node stands in the text it was parsed from.

use std::ops::Range;

/// A range of bytes in the source text, end exclusive.
///
/// Byte offsets always fall on character boundaries; [`Span::position`] turns the start into
/// the 1-based character position that error reports use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The span from `start` to `end`, in bytes.
    pub fn new(start: u32, end: u32) -> Self {
        Self { start, end }
    }

    /// The smallest span that covers both.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// The bytes as an index range.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The 1-based position of the first byte, counted in characters of `text`.
    pub fn position(self, text: &str) -> usize {
        let end = (self.start as usize).min(text.len());
        text.char_indices().take_while(|(at, _)| *at < end).count() + 1
    }
}
