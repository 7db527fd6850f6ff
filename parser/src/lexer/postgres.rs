//! What PostgreSQL writes differently below the grammar: operators, comments and `$tag$` strings.

use super::{Lexer, is_name_byte};
use crate::Result;
use crate::error::SyntaxError;
use crate::token::{Operator, TokenKind};

/// Operators that HogQL has no other reading for, so that both dialects take them.
pub(super) const SHARED_SYMBOLS: &[(&str, TokenKind)] = &[
    ("->>", TokenKind::Operator(Operator::JsonText)),
    ("@>", TokenKind::Operator(Operator::Contains)),
    ("<@", TokenKind::Operator(Operator::ContainedBy)),
];

/// Operators of PostgreSQL's text alone: in HogQL their characters begin a comment, a tag or a
/// ternary, or are mistakes that are worth a hint. Longest first.
pub(super) const SYMBOLS: &[(&str, TokenKind)] = &[
    ("!~~*", TokenKind::Operator(Operator::NotILike)),
    ("!~~", TokenKind::Operator(Operator::NotLike)),
    ("~~*", TokenKind::Operator(Operator::ILike)),
    ("~~", TokenKind::Operator(Operator::Like)),
    ("||/", TokenKind::Operator(Operator::CubeRoot)),
    ("|/", TokenKind::Operator(Operator::SquareRoot)),
    ("#>>", TokenKind::Operator(Operator::JsonPathText)),
    ("#>", TokenKind::Operator(Operator::JsonPath)),
    ("#-", TokenKind::Operator(Operator::DeletePath)),
    ("?|", TokenKind::Operator(Operator::HasAnyKey)),
    ("?&", TokenKind::Operator(Operator::HasAllKeys)),
    ("&&", TokenKind::Operator(Operator::Overlaps)),
    ("<<", TokenKind::Operator(Operator::ShiftLeft)),
    (">>", TokenKind::Operator(Operator::ShiftRight)),
    ("^@", TokenKind::Operator(Operator::StartsWith)),
    ("=>", TokenKind::Assign),
    ("^", TokenKind::Operator(Operator::Power)),
    ("&", TokenKind::Operator(Operator::BitAnd)),
    ("@", TokenKind::Operator(Operator::Absolute)),
];

/// `|`, which is no beginning of `||`.
pub(super) const BIT_OR: TokenKind = TokenKind::Operator(Operator::BitOr);

impl Lexer<'_> {
    /// `$$text$$`, `$tag$text$tag$`, if one begins here.
    pub(super) fn dollar_string(&mut self) -> Result<bool> {
        let start = self.at;
        let rest = &self.text[start + 1..];
        let length = rest.bytes().take_while(|b| is_name_byte(*b) && *b != b'$').count();
        let is_tag = !rest.starts_with(|c: char| c.is_ascii_digit());
        if !is_tag || rest.as_bytes().get(length) != Some(&b'$') {
            return Ok(false);
        }
        let tag = &self.text[start..start + length + 2];
        let Some(end) = self.text[start + tag.len()..].find(tag) else {
            return Err(SyntaxError::new("unclosed string", self.span(start, start + tag.len()))
                .expected(format!("a closing {tag}")));
        };
        self.at = start + tag.len() + end + tag.len();
        self.push(TokenKind::String, start);
        Ok(true)
    }

    /// The length of a comment that begins here; comments nest.
    pub(super) fn nested_comment(&self) -> Option<usize> {
        let bytes = &self.bytes[self.at..];
        let (mut at, mut depth) = (2, 1_usize);
        while depth > 0 {
            match (bytes.get(at)?, bytes.get(at + 1)) {
                (b'*', Some(b'/')) => {
                    depth -= 1;
                    at += 2;
                }
                (b'/', Some(b'*')) => {
                    depth += 1;
                    at += 2;
                }
                _ => at += 1,
            }
        }
        Some(at)
    }
}
