//! Bulk ingestion: a client's batches → rows of `events`, all of them or none.

use arrow::datatypes::Schema;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::sql::server::PeekableFlightDataStream;
use arrow_flight::sql::{CommandStatementIngest, TableExistsOption, TableNotExistOption};
use futures::TryStreamExt;
use hedgerow_engine::{Error, ErrorKind, Loading, Session};
use hedgerow_parser::Span;
use hedgerow_parser::ast::Ident;
use tonic::Status;

use super::wire::status;

/// Stores the rows of all batches: how many are new.
///
/// # Errors
/// `Unimplemented` and `AlreadyExists` for what is not adding rows to `events`; what is wrong with
/// the first row at fault. Nothing is stored then.
pub(super) async fn ingest(
    session: &Session,
    command: &CommandStatementIngest,
    stream: PeekableFlightDataStream,
) -> Result<i64, Status> {
    let told = |error: Error| status(&error, "");
    let table = table(command, session.project_name()).map_err(told)?;
    let mut batches = FlightRecordBatchStream::new_from_flight_data(stream.map_err(Into::into));
    let mut loading = None;
    while let Some(batch) = batches.try_next().await.map_err(unreadable)? {
        let begun = match loading.take() {
            Some(begun) => begun,
            None => begin(session, command, &table, &batch.schema()).await.map_err(told)?,
        };
        loading = Some(begun.push(batch).await.map_err(|refused| told(refused.into()))?);
    }
    let loading = match (loading, batches.schema()) {
        (Some(loading), _) => loading,
        // Without rows the request can be wrong all the same.
        (None, Some(schema)) => begin(session, command, &table, schema).await.map_err(told)?,
        (None, None) => return Err(Status::invalid_argument("no schema and no rows")),
    };
    let appended = loading.finish().await.map_err(told)?;
    if let Some(notice) = appended.notice() {
        tracing::info!(message = %notice.message, "notice");
    }
    Ok(i64::try_from(appended.stored).unwrap_or(i64::MAX))
}

async fn begin(
    session: &Session,
    command: &CommandStatementIngest,
    table: &[Ident],
    schema: &Schema,
) -> Result<Loading, Error> {
    let columns = schema.fields().iter().map(|field| ident(field.name())).collect::<Vec<_>>();
    if columns.is_empty() {
        return Err(Error::new(ErrorKind::Missing, "rows without columns"));
    }
    let begun = session.load(table, &columns).await;
    let loading = begun.map_err(|error| Error { span: None, ..error });
    match check_mode(command) {
        Ok(()) => loading,
        // The name of a table that is not there says more than the mode.
        Err(error) => match loading {
            Err(other) if other.kind == ErrorKind::UnknownTable => Err(other
                .hint("Rows are ingested into events. Make tables of your own with CREATE TABLE.")),
            _ => Err(error),
        },
    }
}

/// The table that a request names.
fn table(command: &CommandStatementIngest, project: &str) -> Result<Vec<Ident>, Error> {
    if command.temporary {
        return Err(Error::unsupported("there are no temporary tables"));
    }
    if command.transaction_id.as_ref().is_some_and(|id| !id.is_empty()) {
        return Err(Error::unsupported(
            "there are no transactions: a request stores its rows itself",
        ));
    }
    if let Some(option) = command.options.keys().min() {
        return Err(Error::unsupported(format!("ingestion has no option {option}")));
    }
    match command.catalog.as_deref() {
        None | Some("") => {}
        Some(catalog) if catalog == project => {}
        Some(other) => {
            let message = format!("the catalog is {project}, not {other}");
            return Err(Error::new(ErrorKind::UnknownProject, message));
        }
    }
    let schema = command.schema.as_deref().filter(|schema| !schema.is_empty());
    Ok(schema.into_iter().chain([command.table.as_str()]).map(ident).collect())
}

/// Rows can only be added.
fn check_mode(command: &CommandStatementIngest) -> Result<(), Error> {
    let mode = command.table_definition_options.unwrap_or_default();
    match (mode.if_not_exist(), mode.if_exists()) {
        (TableNotExistOption::Unspecified, _) | (_, TableExistsOption::Unspecified) => {
            Err(Error::new(ErrorKind::InvalidArgument, "the mode of the ingestion is missing")
                .hint("Rows are added with the mode append."))
        }
        (_, TableExistsOption::Append) => Ok(()),
        (_, TableExistsOption::Fail) => {
            let message = format!("table {} already exists", command.table);
            Err(Error::new(ErrorKind::AlreadyExists, message)
                .hint("Rows are added with the mode append."))
        }
        (_, TableExistsOption::Replace) => Err(Error::unsupported("events cannot be replaced")
            .hint("Rows are added with the mode append.")),
    }
}

fn ident(name: impl AsRef<str>) -> Ident {
    Ident::new(name.as_ref(), Span::default())
}

fn unreadable(error: arrow_flight::error::FlightError) -> Status {
    match error {
        arrow_flight::error::FlightError::Tonic(status) => *status,
        other => Status::invalid_argument(format!("batches that cannot be read: {other}")),
    }
}
