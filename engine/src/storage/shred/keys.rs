//! What is known of the keys of documents, looked up once for each and then guessed: documents of
//! one sender have the same keys in the same order.

use datafusion::common::HashMap;

use super::choose::Node;
use super::{LEFT, bucket_of};
use crate::functions::json::scan;
use crate::storage::properties::{PropertyCounts, Seen};

/// Keys remembered; the others are looked at anew each time.
const KEYS_MAX: usize = 4_096;

/// A key, as it is written between its quotes.
#[derive(Debug)]
pub(super) struct Key {
    raw: Box<str>,
    /// Its node among those of the chosen paths.
    pub(super) node: Option<usize>,
    /// True when a path ends there.
    pub(super) has_columns: bool,
    pub(super) bucket: usize,
    pub(super) is_in_rest: bool,
    /// Its values stay in the document alone.
    pub(super) is_left: bool,
    seen: Seen,
    /// The key that followed the last time.
    next: usize,
}

/// The keys of one file's documents.
#[derive(Debug)]
pub(super) struct Keys {
    /// The first is no key: it comes before the first key of each document.
    known: Vec<Key>,
    places: HashMap<Box<str>, usize>,
    last: usize,
    /// Of the keys that are not remembered.
    counts: PropertyCounts,
}

impl Keys {
    pub(super) fn new() -> Self {
        // No key is written as a quote alone.
        let start = Key::new("\"", &[]);
        Self {
            known: vec![start],
            places: HashMap::new(),
            last: 0,
            counts: PropertyCounts::default(),
        }
    }

    /// A document begins.
    pub(super) fn restart(&mut self) {
        self.last = 0;
    }

    /// Counts a member, and gives what is known of its key; none for a key that is not remembered.
    pub(super) fn meet(&mut self, raw_key: &str, raw: &str, nodes: &[Node]) -> Option<&mut Key> {
        let guess = self.known[self.last].next;
        let place = match *self.known[guess].raw == *raw_key {
            true => guess,
            false => match self.find(raw_key, nodes) {
                Some(place) => place,
                None => {
                    self.counts.add(&scan::unescape(raw_key), raw);
                    return None;
                }
            },
        };
        self.last = place;
        let key = &mut self.known[place];
        key.seen.count(raw);
        Some(key)
    }

    fn find(&mut self, raw_key: &str, nodes: &[Node]) -> Option<usize> {
        let place = match self.places.get(raw_key) {
            Some(place) => *place,
            None if self.known.len() > KEYS_MAX => return None,
            None => {
                let place = self.known.len();
                self.known.push(Key::new(raw_key, nodes));
                self.places.insert(raw_key.into(), place);
                place
            }
        };
        self.known[self.last].next = place;
        Some(place)
    }

    /// Notes that members of a document may not have been met.
    pub(super) fn miss(&mut self) {
        self.counts.miss();
    }

    /// What was seen under all keys.
    pub(super) fn into_counts(mut self) -> PropertyCounts {
        for key in &self.known[1..] {
            self.counts.add_all(&scan::unescape(&key.raw), &key.seen);
        }
        self.counts
    }
}

impl Key {
    pub(super) fn new(raw: &str, nodes: &[Node]) -> Self {
        let key = scan::unescape(raw);
        let node = nodes.first().and_then(|root| root.members.get(key.as_ref()).copied());
        Self {
            node,
            has_columns: node.is_some_and(|node| nodes[node].path.is_some()),
            bucket: bucket_of(&key),
            is_in_rest: false,
            is_left: LEFT.contains(&key.as_ref()),
            seen: Seen::default(),
            next: 0,
            raw: raw.into(),
        }
    }
}
