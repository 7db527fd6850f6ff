//! The parts of the catalog that come from the `datafusion-pg-catalog` crate.

use std::sync::{Arc, OnceLock};

use datafusion::catalog::TableProvider;
use datafusion::error::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::sqlparser::ast::Statement;
use datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_pg_catalog::pg_catalog::{PgCatalogSchemaProvider, PgCatalogStaticTables};
use datafusion_pg_catalog::setup_pg_catalog;
use datafusion_pg_catalog::sql::PostgresCompatibilityParser;

use super::SystemCatalog;

/// Name of the catalog in the shared state; sessions bring their own.
const CATALOG: &str = "library";

struct Library {
    parser: PostgresCompatibilityParser,
    state: SessionState,
    tables: PgCatalogSchemaProvider<
        Arc<dyn datafusion::catalog::CatalogProviderList>,
        EmptyContextProvider,
    >,
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Library")
    }
}

/// The one library of the process, read on first use.
///
/// # Errors
/// Internal ones: its tables are part of the program.
pub(super) fn shared() -> Result<&'static dyn SystemCatalog> {
    static LIBRARY: OnceLock<Result<Library, String>> = OnceLock::new();
    match LIBRARY.get_or_init(|| open().map_err(|error| error.to_string())) {
        Ok(library) => Ok(library),
        Err(message) => datafusion::common::internal_err!("{message}"),
    }
}

fn open() -> Result<Library> {
    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema(CATALOG, "public")
        .with_target_partitions(1);
    config.options_mut().sql_parser.dialect = datafusion::common::config::Dialect::PostgreSQL;
    let context = SessionContext::new_with_config(config);
    setup_pg_catalog(&context, CATALOG, EmptyContextProvider).map_err(|error| *error)?;
    let state = context.state();
    let tables = PgCatalogSchemaProvider::try_new(
        Arc::clone(state.catalog_list()),
        Arc::new(PgCatalogStaticTables::try_new()?),
        EmptyContextProvider,
    )?;
    Ok(Library { parser: PostgresCompatibilityParser::new(), state, tables })
}

impl SystemCatalog for Library {
    fn parse(&self, text: &str) -> Result<Statement> {
        let mut statements = self.parser.parse(text)?;
        match (statements.pop(), statements.is_empty()) {
            (Some(statement), true) => Ok(statement),
            _ => datafusion::common::plan_err!("expected one statement"),
        }
    }

    fn state(&self) -> &SessionState {
        &self.state
    }

    fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        self.tables
            .build_table_by_name(name)?
            .map(|table| table.try_into_table_provider())
            .transpose()
    }
}
