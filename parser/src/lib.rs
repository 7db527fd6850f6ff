//! HogQL text to syntax tree: a pure, total, bounded function.
//!
//! Any bytes give a tree or a [`SyntaxError`]; nothing here panics, blocks, reads a clock or
//! knows about tables. Reading order: `token` and `lexer` (text to tokens), [`ast`] (the tree),
//! `grammar` (one function per production), `display` (the tree back to canonical text).

mod lexer;
mod token;

pub mod ast;
mod display;
mod grammar;
mod visit;

mod error;
pub mod limits;
mod span;

pub use error::{SyntaxError, SyntaxErrorKind};
pub use span::Span;
pub use visit::{child_queries, children, select_children, walk};

/// What every production returns.
type Result<T, E = SyntaxError> = std::result::Result<T, E>;

/// How quoted text is read. The rest of the language is the same everywhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Strings {
    /// HogQL's own: backslash escapes inside `'…'` and quoted identifiers.
    #[default]
    Hogql,
    /// SQL's: a backslash is an ordinary character, `E'…'` has escapes. What arrives on the
    /// Postgres wire is read this way, because drivers quote for it.
    Standard,
}

/// Parses one query, with an optional trailing `;`.
///
/// # Errors
/// Any text that is not exactly one query, or is larger or deeper than the [`limits`].
pub fn parse_query(text: &str, strings: Strings) -> Result<ast::Query, SyntaxError> {
    grammar::Parser::new(text, strings)?.whole_query()
}

/// Parses one expression.
///
/// # Errors
/// Any text that is not exactly one expression, or is larger or deeper than the [`limits`].
pub fn parse_expr(text: &str, strings: Strings) -> Result<ast::Expr, SyntaxError> {
    grammar::Parser::new(text, strings)?.whole_expr()
}
