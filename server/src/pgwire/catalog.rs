//! PostgreSQL's system tables and functions, as tools query them: ordinary SQL over tables that
//! present the project.
//!
//! ```text
//! text ─ SystemCatalog::parse ─> statement ─ DataFusion ─> plan over [`tables`] and [`functions`]
//! ```

mod functions;
mod library;
mod naming;
mod objects;
mod rewrite;
mod tables;

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::memory::{MemoryCatalogProvider, MemoryCatalogProviderList};
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::Statement as SqlStatement;
use datafusion::sql::sqlparser::ast::Statement;
use hedgerow_engine::{Result, Session, Type};

use super::variables::Variables;
use objects::Objects;

/// Where the parts of the catalog come from that are the same for everyone.
pub(super) trait SystemCatalog: std::fmt::Debug + Send + Sync {
    /// Parses one statement, rewriting PostgreSQL's ways into DataFusion's where there is one.
    fn parse(&self, text: &str) -> DataFusionResult<Statement>;

    /// A state whose planner knows PostgreSQL's types and functions.
    fn state(&self) -> &SessionState;

    /// A system table with the same rows on every server; none where there is no such table.
    fn table(&self, name: &str) -> DataFusionResult<Option<Arc<dyn TableProvider>>>;
}

/// The catalog as one session sees it.
#[derive(Debug)]
pub(super) struct Catalog {
    session: Arc<Session>,
    variables: Arc<Variables>,
    user: String,
    pid: i32,
}

/// A catalog query that was planned.
#[derive(Debug)]
pub(super) struct CatalogStatement {
    plan: LogicalPlan,
    state: SessionState,
    schema: SchemaRef,
    params: Vec<Type>,
}

impl CatalogStatement {
    /// The result columns, named as PostgreSQL would.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The types of `$1`, `$2`, ….
    pub(super) fn params(&self) -> Vec<Type> {
        self.params.clone()
    }
}

impl Catalog {
    pub(super) fn new(
        session: Arc<Session>,
        variables: Arc<Variables>,
        user: String,
        pid: i32,
    ) -> Self {
        Self { session, variables, user, pid }
    }

    /// Plans a query over the tables as they are now.
    ///
    /// # Errors
    /// Any user error; catalog queries have no positions.
    pub(super) async fn prepare(&self, text: &str) -> Result<CatalogStatement> {
        let library = library::shared()?;
        let mut statement = library.parse(text)?;
        let names = naming::output_names(&statement);
        rewrite::rewrite(&mut statement);
        let project = self.session.project_name();
        let objects = Arc::new(Objects::new(project, &self.user, self.session.tables().await?));
        let mut state = self.state(library, &objects);
        functions::register(&mut state, &objects, &self.variables, self.pid)?;

        let statement = SqlStatement::Statement(Box::new(statement));
        let plan = state.statement_to_plan(statement).await?;
        let params = parameter_types(&plan)?;
        let schema = Arc::new(renamed(plan.schema().as_arrow(), names));
        Ok(CatalogStatement { plan, state, schema, params })
    }

    /// Runs a planned query.
    ///
    /// # Errors
    /// Any user error.
    pub(super) async fn execute(
        &self,
        statement: &CatalogStatement,
        params: Vec<ScalarValue>,
    ) -> Result<SendableRecordBatchStream> {
        let plan = match params.is_empty() {
            true => statement.plan.clone(),
            false => statement.plan.clone().with_param_values(ParamValues::from(params))?,
        };
        let physical = statement.state.create_physical_plan(&plan).await?;
        Ok(execute_stream(physical, Arc::new(TaskContext::from(&statement.state)))?)
    }

    fn state(&self, library: &'static dyn SystemCatalog, objects: &Arc<Objects>) -> SessionState {
        let project = self.session.project_name();
        let config = SessionConfig::from(library.state().config_options().as_ref().clone())
            .with_default_catalog_and_schema(project, "public");
        let catalog = MemoryCatalogProvider::new();
        for schema in tables::SCHEMAS {
            let provider = SystemSchema {
                name: schema,
                library,
                objects: Arc::clone(objects),
                variables: Arc::clone(&self.variables),
            };
            drop(catalog.register_schema(schema, Arc::new(provider)));
        }
        let catalogs = MemoryCatalogProviderList::new();
        catalogs.register_catalog(project.to_owned(), Arc::new(catalog));
        SessionStateBuilder::new_from_existing(library.state().clone())
            .with_config(config)
            .with_catalog_list(Arc::new(catalogs))
            .build()
    }
}

/// One schema of system tables, made when they are asked for.
#[derive(Debug)]
struct SystemSchema {
    name: &'static str,
    library: &'static dyn SystemCatalog,
    objects: Arc<Objects>,
    variables: Arc<Variables>,
}

#[async_trait]
impl SchemaProvider for SystemSchema {
    fn table_names(&self) -> Vec<String> {
        tables::names(self.name)
    }

    async fn table(&self, name: &str) -> DataFusionResult<Option<Arc<dyn TableProvider>>> {
        match tables::table(self.name, name, &self.objects, &self.variables)? {
            Some(table) => Ok(Some(table)),
            None if self.name == tables::PG_CATALOG => self.library.table(name),
            None => Ok(None),
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        self.table_names().iter().any(|known| known == name)
    }
}

/// The types of the parameters in their order; those that nothing decides are text.
fn parameter_types(plan: &LogicalPlan) -> Result<Vec<Type>> {
    let fields = plan.get_parameter_fields()?;
    let mut types = Vec::new();
    for (name, field) in fields {
        let Some(number) = name.strip_prefix('$').and_then(|digits| digits.parse().ok()) else {
            continue;
        };
        let number: usize = number;
        if types.len() < number {
            types.resize(number, Type::String);
        }
        if let (Some(slot), Some(field)) = (types.get_mut(number.wrapping_sub(1)), field) {
            *slot = Type::from_field(&field);
        }
    }
    Ok(types)
}

fn renamed(schema: &Schema, names: Option<Vec<Option<String>>>) -> Schema {
    let Some(names) = names.filter(|names| names.len() == schema.fields().len()) else {
        return schema.clone();
    };
    let fields = schema.fields().iter().zip(names).map(|(field, name)| match name {
        Some(name) => field.as_ref().clone().with_name(name),
        None => field.as_ref().clone(),
    });
    Schema::new(fields.collect::<Vec<_>>())
}
