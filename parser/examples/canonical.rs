//! Reads queries from stdin, each ended by a zero byte, and answers each on stdout in the same
//! way: `+` and its canonical text, or `-` and what is wrong with it. It is what the oracle
//! programmes ask; a process that ends is a parser that failed.

use std::io::{self, BufRead, Write};

use hedgerow_parser::{Dialect, parse_query};

fn main() -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for record in io::stdin().lock().split(0) {
        let record = record?;
        let text = String::from_utf8_lossy(&record);
        match parse_query(&text, Dialect::Hogql) {
            Ok(query) => write!(out, "+{query}\0")?,
            Err(error) => write!(out, "-{}: {error}\0", error.span.position(&text))?,
        }
        out.flush()?;
    }
    Ok(())
}
