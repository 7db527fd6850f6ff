//! The last check before a plan runs: it reads one project's rows and no others.
//!
//! Scans are built for a project and leave out the rows of others themselves. This check does not
//! trust that every rewrite since then kept it so.

use std::sync::Arc;

use datafusion::datasource::physical_plan::ParquetSource;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;

use crate::error::{Error, Result};
use crate::storage::{EventsSource, ProjectId};

/// Goes with every file of a user's table.
#[derive(Debug, Clone)]
pub(crate) struct ScannedFor {
    pub(crate) project: ProjectId,
    /// The table, and how many files it has in this version, for EXPLAIN.
    pub(crate) table: Arc<str>,
    pub(crate) files_of_table: usize,
}

/// Refuses a plan that reads for another project.
///
/// # Errors
/// `Internal`: a bug that would have shown other people's data.
pub(crate) fn check_project(plan: &Arc<dyn ExecutionPlan>, project: ProjectId) -> Result<()> {
    if let Some(scan) = plan.downcast_ref::<DataSourceExec>()
        && !reads_only(scan, project)
    {
        return Err(Error::internal("a plan would read the data of another project"));
    }
    plan.children().into_iter().try_for_each(|child| check_project(child, project))
}

fn reads_only(scan: &DataSourceExec, project: ProjectId) -> bool {
    if let Some(events) = scan.data_source().downcast_ref::<EventsSource>() {
        return events.project == project;
    }
    // Whatever else is scanned holds no rows of projects.
    let Some((config, _)) = scan.downcast_to_file_source::<ParquetSource>() else { return true };
    config.file_groups.iter().flat_map(|group| group.iter()).all(|file| {
        file.extension::<ScannedFor>().is_some_and(|scanned_for| scanned_for.project == project)
    })
}
