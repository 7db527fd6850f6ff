//! Result values as the encoders see them: read by logical type, whatever the Arrow layout.
//!
//! ```text
//! Column::new(type, array) ── value(row) ──> Value ──> json | pgwire text | pgwire binary
//! ```

pub mod calendar;
pub mod json;
pub mod text;

use std::ops::Range;
use std::sync::Arc;

use arrow::array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int64Type, IntervalMonthDayNanoType,
    TimestampMicrosecondType, UInt64Type,
};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, FixedSizeBinaryArray, ListArray, MapArray,
    PrimitiveArray, RecordBatch, StringViewArray,
};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema};
use hedgerow_engine::{Error, Result, Type};

/// Appends formatted text to a `String`, which cannot fail.
macro_rules! put {
    ($out:expr, $($format:tt)+) => {{
        use std::fmt::Write as _;
        let _: std::fmt::Result = write!($out, $($format)+);
    }};
}
pub(crate) use put;

/// One column of a batch, read by its logical type.
#[derive(Debug)]
pub struct Column {
    nulls: Option<NullBuffer>,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Null,
    Bool(BooleanArray),
    Int(PrimitiveArray<Int64Type>),
    UInt(PrimitiveArray<UInt64Type>),
    Float32(PrimitiveArray<Float32Type>),
    Float64(PrimitiveArray<Float64Type>),
    Decimal(PrimitiveArray<Decimal128Type>, i8),
    Text(StringViewArray),
    Json(StringViewArray),
    Uuid(FixedSizeBinaryArray),
    Date(PrimitiveArray<Date32Type>),
    DateTime(PrimitiveArray<TimestampMicrosecondType>),
    Interval(PrimitiveArray<IntervalMonthDayNanoType>),
    Array(ListArray, Box<Column>),
    Tuple(Vec<Column>),
    Map(MapArray, Box<Column>, Box<Column>),
}

/// One value of a result.
#[derive(Debug, Clone)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Float32(f32),
    Float64(f64),
    /// Digits and scale.
    Decimal(i128, i8),
    Text(&'a str),
    Json(&'a str),
    Uuid([u8; 16]),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since 1970-01-01 UTC.
    DateTime(i64),
    Interval {
        months: i32,
        days: i32,
        nanos: i64,
    },
    Array(&'a Column, Range<usize>),
    /// The columns of the elements, and the row.
    Tuple(&'a [Column], usize),
    /// Keys, values, and their range.
    Map(&'a Column, &'a Column, Range<usize>),
}

impl Column {
    /// Reads `array` as `ty`.
    ///
    /// # Errors
    /// `Internal` when the array cannot hold that type.
    pub fn new(ty: &Type, array: &ArrayRef) -> Result<Self> {
        let nulls = array.logical_nulls();
        let values = match ty {
            Type::Null => Values::Null,
            Type::Bool => Values::Bool(as_type(array, &DataType::Boolean)?.as_boolean().clone()),
            Type::Int8
            | Type::Int16
            | Type::Int32
            | Type::Int64
            | Type::UInt8
            | Type::UInt16
            | Type::UInt32 => Values::Int(as_type(array, &DataType::Int64)?.as_primitive().clone()),
            Type::UInt64 => Values::UInt(as_type(array, &DataType::UInt64)?.as_primitive().clone()),
            Type::Float32 => {
                Values::Float32(as_type(array, &DataType::Float32)?.as_primitive().clone())
            }
            Type::Float64 => {
                Values::Float64(as_type(array, &DataType::Float64)?.as_primitive().clone())
            }
            Type::Decimal(_, scale) => {
                Values::Decimal(as_type(array, &ty.to_arrow())?.as_primitive().clone(), *scale)
            }
            Type::String => {
                Values::Text(as_type(array, &DataType::Utf8View)?.as_string_view().clone())
            }
            Type::Json => {
                Values::Json(as_type(array, &DataType::Utf8View)?.as_string_view().clone())
            }
            Type::Uuid => Values::Uuid(
                as_type(array, &DataType::FixedSizeBinary(16))?.as_fixed_size_binary().clone(),
            ),
            Type::Date => Values::Date(as_type(array, &DataType::Date32)?.as_primitive().clone()),
            Type::DateTime(_) => {
                Values::DateTime(as_type(array, &ty.to_arrow())?.as_primitive().clone())
            }
            Type::Interval => {
                Values::Interval(as_type(array, &ty.to_arrow())?.as_primitive().clone())
            }
            Type::Array(element) => {
                let list = as_list(array)?;
                let items = Self::new(element, list.values())?;
                Values::Array(list, Box::new(items))
            }
            Type::Tuple(elements) => {
                let tuple = array.as_struct_opt().ok_or_else(|| mismatch(ty, array))?;
                if tuple.num_columns() != elements.len() {
                    return Err(mismatch(ty, array));
                }
                let columns = elements.iter().zip(tuple.columns());
                Values::Tuple(
                    columns.map(|((_, ty), array)| Self::new(ty, array)).collect::<Result<_>>()?,
                )
            }
            Type::Map(key, value) => {
                let map = array.as_map_opt().ok_or_else(|| mismatch(ty, array))?;
                let keys = Self::new(key, map.keys())?;
                let values = Self::new(value, map.values())?;
                Values::Map(map.clone(), Box::new(keys), Box::new(values))
            }
        };
        Ok(Self { nulls, values })
    }

    /// The value at `row`.
    pub fn value(&self, row: usize) -> Value<'_> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return Value::Null;
        }
        match &self.values {
            Values::Null => Value::Null,
            Values::Bool(array) => Value::Bool(array.value(row)),
            Values::Int(array) => Value::Int(array.value(row)),
            Values::UInt(array) => Value::UInt(array.value(row)),
            Values::Float32(array) => Value::Float32(array.value(row)),
            Values::Float64(array) => Value::Float64(array.value(row)),
            Values::Decimal(array, scale) => Value::Decimal(array.value(row), *scale),
            Values::Text(array) => Value::Text(array.value(row)),
            Values::Json(array) => Value::Json(array.value(row)),
            Values::Uuid(array) => {
                let mut bytes = [0; 16];
                bytes.copy_from_slice(array.value(row));
                Value::Uuid(bytes)
            }
            Values::Date(array) => Value::Date(array.value(row)),
            Values::DateTime(array) => Value::DateTime(array.value(row)),
            Values::Interval(array) => {
                let interval = array.value(row);
                Value::Interval {
                    months: interval.months,
                    days: interval.days,
                    nanos: interval.nanoseconds,
                }
            }
            Values::Array(list, items) => Value::Array(items, range(list.value_offsets(), row)),
            Values::Tuple(columns) => Value::Tuple(columns, row),
            Values::Map(map, keys, values) => {
                Value::Map(keys, values, range(map.value_offsets(), row))
            }
        }
    }

    /// True when values are neither arrays, tuples nor maps.
    pub fn is_flat(&self) -> bool {
        !matches!(self.values, Values::Array(..) | Values::Tuple(_) | Values::Map(..))
    }
}

/// The logical types of a schema's columns.
pub fn types(schema: &Schema) -> Vec<Type> {
    schema.fields().iter().map(|field| Type::from_field(field)).collect()
}

/// The columns of a batch, read by `types`.
///
/// # Errors
/// `Internal` when the batch does not have these types.
pub fn columns(types: &[Type], batch: &RecordBatch) -> Result<Vec<Column>> {
    if types.len() != batch.num_columns() {
        return Err(Error::internal(format!(
            "a batch of {} columns where {} were announced",
            batch.num_columns(),
            types.len()
        )));
    }
    types.iter().zip(batch.columns()).map(|(ty, array)| Column::new(ty, array)).collect()
}

fn range(offsets: &[i32], row: usize) -> Range<usize> {
    offsets[row] as usize..offsets[row + 1] as usize
}

fn as_type(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef> {
    if array.data_type() == wanted { Ok(Arc::clone(array)) } else { Ok(cast(array, wanted)?) }
}

/// Any list layout as a plain list, its elements unchanged.
fn as_list(array: &ArrayRef) -> Result<ListArray> {
    let item = match array.data_type() {
        DataType::List(_) => return Ok(array.as_list().clone()),
        DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => Arc::clone(item),
        other => return Err(Error::internal(format!("an array column laid out as {other}"))),
    };
    Ok(cast(array, &DataType::List(item))?.as_list().clone())
}

fn mismatch(ty: &Type, array: &ArrayRef) -> Error {
    Error::internal(format!("a column of type {ty} laid out as {}", array.data_type()))
}
