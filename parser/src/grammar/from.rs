//! FROM: sources, aliases, samples and joins.

use super::Parser;
use crate::ast::{
    BinaryOp, Expr, ExprKind, Ident, Join, JoinConstraint, JoinKind, JoinStrictness, Literal,
    Query, Sample, Source, SourceKind,
};
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::span::Span;
use crate::token::{Keyword, TokenKind};
use crate::{Dialect, Result};

/// The words between two sources.
#[derive(Clone, Copy)]
struct JoinOp {
    kind: JoinKind,
    strictness: Option<JoinStrictness>,
    natural: bool,
    tokens: usize,
}

/// A join whose left side is not known yet: ON attaches to the last one that has none.
struct OpenJoin {
    op: JoinOp,
    right: Join,
    constraint: Option<JoinConstraint>,
    start: Span,
    end: Span,
}

/// What a parenthesis in FROM holds.
enum Inside {
    Query(Query),
    Join(Join),
}

impl Parser<'_> {
    /// Sources and joins, up to the next clause.
    pub(super) fn join_tree(&mut self) -> Result<Join> {
        let start = self.span();
        let first = self.source()?;
        self.joins(first, start)
    }

    /// The joins that follow a first source.
    fn joins(&mut self, first: Join, start: Span) -> Result<Join> {
        let mut open: Vec<OpenJoin> = Vec::new();
        loop {
            if let Some(op) = self.peek_join()? {
                for _ in 0..op.tokens {
                    self.advance();
                }
                let right_start = self.span();
                let right = self.source()?;
                let end = self.previous_span();
                open.push(OpenJoin { op, right, constraint: None, start: right_start, end });
                self.grow()?;
            } else if self.is(Keyword::On) || self.at_using() {
                self.attach_constraint(&mut open)?;
            } else {
                break;
            }
        }
        Ok(fold(first, start, open))
    }

    fn at_using(&self) -> bool {
        self.is(Keyword::Using) && !(self.nth_is(1, Keyword::Sample) && self.nth(2).is_number())
    }

    /// Gives a condition to the innermost join without one: `a JOIN b JOIN c ON 1 ON 2` is
    /// `a JOIN (b JOIN c ON 1) ON 2`.
    fn attach_constraint(&mut self, open: &mut Vec<OpenJoin>) -> Result<()> {
        let takes = |join: &OpenJoin| join.constraint.is_none() && join.op.kind != JoinKind::Cross;
        let Some(target) = open.iter().rposition(takes) else {
            return Err(self.unexpected("a join before its condition"));
        };
        // Joins without a condition in between would have to be complete already.
        if open[target + 1..]
            .iter()
            .any(|join| join.constraint.is_none() && join.op.kind != JoinKind::Cross)
        {
            return Err(self.unexpected("the next clause"));
        }
        let constraint = self.constraint()?;
        let end = self.previous_span();
        let inner: Vec<OpenJoin> = open.drain(target + 1..).collect();
        if let Some(join) = open.last_mut() {
            let right = std::mem::replace(&mut join.right, placeholder_join());
            join.right = fold(right, join.start, inner);
            join.constraint = Some(constraint);
            join.end = end;
        }
        Ok(())
    }

    fn constraint(&mut self) -> Result<JoinConstraint> {
        if self.eat_keyword(Keyword::Using) {
            let names = match self.kind() {
                TokenKind::OpenParen => self.paren_ident_list("a column name")?,
                _ => self.ident_list("a column name")?,
            };
            return Ok(JoinConstraint::Using(names));
        }
        self.advance();
        let condition = self.expr()?;
        if self.kind() == TokenKind::Comma {
            return Err(SyntaxError::new(
                "a join condition of several expressions is not supported",
                self.span(),
            )
            .hint("Join conditions with AND; for one more table write CROSS JOIN.")
            .kind(SyntaxErrorKind::Unsupported));
        }
        Ok(JoinConstraint::On(condition))
    }

    /// The join that begins here. Its words come in any order before JOIN.
    fn peek_join(&self) -> Result<Option<JoinOp>> {
        if self.kind() == TokenKind::Comma {
            let op = JoinOp { kind: JoinKind::Cross, strictness: None, natural: false, tokens: 1 };
            return Ok(Some(op));
        }
        let (mut side, mut strictness, mut natural, mut outer) = (None, None, false, false);
        let mut distance = 0;
        let mut twice = false;
        loop {
            let TokenKind::Keyword(word) = self.nth(distance) else { return Ok(None) };
            let mut set_side = |kind| twice |= side.replace(kind).is_some();
            match word {
                Keyword::Join => break,
                Keyword::Inner => set_side(JoinKind::Inner),
                Keyword::Left => set_side(JoinKind::Left),
                Keyword::Right => set_side(JoinKind::Right),
                Keyword::Full => set_side(JoinKind::Full),
                Keyword::Cross => set_side(JoinKind::Cross),
                Keyword::Positional => set_side(JoinKind::Positional),
                Keyword::Natural => twice |= std::mem::replace(&mut natural, true),
                Keyword::Outer => twice |= std::mem::replace(&mut outer, true),
                Keyword::Any | Keyword::All | Keyword::Asof | Keyword::Semi | Keyword::Anti => {
                    match add_strictness(strictness, word) {
                        Some(both) => strictness = Some(both),
                        None => twice = true,
                    }
                }
                _ => return Ok(None),
            }
            distance += 1;
        }
        let kind = side.unwrap_or(JoinKind::Inner);
        let is_plain = matches!(kind, JoinKind::Cross | JoinKind::Positional);
        let is_outer = matches!(kind, JoinKind::Left | JoinKind::Right | JoinKind::Full);
        if twice || (outer && !is_outer) || (is_plain && (natural || strictness.is_some())) {
            let span = self.span().to(self.tokens[self.at + distance].span);
            return Err(SyntaxError::new("these words do not make a join", span)
                .expected("INNER, LEFT, RIGHT, FULL or CROSS JOIN")
                .hint("ANY, ALL, SEMI, ANTI and ASOF may stand with a side."));
        }
        Ok(Some(JoinOp { kind, strictness, natural, tokens: distance + 1 }))
    }

    // ----- sources ------------------------------------------------------------------------

    /// One source with its alias, sample and pivots.
    fn source(&mut self) -> Result<Join> {
        self.descend()?;
        let start = self.span();
        let lateral = self.lateral();
        let kind = match self.kind() {
            TokenKind::OpenParen => match self.paren_source()? {
                Inside::Query(query) => source_of(query),
                Inside::Join(_) if lateral => return Err(self.unexpected("a query")),
                Inside::Join(join) if self.at_pivot() => self.pivot(join)?,
                Inside::Join(join) => {
                    self.ascend();
                    return self.no_alias(join);
                }
            },
            TokenKind::OpenBrace => self.source_placeholder()?,
            TokenKind::TagOpen => SourceKind::Tag(self.tag()?),
            kind if kind.is_name() && self.begins_source_name() => {
                self.skip_only();
                self.table()?
            }
            _ => return Err(self.unexpected("a table")),
        };
        self.ascend();
        let lateral = lateral && matches!(kind, SourceKind::Query(_));
        self.source_rest(kind, lateral, start)
    }

    /// What follows a source: alias, sample, pivots with aliases of their own.
    fn source_rest(&mut self, kind: SourceKind, lateral: bool, start: Span) -> Result<Join> {
        let mut source = Source::new(kind, start);
        source.lateral = lateral;
        loop {
            source.ordinality = self.ordinality(&source)?;
            source.as_of = self.as_of(&source)?;
            self.source_alias(&mut source)?;
            if self.is(Keyword::Final) {
                return Err(SyntaxError::new("FINAL is not supported", self.span())
                    .hint("Leave it out: tables are read in their merged state.")
                    .kind(SyntaxErrorKind::Unsupported));
            }
            if self.is(Keyword::Sample) {
                source.sample = Some(self.sample()?);
            } else if self.at_tablesample() {
                source.sample = Some(self.tablesample()?);
            }
            self.name_values(&mut source);
            source.span = self.span_from(start);
            self.grow()?;
            if !self.at_pivot() {
                return Ok(Join::Source(Box::new(source)));
            }
            let kind = self.pivot(Join::Source(Box::new(source)))?;
            source = Source::new(kind, start);
        }
    }

    /// LATERAL before a query or a function. Before a function HogQL reads a table of that name
    /// with an alias, as in `lateral f(a)`, wherever that is possible.
    fn lateral(&mut self) -> bool {
        let function = self.nth(1).is_name() && self.nth(2) == TokenKind::OpenParen;
        let found = self.nth_word(0, "lateral")
            && match self.nth(1) {
                TokenKind::OpenParen => self.holds_query(2) || self.holds_values(2),
                _ => function && (self.dialect == Dialect::Postgres || !self.is_name_list(2)),
            };
        if found {
            self.advance();
        }
        found
    }

    fn holds_values(&self, distance: usize) -> bool {
        self.nth_is(distance, Keyword::Values) && self.nth(distance + 1) == TokenKind::OpenParen
    }

    /// Whether what begins this many tokens further, inside a parenthesis, is a query: `select …`,
    /// `(select …) union …`, `{a} union …`, but not `{a}`.
    fn holds_query(&self, distance: usize) -> bool {
        let inner = (distance..).find(|at| self.nth(*at) != TokenKind::OpenParen);
        inner.is_some_and(|at| match self.nth(at) {
            TokenKind::OpenBrace => {
                let after = (self.past_bracket(at)..)
                    .find(|at| self.nth(*at) != TokenKind::CloseParen)
                    .unwrap_or_default();
                after < self.past_bracket(distance - 1) && self.nth_continues_query(after)
            }
            _ => self.begins_query(at),
        })
    }

    /// Whether `(a, b)` stands this many tokens further.
    pub(super) fn is_name_list(&self, distance: usize) -> bool {
        let inside = distance + 1..self.past_bracket(distance).saturating_sub(1);
        inside.enumerate().all(|(at, distance)| match self.nth(distance) {
            TokenKind::Comma => at % 2 == 1,
            kind => at % 2 == 0 && kind.is_name(),
        })
    }

    /// `WITH ORDINALITY` after a function.
    fn ordinality(&mut self, source: &Source) -> Result<bool> {
        if !self.is(Keyword::With) || !self.nth_word(1, "ordinality") {
            return Ok(false);
        }
        if !matches!(source.kind, SourceKind::Function(..)) {
            return Err(self.unexpected("a table function before WITH ORDINALITY"));
        }
        self.advance();
        self.advance();
        Ok(true)
    }

    /// `AS OF TIMESTAMP 'time'` after a table.
    fn as_of(&mut self, source: &Source) -> Result<Option<Box<Expr>>> {
        let words = ["AS", "OF", "TIMESTAMP"].into_iter().enumerate();
        let is_time = words.fold(true, |is, (at, word)| is && self.nth_word(at, word))
            && self.nth(3) == TokenKind::String;
        if !is_time {
            return Ok(None);
        }
        if !matches!(source.kind, SourceKind::Table(_)) {
            return Err(self.unexpected("a table before AS OF"));
        }
        for _ in 0..3 {
            self.advance();
        }
        let span = self.span();
        let time = Literal::String(self.string("a time")?);
        Ok(Some(Box::new(Expr::new(ExprKind::Literal(time), span))))
    }

    pub(super) fn source_alias(&mut self, source: &mut Source) -> Result<()> {
        let has_alias = match self.kind() {
            TokenKind::Name if self.at_fetch() || self.at_tablesample() => false,
            TokenKind::Name | TokenKind::Quoted => true,
            TokenKind::Keyword(Keyword::As) => {
                self.advance();
                true
            }
            TokenKind::Keyword(keyword) => keyword.is_table_alias(),
            _ => false,
        };
        if has_alias {
            if self.kind() == TokenKind::String {
                return Err(self.unexpected("a name"));
            }
            source.alias = Some(self.alias_name()?);
            if self.kind() == TokenKind::OpenParen {
                source.columns = self.paren_ident_list("a column name")?;
            }
        }
        Ok(())
    }

    /// A join in parentheses has no name of its own.
    fn no_alias(&self, join: Join) -> Result<Join> {
        if self.is(Keyword::As) || matches!(self.kind(), TokenKind::Name | TokenKind::Quoted) {
            return Err(self
                .unexpected("a join or the next clause")
                .hint("Name the tables inside the parentheses, or select from them."));
        }
        Ok(join)
    }

    /// Whether the keyword here is a table of that name.
    fn begins_source_name(&self) -> bool {
        match self.kind() {
            TokenKind::Keyword(Keyword::Select) => !self.begins_query(0),
            TokenKind::Keyword(word) if word.begins_clause() => {
                self.nth(1) != TokenKind::OpenParen && self.begins_operand(0)
            }
            _ => true,
        }
    }

    /// `events`, `stripe.prod.charge`, `numbers(10)`.
    fn table(&mut self) -> Result<SourceKind> {
        let mut parts = self.dotted_name("a table")?;
        if self.kind() != TokenKind::OpenParen {
            return Ok(SourceKind::Table(parts));
        }
        let mut name = match parts.pop() {
            Some(name) if parts.is_empty() => name,
            Some(name) if self.is_catalog(&parts) => name,
            _ => return Err(self.unexpected("an alias, a join or the next clause")),
        };
        if self.begins_query(1) {
            self.advance();
            return Err(self
                .unexpected("an expression")
                .hint("Put the query into parentheses of its own."));
        }
        if self.dialect == Dialect::Postgres {
            name.name.make_ascii_lowercase();
        }
        Ok(SourceKind::Function(name, self.plain_args()?))
    }

    fn source_placeholder(&mut self) -> Result<SourceKind> {
        let operand = self.brace_operand()?;
        match operand.kind {
            ExprKind::Placeholder(expr) => Ok(SourceKind::Placeholder(*expr)),
            _ => Err(SyntaxError::new("a dictionary is not a table", operand.span)),
        }
    }

    /// `(select …)`, `(VALUES …)`, `(a JOIN b)`, and more parentheses around them.
    fn paren_source(&mut self) -> Result<Inside> {
        self.descend()?;
        self.advance();
        let start = self.span();
        let inside = match self.kind() {
            TokenKind::Keyword(Keyword::Values) if self.nth(1) == TokenKind::OpenParen => {
                Inside::Query(self.values()?)
            }
            _ if self.begins_query(0) => Inside::Query(self.query()?),
            TokenKind::OpenParen => {
                let inner = self.paren_source()?;
                self.after_inner(inner, start)?
            }
            TokenKind::OpenBrace => {
                let kind = self.source_placeholder()?;
                match kind {
                    SourceKind::Placeholder(expr) if self.kind() == TokenKind::CloseParen => {
                        Inside::Query(Query::Placeholder(Box::new(expr)))
                    }
                    SourceKind::Placeholder(expr) if self.continues_query() => {
                        let first = Query::Placeholder(Box::new(expr));
                        Inside::Query(self.query_rest(None, first, start)?)
                    }
                    kind => {
                        let first = self.source_rest(kind, false, start)?;
                        Inside::Join(self.joins(first, start)?)
                    }
                }
            }
            _ => Inside::Join(self.join_tree()?),
        };
        self.expect(TokenKind::CloseParen, "`)`")?;
        self.ascend();
        Ok(inside)
    }

    /// What a parenthesis begins after which more follows inside the outer one.
    fn after_inner(&mut self, inner: Inside, start: Span) -> Result<Inside> {
        match inner {
            Inside::Query(query) if self.kind() == TokenKind::CloseParen => {
                Ok(Inside::Query(query))
            }
            Inside::Query(query) if self.continues_query() => {
                self.query_rest(None, query, start).map(Inside::Query)
            }
            Inside::Query(query) => {
                let first = self.source_rest(source_of(query), false, start)?;
                self.joins(first, start).map(Inside::Join)
            }
            Inside::Join(join) => {
                let first = if self.at_pivot() {
                    let kind = self.pivot(join)?;
                    self.source_rest(kind, false, start)?
                } else {
                    self.no_alias(join)?
                };
                self.joins(first, start).map(Inside::Join)
            }
        }
    }

    // ----- samples ------------------------------------------------------------------------

    /// `SAMPLE 1/10 [OFFSET 1/2]`, `SAMPLE 10%`.
    fn sample(&mut self) -> Result<Sample> {
        self.advance();
        let ratio = self.sample_ratio()?;
        let percent = self.eat(TokenKind::Percent);
        if self.kind() == TokenKind::OpenParen {
            return Err(SyntaxError::new("a sampling method is not supported", self.span())
                .hint("Leave it out: SAMPLE keeps whole users, chosen by a hash of their id.")
                .kind(SyntaxErrorKind::Unsupported));
        }
        let offset = match self.eat_keyword(Keyword::Offset) {
            true => Some(self.sample_ratio()?),
            false => None,
        };
        Ok(Sample { ratio, percent, offset })
    }

    fn sample_ratio(&mut self) -> Result<Expr> {
        let start = self.span();
        if self.kind() == TokenKind::OpenBrace {
            let placeholder = self.brace_operand()?;
            return match placeholder.kind {
                ExprKind::Placeholder(_) => Ok(placeholder),
                _ => Err(SyntaxError::new("a dictionary is not a ratio", placeholder.span)),
            };
        }
        let numerator = match self.kind() {
            TokenKind::Minus | TokenKind::Plus if self.begins_number(1) => self.signed_number()?,
            _ if self.begins_number(0) => self.number(start, false)?,
            _ => return Err(self.unexpected("a ratio such as 0.1 or 1/10")),
        };
        if !self.eat(TokenKind::Slash) {
            return Ok(numerator);
        }
        let denominator_start = self.span();
        if !self.begins_number(0) {
            return Err(self.unexpected("a number"));
        }
        let denominator = self.number(denominator_start, false)?;
        let kind = ExprKind::Binary(Box::new(numerator), BinaryOp::Divide, Box::new(denominator));
        self.grow()?;
        Ok(Expr::new(kind, self.span_from(start)))
    }
}

/// A query in parentheses as a source; a placeholder in them is no other than one without.
fn source_of(query: Query) -> SourceKind {
    match query {
        Query::Placeholder(expr) => SourceKind::Placeholder(*expr),
        query => SourceKind::Query(query),
    }
}

/// Both words together, if they can be.
fn add_strictness(first: Option<JoinStrictness>, word: Keyword) -> Option<JoinStrictness> {
    use JoinStrictness::*;
    Some(match (first, word) {
        (None, Keyword::Any) => Any,
        (None, Keyword::All) => All,
        (None, Keyword::Asof) => Asof,
        (None, Keyword::Semi) => Semi,
        (None, Keyword::Anti) => Anti,
        (Some(Asof), Keyword::Semi) | (Some(Semi), Keyword::Asof) => AsofSemi,
        (Some(Asof), Keyword::Anti) | (Some(Anti), Keyword::Asof) => AsofAnti,
        _ => return None,
    })
}

/// Joins associate to the left.
fn fold(first: Join, start: Span, joins: Vec<OpenJoin>) -> Join {
    joins.into_iter().fold(first, |left, join| Join::Join {
        left: Box::new(left),
        kind: join.op.kind,
        strictness: join.op.strictness,
        natural: join.op.natural,
        right: Box::new(join.right),
        constraint: join.constraint,
        span: start.to(join.end),
    })
}

/// Stands in for a join while it is being rebuilt.
fn placeholder_join() -> Join {
    let kind = SourceKind::Table(vec![Ident::new("", Span::default())]);
    Join::Source(Box::new(Source::new(kind, Span::default())))
}
