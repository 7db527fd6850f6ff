//! The functions and their kernels.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, BooleanArray, Float64Array,
    Int64Array, ListArray, PrimitiveArray, Scalar, UInt64Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{SortColumn, SortOptions, cast, is_null, lexsort_to_indices, nullif, take};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, UInt64Type};
use datafusion::common::ScalarValue;

use super::elements::Elements;
use super::{HigherOrderBody, Kernel, Needs};
use crate::error::Result;
use crate::functions::aggregates::{default_value, reduce};
use crate::functions::function::{Arg, Function};
use crate::types::Type;

/// The higher-order functions.
pub(in crate::functions) const FUNCTIONS: &[Function] = &[
    Function::higher_order("arrayMap", body(Arg::Any, list_of_results, map).needs_lambda())
        .doc("The array of what the lambda gives for each element.")
        .examples(&[("arrayMap(x -> x + 1, [1, 2])", "[2,3]")]),
    Function::higher_order("arrayFilter", body(Arg::Bool, list_of_elements, filter).needs_lambda())
        .doc("The elements for which the lambda is true.")
        .examples(&[("arrayFilter(x -> x > 1, [1, 2])", "[2]")]),
    Function::higher_order("arrayExists", body(Arg::Bool, |_, _| Type::Bool, exists))
        .doc("True if the lambda, or the element itself, is true for some element.")
        .examples(&[("arrayExists(x -> x > 1, [1, 2])", "true")]),
    Function::higher_order("arrayAll", body(Arg::Bool, |_, _| Type::Bool, all))
        .doc("True if the lambda, or the element itself, is true for every element.")
        .examples(&[("arrayAll(x -> x > 1, [1, 2])", "false")]),
    Function::higher_order("arrayCount", body(Arg::Bool, |_, _| Type::Int64, count))
        .doc("For how many elements the lambda, or the element itself, is true.")
        .examples(&[("arrayCount(x -> x > 1, [1, 2])", "1")]),
    Function::higher_order("arraySum", body(Arg::Number, |_, result| sum_type(result), sum))
        .doc("The sum of what the lambda gives, or of the elements; NULLs are left out.")
        .examples(&[("arraySum([1, 2])", "3"), ("arraySum(x -> x * 2, [1, 2])", "6")]),
    Function::higher_order("arrayAvg", body(Arg::Float, |_, _| Type::Float64, avg))
        .doc("The mean of what the lambda gives, or of the elements, NULLs left out; 0 of nothing.")
        .examples(&[("arrayAvg([1, 2])", "1.5")]),
    Function::higher_order("arrayMin", body(Arg::Any, result_type, min).nullable())
        .doc("The smallest of what the lambda gives, or of the elements; NULLs are left out.")
        .examples(&[("arrayMin([1, 2])", "1")]),
    Function::higher_order("arrayMax", body(Arg::Any, result_type, max).nullable())
        .doc("The largest of what the lambda gives, or of the elements; NULLs are left out.")
        .examples(&[("arrayMax([1, 2])", "2")]),
    Function::higher_order("arrayProduct", body(Arg::Float, |_, _| Type::Float64, product))
        .doc("The product of what the lambda gives, or of the elements, NULLs left out; 0 of nothing.")
        .examples(&[("arrayProduct([2, 3])", "6")]),
    Function::higher_order("arraySort", body(Arg::Any, list_of_elements, sort))
        .doc(
            "The elements in ascending order of themselves or of what the lambda gives. Equal \
              ones keep their order; NaN and then NULL come last.",
        )
        .examples(&[("arraySort([2, 1])", "[1,2]"), ("arraySort(x -> -x, [1, 2])", "[2,1]")]),
    Function::higher_order("arrayReverseSort", body(Arg::Any, list_of_elements, reverse_sort))
        .doc("As arraySort, in descending order; NaN and then NULL come last here, too.")
        .examples(&[("arrayReverseSort([1, 2])", "[2,1]")]),
    Function::higher_order("arrayFirst", first_or_last(|e| found(e, Search::First, true)))
        .doc("The first element for which the lambda is true; 0, '' and so on if there is none.")
        .examples(&[("arrayFirst(x -> x > 1, [1, 2, 3])", "2")]),
    Function::higher_order("arrayLast", first_or_last(|e| found(e, Search::Last, true)))
        .doc("The last element for which the lambda is true; 0, '' and so on if there is none.")
        .examples(&[("arrayLast(x -> x > 1, [1, 2, 3])", "3")]),
    Function::higher_order("arrayFirstOrNull", first_or_last(|e| found(e, Search::First, false)))
        .doc("The first element for which the lambda is true; NULL if there is none.")
        .examples(&[("arrayFirstOrNull(x -> x > 1, [1, 2, 3])", "2")]),
    Function::higher_order("arrayLastOrNull", first_or_last(|e| found(e, Search::Last, false)))
        .doc("The last element for which the lambda is true; NULL if there is none.")
        .examples(&[("arrayLastOrNull(x -> x > 1, [1, 2, 3])", "3")]),
    Function::higher_order("arrayFirstIndex", place(|e| index(e, Search::First)))
        .doc("The place, from 1, of the first element for which the lambda is true; 0 for none.")
        .examples(&[("arrayFirstIndex(x -> x > 1, [1, 2, 3])", "2")]),
    Function::higher_order("arrayLastIndex", place(|e| index(e, Search::Last)))
        .doc("The place, from 1, of the last element for which the lambda is true; 0 for none.")
        .examples(&[("arrayLastIndex(x -> x > 1, [1, 2, 3])", "3")]),
    Function::higher_order("arrayCumSum", body(Arg::Number, sums_type, |e| running(e, false)))
        .doc("The sums of the elements, or of what the lambda gives, up to each element.")
        .examples(&[("arrayCumSum([1, 2, 3])", "[1,3,6]")]),
    Function::higher_order(
        "arrayCumSumNonNegative",
        body(Arg::Number, sums_type, |e| running(e, true)),
    )
    .doc("As arrayCumSum; a sum below 0 becomes 0.")
    .examples(&[("arrayCumSumNonNegative([1, -5, 3])", "[1,0,3]")]),
    Function::higher_order("arrayFill", filling(|e| fill(e, Search::First)))
        .doc("Each element for which the lambda is false becomes the one before it.")
        .examples(&[("arrayFill(x -> x > 1, [0, 2, 1, 3])", "[0,2,2,3]")]),
    Function::higher_order("arrayReverseFill", filling(|e| fill(e, Search::Last)))
        .doc("Each element for which the lambda is false becomes the one after it.")
        .examples(&[("arrayReverseFill(x -> x > 1, [0, 2, 1, 3])", "[2,2,3,3]")]),
    Function::higher_order("arraySplit", splitting(|e| split(e, Search::First)))
        .doc("Cuts the array before each element for which the lambda is true.")
        .examples(&[("arraySplit(x -> x > 1, [0, 2, 1, 3])", "[[0],[2,1],[3]]")]),
    Function::higher_order("arrayReverseSplit", splitting(|e| split(e, Search::Last)))
        .doc("Cuts the array after each element for which the lambda is true.")
        .examples(&[("arrayReverseSplit(x -> x > 1, [0, 2, 1, 3])", "[[0,2],[1,3]]")]),
    Function::higher_order(
        "arrayFold",
        HigherOrderBody {
            kernel: Kernel::Fold,
            result: Arg::Any,
            returns: |start, _| start.clone(),
            lambda: Needs::Lambda,
            nullable: true,
        },
    )
    .doc(
        "arrayFold((sum, x, ...) -> ..., array, ..., start): the lambda applied to its last \
         result and each element in turn, beginning with the last argument.",
    )
    .examples(&[("arrayFold((sum, x) -> sum + x, [1, 2, 3], 10)", "16")]),
];

type ElementKernel = fn(&Elements<'_>) -> Result<ArrayRef>;

const fn body(
    result: Arg,
    returns: fn(&Type, &Type) -> Type,
    kernel: ElementKernel,
) -> HigherOrderBody {
    HigherOrderBody::new(result, returns, kernel)
}

const fn first_or_last(kernel: ElementKernel) -> HigherOrderBody {
    body(Arg::Bool, |element, _| element.clone(), kernel).needs_lambda().nullable()
}

const fn place(kernel: ElementKernel) -> HigherOrderBody {
    body(Arg::Bool, |_, _| Type::Int64, kernel).needs_lambda()
}

const fn filling(kernel: ElementKernel) -> HigherOrderBody {
    body(Arg::Bool, list_of_elements, kernel).needs_lambda()
}

const fn splitting(kernel: ElementKernel) -> HigherOrderBody {
    body(Arg::Bool, |element, _| element.clone().array().array(), kernel).needs_lambda()
}

fn list_of_results(_element: &Type, result: &Type) -> Type {
    result.clone().array()
}

fn list_of_elements(element: &Type, _result: &Type) -> Type {
    element.clone().array()
}

fn result_type(_element: &Type, result: &Type) -> Type {
    result.clone()
}

fn sum_type(result: &Type) -> Type {
    match result {
        Type::Decimal(_, scale) => Type::Decimal(38, *scale),
        other => other.clone(),
    }
}

fn sums_type(_element: &Type, result: &Type) -> Type {
    sum_type(result).array()
}

/// From which end elements are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Search {
    First,
    Last,
}

fn map(e: &Elements<'_>) -> Result<ArrayRef> {
    e.flat.lists(Arc::clone(&e.results), &element_type(e.returns))
}

fn element_type(ty: &Type) -> Type {
    match ty {
        Type::Array(element) => element.as_ref().clone(),
        other => other.clone(),
    }
}

fn filter(e: &Elements<'_>) -> Result<ArrayRef> {
    let met = e.met()?;
    let places = met.set_indices().map(|place| place as u64).collect();
    let lengths = (0..e.flat.rows()).map(|row| {
        let range = e.flat.range(row);
        met.slice(range.start, range.len()).count_set_bits()
    });
    e.flat.pick(places, lengths, &element_type(e.returns))
}

fn exists(e: &Elements<'_>) -> Result<ArrayRef> {
    let met = e.met()?;
    let any = (0..e.flat.rows()).map(|row| e.flat.range(row).any(|place| met.value(place)));
    Ok(Arc::new(BooleanArray::new(any.collect::<Vec<_>>().into(), e.flat.nulls.clone())))
}

fn all(e: &Elements<'_>) -> Result<ArrayRef> {
    let met = e.met()?;
    let all = (0..e.flat.rows()).map(|row| e.flat.range(row).all(|place| met.value(place)));
    Ok(Arc::new(BooleanArray::new(all.collect::<Vec<_>>().into(), e.flat.nulls.clone())))
}

fn count(e: &Elements<'_>) -> Result<ArrayRef> {
    let met = e.met()?;
    let counts = (0..e.flat.rows()).map(|row| {
        let range = e.flat.range(row);
        met.slice(range.start, range.len()).count_set_bits() as i64
    });
    Ok(Arc::new(Int64Array::new(counts.collect(), e.flat.nulls.clone())))
}

/// An aggregate over the results of each row; `empty` for a row without elements.
fn aggregate(e: &Elements<'_>, name: &str, empty: ScalarValue) -> Result<ArrayRef> {
    let owners: Vec<_> = e.flat.owners().values().iter().map(|owner| *owner as usize).collect();
    let values = reduce(name, &e.result, &e.results, &owners, e.flat.rows())?;
    let no_elements = (0..e.flat.rows()).map(|row| Some(e.flat.range(row).is_empty()));
    let empty = Scalar::new(empty.to_array()?);
    let values = zip(&no_elements.collect::<BooleanArray>(), &empty, &values)?;
    with_nulls(&values, e.flat.nulls.as_ref())
}

/// NULL where the array is.
fn with_nulls(values: &ArrayRef, nulls: Option<&NullBuffer>) -> Result<ArrayRef> {
    match nulls {
        Some(nulls) => Ok(nullif(values, &BooleanArray::new(!nulls.inner(), None))?),
        None => Ok(Arc::clone(values)),
    }
}

fn sum(e: &Elements<'_>) -> Result<ArrayRef> {
    let zero = default_value(e.returns)?;
    let sums = aggregate(e, "sum", zero.clone())?;
    // Of nothing but NULLs, too, the sum is 0.
    let zero = Scalar::new(zero.to_array()?);
    with_nulls(&zip(&is_null(&sums)?, &zero, &sums)?, e.flat.nulls.as_ref())
}

fn avg(e: &Elements<'_>) -> Result<ArrayRef> {
    aggregate(e, "avg", ScalarValue::Float64(Some(0.0)))
}

fn min(e: &Elements<'_>) -> Result<ArrayRef> {
    aggregate(e, "min", default_value(e.returns)?)
}

fn max(e: &Elements<'_>) -> Result<ArrayRef> {
    aggregate(e, "max", default_value(e.returns)?)
}

fn product(e: &Elements<'_>) -> Result<ArrayRef> {
    let results = e.results.as_primitive::<Float64Type>();
    let products = (0..e.flat.rows()).map(|row| {
        let places = e.flat.range(row).filter(|place| results.is_valid(*place));
        places.map(|place| results.value(place)).reduce(|a, b| a * b).unwrap_or(0.0)
    });
    Ok(Arc::new(Float64Array::new(products.collect(), e.flat.nulls.clone())))
}

fn sort(e: &Elements<'_>) -> Result<ArrayRef> {
    sorted(e, false)
}

fn reverse_sort(e: &Elements<'_>) -> Result<ArrayRef> {
    sorted(e, true)
}

/// The row, NaN last, the key, then the place: all rows are sorted at once, and stably.
fn sorted(e: &Elements<'_>, descending: bool) -> Result<ArrayRef> {
    let ascending = SortOptions::new(false, false);
    let column = |values: ArrayRef, options| SortColumn { values, options: Some(options) };
    let mut columns = vec![column(Arc::new(e.flat.owners()), ascending)];
    if e.results.data_type().is_floating() {
        let results = cast(&e.results, &DataType::Float64)?;
        let nan = results.as_primitive::<Float64Type>().iter();
        let nan: BooleanArray = nan.map(|value| value.map(f64::is_nan)).collect();
        columns.push(column(Arc::new(nan), ascending));
    }
    columns.push(column(Arc::clone(&e.results), SortOptions::new(descending, false)));
    let places = UInt64Array::from_iter_values(0..e.flat.len() as u64);
    columns.push(column(Arc::new(places), ascending));
    let places = lexsort_to_indices(&columns, None)?;
    let values = take(&e.flat.values[0], &places, None)?;
    e.flat.lists(values, &element_type(e.returns))
}

/// By row, the first or last place where the lambda is true.
fn places(e: &Elements<'_>, search: Search) -> Result<Vec<Option<usize>>> {
    let met = e.met()?;
    let place = |row| {
        let mut range = e.flat.range(row);
        match search {
            Search::First => range.find(|place| met.value(*place)),
            Search::Last => range.rfind(|place| met.value(*place)),
        }
    };
    Ok((0..e.flat.rows()).map(place).collect())
}

fn found(e: &Elements<'_>, search: Search, or_default: bool) -> Result<ArrayRef> {
    let places = places(e, search)?;
    let taken: UInt64Array = places.iter().map(|place| place.map(|place| place as u64)).collect();
    let values = take(&e.flat.values[0], &taken, None)?;
    if !or_default {
        return Ok(values);
    }
    let default = Scalar::new(default_value(e.returns)?.to_array()?);
    let missing: BooleanArray = places.iter().map(|place| Some(place.is_none())).collect();
    with_nulls(&zip(&missing, &default, &values)?, e.flat.nulls.as_ref())
}

fn index(e: &Elements<'_>, search: Search) -> Result<ArrayRef> {
    let places = places(e, search)?.into_iter().enumerate();
    let indices = places
        .map(|(row, place)| place.map_or(0, |place| (place - e.flat.range(row).start) as i64 + 1));
    Ok(Arc::new(Int64Array::new(indices.collect(), e.flat.nulls.clone())))
}

/// Running sums; NULL adds nothing.
fn running(e: &Elements<'_>, not_negative: bool) -> Result<ArrayRef> {
    let item = element_type(e.returns);
    let results = cast(&e.results, &item.to_arrow())?;
    let sums: ArrayRef = match item {
        Type::Float64 => Arc::new(sums::<Float64Type>(e, &results, not_negative)),
        Type::UInt64 => Arc::new(sums::<UInt64Type>(e, &results, not_negative)),
        Type::Decimal(..) => {
            let sums = sums::<Decimal128Type>(e, &results, not_negative);
            Arc::new(sums.with_data_type(item.to_arrow()))
        }
        _ => Arc::new(sums::<Int64Type>(e, &results, not_negative)),
    };
    e.flat.lists(sums, &item)
}

fn sums<T: ArrowPrimitiveType>(
    e: &Elements<'_>,
    results: &ArrayRef,
    not_negative: bool,
) -> PrimitiveArray<T> {
    let results = results.as_primitive::<T>();
    let zero = T::Native::default();
    let mut sums = Vec::with_capacity(results.len());
    for row in 0..e.flat.rows() {
        let mut sum = zero;
        for place in e.flat.range(row) {
            if results.is_valid(place) {
                sum = sum.add_wrapping(results.value(place));
            }
            if not_negative && sum.is_lt(zero) {
                sum = zero;
            }
            sums.push(sum);
        }
    }
    PrimitiveArray::from_iter_values(sums)
}

fn fill(e: &Elements<'_>, search: Search) -> Result<ArrayRef> {
    let met = e.met()?;
    let mut places: Vec<u64> = (0..e.flat.len() as u64).collect();
    for row in 0..e.flat.rows() {
        let range = e.flat.range(row);
        match search {
            Search::First => range.skip(1).filter(|at| !met.value(*at)).for_each(|at| {
                places[at] = places[at - 1];
            }),
            Search::Last => range.rev().skip(1).filter(|at| !met.value(*at)).for_each(|at| {
                places[at] = places[at + 1];
            }),
        }
    }
    let lengths = (0..e.flat.rows()).map(|row| e.flat.range(row).len());
    e.flat.pick(places, lengths, &element_type(e.returns))
}

fn split(e: &Elements<'_>, search: Search) -> Result<ArrayRef> {
    let met = e.met()?;
    let mut inner = Vec::new();
    let mut outer = Vec::with_capacity(e.flat.rows());
    for row in 0..e.flat.rows() {
        let range = e.flat.range(row);
        let before = inner.len();
        let mut start = range.start;
        for at in range.clone() {
            let cut = match search {
                Search::First => at,
                Search::Last => at + 1,
            };
            if met.value(at) && range.start < cut && cut < range.end {
                inner.push(cut - start);
                start = cut;
            }
        }
        if !range.is_empty() {
            inner.push(range.end - start);
        }
        outer.push(inner.len() - before);
    }
    let pieces = element_type(e.returns);
    let item = element_type(&pieces).item_field();
    let offsets = OffsetBuffer::from_lengths(inner);
    let values = Arc::clone(&e.flat.values[0]);
    let pieces_array = Arc::new(ListArray::try_new(item, offsets, values, None)?);
    let offsets = OffsetBuffer::from_lengths(outer);
    let nulls = e.flat.nulls.clone();
    Ok(Arc::new(ListArray::try_new(pieces.item_field(), offsets, pieces_array, nulls)?))
}
