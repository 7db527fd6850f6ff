//! Batches in any order → sorted runs. Sorting goes on while more rows come.

use std::collections::BTreeMap;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int64Type;
use futures::TryStreamExt;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::error::{Error, Result};
use crate::storage::build::order::{Day, column};
use crate::storage::build::run::{DayTotal, Place, Run};
use crate::storage::{EventStore, Part, ProjectId, TEAM_ID, all_columns};

/// Takes rows of one project, in the types of the store's schema.
#[derive(Debug)]
pub(crate) struct Sorter {
    buffer: Vec<RecordBatch>,
    buffer_bytes: usize,
    buffer_bytes_max: usize,
    sorting: Option<JoinHandle<Result<Run>>>,
    runs: Vec<Run>,
}

/// All rows, sorted but in pieces.
#[derive(Debug)]
pub(crate) struct Sorted {
    /// In the order in which their rows came.
    pub(super) runs: Vec<Run>,
}

impl Sorter {
    /// Holds so many bytes before it sorts them and puts them aside; twice as many are in memory
    /// while it does.
    pub(crate) fn new(buffer_bytes_max: usize) -> Self {
        Self {
            buffer: Vec::new(),
            buffer_bytes: 0,
            buffer_bytes_max,
            sorting: None,
            runs: Vec::new(),
        }
    }

    /// # Errors
    /// `Storage` when a temporary file cannot be written.
    pub(crate) async fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.buffer_bytes += batch.get_array_memory_size();
        self.buffer.push(batch);
        if self.buffer_bytes >= self.buffer_bytes_max {
            self.sort(Place::Disk).await?;
        }
        Ok(())
    }

    /// Pushes a project's rows of a part.
    ///
    /// # Errors
    /// `Storage` when the part cannot be read, or a temporary file cannot be written.
    pub(crate) async fn push_part(
        &mut self,
        store: &EventStore,
        project: ProjectId,
        part: &Part,
    ) -> Result<()> {
        let mut batches = store.read_part(part, &all_columns()).await?;
        while let Some(batch) = batches.try_next().await? {
            self.push(rows_of(project, part, batch)?).await?;
        }
        Ok(())
    }

    /// # Errors
    /// `Storage` when a temporary file cannot be written.
    pub(crate) async fn finish(mut self) -> Result<Sorted> {
        self.sort(Place::Memory).await?;
        self.wait().await?;
        self.runs.retain(|run| !run.blocks.is_empty());
        Ok(Sorted { runs: self.runs })
    }

    async fn sort(&mut self, place: Place) -> Result<()> {
        self.wait().await?;
        self.buffer_bytes = 0;
        let batches = std::mem::take(&mut self.buffer);
        self.sorting = Some(spawn_blocking(move || Run::sort(&batches, place)));
        Ok(())
    }

    async fn wait(&mut self) -> Result<()> {
        if let Some(sorting) = self.sorting.take() {
            let run = sorting.await;
            self.runs.push(run.map_err(|error| Error::internal(format!("a sort died: {error}")))??);
        }
        Ok(())
    }
}

impl Sorted {
    pub(crate) fn rows(&self) -> u64 {
        self.runs.iter().flat_map(|run| run.days.values()).map(|total| total.rows).sum()
    }

    pub(super) fn days(&self) -> BTreeMap<Day, DayTotal> {
        let mut days: BTreeMap<Day, DayTotal> = BTreeMap::new();
        for (day, total) in self.runs.iter().flat_map(|run| &run.days) {
            days.entry(*day).or_default().add(*total);
        }
        days
    }
}

/// The rows of a project.
fn rows_of(project: ProjectId, part: &Part, batch: RecordBatch) -> Result<RecordBatch> {
    if part.is_only(project) {
        return Ok(batch);
    }
    let teams = column(&batch, TEAM_ID)?.as_primitive::<Int64Type>().values();
    let is_ours: BooleanArray = teams.iter().map(|team| Some(*team == project.0)).collect();
    Ok(filter_record_batch(&batch, &is_ours)?)
}
