//! What must hold for every text, and a driver that tries texts without libFuzzer.

#[cfg(feature = "engine")]
pub mod lowering;
pub mod texts;

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use hedgerow_parser::{Dialect, Span, format, parse_statement, parse_statements, split};

/// What is wrong with the answer to a text.
pub type Broken = String;

const DIALECTS: [Dialect; 2] = [Dialect::Hogql, Dialect::Postgres];

/// The parser: the tree of a text prints, and the print reads as the same tree.
///
/// # Errors
/// What does not hold.
pub fn parser(text: &str) -> Result<(), Broken> {
    for dialect in DIALECTS {
        for piece in split(text, dialect) {
            if text.get(piece.start..piece.start + piece.text.len()) != Some(piece.text) {
                return Err(format!("{dialect:?}: a piece is not of the text: {piece:?}"));
            }
        }
        let tree = match parse_statement(text, dialect) {
            Ok(tree) => tree,
            Err(error) => {
                in_text(text, error.span, &error)?;
                continue;
            }
        };
        let printed = tree.to_string();
        let again = parse_statement(&printed, Dialect::Hogql)
            .map_err(|error| format!("{dialect:?}: {error} in the print {printed}"))?;
        if again != tree {
            return Err(format!("{dialect:?}: another tree from the print {printed}"));
        }
        if again.to_string() != printed {
            return Err(format!("{dialect:?}: the print changes: {printed} / {again}"));
        }
    }
    Ok(())
}

/// The formatter: the same trees and comments, and nothing left to do. Its own assertion tells
/// where a layout said something else.
///
/// # Errors
/// What does not hold.
pub fn formatter(text: &str) -> Result<(), Broken> {
    for dialect in DIALECTS {
        let once = match format(text, dialect) {
            Ok(once) => once,
            Err(error) => {
                in_text(text, error.span, &error)?;
                continue;
            }
        };
        let trees = parse_statements(text, dialect);
        if trees.is_ok() && parse_statements(&once, dialect) != trees {
            return Err(format!("{dialect:?}: other trees from\n{once}"));
        }
        // Whatever holds these, a comment or a string, keeps them; but of `*/* c */` a comment may
        // have taken the first two.
        for comment in ["/* c */", "-- c"] {
            if !text.contains("*/*")
                && once.matches(comment).count() != text.matches(comment).count()
            {
                return Err(format!("{dialect:?}: {comment} more or less in\n{once}"));
            }
        }
        let twice = format(&once, dialect)
            .map_err(|error| format!("{dialect:?}: {error} in the layout\n{once}"))?;
        if twice != once {
            return Err(format!("{dialect:?}: formatted again\n{once}becomes\n{twice}"));
        }
    }
    Ok(())
}

/// Whether an error's place is in the text.
fn in_text(text: &str, span: Span, error: &dyn Display) -> Result<(), Broken> {
    match text.get(span.range()) {
        Some(_) => Ok(()),
        None => Err(format!("{error} at {span:?}, which is no place in the text")),
    }
}

// ----- the driver -----------------------------------------------------------------------------

/// Tries texts made from the oracle's corpus for `--seconds N` (default 60), from `--seed N`.
/// Findings are made small and printed; their number is the exit code's reason.
pub fn drive(law: fn(&str) -> Result<(), Broken>) -> ExitCode {
    let argument = |name: &str| {
        let mut arguments = std::env::args().skip_while(move |argument| argument != name);
        arguments.nth(1).and_then(|value| value.parse::<u64>().ok())
    };
    let seconds = argument("--seconds").unwrap_or(60);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = argument("--seed").unwrap_or(now.map_or(1, |time| time.as_secs()));
    std::panic::set_hook(Box::new(|_| {}));
    let mut source = texts::Source::new(seed);
    let (start, mut tried, mut findings) = (Instant::now(), 0_u64, Vec::new());
    while start.elapsed() < Duration::from_secs(seconds) && findings.len() < 20 {
        let text = source.next();
        tried += 1;
        let Some(first) = kind(law, &text) else { continue };
        if findings.contains(&first) {
            continue;
        }
        let small = texts::shrink(&text, |text| kind(law, text).as_ref() == Some(&first));
        let broken = broken(law, &small).unwrap_or_default();
        println!("finding {small:?}\n    {broken:.1000}");
        findings.push(first);
    }
    let seconds = start.elapsed().as_secs();
    println!("{tried} texts in {seconds} s, seed {seed}: {} findings", findings.len());
    if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What is wrong, a panic included.
fn broken(law: fn(&str) -> Result<(), Broken>, text: &str) -> Option<Broken> {
    match catch_unwind(AssertUnwindSafe(|| law(text))) {
        Ok(answer) => answer.err(),
        Err(panic) => {
            let said = panic.downcast_ref::<String>().cloned();
            let said = said.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            Some(format!("panic: {}", said.unwrap_or_default()))
        }
    }
}

/// The kind of a finding, the text's own words aside.
fn kind(law: fn(&str) -> Result<(), Broken>, text: &str) -> Option<String> {
    broken(law, text).map(|broken| {
        let words = broken.split(['`', '\n', ':']).step_by(2).collect::<String>();
        words.chars().filter(|character| !character.is_ascii_digit()).take(60).collect()
    })
}
