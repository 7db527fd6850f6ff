//! What a scan wants of each file: which row groups, and its expressions in the terms of the file.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::datasource::physical_plan::parquet::{
    ParquetAccessPlan, ParquetFileMetrics, RowGroupAccessPlanFilter,
};
use datafusion::error::Result;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, CastExpr, Column, Literal};
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::simplifier::PhysicalExprSimplifier;
use datafusion::physical_expr::utils::{collect_columns, conjunction, split_conjunction};
use datafusion::physical_expr_adapter::replace_columns_with_literals;
use datafusion::physical_expr_common::physical_expr::{
    snapshot_generation, snapshot_physical_expr,
};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;

use crate::storage::ProjectId;
use crate::storage::adapt::{Adapter, Origins};
use crate::storage::part::{Part, PartIndex};
use crate::storage::scan::filters::with_values;
use crate::storage::scan::group::{FilePlan, GroupRows, Reading};
use crate::storage::scan::lanes::Lane;
use crate::storage::scan::open::{OpenFile, is_property_decimal};
use crate::storage::schema::{FILE, TEAM_ID, events_schema};

/// Plans files for one partition.
pub(super) struct FilePlans {
    project: ProjectId,
    /// Over the table.
    conditions: Vec<Arc<dyn PhysicalExpr>>,
    projection: ProjectionExprs,
    /// Conditions that become stricter while the query runs, as those of `LIMIT` do.
    is_dynamic: bool,
    reading: Reading,
}

/// A file that has been opened.
#[derive(Debug, Clone)]
pub(super) struct Found {
    part: Arc<Part>,
    plan: Arc<FilePlan>,
    /// Of the conditions by which it was planned.
    generation: u64,
}

/// What a file has for a scan, by its footer.
struct Planned {
    plan: FilePlan,
    /// Over the file.
    conditions: Vec<Arc<dyn PhysicalExpr>>,
    /// The row groups that may have wanted rows.
    groups: Vec<usize>,
    origins: Origins,
}

impl FilePlans {
    pub(super) fn new(
        project: ProjectId,
        conditions: &[Arc<dyn PhysicalExpr>],
        projection: &ProjectionExprs,
        reading: Reading,
    ) -> Self {
        Self {
            project,
            conditions: conditions.to_vec(),
            projection: projection.clone(),
            // Others are always of generation 0.
            is_dynamic: conditions.iter().any(|condition| snapshot_generation(condition) > 0),
            reading,
        }
    }

    /// Opens a file: its row groups that may have wanted rows; none where nothing in it can be
    /// wanted.
    pub(super) async fn find(&self, part: &Arc<Part>) -> Result<Option<(Found, Vec<usize>)>> {
        if self.is_dynamic && !self.may_match(part)? {
            return Ok(None);
        }
        let Reading { cache, store, metrics, .. } = &self.reading;
        let file = OpenFile::cached(cache, store, part, &metrics.bytes).await?;
        let generation = self.generation();
        let Some(Planned { plan, conditions, groups, origins }) = self.plan(part, file)? else {
            return Ok(None);
        };
        let groups = with_values(&self.reading, &plan.file, &conditions, groups).await?;
        self.reading.metrics.files.add(1);
        if !groups.is_empty() {
            self.reading.metrics.origins.add(origins);
        }
        Ok(Some((Found { part: Arc::clone(part), plan: Arc::new(plan), generation }, groups)))
    }

    /// The rows of a row group, if it may have wanted ones by now.
    pub(super) async fn rows(&self, found: &Found, group: usize) -> Result<Option<GroupRows>> {
        let mut plan = Arc::clone(&found.plan);
        if self.is_dynamic && self.generation() != found.generation {
            match self.plan(&found.part, Arc::clone(&plan.file))? {
                Some(newer) if newer.groups.contains(&group) => plan = Arc::new(newer.plan),
                _ => return Ok(None),
            }
        }
        self.reading.metrics.groups.add(1);
        GroupRows::open(&self.reading, &plan, group).await.map(Some)
    }

    fn generation(&self) -> u64 {
        self.conditions.iter().map(snapshot_generation).fold(0, u64::wrapping_add)
    }

    /// The conditions as they are now.
    fn conditions(&self) -> Result<Vec<Arc<dyn PhysicalExpr>>> {
        let conditions = self.conditions.iter().cloned();
        match self.is_dynamic {
            true => conditions.map(snapshot_physical_expr).collect(),
            false => Ok(conditions.collect()),
        }
    }

    /// False when the log shows that a part has no wanted rows.
    fn may_match(&self, part: &Arc<Part>) -> Result<bool> {
        let index = PartIndex::new(vec![Arc::clone(part)]);
        Ok(!index.select(conjunction(self.conditions()?))?.is_empty())
    }

    fn plan(&self, part: &Part, file: Arc<OpenFile>) -> Result<Option<Planned>> {
        let adapter = Adapter::new(&file.schema, &file.layouts)?;
        let simplifier = PhysicalExprSimplifier::new(&file.schema);
        let mut conditions = Vec::new();
        let own = (!part.is_only(self.project)).then(|| of_project(self.project)).transpose()?;
        for condition in self.conditions()?.into_iter().chain(own) {
            let condition = simplifier.simplify(adapter.rewrite(condition)?)?;
            for condition in split_conjunction(&condition) {
                if is_never_true(condition) {
                    return Ok(None);
                }
                if !condition.is::<Literal>() {
                    conditions.push(Arc::clone(condition));
                }
            }
        }
        let groups = self.groups(&file, &conditions)?;
        let path = HashMap::from([(FILE, ScalarValue::Utf8View(Some(part.path.clone())))]);
        let lanes: Vec<Arc<dyn PhysicalExpr>> = self
            .projection
            .iter()
            .map(|column| {
                let expr = replace_columns_with_literals(Arc::clone(&column.expr), &path)?;
                adapter.rewrite(expr)
            })
            .collect::<Result<_>>()?;
        let origins = adapter.origins();
        let read: BTreeSet<usize> = conditions
            .iter()
            .chain(&lanes)
            .flat_map(|expr| collect_columns(expr).into_iter().map(|column| column.index()))
            .collect();
        let loaded: Vec<usize> = read.into_iter().collect();
        let lane = |expr| Lane::new(expr, &file.schema, &loaded);
        let plan = FilePlan {
            conditions: conditions.iter().cloned().map(lane).collect::<Result<_>>()?,
            lanes: lanes.into_iter().map(lane).collect::<Result<_>>()?,
            deleted: part.deleted.clone(),
            loaded,
            file,
        };
        Ok(Some(Planned { plan, conditions, groups, origins }))
    }

    /// The row groups that may have wanted rows, by their statistics.
    fn groups(&self, file: &OpenFile, conditions: &[Arc<dyn PhysicalExpr>]) -> Result<Vec<usize>> {
        let groups = file.footer.metadata().row_groups();
        let all = ParquetAccessPlan::new_all(groups.len());
        if conditions.is_empty() {
            return Ok(all.row_group_indexes());
        }
        let pruning = PruningPredicateBuilder::new()
            .with_file_schema(Arc::clone(&file.stored))
            .try_build(over_stored(conjunction(conditions.iter().cloned()), &file.stored)?)?;
        let mut filter = RowGroupAccessPlanFilter::new(all);
        filter.prune_by_statistics(
            &file.stored,
            file.footer.parquet_schema(),
            groups,
            &pruning,
            // Ours are others.
            &ParquetFileMetrics::new(0, &file.path, &ExecutionPlanMetricsSet::new()),
        );
        let kept: Vec<usize> = filter.row_group_indexes().collect();
        self.reading.metrics.groups_pruned.add(groups.len() - kept.len());
        Ok(kept)
    }
}

/// The same expression over columns as they are stored: what it takes for doubles may be decimals.
fn over_stored(expr: Arc<dyn PhysicalExpr>, stored: &Schema) -> Result<Arc<dyn PhysicalExpr>> {
    let over_stored = expr.transform_up(|expr| {
        let column = expr.downcast_ref::<Column>();
        let is_decimal =
            column.is_some_and(|column| is_property_decimal(stored.field(column.index())));
        match is_decimal {
            true => {
                let double = CastExpr::new(expr, DataType::Float64, None);
                Ok(Transformed::yes(Arc::new(double) as Arc<dyn PhysicalExpr>))
            }
            false => Ok(Transformed::no(expr)),
        }
    });
    over_stored.data()
}

/// True for the constants false and NULL.
pub(super) fn is_never_true(condition: &Arc<dyn PhysicalExpr>) -> bool {
    let constant = condition.downcast_ref::<Literal>().map(Literal::value);
    constant.is_some_and(|value| *value != ScalarValue::Boolean(Some(true)))
}

/// Only rows of the project, for files that are shared with others.
fn of_project(project: ProjectId) -> Result<Arc<dyn PhysicalExpr>> {
    let column = Arc::new(Column::new_with_schema(TEAM_ID, events_schema())?);
    let id = Arc::new(Literal::new(ScalarValue::Int64(Some(project.0))));
    Ok(Arc::new(BinaryExpr::new(column, Operator::Eq, id)))
}
