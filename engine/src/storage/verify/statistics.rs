//! Whether the log's statistics of a file hold.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, RecordBatch};

use crate::storage::part::PartStatistics;
use crate::storage::writer::bounds;

/// The statistics of a file, and what was seen of its rows.
#[derive(Debug)]
pub(super) struct Bounds<'a> {
    stated: Option<&'a PartStatistics>,
    nulls: BTreeMap<&'a str, u64>,
    /// The columns with values out of their bounds.
    outside: BTreeSet<&'a str>,
}

impl<'a> Bounds<'a> {
    pub(super) fn new(stated: Option<&'a PartStatistics>) -> Self {
        Self { stated, nulls: BTreeMap::new(), outside: BTreeSet::new() }
    }

    /// Looks at rows in the columns of `events`.
    pub(super) fn add(&mut self, events: &RecordBatch) {
        let Some(stated) = self.stated else { return };
        for name in stated.nulls.keys() {
            if let Some(column) = events.column_by_name(name) {
                *self.nulls.entry(name).or_default() += column.null_count() as u64;
            }
        }
        for (name, range) in &stated.ranges {
            let found = events.column_by_name(name).and_then(bounds);
            let Some((least, greatest)) = found else { continue };
            let below = range.min.as_ref().is_some_and(|min| least < *min);
            let above = range.max.as_ref().is_some_and(|max| greatest > *max);
            if below || above {
                self.outside.insert(name);
            }
        }
    }

    pub(super) fn problems(&self) -> Vec<String> {
        let outside = self.outside.iter().map(|name| {
            format!("{name} has values that are not between the bounds that the log gives")
        });
        let nulls = self.nulls.iter().filter_map(|(name, found)| {
            let stated = self.stated?.nulls.get(*name)?;
            (stated != found)
                .then(|| format!("{name} is NULL in {found} rows, by the log {stated}"))
        });
        outside.chain(nulls).collect()
    }
}
