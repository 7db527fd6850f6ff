//! HogQL text to syntax tree: a pure, total, bounded function.
//!
//! Any bytes give a tree or a [`SyntaxError`]; nothing here panics, blocks, reads a clock or
//! knows about tables. Reading order: `token` and `lexer` (text to tokens), [`ast`] (the tree),
//! `grammar` (one function per production), `display` (the tree back to canonical text).

mod lexer;
mod token;

pub mod ast;
mod display;
mod format;
mod grammar;
mod visit;

mod array;
mod error;
mod interval;
pub mod limits;
mod span;
mod split;
mod tree;

pub use format::format;

pub use array::parse_array;
pub use error::{SyntaxError, SyntaxErrorKind};
pub use interval::{IntervalText, parse_interval};
pub use span::Span;
pub use split::{Piece, split};
pub use tree::tree;
pub use visit::{child_queries, children, select_children, walk};

/// What every production returns.
type Result<T, E = SyntaxError> = std::result::Result<T, E>;

/// The profile in which a text is read. Both are one language with one tree; they differ where
/// the same characters mean different things to HogQL and to a tool that writes PostgreSQL's SQL.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dialect {
    /// HogQL's own: backslash escapes inside `'…'` and quoted identifiers.
    #[default]
    Hogql,
    /// HogQL as PostgreSQL's tools write it: a backslash is an ordinary character, `E'…'` has
    /// escapes. What arrives on the Postgres wire is read this way, because drivers quote for it.
    Postgres,
}

/// Parses one statement, with an optional trailing `;`.
///
/// # Errors
/// Any text that is not exactly one statement, or is larger or deeper than the [`limits`].
pub fn parse_statement(text: &str, dialect: Dialect) -> Result<ast::Statement, SyntaxError> {
    grammar::Parser::new(text, dialect)?.whole_statement()
}

/// Parses statements with `;` between them; their places are those in the whole text. To run
/// statements one after another, so that one can change how the next is read, see [`split`].
///
/// # Errors
/// Any text that is not a list of statements, or is larger or deeper than the [`limits`].
pub fn parse_statements(text: &str, dialect: Dialect) -> Result<Vec<ast::Statement>, SyntaxError> {
    grammar::Parser::new(text, dialect)?.statements()
}

/// Parses one query, with an optional trailing `;`.
///
/// # Errors
/// Any text that is not exactly one query, or is larger or deeper than the [`limits`].
pub fn parse_query(text: &str, dialect: Dialect) -> Result<ast::Query, SyntaxError> {
    grammar::Parser::new(text, dialect)?.whole_query()
}

/// Parses one expression.
///
/// # Errors
/// Any text that is not exactly one expression, or is larger or deeper than the [`limits`].
pub fn parse_expr(text: &str, dialect: Dialect) -> Result<ast::Expr, SyntaxError> {
    grammar::Parser::new(text, dialect)?.whole_expr()
}

/// Parses the name of a type, as it stands in `CAST(… AS …)`.
///
/// # Errors
/// Any text that is not exactly one type name.
pub fn parse_type(text: &str, dialect: Dialect) -> Result<ast::TypeName, SyntaxError> {
    grammar::Parser::new(text, dialect)?.whole_type()
}
