//! `lag` and `lead` for whole batches.
//!
//! DataFusion computes window functions one partition at a time, which costs microseconds for each:
//! too much where a partition is a person or a session with a few rows. The value of a row so many
//! rows away needs no such thing: the rows are sorted by partition, so it is found by its place.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{concat, concat_batches, partition, take};
use arrow::datatypes::SchemaRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue, Statistics};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_expr::window::{StandardWindowExpr, WindowExpr};
use datafusion::physical_expr::{Distribution, OrderingRequirements, PhysicalExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec, WindowUDFExpr};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan,
    InputDistributionRequirements, InputOrderMode, PlanProperties, ReplaceChildrenOptions,
    StatisticsArgs, replace_children_if_necessary,
};
use futures::{StreamExt, stream};

use crate::functions::windows::Shift;

/// Puts [`ShiftExec`] where all functions of a window are `lag` or `lead`.
#[derive(Debug)]
pub(super) struct Shifting;

impl PhysicalOptimizerRule for Shifting {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let shifted = plan.transform_up(|plan| {
            Ok(match ShiftExec::instead_of(&plan) {
                Some(shift) => Transformed::yes(Arc::new(shift) as _),
                None => Transformed::no(plan),
            })
        })?;
        Ok(shifted.data)
    }

    fn name(&self) -> &str {
        "Shifting"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// One `lag` or `lead`.
#[derive(Debug, Clone)]
struct Column {
    value: Arc<dyn PhysicalExpr>,
    /// Rows to go ahead; negative: back.
    offset: i64,
    default: ScalarValue,
}

/// Adds columns to rows that are sorted by partition.
#[derive(Debug)]
struct ShiftExec {
    /// What it stands for: it needs and promises the same.
    window: Arc<dyn ExecutionPlan>,
    partition_by: Vec<Arc<dyn PhysicalExpr>>,
    columns: Vec<Column>,
    metrics: ExecutionPlanMetricsSet,
}

impl ShiftExec {
    /// None for another plan, or other functions.
    fn instead_of(plan: &Arc<dyn ExecutionPlan>) -> Option<Self> {
        let functions = match plan.downcast_ref::<BoundedWindowAggExec>() {
            // Other modes do not have the partitions one after the other.
            Some(window) if window.input_order_mode == InputOrderMode::Sorted => {
                window.window_expr()
            }
            Some(_) => return None,
            None => plan.downcast_ref::<WindowAggExec>()?.window_expr(),
        };
        let columns = functions.iter().map(|function| column(function.as_ref()));
        Some(Self {
            window: Arc::clone(plan),
            partition_by: functions.first()?.partition_by().to_vec(),
            columns: columns.collect::<Option<_>>()?,
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }

    fn input(&self) -> &Arc<dyn ExecutionPlan> {
        self.window.children()[0]
    }
}

fn column(function: &dyn WindowExpr) -> Option<Column> {
    let standard = function.as_any().downcast_ref::<StandardWindowExpr>()?;
    let call = standard.get_standard_func_expr().as_any().downcast_ref::<WindowUDFExpr>()?;
    let shift = call.fun().inner().downcast_ref::<Shift>()?;
    // A name may say so by chance: then DataFusion computes it, as it does all others.
    if function.name().contains("IGNORE NULLS") {
        return None;
    }
    let [value, offset, default] = call.args() else { return None };
    let literal = |expr: &Arc<dyn PhysicalExpr>| {
        expr.downcast_ref::<Literal>().map(|literal| literal.value().clone())
    };
    let ScalarValue::Int64(Some(offset)) = literal(offset)? else { return None };
    let field = function.field().ok()?;
    Some(Column {
        value: Arc::clone(value),
        offset: if shift.ahead { offset } else { -offset },
        default: literal(default)?.cast_to(field.data_type()).ok()?,
    })
}

impl DisplayAs for ShiftExec {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShiftExec: ")?;
        for (place, column) in self.columns.iter().enumerate() {
            let name = if column.offset < 0 { "lag" } else { "lead" };
            let comma = if place > 0 { ", " } else { "" };
            write!(f, "{comma}{name}({}, {})", column.value, column.offset.unsigned_abs())?;
        }
        let keys: Vec<_> = self.partition_by.iter().map(ToString::to_string).collect();
        write!(f, " by [{}]", keys.join(", "))?;
        match kind {
            DisplayFormatType::TreeRender => writeln!(f),
            _ => Ok(()),
        }
    }
}

impl ExecutionPlan for ShiftExec {
    fn name(&self) -> &'static str {
        "ShiftExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.window.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.window.children()
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        self.input_distribution_requirements().into_per_child()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        self.window.input_distribution_requirements()
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        self.window.required_input_ordering()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self {
            window: replace_children_if_necessary(Arc::clone(&self.window), children)?,
            partition_by: self.partition_by.clone(),
            columns: self.columns.clone(),
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
        let values = self.columns.iter().map(|column| &column.value);
        for expr in self.partition_by.iter().chain(values) {
            if f(expr)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let input = self.input().execute(partition, context)?;
        let rows = Rows {
            input_schema: input.schema(),
            schema: self.schema(),
            partition_by: self.partition_by.clone(),
            columns: self.columns.clone(),
            behind: None,
            held: None,
        };
        let state = Some((input, rows, metrics));
        let batches = stream::try_unfold(state, |state| async move {
            let Some((mut input, mut rows, metrics)) = state else { return Ok(None) };
            loop {
                let next = input.next().await.transpose()?;
                let timer = metrics.elapsed_compute().timer();
                let is_last = next.is_none();
                let batch = rows.push(next)?;
                timer.done();
                metrics.record_output(batch.num_rows());
                match (is_last, batch.num_rows()) {
                    (true, _) => return Ok(Some((batch, None))),
                    (false, 0) => {}
                    (false, _) => return Ok(Some((batch, Some((input, rows, metrics))))),
                }
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(
        &self,
        input_stats: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        self.window.statistics_from_inputs(input_stats, args)
    }
}

/// The rows of one partition of the plan, as they pass.
struct Rows {
    input_schema: SchemaRef,
    schema: SchemaRef,
    partition_by: Vec<Arc<dyn PhysicalExpr>>,
    columns: Vec<Column>,
    /// The partition keys and values of the last rows that are out, as many as `lag` looks back.
    behind: Option<Vec<ArrayRef>>,
    /// Rows that wait for those after them, as many as `lead` looks ahead.
    held: Option<RecordBatch>,
}

impl Rows {
    /// Takes a batch, or none at the end; gives the rows that are ready.
    fn push(&mut self, next: Option<RecordBatch>) -> Result<RecordBatch> {
        let is_last = next.is_none();
        let parts: Vec<RecordBatch> = self.held.take().into_iter().chain(next).collect();
        let rows = concat_batches(&self.input_schema, &parts)?;
        let wait = match is_last {
            true => 0,
            false => self.farthest(|offset| offset).min(rows.num_rows()),
        };
        let ready = rows.num_rows() - wait;

        let seen = self.seen(&rows)?;
        let before = seen.first().map_or(0, |column| column.len() - rows.num_rows());
        let (keys, values) = seen.split_at(self.partition_by.len());
        let bounds = bounds(keys, before + rows.num_rows())?;
        let mut out = rows.slice(0, ready).columns().to_vec();
        for (column, value) in self.columns.iter().zip(values) {
            out.push(shifted(value, &bounds, before..before + ready, column)?);
        }
        let keep = self.farthest(|offset| -offset).min(before + ready);
        let behind = seen.iter().map(|column| column.slice(before + ready - keep, keep));
        self.behind = Some(behind.collect());
        self.held = (wait > 0).then(|| rows.slice(ready, wait));
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), out)?)
    }

    /// The partition keys and values of the rows behind and of these.
    fn seen(&self, rows: &RecordBatch) -> Result<Vec<ArrayRef>> {
        let values = self.columns.iter().map(|column| &column.value);
        let exprs = self.partition_by.iter().chain(values);
        let columns = exprs.enumerate().map(|(index, expr)| {
            let column = expr.evaluate(rows)?.into_array(rows.num_rows())?;
            match &self.behind {
                Some(behind) => Ok(concat(&[behind[index].as_ref(), column.as_ref()])?),
                None => Ok(column),
            }
        });
        columns.collect()
    }

    fn farthest(&self, direction: fn(i64) -> i64) -> usize {
        let offsets = self.columns.iter().map(|column| direction(column.offset));
        usize::try_from(offsets.max().unwrap_or(0).max(0)).unwrap_or(usize::MAX)
    }
}

/// For each row where its partition begins and ends.
fn bounds(keys: &[ArrayRef], rows: usize) -> Result<Vec<(u32, u32)>> {
    if keys.is_empty() {
        return Ok(vec![(0, number(rows)); rows]);
    }
    let mut bounds = Vec::with_capacity(rows);
    for range in partition(keys)?.ranges() {
        let bound = (number(range.start), number(range.end));
        bounds.extend(std::iter::repeat_n(bound, range.len()));
    }
    Ok(bounds)
}

/// The values so many rows away from `rows`; the default where that is another partition.
fn shifted(
    values: &ArrayRef,
    bounds: &[(u32, u32)],
    rows: std::ops::Range<usize>,
    column: &Column,
) -> Result<ArrayRef> {
    let default = column.default.to_array()?;
    let with_default = concat(&[values.as_ref(), default.as_ref()])?;
    let beyond = number(values.len());
    let places = rows.map(|row| {
        let (start, end) = bounds[row];
        let place = i64::try_from(row).unwrap_or(i64::MAX).saturating_add(column.offset);
        match u32::try_from(place) {
            Ok(place) if place >= start && place < end => place,
            _ => beyond,
        }
    });
    Ok(take(&with_default, &places.collect::<UInt32Array>(), None)?)
}

/// Batches have fewer rows than this can count.
fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}
