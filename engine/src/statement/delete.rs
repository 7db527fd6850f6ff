//! `DELETE FROM events`.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use hedgerow_parser::ast::{
    Delete, Expr, ExprKind, Ident, Query, RelationKind, SourceKind, Statement,
};

use super::definitions::find;
use super::{Params, Work};
use crate::answer::ResultStream;
use crate::catalog::{Catalog, plain_name, span_of};
use crate::error::{Error, Result};
use crate::lower::Task;
use crate::storage::{FILE, Mutation, Places, ROW};

/// The query for these columns of the events that go.
///
/// # Errors
/// As for a query; `Unsupported` for other tables than `events`.
pub(super) fn query(catalog: &Catalog, delete: &Delete, columns: &[&str]) -> Result<Query> {
    if let SourceKind::Table(table) = &delete.from.kind {
        let plain = plain_name(table);
        if plain != "events" {
            find(catalog, RelationKind::Table, table).map_err(|error| match error.hint {
                Some(_) => error,
                None => error.hint("Rows are deleted from events only."),
            })?;
            let message = format!("rows are deleted from events, not from {plain}");
            return Err(Error::unsupported(message)
                .at(span_of(table))
                .hint("DROP TABLE removes a table; CREATE TABLE … AS makes one of a query."));
        }
    }
    let span = delete.from.span;
    let column = |name: &&str| Expr::new(ExprKind::Field(vec![Ident::new(*name, span)]), span);
    Ok(delete.query(columns.iter().map(column).collect()))
}

/// Deletes the events for which the condition is true, of those that there are when the statement
/// begins, and maybe such as come meanwhile. All of them are gone from queries when this returns,
/// or none.
pub(super) async fn run(
    work: &Work,
    statement: &Statement,
    delete: &Delete,
    params: Params,
) -> Result<ResultStream> {
    let store = work.store()?;
    work.engine.flush().await?;
    let mut mutation = Mutation::new(work.project, statement.to_string());
    loop {
        let snapshot = store.snapshot().await?;
        let definitions = store.definitions(work.project).await?.definitions;
        let catalog = work.engine.catalog_at(store, &snapshot, work.project, &definitions)?;
        let catalog = catalog.with_events(store.placed_events(&snapshot, work.project));
        let query = query(&catalog, delete, &[FILE, ROW])?;
        let found = work.lower(Task::Query(&query), &catalog, params.clone())?;
        let places = places(work.plan(&found).await?.batches()?).await?;
        if places.is_empty() {
            return Ok(ResultStream::done("DELETE", Some(0)).with_notices(found.notices));
        }
        if store.delete_rows(&snapshot, work.project, places, &mut mutation).await? {
            let done = ResultStream::done("DELETE", Some(mutation.events));
            return Ok(done.with_notices(found.notices));
        }
    }
}

async fn places(mut batches: BoxStream<'static, Result<RecordBatch>>) -> Result<Places> {
    let mut places = Places::new();
    while let Some(batch) = batches.try_next().await? {
        let files = batch.column(0).as_string_view();
        let rows = batch.column(1).as_primitive::<Int64Type>();
        for (file, row) in files.iter().zip(rows) {
            let place = file.zip(row.and_then(|row| u32::try_from(row).ok()));
            let (file, row) = place.ok_or_else(|| Error::internal("an event without a place"))?;
            match places.get_mut(file) {
                Some(rows) => rows.insert(row),
                None => places.entry(file.to_owned()).or_default().insert(row),
            };
        }
    }
    Ok(places)
}
