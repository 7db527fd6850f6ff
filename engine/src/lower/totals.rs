//! GROUP BY … WITH TOTALS: one more row at the very end, the aggregates over all rows of the
//! groups that HAVING keeps. Its keys are NULL.
//!
//! The input of the aggregation is read twice, and computed once where that matters. The row goes
//! through the select list like the others and through no other clause.

use std::collections::HashMap;

use datafusion::common::{Column, JoinType, NullEquality, ScalarValue};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, LogicalPlanBuilder, col, lit};
use hedgerow_parser::ast;

use super::order::OrderKey;
use super::{Environment, Lowered, OutputColumn};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::Typed;

/// What the row of totals is made of.
pub(super) struct Totals<'a> {
    /// The rows that are grouped, with a column for each key.
    pub(super) input: LogicalPlan,
    pub(super) keys: Vec<Column>,
    /// Under the names they have in the groups.
    pub(super) aggregates: Vec<Expr>,
    /// The select list over the groups.
    pub(super) items: Vec<(String, Typed)>,
    pub(super) volatile: HashMap<&'a str, Typed>,
}

/// Totals are no row of a query's result, so no other query can read them.
///
/// # Errors
/// `Unsupported` for totals anywhere but in the outermost SELECT, and with what leaves open which
/// groups are kept.
pub(super) fn check(select: &ast::Select, outermost: bool) -> Result<()> {
    let Some(ast::GroupBy::Keys { modifier, totals: true, .. }) = &select.group_by else {
        return Ok(());
    };
    if !outermost {
        let message = "WITH TOTALS belongs to the outermost SELECT: its row is no row of a table";
        return Err(Error::unsupported(message)
            .at(select.span)
            .hint("GROUP BY … WITH ROLLUP makes rows that other queries can read."));
    }
    match &select.having {
        Some(having) if modifier.is_some() => {
            let message = "WITH TOTALS after WITH ROLLUP or WITH CUBE, together with HAVING";
            Err(Error::unsupported(message)
                .at(having.span)
                .hint("ROLLUP and CUBE have a row for the whole by themselves."))
        }
        _ => Ok(()),
    }
}

/// The same plan, computed once for all that read it where that matters.
pub(super) fn shared(env: &Environment<'_>, plan: LogicalPlan) -> Result<LogicalPlan> {
    let columns = plan.schema().columns();
    let named = columns.iter().map(|column| col(column.clone()).alias(env.fresh("input")));
    let plan = LogicalPlanBuilder::from(plan).project(named.collect::<Vec<_>>())?.build()?;
    let plan = env.share(Lowered { plan, columns: Vec::new() }, None)?.plan;
    let back =
        plan.schema().columns().into_iter().zip(columns).map(|(shared, column)| {
            Expr::Column(shared).alias_qualified(column.relation, column.name)
        });
    let back: Vec<Expr> = back.collect();
    Ok(LogicalPlanBuilder::from(plan).project(back)?.build()?)
}

impl Totals<'_> {
    /// The row, with the columns that the groups have. `kept` are the groups that HAVING leaves.
    pub(super) fn row(
        &self,
        env: &Environment<'_>,
        kept: Option<LogicalPlan>,
    ) -> Result<LogicalPlan> {
        let types = self.keys.iter().map(|key| {
            Ok(self.input.schema().qualified_field_from_column(key)?.1.data_type().clone())
        });
        let types = types.collect::<Result<Vec<_>>>()?;
        let input = match kept {
            None => self.input.clone(),
            Some(kept) => self.of_kept(env, kept)?,
        };
        let builder = match self.aggregates.as_slice() {
            [] => LogicalPlanBuilder::empty(true),
            aggregates => {
                let none: [Expr; 0] = [];
                LogicalPlanBuilder::from(input).aggregate(none, aggregates.to_vec())?
            }
        };
        let mut columns = Vec::with_capacity(self.keys.len() + self.aggregates.len() + 1);
        for (key, ty) in self.keys.iter().zip(&types) {
            let null = lit(ScalarValue::try_new_null(ty)?);
            columns.push(null.alias_qualified(key.relation.clone(), &key.name));
        }
        if !self.aggregates.is_empty() {
            columns.extend(builder.schema().columns().into_iter().map(col));
        }
        // Every key is left out.
        columns.push(lit(-1_i64).alias(Aggregate::INTERNAL_GROUPING_ID));
        Ok(builder.project(columns)?.build()?)
    }

    /// The rows whose group is kept.
    fn of_kept(&self, env: &Environment<'_>, kept: LogicalPlan) -> Result<LogicalPlan> {
        let names: Vec<String> = self.keys.iter().map(|_| env.fresh("kept")).collect();
        let named = self.keys.iter().zip(&names);
        let named = named.map(|(key, name)| col(key.clone()).alias(name)).collect::<Vec<_>>();
        let kept = LogicalPlanBuilder::from(kept).project(named)?.build()?;
        let on = names.iter().map(Column::new_unqualified).collect::<Vec<_>>();
        let joined = LogicalPlanBuilder::from(self.input.clone()).join_detailed(
            kept,
            JoinType::LeftSemi,
            (self.keys.clone(), on),
            None,
            NullEquality::NullEqualsNull,
        )?;
        Ok(joined.build()?)
    }
}

/// The plan, which is in the order of `keys`, and the row after it.
///
/// # Errors
/// `TypeMismatch` when the two have different types.
pub(super) fn append(
    env: &Environment<'_>,
    plan: LogicalPlan,
    row: LogicalPlan,
    keys: &[OrderKey],
) -> Result<LogicalPlan> {
    let last = env.fresh("totals");
    let mut above = plan.schema().columns().into_iter().map(col).collect::<Vec<_>>();
    let mut below = Vec::with_capacity(above.len() + 1);
    for (column, field) in plan.schema().columns().iter().zip(plan.schema().fields()) {
        below.push(match row.schema().has_column(column) {
            true => col(column.clone()),
            // Only the order knows this column.
            false => lit(ScalarValue::try_new_null(field.data_type())?).alias(&column.name),
        });
    }
    above.push(lit(false).alias(&last));
    below.push(lit(true).alias(&last));
    let row = LogicalPlanBuilder::from(row).project(below)?.build()?;
    let both = LogicalPlanBuilder::from(plan).project(above)?.union(row)?;
    let mut sorts = vec![Expr::Column(Column::new_unqualified(last)).sort(true, false)];
    sorts.extend(keys.iter().map(|key| key.sort.clone()));
    Ok(both.sort(sorts)?.build()?)
}

/// Output columns of the row, which must be those of the result.
///
/// # Errors
/// `Internal` when they are not.
pub(super) fn check_columns(row: &[OutputColumn], result: &[OutputColumn]) -> Result<()> {
    let same = row.len() == result.len()
        && row.iter().zip(result).all(|(a, b)| a.column == b.column && a.ty == b.ty);
    match same {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::Internal, "totals with other columns than the result")),
    }
}
