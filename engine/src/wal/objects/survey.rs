//! Looking at a log without taking it over: nothing is put or removed.

use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStore;
use object_store::path::Path;

use super::store::{Limits, Object, Store};
use super::takeover::has_records;
use super::{adjacent, ends, read as read_object};
use crate::error::Result;
use crate::wal::{Reading, Seq, Sight, Survey, trimmed};

/// What the log in `folder` of a store holds; none where there is no log. Shows the records after
/// `after`. Who has the log may remove objects meanwhile.
///
/// # Errors
/// `Storage` when an object cannot be read, or is gone.
pub(crate) async fn survey(
    objects: Arc<dyn ObjectStore>,
    folder: Path,
    after: Seq,
    see: &mut (dyn FnMut(Bytes) + Send),
) -> Result<Option<Survey>> {
    let store = Store::new(objects, folder, Limits::default());
    let listed = store.list().await?;
    let Some(newest) = listed.last() else { return Ok(None) };
    let epoch = newest.key.epoch;
    let held: Vec<Object> = listed.into_iter().filter(has_records).collect();
    let mut survey = Survey {
        is_open: None,
        epoch,
        last: after,
        bytes: held.iter().map(|object| object.bytes).sum(),
        segments: held.len(),
    };
    for object in needed(&held, after) {
        for (seq, record) in read_object(&store, object.key).await? {
            survey.last = survey.last.max(seq);
            if seq > after {
                see(record);
            }
        }
    }
    Ok(Some(survey))
}

/// The objects that may have records after `after`.
fn needed(held: &[Object], after: Seq) -> &[Object] {
    // Nobody knows yet where the last one ends: it is read in any case.
    let ends = ends(held, after.plus(2));
    &held[ends.take_while(|end| end.previous() <= after).count()..]
}

/// Reads the records after `after`, and shows all of them and all damage. Records that are not
/// needed any more may be removed meanwhile.
///
/// # Errors
/// `Storage` when the store does not answer.
pub(crate) async fn read(
    objects: Arc<dyn ObjectStore>,
    folder: Path,
    after: Seq,
    see: &mut (dyn FnMut(Sight) + Send),
) -> Result<Reading> {
    let store = Store::new(objects, folder, Limits::default());
    let held: Vec<Object> = store.list().await?.into_iter().filter(has_records).collect();
    let needed = needed(&held, after);
    let mut damages = Vec::new();
    if let Some(first) = needed.first().filter(|first| after.plus(1) < first.key.position) {
        damages.push(trimmed(after, first.key.position));
    }
    let mut next = None;
    for object in needed {
        if let Some(next) = next {
            damages.extend(adjacent(next, object.key.position).err());
        }
        next = match read_object(&store, object.key).await {
            Ok(records) => {
                let next = object.key.position.plus(records.len());
                for (seq, record) in records.into_iter().filter(|(seq, _)| *seq > after) {
                    see(Sight::Record(seq, record));
                }
                Some(next)
            }
            Err(damage) => {
                damages.push(damage);
                None
            }
        };
    }
    if !damages.is_empty() {
        let now: Vec<Object> = store.list().await?.into_iter().filter(has_records).collect();
        if !now.starts_with(&held) {
            return Ok(Reading::InUse);
        }
    }
    damages.into_iter().map(Sight::Damage).for_each(see);
    Ok(Reading::Whole)
}
