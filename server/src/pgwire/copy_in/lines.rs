//! Bytes of a COPY as they come → rows of cells, by the rules of PostgreSQL's COPY.

use super::super::error::PgError;
use super::options::{Form, Options};

/// A longer row is no row, but a quote that was left open.
const ROW_BYTES_MAX: usize = 64 << 20;

/// Cuts what comes into rows.
#[derive(Debug)]
pub(super) struct Lines {
    options: Options,
    buffer: Vec<u8>,
    /// Where in the buffer the next row begins.
    start: usize,
    /// How far it was looked at.
    seen: usize,
    /// Inside of quotes there.
    quoted: bool,
    /// The line on which the next row begins, counted from 1.
    line: u64,
    /// Line ends inside of it so far.
    inner_lines: u64,
    /// Whether lines end with a carriage return too; the first of them decides.
    with_return: Option<bool>,
    /// At `\.`, behind which nothing counts.
    ended: bool,
}

/// A row as it is written, without its line end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub text: &'a [u8],
    pub number: u64,
}

impl Lines {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            buffer: Vec::new(),
            start: 0,
            seen: 0,
            quoted: false,
            line: 1,
            inner_lines: 0,
            with_return: None,
            ended: false,
        }
    }

    /// The line on which the next row begins.
    pub(super) fn number(&self) -> u64 {
        self.line
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if self.ended {
            return;
        }
        self.buffer.drain(..self.start);
        self.seen -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole row; none when more bytes are needed, or at the end. What is left at the end
    /// of all bytes is a row too.
    ///
    /// # Errors
    /// 22P04 for line ends that differ or a quote that is left open, 54000 for a row that does not
    /// end.
    pub(super) fn next(&mut self, at_end: bool) -> Result<Option<Line<'_>>, PgError> {
        if self.ended {
            return Ok(None);
        }
        let end = match self.options.form {
            Form::Text => self.text_end()?,
            Form::Csv { quote, escape } => self.csv_end(quote, escape)?,
        };
        let (text, next) = match end {
            Some(end) => {
                let text = self.start..end - usize::from(self.with_return == Some(true));
                (text, end + 1)
            }
            None if at_end && self.quoted => return Err(bad("unterminated CSV quoted field")),
            None if at_end && self.buffer.get(self.seen) == Some(&b'\r') => {
                return Err(self.stray("carriage return", "\\r"));
            }
            None if at_end && self.start < self.buffer.len() => {
                (self.start..self.buffer.len(), self.buffer.len())
            }
            None if self.buffer.len() - self.start > ROW_BYTES_MAX => {
                let message = format!("a row is longer than {} MiB", ROW_BYTES_MAX >> 20);
                return Err(PgError::error("54000", message).hint("Is a quote left open?"));
            }
            None => return Ok(None),
        };
        let number = self.line;
        self.line += 1 + std::mem::take(&mut self.inner_lines);
        (self.start, self.seen) = (next, next);
        let text = &self.buffer[text];
        if text == b"\\." {
            self.ended = true;
            return Ok(None);
        }
        Ok(Some(Line { text, number }))
    }

    /// Where the line ends: the place of its newline.
    fn text_end(&mut self) -> Result<Option<usize>, PgError> {
        while let Some(byte) = self.buffer.get(self.seen) {
            match byte {
                b'\\' => {
                    let Some(next) = self.buffer.get(self.seen + 1) else { return Ok(None) };
                    // The second one of two may be a line end: it stands for itself.
                    self.inner_lines += u64::from(*next == b'\n');
                    self.seen += 2;
                }
                b'\n' | b'\r' => return self.line_end(),
                _ => self.seen += 1,
            }
        }
        Ok(None)
    }

    /// The same, where line ends in quotes are data.
    fn csv_end(&mut self, quote: u8, escape: u8) -> Result<Option<usize>, PgError> {
        while let Some(byte) = self.buffer.get(self.seen).copied() {
            match byte {
                // Where the escape is the quote itself, two of them open and close again.
                _ if self.quoted && byte == escape && escape != quote => {
                    let Some(next) = self.buffer.get(self.seen + 1) else { return Ok(None) };
                    if *next == quote || *next == escape {
                        self.seen += 1;
                    }
                }
                _ if byte == quote => self.quoted = !self.quoted,
                b'\n' if self.quoted => self.inner_lines += 1,
                b'\n' | b'\r' if !self.quoted => return self.line_end(),
                _ => {}
            }
            self.seen += 1;
        }
        Ok(None)
    }

    /// The newline of the line end that was reached; none when that is not there yet. All lines
    /// must end alike.
    fn line_end(&mut self) -> Result<Option<usize>, PgError> {
        let with_return = self.buffer[self.seen] == b'\r';
        if with_return {
            match self.buffer.get(self.seen + 1) {
                Some(b'\n') if self.with_return != Some(false) => self.seen += 1,
                None => return Ok(None),
                Some(_) => return Err(self.stray("carriage return", "\\r")),
            }
        }
        if *self.with_return.get_or_insert(with_return) != with_return {
            return Err(self.stray("newline", "\\n"));
        }
        Ok(Some(self.seen))
    }

    /// The error for a character that ends other lines, or none.
    fn stray(&self, what: &str, escaped: &str) -> PgError {
        match self.options.form {
            Form::Text => bad(format!("literal {what} found in data"))
                .hint(format!("Use \"{escaped}\" to represent {what}.")),
            Form::Csv { .. } => bad(format!("unquoted {what} found in data"))
                .hint(format!("Use quoted CSV field to represent {what}.")),
        }
    }
}

/// Data that cannot be read.
pub(super) fn bad(message: impl Into<String>) -> PgError {
    PgError::error("22P04", message)
}

#[cfg(test)]
mod tests {
    use super::super::cells::cells;
    use super::*;
    use hedgerow_parser::ast::{CopyFrom, StatementKind};
    use hedgerow_parser::{Dialect, parse_statement};

    fn options(text: &str) -> Result<Options, PgError> {
        let text = format!("copy t from stdin {text}");
        let statement = parse_statement(&text, Dialect::Postgres).unwrap();
        let StatementKind::CopyFrom(copy) = statement.kind else { panic!("{text}") };
        let copy: CopyFrom = copy;
        Options::new(&copy)
    }

    /// The rows of a text, each with its line and its cells; NULL as ∅. The bytes come in pieces of
    /// every size, which makes no difference.
    fn rows(with: &str, data: &str) -> Result<Vec<String>, (String, u64)> {
        let options = options(with).unwrap();
        let mut results = (1..=data.len().max(1)).map(|size| {
            let mut lines = Lines::new(options.clone());
            let mut rows = Vec::new();
            let pieces = data.as_bytes().chunks(size).map(Some).chain([None]);
            for piece in pieces {
                lines.feed(piece.unwrap_or_default());
                loop {
                    let number = lines.number();
                    let failed = |error: PgError| (error.message, number);
                    let Some(line) = lines.next(piece.is_none()).map_err(failed)? else { break };
                    let cells = cells(&options, line.text).map_err(failed)?;
                    let cells = cells.into_iter().map(|cell| cell.unwrap_or("∅".to_owned()));
                    let cells = cells.collect::<Vec<_>>().join("|");
                    rows.push(format!("{}:{cells}", line.number));
                }
            }
            Ok(rows)
        });
        let first = results.next().unwrap();
        for other in results {
            assert_eq!(first, other, "{data:?}");
        }
        first
    }

    fn check(with: &str, data: &str, expected: &[&str]) {
        let expected: Vec<_> = expected.iter().map(|row| (*row).to_owned()).collect();
        assert_eq!(rows(with, data), Ok(expected), "{with} {data:?}");
    }

    // What PostgreSQL 15 answered when it was given the same, for a table of texts.
    #[test]
    fn text() {
        check("", "a\tb\nc\t\\N\n", &["1:a|b", "2:c|∅"]);
        check("", "a\\tb\\\\c\\nd\\x41\\101\\q\t\n", &["1:a\tb\\c\ndAAq|"]);
        check("", "a\\\nb\tc\nd\te", &["1:a\nb|c", "3:d|e"]);
        check("", "a\r\nb\r\n", &["1:a", "2:b"]);
        check("", "a\n\\.\nb\n", &["1:a"]);
        check("", "a\\", &["1:a"]);
        check("", "\n", &["1:"]);
        check("", "", &[]);
        check("delimiter '|' null 'x'", "a|x|\\x\n", &["1:a|∅|x"]);
        let failing = |data, message: &str, line| {
            assert_eq!(rows("", data), Err((message.to_owned(), line)), "{data:?}");
        };
        failing("a\nb\rc\n", "literal carriage return found in data", 2);
        failing("a\nb\r\n", "literal carriage return found in data", 2);
        failing("a\r\nb\n", "literal newline found in data", 2);
        // PostgreSQL takes this for the end, and drops the rest without a word.
        failing("a\\.\nb\n", "end-of-copy marker corrupt", 1);
    }

    #[test]
    fn csv() {
        check("csv", "a,b\n\"c, \"\"d\"\"\",\n", &["1:a|b", "2:c, \"d\"|∅"]);
        check("csv", "\"a\nb\",\"\"\nc,d", &["1:a\nb|", "3:c|d"]);
        check("csv", "x\"a,b\"y\n", &["1:xa,by"]);
        check("csv", "a\r\n\"b\r\nc\"\r\n", &["1:a", "2:b\r\nc"]);
        check("csv", "\\N,\\.\n\\.\nx\n", &["1:\\N|\\."]);
        check("csv quote '''' escape '\\'", "'a\\'\\\\b',c\n", &["1:a'\\b|c"]);
        check("csv delimiter ';' null '-'", "-;\"-\";\n", &["1:∅|-|"]);
        for (data, message, line) in [
            ("a\n\"b\n", "unterminated CSV quoted field", 2),
            ("a\nb\rc\n", "unquoted carriage return found in data", 2),
            ("a\r\nb\n", "unquoted newline found in data", 2),
            ("a\r\nb\r", "unquoted carriage return found in data", 2),
        ] {
            assert_eq!(rows("csv", data), Err((message.to_owned(), line)), "{data:?}");
        }
    }

    #[test]
    fn options_that_do_not_fit() {
        for (with, code) in [
            ("delimiter 'ab'", "0A000"),
            ("delimiter 'é'", "0A000"),
            ("delimiter 'n'", "22023"),
            ("(format csv, delimiter '\"')", "22023"),
            ("(format csv, null '\"')", "0A000"),
            ("null 'a\tb'", "0A000"),
            ("(quote '\"')", "0A000"),
            ("(escape '\"')", "0A000"),
            ("(format parquet)", "0A000"),
        ] {
            assert_eq!(options(with).map_err(|error| error.code), Err(code), "{with}");
        }
    }
}
