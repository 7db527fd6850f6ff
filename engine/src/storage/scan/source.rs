//! The leaf of plans over `events`: what is read, and what of it is wanted.
//!
//! Projections and filters of a plan come down to here. Partitions share one queue of row groups,
//! so that all threads stay busy to the end.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::Statistics;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::datasource::source::{DataSource, OpenArgs};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::utils::{conjunction, reassign_expr_columns};
use datafusion::physical_expr::{
    EquivalenceProperties, Partitioning, PhysicalExpr, PhysicalSortExpr,
};
use datafusion::physical_plan::filter_pushdown::{FilterPushdownPropagation, PushedDown};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayFormatType, SortOrderPushdownResult};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;

use crate::functions::json::property::read_of;
use crate::storage::part::Part;
use crate::storage::scan::cache::ScanCache;
use crate::storage::scan::files::FilePlans;
use crate::storage::scan::group::{GroupRows, Reading};
use crate::storage::scan::hot::HotRows;
use crate::storage::scan::metrics::{PropertyOrigins, ScanMetrics};
use crate::storage::scan::queue::{Queue, Work};
use crate::storage::schema::TIMESTAMP;
use crate::storage::{EVENTS_FOLDER, HotBatch, ProjectId};

/// Reads the events of one project.
#[derive(Debug, Clone)]
pub(crate) struct EventsSource {
    pub(crate) project: ProjectId,
    /// Files that may have wanted rows, in the order in which they are read.
    pub(crate) parts: Vec<Arc<Part>>,
    /// What is in no file yet.
    pub(crate) hot: Vec<Arc<HotBatch>>,
    /// How many files the table has in this version.
    pub(crate) files_of_table: usize,
    /// The columns of the table.
    pub(crate) table_schema: SchemaRef,
    /// The columns of the answer, over the table.
    pub(crate) projection: ProjectionExprs,
    /// Rows must pass all of these, which are over the table.
    pub(crate) conditions: Vec<Arc<dyn PhysicalExpr>>,
    pub(crate) limit: Option<usize>,
    pub(super) statistics: Arc<Statistics>,
    pub(super) partitions: usize,
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) cache: Arc<ScanCache>,
    pub(super) metrics: ExecutionPlanMetricsSet,
    /// Of the files opened so far.
    pub(crate) origins: Arc<PropertyOrigins>,
}

/// Footers read at a time, where nothing else is.
const FOOTERS_AT_A_TIME: usize = 16;

impl EventsSource {
    pub(crate) fn table(&self) -> &'static str {
        EVENTS_FOLDER
    }

    /// Opens all files, but reads no rows, so that [`Self::origins`] says what a run will meet.
    pub(crate) async fn look(&self) -> Result<()> {
        let mut reads = false;
        self.apply_expressions(&mut |expr| {
            reads |= expr.exists(|node| Ok(read_of(node.as_ref()).is_some()))?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        if !reads {
            return Ok(());
        }
        let unmeasured = ExecutionPlanMetricsSet::new();
        let files = self.files(ScanMetrics::new(&unmeasured, 0, &self.origins), 0)?;
        let opened = self.parts.iter().map(Arc::clone).map(|part| {
            let files = &files;
            async move { files.find(&part).await }
        });
        stream::iter(opened.collect::<Vec<_>>())
            .buffer_unordered(FOOTERS_AT_A_TIME)
            .try_for_each(|_| async { Ok(()) })
            .await
    }

    fn files(&self, metrics: ScanMetrics, batch_rows: usize) -> Result<FilePlans> {
        let reading = Reading {
            store: Arc::clone(&self.store),
            cache: Arc::clone(&self.cache),
            metrics,
            schema: self.schema()?,
            batch_rows,
        };
        Ok(FilePlans::new(self.project, &self.conditions, &self.projection, reading))
    }

    fn schema(&self) -> Result<SchemaRef> {
        Ok(Arc::new(self.projection.project_schema(&self.table_schema)?))
    }

    /// A condition over the answer, as one over the table; none for what cannot be tested here.
    fn over_table(
        &self,
        condition: &Arc<dyn PhysicalExpr>,
    ) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let condition = self.projection.unproject_expr(condition)?;
        let condition = reassign_expr_columns(condition, &self.table_schema)?;
        let volatile = condition.exists(|node| Ok(node.is_volatile_node()))?;
        Ok((!volatile).then_some(condition))
    }
}

impl DataSource for EventsSource {
    fn open(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        self.open_with_args(OpenArgs::new(partition, context))
    }

    fn create_sibling_state(
        &self,
        _config: &ConfigOptions,
    ) -> Option<Arc<dyn std::any::Any + Send + Sync>> {
        Some(Arc::new(Queue::new(&self.parts, &self.hot)))
    }

    fn open_with_args(&self, args: OpenArgs) -> Result<SendableRecordBatchStream> {
        let queue = args.sibling_state.and_then(|state| state.downcast::<Queue>().ok());
        let schema = self.schema()?;
        let metrics = ScanMetrics::new(&self.metrics, args.partition, &self.origins);
        let queue = queue.unwrap_or_else(|| Arc::new(Queue::new(&self.parts, &self.hot)));
        queue.join(args.partition)?;
        let files = self.files(metrics.clone(), args.context.session_config().batch_size())?;
        let hot = HotRows::new(&self.conditions, &self.projection, Arc::clone(&schema));
        let scan = Scan { queue, files, hot, rows: None, metrics, left: self.limit };
        let batches = stream::try_unfold(scan, |mut scan| async move {
            Ok(scan.next().await?.map(|batch| (batch, scan)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
    }

    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "events, files={}/{}", self.parts.len(), self.files_of_table)?;
        if !self.hot.is_empty() {
            let rows: usize = self.hot.iter().map(|batch| batch.rows.num_rows()).sum();
            write!(f, ", rows not in files={rows}")?;
        }
        write!(f, ", projection=[{}]", self.projection)?;
        if !self.conditions.is_empty() {
            write!(f, ", predicate={}", conjunction(self.conditions.iter().cloned()))?;
        }
        self.limit.map_or(Ok(()), |limit| write!(f, ", limit={limit}"))
    }

    fn output_partitioning(&self) -> Partitioning {
        Partitioning::UnknownPartitioning(self.partitions)
    }

    fn eq_properties(&self) -> EquivalenceProperties {
        // A schema that cannot be projected has been refused before.
        EquivalenceProperties::new(self.schema().unwrap_or_else(|_| Arc::clone(&self.table_schema)))
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        let schema = self.schema()?;
        if partition.is_some() && self.partitions > 1 {
            return Ok(Arc::new(Statistics::new_unknown(&schema)));
        }
        let statistics = Statistics::clone(&self.statistics);
        let statistics = self.projection.project_statistics(statistics, &schema)?;
        Ok(Arc::new(match self.conditions.is_empty() && self.limit.is_none() {
            true => statistics,
            false => statistics.to_inexact(),
        }))
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn DataSource>> {
        Some(Arc::new(Self { limit, ..self.clone() }))
    }

    fn fetch(&self) -> Option<usize> {
        self.limit
    }

    fn metrics(&self) -> ExecutionPlanMetricsSet {
        self.metrics.clone()
    }

    fn try_swapping_with_projection(
        &self,
        projection: &ProjectionExprs,
    ) -> Result<Option<Arc<dyn DataSource>>> {
        if repeats_work(&self.projection, projection)? {
            return Ok(None);
        }
        let projection = self.projection.try_merge(projection)?;
        Ok(Some(Arc::new(Self { projection, ..self.clone() })))
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        _config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn DataSource>>> {
        // A filter above a limit speaks of other rows.
        if self.limit.is_some() {
            let none = vec![PushedDown::No; filters.len()];
            return Ok(FilterPushdownPropagation::with_parent_pushdown_result(none));
        }
        let mut conditions = self.conditions.clone();
        let mut answers = Vec::with_capacity(filters.len());
        for filter in &filters {
            answers.push(match self.over_table(filter)? {
                Some(condition) => {
                    conditions.push(condition);
                    PushedDown::Yes
                }
                None => PushedDown::No,
            });
        }
        let source: Arc<dyn DataSource> = Arc::new(Self { conditions, ..self.clone() });
        Ok(FilterPushdownPropagation::with_parent_pushdown_result(answers)
            .with_updated_node(source))
    }

    /// Files are read in the order of their times, so that `ORDER BY timestamp LIMIT` soon knows
    /// which files it need not read.
    fn try_pushdown_sort(
        &self,
        order: &[PhysicalSortExpr],
    ) -> Result<SortOrderPushdownResult<Arc<dyn DataSource>>> {
        let Some(by_time) = order.first() else { return Ok(SortOrderPushdownResult::Unsupported) };
        let by = self.projection.unproject_expr(&by_time.expr)?;
        if by.downcast_ref::<Column>().is_none_or(|column| column.name() != TIMESTAMP) {
            return Ok(SortOrderPushdownResult::Unsupported);
        }
        let mut parts = self.parts.clone();
        let latest = |part: &Arc<Part>| part.range(TIMESTAMP).and_then(|range| range.max.clone());
        let first = |part: &Arc<Part>| part.range(TIMESTAMP).and_then(|range| range.min.clone());
        // Files of which nobody knows the times come first.
        match by_time.options.descending {
            true => parts.sort_by(|a, b| {
                let (a, b) = (latest(a), latest(b));
                b.is_none().cmp(&a.is_none()).then(b.partial_cmp(&a).unwrap_or(Ordering::Equal))
            }),
            false => {
                parts.sort_by(|a, b| first(a).partial_cmp(&first(b)).unwrap_or(Ordering::Equal))
            }
        }
        let inner: Arc<dyn DataSource> = Arc::new(Self { parts, ..self.clone() });
        Ok(SortOrderPushdownResult::Inexact { inner })
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        for expr in self.conditions.iter().chain(self.projection.iter().map(|column| &column.expr))
        {
            if f(expr)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }
}

/// True when the outer projection uses something computed by the inner one several times.
fn repeats_work(inner: &ProjectionExprs, outer: &ProjectionExprs) -> Result<bool> {
    let inner: Vec<_> = inner.iter().collect();
    let mut uses = vec![0; inner.len()];
    for column in outer.iter() {
        column.expr.apply(|node| {
            if let Some(column) = node.downcast_ref::<Column>()
                && let Some(count) = uses.get_mut(column.index())
            {
                *count += 1;
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    let is_cheap = |expr: &Arc<dyn PhysicalExpr>| expr.is::<Column>() || expr.is::<Literal>();
    Ok(inner.iter().zip(uses).any(|(column, uses)| uses > 1 && !is_cheap(&column.expr)))
}

/// One partition at work.
struct Scan {
    queue: Arc<Queue>,
    files: FilePlans,
    hot: HotRows,
    rows: Option<GroupRows>,
    metrics: ScanMetrics,
    left: Option<usize>,
}

impl Scan {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if self.left == Some(0) {
                return Ok(None);
            }
            if let Some(rows) = &mut self.rows
                && let Some(batch) = rows.next().await?
            {
                return Ok(Some(self.count(batch)));
            }
            self.rows = None;
            match self.queue.take().await {
                None => return Ok(None),
                Some(Work::Hot(rows)) => {
                    let answer = self.hot.answer(&rows)?;
                    if answer.num_rows() > 0 {
                        return Ok(Some(self.count(answer)));
                    }
                }
                Some(Work::File(part, opening)) => {
                    if let Some((found, groups)) = self.files.find(&part).await? {
                        opening.add(&found, &groups);
                    }
                }
                Some(Work::Group(found, group)) => {
                    self.rows = self.files.rows(&found, group).await?;
                }
            }
        }
    }

    fn count(&mut self, batch: RecordBatch) -> RecordBatch {
        let rows = self.left.map_or(batch.num_rows(), |left| left.min(batch.num_rows()));
        self.left = self.left.map(|left| left - rows);
        self.metrics.rows.add(rows);
        batch.slice(0, rows)
    }
}
