//! Whole queries: SELECT, VALUES, placeholders, parentheses and set operations.

use super::Parser;
use crate::ast::{ExprKind, Query, Select, SetKind, SetOperator, SetQuery, Values, With};
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::span::Span;
use crate::token::{Keyword, TokenKind};
use crate::{Dialect, Result};

/// Which trailing clause of the last bare SELECT of a set belongs to the whole set.
/// `a UNION ALL b LIMIT 5 OFFSET 3` limits `b` and offsets the set: whatever clause comes second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lifted {
    Nothing,
    Offset,
    Limit,
}

const EXCEPT: TokenKind = TokenKind::Keyword(Keyword::Except);

impl Parser<'_> {
    /// What a whole text can be.
    pub(super) fn top_level_query(&mut self) -> Result<Query> {
        match self.kind() {
            TokenKind::TagOpen => Ok(Query::Tag(Box::new(self.tag_operand()?))),
            TokenKind::Keyword(Keyword::Values) => {
                let start = self.span();
                let values = self.values_operand()?;
                self.query_rest(None, values, start)
            }
            TokenKind::Keyword(Keyword::Select | Keyword::With)
            | TokenKind::OpenParen
            | TokenKind::OpenBrace => self.query(),
            _ => Err(self.no_query()),
        }
    }

    /// Whether a query begins this many tokens further; `select` and `with` are also names.
    pub(super) fn begins_query(&self, distance: usize) -> bool {
        let is_values = self.dialect == Dialect::Postgres
            && self.nth_is(distance, Keyword::Values)
            && self.nth(distance + 1) == TokenKind::OpenParen;
        if !self.nth_is(distance, Keyword::Select) && !self.nth_is(distance, Keyword::With) {
            return is_values;
        }
        match self.nth(distance + 1) {
            TokenKind::Keyword(
                Keyword::And
                | Keyword::Or
                | Keyword::In
                | Keyword::Is
                | Keyword::Like
                | Keyword::ILike
                | Keyword::Between
                | Keyword::As,
            ) => false,
            TokenKind::Keyword(_) => true,
            _ => self.begins_operand(distance + 1),
        }
    }

    /// The same, or `(select 1) union all …`.
    pub(super) fn begins_query_or_set(&self, distance: usize) -> bool {
        match self.nth(distance) {
            TokenKind::OpenParen | TokenKind::OpenBrace => {
                self.nth_continues_query(self.past_bracket(distance))
            }
            _ => self.begins_query(distance),
        }
    }

    /// Whether what stands here can follow a complete query and make it a larger one.
    pub(super) fn continues_query(&self) -> bool {
        self.nth_continues_query(0)
    }

    pub(super) fn nth_continues_query(&self, distance: usize) -> bool {
        matches!(
            self.nth(distance),
            TokenKind::Keyword(
                Keyword::Union
                    | Keyword::Intersect
                    | Keyword::Except
                    | Keyword::Order
                    | Keyword::Limit
                    | Keyword::Offset
            )
        )
    }

    /// A query with its set operations and trailing clauses.
    pub(super) fn query(&mut self) -> Result<Query> {
        self.descend()?;
        let query = self.query_in_depth()?;
        self.ascend();
        Ok(query)
    }

    fn query_in_depth(&mut self) -> Result<Query> {
        let start = self.span();
        let with = match self.is(Keyword::With) {
            true => Some(self.with()?),
            false => None,
        };
        let bare = self.is(Keyword::Select);
        if with.is_some() && !bare && self.kind() != TokenKind::OpenParen {
            return Err(self.unexpected("SELECT"));
        }
        let first = self.query_operand()?;
        match (with, first) {
            (Some(with), Query::Select(mut select)) if bare && !self.at_set_operator() => {
                select.with = Some(with);
                select.span = self.span_from(start);
                Ok(Query::Select(select))
            }
            (None, Query::Select(select)) if bare && !self.at_set_operator() => {
                Ok(Query::Select(select))
            }
            (with, first) => self.query_rest(with, first, start),
        }
    }

    /// What may follow a first operand that is no bare SELECT, or is followed by a set operator.
    pub(super) fn query_rest(
        &mut self,
        with: Option<With>,
        first: Query,
        start: Span,
    ) -> Result<Query> {
        let mut set = SetQuery {
            with,
            first,
            rest: Vec::new(),
            order_by: Vec::new(),
            limit: None,
            offset: None,
            span: start,
        };
        let mut last_is_bare = false;
        while let Some(operator) = self.set_operator()? {
            last_is_bare = self.is(Keyword::Select) || self.is(Keyword::With);
            self.lifted = Lifted::Nothing;
            let operand = match self.is(Keyword::With) {
                true => self.select_with()?,
                false => self.query_operand()?,
            };
            set.rest.push((operator, operand));
        }
        if let Some((_, Query::Select(last))) = set.rest.last_mut().filter(|_| last_is_bare) {
            match self.lifted {
                _ if self.dialect == Dialect::Postgres => {
                    check_liftable(last)?;
                    set.order_by = std::mem::take(&mut last.order_by);
                    set.limit = last.limit.take();
                    set.offset = last.offset.take();
                }
                Lifted::Nothing => {}
                Lifted::Offset => set.offset = last.offset.take(),
                Lifted::Limit => set.limit = last.limit.take(),
            }
        } else {
            if self.eat_keywords(Keyword::Order, Keyword::By) {
                set.order_by = self.order_by_list()?;
            }
            (set.limit, set.offset) = self.limit_and_offset()?;
        }
        set.span = self.span_from(start);
        self.grow()?;
        let has_clauses = !set.order_by.is_empty() || set.limit.is_some() || set.offset.is_some();
        if set.with.is_none() && set.rest.is_empty() && !has_clauses {
            // Only parentheses around a query: they leave no trace.
            return Ok(set.first);
        }
        Ok(Query::Set(Box::new(set)))
    }

    /// `WITH … SELECT …` as a later operand of a set.
    fn select_with(&mut self) -> Result<Query> {
        let start = self.span();
        let with = self.with()?;
        let mut select = self.select()?;
        select.with = Some(with);
        select.span = self.span_from(start);
        Ok(Query::Select(select))
    }

    /// One operand of a set: `SELECT …`, `(query)`, `{placeholder}`.
    fn query_operand(&mut self) -> Result<Query> {
        match self.kind() {
            TokenKind::Keyword(Keyword::Select) => self.select().map(Query::Select),
            TokenKind::Keyword(Keyword::Values) if self.begins_query(0) => self.values_operand(),
            TokenKind::OpenParen => {
                self.advance();
                let is_values = self.is(Keyword::Values) && self.nth(1) == TokenKind::OpenParen;
                if is_values {
                    let query = self.top_level_query()?;
                    self.expect(TokenKind::CloseParen, "`)`")?;
                    return Ok(query);
                }
                if !matches!(self.kind(), TokenKind::OpenParen | TokenKind::OpenBrace)
                    && !self.begins_query(0)
                {
                    let error = self.unexpected("SELECT");
                    let after_except = self.at >= 2
                        && self.tokens[self.at - 2].kind == EXCEPT
                        && self.kind().is_name();
                    return Err(match after_except {
                        true => error.hint("To leave out columns, write EXCLUDE (…)."),
                        false => error,
                    });
                }
                let query = self.query()?;
                self.expect(TokenKind::CloseParen, "`)`")?;
                Ok(query)
            }
            TokenKind::OpenBrace => self.query_placeholder(),
            _ => Err(self.unexpected("SELECT")),
        }
    }

    fn query_placeholder(&mut self) -> Result<Query> {
        let operand = self.brace_operand()?;
        match operand.kind {
            ExprKind::Placeholder(expr) => Ok(Query::Placeholder(expr)),
            _ => Err(SyntaxError::new("a dictionary is not a query", operand.span)),
        }
    }

    fn at_set_operator(&self) -> bool {
        matches!(self.keyword(), Some(Keyword::Union | Keyword::Intersect | Keyword::Except))
    }

    /// `UNION [ALL|DISTINCT] [BY NAME]` and the like.
    fn set_operator(&mut self) -> Result<Option<SetOperator>> {
        let kind = match self.keyword() {
            Some(Keyword::Union) => SetKind::Union,
            Some(Keyword::Intersect) => SetKind::Intersect,
            Some(Keyword::Except) => SetKind::Except,
            _ => return Ok(None),
        };
        self.advance();
        let all = self.eat_keyword(Keyword::All);
        if !all {
            self.eat_keyword(Keyword::Distinct);
        }
        let by_name = self.eat_keywords(Keyword::By, Keyword::Name);
        Ok(Some(SetOperator { kind, all, by_name }))
    }

    /// `VALUES (1, 'a'), (2, 'b')`.
    pub(super) fn values(&mut self) -> Result<Query> {
        let start = self.span();
        self.advance();
        let mut rows = Vec::new();
        loop {
            let row_start = self.span();
            self.expect(TokenKind::OpenParen, "`(` and a row")?;
            let row = self.expr_list()?;
            self.expect(TokenKind::CloseParen, "`,` or `)`")?;
            let length = rows.first().map_or(row.len(), Vec::len);
            if row.len() != length {
                return Err(SyntaxError::new(
                    format!("a row of {} values after rows of {length}", row.len()),
                    self.span_from(row_start),
                ));
            }
            rows.push(row);
            if !self.eat(TokenKind::Comma) {
                break;
            }
        }
        self.grow()?;
        Ok(Query::Values(Box::new(Values { rows, span: self.span_from(start) })))
    }
}

/// In PostgreSQL's text what trails a set belongs to the whole of it. What HogQL adds to SELECT
/// has no such place.
fn check_liftable(last: &Select) -> Result<()> {
    let clause = match last {
        Select { limit_by: Some(_), .. } => "LIMIT BY",
        Select { interpolate: Some(_), .. } => "INTERPOLATE",
        Select { locks, .. } if !locks.is_empty() => "FOR UPDATE",
        _ => return Ok(()),
    };
    Err(SyntaxError::new(format!("{clause} cannot follow a set of queries"), last.span)
        .hint("Put the query it belongs to into parentheses.")
        .kind(SyntaxErrorKind::Unsupported))
}
