//! Calls: arguments, parameters, and the clauses that may follow them.

use super::Parser;
use crate::Result;
use crate::ast::{Call, Expr, ExprKind, Ident, OrderBy, Over, Query};
use crate::token::{Keyword, TokenKind};

/// What stands between the parentheses of a call.
struct Args {
    distinct: bool,
    list: Vec<Expr>,
    order_by: Vec<OrderBy>,
}

impl Parser<'_> {
    /// `f(args)`, with the name consumed and the current token at the parenthesis.
    pub(super) fn call(&mut self, name: Ident) -> Result<Expr> {
        let args = self.args()?;
        self.call_rest(name, args)
    }

    /// The rest of `f(first, …)`, after the first argument.
    pub(super) fn call_after_first(&mut self, name: Ident, first: Expr) -> Result<Expr> {
        let args = self.args_rest(false, vec![first])?;
        self.call_rest(name, args)
    }

    /// The second parenthesis, if there is one, and the clauses after it.
    fn call_rest(&mut self, name: Ident, first: Args) -> Result<Expr> {
        let start = name.span;
        let is_plain = !first.distinct && first.order_by.is_empty();
        let (params, args) = match self.kind() {
            TokenKind::OpenParen if is_plain && !self.holds_bare_query() => {
                (Some(first.list), self.args()?)
            }
            _ => (None, first),
        };
        let mut call = Box::new(Call::new(self.function_name(name), args.list));
        self.complete_call(&mut call)?;
        call.params = params;
        call.distinct = args.distinct;
        call.order_by = args.order_by;
        let ignores_nulls = match self.kind() {
            TokenKind::Keyword(_) => self.call_clauses(&mut call)?,
            _ => false,
        };
        self.grow()?;
        let span = self.span_from(start);
        let call = Expr::new(ExprKind::Call(call), span);
        if !ignores_nulls {
            return self.meaning_of_call(call);
        }
        self.grow()?;
        Ok(Expr::new(ExprKind::IgnoreNulls(Box::new(call)), span))
    }

    /// `f(a)(select …)` calls what the call gives: parameters are followed by arguments.
    fn holds_bare_query(&self) -> bool {
        let ordered = matches!(self.nth(1), TokenKind::OpenParen | TokenKind::OpenBrace)
            && self.nth_is(self.past_bracket(1), Keyword::Order);
        !ordered && self.begins_query_or_set(1)
    }

    /// WITHIN GROUP, FILTER and OVER; whether IGNORE NULLS stands before OVER, which is SQL's
    /// order and means the same as after it.
    fn call_clauses(&mut self, call: &mut Call) -> Result<bool> {
        if self.eat_keyword(Keyword::Within) {
            self.expect_keyword(Keyword::Group, "GROUP")?;
            self.expect(TokenKind::OpenParen, "`(`")?;
            self.expect_keyword(Keyword::Order, "ORDER BY")?;
            self.expect_keyword(Keyword::By, "BY")?;
            call.within_group = self.order_by_list()?;
            self.expect(TokenKind::CloseParen, "`,` or `)`")?;
        }
        if self.is(Keyword::Filter) && self.nth(1) == TokenKind::OpenParen {
            self.advance();
            self.advance();
            self.expect_keyword(Keyword::Where, "WHERE")?;
            call.filter = Some(self.expr()?);
            self.expect(TokenKind::CloseParen, "`)`")?;
        }
        let ignores_nulls =
            self.nth_is(2, Keyword::Over) && self.eat_keywords(Keyword::Ignore, Keyword::Nulls);
        if self.eat_keyword(Keyword::Over) {
            call.over = Some(self.over()?);
        }
        Ok(ignores_nulls)
    }

    fn over(&mut self) -> Result<Over> {
        if self.kind() == TokenKind::OpenParen {
            return self.window_spec().map(Over::Spec);
        }
        self.ident("a window name or `(`").map(Over::Name)
    }

    /// `(DISTINCT a, b ORDER BY c)`, from the opening to the closing parenthesis.
    fn args(&mut self) -> Result<Args> {
        let outer = std::mem::replace(&mut self.percent_may_end, false);
        self.expect(TokenKind::OpenParen, "`(`")?;
        let distinct = self.is(Keyword::Distinct) && self.distinct_applies();
        if distinct {
            self.advance();
        } else if self.is(Keyword::Distinct) && self.lacks_args(1) {
            self.advance();
            return Err(self.unexpected("an expression"));
        }
        let mut list = Vec::new();
        if !distinct && self.begins_query(0) {
            list.push(self.query_arg()?);
        } else if self.kind() != TokenKind::CloseParen && !self.at_order_by() {
            list.push(self.first_arg()?);
        }
        let args = self.args_rest(distinct, list);
        self.percent_may_end = outer;
        args
    }

    /// Whether DISTINCT is followed by nothing it could be about.
    fn lacks_args(&self, distance: usize) -> bool {
        self.nth(distance) == TokenKind::CloseParen
            || (self.nth_is(distance, Keyword::Order) && self.nth_is(distance + 1, Keyword::By))
    }

    /// `f(select 1)`: a query without parentheses of its own is the only argument.
    fn query_arg(&mut self) -> Result<Expr> {
        let start = self.span();
        let query = self.query()?;
        if self.kind() != TokenKind::CloseParen {
            return Err(self.unexpected("`)`"));
        }
        Ok(self.subquery(query, start))
    }

    /// An argument, or `(select 1) union all (select 2)` as the only one.
    fn first_arg(&mut self) -> Result<Expr> {
        let end = self.at + self.past_bracket(0);
        let start = self.span();
        let first = self.expr()?;
        let is_whole = self.at == end && self.continues_query() && !self.at_order_by();
        let query = match first.kind {
            ExprKind::Subquery(query) if is_whole => *query,
            ExprKind::Placeholder(expr) if is_whole => Query::Placeholder(expr),
            kind => return Ok(Expr::new(kind, first.span)),
        };
        let query = self.query_rest(None, query, first.span)?;
        Ok(self.subquery(query, start))
    }

    /// What follows the arguments read so far, up to the closing parenthesis.
    fn args_rest(&mut self, distinct: bool, mut list: Vec<Expr>) -> Result<Args> {
        if !list.is_empty() {
            while self.eat(TokenKind::Comma) {
                // A trailing comma is allowed, also before ORDER BY.
                if self.kind() == TokenKind::CloseParen || self.at_order_by() {
                    break;
                }
                list.push(self.expr()?);
            }
        }
        let mut order_by = Vec::new();
        if self.at_order_by() {
            self.advance();
            self.advance();
            order_by = self.order_by_list()?;
        }
        self.expect(TokenKind::CloseParen, "`,` or `)`")?;
        Ok(Args { distinct, list, order_by })
    }

    /// Arguments without DISTINCT and ORDER BY.
    pub(super) fn plain_args(&mut self) -> Result<Vec<Expr>> {
        let start = self.span();
        let args = self.args()?;
        if args.distinct || !args.order_by.is_empty() {
            return Err(crate::SyntaxError::new(
                "DISTINCT and ORDER BY are for aggregate functions",
                self.span_from(start),
            ));
        }
        Ok(args.list)
    }

    fn at_order_by(&self) -> bool {
        self.is(Keyword::Order) && self.nth_is(1, Keyword::By)
    }

    /// Whether DISTINCT here says something about what follows, rather than being a name.
    pub(super) fn distinct_applies(&self) -> bool {
        match self.nth(1) {
            // `select distinct from t` lacks columns.
            TokenKind::Keyword(Keyword::From) => true,
            TokenKind::Dot => self.nth(2) == TokenKind::Integer,
            TokenKind::Keyword(Keyword::In | Keyword::Is) => false,
            _ => self.begins_operand(1),
        }
    }
}
