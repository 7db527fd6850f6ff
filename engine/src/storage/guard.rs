//! The last check before a plan runs: it reads one project's rows and no others.
//!
//! Scans are built for a project and filter shared files themselves. This check does not trust
//! that every rewrite since then kept it so.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::datasource::physical_plan::{FileSource, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use datafusion::physical_expr::utils::split_conjunction;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;

use crate::error::{Error, Result};
use crate::storage::ProjectId;
use crate::storage::schema::TEAM_ID;

/// Goes with every file of a scan.
#[derive(Debug, Clone)]
pub(crate) struct ScannedFor {
    pub(crate) project: ProjectId,
    /// The file has rows of other projects, or may have.
    pub(crate) is_shared: bool,
    /// The table, and how many files it has in this version, for EXPLAIN.
    pub(crate) table: Arc<str>,
    pub(crate) files_of_table: usize,
}

/// Refuses a plan that reads files for another project, or shared files without a filter right
/// above them.
///
/// # Errors
/// `Internal`: a bug that would have shown other people's data.
pub(crate) fn check_project(plan: &Arc<dyn ExecutionPlan>, project: ProjectId) -> Result<()> {
    check(plan, project, false)
}

fn check(plan: &Arc<dyn ExecutionPlan>, project: ProjectId, filtered: bool) -> Result<()> {
    if let Some(scan) = plan.downcast_ref::<DataSourceExec>() {
        return check_scan(scan, project, filtered);
    }
    let filters = match plan.downcast_ref::<FilterExec>() {
        Some(filter) => filtered || selects(filter.predicate(), project),
        None => filtered,
    };
    for child in plan.children() {
        // Below an operator that makes new columns a filter speaks of other things.
        let is_filter = plan.is::<FilterExec>();
        let same_columns = plan.children().len() == 1 && plan.schema() == child.schema();
        check(child, project, filters && (is_filter || same_columns))?;
    }
    Ok(())
}

fn check_scan(scan: &DataSourceExec, project: ProjectId, filtered: bool) -> Result<()> {
    let lost = || Error::internal("a plan would read the data of another project");
    // Whatever else is scanned does not hold events.
    let Some((config, source)) = scan.downcast_to_file_source::<ParquetSource>() else {
        return Ok(());
    };
    // Without pushdown the source's own filter drops row groups, not rows.
    let exact = source.table_parquet_options().global.pushdown_filters;
    let pushed = source.filter().filter(|_| exact);
    let filtered = filtered || pushed.is_some_and(|predicate| selects(&predicate, project));
    for file in config.file_groups.iter().flat_map(|group| group.iter()) {
        let scanned_for = file.extension::<ScannedFor>().ok_or_else(lost)?;
        if scanned_for.project != project || (scanned_for.is_shared && !filtered) {
            return Err(lost());
        }
    }
    Ok(())
}

/// True when the condition lets only rows of the project pass.
fn selects(condition: &Arc<dyn PhysicalExpr>, project: ProjectId) -> bool {
    split_conjunction(condition).into_iter().any(|part| {
        let Some(comparison) = part.downcast_ref::<BinaryExpr>() else { return false };
        let column = comparison.left().downcast_ref::<Column>();
        let value = comparison.right().downcast_ref::<Literal>();
        *comparison.op() == Operator::Eq
            && column.is_some_and(|column| column.name() == TEAM_ID)
            && value.is_some_and(|value| *value.value() == ScalarValue::Int64(Some(project.0)))
    })
}
