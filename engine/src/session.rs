//! A session: one client's view of one project, and the whole way of a query on one screen.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use futures::Stream;
use futures::stream::BoxStream;
use hedgerow_parser::{Dialect, ast, parse_query};
use parking_lot::RwLock;

use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::execute;
use crate::lower;
use crate::settings::Settings;
use crate::storage::ProjectId;
use crate::types::Type;

/// What a client chooses when it connects.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// The project by name.
    pub project: String,
    /// How text is read, unless the session sets `hogql_strings`.
    pub dialect: Dialect,
}

/// One client's view of one project.
#[derive(Debug)]
pub struct Session {
    engine: Arc<Engine>,
    project: ProjectId,
    options: SessionOptions,
    settings: RwLock<Settings>,
}

/// A query that was analysed: its parameters and result columns are known, nothing has run.
#[derive(Debug, Clone)]
pub struct Statement {
    /// The text as sent.
    pub text: Arc<str>,
    /// The tree.
    pub query: Arc<ast::Query>,
    /// The types of `$1`, `$2`, …
    pub params: Vec<Type>,
    /// The result columns. Execution returns exactly these.
    pub schema: SchemaRef,
}

/// Something the client should know about an answer, though the answer stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub message: String,
    pub hint: Option<String>,
}

/// A running query: batches as they are ready. Dropping it stops the query.
pub struct ResultStream {
    schema: SchemaRef,
    notices: Vec<Notice>,
    batches: BoxStream<'static, Result<RecordBatch>>,
}

impl ResultStream {
    /// The result columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// What the client should know, known before the first batch.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }
}

impl Stream for ResultStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.batches.as_mut().poll_next(cx)
    }
}

/// A table as clients list it.
#[derive(Debug, Clone)]
pub struct TableInfo {
    pub name: String,
    pub doc: String,
    /// Columns in `*` order, with extension metadata and a `comment` metadata entry.
    pub schema: SchemaRef,
}

impl Session {
    pub(crate) fn new(engine: Arc<Engine>, project: ProjectId, options: SessionOptions) -> Self {
        Self { engine, project, options, settings: RwLock::default() }
    }

    /// Runs a query without parameters: parse, lower, execute.
    ///
    /// # Errors
    /// Any user error, with its place in `text`.
    pub async fn query(&self, text: &str) -> Result<ResultStream> {
        let query = Arc::new(parse_query(text, self.dialect())?);
        self.run(query, Vec::new()).await
    }

    /// Analyses a query. `declared` gives the types of `$1`, `$2`, … that the client knows;
    /// the others are inferred from their use.
    ///
    /// # Errors
    /// Any user error, with its place in `text`.
    pub async fn prepare(&self, text: &str, declared: &[Option<Type>]) -> Result<Statement> {
        let query = Arc::new(parse_query(text, self.dialect())?);
        let (engine, project, settings) = (Arc::clone(&self.engine), self.project, self.settings());
        let dialect = self.dialect();
        let (parsed, declared) = (Arc::clone(&query), declared.to_vec());
        let (params, schema) = self
            .engine
            .on_query_threads(async move {
                let catalog = engine.catalog(project).await?;
                let analysis = lower::analyse(&parsed, &catalog, &settings, dialect, &declared)?;
                Ok((analysis.params, execute::output_schema(&analysis.lowered)))
            })
            .await?;
        Ok(Statement { text: text.into(), query, params, schema })
    }

    /// Runs an analysed query with a value for each of its parameters, laid out as
    /// [`Statement::params`] says.
    ///
    /// # Errors
    /// `Parameter` when the number of values differs from the number of parameters.
    pub async fn execute(
        &self,
        statement: &Statement,
        params: Vec<ScalarValue>,
    ) -> Result<ResultStream> {
        if params.len() != statement.params.len() {
            let message = format!(
                "the query has {} parameters, {} values were given",
                statement.params.len(),
                params.len()
            );
            return Err(Error::new(ErrorKind::Parameter, message));
        }
        let params = statement.params.iter().cloned().zip(params).collect();
        self.run(Arc::clone(&statement.query), params).await
    }

    async fn run(
        &self,
        query: Arc<ast::Query>,
        params: Vec<(Type, ScalarValue)>,
    ) -> Result<ResultStream> {
        let (engine, project, settings) = (Arc::clone(&self.engine), self.project, self.settings());
        let dialect = self.dialect();
        self.engine
            .on_query_threads(async move {
                let catalog = engine.catalog(project).await?;
                let (lowered, notices) = lower::lower(&query, &catalog, &settings, dialect, params)?;
                let schema = execute::output_schema(&lowered);
                let (state, threads) = (engine.query_state(), engine.query_threads()?);
                let batches = execute::execute(&state, lowered, project, threads).await?;
                Ok(ResultStream { schema, notices, batches })
            })
            .await
    }

    /// The tables of the project.
    ///
    /// # Errors
    /// `Storage` when the store cannot be read.
    pub async fn tables(&self) -> Result<Vec<TableInfo>> {
        let catalog = self.engine.catalog(self.project).await?;
        let tables = catalog.tables().map(|table| TableInfo {
            name: table.name.clone(),
            doc: table.doc.to_owned(),
            schema: table.visible_schema(),
        });
        Ok(tables.collect())
    }

    fn dialect(&self) -> Dialect {
        match self.settings.read().hogql_strings {
            true => Dialect::Hogql,
            false => self.options.dialect,
        }
    }

    /// The project's number.
    pub fn project(&self) -> ProjectId {
        self.project
    }

    /// The project's name.
    pub fn project_name(&self) -> &str {
        &self.options.project
    }

    /// The settings as they are now.
    pub fn settings(&self) -> Settings {
        self.settings.read().clone()
    }

    /// Changes a setting for the queries that follow.
    ///
    /// # Errors
    /// `InvalidSetting` for an unknown name or a value it cannot take.
    pub fn set(&self, name: &str, value: &str) -> Result<()> {
        self.settings.write().set(name, value)
    }
}
