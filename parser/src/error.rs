//! What the parser says when a text is not HogQL.

use crate::span::Span;

/// Why a text could not be parsed. Always carries a place; never raised for a valid text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    /// One line in lower case, without the place.
    pub message: String,
    /// The offending token, or an empty span at the end of the text.
    pub span: Span,
    /// What would have been accepted here, when it can be named.
    pub expected: Option<String>,
    /// A way out, as a sentence.
    pub hint: Option<String>,
    /// What kind of refusal this is.
    pub kind: SyntaxErrorKind,
}

/// The kinds of refusal, each with its own SQLSTATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyntaxErrorKind {
    /// The text breaks the grammar (42601).
    Syntax,
    /// The text is well-formed but uses something Hedgerow refuses on purpose (0A000).
    Unsupported,
    /// The text is larger or deeper than the limits allow (54001).
    TooComplex,
}

impl SyntaxError {
    /// A plain grammar error.
    pub fn new(message: impl Into<String>, span: Span) -> Self {
        Self {
            message: message.into(),
            span,
            expected: None,
            hint: None,
            kind: SyntaxErrorKind::Syntax,
        }
    }

    /// The same error, of another kind.
    #[must_use]
    pub fn kind(mut self, kind: SyntaxErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// The same error, naming what would have been accepted.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// The same error, with a way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
