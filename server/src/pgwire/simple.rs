//! The simple protocol: text in, every result as soon as it is there, stop at the first error.

use pgwire::messages::response::EmptyQueryResponse;

use hedgerow_parser::split;

use super::backend::{Answer, Plan};
use super::connection::{Connection, Sent};
use super::error::PgError;
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
        let (mut offset, mut counted) = (0, 0);
        for piece in pieces {
            offset += text[counted..piece.start].chars().count();
            counted = piece.start;
            self.simple_statement(piece.text, offset).await?;
            self.cancel.slot.end();
        }
        Ok(())
    }

    async fn simple_statement(&mut self, text: &str, offset: usize) -> Result<(), PgError> {
        let limits = self.limits();
        let work = self.backend.prepare(Some(text), offset, &[], &self.statements);
        let prepared = limits.run(&mut self.inbox, work).await?;
        if !prepared.params.is_empty() {
            return Err(PgError::error("42P02", "there is no parameter $1")
                .hint("Parameters need the extended protocol: prepare the statement."));
        }
        self.admit(&prepared)?;
        let mut rows = match &prepared.plan {
            Plan::Utility(statement) => match self.utility(statement)? {
                Some(rows) => rows,
                None => return Ok(()),
            },
            Plan::Prepare { name, statement } => return self.name_statement(name, statement),
            Plan::CopyIn(copy) => return self.receive_copy(copy, &prepared, &limits).await,
            _ => {
                let work = self.backend.execute(&prepared, Vec::new());
                match limits.run(&mut self.inbox, work).await? {
                    Answer::Rows(rows) => rows,
                    Answer::Done(tag, notices) => {
                        self.done(tag, &notices);
                        return Ok(());
                    }
                }
            }
        };
        if let Plan::CopyOut(statement, copy) = &prepared.plan {
            return self.send_copy(&mut rows, (*copy, &statement.schema), &limits).await;
        }
        if let Some(schema) = &prepared.schema {
            self.outbox.push(&row_description(schema, &[]));
        }
        if let Sent::All(count) = self.send_rows(&mut rows, &[], usize::MAX, &limits).await? {
            self.complete(prepared.plan.tag(count));
        }
        Ok(())
    }
}
