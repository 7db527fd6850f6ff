//! WITH FILL: rows added to an ordered result where its keys leave gaps. DataFusion has no
//! operator for it.

pub(crate) mod grid;
pub(crate) mod rows;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::SortOptions;
use arrow::datatypes::Schema;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchemaRef, Result};
use datafusion::error::DataFusionError;
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::{SendableRecordBatchStream, TaskContext, async_try_stream};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Expr, LogicalPlan, SortExpr, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::physical_expr::{
    EquivalenceProperties, LexOrdering, OrderingRequirements, PhysicalExpr, PhysicalSortExpr,
};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{EmissionType, SchedulingType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, Distribution, ExecutionPlan,
    ExecutionPlanProperties, InputDistributionRequirements, Partitioning, PlanProperties,
    ReplaceChildrenOptions,
};
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};
use futures::StreamExt;
use hedgerow_parser::Span;

use self::grid::Level;
use self::rows::Filler;
use crate::error::{Error, ErrorKind};

/// Where a filled row's value of a column comes from, before planning.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    Key(usize),
    Same,
    Default,
    Before,
    /// The n-th computed expression.
    Computed(usize),
}

/// What is filled, and how. Columns are those of the input.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) levels: Vec<Level>,
    pub(crate) sources: Vec<Source>,
    /// One value per column.
    pub(crate) defaults: Vec<arrow::array::ArrayRef>,
    /// Of the order: how many keys it has, ascending, NULLs first.
    pub(crate) directions: Vec<(bool, bool)>,
    pub(crate) late: Vec<Late>,
}

/// A bound that is known when the query is planned, such as `today()`.
#[derive(Debug)]
pub(crate) struct Late {
    pub(crate) level: usize,
    /// TO; else FROM.
    pub(crate) is_end: bool,
    /// The n-th computed expression.
    pub(crate) expr: usize,
    pub(crate) span: Span,
}

/// The logical node.
#[derive(Debug, Clone)]
pub(crate) struct Fill {
    input: LogicalPlan,
    /// The keys of the order, then the computed expressions.
    exprs: Vec<Expr>,
    /// As it was lowered: once optimized, the input may have lost the room for NULLs that are
    /// filled in.
    schema: DFSchemaRef,
    spec: Arc<Spec>,
}

impl Fill {
    pub(crate) fn new(
        input: LogicalPlan,
        order: Vec<SortExpr>,
        computed: Vec<Expr>,
        spec: Spec,
    ) -> Self {
        let exprs = order.into_iter().map(|key| key.expr).chain(computed).collect();
        let schema = Arc::clone(input.schema());
        Self { input, exprs, schema, spec: Arc::new(spec) }
    }
}

impl PartialEq for Fill {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.spec, &other.spec)
            && self.exprs == other.exprs
            && self.input == other.input
    }
}

impl Eq for Fill {}

impl Hash for Fill {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.exprs.hash(state);
        self.input.hash(state);
    }
}

impl PartialOrd for Fill {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.input.partial_cmp(&other.input).filter(|o| *o != Ordering::Equal || self == other)
    }
}

impl UserDefinedLogicalNodeCore for Fill {
    fn name(&self) -> &str {
        "Fill"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.exprs.clone()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fill: {} keys", self.spec.levels.len())
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let input = inputs
            .into_iter()
            .next()
            .ok_or_else(|| DataFusionError::Internal("Fill without input".to_owned()))?;
        Ok(Self { input, exprs, ..self.clone() })
    }
}

/// Plans [`Fill`].
#[derive(Debug)]
pub(crate) struct FillPlanner;

#[async_trait]
impl ExtensionPlanner for FillPlanner {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let (Some(fill), [input]) = (node.as_any().downcast_ref::<Fill>(), inputs) else {
            return Ok(None);
        };
        let exprs = fill
            .exprs
            .iter()
            .map(|expr| planner.create_physical_expr(expr, fill.input.schema(), session, context));
        let mut exprs = exprs.collect::<Result<Vec<_>>>()?;
        let computed = exprs.split_off(fill.spec.directions.len());
        let order = exprs.into_iter().zip(&fill.spec.directions).map(|(expr, direction)| {
            let (asc, nulls_first) = *direction;
            PhysicalSortExpr::new(expr, SortOptions { descending: !asc, nulls_first })
        });
        let fillers = fill.spec.sources.iter().map(|source| match source {
            Source::Key(level) => Filler::Key(*level),
            Source::Same => Filler::Same,
            Source::Default => Filler::Default,
            Source::Before => Filler::Before,
            Source::Computed(index) => Filler::Computed(Arc::clone(&computed[*index])),
        });
        let plan = rows::Plan {
            schema: Arc::clone(fill.schema.inner()),
            levels: levels(&fill.spec, &computed)?,
            fillers: fillers.collect(),
            defaults: fill.spec.defaults.clone(),
        };
        let order = LexOrdering::new(order)
            .ok_or_else(|| DataFusionError::Internal("Fill without an order".to_owned()))?;
        Ok(Some(Arc::new(FillExec::new(Arc::clone(input), Arc::new(plan), order))))
    }
}

/// The levels with all of their bounds.
fn levels(spec: &Spec, computed: &[Arc<dyn PhysicalExpr>]) -> Result<Vec<Level>> {
    let mut levels = spec.levels.clone();
    let rows = RecordBatchOptions::new().with_row_count(Some(1));
    let row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &rows)?;
    for late in &spec.late {
        let value = computed[late.expr].evaluate(&row)?.into_array(1)?;
        let value = grid::read(&value)?.first().copied().flatten().ok_or_else(|| {
            Error::new(ErrorKind::InvalidArgument, "a bound of WITH FILL is NULL").at(late.span)
        })?;
        match late.is_end {
            true => levels[late.level].to = Some(value),
            false => levels[late.level].from = Some(value),
        }
    }
    Ok(levels)
}

/// The operator: reads one ordered stream and adds rows to it.
#[derive(Debug)]
struct FillExec {
    input: Arc<dyn ExecutionPlan>,
    plan: Arc<rows::Plan>,
    order: LexOrdering,
    properties: Arc<PlanProperties>,
}

impl FillExec {
    fn new(input: Arc<dyn ExecutionPlan>, plan: Arc<rows::Plan>, order: LexOrdering) -> Self {
        let orders =
            EquivalenceProperties::new_with_orderings(Arc::clone(&plan.schema), [order.clone()]);
        let properties = PlanProperties::new(
            orders,
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            input.boundedness(),
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Self { input, plan, order, properties: Arc::new(properties) }
    }
}

impl DisplayAs for FillExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FillExec: order=[{}], filled={}", self.order, self.plan.levels.len())
    }
}

impl ExecutionPlan for FillExec {
    fn name(&self) -> &str {
        "FillExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        self.input_distribution_requirements().into_per_child()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::SinglePartition])
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![Some(OrderingRequirements::from(self.order.clone()))]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        for key in &self.order {
            if f(&key.expr)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children
            .into_iter()
            .next()
            .ok_or_else(|| DataFusionError::Internal("Fill without input".to_owned()))?;
        Ok(Arc::new(Self::new(input, Arc::clone(&self.plan), self.order.clone())))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mode = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        self.replace_children(children, mode)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let rows_max = context.session_config().batch_size();
        let input = self.input.execute(partition, context)?;
        let plan = Arc::clone(&self.plan);
        let filled = async_try_stream(move |output| rows::fill(plan, input, rows_max, output));
        let filled = RecordBatchStreamAdapter::new(self.schema(), filled.boxed());
        Ok(Box::pin(cooperative(filled)))
    }
}

/// DataFusion's planner with the nodes of this module.
#[derive(Debug)]
pub(crate) struct Planner;

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(FillPlanner)]);
        planner.create_physical_plan(plan, session).await
    }
}
