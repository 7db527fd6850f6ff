//! The simple protocol: text in, every result as soon as it is there, stop at the first error.

use pgwire::messages::response::EmptyQueryResponse;

use super::backend::Plan;
use super::connection::{Connection, Sent};
use super::error::PgError;
use super::split::{Piece, split};
use super::types::row_description;

impl Connection {
    /// Answers a simple query.
    ///
    /// # Errors
    /// The first error of its statements; those behind it do not run.
    pub(super) async fn simple(&mut self, text: &str) -> Result<(), PgError> {
        let pieces = split(text, self.backend.dialect());
        if pieces.is_empty() {
            self.outbox.push(&EmptyQueryResponse::new());
        }
        for piece in pieces {
            self.simple_statement(piece).await?;
            self.cancel.slot.end();
        }
        Ok(())
    }

    async fn simple_statement(&mut self, piece: Piece<'_>) -> Result<(), PgError> {
        let limits = self.limits();
        let work = self.backend.prepare(Some(piece), &[]);
        let prepared = limits.run(&mut self.inbox, work).await?;
        if !prepared.params.is_empty() {
            return Err(PgError::error("42P02", "there is no parameter $1")
                .hint("Parameters need the extended protocol: prepare the statement."));
        }
        let mut rows = match &prepared.plan {
            Plan::Utility(statement) => {
                self.transaction.admit(Some(statement))?;
                match self.utility(statement)? {
                    Some(rows) => rows,
                    None => return Ok(()),
                }
            }
            _ => {
                self.transaction.admit(None)?;
                let work = self.backend.execute(&prepared, Vec::new());
                limits.run(&mut self.inbox, work).await?
            }
        };
        if let Some(schema) = &prepared.schema {
            self.outbox.push(&row_description(schema, &[]));
        }
        if let Sent::All(count) = self.send_rows(&mut rows, &[], usize::MAX, &limits).await? {
            self.complete(format!("{} {count}", tag(&prepared.plan)));
        }
        Ok(())
    }
}

/// The word before the number of rows.
pub(super) fn tag(plan: &Plan) -> &'static str {
    match plan {
        Plan::Utility(_) => "SHOW",
        Plan::Empty | Plan::Engine(_) | Plan::Catalog(_) => "SELECT",
    }
}
