//! What an editor shows while a query is being written: completions at a cursor, and what is
//! wrong. Both are pure functions over one state of the catalog; nothing runs.

mod complete;
mod context;
mod diagnose;
mod scan;

use hedgerow_parser::Span;

use crate::error::ErrorKind;

pub(crate) use complete::completions;
pub(crate) use diagnose::diagnostics;

/// Something that could be written at the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// What is shown.
    pub label: String,
    pub kind: CompletionKind,
    /// What is written; a name is quoted where it has to be.
    pub insert: String,
    /// The text that it takes the place of: the beginning of a name before the cursor, and the
    /// rest of it after the cursor.
    pub replaces: Span,
    /// A type, a signature, or where it comes from.
    pub detail: Option<String>,
    /// What it means, in a sentence.
    pub doc: Option<String>,
}

/// What a completion names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CompletionKind {
    Alias,
    Column,
    Property,
    /// A source of the query, by its name or alias.
    Source,
    Table,
    Cte,
    Function,
    TableFunction,
    Variable,
    Placeholder,
    Setting,
    Keyword,
}

/// Something that is wrong with a text, or might be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    /// The bytes it is about; empty at the end of a text that breaks off.
    pub span: Span,
    /// One line in lower case, without the place.
    pub message: String,
    /// A way out, as a sentence.
    pub hint: Option<String>,
    /// The kind of an error, from which each protocol makes its code.
    pub kind: Option<ErrorKind>,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The text cannot run.
    Error,
    /// It can run, but hardly means what it says.
    Warning,
}
