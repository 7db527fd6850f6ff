//! Statements about the session: transactions that only keep state, variables, tidying up.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use hedgerow_engine::Error;
use pgwire::messages::response::{NoticeResponse, TransactionStatus};

use super::backend::Rows;
use super::error::{PgError, warning};
use super::route::Utility;
use super::variables::{Scope, Variables};

/// The state that BEGIN, COMMIT and ROLLBACK move between. Statements that write are refused in
/// it and every query reads its own snapshot, so there is nothing more to keep.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    state: TransactionState,
    savepoints: Vec<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum TransactionState {
    #[default]
    Idle,
    Open,
    Failed,
}

impl Transaction {
    /// What ReadyForQuery reports.
    pub(super) fn status(&self) -> TransactionStatus {
        match self.state {
            TransactionState::Idle => TransactionStatus::Idle,
            TransactionState::Open => TransactionStatus::Transaction,
            TransactionState::Failed => TransactionStatus::Error,
        }
    }

    /// An error fails the transaction, where there is one.
    pub(super) fn fail(&mut self) {
        if self.state == TransactionState::Open {
            self.state = TransactionState::Failed;
        }
    }

    /// True outside a transaction.
    pub(super) fn is_idle(&self) -> bool {
        self.state == TransactionState::Idle
    }

    /// Refuses everything in a failed transaction but its end.
    ///
    /// # Errors
    /// 25P02.
    pub(super) fn admit(&self, statement: Option<&Utility>) -> Result<(), PgError> {
        let ends = matches!(
            statement,
            Some(Utility::Commit { .. } | Utility::Rollback { .. } | Utility::RollbackTo(_))
        );
        if self.state == TransactionState::Failed && !ends {
            return Err(PgError::error(
                "25P02",
                "current transaction is aborted, commands ignored until end of transaction block",
            ));
        }
        Ok(())
    }
}

/// What a utility statement answers with.
pub(super) enum Outcome {
    /// A tag, and perhaps a warning before it.
    Done(&'static str, Option<NoticeResponse>),
    Rows(Rows),
}

/// What the session must do beside: these are about its statements and portals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cleanup {
    None,
    Portals,
    Statement(String),
    AllStatements,
    Everything,
}

/// The columns a utility statement answers with.
///
/// # Errors
/// 42704 for a variable that does not exist.
pub(super) fn schema(
    statement: &Utility,
    variables: &Variables,
) -> Result<Option<SchemaRef>, PgError> {
    let text = |name: &str| Field::new(name, DataType::Utf8View, false);
    let fields = match statement {
        Utility::Show(name) => {
            let (name, _) = variables.get(name)?;
            vec![text(name)]
        }
        Utility::ShowAll => vec![text("name"), text("setting"), text("description")],
        _ => return Ok(None),
    };
    Ok(Some(Arc::new(Schema::new(fields))))
}

/// Runs a utility statement.
///
/// # Errors
/// Those of variables and transactions.
pub(super) fn run(
    statement: &Utility,
    transaction: &mut Transaction,
    variables: &Variables,
) -> Result<(Outcome, Cleanup), PgError> {
    let mut cleanup = Cleanup::None;
    let outcome = match statement {
        Utility::Begin(modes) => begin(modes, transaction, variables)?,
        Utility::Commit { chain } => {
            cleanup = Cleanup::Portals;
            end(true, *chain, transaction, variables)?
        }
        Utility::Rollback { chain } => {
            cleanup = Cleanup::Portals;
            end(false, *chain, transaction, variables)?
        }
        Utility::Savepoint(name) => {
            require_open(transaction, "SAVEPOINT")?;
            transaction.savepoints.push(name.clone());
            Outcome::Done("SAVEPOINT", None)
        }
        Utility::Release(name) => {
            require_open(transaction, "RELEASE SAVEPOINT")?;
            let at = savepoint(transaction, name)?;
            transaction.savepoints.truncate(at);
            Outcome::Done("RELEASE", None)
        }
        Utility::RollbackTo(name) => {
            require_open(transaction, "ROLLBACK TO SAVEPOINT")?;
            let at = savepoint(transaction, name)?;
            transaction.savepoints.truncate(at + 1);
            transaction.state = TransactionState::Open;
            Outcome::Done("ROLLBACK", None)
        }
        Utility::Set { name, value, scope } => {
            set(name, value.as_deref(), *scope, transaction, variables)?
        }
        Utility::SetTransaction(modes) => {
            set_modes("transaction_", modes, Scope::Local, variables)?;
            Outcome::Done("SET", None)
        }
        Utility::SetCharacteristics(modes) => {
            set_modes("default_transaction_", modes, Scope::Session, variables)?;
            Outcome::Done("SET", None)
        }
        Utility::Show(name) => {
            let (name, value) = variables.get(name)?;
            Outcome::Rows(rows(&[name], &[vec![value]])?)
        }
        Utility::ShowAll => {
            let mut texts = [Vec::new(), Vec::new(), Vec::new()];
            for (name, value, doc) in variables.all() {
                texts[0].push(name.to_owned());
                texts[1].push(value);
                texts[2].push(doc.to_owned());
            }
            Outcome::Rows(rows(&["name", "setting", "description"], &texts)?)
        }
        Utility::Reset(name) => {
            variables.reset(name.as_deref())?;
            Outcome::Done("RESET", None)
        }
        Utility::DiscardAll => {
            if !transaction.is_idle() {
                let message = "DISCARD ALL cannot run inside a transaction block";
                return Err(PgError::error("25001", message));
            }
            variables.reset(None)?;
            cleanup = Cleanup::Everything;
            Outcome::Done("DISCARD ALL", None)
        }
        Utility::Discard => Outcome::Done("DISCARD", None),
        Utility::Deallocate(Some(name)) => {
            cleanup = Cleanup::Statement(name.clone());
            Outcome::Done("DEALLOCATE", None)
        }
        Utility::Deallocate(None) => {
            cleanup = Cleanup::AllStatements;
            Outcome::Done("DEALLOCATE ALL", None)
        }
        Utility::CloseAll => Outcome::Done("CLOSE CURSOR ALL", None),
        Utility::Unlisten => Outcome::Done("UNLISTEN", None),
    };
    Ok((outcome, cleanup))
}

fn begin(
    modes: &[(&'static str, String)],
    transaction: &mut Transaction,
    variables: &Variables,
) -> Result<Outcome, PgError> {
    let notice = if transaction.is_idle() {
        variables.begin();
        transaction.state = TransactionState::Open;
        None
    } else {
        Some(warning("25001", "there is already a transaction in progress"))
    };
    for mode in ["isolation", "read_only"] {
        let (_, default) = variables.get(&format!("default_transaction_{mode}"))?;
        variables.set(&format!("transaction_{mode}"), &default, Scope::Local)?;
    }
    set_modes("transaction_", modes, Scope::Local, variables)?;
    Ok(Outcome::Done("BEGIN", notice))
}

fn end(
    commit: bool,
    chain: bool,
    transaction: &mut Transaction,
    variables: &Variables,
) -> Result<Outcome, PgError> {
    let state = std::mem::take(&mut transaction.state);
    transaction.savepoints.clear();
    if state == TransactionState::Idle {
        let tag = if commit { "COMMIT" } else { "ROLLBACK" };
        let notice = warning("25P01", "there is no transaction in progress");
        return Ok(Outcome::Done(tag, Some(notice)));
    }
    let commit = commit && state == TransactionState::Open;
    variables.end(commit)?;
    if chain {
        variables.begin();
        transaction.state = TransactionState::Open;
    }
    Ok(Outcome::Done(if commit { "COMMIT" } else { "ROLLBACK" }, None))
}

fn set(
    name: &str,
    value: Option<&str>,
    scope: Scope,
    transaction: &Transaction,
    variables: &Variables,
) -> Result<Outcome, PgError> {
    match value {
        Some(value) => variables.set(name, value, scope)?,
        None => variables.reset(Some(name))?,
    }
    let notice = (scope == Scope::Local && transaction.is_idle())
        .then(|| warning("25P01", "SET LOCAL can only be used in transaction blocks"));
    Ok(Outcome::Done("SET", notice))
}

fn set_modes(
    prefix: &str,
    modes: &[(&'static str, String)],
    scope: Scope,
    variables: &Variables,
) -> Result<(), PgError> {
    modes
        .iter()
        .try_for_each(|(name, value)| variables.set(&format!("{prefix}{name}"), value, scope))
}

fn require_open(transaction: &Transaction, what: &str) -> Result<(), PgError> {
    if transaction.is_idle() {
        let message = format!("{what} can only be used in transaction blocks");
        return Err(PgError::error("25P01", message));
    }
    Ok(())
}

fn savepoint(transaction: &Transaction, name: &str) -> Result<usize, PgError> {
    transaction
        .savepoints
        .iter()
        .rposition(|savepoint| savepoint == name)
        .ok_or_else(|| PgError::error("3B001", format!("savepoint \"{name}\" does not exist")))
}

fn rows(names: &[&str], columns: &[Vec<String>]) -> Result<Rows, PgError> {
    let fields = names.iter().map(|name| Field::new(*name, DataType::Utf8View, false));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let arrays = columns
        .iter()
        .map(|texts| Arc::new(StringViewArray::from_iter_values(texts)) as ArrayRef)
        .collect();
    Ok(Rows::of(RecordBatch::try_new(schema, arrays).map_err(Error::from)?))
}
