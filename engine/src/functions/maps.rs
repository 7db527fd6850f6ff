//! Maps.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StructArray, UInt32Array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{concat, interleave, take};
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};
use hedgerow_parser::Span;

use super::adapter::laid_out;
use super::aggregates::default_value;
use super::arguments::Arguments;
use super::coerce::common;
use super::function::{Arg, Argument, Function, Nulls, Returns};
use super::{PlanContext, Typed};
use crate::error::{Error, ErrorKind, Result};
use crate::types::Type;

/// Making maps and asking them.
pub(super) const FUNCTIONS: &[Function] = &[
    Function::scalar("map", &[Arg::Any], Returns::Derived(map_type), map)
        .optional(1)
        .variadic()
        .prepare(one_type_each)
        .nulls(Nulls::Absorb)
        .doc("A map of keys and values in turn.")
        .examples(&[("map('a', 1, 'b', 2)", "{'a':1,'b':2}")]),
    ELEMENT,
    Function::scalar(
        "mapFromArrays",
        &[Arg::Array, Arg::Array],
        Returns::Derived(zipped),
        from_arrays,
    )
    .doc("A map of an array of keys and an array of values.")
    .examples(&[("mapFromArrays(['a'], [1])", "{'a':1}")]),
    Function::scalar(
        "mapKeys",
        &[Arg::Map],
        Returns::Derived(|args| Ok(parts(args)?.0.array())),
        |args| part(args, |maps| maps.keys()),
    )
    .doc("The keys.")
    .examples(&[("mapKeys(map('a', 1))", "['a']")]),
    Function::scalar(
        "mapValues",
        &[Arg::Map],
        Returns::Derived(|args| Ok(parts(args)?.1.array())),
        |args| part(args, |maps| maps.values()),
    )
    .doc("The values.")
    .examples(&[("mapValues(map('a', 1))", "[1]")]),
    Function::scalar("mapContains", &[Arg::Map, Arg::Any], Returns::Bool, |args| {
        let find = finder(args)?;
        Ok(args.bools(|row| Some(find(row)?.is_some())))
    })
    .aliases(&["mapContainsKey"])
    .prepare(key_type)
    .doc("True if the map has the key.")
    .examples(&[("mapContains(map('a', 1), 'a')", "true")]),
];

/// `map[key]`; the default of the type where there is no such key.
pub(super) const ELEMENT: Function = Function::scalar(
    "__mapElement",
    &[Arg::Map, Arg::Any],
    Returns::Derived(|args| Ok(parts(args)?.1)),
    element,
)
.nulls(Nulls::Introduce)
.doc("The value of a key; the default of the type where there is none.");

fn parts(args: &[Argument<'_>]) -> Result<(Type, Type)> {
    match args.first().map(|arg| &arg.ty) {
        Some(Type::Map(key, value)) => Ok((key.as_ref().clone(), value.as_ref().clone())),
        _ => Err(Error::internal("arguments were not converted")),
    }
}

fn one_type_each(cx: &dyn PlanContext, _: Span, args: &mut Vec<Typed>) -> Result<()> {
    if !args.len().is_multiple_of(2) {
        return Err(Error::new(ErrorKind::UnknownFunction, "map needs a value for every key"));
    }
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    for (i, arg) in args.drain(..).enumerate() {
        if i % 2 == 0 { keys.push(arg) } else { values.push(arg) }
    }
    let ((keys, _), (values, _)) = (common(keys, cx.timezone())?, common(values, cx.timezone())?);
    args.extend(keys.into_iter().zip(values).flat_map(|(key, value)| [key, value]));
    Ok(())
}

fn key_type(cx: &dyn PlanContext, _: Span, args: &mut Vec<Typed>) -> Result<()> {
    let [map, key] = super::arithmetic::two(std::mem::take(args))?;
    let key = match &map.ty {
        Type::Map(ty, _) => cx.coerce(key, ty)?,
        _ => key,
    };
    args.extend([map, key]);
    Ok(())
}

fn map_type(args: &[Argument<'_>]) -> Result<Type> {
    let ty = |index: usize| args.get(index).map_or(Type::String, |arg| arg.ty.clone());
    Ok(Type::Map(Box::new(ty(0)), Box::new(ty(1))))
}

/// A map array out of its keys and values.
fn build(
    ty: &Type,
    lengths: impl IntoIterator<Item = usize>,
    keys: ArrayRef,
    values: ArrayRef,
    present: Option<Vec<bool>>,
) -> Result<ArrayRef> {
    let DataType::Map(entries, _) = ty.to_arrow() else {
        return Err(Error::internal("the result is a map"));
    };
    let DataType::Struct(fields) = entries.data_type() else {
        return Err(Error::internal("a map has entries"));
    };
    if keys.logical_null_count() > 0 {
        return Err(Error::new(ErrorKind::InvalidArgument, "a key of a map must not be NULL"));
    }
    let members = StructArray::try_new(fields.clone(), vec![keys, values], None)?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    let nulls = present.map(Into::into);
    Ok(Arc::new(MapArray::try_new(Arc::clone(&entries), offsets, members, nulls, false)?))
}

fn map(args: &Arguments<'_>) -> Result<ArrayRef> {
    let Type::Map(key, value) = args.returns else {
        return Err(Error::internal("the result is a map"));
    };
    let members = args.count() / 2;
    let column = |first: usize, ty: &Type| -> Result<ArrayRef> {
        let indexes: Vec<_> = (0..members).map(|member| 2 * member + first).collect();
        let columns: Vec<&dyn Array> = indexes.iter().map(|i| args.raw(*i).as_ref()).collect();
        if columns.is_empty() || *ty == Type::Null {
            return Ok(arrow::array::new_null_array(&ty.to_arrow(), members * args.rows));
        }
        let places: Vec<_> = (0..args.rows)
            .flat_map(|row| {
                let place = |i: &usize| if args.is_constant(*i) { 0 } else { row };
                indexes.iter().map(place).enumerate().collect::<Vec<_>>()
            })
            .collect();
        Ok(interleave(&columns, &places)?)
    };
    let lengths = std::iter::repeat_n(members, args.rows);
    build(args.returns, lengths, column(0, key)?, column(1, value)?, None)
}

fn zipped(args: &[Argument<'_>]) -> Result<Type> {
    let element = |index: usize| match args.get(index).map(|arg| &arg.ty) {
        Some(Type::Array(element)) => Ok(element.clone()),
        _ => Err(Error::internal("arguments were not converted")),
    };
    Ok(Type::Map(element(0)?, element(1)?))
}

fn from_arrays(args: &Arguments<'_>) -> Result<ArrayRef> {
    let (keys, values) = (super::arrays::Lists::new(args, 0), super::arrays::Lists::new(args, 1));
    let (mut key_places, mut value_places) = (Vec::new(), Vec::new());
    let (mut lengths, mut present) = (Vec::new(), Vec::new());
    for row in 0..args.rows {
        let both = keys.range(row).zip(values.range(row));
        present.push(both.is_some());
        let (keys, values) = both.unwrap_or_default();
        if keys.len() != values.len() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "mapFromArrays needs as many values as keys",
            ));
        }
        lengths.push(keys.len());
        key_places.extend(keys.map(|place| place as u32));
        value_places.extend(values.map(|place| place as u32));
    }
    let keys = take(keys.values(), &UInt32Array::from(key_places), None)?;
    let values = take(values.values(), &UInt32Array::from(value_places), None)?;
    build(args.returns, lengths, keys, values, Some(present))
}

fn part(args: &Arguments<'_>, part: fn(&MapArray) -> &ArrayRef) -> Result<ArrayRef> {
    let maps = args.expanded(0)?;
    let maps = maps.as_map();
    let Type::Array(element) = args.returns else {
        return Err(Error::internal("the result is an array"));
    };
    let (offsets, nulls) = (maps.offsets().clone(), maps.nulls().cloned());
    let values = Arc::clone(part(maps));
    Ok(Arc::new(ListArray::try_new(element.item_field(), offsets, values, nulls)?))
}

/// Which of the entries make up a row; none for NULL.
pub(super) fn range(args: &Arguments<'_>, index: usize, row: usize) -> Option<Range<usize>> {
    let maps = args.raw(index).as_map();
    let row = if args.is_constant(index) { 0 } else { row };
    let offsets = maps.value_offsets();
    maps.is_valid(row).then(|| offsets[row] as usize..offsets[row + 1] as usize)
}

/// Finds the entry of the key of a row: outer none for a NULL map or key.
fn finder<'a>(args: &'a Arguments<'_>) -> Result<impl Fn(usize) -> Option<Option<usize>> + 'a> {
    let maps = args.raw(0).as_map();
    let converter = RowConverter::new(vec![SortField::new(maps.keys().data_type().clone())])?;
    let keys = converter.convert_columns(std::slice::from_ref(maps.keys()))?;
    let wanted = converter.convert_columns(std::slice::from_ref(args.raw(1)))?;
    Ok(move |row: usize| {
        let place = if args.is_constant(1) { 0 } else { row };
        let wanted = args.raw(1).is_valid(place).then(|| wanted.row(place))?;
        // As in ClickHouse, the first of equal keys counts.
        Some(range(args, 0, row)?.find(|entry| keys.row(*entry) == wanted))
    })
}

fn element(args: &Arguments<'_>) -> Result<ArrayRef> {
    let find = finder(args)?;
    let default = default_value(args.returns)?.to_array_of_size(1)?;
    let default = laid_out(default, args.raw(0).as_map().values().data_type())?;
    let source = concat(&[args.raw(0).as_map().values(), &default])?;
    let absent = source.len() - 1;
    let places = (0..args.rows).map(|row| Some(find(row)?.unwrap_or(absent) as u32));
    Ok(take(&source, &places.collect::<UInt32Array>(), None)?)
}
