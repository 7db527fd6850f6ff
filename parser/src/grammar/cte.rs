//! WITH: common table expressions of all kinds.

use super::Parser;
use crate::Result;
use crate::ast::{Cte, CteBody, With};
use crate::token::{Keyword, TokenKind};

impl Parser<'_> {
    /// `WITH [RECURSIVE] …`, with the current token at WITH.
    pub(super) fn with(&mut self) -> Result<With> {
        self.advance();
        // `WITH recursive AS (…)` and `WITH recursive(a) AS (…)` name a query so.
        let recursive = self.is(Keyword::Recursive)
            && !self.is_table_cte()
            && (self.nth(1).is_name() || self.begins_operand_after_name(1))
            && !self.nth_is(1, Keyword::As);
        if recursive {
            self.advance();
        }
        let mut ctes = vec![self.cte()?];
        while self.eat(TokenKind::Comma) {
            if self.is(Keyword::Select) && self.begins_query(0) {
                break;
            }
            ctes.push(self.cte()?);
        }
        Ok(With { recursive, ctes })
    }

    fn cte(&mut self) -> Result<Cte> {
        if self.is_table_cte() {
            return self.table_cte();
        }
        let value = self.expr_without_alias()?;
        self.expect_keyword(Keyword::As, "AS and a name")?;
        if self.begins_query(0) {
            return Err(self.unexpected("`(`").hint("Put the query into parentheses."));
        }
        let name = self.ident("a name")?;
        Ok(Cte { name, body: CteBody::Scalar(value) })
    }

    /// `name [(columns)] [USING KEY (keys)] AS [[NOT] MATERIALIZED] (`.
    fn is_table_cte(&self) -> bool {
        if !self.kind().is_name() {
            return false;
        }
        let after_columns = match self.nth(1) {
            TokenKind::OpenParen => self.past_bracket(1),
            _ => 1,
        };
        if self.nth_is(after_columns, Keyword::Using)
            && self.nth_is(after_columns + 1, Keyword::Key)
        {
            return true;
        }
        self.nth_is(after_columns, Keyword::As)
            && match self.nth(after_columns + 1) {
                TokenKind::OpenParen | TokenKind::Keyword(Keyword::Materialized) => true,
                TokenKind::Keyword(Keyword::Not) => {
                    self.nth_is(after_columns + 2, Keyword::Materialized)
                }
                _ => false,
            }
    }

    fn table_cte(&mut self) -> Result<Cte> {
        let name = self.ident("a name")?;
        let columns = match self.kind() {
            TokenKind::OpenParen => self.paren_ident_list("a column name")?,
            _ => Vec::new(),
        };
        let key = match self.eat_keywords(Keyword::Using, Keyword::Key) {
            true => self.paren_ident_list("a column name")?,
            false => Vec::new(),
        };
        self.expect_keyword(Keyword::As, "AS")?;
        let materialized = if self.eat_keyword(Keyword::Materialized) {
            Some(true)
        } else if self.eat_keywords(Keyword::Not, Keyword::Materialized) {
            Some(false)
        } else {
            None
        };
        self.expect(TokenKind::OpenParen, "`(` and a query")?;
        if !matches!(self.kind(), TokenKind::OpenParen | TokenKind::OpenBrace)
            && !self.begins_query(0)
        {
            return Err(self
                .unexpected("SELECT")
                .hint("The name of a scalar comes last: WITH 1 AS one SELECT one."));
        }
        let query = self.query()?;
        self.expect(TokenKind::CloseParen, "`)`")?;
        Ok(Cte { name, body: CteBody::Table { columns, key, materialized, query } })
    }
}
