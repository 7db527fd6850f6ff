//! GROUP BY, WINDOW and ORDER BY.

use super::Parser;
use crate::ast::{Expr, Fill, GroupBy, GroupModifier, Ident, OrderBy, WindowSpec};
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::token::{Keyword, TokenKind};
use crate::{Dialect, Result};

/// A column of INTERPOLATE, with the expression that continues it.
type InterpolateItem = (Ident, Option<Expr>);

impl Parser<'_> {
    /// `a, b`, with a trailing comma allowed; at least one.
    pub(super) fn expr_list(&mut self) -> Result<Vec<Expr>> {
        let mut items = vec![self.expr()?];
        while self.eat(TokenKind::Comma) {
            if !self.begins_operand(0) {
                break;
            }
            items.push(self.expr()?);
        }
        Ok(items)
    }

    // ----- GROUP BY -----------------------------------------------------------------------

    pub(super) fn group_by(&mut self) -> Result<Option<GroupBy>> {
        if !self.is(Keyword::Group) {
            if self.is(Keyword::With) && self.group_suffix().is_some() {
                return Err(SyntaxError::new("WITH TOTALS needs a GROUP BY clause", self.span())
                    .kind(SyntaxErrorKind::Unsupported));
            }
            return Ok(None);
        }
        self.advance();
        self.expect_keyword(Keyword::By, "BY")?;
        let group_by = match self.keyword() {
            Some(Keyword::All) if self.ends_group(1) => {
                self.advance();
                GroupBy::All
            }
            Some(Keyword::Cube) if self.is_whole_group() => {
                self.advance();
                GroupBy::Cube(self.plain_args()?)
            }
            Some(Keyword::Rollup) if self.is_whole_group() => {
                self.advance();
                GroupBy::Rollup(self.plain_args()?)
            }
            Some(Keyword::Grouping) if self.nth_is(1, Keyword::Sets) => {
                self.advance();
                self.advance();
                GroupBy::Sets(self.grouping_sets()?)
            }
            _ => GroupBy::Keys { keys: self.expr_list()?, modifier: None, totals: false },
        };
        self.group_suffixes(group_by).map(Some)
    }

    /// Whether the keys end this many tokens further.
    fn ends_group(&self, distance: usize) -> bool {
        match self.nth(distance) {
            TokenKind::End | TokenKind::CloseParen | TokenKind::Semicolon => true,
            TokenKind::Keyword(keyword) => {
                keyword.begins_clause() || matches!(keyword, Keyword::With | Keyword::For)
            }
            _ => false,
        }
    }

    /// `CUBE(a, b)` on its own; followed by more keys it is a function.
    fn is_whole_group(&self) -> bool {
        self.nth(1) == TokenKind::OpenParen && self.ends_group(self.past_bracket(1))
    }

    fn grouping_sets(&mut self) -> Result<Vec<Vec<Expr>>> {
        self.expect(TokenKind::OpenParen, "`(`")?;
        let mut sets = Vec::new();
        loop {
            self.expect(TokenKind::OpenParen, "`(` and a grouping set")?;
            let set = match self.kind() {
                TokenKind::CloseParen => Vec::new(),
                _ => self.expr_list()?,
            };
            self.expect(TokenKind::CloseParen, "`,` or `)`")?;
            sets.push(set);
            if !self.eat(TokenKind::Comma) {
                break;
            }
        }
        self.expect(TokenKind::CloseParen, "`,` or `)`")?;
        Ok(sets)
    }

    fn group_suffix(&self) -> Option<Keyword> {
        match self.nth(1) {
            TokenKind::Keyword(word @ (Keyword::Cube | Keyword::Rollup | Keyword::Totals)) => {
                Some(word)
            }
            _ => None,
        }
    }

    /// `WITH CUBE`, `WITH ROLLUP`, `WITH TOTALS`.
    fn group_suffixes(&mut self, mut group_by: GroupBy) -> Result<GroupBy> {
        while self.is(Keyword::With)
            && let Some(word) = self.group_suffix()
        {
            let GroupBy::Keys { modifier, totals, .. } = &mut group_by else {
                return Err(SyntaxError::new(
                    "a suffix of GROUP BY is not supported after this form of it",
                    self.span(),
                )
                .kind(SyntaxErrorKind::Unsupported));
            };
            let repeated = match word {
                _ if *totals => true,
                Keyword::Totals => {
                    *totals = true;
                    false
                }
                Keyword::Cube => modifier.replace(GroupModifier::Cube).is_some(),
                _ => modifier.replace(GroupModifier::Rollup).is_some(),
            };
            if repeated {
                return Err(self.unexpected("the next clause"));
            }
            self.advance();
            self.advance();
        }
        Ok(group_by)
    }

    // ----- WINDOW -------------------------------------------------------------------------

    pub(super) fn window_list(&mut self) -> Result<Vec<(Ident, WindowSpec)>> {
        let mut windows = Vec::new();
        loop {
            let name = self.ident("a window name")?;
            self.expect_keyword(Keyword::As, "AS")?;
            windows.push((name, self.window_spec()?));
            if !self.eat(TokenKind::Comma) {
                return Ok(windows);
            }
        }
    }

    // ----- ORDER BY -----------------------------------------------------------------------

    pub(super) fn order_by_list(&mut self) -> Result<Vec<OrderBy>> {
        // Counted as a level of its own: an item is heavy on the stack.
        self.descend()?;
        let mut items = vec![self.order_by_item()?];
        while self.eat(TokenKind::Comma) {
            items.push(self.order_by_item()?);
        }
        self.ascend();
        Ok(items)
    }

    fn order_by_item(&mut self) -> Result<OrderBy> {
        let expr = self.expr()?;
        self.order_by_rest(expr)
    }

    /// `[ASC|DESC] [NULLS FIRST|LAST] [COLLATE 'x'] [WITH FILL …]`.
    fn order_by_rest(&mut self, expr: Expr) -> Result<OrderBy> {
        let descending = match self.keyword() {
            Some(Keyword::Asc | Keyword::Ascending) => {
                self.advance();
                false
            }
            Some(Keyword::Desc | Keyword::Descending) => {
                self.advance();
                true
            }
            _ => false,
        };
        // In PostgreSQL NULL is larger than every value.
        let mut nulls_first = (self.dialect == Dialect::Postgres && descending).then_some(true);
        if self.eat_keyword(Keyword::Nulls) {
            nulls_first = match self.keyword() {
                Some(Keyword::First) => Some(true),
                Some(Keyword::Last) => Some(false),
                _ => return Err(self.unexpected("FIRST or LAST")),
            };
            self.advance();
        }
        let collate = match self.eat_keyword(Keyword::Collate) {
            true => Some(self.string("a collation in single quotes")?),
            false => None,
        };
        let fill = match self.eat_keywords(Keyword::With, Keyword::Fill) {
            true => Some(self.fill()?),
            false => None,
        };
        Ok(OrderBy { expr, descending, nulls_first, collate, fill })
    }

    fn fill(&mut self) -> Result<Fill> {
        let mut bound = |keyword| match self.eat_keyword(keyword) {
            true => self.expr_without_alias().map(Some),
            false => Ok(None),
        };
        let (from, to) = (bound(Keyword::From)?, bound(Keyword::To)?);
        Ok(Fill { from, to, step: bound(Keyword::Step)? })
    }

    /// `INTERPOLATE`, `INTERPOLATE (c, d AS e)`.
    pub(super) fn interpolate(&mut self) -> Result<Option<Vec<InterpolateItem>>> {
        if !self.eat_keyword(Keyword::Interpolate) {
            return Ok(None);
        }
        let mut columns = Vec::new();
        if !self.eat(TokenKind::OpenParen) {
            return Ok(Some(columns));
        }
        loop {
            let name = self.ident("a column name")?;
            let value = match self.eat_keyword(Keyword::As) {
                true => Some(self.expr()?),
                false => None,
            };
            columns.push((name, value));
            if !self.eat(TokenKind::Comma) {
                break;
            }
        }
        self.expect(TokenKind::CloseParen, "`,` or `)`")?;
        Ok(Some(columns))
    }
}
