//! `hedgerow check`: analysis of queries in files, without running any.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hedgerow_engine::editor::{Diagnostic, Severity};
use hedgerow_engine::{Engine, EngineOptions, Location, Session, SessionOptions};
use hedgerow_parser::{Dialect, Span};
use serde::{Deserialize, Serialize};

use super::failure::{Failure, Place};
use crate::config::fill;
use crate::error::sqlstate;
use crate::server::DEFAULT_PROJECT;

/// Options of `hedgerow check`.
#[derive(Debug, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Data folder, or object-store URL (s3://, gs://, az://), whose tables and properties the
    /// queries may use. Without it, there is no table of events.
    #[arg(long, value_name = "DIR|URL", env = "HEDGEROW_DATA")]
    data: Option<String>,
    /// Project whose data the queries are about. Default: default.
    #[arg(long, value_name = "NAME", env = "HEDGEROW_PROJECT")]
    project: Option<String>,
    /// Form of what is found. Default: text.
    #[arg(long, value_enum, value_name = "FORMAT", env = "HEDGEROW_CHECK_FORMAT")]
    format: Option<Format>,
    /// Files with queries, separated by `;`; - or none reads stdin.
    #[serde(skip)]
    files: Vec<PathBuf>,
}

/// How findings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// For people, with the line in question.
    Text,
    /// One JSON object per finding and line, for editors.
    Json,
}

impl Options {
    /// These options, and those of the file where they say nothing.
    #[must_use]
    pub(crate) fn over(mut self, file: Self) -> Self {
        fill!(self, file; data, project, format);
        self
    }
}

/// One finding, for programs. Lines and columns are counted from 1, columns in characters.
#[derive(Serialize)]
struct Finding<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
    severity: &'static str,
    sqlstate: Option<&'static str>,
    message: &'a str,
    hint: Option<&'a str>,
}

/// Checks every file and prints what is found.
///
/// # Errors
/// When a query has an error, or a file or the store cannot be read.
pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let engine = match &options.data {
        Some(data) => Engine::open(&Location(data.clone()), EngineOptions::default()).await?,
        None => Engine::without_store(&EngineOptions::default())?,
    };
    let project = options.project.unwrap_or_else(|| DEFAULT_PROJECT.to_owned());
    let session = engine.session(SessionOptions { project, dialect: Dialect::Hogql }).await?;
    let files = if options.files.is_empty() { vec![PathBuf::from("-")] } else { options.files };
    let mut errors = 0;
    for file in files {
        let (name, text) = read(&file)?;
        errors += check(&session, &name, &text, options.format.unwrap_or(Format::Text)).await?;
    }
    match errors {
        0 => Ok(()),
        1 => Err(Failure::new("1 query is wrong")),
        count => Err(Failure::new(format!("{count} queries are wrong"))),
    }
}

/// The name and text of a file; `-` is stdin.
pub(super) fn read(file: &PathBuf) -> Result<(String, String), Failure> {
    let mut bytes = Vec::new();
    let name = if file.as_os_str() == "-" {
        io::stdin().lock().read_to_end(&mut bytes)?;
        "<stdin>".to_owned()
    } else {
        let name = file.display().to_string();
        bytes = std::fs::read(file)
            .map_err(|error| Failure::new(format!("cannot read {name}: {error}")))?;
        name
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok((name, text)),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            Err(Failure::new(format!("{name}: byte {at} is not UTF-8")))
        }
    }
}

/// Prints the findings of one text. Gives the number of errors.
async fn check(
    session: &Session,
    name: &str,
    text: &str,
    format: Format,
) -> Result<usize, Failure> {
    let found = session.diagnostics(text).await?;
    let mut output = io::stdout().lock();
    for diagnostic in &found {
        let printed = match format {
            Format::Text => in_text(name, text, diagnostic),
            Format::Json => in_json(name, text, diagnostic),
        };
        writeln!(output, "{printed}")?;
    }
    Ok(found.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count())
}

fn severity(diagnostic: &Diagnostic) -> &'static str {
    match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn in_text(name: &str, text: &str, diagnostic: &Diagnostic) -> String {
    let place = Place::of(diagnostic.span, text);
    let code = diagnostic.kind.map(|kind| format!("[{}]", sqlstate(kind))).unwrap_or_default();
    let mut printed = format!(
        "{name}:{}:{}: {}{code}: {}\n{}",
        place.line,
        place.column,
        severity(diagnostic),
        diagnostic.message,
        place.excerpt()
    );
    if let Some(hint) = &diagnostic.hint {
        // Writing into a string does not fail.
        let _ = write!(printed, "\n  hint: {hint}");
    }
    printed
}

fn in_json(name: &str, text: &str, diagnostic: &Diagnostic) -> String {
    let place = Place::of(diagnostic.span, text);
    let end = Place::of(Span::new(diagnostic.span.end, diagnostic.span.end), text);
    let finding = Finding {
        file: name,
        line: place.line,
        column: place.column,
        end_line: end.line,
        end_column: end.column,
        severity: severity(diagnostic),
        sqlstate: diagnostic.kind.map(sqlstate),
        message: &diagnostic.message,
        hint: diagnostic.hint.as_deref(),
    };
    // Plain fields always serialise.
    serde_json::to_string(&finding).unwrap_or_default()
}
