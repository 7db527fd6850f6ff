//! `system.mutations`: the statements that deleted events.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, FixedSizeBinaryBuilder, Int64Array, RecordBatch, StringViewArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::error::Result;

use super::Table;
use super::computed::{Computed, Rows, Wanted, described};
use crate::storage::{EventStore, Mutation, ProjectId};
use crate::types::Type;

/// The table of one project.
pub(super) fn table(store: EventStore, project: ProjectId) -> Table {
    Table {
        name: "system.mutations".to_owned(),
        doc: "The statements that deleted events, and how far each has come.",
        provider: Arc::new(Computed { schema: schema(), rows: MutationRows { store, project } }),
    }
}

/// Read anew by each query.
#[derive(Debug)]
struct MutationRows {
    store: EventStore,
    project: ProjectId,
}

fn schema() -> SchemaRef {
    let field = |name, ty: Type, comment| described(name, &ty, false, comment);
    Arc::new(Schema::new(vec![
        field("id", Type::Uuid, "The statement's identity."),
        field("statement", Type::String, "Its text, without the values of parameters."),
        field("created_at", Type::utc(), "When it began."),
        field(
            "state",
            Type::String,
            "running; failed, with nothing deleted; deleted: no query sees the events, files \
             still have them; removed: no file has them.",
        ),
        field("events", Type::Int64, "The events that it deleted."),
        field("files_marked", Type::Int64, "Files that are read without the events."),
        field("files_replaced", Type::Int64, "Files that were replaced or dropped at once."),
    ]))
}

fn rows(schema: SchemaRef, mutations: &[Mutation]) -> Result<RecordBatch> {
    let numbers = |number: fn(&Mutation) -> u64| -> ArrayRef {
        Arc::new(mutations.iter().map(|m| Some(number(m).cast_signed())).collect::<Int64Array>())
    };
    let texts = |text: fn(&Mutation) -> &str| -> ArrayRef {
        Arc::new(mutations.iter().map(|m| Some(text(m))).collect::<StringViewArray>())
    };
    let mut ids = FixedSizeBinaryBuilder::with_capacity(mutations.len(), 16);
    for mutation in mutations {
        ids.append_value(mutation.id.as_bytes())?;
    }
    let times = mutations.iter().map(|mutation| mutation.created_ms * 1000);
    let times = TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC");
    let columns = vec![
        Arc::new(ids.finish()) as ArrayRef,
        texts(|mutation| &mutation.statement),
        Arc::new(times),
        texts(|mutation| mutation.state.name()),
        numbers(|mutation| mutation.events),
        numbers(|mutation| mutation.marked.len() as u64),
        numbers(|mutation| mutation.replaced.len() as u64),
    ];
    Ok(RecordBatch::try_new(schema, columns)?)
}

#[async_trait]
impl Rows for MutationRows {
    async fn rows(&self, schema: SchemaRef, _wanted: Wanted<'_>) -> Result<RecordBatch> {
        rows(schema, &self.store.mutations(self.project).await?)
    }
}
