//! ASOF joins: each row of the left with the closest match of the right.
//!
//! Both sides are put into one stream, sorted by the keys and then by the compared value, the
//! rows of the right before or after equal ones of the left as the comparison wants it. The match
//! of a row is then the last row of the right before it. One sort, whatever the data.

use datafusion::common::{Column, ScalarValue};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, SortExpr, WindowFrame,
    WindowFunctionDefinition, WindowUDF, col, lit, when,
};
use hedgerow_parser::Span;
use std::sync::Arc;

use super::condition::{Condition, Terms};
use super::{Sides, order};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::aggregates::default_value;
use crate::functions::windows::LastMatch;
use crate::lower::aggregate;
use crate::lower::scope::Scope;
use crate::types::Type;

/// Which rows of the left stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    All,
    Matched,
    Unmatched,
}

/// A column of one side and its name in the stream.
struct Carried {
    column: Column,
    name: String,
    ty: Type,
    nullable: bool,
}

/// The plan of an ASOF join.
///
/// # Errors
/// `Syntax`, unless the condition is made of equalities, exactly one inequality, and conditions
/// on one side alone.
pub(super) fn plan(
    scope: &Scope<'_>,
    sides: &Sides,
    keep: Keep,
    condition: Condition,
    span: Span,
) -> Result<LogicalPlan> {
    let using = condition.using;
    let mut terms = Terms::of(condition.expr, sides);
    if using && let Some((left, right)) = terms.equal.pop() {
        terms.ordered.push((left, Operator::GtEq, right));
    }
    let (Some((left_value, op, right_value)), true, true) =
        (terms.ordered.pop(), terms.ordered.is_empty(), terms.mixed.is_empty())
    else {
        let message = "an ASOF JOIN needs equalities and exactly one inequality";
        return Err(Error::new(ErrorKind::Syntax, message)
            .at(span)
            .hint("For example: ON a.key = b.key AND a.time >= b.time."));
    };
    // A row of the left that fails its own conditions matches nothing, as one without a value.
    let left_value = match conjunction(terms.left) {
        Some(own) => when(own, left_value).end()?,
        None => left_value,
    };
    let mut present = terms.right;
    present.extend(terms.equal.iter().map(|(_, right)| right.clone().is_not_null()));
    present.push(right_value.clone().is_not_null());
    let right = match conjunction(present) {
        Some(present) => LogicalPlanBuilder::from(sides.right.clone()).filter(present)?.build()?,
        None => sides.right.clone(),
    };

    let left_columns = carried(scope, &sides.left);
    let right_columns = carried(scope, &right);
    let mut from_left = Vec::new();
    let mut from_right = Vec::new();
    let mut add = |left: Expr, right: Expr| {
        let name = scope.env.fresh("asof");
        from_left.push(left.alias(&name));
        from_right.push(right.alias(&name));
        col(Column::new_unqualified(name))
    };
    let mut partition_by = Vec::with_capacity(terms.equal.len());
    for (left, right) in terms.equal {
        partition_by.push(add(left, right));
    }
    let value = add(left_value, right_value);
    let is_match = add(lit(false), lit(true));
    for Carried { column, name, .. } in &left_columns {
        from_left.push(col(column.clone()).alias(name));
        from_right.push(missing(&sides.left, column)?.alias(name));
    }
    for Carried { column, name, .. } in &right_columns {
        from_left.push(missing(&right, column)?.alias(name));
        from_right.push(col(column.clone()).alias(name));
    }
    let from_right = LogicalPlanBuilder::from(right).project(from_right)?.build()?;
    let stream = LogicalPlanBuilder::from(sides.left.clone())
        .project(from_left)?
        .union(from_right)?
        .build()?;

    let ascending = matches!(op, Operator::Gt | Operator::GtEq);
    let matches_equal = matches!(op, Operator::GtEq | Operator::LtEq);
    let mut order_by = vec![
        // Without a value a row of the left has nothing before it.
        value.sort(ascending, true),
        is_match.clone().sort(!matches_equal, false),
    ];
    // Of equally close matches the first by its columns, as in other joins: the last to come.
    let names: Vec<(Expr, Expr)> = right_columns
        .iter()
        .map(|carried| (col(carried.column.clone()), unqualified(&carried.name)))
        .collect();
    for tie in order(&scope.relations[sides.split..]) {
        order_by.push(aggregate::replace(tie, &names)?.sort(false, true));
    }

    let window = |value: Expr| over(&is_match, value, &partition_by, &order_by);
    let found = scope.env.fresh("found");
    let mut windows = vec![window(is_match.clone()).alias(&found)];
    let mut output: Vec<Expr> =
        left_columns.iter().map(|c| c.restored(unqualified(&c.name))).collect::<Result<_>>()?;
    for carried in &right_columns {
        let name = scope.env.fresh("match");
        windows.push(window(unqualified(&carried.name)).alias(&name));
        output.push(carried.restored(unqualified(&name))?);
    }
    let mut kept = is_match.is_false();
    match keep {
        Keep::All => {}
        Keep::Matched => kept = kept.and(unqualified(&found).is_not_null()),
        Keep::Unmatched => kept = kept.and(unqualified(&found).is_null()),
    }
    Ok(LogicalPlanBuilder::from(stream).window(windows)?.filter(kept)?.project(output)?.build()?)
}

/// Names for the columns of a side, unique in the stream.
fn carried(scope: &Scope<'_>, side: &LogicalPlan) -> Vec<Carried> {
    let columns = side.schema().iter().map(|(qualifier, field)| Carried {
        column: Column::new(qualifier.cloned(), field.name()),
        name: scope.env.fresh("asof"),
        ty: Type::from_field(field),
        nullable: field.is_nullable(),
    });
    columns.collect()
}

impl Carried {
    /// The value under the column's own name; the default of the type where it is missing and
    /// the column cannot be NULL.
    fn restored(&self, value: Expr) -> Result<Expr> {
        let value = match self.nullable {
            true => value,
            false => coalesce(vec![value, lit(default_value(&self.ty)?)]),
        };
        Ok(value.alias_qualified(self.column.relation.clone(), &self.column.name))
    }
}

/// A NULL in the layout of a column.
fn missing(side: &LogicalPlan, column: &Column) -> Result<Expr> {
    let layout = col(column.clone()).get_type(side.schema())?;
    Ok(lit(ScalarValue::try_from(&layout)?))
}

fn unqualified(name: &str) -> Expr {
    col(Column::new_unqualified(name))
}

/// The value of the last row of the right, in this order.
fn over(is_match: &Expr, value: Expr, partition_by: &[Expr], order_by: &[SortExpr]) -> Expr {
    let udwf = Arc::new(WindowUDF::new_from_impl(LastMatch::new()));
    Expr::WindowFunction(Box::new(WindowFunction {
        fun: WindowFunctionDefinition::WindowUDF(udwf),
        params: WindowFunctionParams {
            args: vec![is_match.clone(), value],
            partition_by: partition_by.to_vec(),
            order_by: order_by.to_vec(),
            window_frame: WindowFrame::new(Some(false)),
            filter: None,
            null_treatment: None,
            distinct: false,
        },
    }))
}
