//! The aggregates that combinators make of others.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, MapArray, StructArray, UInt64Array, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::kernels::cmp::neq;
use arrow::compute::{nullif, take};
use arrow::datatypes::DataType;
use datafusion::common::hash_utils::RandomState;
use datafusion::common::{HashMap, ScalarValue};

use super::bytes::{Encoder, Interner};
use super::combinators::state_type;
use super::distinct::explode_all;
use super::groups::{Groups, add, explode, keep, lists};
use super::pick::{Best, Choice, pick};
use crate::error::{Error, ErrorKind, Result};
use crate::types::Type;

/// Methods that a wrapper hands through to what it wraps.
macro_rules! forward {
    ($inner:ident: $($method:ident),*) => { $(forward!(@ $inner $method);)* };
    (@ $inner:ident returns) => {
        fn returns(&self) -> Type {
            self.$inner.returns()
        }
    };
    (@ $inner:ident state_types) => {
        fn state_types(&self) -> Vec<Type> {
            self.$inner.state_types()
        }
    };
    (@ $inner:ident nullable) => {
        fn nullable(&self) -> bool {
            self.$inner.nullable()
        }
    };
    (@ $inner:ident skips_null) => {
        fn skips_null(&self) -> bool {
            self.$inner.skips_null()
        }
    };
    (@ $inner:ident grow) => {
        fn grow(&mut self, count: usize) {
            self.$inner.grow(count);
        }
    };
    (@ $inner:ident update) => {
        fn update(&mut self, args: &[ArrayRef], groups: &[usize]) -> Result<()> {
            self.$inner.update(args, groups)
        }
    };
    (@ $inner:ident merge) => {
        fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()> {
            self.$inner.merge(states, groups)
        }
    };
    (@ $inner:ident state) => {
        fn state(&self, count: usize) -> Result<Vec<ArrayRef>> {
            self.$inner.state(count)
        }
    };
    (@ $inner:ident finish) => {
        fn finish(&self, count: usize) -> Result<ArrayRef> {
            self.$inner.finish(count)
        }
    };
    (@ $inner:ident forget) => {
        fn forget(&mut self, count: usize) {
            self.$inner.forget(count);
        }
    };
    (@ $inner:ident size) => {
        fn size(&self) -> usize {
            self.$inner.size()
        }
    };
}

/// An aggregate that gets its rows another way.
#[derive(Debug)]
pub(super) struct Feed {
    inner: Box<dyn Groups>,
    via: Via,
}

/// What the arguments are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Via {
    /// Those of the aggregate, then a condition.
    Condition,
    /// Arrays of those of the aggregate.
    Elements,
    /// A state of the aggregate.
    States,
}

impl Feed {
    pub(super) fn boxed(inner: Box<dyn Groups>, via: Via) -> Box<dyn Groups> {
        Box::new(Self { inner, via })
    }
}

impl Groups for Feed {
    forward!(inner: returns, state_types, nullable, grow, merge, state, finish, forget, size);

    fn skips_null(&self) -> bool {
        !matches!(self.via, Via::Condition)
    }

    fn update(&mut self, args: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let inner = self.inner.as_mut();
        match self.via {
            Via::Condition => {
                let (condition, args) = split_last(args)?;
                add(inner, args, groups, Some(condition.as_boolean()))
            }
            Via::Elements => {
                check_lengths(args)?;
                let (args, owners) = explode_all(args, groups)?;
                add(inner, &args, &owners, None)
            }
            Via::States => inner.merge(args[0].as_struct().column(0).as_struct().columns(), groups),
        }
    }
}

/// The state of an aggregate instead of its result.
#[derive(Debug)]
pub(super) struct State {
    label: String,
    arguments: Vec<Type>,
    inner: Box<dyn Groups>,
}

impl State {
    pub(super) fn new(label: &str, arguments: &[Type], inner: Box<dyn Groups>) -> Self {
        Self { label: label.to_owned(), arguments: arguments.to_vec(), inner }
    }
}

impl Groups for State {
    forward!(inner: state_types, skips_null, grow, update, merge, state, forget, size);

    fn returns(&self) -> Type {
        state_type(&self.label, self.inner.state_types(), &self.arguments)
    }

    fn nullable(&self) -> bool {
        false
    }

    fn finish(&self, count: usize) -> Result<ArrayRef> {
        let DataType::Struct(fields) = self.returns().to_arrow() else {
            return Err(Error::internal("a state is a tuple"));
        };
        let mut columns = vec![structure(fields[0].data_type(), self.inner.state(count)?, None)?];
        columns.extend(fields.get(1).map(|field| new_null_array(field.data_type(), count)));
        Ok(Arc::new(StructArray::new(fields, columns, None)))
    }
}

/// NULL for groups without rows.
#[derive(Debug)]
pub(super) struct OrNull {
    inner: Box<dyn Groups>,
    seen: Vec<bool>,
}

impl OrNull {
    pub(super) fn new(inner: Box<dyn Groups>) -> Self {
        Self { inner, seen: Vec::new() }
    }
}

impl Groups for OrNull {
    forward!(inner: returns, skips_null);

    fn state_types(&self) -> Vec<Type> {
        self.inner.state_types().into_iter().chain([Type::Bool]).collect()
    }

    fn grow(&mut self, count: usize) {
        self.inner.grow(count);
        if self.seen.len() < count {
            self.seen.resize(count, false);
        }
    }

    fn update(&mut self, args: &[ArrayRef], groups: &[usize]) -> Result<()> {
        groups.iter().for_each(|group| self.seen[*group] = true);
        self.inner.update(args, groups)
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let (seen, states) = split_last(states)?;
        for row in seen.as_boolean().values().set_indices() {
            self.seen[groups[row]] = true;
        }
        self.inner.merge(states, groups)
    }

    fn state(&self, count: usize) -> Result<Vec<ArrayRef>> {
        let mut columns = self.inner.state(count)?;
        columns.push(Arc::new(BooleanArray::from(self.seen[..count].to_vec())));
        Ok(columns)
    }

    fn finish(&self, count: usize) -> Result<ArrayRef> {
        let empty: BooleanArray = self.seen[..count].iter().map(|seen| Some(!seen)).collect();
        Ok(nullif(&self.inner.finish(count)?, &empty)?)
    }

    fn forget(&mut self, count: usize) {
        self.inner.forget(count);
        self.seen.drain(..count);
    }

    fn size(&self) -> usize {
        self.inner.size() + self.seen.capacity()
    }
}

/// One aggregate per position in an array.
#[derive(Debug)]
pub(super) struct ForEach {
    inner: Box<dyn Groups>,
    /// By group and position, the group of `inner`.
    members: Vec<Vec<usize>>,
    /// Groups of `inner`.
    used: usize,
}

impl ForEach {
    pub(super) fn new(inner: Box<dyn Groups>) -> Self {
        Self { inner, members: Vec::new(), used: 0 }
    }

    /// The inner groups of the elements of lists, row after row.
    fn places(&mut self, lists: &ArrayRef, groups: &[usize]) -> Vec<usize> {
        let lists = lists.as_list::<i32>();
        let mut places = Vec::new();
        for (row, group) in groups.iter().enumerate().filter(|(row, _)| lists.is_valid(*row)) {
            let members = &mut self.members[*group];
            let length = lists.value_length(row) as usize;
            while members.len() < length {
                members.push(self.used);
                self.used += 1;
            }
            places.extend_from_slice(&members[..length]);
        }
        self.inner.grow(self.used);
        places
    }

    /// An array per group out of one value per inner group.
    fn gather(&self, values: &ArrayRef, item: &Type, count: usize) -> Result<ArrayRef> {
        let members = &self.members[..count];
        let places = members.iter().flatten().map(|place| *place as u64);
        let values = take(values, &UInt64Array::from_iter_values(places), None)?;
        Ok(Arc::new(lists(values, item, members.iter().map(Vec::len))))
    }

    fn item(&self) -> Type {
        Type::tuple(self.inner.state_types())
    }
}

impl Groups for ForEach {
    fn returns(&self) -> Type {
        self.inner.returns().array()
    }

    fn state_types(&self) -> Vec<Type> {
        vec![self.item().array()]
    }

    fn nullable(&self) -> bool {
        false
    }

    fn grow(&mut self, count: usize) {
        if self.members.len() < count {
            self.members.resize_with(count, Vec::new);
        }
    }

    fn update(&mut self, args: &[ArrayRef], groups: &[usize]) -> Result<()> {
        check_lengths(args)?;
        let places = self.places(&args[0], groups);
        let (args, _) = explode_all(args, groups)?;
        add(self.inner.as_mut(), &args, &places, None)
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let places = self.places(&states[0], groups);
        let (states, _) = explode(states[0].as_list(), groups)?;
        self.inner.merge(states.as_struct().columns(), &places)
    }

    fn state(&self, count: usize) -> Result<Vec<ArrayRef>> {
        let item = self.item();
        let states = structure(&item.to_arrow(), self.inner.state(self.used)?, None)?;
        Ok(vec![self.gather(&states, &item, count)?])
    }

    fn finish(&self, count: usize) -> Result<ArrayRef> {
        self.gather(&self.inner.finish(self.used)?, &self.inner.returns(), count)
    }

    fn forget(&mut self, count: usize) {
        self.members.drain(..count);
        if self.members.iter().all(Vec::is_empty) {
            self.inner.forget(self.used);
            self.used = 0;
        }
    }

    fn size(&self) -> usize {
        self.inner.size()
            + self.members.capacity() * size_of::<Vec<usize>>()
            + self.used * size_of::<usize>()
    }
}

/// One aggregate per key of a map.
#[derive(Debug)]
pub(super) struct ByKey {
    inner: Box<dyn Groups>,
    key: Type,
    /// True for an array of keys beside an array of values.
    parallel: bool,
    /// Keys whose result is zero are left out.
    drops_zeros: bool,
    encoder: Encoder,
    keys: Interner,
    /// By group and number of the key, the group of `inner`.
    members: Vec<HashMap<u32, usize, RandomState>>,
    used: usize,
}

/// Keys and inner groups in the order of the result, and how many each group has.
struct Entries {
    keys: ArrayRef,
    places: UInt64Array,
    lengths: Vec<usize>,
}

impl ByKey {
    pub(super) fn boxed(
        types: &[Type],
        inner: Box<dyn Groups>,
        is_sum: bool,
    ) -> Result<Box<dyn Groups>> {
        let (key, parallel) = match types {
            [Type::Map(key, _)] => (key.as_ref().clone(), false),
            [Type::Array(key), _] => (key.as_ref().clone(), true),
            _ => return Err(Error::internal("-Map without a map")),
        };
        let encoder = Encoder::new(std::slice::from_ref(&key), true)?;
        Ok(Box::new(Self {
            inner,
            key,
            parallel,
            drops_zeros: parallel && is_sum,
            encoder,
            keys: Interner::default(),
            members: Vec::new(),
            used: 0,
        }))
    }

    /// The inner groups of keys, none of which is NULL.
    fn places(&mut self, keys: &ArrayRef, groups: &[usize]) -> Result<Vec<usize>> {
        let keys = self.encoder.encode(std::slice::from_ref(keys))?;
        let places = groups.iter().enumerate().map(|(row, group)| {
            let key = self.keys.intern(keys.row(row));
            *self.members[*group].entry(key).or_insert_with(|| {
                self.used += 1;
                self.used - 1
            })
        });
        let places = places.collect();
        self.inner.grow(self.used);
        Ok(places)
    }

    /// Sorted by key within each group, without the inner groups that `wanted` rules out.
    fn entries(&self, count: usize, wanted: Option<&BooleanArray>) -> Result<Entries> {
        let mut keys = Vec::new();
        let mut places = Vec::new();
        let mut lengths = Vec::with_capacity(count);
        for members in &self.members[..count] {
            let mut entries: Vec<_> = members.iter().collect();
            entries.retain(|(_, place)| wanted.is_none_or(|wanted| wanted.value(**place)));
            entries.sort_unstable_by_key(|(key, _)| self.keys.get(**key));
            lengths.push(entries.len());
            keys.extend(entries.iter().map(|(key, _)| **key));
            places.extend(entries.iter().map(|(_, place)| **place as u64));
        }
        let keys = self.encoder.decode(keys.into_iter().map(|key| self.keys.get(key)))?;
        Ok(Entries { keys: Arc::clone(&keys[0]), places: places.into(), lengths })
    }

    fn item(&self) -> Type {
        Type::tuple([self.key.clone()].into_iter().chain(self.inner.state_types()))
    }
}

impl Groups for ByKey {
    fn returns(&self) -> Type {
        let (key, value) = (self.key.clone(), self.inner.returns());
        if self.parallel {
            Type::tuple([key.array(), value.array()])
        } else {
            Type::Map(Box::new(key), Box::new(value))
        }
    }

    fn state_types(&self) -> Vec<Type> {
        vec![self.item().array()]
    }

    fn nullable(&self) -> bool {
        false
    }

    fn grow(&mut self, count: usize) {
        if self.members.len() < count {
            self.members.resize_with(count, HashMap::default);
        }
    }

    fn update(&mut self, args: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let (columns, mut owners) = if self.parallel {
            check_lengths(args)?;
            explode_all(args, groups)?
        } else {
            let map = args[0].as_map();
            let fields = map.entries().fields().clone();
            let entries =
                Arc::new(StructArray::new(fields, map.entries().columns().to_vec(), None));
            let item = Arc::new(arrow::datatypes::Field::new(
                "item",
                map.entries().data_type().clone(),
                false,
            ));
            let nulls = map.nulls().cloned();
            let list = arrow::array::ListArray::new(item, map.offsets().clone(), entries, nulls);
            let (entries, owners) = explode(&list, groups)?;
            (entries.as_struct().columns().to_vec(), owners)
        };
        let (mut keys, mut values) = (Arc::clone(&columns[0]), Arc::clone(&columns[1]));
        if keys.null_count() > 0 {
            let present = arrow::compute::is_not_null(&keys)?;
            let (mut kept, of) = keep(&[keys, values], &owners, &present)?;
            (values, keys) = (kept.swap_remove(1), kept.swap_remove(0));
            owners = of;
        }
        let places = self.places(&keys, &owners)?;
        add(self.inner.as_mut(), &[values], &places, None)
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let (entries, owners) = explode(states[0].as_list(), groups)?;
        let columns = entries.as_struct().columns();
        let places = self.places(&columns[0], &owners)?;
        self.inner.merge(&columns[1..], &places)
    }

    fn state(&self, count: usize) -> Result<Vec<ArrayRef>> {
        let entries = self.entries(count, None)?;
        let states = self.inner.state(self.used)?;
        let states = states.iter().map(|state| take(state, &entries.places, None));
        let columns = [Ok(entries.keys)].into_iter().chain(states).collect::<Result<_, _>>()?;
        let item = self.item();
        let rows = structure(&item.to_arrow(), columns, None)?;
        Ok(vec![Arc::new(lists(rows, &item, entries.lengths.into_iter()))])
    }

    fn finish(&self, count: usize) -> Result<ArrayRef> {
        let values = self.inner.finish(self.used)?;
        let wanted = match self.drops_zeros {
            true => Some(neq(&values, &ScalarValue::new_zero(values.data_type())?.to_scalar()?)?),
            false => None,
        };
        let Entries { keys, places, lengths } = self.entries(count, wanted.as_ref())?;
        let values = take(&values, &places, None)?;
        if self.parallel {
            let keys = lists(keys, &self.key, lengths.iter().copied());
            let values = lists(values, &self.inner.returns(), lengths.into_iter());
            return structure(
                &self.returns().to_arrow(),
                vec![Arc::new(keys), Arc::new(values)],
                None,
            );
        }
        let DataType::Map(entry, sorted) = self.returns().to_arrow() else {
            return Err(Error::internal("a map is a map"));
        };
        let entries = structure(entry.data_type(), vec![keys, values], None)?;
        let offsets = OffsetBuffer::from_lengths(lengths);
        Ok(Arc::new(MapArray::new(entry, offsets, entries.as_struct().clone(), None, sorted)))
    }

    fn forget(&mut self, count: usize) {
        self.members.drain(..count);
        if self.members.iter().all(HashMap::is_empty) {
            self.inner.forget(self.used);
            self.used = 0;
            self.keys = Interner::default();
        }
    }

    fn size(&self) -> usize {
        self.inner.size()
            + self.keys.size()
            + self.members.capacity() * size_of::<HashMap<u32, usize>>()
            + self.used * 2 * size_of::<(u32, usize)>()
    }
}

/// An aggregate over those rows whose last argument is the smallest or largest.
#[derive(Debug)]
pub(super) struct AtBest {
    inner: Box<dyn Groups>,
    best: Best,
    /// The best keys themselves.
    keys: Box<dyn Groups>,
    /// By group, the group of `inner` that has the rows with the best key so far.
    current: Vec<usize>,
    used: usize,
}

impl AtBest {
    pub(super) fn boxed(
        types: &[Type],
        inner: Box<dyn Groups>,
        choice: Choice,
    ) -> Result<Box<dyn Groups>> {
        let [.., key] = types else { return Err(Error::internal("no argument to compare")) };
        let best = Best::new(choice, key)?;
        let keys = pick(std::slice::from_ref(key), choice)?;
        Ok(Box::new(Self { inner, best, keys, current: Vec::new(), used: 0 }))
    }

    /// The rows that count, and their inner groups. A better key starts an inner group afresh.
    fn select(
        &mut self,
        columns: &[ArrayRef],
        key: &ArrayRef,
        groups: &[usize],
    ) -> Result<(Vec<ArrayRef>, Vec<usize>)> {
        let (improved, _) = self.best.improve(key, groups)?;
        for group in improved {
            self.current[group] = self.used;
            self.used += 1;
        }
        self.inner.grow(self.used);
        let (columns, groups) = keep(columns, groups, &self.best.holders(key, groups)?)?;
        Ok((columns, groups.into_iter().map(|group| self.current[group]).collect()))
    }

    fn gather(&self, values: &ArrayRef, count: usize) -> Result<ArrayRef> {
        let places = self.current[..count].iter().map(|place| *place as u64);
        Ok(take(values, &UInt64Array::from_iter_values(places), None)?)
    }
}

impl Groups for AtBest {
    forward!(inner: returns, nullable);

    fn state_types(&self) -> Vec<Type> {
        self.inner.state_types().into_iter().chain(self.keys.state_types()).collect()
    }

    fn grow(&mut self, count: usize) {
        self.best.grow(count);
        self.keys.grow(count);
        while self.current.len() < count {
            self.current.push(self.used);
            self.used += 1;
        }
        self.inner.grow(self.used);
    }

    fn update(&mut self, args: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let (key, args) = split_last(args)?;
        self.keys.update(std::slice::from_ref(key), groups)?;
        let (args, places) = self.select(args, key, groups)?;
        add(self.inner.as_mut(), &args, &places, None)
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let (inner, keys) = states.split_at(self.inner.state_types().len());
        self.keys.merge(keys, groups)?;
        let (columns, groups) = keep(states, groups, keys[1].as_boolean())?;
        let (states, places) =
            self.select(&columns[..inner.len()], &columns[inner.len()], &groups)?;
        self.inner.merge(&states, &places)
    }

    fn state(&self, count: usize) -> Result<Vec<ArrayRef>> {
        let states = self.inner.state(self.used)?;
        let states = states.iter().map(|state| self.gather(state, count));
        let mut columns = states.collect::<Result<Vec<_>>>()?;
        columns.extend(self.keys.state(count)?);
        Ok(columns)
    }

    fn finish(&self, count: usize) -> Result<ArrayRef> {
        self.gather(&self.inner.finish(self.used)?, count)
    }

    fn forget(&mut self, count: usize) {
        self.best.forget(count);
        self.keys.forget(count);
        self.current.drain(..count);
        if self.current.is_empty() {
            self.inner.forget(self.used);
            self.used = 0;
        }
    }

    fn size(&self) -> usize {
        let current = self.current.capacity() * size_of::<usize>();
        self.inner.size() + self.best.size() + self.keys.size() + current
    }
}

fn split_last(args: &[ArrayRef]) -> Result<(&ArrayRef, &[ArrayRef])> {
    args.split_last().ok_or_else(|| Error::internal("a combinator without its argument"))
}

/// Parallel arrays have as many elements in each row.
fn check_lengths(arrays: &[ArrayRef]) -> Result<()> {
    let Some((first, others)) = arrays.split_first() else { return Ok(()) };
    let first = first.as_list::<i32>();
    for other in others {
        let other = other.as_list::<i32>();
        let same = |row| first.value_length(row) == other.value_length(row);
        if let Some(row) = (0..first.len()).find(|row| !same(*row)) {
            let (a, b) = (first.value_length(row), other.value_length(row));
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("arrays of different length: {a} and {b}"),
            ));
        }
    }
    Ok(())
}

fn structure(
    layout: &DataType,
    columns: Vec<ArrayRef>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let DataType::Struct(fields) = layout else {
        return Err(Error::internal("a tuple is a struct"));
    };
    Ok(Arc::new(StructArray::try_new(fields.clone(), columns, nulls)?))
}
