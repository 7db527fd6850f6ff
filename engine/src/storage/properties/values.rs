//! Which values stand under the keys of a file: how many different ones, and the most frequent.
//!
//! Both come from the sample of rows by which the file chose its columns. Where the sample has
//! many different values, those of all rows are counted, from the columns.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::HashMap;
use serde::{Deserialize, Serialize};

use super::sketch::Sketch;
use super::{PropertyCounts, Seen};
use crate::functions::json::scan;
use crate::storage::ProjectId;
use crate::storage::part::Part;

/// So many documents are sampled at most.
const SAMPLE_MAX: usize = 1024;
/// With so many different values in the sample, all rows are looked at.
const MANY: usize = 64;
/// The most frequent values listed.
const FREQUENT_MAX: usize = 5;
/// Longer values are not listed.
const VALUE_BYTES_MAX: usize = 64;
/// Of so many sampled values at least one must be a frequent one.
const SHARE_MIN: u64 = 100;
/// What the values of one file may take in the log.
const LOG_BYTES_MAX: usize = 4096;

/// The values under one key of one file, as the log has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeyValues {
    /// Values in the sample.
    #[serde(rename = "n")]
    sampled: u64,
    /// Of these the most frequent, with their counts.
    #[serde(rename = "f", default, skip_serializing_if = "Vec::is_empty")]
    frequent: Vec<(String, u64)>,
    /// A [`Sketch`] of the different ones.
    #[serde(rename = "d")]
    distinct: String,
}

/// Collects the values of one file.
#[derive(Debug, Default)]
pub(crate) struct ValueCollector {
    keys: HashMap<String, Collected>,
}

/// The values under one key.
#[derive(Debug, Default)]
struct Collected {
    /// The places of its columns.
    columns: Range<usize>,
    sampled: HashMap<String, u64>,
    distinct: Sketch,
}

impl ValueCollector {
    /// For keys with columns of their own at these places, over a sample of the documents.
    pub(crate) fn new<'d>(
        keys: impl IntoIterator<Item = (String, Range<usize>)>,
        sample: impl Iterator<Item = &'d str> + Clone,
    ) -> Self {
        let keys = keys
            .into_iter()
            .map(|(key, columns)| (key, Collected { columns, ..Collected::default() }));
        let mut keys: HashMap<_, _> = keys.collect();
        let every = sample.clone().count().div_ceil(SAMPLE_MAX).max(1);
        for document in sample.step_by(every) {
            scan::members(document, &mut |key, raw| {
                if let Some(collected) = keys.get_mut(scan::unescape(key).as_ref()) {
                    collected.sample(raw);
                }
            });
        }
        Self { keys }
    }

    /// Looks at the columns of some rows.
    pub(crate) fn add(&mut self, columns: &[ArrayRef]) {
        for collected in self.keys.values_mut().filter(|key| key.sampled.len() >= MANY) {
            for column in columns.get(collected.columns.clone()).unwrap_or_default() {
                add_column(&mut collected.distinct, column);
            }
        }
    }

    /// What the log says about these keys: as much as there is room for, first about those that
    /// most `events` have.
    pub(super) fn finish(self, events: impl Fn(&str) -> u64) -> BTreeMap<String, KeyValues> {
        let mut keys: Vec<(String, Collected)> =
            self.keys.into_iter().filter(|(_, key)| !key.sampled.is_empty()).collect();
        keys.sort_by(|(a, _), (b, _)| events(b).cmp(&events(a)).then_with(|| a.cmp(b)));
        let mut most = FREQUENT_MAX;
        loop {
            let mut room = LOG_BYTES_MAX;
            let mut listed = BTreeMap::new();
            for (key, collected) in &keys {
                let values = collected.values(most);
                let Some(left) = room.checked_sub(size(key, &values)) else { break };
                room = left;
                listed.insert(key.clone(), values);
            }
            if most == 1 || listed.len() == keys.len() {
                return listed;
            }
            most -= 1;
        }
    }
}

/// The bytes of a key in the log, about.
fn size(key: &str, values: &KeyValues) -> usize {
    // A text always serialises.
    key.len() + 4 + serde_json::to_string(values).unwrap_or_default().len()
}

impl Collected {
    /// Notes a value as it is written; objects, arrays and NULLs do not count.
    fn sample(&mut self, raw: &str) {
        let text = match raw.as_bytes() {
            [b'{' | b'[' | b'n', ..] | b"\"\"" => return,
            [b'"', ..] => scan::unescape(&raw[1..raw.len() - 1]),
            _ => raw.into(),
        };
        if let Some(count) = self.sampled.get_mut(text.as_ref()) {
            *count += 1;
            return;
        }
        match raw.parse::<f64>() {
            Ok(number) => self.distinct.add_bytes(&bytes(number)),
            Err(_) => self.distinct.add_bytes(text.as_bytes()),
        }
        self.sampled.insert(text.into_owned(), 1);
    }

    fn values(&self, most: usize) -> KeyValues {
        let sampled = self.sampled.values().sum();
        let listed = |(value, count): &(&String, &u64)| {
            value.len() <= VALUE_BYTES_MAX && **count * SHARE_MIN >= sampled
        };
        let mut frequent: Vec<_> = self.sampled.iter().filter(listed).collect();
        frequent.sort_by(|(a, n), (b, m)| m.cmp(n).then_with(|| a.cmp(b)));
        frequent.truncate(most);
        KeyValues {
            sampled,
            frequent: frequent.into_iter().map(|(value, count)| (value.clone(), *count)).collect(),
            distinct: self.distinct.to_text(),
        }
    }
}

/// The values of a column; booleans are all in the sample.
fn add_column(distinct: &mut Sketch, column: &ArrayRef) {
    match column.data_type() {
        DataType::Utf8 => {
            let mut last = "";
            // Rows are sorted: neighbours are often of one person, and equal.
            for value in column.as_string::<i32>().iter().flatten() {
                if value != last {
                    distinct.add_bytes(value.as_bytes());
                    last = value;
                }
            }
        }
        DataType::Float64 | DataType::Decimal32(..) | DataType::Decimal64(..) => {
            let Ok(numbers) = cast(column, &DataType::Float64) else { return };
            for value in numbers.as_primitive::<Float64Type>().iter().flatten() {
                distinct.add_bytes(&bytes(value));
            }
        }
        _ => {}
    }
}

/// A number as what is hashed; there is one zero.
fn bytes(number: f64) -> [u8; 8] {
    (number + 0.0).to_le_bytes()
}

/// What is known of the values under one key, over all files of a project.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct PropertyValues {
    /// Of the events in files that counted the key, the share that has it; none where a file does
    /// not say how many rows it has.
    pub(crate) fill_rate: Option<f64>,
    /// Every file says which strings spell numbers and booleans.
    pub(crate) knows_spelled: bool,
    /// About how many different values there are.
    pub(crate) distinct: Option<u64>,
    /// The most frequent values, with their shares, descending.
    pub(crate) frequent: Option<Vec<(String, f64)>>,
}

/// The same, being put together.
#[derive(Debug, Default)]
struct Merged<'a> {
    seen: Seen,
    /// Rows of files that do not list all keys, but this one.
    listed_rows: u64,
    knows_spelled: bool,
    /// Values in files that say which they are.
    covered: u64,
    distinct: Sketch,
    frequent: HashMap<&'a str, f64>,
}

impl PropertyValues {
    /// Puts together what the files of a project say, by key.
    pub(crate) fn of<'a>(
        parts: impl Iterator<Item = &'a Arc<Part>>,
        project: ProjectId,
    ) -> BTreeMap<String, Self> {
        let mut keys: BTreeMap<&str, Merged<'a>> = BTreeMap::new();
        let (mut rows, mut rows_known) = (0, true);
        for part in parts.filter(|part| part.is_only(project)) {
            let Some(counts) = part.properties.as_deref() else { continue };
            rows_known &= part.rows_in_file().is_some();
            let part_rows = part.rows_in_file().unwrap_or_default();
            if counts.complete {
                rows += part_rows;
            }
            for (key, seen) in &counts.keys {
                let merged = keys
                    .entry(key)
                    .or_insert_with(|| Merged { knows_spelled: true, ..Merged::default() });
                merged.listed_rows += if counts.complete { 0 } else { part_rows };
                merged.add(key, seen, counts);
            }
        }
        let finish = |(key, merged): (&str, Merged<'_>)| {
            let rows = rows_known.then_some(rows + merged.listed_rows);
            (key.to_owned(), merged.finish(rows))
        };
        keys.into_iter().map(finish).collect()
    }
}

impl<'a> Merged<'a> {
    fn add(&mut self, key: &str, seen: &Seen, counts: &'a PropertyCounts) {
        self.seen.add(seen);
        self.knows_spelled &= counts.knows_spelled || seen.strings == 0;
        let Some(values) = counts.values.get(key) else { return };
        let Some(distinct) = Sketch::from_text(&values.distinct) else { return };
        self.distinct.merge(&distinct);
        self.covered += seen.values();
        let weight = seen.values() as f64 / values.sampled.max(1) as f64;
        for (value, count) in &values.frequent {
            *self.frequent.entry(value).or_default() += *count as f64 * weight;
        }
    }

    fn finish(self, rows: Option<u64>) -> PropertyValues {
        let fill_rate = rows.filter(|rows| *rows > 0);
        // Repeated keys count each time.
        let fill_rate = fill_rate.map(|rows| (self.seen.total() as f64 / rows as f64).min(1.0));
        // Nearly all values must be known for a word about all.
        let is_covered = self.covered > 0 && self.covered * 10 >= self.seen.values() * 9;
        let share = |(value, count): (&str, f64)| {
            let share = (count / self.covered as f64).min(1.0);
            (value.to_owned(), (share * 1e4).round() / 1e4)
        };
        let mut frequent: Vec<_> = self.frequent.into_iter().map(share).collect();
        frequent.sort_by(|(a, n), (b, m)| m.total_cmp(n).then_with(|| a.cmp(b)));
        frequent.truncate(FREQUENT_MAX);
        PropertyValues {
            fill_rate,
            knows_spelled: self.knows_spelled,
            distinct: is_covered.then(|| self.distinct.count().min(self.covered)),
            frequent: is_covered.then_some(frequent),
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::common::ScalarValue;

    use super::*;
    use crate::storage::part::{PartStatistics, Range as Bounds};
    use crate::storage::schema::TEAM_ID;

    const PROJECT: ProjectId = ProjectId(1);

    /// A part of so many rows, as it comes back from the log.
    fn part(rows: u64, counts: &PropertyCounts) -> Arc<Part> {
        let id = Some(ScalarValue::Int64(Some(PROJECT.0)));
        let ranges = BTreeMap::from([(TEAM_ID.to_owned(), Bounds { min: id.clone(), max: id })]);
        let properties = PropertyCounts::from_json(&counts.to_json()).unwrap();
        Arc::new(Part {
            checksum: None,
            path: "part".to_owned(),
            size_bytes: 0,
            modified_ms: 0,
            sorted: true,
            statistics: Some(PartStatistics { rows, ranges, nulls: BTreeMap::new() }),
            properties: Some(Arc::new(properties)),
            deleted: None,
        })
    }

    /// Counts of documents whose keys all have columns; the sample is every document.
    fn counts(documents: &[String]) -> PropertyCounts {
        let mut counts = PropertyCounts::default();
        for document in documents {
            scan::members(document, &mut |key, raw| counts.add(key, raw));
        }
        let keys: Vec<_> = counts.keys.keys().map(|key| (key.clone(), 0..0)).collect();
        counts.add_values(ValueCollector::new(keys, documents.iter().map(String::as_str)));
        counts
    }

    #[test]
    fn files_are_put_together() {
        let ten = |plan: &str| -> Vec<String> {
            (0..10)
                .map(|n| format!(r#"{{"plan":"{}"}}"#, if n < 8 { plan } else { "team" }))
                .collect()
        };
        let parts = [part(10, &counts(&ten("free"))), part(30, &counts(&ten("pro")))];
        let values = &PropertyValues::of(parts.iter(), PROJECT)["plan"];
        assert_eq!((values.fill_rate, values.distinct), (Some(0.5), Some(3)));
        let frequent = [("free", 0.4), ("pro", 0.4), ("team", 0.2)];
        let frequent = frequent.map(|(value, share)| (value.to_owned(), share));
        assert_eq!(values.frequent.as_deref(), Some(frequent.as_slice()));
    }

    #[test]
    fn files_that_say_nothing_leave_it_open() {
        let text = r#"{"complete":true,"keys":{"plan":{"strings":10}}}"#;
        let old = part(10, &PropertyCounts::from_json(text).unwrap());
        let values = &PropertyValues::of(std::iter::once(&old), PROJECT)["plan"];
        assert_eq!(values.fill_rate, Some(1.0));
        assert_eq!((values.distinct, &values.frequent, values.knows_spelled), (None, &None, false));
        // One value of a hundred is too little to tell of.
        let new = part(1, &counts(&[r#"{"plan":"x"}"#.to_owned()]));
        let most = part(99, &PropertyCounts::from_json(&text.replace("10", "99")).unwrap());
        let values = &PropertyValues::of([&new, &most].into_iter(), PROJECT)["plan"];
        assert_eq!((values.distinct, &values.frequent), (None, &None));
    }

    #[test]
    fn the_log_stays_small() {
        let document = |row: usize| {
            let members: Vec<_> = (0..200)
                .map(|key| format!("\"property_{key}\":\"value {} of {key}\"", row % (key + 1)))
                .collect();
            format!("{{{}}}", members.join(","))
        };
        let documents: Vec<_> = (0..300).map(document).collect();
        let values = counts(&documents).values;
        let text = serde_json::to_string(&values).unwrap();
        assert!(text.len() <= LOG_BYTES_MAX, "{} bytes", text.len());
        assert!(values.len() > 25, "{} keys", values.len());
    }
}
