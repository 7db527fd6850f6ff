//! One client: its messages in, its answers out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::Schema;
use datafusion::common::ScalarValue;
use hedgerow_engine::Notice;
use pgwire::messages::copy::{CopyDone, CopyOutResponse};
use pgwire::messages::response::{CommandComplete, ReadyForQuery};
use pgwire::messages::startup::ParameterStatus;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::backend::{Backend, Plan, Prepared, Rows};
use super::cancel::{CancelKey, Limits, shutting_down};
use super::copy::{CopyOut, LineEncoder};
use super::error::{PgError, notice};
use super::message::{Inbox, Message};
use super::outbox::Outbox;
use super::prepared::Statements;
use super::route::Utility;
use super::rows::{Encoder, RowEncoder};
use super::types::Format;
use super::utility::{self, Cleanup, Outcome, Transaction};
use crate::server::Lifecycle;

/// How long a client may take to read why its connection ends.
const FAREWELL_TIME_MAX: Duration = Duration::from_secs(1);

/// A session of a client on the Postgres wire.
pub(super) struct Connection {
    pub(super) inbox: Inbox<OwnedReadHalf>,
    pub(super) outbox: Outbox<OwnedWriteHalf>,
    pub(super) backend: Backend,
    pub(super) cancel: CancelKey,
    pub(super) lifecycle: Lifecycle,
    pub(super) transaction: Transaction,
    pub(super) statements: Statements,
    pub(super) portals: HashMap<String, Portal>,
}

/// A statement with its parameters, and how far its rows were fetched.
pub(super) struct Portal {
    pub(super) prepared: Arc<Prepared>,
    pub(super) params: Vec<ScalarValue>,
    pub(super) formats: Vec<Format>,
    pub(super) progress: Progress,
}

/// How far a portal has come.
pub(super) enum Progress {
    Waiting,
    Running(Rows),
    Done,
}

/// Where sending rows ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// At the last row; this many were sent.
    All(usize),
    /// At the client's limit.
    Limit,
}

impl Connection {
    /// Answers the client until it leaves, breaks the protocol, or the server ends.
    pub(super) async fn serve(mut self) {
        if let Err(error) = self.answer().await {
            self.outbox.push(&error.response());
            // A client that does not read must not hold up the end of the server.
            let farewell = tokio::time::timeout(FAREWELL_TIME_MAX, self.outbox.flush());
            if farewell.await.is_err() {
                tracing::debug!("a client did not read why its connection ends");
            }
        }
        self.outbox.close().await;
    }

    async fn answer(&mut self) -> Result<(), PgError> {
        self.ready().await?;
        // Between a ReadyForQuery and the next message nothing is in flight.
        let mut at_rest = true;
        // After an error in the extended protocol everything is skipped until Sync.
        let mut skipping = false;
        loop {
            let lifecycle = self.lifecycle.clone();
            let message = tokio::select! {
                biased;
                () = lifecycle.drain.cancelled(), if at_rest => return Err(shutting_down()),
                () = lifecycle.stop.cancelled() => return Err(shutting_down()),
                message = self.inbox.message() => message?,
            };
            let Some(message) = message else { return Ok(()) };
            let was_at_rest = std::mem::take(&mut at_rest);
            match message {
                Message::Terminate => return Ok(()),
                Message::Sync => {
                    skipping = false;
                    if self.transaction.is_idle() {
                        self.portals.clear();
                    }
                    self.ready().await?;
                    at_rest = true;
                }
                // The rest of a COPY that has failed.
                Message::CopyData(_) | Message::CopyDone | Message::CopyFail(_) => {
                    at_rest = was_at_rest;
                }
                _ if skipping => {}
                Message::Query(text) => {
                    let result = Box::pin(self.simple(&text)).await;
                    self.simple_done(result).await?;
                    at_rest = true;
                }
                Message::Broken { simple: true, error } => {
                    self.simple_done(Err(error)).await?;
                    at_rest = true;
                }
                extended => {
                    if let Err(error) = Box::pin(self.extended(extended)).await {
                        self.report(error)?;
                        skipping = true;
                    }
                    if self.outbox.is_full() {
                        self.flush().await?;
                    }
                }
            }
        }
    }

    async fn simple_done(&mut self, result: Result<(), PgError>) -> Result<(), PgError> {
        if let Err(error) = result {
            self.report(error)?;
        }
        if self.transaction.is_idle() {
            self.portals.clear();
        }
        self.ready().await
    }

    /// Tells the client about an error; fatal ones are returned.
    fn report(&mut self, error: PgError) -> Result<(), PgError> {
        self.cancel.slot.end();
        if error.fatal {
            return Err(error);
        }
        self.outbox.push(&error.response());
        self.transaction.fail();
        Ok(())
    }

    async fn ready(&mut self) -> Result<(), PgError> {
        self.outbox.push(&ReadyForQuery::new(self.transaction.status()));
        self.flush().await
    }

    /// Writes what is pending, unless the server stops first.
    pub(super) async fn flush(&mut self) -> Result<(), PgError> {
        tokio::select! {
            () = self.lifecycle.stop.cancelled() => Err(shutting_down()),
            result = self.outbox.flush() => result,
        }
    }

    /// The limits of a statement that starts now.
    pub(super) fn limits(&self) -> Limits {
        let timeout = self.backend.variables.statement_timeout();
        Limits::start(&self.cancel.slot, &self.lifecycle.stop, timeout)
    }

    /// Refuses a statement that must not run now.
    ///
    /// # Errors
    /// 25P02 in a failed transaction; for statements that write, 25006 in a read-only
    /// transaction, and 25001 in any other.
    pub(super) fn admit(&self, prepared: &Prepared) -> Result<(), PgError> {
        self.admit_in_failed(prepared)?;
        if !prepared.plan.writes() {
            return Ok(());
        }
        let variable = match self.transaction.is_idle() {
            true => "default_transaction_read_only",
            false => "transaction_read_only",
        };
        let word = prepared.plan.word();
        if self.backend.variables.get(variable)?.1 == "on" {
            let message = format!("cannot execute {word} in a read-only transaction");
            return Err(PgError::error("25006", message));
        }
        if !self.transaction.is_idle() {
            let message = format!("{word} cannot run inside a transaction block");
            return Err(PgError::error("25001", message)
                .hint("It is committed by itself and cannot be rolled back: turn on autocommit."));
        }
        Ok(())
    }

    /// Refuses everything in a failed transaction but its end.
    ///
    /// # Errors
    /// 25P02.
    pub(super) fn admit_in_failed(&self, prepared: &Prepared) -> Result<(), PgError> {
        self.transaction.admit(match &prepared.plan {
            Plan::Utility(statement) => Some(statement),
            _ => None,
        })
    }

    /// Gives a statement the name that PREPARE asks for.
    ///
    /// # Errors
    /// 42P05 when another has it.
    pub(super) fn name_statement(
        &mut self,
        name: &str,
        statement: &Arc<Prepared>,
    ) -> Result<(), PgError> {
        if self.statements.contains_key(name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(PgError::error("42P05", message));
        }
        self.statements.insert(name.to_owned(), Arc::clone(statement));
        self.complete("PREPARE".to_owned());
        Ok(())
    }

    /// Ends a statement without rows.
    pub(super) fn done(&mut self, tag: String, notices: &[Notice]) {
        if self.backend.variables.wants_notices() {
            notices.iter().for_each(|about| self.outbox.push(&notice(about)));
        }
        self.complete(tag);
    }

    /// Runs a utility statement: a tag, or rows still to be sent.
    pub(super) fn utility(&mut self, statement: &Utility) -> Result<Option<Rows>, PgError> {
        let (outcome, cleanup) =
            utility::run(statement, &mut self.transaction, &self.backend.variables)?;
        match cleanup {
            Cleanup::None => {}
            Cleanup::Portals => self.portals.clear(),
            Cleanup::Statement(name) => {
                self.statements.remove(&name).ok_or_else(|| no_statement(&name))?;
            }
            Cleanup::AllStatements => self.statements.clear(),
            Cleanup::Everything => {
                self.statements.clear();
                self.portals.clear();
            }
        }
        Ok(match outcome {
            Outcome::Rows(rows) => Some(rows),
            Outcome::Done(tag, warning) => {
                if let Some(warning) = warning {
                    self.outbox.push(&warning);
                }
                self.complete(tag.to_owned());
                None
            }
        })
    }

    /// Ends a statement: its tag, and the variables it changed.
    pub(super) fn complete(&mut self, tag: String) {
        self.outbox.push(&CommandComplete::new(tag));
        for (name, value) in self.backend.variables.changes() {
            self.outbox.push(&ParameterStatus::new(name.to_owned(), value));
        }
    }

    /// Sends rows, at most `rows_max` of them, waiting for the client whenever the buffer is full.
    pub(super) async fn send_rows(
        &mut self,
        rows: &mut Rows,
        formats: &[Format],
        rows_max: usize,
        limits: &Limits,
    ) -> Result<Sent, PgError> {
        let encoder = RowEncoder::new(formats, self.backend.zone());
        self.send_encoded(rows, Encoder::Rows(encoder), rows_max, limits).await
    }

    /// Sends all rows of a COPY, and its end.
    pub(super) async fn send_copy(
        &mut self,
        rows: &mut Rows,
        (copy, schema): (CopyOut, &Schema),
        limits: &Limits,
    ) -> Result<(), PgError> {
        let columns = i16::try_from(schema.fields().len())
            .map_err(|_| PgError::error("54011", "too many columns to copy"))?;
        let formats = vec![0; schema.fields().len()];
        self.outbox.push(&CopyOutResponse::new(0, columns, formats));
        if copy.header {
            copy.write_header(&mut self.outbox.buffer, schema)?;
        }
        let encoder = Encoder::Lines(LineEncoder::new(copy.format, self.backend.zone()));
        if let Sent::All(count) = self.send_encoded(rows, encoder, usize::MAX, limits).await? {
            self.outbox.push(&CopyDone::new());
            self.complete(format!("COPY {count}"));
        }
        Ok(())
    }

    async fn send_encoded(
        &mut self,
        rows: &mut Rows,
        mut encoder: Encoder<'_>,
        rows_max: usize,
        limits: &Limits,
    ) -> Result<Sent, PgError> {
        let notices = std::mem::take(&mut rows.notices);
        if self.backend.variables.wants_notices() {
            notices.iter().for_each(|about| self.outbox.push(&notice(about)));
        }
        let mut sent = 0;
        while limits.run(&mut self.inbox, rows.load()).await? {
            while let Some((types, columns, row)) = rows.next() {
                encoder.write(&mut self.outbox.buffer, types, columns, row)?;
                sent += 1;
                if self.outbox.is_full() {
                    limits.run(&mut self.inbox, self.outbox.flush()).await?;
                }
                if sent == rows_max {
                    return Ok(Sent::Limit);
                }
            }
        }
        Ok(Sent::All(sent))
    }
}

/// The error for a statement name that means nothing.
pub(super) fn no_statement(name: &str) -> PgError {
    PgError::error("26000", format!("prepared statement \"{name}\" does not exist"))
}
