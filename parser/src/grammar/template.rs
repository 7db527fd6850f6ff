//! Template strings: `f'text {expr} text'`.

use super::Parser;
use crate::Result;
use crate::ast::{Expr, ExprKind, TemplatePart};
use crate::lexer::{StringKind, unescape};
use crate::token::TokenKind;

impl Parser<'_> {
    pub(super) fn template(&mut self) -> Result<Expr> {
        let start = self.span();
        self.expect(TokenKind::TemplateStart, "a template string")?;
        let outer = std::mem::replace(&mut self.percent_may_end, false);
        let mut parts = Vec::new();
        loop {
            let token = self.advance();
            match token.kind {
                TokenKind::TemplateText => {
                    let body = self.slice(token.span);
                    let text = unescape(body, StringKind::Template, token.span.start)?;
                    // `\0` says nothing, so the text may vanish.
                    if !text.is_empty() {
                        parts.push(TemplatePart::Text(text));
                    }
                }
                TokenKind::OpenBrace => {
                    parts.push(TemplatePart::Expr(self.expr()?));
                    self.expect(TokenKind::CloseBrace, "`}`")?;
                }
                _ => break,
            }
        }
        self.percent_may_end = outer;
        self.grow()?;
        Ok(Expr::new(ExprKind::Template(parts), self.span_from(start)))
    }
}
