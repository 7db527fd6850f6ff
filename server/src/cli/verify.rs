//! `hedgerow verify`.

use std::io::{self, Write};

use clap::Args;
use hedgerow_engine::Location;
use hedgerow_engine::verify::{Finding, Remark, VerifyReport, verify};
use serde::Deserialize;

use super::failure::Failure;
use crate::config::fill;

/// Options of `hedgerow verify`.
#[derive(Debug, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Data folder, or object-store URL (s3://, gs://, az://).
    #[arg(long, value_name = "DIR|URL", env = "HEDGEROW_DATA")]
    data: Option<String>,
}

impl Options {
    /// These options, and those of the file where they say nothing.
    #[must_use]
    pub(crate) fn over(mut self, file: Self) -> Self {
        fill!(self, file; data);
        self
    }
}

/// Reads everything, and prints a line for each problem as it is found.
///
/// # Errors
/// When there are problems, with exit code 1; when the folder cannot be read, with 2.
pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let Some(data) = options.data else {
        return Err(Failure::new("no data folder: give one with --data DIR|URL").unable());
    };
    let mut printed = Ok(());
    let mut print = |finding| {
        // What was said before an output that nobody reads any more is all there is to say.
        if printed.is_ok() {
            printed = print_finding(&finding);
        }
    };
    let report = verify(&Location(data), &mut print).await;
    let report = report.map_err(|error| Failure::from(error).unable())?;
    printed?;
    summarise(&report)?;
    match report.problems {
        0 => Ok(()),
        1 => Err(Failure::new("1 problem found")),
        problems => Err(Failure::new(format!("{problems} problems found"))),
    }
}

fn print_finding(finding: &Finding) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match finding {
        Finding::Problem(Remark { file, what }) => writeln!(out, "{file}: {what}"),
        Finding::Note(Remark { file, what }) => writeln!(out, "note: {file}: {what}"),
    }
}

fn summarise(report: &VerifyReport) -> Result<(), Failure> {
    let VerifyReport { version, files, bytes, events, tables, records, problems, elapsed } = report;
    let mut out = io::stdout().lock();
    let version = match version {
        Some(version) => format!("version {version}"),
        None => "no version".to_owned(),
    };
    writeln!(
        out,
        "{version}: {files} files of {bytes} bytes, {events} events, {tables} tables made with SQL"
    )?;
    let records = match records {
        Some(records) => format!("{records} records"),
        None => "not looked at".to_owned(),
    };
    let seconds = elapsed.as_secs_f64();
    writeln!(out, "write-ahead log: {records}; {problems} problems; {seconds:.1} s")?;
    Ok(())
}
