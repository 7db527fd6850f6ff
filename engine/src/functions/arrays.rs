//! Arrays.
//!
//! Almost every function here rearranges elements: its kernel says which elements of which
//! arrays make up each row, and [`Picker`] fetches them. Elements are compared through Arrow's
//! row format, so that any type will do and NULL equals NULL.

pub(super) mod aligned;
pub mod combine;
pub mod make;
pub mod search;

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, UInt32Array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{concat, take};
use datafusion::common::ScalarValue;
use hedgerow_parser::Span;

use super::adapter::laid_out;
use super::aggregates::default_value;
use super::arguments::Arguments;
use super::coerce::common;
use super::function::{Arg, Argument, Function, Nulls, Returns};
use super::{PlanContext, Typed, maps, tuples};
use crate::error::{Error, ErrorKind, Result};
use crate::types::Type;

/// Parts of arrays.
pub(super) const FUNCTIONS: &[Function] = &[
    Function::scalar("__arrayLength", &[Arg::Any], Returns::Int, |args| {
        if matches!(args.types[0], Type::Map(..)) {
            return Ok(args.ints(|row| Some(maps::range(args, 0, row)?.len() as i64)));
        }
        let lists = Lists::new(args, 0);
        Ok(args.ints(|row| Some(lists.range(row)?.len() as i64)))
    })
    .doc("The number of elements of an array or map."),
    Function::rewrite("arrayElement", &[Arg::Any, Arg::Any], |cx, span, args| {
        element(cx, span, args)
    })
    .doc(
        "The element at a 1-based place, from the end if negative, or the value of a key of a \
         map; the default of the type (0, '', ...) where there is none. Same as `a[i]`.",
    )
    .examples(&[
        ("arrayElement([10, 20], 1)", "10"),
        ("arrayElement([10, 20], -1)", "20"),
        ("arrayElement([10, 20], 5)", "0"),
        ("arrayElement(map('a', 1), 'a')", "1"),
    ]),
    ELEMENT,
    Function::scalar("arraySlice", &[Arg::Array, Arg::Int, Arg::Int], Returns::First, slice)
        .optional(1)
        .nulls(Nulls::First)
        .doc(
            "So many elements from a 1-based place; a negative place counts from the end, a \
             negative length leaves so many off.",
        )
        .examples(&[
            ("arraySlice([1, 2, 3, 4], 2, 2)", "[2,3]"),
            ("arraySlice([1, 2, 3, 4], -2)", "[3,4]"),
            ("arraySlice([1, 2, 3, 4], 2, -1)", "[2,3]"),
        ]),
    Function::scalar("arrayReverse", &[Arg::Array], Returns::First, |args| {
        rearranged(args, |range, out| out.extend(range.rev()))
    })
    .doc("The elements from last to first.")
    .examples(&[("arrayReverse([1, 2, 3])", "[3,2,1]")]),
    Function::scalar("arrayPopBack", &[Arg::Array], Returns::First, |args| {
        rearranged(args, |range, out| out.extend(range.start..range.end.max(range.start + 1) - 1))
    })
    .doc("Without the last element.")
    .examples(&[("arrayPopBack([1, 2])", "[1]")]),
    Function::scalar("arrayPopFront", &[Arg::Array], Returns::First, |args| {
        rearranged(args, |range, out| out.extend(range.skip(1)))
    })
    .doc("Without the first element.")
    .examples(&[("arrayPopFront([1, 2])", "[2]")]),
    Function::scalar("arrayRotateLeft", &[Arg::Array, Arg::Int], Returns::First, |args| {
        rotate(args, 1)
    })
    .doc("So many elements moved from the beginning to the end.")
    .examples(&[("arrayRotateLeft([1, 2, 3], 1)", "[2,3,1]")]),
    Function::scalar("arrayRotateRight", &[Arg::Array, Arg::Int], Returns::First, |args| {
        rotate(args, -1)
    })
    .doc("So many elements moved from the end to the beginning.")
    .examples(&[("arrayRotateRight([1, 2, 3], 1)", "[3,1,2]")]),
    Function::rewrite("arrayJoin", &[Arg::Array], |_, _, _| {
        // Lowering plans it, where rows can be repeated.
        Err(Error::unsupported("arrayJoin stands where no row can be repeated")
            .hint("Use ARRAY JOIN after FROM, which also makes one row per element."))
    })
    .doc(
        "One row for each element of the array, the other columns repeated. Several of them give \
         all combinations.",
    )
    .examples(&[("arrayJoin([1])", "error: arrayJoin stands where no row can be repeated")]),
];

const ELEMENT: Function = Function::scalar(
    "__arrayElement",
    &[Arg::Array, Arg::Int],
    Returns::Derived(element_type),
    |args| {
        let lists = Lists::new(args, 0);
        let indexes = args.int(1);
        let default = default_value(args.returns)?.to_array_of_size(1)?;
        let default = laid_out(default, lists.values().data_type())?;
        let source = concat(&[lists.values(), &default])?;
        let outside = (source.len() - 1) as u32;
        let places = (0..args.rows).map(|row| {
            let range = lists.range(row)?;
            Some(place(indexes.get(row)?, &range).map_or(outside, |at| at as u32))
        });
        Ok(take(&source, &places.collect::<UInt32Array>(), None)?)
    },
)
.nulls(Nulls::Introduce)
.doc("The element at a 1-based place; the default of the type where there is none.");

/// The type of the elements of the first argument.
pub(super) fn element_type(args: &[Argument<'_>]) -> Result<Type> {
    match args.first().map(|arg| &arg.ty) {
        Some(Type::Array(element)) => Ok(element.as_ref().clone()),
        _ => Err(Error::internal("arguments were not converted")),
    }
}

/// `a[i]`.
fn element(cx: &dyn PlanContext, span: Span, args: Vec<Typed>) -> Result<Typed> {
    let [value, index] = super::arithmetic::two(args)?;
    let zero = matches!(index.as_constant(), Some(ScalarValue::Int64(Some(0))));
    if zero && !matches!(value.ty, Type::Map(..)) {
        return Err(Error::new(ErrorKind::InvalidArgument, "index 0 is out of bounds")
            .hint("The first element has index 1.")
            .at(index.span));
    }
    match &value.ty {
        Type::Array(_) => {
            let (found, place) = (index.ty.clone(), index.span);
            ELEMENT.call(cx, span, vec![], vec![value, index]).map_err(|error| match error.kind {
                ErrorKind::TypeMismatch => {
                    let message =
                        format!("the index of an array must be an integer, found {found}");
                    Error::new(ErrorKind::TypeMismatch, message).at(place)
                }
                _ => error,
            })
        }
        Type::Map(key, _) => {
            let index = cx.coerce(index, key)?;
            maps::ELEMENT.call(cx, span, vec![], vec![value, index])
        }
        Type::Tuple(_) => tuples::ELEMENT.call(cx, span, vec![], vec![value, index]),
        Type::Json => {
            Err(Error::new(ErrorKind::InvalidArgument, "the key of JSON must be constant")
                .hint("Read computed keys with JSONExtractString(json, key).")
                .at(index.span))
        }
        ty => Err(Error::new(ErrorKind::TypeMismatch, format!("{ty} has no elements"))
            .hint("Index arrays, maps and tuples; text is cut with substring(...).")),
    }
}

/// Where a 1-based index, negative from the end, lies in a range.
fn place(index: i64, range: &Range<usize>) -> Option<usize> {
    let length = i64::try_from(range.len()).ok()?;
    let offset = if index > 0 { index - 1 } else { length.saturating_add(index) };
    let inside = index != 0 && (0..length).contains(&offset);
    inside.then(|| range.start + offset as usize)
}

/// An array argument.
pub(super) struct Lists<'a> {
    lists: &'a ListArray,
    constant: bool,
}

impl<'a> Lists<'a> {
    pub(super) fn new(args: &'a Arguments<'_>, index: usize) -> Self {
        Self { lists: args.raw(index).as_list::<i32>(), constant: args.is_constant(index) }
    }

    /// All elements of all rows.
    pub(super) fn values(&self) -> &'a ArrayRef {
        self.lists.values()
    }

    /// Which of the elements make up a row; none for NULL.
    pub(super) fn range(&self, row: usize) -> Option<Range<usize>> {
        let row = if self.constant { 0 } else { row };
        let offsets = self.lists.value_offsets();
        self.lists.is_valid(row).then(|| offsets[row] as usize..offsets[row + 1] as usize)
    }
}

/// Collects, row by row, which elements of a source make up the result.
pub(super) struct Picker {
    places: Vec<usize>,
    lengths: Vec<usize>,
    present: Vec<bool>,
}

impl Picker {
    pub(super) fn new(rows: usize) -> Self {
        let (lengths, present) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
        Self { places: Vec::new(), lengths, present }
    }

    /// Adds a row; `pick` adds its places, or says that it is NULL.
    pub(super) fn row(&mut self, pick: impl FnOnce(&mut Vec<usize>) -> Option<()>) {
        let before = self.places.len();
        let present = pick(&mut self.places).is_some();
        if !present {
            self.places.truncate(before);
        }
        self.lengths.push(self.places.len() - before);
        self.present.push(present);
    }

    /// The arrays of elements taken from `source`.
    ///
    /// # Errors
    /// `OutOfRange` for more elements than a batch can hold.
    pub(super) fn finish(self, source: &ArrayRef, element: &Type) -> Result<ArrayRef> {
        let too_many = || Error::new(ErrorKind::OutOfRange, "too many array elements");
        let places: Result<UInt32Array> = self
            .places
            .iter()
            .map(|place| u32::try_from(*place).map_err(|_| too_many()))
            .collect::<Result<Vec<_>>>()
            .map(UInt32Array::from);
        i32::try_from(self.places.len()).map_err(|_| too_many())?;
        let values = take(source, &places?, None)?;
        Ok(Arc::new(ListArray::try_new(
            element.item_field(),
            OffsetBuffer::from_lengths(self.lengths),
            values,
            Some(self.present.into()),
        )?))
    }
}

/// The type of the elements of the result.
pub(super) fn element_of<'a>(args: &'a Arguments<'_>) -> Result<&'a Type> {
    match args.returns {
        Type::Array(element) => Ok(element),
        _ => Err(Error::internal("the result is an array")),
    }
}

/// A kernel that rearranges the elements of its only argument.
fn rearranged(args: &Arguments<'_>, pick: fn(Range<usize>, &mut Vec<usize>)) -> Result<ArrayRef> {
    let lists = Lists::new(args, 0);
    let mut picker = Picker::new(args.rows);
    for row in 0..args.rows {
        picker.row(|out| {
            pick(lists.range(row)?, out);
            Some(())
        });
    }
    picker.finish(lists.values(), element_of(args)?)
}

/// As in ClickHouse, a NULL place is the first one, and a NULL length all that follows.
fn slice(args: &Arguments<'_>) -> Result<ArrayRef> {
    let (lists, from) = (Lists::new(args, 0), args.int(1));
    let lengths = (args.count() > 2).then(|| args.int(2));
    let mut picker = Picker::new(args.rows);
    for row in 0..args.rows {
        picker.row(|out| {
            let range = lists.range(row)?;
            let length = lengths.and_then(|lengths| lengths.get(row));
            let from = from.get(row).unwrap_or(1);
            let (begin, end) = super::strings::slice_range(range.len(), from, length);
            out.extend(range.start + begin..range.start + end);
            Some(())
        });
    }
    picker.finish(lists.values(), element_of(args)?)
}

fn rotate(args: &Arguments<'_>, sign: i64) -> Result<ArrayRef> {
    let (lists, counts) = (Lists::new(args, 0), args.int(1));
    let mut picker = Picker::new(args.rows);
    for row in 0..args.rows {
        picker.row(|out| {
            let range = lists.range(row)?;
            let length = range.len() as i64;
            if length > 0 {
                let by = (sign * (counts.get(row)? % length)).rem_euclid(length) as usize;
                out.extend(range.start + by..range.end);
                out.extend(range.start..range.start + by);
            }
            Some(())
        });
    }
    picker.finish(lists.values(), element_of(args)?)
}

/// Brings all arguments, which are arrays, to one type.
pub(super) fn same_arrays(cx: &dyn PlanContext, _: Span, args: &mut Vec<Typed>) -> Result<()> {
    let (same, _) = common(std::mem::take(args), cx.timezone())?;
    *args = same;
    Ok(())
}

/// Brings an array and a value to one element type.
pub(super) fn same_element(cx: &dyn PlanContext, _: Span, args: &mut Vec<Typed>) -> Result<()> {
    let [array, value] = super::arithmetic::two(std::mem::take(args))?;
    let (array, value) = with_element(cx, array, value)?;
    args.extend([array, value]);
    Ok(())
}

/// An array and a value of one element type.
pub(super) fn with_element(
    cx: &dyn PlanContext,
    array: Typed,
    value: Typed,
) -> Result<(Typed, Typed)> {
    let element = match &array.ty {
        Type::Array(element) => element.as_ref().clone(),
        Type::Null if value.ty == Type::Null => Type::Null,
        Type::Null => {
            let array = cx.coerce(array, &value.ty.clone().array())?;
            return Ok((array, value));
        }
        ty => {
            return Err(Error::new(
                ErrorKind::TypeMismatch,
                format!("expected an array, found {ty}"),
            )
            .at(array.span));
        }
    };
    // Text constants become what the elements are.
    let ty = match (cx.coerce(value.clone(), &element), element.common(&value.ty)) {
        (Ok(value), _) if element == Type::Null => value.ty,
        (Ok(_), _) => element,
        (Err(_), Some(ty)) => ty,
        (Err(error), None) => return Err(error),
    };
    Ok((cx.coerce(array, &ty.clone().array())?, cx.coerce(value, &ty)?))
}
