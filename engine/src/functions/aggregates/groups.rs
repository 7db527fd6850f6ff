//! What every aggregate is made of: the states of all groups of one call.
//!
//! One implementation serves hash grouping, grouping by order, windows and merging; the adapter
//! (`adapter.rs`) translates between it and DataFusion's accumulators.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListArray};
use arrow::buffer::{BooleanBuffer, NullBuffer, OffsetBuffer};
use arrow::compute::{FilterBuilder, filter};
use arrow::datatypes::UInt64Type;

use crate::error::Result;
use crate::types::Type;

/// The states of all groups. Groups are numbered from 0 without gaps.
pub(super) trait Groups: Debug + Send + Sync {
    /// The type of the result.
    fn returns(&self) -> Type;

    /// The columns of a written state.
    fn state_types(&self) -> Vec<Type>;

    /// True when the result may be NULL, as that of `max` over no rows.
    fn nullable(&self) -> bool {
        true
    }

    /// True when rows with a NULL among the arguments are left out before [`Self::update`].
    fn skips_null(&self) -> bool {
        true
    }

    /// Adds empty groups until there are `count`.
    fn grow(&mut self, count: usize);

    /// Adds rows: one array per argument, and the group of each row.
    fn update(&mut self, args: &[ArrayRef], groups: &[usize]) -> Result<()>;

    /// Adds written states, and the group of each.
    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()>;

    /// Writes the states of the first `count` groups.
    fn state(&self, count: usize) -> Result<Vec<ArrayRef>>;

    /// The results of the first `count` groups.
    fn finish(&self, count: usize) -> Result<ArrayRef>;

    /// Drops the first `count` groups and numbers the others from 0.
    fn forget(&mut self, count: usize);

    /// Bytes held, roughly.
    fn size(&self) -> usize;
}

/// Makes empty [`Groups`].
pub(super) type Make = Arc<dyn Fn() -> Result<Box<dyn Groups>> + Send + Sync>;

/// Adds the rows that pass `mask` and, where the aggregate wants it so, have no NULL.
pub(super) fn add(
    to: &mut dyn Groups,
    args: &[ArrayRef],
    groups: &[usize],
    mask: Option<&BooleanArray>,
) -> Result<()> {
    let passes = mask.map(passing);
    let present = if to.skips_null() { present(args) } else { None };
    let wanted = match (passes, present) {
        (Some(a), Some(b)) => &a & &b,
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => return to.update(args, groups),
    };
    match wanted.count_set_bits() {
        0 => Ok(()),
        all if all == groups.len() => to.update(args, groups),
        _ => {
            let (args, groups) = keep(args, groups, &BooleanArray::new(wanted, None))?;
            to.update(&args, &groups)
        }
    }
}

/// The rows where `mask` is true.
pub(super) fn keep(
    columns: &[ArrayRef],
    groups: &[usize],
    mask: &BooleanArray,
) -> Result<(Vec<ArrayRef>, Vec<usize>)> {
    let columns = match columns {
        [] => Vec::new(),
        [one] => vec![filter(one, mask)?],
        _ => {
            let predicate = FilterBuilder::new(mask).optimize().build();
            columns.iter().map(|column| predicate.filter(column)).collect::<Result<_, _>>()?
        }
    };
    let rows = passing(mask);
    Ok((columns, rows.set_indices().map(|row| groups[row]).collect()))
}

/// True where a condition is true, false where it is false or NULL.
pub(crate) fn passing(mask: &BooleanArray) -> BooleanBuffer {
    match mask.nulls() {
        Some(nulls) => mask.values() & nulls.inner(),
        None => mask.values().clone(),
    }
}

/// True where no column is NULL; none when that is everywhere.
fn present(columns: &[ArrayRef]) -> Option<BooleanBuffer> {
    let nulls = columns.iter().fold(None, |nulls: Option<NullBuffer>, column| {
        NullBuffer::union(nulls.as_ref(), column.logical_nulls().as_ref())
    });
    nulls.filter(|nulls| nulls.null_count() > 0).map(|nulls| nulls.inner().clone())
}

/// An aggregate whose groups know nothing of each other.
pub(super) trait Kernel: Debug + Send + Sync {
    type Group: Default + Debug + Send + Sync;
    /// Bytes a group's heap grows by for each row.
    const ROW_BYTES: usize = 0;

    fn returns(&self) -> Type;
    fn state_types(&self) -> Vec<Type>;
    fn nullable(&self) -> bool {
        true
    }
    fn skips_null(&self) -> bool {
        true
    }
    fn update(&self, to: &mut [Self::Group], args: &[ArrayRef], groups: &[usize]) -> Result<()>;
    fn merge(&self, to: &mut [Self::Group], states: &[ArrayRef], groups: &[usize]) -> Result<()>;
    fn state(&self, groups: &[Self::Group]) -> Result<Vec<ArrayRef>>;
    fn finish(&self, groups: &[Self::Group]) -> Result<ArrayRef>;
}

/// The groups of a [`Kernel`].
#[derive(Debug)]
pub(super) struct PerGroup<K: Kernel> {
    kernel: K,
    groups: Vec<K::Group>,
    rows: usize,
}

impl<K: Kernel + 'static> PerGroup<K> {
    pub(super) fn boxed(kernel: K) -> Box<dyn Groups> {
        Box::new(Self { kernel, groups: Vec::new(), rows: 0 })
    }
}

impl<K: Kernel> Groups for PerGroup<K> {
    fn returns(&self) -> Type {
        self.kernel.returns()
    }

    fn state_types(&self) -> Vec<Type> {
        self.kernel.state_types()
    }

    fn nullable(&self) -> bool {
        self.kernel.nullable()
    }

    fn skips_null(&self) -> bool {
        self.kernel.skips_null()
    }

    fn grow(&mut self, count: usize) {
        if self.groups.len() < count {
            self.groups.resize_with(count, K::Group::default);
        }
    }

    fn update(&mut self, args: &[ArrayRef], groups: &[usize]) -> Result<()> {
        self.rows += groups.len();
        self.kernel.update(&mut self.groups, args, groups)
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        self.rows += match states.first().and_then(|state| state.as_list_opt::<i32>()) {
            Some(lists) => elements(lists),
            None => groups.len(),
        };
        self.kernel.merge(&mut self.groups, states, groups)
    }

    fn state(&self, count: usize) -> Result<Vec<ArrayRef>> {
        self.kernel.state(&self.groups[..count])
    }

    fn finish(&self, count: usize) -> Result<ArrayRef> {
        self.kernel.finish(&self.groups[..count])
    }

    fn forget(&mut self, count: usize) {
        self.groups.drain(..count);
        if self.groups.is_empty() {
            self.rows = 0;
        }
    }

    fn size(&self) -> usize {
        self.groups.capacity() * size_of::<K::Group>() + self.rows * K::ROW_BYTES
    }
}

fn elements(lists: &ListArray) -> usize {
    let offsets = lists.value_offsets();
    (offsets[lists.len()] - offsets[0]) as usize
}

/// Builds an array of lists from the values of all lists in a row and the length of each.
pub(super) fn lists(
    values: ArrayRef,
    item: &Type,
    lengths: impl Iterator<Item = usize>,
) -> ListArray {
    ListArray::new(item.item_field(), OffsetBuffer::from_lengths(lengths), values, None)
}

/// The elements of all lists in a row, and the group of each. NULL is an empty list.
pub(super) fn explode(lists: &ListArray, groups: &[usize]) -> Result<(ArrayRef, Vec<usize>)> {
    let offsets = lists.value_offsets();
    let (first, last) = (offsets[0] as usize, offsets[lists.len()] as usize);
    let mut owners = Vec::with_capacity(last - first);
    if lists.null_count() == 0 {
        for (row, group) in groups.iter().enumerate() {
            let length = (offsets[row + 1] - offsets[row]) as usize;
            owners.extend(std::iter::repeat_n(*group, length));
        }
        return Ok((lists.values().slice(first, last - first), owners));
    }
    let mut wanted = Vec::with_capacity(last - first);
    for (row, group) in groups.iter().enumerate().filter(|(row, _)| lists.is_valid(*row)) {
        let elements = offsets[row] as u64..offsets[row + 1] as u64;
        owners.extend(std::iter::repeat_n(*group, elements.clone().count()));
        wanted.extend(elements);
    }
    let wanted = arrow::array::PrimitiveArray::<UInt64Type>::from(wanted);
    Ok((arrow::compute::take(lists.values(), &wanted, None)?, owners))
}
