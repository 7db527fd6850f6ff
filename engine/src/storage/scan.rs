//! The `events` table of one project: which files a query reads, and how.
//!
//! Files are dropped by the log's statistics before any byte of them is read; row groups and
//! pages are dropped by Parquet's statistics. No scan can be built without a project: rows of
//! other projects are filtered out right above the files, inside the scan's own plan.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{DFSchema, Statistics};
use datafusion::config::TableParquetOptions;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{
    BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType, col, lit,
};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExecBuilder;
use object_store::ObjectStore;

use crate::storage::adapt::Adapting;
use crate::storage::guard::ScannedFor;
use crate::storage::part::{Part, PartsStatistics};
use crate::storage::schema::{
    DISTINCT_ID, DISTINCT_ID_HASH, SORT_KEY, TEAM_ID, distinct_id_hash, events_schema,
};
use crate::storage::{EVENTS_FOLDER, ProjectId, Snapshot};

/// The events of one project at one version.
#[derive(Debug)]
pub(crate) struct EventsTable {
    pub(crate) project: ProjectId,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) store_url: ObjectStoreUrl,
}

#[async_trait]
impl TableProvider for EventsTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(events_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Filters drop files, row groups and pages, not single rows: they stay above the scan too.
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
        let of_project = col(TEAM_ID).eq(lit(self.project.0));
        let hashes = filters.iter().filter_map(hash_condition).reduce(Expr::and);
        let wanted = filters.iter().chain(&hashes).cloned().fold(of_project.clone(), Expr::and);
        let schema = DFSchema::try_from(self.schema())?;
        let parts = self.select(state.create_physical_expr(wanted, &schema)?)?;
        let pruning = match hashes {
            Some(hashes) => Some(state.create_physical_expr(hashes, &schema)?),
            None => None,
        };
        if parts.iter().all(|part| part.is_only(self.project)) {
            return self.read(state, &parts, projection, pruning, limit);
        }

        // Files shared with other projects: read team_id too, filter, and drop it again.
        let team_id = events_schema().index_of(TEAM_ID)?;
        let Some(wanted) = projection else {
            let input = self.read(state, &parts, None, pruning, None)?;
            return filter(state, input, of_project, None, limit);
        };
        let mut columns = wanted.clone();
        if !columns.contains(&team_id) {
            columns.push(team_id);
        }
        let input = self.read(state, &parts, Some(&columns), pruning, None)?;
        filter(state, input, of_project, Some((0..wanted.len()).collect()), limit)
    }
}

impl EventsTable {
    /// The parts that may hold rows for the predicate, by what the log says about them.
    fn select(&self, predicate: Arc<dyn PhysicalExpr>) -> Result<Vec<Arc<Part>>> {
        let parts: Vec<_> = self.snapshot.log.parts.values().map(Arc::clone).collect();
        let pruning =
            PruningPredicateBuilder::new().with_file_schema(self.schema()).try_build(predicate)?;
        let keep = pruning.prune(&PartsStatistics { parts: &parts, schema: self.schema() })?;
        Ok(parts.into_iter().zip(keep).filter_map(|(part, keep)| keep.then_some(part)).collect())
    }

    fn read(
        &self,
        state: &dyn Session,
        parts: &[Arc<Part>],
        projection: Option<&Vec<usize>>,
        pruning: Option<Arc<dyn PhysicalExpr>>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let options = TableParquetOptions {
            global: state.config().options().execution.parquet.clone(),
            ..TableParquetOptions::default()
        };
        let footers = state.runtime_env().cache_manager.get_file_metadata_cache();
        let reader = CachedParquetFileReaderFactory::new(Arc::clone(&self.store), footers);
        let mut source = ParquetSource::new(self.schema())
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(reader));
        // The filters above the scan come to the source through the optimizer; this one exists
        // only here.
        if let Some(pruning) = pruning {
            source = source.with_predicate(pruning);
        }
        let groups = self.file_groups(parts, state.config().target_partitions())?;
        // A group of several files repeats the order from the start with each file.
        let sorted =
            parts.iter().all(|part| part.sorted) && groups.iter().all(|group| group.len() == 1);
        let ordering = match sorted {
            true => sort_order()?.into_iter().collect(),
            false => vec![],
        };
        let config = FileScanConfigBuilder::new(self.store_url.clone(), Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(statistics(parts))
            .with_output_ordering(ordering)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .with_expr_adapter(Some(Arc::new(Adapting)))
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    /// One file per group while there are groups to fill, so that the order of the rows within a
    /// file is of use; else groups of about equal size.
    fn file_groups(&self, parts: &[Arc<Part>], count: usize) -> Result<Vec<FileGroup>> {
        let mut by_size: Vec<_> = parts.iter().collect();
        by_size.sort_by_key(|part| std::cmp::Reverse(part.size_bytes));
        let mut groups = vec![(0, Vec::new()); count.clamp(1, parts.len().max(1))];
        let name: Arc<str> = EVENTS_FOLDER.into();
        for part in by_size {
            if let Some((bytes, files)) = groups.iter_mut().min_by_key(|(bytes, _)| *bytes) {
                *bytes += part.size_bytes;
                let is_shared = !part.is_only(self.project);
                let scanned_for = ScannedFor {
                    project: self.project,
                    is_shared,
                    table: Arc::clone(&name),
                    files_of_table: self.snapshot.log.parts.len(),
                };
                files.push(part.to_file()?.with_extension(scanned_for));
            }
        }
        Ok(groups.into_iter().map(|(_, files)| FileGroup::new(files)).collect())
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

/// Keeps the rows of `condition` and of their columns those at `projection`.
fn filter(
    state: &dyn Session,
    input: Arc<dyn ExecutionPlan>,
    condition: Expr,
    projection: Option<Vec<usize>>,
    limit: Option<usize>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = DFSchema::try_from(input.schema())?;
    let condition = state.create_physical_expr(condition, &schema)?;
    let filter = FilterExecBuilder::new(condition, input)
        .apply_projection(projection)?
        .with_fetch(limit)
        .build()?;
    Ok(Arc::new(filter))
}

/// The order within every file. The columns are never NULL, so where NULLs go does not matter.
fn sort_order() -> Result<Option<LexOrdering>> {
    let keys = SORT_KEY.iter().map(|name| {
        let column = Column::new_with_schema(name, events_schema())?;
        Ok(PhysicalSortExpr::new_default(Arc::new(column)))
    });
    Ok(LexOrdering::new(keys.collect::<Result<Vec<_>>>()?))
}

fn statistics(parts: &[Arc<Part>]) -> Statistics {
    let mut statistics = Statistics::new_unknown(events_schema());
    let rows: Option<u64> =
        parts.iter().map(|part| part.statistics.as_ref().map(|known| known.rows)).sum();
    if let Some(rows) = rows {
        statistics.num_rows = Precision::Exact(usize::try_from(rows).unwrap_or(usize::MAX));
    }
    let bytes: u64 = parts.iter().map(|part| part.size_bytes).sum();
    statistics.total_byte_size = Precision::Inexact(usize::try_from(bytes).unwrap_or(usize::MAX));
    statistics
}

#[cfg(test)]
mod tests;
