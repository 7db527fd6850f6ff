//! Analysis without running anything.

use hedgerow_parser::ast::StatementKind;
use hedgerow_parser::{Span, parse_statement, split};

use super::{Diagnostic, Severity};
use crate::error::{Error, Result};
use crate::lower::{Scene, Warning};
use crate::settings::Settings;
use crate::statement::{self, assign};

/// The first error of each statement, or else what is doubtful in it. A text without statements
/// has neither.
pub(crate) fn diagnostics(scene: Scene<'_>, text: &str) -> Vec<Diagnostic> {
    let mut settings = scene.settings.clone();
    let mut found = Vec::new();
    for piece in split(text, scene.dialect) {
        let of_statement = match analyse(scene, &mut settings, piece.text) {
            Ok(warnings) => warnings.into_iter().map(warning).collect(),
            Err(error) => vec![failure(error, piece.text)],
        };
        let start = u32::try_from(piece.start).unwrap_or(u32::MAX);
        found.extend(of_statement.into_iter().map(|diagnostic| Diagnostic {
            span: Span::new(diagnostic.span.start + start, diagnostic.span.end + start),
            ..diagnostic
        }));
    }
    found
}

/// Analyses a statement; what SET changes holds for the statements after it.
fn analyse(scene: Scene<'_>, settings: &mut Settings, text: &str) -> Result<Vec<Warning>> {
    let statement = parse_statement(text, scene.dialect)?;
    match &statement.kind {
        StatementKind::Set { name, value } => assign::set(settings, name, value)?,
        StatementKind::Reset(name) => assign::reset(settings, name.as_deref())?,
        _ => {
            let scene = Scene { settings, ..scene };
            return Ok(statement::analyse(scene, &statement, &[])?.warnings);
        }
    }
    Ok(Vec::new())
}

fn failure(error: Error, text: &str) -> Diagnostic {
    let offset = |text: &str| u32::try_from(text.len()).unwrap_or(u32::MAX);
    let start = offset(text) - offset(text.trim_start());
    Diagnostic {
        severity: Severity::Error,
        span: error.span.unwrap_or(Span::new(start, offset(text.trim_end()))),
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
