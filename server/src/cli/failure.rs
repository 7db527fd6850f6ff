//! What a command says when it cannot do what it was asked.

use std::io::{self, Write};
use std::process::ExitCode;

use hedgerow_engine::Error;
use hedgerow_parser::Span;

use crate::values::put;

/// The end of a command that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    /// True when nobody reads the output any more, which is no reason to complain.
    quiet: bool,
    code: u8,
}

/// The exit code of a command that could not do what it was asked.
const FAILED: u8 = 1;
/// That of one which says 1 for something else.
const UNABLE: u8 = 2;

impl Failure {
    /// A failure in one line.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), quiet: false, code: FAILED }
    }

    /// An engine's error about `text`, with the place in it.
    pub(crate) fn about(error: &Error, text: &str) -> Self {
        let place = error.span.map(|span| Place::of(span, text));
        let mut message = match &place {
            Some(place) => format!("{} at {place}", error.message),
            None => error.message.clone(),
        };
        if let Some(place) = place {
            put!(message, "\n{}", place.excerpt());
        }
        if let Some(hint) = &error.hint {
            put!(message, "\nhint: {hint}");
        }
        Self::new(message)
    }

    /// The same, about a file.
    pub(super) fn in_file(self, name: &str) -> Self {
        Self { message: format!("{name}: {}", self.message), ..self }
    }

    /// The same, of a command that answers by its exit code.
    pub(super) fn unable(self) -> Self {
        Self { code: UNABLE, ..self }
    }

    /// Tells the user, and the shell.
    pub(crate) fn report(&self) -> ExitCode {
        if !self.quiet {
            // Without stderr there is nobody to tell.
            let _ = writeln!(io::stderr(), "error: {}", self.message);
        }
        ExitCode::from(if self.quiet { 0 } else { self.code })
    }
}

/// An engine's error that no text is to blame for.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::about(&Error { span: None, ..error }, "")
    }
}

/// An error of reading stdin or writing stdout.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let quiet = error.kind() == io::ErrorKind::BrokenPipe;
        Self { quiet, ..Self::new(error.to_string()) }
    }
}

/// A place in a text, for people.
pub(super) struct Place<'a> {
    pub(super) line: usize,
    pub(super) column: usize,
    text: &'a str,
}

impl<'a> Place<'a> {
    pub(super) fn of(span: Span, text: &'a str) -> Self {
        let start = (span.start as usize).min(text.len());
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            text: text[line_start..].lines().next().unwrap_or_default(),
        }
    }

    /// The line, or what surrounds the place in it, and a caret below.
    pub(super) fn excerpt(&self) -> String {
        const AROUND: usize = 60;
        let skipped = self.column.saturating_sub(AROUND);
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let shown: String = self.text.chars().skip(skipped).take(2 * AROUND).map(plain).collect();
        format!("  {shown}\n  {}^", " ".repeat(self.column - 1 - skipped))
    }
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}
