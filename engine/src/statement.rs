//! Statements: what each does, once its text is parsed. SET, PREPARE and their kin are the
//! session's own.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::ScalarValue;
use hedgerow_parser::ast::{self, StatementKind, TableContent};

use crate::answer::{Notice, ResultStream, text_schema};
use crate::catalog::Catalog;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::execute::{self, Plan};
use crate::lower::{self, Lowered, Task};
use crate::settings::Settings;
use crate::storage::{EventStore, ProjectId};
use crate::types::Type;

mod copy;
mod definitions;
mod explain;
mod show;
mod tables;

pub(crate) use show::relations;

/// Values of `$1`, `$2`, … with their types.
pub(crate) type Params = Vec<(Type, ScalarValue)>;

/// On whose behalf a statement runs, and under which settings.
pub(crate) struct Work {
    pub(crate) engine: Arc<Engine>,
    pub(crate) project: ProjectId,
    pub(crate) settings: Settings,
}

impl Work {
    async fn catalog(&self) -> Result<Catalog> {
        self.engine.catalog(self.project).await
    }

    /// The store, for statements that write.
    fn store(&self) -> Result<&EventStore> {
        self.engine.store().ok_or_else(|| {
            Error::new(ErrorKind::NotAllowed, "there is no data folder to write to")
                .hint("Name one with --data.")
        })
    }

    fn lower(
        &self,
        task: Task<'_>,
        catalog: &Catalog,
        params: Params,
    ) -> Result<(Lowered, Vec<Notice>)> {
        lower::lower(task, catalog, &self.settings, params)
    }

    async fn plan(&self, lowered: &Lowered) -> Result<Plan> {
        execute::plan(&self.engine.query_state(), lowered, self.project).await
    }
}

/// Runs a statement. Rows come as a stream; anything else has happened when this returns.
pub(crate) async fn run(
    work: &Work,
    statement: &ast::Statement,
    params: Params,
) -> Result<ResultStream> {
    match &statement.kind {
        StatementKind::Query(query) => {
            let catalog = work.catalog().await?;
            let (lowered, notices) = work.lower(Task::Query(query), &catalog, params)?;
            let plan = work.plan(&lowered).await?;
            let batches = plan.start(work.engine.query_threads()?)?;
            Ok(ResultStream::rows(plan.schema, batches).with_notices(notices))
        }
        StatementKind::Explain(explain) => explain::run(work, explain, params).await,
        StatementKind::Show(show) => show::run(work, show).await,
        StatementKind::Describe(described) => show::describe(work, described).await,
        StatementKind::CreateView { replace, name, columns, query } => {
            definitions::create_view(work, *replace, name, columns, query).await
        }
        StatementKind::CreateTable { if_not_exists, name, content } => {
            tables::create(work, *if_not_exists, name, content, params).await
        }
        StatementKind::Drop { kind, if_exists, names, cascade } => {
            definitions::drop(work, *kind, *if_exists, names, *cascade).await
        }
        StatementKind::Rename { kind, if_exists, name, to } => {
            definitions::rename(work, *kind, *if_exists, name, to).await
        }
        StatementKind::Insert { table, columns, source } => {
            tables::insert(work, table, columns, source, params).await
        }
        StatementKind::Copy(copy) => copy::run(work, copy, params).await,
        StatementKind::Set { .. }
        | StatementKind::Reset(_)
        | StatementKind::Prepare { .. }
        | StatementKind::Execute { .. }
        | StatementKind::Deallocate(_) => Err(Error::internal("not the session's own statement")),
    }
}

/// The types of a statement's parameters and its result columns, found without running it.
pub(crate) async fn analyse(
    work: &Work,
    statement: &ast::Statement,
    declared: &[Option<Type>],
) -> Result<(Vec<Type>, SchemaRef)> {
    let nothing = || (Vec::new(), Arc::new(Schema::empty()));
    let query = match &statement.kind {
        StatementKind::Query(query) => query,
        StatementKind::Explain(explain) => &explain.query,
        StatementKind::Copy(copy) => &copy.query,
        StatementKind::CreateTable { content: TableContent::Query { query, .. }, .. } => query,
        StatementKind::Insert { table, columns, source } => {
            let catalog = work.catalog().await?;
            let (_, targets) = tables::targets(&catalog, table, columns)?;
            let task = Task::Insert(source, &targets);
            let analysis = lower::analyse(task, &catalog, &work.settings, declared)?;
            return Ok((analysis.params, nothing().1));
        }
        StatementKind::CreateView { query, .. } => {
            lower::define(query, &work.catalog().await?, &work.settings)?;
            return Ok(nothing());
        }
        StatementKind::Show(show) => return Ok((Vec::new(), show::schema(show))),
        StatementKind::Describe(_) => return Ok((Vec::new(), show::columns_schema())),
        StatementKind::Prepare { statement, .. } => {
            Box::pin(analyse(work, statement, declared)).await?;
            return Ok(nothing());
        }
        _ => return Ok(nothing()),
    };
    let catalog = work.catalog().await?;
    let analysis = lower::analyse(Task::Query(query), &catalog, &work.settings, declared)?;
    let schema = match &statement.kind {
        StatementKind::Query(_) => execute::output_schema(&analysis.lowered),
        StatementKind::Explain(_) => text_schema(&[explain::COLUMN]),
        _ => nothing().1,
    };
    Ok((analysis.params, schema))
}

/// True for statements that change what others see.
pub(crate) fn writes(statement: &ast::Statement) -> bool {
    matches!(
        statement.kind,
        StatementKind::CreateView { .. }
            | StatementKind::CreateTable { .. }
            | StatementKind::Drop { .. }
            | StatementKind::Rename { .. }
            | StatementKind::Insert { .. }
            | StatementKind::Copy(ast::Copy { target: ast::CopyTarget::File(..), .. })
    )
}

/// A statement in PostgreSQL's words.
pub(crate) fn word(statement: &ast::Statement) -> &'static str {
    use ast::RelationKind::{Table, View};
    match &statement.kind {
        StatementKind::Query(_) | StatementKind::Execute { .. } => "SELECT",
        StatementKind::Explain(_) => "EXPLAIN",
        StatementKind::Show(_) | StatementKind::Describe(_) => "SHOW",
        StatementKind::Set { .. } => "SET",
        StatementKind::Reset(_) => "RESET",
        StatementKind::CreateView { .. } => "CREATE VIEW",
        StatementKind::CreateTable { content: TableContent::Columns(_), .. } => "CREATE TABLE",
        StatementKind::CreateTable { .. } => "CREATE TABLE AS",
        StatementKind::Drop { kind: View, .. } => "DROP VIEW",
        StatementKind::Drop { kind: Table, .. } => "DROP TABLE",
        StatementKind::Rename { kind: View, .. } => "ALTER VIEW",
        StatementKind::Rename { kind: Table, .. } => "ALTER TABLE",
        StatementKind::Insert { .. } => "INSERT",
        StatementKind::Copy(_) => "COPY",
        StatementKind::Prepare { .. } => "PREPARE",
        StatementKind::Deallocate(_) => "DEALLOCATE",
    }
}
