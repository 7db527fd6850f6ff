//! Statements between protocol and engine: analysed once, described, run.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use chrono_tz::Tz;
use datafusion::common::ScalarValue;
use futures::StreamExt;
use futures::stream::{BoxStream, once};
use hedgerow_engine::{Error, Notice, Session, Statement, Type};
use hedgerow_parser::ast::{self, StatementKind};
use hedgerow_parser::{Dialect, Span};

use super::catalog::{Catalog, CatalogStatement};
use super::copy::CopyOut;
use super::copy_in::CopyIn;
use super::error::PgError;
use super::params::Param;
use super::prepared::Statements;
use super::route::{Route, Utility, route};
use super::types::{declared_type, pg_type};
use super::utility;
use super::variables::Variables;
use crate::values::{Column, columns, types};

/// Everything a session asks to get a statement answered.
#[derive(Debug)]
pub(super) struct Backend {
    pub session: Arc<Session>,
    pub variables: Arc<Variables>,
    pub catalog: Catalog,
}

/// A statement that was analysed.
#[derive(Debug)]
pub(super) struct Prepared {
    pub plan: Plan,
    pub params: Vec<Param>,
    /// The result columns; none for statements without rows.
    pub schema: Option<SchemaRef>,
    pub text: String,
    /// Where `text` starts in what the client sent, in characters.
    pub offset: usize,
}

/// Who runs it.
#[derive(Debug)]
pub(super) enum Plan {
    /// Nothing but blanks and comments.
    Empty,
    Utility(Utility),
    Engine(Statement),
    Catalog(Box<CatalogStatement>),
    /// `COPY … TO STDOUT`.
    CopyOut(Statement, CopyOut),
    /// `COPY … FROM STDIN`.
    CopyIn(CopyIn),
    /// `PREPARE`: what gets the name.
    Prepare {
        name: String,
        statement: Arc<Prepared>,
    },
    /// `EXECUTE`: what had the name, and the values of its parameters.
    Execute {
        statement: Arc<Prepared>,
        values: Vec<ScalarValue>,
    },
}

impl Plan {
    /// The command tag's word: what PostgreSQL calls it.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Utility(_) => "SHOW",
            Self::CopyOut(..) | Self::CopyIn(_) => "COPY",
            Self::Engine(statement) => statement.word(),
            Self::Execute { statement, .. } => statement.plan.word(),
            Self::Prepare { .. } => "PREPARE",
            Self::Empty | Self::Catalog(_) => "SELECT",
        }
    }

    /// The command tag after this many rows.
    pub(super) fn tag(&self, rows: usize) -> String {
        match self.word() {
            word @ ("SELECT" | "SHOW") => format!("{word} {rows}"),
            word => word.to_owned(),
        }
    }

    /// True when it changes what others see.
    pub(super) fn writes(&self) -> bool {
        match self {
            Self::Engine(statement) => statement.writes(),
            Self::CopyIn(_) => true,
            Self::Execute { statement, .. } => statement.plan.writes(),
            _ => false,
        }
    }
}

/// What a statement answers with.
pub(super) enum Answer {
    Rows(Rows),
    /// A command tag: it has run.
    Done(String, Vec<Notice>),
}

/// Rows on their way to the client. Dropping them stops the query.
pub(super) struct Rows {
    types: Vec<Type>,
    pub notices: Vec<Notice>,
    batches: BoxStream<'static, Result<RecordBatch, PgError>>,
    /// The batch being sent: its columns, its rows, and the next of them.
    current: Option<(Vec<Column>, usize, usize)>,
}

impl Backend {
    /// The zone in which times are shown and read.
    pub(super) fn zone(&self) -> Tz {
        self.session.settings().timezone.parse().unwrap_or(Tz::UTC)
    }

    /// How quoted text is read.
    pub(super) fn dialect(&self) -> Dialect {
        if self.session.settings().hogql_strings { Dialect::Hogql } else { Dialect::Postgres }
    }

    /// Analyses one statement, which starts `offset` characters into what the client sent; none
    /// means that it sent nothing but blanks and comments. `declared` are the OIDs of parameters, 0 where the client leaves
    /// the type to us.
    ///
    /// # Errors
    /// Any user error, with its position in the text the client sent.
    pub(super) async fn prepare(
        &self,
        text: Option<&str>,
        offset: usize,
        declared: &[u32],
        statements: &Statements,
    ) -> Result<Prepared, PgError> {
        let Some(text) = text else {
            return Ok(Prepared {
                plan: Plan::Empty,
                params: Vec::new(),
                schema: None,
                text: String::new(),
                offset: 0,
            });
        };
        let (plan, wanted, schema) = match route(text, self.dialect())? {
            Route::Utility(statement) => {
                let schema = utility::schema(&statement, &self.variables)?;
                (Plan::Utility(statement), Vec::new(), schema)
            }
            Route::Named(named) => {
                return self.prepare_named(named, text, offset, statements).await;
            }
            Route::Catalog => {
                let statement = self
                    .catalog
                    .prepare(text)
                    .await
                    .map_err(|error| PgError::from_engine(error, text, offset))?;
                let schema = Arc::clone(statement.schema());
                let wanted = statement.params();
                (Plan::Catalog(Box::new(statement)), wanted, Some(schema))
            }
            Route::CopyOut(copy) => {
                let out = CopyOut::new(&copy)?;
                let span = copy.query.span();
                let query = ast::Statement { kind: StatementKind::Query(copy.query), span };
                let statement = self.session.prepare_tree(text, query, &[]).await;
                let statement =
                    statement.map_err(|error| PgError::from_engine(error, text, offset))?;
                (Plan::CopyOut(statement, out), Vec::new(), None)
            }
            Route::CopyIn(copy) => {
                let plan = CopyIn::new(&copy)?;
                let span = copy.table.first().map_or_else(Span::default, |name| name.span);
                let copy = ast::Statement { kind: StatementKind::CopyFrom(*copy), span };
                let checked = self.session.prepare_tree(text, copy, &[]).await;
                checked.map_err(|error| PgError::from_engine(error, text, offset))?;
                (Plan::CopyIn(plan), Vec::new(), None)
            }
            Route::Engine => {
                let zone = self.session.settings().timezone;
                let types: Vec<_> = declared.iter().map(|oid| declared_type(*oid, &zone)).collect();
                let explain = |error| PgError::from_engine(error, text, offset);
                let mut statement = self.session.prepare(text, &types).await.map_err(explain)?;
                if statement.params.contains(&Type::Null) {
                    // Like PostgreSQL: a parameter whose type nothing decides is text.
                    let types: Vec<_> = statement.params.iter().map(decided_or_text).collect();
                    statement = self.session.prepare(text, &types).await.map_err(explain)?;
                }
                let wanted = statement.params.clone();
                let schema = statement.has_rows().then(|| Arc::clone(&statement.schema));
                (Plan::Engine(statement), wanted, schema)
            }
        };
        let params = wanted.into_iter().enumerate().map(|(at, ty)| {
            let declared = declared.get(at).copied().filter(|oid| !matches!(oid, 0 | 705));
            Param { oid: declared.unwrap_or_else(|| pg_type(&ty).oid()), ty }
        });
        Ok(Prepared { plan, params: params.collect(), schema, text: text.to_owned(), offset })
    }

    /// Runs a statement with its parameters; those about the session are the connection's own.
    ///
    /// # Errors
    /// Any user error, with its position in the text the client sent.
    pub(super) async fn execute(
        &self,
        prepared: &Prepared,
        params: Vec<ScalarValue>,
    ) -> Result<Answer, PgError> {
        let (text, offset) = (prepared.text.clone(), prepared.offset);
        let explain = move |error: Error| PgError::from_engine(error, &text, offset);
        match &prepared.plan {
            Plan::Engine(statement) | Plan::CopyOut(statement, _) => {
                let stream =
                    self.session.execute(statement, params).await.map_err(explain.clone())?;
                let notices = stream.notices().to_vec();
                if let Some(done) = stream.outcome() {
                    return Ok(Answer::Done(done.to_string(), notices));
                }
                let types = types(stream.schema());
                let batches = stream.map(move |batch| batch.map_err(explain.clone())).boxed();
                Ok(Answer::Rows(Rows { types, notices, batches, current: None }))
            }
            Plan::Execute { statement, values } => {
                let answer = Box::pin(self.execute(statement, values.clone())).await;
                // Places in the prepared text mean nothing in the text of EXECUTE.
                answer.map_err(|error| PgError { position: None, ..error })
            }
            Plan::Catalog(statement) => {
                let stream =
                    self.catalog.execute(statement, params).await.map_err(explain.clone())?;
                let batches =
                    stream.map(move |batch| batch.map_err(|error| explain.clone()(error.into())));
                Ok(Answer::Rows(Rows {
                    types: types(statement.schema()),
                    notices: Vec::new(),
                    batches: batches.boxed(),
                    current: None,
                }))
            }
            Plan::Empty | Plan::Utility(_) | Plan::Prepare { .. } | Plan::CopyIn(_) => {
                Err(Error::internal("the connection's own statement was run elsewhere").into())
            }
        }
    }
}

fn decided_or_text(ty: &Type) -> Option<Type> {
    Some(if *ty == Type::Null { Type::String } else { ty.clone() })
}

impl Rows {
    /// A result that is already there.
    pub(super) fn of(batch: RecordBatch) -> Self {
        Self {
            types: types(batch.schema_ref()),
            notices: Vec::new(),
            batches: once(async { Ok(batch) }).boxed(),
            current: None,
        }
    }

    /// Makes sure that there is a next row; false at the end. Cancel-safe.
    ///
    /// # Errors
    /// What the query fails with.
    pub(super) async fn load(&mut self) -> Result<bool, PgError> {
        while self.current.as_ref().is_none_or(|(_, rows, next)| next >= rows) {
            let Some(batch) = self.batches.next().await.transpose()? else {
                self.current = None;
                return Ok(false);
            };
            self.current = Some((columns(&self.types, &batch)?, batch.num_rows(), 0));
        }
        Ok(true)
    }

    /// The next row of the loaded batch: its columns and its number; none at the batch's end.
    pub(super) fn next(&mut self) -> Option<(&[Type], &[Column], usize)> {
        let (columns, rows, next) = self.current.as_mut()?;
        if *next >= *rows {
            return None;
        }
        *next += 1;
        Some((&self.types, columns, *next - 1))
    }
}
