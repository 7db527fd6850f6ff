//! Collecting the rows of a group: into arrays, and to hand them to an aggregate later.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringViewBuilder};
use arrow::compute::{SortColumn, SortOptions, interleave, lexsort_to_indices, take};
use datafusion::common::hash_utils::RandomState;
use datafusion::common::{HashMap, ScalarValue};

use super::bytes::{Encoder, Interner};
use super::distinct::{explode_all, lists_all};
use super::groups::{Groups, Make, add, lists};
use super::{AggregateBody, Form, limit, ordered, text_of};
use crate::error::Result;
use crate::functions::function::{Arg, Function};
use crate::types::Type;
use crate::views::trimmed;

/// Aggregates that collect values.
pub(in crate::functions) const FUNCTIONS: &[Function] = &[
    ordered("groupArray", &[Arg::Any], |types, params| {
        Ok(Collect::boxed(&types[0], Store::boxed(types, limit(params)?), None))
    })
    .aliases(&["array_agg"])
    .params(0, Some(1))
    .doc("An array of the values, at most as many as the parameter says, NULLs left out.")
    .examples(&[("groupArray(2)", "[2]"), ("groupArray(1)(2)", "[2]")]),
    ordered("groupUniqArray", &[Arg::Any], |types, params| {
        let source = Box::new(Tally::new(types, limit(params)?, false)?);
        Ok(Collect::boxed(&types[0], source, None))
    })
    .aliases(&["groupArrayDistinct"])
    .params(0, Some(1))
    .doc("An array of the distinct values, at most as many as the parameter says, NULLs left out.")
    .examples(&[("groupUniqArray(2)", "[2]")]),
    ordered("groupConcat", &[Arg::Text], |types, params| {
        let limit = limit(params.get(1..).unwrap_or_default())?;
        joined(types, limit, params.first())
    })
    .params(0, Some(2))
    .doc("The texts one after the other, with the first parameter between them.")
    .examples(&[("groupConcat(',')('a')", "a")]),
    Function::aggregate(
        "string_agg",
        &[Arg::Text],
        AggregateBody::new(|types, params| joined(types, usize::MAX, params.first()))
            .ordered()
            .form(Form::ParameterLast),
    )
    .params(1, Some(1))
    .doc("string_agg(text, separator): the texts with the separator between them.")
    .examples(&[("string_agg('a', ',')", "a")]),
];

/// Rows by group, in the order they arrived.
pub(super) trait Source: Debug + Send + Sync {
    fn grow(&mut self, count: usize);
    fn push(&mut self, columns: &[ArrayRef], groups: &[usize]) -> Result<()>;
    /// The rows of the first `count` groups one after the other, and how many each has.
    fn gather(&self, count: usize) -> Result<(Vec<ArrayRef>, Vec<usize>)>;
    fn forget(&mut self, count: usize);
    fn size(&self) -> usize;
}

/// All rows, or the first few of each group.
#[derive(Debug)]
pub(super) struct Store {
    types: Vec<Type>,
    limit: usize,
    /// The columns of each batch.
    chunks: Vec<Vec<ArrayRef>>,
    /// By group: chunk and row.
    rows: Vec<Vec<(u32, u32)>>,
    /// Rows in `chunks`, rows pointed to by `rows`, bytes of `chunks`.
    held: usize,
    live: usize,
    bytes: usize,
}

impl Store {
    pub(super) fn boxed(types: &[Type], limit: usize) -> Box<dyn Source> {
        let types = types.to_vec();
        let (chunks, rows) = (Vec::new(), Vec::new());
        Box::new(Self { types, limit, chunks, rows, held: 0, live: 0, bytes: 0 })
    }

    fn keep(&mut self, columns: Vec<ArrayRef>) {
        self.held += columns[0].len();
        self.bytes += columns.iter().map(|column| column.get_array_memory_size()).sum::<usize>();
        self.chunks.push(columns);
    }

    fn places(&self, count: usize) -> Vec<(usize, usize)> {
        let rows = self.rows[..count].iter().flatten();
        rows.map(|(chunk, row)| (*chunk as usize, *row as usize)).collect()
    }

    fn columns(&self, places: &[(usize, usize)]) -> Result<Vec<ArrayRef>> {
        let column = |(index, ty): (usize, &Type)| -> Result<ArrayRef> {
            if places.is_empty() {
                return Ok(arrow::array::new_empty_array(&ty.to_arrow()));
            }
            let arrays: Vec<&dyn Array> =
                self.chunks.iter().map(|columns| columns[index].as_ref()).collect();
            Ok(interleave(&arrays, places)?)
        };
        self.types.iter().enumerate().map(column).collect()
    }

    /// Copies the live rows together, once most of what is held belongs to groups long gone.
    fn compact(&mut self) -> Result<()> {
        let columns = self.columns(&self.places(self.rows.len()))?;
        self.chunks.clear();
        (self.held, self.bytes) = (0, 0);
        self.keep(columns);
        for (row, place) in self.rows.iter_mut().flatten().enumerate() {
            *place = (0, row as u32);
        }
        Ok(())
    }
}

impl Source for Store {
    fn grow(&mut self, count: usize) {
        if self.rows.len() < count {
            self.rows.resize_with(count, Vec::new);
        }
    }

    fn push(&mut self, columns: &[ArrayRef], groups: &[usize]) -> Result<()> {
        if self.live * 2 < self.held && self.held > 8192 {
            self.compact()?;
        }
        let chunk = self.chunks.len() as u32;
        let mut wanted = Vec::with_capacity(groups.len());
        for (row, group) in groups.iter().enumerate() {
            let rows = &mut self.rows[*group];
            if rows.len() < self.limit {
                rows.push((chunk, wanted.len() as u32));
                wanted.push(row as u32);
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        self.live += wanted.len();
        let columns = if wanted.len() == groups.len() {
            columns.iter().map(trimmed).collect()
        } else {
            let wanted = arrow::array::UInt32Array::from(wanted);
            let taken = columns.iter().map(|column| take(column, &wanted, None));
            taken.map(|column| Ok(trimmed(&column?))).collect::<Result<_>>()?
        };
        self.keep(columns);
        Ok(())
    }

    fn gather(&self, count: usize) -> Result<(Vec<ArrayRef>, Vec<usize>)> {
        let lengths = self.rows[..count].iter().map(Vec::len).collect();
        Ok((self.columns(&self.places(count))?, lengths))
    }

    fn forget(&mut self, count: usize) {
        self.live -= self.rows.drain(..count).map(|rows| rows.len()).sum::<usize>();
        if self.live == 0 {
            self.chunks.clear();
            (self.held, self.bytes) = (0, 0);
            self.rows.iter_mut().for_each(Vec::clear);
        }
    }

    fn size(&self) -> usize {
        self.bytes + self.rows.capacity() * size_of::<Vec<()>>() + self.live * size_of::<u64>()
    }
}

/// Distinct rows with how often each was seen.
#[derive(Debug)]
pub(super) struct Tally {
    types: Vec<Type>,
    limit: usize,
    encoder: Encoder,
    interner: Interner,
    groups: Vec<Counts>,
    entries: usize,
}

/// Numbers of interned rows with their counts, in the order of arrival.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) entries: Vec<(u32, u64)>,
    places: HashMap<u32, u32, RandomState>,
}

impl Counts {
    /// Counts a row; true when it is new. Nothing new is taken in beyond `limit`.
    fn add(&mut self, number: u32, times: u64, limit: usize) -> bool {
        if let Some(place) = self.places.get(&number) {
            let (_, count) = &mut self.entries[*place as usize];
            *count = count.saturating_add(times);
            return false;
        }
        if self.entries.len() >= limit {
            return false;
        }
        self.places.insert(number, self.entries.len() as u32);
        self.entries.push((number, times));
        true
    }
}

impl Tally {
    pub(super) fn new(types: &[Type], limit: usize, nulls: bool) -> Result<Self> {
        Ok(Self {
            types: types.to_vec(),
            limit,
            encoder: Encoder::new(types, !nulls)?,
            interner: Interner::default(),
            groups: Vec::new(),
            entries: 0,
        })
    }

    /// Counts each row `times` times.
    pub(super) fn count(
        &mut self,
        columns: &[ArrayRef],
        times: impl Fn(usize) -> u64,
        groups: &[usize],
    ) -> Result<()> {
        let rows = self.encoder.encode(columns)?;
        for (row, group) in groups.iter().enumerate() {
            let number = self.interner.intern(rows.row(row));
            let new = self.groups[*group].add(number, times(row), self.limit);
            self.entries += usize::from(new);
        }
        Ok(())
    }

    pub(super) fn counts(&self, count: usize) -> &[Counts] {
        &self.groups[..count]
    }

    /// The bytes of an interned row. They sort as the rows do.
    pub(super) fn bytes(&self, number: u32) -> &[u8] {
        self.interner.get(number)
    }

    pub(super) fn decode(&self, numbers: impl Iterator<Item = u32>) -> Result<Vec<ArrayRef>> {
        self.encoder.decode(numbers.map(|number| self.interner.get(number)))
    }
}

impl Source for Tally {
    fn grow(&mut self, count: usize) {
        if self.groups.len() < count {
            self.groups.resize_with(count, Counts::default);
        }
    }

    fn push(&mut self, columns: &[ArrayRef], groups: &[usize]) -> Result<()> {
        self.count(columns, |_| 1, groups)
    }

    fn gather(&self, count: usize) -> Result<(Vec<ArrayRef>, Vec<usize>)> {
        let groups = self.counts(count);
        let columns = self.decode(groups.iter().flat_map(|group| &group.entries).map(|e| e.0))?;
        debug_assert_eq!(columns.len(), self.types.len());
        Ok((columns, groups.iter().map(|group| group.entries.len()).collect()))
    }

    fn forget(&mut self, count: usize) {
        let gone = self.groups.drain(..count);
        self.entries -= gone.map(|group| group.entries.len()).sum::<usize>();
        if self.entries == 0 {
            self.interner = Interner::default();
        }
    }

    fn size(&self) -> usize {
        self.interner.size()
            + self.groups.capacity() * size_of::<Counts>()
            + self.entries * (size_of::<(u32, u64)>() + 2 * size_of::<(u32, u32)>())
    }
}

/// `groupArray` and its like: the values of a group as an array.
#[derive(Debug)]
struct Collect {
    item: Type,
    source: Box<dyn Source>,
    /// Joins the values, which are texts, instead.
    separator: Option<String>,
}

/// The texts of a group in one.
fn joined(
    types: &[Type],
    limit: usize,
    separator: Option<&ScalarValue>,
) -> Result<Box<dyn Groups>> {
    let separator = separator.map_or(Ok(""), text_of)?.to_owned();
    Ok(Collect::boxed(&types[0], Store::boxed(types, limit), Some(separator)))
}

impl Collect {
    fn boxed(item: &Type, source: Box<dyn Source>, separator: Option<String>) -> Box<dyn Groups> {
        Box::new(Self { item: item.clone(), source, separator })
    }

    fn array(&self, count: usize) -> Result<ArrayRef> {
        let (mut columns, lengths) = self.source.gather(count)?;
        Ok(Arc::new(lists(columns.swap_remove(0), &self.item, lengths.into_iter())))
    }
}

impl Groups for Collect {
    fn returns(&self) -> Type {
        match self.separator {
            Some(_) => Type::String,
            None => self.item.clone().array(),
        }
    }

    fn state_types(&self) -> Vec<Type> {
        vec![self.item.clone().array()]
    }

    fn nullable(&self) -> bool {
        self.separator.is_some()
    }

    fn grow(&mut self, count: usize) {
        self.source.grow(count);
    }

    fn update(&mut self, args: &[ArrayRef], groups: &[usize]) -> Result<()> {
        self.source.push(&args[..1], groups)
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let (columns, owners) = explode_all(states, groups)?;
        self.source.push(&columns, &owners)
    }

    fn state(&self, count: usize) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.array(count)?])
    }

    fn finish(&self, count: usize) -> Result<ArrayRef> {
        let Some(separator) = &self.separator else { return self.array(count) };
        let (columns, lengths) = self.source.gather(count)?;
        let mut texts = columns[0].as_string_view().iter().flatten();
        let mut builder = StringViewBuilder::with_capacity(count);
        for length in lengths {
            let joined: Vec<_> = texts.by_ref().take(length).collect();
            builder.append_option((length > 0).then(|| joined.join(separator)));
        }
        Ok(Arc::new(builder.finish()))
    }

    fn forget(&mut self, count: usize) {
        self.source.forget(count);
    }

    fn size(&self) -> usize {
        self.source.size()
    }
}

/// An aggregate that gets its rows at the end: distinct, or in a given order.
#[derive(Debug)]
pub(super) struct Replay {
    types: Vec<Type>,
    source: Box<dyn Source>,
    /// How the last columns, which the aggregate does not see, sort the rows.
    order: Vec<SortOptions>,
    inner: Inner,
}

struct Inner(Make);

impl Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inner")
    }
}

impl Replay {
    /// `types` are those of the aggregate's arguments, then of the sort keys.
    pub(super) fn boxed(
        types: &[Type],
        distinct: bool,
        order: &[SortOptions],
        inner: Make,
    ) -> Result<Box<dyn Groups>> {
        let source: Box<dyn Source> = if distinct {
            Box::new(Tally::new(types, usize::MAX, true)?)
        } else {
            Store::boxed(types, usize::MAX)
        };
        let (types, order) = (types.to_vec(), order.to_vec());
        Ok(Box::new(Self { types, source, order, inner: Inner(inner) }))
    }

    /// Sorts within each group; the sort is stable since the row number is the last key.
    fn sorted(&self, columns: Vec<ArrayRef>, owners: &[usize]) -> Result<Vec<ArrayRef>> {
        let args = self.types.len() - self.order.len();
        let owners = owners.iter().map(|owner| *owner as u64);
        let mut keys: Vec<ArrayRef> =
            vec![Arc::new(arrow::array::UInt64Array::from_iter_values(owners))];
        keys.extend(columns[args..].iter().cloned());
        let rows = 0..columns[0].len() as u64;
        keys.push(Arc::new(arrow::array::UInt64Array::from_iter_values(rows)));
        let options = std::iter::once(None).chain(self.order.iter().copied().map(Some));
        let keys = keys.into_iter().zip(options.chain([None]));
        let keys: Vec<_> = keys.map(|(values, options)| SortColumn { values, options }).collect();
        let places = lexsort_to_indices(&keys, None)?;
        let columns = columns[..args].iter().map(|column| take(column, &places, None));
        Ok(columns.collect::<Result<_, _>>()?)
    }
}

impl Groups for Replay {
    fn returns(&self) -> Type {
        (self.inner.0)().map_or(Type::Null, |inner| inner.returns())
    }

    fn state_types(&self) -> Vec<Type> {
        self.types.iter().cloned().map(Type::array).collect()
    }

    fn nullable(&self) -> bool {
        (self.inner.0)().is_ok_and(|inner| inner.nullable())
    }

    fn skips_null(&self) -> bool {
        false
    }

    fn grow(&mut self, count: usize) {
        self.source.grow(count);
    }

    fn update(&mut self, args: &[ArrayRef], groups: &[usize]) -> Result<()> {
        self.source.push(args, groups)
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let (columns, owners) = explode_all(states, groups)?;
        self.source.push(&columns, &owners)
    }

    fn state(&self, count: usize) -> Result<Vec<ArrayRef>> {
        let (columns, lengths) = self.source.gather(count)?;
        Ok(lists_all(columns, &self.types, lengths.iter().copied()))
    }

    fn finish(&self, count: usize) -> Result<ArrayRef> {
        let (mut columns, lengths) = self.source.gather(count)?;
        let owners = lengths.iter().enumerate();
        let owners: Vec<usize> =
            owners.flat_map(|(group, rows)| std::iter::repeat_n(group, *rows)).collect();
        if !self.order.is_empty() {
            columns = self.sorted(columns, &owners)?;
        }
        let mut inner = (self.inner.0)()?;
        inner.grow(count);
        add(inner.as_mut(), &columns, &owners, None)?;
        inner.finish(count)
    }

    fn forget(&mut self, count: usize) {
        self.source.forget(count);
    }

    fn size(&self) -> usize {
        self.source.size()
    }
}
