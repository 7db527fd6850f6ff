//! Lookahead that is worked out once, so that the grammar never backtracks.
//!
//! One pass pairs brackets, marks the names that begin a lambda without parentheses
//! (`x, y -> x + y`), and tells the CASE of an expression from a column called `case`.

use crate::error::SyntaxError;
use crate::token::{Keyword, Token, TokenKind};
use crate::{Dialect, Result};

/// Fills in [`Token::link`], or reports the first bracket without a partner.
pub(super) fn resolve(text: &str, tokens: &mut [Token], dialect: Dialect) -> Result<()> {
    let mut open: Vec<usize> = Vec::new();
    // Unfinished CASEs, and how many of them belong to outer brackets.
    let mut cases: Vec<usize> = Vec::new();
    let mut outer_cases: Vec<usize> = Vec::new();
    // Question marks without a colon yet, with how many brackets were open.
    let mut questions: Vec<(usize, usize)> = Vec::new();
    for at in 0..tokens.len() {
        let own_cases = outer_cases.last().copied().unwrap_or(0);
        match tokens[at].kind {
            TokenKind::Question => questions.push((open.len(), at)),
            TokenKind::Colon => {
                if let Some((_, question)) = questions.pop_if(|(depth, _)| *depth == open.len()) {
                    tokens[question].link = at as u32;
                }
            }
            TokenKind::OpenParen | TokenKind::OpenBracket | TokenKind::OpenBrace => {
                open.push(at);
                outer_cases.push(cases.len());
            }
            TokenKind::CloseParen | TokenKind::CloseBracket | TokenKind::CloseBrace => {
                let opener = open.pop();
                close(text, tokens, opener, at)?;
                cases.truncate(own_cases);
                while questions.pop_if(|(depth, _)| *depth > open.len()).is_some() {}
                outer_cases.pop();
            }
            TokenKind::Arrow if dialect == Dialect::Hogql || begins_body(tokens, &open, at) => {
                link_parameters(tokens, at);
            }
            TokenKind::Comma => {
                while questions.pop_if(|(depth, _)| *depth == open.len()).is_some() {}
                while cases.len() > own_cases && cases.last().is_some_and(|c| tokens[*c].link == 0)
                {
                    cases.pop();
                }
            }
            TokenKind::Keyword(keyword) if !follows_dot(tokens, at) => match keyword {
                Keyword::Case => cases.push(at),
                Keyword::When if cases.len() > own_cases => {
                    let case = cases[cases.len() - 1];
                    if tokens[case].link == 0 {
                        tokens[case].link = at as u32;
                    }
                }
                Keyword::End => {
                    while cases.len() > own_cases {
                        let case = cases.pop();
                        if case.is_some_and(|case| tokens[case].link != 0) {
                            break;
                        }
                    }
                }
                _ => {}
            },
            _ => {}
        }
    }
    match open.first() {
        // The innermost unclosed bracket is where the author stopped; an outer one may be closed
        // by what follows. With all of them open at the end, the last is the most telling.
        Some(_) => {
            let last = open[open.len() - 1];
            let written = &text[tokens[last].span.range()];
            let wanted = partner(tokens[last].kind);
            Err(SyntaxError::new(format!("unclosed `{written}`"), tokens[last].span)
                .expected(format!("`{wanted}`"))
                .hint(format!("Add the `{wanted}` that belongs to it.")))
        }
        None => Ok(()),
    }
}

fn close(text: &str, tokens: &mut [Token], opener: Option<usize>, at: usize) -> Result<()> {
    let written = &text[tokens[at].span.range()];
    let Some(opener) = opener else {
        return Err(SyntaxError::new(
            format!("`{written}` closes nothing that was opened"),
            tokens[at].span,
        )
        .hint("Remove it, or open it earlier."));
    };
    let wanted = partner(tokens[opener].kind);
    if wanted != written {
        return Err(SyntaxError::new(
            format!("`{written}` does not close `{}`", &text[tokens[opener].span.range()]),
            tokens[at].span,
        )
        .expected(format!("`{wanted}`")));
    }
    tokens[opener].link = at as u32;
    Ok(())
}

fn partner(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::OpenParen => ")",
        TokenKind::OpenBracket => "]",
        _ => "}",
    }
}

/// Whether a lambda's body follows this arrow of PostgreSQL's text, where it could also reach
/// into JSON: `properties -> 'a'`. A lambda stands in the parentheses of a call, and its body is
/// no bare constant.
fn begins_body(tokens: &[Token], open: &[usize], arrow: usize) -> bool {
    let in_call = open.last().is_some_and(|opener| {
        let before = opener.checked_sub(1).map(|before| tokens[before].kind);
        tokens[*opener].kind == TokenKind::OpenParen && before.is_some_and(TokenKind::is_name)
    });
    in_call && !ends_in_key(tokens, arrow)
}

/// Whether a key of a document follows this arrow: a text, a number or a parameter.
pub(crate) fn ends_in_key(tokens: &[Token], arrow: usize) -> bool {
    let kind = |distance: usize| tokens.get(arrow + distance).map(|token| token.kind);
    match kind(1) {
        Some(TokenKind::String | TokenKind::Integer) => true,
        Some(TokenKind::Minus) => kind(2) == Some(TokenKind::Integer),
        _ => false,
    }
}

/// Marks every name of `a, b, c ->`: whichever of them stands where an operand is due begins the
/// lambda. Each name is visited for one arrow only, so the pass stays linear.
fn link_parameters(tokens: &mut [Token], arrow: usize) {
    let mut at = arrow;
    // A trailing comma is allowed.
    if arrow > 0 && tokens[arrow - 1].kind == TokenKind::Comma {
        at -= 1;
    }
    loop {
        let Some(name) = at.checked_sub(1) else { return };
        if !tokens[name].kind.is_name() || follows_dot(tokens, name) {
            return;
        }
        tokens[name].link = arrow as u32;
        match name.checked_sub(1) {
            Some(comma) if tokens[comma].kind == TokenKind::Comma => at = comma,
            _ => return,
        }
    }
}

fn follows_dot(tokens: &[Token], at: usize) -> bool {
    at.checked_sub(1)
        .is_some_and(|before| matches!(tokens[before].kind, TokenKind::Dot | TokenKind::NullishDot))
}
