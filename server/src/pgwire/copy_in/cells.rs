//! The cells of one row of a COPY.

use super::super::error::PgError;
use super::super::message::utf8;
use super::lines::bad;
use super::options::{Form, Options};

/// The cells as plain text; none is NULL.
///
/// # Errors
/// 22021 for text that is not UTF-8, 22P04 for data that cannot be read.
pub(super) fn cells(options: &Options, line: &[u8]) -> Result<Vec<Option<String>>, PgError> {
    match options.form {
        Form::Text => text_cells(options, line),
        Form::Csv { quote, escape } => csv_cells(options, line, quote, escape),
    }
}

fn text_cells(options: &Options, line: &[u8]) -> Result<Vec<Option<String>>, PgError> {
    let mut cells = Vec::new();
    let mut rest = line;
    loop {
        let end = text_cell_end(rest, options.delimiter);
        let raw = &rest[..end];
        cells.push(match raw == options.null {
            true => None,
            false => Some(plain(unescape(raw)?)?),
        });
        match rest.get(end + 1..) {
            Some(more) => rest = more,
            None => return Ok(cells),
        }
    }
}

/// The place of the delimiter, or of the end.
fn text_cell_end(bytes: &[u8], delimiter: u8) -> usize {
    let mut at = 0;
    while at < bytes.len() && bytes[at] != delimiter {
        at += 1 + usize::from(bytes[at] == b'\\');
    }
    at.min(bytes.len())
}

/// PostgreSQL's escapes: letters for control characters, numbers for bytes; any other character
/// stands for itself.
fn unescape(raw: &[u8]) -> Result<Vec<u8>, PgError> {
    let mut plain = Vec::with_capacity(raw.len());
    let mut rest = raw.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            plain.push(byte);
            continue;
        }
        let Some(escaped) = rest.next() else { break };
        plain.push(match escaped {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            b'.' => return Err(bad("end-of-copy marker corrupt")),
            b'0'..=b'7' => {
                let mut value = u32::from(escaped - b'0');
                for _ in 0..2 {
                    let Some(digit) = rest.next_if(|byte| matches!(byte, b'0'..=b'7')) else {
                        break;
                    };
                    value = value * 8 + u32::from(digit - b'0');
                }
                // Three digits can say more than a byte; PostgreSQL keeps its low bits.
                (value & 0xff) as u8
            }
            b'x' => {
                let mut value = None;
                for _ in 0..2 {
                    let Some(digit) = rest.next_if(u8::is_ascii_hexdigit) else { break };
                    let digit = char::from(digit).to_digit(16).unwrap_or_default();
                    value = Some(value.unwrap_or(0) * 16 + digit);
                }
                value.map_or(b'x', |value| (value & 0xff) as u8)
            }
            other => other,
        });
    }
    Ok(plain)
}

fn csv_cells(
    options: &Options,
    line: &[u8],
    quote: u8,
    escape: u8,
) -> Result<Vec<Option<String>>, PgError> {
    let mut cells = Vec::new();
    let mut cell = Vec::new();
    let (mut quoted, mut was_quoted) = (false, false);
    let mut push = |cell: &mut Vec<u8>, was_quoted: bool| -> Result<(), PgError> {
        let cell = std::mem::take(cell);
        let is_null = !was_quoted && cell == options.null;
        cells.push(if is_null { None } else { Some(plain(cell)?) });
        Ok(())
    };
    let mut rest = line.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        match byte {
            _ if quoted && byte == escape => {
                match rest.next_if(|next| *next == quote || *next == escape) {
                    Some(next) => cell.push(next),
                    None if byte == quote => quoted = false,
                    None => cell.push(byte),
                }
            }
            _ if byte == quote => {
                quoted = !quoted;
                was_quoted = true;
            }
            _ if !quoted && byte == options.delimiter => {
                push(&mut cell, was_quoted)?;
                was_quoted = false;
            }
            _ => cell.push(byte),
        }
    }
    push(&mut cell, was_quoted)?;
    Ok(cells)
}

fn plain(bytes: Vec<u8>) -> Result<String, PgError> {
    utf8(&bytes)?;
    let text = String::from_utf8(bytes).unwrap_or_default();
    match text.contains('\0') {
        true => Err(PgError::error("22021", "invalid byte sequence for encoding \"UTF8\": 0x00")),
        false => Ok(text),
    }
}
