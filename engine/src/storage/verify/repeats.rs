//! Whether events are in the files twice, in bounded memory: files whose times overlap are looked
//! at together, in as many passes as it takes.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use datafusion::common::{HashMap, ScalarValue};
use futures::TryStreamExt;
use uuid::Uuid;

use super::{See, problem, still_names};
use crate::error::Result;
use crate::storage::build::{Key, column, keys};
use crate::storage::part::Range;
use crate::storage::{EVENTS_FOLDER, EventStore, Part, TEAM_ID, TIMESTAMP, UUID};

/// Keys held at a time.
const KEYS_MAX: u64 = 2 << 20;

/// Events that two files share, or that one has twice: how many, and one of them.
type Shared = BTreeMap<(usize, usize), (u64, Uuid)>;

/// Files with their rows, and when the last of their events was.
struct Cluster<'a> {
    files: Vec<&'a Part>,
    rows: u64,
    end: i64,
}

pub(super) async fn check(
    store: &EventStore,
    files: &[(Arc<Part>, u64)],
    see: See<'_>,
) -> Result<()> {
    for cluster in clusters(files) {
        let mut shared = Shared::new();
        let passes = cluster.rows.div_ceil(KEYS_MAX).max(1);
        for pass in 0..passes {
            find(store, &cluster.files, &mut shared, &|(uuid, _)| {
                u64::from(crc32c::crc32c(uuid)) % passes == pass
            })
            .await?;
        }
        for ((first, second), (count, uuid)) in shared {
            let what = match first == second {
                true => format!("{count} events are in it twice, such as {uuid}"),
                false => {
                    let other = &cluster.files[first].path;
                    format!("{count} of its events are in {other} too, such as {uuid}")
                }
            };
            see(problem(format!("{EVENTS_FOLDER}/{}", cluster.files[second].path), what));
        }
    }
    Ok(())
}

/// Files whose times overlap, directly or through others.
fn clusters(files: &[(Arc<Part>, u64)]) -> Vec<Cluster<'_>> {
    let mut spans: Vec<_> = files.iter().map(|(part, rows)| (span(part), part, rows)).collect();
    spans.sort_by_key(|((start, _), ..)| *start);
    let mut clusters: Vec<Cluster<'_>> = Vec::new();
    for ((start, end), part, rows) in spans {
        match clusters.last_mut() {
            Some(cluster) if start <= cluster.end => {
                cluster.files.push(part);
                cluster.rows += rows;
                cluster.end = cluster.end.max(end);
            }
            _ => clusters.push(Cluster { files: vec![part], rows: *rows, end }),
        }
    }
    clusters
}

/// The first and last time of a file, in microseconds.
fn span(part: &Part) -> (i64, i64) {
    let micros = |bound: &Option<ScalarValue>| match bound {
        Some(ScalarValue::TimestampMicrosecond(micros, _)) => *micros,
        _ => None,
    };
    let known = part.range(TIMESTAMP).map(|Range { min, max }| (micros(min), micros(max)));
    let (first, last) = known.unwrap_or_default();
    (first.unwrap_or(i64::MIN), last.unwrap_or(i64::MAX))
}

async fn find(
    store: &EventStore,
    files: &[&Part],
    shared: &mut Shared,
    is_now: &(dyn Fn(&Key) -> bool + Sync),
) -> Result<()> {
    let mut seen: HashMap<(i64, Key), usize> = HashMap::new();
    for (file, part) in files.iter().enumerate() {
        let read = async {
            let mut batches = store.read_part(part, &[UUID, TIMESTAMP, TEAM_ID]).await?;
            while let Some(batch) = batches.try_next().await? {
                let teams = column(&batch, TEAM_ID)?.as_primitive::<Int64Type>().values();
                for (team, key) in teams.iter().zip(keys(&batch)?).filter(|(_, key)| is_now(key)) {
                    if let Some(first) = seen.insert((*team, key), file) {
                        let uuid = Uuid::from_bytes(key.0);
                        shared.entry((first, file)).or_insert((0, uuid)).0 += 1;
                    }
                }
            }
            Ok(())
        };
        let outcome: Result<()> = read.await;
        // It was whole a moment ago.
        if outcome.is_err() && still_names(&store.log, part).await? {
            return outcome;
        }
    }
    Ok(())
}
