//! The syntax tree: what a text says, before anything is known about what it means.
//!
//! The tree is a value. It holds no types, no catalog references and no resolved names, and it
//! keeps the surface forms (`a ?? b`, `c ? x : y`, `CASE`) rather than their rewriting, so that
//! errors and printed text show what the user wrote.
//!
//! Nodes that carry a [`Span`](crate::Span) compare by content alone: two trees are equal when
//! they say the same, wherever they stand.

mod expr;
mod select;
mod statement;

pub use expr::*;
pub use select::*;
pub use statement::*;

use std::hash::{Hash, Hasher};

use crate::span::Span;

/// A name as written: letter case kept, quotes removed.
#[derive(Debug, Clone)]
pub struct Ident {
    /// The name without quotes and with escapes resolved.
    pub name: String,
    /// Where it stands, quotes included.
    pub span: Span,
}

impl Ident {
    /// A name at a place.
    pub fn new(name: impl Into<String>, span: Span) -> Self {
        Self { name: name.into(), span }
    }
}

impl PartialEq for Ident {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Ident {}

impl Hash for Ident {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}
