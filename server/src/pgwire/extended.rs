//! The extended protocol: prepared statements, portals, rows in portions.

use std::sync::Arc;

use bytes::Bytes;
use hedgerow_parser::split;
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{
    BindComplete, CloseComplete, ParseComplete, PortalSuspended,
};
use pgwire::messages::response::EmptyQueryResponse;

use super::backend::{Answer, Plan};
use super::connection::{Connection, Portal, Progress, Sent, no_statement};
use super::error::PgError;
use super::message::{Message, Target};
use super::params::decode;
use super::types::{format_of, formats, row_description};

/// The most parameters a Bind can carry.
const PARAMS_MAX: usize = u16::MAX as usize;

impl Connection {
    /// Answers a message of the extended protocol.
    ///
    /// # Errors
    /// Whatever makes the client's messages be skipped until its next Sync.
    pub(super) async fn extended(&mut self, message: Message) -> Result<(), PgError> {
        match message {
            Message::Parse { name, text, types } => self.parse(name, &text, &types).await,
            Message::Bind { portal, statement, formats, values, result_formats } => {
                self.bind(portal, &statement, &formats, &values, &result_formats)
            }
            Message::Describe(Target::Statement, name) => self.describe_statement(&name),
            Message::Describe(Target::Portal, name) => self.describe_portal(&name),
            Message::Execute { portal, rows_max } => self.execute(portal, rows_max).await,
            Message::Close(target, name) => {
                // Closing what does not exist is no error.
                match target {
                    Target::Statement => drop(self.statements.remove(&name)),
                    Target::Portal => drop(self.portals.remove(&name)),
                }
                self.outbox.push(&CloseComplete::new());
                Ok(())
            }
            Message::Flush => self.flush().await,
            Message::Broken { error, .. } => Err(error),
            // These are answered before they get here.
            Message::CopyData(_)
            | Message::CopyDone
            | Message::CopyFail(_)
            | Message::Query(_)
            | Message::Sync
            | Message::Terminate => Ok(()),
        }
    }

    async fn parse(&mut self, name: String, text: &str, types: &[u32]) -> Result<(), PgError> {
        if !name.is_empty() && self.statements.contains_key(&name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(PgError::error("42P05", message));
        }
        let mut pieces = split(text, self.backend.dialect());
        if pieces.len() > 1 {
            let message = "cannot insert multiple commands into a prepared statement";
            return Err(PgError::error("42601", message));
        }
        let limits = self.limits();
        let piece = pieces.pop();
        let offset = piece.map_or(0, |piece| text[..piece.start].chars().count());
        let piece = piece.map(|piece| piece.text);
        let work = self.backend.prepare(piece, offset, types, &self.statements);
        let prepared = limits.run(&mut self.inbox, work).await?;
        self.cancel.slot.end();
        self.admit_in_failed(&prepared)?;
        if prepared.params.len() > PARAMS_MAX {
            return Err(PgError::error("54023", "too many parameters"));
        }
        self.statements.insert(name, Arc::new(prepared));
        self.outbox.push(&ParseComplete::new());
        Ok(())
    }

    fn bind(
        &mut self,
        name: String,
        statement: &str,
        codes: &[i16],
        values: &[Option<Bytes>],
        result_codes: &[i16],
    ) -> Result<(), PgError> {
        let prepared = self.statements.get(statement).ok_or_else(|| no_statement(statement))?;
        self.admit_in_failed(prepared)?;
        if !name.is_empty() && self.portals.contains_key(&name) {
            return Err(PgError::error("42P03", format!("portal \"{name}\" already exists")));
        }
        if values.len() != prepared.params.len() {
            return Err(PgError::protocol(format!(
                "bind message supplies {} parameters, but prepared statement \"{statement}\" \
                 requires {}",
                values.len(),
                prepared.params.len()
            )));
        }
        let value_formats = formats(codes, values.len(), "parameter")?;
        let columns = prepared.schema.as_ref().map_or(0, |schema| schema.fields().len());
        let formats = formats(result_codes, columns, "result column")?;
        let zone = self.backend.zone();
        let params = values.iter().zip(&prepared.params).enumerate().map(|(at, (value, param))| {
            decode(value.as_deref(), format_of(&value_formats, at), param, zone)
        });
        let portal = Portal {
            params: params.collect::<Result<_, _>>()?,
            prepared: Arc::clone(prepared),
            formats,
            progress: Progress::Waiting,
        };
        self.portals.insert(name, portal);
        self.outbox.push(&BindComplete::new());
        Ok(())
    }

    fn describe_statement(&mut self, name: &str) -> Result<(), PgError> {
        let prepared = self.statements.get(name).ok_or_else(|| no_statement(name))?;
        let types = prepared.params.iter().map(|param| param.oid).collect();
        self.outbox.push(&ParameterDescription::new(types));
        match &prepared.schema {
            Some(schema) => self.outbox.push(&row_description(schema, &[])),
            None => self.outbox.push(&NoData::new()),
        }
        Ok(())
    }

    fn describe_portal(&mut self, name: &str) -> Result<(), PgError> {
        let portal = self.portals.get(name).ok_or_else(|| no_portal(name))?;
        match &portal.prepared.schema {
            Some(schema) => self.outbox.push(&row_description(schema, &portal.formats)),
            None => self.outbox.push(&NoData::new()),
        }
        Ok(())
    }

    async fn execute(&mut self, name: String, rows_max: i32) -> Result<(), PgError> {
        // Taken out while it runs, so that an error drops its query.
        let mut portal = self.portals.remove(&name).ok_or_else(|| no_portal(&name))?;
        let rows_max = match usize::try_from(rows_max) {
            Ok(0) | Err(_) => usize::MAX,
            Ok(limit) => limit,
        };
        self.admit(&portal.prepared)?;
        let limits = self.limits();
        self.run(&mut portal, rows_max, &limits).await?;
        self.cancel.slot.end();
        let ended = matches!(&portal.prepared.plan, Plan::Utility(statement) if statement.ends());
        if !ended {
            self.portals.insert(name, portal);
        }
        Ok(())
    }

    async fn run(
        &mut self,
        portal: &mut Portal,
        rows_max: usize,
        limits: &super::cancel::Limits,
    ) -> Result<(), PgError> {
        let prepared = Arc::clone(&portal.prepared);
        let mut rows =
            match (&prepared.plan, std::mem::replace(&mut portal.progress, Progress::Done)) {
                (Plan::Empty, _) => {
                    self.outbox.push(&EmptyQueryResponse::new());
                    return Ok(());
                }
                (Plan::Utility(statement), Progress::Waiting) => match self.utility(statement)? {
                    Some(rows) => rows,
                    None => return Ok(()),
                },
                (Plan::Prepare { name, statement }, Progress::Waiting) => {
                    return self.name_statement(name, statement);
                }
                (Plan::CopyIn(copy), Progress::Waiting) => {
                    return self.receive_copy(copy, &prepared, limits).await;
                }
                (_, Progress::Waiting) => {
                    let work = self.backend.execute(&prepared, portal.params.clone());
                    match limits.run(&mut self.inbox, work).await? {
                        Answer::Rows(rows) => rows,
                        Answer::Done(tag, notices) => {
                            self.done(tag, &notices);
                            return Ok(());
                        }
                    }
                }
                (_, Progress::Running(rows)) => rows,
                (_, Progress::Done) if prepared.schema.is_none() => {
                    return Err(PgError::error("55000", "portal cannot be run again"));
                }
                (plan, Progress::Done) => {
                    self.complete(plan.tag(0));
                    return Ok(());
                }
            };
        if let Plan::CopyOut(statement, copy) = &prepared.plan {
            return self.send_copy(&mut rows, (*copy, &statement.schema), limits).await;
        }
        match self.send_rows(&mut rows, &portal.formats, rows_max, limits).await? {
            Sent::All(count) => self.complete(prepared.plan.tag(count)),
            Sent::Limit => {
                portal.progress = Progress::Running(rows);
                self.outbox.push(&PortalSuspended::new());
            }
        }
        Ok(())
    }
}

fn no_portal(name: &str) -> PgError {
    PgError::error("34000", format!("portal \"{name}\" does not exist"))
}
