//! The formatter: the words of a text in their order, keywords in upper case, laid out anew, with
//! every comment where it was.

mod doc;
mod layout;

use crate::grammar::{Parser, Pieces};
use crate::lexer::tokenize;
use crate::span::Span;
use crate::token::TokenKind;
use crate::{Dialect, Result};

/// Formats the statements of a text, which are separated by `;`.
///
/// The result reads as the same trees and has the same comments in the same order; formatting it
/// again changes nothing.
///
/// # Errors
/// Any text whose statements cannot be parsed, with the place in the whole text.
pub fn format(text: &str, dialect: Dialect) -> Result<String> {
    let mut formatted = String::new();
    for (statement, ended) in statements(text, dialect)? {
        let one = match format_one(&text[statement.range()], dialect) {
            Ok(one) => one,
            Err(mut error) => {
                error.span.start += statement.start;
                error.span.end += statement.start;
                return Err(error);
            }
        };
        if one.is_empty() {
            continue;
        }
        if !formatted.is_empty() {
            formatted.push_str("\n\n");
        }
        formatted.push_str(&one);
        if ended {
            // After a comment the separator would belong to it.
            let comment_last =
                one.lines().next_back().is_some_and(|line| has_comment(line, dialect));
            formatted.push_str(if comment_last { "\n;" } else { ";" });
        }
    }
    formatted.push('\n');
    Ok(formatted)
}

fn has_comment(line: &str, dialect: Dialect) -> bool {
    tokenize(line, dialect).map_or(true, |lexed| !lexed.comments.is_empty())
}

/// The statements of a text, each without its `;`, and whether it had one. Comments alone count
/// as a statement.
fn statements(text: &str, dialect: Dialect) -> Result<Vec<(Span, bool)>> {
    let mut statements = Vec::new();
    let mut start = 0;
    for token in tokenize(text, dialect)?.tokens {
        match token.kind {
            TokenKind::Semicolon => statements.push((Span::new(start, token.span.start), true)),
            TokenKind::End => statements.push((Span::new(start, text.len() as u32), false)),
            _ => continue,
        }
        start = token.span.end;
    }
    Ok(statements)
}

/// One statement, or the comments that stand in place of one.
fn format_one(text: &str, dialect: Dialect) -> Result<String> {
    let lexed = tokenize(text, dialect)?;
    if lexed.tokens.len() == 1 {
        let comments = lexed.comments.iter().map(|span| text[span.range()].trim_end());
        return Ok(comments.collect::<Vec<_>>().join("\n"));
    }
    let pieces = Parser::new(text, dialect)?.pieces()?;
    let laid_out = layout::lay_out(text, &pieces);
    // A layout that reads differently would be a mistake here; the author's is right then.
    Ok(if says_the_same(text, &pieces, &laid_out, dialect) { laid_out } else { text.trim().into() })
}

fn says_the_same(text: &str, pieces: &Pieces, laid_out: &str, dialect: Dialect) -> bool {
    let Ok(again) = Parser::new(laid_out, dialect).and_then(Parser::pieces) else { return false };
    let comments = |text: &str, spans: &[Span]| -> Vec<String> {
        spans.iter().map(|span| text[span.range()].trim_end().to_owned()).collect()
    };
    again.statement == pieces.statement
        && comments(laid_out, &again.comments) == comments(text, &pieces.comments)
}
