//! Making arrays.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, ListArray, StructArray, UInt32Array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{concat, interleave, take};
use arrow::datatypes::DataType;
use hedgerow_parser::Span;

use super::{Lists, Picker, element_of, element_type};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::arguments::Arguments;
use crate::functions::arithmetic::one;
use crate::functions::coerce::common;
use crate::functions::function::{Arg, Argument, Function, Nulls, Returns};
use crate::functions::{PlanContext, Typed};
use crate::types::Type;

/// The most elements that `range` makes in one batch.
const RANGE_ELEMENTS_MAX: usize = 50_000_000;

macro_rules! empty_array {
    ($name:literal, $ty:expr) => {
        Function::scalar($name, &[], Returns::Derived(|_| Ok($ty.array())), |args| {
            let mut picker = Picker::new(args.rows);
            (0..args.rows).for_each(|_| picker.row(|_| Some(())));
            let element = element_of(args)?;
            picker.finish(&arrow::array::new_empty_array(&element.to_arrow()), element)
        })
        .doc("An empty array.")
        .examples(&[(concat!($name, "()"), "[]")])
    };
}

/// Arrays out of values.
pub(in crate::functions) const FUNCTIONS: &[Function] = &[
    Function::scalar("array", &[Arg::Any], Returns::Derived(array_type), array)
        .optional(1)
        .variadic()
        .prepare(one_type)
        .nulls(Nulls::Absorb)
        .doc("An array of the arguments. Same as `[a, b]`.")
        .examples(&[("array(1, 2.5)", "[1,2.5]"), ("array('a', NULL)", "['a',NULL]")]),
    Function::scalar(
        "range",
        &[Arg::Int, Arg::Int, Arg::Int],
        Returns::Derived(|_| Ok(Type::Int64.array())),
        range,
    )
    .optional(2)
    .doc("The integers up to an end, from a start, by a step: (end), (start, end[, step]).")
    .examples(&[
        ("range(3)", "[0,1,2]"),
        ("range(1, 4)", "[1,2,3]"),
        ("range(5, 0, -2)", "[5,3,1]"),
    ]),
    Function::scalar(
        "arrayEnumerate",
        &[Arg::Array],
        Returns::Derived(|_| Ok(Type::Int64.array())),
        |args| {
            let lists = Lists::new(args, 0);
            integers(args, |row, out| {
                out.extend(1..=lists.range(row)?.len() as i64);
                Some(())
            })
        },
    )
    .doc("1, 2, 3, ... as many as there are elements.")
    .examples(&[("arrayEnumerate(['a', 'b'])", "[1,2]")]),
    Function::scalar(
        "arrayWithConstant",
        &[Arg::Int, Arg::Any],
        Returns::Derived(|args| Ok(args[1].ty.clone().array())),
        with_constant,
    )
    .nulls(Nulls::Custom)
    .doc("An array of so many times the second argument.")
    .examples(&[("arrayWithConstant(3, 'a')", "['a','a','a']")]),
    Function::scalar("arrayZip", &[Arg::Array], Returns::Derived(zip_type), zip)
        .variadic()
        .doc("An array of tuples of the elements at the same place of arrays of equal length.")
        .examples(&[("arrayZip([1, 2], ['a', 'b'])", "[(1,'a'),(2,'b')]")]),
    Function::scalar("arrayFlatten", &[Arg::Array], Returns::Derived(flat_type), flatten)
        .aliases(&["flatten"])
        .doc("All innermost elements of nested arrays as one array.")
        .examples(&[("arrayFlatten([[1, 2], [3]])", "[1,2,3]")]),
    empty_array!("emptyArrayString", Type::String),
    empty_array!("emptyArrayInt64", Type::Int64),
    empty_array!("emptyArrayFloat64", Type::Float64),
    empty_array!("emptyArrayDate", Type::Date),
    Function::rewrite("toArray", &[Arg::Any], |cx, span, args| {
        let value = one(args)?;
        match value.ty {
            Type::Array(_) => Ok(value),
            _ => crate::functions::call(cx, span, "array", vec![value]),
        }
    })
    .doc("The value as an array of one element; arrays as they are.")
    .examples(&[("toArray(1)", "[1]"), ("toArray([1])", "[1]")]),
];

fn one_type(cx: &dyn PlanContext, _: Span, args: &mut Vec<Typed>) -> Result<()> {
    let (same, _) = common(std::mem::take(args), cx.timezone())?;
    *args = same;
    Ok(())
}

fn array_type(args: &[Argument<'_>]) -> Result<Type> {
    Ok(args.first().map_or(Type::Null, |arg| arg.ty.clone()).array())
}

fn array(args: &Arguments<'_>) -> Result<ArrayRef> {
    let element = element_of(args)?;
    let count = args.count();
    let columns: Vec<&dyn Array> = (0..count).map(|index| args.raw(index).as_ref()).collect();
    let values = if columns.is_empty() {
        arrow::array::new_empty_array(&element.to_arrow())
    } else if *element == Type::Null {
        arrow::array::new_null_array(&DataType::Null, count * args.rows)
    } else {
        let place =
            |row: usize, index: usize| (index, if args.is_constant(index) { 0 } else { row });
        let places = (0..args.rows).flat_map(|row| (0..count).map(move |index| (row, index)));
        interleave(&columns, &places.map(|(row, index)| place(row, index)).collect::<Vec<_>>())?
    };
    let offsets = OffsetBuffer::from_repeated_length(count, args.rows);
    Ok(Arc::new(ListArray::try_new(element.item_field(), offsets, values, None)?))
}

/// A kernel that makes arrays of integers.
pub(super) fn integers(
    args: &Arguments<'_>,
    mut write: impl FnMut(usize, &mut Vec<i64>) -> Option<()>,
) -> Result<ArrayRef> {
    let (mut values, mut picker) = (Vec::new(), Picker::new(args.rows));
    for row in 0..args.rows {
        let before = values.len();
        let present = write(row, &mut values);
        picker.row(|out| present.map(|()| out.extend(before..values.len())));
    }
    let values: ArrayRef = Arc::new(Int64Array::from(values));
    picker.finish(&values, &Type::Int64)
}

fn range(args: &Arguments<'_>) -> Result<ArrayRef> {
    let (first, second) = (args.int(0), (args.count() > 1).then(|| args.int(1)));
    let steps = (args.count() > 2).then(|| args.int(2));
    let bounds = |row: usize| {
        let first = first.get(row)?;
        Some(match second {
            Some(end) => (first, end.get(row)?, steps.map_or(Some(1), |steps| steps.get(row))?),
            None => (0, first, 1),
        })
    };
    let mut total = 0_usize;
    for (start, end, step) in (0..args.rows).filter_map(bounds) {
        if step == 0 {
            return Err(Error::new(ErrorKind::InvalidArgument, "the step of range must not be 0"));
        }
        let span = if step > 0 { end.saturating_sub(start) } else { start.saturating_sub(end) };
        let count = u64::try_from(span).unwrap_or(0).div_ceil(step.unsigned_abs());
        total = total.saturating_add(usize::try_from(count).unwrap_or(usize::MAX));
        if total > RANGE_ELEMENTS_MAX {
            return Err(Error::new(
                ErrorKind::OutOfRange,
                format!("range would make more than {RANGE_ELEMENTS_MAX} elements"),
            ));
        }
    }
    integers(args, |row, out| {
        let (start, end, step) = bounds(row)?;
        let mut next = Some(start);
        while let Some(value) =
            next.filter(|value| if step > 0 { *value < end } else { *value > end })
        {
            out.push(value);
            next = value.checked_add(step);
        }
        Some(())
    })
}

fn with_constant(args: &Arguments<'_>) -> Result<ArrayRef> {
    let counts = args.int(0);
    let total = (0..args.rows)
        .filter_map(|row| counts.get(row))
        .fold(0_i64, |total, count| total.saturating_add(count.max(0)));
    if total > RANGE_ELEMENTS_MAX as i64 {
        return Err(Error::new(
            ErrorKind::OutOfRange,
            format!("arrayWithConstant would make more than {RANGE_ELEMENTS_MAX} elements"),
        ));
    }
    let mut picker = Picker::new(args.rows);
    for row in 0..args.rows {
        picker.row(|out| {
            let count = usize::try_from(counts.get(row)?).unwrap_or(0);
            let place = if args.is_constant(1) { 0 } else { row };
            out.extend(std::iter::repeat_n(place, count));
            Some(())
        });
    }
    picker.finish(args.raw(1), element_of(args)?)
}

fn zip_type(args: &[Argument<'_>]) -> Result<Type> {
    let elements = args.iter().map(|arg| element_type(std::slice::from_ref(arg)));
    Ok(Type::tuple(elements.collect::<Result<Vec<_>>>()?).array())
}

fn zip(args: &Arguments<'_>) -> Result<ArrayRef> {
    let lists: Vec<_> = (0..args.count()).map(|index| Lists::new(args, index)).collect();
    let element = element_of(args)?;
    let DataType::Struct(fields) = element.to_arrow() else {
        return Err(Error::internal("the elements are tuples"));
    };
    let mut places: Vec<Vec<u32>> = vec![Vec::new(); lists.len()];
    let (mut lengths, mut present) = (Vec::new(), Vec::new());
    for row in 0..args.rows {
        let ranges: Option<Vec<_>> = lists.iter().map(|list| list.range(row)).collect();
        let ranges = ranges.unwrap_or_default();
        present.push(!ranges.is_empty());
        let length = ranges.first().map_or(0, |range| range.len());
        if ranges.iter().any(|range| range.len() != length) {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "the arrays of arrayZip must have the same length",
            ));
        }
        lengths.push(length);
        for (places, range) in places.iter_mut().zip(ranges) {
            places.extend(range.map(|place| place as u32));
        }
    }
    let columns = lists.iter().zip(places);
    let columns =
        columns.map(|(list, places)| Ok(take(list.values(), &UInt32Array::from(places), None)?));
    let tuples = StructArray::try_new(fields, columns.collect::<Result<Vec<_>>>()?, None)?;
    Ok(Arc::new(ListArray::try_new(
        element.item_field(),
        OffsetBuffer::from_lengths(lengths),
        Arc::new(tuples),
        Some(present.into()),
    )?))
}

fn flat_type(args: &[Argument<'_>]) -> Result<Type> {
    let mut element = element_type(args)?;
    while let Type::Array(inner) = element {
        element = *inner;
    }
    Ok(element.array())
}

fn flatten(args: &Arguments<'_>) -> Result<ArrayRef> {
    use arrow::array::AsArray;
    let lists = Lists::new(args, 0);
    // Level by level, ranges of lists become ranges of their elements.
    let mut values = Arc::clone(lists.values());
    let mut rows: Vec<_> =
        (0..args.rows).map(|row| lists.range(row)).map(|r| r.map(|r| vec![r])).collect();
    while let Some(inner) = values.as_list_opt::<i32>() {
        let offsets = inner.value_offsets();
        let within = |place: usize| offsets[place] as usize..offsets[place + 1] as usize;
        let valid = |place: &usize| inner.is_valid(*place);
        for ranges in rows.iter_mut().flatten() {
            *ranges = ranges.iter().cloned().flatten().filter(valid).map(within).collect();
        }
        values = Arc::clone(inner.values());
    }
    let mut picker = Picker::new(args.rows);
    for ranges in rows {
        picker.row(|out| ranges.map(|ranges| out.extend(ranges.into_iter().flatten())));
    }
    picker.finish(&concat(&[&values])?, element_of(args)?)
}
