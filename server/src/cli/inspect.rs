//! `hedgerow inspect`.

mod json;
mod table;

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use hedgerow_engine::Location;
use serde::Deserialize;

use super::failure::Failure;
use crate::config::fill;

/// Options of `hedgerow inspect`.
#[derive(Debug, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Data folder, or object-store URL (s3://, gs://, az://).
    #[arg(long, value_name = "DIR|URL", env = "HEDGEROW_DATA")]
    data: Option<String>,
    /// Form of what is told. Default: table.
    #[arg(long, value_enum, value_name = "FORMAT", env = "HEDGEROW_INSPECT_FORMAT")]
    format: Option<Format>,
}

/// How it is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// Aligned columns for people.
    #[default]
    Table,
    /// One JSON object, with the files of each day too.
    Json,
}

impl Options {
    /// These options, and those of the file where they say nothing.
    #[must_use]
    pub(crate) fn over(mut self, file: Self) -> Self {
        fill!(self, file; data, format);
        self
    }
}

/// Tells what a data folder holds.
///
/// # Errors
/// When the store cannot be opened or read.
pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let Some(data) = options.data else {
        return Err(Failure::new("no data folder: give one with --data DIR|URL"));
    };
    let inspection = hedgerow_engine::inspect::inspect(&Location(data)).await?;
    let mut out = io::stdout().lock();
    match options.format.unwrap_or_default() {
        Format::Table => table::write(&mut out, &inspection)?,
        Format::Json => writeln!(out, "{}", json::of(&inspection))?,
    }
    Ok(())
}
