//! Which events the store has already.
//!
//! Two events are the same when project, uuid and timestamp are equal. Files whose range of
//! timestamps shows that they cannot hold any of the events at hand are not read; of the others
//! only the two key columns are, batch by batch, so memory is bounded by the events at hand.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use datafusion::common::ScalarValue;
use futures::TryStreamExt;

use crate::error::Result;
use crate::ingest::sort::{column, uuid_bytes};
use crate::storage::{EventStore, Part, ProjectId, TEAM_ID, TIMESTAMP, UUID};

/// What makes an event of a project the same as another.
type Key = ([u8; 16], i64);

/// Drops the rows that `parts` hold already, and repetitions among the rows themselves. Gives
/// the rows that are left, in order, and how many are gone.
pub(super) async fn drop_duplicates(
    store: &EventStore,
    project: ProjectId,
    parts: &[Arc<Part>],
    batches: Vec<RecordBatch>,
) -> Result<(Vec<RecordBatch>, u64)> {
    let mut keys: HashSet<Key> = HashSet::new();
    for batch in &batches {
        keys.extend(batch_keys(batch)?);
    }
    let stored = stored_keys(store, project, parts, &keys).await?;

    // From here on `keys` holds what is still to be taken.
    keys.retain(|key| !stored.contains(key));
    let mut kept = Vec::with_capacity(batches.len());
    let mut dropped = 0;
    for batch in batches {
        let is_first: BooleanArray =
            batch_keys(&batch)?.map(|key| Some(keys.remove(&key))).collect();
        let gone = is_first.len() - is_first.true_count();
        dropped += gone as u64;
        kept.push(if gone == 0 { batch } else { filter_record_batch(&batch, &is_first)? });
    }
    kept.retain(|batch| batch.num_rows() > 0);
    Ok((kept, dropped))
}

fn batch_keys(batch: &RecordBatch) -> Result<impl Iterator<Item = Key>> {
    let uuids = column(batch, UUID)?.as_fixed_size_binary();
    let times = column(batch, TIMESTAMP)?.as_primitive::<TimestampMicrosecondType>().values();
    Ok((0..batch.num_rows()).map(move |row| (uuid_bytes(uuids.value(row)), times[row])))
}

/// Those of `keys` that the parts hold.
async fn stored_keys(
    store: &EventStore,
    project: ProjectId,
    parts: &[Arc<Part>],
    keys: &HashSet<Key>,
) -> Result<HashSet<Key>> {
    let mut stored = HashSet::new();
    let times = || keys.iter().map(|(_, time)| *time);
    let (Some(first), Some(last)) = (times().min(), times().max()) else {
        return Ok(stored);
    };
    for part in parts.iter().filter(|part| may_hold(part, project, first, last)) {
        find_keys(store, project, part, keys, &mut stored).await?;
    }
    Ok(stored)
}

/// False when the log shows that the part has no event of the project in the span of time.
fn may_hold(part: &Part, project: ProjectId, first: i64, last: i64) -> bool {
    let team = project.0.into();
    let time = |micros| ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into()));
    part.may_overlap(TEAM_ID, &team, &team)
        && part.may_overlap(TIMESTAMP, &time(first), &time(last))
}

async fn find_keys(
    store: &EventStore,
    project: ProjectId,
    part: &Part,
    keys: &HashSet<Key>,
    found: &mut HashSet<Key>,
) -> Result<()> {
    let mut batches = store.read_part(part, &[UUID, TIMESTAMP, TEAM_ID]).await?;
    while let Some(batch) = batches.try_next().await? {
        let teams = column(&batch, TEAM_ID)?.as_primitive::<Int64Type>();
        for (key, team) in batch_keys(&batch)?.zip(teams.values()) {
            if *team == project.0 && keys.contains(&key) {
                found.insert(key);
            }
        }
    }
    Ok(())
}
