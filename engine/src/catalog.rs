//! What a query may read: the tables of one project at one version of the store.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use hedgerow_parser::ast::Ident;

use crate::error::{Error, ErrorKind, Result, did_you_mean};
use crate::storage::{EventStore, ProjectId, Properties, Snapshot};

mod properties;
mod system;

/// Field metadata: what a column means, for clients that show comments.
pub const COMMENT: &str = "comment";
/// Field metadata: present on columns that `*` leaves out.
pub const HIDDEN: &str = "hidden";

/// A table as a query sees it.
pub struct Table {
    /// The name under which it is listed.
    pub name: String,
    /// One sentence for clients that show comments.
    pub doc: &'static str,
    /// Where its rows come from.
    pub provider: Arc<dyn TableProvider>,
}

impl Table {
    /// The columns with their types, hidden ones included.
    pub fn fields(&self) -> SchemaRef {
        self.provider.schema()
    }

    /// The columns of `*`, in order.
    pub fn visible_schema(&self) -> SchemaRef {
        let fields = self.provider.schema();
        let visible = fields.fields().iter().filter(|field| !is_hidden(field));
        Arc::new(Schema::new(visible.map(Arc::clone).collect::<Vec<_>>()))
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("name", &self.name).finish_non_exhaustive()
    }
}

/// True for columns that `*` leaves out.
pub fn is_hidden(field: &Field) -> bool {
    field.metadata().contains_key(HIDDEN)
}

/// The tables of one project at one version of the store.
#[derive(Debug)]
pub struct Catalog {
    tables: BTreeMap<String, Arc<Table>>,
    properties: Option<(Arc<Snapshot>, ProjectId)>,
}

impl Catalog {
    /// The catalog of `project` at `snapshot`.
    pub fn new(store: &EventStore, snapshot: &Arc<Snapshot>, project: ProjectId) -> Self {
        let events = Table {
            name: "events".to_owned(),
            doc: "One row per event that the product sent.",
            provider: store.events(snapshot, project),
        };
        let properties = properties::table(Arc::clone(snapshot), project);
        let tables = [events, properties].into_iter().chain(system::tables());
        Self {
            tables: tables.map(|table| (table.name.clone(), Arc::new(table))).collect(),
            properties: Some((Arc::clone(snapshot), project)),
        }
    }

    /// A catalog without product tables, for queries over constants.
    pub fn without_store() -> Self {
        Self {
            tables: system::tables().into_iter().map(|t| (t.name.clone(), Arc::new(t))).collect(),
            properties: None,
        }
    }

    /// What is known of the project's event properties.
    pub fn properties(&self) -> Arc<Properties> {
        match &self.properties {
            Some((snapshot, project)) => snapshot.properties(*project),
            None => Arc::default(),
        }
    }

    /// All tables by name.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.values()
    }

    /// The cohort with this number or name. Cohorts are not stored yet: there is none.
    pub fn cohort(&self, _label: &str) -> Option<Infallible> {
        None
    }

    /// The action with this number or name. Actions are not stored yet: there is none.
    pub fn action(&self, _label: &str) -> Option<Infallible> {
        None
    }

    /// The table a dotted name means. The schemas `public` and `posthog` both hold the product
    /// tables.
    ///
    /// # Errors
    /// `UnknownTable`, with the nearest name as a hint.
    pub fn resolve(&self, name: &[Ident]) -> Result<&Arc<Table>> {
        let parts: Vec<&str> = name.iter().map(|part| part.name.as_str()).collect();
        let plain = match parts.as_slice() {
            ["public" | "posthog", rest @ ..] if !rest.is_empty() => rest.join("."),
            all => all.join("."),
        };
        self.tables.get(&plain).ok_or_else(|| {
            let error = Error::new(ErrorKind::UnknownTable, format!("no table named {plain}"));
            let error = match did_you_mean(&plain, self.tables.keys().map(String::as_str)) {
                Some(hint) => error.hint(hint),
                None => error,
            };
            match (name.first(), name.last()) {
                (Some(first), Some(last)) => error.at(first.span.to(last.span)),
                _ => error,
            }
        })
    }
}
