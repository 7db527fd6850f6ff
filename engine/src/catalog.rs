//! What a query may read: the tables of one project at one version of the store.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use hedgerow_parser::Span;
use hedgerow_parser::ast::Ident;

use crate::error::{Error, ErrorKind, Result, did_you_mean};
use crate::ingest::Ingest;
use crate::storage::{Definitions, EventStore, ProjectId, Properties, Snapshot, ViewDefinition};
use crate::types::property::PropertyType;

mod computed;
mod files;
mod ingestion;
pub(crate) mod made;
mod mutations;
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

/// The tables and views of one project at one version of the store.
#[derive(Debug)]
pub struct Catalog {
    tables: BTreeMap<String, Arc<Table>>,
    /// None without a store.
    events: Option<(EventStore, Arc<Snapshot>, ProjectId)>,
    definitions: Arc<Definitions>,
}

/// Names that Hedgerow keeps for tables of its own, those to come included.
const RESERVED: &[&str] = &[
    "cohorts",
    "cohort_people",
    "events",
    "groups",
    "heatmaps",
    "logs",
    "person_distinct_ids",
    "persons",
    "session_replay_events",
    "sessions",
    "static_cohort_people",
];

/// What `events` holds.
const EVENTS: &str = "One row per event that the product sent.";

/// The longest name of a view or table.
const NAME_BYTES_MAX: usize = 128;

impl Catalog {
    /// The catalog of `project` at `snapshot`, with the views and tables made in it.
    ///
    /// # Errors
    /// `Storage` when a definition cannot be read.
    pub(crate) fn new(
        store: &EventStore,
        ingest: Option<&Arc<Ingest>>,
        snapshot: &Arc<Snapshot>,
        project: ProjectId,
        definitions: &Arc<Definitions>,
    ) -> Result<Self> {
        let events = Table {
            name: "events".to_owned(),
            doc: EVENTS,
            provider: store.events(snapshot, project),
        };
        let properties = properties::table(Arc::clone(snapshot), project, Arc::clone(definitions));
        let mutations = mutations::table(store.clone(), project);
        let files = files::table(store.clone(), Arc::clone(snapshot), project);
        let ingestion = ingestion::table(ingest.cloned(), Arc::clone(snapshot), project);
        let mut tables: BTreeMap<String, Arc<Table>> =
            [events, properties, mutations, files, ingestion]
                .into_iter()
                .chain(system::options(definitions))
                .chain(system::tables())
                .map(|table| (table.name.clone(), Arc::new(table)))
                .collect();
        for (name, definition) in &definitions.tables {
            let schema = made::schema(name, definition)?;
            let provider = store.table(project, name, &definition.folder, schema);
            let table = Table { name: name.clone(), doc: "A table made with SQL.", provider };
            tables.insert(name.clone(), Arc::new(table));
        }
        Ok(Self {
            tables,
            events: Some((store.clone(), Arc::clone(snapshot), project)),
            definitions: Arc::clone(definitions),
        })
    }

    /// A table as it was at a time.
    ///
    /// # Errors
    /// `Unsupported` for tables of which no versions are kept.
    pub(crate) fn as_of(
        &self,
        table: &Table,
        time: DateTime<Utc>,
    ) -> Result<Arc<dyn TableProvider>> {
        match &self.events {
            Some((store, _, project)) if table.name == "events" => {
                Ok(store.events_as_of(*project, time))
            }
            _ => Err(Error::unsupported(format!("{} has no earlier versions", table.name))
                .hint("AS OF is for events.")),
        }
    }

    /// The same, with other rows or columns of `events`.
    pub(crate) fn with_events(mut self, provider: Arc<dyn TableProvider>) -> Self {
        let events = Table { name: "events".to_owned(), doc: EVENTS, provider };
        self.tables.insert(events.name.clone(), Arc::new(events));
        self
    }

    /// A catalog without product tables, for queries over constants.
    pub fn without_store() -> Self {
        Self {
            tables: system::tables().into_iter().map(|t| (t.name.clone(), Arc::new(t))).collect(),
            events: None,
            definitions: Arc::default(),
        }
    }

    /// What is known of the project's event properties.
    pub fn properties(&self) -> Arc<Properties> {
        match &self.events {
            Some((_, snapshot, project)) => snapshot.properties(*project),
            None => Arc::default(),
        }
    }

    /// As what an event property is read: the type given by hand, else the learned one; none for
    /// a key of which nothing is known.
    pub(crate) fn property_type(&self, key: &str) -> Option<PropertyType> {
        let set = self.definitions.property_types.get(key).copied();
        set.or_else(|| self.properties().get(key).map(|property| property.ty))
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

    /// What users made.
    pub(crate) fn definitions(&self) -> &Arc<Definitions> {
        &self.definitions
    }

    /// The view a dotted name means, with its plain name.
    pub(crate) fn view(&self, name: &[Ident]) -> Option<(&String, &ViewDefinition)> {
        self.definitions.views.get_key_value(&plain_name(name))
    }

    /// The table a dotted name means. The schemas `public` and `posthog` both hold the product
    /// tables.
    ///
    /// # Errors
    /// `UnknownTable`, with the nearest name as a hint.
    pub fn resolve(&self, name: &[Ident]) -> Result<&Arc<Table>> {
        let plain = plain_name(name);
        self.tables.get(&plain).ok_or_else(|| self.unknown(name))
    }

    /// The error for a name that no table and no view has.
    pub(crate) fn unknown(&self, name: &[Ident]) -> Error {
        let plain = plain_name(name);
        let error = Error::new(ErrorKind::UnknownTable, format!("no table named {plain}"));
        let known = self.tables.keys().chain(self.definitions.views.keys());
        let error = match did_you_mean(&plain, known.map(String::as_str)) {
            Some(hint) => error.hint(hint),
            None => error,
        };
        error.at(span_of(name))
    }

    /// The plain name under which something new can be made.
    ///
    /// # Errors
    /// `NotAllowed` for a name that Hedgerow keeps, or in a schema of its own;
    /// `InvalidArgument` for one that tools could not write.
    pub(crate) fn new_name(name: &[Ident]) -> Result<String> {
        let span = span_of(name);
        let plain = match name {
            [only] => &only.name,
            [schema, last] if matches!(schema.name.as_str(), "public" | "posthog") => &last.name,
            _ => {
                let message = "views and tables are made in the schema public";
                return Err(Error::new(ErrorKind::NotAllowed, message).at(span));
            }
        };
        if RESERVED.contains(&plain.as_str()) || plain.to_lowercase().starts_with("pg_") {
            let message = format!("{plain} is a name that Hedgerow keeps for itself");
            return Err(Error::new(ErrorKind::NotAllowed, message)
                .at(span)
                .hint("Choose another."));
        }
        let strange = |c: char| c.is_control() || c == '.';
        if plain.is_empty() || plain.len() > NAME_BYTES_MAX || plain.chars().any(strange) {
            let message = format!("not a name for a view or table: '{}'", plain.escape_debug());
            let hint = format!("A name has 1 to {NAME_BYTES_MAX} bytes and no dot.");
            return Err(Error::new(ErrorKind::InvalidArgument, message).at(span).hint(hint));
        }
        Ok(plain.clone())
    }
}

/// The name without the schemas that mean nothing.
pub(crate) fn plain_name(name: &[Ident]) -> String {
    let parts: Vec<&str> = name.iter().map(|part| part.name.as_str()).collect();
    match parts.as_slice() {
        ["public" | "posthog", rest @ ..] if !rest.is_empty() => rest.join("."),
        all => all.join("."),
    }
}

/// Where a dotted name stands.
pub(crate) fn span_of(name: &[Ident]) -> Span {
    match (name.first(), name.last()) {
        (Some(first), Some(last)) => first.span.to(last.span),
        _ => Span::default(),
    }
}
