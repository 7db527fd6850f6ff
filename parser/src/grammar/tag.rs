//! Render tags: `<Tag attr='x' b={expr} flag>text {expr} <Child/></Tag>`.

use super::Parser;
use crate::Result;
use crate::ast::{Expr, ExprKind, Ident, Literal, Tag};
use crate::error::SyntaxError;
use crate::token::TokenKind;

impl Parser<'_> {
    pub(super) fn tag_operand(&mut self) -> Result<Expr> {
        let start = self.span();
        let tag = self.tag()?;
        Ok(Expr::new(ExprKind::Tag(Box::new(tag)), self.span_from(start)))
    }

    pub(super) fn tag(&mut self) -> Result<Tag> {
        self.descend()?;
        let outer = std::mem::replace(&mut self.percent_may_end, false);
        self.expect(TokenKind::TagOpen, "a tag")?;
        let name = self.ident("a tag name")?;
        let mut attributes = Vec::new();
        while self.kind() == TokenKind::Name {
            attributes.push(self.attribute()?);
        }
        let mut children = Vec::new();
        if !self.eat(TokenKind::TagSelfClose) {
            self.expect(TokenKind::TagEnd, "an attribute, `>` or `/>`")?;
            children = self.tag_children(&name)?;
        }
        if let Some((attribute, _)) = attributes.iter().find(|(name, _)| name.name == "children")
            && !children.is_empty()
        {
            return Err(SyntaxError::new(
                "a tag has either children or an attribute of that name",
                attribute.span,
            ));
        }
        self.percent_may_end = outer;
        self.grow()?;
        self.ascend();
        Ok(Tag { name, attributes, children })
    }

    /// `a='b'`, `a={e}`, `a`.
    fn attribute(&mut self) -> Result<(Ident, Expr)> {
        let name = self.ident("an attribute name")?;
        if !self.eat(TokenKind::Eq) {
            let value = Expr::new(ExprKind::Literal(Literal::Bool(true)), name.span);
            return Ok((name, value));
        }
        let value = match self.kind() {
            TokenKind::OpenBrace => self.hole()?,
            _ => {
                let start = self.span();
                let text = self.string("a string or `{`")?;
                Expr::new(ExprKind::Literal(Literal::String(text)), self.span_from(start))
            }
        };
        Ok((name, value))
    }

    /// `{e}` inside a tag: just the expression.
    fn hole(&mut self) -> Result<Expr> {
        self.expect(TokenKind::OpenBrace, "`{`")?;
        let value = self.expr()?;
        self.expect(TokenKind::CloseBrace, "`}`")?;
        Ok(value)
    }

    /// Up to and with `</name>`.
    fn tag_children(&mut self, name: &Ident) -> Result<Vec<Expr>> {
        let mut children = Vec::new();
        loop {
            match self.kind() {
                TokenKind::TagText => {
                    let token = self.advance();
                    let text = self.slice(token.span);
                    // Indentation between children says nothing.
                    if text.trim().is_empty() && text.contains('\n') {
                        continue;
                    }
                    let text = Literal::String(text.to_owned());
                    children.push(Expr::new(ExprKind::Literal(text), token.span));
                }
                TokenKind::OpenBrace => children.push(self.hole()?),
                TokenKind::TagOpen => children.push(self.tag_operand()?),
                _ => break,
            }
        }
        self.expect(TokenKind::TagClose, "a closing tag")?;
        let closing = self.ident("a tag name")?;
        if closing != *name {
            return Err(SyntaxError::new(
                format!("`</{}>` does not close `<{}>`", closing.name, name.name),
                closing.span,
            )
            .expected(format!("`</{}>`", name.name)));
        }
        self.expect(TokenKind::TagEnd, "`>`")?;
        Ok(children)
    }
}
