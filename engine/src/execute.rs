//! Logical plan to a stream of batches, on the engine's own threads.

mod buckets;
pub(crate) mod fill;
pub(crate) mod leaves;
pub(crate) mod order;
pub(crate) mod shared;
mod shift;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::execution::{SessionState, TaskContext};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::AbortOnDropHandle;

use crate::answer::without_place;
use crate::error::{Error, Result};
use crate::lower::{Lowered, Runnable};
use crate::storage::{ProjectId, check_project};

/// Batches that may wait for a slow client before the query pauses.
const BATCHES_AHEAD: usize = 2;

/// A plan that may run: it reads one project's rows and no others.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) physical: Arc<dyn ExecutionPlan>,
    pub(crate) schema: SchemaRef,
    /// Errors while it runs do not tell their place, see [`Runnable::other_texts`].
    other_texts: bool,
    context: Arc<TaskContext>,
}

/// The columns a client sees. All are nullable: what a plan can prove about NULL is not part
/// of the promise.
pub(crate) fn output_schema(lowered: &Lowered) -> SchemaRef {
    let fields = lowered.columns.iter().map(|column| column.ty.to_field(&column.name, true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Optimizes a lowered query and decides how it runs.
pub(crate) async fn plan(
    state: &SessionState,
    query: &Runnable,
    project: ProjectId,
) -> Result<Plan> {
    let Runnable { lowered, other_texts, .. } = query;
    let physical = physical(state, lowered, project).await;
    let physical = physical.map_err(|error| told(error, *other_texts))?;
    let (schema, context) = (output_schema(lowered), state.task_ctx());
    Ok(Plan { physical, schema, other_texts: *other_texts, context })
}

async fn physical(
    state: &SessionState,
    lowered: &Lowered,
    project: ProjectId,
) -> Result<Arc<dyn ExecutionPlan>> {
    let physical = state.create_physical_plan(&lowered.plan).await?;
    check_project(&physical, project)?;
    for plan in shared::plan_shared(&physical, state).await? {
        check_project(&plan, project)?;
    }
    Ok(physical)
}

/// The error with its place, if that is in the text that the user sent.
fn told(error: Error, other_texts: bool) -> Error {
    if other_texts { without_place(error) } else { error }
}

impl Plan {
    /// Runs on the caller's thread: for statements that take the rows themselves.
    pub(crate) fn batches(&self) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let (schema, other_texts) = (Arc::clone(&self.schema), self.other_texts);
        let batches = execute_stream(Arc::clone(&self.physical), Arc::clone(&self.context))?;
        let batches = batches.map(move |batch| {
            let batch = batch.map_err(|error| told(error.into(), other_texts))?;
            relabel(batch, &schema)
        });
        Ok(batches.boxed())
    }

    /// Runs on the runtime of `query_threads` and stops when the stream is dropped; a slow
    /// reader slows it down instead of filling memory.
    pub(crate) fn start(
        &self,
        query_threads: &Handle,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let mut batches = self.batches()?;
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        let work = query_threads.spawn(async move {
            while let Some(batch) = batches.next().await {
                let failed = batch.is_err();
                if sender.send(batch).await.is_err() || failed {
                    return;
                }
            }
        });
        let work = AbortOnDropHandle::new(work);
        let stream = ReceiverStream::new(receiver)
            .map(Some)
            .chain(futures::stream::once(ended(work)))
            .filter_map(|batch| async { batch });
        Ok(stream.boxed())
    }
}

/// Waits for the work, so that a panic in it becomes an error and not a short answer.
async fn ended(work: AbortOnDropHandle<()>) -> Option<Result<RecordBatch>> {
    match work.await {
        Ok(()) => None,
        Err(error) => Some(Err(Error::internal(format!("the query stopped: {error}")))),
    }
}

/// The batch under the names the user gave, which need not be unique as a plan's must.
fn relabel(batch: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let rows = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    // Functions of libraries lose the extension types of nested values.
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
        let (found, wanted) = (column.data_type(), field.data_type());
        match found != wanted && found.equals_datatype(wanted) {
            true => arrow::compute::cast(column, wanted),
            false => Ok(Arc::clone(column)),
        }
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &rows).map_err(|error| {
        Error::internal(format!("the result differs from its description: {error}"))
    })
}
