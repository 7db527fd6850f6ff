//! Aggregations with very many groups, one bucket of groups after the other.
//!
//! A hash table of millions of groups misses the processor's caches with every row, and grows by
//! copying itself. Here the partial results are spread over buckets by the hash of their group
//! first, and each bucket is then aggregated by itself, in a table that fits into the caches (radix
//! partitioning; on disk the same is known as Grace hashing). With few partial results nothing is
//! spread. Buckets that do not fit into memory wait on disk.

mod spread;

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, Statistics};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Distribution, OrderingRequirements, PhysicalExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, SpillMetrics,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan,
    InputDistributionRequirements, InputOrderMode, PlanProperties, ReplaceChildrenOptions,
    StatisticsArgs, replace_children_if_necessary,
};
use futures::{StreamExt, TryStreamExt, stream};

use crate::execute::buckets::spread::{Bucket, Spread};

/// Puts [`BucketsExec`] in the place of final aggregations.
#[derive(Debug)]
pub(super) struct Bucketing;

impl PhysicalOptimizerRule for Bucketing {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let bucketed = plan.transform_up(|plan| {
            Ok(match BucketsExec::instead_of(&plan) {
                Some(buckets) => Transformed::yes(Arc::new(buckets) as _),
                None => Transformed::no(plan),
            })
        })?;
        Ok(bucketed.data)
    }

    fn name(&self) -> &str {
        "Bucketing"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The final step of an aggregation whose partial results come spread by group.
#[derive(Debug)]
struct BucketsExec {
    /// What it stands for: it needs and promises the same.
    whole: Arc<dyn ExecutionPlan>,
    keys: Vec<Arc<dyn PhysicalExpr>>,
    metrics: ExecutionPlanMetricsSet,
}

impl BucketsExec {
    /// None for another plan, and where groups come in order or not all are wanted: there
    /// DataFusion need not keep all groups.
    fn instead_of(plan: &Arc<dyn ExecutionPlan>) -> Option<Self> {
        let aggregate = plan.downcast_ref::<AggregateExec>()?;
        let groups = aggregate.group_expr();
        let fits = *aggregate.mode() == AggregateMode::FinalPartitioned
            && *aggregate.input_order_mode() == InputOrderMode::Linear
            && aggregate.limit_options().is_none()
            && !groups.has_grouping_set()
            && !groups.is_empty();
        fits.then(|| Self {
            whole: Arc::clone(plan),
            keys: groups.input_exprs(),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }

    fn input(&self) -> &Arc<dyn ExecutionPlan> {
        self.whole.children()[0]
    }
}

impl DisplayAs for BucketsExec {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.whole.downcast_ref::<AggregateExec>() {
            Some(aggregate) => aggregate.fmt_as(kind, f),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for BucketsExec {
    fn name(&self) -> &'static str {
        "AggregateExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.whole.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.whole.children()
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        self.input_distribution_requirements().into_per_child()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        self.whole.input_distribution_requirements()
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        self.whole.required_input_ordering()
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self {
            whole: replace_children_if_necessary(Arc::clone(&self.whole), children)?,
            keys: self.keys.clone(),
            metrics: ExecutionPlanMetricsSet::new(),
        }))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mode = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        self.replace_children(children, mode)
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.whole.apply_expressions(f)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let input = self.input().execute(partition, Arc::clone(&context))?;
        let spills = SpillMetrics::new(&self.metrics, partition);
        let spread = Spread::new(self.keys.clone(), input.schema(), spills, &context);
        let whole = Arc::clone(&self.whole);
        let answers = async move {
            let buckets = spread.all(input, metrics.elapsed_compute()).await?.into_iter();
            let answers = Answers { buckets, current: None, whole, context, metrics };
            Ok::<_, DataFusionError>(stream::try_unfold(answers, Answers::next))
        };
        let answers = stream::once(answers).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), answers)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(
        &self,
        input_stats: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        self.whole.statistics_from_inputs(input_stats, args)
    }
}

/// The groups, bucket by bucket.
struct Answers {
    buckets: std::vec::IntoIter<Bucket>,
    current: Option<SendableRecordBatchStream>,
    whole: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    metrics: BaselineMetrics,
}

impl Answers {
    async fn next(mut self) -> Result<Option<(RecordBatch, Self)>> {
        loop {
            let mut current = match self.current.take() {
                Some(current) => current,
                None => match self.buckets.next() {
                    Some(bucket) => self.aggregate(bucket)?,
                    None => return Ok(None),
                },
            };
            // The input is at hand: waiting is computing.
            let timer = self.metrics.elapsed_compute().timer();
            let batch = current.next().await.transpose()?;
            timer.done();
            if let Some(batch) = batch {
                self.metrics.record_output(batch.num_rows());
                self.current = Some(current);
                return Ok(Some((batch, self)));
            }
        }
    }

    fn aggregate(&self, bucket: Bucket) -> Result<SendableRecordBatchStream> {
        let input = Arc::new(bucket.into_plan()?) as Arc<dyn ExecutionPlan>;
        let aggregate = replace_children_if_necessary(Arc::clone(&self.whole), vec![input])?;
        aggregate.execute(0, Arc::clone(&self.context))
    }
}
