//! Operands: what stands between operators, with its postfix forms.

use super::Parser;
use super::expr::power;
use super::special::{Production, SpecialForm};
use crate::ast::{Expr, ExprKind, Ident, Literal, Query, Star};
use crate::error::SyntaxError;
use crate::lexer::ends_in_key;
use crate::limits::INTERVAL_TOKENS_MAX;
use crate::span::Span;
use crate::token::{Keyword, TokenKind, as_bool};
use crate::{Dialect, Result};

impl Parser<'_> {
    /// Whether an operand can begin this many tokens further.
    pub(super) fn begins_operand(&self, distance: usize) -> bool {
        use TokenKind as T;
        match self.nth(distance) {
            T::Name
            | T::Quoted
            | T::String
            | T::OpenParen
            | T::OpenBracket
            | T::OpenBrace
            | T::Minus
            | T::Plus
            | T::Star
            | T::Hash
            | T::TemplateStart
            | T::TagOpen => true,
            T::Operator(operator) => operator.is_prefix(),
            T::Match => self.dialect == Dialect::Postgres,
            T::Dot => self.nth(distance + 1) == T::Integer,
            T::Keyword(Keyword::Null | Keyword::Inf | Keyword::Infinity | Keyword::NaN) => true,
            T::Keyword(keyword) => {
                !keyword.is_never_a_name() && self.keyword_is_name(distance, keyword)
            }
            kind => kind.is_number(),
        }
    }

    /// Whether an operand begins there, where the word before could itself be a name: operators
    /// that can follow a name do not count.
    pub(super) fn begins_operand_after_name(&self, distance: usize) -> bool {
        use TokenKind as T;
        match self.nth(distance) {
            T::Keyword(Keyword::Not) => {
                !self.is_negatable(distance + 1) && self.begins_operand(distance)
            }
            T::Keyword(keyword) if keyword.follows_operand() => self.is_function_word(distance),
            T::Plus | T::Star | T::Dot => false,
            _ => self.begins_operand(distance),
        }
    }

    /// Whether an operator stands there that NOT can precede: `a not in b`.
    fn is_negatable(&self, distance: usize) -> bool {
        use Keyword::{Between, ILike, In, Like};
        matches!(self.nth(distance), TokenKind::Keyword(Between | ILike | In | Like))
    }

    /// `left(…)`, `any(…)`, `array[…]`: words that begin something else elsewhere.
    pub(super) fn is_function_word(&self, distance: usize) -> bool {
        match self.nth(distance) {
            TokenKind::Keyword(Keyword::Not) => self.nth(distance + 1) == TokenKind::OpenParen,
            TokenKind::Keyword(
                Keyword::Left | Keyword::Right | Keyword::Any | Keyword::Array | Keyword::Range,
            ) => matches!(self.nth(distance + 1), TokenKind::OpenParen | TokenKind::OpenBracket),
            _ => false,
        }
    }

    /// Words that structure a query are names only where what follows leaves no other reading:
    /// `select order from group`, but not `where and x`.
    fn keyword_is_name(&self, distance: usize, keyword: Keyword) -> bool {
        use TokenKind as T;
        let is_operator = matches!(
            keyword,
            Keyword::And
                | Keyword::Or
                | Keyword::In
                | Keyword::Is
                | Keyword::Like
                | Keyword::ILike
                | Keyword::Between
                | Keyword::As
                | Keyword::When
                | Keyword::Then
                | Keyword::Else
                | Keyword::End
                | Keyword::By
        );
        // Calls such as `left(a, 1)` and `and(a, b)` are functions of these names.
        let is_function = is_operator
            || matches!(keyword, Keyword::Left | Keyword::Right | Keyword::Any | Keyword::Window);
        if !is_operator && !keyword.begins_clause() {
            return true;
        }
        match self.nth(distance + 1) {
            T::OpenParen => is_function,
            T::Keyword(Keyword::As) => true,
            // `select from desc` reads neither from a table nor a column.
            T::Keyword(next) if keyword == Keyword::From && next.is_column_alias() => false,
            T::Keyword(next) => next.follows_operand() && next != Keyword::Array,
            T::Name | T::Quoted | T::String | T::OpenBrace | T::TagOpen => false,
            T::TemplateStart | T::Hash => false,
            next => !next.is_number(),
        }
    }

    /// An operand with its postfix forms. `min` is the binding power around it, which lambdas
    /// and named arguments hand on to their bodies.
    pub(super) fn operand(&mut self, min: u8) -> Result<Expr> {
        use TokenKind as T;
        let production: Production<Self> = match self.kind() {
            T::Name | T::Quoted | T::Keyword(_) => return self.word_operand(min),
            T::OpenParen if self.is_paren_lambda() => {
                return self.paren_lambda(min);
            }
            T::Minus if !self.begins_number(1) => return self.negation(),
            T::Operator(operator) if operator.is_prefix() => return self.prefix_operator(),
            T::Match if self.dialect == Dialect::Postgres => return self.prefix_operator(),
            T::Star => return self.star_operand(),
            T::String => Self::string_operand,
            T::Minus => Self::signed_number,
            T::Plus if self.begins_number(1) => Self::signed_number,
            T::OpenParen => Self::paren_operand,
            T::OpenBracket => Self::array,
            T::OpenBrace => Self::brace_operand,
            T::Hash => Self::positional_column,
            T::TemplateStart => Self::template,
            T::TagOpen => Self::tag_operand,
            _ if self.begins_number(0) => Self::unsigned_number,
            _ => return Err(self.unexpected("an expression")),
        };
        self.with_postfix(production)
    }

    fn with_postfix(&mut self, production: Production<Self>) -> Result<Expr> {
        let start = self.span();
        let operand = production(self)?;
        match self.kind() {
            TokenKind::Dot
            | TokenKind::NullishDot
            | TokenKind::OpenBracket
            | TokenKind::OpenParen
            | TokenKind::DoubleColon => self.postfix(operand, start),
            _ => Ok(operand),
        }
    }

    pub(super) fn string_operand(&mut self) -> Result<Expr> {
        let start = self.span();
        let value = self.string("a string")?;
        Ok(Expr::new(ExprKind::Literal(Literal::String(value)), self.span_from(start)))
    }

    /// `-1`, `+1`: one constant.
    pub(super) fn signed_number(&mut self) -> Result<Expr> {
        let sign = self.advance();
        self.number(sign.span, sign.kind == TokenKind::Minus)
    }

    fn negation(&mut self) -> Result<Expr> {
        let start = self.advance().span;
        let operand = Box::new(self.expr_at(power::NEGATION)?);
        self.grow()?;
        Ok(Expr::new(ExprKind::Negate(operand), self.span_from(start)))
    }

    /// An operand that begins with a word: a special form if what follows fits it, else a name.
    fn word_operand(&mut self, min: u8) -> Result<Expr> {
        if self.tokens[self.at].link > 0 && self.links_to_arrow() {
            return self.bare_lambda(min);
        }
        if self.nth(1) == TokenKind::Assign && self.kind().is_name() {
            return self.named_argument(min);
        }
        if let Some(keyword) = self.keyword() {
            match self.special_form(keyword) {
                Some(SpecialForm::Operand(production)) => return self.with_postfix(production),
                Some(SpecialForm::Prefix(production)) => return production(self),
                Some(SpecialForm::Lambda) => return self.lambda_word(min),
                None => {}
            }
            if let Some(production) = self.postgres_keyword(keyword) {
                return self.with_postfix(production);
            }
            if keyword.is_never_a_name() || !self.keyword_is_name(0, keyword) {
                return Err(self.unexpected("an expression"));
            }
        }
        match self.postgres_form() {
            Some(production) => self.with_postfix(production),
            None => self.with_postfix(Self::name_operand),
        }
    }

    /// A column or a call.
    fn name_operand(&mut self) -> Result<Expr> {
        let name = self.ident("an expression")?;
        match self.kind() {
            TokenKind::OpenParen => self.call(name),
            _ => self.field(name),
        }
    }

    /// Whether `(x, y) ->` begins a lambda here. In PostgreSQL's text `(x) -> 'key'` does not.
    fn is_paren_lambda(&self) -> bool {
        let after = self.past_bracket(0);
        self.nth(after) == TokenKind::Arrow
            && (self.dialect == Dialect::Hogql
                || (self.is_name_list(0) && !ends_in_key(&self.tokens, self.at + after)))
    }

    fn links_to_arrow(&self) -> bool {
        let link = self.tokens[self.at].link as usize;
        self.tokens[link].kind == TokenKind::Arrow
    }

    /// `a.b.c`, `a.b.*`, `true`.
    fn field(&mut self, first: Ident) -> Result<Expr> {
        let start = first.span;
        let mut parts = vec![first];
        while self.kind() == TokenKind::Dot {
            if self.nth(1) == TokenKind::Star {
                self.advance();
                self.advance();
                return self.star(parts, start);
            }
            if !self.nth(1).is_name() {
                break;
            }
            self.advance();
            parts.push(self.ident("a name")?);
        }
        let span = self.span_from(start);
        // Only the bare word is the constant: a quoted one, or one with more parts, is a column.
        if self.slice(span).len() == parts[0].name.len()
            && let Some(value) = as_bool(&parts[0].name)
        {
            return Ok(Expr::new(ExprKind::Literal(Literal::Bool(value)), span));
        }
        Ok(Expr::new(ExprKind::Field(parts), span))
    }

    /// `.name`, `.1`, `[i]`, `[a:b]`, `?.…`, `::T` and calls of what is no name, repeated.
    pub(super) fn postfix(&mut self, mut operand: Expr, start: Span) -> Result<Expr> {
        loop {
            let kind = match self.kind() {
                TokenKind::Dot | TokenKind::NullishDot => self.access(operand)?,
                TokenKind::OpenBracket => self.subscript(operand, false)?,
                TokenKind::OpenParen => {
                    let args = self.plain_args()?;
                    ExprKind::CallExpr(Box::new(operand), args)
                }
                TokenKind::DoubleColon => {
                    self.advance();
                    let target = self.short_type_name()?;
                    ExprKind::Cast { expr: Box::new(operand), target, safe: false }
                }
                _ => return Ok(operand),
            };
            self.grow()?;
            operand = Expr::new(kind, self.span_from(start));
        }
    }

    /// `.name`, `.1`, `?.name`, `?.1`, `?.[i]`.
    fn access(&mut self, operand: Expr) -> Result<ExprKind> {
        let nullish = self.advance().kind == TokenKind::NullishDot;
        let expr = Box::new(operand);
        match self.kind() {
            TokenKind::Integer => {
                let token = self.advance();
                let index = self.slice(token.span).parse().unwrap_or(0);
                if index == 0 {
                    return Err(SyntaxError::new("there is no such tuple element", token.span)
                        .hint("Tuple elements are counted from 1."));
                }
                Ok(ExprKind::TupleElement { expr, index, nullish })
            }
            TokenKind::OpenBracket if nullish => self.subscript(*expr, true),
            kind if kind.is_name() => {
                let name = self.ident("a name")?;
                Ok(ExprKind::Member { expr, name, nullish })
            }
            _ => Err(self.unexpected("a name or a tuple element")),
        }
    }

    /// `[i]`, `[from:to]`.
    fn subscript(&mut self, operand: Expr, nullish: bool) -> Result<ExprKind> {
        self.expect(TokenKind::OpenBracket, "`[`")?;
        let expr = Box::new(operand);
        let outer = std::mem::replace(&mut self.percent_may_end, false);
        let from = match self.kind() {
            TokenKind::Colon => None,
            _ => Some(Box::new(self.expr()?)),
        };
        let kind = match from {
            Some(index) if self.eat(TokenKind::CloseBracket) => {
                ExprKind::Index { expr, index, nullish }
            }
            from if !nullish => self.slice_rest(expr, from)?,
            _ => return Err(self.unexpected("`]`")),
        };
        self.percent_may_end = outer;
        Ok(kind)
    }

    /// `:to]`.
    fn slice_rest(&mut self, expr: Box<Expr>, from: Option<Box<Expr>>) -> Result<ExprKind> {
        self.expect(TokenKind::Colon, "`]` or `:`")?;
        let to = match self.kind() {
            TokenKind::CloseBracket => None,
            _ => Some(Box::new(self.expr()?)),
        };
        self.expect(TokenKind::CloseBracket, "`]`")?;
        Ok(ExprKind::Slice { expr, from, to })
    }

    // ----- brackets -----------------------------------------------------------------------

    /// `(e)`, `(a, b)`, `(select …)`.
    fn paren_operand(&mut self) -> Result<Expr> {
        let outer = std::mem::replace(&mut self.percent_may_end, false);
        let start = self.advance().span;
        let operand =
            if self.begins_query(0) { self.paren_query(start) } else { self.paren_exprs(start) };
        self.percent_may_end = outer;
        operand
    }

    /// The rest of `(select …)`.
    fn paren_query(&mut self, start: Span) -> Result<Expr> {
        let query = self.query()?;
        self.expect(TokenKind::CloseParen, "`)`")?;
        Ok(self.subquery(query, start))
    }

    /// The rest of `(e)` and `(a, b)`.
    fn paren_exprs(&mut self, start: Span) -> Result<Expr> {
        if self.kind() == TokenKind::CloseParen {
            return Err(self.unexpected("an expression").hint("A tuple has at least one element."));
        }
        let first_end = self.at + self.past_bracket(0);
        let first = self.expr()?;
        if self.eat(TokenKind::CloseParen) {
            return Ok(first);
        }
        if self.at == first_end && self.continues_query() {
            return self.paren_query_after(first, start);
        }
        let mut items = vec![first];
        while self.eat(TokenKind::Comma) {
            if self.kind() == TokenKind::CloseParen {
                break;
            }
            items.push(self.expr()?);
        }
        self.expect(TokenKind::CloseParen, "`,` or `)`")?;
        self.grow()?;
        Ok(Expr::new(ExprKind::Tuple(items), self.span_from(start)))
    }

    /// `((select 1) union all (select 2))`: what looked like an operand begins a query.
    fn paren_query_after(&mut self, first: Expr, start: Span) -> Result<Expr> {
        let query = match first.kind {
            ExprKind::Subquery(query) => *query,
            ExprKind::Placeholder(expr) => Query::Placeholder(expr),
            _ => return Err(self.unexpected("`,` or `)`")),
        };
        let query = self.query_rest(None, query, first.span)?;
        self.expect(TokenKind::CloseParen, "`)`")?;
        Ok(self.subquery(query, start))
    }

    pub(super) fn subquery(&self, query: Query, start: Span) -> Expr {
        Expr::new(ExprKind::Subquery(Box::new(query)), self.span_from(start))
    }

    /// `[a, b]`, with the current token at the bracket.
    pub(super) fn array(&mut self) -> Result<Expr> {
        let start = self.span();
        let outer = std::mem::replace(&mut self.percent_may_end, false);
        self.advance();
        let array = self.array_rest(Vec::new(), start);
        self.percent_may_end = outer;
        array
    }

    /// `ARRAY[a, b]`, with the current token at the word. `array[a:b]` slices a column of that
    /// name.
    pub(super) fn array_word(&mut self) -> Result<Expr> {
        let start = self.span();
        let outer = std::mem::replace(&mut self.percent_may_end, false);
        let word = self.advance();
        self.advance();
        let first = match self.kind() {
            TokenKind::CloseBracket => None,
            _ => Some(self.expr()?),
        };
        let result = if self.kind() == TokenKind::Colon {
            let name = self.ident_of(word)?;
            let column = Expr::new(ExprKind::Field(vec![name]), word.span);
            let kind = self.slice_rest(Box::new(column), first.map(Box::new))?;
            self.grow()?;
            Ok(Expr::new(kind, self.span_from(start)))
        } else {
            let closes = first.is_none() || !self.eat(TokenKind::Comma);
            let items = first.into_iter().collect();
            match closes {
                true if self.kind() != TokenKind::CloseBracket => {
                    Err(self.unexpected("`,` or `]`"))
                }
                _ => self.array_rest(items, start),
            }
        };
        self.percent_may_end = outer;
        result
    }

    /// The items that follow, up to the bracket.
    fn array_rest(&mut self, mut items: Vec<Expr>, start: Span) -> Result<Expr> {
        while self.kind() != TokenKind::CloseBracket {
            items.push(self.expr()?);
            if !self.eat(TokenKind::Comma) {
                break;
            }
        }
        self.expect(TokenKind::CloseBracket, "`,` or `]`")?;
        self.grow()?;
        Ok(Expr::new(ExprKind::Array(items), self.span_from(start)))
    }

    /// `{expr}`, `{'k': v}`, `{}`.
    pub(super) fn brace_operand(&mut self) -> Result<Expr> {
        let start = self.span();
        let outer = std::mem::replace(&mut self.percent_may_end, false);
        self.expect(TokenKind::OpenBrace, "`{`")?;
        let mut items = Vec::new();
        while self.kind() != TokenKind::CloseBrace {
            let key = self.expr()?;
            if items.is_empty() && self.eat(TokenKind::CloseBrace) {
                self.percent_may_end = outer;
                self.grow()?;
                let kind = ExprKind::Placeholder(Box::new(key));
                return Ok(Expr::new(kind, self.span_from(start)));
            }
            let expected = if items.is_empty() { "`}` or `:`" } else { "`:`" };
            self.expect(TokenKind::Colon, expected)?;
            items.push((key, self.expr()?));
            if !self.eat(TokenKind::Comma) {
                break;
            }
        }
        self.expect(TokenKind::CloseBrace, "`,` or `}`")?;
        self.percent_may_end = outer;
        self.grow()?;
        Ok(Expr::new(ExprKind::Dict(items), self.span_from(start)))
    }

    // ----- stars --------------------------------------------------------------------------

    /// `*`, `*COLUMNS(…)`.
    fn star_operand(&mut self) -> Result<Expr> {
        let start = self.span();
        self.advance();
        // `columns()` alone is a function, and no star can stand before one.
        let is_columns = self.is(Keyword::Columns) && self.nth(1) == TokenKind::OpenParen;
        if is_columns && self.nth(2) != TokenKind::CloseParen {
            let columns = self.columns()?;
            self.grow()?;
            let kind = ExprKind::Spread(Box::new(columns));
            return Ok(Expr::new(kind, self.span_from(start)));
        }
        self.star(Vec::new(), start)
    }

    /// What follows a star: `EXCLUDE (a, t.b)`, `REPLACE (e AS a)`.
    fn star(&mut self, table: Vec<Ident>, start: Span) -> Result<Expr> {
        let mut star = Star { table, exclude: Vec::new(), replace: Vec::new() };
        if self.is(Keyword::Exclude) {
            self.advance();
            self.expect(TokenKind::OpenParen, "`(` and the columns to leave out")?;
            loop {
                star.exclude.push(self.dotted_name("a column name")?);
                // A trailing comma is allowed.
                if !self.eat(TokenKind::Comma) || self.kind() == TokenKind::CloseParen {
                    break;
                }
            }
            self.expect(TokenKind::CloseParen, "`,` or `)`")?;
        }
        if self.is(Keyword::Replace) {
            self.advance();
            self.expect(TokenKind::OpenParen, "`(` and the replacements")?;
            loop {
                let value = self.expr_without_alias()?;
                self.expect_keyword(Keyword::As, "AS and a column name")?;
                star.replace.push((value, self.ident("a column name")?));
                if !self.eat(TokenKind::Comma) {
                    break;
                }
            }
            self.expect(TokenKind::CloseParen, "`,` or `)`")?;
        }
        self.grow()?;
        Ok(Expr::new(ExprKind::Star(star), self.span_from(start)))
    }

    /// `a.b.c`.
    pub(super) fn dotted_name(&mut self, expected: &str) -> Result<Vec<Ident>> {
        let mut parts = vec![self.ident(expected)?];
        while self.eat(TokenKind::Dot) {
            parts.push(self.ident("a name")?);
        }
        Ok(parts)
    }

    /// `#1`.
    fn positional_column(&mut self) -> Result<Expr> {
        let start = self.span();
        self.advance();
        let token = self.expect(TokenKind::Integer, "a column number")?;
        let position = self.slice(token.span).parse().unwrap_or(0);
        if position == 0 {
            return Err(SyntaxError::new("there is no such column", self.span_from(start))
                .hint("Columns are counted from 1."));
        }
        Ok(Expr::new(ExprKind::PositionalColumn(position), self.span_from(start)))
    }

    // ----- lambdas and named arguments ----------------------------------------------------

    /// `x, y -> e`.
    fn bare_lambda(&mut self, min: u8) -> Result<Expr> {
        let start = self.span();
        let params = self.parameters(TokenKind::Arrow)?;
        self.lambda_body(params, min, start)
    }

    /// `(x, y) -> e`, `() -> e`.
    fn paren_lambda(&mut self, min: u8) -> Result<Expr> {
        let start = self.span();
        self.advance();
        let params = self.parameters(TokenKind::CloseParen)?;
        self.expect(TokenKind::CloseParen, "`,` or `)`")?;
        self.lambda_body(params, min, start)
    }

    /// `x, y` before `end`, with a trailing comma allowed.
    pub(super) fn parameters(&mut self, end: TokenKind) -> Result<Vec<Ident>> {
        let mut params = Vec::new();
        while self.kind() != end {
            params.push(self.ident("a parameter name")?);
            if !self.eat(TokenKind::Comma) {
                break;
            }
        }
        Ok(params)
    }

    fn lambda_body(&mut self, params: Vec<Ident>, min: u8, start: Span) -> Result<Expr> {
        self.expect(TokenKind::Arrow, "`->`")?;
        self.lambda_of(params, min, start)
    }

    /// The lambda whose body begins here.
    pub(super) fn lambda_of(&mut self, params: Vec<Ident>, min: u8, start: Span) -> Result<Expr> {
        let body = Box::new(self.expr_at(body_power(min))?);
        self.grow()?;
        Ok(Expr::new(ExprKind::Lambda { params, body }, self.span_from(start)))
    }

    /// `name := e`.
    fn named_argument(&mut self, min: u8) -> Result<Expr> {
        let start = self.span();
        let name = self.ident("a name")?;
        self.expect(TokenKind::Assign, "`:=`")?;
        let value = Box::new(self.expr_at(body_power(min))?);
        self.grow()?;
        Ok(Expr::new(ExprKind::NamedArgument(name, value), self.span_from(start)))
    }

    // ----- lookahead ----------------------------------------------------------------------

    /// Whether a unit ends the operand that begins after INTERVAL: then it is an interval, and
    /// not a column or function of that name.
    pub(super) fn is_interval(&self) -> bool {
        let mut distance = 1;
        let mut after_operand = false;
        for _ in 0..INTERVAL_TOKENS_MAX {
            match self.nth(distance) {
                TokenKind::OpenParen | TokenKind::OpenBracket | TokenKind::OpenBrace => {
                    distance = self.past_bracket(distance);
                    after_operand = true;
                    continue;
                }
                TokenKind::Keyword(word) if after_operand && word.is_interval_unit() => {
                    return true;
                }
                TokenKind::Keyword(word) if word.begins_clause() || word == Keyword::As => {
                    return false;
                }
                TokenKind::Keyword(word) if after_operand && word.ends_item() => return false,
                TokenKind::End
                | TokenKind::Comma
                | TokenKind::Semicolon
                | TokenKind::CloseParen
                | TokenKind::CloseBracket
                | TokenKind::CloseBrace => return false,
                kind => after_operand = kind.ends_operand(),
            }
            distance += 1;
        }
        false
    }

    /// `DATE '2020-01-01'` and the like: the call it abbreviates.
    pub(super) fn typed_literal(&mut self, function: &str) -> Result<Expr> {
        let start = self.span();
        let word = self.advance();
        let text = self.string_operand()?;
        let call = crate::ast::Call::new(Ident::new(function, word.span), vec![text]);
        self.grow()?;
        Ok(Expr::new(ExprKind::Call(Box::new(call)), self.span_from(start)))
    }
}

/// A body extends as far as it can, but takes AS only where the surroundings allow it.
fn body_power(min: u8) -> u8 {
    min.min(power::TERNARY)
}
