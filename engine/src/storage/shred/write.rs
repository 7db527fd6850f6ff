//! Documents → columns.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayBuilder, ArrayRef, AsArray, BooleanBuilder, RecordBatch, StringBuilder,
    StringViewArray,
};
use arrow::datatypes::{DataType, Field};
use datafusion::common::HashSet;

use super::choose::{Choice, Chosen, Node};
use super::keys::{Key, Keys};
use super::number::Numbers;
use super::twin::{TWINS, Twin, apart};
use super::value::{Kind, Kinds, kind_of};
use super::{
    BUCKETS, Columns, Layout, PROPERTIES_PREFIX, VERSION, bucket_column, bucket_of, column_name,
};
use crate::error::Result;
use crate::functions::json::scan;
use crate::storage::build::column;
use crate::storage::properties::PropertyCounts;

/// Keys of the remainder listed in a footer; with more, any key may be there.
const REST_KEYS_MAX: usize = 2_000;
/// So with a longer key.
const REST_KEY_BYTES_MAX: usize = 200;

/// Cuts the documents of one file into columns, batch by batch.
#[derive(Debug)]
pub(crate) struct Shredder {
    prefix: &'static str,
    choice: Choice,
    keys: Keys,
    /// By the number of the node; none for nodes where no path ends.
    leaves: Vec<Option<Leaf>>,
    buckets: Vec<StringBuilder>,
    /// The members of the row at hand that belong into the remainder, by bucket.
    members: Vec<String>,
    rest: Rest,
    /// Keys left in the documents.
    left: BTreeSet<String>,
}

/// Keys in the remainder.
#[derive(Debug, Default)]
struct Rest {
    keys: HashSet<Box<str>>,
    overflowed: bool,
}

impl Rest {
    fn insert(&mut self, key: &str) {
        if self.overflowed || self.keys.contains(key) {
            return;
        }
        self.overflowed = self.keys.len() >= REST_KEYS_MAX || key.len() > REST_KEY_BYTES_MAX;
        if !self.overflowed {
            self.keys.insert(key.into());
        }
    }
}

/// A path with columns.
#[derive(Debug)]
struct Leaf {
    path: String,
    text: Option<StringBuilder>,
    number: Option<Numbers>,
    boolean: Option<BooleanBuilder>,
    elsewhere: Kinds,
    lost: Kinds,
    /// It is a single key, so that its values are members of the remainder.
    is_top: bool,
    twin: Option<Twin>,
}

/// A member of a document: its key as it is written, and its value.
type Member<'d> = (&'d str, &'d str);

/// What a document holds at a chosen path; of members with equal keys the last one.
#[derive(Debug, Clone, Copy)]
struct Found<'d> {
    member: Member<'d>,
    repeated: bool,
}

impl Shredder {
    /// For the documents of the column whose columns' names begin with `prefix`.
    pub(crate) fn new(prefix: &'static str, choice: Choice) -> Self {
        let mut leaves: Vec<_> =
            choice.nodes.iter().map(|node| node.path.as_ref().map(Leaf::new)).collect();
        for node in choice.nodes[0].members.values() {
            if let Some(leaf) = &mut leaves[*node] {
                leaf.is_top = true;
                let has_twin = prefix == PROPERTIES_PREFIX && TWINS.contains(&leaf.path.as_str());
                leaf.twin = (has_twin && leaf.text.is_some()).then_some(Twin::Same);
            }
        }
        let buckets = usize::try_from(BUCKETS).unwrap_or_default();
        Self {
            prefix,
            leaves,
            choice,
            buckets: (0..buckets).map(|_| StringBuilder::new()).collect(),
            members: vec![String::new(); buckets],
            rest: Rest::default(),
            left: BTreeSet::new(),
            keys: Keys::new(),
        }
    }

    /// The columns that it fills.
    pub(crate) fn fields(&self) -> Vec<Field> {
        let mut fields = Vec::new();
        for leaf in self.leaves.iter().flatten() {
            let mut add = |kind: char, data_type: Option<DataType>| {
                let name = column_name(self.prefix, kind, &leaf.path);
                fields.extend(data_type.map(|data_type| Field::new(name, data_type, true)));
            };
            add('s', leaf.text.as_ref().map(|_| DataType::Utf8));
            add('n', leaf.number.as_ref().map(Numbers::data_type));
            add('b', leaf.boolean.as_ref().map(|_| DataType::Boolean));
        }
        let buckets = (0..self.buckets.len()).map(|bucket| bucket_column(self.prefix, bucket));
        fields.extend(buckets.map(|name| Field::new(name, DataType::Utf8, true)));
        fields
    }

    /// The single keys with columns of their own, with the places of these among
    /// [`Self::fields`].
    pub(crate) fn keys(&self) -> Vec<(String, Range<usize>)> {
        let places = self.places();
        let top = self.choice.nodes[0].members.iter();
        let keys = top.map(|(key, node)| (key.to_string(), places[*node].clone()));
        keys.filter(|(_, places)| !places.is_empty()).collect()
    }

    /// The places of each node's columns among [`Self::fields`].
    fn places(&self) -> Vec<Range<usize>> {
        let mut end = 0;
        let places = self.leaves.iter().map(|leaf| {
            let start = end;
            end += leaf.as_ref().map_or(0, Leaf::width);
            start..end
        });
        places.collect()
    }

    /// The columns of these documents, in the order of [`Self::fields`].
    pub(crate) fn shred(&mut self, documents: &StringViewArray) -> Vec<ArrayRef> {
        let mut found = FoundMembers::new(self.choice.nodes.len());
        for (row, document) in documents.iter().enumerate() {
            if let Some(document) = document.filter(|document| *document != "{}") {
                self.walk(document, &mut found);
                while let Some((node, found)) = found.pop() {
                    self.store(node, found, row);
                }
            }
            self.end_row();
        }
        self.finish_batch(documents.len())
    }

    /// Leaves only what differs of the text that columns of `events` hold too.
    pub(crate) fn leave_out_twins(
        &mut self,
        columns: &mut [ArrayRef],
        events: &RecordBatch,
    ) -> Result<()> {
        let places = self.places();
        for (leaf, places) in self.leaves.iter_mut().zip(places) {
            let Some(leaf) = leaf.as_mut().filter(|leaf| leaf.twin.is_some()) else { continue };
            let twin = column(events, &leaf.path)?.as_string_view();
            // The text comes first.
            let text = &mut columns[places.start];
            let differing = apart(text.as_string(), twin);
            if differing.null_count() < differing.len() {
                leaf.twin = Some(Twin::Mostly);
            }
            *text = Arc::new(differing);
        }
        Ok(())
    }

    /// Finds the members on chosen paths, and puts all others into the remainder.
    fn walk<'d>(&mut self, document: &'d str, found: &mut FoundMembers<'d>) {
        let Self { choice, keys, members, rest, left, .. } = self;
        keys.restart();
        let complete = scan::members(document, &mut |raw_key, raw| {
            let mut other = None;
            let key = match keys.meet(raw_key, raw, &choice.nodes) {
                Some(key) => key,
                None => other.insert(Key::new(raw_key, &choice.nodes)),
            };
            if key.is_left {
                if !key.is_in_rest {
                    left.insert(scan::unescape(raw_key).into_owned());
                    key.is_in_rest = true;
                }
                return;
            }
            if !key.has_columns || raw.starts_with(['{', '[']) {
                if !key.is_in_rest {
                    rest.insert(&scan::unescape(raw_key));
                    key.is_in_rest = true;
                }
                add_member(&mut members[key.bucket], (raw_key, raw));
            }
            if let Some(node) = key.node {
                follow(&choice.nodes, node, (raw_key, raw), found);
            }
        });
        if !complete {
            // All of a malformed document reads as NULL.
            found.clear();
            members.iter_mut().for_each(String::clear);
            keys.miss();
        }
    }

    /// Stores the value of a path.
    fn store(&mut self, node: usize, found: Found<'_>, row: usize) {
        let Some(leaf) = &mut self.leaves[node] else { return };
        let Found { member: (raw_key, raw), repeated } = found;
        let kind = kind_of(raw);
        let stored = match kind {
            // The whole is in the remainder already.
            Kind::Container => {
                leaf.elsewhere.insert(kind);
                return;
            }
            // Most views read it as if it were not there.
            Kind::Null => {
                leaf.lost.insert(kind);
                Some(())
            }
            Kind::Empty => None,
            Kind::Text => leaf.text.as_mut().map(|column| {
                let content = scan::unescape(&raw[1..raw.len() - 1]);
                if matches!(content, Cow::Owned(_)) {
                    leaf.lost.insert(kind);
                }
                column.append_nulls(row - column.len());
                column.append_value(content);
            }),
            Kind::Number | Kind::OddNumber => leaf.number.as_mut().and_then(|column| {
                let is_stored = column.store(row, raw);
                if !is_stored {
                    // Readers are told that the column lacks numbers, of whatever spelling.
                    leaf.elsewhere.insert(Kind::Number);
                }
                is_stored.then_some(())
            }),
            Kind::Boolean => leaf.boolean.as_mut().map(|column| {
                column.append_nulls(row - column.len());
                column.append_value(raw == "true");
            }),
        };
        // The remainder may have an earlier member with the same key: the last one counts.
        if stored.is_some() && kind != Kind::OddNumber && !repeated {
            return;
        }
        leaf.elsewhere.insert(kind);
        if leaf.is_top {
            let key = scan::unescape(raw_key);
            self.rest.insert(&key);
            add_member(&mut self.members[bucket_of(&key)], (raw_key, raw));
        }
    }

    /// Writes the remainder of a row.
    fn end_row(&mut self) {
        for (members, column) in self.members.iter_mut().zip(&mut self.buckets) {
            if members.is_empty() {
                column.append_null();
            } else {
                members.push('}');
                column.append_value(members.as_str());
                members.clear();
            }
        }
    }

    fn finish_batch(&mut self, rows: usize) -> Vec<ArrayRef> {
        let mut arrays: Vec<ArrayRef> = Vec::new();
        for leaf in self.leaves.iter_mut().flatten() {
            if let Some(column) = &mut leaf.text {
                column.append_nulls(rows - column.len());
                arrays.push(Arc::new(column.finish()));
            }
            if let Some(column) = &mut leaf.number {
                arrays.push(column.finish(rows));
            }
            if let Some(column) = &mut leaf.boolean {
                column.append_nulls(rows - column.len());
                arrays.push(Arc::new(column.finish()));
            }
        }
        arrays.extend(self.buckets.iter_mut().map(|bucket| Arc::new(bucket.finish()) as ArrayRef));
        arrays
    }

    /// What the footer says of the layout, and what was seen under the keys.
    pub(crate) fn finish(self) -> (Layout, PropertyCounts) {
        let leaves = self.leaves.into_iter().flatten();
        let paths: BTreeMap<_, _> =
            leaves.map(|leaf| (leaf.path.clone(), leaf.columns())).collect();
        let Rest { keys, overflowed } = self.rest;
        let rest = (!overflowed).then(|| keys.into_iter().map(String::from).collect());
        (Layout { version: VERSION, paths, rest, left: self.left }, self.keys.into_counts())
    }
}

impl Leaf {
    fn new(chosen: &Chosen) -> Self {
        Self {
            path: chosen.path.clone(),
            text: chosen.text.then(StringBuilder::new),
            number: chosen.number.map(Numbers::new),
            boolean: chosen.boolean.then(BooleanBuilder::new),
            elsewhere: Kinds::default(),
            lost: Kinds::default(),
            is_top: false,
            twin: None,
        }
    }

    /// How many columns it has.
    fn width(&self) -> usize {
        let kinds = [self.text.is_some(), self.number.is_some(), self.boolean.is_some()];
        kinds.into_iter().filter(|is| *is).count()
    }

    fn columns(&self) -> Columns {
        Columns {
            text: self.text.is_some(),
            number: self.number.is_some(),
            boolean: self.boolean.is_some(),
            elsewhere: self.elsewhere,
            twin: self.twin,
            lost: Some(self.lost),
        }
    }
}

/// What a document holds at the chosen paths.
struct FoundMembers<'d> {
    by_node: Vec<Option<Found<'d>>>,
    /// The nodes at which something was found.
    nodes: Vec<usize>,
}

impl<'d> FoundMembers<'d> {
    fn new(nodes: usize) -> Self {
        Self { by_node: vec![None; nodes], nodes: Vec::new() }
    }

    fn pop(&mut self) -> Option<(usize, Found<'d>)> {
        while let Some(node) = self.nodes.pop() {
            if let Some(found) = self.by_node[node].take() {
                return Some((node, found));
            }
        }
        None
    }

    fn clear(&mut self) {
        while self.pop().is_some() {}
    }
}

/// Notes a member at a node of the tree, and those of its members that are on chosen paths.
fn follow<'d>(nodes: &[Node], node: usize, member: Member<'d>, found: &mut FoundMembers<'d>) {
    let repeated = found.by_node[node].is_some();
    if repeated {
        forget_members(nodes, node, found);
    } else {
        found.nodes.push(node);
    }
    found.by_node[node] = Some(Found { member, repeated });
    if member.1.starts_with('{') && !nodes[node].members.is_empty() {
        scan::members(member.1, &mut |raw_key, raw| {
            if let Some(next) = nodes[node].members.get(scan::unescape(raw_key).as_ref()) {
                follow(nodes, *next, (raw_key, raw), found);
            }
        });
    }
}

fn forget_members(nodes: &[Node], node: usize, found: &mut FoundMembers<'_>) {
    for member in nodes[node].members.values() {
        found.by_node[*member] = None;
        forget_members(nodes, *member, found);
    }
}

/// Adds a member to an object that is not closed yet.
fn add_member(object: &mut String, (raw_key, raw): Member<'_>) {
    object.push(if object.is_empty() { '{' } else { ',' });
    object.push('"');
    object.push_str(raw_key);
    object.push_str("\":");
    object.push_str(raw);
}
