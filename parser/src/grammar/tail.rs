//! What ends a SELECT or a set: LIMIT, OFFSET, FETCH FIRST and row locks.

use super::Parser;
use super::expr::power;
use super::query::Lifted;
use crate::ast::{Expr, ExprKind, Limit, LimitBy, Literal, Lock, LockStrength, LockWait, Select};
use crate::error::SyntaxError;
use crate::token::{Keyword, TokenKind};
use crate::{Dialect, Result};

impl Parser<'_> {
    /// Limits and locks of a SELECT. PostgreSQL allows the locks on both sides of the limits.
    pub(super) fn tail(&mut self, select: &mut Select) -> Result<()> {
        self.locks(&mut select.locks)?;
        self.limits(select)?;
        self.locks(&mut select.locks)
    }

    /// `[LIMIT n … BY keys] [LIMIT n …] [OFFSET m]` of a SELECT.
    fn limits(&mut self, select: &mut Select) -> Result<()> {
        if self.is(Keyword::Limit) && !self.at_limit_all() {
            let start = self.span();
            self.advance();
            let (count, percent) = self.limit_count()?;
            let second = match self.eat(TokenKind::Comma) {
                true => Some(self.expr_without_alias()?),
                false => None,
            };
            let is_pair = second.is_some();
            let by_offset = match (is_pair, self.is(Keyword::Offset)) {
                (false, true) => Some(self.offset()?),
                _ => None,
            };
            if self.is(Keyword::By) {
                if percent {
                    return Err(SyntaxError::new("LIMIT BY takes no percentage", start));
                }
                self.advance();
                // Only here does the first number of a pair come before the count.
                let (count, offset) = match second {
                    Some(second) => (second, Some(count)),
                    None => (count, by_offset),
                };
                select.limit_by = Some(LimitBy { count, offset, keys: self.expr_list()? });
            } else {
                let with_ties = by_offset.is_none() && self.with_ties();
                self.lifted = if by_offset.is_some() { Lifted::Offset } else { Lifted::Nothing };
                select.limit = Some(Limit { count, percent, with_ties });
                select.offset = second.or(by_offset);
                return self.late_offset(select);
            }
        }
        let starts_with_offset = self.is(Keyword::Offset);
        (select.limit, select.offset) = self.limit_and_offset()?;
        self.lifted = match (&select.limit, &select.offset) {
            (Some(_), Some(_)) if starts_with_offset => Lifted::Limit,
            (Some(_), Some(_)) if !self.offset_was_pair => Lifted::Offset,
            _ => Lifted::Nothing,
        };
        Ok(())
    }

    /// `OFFSET m` after a LIMIT that was read already.
    fn late_offset(&mut self, select: &mut Select) -> Result<()> {
        if self.is(Keyword::Limit) || self.at_fetch() {
            return Err(SyntaxError::new("the limit is given twice", self.span()));
        }
        if !self.is(Keyword::Offset) {
            return Ok(());
        }
        if select.offset.is_some() {
            return Err(SyntaxError::new("the offset is given twice", self.span()));
        }
        select.offset = Some(self.offset()?);
        self.lifted = Lifted::Offset;
        Ok(())
    }

    /// `[LIMIT n [, m] [WITH TIES]] [OFFSET m]`, in either order.
    pub(super) fn limit_and_offset(&mut self) -> Result<(Option<Limit>, Option<Expr>)> {
        let (mut limit, mut offset) = (None, None);
        self.offset_was_pair = false;
        // `LIMIT ALL` counts as one, though it limits nothing.
        let mut limited = false;
        loop {
            let is_offset = self.is(Keyword::Offset);
            if !is_offset && !self.is(Keyword::Limit) && !self.at_fetch() {
                return Ok((limit, offset));
            }
            if if is_offset { offset.is_some() } else { limited } {
                let what = if is_offset { "offset" } else { "limit" };
                return Err(SyntaxError::new(format!("the {what} is given twice"), self.span()));
            }
            if is_offset {
                offset = Some(self.offset()?);
                continue;
            }
            limited = true;
            if self.at_limit_all() {
                self.advance();
                self.advance();
                continue;
            }
            if self.at_fetch() {
                limit = Some(self.fetch()?);
                continue;
            }
            self.advance();
            let (count, percent) = self.limit_count()?;
            if self.kind() == TokenKind::Comma && offset.is_none() {
                self.advance();
                offset = Some(self.expr_without_alias()?);
                self.offset_was_pair = true;
            }
            limit = Some(Limit { count, percent, with_ties: self.with_ties() });
        }
    }

    /// `OFFSET m [ROW|ROWS]`.
    fn offset(&mut self) -> Result<Expr> {
        self.advance();
        let offset = self.expr_without_alias()?;
        self.eat_rows();
        Ok(offset)
    }

    fn eat_rows(&mut self) -> bool {
        self.eat_keyword(Keyword::Row) || self.eat_keyword(Keyword::Rows)
    }

    /// PostgreSQL's word for no limit; in HogQL a column of that name.
    fn at_limit_all(&self) -> bool {
        self.dialect == Dialect::Postgres
            && self.is(Keyword::Limit)
            && self.nth_is(1, Keyword::All)
            && !self.is_function_word(1)
    }

    /// Whether FETCH FIRST begins here; `fetch` alone is a name.
    pub(super) fn at_fetch(&self) -> bool {
        self.nth_word(0, "fetch")
            && (self.nth_is(1, Keyword::First) || self.nth_word(1, "next"))
            && self.begins_operand(2)
    }

    /// `FETCH FIRST|NEXT [n] ROW|ROWS ONLY|WITH TIES`, which is LIMIT in the standard's words.
    fn fetch(&mut self) -> Result<Limit> {
        self.advance();
        let first = self.advance();
        let count = match self.eat_rows() {
            true => Expr::new(ExprKind::Literal(Literal::Int(1)), first.span),
            false => {
                let count = self.expr_at(power::NEGATION)?;
                if !self.eat_rows() {
                    return Err(self.unexpected("ROWS"));
                }
                count
            }
        };
        let with_ties = self.with_ties();
        if !with_ties && !self.eat_word("only") {
            return Err(self.unexpected("ONLY or WITH TIES"));
        }
        Ok(Limit { count, percent: false, with_ties })
    }

    /// The number after LIMIT, and whether a `%` follows it.
    fn limit_count(&mut self) -> Result<(Expr, bool)> {
        self.percent_may_end = true;
        let count = self.expr_without_alias()?;
        self.percent_may_end = false;
        Ok((count, self.eat(TokenKind::Percent)))
    }

    fn with_ties(&mut self) -> bool {
        self.eat_keywords(Keyword::With, Keyword::Ties)
    }

    // ----- locks --------------------------------------------------------------------------

    /// `FOR UPDATE`, `FOR SHARE` and their like, any number of them.
    fn locks(&mut self, locks: &mut Vec<Lock>) -> Result<()> {
        while self.is(Keyword::For)
            && let Some((strength, words)) = self.lock_strength()
        {
            let start = self.span();
            for _ in 0..=words {
                self.advance();
            }
            let of = match self.eat_word("of") {
                true => self.ident_list("a table")?,
                false => Vec::new(),
            };
            let wait = if self.eat_word("nowait") {
                Some(LockWait::NoWait)
            } else if self.nth_word(0, "skip") && self.nth_word(1, "locked") {
                self.advance();
                self.advance();
                Some(LockWait::SkipLocked)
            } else {
                None
            };
            locks.push(Lock { strength, of, wait, span: self.span_from(start) });
        }
        Ok(())
    }

    /// What follows FOR, and of how many words it is.
    fn lock_strength(&self) -> Option<(LockStrength, usize)> {
        if self.nth_word(1, "update") {
            return Some((LockStrength::Update, 1));
        }
        if self.nth_word(1, "share") {
            return Some((LockStrength::Share, 1));
        }
        if self.nth_is(1, Keyword::Key) && self.nth_word(2, "share") {
            return Some((LockStrength::KeyShare, 2));
        }
        let no_key = self.nth_word(1, "no") && self.nth_is(2, Keyword::Key);
        (no_key && self.nth_word(3, "update")).then_some((LockStrength::NoKeyUpdate, 3))
    }
}
