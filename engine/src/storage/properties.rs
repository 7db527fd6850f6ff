//! What was seen of event properties: which keys, how often, and as which JSON types.
//!
//! A file is counted while it is written, and the counts stand in the log beside its statistics.
//! A key gets a type only when every value that the project has under it reads as that type, so
//! that no value turns to NULL by being typed.

mod sketch;
mod values;

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::functions::json::scan;
use crate::storage::ProjectId;
use crate::storage::part::Part;
use crate::types::property::PropertyType;

pub(crate) use values::{PropertyValues, ValueCollector};

use values::KeyValues;

/// How often a key was seen, by what stood there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Seen {
    #[serde(skip_serializing_if = "is_zero")]
    pub strings: u64,
    /// Of the strings, those that spell a number.
    #[serde(skip_serializing_if = "is_zero")]
    pub number_strings: u64,
    /// Of the strings, `"true"` and `"false"`.
    #[serde(skip_serializing_if = "is_zero")]
    pub boolean_strings: u64,
    /// Strings that are ISO 8601 dates with a time.
    #[serde(skip_serializing_if = "is_zero")]
    pub date_times: u64,
    /// Numbers that a float holds.
    #[serde(skip_serializing_if = "is_zero")]
    pub numbers: u64,
    /// Numbers beyond 2^53: as floats they would lose digits.
    #[serde(skip_serializing_if = "is_zero")]
    pub large_numbers: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub booleans: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub objects: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub arrays: u64,
    /// JSON null and `""`, which read as NULL under every type.
    #[serde(skip_serializing_if = "is_zero")]
    pub nulls: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Seen {
    /// All values, NULLs included.
    pub fn total(&self) -> u64 {
        self.values() + self.nulls
    }

    fn values(&self) -> u64 {
        self.strings
            + self.date_times
            + self.numbers
            + self.large_numbers
            + self.booleans
            + self.objects
            + self.arrays
    }

    /// Counts a value, as it is written.
    pub(crate) fn count(&mut self, raw: &str) {
        let kind = Kind::of(raw);
        match kind {
            Kind::NumberString => self.number_strings += 1,
            Kind::BooleanString => self.boolean_strings += 1,
            _ => {}
        }
        let counter = match kind {
            Kind::String | Kind::NumberString | Kind::BooleanString => &mut self.strings,
            Kind::DateTime => &mut self.date_times,
            Kind::Number => &mut self.numbers,
            Kind::LargeNumber => &mut self.large_numbers,
            Kind::Boolean => &mut self.booleans,
            Kind::Object => &mut self.objects,
            Kind::Array => &mut self.arrays,
            Kind::Null => &mut self.nulls,
        };
        *counter += 1;
    }

    fn add(&mut self, other: &Self) {
        self.strings += other.strings;
        self.number_strings += other.number_strings;
        self.boolean_strings += other.boolean_strings;
        self.date_times += other.date_times;
        self.numbers += other.numbers;
        self.large_numbers += other.large_numbers;
        self.booleans += other.booleans;
        self.objects += other.objects;
        self.arrays += other.arrays;
        self.nulls += other.nulls;
    }

    /// The values that are not of a type: under Numeric all but numbers and strings that spell
    /// one, under Boolean likewise, under DateTime all but ISO 8601 times.
    pub fn misfits(&self, ty: PropertyType) -> u64 {
        let fits = match ty {
            PropertyType::String => self.values(),
            PropertyType::Numeric => self.numbers + self.large_numbers + self.number_strings,
            PropertyType::Boolean => self.booleans + self.boolean_strings,
            PropertyType::DateTime => self.date_times,
        };
        self.values() - fits
    }

    /// The type as which every value reads; String where there is none.
    fn property_type(&self) -> PropertyType {
        match self.values() {
            0 => PropertyType::String,
            values if values == self.numbers => PropertyType::Numeric,
            values if values == self.booleans => PropertyType::Boolean,
            values if values == self.date_times => PropertyType::DateTime,
            _ => PropertyType::String,
        }
    }
}

/// The keys of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PropertyCounts {
    /// False when the file has keys that are not listed.
    complete: bool,
    /// True when strings that spell numbers and booleans were told apart.
    #[serde(default)]
    knows_spelled: bool,
    keys: HashMap<String, Seen>,
    /// The values under keys with columns of their own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    values: BTreeMap<String, KeyValues>,
}

impl Default for PropertyCounts {
    fn default() -> Self {
        Self { complete: true, knows_spelled: true, keys: HashMap::new(), values: BTreeMap::new() }
    }
}

/// Keys noted for one file; the log would grow too large with more.
const KEYS_MAX: usize = 1_000;
/// Longer keys are not noted.
const KEY_BYTES_MAX: usize = 200;

impl PropertyCounts {
    /// Notes that a document could not be read: what cannot be read now reads as NULL later, but
    /// keys may have gone unseen.
    pub(crate) fn miss(&mut self) {
        self.complete = false;
    }

    /// True when no event of the file has the key.
    pub(crate) fn lacks(&self, key: &str) -> bool {
        self.complete && !self.keys.contains_key(key)
    }

    /// Counts a member of an event's properties: its key, and its value as it is written.
    pub(crate) fn add(&mut self, key: &str, raw: &str) {
        let mut seen = Seen::default();
        seen.count(raw);
        self.add_all(key, &seen);
    }

    /// Adds what was counted of a key.
    pub(crate) fn add_all(&mut self, key: &str, more: &Seen) {
        if let Some(seen) = self.keys.get_mut(key) {
            seen.add(more);
        } else if self.keys.len() >= KEYS_MAX || key.len() > KEY_BYTES_MAX {
            self.complete = false;
        } else {
            self.keys.insert(key.to_owned(), *more);
        }
    }

    /// Adds what was counted of other events.
    pub(crate) fn join(&mut self, other: &Self) {
        self.complete &= other.complete;
        self.knows_spelled &= other.knows_spelled;
        other.keys.iter().for_each(|(key, seen)| self.add_all(key, seen));
    }

    /// Adds what was collected of the values.
    pub(crate) fn add_values(&mut self, values: ValueCollector) {
        self.values = values.finish(|key| self.keys.get(key).map_or(0, Seen::total));
    }

    /// The JSON text for the log.
    pub(crate) fn to_json(&self) -> String {
        // A map with text keys always serialises.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads the JSON text of the log; none when it is damaged.
    pub(crate) fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// The properties of one project, over all its files.
#[derive(Debug, Clone, Default)]
pub struct Properties {
    keys: BTreeMap<String, Total>,
    /// Files that list not all of their keys.
    incomplete: usize,
    /// Files that say nothing, or that hold other projects' events too: they may hold any value
    /// under any key.
    silent: usize,
}

/// What all files together say of a key.
#[derive(Debug, Clone, Copy, Default)]
struct Total {
    seen: Seen,
    /// Of the incomplete files so many list it.
    listed: usize,
}

/// What is known of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Property {
    pub seen: Seen,
    /// As which its values are read.
    pub ty: PropertyType,
}

impl Properties {
    /// Adds what the log says of a file, if it may have events of the project.
    pub(crate) fn add(&mut self, part: &Part, project: ProjectId) {
        if !part.may_have(project) {
            return;
        }
        let Some(counts) = part.properties.as_deref().filter(|_| part.is_only(project)) else {
            self.silent += 1;
            return;
        };
        self.add_counts(counts);
    }

    /// Adds what was counted of some events of the project.
    pub(crate) fn add_counts(&mut self, counts: &PropertyCounts) {
        self.incomplete += usize::from(!counts.complete);
        for (key, seen) in &counts.keys {
            let total = match self.keys.get_mut(key) {
                Some(total) => total,
                None => self.keys.entry(key.clone()).or_default(),
            };
            total.seen.add(seen);
            total.listed += usize::from(!counts.complete);
        }
    }

    /// What is known of a key. It has a type only where every file knows its values.
    pub fn get(&self, key: &str) -> Option<Property> {
        self.keys.get(key).map(|total| self.property(total))
    }

    fn property(&self, total: &Total) -> Property {
        let known = self.silent == 0 && total.listed == self.incomplete;
        let ty = if known { total.seen.property_type() } else { PropertyType::String };
        Property { seen: total.seen, ty }
    }

    /// True when there are events, and no other key was ever seen.
    pub fn is_complete(&self) -> bool {
        self.silent + self.incomplete == 0 && !self.keys.is_empty()
    }

    /// All keys, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Property)> {
        self.keys.iter().map(|(key, total)| (key.as_str(), self.property(total)))
    }
}

/// What stands under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    String,
    NumberString,
    BooleanString,
    DateTime,
    Number,
    LargeNumber,
    Boolean,
    Object,
    Array,
    Null,
}

impl Kind {
    /// The kind of a well-formed JSON value.
    fn of(raw: &str) -> Self {
        match raw.as_bytes() {
            [b'"', .., b'"'] => text(&scan::unescape(&raw[1..raw.len() - 1])),
            [b'{', ..] => Self::Object,
            [b'[', ..] => Self::Array,
            [b't' | b'f', ..] => Self::Boolean,
            [b'n', ..] => Self::Null,
            // So few digits are below the limit.
            digits if digits.len() <= 15 && !digits.contains(&b'e') && !digits.contains(&b'E') => {
                Self::Number
            }
            _ => raw.parse().map_or(Self::LargeNumber, number),
        }
    }
}

/// Up to here an integer and both its neighbours are floats: none was rounded to get here.
const EXACT_INTEGER_MAX: f64 = 9_007_199_254_740_991.0;

fn number(value: f64) -> Kind {
    if value.abs() <= EXACT_INTEGER_MAX { Kind::Number } else { Kind::LargeNumber }
}

fn text(text: &str) -> Kind {
    match text {
        "" => Kind::Null,
        "true" | "false" => Kind::BooleanString,
        _ if is_date_time(text) => Kind::DateTime,
        _ if spells_number(text) => Kind::NumberString,
        _ => Kind::String,
    }
}

/// What a numeric property reads as a number: `inf` and `nan` as well.
fn spells_number(text: &str) -> bool {
    let may_begin = matches!(
        text.as_bytes(),
        [b'0'..=b'9' | b'+' | b'-' | b'.' | b'i' | b'I' | b'n' | b'N', ..]
    );
    may_begin && text.parse::<f64>().is_ok()
}

/// `2024-03-10T12:30:00`, with a blank for the T, with up to six digits of a second, with an
/// offset or `Z`.
fn is_date_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() < 19 || !bytes[0].is_ascii_digit() {
        return false;
    }
    let shape = |pattern: &[u8], bytes: &[u8]| {
        pattern.iter().zip(bytes).all(|(expected, byte)| match expected {
            b'9' => byte.is_ascii_digit(),
            expected => expected == byte,
        })
    };
    let (start, rest) = bytes.split_at(19);
    if !shape(b"9999-99-99T99:99:99", start) && !shape(b"9999-99-99 99:99:99", start) {
        return false;
    }
    let field = |range: std::ops::Range<usize>| text[range].parse::<u32>().unwrap_or(u32::MAX);
    let year = i32::try_from(field(0..4)).unwrap_or(0);
    let exists = (1900..=2299).contains(&year)
        && NaiveDate::from_ymd_opt(year, field(5..7), field(8..10)).is_some()
        && field(11..13) < 24
        && field(14..16) < 60
        && field(17..19) < 60;
    let zone = match rest.split_first() {
        Some((b'.', fraction)) => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            match digits {
                1..=6 => &fraction[digits..],
                _ => return false,
            }
        }
        _ => rest,
    };
    let offset = zone.len() == 6
        && (shape(b"+99:99", zone) || shape(b"-99:99", zone))
        && &zone[1..] <= b"14:00".as_slice()
        && zone[4] < b'6';
    exists && (zone.is_empty() || zone == b"Z" || offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::time::{Order, Zone, parse_datetime};

    fn add_document(counts: &mut PropertyCounts, document: &str) {
        assert!(scan::members(document, &mut |key, raw| counts.add(&scan::unescape(key), raw)));
    }

    fn counts(documents: &[&str]) -> PropertyCounts {
        let mut counts = PropertyCounts::default();
        for document in documents {
            add_document(&mut counts, document);
        }
        counts
    }

    fn type_of(values: &[&str]) -> PropertyType {
        let documents: Vec<String> =
            values.iter().map(|value| format!("{{\"k\":{value}}}")).collect();
        let documents: Vec<&str> = documents.iter().map(String::as_str).collect();
        counts(&documents).keys["k"].property_type()
    }

    #[test]
    fn a_key_has_the_type_that_fits_every_value() {
        assert_eq!(type_of(&["1", "2.5", "-1e3", "null", r#""""#]), PropertyType::Numeric);
        assert_eq!(type_of(&["true", "false"]), PropertyType::Boolean);
        assert_eq!(type_of(&[r#""2024-03-10T12:30:00Z""#]), PropertyType::DateTime);
        for mixed in [
            &["1", r#""1""#][..],
            &["1", "true"],
            &["1", "[1]"],
            &["9007199254740993"],
            &["12345678901234567890"],
            &["1e300"],
            &[r#""2024-03-10T12:30:00Z""#, r#""soon""#],
            &["{}"],
            &["null"],
        ] {
            assert_eq!(type_of(mixed), PropertyType::String, "{mixed:?}");
        }
    }

    #[test]
    fn misfits_are_the_values_of_other_kinds() {
        let values =
            ["1", r#""2.5""#, r#""+1e3""#, r#""1.2.3""#, "true", r#""false""#, "[1]", "null"];
        let documents = values.map(|value| format!("{{\"k\":{value}}}"));
        let seen = counts(&documents.each_ref().map(String::as_str)).keys["k"];
        let misfits = PropertyType::ALL.map(|ty| seen.misfits(ty));
        // String, Numeric, Boolean, DateTime.
        assert_eq!(misfits, [0, 4, 5, 7]);
    }

    #[test]
    fn what_counts_as_a_time_can_be_read_as_one() {
        let zone = Zone::parse("America/New_York").unwrap();
        let good = [
            "2024-03-10T12:30:00",
            "2024-03-10 12:30:00Z",
            "2024-03-10T02:30:00",
            "1900-01-01T00:00:00.123456+14:00",
            "2299-12-31T23:59:59-00:30",
        ];
        for text in good {
            assert!(is_date_time(text), "{text}");
            assert!(parse_datetime(text, &zone, Order::MonthFirst).is_some(), "{text}");
        }
        let bad = [
            "2024-03-10",
            "2024-02-30T00:00:00",
            "2024-03-10T24:00:00",
            "2024-03-10T12:30",
            "2024-03-10T12:30:00.1234567Z",
            "2024-03-10T12:30:00+99:00",
            "2024-03-10T12:30:00 UTC",
            "20240310T123000",
            "２０２４-03-10T12:30:00",
        ];
        for text in bad {
            assert!(!is_date_time(text), "{text}");
        }
    }

    #[test]
    fn keys_beyond_the_limit_make_a_list_incomplete() {
        let mut counts = PropertyCounts::default();
        for number in 0..=KEYS_MAX {
            add_document(&mut counts, &format!("{{\"k{number}\":1}}"));
        }
        assert_eq!((counts.keys.len(), counts.complete), (KEYS_MAX, false));
        assert_eq!(PropertyCounts::from_json(&counts.to_json()), Some(counts));
    }
}
