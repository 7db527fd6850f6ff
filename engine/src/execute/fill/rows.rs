//! The rows of a filled result: those of the input, and those between them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::interleave;
use arrow::datatypes::SchemaRef;
use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TryEmitter};
use datafusion::physical_expr::PhysicalExpr;
use futures::StreamExt;

use super::grid::{self, Level, Value};
use crate::error::Result;

/// Where a filled row's value of a column comes from.
#[derive(Debug, Clone)]
pub(crate) enum Filler {
    /// The key of this level.
    Key(usize),
    /// The same for all rows between which is filled: a key before the filled ones.
    Same,
    /// The default of the column, as an array of one value.
    Default,
    /// The value of the row before.
    Before,
    /// Computed from the row before.
    Computed(Arc<dyn PhysicalExpr>),
}

/// What is filled, and how.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) schema: SchemaRef,
    pub(crate) levels: Vec<Level>,
    pub(crate) fillers: Vec<Filler>,
    /// One value per column.
    pub(crate) defaults: Vec<ArrayRef>,
}

/// Fixed places among the sources of a column.
const DEFAULT: usize = 0;
const LAST: usize = 1;
const FILLED: usize = 2;
const BATCH: usize = 3;

/// One column of the rows that wait to be handed on.
struct Column {
    sources: Vec<ArrayRef>,
    /// Source and row of each value.
    picks: Vec<(usize, usize)>,
}

type Keys = Vec<Option<Value>>;
type Output = TryEmitter<RecordBatch, DataFusionError>;

struct Rows {
    plan: Arc<Plan>,
    rows_max: usize,
    columns: Vec<Column>,
    /// The values of filled keys, by level.
    filled: Vec<Keys>,
    /// The values to fill in next, by level; none before a level is begun.
    next: Keys,
    output: Output,
}

/// Reads the input in order and hands on all rows.
///
/// # Errors
/// Those of the input and of computed columns.
pub(crate) async fn fill(
    plan: Arc<Plan>,
    mut input: SendableRecordBatchStream,
    rows_max: usize,
    output: Output,
) -> Result<(), DataFusionError> {
    let same: Vec<usize> =
        (0..plan.fillers.len()).filter(|i| matches!(plan.fillers[*i], Filler::Same)).collect();
    let fields = same.iter().map(|i| SortField::new(plan.schema.field(*i).data_type().clone()));
    let groups = RowConverter::new(fields.collect())?;
    let mut rows = Rows::new(Arc::clone(&plan), rows_max, output);
    let mut before: Option<(Keys, Option<OwnedRow>)> = None;
    while let Some(batch) = input.next().await {
        let batch = batch?;
        let keys = plan.levels.iter().map(|level| grid::read(batch.column(level.column)));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let columns: Vec<ArrayRef> = same.iter().map(|i| Arc::clone(batch.column(*i))).collect();
        let group = match same.is_empty() {
            true => None,
            false => Some(groups.convert_columns(&columns)?),
        };
        rows.begin_batch(&batch);
        for row in 0..batch.num_rows() {
            let group = group.as_ref().map(|group| group.row(row).owned());
            let here: Keys = keys.iter().map(|level| level[row]).collect();
            match &before {
                Some((earlier, known)) if *known == group => {
                    rows.advance(earlier, &here, row).await?;
                }
                earlier => {
                    if let Some((earlier, _)) = earlier {
                        rows.close(earlier, 0).await?;
                    }
                    rows.open(&here, 0, Some(row)).await?;
                }
            }
            rows.keep(&here, row).await?;
            before = Some((here, group));
        }
        rows.end_batch().await?;
    }
    match before {
        Some((earlier, _)) => rows.close(&earlier, 0).await?,
        None => {
            let nothing = vec![None; plan.levels.len()];
            rows.next[0] = plan.levels[0].from;
            rows.gap(0, None, &nothing, None).await?;
        }
    }
    rows.hand_on().await
}

impl Rows {
    fn new(plan: Arc<Plan>, rows_max: usize, output: Output) -> Self {
        let columns = plan
            .defaults
            .iter()
            .map(|default| Column { sources: vec![Arc::clone(default); BATCH], picks: Vec::new() });
        Self {
            rows_max,
            columns: columns.collect(),
            filled: vec![Vec::new(); plan.levels.len()],
            next: vec![None; plan.levels.len()],
            output,
            plan,
        }
    }

    fn begin_batch(&mut self, batch: &RecordBatch) {
        for (column, values) in self.columns.iter_mut().zip(batch.columns()) {
            column.sources.push(Arc::clone(values));
        }
    }

    /// Hands on what waits and lets go of the batch.
    async fn end_batch(&mut self) -> Result<(), DataFusionError> {
        self.hand_on().await?;
        for column in &mut self.columns {
            column.sources.truncate(BATCH);
        }
        Ok(())
    }

    /// Ends the levels in which the row differs from the one before, fills up to it, and begins
    /// the levels after the first that differs.
    async fn advance(
        &mut self,
        earlier: &Keys,
        here: &Keys,
        row: usize,
    ) -> Result<(), DataFusionError> {
        let Some(level) = (0..here.len()).find(|i| earlier[*i] != here[*i]) else {
            return Ok(());
        };
        self.close(earlier, level + 1).await?;
        match here[level] {
            Some(value) => {
                if self.next[level].is_none() && earlier[level].is_none() {
                    self.next[level] = self.plan.levels[level].from.or(Some(value));
                }
                self.gap(level, Some(value), here, None).await?;
            }
            // NULLs come last: what is left comes before them.
            None => self.gap(level, None, earlier, None).await?,
        }
        self.open(here, level + 1, Some(row)).await
    }

    /// Begins the levels from `first` on, and fills up to the row.
    async fn open(
        &mut self,
        here: &Keys,
        first: usize,
        row: Option<usize>,
    ) -> Result<(), DataFusionError> {
        for level in first..here.len() {
            let from = self.plan.levels[level].from;
            match here[level] {
                Some(value) => {
                    self.next[level] = from.or(Some(value));
                    self.gap(level, Some(value), here, row).await?;
                }
                None => {
                    self.next[level] = from;
                    if !self.plan.levels[level].nulls_first {
                        self.gap(level, None, here, row).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Fills the levels from `first` on up to their ends, the innermost first.
    async fn close(&mut self, earlier: &Keys, first: usize) -> Result<(), DataFusionError> {
        for level in (first..earlier.len()).rev() {
            self.gap(level, None, earlier, None).await?;
        }
        Ok(())
    }

    /// Fills a level up to `until`, or to its own end. The levels before it are as in `around`;
    /// those after it go through their ranges. `row` is a row of the batch in the same group, when
    /// the group has none yet.
    async fn gap(
        &mut self,
        level: usize,
        until: Option<Value>,
        around: &Keys,
        row: Option<usize>,
    ) -> Result<(), DataFusionError> {
        let plan = Arc::clone(&self.plan);
        let computes = plan.fillers.iter().any(|filler| matches!(filler, Filler::Computed(_)));
        let here = &plan.levels[level];
        if until.is_none() && here.to.is_none() {
            return Ok(());
        }
        let ends = |value: Value| {
            [until, here.to].into_iter().flatten().any(|end| !here.before(value, end))
        };
        while let Some(value) = self.next[level].filter(|value| !ends(*value)) {
            let mut keys = around.clone();
            keys[level] = Some(value);
            for (key, inner) in keys.iter_mut().zip(&plan.levels).skip(level + 1) {
                *key = inner.from;
            }
            loop {
                self.add(&keys, row)?;
                if computes {
                    // A batch of them takes long: let the query be cancelled in between.
                    tokio::task::coop::consume_budget().await;
                }
                if self.columns[0].picks.len() >= self.rows_max {
                    self.hand_on().await?;
                }
                if !step_inner(&plan.levels, level + 1, &mut keys) {
                    break;
                }
            }
            self.next[level] = here.next(value);
        }
        Ok(())
    }

    /// Adds a filled row.
    fn add(&mut self, keys: &Keys, row: Option<usize>) -> Result<()> {
        let place = self.filled[0].len();
        let mut picks = Vec::with_capacity(self.columns.len());
        let mut before = None;
        for (i, filler) in self.plan.fillers.iter().enumerate() {
            let column = &self.columns[i];
            let last = column.picks.last().copied().unwrap_or((LAST, 0));
            picks.push(match filler {
                Filler::Key(_) => (FILLED, place),
                Filler::Same => row.map_or(last, |row| (BATCH, row)),
                Filler::Default => (DEFAULT, 0),
                Filler::Before => last,
                Filler::Computed(expr) => {
                    if before.is_none() {
                        before = Some(self.last_row()?);
                    }
                    let Some(before) = &before else { continue };
                    let value = expr.evaluate(before)?.into_array(1)?;
                    let source = column.sources.len().max(BATCH + 1);
                    self.columns[i].sources.resize(source, Arc::clone(&self.plan.defaults[i]));
                    self.columns[i].sources.push(value);
                    (source, 0)
                }
            });
        }
        for (column, pick) in self.columns.iter_mut().zip(picks) {
            column.picks.push(pick);
        }
        for (values, key) in self.filled.iter_mut().zip(keys) {
            values.push(*key);
        }
        Ok(())
    }

    /// Adds a row of the batch.
    async fn keep(&mut self, here: &Keys, row: usize) -> Result<(), DataFusionError> {
        for (level, value) in here.iter().enumerate() {
            if value.is_some() && self.next[level] == *value {
                self.next[level] = value.and_then(|value| self.plan.levels[level].next(value));
            }
        }
        for column in &mut self.columns {
            column.picks.push((BATCH, row));
        }
        if self.columns[0].picks.len() >= self.rows_max {
            self.hand_on().await?;
        }
        Ok(())
    }

    /// The last row that was added, as a batch.
    fn last_row(&self) -> Result<RecordBatch> {
        let values = self.columns.iter().zip(&self.plan.fillers).enumerate();
        let values = values.map(|(i, (column, filler))| {
            let (source, row) = column.picks.last().copied().unwrap_or((LAST, 0));
            match filler {
                Filler::Key(level) if source == FILLED => {
                    self.key_column(i, &[self.filled[*level][row]])
                }
                _ => Ok(column.sources[source].slice(row, 1)),
            }
        });
        let values = values.collect::<Result<Vec<_>>>()?;
        Ok(RecordBatch::try_new(Arc::clone(&self.plan.schema), values)?)
    }

    /// Values of a filled key as a column; a key without a value has its default.
    fn key_column(&self, column: usize, keys: &[Option<Value>]) -> Result<ArrayRef> {
        let default = &self.plan.defaults[column];
        let default = grid::read(default)?.first().copied().flatten();
        let keys: Vec<_> = keys.iter().map(|key| key.or(default)).collect();
        grid::write(&keys, self.plan.schema.field(column).data_type())
    }

    /// Hands on the rows that wait.
    async fn hand_on(&mut self) -> Result<(), DataFusionError> {
        if self.columns[0].picks.is_empty() {
            return Ok(());
        }
        let mut values = Vec::with_capacity(self.columns.len());
        for (i, filler) in self.plan.fillers.iter().enumerate() {
            if let Filler::Key(level) = filler {
                let keys = self.key_column(i, &self.filled[*level])?;
                self.columns[i].sources[FILLED] = keys;
            }
            let column = &self.columns[i];
            let sources: Vec<&dyn Array> = column.sources.iter().map(AsRef::as_ref).collect();
            values.push(interleave(&sources, &column.picks)?);
        }
        let rows = RecordBatchOptions::new().with_row_count(Some(self.columns[0].picks.len()));
        let schema = Arc::clone(&self.plan.schema);
        let batch = RecordBatch::try_new_with_options(schema, values, &rows)?;
        for (column, values) in self.columns.iter_mut().zip(batch.columns()) {
            column.sources[LAST] = values.slice(values.len() - 1, 1);
            column.sources.truncate(BATCH + 1);
            column.picks.clear();
        }
        self.filled.iter_mut().for_each(Vec::clear);
        self.output.emit(batch).await;
        Ok(())
    }
}

/// The next combination of the keys from `first` on that have a range; false after the last, when
/// they are at their starts again.
fn step_inner(levels: &[Level], first: usize, keys: &mut Keys) -> bool {
    for (level, key) in levels.iter().zip(keys).skip(first).rev() {
        let (Some(from), Some(to), Some(value)) = (level.from, level.to, *key) else { continue };
        match level.next(value).filter(|next| level.before(*next, to)) {
            Some(next) => {
                *key = Some(next);
                return true;
            }
            None => *key = Some(from),
        }
    }
    false
}
