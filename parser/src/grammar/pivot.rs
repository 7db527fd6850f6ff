//! PIVOT and UNPIVOT of a source.

use super::Parser;
use super::expr::power;
use crate::Result;
use crate::ast::{Expr, Join, Pivot, SourceKind, Unpivot};
use crate::token::{Keyword, TokenKind};

impl Parser<'_> {
    pub(super) fn at_pivot(&self) -> bool {
        match self.keyword() {
            Some(Keyword::Pivot) => self.nth(1) == TokenKind::OpenParen,
            Some(Keyword::Unpivot) => {
                self.nth(1) == TokenKind::OpenParen || self.nth_is(1, Keyword::Include)
            }
            _ => false,
        }
    }

    /// What turns the source, with the current token at PIVOT or UNPIVOT.
    pub(super) fn pivot(&mut self, source: Join) -> Result<SourceKind> {
        self.grow()?;
        if self.eat_keyword(Keyword::Unpivot) {
            let include_nulls = self.eat_keywords(Keyword::Include, Keyword::Nulls);
            let columns = self.unpivot_columns()?;
            let unpivot = Unpivot { source, include_nulls, columns };
            return Ok(SourceKind::Unpivot(Box::new(unpivot)));
        }
        self.advance();
        self.expect(TokenKind::OpenParen, "`(`")?;
        let mut aggregates = vec![self.expr()?];
        while self.eat(TokenKind::Comma) {
            if self.is(Keyword::For) {
                break;
            }
            aggregates.push(self.expr()?);
        }
        self.expect_keyword(Keyword::For, "`,` or FOR")?;
        let mut columns = vec![self.pivot_column()?];
        while self.kind() != TokenKind::CloseParen && !self.is(Keyword::Group) {
            columns.push(self.pivot_column()?);
        }
        let group_by = match self.eat_keywords(Keyword::Group, Keyword::By) {
            true => self.expr_list()?,
            false => Vec::new(),
        };
        self.expect(TokenKind::CloseParen, "a column, GROUP BY or `)`")?;
        let pivot = Pivot { source, aggregates, columns, group_by };
        Ok(SourceKind::Pivot(Box::new(pivot)))
    }

    /// `column IN (values)`.
    fn pivot_column(&mut self) -> Result<(Expr, Vec<Expr>)> {
        // Tighter than IN, which belongs to PIVOT here.
        let column = self.expr_at(power::SUM)?;
        Ok((column, self.in_list()?))
    }

    /// `(value FOR name IN (columns), …)`.
    fn unpivot_columns(&mut self) -> Result<Vec<(Expr, Expr, Vec<Expr>)>> {
        self.expect(TokenKind::OpenParen, "`(`")?;
        let mut columns = Vec::new();
        loop {
            let value = self.expr_at(power::SUM)?;
            self.expect_keyword(Keyword::For, "FOR")?;
            let name = self.expr_at(power::SUM)?;
            columns.push((value, name, self.in_list()?));
            if !self.eat(TokenKind::Comma) || self.kind() == TokenKind::CloseParen {
                break;
            }
        }
        self.expect(TokenKind::CloseParen, "`,` or `)`")?;
        Ok(columns)
    }

    fn in_list(&mut self) -> Result<Vec<Expr>> {
        self.expect_keyword(Keyword::In, "IN")?;
        self.expect(TokenKind::OpenParen, "`(`")?;
        let items = self.expr_list()?;
        self.expect(TokenKind::CloseParen, "`,` or `)`")?;
        Ok(items)
    }
}
