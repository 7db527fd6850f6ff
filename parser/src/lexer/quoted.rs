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

/// What the body of `E'…'` says: C's escapes, and any other character for itself.
pub(crate) fn escape_string(body: &str, at: u32) -> Result<String> {
    let mut bytes: Vec<u8> = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(character) = rest.chars().next() {
        let start = at + (body.len() - rest.len()) as u32;
        rest = &rest[character.len_utf8()..];
        match character {
            '\'' => {
                rest = rest.strip_prefix('\'').unwrap_or(rest);
                bytes.push(b'\'');
            }
            '\\' => {
                let (value, after) = c_escape(rest, start)?;
                match value {
                    Escaped::Byte(byte) => bytes.push(byte),
                    Escaped::Char(character) => {
                        bytes.extend(character.encode_utf8(&mut [0; 4]).bytes());
                    }
                }
                rest = after;
            }
            _ => bytes.extend(character.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    let span = Span::new(at, at + body.len() as u32);
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains('\0'))
        .ok_or_else(|| SyntaxError::new("the escapes of this string are no UTF-8 text", span))
}

enum Escaped {
    Byte(u8),
    Char(char),
}

/// One escape of `E'…'`, from after its backslash, and what follows it.
fn c_escape(rest: &str, start: u32) -> Result<(Escaped, &str)> {
    let Some(letter) = rest.chars().next() else {
        return Err(bad_escape(None, StringKind::Escape, start));
    };
    let after = &rest[letter.len_utf8()..];
    let digits = |text: &str, radix, max: usize| {
        text.chars().take(max).take_while(|character| character.is_digit(radix)).count()
    };
    let byte = |byte| Ok((Escaped::Byte(byte), after));
    match letter {
        'b' => byte(8),
        'f' => byte(12),
        'n' => byte(b'\n'),
        'r' => byte(b'\r'),
        't' => byte(b'\t'),
        '0'..='7' => {
            let length = digits(rest, 8, 3);
            let value = u32::from_str_radix(&rest[..length], 8).unwrap_or(0);
            Ok((Escaped::Byte(value as u8), &rest[length..]))
        }
        'x' if digits(after, 16, 2) > 0 => {
            let length = digits(after, 16, 2);
            let value = u8::from_str_radix(&after[..length], 16).unwrap_or(0);
            Ok((Escaped::Byte(value), &after[length..]))
        }
        'u' | 'U' => {
            let length = if letter == 'u' { 4 } else { 8 };
            code_point(after, length)
                .map(|(character, after)| (Escaped::Char(character), after))
                .ok_or_else(|| bad_escape(Some(letter), StringKind::Escape, start))
        }
        other => Ok((Escaped::Char(other), after)),
    }
}

/// The character of so many hexadecimal digits, a pair of surrogates for one of them included.
fn code_point(text: &str, length: usize) -> Option<(char, &str)> {
    let hex = |text: &str| -> Option<u32> {
        let digits = text.get(..length)?;
        let all = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        all.then(|| u32::from_str_radix(digits, 16).ok())?
    };
    let first = hex(text)?;
    let after = &text[length..];
    if !(0xD800..0xDC00).contains(&first) {
        return Some((char::from_u32(first)?, after));
    }
    let after = after.strip_prefix('\\')?;
    let after = if length == 4 { after.strip_prefix('u').unwrap_or(after) } else { after };
    let second = hex(after).filter(|second| (0xDC00..0xE000).contains(second))?;
    let value = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
    Some((char::from_u32(value)?, &after[length..]))
}

/// What the body of `U&'…'` or `U&"…"` says: `\\0041`, `\\+01F600` and a doubled escape.
pub(crate) fn unicode_string(body: &str, quote: char, escape: char, at: u32) -> Result<String> {
    let mut text = String::with_capacity(body.len());
    let mut rest = body;
    while let Some(character) = rest.chars().next() {
        let start = at + (body.len() - rest.len()) as u32;
        rest = &rest[character.len_utf8()..];
        if character == quote {
            rest = rest.strip_prefix(quote).unwrap_or(rest);
        }
        if character != escape {
            text.push(character);
            continue;
        }
        if let Some(after) = rest.strip_prefix(escape) {
            text.push(escape);
            rest = after;
            continue;
        }
        let found = match rest.strip_prefix('+') {
            Some(long) => code_point(long, 6),
            None => code_point(rest, 4),
        };
        let Some((value, after)) = found.filter(|(value, _)| *value != '\0') else {
            let span = Span::new(start, start + escape.len_utf8() as u32);
            return Err(SyntaxError::new("malformed Unicode escape", span)
                .expected("four hexadecimal digits, or `+` and six"));
        };
        text.push(value);
        rest = after;
    }
    Ok(text)
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
