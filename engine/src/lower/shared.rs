//! Which queries are computed once though they are read several times.
//!
//! Lowering reads every common table expression as a table of its own ([`Environment::share`]).
//! When the whole query is lowered it is known how often each is read, and those that need not be
//! shared are put back where they are read, so that filters and columns are pushed into them.

use std::sync::Arc;

use datafusion::common::TableReference;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableScan};

use super::{Environment, Lowered, OutputColumn};
use crate::error::Result;
use crate::execute::shared::{SharedQuery, SharedTable};

impl Environment<'_> {
    /// The same rows, read from a query that may be shared. `materialized` is what the user asked
    /// for.
    pub(super) fn share(&self, lowered: Lowered, materialized: Option<bool>) -> Result<Lowered> {
        // What depends on its surroundings is computed where it is read.
        if !stands_alone(&lowered.plan)? {
            return Ok(lowered);
        }
        let mut queries = self.shared.borrow_mut();
        let id = u32::try_from(queries.len()).unwrap_or(u32::MAX);
        let name = self.fresh("shared");
        let query = Arc::new(SharedQuery::new(id, name.clone(), lowered.plan, materialized));
        let provider = provider_as_source(Arc::new(SharedTable(Arc::clone(&query))));
        queries.push(query);
        let plan = LogicalPlanBuilder::scan(name.as_str(), provider, None)?.build()?;
        let columns = plan.schema().columns();
        let columns = lowered
            .columns
            .into_iter()
            .map(|output| {
                let name = &output.column.name;
                let column = columns.iter().find(|column| column.name == *name).cloned();
                OutputColumn { column: column.unwrap_or_else(|| output.column.clone()), ..output }
            })
            .collect();
        Ok(Lowered { plan, columns })
    }
}

/// Decides about every shared query, the last first: when one is put back several times, those
/// that it reads are read more often.
pub(super) fn settle(env: &Environment<'_>, mut plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut queries = env.shared.take();
    let mut kept: Vec<Arc<SharedQuery>> = Vec::new();
    while let Some(query) = queries.pop() {
        let mut reads = count_reads(&plan, &query)?;
        for other in &kept {
            reads += count_reads(&other.body.lock(), &query)?;
        }
        if reads == 0 {
            continue;
        }
        if is_shared(&query, reads)? {
            kept.push(query);
            continue;
        }
        plan = put_back(plan, &query)?;
        for other in &kept {
            let mut body = other.body.lock();
            *body = put_back(body.clone(), &query)?;
        }
    }
    Ok(plan)
}

fn is_shared(query: &SharedQuery, reads: usize) -> Result<bool> {
    Ok(match query.materialized {
        Some(materialized) => materialized,
        None => reads > 1 && is_worth_sharing(&query.body.lock())?,
    })
}

/// False for what reads, filters and projects one table: reading it again with the filters and
/// columns of each reader is cheaper than keeping all of its rows. True when two evaluations
/// might differ.
fn is_worth_sharing(plan: &LogicalPlan) -> Result<bool> {
    let mut worth = false;
    plan.apply_with_subqueries(|node| {
        let simple = matches!(
            node,
            LogicalPlan::Projection(_)
                | LogicalPlan::Filter(_)
                | LogicalPlan::SubqueryAlias(_)
                | LogicalPlan::TableScan(_)
                | LogicalPlan::Values(_)
                | LogicalPlan::EmptyRelation(_)
        );
        worth = worth || !simple || node.expressions().iter().any(Expr::is_volatile);
        Ok(if worth { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(worth)
}

/// False when a plan refers to an outer query or to the rows of a recursion around it.
fn stands_alone(plan: &LogicalPlan) -> Result<bool> {
    let mut alone = true;
    let mut work_tables = Vec::new();
    let mut recursions = Vec::new();
    plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::RecursiveQuery(recursion) => recursions.push(recursion.name.clone()),
            LogicalPlan::TableScan(scan) => work_tables.extend(work_table(scan)),
            _ => {}
        }
        for expr in node.expressions() {
            let outer = expr.exists(|e| Ok(matches!(e, Expr::OuterReferenceColumn(..))))?;
            alone = alone && !outer;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(alone && work_tables.iter().all(|name| recursions.contains(name)))
}

/// The recursion whose rows a scan reads, if it reads any.
pub(super) fn work_table(scan: &TableScan) -> Option<String> {
    let provider = source_as_provider(&scan.source).ok()?;
    let table = provider.downcast_ref::<CteWorkTable>()?;
    Some(table.name().to_owned())
}

fn reads(scan: &TableScan, query: &SharedQuery) -> bool {
    source_as_provider(&scan.source).is_ok_and(|provider| {
        provider.downcast_ref::<SharedTable>().is_some_and(|table| table.0.id == query.id)
    })
}

fn count_reads(plan: &LogicalPlan, query: &SharedQuery) -> Result<usize> {
    let mut count = 0;
    plan.apply_with_subqueries(|node| {
        count += usize::from(matches!(node, LogicalPlan::TableScan(scan) if reads(scan, query)));
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(count)
}

/// The plan with the query itself where it was read.
fn put_back(plan: LogicalPlan, query: &SharedQuery) -> Result<LogicalPlan> {
    let replaced = plan.transform_up_with_subqueries(|node| match &node {
        LogicalPlan::TableScan(scan) if reads(scan, query) => {
            let body = LogicalPlanBuilder::from(query.body.lock().clone());
            let body = body.alias(TableReference::bare(query.name.as_str()))?.build()?;
            Ok(Transformed::yes(body))
        }
        _ => Ok(Transformed::no(node)),
    })?;
    Ok(replaced.data)
}
