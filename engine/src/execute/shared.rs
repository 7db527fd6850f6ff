//! A query whose rows are computed once, however often they are read.
//!
//! To DataFusion it is a table ([`SharedQuery`]). Its own plan is made after the plans that read
//! it, so that it computes only the columns they want. The first reader to be polled drives it;
//! the others wait for all its rows, which are kept in memory within the pool's limit, and beyond
//! it on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, OnceLock};

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableType};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, SpillMetrics};
use datafusion::physical_plan::spill::{SpillManager, get_record_batch_memory_size};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
    execute_stream,
};
use futures::future::{BoxFuture, FutureExt, Shared};
use futures::stream::{self, StreamExt, TryStreamExt};
use parking_lot::Mutex;

/// A query that several places of a plan read.
pub(crate) struct SharedQuery {
    /// Ascends: a query reads only those with a smaller number.
    pub(crate) id: u32,
    /// The name in the plan.
    pub(crate) name: String,
    /// What the user asked for: MATERIALIZED or NOT MATERIALIZED.
    pub(crate) materialized: Option<bool>,
    /// Changes while the queries that it reads are decided about.
    pub(crate) body: Mutex<LogicalPlan>,
    schema: SchemaRef,
    /// Indices of the columns that are read.
    used: Mutex<BTreeSet<usize>>,
    planned: OnceLock<Planned>,
    rows: OnceLock<Collecting>,
}

/// The physical plan, and the indices of the columns it computes, ascending.
struct Planned {
    plan: Arc<dyn ExecutionPlan>,
    columns: Vec<usize>,
}

type Collecting = Shared<BoxFuture<'static, Result<Arc<Rows>, Arc<DataFusionError>>>>;

impl SharedQuery {
    pub(crate) fn new(
        id: u32,
        name: String,
        body: LogicalPlan,
        materialized: Option<bool>,
    ) -> Self {
        Self {
            id,
            name,
            materialized,
            schema: Arc::clone(body.schema().inner()),
            body: Mutex::new(body),
            used: Mutex::default(),
            planned: OnceLock::new(),
            rows: OnceLock::new(),
        }
    }

    /// Makes the physical plan, once all readers have said what they read.
    async fn plan(&self, state: &SessionState) -> Result<Arc<dyn ExecutionPlan>> {
        let columns: Vec<usize> = self.used.lock().iter().copied().collect();
        let body = self.body.lock().clone();
        let all = body.schema().columns();
        let wanted: Vec<Expr> = columns.iter().map(|i| Expr::Column(all[*i].clone())).collect();
        let body = LogicalPlanBuilder::from(body).project(wanted)?.build()?;
        let plan = state.create_physical_plan(&body).await?;
        self.planned.get_or_init(|| Planned { plan: Arc::clone(&plan), columns });
        Ok(plan)
    }

    /// The physical plan, when there is one.
    pub(crate) fn physical(&self) -> Option<&Arc<dyn ExecutionPlan>> {
        self.planned.get().map(|planned| &planned.plan)
    }

    fn rows(&self, context: &Arc<TaskContext>) -> Result<(Collecting, &[usize])> {
        let planned = self
            .planned
            .get()
            .ok_or_else(|| DataFusionError::Internal(format!("{} was not planned", self.name)))?;
        let rows = self.rows.get_or_init(|| {
            let (plan, context) = (Arc::clone(&planned.plan), Arc::clone(context));
            let name = self.name.clone();
            async move { collect(plan, context, name).await.map(Arc::new).map_err(Arc::new) }
                .boxed()
                .shared()
        });
        Ok((rows.clone(), &planned.columns))
    }
}

/// Plans the shared queries that `plan` reads, directly or through each other.
///
/// # Errors
/// Whatever planning a query can fail with.
pub(crate) async fn plan_shared(
    plan: &Arc<dyn ExecutionPlan>,
    state: &SessionState,
) -> Result<Vec<Arc<dyn ExecutionPlan>>> {
    let mut waiting = BTreeMap::new();
    find(plan, &mut waiting)?;
    let mut plans = Vec::new();
    // The last first: it may read more columns of earlier ones.
    while let Some((_, query)) = waiting.pop_last() {
        let plan = query.plan(state).await?;
        find(&plan, &mut waiting)?;
        plans.push(plan);
    }
    Ok(plans)
}

/// The shared query that a step of a plan reads, if it reads one.
pub(crate) fn read_by(step: &Arc<dyn ExecutionPlan>) -> Option<&Arc<SharedQuery>> {
    step.downcast_ref::<SharedScanExec>().map(|scan| &scan.query)
}

fn find(plan: &Arc<dyn ExecutionPlan>, found: &mut BTreeMap<u32, Arc<SharedQuery>>) -> Result<()> {
    plan.apply(|node| {
        if let Some(scan) = node.downcast_ref::<SharedScanExec>() {
            found.insert(scan.query.id, Arc::clone(&scan.query));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

/// All rows of a query.
struct Rows {
    in_memory: Vec<RecordBatch>,
    /// Held as long as the rows.
    _memory: MemoryReservation,
    on_disk: Option<(SpillManager, Arc<dyn datafusion::execution::SpillFile>)>,
}

async fn collect(
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    name: String,
) -> Result<Rows> {
    let consumer = MemoryConsumer::new(name.clone()).with_can_spill(true);
    let memory = consumer.register(context.memory_pool());
    let metrics = SpillMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
    let manager = SpillManager::new(context.runtime_env(), metrics, plan.schema());
    let mut batches = execute_stream(plan, context)?;
    let mut in_memory = Vec::new();
    let mut file = None;
    while let Some(batch) = batches.try_next().await? {
        if file.is_none() && memory.try_grow(get_record_batch_memory_size(&batch)).is_err() {
            file = Some(manager.create_in_progress_file(&name)?);
        }
        match &mut file {
            Some(file) => {
                file.append_batch(&batch)?;
            }
            None => in_memory.push(batch),
        }
    }
    let on_disk = match file {
        Some(mut file) => file.finish()?.map(|file| (manager, file)),
        None => None,
    };
    Ok(Rows { in_memory, _memory: memory, on_disk })
}

impl Rows {
    /// The rows from the first on.
    fn read(self: Arc<Self>) -> Result<stream::BoxStream<'static, Result<RecordBatch>>> {
        let on_disk = match &self.on_disk {
            Some((manager, file)) => manager.read_spill_as_stream(Arc::clone(file), None)?.boxed(),
            None => stream::empty().boxed(),
        };
        let count = self.in_memory.len();
        let in_memory = stream::iter(0..count).map(move |i| Ok(self.in_memory[i].clone()));
        Ok(in_memory.chain(on_disk).boxed())
    }
}

/// The table that a plan reads: a handle on the query.
#[derive(Debug)]
pub(crate) struct SharedTable(pub(crate) Arc<SharedQuery>);

#[async_trait]
impl TableProvider for SharedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.0.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let projection = match projection {
            Some(projection) => projection.clone(),
            None => (0..self.0.schema.fields().len()).collect(),
        };
        self.0.used.lock().extend(&projection);
        let schema = Arc::new(self.0.schema.project(&projection)?);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        let query = Arc::clone(&self.0);
        Ok(Arc::new(SharedScanExec { query, projection, properties: Arc::new(properties) }))
    }
}

/// One reader of a shared query.
#[derive(Debug)]
struct SharedScanExec {
    query: Arc<SharedQuery>,
    projection: Vec<usize>,
    properties: Arc<PlanProperties>,
}

impl DisplayAs for SharedScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedScanExec: query={}", self.query.name)
    }
}

impl ExecutionPlan for SharedScanExec {
    fn name(&self) -> &str {
        "SharedScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(
        &self,
        _partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let (rows, columns) = self.query.rows(&context)?;
        let place = |column: &usize| columns.binary_search(column);
        let places = self.projection.iter().map(place).collect::<Result<Vec<_>, _>>();
        let places = places.map_err(|_| {
            DataFusionError::Internal(format!("{} lacks a column", self.query.name))
        })?;
        let schema = self.schema();
        let project = {
            let schema = Arc::clone(&schema);
            move |batch: RecordBatch| {
                let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
                let columns = places.iter().map(|i| Arc::clone(batch.column(*i))).collect();
                Ok(RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &rows)?)
            }
        };
        let batches = async move {
            let rows = rows.await.map_err(DataFusionError::Shared)?;
            rows.read()
        };
        let batches = stream::once(batches).try_flatten();
        let batches = batches.map(move |batch| batch.and_then(&project));
        let batches = RecordBatchStreamAdapter::new(schema, batches.boxed());
        Ok(Box::pin(cooperative(batches)))
    }
}

impl fmt::Debug for SharedQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedQuery").field("id", &self.id).field("name", &self.name).finish()
    }
}
