//! Reads one statement a line and prints its canonical text, or what is wrong with it.
//! With `-e` the lines are expressions, with `-p` they are PostgreSQL's text. Used to compare with other parsers of the language.

use std::io::{BufRead, Write};

use hedgerow_parser::{Dialect, parse_expr, parse_query};

fn main() -> std::io::Result<()> {
    let has = |flag: &str| std::env::args().any(|argument| argument == flag);
    let exprs = has("-e");
    let dialect = if has("-p") { Dialect::Postgres } else { Dialect::Hogql };
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let result = if exprs {
            parse_expr(&line, dialect).map(|expr| expr.to_string())
        } else {
            parse_query(&line, dialect).map(|query| query.to_string())
        };
        match result {
            Ok(text) => writeln!(out, "OK {text}")?,
            Err(error) => writeln!(out, "ERR {error} {:?}", error.span.range())?,
        }
    }
    Ok(())
}
