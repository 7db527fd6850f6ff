//! The command line. Every option is a flag, an environment variable and a line of the
//! configuration file; the flag wins over the variable, the variable over the file.

pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod demo;
pub(crate) mod failure;
mod fmt;
pub(crate) mod import;
pub(crate) mod inspect;
mod lines;
pub(crate) mod maintain;
mod meter;
mod output;
mod parse;
pub(crate) mod query;
pub(crate) mod server;
pub(crate) mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::config::Config;
use failure::Failure;

/// An SQL-first analytics database for product events that speaks HogQL.
#[derive(Debug, Parser)]
#[command(name = "hedgerow", version, propagate_version = true)]
struct Cli {
    /// Configuration file in TOML: the options of each command under its name, with `_` for `-`.
    #[arg(long, global = true, value_name = "FILE", env = "HEDGEROW_CONFIG")]
    config: Option<PathBuf>,
    /// What is logged on stderr: error, warn, info, debug, trace, or per module as in
    /// `warn,hedgerow=debug`. Default: warn.
    #[arg(long, global = true, value_name = "FILTER", env = "HEDGEROW_LOG")]
    log: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Seed a data folder with a demo product, and serve it.
    Demo(demo::Options),
    /// Serve a data folder over Postgres wire, Arrow Flight SQL and HTTP.
    Server(server::Options),
    /// Import events from files into a data folder.
    Import(import::Options),
    /// Rewrite small and mixed files of a data folder, so that queries read less.
    Maintain(maintain::Options),
    /// Tell which files a data folder has, and what is in no file yet.
    Inspect(inspect::Options),
    /// Read all of a data folder, and check that it is as it was written.
    Verify(verify::Options),
    /// Copy a data folder to another place, also while a server has it open.
    Backup(backup::Options),
    /// Make a data folder of a backup.
    Restore(backup::RestoreOptions),
    /// Run a query on a data folder, without a server.
    Query(query::Options),
    /// Check queries in files without running them.
    Check(check::Options),
    /// Format files with queries; comments are kept.
    Fmt(fmt::Options),
    /// Print the canonical form of a statement read from stdin, or its tree.
    Parse(parse::Options),
}

/// Runs the program: 0 for success, 1 for an error, 2 for wrong usage; `verify` says 1 for problems
/// that it found, and 2 when it could not look.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let config = Config::read(cli.config.as_deref())?;
    let filter = cli.log.or(config.log).unwrap_or_else(|| "warn".to_owned());
    let filter = EnvFilter::try_new(&filter)
        .map_err(|_| Failure::new(format!("cannot read the log filter '{filter}'")))?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match cli.command {
        Command::Demo(options) => block_on(demo::run(options.over(config.demo, config.engine))),
        Command::Server(options) => {
            block_on(server::run(options.over(config.server, config.engine)))
        }
        Command::Import(options) => block_on(import::run(options.over(config.import))),
        Command::Maintain(options) => block_on(maintain::run(options.over(config.maintain))),
        Command::Inspect(options) => block_on(inspect::run(options.over(config.inspect))),
        Command::Verify(options) => block_on(verify::run(options.over(config.verify))),
        Command::Backup(options) => block_on(backup::run(options.over(config.backup))),
        Command::Restore(options) => block_on(backup::restore(options.over(config.restore))),
        Command::Query(options) => block_on(query::run(options.over(config.query, config.engine))),
        Command::Check(options) => block_on(check::run(options.over(config.check))),
        Command::Fmt(options) => fmt::run(&options),
        Command::Parse(options) => parse::run(&options),
    }
}

fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start threads: {error}")))?
        .block_on(work)
}
