//! What a kernel sees of a call, and how it builds its result.

use std::sync::Arc;

use arrow::array::{
    ArrayAccessor, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, FixedSizeBinaryArray,
    ListArray, PrimitiveArray, StringViewArray, StringViewBuilder,
};
use arrow::datatypes::{
    DataType, Date32Type, Float64Type, Int64Type, IntervalMonthDayNanoType,
    TimestampMicrosecondType, UInt64Type,
};

use crate::error::Result;
use crate::types::Type;

/// The evaluated arguments of a call.
pub struct Arguments<'a> {
    arrays: Vec<ArrayRef>,
    constant: Vec<bool>,
    /// The types of the arguments.
    pub types: &'a [Type],
    /// The type of the result.
    pub returns: &'a Type,
    /// How many values are wanted.
    pub rows: usize,
}

/// One argument, row by row. A constant is kept as one value.
#[derive(Clone, Copy)]
pub struct Column<A> {
    array: A,
    constant: bool,
}

impl<A: ArrayAccessor> Column<A> {
    /// The value of a row; none for NULL.
    #[inline]
    pub fn get(&self, row: usize) -> Option<A::Item> {
        let row = if self.constant { 0 } else { row };
        self.array.is_valid(row).then(|| self.array.value(row))
    }

    /// The value, where all rows have the same.
    pub fn constant(&self) -> Option<A::Item> {
        if self.constant { self.get(0) } else { None }
    }

    /// The array; of length 1 for a constant.
    pub fn array(&self) -> &A {
        &self.array
    }
}

/// The accessors panic on another layout than the row of the function declares: that would be
/// a bug in the row, and its examples would show it.
impl<'a> Arguments<'a> {
    pub(super) fn new(
        arrays: Vec<ArrayRef>,
        constant: Vec<bool>,
        types: &'a [Type],
        returns: &'a Type,
        rows: usize,
    ) -> Self {
        Self { arrays, constant, types, returns, rows }
    }

    /// How many arguments there are.
    pub fn count(&self) -> usize {
        self.arrays.len()
    }

    /// The array of an argument; of length 1 when it is constant.
    pub fn raw(&self, index: usize) -> &ArrayRef {
        &self.arrays[index]
    }

    /// True when all rows have the same value.
    pub fn is_constant(&self, index: usize) -> bool {
        self.constant[index]
    }

    /// The array of an argument with one value per row.
    ///
    /// # Errors
    /// `Internal`, from Arrow.
    pub fn expanded(&self, index: usize) -> Result<ArrayRef> {
        if !self.constant[index] {
            return Ok(Arc::clone(&self.arrays[index]));
        }
        let first = arrow::array::UInt32Array::from(vec![0; self.rows]);
        Ok(arrow::compute::take(&self.arrays[index], &first, None)?)
    }

    /// The same arguments, all converted to one number type.
    ///
    /// # Errors
    /// `OutOfRange`, from the conversion.
    pub fn cast(&self, ty: &Type) -> Result<Arguments<'_>> {
        let cast = |array: &ArrayRef| Ok(arrow::compute::cast(array, &ty.to_arrow())?);
        let arrays = self.arrays.iter().map(cast).collect::<Result<Vec<_>>>()?;
        let constant = self.constant.clone();
        Ok(Arguments {
            arrays,
            constant,
            types: self.types,
            returns: self.returns,
            rows: self.rows,
        })
    }

    fn column<A: ArrayAccessor>(&self, index: usize, array: A) -> Column<A> {
        Column { array, constant: self.constant[index] }
    }

    fn primitive<T: ArrowPrimitiveType>(&self, index: usize) -> Column<&PrimitiveArray<T>> {
        self.column(index, self.arrays[index].as_primitive::<T>())
    }

    pub fn bool(&self, index: usize) -> Column<&BooleanArray> {
        self.column(index, self.arrays[index].as_boolean())
    }

    pub fn int(&self, index: usize) -> Column<&PrimitiveArray<Int64Type>> {
        self.primitive(index)
    }

    pub fn uint(&self, index: usize) -> Column<&PrimitiveArray<UInt64Type>> {
        self.primitive(index)
    }

    pub fn float(&self, index: usize) -> Column<&PrimitiveArray<Float64Type>> {
        self.primitive(index)
    }

    pub fn text(&self, index: usize) -> Column<&StringViewArray> {
        self.column(index, self.arrays[index].as_string_view())
    }

    pub fn uuid(&self, index: usize) -> Column<&FixedSizeBinaryArray> {
        self.column(index, self.arrays[index].as_fixed_size_binary())
    }

    /// Days since the epoch.
    pub fn date(&self, index: usize) -> Column<&PrimitiveArray<Date32Type>> {
        self.primitive(index)
    }

    /// Microseconds since the epoch.
    pub fn datetime(&self, index: usize) -> Column<&PrimitiveArray<TimestampMicrosecondType>> {
        self.primitive(index)
    }

    pub fn interval(&self, index: usize) -> Column<&PrimitiveArray<IntervalMonthDayNanoType>> {
        self.primitive(index)
    }

    pub fn list(&self, index: usize) -> Column<&ListArray> {
        self.column(index, self.arrays[index].as_list::<i32>())
    }

    /// A boolean for each row.
    pub fn bools(&self, value: impl FnMut(usize) -> Option<bool>) -> ArrayRef {
        Arc::new((0..self.rows).map(value).collect::<BooleanArray>())
    }

    /// A boolean for each row, or an error.
    ///
    /// # Errors
    /// The first one of `value`.
    pub fn try_bools(&self, value: impl FnMut(usize) -> Result<Option<bool>>) -> Result<ArrayRef> {
        Ok(Arc::new((0..self.rows).map(value).collect::<Result<BooleanArray>>()?))
    }

    /// A number for each row.
    pub fn primitives<T: ArrowPrimitiveType>(
        &self,
        value: impl FnMut(usize) -> Option<T::Native>,
    ) -> ArrayRef {
        Arc::new((0..self.rows).map(value).collect::<PrimitiveArray<T>>())
    }

    /// A number for each row, or an error.
    ///
    /// # Errors
    /// The first one of `value`.
    pub fn try_primitives<T: ArrowPrimitiveType>(
        &self,
        value: impl FnMut(usize) -> Result<Option<T::Native>>,
    ) -> Result<ArrayRef> {
        Ok(Arc::new((0..self.rows).map(value).collect::<Result<PrimitiveArray<T>>>()?))
    }

    /// An integer for each row.
    pub fn ints(&self, value: impl FnMut(usize) -> Option<i64>) -> ArrayRef {
        self.primitives::<Int64Type>(value)
    }

    /// A float for each row.
    pub fn floats(&self, value: impl FnMut(usize) -> Option<f64>) -> ArrayRef {
        self.primitives::<Float64Type>(value)
    }

    /// Microseconds since the epoch for each row, in the zone of the return type.
    ///
    /// # Errors
    /// The first one of `value`.
    pub fn datetimes(&self, value: impl FnMut(usize) -> Result<Option<i64>>) -> Result<ArrayRef> {
        let values = (0..self.rows).map(value);
        let values = values.collect::<Result<PrimitiveArray<TimestampMicrosecondType>>>()?;
        let zone = match self.returns.to_arrow() {
            DataType::Timestamp(_, zone) => zone,
            _ => None,
        };
        Ok(Arc::new(values.with_timezone_opt(zone)))
    }

    /// A text for each row, borrowed from somewhere.
    pub fn strs<S: AsRef<str>>(&self, value: impl FnMut(usize) -> Option<S>) -> ArrayRef {
        Arc::new((0..self.rows).map(value).collect::<StringViewArray>())
    }

    /// A text for each row, borrowed from somewhere, or an error.
    ///
    /// # Errors
    /// The first one of `value`.
    pub fn try_strs<S: AsRef<str>>(
        &self,
        value: impl FnMut(usize) -> Result<Option<S>>,
    ) -> Result<ArrayRef> {
        let values = (0..self.rows).map(value).collect::<Result<StringViewArray>>()?;
        Ok(Arc::new(values))
    }

    /// A text for each row, written into a buffer that arrives empty.
    ///
    /// # Errors
    /// The first one of `write`.
    pub fn texts(
        &self,
        mut write: impl FnMut(usize, &mut String) -> Result<Option<()>>,
    ) -> Result<ArrayRef> {
        let mut builder = StringViewBuilder::with_capacity(self.rows);
        let mut buffer = String::new();
        for row in 0..self.rows {
            buffer.clear();
            match write(row, &mut buffer)? {
                Some(()) => builder.append_value(&buffer),
                None => builder.append_null(),
            }
        }
        Ok(Arc::new(builder.finish()))
    }
}
