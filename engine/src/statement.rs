//! Statements: what each does, once its text is parsed. SET, PREPARE and their kin are the
//! session's own.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::ScalarValue;
use hedgerow_parser::Dialect;
use hedgerow_parser::ast::{self, StatementKind, TableContent};

use crate::answer::{ResultStream, text_schema};
use crate::catalog::Catalog;
use crate::engine::{Engine, no_store};
use crate::error::{Error, Result};
use crate::execute::{self, Plan};
use crate::lower::{self, Runnable, Scene, Task, Warning};
use crate::settings::Settings;
use crate::storage::{EventStore, ProjectId, UUID};
use crate::types::Type;

pub(crate) mod assign;
mod copy;
mod definitions;
mod delete;
mod events;
mod explain;
mod property_types;
mod show;
mod table_options;
mod tables;

pub use events::Loading;
pub(crate) use events::load;
pub(crate) use show::relations;

/// Values of `$1`, `$2`, … with their types.
pub(crate) type Params = Vec<(Type, ScalarValue)>;

/// On whose behalf a statement runs, and under which settings.
pub(crate) struct Work {
    pub(crate) engine: Arc<Engine>,
    pub(crate) project: ProjectId,
    pub(crate) settings: Settings,
    pub(crate) dialect: Dialect,
}

impl Work {
    pub(crate) async fn catalog(&self) -> Result<Catalog> {
        self.engine.catalog(self.project).await
    }

    pub(crate) fn scene<'a>(&'a self, catalog: &'a Catalog) -> Scene<'a> {
        Scene { catalog, settings: &self.settings, dialect: self.dialect }
    }

    /// The store, for statements that write.
    fn store(&self) -> Result<&EventStore> {
        self.engine.store().ok_or_else(no_store)
    }

    fn lower(&self, task: Task<'_>, catalog: &Catalog, params: Params) -> Result<Runnable> {
        lower::lower(task, self.scene(catalog), params)
    }

    async fn plan(&self, query: &Runnable) -> Result<Plan> {
        execute::plan(&self.engine.query_state(), query, self.project).await
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
            let query = work.lower(Task::Query(query), &catalog, params)?;
            let plan = work.plan(&query).await?;
            let batches = plan.start(work.engine.query_threads()?)?;
            Ok(ResultStream::rows(plan.schema, batches).with_notices(query.notices))
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
        StatementKind::AlterColumn { if_exists, table, column, ty } => {
            property_types::alter(work, *if_exists, table, column, ty.as_ref()).await
        }
        StatementKind::AlterOptions { if_exists, table, options } => {
            table_options::alter(work, *if_exists, table, options).await
        }
        StatementKind::Insert { table, columns, source } => {
            tables::insert(work, table, columns, source, params).await
        }
        StatementKind::Delete(delete) => {
            Box::pin(delete::run(work, statement, delete, params)).await
        }
        StatementKind::Copy(copy) => copy::run(work, copy, params).await,
        StatementKind::CopyFrom(_) => {
            Err(Error::unsupported("COPY … FROM STDIN is for the Postgres wire")
                .at(statement.span)
                .hint("Use psql, or a driver's copy; or import a file: hedgerow import."))
        }
        StatementKind::Set { .. }
        | StatementKind::Reset(_)
        | StatementKind::Prepare { .. }
        | StatementKind::Execute { .. }
        | StatementKind::Deallocate(_) => Err(Error::internal("not the session's own statement")),
    }
}

/// What is known of a statement before it runs.
pub(crate) struct Analysis {
    pub(crate) params: Vec<Type>,
    /// None for a statement without rows.
    pub(crate) schema: SchemaRef,
    pub(crate) warnings: Vec<Warning>,
}

/// Analyses a statement without running it.
pub(crate) fn analyse(
    scene: Scene<'_>,
    statement: &ast::Statement,
    declared: &[Option<Type>],
) -> Result<Analysis> {
    let of_task = |task: Task<'_>, schema: Option<SchemaRef>| {
        let lowered = lower::analyse(task, scene, declared)?;
        let schema = schema.unwrap_or_else(|| execute::output_schema(&lowered.lowered));
        Ok(Analysis { params: lowered.params, schema, warnings: lowered.warnings })
    };
    let nothing = || Arc::new(Schema::empty());
    let schema = match &statement.kind {
        StatementKind::Query(query) => return of_task(Task::Query(query), None),
        StatementKind::Explain(explain) => {
            let schema = text_schema(&[explain::COLUMN]);
            return of_task(Task::Query(&explain.query), Some(schema));
        }
        StatementKind::Copy(ast::Copy { query, .. })
        | StatementKind::CreateTable { content: TableContent::Query { query, .. }, .. } => {
            return of_task(Task::Query(query), Some(nothing()));
        }
        StatementKind::Insert { table, columns, source } => {
            let (_, targets) = tables::destination(scene.catalog, table, columns)?;
            return of_task(Task::Insert(source, &targets), Some(nothing()));
        }
        StatementKind::CopyFrom(ast::CopyFrom { table, columns, .. }) => {
            events::loaded(scene.catalog, table, columns)?;
            nothing()
        }
        StatementKind::Delete(delete) => {
            let query = delete::query(scene.catalog, delete, &[UUID])?;
            return of_task(Task::Query(&query), Some(nothing()));
        }
        StatementKind::CreateView { query, .. } => {
            lower::define(query, scene)?;
            nothing()
        }
        StatementKind::Show(show) => show::schema(show),
        StatementKind::Describe(_) => show::columns_schema(),
        StatementKind::Prepare { statement, .. } => {
            let prepared = analyse(scene, statement, declared)?;
            return Ok(Analysis { params: Vec::new(), schema: nothing(), ..prepared });
        }
        _ => nothing(),
    };
    Ok(Analysis { params: Vec::new(), schema, warnings: Vec::new() })
}

/// True for statements that change what others see.
pub(crate) fn writes(statement: &ast::Statement) -> bool {
    matches!(
        statement.kind,
        StatementKind::CreateView { .. }
            | StatementKind::CreateTable { .. }
            | StatementKind::Drop { .. }
            | StatementKind::Rename { .. }
            | StatementKind::AlterColumn { .. }
            | StatementKind::AlterOptions { .. }
            | StatementKind::Insert { .. }
            | StatementKind::Delete(_)
            | StatementKind::CopyFrom(_)
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
        StatementKind::Rename { kind: Table, .. }
        | StatementKind::AlterColumn { .. }
        | StatementKind::AlterOptions { .. } => "ALTER TABLE",
        StatementKind::Insert { .. } => "INSERT",
        StatementKind::Delete(_) => "DELETE",
        StatementKind::Copy(_) | StatementKind::CopyFrom(_) => "COPY",
        StatementKind::Prepare { .. } => "PREPARE",
        StatementKind::Deallocate(_) => "DEALLOCATE",
    }
}
