//! A session: one client's view of one project, and the whole way of a statement on one screen.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use hedgerow_parser::ast::StatementKind;
use hedgerow_parser::{Dialect, ast, parse_statement};
use parking_lot::RwLock;

use crate::answer::{ResultStream, without_place};
use crate::editor::{self, Completion, Diagnostic};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::lower::{self, Scene};
use crate::settings::Settings;
use crate::statement::{self, Analysis, Loading, Work, assign};
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
    /// What PREPARE made.
    prepared: RwLock<BTreeMap<String, Statement>>,
}

/// A statement that was analysed: its parameters and result columns are known, nothing has run.
#[derive(Debug, Clone)]
pub struct Statement {
    /// The text as sent.
    pub text: Arc<str>,
    /// The tree.
    pub tree: Arc<ast::Statement>,
    /// The types of `$1`, `$2`, …
    pub params: Vec<Type>,
    /// The result columns, and none for a statement without rows. Execution returns exactly
    /// these.
    pub schema: SchemaRef,
}

/// A table or view as clients list it.
#[derive(Debug, Clone)]
pub struct TableInfo {
    pub name: String,
    pub doc: String,
    /// Columns in `*` order, with extension metadata and a `comment` metadata entry.
    pub schema: SchemaRef,
    /// The query of a view in canonical HogQL.
    pub view: Option<String>,
    /// INSERT can add rows.
    pub insertable: bool,
}

impl Session {
    pub(crate) fn new(engine: Arc<Engine>, project: ProjectId, options: SessionOptions) -> Self {
        let settings = Settings { database: options.project.clone(), ..Settings::default() };
        let (settings, prepared) = (RwLock::new(settings), RwLock::default());
        Self { engine, project, options, settings, prepared }
    }

    /// Says who asks: what `current_user` gives.
    pub fn set_user(&self, name: &str) {
        name.clone_into(&mut self.settings.write().user);
    }

    /// Runs a statement without parameters: parse, lower, execute.
    ///
    /// # Errors
    /// Any user error, with its place in `text`.
    pub async fn query(&self, text: &str) -> Result<ResultStream> {
        let statement = Arc::new(parse_statement(text, self.dialect())?);
        self.run(statement, Vec::new()).await
    }

    /// Analyses a statement. `declared` gives the types of `$1`, `$2`, … that the client knows;
    /// the others are inferred from their use.
    ///
    /// # Errors
    /// Any user error, with its place in `text`.
    pub async fn prepare(&self, text: &str, declared: &[Option<Type>]) -> Result<Statement> {
        let tree = Arc::new(parse_statement(text, self.dialect())?);
        self.analyse(text, tree, declared.to_vec()).await
    }

    /// Analyses a statement that was parsed from `text` already.
    ///
    /// # Errors
    /// As [`Session::prepare`].
    pub async fn prepare_tree(
        &self,
        text: &str,
        tree: ast::Statement,
        declared: &[Option<Type>],
    ) -> Result<Statement> {
        self.analyse(text, Arc::new(tree), declared.to_vec()).await
    }

    /// Runs an analysed statement with a value for each of its parameters, laid out as
    /// [`Statement::params`] says.
    ///
    /// # Errors
    /// `Parameter` when the number of values differs from the number of parameters.
    pub async fn execute(
        &self,
        statement: &Statement,
        params: Vec<ScalarValue>,
    ) -> Result<ResultStream> {
        check_count(statement.params.len(), params.len())?;
        let params = statement.params.iter().cloned().zip(params).collect();
        self.run(Arc::clone(&statement.tree), params).await
    }

    /// Begins to load rows of a client into columns of `events`; no columns mean those of `*`.
    ///
    /// # Errors
    /// `UnknownTable`, `UnknownColumn`, `Duplicate`; `Unsupported` for other tables, and for a
    /// column that is computed; `NotAllowed` without a data folder.
    pub async fn load(&self, table: &[ast::Ident], columns: &[ast::Ident]) -> Result<Loading> {
        let work = self.work();
        let (table, columns) = (table.to_vec(), columns.to_vec());
        let begin = async move { statement::load(work, &table, &columns).await };
        self.engine.on_query_threads(begin).await
    }

    async fn run(
        &self,
        statement: Arc<ast::Statement>,
        params: Vec<(Type, ScalarValue)>,
    ) -> Result<ResultStream> {
        match &statement.kind {
            StatementKind::Set { name, value } => {
                assign::set(&mut self.settings.write(), name, value)?;
                Ok(ResultStream::done("SET", None))
            }
            StatementKind::Reset(name) => {
                assign::reset(&mut self.settings.write(), name.as_deref())?;
                Ok(ResultStream::done("RESET", None))
            }
            StatementKind::Prepare { name, types, statement } => {
                self.remember(name, types, statement).await
            }
            StatementKind::Execute { name, args } => self.execute_named(name, args).await,
            StatementKind::Deallocate(name) => self.forget(name.as_ref()),
            _ => {
                let work = self.work();
                let run = async move { statement::run(&work, &statement, params).await };
                self.engine.on_query_threads(run).await
            }
        }
    }

    async fn analyse(
        &self,
        text: &str,
        tree: Arc<ast::Statement>,
        declared: Vec<Option<Type>>,
    ) -> Result<Statement> {
        if let StatementKind::Execute { name, .. } = &tree.kind {
            let schema = self.prepared(name)?.schema;
            return Ok(Statement { text: text.into(), tree, params: Vec::new(), schema });
        }
        let (work, parsed) = (self.work(), Arc::clone(&tree));
        let analyse = async move {
            let catalog = work.catalog().await?;
            statement::analyse(work.scene(&catalog), &parsed, &declared)
        };
        let Analysis { params, schema, .. } = self.engine.on_query_threads(analyse).await?;
        Ok(Statement { text: text.into(), tree, params, schema })
    }

    fn work(&self) -> Work {
        Work {
            engine: Arc::clone(&self.engine),
            project: self.project,
            settings: self.settings(),
            dialect: self.dialect(),
        }
    }

    // ----- what is the session's own ------------------------------------------------------

    async fn remember(
        &self,
        name: &ast::Ident,
        types: &[ast::TypeName],
        statement: &ast::Statement,
    ) -> Result<ResultStream> {
        if self.prepared.read().contains_key(&name.name) {
            let message = format!("prepared statement {} already exists", name.name);
            return Err(Error::new(ErrorKind::DuplicateStatement, message)
                .at(name.span)
                .hint(format!("DEALLOCATE {name} first.")));
        }
        let zone = self.settings().timezone;
        let declared = types.iter().map(|ty| Type::parse(ty, &zone).map(Some));
        let declared = declared.collect::<Result<Vec<_>>>()?;
        let tree = Arc::new(statement.clone());
        let prepared = self.analyse(&statement.to_string(), tree, declared).await?;
        self.prepared.write().insert(name.name.clone(), prepared);
        Ok(ResultStream::done("PREPARE", None))
    }

    async fn execute_named(&self, name: &ast::Ident, args: &[ast::Expr]) -> Result<ResultStream> {
        let statement = self.prepared(name)?;
        let values =
            self.constants(args, &statement.params).map_err(|error| error.at(name.span))?;
        // Places in the prepared text mean nothing in the text of EXECUTE.
        let answer = Box::pin(self.execute(&statement, values)).await;
        Ok(answer.map_err(without_place)?.without_places())
    }

    fn forget(&self, name: Option<&ast::Ident>) -> Result<ResultStream> {
        match name {
            None => {
                self.prepared.write().clear();
                Ok(ResultStream::done("DEALLOCATE ALL", None))
            }
            Some(name) => {
                self.prepared(name)?;
                self.prepared.write().remove(&name.name);
                Ok(ResultStream::done("DEALLOCATE", None))
            }
        }
    }

    fn prepared(&self, name: &ast::Ident) -> Result<Statement> {
        self.prepared.read().get(&name.name).cloned().ok_or_else(|| {
            let message = format!("prepared statement {} does not exist", name.name);
            Error::new(ErrorKind::UnknownStatement, message).at(name.span)
        })
    }

    /// The values of constant expressions, as parameters of these types.
    ///
    /// # Errors
    /// `Parameter` when there are too many or too few; `InvalidArgument` for an expression that
    /// is not constant; `TypeMismatch`.
    pub fn constants(&self, values: &[ast::Expr], types: &[Type]) -> Result<Vec<ScalarValue>> {
        check_count(types.len(), values.len())?;
        lower::constants(values, types, &self.settings())
    }

    // ----- for editors --------------------------------------------------------------------

    /// What could be written at `cursor`, a byte offset in a text that may be incomplete, best
    /// first.
    ///
    /// # Errors
    /// `Storage` when the store cannot be read.
    pub async fn completions(&self, text: &str, cursor: usize) -> Result<Vec<Completion>> {
        let text = text.to_owned();
        self.in_scene(move |scene| editor::completions(scene, &text, cursor)).await
    }

    /// What is wrong with a text, without running any of it.
    ///
    /// # Errors
    /// `Storage` when the store cannot be read.
    pub async fn diagnostics(&self, text: &str) -> Result<Vec<Diagnostic>> {
        let text = text.to_owned();
        self.in_scene(move |scene| editor::diagnostics(scene, &text)).await
    }

    async fn in_scene<T: Send + 'static>(
        &self,
        look: impl FnOnce(Scene<'_>) -> T + Send + 'static,
    ) -> Result<T> {
        let work = self.work();
        let looked = async move { Ok(look(work.scene(&work.catalog().await?))) };
        self.engine.on_query_threads(looked).await
    }

    // ----- the project and its settings ---------------------------------------------------

    /// The tables and views of the project.
    ///
    /// # Errors
    /// `Storage` when the store cannot be read.
    pub async fn tables(&self) -> Result<Vec<TableInfo>> {
        let work = self.work();
        self.engine.on_query_threads(async move { statement::relations(&work).await }).await
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

    /// Takes the values of all placeholders away.
    pub fn reset_placeholders(&self) {
        self.settings.write().placeholders.clear();
    }

    /// Changes a setting for the queries that follow.
    ///
    /// # Errors
    /// `InvalidSetting` for an unknown name or a value it cannot take.
    pub fn set(&self, name: &str, value: &str) -> Result<()> {
        self.settings.write().set(name, value)
    }
}

impl Statement {
    /// True when it has rows, be there any or not.
    pub fn has_rows(&self) -> bool {
        !self.schema.fields().is_empty()
    }

    /// True when it changes what others see.
    pub fn writes(&self) -> bool {
        statement::writes(&self.tree)
    }

    /// The statement in PostgreSQL's words: `SELECT`, `CREATE VIEW`.
    pub fn word(&self) -> &'static str {
        statement::word(&self.tree)
    }
}

fn check_count(wanted: usize, given: usize) -> Result<()> {
    if wanted == given {
        return Ok(());
    }
    let message = format!("the query has {wanted} parameters, {given} values were given");
    Err(Error::new(ErrorKind::Parameter, message))
}
