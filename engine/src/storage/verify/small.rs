//! The small files: projects, their tokens, and what users made and deleted in them.

use std::collections::HashSet;

use super::{See, problem};
use crate::error::{Error, Result};
use crate::storage::EventStore;

/// The tables that users made, with their folders.
type Tables = Vec<(String, String)>;

/// Checks that all of them can be read, and that they fit together.
pub(super) async fn check(store: &EventStore, see: See<'_>) -> Tables {
    // In this order: a token is given to a project that is there.
    let tokens = shown("tokens", store.tokens().await, see);
    let projects = shown("projects", store.projects().await, see);
    let known: Option<HashSet<_>> =
        projects.as_ref().map(|projects| projects.iter().map(|(_, id)| *id).collect());
    for (token, project) in tokens.into_iter().flatten() {
        if known.as_ref().is_some_and(|known| !known.contains(&project)) {
            let what = format!("it is of project {}, and there is none", project.0);
            see(problem(format!("tokens/{token}.json"), what));
        }
    }
    let mut tables = Tables::new();
    for (_, project) in projects.into_iter().flatten() {
        shown(&format!("mutations/{}", project.0), store.mutations(project).await, see);
        let folder = format!("definitions/{}", project.0);
        let Some(version) = shown(&folder, store.definitions(project).await, see) else { continue };
        let made = &version.definitions.tables;
        tables.extend(made.iter().map(|(name, table)| (name.clone(), table.folder.clone())));
    }
    tables
}

/// What was read; its error is shown.
fn shown<T>(folder: &str, read: Result<T, Error>, see: See<'_>) -> Option<T> {
    read.map_err(|error| see(problem(folder, error.message))).ok()
}
