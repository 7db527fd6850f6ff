//! Deleting events: a few rows of a file are marked in the log, files with many are written anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::Utc;
use roaring::RoaringBitmap;

use crate::crash_point;
use crate::error::{Error, Result};
use crate::storage::deleted::DeletedRows;
use crate::storage::log::{Change, ChangeKind};
use crate::storage::maintain::MaintainOptions;
use crate::storage::mutations::{Mutation, State};
use crate::storage::{EventStore, Part, ProjectId, Snapshot};

/// Longer marks would weigh on the log, which readers hold in memory.
const MARK_BYTES_MAX: usize = 32 << 10;

/// Rows of files: the path, and the numbers in the file.
pub(crate) type Places = BTreeMap<String, RoaringBitmap>;

impl EventStore {
    /// Deletes rows of a project's files, as a statement has found them in `snapshot`. False when
    /// others have changed these files meanwhile: then nothing has happened, and the rows are
    /// elsewhere.
    ///
    /// # Errors
    /// `Storage` when files cannot be read or written.
    pub(crate) async fn delete_rows(
        &self,
        snapshot: &Arc<Snapshot>,
        project: ProjectId,
        places: Places,
        mutation: &mut Mutation,
    ) -> Result<bool> {
        let mut change = Change::new(ChangeKind::Delete);
        let found = self.plan_deletion(snapshot, project, places, &mut change, mutation).await;
        let outcome = match found {
            Ok(touched) => {
                mutation.begin(change.id, snapshot.log.version);
                self.put_mutation(mutation).await?;
                crash_point::reach("delete.noted");
                let changed = self.change_parts(snapshot, &touched, &change).await;
                crash_point::reach("delete.committed");
                changed
            }
            Err(error) => Err(error),
        };
        match outcome {
            Ok(true) => {
                mutation.state = State::Deleted;
                self.put_mutation(mutation).await?;
            }
            Ok(false) => self.discard_parts(new_files(snapshot, &change)).await,
            // A commit whose answer is lost may be there: its files stay until upkeep knows.
            Err(_) => {}
        }
        outcome
    }

    /// What happens to each file. The files are those that there were.
    async fn plan_deletion(
        &self,
        snapshot: &Snapshot,
        project: ProjectId,
        places: Places,
        change: &mut Change,
        mutation: &mut Mutation,
    ) -> Result<Vec<Arc<Part>>> {
        mutation.forget_files();
        let mut touched = Vec::with_capacity(places.len());
        let now = Utc::now().timestamp_millis();
        for (path, rows) in places {
            let missing = || Error::internal("a deleted row is in no file");
            let part = snapshot.log.parts.get(&path).ok_or_else(missing)?;
            touched.push(Arc::clone(part));
            let before = part.deleted.as_deref();
            let Some(deleted) = DeletedRows::new(rows, now) else { continue };
            let deleted = deleted.with(before);
            mutation.events += deleted.count() - before.map_or(0, DeletedRows::count);
            let is_empty = Some(deleted.count()) == part.rows_in_file();
            let is_long = deleted.bytes() > MARK_BYTES_MAX && part.is_only(project);
            let marked = Part { deleted: Some(Arc::new(deleted)), ..Part::clone(part) };
            if !is_empty && !is_long {
                mutation.marked.push(path);
                change.adds.push(marked);
                continue;
            }
            mutation.replaced.push(path);
            change.removes.push(Arc::clone(part));
            if is_long && !is_empty {
                let options = MaintainOptions::default();
                let elsewhere = snapshot.rows_of(project) - part.rows().unwrap_or_default();
                let built = self.rewrite(project, &[Arc::new(marked)], elsewhere, &options).await?;
                change.adds.extend(built.parts);
            }
        }
        Ok(touched)
    }
}

/// The files that the change would bring.
fn new_files<'a>(snapshot: &Snapshot, change: &'a Change) -> impl Iterator<Item = &'a Part> {
    change.adds.iter().filter(|part| !snapshot.log.parts.contains_key(&part.path))
}
