//! `hedgerow maintain`.

use std::io::{self, Write};
use std::time::Duration;

use clap::Args;
use hedgerow_engine::storage::{MaintainOptions, MaintainReport};
use hedgerow_engine::{EventStore, Location};
use serde::Deserialize;

use super::failure::Failure;
use crate::config::fill;

/// Options of `hedgerow maintain`.
#[derive(Debug, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Data folder, or object-store URL (s3://, gs://, az://).
    #[arg(long, value_name = "DIR|URL", env = "HEDGEROW_DATA")]
    data: Option<String>,
    /// Hours for which files that are no longer used stay, for queries that still read them.
    /// Default: 24.
    #[arg(long, value_name = "HOURS", env = "HEDGEROW_MAINTAIN_KEEP_HOURS")]
    keep_hours: Option<u32>,
}

impl Options {
    /// These options, and those of the file where they say nothing.
    #[must_use]
    pub(crate) fn over(mut self, file: Self) -> Self {
        fill!(self, file; data, keep_hours);
        self
    }
}

/// Rewrites what is worth it, and says what came of it.
///
/// # Errors
/// When the store cannot be opened, read or written.
pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let Some(data) = options.data else {
        return Err(Failure::new("no data folder: give one with --data DIR|URL"));
    };
    let store = EventStore::open(&Location(data)).await?;
    let mut maintain = MaintainOptions::default();
    if let Some(hours) = options.keep_hours {
        maintain.keep = Duration::from_hours(hours.into());
    }
    summarise(&store.maintain(&maintain).await?)
}

fn summarise(report: &MaintainReport) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{} of {} files rewritten, now {} files; {} events, {} duplicates removed",
        report.rewritten, report.files_before, report.files_after, report.events, report.duplicates
    )?;
    if report.left > 0 {
        writeln!(
            out,
            "{} files left: others change them at the same time; run it again",
            report.left
        )?;
    }
    let seconds = report.elapsed.as_secs_f64();
    if report.expired > 0 {
        writeln!(out, "{} events deleted that were older than they are kept", report.expired)?;
    }
    writeln!(out, "{} unused files deleted; {seconds:.1} s", report.deleted)?;
    Ok(())
}
