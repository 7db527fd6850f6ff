//! PREPARE and EXECUTE as SQL: the same statements, under the same names, as those of the extended
//! protocol.

use std::collections::HashMap;
use std::sync::Arc;

use hedgerow_engine::Type;

use super::backend::{Backend, Plan, Prepared};
use super::connection::no_statement;
use super::error::PgError;
use super::route::Named;
use super::types::pg_type;

/// The statements of a connection by name; the unnamed one is under the empty name.
pub(super) type Statements = HashMap<String, Arc<Prepared>>;

impl Backend {
    /// Analyses PREPARE or EXECUTE: what it names, and what that answers with.
    ///
    /// # Errors
    /// 26000 for a name without a statement; whatever is wrong with the statement.
    pub(super) async fn prepare_named(
        &self,
        named: Named,
        text: &str,
        offset: usize,
        statements: &Statements,
    ) -> Result<Prepared, PgError> {
        let explain = |error| PgError::from_engine(error, text, offset);
        let (plan, schema) = match named {
            Named::Prepare { name, types, body } => {
                let zone = self.session.settings().timezone;
                let oids = types
                    .iter()
                    .map(|ty| Ok(pg_type(&Type::parse(ty, &zone)?).oid()))
                    .collect::<Result<Vec<_>, hedgerow_engine::Error>>()
                    .map_err(explain)?;
                let before = text[..body.range().start].chars().count();
                let body = Some(&text[body.range()]);
                let work = Box::pin(self.prepare(body, offset + before, &oids, statements));
                (Plan::Prepare { name: name.name, statement: Arc::new(work.await?) }, None)
            }
            Named::Execute { name, args } => {
                let found = statements.get(&name.name).ok_or_else(|| no_statement(&name.name))?;
                let types: Vec<_> = found.params.iter().map(|param| param.ty.clone()).collect();
                let values = self.session.constants(&args, &types).map_err(explain)?;
                let statement = Arc::clone(found);
                let schema = statement.schema.clone();
                (Plan::Execute { statement, values }, schema)
            }
        };
        Ok(Prepared { plan, params: Vec::new(), schema, text: text.to_owned(), offset })
    }
}
