//! Keeping one row per group: the first, the last, the one with the smallest or largest key.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Float64Type, Int64Type, UInt64Type};

use datafusion::functions_aggregate::min_max;

use super::bytes::{Encoded, Encoder};
use super::groups::{Groups, keep};
use super::{AggregateBody, aggregate, ordered};
use crate::error::Result;
use crate::functions::function::{Arg, Function};
use crate::types::Type;

/// Aggregates that are the value of one row.
pub(in crate::functions) const FUNCTIONS: &[Function] = &[
    Function::aggregate(
        "min",
        &[Arg::Any],
        AggregateBody::new(|types, _| pick(types, Choice::Smallest))
            .native(|types| compares(types).then(min_max::min_udaf)),
    )
    .any_case()
    .doc("The smallest value. NaN loses against every number.")
    .examples(&[("min(2)", "2")]),
    Function::aggregate(
        "max",
        &[Arg::Any],
        AggregateBody::new(|types, _| pick(types, Choice::Largest))
            .native(|types| compares(types).then(min_max::max_udaf)),
    )
    .any_case()
    .doc("The largest value. NaN loses against every number.")
    .examples(&[("max('a')", "a")]),
    ordered("any", &[Arg::Any], |types, _| pick(types, Choice::First))
        .aliases(&["any_value", "anyValue", "first_value", "firstValue"])
        .doc("The first value that is not NULL, in the order of arrival or of ORDER BY.")
        .examples(&[("any(2)", "2")]),
    ordered("anyLast", &[Arg::Any], |types, _| pick(types, Choice::Last))
        .aliases(&["last_value", "lastValue"])
        .doc("The last value that is not NULL, in the order of arrival or of ORDER BY.")
        .examples(&[("anyLast(2)", "2")]),
    aggregate("argMin", &[Arg::Any, Arg::Any], |types, _| pick(types, Choice::Smallest))
        .doc("The first argument in the row where the second is smallest; NULLs do not take part.")
        .examples(&[("argMin('a', 1)", "a")]),
    aggregate("argMax", &[Arg::Any, Arg::Any], |types, _| pick(types, Choice::Largest))
        .doc("The first argument in the row where the second is largest; NULLs do not take part.")
        .examples(&[("argMax('a', 1)", "a")]),
    aggregate("every", &[Arg::Bool], |types, _| pick(types, Choice::Smallest))
        .aliases(&["bool_and"])
        .doc("True if the argument is true in every row.")
        .examples(&[("every(true)", "true")]),
    aggregate("bool_or", &[Arg::Bool], |types, _| pick(types, Choice::Largest))
        .doc("True if the argument is true in some row.")
        .examples(&[("bool_or(true)", "true")]),
];

/// True for types that DataFusion compares as we do, and fast.
fn compares(types: &[Type]) -> bool {
    let ty = &types[0];
    ty.is_integer() || ty.is_temporal() || ty.is_text() || matches!(ty, Type::Decimal(..))
}

/// Which row of a group is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    First,
    Last,
    /// The first of those with the smallest last argument.
    Smallest,
    /// The first of those with the largest last argument.
    Largest,
}

/// The first argument in the chosen row.
pub(super) fn pick(types: &[Type], choice: Choice) -> Result<Box<dyn Groups>> {
    Ok(Box::new(Pick {
        types: types.to_vec(),
        encoder: Encoder::new(types, true)?,
        best: Best::new(choice, &types[types.len() - 1])?,
        rows: Vec::new(),
        heap: 0,
    }))
}

/// The best key so far of each group.
#[derive(Debug)]
pub(super) struct Best {
    choice: Choice,
    keys: Keys,
    /// By group, the row of the current batch that is better than all before; [`NONE`] if none.
    winners: Vec<u32>,
}

#[derive(Debug)]
enum Keys {
    /// The order of arrival decides.
    Arrival(Vec<bool>),
    /// Keys that 64 bits can order.
    Short(Vec<Option<i64>>),
    Long(Encoder, Vec<Option<Vec<u8>>>),
}

const NONE: u32 = u32::MAX;

impl Best {
    pub(super) fn new(choice: Choice, key: &Type) -> Result<Self> {
        let keys = match choice {
            Choice::First | Choice::Last => Keys::Arrival(Vec::new()),
            _ if is_short(key) => Keys::Short(Vec::new()),
            _ => Keys::Long(Encoder::new(std::slice::from_ref(key), true)?, Vec::new()),
        };
        Ok(Self { choice, keys, winners: Vec::new() })
    }

    pub(super) fn grow(&mut self, count: usize) {
        if self.winners.len() < count {
            self.winners.resize(count, NONE);
            match &mut self.keys {
                Keys::Arrival(seen) => seen.resize(count, false),
                Keys::Short(best) => best.resize(count, None),
                Keys::Long(_, best) => best.resize_with(count, || None),
            }
        }
    }

    pub(super) fn forget(&mut self, count: usize) {
        self.winners.drain(..count);
        match &mut self.keys {
            Keys::Arrival(seen) => drop(seen.drain(..count)),
            Keys::Short(best) => drop(best.drain(..count)),
            Keys::Long(_, best) => drop(best.drain(..count)),
        }
    }

    /// True when the group has had a row.
    pub(super) fn seen(&self, group: usize) -> bool {
        match &self.keys {
            Keys::Arrival(seen) => seen[group],
            Keys::Short(best) => best[group].is_some(),
            Keys::Long(_, best) => best[group].is_some(),
        }
    }

    pub(super) fn size(&self) -> usize {
        let key = match &self.keys {
            Keys::Arrival(_) => 1,
            Keys::Short(_) => size_of::<Option<i64>>(),
            Keys::Long(..) => 2 * size_of::<Option<Vec<u8>>>(),
        };
        self.winners.capacity() * (key + size_of::<u32>())
    }

    /// Takes the keys of a batch in. Gives the groups with a new best row, and these rows.
    pub(super) fn improve(
        &mut self,
        key: &ArrayRef,
        groups: &[usize],
    ) -> Result<(Vec<usize>, Vec<u32>)> {
        let mut touched = Vec::new();
        let winners = &mut self.winners;
        let mut win = |group: usize, row: usize| {
            if winners[group] == NONE {
                touched.push(group);
            }
            winners[group] = row as u32;
        };
        let largest = self.choice == Choice::Largest;
        match &mut self.keys {
            Keys::Arrival(seen) => {
                for (row, group) in groups.iter().enumerate() {
                    if self.choice == Choice::Last || !seen[*group] {
                        seen[*group] = true;
                        win(*group, row);
                    }
                }
            }
            Keys::Short(best) => {
                for (row, (key, group)) in short_keys(key, largest)?.iter().zip(groups).enumerate()
                {
                    if best[*group].is_none_or(|best| *key < best) {
                        best[*group] = Some(*key);
                        win(*group, row);
                    }
                }
            }
            Keys::Long(encoder, best) => {
                let keys = encoder.encode(std::slice::from_ref(key))?;
                for (row, group) in groups.iter().enumerate() {
                    let key = keys.row(row);
                    let better = |best: &Vec<u8>| {
                        if largest { key > best.as_slice() } else { key < best.as_slice() }
                    };
                    if best[*group].as_ref().is_none_or(better) {
                        replace(&mut best[*group], key);
                        win(*group, row);
                    }
                }
            }
        }
        let rows = touched.iter().map(|group| std::mem::replace(&mut winners[*group], NONE));
        let rows = rows.collect();
        Ok((touched, rows))
    }

    /// The rows whose key is the best of their group.
    pub(super) fn holders(&self, key: &ArrayRef, groups: &[usize]) -> Result<BooleanArray> {
        let rows = groups.iter().enumerate();
        Ok(match &self.keys {
            Keys::Arrival(_) => BooleanArray::from(vec![true; groups.len()]),
            Keys::Short(best) => {
                let keys = short_keys(key, self.choice == Choice::Largest)?;
                rows.map(|(row, group)| Some(best[*group] == Some(keys[row]))).collect()
            }
            Keys::Long(encoder, best) => {
                let keys = encoder.encode(std::slice::from_ref(key))?;
                rows.map(|(row, group)| Some(best[*group].as_deref() == Some(keys.row(row))))
                    .collect()
            }
        })
    }
}

fn is_short(ty: &Type) -> bool {
    let plain = ty.is_integer() || ty.is_float() || ty.is_temporal();
    plain || matches!(ty, Type::Bool)
}

/// Numbers that sort as the keys do, or the other way round. NaN loses against everything.
fn short_keys(keys: &ArrayRef, largest: bool) -> Result<Vec<i64>> {
    let mut numbers: Vec<i64> = match keys.data_type() {
        DataType::UInt64 => {
            let flip = |key: &u64| (key ^ (1 << 63)) as i64;
            keys.as_primitive::<UInt64Type>().values().iter().map(flip).collect()
        }
        DataType::Float32 | DataType::Float64 => {
            let keys = cast(keys, &DataType::Float64)?;
            let order = |key: &f64| {
                // Adding 0 makes -0 and 0 one key; sign and magnitude become two's complement.
                let bits = (key + 0.0).to_bits() as i64;
                let sorted = bits ^ (((bits >> 63) as u64) >> 1) as i64;
                match (key.is_nan(), largest) {
                    (false, _) => sorted,
                    (true, true) => i64::MIN,
                    (true, false) => i64::MAX,
                }
            };
            keys.as_primitive::<Float64Type>().values().iter().map(order).collect()
        }
        DataType::Date32 => {
            let days = cast(keys, &DataType::Int32)?;
            cast(&days, &DataType::Int64)?.as_primitive::<Int64Type>().values().to_vec()
        }
        _ => cast(keys, &DataType::Int64)?.as_primitive::<Int64Type>().values().to_vec(),
    };
    if largest {
        numbers.iter_mut().for_each(|number| *number = !*number);
    }
    Ok(numbers)
}

fn replace(target: &mut Option<Vec<u8>>, bytes: &[u8]) -> usize {
    let target = target.get_or_insert_default();
    let before = target.capacity();
    target.clear();
    target.extend_from_slice(bytes);
    target.capacity().saturating_sub(before)
}

/// All arguments of the kept rows.
#[derive(Debug)]
struct Pick {
    types: Vec<Type>,
    encoder: Encoder,
    best: Best,
    rows: Vec<Option<Vec<u8>>>,
    heap: usize,
}

impl Pick {
    fn columns(&self, count: usize) -> Result<Vec<ArrayRef>> {
        let rows = self.rows[..count].iter().flatten();
        let dense = self.encoder.decode(rows.map(Vec::as_slice))?;
        let mut next = 0;
        let places = self.rows[..count].iter().map(|row| {
            row.as_ref().map(|_| {
                next += 1;
                next - 1
            })
        });
        let places: UInt32Array = places.collect();
        Ok(dense.iter().map(|column| take(column, &places, None)).collect::<Result<_, _>>()?)
    }
}

impl Groups for Pick {
    fn returns(&self) -> Type {
        self.types[0].clone()
    }

    fn state_types(&self) -> Vec<Type> {
        self.types.iter().cloned().chain([Type::Bool]).collect()
    }

    fn grow(&mut self, count: usize) {
        self.best.grow(count);
        if self.rows.len() < count {
            self.rows.resize_with(count, || None);
        }
    }

    fn update(&mut self, args: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let (groups, rows) = self.best.improve(&args[args.len() - 1], groups)?;
        if groups.is_empty() {
            return Ok(());
        }
        let rows = UInt32Array::from(rows);
        let args: Vec<_> =
            args.iter().map(|column| take(column, &rows, None)).collect::<Result<_, _>>()?;
        let encoded: Encoded = self.encoder.encode(&args)?;
        for (row, group) in groups.into_iter().enumerate() {
            self.heap += replace(&mut self.rows[group], encoded.row(row));
        }
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let (columns, seen) = states.split_at(self.types.len());
        let (columns, groups) = keep(columns, groups, seen[0].as_boolean())?;
        self.update(&columns, &groups)
    }

    fn state(&self, count: usize) -> Result<Vec<ArrayRef>> {
        let seen: BooleanArray = (0..count).map(|group| Some(self.best.seen(group))).collect();
        let mut columns = self.columns(count)?;
        columns.push(Arc::new(seen));
        Ok(columns)
    }

    fn finish(&self, count: usize) -> Result<ArrayRef> {
        Ok(self.columns(count)?.swap_remove(0))
    }

    fn forget(&mut self, count: usize) {
        self.best.forget(count);
        let gone = self.rows.drain(..count).flatten();
        self.heap -= gone.map(|row| row.capacity()).sum::<usize>().min(self.heap);
    }

    fn size(&self) -> usize {
        self.best.size() + self.rows.capacity() * size_of::<Option<Vec<u8>>>() + self.heap
    }
}
