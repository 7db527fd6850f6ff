//! The formatter: the words of a text in their order, keywords in upper case, laid out anew, with
//! every comment where it was.

mod doc;
mod layout;
mod words;

use crate::grammar::{Parser, Pieces};
use crate::lexer::{Lexed, tokenize};
use crate::span::Span;
use crate::token::{Token, TokenKind};
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
    for span in statements(text, dialect)? {
        let one = format_one(&text[span.range()], dialect).map_err(|mut error| {
            error.span.start += span.start;
            error.span.end += span.start;
            error
        })?;
        if !one.is_empty() {
            formatted.push_str(if formatted.is_empty() { "" } else { "\n" });
            formatted.push_str(&one);
            formatted.push('\n');
        }
    }
    Ok(formatted)
}

/// The statements of a text, each with its `;` and the comments behind that on the same line.
/// Comments alone count as a statement.
fn statements(text: &str, dialect: Dialect) -> Result<Vec<Span>> {
    let Lexed { tokens, comments } = tokenize(text, dialect)?;
    let mut comments = comments.into_iter().peekable();
    let mut statements = Vec::new();
    let mut start = 0;
    for (at, token) in tokens.iter().enumerate() {
        let mut end = token.span.end;
        match token.kind {
            TokenKind::Semicolon => {}
            TokenKind::End => end = text.len() as u32,
            _ => continue,
        }
        let next = tokens.get(at + 1).map_or(end, |token| token.span.start);
        let mut line_end = end;
        while let Some(comment) = comments.next_if(|comment| comment.start < next) {
            let is_behind = line_end <= comment.start
                && !text[line_end as usize..comment.start as usize].contains('\n');
            if is_behind {
                line_end = comment.end;
            }
        }
        // A comment before the next statement on the same line belongs to that one.
        let ends_line = text[line_end as usize..next.max(line_end) as usize].contains('\n')
            || tokens.get(at + 1).is_none_or(|token| token.kind == TokenKind::End);
        let is_empty = at == 0 || tokens[at - 1].kind == TokenKind::Semicolon;
        if ends_line && !is_empty {
            end = line_end;
        }
        statements.push(Span::new(start, end));
        start = end;
    }
    Ok(statements)
}

/// One statement, or the comments that stand in place of one.
fn format_one(text: &str, dialect: Dialect) -> Result<String> {
    let lexed = tokenize(text, dialect)?;
    let is_empty = |token: &Token| matches!(token.kind, TokenKind::Semicolon | TokenKind::End);
    if lexed.tokens.iter().all(is_empty) {
        let mut alone = String::new();
        let mut end = 0;
        for span in lexed.comments {
            let lines = text[end..span.start as usize].matches('\n').count();
            alone.push_str(if alone.is_empty() {
                ""
            } else if lines > 1 {
                "\n\n"
            } else {
                "\n"
            });
            alone.push_str(text[span.range()].trim_end());
            end = span.end as usize;
        }
        return Ok(alone);
    }
    let pieces = Parser::new(text, dialect)?.pieces()?;
    let laid_out = layout::lay_out(text, &pieces);
    // A layout that reads differently would be a mistake here; the author's is right then.
    let is_right = says_the_same(text, &pieces, &laid_out, dialect);
    debug_assert!(is_right, "{text}\nis laid out as\n{laid_out}");
    Ok(if is_right { laid_out } else { text.trim().into() })
}

/// Whether the text laid out anew has the same tree and the same comments.
fn says_the_same(text: &str, pieces: &Pieces, laid_out: &str, dialect: Dialect) -> bool {
    let Ok(again) = Parser::new(laid_out, dialect).and_then(Parser::pieces) else { return false };
    let comments = |text: &str, spans: &[Span]| -> Vec<String> {
        spans.iter().map(|span| text[span.range()].trim_end().to_owned()).collect()
    };
    again.statement == pieces.statement
        && comments(laid_out, &again.comments) == comments(text, &pieces.comments)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The layout itself never needs the author's text instead.
    #[test]
    fn layouts_say_the_same() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut count = 0;
        for file in root.join("../sql-tests/oracle/corpus").read_dir().into_iter().flatten() {
            let path = file.unwrap_or_else(|error| panic!("{error}")).path();
            let texts = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{error}"));
            for text in texts.trim_end().split("\n\n") {
                let pieces = Parser::new(text, Dialect::Hogql).and_then(Parser::pieces);
                let Ok(pieces) = pieces else { continue };
                let laid_out = layout::lay_out(text, &pieces);
                assert!(
                    says_the_same(text, &pieces, &laid_out, Dialect::Hogql),
                    "{text}\n{laid_out}"
                );
                count += 1;
            }
        }
        assert!(count > 1_500, "{count}");
    }
}
