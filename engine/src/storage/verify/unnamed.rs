//! Files that no commit names: what imports left that were killed, or are about to commit.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};

use super::{See, note};
use crate::error::Result;
use crate::storage::{EVENTS_FOLDER, EventStore, Part};

/// The files of all tables, without those of their logs.
pub(crate) async fn list(store: &EventStore) -> Result<Vec<ObjectMeta>> {
    let mut listed = Vec::new();
    for folder in [EVENTS_FOLDER, "tables"] {
        let files = store.store.list(Some(&Path::from(folder)));
        let files: Vec<_> = files.try_collect().await?;
        let is_of_log = |file: &ObjectMeta| file.location.as_ref().contains("/_delta_log/");
        listed.extend(files.into_iter().filter(|file| !is_of_log(file)));
    }
    Ok(listed)
}

/// The locations of a table's files.
pub(crate) fn names(folder: &str, parts: &BTreeMap<String, Arc<Part>>) -> HashSet<Path> {
    parts.values().filter_map(|part| part.location_in(folder).ok()).collect()
}

/// Notes the listed files that no commit names.
pub(super) async fn check(
    store: &EventStore,
    listed: Vec<ObjectMeta>,
    named: &HashSet<Path>,
    see: See<'_>,
) -> Result<()> {
    for file in unnamed(store, listed, named).await? {
        let what = format!("no commit names it; it has {} bytes", file.size);
        see(note(file.location.to_string(), what));
    }
    Ok(())
}

/// Those of the listed files that neither the newest versions name nor those of late.
pub(crate) async fn unnamed(
    store: &EventStore,
    mut listed: Vec<ObjectMeta>,
    named: &HashSet<Path>,
) -> Result<Vec<ObjectMeta>> {
    let replaced = store.log.replaced().await?;
    let events = Path::from(EVENTS_FOLDER);
    listed.retain(|file| {
        let in_table = file.location.prefix_match(&events).map(|parts| parts.collect::<Path>());
        !named.contains(&file.location) && in_table.is_none_or(|path| !replaced.contains(&path))
    });
    Ok(listed)
}
