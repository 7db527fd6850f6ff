//! `hedgerow parse`.

use std::io::{self, Read, Write};

use clap::Args;
use hedgerow_engine::{Error, ErrorKind};
use hedgerow_parser::{Dialect, parse_statement, tree};

use super::failure::Failure;
use super::lines::answer_all;
use crate::values::json;

/// Options of `hedgerow parse`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Read lines of {"id", "sql"} from stdin and answer each with a line of
    /// {"id", "ok", "text"}, or {"id", "ok", "sqlstate", "message", "position", "hint"}.
    #[arg(long, env = "HEDGEROW_PARSE_MANY")]
    many: bool,
    /// Print the tree: a node a line, with its first and last character counted from 1.
    #[arg(long, conflicts_with = "many")]
    tree: bool,
}

/// Prints canonical HogQL, or a tree.
///
/// # Errors
/// A syntax error, with its place.
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    if options.many {
        return answer_all(|text| {
            let mut answer = String::from("\"text\":");
            json::write_text(&mut answer, &canonical(text)?);
            Ok(answer)
        });
    }
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::from(Error::new(ErrorKind::InvalidText, format!("byte {at} is not UTF-8")))
    })?;
    let statement = parse_statement(&text, Dialect::Hogql)
        .map_err(|error| Failure::about(&Error::from(error), &text))?;
    match options.tree {
        true => write!(io::stdout().lock(), "{}", tree(&statement, &text))?,
        false => writeln!(io::stdout().lock(), "{statement}")?,
    }
    Ok(())
}

fn canonical(text: &str) -> Result<String, Error> {
    Ok(parse_statement(text, Dialect::Hogql)?.to_string())
}
