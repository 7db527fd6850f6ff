//! The `events` table of one project: which files a query reads, and how.
//!
//! Files are dropped by the log's statistics before any byte of them is read; row groups are
//! dropped by Parquet's statistics, pages by the rows that are wanted. No scan can be built without
//! a project: the source itself leaves out the rows of others.

mod cache;
mod files;
mod filters;
mod group;
mod hot;
mod keys;
mod lanes;
mod metrics;
mod open;
mod queue;
mod source;

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{DFSchema, Statistics};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{
    BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType, col, lit,
};
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use object_store::ObjectStore;

use crate::storage::part::Part;
use crate::storage::scan::keys::with_keys;
use crate::storage::schema::{
    DISTINCT_ID, DISTINCT_ID_HASH, TEAM_ID, distinct_id_hash, events_schema, placed_schema,
};
use crate::storage::{HotBatch, ProjectId, Snapshot};

pub(crate) use crate::storage::scan::cache::ScanCache;
pub(crate) use crate::storage::scan::metrics::PropertyOrigins;
pub(crate) use crate::storage::scan::open::OpenFile;
pub(crate) use crate::storage::scan::source::EventsSource;

/// The events of one project at one version.
#[derive(Debug)]
pub(crate) struct EventsTable {
    pub(crate) project: ProjectId,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) cache: Arc<ScanCache>,
    /// True for [`placed_schema`], with what is in files only.
    pub(crate) placed: bool,
}

#[async_trait]
impl TableProvider for EventsTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(if self.placed { placed_schema() } else { events_schema() })
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Filters stay above the scan until the physical plan is made; then they come down into it.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let hashes = filters.iter().filter_map(hash_condition).reduce(Expr::and);
        let of_project = col(TEAM_ID).eq(lit(self.project.0));
        let wanted = filters.iter().chain(&hashes).cloned().fold(of_project, Expr::and);
        let schema = DFSchema::try_from(self.schema())?;
        let wanted = state.create_physical_expr(wanted, &schema)?;
        let parts = self.snapshot.log.index().select(Arc::clone(&wanted))?;
        let parts = with_keys(parts, &wanted)?;
        // The filters themselves come down through the optimizer; this one exists only here.
        let hashes =
            hashes.map(|hashes| state.create_physical_expr(hashes, &schema)).transpose()?;
        let hot = self.snapshot.hot_of(self.project).filter(|_| !self.placed);
        let hot: Vec<_> = hot.cloned().collect();
        let table_schema = self.schema();
        let all: Vec<usize> = (0..table_schema.fields().len()).collect();
        let projection = projection.unwrap_or(&all);
        Ok(DataSourceExec::from_data_source(EventsSource {
            project: self.project,
            files_of_table: self.snapshot.log.parts.len(),
            projection: ProjectionExprs::from_indices(projection, &table_schema),
            conditions: hashes.into_iter().collect(),
            limit,
            statistics: Arc::new(statistics(&table_schema, &parts, &hot, self.project)),
            table_schema,
            partitions: state.config().target_partitions(),
            store: Arc::clone(&self.store),
            cache: Arc::clone(&self.cache),
            metrics: ExecutionPlanMetricsSet::new(),
            origins: Arc::default(),
            parts,
            hot,
        }))
    }
}

/// For a filter on distinct_id, what it says about the hash, by which files are sorted.
fn hash_condition(filter: &Expr) -> Option<Expr> {
    let hash_of = |expr: &Expr| match expr {
        Expr::Literal(value, _) => Some(distinct_id_hash(value.try_as_str()??)),
        _ => None,
    };
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            let value = match (is_distinct_id(left), is_distinct_id(right)) {
                (true, _) => right,
                (_, true) => left,
                _ => return None,
            };
            Some(col(DISTINCT_ID_HASH).eq(lit(hash_of(value)?)))
        }
        Expr::InList(InList { expr, list, negated: false }) if is_distinct_id(expr) => {
            let hashes: Option<Vec<Expr>> =
                list.iter().map(|item| Some(lit(hash_of(item)?))).collect();
            Some(col(DISTINCT_ID_HASH).in_list(hashes?, false))
        }
        _ => None,
    }
}

fn is_distinct_id(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(column) if column.name == DISTINCT_ID)
}

/// What is known of all parts and batches together.
fn statistics(
    schema: &Schema,
    parts: &[Arc<Part>],
    hot: &[Arc<HotBatch>],
    project: ProjectId,
) -> Statistics {
    let mut statistics = Statistics::new_unknown(schema);
    let rows: Option<u64> = parts.iter().map(|part| part.rows()).sum();
    if let Some(rows) = rows {
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        let rows = hot.iter().fold(rows, |rows, batch| rows.saturating_add(batch.rows.num_rows()));
        statistics.num_rows = match parts.iter().all(|part| part.is_only(project)) {
            true => Precision::Exact(rows),
            // Others have rows there too.
            false => Precision::Inexact(rows),
        };
    }
    let bytes: u64 = parts.iter().map(|part| part.size_bytes).sum();
    statistics.total_byte_size = Precision::Inexact(usize::try_from(bytes).unwrap_or(usize::MAX));
    statistics
}

#[cfg(test)]
pub(crate) mod tests;
