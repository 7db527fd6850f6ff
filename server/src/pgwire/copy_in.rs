//! COPY … FROM STDIN: lines of text → rows, all of them or none.
//!
//! ```text
//! CopyData ─> lines (bytes to rows) ─> cells (row to texts) ─> rows (texts to columns) ─> engine
//! ```
//! Rows go to the engine a batch at a time, which keeps them aside until the client says that it
//! is done.

mod cells;
mod lines;
mod options;
mod rows;

use std::sync::Arc;

use hedgerow_engine::ingest::Refused;
use hedgerow_engine::{Error, Loading};
use hedgerow_parser::ast::{CopyFrom, CopyHeader, Ident};
use pgwire::messages::copy::CopyInResponse;

use super::backend::Prepared;
use super::cancel::Limits;
use super::connection::Connection;
use super::error::PgError;
use super::message::Message;
use super::outbox::gone;
use cells::cells;
use lines::Lines;
use options::Options;
use rows::{Rows, check_header};

/// What a COPY was asked for.
#[derive(Debug)]
pub(super) struct CopyIn {
    table: Vec<Ident>,
    columns: Vec<Ident>,
    options: Options,
}

impl CopyIn {
    /// # Errors
    /// 0A000 and 22023 for options that do not fit.
    pub(super) fn new(copy: &CopyFrom) -> Result<Self, PgError> {
        let options = Options::new(copy)?;
        Ok(Self { table: copy.table.clone(), columns: copy.columns.clone(), options })
    }

    fn table_name(&self) -> &str {
        self.table.last().map_or("", |name| &name.name)
    }
}

/// A running COPY.
struct Copying<'a> {
    copy: &'a CopyIn,
    lines: Lines,
    /// The first line is names.
    at_header: bool,
    rows: Rows,
    /// None after an error.
    loading: Option<Loading>,
    /// Rows given to the engine.
    loaded: u64,
}

impl Connection {
    /// Takes the rows of a COPY, and stores them when the client says that it is done.
    ///
    /// # Errors
    /// What is wrong with the first row at fault, with its line; 57014 when the client gives up;
    /// 08P01 for messages that have no place here. Nothing is stored then.
    pub(super) async fn receive_copy(
        &mut self,
        copy: &CopyIn,
        prepared: &Prepared,
        limits: &Limits,
    ) -> Result<(), PgError> {
        let explain = |error| PgError::from_engine(error, &prepared.text, prepared.offset);
        let begin =
            async { self.backend.session.load(&copy.table, &copy.columns).await.map_err(explain) };
        let loading = limits.run(&mut self.inbox, begin).await?;
        let columns = i16::try_from(loading.schema().fields().len())
            .map_err(|_| PgError::error("54011", "too many columns to copy"))?;
        let formats = vec![0; loading.schema().fields().len()];
        self.outbox.push(&CopyInResponse::new(0, columns, formats));
        limits.run(&mut self.inbox, self.outbox.flush()).await?;
        let mut copying = Copying {
            copy,
            lines: Lines::new(copy.options.clone()),
            at_header: copy.options.header != CopyHeader::Row,
            rows: Rows::new(Arc::clone(loading.schema()), self.backend.zone()),
            loading: Some(loading),
            loaded: 0,
        };
        loop {
            match limits.message(&mut self.inbox).await? {
                Message::CopyData(bytes) => {
                    copying.lines.feed(&bytes);
                    copying.take_lines(self, limits, false).await?;
                }
                Message::CopyDone => break,
                Message::CopyFail(reason) => {
                    let message = format!("COPY from stdin failed: {reason}");
                    return Err(PgError::error("57014", message));
                }
                // As in PostgreSQL: clients send them behind the statement, before the rows.
                Message::Flush | Message::Sync => {}
                Message::Terminate => return Err(gone()),
                _ => return Err(PgError::protocol("unexpected message during COPY from stdin")),
            }
        }
        copying.take_lines(self, limits, true).await?;
        copying.push(self, limits).await?;
        let Some(loading) = copying.loading else { return Err(ended()) };
        let finish = async { loading.finish().await.map_err(PgError::from) };
        let appended = limits.run(&mut self.inbox, finish).await?;
        let notices: Vec<_> = appended.notice().into_iter().collect();
        self.done(format!("COPY {}", appended.stored), &notices);
        Ok(())
    }
}

impl Copying<'_> {
    /// Reads the rows that are whole.
    async fn take_lines(
        &mut self,
        connection: &mut Connection,
        limits: &Limits,
        at_end: bool,
    ) -> Result<(), PgError> {
        let copy = self.copy;
        let table = copy.table_name();
        loop {
            let number = self.lines.number();
            let about = |error: PgError| in_line(error, table, number);
            let Some(line) = self.lines.next(at_end).map_err(about)? else { return Ok(()) };
            let number = line.number;
            let about = |error: PgError| in_line(error, table, number);
            let is_header = std::mem::take(&mut self.at_header);
            if is_header && copy.options.header == CopyHeader::Skip {
                continue;
            }
            let cells = cells(&copy.options, line.text).map_err(about)?;
            if is_header {
                check_header(&self.rows, &cells).map_err(about)?;
                continue;
            }
            self.rows.push(cells, number).map_err(about)?;
            if self.rows.is_full() {
                self.push(connection, limits).await?;
            }
        }
    }

    /// Gives the rows so far to the engine.
    async fn push(&mut self, connection: &mut Connection, limits: &Limits) -> Result<(), PgError> {
        let (batch, lines) = self.rows.take()?;
        let rows = batch.num_rows() as u64;
        let Some(loading) = self.loading.take() else { return Err(ended()) };
        let (table, before) = (self.copy.table_name(), self.loaded);
        let pushing = async {
            let pushed = loading.push(batch).await;
            pushed.map_err(|Refused { row, error }| {
                let place = row.and_then(|row| usize::try_from(row.checked_sub(before)?).ok());
                let line = place.and_then(|place| lines.get(place));
                let error = PgError::from(error);
                line.map_or(error.clone(), |line| in_line(error, table, *line))
            })
        };
        self.loading = Some(limits.run(&mut connection.inbox, pushing).await?);
        self.loaded += rows;
        Ok(())
    }
}

/// The same error, with its line in PostgreSQL's words.
fn in_line(error: PgError, table: &str, line: u64) -> PgError {
    let place = format!("COPY {table}, line {line}");
    match &error.context {
        Some(column) => {
            let context = format!("{place}, {column}");
            error.context(context)
        }
        None => error.context(place),
    }
}

fn ended() -> PgError {
    Error::internal("a COPY went on after an error").into()
}
