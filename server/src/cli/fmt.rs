//! `hedgerow fmt`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use hedgerow_engine::Error;
use hedgerow_parser::{Dialect, format};

use super::check::read;
use super::failure::Failure;

/// Options of `hedgerow fmt`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Change nothing: name the files that are not formatted, and fail if there are any.
    #[arg(long)]
    check: bool,
    /// Files to format in place; - or none formats stdin to stdout.
    files: Vec<PathBuf>,
}

/// Formats every file.
///
/// # Errors
/// When a file cannot be read, parsed or written; with `--check`, when one is not formatted.
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let stdin = [PathBuf::from("-")];
    let files = if options.files.is_empty() { &stdin } else { options.files.as_slice() };
    let (mut broken, mut changed) = (0, 0);
    for file in files {
        let (name, text) = read(file)?;
        let formatted = match format(&text, Dialect::Hogql) {
            Ok(formatted) => formatted,
            Err(error) => {
                let error = Failure::about(&Error::from(error), &text).in_file(&name);
                // One broken file keeps no other from being formatted.
                error.report();
                broken += 1;
                continue;
            }
        };
        if options.check {
            if formatted != text {
                writeln!(io::stdout(), "{name}")?;
                changed += 1;
            }
        } else if file.as_os_str() == "-" {
            io::stdout().lock().write_all(formatted.as_bytes())?;
        } else if formatted != text {
            replace(file, &formatted)
                .map_err(|error| Failure::new(format!("cannot write {name}: {error}")))?;
        }
    }
    match (broken, changed) {
        (0, 0) => Ok(()),
        (0, 1) => Err(Failure::new("1 file is not formatted")),
        (0, count) => Err(Failure::new(format!("{count} files are not formatted"))),
        (1, _) => Err(Failure::new("1 file cannot be formatted")),
        (count, _) => Err(Failure::new(format!("{count} files cannot be formatted"))),
    }
}

/// Puts a file in the place of another, so that it is never half written.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    // A link stays a link.
    let file = file.canonicalize()?;
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let new = file.with_file_name(name);
    std::fs::write(&new, text)?;
    std::fs::set_permissions(&new, std::fs::metadata(&file)?.permissions())?;
    std::fs::rename(&new, &file)
}
