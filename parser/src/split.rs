//! A text may hold several statements: this cuts it at its semicolons, without parsing them, since
//! one statement can change how the next is read, and some are not HogQL's.

use crate::Dialect;
use crate::lexer::tokenize;
use crate::token::TokenKind;

/// A statement, and where it starts in the whole text in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The statement with the blanks and comments around it, without its semicolon.
    pub text: &'a str,
    /// Where `text` starts in the whole text, in bytes.
    pub start: usize,
}

/// The statements of a text; those of nothing but blanks and comments are left out. Semicolons
/// in quotes, comments and `$tag$ … $tag$` do not count.
///
/// Never fails: a text that the lexer refuses is cut by its quotes and comments alone.
pub fn split(text: &str, dialect: Dialect) -> Vec<Piece<'_>> {
    match tokenize(text, dialect) {
        Ok(lexed) => {
            let mut pieces = Vec::new();
            let (mut start, mut empty) = (0, true);
            for token in lexed.tokens {
                if !matches!(token.kind, TokenKind::Semicolon | TokenKind::End) {
                    empty = false;
                    continue;
                }
                let end = match token.kind {
                    TokenKind::End => text.len(),
                    _ => token.span.start as usize,
                };
                if !std::mem::replace(&mut empty, true) {
                    pieces.push(Piece { text: &text[start..end], start });
                }
                start = token.span.end as usize;
            }
            pieces
        }
        Err(_) => split_by_quotes(text, dialect),
    }
}

fn split_by_quotes(text: &str, dialect: Dialect) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = Scanner { text, at: 0, dialect };
    let (mut start, mut empty) = (0, true);
    loop {
        let token = rest.next();
        match token {
            Token::Blank => {}
            Token::Other => empty = false,
            Token::Semicolon | Token::End => {
                let end = if token == Token::End { rest.at } else { rest.at - 1 };
                if !empty {
                    pieces.push(Piece { text: &text[start..end], start });
                }
                if token == Token::End {
                    return pieces;
                }
                (start, empty) = (rest.at, true);
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    Blank,
    Semicolon,
    Other,
    End,
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    dialect: Dialect,
}

impl Scanner<'_> {
    fn next(&mut self) -> Token {
        let bytes = self.text.as_bytes();
        let Some(first) = bytes.get(self.at) else { return Token::End };
        let before = self.at.checked_sub(1).map(|at| bytes[at]);
        let in_word = before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        self.at += 1;
        match (*first, bytes.get(self.at)) {
            (b';', _) => Token::Semicolon,
            (b'-', Some(b'-')) => {
                self.skip_to("\n");
                Token::Blank
            }
            (b'/', Some(b'/')) if self.dialect == Dialect::Hogql => {
                self.skip_to("\n");
                Token::Blank
            }
            (b'#', next)
                if self.dialect == Dialect::Hogql && !next.is_some_and(u8::is_ascii_digit) =>
            {
                self.skip_to("\n");
                Token::Blank
            }
            (b'/', Some(b'*')) => {
                self.at += 1;
                match self.dialect {
                    Dialect::Hogql => self.skip_to("*/"),
                    Dialect::Postgres => self.skip_nested_comment(),
                }
                Token::Blank
            }
            (b'\'', _) => {
                let prefixed = matches!(before, Some(b'e' | b'E'))
                    && !bytes[..self.at - 2].last().is_some_and(u8::is_ascii_alphanumeric);
                self.skip_quoted(b'\'', prefixed || self.dialect == Dialect::Hogql);
                Token::Other
            }
            (quote @ (b'"' | b'`'), _) => {
                self.skip_quoted(quote, self.dialect == Dialect::Hogql);
                Token::Other
            }
            (b'$', _) if !in_word && self.dialect == Dialect::Postgres => {
                self.skip_dollar_quoted();
                Token::Other
            }
            (byte, _) if byte.is_ascii_whitespace() => Token::Blank,
            _ => Token::Other,
        }
    }

    /// To behind the next `end`, or to the end of the text.
    fn skip_to(&mut self, end: &str) {
        self.at = match self.text.get(self.at..).and_then(|rest| rest.find(end)) {
            Some(found) => self.at + found + end.len(),
            None => self.text.len(),
        };
    }

    /// From behind the `/*` of a comment to behind the `*/` that closes it; comments nest.
    fn skip_nested_comment(&mut self) {
        let bytes = self.text.as_bytes();
        let mut depth = 1_usize;
        while depth > 0 && self.at < bytes.len() {
            match (bytes[self.at], bytes.get(self.at + 1)) {
                (b'*', Some(b'/')) => {
                    depth -= 1;
                    self.at += 1;
                }
                (b'/', Some(b'*')) => {
                    depth += 1;
                    self.at += 1;
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    /// To behind the closing quote; a doubled quote stands for itself.
    fn skip_quoted(&mut self, quote: u8, backslash: bool) {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            self.at += 1;
            if *byte == b'\\' && backslash {
                self.at = (self.at + 1).min(bytes.len());
            } else if *byte == quote {
                if bytes.get(self.at) != Some(&quote) {
                    return;
                }
                self.at += 1;
            }
        }
    }

    /// From behind a `$`: skips `tag$ … $tag$`; a parameter such as `$1` is left alone.
    fn skip_dollar_quoted(&mut self) {
        let rest = &self.text[self.at..];
        let Some(end) = rest.find('$') else { return };
        let tag = &rest[..end];
        let word = tag.chars().all(|c| c.is_alphanumeric() || c == '_');
        if !word || tag.starts_with(|c: char| c.is_ascii_digit()) {
            return;
        }
        self.at += end + 1;
        self.skip_to(&format!("${tag}$"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let pieces = split(text, Dialect::Postgres);
        let texts: Vec<_> = pieces.iter().map(|piece| piece.text.trim()).collect();
        assert_eq!(texts, expected, "{text}");
    }

    #[test]
    fn semicolons_that_count() {
        check("", &[]);
        check(" ; -- nothing at; \n; /* all; /* or; */ more; */;", &[]);
        check("select 5 # 3; 2", &["select 5 # 3", "2"]);
        check("select 1", &["select 1"]);
        check("select 1; select 2;", &["select 1", "select 2"]);
        check("select ';'; select \";\"", &["select ';'", "select \";\""]);
        check("select 'it''s;'; 2", &["select 'it''s;'", "2"]);
        check(r"select 'a\'; 2", &[r"select 'a\'", "2"]);
        check(r"select E'a\';'; 2", &[r"select E'a\';'", "2"]);
        check("select $$;$$, $a$ $$; $a$; $1; 2", &["select $$;$$, $a$ $$; $a$", "$1", "2"]);
        check("select 1 -- ;\n; 2", &["select 1 -- ;", "2"]);
        check("select 'never closed; 2", &["select 'never closed; 2"]);
        check("é; ü", &["é", "ü"]);
    }

    #[test]
    fn hogql_strings_have_backslashes() {
        for text in [r"select 'a\'; '; 2", "select f'{a ? ';' : 'b'}'; 2"] {
            assert_eq!(split(text, Dialect::Hogql).len(), 2, "{text}");
        }
    }

    #[test]
    fn pieces_know_their_place() {
        assert_eq!(split("é;x", Dialect::Postgres)[1], Piece { text: "x", start: 3 });
    }
}
