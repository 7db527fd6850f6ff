//! `hedgerow import`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hedgerow_engine::ingest::{
    EventName, ImportOptions, ImportReport, Mapping, Observer, Progress, Reject, Source, import,
};
use hedgerow_engine::{Error, ErrorKind, EventStore, Location, ingest};
use serde::Deserialize;

use super::failure::Failure;
use super::meter::Meter;
use crate::config::fill;
use crate::server::DEFAULT_PROJECT;

/// Lines about single records before only their number is told.
const REJECTS_SHOWN: u64 = 10;

/// Options of `hedgerow import`.
#[derive(Debug, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Data folder, or object-store URL (s3://, gs://, az://); made if it is not there.
    #[arg(long, value_name = "DIR|URL", env = "HEDGEROW_DATA")]
    data: Option<String>,
    /// Project to import into; made if it is not there. Default: default.
    #[arg(long, value_name = "NAME", env = "HEDGEROW_PROJECT")]
    project: Option<String>,
    /// Field with the event's name, for data that is not in PostHog's shape. Every field that
    /// has no role becomes a property.
    #[arg(
        long,
        value_name = "FIELD",
        env = "HEDGEROW_IMPORT_EVENT",
        conflicts_with = "event_name"
    )]
    event: Option<String>,
    /// Event name for every record, for data without one.
    #[arg(long, value_name = "NAME", env = "HEDGEROW_IMPORT_EVENT_NAME")]
    event_name: Option<String>,
    /// Field with who the event is about. Default: distinct_id.
    #[arg(long, value_name = "FIELD", env = "HEDGEROW_IMPORT_DISTINCT_ID")]
    distinct_id: Option<String>,
    /// Field with the time of the event; without a zone it is UTC. Default: timestamp.
    #[arg(long, value_name = "FIELD", env = "HEDGEROW_IMPORT_TIMESTAMP")]
    timestamp: Option<String>,
    /// Field with the session, which becomes the property $session_id.
    #[arg(long, value_name = "FIELD", env = "HEDGEROW_IMPORT_SESSION_ID")]
    session_id: Option<String>,
    /// Stop at the first record that cannot be imported, and add nothing.
    #[arg(long, env = "HEDGEROW_IMPORT_STRICT")]
    strict: bool,
    /// Leave small files as they are: for many imports in a row, with `hedgerow maintain` at the
    /// end.
    #[arg(long, env = "HEDGEROW_IMPORT_NO_MAINTAIN")]
    no_maintain: bool,
    /// File for the records that cannot be imported, as they came.
    #[arg(long, value_name = "FILE", env = "HEDGEROW_IMPORT_REJECTS")]
    rejects: Option<PathBuf>,
    /// Format of the input. Default: by the name and content of each file.
    #[arg(long, value_enum, value_name = "FORMAT", env = "HEDGEROW_IMPORT_FORMAT")]
    format: Option<Format>,
    /// Files or folders, plain or compressed with gzip or zstd; - reads stdin.
    #[arg(required = true, value_name = "FILE")]
    #[serde(skip)]
    files: Vec<PathBuf>,
}

/// How records are written.
#[derive(Debug, Clone, Copy, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// One JSON object per line.
    Json,
    /// Comma-separated values with a header.
    Csv,
    /// Parquet.
    Parquet,
}

impl Options {
    /// These options, and those of the file where they say nothing.
    #[must_use]
    pub(crate) fn over(mut self, file: Self) -> Self {
        self.strict |= file.strict;
        self.no_maintain |= file.no_maintain;
        if self.event.is_none() && self.event_name.is_none() {
            fill!(self, file; event, event_name);
        }
        fill!(self, file; data, project, distinct_id, timestamp, session_id, rejects, format);
        self
    }

    fn mapping(&self) -> Mapping {
        let constant = self.event_name.clone().map(EventName::Constant);
        Mapping {
            event: constant.or_else(|| self.event.clone().map(EventName::Field)),
            distinct_id: self.distinct_id.clone(),
            timestamp: self.timestamp.clone(),
            session_id: self.session_id.clone(),
        }
    }

    fn sources(&self) -> Vec<Source> {
        let source = |path: &PathBuf| match path.as_os_str() == "-" {
            true => Source::Reader { name: "stdin".to_owned(), reader: Box::new(io::stdin()) },
            false => Source::Path(path.clone()),
        };
        self.files.iter().map(source).collect()
    }
}

/// Imports files, and says what came of it.
///
/// # Errors
/// When the store or a file cannot be opened; in strict mode, for the first bad record.
pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let Some(data) = &options.data else {
        return Err(Failure::new("no data folder: give one with --data DIR|URL"));
    };
    let store = EventStore::create(&Location(data.clone())).await?;
    let project = options.project.as_deref().unwrap_or(DEFAULT_PROJECT);
    let project = store.create_project(project).await?;
    let import_options = ImportOptions {
        mapping: options.mapping(),
        format: options.format.map(|format| match format {
            Format::Json => ingest::Format::Json,
            Format::Csv => ingest::Format::Csv,
            Format::Parquet => ingest::Format::Parquet,
        }),
        strict: options.strict,
        maintain: !options.no_maintain,
        ..ImportOptions::default()
    };
    let mut watch = Watch::new(&options)?;
    let report = import(&store, project, options.sources(), import_options, &mut watch).await;
    watch.finish()?;
    summarise(&report?, options.rejects.as_deref())
}

/// Shows progress, tells about bad records, and keeps them.
struct Watch {
    meter: Meter,
    /// In strict mode the first bad record is the error itself.
    silent: bool,
    rejected: u64,
    keep: Option<BufWriter<File>>,
}

impl Watch {
    fn new(options: &Options) -> Result<Self, Failure> {
        let keep = options.rejects.as_ref().map(|path| {
            File::create(path)
                .map(BufWriter::new)
                .map_err(|error| Failure::new(format!("cannot create {}: {error}", path.display())))
        });
        Ok(Self {
            meter: Meter::new(None),
            silent: options.strict,
            rejected: 0,
            keep: keep.transpose()?,
        })
    }

    fn finish(self) -> Result<(), Failure> {
        self.meter.finish();
        if let Some(mut keep) = self.keep {
            keep.flush()?;
        }
        Ok(())
    }
}

impl Observer for Watch {
    fn progress(&mut self, progress: Progress) {
        self.meter.progress(progress);
    }

    fn rejected(&mut self, reject: &Reject) -> hedgerow_engine::Result<()> {
        self.rejected += 1;
        if !self.silent && self.rejected <= REJECTS_SHOWN {
            let Reject { input, line, reason, .. } = reject;
            self.meter.say(&format!("{input}:{line}: {reason}"));
        }
        if let Some(keep) = &mut self.keep {
            keep.write_all(&reject.record).and_then(|()| keep.write_all(b"\n")).map_err(
                |error| {
                    let message = format!("cannot write the rejected records: {error}");
                    Error::new(ErrorKind::Storage, message).caused_by(error)
                },
            )?;
        }
        Ok(())
    }
}

fn summarise(report: &ImportReport, rejects: Option<&std::path::Path>) -> Result<(), Failure> {
    let seconds = report.elapsed.as_secs_f64();
    let total = report.imported + report.duplicates + report.rejected;
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{} events imported, {} duplicates skipped, {} records rejected",
        report.imported, report.duplicates, report.rejected
    )?;
    writeln!(
        out,
        "{} inputs, {:.1} MB, {seconds:.1} s, {:.0} records/s",
        report.inputs,
        report.bytes as f64 / 1e6,
        total as f64 / seconds.max(0.001)
    )?;
    if let (true, Some(path)) = (report.rejected > 0, rejects) {
        writeln!(out, "The rejected records are in {}", path.display())?;
    }
    Ok(())
}
