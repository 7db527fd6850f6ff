//! Strings in pieces, array constants, and samples.

use crate::array::parse_array;
use crate::ast::{
    Expr, ExprKind, Ident, Join, Literal, Query, Sample, Select, Source, SourceKind, Star,
};
use crate::error::SyntaxError;
use crate::grammar::Parser;
use crate::span::Span;
use crate::token::{Keyword, TokenKind};
use crate::{Dialect, Result};

impl Parser<'_> {
    /// Appends the strings that follow on lines of their own, which SQL reads as one.
    pub(in crate::grammar) fn join_strings(
        &mut self,
        text: &mut String,
        read: impl Fn(&str, u32) -> Result<String>,
    ) -> Result<()> {
        while self.dialect == Dialect::Postgres && self.kind() == TokenKind::String {
            let span = self.span();
            let written = self.slice(span);
            let gap = self.slice(Span::new(self.previous_span().end, span.start));
            if !written.starts_with('\'') || !gap.contains('\n') {
                break;
            }
            self.advance();
            text.push_str(&read(&written[1..written.len() - 1], span.start + 1)?);
        }
        Ok(())
    }

    /// `UESCAPE '!'` after `U&'…'`; a backslash without it.
    pub(in crate::grammar) fn unicode_escape(&mut self) -> Result<char> {
        if !self.nth_word(0, "uescape") || self.nth(1) != TokenKind::String {
            return Ok('\\');
        }
        self.advance();
        let token = self.advance();
        let mut body = self.slice(token.span).trim_matches('\'').chars();
        match (body.next(), body.next()) {
            (Some(escape), None) if !escape.is_ascii_hexdigit() && !"+'\"".contains(escape) => {
                Ok(escape)
            }
            _ => Err(SyntaxError::new("UESCAPE takes one character", token.span)),
        }
    }

    /// `'{a,"b c",NULL}'` as the array it denotes; anything else as it is.
    pub(super) fn array_literal(&self, value: Expr) -> Result<Expr> {
        let text = match &value.kind {
            ExprKind::Literal(Literal::String(text)) => text,
            _ => return Ok(value),
        };
        let Some(items) = parse_array(text) else {
            return Err(SyntaxError::new("malformed array", value.span)
                .expected("elements in braces, as in '{1,2}'"));
        };
        let items = items.into_iter().map(|item| {
            let literal = item.map_or(Literal::Null, Literal::String);
            Expr::new(ExprKind::Literal(literal), value.span)
        });
        Ok(Expr::new(ExprKind::Array(items.collect()), value.span))
    }

    /// VALUES as a query of its own. PostgreSQL has it wherever a SELECT can stand; HogQL only in
    /// FROM, so that it is selected from there.
    pub(in crate::grammar) fn values_operand(&mut self) -> Result<Query> {
        let start = self.span();
        let values = self.values()?;
        if self.dialect == Dialect::Hogql {
            return Ok(values);
        }
        let span = self.span_from(start);
        let mut source = Source::new(SourceKind::Query(values), span);
        self.name_values(&mut source);
        let star = Star { table: Vec::new(), exclude: Vec::new(), replace: Vec::new() };
        let mut select = Select::new(vec![Expr::new(ExprKind::Star(star), span)], span);
        select.from = Some(Join::Source(Box::new(source)));
        self.grow()?;
        Ok(Query::Select(Box::new(select)))
    }

    /// PostgreSQL calls the columns of VALUES `column1`, `column2`, ….
    pub(in crate::grammar) fn name_values(&self, source: &mut Source) {
        let SourceKind::Query(Query::Values(values)) = &source.kind else { return };
        if self.dialect == Dialect::Hogql {
            return;
        }
        let width = values.rows.first().map_or(0, Vec::len);
        for number in source.columns.len() + 1..=width {
            source.columns.push(Ident::new(format!("column{number}"), source.span));
        }
        source.alias.get_or_insert_with(|| Ident::new("values", source.span));
    }

    /// ONLY before a table: there are no child tables.
    pub(in crate::grammar) fn skip_only(&mut self) {
        if self.dialect == Dialect::Postgres && self.nth_word(0, "only") && self.nth(1).is_name() {
            self.advance();
        }
    }

    pub(in crate::grammar) fn at_tablesample(&self) -> bool {
        self.nth_word(0, "tablesample")
            && self.nth(1) == TokenKind::Name
            && self.nth(2) == TokenKind::OpenParen
    }

    /// `TABLESAMPLE SYSTEM (10) [REPEATABLE (seed)]`: so many percent of the users. The sample
    /// is always the same one, whatever the seed.
    pub(in crate::grammar) fn tablesample(&mut self) -> Result<Sample> {
        self.advance();
        if !self.nth_word(0, "system") && !self.nth_word(0, "bernoulli") {
            return Err(self.unexpected("SYSTEM or BERNOULLI"));
        }
        self.advance();
        self.advance();
        let start = self.span();
        if !self.begins_number(0) {
            return Err(self.unexpected("a percentage"));
        }
        let ratio = self.number(start, false)?;
        self.expect(TokenKind::CloseParen, "`)`")?;
        if self.nth_word(0, "repeatable") && self.nth(1) == TokenKind::OpenParen {
            self.advance();
            self.advance();
            self.expr()?;
            self.expect(TokenKind::CloseParen, "`)`")?;
        }
        // HogQL would read an OFFSET that follows as the sample's.
        let offset = self
            .is(Keyword::Offset)
            .then(|| Expr::new(ExprKind::Literal(Literal::Int(0)), self.previous_span()));
        Ok(Sample { ratio, percent: true, offset })
    }

    /// ALL after SELECT or its like, which asks for what happens anyway.
    pub(in crate::grammar) fn eat_all(&mut self) -> bool {
        self.dialect == Dialect::Postgres
            && self.is(Keyword::All)
            && self.begins_operand(1)
            && self.eat_keyword(Keyword::All)
    }
}
