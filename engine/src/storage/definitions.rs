//! What users made in a project: its views, tables and types of properties, as one small file per change.
//!
//! `definitions/<project>/<version>.json` holds everything the project has at that version. A
//! change reads the newest version, decides, and creates the next one, which succeeds only while
//! nobody else has: of two changes at once one wins, and the other decides again. So a change is
//! there as a whole or not at all, whatever it touches.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use futures::TryStreamExt;
use hedgerow_parser::Dialect;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::storage::ProjectId;
use crate::types::property::PropertyType;

pub(super) const FOLDER: &str = "definitions";

/// What users made in one project, at one version.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Definitions {
    /// Tells one writer's file from another's of the same version.
    change: Uuid,
    pub(crate) views: BTreeMap<String, ViewDefinition>,
    pub(crate) tables: BTreeMap<String, TableDefinition>,
    /// The types that event properties were given by hand, by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) property_types: BTreeMap<String, PropertyType>,
    /// Events of this age are deleted; none are when it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retention_days: Option<u32>,
}

/// A view.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ViewDefinition {
    /// The query in canonical HogQL.
    pub(crate) text: String,
    /// Its text came in PostgreSQL's dialect, in which a column hides an alias of its name.
    #[serde(default)]
    pub(crate) is_postgres: bool,
    /// Its columns, in their order for ever.
    pub(crate) columns: Vec<ViewColumn>,
    /// The views and tables of this project that it reads.
    pub(crate) uses: BTreeSet<String>,
}

impl ViewDefinition {
    /// How the names in its text are resolved.
    pub(crate) fn dialect(&self) -> Dialect {
        if self.is_postgres { Dialect::Postgres } else { Dialect::Hogql }
    }
}

/// A column of a view.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ViewColumn {
    pub(crate) name: String,
    /// What the view's query calls it.
    pub(crate) source: String,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TableDefinition {
    /// Where its files are, in the data folder.
    pub(crate) folder: String,
    pub(crate) columns: Vec<TableColumn>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TableColumn {
    pub(crate) name: String,
    /// The type by its HogQL name.
    #[serde(rename = "type")]
    pub(crate) ty: String,
}

impl Definitions {
    /// The views that read `name`.
    pub(crate) fn users_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a String> {
        let uses = move |view: &ViewDefinition| view.uses.contains(name);
        self.views.iter().filter(move |(_, view)| uses(view)).map(|(user, _)| user)
    }
}

/// A version of the definitions; 0 is the one before anything was made.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    number: u64,
    pub(crate) definitions: Arc<Definitions>,
}

/// The newest versions seen, so that a query looks only for what came after.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<HashMap<ProjectId, Version>>);

impl Seen {
    fn get(&self, project: ProjectId) -> Option<Version> {
        self.0.lock().get(&project).cloned()
    }

    fn put(&self, project: ProjectId, version: &Version) {
        let mut seen = self.0.lock();
        let known = seen.entry(project).or_insert_with(|| version.clone());
        if known.number < version.number {
            *known = version.clone();
        }
    }
}

/// The newest version.
///
/// # Errors
/// `Storage` when it cannot be read.
pub(super) async fn newest(
    store: &dyn ObjectStore,
    seen: &Seen,
    project: ProjectId,
) -> Result<Version> {
    let mut version = match seen.get(project) {
        Some(version) => version,
        None => {
            let number = listed(store, project).await?;
            let definitions = match number {
                0 => Some(Definitions::default()),
                _ => read(store, project, number).await?,
            };
            let missing = || Error::new(ErrorKind::Storage, "a file of definitions has vanished");
            Version { number, definitions: Arc::new(definitions.ok_or_else(missing)?) }
        }
    };
    while let Some(next) = read(store, project, version.number + 1).await? {
        version = Version { number: version.number + 1, definitions: Arc::new(next) };
    }
    seen.put(project, &version);
    Ok(version)
}

/// Makes `changed` the version after `base`; false when somebody else made another.
///
/// # Errors
/// `Storage` when it cannot be written.
pub(super) async fn commit(
    store: &dyn ObjectStore,
    seen: &Seen,
    project: ProjectId,
    base: &Version,
    changed: Definitions,
) -> Result<bool> {
    let number = base.number + 1;
    let changed = Definitions { change: Uuid::new_v4(), ..changed };
    let bytes =
        serde_json::to_vec_pretty(&changed).map_err(|error| Error::internal(error.to_string()))?;
    match store.put_opts(&path(project, number), bytes.into(), PutMode::Create.into()).await {
        Ok(_) => {}
        Err(StoreError::AlreadyExists { .. }) => {
            // A put whose answer was lost and that was sent again meets itself.
            let there = read(store, project, number).await?;
            if there.is_none_or(|there| there.change != changed.change) {
                return Ok(false);
            }
        }
        Err(error) => return Err(error.into()),
    }
    seen.put(project, &Version { number, definitions: Arc::new(changed) });
    Ok(true)
}

/// The greatest number in the listing, 0 for none.
async fn listed(store: &dyn ObjectStore, project: ProjectId) -> Result<u64> {
    let folder = Path::from(format!("{FOLDER}/{}", project.0));
    let files: Vec<_> = store.list(Some(&folder)).try_collect().await?;
    let number = |file: &object_store::ObjectMeta| -> Option<u64> {
        file.location.filename()?.strip_suffix(".json")?.parse().ok()
    };
    Ok(files.iter().filter_map(number).max().unwrap_or(0))
}

async fn read(
    store: &dyn ObjectStore,
    project: ProjectId,
    number: u64,
) -> Result<Option<Definitions>> {
    let path = path(project, number);
    match store.get(&path).await {
        Ok(file) => serde_json::from_slice(&file.bytes().await?).map(Some).map_err(|error| {
            Error::new(ErrorKind::Storage, format!("{path} is damaged")).caused_by(error)
        }),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn path(project: ProjectId, number: u64) -> Path {
    Path::from(format!("{FOLDER}/{}/{number:020}.json", project.0))
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn of_two_changes_at_once_one_wins() {
        let (store, here, there) = (InMemory::new(), Seen::default(), Seen::default());
        let project = ProjectId(1);
        let base = newest(&store, &here, project).await.unwrap();
        let old = newest(&store, &there, project).await.unwrap();
        let view = ViewDefinition {
            text: "SELECT 1".to_owned(),
            is_postgres: false,
            columns: Vec::new(),
            uses: BTreeSet::from(["t".to_owned()]),
        };
        let views = BTreeMap::from([("v".to_owned(), view)]);
        let changed = Definitions { views, ..Definitions::default() };
        assert!(commit(&store, &here, project, &base, changed).await.unwrap());
        let other = Definitions::default();
        assert!(!commit(&store, &there, project, &old, other.clone()).await.unwrap());

        let seen = newest(&store, &there, project).await.unwrap();
        assert_eq!(seen.definitions.users_of("t").collect::<Vec<_>>(), ["v"]);
        assert!(commit(&store, &there, project, &seen, other).await.unwrap());
        let fresh = newest(&store, &Seen::default(), project).await.unwrap();
        assert!(fresh.definitions.views.is_empty());
        let neighbour = newest(&store, &here, ProjectId(2)).await.unwrap();
        assert_eq!(neighbour.number, 0);
    }
}
