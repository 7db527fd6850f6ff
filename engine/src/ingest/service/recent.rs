//! Which events were taken in of late: senders repeat what they got no answer to.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use chrono::Utc;
use datafusion::common::HashSet;
use futures::TryStreamExt;

use super::only;
use crate::error::Result;
use crate::storage::{
    EventStore, Key, Part, ProjectId, Snapshot, TEAM_ID, TIMESTAMP, UUID, column, keys,
};

/// An event is the same as another of its project with this key.
type EventKey = (ProjectId, Key);

/// Keys of a generation. The two of them know the last so many events at least.
const GENERATION_MAX: usize = 1 << 20;
/// Files of this age are read when a store is opened.
const AGE_MAX: Duration = Duration::from_mins(60);

/// The keys of the last events, in two generations: when the younger one is full, the older one is
/// forgotten.
#[derive(Debug, Default)]
pub(super) struct Recent {
    young: HashSet<EventKey>,
    old: HashSet<EventKey>,
}

impl Recent {
    /// Those of the files written within the last hour, and of what is in no file yet.
    pub(super) async fn of(store: &EventStore, snapshot: &Snapshot) -> Result<Self> {
        let mut recent = Self::default();
        let oldest = Utc::now().timestamp_millis() - AGE_MAX.as_millis() as i64;
        let mut parts: Vec<&Arc<Part>> =
            snapshot.parts().filter(|part| part.modified_ms >= oldest).collect();
        parts.sort_by_key(|part| part.modified_ms);
        let mut rows = 0;
        let last = parts.iter().rev().take_while(|part| {
            rows += part.rows().unwrap_or_default();
            rows <= GENERATION_MAX as u64
        });
        for part in last {
            let mut batches = store.read_part(part, &[TEAM_ID, UUID, TIMESTAMP]).await?;
            while let Some(batch) = batches.try_next().await? {
                let teams = column(&batch, TEAM_ID)?.as_primitive::<Int64Type>().values();
                recent.young.extend(teams.iter().map(|team| ProjectId(*team)).zip(keys(&batch)?));
            }
        }
        for batch in snapshot.hot() {
            recent.add(batch.project, &batch.rows)?;
        }
        Ok(recent)
    }

    /// The rows that are neither known nor in the group, to which they are added.
    pub(super) fn without_known(
        &self,
        project: ProjectId,
        rows: &RecordBatch,
        group: &mut HashSet<EventKey>,
    ) -> Result<Option<RecordBatch>> {
        let is_new = keys(rows)?.map(|key| {
            let key = (project, key);
            !self.young.contains(&key) && !self.old.contains(&key) && group.insert(key)
        });
        only(rows, is_new.collect())
    }

    pub(super) fn add(&mut self, project: ProjectId, rows: &RecordBatch) -> Result<()> {
        if self.young.len() >= GENERATION_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.extend(keys(rows)?.map(|key| (project, key)));
        Ok(())
    }
}
