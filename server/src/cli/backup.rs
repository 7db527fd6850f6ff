//! `hedgerow backup` and `hedgerow restore`.

use std::io::{self, Write};

use clap::Args;
use hedgerow_engine::Location;
use hedgerow_engine::backup::copy;
use serde::Deserialize;

use super::failure::Failure;
use crate::config::fill;

/// Options of `hedgerow backup`.
#[derive(Debug, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Data folder, or object-store URL (s3://, gs://, az://).
    #[arg(long, value_name = "DIR|URL", env = "HEDGEROW_DATA")]
    data: Option<String>,
    /// Empty folder or URL that the backup is made in.
    #[arg(long, value_name = "DIR|URL")]
    to: Option<String>,
}

/// Options of `hedgerow restore`.
#[derive(Debug, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RestoreOptions {
    /// Empty folder or URL that becomes the data folder.
    #[arg(long, value_name = "DIR|URL", env = "HEDGEROW_DATA")]
    data: Option<String>,
    /// The backup.
    #[arg(long, value_name = "DIR|URL")]
    from: Option<String>,
}

impl Options {
    /// These options, and those of the file where they say nothing.
    #[must_use]
    pub(crate) fn over(mut self, file: Self) -> Self {
        fill!(self, file; data, to);
        self
    }
}

impl RestoreOptions {
    /// These options, and those of the file where they say nothing.
    #[must_use]
    pub(crate) fn over(mut self, file: Self) -> Self {
        fill!(self, file; data, from);
        self
    }
}

/// Makes a backup, also of a data folder that a server has open.
///
/// # Errors
/// When the data folder cannot be read, or the target is not empty or cannot be written.
pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let data = options.data.ok_or_else(|| missing("data folder", "--data"))?;
    let to = options.to.ok_or_else(|| missing("target", "--to"))?;
    copied(Location(data), Location(to)).await
}

/// Makes a data folder of a backup.
///
/// # Errors
/// As for [`run`].
pub(crate) async fn restore(options: RestoreOptions) -> Result<(), Failure> {
    let data = options.data.ok_or_else(|| missing("data folder", "--data"))?;
    let from = options.from.ok_or_else(|| missing("backup", "--from"))?;
    copied(Location(from), Location(data)).await
}

async fn copied(from: Location, to: Location) -> Result<(), Failure> {
    let report = copy(&from, &to).await?;
    let (megabytes, seconds) = (report.bytes as f64 / 1e6, report.elapsed.as_secs_f64());
    let mut out = io::stdout().lock();
    writeln!(out, "{} files copied, {megabytes:.1} MB, {seconds:.1} s", report.files)?;
    if report.events_from_log > 0 {
        writeln!(out, "{} events of the write-ahead log are in files now", report.events_from_log)?;
    }
    Ok(())
}

fn missing(what: &str, option: &str) -> Failure {
    Failure::new(format!("no {what}: give one with {option} DIR|URL"))
}
