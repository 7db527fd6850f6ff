//! Calls with words between their arguments, and literals that begin with a type.

use super::{call, elements_of};
use crate::Dialect;
use crate::Result;
use crate::ast::{Expr, ExprKind, Ident, Literal, TypeName};
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::grammar::Parser;
use crate::grammar::expr::power;
use crate::grammar::special::Production;
use crate::token::{Keyword, TokenKind};

/// Types that may stand before a string, beside those that are keywords.
const LITERAL_TYPES: &[&str] = &[
    "bigint",
    "bool",
    "boolean",
    "decimal",
    "float4",
    "float8",
    "int",
    "int2",
    "int4",
    "int8",
    "integer",
    "json",
    "jsonb",
    "numeric",
    "real",
    "smallint",
    "text",
    "timestamptz",
    "uuid",
    "varchar",
];

impl Parser<'_> {
    /// The form that this word, which is no keyword, begins here.
    pub(in crate::grammar) fn postgres_form(&self) -> Option<Production<Self>> {
        if self.kind() != TokenKind::Name {
            return None;
        }
        let is_postgres = self.dialect == Dialect::Postgres;
        match self.nth(1) {
            TokenKind::String => {
                let known = LITERAL_TYPES.iter().any(|word| self.nth_word(0, word));
                known.then_some(Self::type_literal as Production<Self>)
            }
            TokenKind::OpenParen if self.nth_word(0, "overlay") => Some(Self::overlay),
            TokenKind::OpenParen if is_postgres && self.nth_word(0, "position") => {
                Some(Self::position)
            }
            TokenKind::Dot
                if is_postgres
                    && self.nth_word(0, "pg_catalog")
                    && self.nth(2).is_name()
                    && self.nth(3) == TokenKind::OpenParen =>
            {
                Some(Self::catalog_call)
            }
            _ => None,
        }
    }

    /// The form that this keyword begins here, beside HogQL's own.
    pub(in crate::grammar) fn postgres_keyword(
        &self,
        keyword: Keyword,
    ) -> Option<Production<Self>> {
        let is_postgres = self.dialect == Dialect::Postgres;
        let is_call = self.nth(1) == TokenKind::OpenParen;
        match keyword {
            Keyword::Row if is_postgres && is_call => Some(Self::row),
            Keyword::Array if is_postgres && is_call && self.begins_query(2) => {
                Some(Self::array_query)
            }
            Keyword::Timestamp if self.zoned_words(1) > 0 => {
                let after = 1 + self.zoned_words(1);
                (self.nth(after) == TokenKind::String).then_some(Self::zoned_timestamp)
            }
            Keyword::Time if self.nth(1) == TokenKind::String => Some(Self::time_literal),
            Keyword::Interval if is_postgres && self.at_parameter(1) => {
                Some(Self::interval_parameter)
            }
            _ => None,
        }
    }

    /// `WITH TIME ZONE`, `WITHOUT TIME ZONE`: how many words of it stand there.
    pub(in crate::grammar) fn zoned_words(&self, distance: usize) -> usize {
        let begins = self.nth_is(distance, Keyword::With) || self.nth_word(distance, "without");
        let zone =
            self.nth_is(distance + 1, Keyword::Time) && self.nth_is(distance + 2, Keyword::Zone);
        if begins && zone { 3 } else { 0 }
    }

    /// `jsonb '{}'`, `timestamptz '…'`: a cast.
    pub(in crate::grammar) fn type_literal(&mut self) -> Result<Expr> {
        let word = self.advance();
        let span = self.span();
        let text = self.string("a string")?;
        let value = Expr::new(ExprKind::Literal(Literal::String(text)), span);
        let name = self.slice(word.span).to_ascii_lowercase();
        let target = TypeName { name, args: Vec::new(), array_depth: 0, span: word.span };
        self.grow()?;
        let kind = ExprKind::Cast { expr: Box::new(value), target, safe: false };
        Ok(Expr::new(kind, self.span_from(word.span)))
    }

    fn zoned_timestamp(&mut self) -> Result<Expr> {
        let word = self.advance();
        for _ in 0..3 {
            self.advance();
        }
        let span = self.span();
        let text = self.string("a string")?;
        let text = Expr::new(ExprKind::Literal(Literal::String(text)), span);
        self.grow()?;
        Ok(Expr::new(call("toDateTime", vec![text], word.span), self.span_from(word.span)))
    }

    /// Whether `$1` or the like stands there.
    fn at_parameter(&self, distance: usize) -> bool {
        let token = self.tokens.get(self.at + distance);
        token.is_some_and(|token| {
            token.kind == TokenKind::Name && self.slice(token.span).starts_with('$')
        })
    }

    fn interval_parameter(&mut self) -> Result<Expr> {
        self.advance();
        let parameter = self.slice(self.span());
        Err(SyntaxError::new("an interval after its name is a constant", self.span())
            .hint(format!("Write {parameter}::interval.")))
    }

    fn time_literal(&mut self) -> Result<Expr> {
        Err(SyntaxError::new("there is no type for a time of day", self.span())
            .hint("Use an interval, as in INTERVAL '10:30:00'.")
            .kind(SyntaxErrorKind::Unsupported))
    }

    /// `ROW(a, b)`.
    fn row(&mut self) -> Result<Expr> {
        let start = self.advance().span;
        let items = self.plain_args()?;
        if items.is_empty() {
            return Err(SyntaxError::new("a row has at least one value", self.span_from(start)));
        }
        self.grow()?;
        Ok(Expr::new(ExprKind::Tuple(items), self.span_from(start)))
    }

    /// `ARRAY(SELECT …)`.
    fn array_query(&mut self) -> Result<Expr> {
        let start = self.advance().span;
        self.advance();
        let query = self.query()?;
        self.expect(TokenKind::CloseParen, "`)`")?;
        self.grow()?;
        Ok(elements_of(self.subquery(query, start)))
    }

    /// `pg_catalog.f(…)`: the schema of all functions says nothing.
    fn catalog_call(&mut self) -> Result<Expr> {
        self.advance();
        self.advance();
        let name = self.ident("a function")?;
        self.call(name)
    }

    /// `EXTRACT(part FROM e)`.
    pub(in crate::grammar) fn extract(&mut self) -> Result<Expr> {
        let word = self.advance();
        self.advance();
        let part_span = self.span();
        let part = match self.kind() {
            TokenKind::String => self.string("a part of a time")?,
            _ => self.ident("a part of a time, such as YEAR")?.name,
        };
        self.expect_keyword(Keyword::From, "FROM")?;
        let value = self.expr()?;
        self.expect(TokenKind::CloseParen, "`)`")?;
        let part = Literal::String(part.to_ascii_lowercase());
        let part = Expr::new(ExprKind::Literal(part), part_span);
        self.grow()?;
        Ok(Expr::new(
            call("extract_timestamp", vec![part, value], word.span),
            self.span_from(word.span),
        ))
    }

    /// Whether the parenthesis here holds an argument that words may follow. What it holds
    /// otherwise makes an ordinary call.
    fn begins_argument(&self) -> bool {
        self.begins_operand(1) && !self.begins_query(1) && !self.nth_is(1, Keyword::Distinct)
    }

    /// `OVERLAY(e PLACING new FROM start [FOR length])`.
    fn overlay(&mut self) -> Result<Expr> {
        let word = self.advance();
        let name = self.ident_of(word)?;
        if !self.begins_argument() {
            return self.call(name);
        }
        self.advance();
        let first = self.expr()?;
        if !self.eat_word("placing") {
            return self.call_after_first(name, first);
        }
        let mut args = vec![first, self.expr()?];
        self.expect_keyword(Keyword::From, "FROM")?;
        args.push(self.expr()?);
        if self.eat_keyword(Keyword::For) {
            args.push(self.expr()?);
        }
        self.expect(TokenKind::CloseParen, "FOR or `)`")?;
        self.grow()?;
        Ok(Expr::new(call("textoverlay", args, word.span), self.span_from(word.span)))
    }

    /// `POSITION(a IN b)`, or the function with its arguments the other way round.
    fn position(&mut self) -> Result<Expr> {
        let word = self.advance();
        let name = self.ident_of(word)?;
        if !self.begins_argument() {
            return self.call(name);
        }
        self.advance();
        let first = self.expr_at(power::OPERATOR)?;
        if !self.eat_keyword(Keyword::In) {
            return self.call_after_first(name, first);
        }
        let text = self.expr_at(power::OPERATOR)?;
        self.expect(TokenKind::CloseParen, "`)`")?;
        self.grow()?;
        Ok(Expr::new(call("positionUTF8", vec![text, first], word.span), self.span_from(word.span)))
    }

    /// `SUBSTRING(e FROM a [FOR b])`, `SUBSTRING(e FROM 'regex')` as the calls they abbreviate.
    pub(in crate::grammar) fn substring(&mut self) -> Result<Expr> {
        let word = self.advance();
        let name = self.ident_of(word)?;
        if !self.begins_argument() {
            return self.call(name);
        }
        self.advance();
        let first = self.expr()?;
        if !self.is(Keyword::From) && !self.is(Keyword::For) {
            return self.call_after_first(name, first);
        }
        let mut args = vec![first];
        match self.eat_keyword(Keyword::From) {
            true => args.push(self.expr()?),
            false => args.push(Expr::new(ExprKind::Literal(Literal::Int(1)), word.span)),
        }
        let is_pattern = matches!(args[1].kind, ExprKind::Literal(Literal::String(_)));
        if !is_pattern && self.eat_keyword(Keyword::For) {
            args.push(self.expr()?);
        }
        self.expect(TokenKind::CloseParen, "FOR or `)`")?;
        self.grow()?;
        let function = if is_pattern { "textregexsubstr" } else { "text_substr" };
        Ok(Expr::new(call(function, args, word.span), self.span_from(word.span)))
    }

    /// `TRIM([BOTH|LEADING|TRAILING] [characters] FROM e)` as the call it abbreviates.
    pub(in crate::grammar) fn trim(&mut self) -> Result<Expr> {
        let word = self.advance();
        let name = self.ident_of(word)?;
        let side = self.trim_side();
        let no_side = self.dialect == Dialect::Postgres && self.nth_is(1, Keyword::From);
        if side.is_none() && !no_side && !self.begins_argument() {
            return self.call(name);
        }
        self.advance();
        if side.is_some() {
            self.advance();
        }
        let characters = match self.is(Keyword::From) {
            true => None,
            false => Some(self.expr()?),
        };
        let function = side.unwrap_or("trim");
        let from = self.eat_keyword(Keyword::From);
        let args = match characters {
            Some(first) if !from && side.is_none() => return self.call_after_first(name, first),
            // `TRIM(BOTH e)`.
            Some(text) if !from => vec![text],
            characters => {
                let text = self.expr()?;
                std::iter::once(text).chain(characters).collect()
            }
        };
        self.expect(TokenKind::CloseParen, "FROM or `)`")?;
        self.grow()?;
        let name = Ident::new(function, word.span);
        Ok(Expr::new(call(&name.name, args, word.span), self.span_from(word.span)))
    }

    /// The function that trims the side named after the parenthesis.
    fn trim_side(&self) -> Option<&'static str> {
        let function = match self.nth(1) {
            TokenKind::Keyword(Keyword::Both) => "trim",
            TokenKind::Keyword(Keyword::Leading) => "trimLeft",
            TokenKind::Keyword(Keyword::Trailing) => "trimRight",
            _ => return None,
        };
        let goes_on = match self.nth(2) {
            TokenKind::String | TokenKind::Name | TokenKind::Quoted => true,
            TokenKind::Keyword(Keyword::From) => true,
            TokenKind::Keyword(word) => !word.follows_operand(),
            _ => false,
        };
        goes_on.then_some(function)
    }
}
