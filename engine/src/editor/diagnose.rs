//! Analysis without running anything.

use std::ops::Range;

use hedgerow_parser::{Dialect, Span, parse_query};

use super::scan::{Kind, scan};
use super::{Diagnostic, Scene, Severity};
use crate::error::Error;
use crate::lower::{self, Warning};

/// The first error of each statement, or else what is doubtful in it. A text without statements
/// has neither.
pub(crate) fn diagnostics(scene: Scene<'_>, text: &str) -> Vec<Diagnostic> {
    let statements = statements(text, scene.dialect);
    let mut found = Vec::new();
    for range in statements {
        let statement = &text[range.clone()];
        let of_statement = match analyse(scene, statement) {
            Ok(warnings) => warnings.into_iter().map(warning).collect(),
            Err(error) => vec![failure(error, statement)],
        };
        let start = u32::try_from(range.start).unwrap_or(u32::MAX);
        found.extend(of_statement.into_iter().map(|diagnostic| Diagnostic {
            span: Span::new(diagnostic.span.start + start, diagnostic.span.end + start),
            ..diagnostic
        }));
    }
    found
}

/// The pieces of a text between semicolons that hold more than blanks and comments.
fn statements(text: &str, dialect: Dialect) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut piece: Option<Range<usize>> = None;
    for token in scan(text, dialect) {
        match token.kind {
            Kind::Comment if piece.is_none() => {}
            Kind::Symbol(';') => pieces.extend(piece.take()),
            _ => {
                let start = piece.map_or(token.range.start, |piece| piece.start);
                piece = Some(start..token.range.end);
            }
        }
    }
    pieces.extend(piece);
    pieces
}

fn analyse(scene: Scene<'_>, text: &str) -> Result<Vec<Warning>, Error> {
    let query = parse_query(text, scene.dialect)?;
    Ok(lower::analyse(&query, scene.catalog, scene.settings, &[])?.warnings)
}

fn failure(error: Error, text: &str) -> Diagnostic {
    let end = u32::try_from(text.trim_end().len()).unwrap_or(u32::MAX);
    Diagnostic {
        severity: Severity::Error,
        span: error.span.unwrap_or(Span::new(0, end)),
        message: error.message,
        hint: error.hint,
        kind: Some(error.kind),
    }
}

fn warning(warning: Warning) -> Diagnostic {
    Diagnostic {
        severity: Severity::Warning,
        span: warning.span,
        message: warning.notice.message,
        hint: warning.notice.hint,
        kind: None,
    }
}
