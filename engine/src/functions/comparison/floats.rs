//! Comparison of floats as IEEE 754 has it: NaN is not less than, greater than or equal to
//! anything, itself included.
//!
//! Arrow orders all floats, NaN before or after the others by its sign. Bounds on the operands
//! that can be NaN make up for that, in a form that statistics can prune by.

use arrow::datatypes::DataType;
use datafusion::logical_expr::{Expr, ExprSchemable, Operator, binary_expr, lit};

use crate::functions::PlanContext;
use crate::functions::json::property::View;

/// A comparison, NULL where an operand is.
pub(super) struct Compared {
    pub(super) expr: Expr,
    /// True when two NaN can meet in it.
    pub(super) compares_nan: bool,
}

/// `a op b` for `=`, `<`, `<=`, `>`, `>=`.
pub(super) fn compare(cx: &dyn PlanContext, op: Operator, a: Expr, b: Expr) -> Compared {
    let [a_nan, b_nan] = [can_be_nan(cx, &a), can_be_nan(cx, &b)];
    let test = binary_expr(a.clone(), op, b.clone());
    let expr = match op {
        Operator::Gt | Operator::GtEq => bounded(test, (a_nan, a), (b_nan, b)),
        Operator::Lt | Operator::LtEq => bounded(test, (b_nan, b), (a_nan, a)),
        _ if a_nan && b_nan => bounded(test, (true, a.clone()), (true, a)),
        _ => test,
    };
    Compared { expr, compares_nan: a_nan && b_nan }
}

/// The test, and the operands not NaN: the upper one not after all floats, the lower one not
/// before them.
fn bounded(test: Expr, upper: (bool, Expr), lower: (bool, Expr)) -> Expr {
    let test = match upper {
        (true, upper) => test.and(upper.lt_eq(lit(f64::INFINITY))),
        (false, _) => test,
    };
    match lower {
        (true, lower) => test.and(lower.gt_eq(lit(f64::NEG_INFINITY))),
        (false, _) => test,
    }
}

/// False for constants, and for what was an integer or a number in JSON.
fn can_be_nan(cx: &dyn PlanContext, expr: &Expr) -> bool {
    match expr {
        Expr::Literal(value, _) => match value.cast_to(&DataType::Float64) {
            Ok(value) => f64::try_from(value).is_ok_and(f64::is_nan),
            Err(_) => true,
        },
        Expr::Cast(cast) => !cast
            .expr
            .get_type(cx.schema())
            .is_ok_and(|ty| ty.is_integer() || ty.is_decimal() || ty == DataType::Boolean),
        Expr::ScalarFunction(call) => call.name() != View::Number.function(),
        _ => true,
    }
}
