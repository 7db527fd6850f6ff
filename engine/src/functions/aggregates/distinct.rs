//! Counting distinct values, exactly.
//!
//! Values of up to 16 bytes live in one hash set per group. Longer ones, texts above all, are
//! kept once for all groups and numbered; a group's set holds the numbers.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, FixedSizeBinaryArray, Int64Array,
    PrimitiveArray,
};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use datafusion::common::HashSet;
use datafusion::common::hash_utils::RandomState;

use super::aggregate;
use super::bytes::{Encoder, Interner};
use super::groups::{Groups, explode, lists};
use super::numbers::NumberSet;
use crate::error::Result;
use crate::functions::function::{Arg, Function};
use crate::types::Type;

/// Aggregates that count distinct values.
pub(in crate::functions) const FUNCTIONS: &[Function] =
    &[aggregate("uniqExact", &[Arg::Any], |types, _| uniq(types))
        .aliases(&[
            "uniq",
            "uniqHLL12",
            "uniqCombined",
            "uniqCombined64",
            "uniqTheta",
            "countDistinct",
            "approx_distinct",
        ])
        .variadic()
        .doc("The exact number of distinct values, or of tuples of several; NULLs do not count.")
        .examples(&[("uniqExact('a')", "1")])];

type Set<T> = HashSet<T, RandomState>;

/// How many distinct values, or distinct tuples of several arguments, each group has.
pub(super) fn uniq(types: &[Type]) -> Result<Box<dyn Groups>> {
    macro_rules! primitive {
        ($arrow:ty) => {
            Ok(Fixed::<Bits<$arrow>>::boxed(types[0].clone()))
        };
    }
    match types {
        [Type::Bool] => Ok(Fixed::<Flag>::boxed(Type::Bool)),
        [Type::Uuid] => Ok(Fixed::<Id>::boxed(Type::Uuid)),
        [one] => match one.to_arrow() {
            DataType::Int8 => primitive!(Int8Type),
            DataType::Int16 => primitive!(Int16Type),
            DataType::Int32 => primitive!(Int32Type),
            DataType::Int64 => primitive!(Int64Type),
            DataType::UInt8 => primitive!(UInt8Type),
            DataType::UInt16 => primitive!(UInt16Type),
            DataType::UInt32 => primitive!(UInt32Type),
            DataType::UInt64 => primitive!(UInt64Type),
            DataType::Float32 => primitive!(Float32Type),
            DataType::Float64 => primitive!(Float64Type),
            DataType::Date32 => primitive!(Date32Type),
            DataType::Timestamp(..) => primitive!(TimestampMicrosecondType),
            DataType::Decimal128(..) => primitive!(Decimal128Type),
            _ => Interned::boxed(types),
        },
        _ => Interned::boxed(types),
    }
}

/// A layout of at most 16 bytes, seen as a key.
trait Layout: Debug + Send + Sync + 'static {
    type Key: Hash + Eq + Copy + Debug + Send + Sync;
    /// Calls `visit` with row and key of each value.
    fn keys(array: &ArrayRef, visit: impl FnMut(usize, Self::Key));
    /// The array of these keys.
    fn array(keys: impl Iterator<Item = Self::Key>, layout: &DataType) -> ArrayRef;
}

/// Numbers, by their bits.
#[derive(Debug)]
struct Bits<T>(std::marker::PhantomData<fn() -> T>);

/// What tells numbers apart.
trait NumberKey: Copy {
    type Key: Hash + Eq + Copy + Debug + Send + Sync;
    fn key(self) -> Self::Key;
    fn number(key: Self::Key) -> Self;
}

macro_rules! own_key {
    ($($native:ty),*) => {
        $(impl NumberKey for $native {
            type Key = Self;
            fn key(self) -> Self {
                self
            }
            fn number(key: Self) -> Self {
                key
            }
        })*
    };
}
own_key!(i8, i16, i32, i64, u8, u16, u32, u64, i128);

macro_rules! float_key {
    ($native:ty, $bits:ty) => {
        impl NumberKey for $native {
            type Key = $bits;
            fn key(self) -> $bits {
                // All NaNs are one value.
                if self.is_nan() { Self::NAN.to_bits() } else { self.to_bits() }
            }
            fn number(key: $bits) -> Self {
                Self::from_bits(key)
            }
        }
    };
}
float_key!(f32, u32);
float_key!(f64, u64);

impl<T: ArrowPrimitiveType<Native: NumberKey> + Debug> Layout for Bits<T> {
    type Key = <T::Native as NumberKey>::Key;

    fn keys(array: &ArrayRef, mut visit: impl FnMut(usize, Self::Key)) {
        for (row, value) in array.as_primitive::<T>().values().iter().enumerate() {
            visit(row, value.key());
        }
    }

    fn array(keys: impl Iterator<Item = Self::Key>, layout: &DataType) -> ArrayRef {
        let numbers = PrimitiveArray::<T>::from_iter_values(keys.map(T::Native::number));
        Arc::new(numbers.with_data_type(layout.clone()))
    }
}

/// Booleans.
#[derive(Debug)]
struct Flag;

impl Layout for Flag {
    type Key = bool;

    fn keys(array: &ArrayRef, mut visit: impl FnMut(usize, bool)) {
        for (row, value) in array.as_boolean().values().iter().enumerate() {
            visit(row, value);
        }
    }

    fn array(keys: impl Iterator<Item = bool>, _layout: &DataType) -> ArrayRef {
        Arc::new(BooleanArray::from(keys.collect::<Vec<_>>()))
    }
}

/// UUIDs.
#[derive(Debug)]
struct Id;

impl Layout for Id {
    type Key = u128;

    fn keys(array: &ArrayRef, mut visit: impl FnMut(usize, u128)) {
        let (ids, _) = array.as_fixed_size_binary().value_data().as_chunks::<16>();
        for (row, id) in ids.iter().take(array.len()).enumerate() {
            visit(row, u128::from_le_bytes(*id));
        }
    }

    fn array(keys: impl Iterator<Item = u128>, _layout: &DataType) -> ArrayRef {
        let bytes: Vec<u8> = keys.flat_map(u128::to_le_bytes).collect();
        Arc::new(FixedSizeBinaryArray::new(16, bytes.into(), None))
    }
}

/// Sets of values of at most 16 bytes.
#[derive(Debug)]
struct Fixed<L: Layout> {
    ty: Type,
    sets: Vec<Set<L::Key>>,
    values: usize,
}

impl<L: Layout> Fixed<L> {
    fn boxed(ty: Type) -> Box<dyn Groups> {
        Box::new(Self { ty, sets: Vec::new(), values: 0 })
    }
}

impl<L: Layout> Groups for Fixed<L> {
    fn returns(&self) -> Type {
        Type::Int64
    }

    fn state_types(&self) -> Vec<Type> {
        vec![self.ty.clone().array()]
    }

    fn nullable(&self) -> bool {
        false
    }

    fn grow(&mut self, count: usize) {
        if self.sets.len() < count {
            self.sets.resize_with(count, Set::default);
        }
    }

    fn update(&mut self, args: &[ArrayRef], groups: &[usize]) -> Result<()> {
        L::keys(&args[0], |row, key| {
            self.values += usize::from(self.sets[groups[row]].insert(key));
        });
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let (values, owners) = explode(states[0].as_list(), groups)?;
        self.update(&[values], &owners)
    }

    fn state(&self, count: usize) -> Result<Vec<ArrayRef>> {
        let sets = &self.sets[..count];
        let values = L::array(sets.iter().flatten().copied(), &self.ty.to_arrow());
        Ok(vec![Arc::new(lists(values, &self.ty, sets.iter().map(HashSet::len)))])
    }

    fn finish(&self, count: usize) -> Result<ArrayRef> {
        Ok(counts(self.sets[..count].iter().map(HashSet::len)))
    }

    fn forget(&mut self, count: usize) {
        let gone = self.sets.drain(..count);
        self.values -= gone.map(|set| set.len()).sum::<usize>();
    }

    fn size(&self) -> usize {
        set_bytes::<L::Key>(self.sets.capacity(), self.values)
    }
}

/// Sets of numbers of interned values.
#[derive(Debug)]
struct Interned {
    types: Vec<Type>,
    encoder: Encoder,
    interner: Interner,
    sets: Vec<NumberSet>,
    values: usize,
}

impl Interned {
    fn boxed(types: &[Type]) -> Result<Box<dyn Groups>> {
        Ok(Box::new(Self {
            types: types.to_vec(),
            encoder: Encoder::new(types, true)?,
            interner: Interner::default(),
            sets: Vec::new(),
            values: 0,
        }))
    }
}

impl Groups for Interned {
    fn returns(&self) -> Type {
        Type::Int64
    }

    fn state_types(&self) -> Vec<Type> {
        self.types.iter().cloned().map(Type::array).collect()
    }

    fn nullable(&self) -> bool {
        false
    }

    fn grow(&mut self, count: usize) {
        if self.sets.len() < count {
            self.sets.resize_with(count, NumberSet::default);
        }
    }

    fn update(&mut self, args: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let rows = self.encoder.encode(args)?;
        for (row, group) in groups.iter().enumerate() {
            let number = self.interner.intern(rows.row(row));
            let count = self.interner.len();
            self.values += usize::from(self.sets[*group].insert(number, count));
        }
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let (columns, owners) = explode_all(states, groups)?;
        self.update(&columns, &owners)
    }

    fn state(&self, count: usize) -> Result<Vec<ArrayRef>> {
        let sets = &self.sets[..count];
        let numbers = sets.iter().flat_map(NumberSet::iter);
        let rows = numbers.map(|number| self.interner.get(number));
        let columns = self.encoder.decode(rows)?;
        Ok(lists_all(columns, &self.types, sets.iter().map(NumberSet::len)))
    }

    fn finish(&self, count: usize) -> Result<ArrayRef> {
        Ok(counts(self.sets[..count].iter().map(NumberSet::len)))
    }

    fn forget(&mut self, count: usize) {
        let gone = self.sets.drain(..count);
        self.values -= gone.map(|set| set.len()).sum::<usize>();
        if self.values == 0 {
            self.interner = Interner::default();
        }
    }

    fn size(&self) -> usize {
        self.interner.size() + set_bytes::<u32>(self.sets.capacity(), self.values)
    }
}

/// [`explode`] for states of several lists of equal lengths.
pub(super) fn explode_all(
    states: &[ArrayRef],
    groups: &[usize],
) -> Result<(Vec<ArrayRef>, Vec<usize>)> {
    let mut owners = Vec::new();
    let mut columns = Vec::with_capacity(states.len());
    for state in states {
        let (values, of) = explode(state.as_list(), groups)?;
        columns.push(values);
        owners = of;
    }
    Ok((columns, owners))
}

/// [`lists`] for several columns.
pub(super) fn lists_all(
    columns: Vec<ArrayRef>,
    types: &[Type],
    lengths: impl Iterator<Item = usize> + Clone,
) -> Vec<ArrayRef> {
    let columns = columns.into_iter().zip(types);
    columns.map(|(values, ty)| Arc::new(lists(values, ty, lengths.clone())) as ArrayRef).collect()
}

fn counts(lengths: impl Iterator<Item = usize>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(lengths.map(|length| length as i64)))
}

/// A hash table is between 7/16 and 7/8 full and has one byte beside each slot.
fn set_bytes<T>(sets: usize, values: usize) -> usize {
    sets * size_of::<Set<T>>() + values * (size_of::<T>() + 1) * 3 / 2
}
