//! PostgreSQL's operators, as the calls and nodes they abbreviate.
//!
//! The tree has no forms of its own for them, so that everything after the grammar knows one
//! language, and the printed text is HogQL. `functions` has the calls with words between their
//! arguments, `text` the strings and sources.

mod columns;
mod functions;
mod names;
mod text;

pub use columns::postgres_column_name;

use super::Parser;
use super::expr::power;
use crate::ast::{
    BinaryOp, Call, Expr, ExprKind, Ident, Literal, Query, Select, Source, SourceKind,
};
use crate::ast::{Join, TypeName};
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::span::Span;
use crate::token::{Keyword, Operator, TokenKind};
use crate::{Dialect, Result};

/// A form after an operand.
#[derive(Clone, Copy)]
pub(super) enum PostgresInfix {
    Operator(Operator),
    /// `a AT TIME ZONE b`.
    TimeZone,
    /// `a [NOT] SIMILAR TO b`.
    Similar {
        negated: bool,
    },
    /// `a IS [NOT] TRUE|FALSE|UNKNOWN`; none for UNKNOWN.
    Truth {
        truth: Option<bool>,
        negated: bool,
    },
    /// `a ISNULL`, `a NOTNULL`.
    IsNull {
        negated: bool,
    },
    /// `a COLLATE "C"`.
    Collate,
}

impl PostgresInfix {
    pub(super) const HAS_KEY: Self = Self::Operator(Operator::HasKey);
    pub(super) const JSON: Self = Self::Operator(Operator::Json);
    pub(super) const BIT_XOR: Self = Self::Operator(Operator::BitXor);

    pub(super) fn of(operator: Operator) -> Option<Self> {
        (!operator.is_prefix()).then_some(Self::Operator(operator))
    }

    pub(super) fn power(self) -> u8 {
        match self {
            Self::Operator(Operator::Power) => power::POWER,
            Self::Operator(_) => power::OPERATOR,
            Self::TimeZone | Self::Collate => power::TIME_ZONE,
            Self::Similar { .. } => power::RANGE,
            Self::Truth { .. } | Self::IsNull { .. } => power::IS_NULL,
        }
    }

    /// How many tokens spell the operator.
    pub(super) fn tokens(self) -> usize {
        match self {
            Self::Operator(_) | Self::IsNull { .. } | Self::Collate => 1,
            Self::TimeZone => 3,
            Self::Similar { negated } | Self::Truth { negated, .. } => 2 + usize::from(negated),
        }
    }
}

/// The binding power of a binary operator in PostgreSQL's text.
pub(super) fn postgres_power(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Concat
        | BinaryOp::Match
        | BinaryOp::NotMatch
        | BinaryOp::IMatch
        | BinaryOp::NotIMatch => power::OPERATOR,
        op if is_like(op) => power::RANGE,
        op => super::op_power(op),
    }
}

pub(super) fn is_like(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::Like | BinaryOp::NotLike | BinaryOp::ILike | BinaryOp::NotILike)
}

/// Collations that order by code point, as Hedgerow does.
const COLLATIONS: &[&str] =
    &["c", "c.utf8", "c.utf-8", "posix", "ucs_basic", "default", "pg_c_utf8"];

/// Bounds of BETWEEN SYMMETRIC are written twice in the tree.
const SYMMETRIC_TOKENS_MAX: usize = 64;

impl Parser<'_> {
    // ----- which operator ------------------------------------------------------------------

    /// Whether the `?` here asks for a key, because no `:` follows.
    pub(super) fn is_key_test(&self) -> bool {
        self.dialect == Dialect::Postgres && self.tokens[self.at].link == 0
    }

    /// An operator that is spelt with words that are no keywords.
    pub(super) fn peek_name_infix(&self) -> Option<PostgresInfix> {
        if self.nth_word(0, "at") && self.nth_is(1, Keyword::Time) && self.nth_is(2, Keyword::Zone)
        {
            return Some(PostgresInfix::TimeZone);
        }
        if self.is_similar(0) {
            return Some(PostgresInfix::Similar { negated: false });
        }
        let negated = self.nth_word(0, "notnull");
        let is_test = self.dialect == Dialect::Postgres && (negated || self.nth_word(0, "isnull"));
        is_test.then_some(PostgresInfix::IsNull { negated })
    }

    pub(super) fn is_similar(&self, distance: usize) -> bool {
        self.nth_word(distance, "similar") && self.nth_is(distance + 1, Keyword::To)
    }

    /// COLLATE with a name; with a string it belongs to ORDER BY.
    pub(super) fn peek_collation(&self) -> Option<PostgresInfix> {
        matches!(self.nth(1), TokenKind::Quoted | TokenKind::Name).then_some(PostgresInfix::Collate)
    }

    /// The truth value after IS; `Some(None)` for UNKNOWN.
    pub(super) fn truth(&self, distance: usize) -> Option<Option<bool>> {
        [("true", Some(true)), ("false", Some(false)), ("unknown", None)]
            .into_iter()
            .find(|(word, _)| self.nth_word(distance, word))
            .map(|(_, truth)| truth)
    }

    /// SYMMETRIC after BETWEEN, where HogQL would not read a bound of that name. ASYMMETRIC says
    /// what holds anyway.
    pub(super) fn symmetric(&mut self) -> bool {
        let asymmetric = self.nth_word(0, "asymmetric");
        let found = (asymmetric || self.nth_word(0, "symmetric"))
            && self.begins_operand_after_name(1)
            && (self.dialect == Dialect::Postgres || self.nth(1) != TokenKind::OpenParen);
        if found {
            self.advance();
        }
        found && !asymmetric
    }

    /// `ANY (…)`, `ALL (…)`, `SOME (…)` as the right side of a comparison.
    pub(super) fn at_quantifier(&self) -> bool {
        self.dialect == Dialect::Postgres
            && self.nth(1) == TokenKind::OpenParen
            && (self.is(Keyword::Any) || self.is(Keyword::All) || self.nth_word(0, "some"))
    }

    // ----- what it makes ------------------------------------------------------------------

    /// What the operator, already consumed, makes of its left side.
    pub(super) fn postgres_infix(
        &mut self,
        infix: PostgresInfix,
        left: Box<Expr>,
    ) -> Result<ExprKind> {
        let at = self.previous_span();
        match infix {
            PostgresInfix::Operator(operator) => self.operator(operator, left, at),
            PostgresInfix::TimeZone => {
                let zone = self.expr_at(power::TIME_ZONE + 1)?;
                Ok(call("timezone", vec![zone, *left], at))
            }
            PostgresInfix::Similar { negated } => {
                let pattern = self.expr_at(power::RANGE + 1)?;
                let span = pattern.span;
                let mut args = vec![pattern];
                if let Some(escape) = self.escape_character()? {
                    args.push(escape);
                }
                let pattern = Expr::new(call("similar_to_escape", args, at), self.span_from(span));
                self.grow()?;
                let op = if negated { BinaryOp::NotMatch } else { BinaryOp::Match };
                Ok(ExprKind::Binary(left, op, Box::new(pattern)))
            }
            PostgresInfix::Truth { truth: None, negated } | PostgresInfix::IsNull { negated } => {
                Ok(ExprKind::IsNull { expr: left, negated })
            }
            PostgresInfix::Truth { truth: Some(truth), negated } => {
                let right = Box::new(Expr::new(ExprKind::Literal(Literal::Bool(truth)), at));
                Ok(ExprKind::IsDistinctFrom { left, right, negated: !negated })
            }
            PostgresInfix::Collate => {
                let name = self.dotted_name("a collation")?;
                let last = name.last().map_or("", |ident| &ident.name).to_ascii_lowercase();
                if COLLATIONS.contains(&last.as_str()) {
                    return Ok(left.kind);
                }
                Err(SyntaxError::new(format!("no collation named {last}"), self.span_from(at))
                    .hint("Texts are ordered by code point, which is COLLATE \"C\".")
                    .kind(SyntaxErrorKind::Unsupported))
            }
        }
    }

    fn operator(&mut self, operator: Operator, left: Box<Expr>, at: Span) -> Result<ExprKind> {
        let tighter = PostgresInfix::Operator(operator).power() + 1;
        let like = match operator {
            Operator::Like => Some(BinaryOp::Like),
            Operator::NotLike => Some(BinaryOp::NotLike),
            Operator::ILike => Some(BinaryOp::ILike),
            Operator::NotILike => Some(BinaryOp::NotILike),
            _ => None,
        };
        if let Some(op) = like {
            return Ok(ExprKind::Binary(left, op, self.boxed_at(tighter)?));
        }
        let right = self.expr_at(tighter)?;
        let (name, args) = match operator {
            Operator::Json => ("jsonb_extract_path", vec![*left, right]),
            Operator::JsonText => ("jsonb_extract_path_text", vec![*left, right]),
            Operator::JsonPath => ("jsonb_extract_path", vec![*left, texts(right)]),
            Operator::JsonPathText => ("jsonb_extract_path_text", vec![*left, texts(right)]),
            Operator::Contains => ("jsonb_contains", vec![*left, right]),
            Operator::ContainedBy => ("jsonb_contains", vec![right, *left]),
            Operator::Overlaps => ("hasAny", vec![*left, right]),
            Operator::HasKey => ("jsonb_exists", vec![*left, right]),
            Operator::HasAnyKey => ("jsonb_exists_any", vec![*left, texts(right)]),
            Operator::HasAllKeys => ("jsonb_exists_all", vec![*left, texts(right)]),
            Operator::StartsWith => ("startsWith", vec![*left, right]),
            Operator::Power => ("pow", vec![*left, right]),
            Operator::BitAnd => ("bitAnd", vec![*left, right]),
            Operator::BitOr => ("bitOr", vec![*left, right]),
            Operator::BitXor => ("bitXor", vec![*left, right]),
            Operator::ShiftLeft => ("bitShiftLeft", vec![*left, right]),
            Operator::ShiftRight => ("bitShiftRight", vec![*left, right]),
            _ => {
                let written = self.slice(at);
                return Err(SyntaxError::new(format!("no operator {written}"), at)
                    .kind(SyntaxErrorKind::Unsupported));
            }
        };
        Ok(call(name, args, at))
    }

    /// `~ a`, `|/ a`, `||/ a`, `@ a`.
    pub(super) fn prefix_operator(&mut self) -> Result<Expr> {
        let token = self.advance();
        let name = match token.kind {
            TokenKind::Operator(Operator::SquareRoot) => "sqrt",
            TokenKind::Operator(Operator::CubeRoot) => "cbrt",
            TokenKind::Operator(Operator::Absolute) => "abs",
            _ => "bitNot",
        };
        let operand = self.expr_at(power::OPERATOR + 1)?;
        self.grow()?;
        Ok(Expr::new(call(name, vec![operand], token.span), self.span_from(token.span)))
    }

    /// The pattern of LIKE, with the character after ESCAPE taken into account.
    pub(super) fn escape(&mut self, pattern: Expr) -> Result<Expr> {
        let start = pattern.span;
        match self.escape_character()? {
            Some(escape) => {
                self.grow()?;
                let kind = call("like_escape", vec![pattern, escape], start);
                Ok(Expr::new(kind, self.span_from(start)))
            }
            None => Ok(pattern),
        }
    }

    fn escape_character(&mut self) -> Result<Option<Expr>> {
        if !self.nth_word(0, "escape") || self.nth(1) != TokenKind::String {
            return Ok(None);
        }
        self.advance();
        let span = self.span();
        let text = self.string("a character")?;
        if text.chars().count() > 1 {
            return Err(SyntaxError::new("ESCAPE takes one character", span));
        }
        Ok(Some(Expr::new(ExprKind::Literal(Literal::String(text)), span)))
    }

    /// Both bounds of BETWEEN SYMMETRIC in their order.
    pub(super) fn ordered(&mut self, low: Expr, high: Expr) -> Result<(Box<Expr>, Box<Expr>)> {
        let span = low.span.to(high.span);
        let from = self.tokens.partition_point(|token| token.span.start < span.start);
        if self.at - from > SYMMETRIC_TOKENS_MAX {
            return Err(SyntaxError::new("these bounds of SYMMETRIC are too long", span)
                .hint("Name them in a subquery first.")
                .kind(SyntaxErrorKind::TooComplex));
        }
        self.grow()?;
        let both = |name| {
            let args = vec![low.clone(), high.clone()];
            Box::new(Expr::new(call(name, args, span), span))
        };
        Ok((both("least"), both("greatest")))
    }

    /// `= ANY (array)`, `> ALL (select …)`: membership, or a test of each element.
    pub(super) fn quantified(&mut self, left: Expr, op: BinaryOp) -> Result<ExprKind> {
        let at = self.span();
        let all = self.is(Keyword::All);
        self.advance();
        let membership = match (op, all) {
            (BinaryOp::Eq, false) => Some(false),
            (BinaryOp::NotEq, true) => Some(true),
            _ => None,
        };
        let elements = if self.begins_query(1) {
            self.advance();
            let query = self.query()?;
            self.expect(TokenKind::CloseParen, "`)`")?;
            let subquery = self.subquery(query, at);
            match membership {
                Some(negated) => {
                    let (expr, right) = (Box::new(left), Box::new(subquery));
                    return Ok(ExprKind::In { expr, right, negated });
                }
                None => elements_of(subquery),
            }
        } else {
            self.expect(TokenKind::OpenParen, "`(`")?;
            let array = self.expr()?;
            self.expect(TokenKind::CloseParen, "`)`")?;
            self.array_literal(array)?
        };
        let is_list = matches!(elements.kind, ExprKind::Array(ref items) if !items.is_empty());
        if let (Some(negated), true) = (membership, is_list) {
            let (expr, right) = (Box::new(left), Box::new(elements));
            return Ok(ExprKind::In { expr, right, negated });
        }
        self.grow()?;
        if let Some(negated) = membership {
            let member = call("has", vec![elements, left], at);
            return Ok(match negated {
                true => ExprKind::Not(Box::new(Expr::new(member, at))),
                false => member,
            });
        }
        let element = Ident::new(ELEMENT, at);
        let value = Expr::new(ExprKind::Field(vec![element.clone()]), at);
        let span = left.span;
        let test = Expr::new(ExprKind::Binary(Box::new(left), op, Box::new(value)), span);
        let kind = ExprKind::Lambda { params: vec![element], body: Box::new(test) };
        let lambda = Expr::new(kind, span);
        Ok(call(if all { "arrayAll" } else { "arrayExists" }, vec![lambda, elements], at))
    }
}

/// What names the elements of a row source that becomes an array.
const ELEMENT: &str = "__element";

/// A call by a name of our own choice.
pub(super) fn call(name: &str, args: Vec<Expr>, at: Span) -> ExprKind {
    ExprKind::Call(Box::new(Call::new(Ident::new(name, at), args)))
}

/// A value as `text[]`, for paths and lists of keys.
fn texts(value: Expr) -> Expr {
    let span = value.span;
    let target = TypeName { name: "text".to_owned(), args: Vec::new(), array_depth: 1, span };
    Expr::new(ExprKind::Cast { expr: Box::new(value), target, safe: false }, span)
}

/// The rows of a subquery of one column, as an array, NULLs among them.
fn elements_of(subquery: Expr) -> Expr {
    let span = subquery.span;
    let ExprKind::Subquery(query) = subquery.kind else { return subquery };
    let element = Ident::new(ELEMENT, span);
    let mut source = Source::new(SourceKind::Query(*query), span);
    source.alias = Some(Ident::new("__elements", span));
    source.columns = vec![element.clone()];
    let value = Expr::new(ExprKind::Field(vec![element]), span);
    let array = Expr::new(
        names::all_values(Call::new(Ident::new("groupArray", span), vec![value]), span),
        span,
    );
    let mut select = Select::new(vec![array], span);
    select.from = Some(Join::Source(Box::new(source)));
    Expr::new(ExprKind::Subquery(Box::new(Query::Select(Box::new(select)))), span)
}
