//! `hedgerow query`: the engine inside this process.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use futures::StreamExt;
use hedgerow_engine::{Engine, Error, Location, ResultStream, Session, SessionOptions};
use hedgerow_parser::{Dialect, Piece, Span, split};
use serde::Deserialize;

use super::failure::Failure;
use super::lines::answer_all;
use super::output::{Format, Sink};
use crate::config::{EngineFlags, fill};
use crate::server::DEFAULT_PROJECT;
use crate::values::{columns, json, types};

/// Options of `hedgerow query`.
#[derive(Debug, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Data folder, or object-store URL (s3://, gs://, az://). Without it, the query runs on
    /// an engine without data.
    #[arg(long, value_name = "DIR|URL", env = "HEDGEROW_DATA")]
    data: Option<String>,
    /// Project whose data is queried. Default: default.
    #[arg(long, value_name = "NAME", env = "HEDGEROW_PROJECT")]
    project: Option<String>,
    /// Form of the result. Default: table.
    #[arg(long, value_enum, value_name = "FORMAT", env = "HEDGEROW_QUERY_FORMAT")]
    format: Option<Format>,
    /// File for the result, instead of stdout.
    #[arg(long, short, value_name = "FILE", env = "HEDGEROW_QUERY_OUTPUT")]
    output: Option<PathBuf>,
    /// Time zone in which times are computed and shown, as an IANA name. Default: UTC.
    #[arg(long, value_name = "ZONE", env = "HEDGEROW_TIMEZONE")]
    timezone: Option<String>,
    /// Read lines of {"id", "sql"} from stdin and answer each with a line of
    /// {"id", "ok", "columns", "types", "rows"}, or
    /// {"id", "ok", "sqlstate", "message", "position", "hint"}.
    #[arg(long, conflicts_with_all = ["sql", "format", "output"], env = "HEDGEROW_QUERY_MANY")]
    #[serde(skip)]
    many: bool,
    #[command(flatten)]
    #[serde(skip)]
    engine: EngineFlags,
    /// File with the statements, instead of an argument.
    #[arg(long, short, value_name = "FILE", conflicts_with_all = ["sql", "many"])]
    #[serde(skip)]
    file: Option<PathBuf>,
    /// The statements, with `;` between them; - or nothing reads them from stdin. The first error
    /// ends them.
    #[serde(skip)]
    sql: Option<String>,
}

impl Options {
    /// These options, and those of the file where they say nothing.
    #[must_use]
    pub(crate) fn over(mut self, file: Self, engine: EngineFlags) -> Self {
        self.engine = self.engine.over(engine);
        fill!(self, file; data, project, format, output, timezone);
        self
    }
}

/// Runs statements one after another, or answers many queries.
///
/// # Errors
/// Any error of the store or the query.
pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let engine = match &options.data {
        Some(data) => Engine::open(&Location(data.clone()), options.engine.options()).await?,
        None => Engine::without_store(&options.engine.options())?,
    };
    let project = options.project.clone().unwrap_or_else(|| DEFAULT_PROJECT.to_owned());
    let session = engine.session(SessionOptions { project, dialect: Dialect::Hogql }).await?;
    if let Some(zone) = &options.timezone {
        session.set("timezone", zone)?;
    }
    if options.many {
        let runtime = tokio::runtime::Handle::current();
        return tokio::task::block_in_place(|| {
            answer_all(|sql| runtime.block_on(answer(&session, sql)))
        });
    }
    let sql = match (&options.file, options.sql.as_deref()) {
        (Some(file), _) => std::fs::read_to_string(file)
            .map_err(|error| Failure::new(format!("cannot read {}: {error}", file.display())))?,
        (None, None | Some("-")) => {
            let mut text = String::new();
            io::stdin().lock().read_to_string(&mut text)?;
            text
        }
        (None, Some(sql)) => sql.to_owned(),
    };
    let dialect = Dialect::Hogql;
    let pieces = split(&sql, dialect);
    if pieces.is_empty() {
        // The parser knows best what is missing.
        session.query(&sql).await.map_err(|error| Failure::about(&error, &sql))?;
    }
    let mut results = 0;
    for piece in pieces {
        let failure = |error: Error| in_whole_text(error, piece, &sql);
        let stream = session.query(piece.text).await.map_err(failure)?;
        for notice in stream.notices() {
            let hint = notice.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
            writeln!(io::stderr(), "notice: {}{hint}", notice.message)?;
        }
        if let Some(done) = stream.outcome() {
            writeln!(io::stderr(), "{done}")?;
            continue;
        }
        results += 1;
        let format = options.format.unwrap_or_default();
        if results > 1 && (options.output.is_some() || format.is_binary()) {
            return Err(Failure::new("several results do not fit into one file"));
        }
        write(&options, &session, stream, failure).await?;
    }
    Ok(())
}

/// An error of one statement, with its place in the text that holds them all.
fn in_whole_text(mut error: Error, piece: Piece<'_>, text: &str) -> Failure {
    let shift = u32::try_from(piece.start).unwrap_or(u32::MAX);
    error.span = error
        .span
        .map(|span| Span::new(span.start.saturating_add(shift), span.end.saturating_add(shift)));
    Failure::about(&error, text)
}

async fn write(
    options: &Options,
    session: &Session,
    mut stream: ResultStream,
    failure: impl Fn(Error) -> Failure,
) -> Result<(), Failure> {
    let format = options.format.unwrap_or_default();
    let target: Box<dyn Write + Send> =
        match &options.output {
            Some(path) => Box::new(File::create(path).map_err(|error| {
                Failure::new(format!("cannot create {}: {error}", path.display()))
            })?),
            None if format.is_binary() && io::stdout().is_terminal() => {
                return Err(Failure::new("this format is binary: name a file with --output"));
            }
            None => Box::new(io::stdout()),
        };
    let zone = session.settings().timezone.parse().unwrap_or_default();
    let mut sink = Sink::open(format, target, stream.schema(), zone)?;
    while let Some(batch) = stream.next().await {
        sink.write(&batch.map_err(&failure)?)?;
    }
    sink.finish()
}

/// The answer to one of many queries, without its id.
async fn answer(session: &Session, sql: &str) -> hedgerow_engine::Result<String> {
    let mut stream = session.query(sql).await?;
    let schema = Arc::clone(stream.schema());
    let types = types(&schema);
    let mut answer = json::header(&schema, &types);
    answer.push_str(",\"rows\":[");
    let mut first = true;
    while let Some(batch) = stream.next().await.transpose()? {
        let columns = columns(&types, &batch)?;
        for row in 0..batch.num_rows() {
            if !std::mem::take(&mut first) {
                answer.push(',');
            }
            json::write_row(&mut answer, &columns, row);
        }
    }
    answer.push(']');
    Ok(answer)
}
