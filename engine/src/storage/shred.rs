//! Properties as columns: how JSON documents are cut into typed columns of a file.
//!
//! Each file chooses the paths that get columns of their own, so nothing ever needs to be filled
//! in afterwards. Beside the document itself a file has, for each of its documents' columns,
//!
//! ```text
//! <prefix>s__<path>  text      the strings at the path, unescaped; never ''
//! <prefix>n__<path>  double    the numbers; or decimal, where a sample has few digits
//! <prefix>b__<path>  boolean   the booleans
//! <prefix>rem_0F     text      an object with the other members whose keys hash to 0F
//! ```
//! What a column cannot give back as it was written (`1.0` is not the text of any float) stands
//! in the remainder too, and the file's footer says under [`SHREDDED_KEY`] of which kinds such
//! values are. Text that a column of events holds too is not stored again, see [`Twin`]. Members
//! that hold an object or an array always stand in the remainder, whole; their members may have
//! columns besides. Of members that nobody asks for, see [`LEFT`], only the document has the value.

mod choose;
mod keys;
mod number;
mod twin;
mod value;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

pub(crate) use choose::Choice;
pub(crate) use number::NumberForm;
pub(crate) use twin::Twin;
pub(crate) use value::{Kind, Kinds};
pub(crate) use write::Shredder;

use super::schema::PROPERTIES;

/// The key of a footer under which the layouts of its documents are.
pub(crate) const SHREDDED_KEY: &str = "hedgerow.shredded";
/// Keys of the remainder are spread over so many columns.
const BUCKETS: u64 = 16;
/// How the names of its columns go on after the prefix.
const REMAINDER: &str = "rem_";
/// Layouts written here. The first knew no twins, the second no decimals and nothing left.
const VERSION: u32 = 3;
/// Keys that stay in the document alone, since nobody asks for them and they are different in every
/// event: a receipt of delivery, and the sender's spelling of the event's timestamp.
const LEFT: [&str; 2] = ["$insert_id", "$time"];

/// The columns that hold documents, and what the names of their columns begin with.
pub(crate) const DOCUMENTS: [(&str, &str); 2] =
    [(PROPERTIES, PROPERTIES_PREFIX), ("person_properties", "__pp_")];
const PROPERTIES_PREFIX: &str = "__p_";

/// The layouts of a file, by the name of the column that holds the documents.
pub(crate) type Layouts = BTreeMap<String, Layout>;

/// How the documents of one column are laid out in one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Layout {
    version: u32,
    /// The paths with columns of their own, spelled by [`spell`].
    paths: BTreeMap<String, Columns>,
    /// The keys in the remainder; none when they are too many to be listed.
    rest: Option<BTreeSet<String>>,
    /// The keys of which only the documents have the values.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    left: BTreeSet<String>,
}

/// The columns of one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Columns {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) text: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) number: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) boolean: bool,
    /// Values of these kinds are in the remainder.
    #[serde(default, skip_serializing_if = "Kinds::is_empty")]
    pub(crate) elsewhere: Kinds,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) twin: Option<Twin>,
    /// Of these kinds there are values that only the document has as they were written: strings
    /// with escapes, and null, which looks as if it were not there. None where nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lost: Option<Kinds>,
}

impl Columns {
    /// True when values of this kind may have lost their spelling, or all trace.
    pub(crate) fn may_lose(&self, kind: Kind) -> bool {
        self.lost.is_none_or(|lost| lost.contains(kind))
    }
}

/// Where a file has the values of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In columns of their own, and in the remainder what they leave out.
    Columns { path: String, columns: Columns, bucket: String },
    /// In the remainder.
    Bucket(String),
    /// In the document alone.
    Document,
    /// Nowhere.
    Absent,
}

impl Layout {
    /// Where the values at a path of keys are, in the documents of the column with this prefix.
    pub(crate) fn place(&self, prefix: &str, path: &[&str]) -> Place {
        let [key, ..] = path else { return Place::Absent };
        let bucket = bucket_column(prefix, bucket_of(key));
        let spelled = spell(path.iter().copied());
        if let Some(columns) = self.paths.get(&spelled) {
            return Place::Columns { path: spelled, columns: *columns, bucket };
        }
        self.remainder(prefix, key)
    }

    /// Where the objects and arrays under a key are: in the remainder, whole.
    pub(crate) fn remainder(&self, prefix: &str, key: &str) -> Place {
        match &self.rest {
            _ if self.left.contains(key) => Place::Document,
            Some(rest) if !rest.contains(key) => Place::Absent,
            _ => Place::Bucket(bucket_column(prefix, bucket_of(key))),
        }
    }

    /// Of documents that have only these keys, without columns of their own.
    pub(crate) fn of_keys(keys: BTreeSet<String>) -> Self {
        Self { version: VERSION, paths: BTreeMap::new(), rest: Some(keys), left: BTreeSet::new() }
    }

    pub(crate) fn version(&self) -> u32 {
        self.version
    }

    /// True for a layout of the version that is written here.
    pub(crate) fn is_newest(&self) -> bool {
        self.version == VERSION
    }

    /// False for a layout of a version that is not known here.
    pub(crate) fn is_known(&self) -> bool {
        self.version <= VERSION
    }
}

/// A path as the end of a column's name: keys joined by dots. Of other characters only letters,
/// digits, `$`, `_`, `-` and `/` stand for themselves; Delta forbids some in names, and Parquet
/// paths are joined by dots.
fn spell<'k>(path: impl IntoIterator<Item = &'k str>) -> String {
    let mut spelled = String::new();
    for (place, key) in path.into_iter().enumerate() {
        spelled.push_str(if place > 0 { "." } else { "" });
        for character in key.chars() {
            if character.is_alphanumeric() || "$_-/".contains(character) {
                spelled.push(character);
            } else {
                let mut bytes = [0; 4];
                for byte in character.encode_utf8(&mut bytes).bytes() {
                    // Writing to a String cannot fail.
                    let _ = write!(spelled, "%{byte:02X}");
                }
            }
        }
    }
    spelled
}

/// The keys of a path that [`spell`] has spelled; none for other text.
fn keys_of(spelled: &str) -> Option<Vec<String>> {
    spelled.split('.').map(unspelled).collect()
}

fn unspelled(key: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key;
    while let Some((plain, escaped)) = rest.split_once('%') {
        bytes.extend_from_slice(plain.as_bytes());
        bytes.push(u8::from_str_radix(escaped.get(..2)?, 16).ok()?);
        rest = &escaped[2..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).ok()
}

/// The remainder column of a key.
fn bucket_of(key: &str) -> usize {
    (twox_hash::XxHash3_64::oneshot(key.as_bytes()) % BUCKETS) as usize
}

fn bucket_column(prefix: &str, bucket: usize) -> String {
    format!("{prefix}{REMAINDER}{bucket:02X}")
}

/// True for the names of the columns that documents are cut into.
pub(crate) fn is_property_column(name: &str) -> bool {
    DOCUMENTS.iter().any(|(_, prefix)| name.starts_with(prefix))
}

/// True for the names of remainder columns.
pub(crate) fn is_remainder_column(name: &str) -> bool {
    let rest = DOCUMENTS.iter().find_map(|(_, prefix)| name.strip_prefix(prefix));
    rest.is_some_and(|rest| rest.starts_with(REMAINDER))
}

/// The name of a path's column for one kind of values: `s`, `n` or `b`.
pub(crate) fn column_name(prefix: &str, kind: char, path: &str) -> String {
    format!("{prefix}{kind}__{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelled_paths_are_read_back() {
        for path in [&["a"][..], &["a.b", "c%"], &["", "ü€ x"], &["$p_-/", "%2E"]] {
            assert_eq!(keys_of(&spell(path.iter().copied())).unwrap(), path);
        }
        assert_eq!(keys_of("a%"), None);
        assert_eq!(keys_of("%é"), None);
        assert_eq!(keys_of("%FF"), None);
    }

    #[test]
    fn a_footer_that_does_not_speak_of_spelling_promises_none() {
        let old: Columns = serde_json::from_str(r#"{"text":true}"#).unwrap();
        assert!(old.may_lose(Kind::Text) && old.may_lose(Kind::Null));
        let new = Columns { lost: Some(Kinds::default()), ..old };
        let text = serde_json::to_string(&new).unwrap();
        assert_eq!(serde_json::from_str::<Columns>(&text).unwrap(), new);
        assert!(!new.may_lose(Kind::Text) && !new.may_lose(Kind::Null));
    }
}
