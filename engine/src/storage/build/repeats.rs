//! Which events of a cell the store has already, and which come twice.
//!
//! Two events are the same when project, uuid and timestamp are equal. Only these two columns are
//! read; the keys at hand are bounded, because a large cell is looked at in several passes.

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use datafusion::common::{HashMap, HashSet, ScalarValue};
use futures::TryStreamExt;

use crate::error::Result;
use crate::storage::build::order::{Day, Key, column, first_micros, keys};
use crate::storage::part::Range;
use crate::storage::{EventStore, Part, ProjectId, TEAM_ID, TIMESTAMP, UUID};

/// Keys held at a time.
const KEYS_MAX: u64 = 2 << 20;

/// What to leave out.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    /// The store has them: none is wanted.
    stored: HashSet<Key>,
    /// They come several times; true once the first was taken.
    several: HashMap<Key, bool>,
}

impl Repeats {
    /// True for a row that is wanted. Rows must be asked about in their order.
    pub(super) fn takes(&mut self, key: &Key) -> bool {
        if self.stored.contains(key) {
            return false;
        }
        self.several.get_mut(key).is_none_or(|taken| !std::mem::replace(taken, true))
    }
}

/// Finds what to leave out of `rows` events. `scan` hands all of them to its argument, each time
/// it is called.
pub(super) async fn find_repeats(
    store: &EventStore,
    project: ProjectId,
    known: &[&Part],
    rows: u64,
    scan: impl Fn(&mut dyn FnMut(Key)) -> Result<()>,
) -> Result<Repeats> {
    let mut repeats = Repeats::default();
    let passes = rows.div_ceil(KEYS_MAX).max(1);
    for pass in 0..passes {
        let is_now = |key: &Key| low_half(&key.0) % passes == pass;
        let mut seen: HashSet<Key> = HashSet::new();
        scan(&mut |key| {
            if is_now(&key) && !seen.insert(key) {
                repeats.several.insert(key, false);
            }
        })?;
        for part in known {
            find_stored(store, project, part, &mut |key| {
                if seen.contains(&key) {
                    repeats.stored.insert(key);
                }
            })
            .await?;
        }
    }
    Ok(repeats)
}

/// The bits of a uuid that are random in all of its versions.
fn low_half(uuid: &[u8; 16]) -> u64 {
    u64::from_be_bytes(std::array::from_fn(|index| uuid[index + 8]))
}

/// Hands the keys of a project's events in a part to `see`.
async fn find_stored(
    store: &EventStore,
    project: ProjectId,
    part: &Part,
    see: &mut (dyn FnMut(Key) + Send),
) -> Result<()> {
    let mut batches = store.read_part(part, &[UUID, TIMESTAMP, TEAM_ID]).await?;
    while let Some(batch) = batches.try_next().await? {
        let teams = column(&batch, TEAM_ID)?.as_primitive::<Int64Type>().values();
        for (key, _) in keys(&batch)?.zip(teams).filter(|(_, team)| **team == project.0) {
            see(key);
        }
    }
    Ok(())
}

/// True when the project has an event in the part and in one of the others.
///
/// # Errors
/// `Storage` when a file cannot be read.
pub(crate) async fn shares_events(
    store: &EventStore,
    project: ProjectId,
    part: &Part,
    others: &[Arc<Part>],
) -> Result<bool> {
    let others: Vec<_> = others.iter().filter(|other| overlap(part, other)).collect();
    let mut ours = HashSet::new();
    if !others.is_empty() {
        find_stored(store, project, part, &mut |key| {
            ours.insert(key);
        })
        .await?;
    }
    let mut shared = false;
    for other in others {
        find_stored(store, project, other, &mut |key| shared |= ours.contains(&key)).await?;
    }
    Ok(shared)
}

/// False when the log shows that no event of one is at a time of the other's.
fn overlap(one: &Part, other: &Part) -> bool {
    let Some(Range { min: Some(min), max: Some(max) }) = one.range(TIMESTAMP) else { return true };
    other.may_overlap(TIMESTAMP, min, max)
}

/// False when the log shows that the part has no event of the project on these days.
pub(super) fn may_hold(part: &Part, project: ProjectId, days: &RangeInclusive<Day>) -> bool {
    let time = |micros| ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into()));
    let (first, last) = (first_micros(*days.start()), first_micros(days.end() + 1) - 1);
    part.may_have(project) && part.may_overlap(TIMESTAMP, &time(first), &time(last))
}
