//! Strings and quoted identifiers: where they end, and what they say.

use crate::error::SyntaxError;
use crate::span::Span;
use crate::{Dialect, Result};

/// The ways a quoted text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StringKind {
    /// `'…'` with backslash escapes.
    Hogql,
    /// `'…'` where a backslash is an ordinary character.
    Standard,
    /// `E'…'`: standard, with C escapes.
    Escape,
    /// `` `…` ``.
    Backticks,
    /// `"…"`.
    DoubleQuotes,
    /// The literal part of `f'…'`, without quotes around it.
    Template,
    /// `"…"` where a backslash is an ordinary character.
    StandardIdentifier,
}

impl StringKind {
    /// How `'…'` is read in this profile.
    pub(crate) fn of(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Hogql => Self::Hogql,
            Dialect::Postgres => Self::Standard,
        }
    }

    /// How `"…"` is read in this profile.
    pub(crate) fn of_double_quotes(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Hogql => Self::DoubleQuotes,
            Dialect::Postgres => Self::StandardIdentifier,
        }
    }

    fn quote(self) -> char {
        match self {
            Self::Hogql | Self::Standard | Self::Escape | Self::Template => '\'',
            Self::Backticks => '`',
            Self::DoubleQuotes | Self::StandardIdentifier => '"',
        }
    }

    fn has_escapes(self) -> bool {
        !matches!(self, Self::Standard | Self::StandardIdentifier)
    }

    /// What it is and what its quote is called, for messages.
    pub(super) fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Hogql | Self::Standard | Self::Escape | Self::Template => {
                ("string", "single quote")
            }
            Self::Backticks => ("quoted name", "backtick"),
            Self::DoubleQuotes | Self::StandardIdentifier => ("quoted name", "double quote"),
        }
    }
}

/// The length of the quoted text that `bytes` begin with, both quotes included.
pub(super) fn length(bytes: &[u8], kind: StringKind) -> Option<usize> {
    let quote = kind.quote() as u8;
    let mut at = 1;
    loop {
        match *bytes.get(at)? {
            b'\\' if kind.has_escapes() => at += 2,
            byte if byte == quote => {
                if bytes.get(at + 1) != Some(&quote) {
                    return Some(at + 1);
                }
                at += 2;
            }
            _ => at += 1,
        }
    }
}

/// What the text between the quotes says. `at` is its first byte in the source.
pub(crate) fn unescape(body: &str, kind: StringKind, at: u32) -> Result<String> {
    let quote = kind.quote();
    let mut text = String::with_capacity(body.len());
    let mut rest = body;
    while let Some(character) = rest.chars().next() {
        let start = at + (body.len() - rest.len()) as u32;
        rest = &rest[character.len_utf8()..];
        if character == quote {
            // Only a doubled quote can stand inside.
            rest = rest.strip_prefix(quote).unwrap_or(rest);
            text.push(quote);
        } else if character == '\\' && kind.has_escapes() {
            rest = escape(rest, kind, start, &mut text)?;
        } else {
            text.push(character);
        }
    }
    Ok(text)
}

/// Reads one escape, from after its backslash; returns what follows it.
fn escape<'a>(rest: &'a str, kind: StringKind, start: u32, text: &mut String) -> Result<&'a str> {
    let Some(letter) = rest.chars().next() else {
        return Err(bad_escape(None, kind, start));
    };
    let after = &rest[letter.len_utf8()..];
    let plain = match letter {
        '\\' => '\\',
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'b' => '\u{8}',
        'f' => '\u{C}',
        'a' => '\u{7}',
        'v' => '\u{B}',
        // HogQL drops the zero byte.
        '0' => return Ok(after),
        '\'' if kind.quote() == '\'' => '\'',
        '"' if kind.quote() == '"' => '"',
        '{' if kind == StringKind::Template => '{',
        // The remaining forms pass the lexer of the reference but are not resolved by it.
        '\'' if kind == StringKind::Backticks => {
            text.push_str("\\'");
            return Ok(after);
        }
        'N' | 'T' | 'R' | 'B' | 'F' | 'A' | 'V' => {
            text.push('\\');
            letter
        }
        'x' | 'X'
            if after.len() >= 2 && after.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit) =>
        {
            text.push('\\');
            letter
        }
        _ => return Err(bad_escape(Some(letter), kind, start)),
    };
    text.push(plain);
    Ok(after)
}

fn bad_escape(letter: Option<char>, kind: StringKind, start: u32) -> SyntaxError {
    let (what, _) = kind.names();
    let shown = letter.map(String::from).unwrap_or_default();
    let length = 1 + letter.map_or(0, char::len_utf8);
    SyntaxError::new(
        format!("unknown escape `\\{shown}` in a {what}"),
        Span::new(start, start + length as u32),
    )
    .hint("Write `\\\\` for a backslash.")
}
