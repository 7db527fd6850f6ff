//! The elements of arrays, one after the other.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListArray, UInt32Array, UInt64Array};
use arrow::buffer::{BooleanBuffer, NullBuffer, OffsetBuffer};
use arrow::compute::{cast, take};
use arrow::datatypes::DataType;

use crate::error::{Error, ErrorKind, Result};
use crate::functions::aggregates::passing;
use crate::types::Type;

/// The elements of parallel arrays of all rows. A row with a NULL array has none.
pub(super) struct Flat {
    /// Per array, the elements of all rows.
    pub(super) values: Vec<ArrayRef>,
    /// Where the elements of each row begin and end.
    pub(super) offsets: OffsetBuffer<i32>,
    /// Which rows have an array.
    pub(super) nulls: Option<NullBuffer>,
}

/// Elements with what the lambda gave for each.
pub(super) struct Elements<'a> {
    pub(super) flat: &'a Flat,
    pub(super) results: ArrayRef,
    /// The type of these.
    pub(super) result: Type,
    pub(super) returns: &'a Type,
}

impl Flat {
    /// # Errors
    /// `InvalidArgument` when the arrays of a row differ in length.
    pub(super) fn new(arrays: &[ArrayRef]) -> Result<Self> {
        let lists: Vec<&ListArray> = arrays.iter().map(|array| array.as_list()).collect();
        let nulls = lists
            .iter()
            .fold(None, |nulls, list| NullBuffer::union(nulls.as_ref(), list.nulls()))
            .filter(|nulls| nulls.null_count() > 0);
        let rows = lists[0].len();
        let valid = |row: &usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(*row));
        for other in &lists[1..] {
            let unequal = |row: &usize| lists[0].value_length(*row) != other.value_length(*row);
            if let Some(row) = (0..rows).filter(valid).find(unequal) {
                let (a, b) = (lists[0].value_length(row), other.value_length(row));
                return Err(Error::new(
                    ErrorKind::InvalidArgument,
                    format!("arrays of different length: {a} and {b}"),
                ));
            }
        }
        let length = |row| if valid(&row) { lists[0].value_length(row) as usize } else { 0 };
        let offsets = OffsetBuffer::from_lengths((0..rows).map(length));
        let values = lists.iter().map(|list| elements(list, nulls.as_ref()));
        Ok(Self { values: values.collect::<Result<_>>()?, offsets, nulls })
    }

    /// How many elements there are.
    pub(super) fn len(&self) -> usize {
        self.values[0].len()
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The places of a row's elements.
    pub(super) fn range(&self, row: usize) -> Range<usize> {
        self.offsets[row] as usize..self.offsets[row + 1] as usize
    }

    /// The row of each element.
    pub(super) fn owners(&self) -> UInt32Array {
        let rows = 0..self.rows();
        let rows = rows.flat_map(|row| std::iter::repeat_n(row as u32, self.range(row).len()));
        UInt32Array::from_iter_values(rows)
    }

    /// What the parameters of a lambda are for each element.
    pub(super) fn params(&self, unpacks: bool) -> Vec<ArrayRef> {
        match (unpacks, self.values.as_slice()) {
            (true, [tuples]) => {
                let tuples = tuples.as_struct();
                let nulls = tuples.nulls();
                tuples.columns().iter().map(|column| with_nulls(column, nulls)).collect()
            }
            _ => self.values.clone(),
        }
    }

    /// An array per row out of one value per element.
    pub(super) fn lists(&self, values: ArrayRef, item: &Type) -> Result<ArrayRef> {
        let (offsets, nulls) = (self.offsets.clone(), self.nulls.clone());
        Ok(Arc::new(ListArray::try_new(item.item_field(), offsets, values, nulls)?))
    }

    /// An array per row out of the elements at some places, given row by row.
    pub(super) fn pick(
        &self,
        places: Vec<u64>,
        lengths: impl Iterator<Item = usize>,
        item: &Type,
    ) -> Result<ArrayRef> {
        let values = take(&self.values[0], &UInt64Array::from(places), None)?;
        let offsets = OffsetBuffer::from_lengths(lengths);
        Ok(Arc::new(ListArray::try_new(item.item_field(), offsets, values, self.nulls.clone())?))
    }
}

/// The fields of a NULL tuple are NULL.
fn with_nulls(column: &ArrayRef, nulls: Option<&NullBuffer>) -> ArrayRef {
    match nulls {
        Some(nulls) if nulls.null_count() > 0 => {
            let absent = BooleanArray::new(!nulls.inner(), None);
            arrow::compute::nullif(column, &absent).unwrap_or_else(|_| Arc::clone(column))
        }
        _ => Arc::clone(column),
    }
}

/// The elements of the rows that are not NULL.
fn elements(list: &ListArray, nulls: Option<&NullBuffer>) -> Result<ArrayRef> {
    let offsets = list.value_offsets();
    let (first, last) = (offsets[0] as usize, offsets[list.len()] as usize);
    let Some(nulls) = nulls else {
        return Ok(list.values().slice(first, last - first));
    };
    let rows = (0..list.len()).filter(|row| nulls.is_valid(*row));
    let places = rows.flat_map(|row| offsets[row] as u64..offsets[row + 1] as u64);
    Ok(take(list.values(), &UInt64Array::from_iter_values(places), None)?)
}

impl Elements<'_> {
    /// For each element, whether the lambda's result is true; NULL and 0 are not.
    pub(super) fn met(&self) -> Result<BooleanBuffer> {
        let results = match self.results.data_type() {
            DataType::Boolean => Arc::clone(&self.results),
            DataType::Null => return Ok(BooleanBuffer::new_unset(self.results.len())),
            _ => cast(&self.results, &DataType::Boolean)?,
        };
        Ok(passing(results.as_boolean()))
    }
}
