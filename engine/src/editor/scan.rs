//! Text that may be incomplete → tokens, as far as an editor needs to tell them apart.

use std::ops::Range;

use hedgerow_parser::Dialect;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A bare name or a keyword.
    Word,
    /// A quoted name.
    Quoted,
    /// A string.
    Text,
    Number,
    Comment,
    /// Anything else, one character at a time.
    Symbol(char),
}

/// A token with its place.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) range: Range<usize>,
    /// False when a quote or a comment has no end.
    pub(super) closed: bool,
}

/// Cuts a text into tokens, blanks left out. Never fails.
pub(super) fn scan(text: &str, dialect: Dialect) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if first.is_whitespace() || first == '\u{feff}' {
            at += first.len_utf8();
            continue;
        }
        let rest = &text[at..];
        let (kind, length, closed) = token(rest, first, dialect);
        tokens.push(Token { kind, range: at..at + length, closed });
        at += length;
    }
    tokens
}

/// The kind and length of the token at the beginning of a text, and whether it is closed.
fn token(rest: &str, first: char, dialect: Dialect) -> (Kind, usize, bool) {
    let while_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
    match first {
        'a'..='z' | 'A'..='Z' | '_' | '$' => (Kind::Word, prefix(rest, while_name), true),
        '0'..='9' => (Kind::Number, prefix(rest, |c| while_name(c) || c == '.'), true),
        '\'' => quoted(rest, Kind::Text, '\'', dialect == Dialect::Hogql),
        '"' | '`' => quoted(rest, Kind::Quoted, first, dialect == Dialect::Hogql),
        '-' if rest.starts_with("--") => line_comment(rest),
        '/' if rest.starts_with("//") && dialect == Dialect::Hogql => line_comment(rest),
        '/' if rest.starts_with("/*") => match rest[2..].find("*/") {
            Some(end) => (Kind::Comment, end + 4, true),
            None => (Kind::Comment, rest.len(), false),
        },
        '#' if dialect == Dialect::Hogql
            && !rest[1..].starts_with(|c: char| c.is_ascii_digit()) =>
        {
            line_comment(rest)
        }
        other => (Kind::Symbol(other), other.len_utf8(), true),
    }
}

fn prefix(rest: &str, belongs: impl Fn(char) -> bool) -> usize {
    rest.find(|c| !belongs(c)).unwrap_or(rest.len())
}

/// Runs to the end of the line, where one can still write.
fn line_comment(rest: &str) -> (Kind, usize, bool) {
    (Kind::Comment, rest.find('\n').unwrap_or(rest.len()), false)
}

fn quoted(rest: &str, kind: Kind, quote: char, escapes: bool) -> (Kind, usize, bool) {
    let mut characters = rest.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        if character == '\\' && escapes {
            characters.next();
        } else if character == quote && characters.next_if(|(_, next)| *next == quote).is_none() {
            return (kind, at + quote.len_utf8(), true);
        }
    }
    (kind, rest.len(), false)
}
