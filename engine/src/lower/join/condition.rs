//! The terms of a join condition, by the sides they read.

use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};

use super::Sides;

/// A join condition.
pub(super) struct Condition {
    pub(super) expr: Expr,
    /// Columns that the join makes out of both sides.
    pub(super) merged: Vec<Expr>,
    /// True for USING, whose last column an ASOF JOIN compares instead of equating it.
    pub(super) using: bool,
}

impl Condition {
    /// `ON expr`.
    pub(super) fn on(expr: Expr) -> Self {
        Self { expr, merged: Vec::new(), using: false }
    }
}

/// The AND terms of a condition.
#[derive(Default)]
pub(super) struct Terms {
    /// Expressions of the left that equal expressions of the right.
    pub(super) equal: Vec<(Expr, Expr)>,
    /// `left < right` and its like; the operator is meant with the left side first.
    pub(super) ordered: Vec<(Expr, Operator, Expr)>,
    /// Conditions on the left alone.
    pub(super) left: Vec<Expr>,
    /// Conditions on the right alone, or on neither.
    pub(super) right: Vec<Expr>,
    /// Other conditions on both.
    pub(super) mixed: Vec<Expr>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reads {
    Neither,
    Left,
    Right,
    Both,
}

impl Terms {
    /// Takes a condition over both sides apart.
    pub(super) fn of(condition: Expr, sides: &Sides) -> Self {
        let mut terms = Self::default();
        for term in split_conjunction_owned(condition) {
            match (sides.reads(&term), term) {
                (Reads::Left, term) => terms.left.push(term),
                (Reads::Right | Reads::Neither, term) => terms.right.push(term),
                (Reads::Both, Expr::BinaryExpr(BinaryExpr { left, op, right })) => {
                    terms.compared(sides, *left, op, *right);
                }
                (Reads::Both, term) => terms.mixed.push(term),
            }
        }
        terms
    }

    fn compared(&mut self, sides: &Sides, left: Expr, op: Operator, right: Expr) {
        let (left, op, right) = match (sides.reads(&left), sides.reads(&right), op.swap()) {
            (Reads::Left, Reads::Right, _) => (left, op, right),
            (Reads::Right, Reads::Left, Some(swapped)) => (right, swapped, left),
            _ => {
                self.mixed.push(Expr::BinaryExpr(BinaryExpr::new(
                    Box::new(left),
                    op,
                    Box::new(right),
                )));
                return;
            }
        };
        match op {
            Operator::Eq => self.equal.push((left, right)),
            Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => {
                self.ordered.push((left, op, right));
            }
            _ => self.mixed.push(Expr::BinaryExpr(BinaryExpr::new(
                Box::new(left),
                op,
                Box::new(right),
            ))),
        }
    }
}

impl Sides {
    fn reads(&self, expr: &Expr) -> Reads {
        let reads = |plan: &LogicalPlan| {
            expr.column_refs().iter().any(|column| plan.schema().has_column(column))
        };
        match (reads(&self.left), reads(&self.right)) {
            (true, true) => Reads::Both,
            (true, false) => Reads::Left,
            (false, true) => Reads::Right,
            (false, false) => Reads::Neither,
        }
    }
}
