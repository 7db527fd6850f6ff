//! Forms that begin with a word of the grammar: CASE, CAST, INTERVAL, NOT and their like. Each is
//! taken only where what follows fits; otherwise the word is an ordinary name.

use super::Parser;
use super::expr::power;
use super::postgres::call;
use crate::ast::{Columns, Expr, ExprKind, Literal};
use crate::display::begins_with_paren;
use crate::token::{Keyword, TokenKind};
use crate::{Dialect, Result};

/// A production that begins at the current token.
pub(super) type Production<P> = fn(&mut P) -> Result<Expr>;

/// How the operand that a keyword begins goes on.
pub(super) enum SpecialForm<P> {
    /// An operand that can have postfix forms.
    Operand(Production<P>),
    /// An operator before its operand.
    Prefix(Production<P>),
    /// `lambda x: e`, whose body depends on what surrounds it.
    Lambda,
}

impl Parser<'_> {
    /// The form that this keyword begins here, if it begins one. Only looks ahead; a function is
    /// returned rather than a result so that the recursion through here stays light.
    pub(super) fn special_form(&self, keyword: Keyword) -> Option<SpecialForm<Self>> {
        let next = self.nth(1);
        let is_call = next == TokenKind::OpenParen;
        let is_text = next == TokenKind::String;
        let operand: Production<Self> = match keyword {
            Keyword::Null => Self::null,
            Keyword::Inf | Keyword::Infinity | Keyword::NaN => Self::unsigned_number,
            // `NOT (a) = b` is `(NOT a) = b`: before a parenthesis the word is a function.
            Keyword::Not
                if is_call
                    && self.dialect == Dialect::Hogql
                    && !self.begins_query_or_set(2)
                    && self.nth(self.past_bracket(1)) != TokenKind::Arrow =>
            {
                return None;
            }
            Keyword::Not if self.negates(1) => return Some(SpecialForm::Prefix(Self::not_prefix)),
            Keyword::Case if self.tokens[self.at].link > 0 => Self::case,
            Keyword::Cast if is_call => Self::cast,
            Keyword::TryCast if is_call => Self::cast,
            // Without a unit, `interval 1 days` is nothing else either: the error names the units.
            Keyword::Interval if is_text || next.is_number() || self.is_interval() => {
                Self::interval
            }
            Keyword::Date if is_text => Self::type_literal,
            Keyword::Timestamp if is_text => Self::timestamp_literal,
            Keyword::Substring if is_call => Self::substring,
            Keyword::Trim if is_call => Self::trim,
            Keyword::Extract
                if is_call
                    && self.nth(2) != TokenKind::CloseParen
                    && self.nth_is(3, Keyword::From) =>
            {
                Self::extract
            }
            Keyword::Array if next == TokenKind::OpenBracket => Self::array_word,
            Keyword::Columns if is_call && self.nth(2) != TokenKind::CloseParen => Self::columns,
            Keyword::Lambda if next.is_name() && self.is_lambda_word() => {
                return Some(SpecialForm::Lambda);
            }
            _ => return None,
        };
        Some(SpecialForm::Operand(operand))
    }

    fn null(&mut self) -> Result<Expr> {
        Ok(Expr::new(ExprKind::Literal(Literal::Null), self.advance().span))
    }

    pub(super) fn unsigned_number(&mut self) -> Result<Expr> {
        self.number(self.span(), false)
    }

    fn timestamp_literal(&mut self) -> Result<Expr> {
        self.typed_literal("toDateTime")
    }

    // ----- NOT ----------------------------------------------------------------------------

    /// Whether NOT before this token negates, rather than being a name itself.
    fn negates(&self, distance: usize) -> bool {
        use Keyword::{Asc, Ascending, Desc, Descending, Else, End, Final, Not, Then, When};
        match self.nth(distance) {
            TokenKind::Keyword(Not | Asc | Ascending | Desc | Descending | Final) => true,
            TokenKind::Keyword(When | Then | Else | End) => false,
            TokenKind::Keyword(word) if word.follows_operand() => {
                self.is_function_word(distance) || self.ends_list(distance + 1)
            }
            _ => self.begins_operand(distance),
        }
    }

    /// Whether nothing of an expression can stand there.
    fn ends_list(&self, distance: usize) -> bool {
        use TokenKind as T;
        matches!(
            self.nth(distance),
            T::End | T::Semicolon | T::Comma | T::CloseParen | T::CloseBracket | T::CloseBrace
        )
    }

    fn not_prefix(&mut self) -> Result<Expr> {
        let start = self.span();
        let before_paren = self.nth(1) == TokenKind::OpenParen && !self.begins_query_or_set(2);
        self.advance();
        let operand = self.expr_at(power::NOT)?;
        self.grow()?;
        // The tree of `NOT (a) = b` in PostgreSQL's text, and of `NOT a IS NULL - b`, has no text
        // of its own in HogQL; the function means the same.
        let kind = match before_paren || begins_with_paren(&operand) {
            true => call("not", vec![operand], start),
            false => ExprKind::Not(Box::new(operand)),
        };
        Ok(Expr::new(kind, self.span_from(start)))
    }

    // ----- CASE ---------------------------------------------------------------------------

    fn case(&mut self) -> Result<Expr> {
        let start = self.span();
        self.advance();
        let operand = match self.is(Keyword::When) {
            true => None,
            false => Some(Box::new(self.expr()?)),
        };
        let mut branches = Vec::new();
        while self.eat_keyword(Keyword::When) {
            let condition = self.expr()?;
            self.expect_keyword(Keyword::Then, "THEN")?;
            branches.push((condition, self.expr()?));
        }
        if branches.is_empty() {
            return Err(self.unexpected("WHEN"));
        }
        let otherwise = match self.eat_keyword(Keyword::Else) {
            true => Some(Box::new(self.expr()?)),
            false => None,
        };
        if !self.is(Keyword::End) {
            let expected = if otherwise.is_some() { "END" } else { "WHEN, ELSE or END" };
            return Err(self.unexpected(expected));
        }
        self.advance();
        self.grow()?;
        let kind = ExprKind::Case { operand, branches, otherwise };
        Ok(Expr::new(kind, self.span_from(start)))
    }

    // ----- CAST and INTERVAL --------------------------------------------------------------

    /// `CAST(e AS T)`, `TRY_CAST(e AS T)`, or a call of a function by that name.
    fn cast(&mut self) -> Result<Expr> {
        let start = self.span();
        let safe = self.is(Keyword::TryCast);
        if self.nth(2) == TokenKind::CloseParen {
            let token = self.advance();
            let name = self.ident_of(token)?;
            return self.call(name);
        }
        let word = self.advance();
        self.advance();
        let expr = Box::new(self.expr_without_alias()?);
        if !self.eat_keyword(Keyword::As) {
            let name = self.ident_of(word)?;
            return self.call_after_first(name, *expr);
        }
        let target = self.type_name()?;
        self.expect(TokenKind::CloseParen, "`)`")?;
        self.grow()?;
        let kind = ExprKind::Cast { expr, target, safe };
        Ok(Expr::new(kind, self.span_from(start)))
    }

    /// `INTERVAL e UNIT`, `INTERVAL '5 minutes'`.
    fn interval(&mut self) -> Result<Expr> {
        let start = self.span();
        // A text without a unit after it holds its own; everything else is an expression.
        let is_text = !self.is_interval() && matches!(self.nth(1), TokenKind::String);
        self.advance();
        let kind = if is_text {
            let span = self.span();
            let text = self.string("an interval")?;
            self.interval_text(&text, span)?
        } else {
            let value = Box::new(self.expr_without_alias()?);
            ExprKind::Interval { value, unit: self.interval_unit()? }
        };
        self.grow()?;
        Ok(Expr::new(kind, self.span_from(start)))
    }

    // ----- COLUMNS and LAMBDA -------------------------------------------------------------

    /// `COLUMNS('regex')`, `COLUMNS(a, b)`, `COLUMNS(* EXCLUDE (a))`.
    pub(super) fn columns(&mut self) -> Result<Expr> {
        let start = self.span();
        self.advance();
        let items = self.plain_args()?;
        let columns = match items.as_slice() {
            [Expr { kind: ExprKind::Literal(Literal::String(regex)), .. }] => {
                Columns::Regex(regex.clone())
            }
            [Expr { kind: ExprKind::Star(star), .. }] => Columns::Star(star.clone()),
            _ => Columns::List(items),
        };
        self.grow()?;
        Ok(Expr::new(ExprKind::Columns(Box::new(columns)), self.span_from(start)))
    }

    /// Whether parameters and a colon follow: `lambda x, y: e`, but not `select lambda x, y`.
    /// No name in the list can begin another such list, so looking this far stays linear.
    fn is_lambda_word(&self) -> bool {
        let mut distance = 1;
        while self.nth(distance).is_name() && self.nth(distance + 1) == TokenKind::Comma {
            distance += 2;
        }
        self.nth(distance + usize::from(self.nth(distance).is_name())) == TokenKind::Colon
    }

    /// `lambda x, y: e`.
    pub(super) fn lambda_word(&mut self, min: u8) -> Result<Expr> {
        let start = self.span();
        self.advance();
        let params = self.parameters(TokenKind::Colon)?;
        self.expect(TokenKind::Colon, "`,` or `:`")?;
        self.lambda_of(params, min, start)
    }
}
