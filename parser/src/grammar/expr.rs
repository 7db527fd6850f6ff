//! Operators, by binding power. Section 2.1 of the language reference is the table.

use super::Parser;
use super::postgres::{PostgresInfix, is_like, postgres_power};
use crate::ast::{BinaryOp, Expr, ExprKind};
use crate::token::{Keyword, TokenKind};
use crate::{Dialect, Result};

/// Binding powers, loose to tight. An operator is taken only where the surrounding operator
/// binds no tighter.
pub(crate) mod power {
    pub(crate) const ALIAS: u8 = 0;
    pub(crate) const TERNARY: u8 = 1;
    pub(crate) const OR: u8 = 2;
    pub(crate) const AND: u8 = 3;
    pub(crate) const NOT: u8 = 4;
    pub(crate) const BETWEEN: u8 = 5;
    pub(crate) const COALESCE: u8 = 6;
    pub(crate) const NULL_SAFE_EQ: u8 = 7;
    pub(crate) const DISTINCT_FROM: u8 = 8;
    pub(crate) const IS_NULL: u8 = 9;
    pub(crate) const IGNORE_NULLS: u8 = 10;
    pub(crate) const COMPARISON: u8 = 11;
    /// PostgreSQL's IN, LIKE and BETWEEN bind tighter than its comparisons.
    pub(crate) const RANGE: u8 = 12;
    /// Every operator of PostgreSQL that has no level of its own.
    pub(crate) const OPERATOR: u8 = 13;
    pub(crate) const SUM: u8 = 14;
    pub(crate) const PRODUCT: u8 = 15;
    pub(crate) const POWER: u8 = 16;
    pub(crate) const TIME_ZONE: u8 = 17;
    pub(crate) const NEGATION: u8 = 18;
    pub(crate) const POSTFIX: u8 = 19;
}

/// What can follow an operand and make a larger one.
#[derive(Clone, Copy)]
pub(super) enum Infix {
    Binary(BinaryOp),
    /// A form of PostgreSQL that becomes a call.
    Postgres(PostgresInfix),
    In {
        negated: bool,
    },
    Between {
        negated: bool,
    },
    IsNull {
        negated: bool,
    },
    IsDistinctFrom {
        negated: bool,
    },
    NullSafeEq,
    Coalesce,
    IgnoreNulls,
    And,
    Or,
    Ternary,
    Alias,
}

impl Infix {
    fn power(self, dialect: Dialect) -> u8 {
        match self {
            Self::Postgres(infix) => infix.power(),
            Self::Binary(op) if dialect == Dialect::Postgres => postgres_power(op),
            Self::In { .. } | Self::Between { .. } if dialect == Dialect::Postgres => power::RANGE,
            Self::Binary(op) => op_power(op),
            Self::In { .. } => power::COMPARISON,
            Self::IgnoreNulls => power::IGNORE_NULLS,
            Self::IsNull { .. } => power::IS_NULL,
            Self::IsDistinctFrom { .. } => power::DISTINCT_FROM,
            Self::NullSafeEq => power::NULL_SAFE_EQ,
            Self::Coalesce => power::COALESCE,
            Self::Between { .. } => power::BETWEEN,
            Self::And => power::AND,
            Self::Or => power::OR,
            Self::Ternary => power::TERNARY,
            Self::Alias => power::ALIAS,
        }
    }

    /// How many tokens spell the operator.
    fn tokens(self) -> usize {
        match self {
            Self::Postgres(infix) => infix.tokens(),
            Self::IsNull { negated } => 2 + usize::from(negated),
            Self::IsDistinctFrom { negated } => 3 + usize::from(negated),
            Self::In { negated } | Self::Between { negated } => 1 + usize::from(negated),
            Self::Binary(BinaryOp::NotLike | BinaryOp::NotILike) | Self::IgnoreNulls => 2,
            _ => 1,
        }
    }
}

/// The binding power of a binary operator.
pub(crate) fn op_power(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Modulo => power::PRODUCT,
        BinaryOp::Plus | BinaryOp::Minus | BinaryOp::Concat => power::SUM,
        _ => power::COMPARISON,
    }
}

/// Whether the alias is one of `NOT a`, `a AND b` and their like without parentheses: in
/// `not a as b = c` it could as well be that of `a`.
fn names_loose_operation(alias: &Expr) -> bool {
    let ExprKind::Alias(named, _) = &alias.kind else { return false };
    named.span.start == alias.span.start
        && matches!(
            named.kind,
            ExprKind::Not(_)
                | ExprKind::And(_)
                | ExprKind::Or(_)
                | ExprKind::Coalesce(..)
                | ExprKind::Between { .. }
                | ExprKind::Ternary { .. }
                | ExprKind::IsDistinctFrom { .. }
        )
}

impl Parser<'_> {
    /// An expression, `AS alias` included.
    pub(super) fn expr(&mut self) -> Result<Expr> {
        self.expr_at(power::ALIAS)
    }

    /// An expression where AS belongs to the surrounding construct, as in `CAST(e AS T)`.
    pub(super) fn expr_without_alias(&mut self) -> Result<Expr> {
        self.expr_at(power::TERNARY)
    }

    /// An expression of operators that bind at least as tightly as `min`.
    pub(super) fn expr_at(&mut self, min: u8) -> Result<Expr> {
        self.descend()?;
        let siblings = std::mem::take(&mut self.height);
        let start = self.span();
        let mut left = self.operand(min)?;
        while let Some(infix) = self.peek_infix() {
            // After `e AS a` only comparisons and looser operators go on.
            let after_alias =
                matches!(left.kind, ExprKind::Alias(..)) && left.span == self.span_from(start);
            let own = infix.power(self.dialect);
            if own < min || (after_alias && own > power::COMPARISON) {
                break;
            }
            if after_alias && own == power::COMPARISON && names_loose_operation(&left) {
                return Err(self.unexpected("the end of the expression"));
            }
            for _ in 0..infix.tokens() {
                self.advance();
            }
            let kind = self.infix(infix, Box::new(left))?;
            left = Expr::new(kind, self.span_from(start));
        }
        self.height = self.height.max(siblings);
        self.ascend();
        Ok(left)
    }

    /// The operator at the current token, if one is there in full.
    fn peek_infix(&self) -> Option<Infix> {
        use TokenKind as T;
        Some(match self.kind() {
            T::Star => Infix::Binary(BinaryOp::Multiply),
            T::Slash => Infix::Binary(BinaryOp::Divide),
            T::Percent if self.percent_may_end && self.percent_ends() => return None,
            T::Percent => Infix::Binary(BinaryOp::Modulo),
            T::Plus => Infix::Binary(BinaryOp::Plus),
            T::Minus => Infix::Binary(BinaryOp::Minus),
            T::Concat => Infix::Binary(BinaryOp::Concat),
            T::Eq => Infix::Binary(BinaryOp::Eq),
            T::NotEq => Infix::Binary(BinaryOp::NotEq),
            T::Lt => Infix::Binary(BinaryOp::Lt),
            T::LtEq => Infix::Binary(BinaryOp::LtEq),
            T::Gt => Infix::Binary(BinaryOp::Gt),
            T::GtEq => Infix::Binary(BinaryOp::GtEq),
            T::Match => Infix::Binary(BinaryOp::Match),
            T::NotMatch => Infix::Binary(BinaryOp::NotMatch),
            T::IMatch => Infix::Binary(BinaryOp::IMatch),
            T::NotIMatch => Infix::Binary(BinaryOp::NotIMatch),
            T::NullSafeEq => Infix::NullSafeEq,
            T::Nullish => Infix::Coalesce,
            T::Question if self.is_key_test() => Infix::Postgres(PostgresInfix::HAS_KEY),
            T::Question => Infix::Ternary,
            T::Operator(operator) => return PostgresInfix::of(operator).map(Infix::Postgres),
            T::Arrow if self.dialect == Dialect::Postgres => Infix::Postgres(PostgresInfix::JSON),
            T::Hash if self.dialect == Dialect::Postgres => Infix::Postgres(PostgresInfix::BIT_XOR),
            T::Name => return self.peek_name_infix().map(Infix::Postgres),
            T::Keyword(keyword) => return self.peek_word_infix(keyword),
            _ => return None,
        })
    }

    /// Whether the `%` here has no right side: `LIMIT 10% OFFSET 5`.
    fn percent_ends(&self) -> bool {
        match self.nth(1) {
            TokenKind::Keyword(Keyword::With) => self.nth_is(2, Keyword::Ties),
            TokenKind::Keyword(next) if next.follows_operand() => !self.is_function_word(1),
            _ => !self.begins_operand(1),
        }
    }

    fn peek_word_infix(&self, keyword: Keyword) -> Option<Infix> {
        Some(match keyword {
            Keyword::And => Infix::And,
            Keyword::Or => Infix::Or,
            Keyword::As => Infix::Alias,
            Keyword::In => Infix::In { negated: false },
            Keyword::Like => Infix::Binary(BinaryOp::Like),
            Keyword::ILike => Infix::Binary(BinaryOp::ILike),
            Keyword::Between => Infix::Between { negated: false },
            Keyword::Collate => return self.peek_collation().map(Infix::Postgres),
            Keyword::Ignore if self.nth_is(1, Keyword::Nulls) => Infix::IgnoreNulls,
            Keyword::Not => match self.nth(1) {
                TokenKind::Keyword(Keyword::In) => Infix::In { negated: true },
                TokenKind::Keyword(Keyword::Like) => Infix::Binary(BinaryOp::NotLike),
                TokenKind::Keyword(Keyword::ILike) => Infix::Binary(BinaryOp::NotILike),
                TokenKind::Keyword(Keyword::Between) => Infix::Between { negated: true },
                TokenKind::Name if self.is_similar(1) => {
                    Infix::Postgres(PostgresInfix::Similar { negated: true })
                }
                _ => return None,
            },
            Keyword::Is => {
                let negated = self.nth_is(1, Keyword::Not);
                let next = 1 + usize::from(negated);
                if self.nth_is(next, Keyword::Null) {
                    Infix::IsNull { negated }
                } else if self.nth_is(next, Keyword::Distinct)
                    && self.nth_is(next + 1, Keyword::From)
                {
                    Infix::IsDistinctFrom { negated }
                } else if let Some(truth) = self.truth(next) {
                    Infix::Postgres(PostgresInfix::Truth { truth, negated })
                } else {
                    return None;
                }
            }
            _ => return None,
        })
    }

    pub(super) fn boxed_at(&mut self, min: u8) -> Result<Box<Expr>> {
        self.expr_at(min).map(Box::new)
    }

    /// What the operator, already consumed, makes of its left side.
    fn infix(&mut self, infix: Infix, left: Box<Expr>) -> Result<ExprKind> {
        // Left-associative: the right side binds tighter than the operator itself.
        let tighter = infix.power(self.dialect) + 1;
        let kind = match infix {
            Infix::And => return self.chain(*left, Keyword::And),
            Infix::Or => return self.chain(*left, Keyword::Or),
            Infix::Alias => ExprKind::Alias(left, self.alias_name()?),
            Infix::IsNull { negated } => ExprKind::IsNull { expr: left, negated },
            Infix::IgnoreNulls => ExprKind::IgnoreNulls(left),
            Infix::Postgres(infix) => self.postgres_infix(infix, left)?,
            Infix::Binary(op) if self.at_quantifier() => self.quantified(*left, op)?,
            Infix::Binary(op) => {
                let right = self.expr_at(tighter)?;
                let right = if is_like(op) { self.escape(right)? } else { right };
                ExprKind::Binary(left, op, Box::new(right))
            }
            Infix::Coalesce => ExprKind::Coalesce(left, self.boxed_at(tighter)?),
            Infix::In { negated } => self.in_right_side(left, negated)?,
            Infix::NullSafeEq => {
                let right = self.boxed_at(tighter)?;
                ExprKind::IsDistinctFrom { left, right, negated: true }
            }
            Infix::IsDistinctFrom { negated } => {
                let right = self.boxed_at(tighter)?;
                ExprKind::IsDistinctFrom { left, right, negated }
            }
            Infix::Between { negated } => {
                let symmetric = self.symmetric();
                let mut low = self.boxed_at(tighter)?;
                self.expect_keyword(Keyword::And, "AND and the upper bound")?;
                let mut high = self.boxed_at(tighter)?;
                if symmetric {
                    (low, high) = self.ordered(*low, *high)?;
                }
                ExprKind::Between { expr: left, low, high, negated }
            }
            Infix::Ternary => {
                let then = self.boxed_at(power::TERNARY)?;
                self.expect(TokenKind::Colon, "`:` and the other value")?;
                let otherwise = self.boxed_at(power::TERNARY)?;
                ExprKind::Ternary { condition: left, then, otherwise }
            }
        };
        self.grow()?;
        Ok(kind)
    }

    /// The rest of an AND or OR chain. Chains are one flat node, whatever parentheses say.
    fn chain(&mut self, left: Expr, word: Keyword) -> Result<ExprKind> {
        let is_and = word == Keyword::And;
        let tighter = if is_and { power::AND + 1 } else { power::OR + 1 };
        let flatten = |terms: &mut Vec<Expr>, expr: Expr| match expr.kind {
            ExprKind::And(inner) if is_and => terms.extend(inner),
            ExprKind::Or(inner) if !is_and => terms.extend(inner),
            _ => terms.push(expr),
        };
        let mut terms = Vec::new();
        flatten(&mut terms, left);
        loop {
            let right = self.expr_at(tighter)?;
            flatten(&mut terms, right);
            if !self.eat_keyword(word) {
                break;
            }
        }
        self.grow()?;
        Ok(if is_and { ExprKind::And(terms) } else { ExprKind::Or(terms) })
    }

    /// `IN right`, `IN COHORT right`; the word COHORT alone is a column.
    fn in_right_side(&mut self, expr: Box<Expr>, negated: bool) -> Result<ExprKind> {
        let tighter = Infix::In { negated }.power(self.dialect) + 1;
        let is_call = self.nth(1) == TokenKind::OpenParen && self.nth(2) == TokenKind::CloseParen;
        if self.is(Keyword::Cohort) && !is_call && self.begins_operand_after_name(1) {
            self.advance();
            return Ok(ExprKind::InCohort { expr, cohort: self.boxed_at(tighter)?, negated });
        }
        Ok(ExprKind::In { expr, right: self.boxed_at(tighter)?, negated })
    }
}
