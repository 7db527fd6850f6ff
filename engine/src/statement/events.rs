//! Rows for `events`: `INSERT`, and the loads of protocols (COPY, bulk ingestion). What a row means
//! is `ingest`'s to say.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use futures::StreamExt;
use hedgerow_parser::ast::{Ident, Query};

use super::tables::{Destination, destination};
use super::{Params, Work};
use crate::answer::ResultStream;
use crate::catalog::{Catalog, Table, plain_name, span_of};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::ingest::{Appended, Filled, Load, Refused};
use crate::lower::{Target, Task};
use crate::types::Type;

/// The columns that rows fill: those named, or those of `*`. The others are as if not sent.
pub(super) fn targets(events: &Table, columns: &[Ident]) -> Vec<Target> {
    let fields = events.fields();
    let named = columns.iter().filter_map(|column| fields.field_with_name(&column.name).ok());
    let all = events.visible_schema();
    let target = |(at, field): (usize, &Field)| Target {
        name: field.name().clone(),
        ty: Type::from_field(field),
        from: Some(at),
    };
    match columns.is_empty() {
        true => all.fields().iter().map(AsRef::as_ref).enumerate().map(target).collect(),
        false => named.enumerate().map(target).collect(),
    }
}

/// `INSERT INTO events`.
pub(super) async fn insert(
    work: &Work,
    catalog: &Catalog,
    targets: &[Target],
    source: &Query,
    params: Params,
) -> Result<ResultStream> {
    let query = work.lower(Task::Insert(source, targets), catalog, params)?;
    let plan = work.plan(&query).await?;
    let filled = targets.iter().map(|target| Filled::new(&target.name));
    let filled = filled.collect::<Result<_>>().map_err(|error| error.at(source.span()))?;
    let mut load = Box::new(work.engine.load(work.project, filled)?);
    let mut batches = plan.batches()?;
    while let Some(batch) = batches.next().await.transpose()? {
        load.push(&batch).await.map_err(|refused| told(refused, source))?;
    }
    let appended = load.finish().await?;
    let done = ResultStream::done("INSERT 0", Some(appended.stored));
    Ok(done.with_notices(query.notices).with_notices(appended.notice()))
}

/// The error for a row, at its place in the text.
fn told(refused: Refused, source: &Query) -> Error {
    /// More rows are not sure to come in the order of the text.
    const ROWS_MAX: usize = 8192;
    let values = match source {
        Query::Values(values) if values.rows.len() <= ROWS_MAX => values,
        // Rows of a query have no numbers that mean something.
        _ => return refused.error.at(source.span()),
    };
    let row = refused.row.and_then(|row| values.rows.get(usize::try_from(row).ok()?));
    let span = match row.and_then(|row| Some((row.first()?, row.last()?))) {
        Some((first, last)) => first.span.to(last.span),
        None => values.span,
    };
    match values.rows.len() {
        1 => refused.error.at(span),
        _ => Error::from(refused).at(span),
    }
}

/// Rows from a client on their way into a table. They are stored when it is finished, all of
/// them; dropping it before stores none.
#[derive(Debug)]
pub struct Loading {
    engine: Arc<Engine>,
    load: Box<Load>,
    schema: SchemaRef,
}

/// The columns that a load fills.
///
/// # Errors
/// `Unsupported` for tables that users made; otherwise as [`destination`].
pub(super) fn loaded(catalog: &Catalog, table: &[Ident], columns: &[Ident]) -> Result<Vec<Target>> {
    let error = match destination(catalog, table, &[])? {
        (Destination::Events, _) => return Ok(destination(catalog, table, columns)?.1),
        (Destination::Table(_), _) => Error::unsupported(format!(
            "rows are loaded into events, not into {}",
            plain_name(table)
        )),
    };
    Err(error.at(span_of(table)).hint("Fill tables of your own with INSERT."))
}

/// Begins to load rows into columns of a table; no columns mean those of `*`.
///
/// # Errors
/// As [`loaded`], and `Unsupported` for a column that is computed.
pub(crate) async fn load(work: Work, table: &[Ident], columns: &[Ident]) -> Result<Loading> {
    let catalog = work.catalog().await?;
    let targets = loaded(&catalog, table, columns)?;
    let filled = targets.iter().enumerate().map(|(at, target)| {
        let filled = Filled::new(&target.name);
        filled.map_err(|error| columns.get(at).map_or(error.clone(), |c| error.at(c.span)))
    });
    let load = Box::new(work.engine.load(work.project, filled.collect::<Result<_>>()?)?);
    let fields = targets.iter().map(|target| target.ty.to_field(&target.name, true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    Ok(Loading { engine: work.engine, load, schema })
}

impl Loading {
    /// The columns, in the types that the table has for them.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Adds rows. Their columns stand for those of the schema, in this order, and may be of other
    /// types: numbers as text, times of any unit and zone or as text, UUIDs as text or 16 bytes.
    ///
    /// # Errors
    /// What is wrong with the first row at fault. The load is over then.
    pub async fn push(self, rows: RecordBatch) -> Result<Self, Refused> {
        let Self { engine, mut load, schema } = self;
        let pushing = async move { load.push(&rows).await.map(|()| load) };
        let load = engine.on_query_threads(Box::pin(pushing)).await?;
        Ok(Self { engine, load, schema })
    }

    /// Stores the rows. They are durable and in every query when this returns.
    ///
    /// # Errors
    /// `Overloaded` with nothing stored; `Storage`, after which sending the rows again is right.
    pub async fn finish(self) -> Result<Appended> {
        self.engine.on_query_threads(Box::pin(self.load.finish())).await
    }
}
