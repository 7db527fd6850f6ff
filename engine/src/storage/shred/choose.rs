//! Which paths of a file's documents get columns of their own.

use std::collections::BTreeMap;

use datafusion::common::HashMap;

use super::number::{Digits, NumberForm};
use super::value::{Kind, kind_of};
use super::{LEFT, Layout, keys_of, spell};
use crate::functions::json::scan;

/// Paths with columns in one file: each costs a little in the footer and for each row group.
const PATHS_MAX: usize = 192;
/// Longer paths stay in the remainder.
const PATH_BYTES_MAX: usize = 200;
/// Paths counted in a sample; with more, those that come later stay in the remainder.
const CANDIDATES_MAX: usize = 1 << 16;
/// Members of members of members are as deep as columns go.
const DEPTH_MAX: usize = 3;
/// Of a thousand sampled documents so many must have a path.
const PRESENCE_MIN_PER_MILLE: usize = 1;
/// A kind gets a column of its own when of twenty values at least one is of it.
const SHARE_MIN: usize = 20;

/// How often the values at a path were of each kind.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    text: usize,
    number: usize,
    boolean: usize,
    digits: Digits,
}

impl Tally {
    fn total(self) -> usize {
        self.text + self.number + self.boolean
    }

    /// The columns for these values.
    fn chosen(self, path: String) -> Chosen {
        let pays = |count: usize| count * SHARE_MIN >= self.total() && count > 0;
        Chosen {
            path,
            text: pays(self.text),
            number: pays(self.number).then(|| self.digits.form()),
            boolean: pays(self.boolean),
        }
    }
}

/// By path.
#[derive(Debug, Default)]
struct Tallies(BTreeMap<Vec<String>, Tally>);

impl Tallies {
    /// None for paths that get no columns.
    fn at(&mut self, path: &[String]) -> Option<&mut Tally> {
        let is_known = self.0.contains_key(path);
        let bytes: usize = path.iter().map(String::len).sum();
        if !is_known && (bytes > PATH_BYTES_MAX || self.0.len() >= CANDIDATES_MAX) {
            return None;
        }
        Some(self.0.entry(path.to_vec()).or_default())
    }
}

/// The chosen paths as a tree of their keys: what a shredder follows through a document.
#[derive(Debug, Default, Clone)]
pub(crate) struct Choice {
    /// The first is the document itself; the others are numbered by their places here.
    pub(super) nodes: Vec<Node>,
}

/// A key on a chosen path.
#[derive(Debug, Default, Clone)]
pub(super) struct Node {
    pub(super) members: HashMap<Box<str>, usize>,
    /// The path that ends here.
    pub(super) path: Option<Chosen>,
}

/// A path that gets columns, and which.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    /// Spelled by [`spell`].
    pub(super) path: String,
    pub(super) text: bool,
    pub(super) number: Option<NumberForm>,
    pub(super) boolean: bool,
}

impl Choice {
    /// Chooses by a sample of the documents.
    pub(crate) fn of<'d>(sample: impl Iterator<Item = &'d str>) -> Self {
        let mut tallies = Tallies::default();
        let mut documents = 0;
        for document in sample {
            documents += 1;
            tally(document, &mut Vec::new(), &mut tallies);
        }
        let least = (documents * PRESENCE_MIN_PER_MILLE / 1000).max(1);
        let mut candidates: Vec<_> =
            tallies.0.into_iter().filter(|(_, tally)| tally.total() >= least).collect();
        // The sort is stable: among equals the order of the paths decides.
        candidates.sort_by_key(|(_, tally)| std::cmp::Reverse(tally.total()));
        candidates.truncate(PATHS_MAX);
        let mut choice = Self { nodes: vec![Node::default()] };
        for (path, tally) in candidates {
            let chosen = tally.chosen(spell(path.iter().map(String::as_str)));
            choice.add(&path, chosen);
        }
        choice
    }

    /// The choice of a file that has these columns: `form_of` says how one stores numbers.
    pub(crate) fn of_layout(
        layout: &Layout,
        mut form_of: impl FnMut(&str) -> Option<NumberForm>,
    ) -> Option<Self> {
        let mut choice = Self { nodes: vec![Node::default()] };
        for (path, columns) in &layout.paths {
            let number = match columns.number {
                true => Some(form_of(path)?),
                false => None,
            };
            let (text, boolean) = (columns.text, columns.boolean);
            let chosen = Chosen { path: path.clone(), text, number, boolean };
            choice.add(&keys_of(path)?, chosen);
        }
        Some(choice)
    }

    fn add(&mut self, path: &[String], chosen: Chosen) {
        let mut at = 0;
        for key in path {
            at = match self.nodes[at].members.get(key.as_str()) {
                Some(next) => *next,
                None => {
                    let next = self.nodes.len();
                    self.nodes.push(Node::default());
                    self.nodes[at].members.insert(key.as_str().into(), next);
                    next
                }
            };
        }
        self.nodes[at].path = Some(chosen);
    }
}

/// Counts the values of an object, and of the objects in it.
fn tally(document: &str, path: &mut Vec<String>, tallies: &mut Tallies) {
    for (key, raw) in scan::entries(document) {
        let Some(key) = key else { return };
        if path.is_empty() && LEFT.contains(&key.as_ref()) {
            continue;
        }
        path.push(key.into_owned());
        let mut count = |count: &dyn Fn(&mut Tally)| {
            if let Some(tally) = tallies.at(path) {
                count(tally);
            }
        };
        match kind_of(raw) {
            Kind::Text => count(&|tally| tally.text += 1),
            Kind::Number | Kind::OddNumber => count(&|tally| {
                tally.number += 1;
                tally.digits.note(raw);
            }),
            Kind::Boolean => count(&|tally| tally.boolean += 1),
            Kind::Container if path.len() < DEPTH_MAX && raw.starts_with('{') => {
                tally(raw, path, tallies);
            }
            Kind::Null | Kind::Empty | Kind::Container => {}
        }
        path.pop();
    }
}
