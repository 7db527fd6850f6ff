//! Values of any type as byte strings: to compare, to keep, to tell apart.

use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringViewArray};
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::hash_utils::RandomState;

use crate::error::Result;
use crate::types::Type;

/// Writes rows of some columns as bytes that are equal when the rows are, and reads them back.
/// The bytes of columns other than a single text also sort as the rows do.
#[derive(Debug)]
pub(super) enum Encoder {
    /// A single text column: its own bytes. Such a column must have no NULL.
    Text,
    Rows(RowConverter),
}

/// Rows written by an [`Encoder`].
pub(super) enum Encoded {
    Text(StringViewArray),
    Rows(Rows),
}

impl Encoder {
    /// For these columns; `text_is_plain` promises that a single text column has no NULL.
    pub(super) fn new(types: &[Type], text_is_plain: bool) -> Result<Self> {
        match types {
            [ty] if text_is_plain && ty.to_arrow() == DataType::Utf8View => Ok(Self::Text),
            _ => {
                let fields = types.iter().map(|ty| SortField::new(ty.to_arrow())).collect();
                Ok(Self::Rows(RowConverter::new(fields)?))
            }
        }
    }

    pub(super) fn encode(&self, columns: &[ArrayRef]) -> Result<Encoded> {
        Ok(match self {
            Self::Text => Encoded::Text(columns[0].as_string_view().clone()),
            Self::Rows(converter) => Encoded::Rows(converter.convert_columns(columns)?),
        })
    }

    pub(super) fn decode<'a>(&self, rows: impl Iterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>> {
        Ok(match self {
            Self::Text => {
                // What came in as text comes out as text: nothing is lost here.
                let texts: StringViewArray =
                    rows.map(|bytes| Some(String::from_utf8_lossy(bytes))).collect();
                vec![Arc::new(texts)]
            }
            Self::Rows(converter) => {
                let parser = converter.parser();
                converter.convert_rows(rows.map(|bytes| parser.parse(bytes)))?
            }
        })
    }
}

impl Encoded {
    #[inline]
    pub(super) fn row(&self, row: usize) -> &[u8] {
        match self {
            Self::Text(texts) => texts.value(row).as_bytes(),
            Self::Rows(rows) => rows.row(row).data(),
        }
    }
}

/// Numbers distinct byte strings from 0 in the order they arrive, each kept once.
#[derive(Debug)]
pub(super) struct Interner {
    bytes: Vec<u8>,
    /// Where each string ends in `bytes`.
    ends: Vec<usize>,
    hashes: Vec<u32>,
    /// Open addressing with linear probing: number + 1, or 0 for a free slot.
    slots: Vec<u32>,
    hasher: RandomState,
}

impl Default for Interner {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            ends: Vec::new(),
            hashes: Vec::new(),
            slots: vec![0; 16],
            hasher: RandomState::default(),
        }
    }
}

impl Interner {
    /// The number of a string.
    pub(super) fn intern(&mut self, text: &[u8]) -> u32 {
        let hash = self.hasher.hash_one(text);
        // The high half is kept for comparison, the low half chooses the slot.
        let (tag, mask) = ((hash >> 32) as u32, self.slots.len() - 1);
        let mut slot = hash as usize & mask;
        loop {
            match self.slots[slot] {
                0 => break,
                found => {
                    let number = found - 1;
                    if self.hashes[number as usize] == tag && self.get(number) == text {
                        return number;
                    }
                }
            }
            slot = (slot + 1) & mask;
        }
        let number = self.ends.len() as u32;
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
        self.hashes.push(tag);
        self.slots[slot] = number + 1;
        if self.ends.len() * 2 > self.slots.len() {
            self.rehash();
        }
        number
    }

    fn rehash(&mut self) {
        let mask = self.slots.len() * 2 - 1;
        self.slots = vec![0; mask + 1];
        for number in 0..self.ends.len() as u32 {
            let mut slot = self.hasher.hash_one(self.get(number)) as usize & mask;
            while self.slots[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            self.slots[slot] = number + 1;
        }
    }

    /// How many strings there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The string of a number.
    pub(super) fn get(&self, number: u32) -> &[u8] {
        let number = number as usize;
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.bytes[start..self.ends[number]]
    }

    pub(super) fn size(&self) -> usize {
        self.bytes.capacity()
            + self.ends.capacity() * size_of::<usize>()
            + self.hashes.capacity() * size_of::<u32>()
            + self.slots.capacity() * size_of::<u32>()
    }
}
