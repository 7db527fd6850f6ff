//! SELECT: its columns and the sequence of its clauses.

use super::Parser;
use crate::Result;
use crate::ast::{ArrayJoin, Expr, ExprKind, Ident, Select};
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::token::{Keyword, TokenKind, as_bool};

impl Parser<'_> {
    /// `SELECT …` with every clause it can have, WITH excluded.
    pub(super) fn select(&mut self) -> Result<Box<Select>> {
        let start = self.span();
        let siblings = std::mem::take(&mut self.height);
        let outer = std::mem::replace(&mut self.percent_may_end, false);
        self.expect_keyword(Keyword::Select, "SELECT")?;
        let distinct_on = match self.nth_is(1, Keyword::On)
            && self.nth(2) == TokenKind::OpenParen
            && self.eat_keywords(Keyword::Distinct, Keyword::On)
        {
            true => self.distinct_keys()?,
            false => Vec::new(),
        };
        self.eat_all();
        let distinct = self.is(Keyword::Distinct) && self.distinct_applies();
        if distinct {
            self.advance();
        }
        if self.is(Keyword::Top) && self.nth(1).is_number() {
            return Err(self.unsupported("TOP is not supported", "Write LIMIT at the end."));
        }
        // Boxed at once: a SELECT by value is heavy on the stack of nested queries.
        let mut select = Box::new(Select::new(self.column_list()?, start));
        select.distinct = distinct;
        select.distinct_on = distinct_on;
        self.select_clauses(&mut select)?;
        select.span = self.span_from(start);
        self.percent_may_end = outer;
        self.grow()?;
        self.height = self.height.max(siblings);
        Ok(select)
    }

    /// What stands between the parentheses of DISTINCT ON.
    fn distinct_keys(&mut self) -> Result<Vec<Expr>> {
        self.expect(TokenKind::OpenParen, "`(`")?;
        let keys = self.expr_list()?;
        self.expect(TokenKind::CloseParen, "`,` or `)`")?;
        Ok(keys)
    }

    /// The clauses after the columns, in their order.
    fn select_clauses(&mut self, select: &mut Select) -> Result<()> {
        if self.eat_keyword(Keyword::From) {
            select.from = Some(self.join_tree()?);
        }
        self.array_joins(select)?;
        if self.eat_keyword(Keyword::Prewhere) {
            select.prewhere = Some(self.expr()?);
        }
        if self.eat_keyword(Keyword::Where) {
            select.filter = Some(self.expr()?);
        }
        self.refuse_sample()?;
        select.group_by = self.group_by()?;
        if self.eat_keyword(Keyword::Having) {
            select.having = Some(self.expr()?);
        }
        if self.eat_keyword(Keyword::Qualify) {
            select.qualify = Some(self.expr()?);
        }
        if self.eat_keyword(Keyword::Window) {
            select.windows = self.window_list()?;
        }
        if self.eat_keywords(Keyword::Order, Keyword::By) {
            select.order_by = self.order_by_list()?;
            select.interpolate = self.interpolate()?;
        }
        self.tail(select)?;
        if self.is(Keyword::Settings) {
            return Err(self.unsupported(
                "SETTINGS is not supported in a query",
                "Set the option for the session instead.",
            ));
        }
        Ok(())
    }

    pub(super) fn unsupported(&self, message: &str, hint: &str) -> SyntaxError {
        SyntaxError::new(message, self.span()).hint(hint).kind(SyntaxErrorKind::Unsupported)
    }

    /// `SAMPLE` as a clause of its own; it belongs to a table.
    fn refuse_sample(&self) -> Result<()> {
        let using = usize::from(self.is(Keyword::Using));
        if !self.nth_is(using, Keyword::Sample) {
            return Ok(());
        }
        Err(self.unsupported(
            "SAMPLE is not supported as a clause of the query",
            "Write SAMPLE directly after the table, as in FROM events SAMPLE 0.1.",
        ))
    }

    /// Whether a clause of one expression stands here rather than a column that is subtracted
    /// from, indexed or multiplied: `a, limit - 1`.
    fn at_value_clause(&self) -> bool {
        use Keyword::{Having, Limit, Offset, Prewhere, Qualify, Where};
        matches!(self.keyword(), Some(Prewhere | Where | Having | Qualify | Limit | Offset))
            && match self.nth(1) {
                TokenKind::Minus | TokenKind::OpenBracket => true,
                TokenKind::Plus => self.begins_number(2),
                TokenKind::Star => !self.begins_operand(2),
                TokenKind::Keyword(next) => next.is_column_alias() || next == Keyword::Desc,
                _ => false,
            }
    }

    // ----- columns ------------------------------------------------------------------------

    fn column_list(&mut self) -> Result<Vec<Expr>> {
        let mut columns = vec![self.column()?];
        while self.eat(TokenKind::Comma) {
            if self.ends_columns() {
                break;
            }
            columns.push(self.column()?);
        }
        Ok(columns)
    }

    /// After a comma: whether the list ended with it.
    fn ends_columns(&self) -> bool {
        match self.kind() {
            TokenKind::End | TokenKind::CloseParen | TokenKind::Semicolon => true,
            // `a, from from b`: the clause wins over a column of that name.
            TokenKind::Keyword(Keyword::From) => {
                self.nth(1).is_name()
                    || matches!(
                        self.nth(1),
                        TokenKind::OpenParen | TokenKind::OpenBrace | TokenKind::TagOpen
                    )
            }
            TokenKind::Keyword(keyword) => {
                keyword.begins_clause()
                    && (!self.begins_operand(0) || self.begins_number(1) || self.at_value_clause())
            }
            _ => false,
        }
    }

    /// `e`, `e AS a`, `e a`, `a: e`.
    fn column(&mut self) -> Result<Expr> {
        let start = self.span();
        if self.kind().is_name() && self.nth(1) == TokenKind::Colon {
            let alias = self.alias_name()?;
            self.advance();
            let value = Box::new(self.expr()?);
            self.grow()?;
            return Ok(Expr::new(ExprKind::Alias(value, alias), self.span_from(start)));
        }
        let column = self.expr()?;
        let has_alias = match self.kind() {
            TokenKind::Name if self.at_fetch() => false,
            TokenKind::Name | TokenKind::Quoted => true,
            TokenKind::Keyword(keyword) => keyword.is_column_alias(),
            _ => false,
        };
        if !has_alias {
            return Ok(column);
        }
        let alias = self.alias_name()?;
        self.grow()?;
        Ok(Expr::new(ExprKind::Alias(Box::new(column), alias), self.span_from(start)))
    }

    /// The name after AS, or one that needs none; a string too.
    pub(super) fn alias_name(&mut self) -> Result<Ident> {
        let span = self.span();
        let quoted = self.kind() == TokenKind::Quoted;
        let alias = match self.kind() {
            TokenKind::String => Ident::new(self.string("a name")?, span),
            _ => self.ident("a name")?,
        };
        let reserved = as_bool(&alias.name).is_some()
            || alias.name.eq_ignore_ascii_case("null")
            || alias.name.eq_ignore_ascii_case("team_id");
        if reserved && !quoted {
            return Err(SyntaxError::new(
                format!("`{}` is reserved and cannot be an alias", alias.name),
                span,
            )
            .hint(format!("Choose another name, or quote it: `{}`.", alias.name)));
        }
        Ok(alias)
    }

    // ----- array joins --------------------------------------------------------------------

    fn array_joins(&mut self, select: &mut Select) -> Result<()> {
        loop {
            let side = usize::from(self.is(Keyword::Left) || self.is(Keyword::Inner));
            if !self.nth_is(side, Keyword::Array) || !self.nth_is(side + 1, Keyword::Join) {
                return Ok(());
            }
            if select.from.is_none() {
                return Err(SyntaxError::new("ARRAY JOIN needs a FROM clause", self.span()));
            }
            let left = self.is(Keyword::Left);
            for _ in 0..side + 2 {
                self.advance();
            }
            let mut items = vec![self.array_join_item()?];
            // A trailing comma is allowed.
            while self.eat(TokenKind::Comma) && self.begins_operand(0) {
                items.push(self.array_join_item()?);
            }
            select.array_joins.push(ArrayJoin { left, items });
        }
    }

    fn array_join_item(&mut self) -> Result<(Expr, Ident)> {
        let array = self.expr_without_alias()?;
        if self.is(Keyword::As) {
            self.advance();
            return Ok((array, self.alias_name()?));
        }
        if matches!(self.kind(), TokenKind::Name | TokenKind::Quoted) {
            return Err(self.unexpected("AS and a name"));
        }
        Err(SyntaxError::new("ARRAY JOIN without an alias is not supported", array.span)
            .hint("Name the element: ARRAY JOIN items AS item.")
            .kind(SyntaxErrorKind::Unsupported))
    }
}
