//! The log in an object store, for servers without a disk of their own. It is as durable as the
//! store.
//!
//! ```text
//! wal/<epoch>/0            claim: whose the epoch is
//! wal/<epoch>/<position>   a group of records, named after the first one
//! wal/<epoch>/<position>   seal: the epoch ends here
//! ```
//! Numbers have 20 digits, so keys are in the order of the log. All objects are put on condition
//! that there is none of that name (`PutMode::Create`), of two writers one wins. A group is one
//! object; at most one is put per interval, and what comes in meanwhile is the next group.
//!
//! # One owner at a time
//! Every opening of the log is an epoch, and its owner writes under that epoch only.
//!
//! 1. An owner puts one object at a time. The name of the next one follows from the one before:
//!    its position plus its records. It does not go on before it knows that the object at that name
//!    is its own.
//! 2. A new owner claims the epoch after the newest one there is. Then it *seals* all before,
//!    oldest first: where the next object of an epoch would be, it puts one without records. Should
//!    the old owner have been faster, it tries behind that object; and an owner looks now and then
//!    whether the next epoch is claimed, and gives up, so that nobody tries for ever.
//! 3. An epoch has ended when its last object is a seal. So at the name at which an old owner would
//!    put its next object there is a seal, whenever its request arrives, and it finds that it is
//!    *fenced*. What it put before that was seen by whoever sealed, for that is where the seal's
//!    name comes from. Where an epoch ends is the same for everyone, and the next begins there.
//! 4. The objects at the end of an epoch stay for good, since nobody knows for how long an old owner
//!    may have slept. These are the seal, and what is before it: because of lost replies its owner
//!    may not know of it and try to put it again, so when its records are not needed any more,
//!    another seal takes its place. They are at most two objects of 52 bytes per opening. An owner
//!    itself keeps the last object it has put.
//! 5. All other objects are removed when their records are not needed, and their names can be taken
//!    by those who come late: a request that took long, or a new owner that is overtaken while it
//!    seals. There is always an object behind these names, so they are not at the end of an epoch.
//!    That is why a new owner looks once more after it has put a seal, and goes on to the next epoch
//!    only when nothing stands behind it. If it finds a newer epoch than its own then, it was
//!    overtaken.
//!
//! # Lost replies
//! A put whose reply is lost is repeated, and then finds an object there. If it is byte for byte
//! the one that was put, the append succeeded. If it is another one of this opening (by the
//! random id in its header), it is an earlier group that was given up and arrived late: it is part
//! of the log, though nobody was told so, and the next group goes behind it. Anything else means
//! fenced.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::ObjectStore;
use object_store::path::Path;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::frame::decode_all;
use super::group::{Append, writer_gone};
use super::header::{HEADER_BYTES, Kind};
use super::{Damage, Seq, Wal, WalStatus, trimmed};
use crate::crash_point;
use crate::error::{Error, ErrorKind, Result};
use store::{Key, Limits, Object, Store};
use writer::{Held, Writer};

mod store;
pub(crate) mod survey;
mod takeover;
#[cfg(test)]
mod tests;
mod writer;

/// Objects that a replay reads ahead.
const READ_AHEAD: usize = 4;

/// How to open a log in an object store.
#[derive(Debug, Clone)]
pub(crate) struct ObjectOptions {
    /// At most one object is put per interval. A longer one costs less (an object store is paid by
    /// requests), and lets an append wait longer.
    pub(crate) interval: Duration,
    /// A group of this size is put at once. Replays hold a few objects in memory.
    pub(crate) object_bytes: u64,
    /// How long to try, before the appends that wait fail.
    pub(crate) limits: Limits,
    /// Records up to here are not needed: they are in the tables already. The log goes on after
    /// them even when it does not have them, so that no position is used twice.
    pub(crate) after: Seq,
}

impl Default for ObjectOptions {
    fn default() -> Self {
        Self {
            interval: Duration::from_millis(100),
            object_bytes: 8 << 20,
            limits: Limits::default(),
            after: Seq::START,
        }
    }
}

/// A log in an object store. Whoever opened it last has it; who had it before is fenced.
///
/// It writes in a task of the runtime that it was opened on. When it is dropped, that task still
/// writes what was appended.
#[derive(Debug)]
pub(crate) struct ObjectWal {
    store: Store,
    epoch: u64,
    queue: mpsc::UnboundedSender<Append>,
    held: Arc<Mutex<Held>>,
}

impl ObjectWal {
    /// Takes the log in `folder` of a store over from whoever has it. What the one before has
    /// committed to the tables is known for certain only afterwards.
    ///
    /// # Errors
    /// `Storage` when the store does not answer or has no conditional put, when yet another
    /// process takes over at the same time, or when the log is damaged.
    pub(crate) async fn open(
        objects: Arc<dyn ObjectStore>,
        folder: Path,
        options: ObjectOptions,
    ) -> Result<Self> {
        let store = Store::new(objects, folder, options.limits);
        let ownership = takeover::take_over(&store, options.after).await?;
        let (id, epoch) = (ownership.id, ownership.epoch);
        let held = Held { objects: ownership.objects, next: ownership.next, fenced: None };
        let held = Arc::new(Mutex::new(held));
        let (queue, appends) = mpsc::unbounded_channel();
        let writer = Writer { store: store.clone(), id, epoch, held: Arc::clone(&held), groups: 0 };
        tokio::spawn(writer.serve(appends, options));
        Ok(Self { store, epoch, queue, held })
    }
}

/// An object without records that are needed.
#[derive(Debug)]
struct Unneeded {
    key: Key,
    /// Position after its records.
    end: Seq,
    /// Whether it is the last of an epoch that is sealed.
    sealed: bool,
}

impl ObjectWal {
    /// The objects with records up to `upto` only. Our own last one stays: it tells the position.
    fn unneeded(&self, upto: Seq) -> Result<Vec<Unneeded>> {
        let held = self.held.lock();
        if let Some(fenced) = &held.fenced {
            return Err(fenced.clone());
        }
        let epochs = held.objects.iter().map(|object| object.key.epoch);
        let next_epochs = epochs.skip(1).chain([self.epoch]);
        let last_of_ours = held.objects.last().filter(|last| last.key.epoch == self.epoch);
        Ok(held
            .objects
            .iter()
            .zip(ends(&held.objects, held.next))
            .zip(next_epochs)
            .take_while(|((object, end), _)| {
                end.previous() <= upto && Some(*object) != last_of_ours
            })
            .map(|((object, end), next_epoch)| {
                let key = object.key;
                Unneeded { key, end, sealed: key.epoch != next_epoch }
            })
            .collect())
    }
}

#[async_trait]
impl Wal for ObjectWal {
    async fn append(&self, record: Bytes) -> Result<Seq> {
        let (append, answer) = Append::new(record)?;
        self.queue.send(append).map_err(|_| writer_gone())?;
        answer.await.map_err(|_| writer_gone())?
    }

    fn replay(&self, after: Seq) -> BoxStream<'_, Result<(Seq, Bytes)>> {
        let (objects, end) = {
            let held = self.held.lock();
            (held.objects.clone(), held.next)
        };
        let first = objects.first().map_or(end, |object| object.key.position);
        if after.plus(1) < first {
            return stream::iter([Err(trimmed(after, first))]).boxed();
        }
        let skipped = ends(&objects, end).take_while(|end| end.previous() <= after).count();
        let objects = objects.into_iter().skip(skipped);
        let expected = objects.clone().next().map_or(end, |object| object.key.position);
        let read = stream::iter(objects)
            .map(async |object| Ok((object.key, read(&self.store, object.key).await?)))
            .buffered(READ_AHEAD);
        // The last step sees whether objects are missing at the end.
        let read = read.map_ok(Some).chain(stream::iter([Ok(None)]));
        read.scan(expected, move |expected, object| {
            let checked = object.and_then(|object| match object {
                Some((key, records)) => {
                    adjacent(*expected, key.position)?;
                    *expected = expected.plus(records.len());
                    Ok(records)
                }
                None => adjacent(*expected, end).map(|()| Vec::new()),
            });
            std::future::ready(Some(checked))
        })
        .map_ok(move |records| {
            stream::iter(records.into_iter().filter(move |(seq, _)| *seq > after).map(Ok))
        })
        .try_flatten()
        .boxed()
    }

    async fn trim(&self, upto: Seq) -> Result<()> {
        let unneeded = self.unneeded(upto)?;
        if unneeded.is_empty() {
            return Ok(());
        }
        crash_point::reach("wal.object.trim");
        let (last, others): (Vec<_>, Vec<_>) = unneeded.iter().partition(|end| end.sealed);
        for object in last {
            takeover::bury(&self.store, object.key, object.end).await?;
        }
        let others: Vec<Key> = others.iter().map(|object| object.key).collect();
        if !others.is_empty() {
            self.store.delete(&others).await?;
        }
        crash_point::reach("wal.object.trimmed");
        let unneeded: HashSet<Key> = unneeded.iter().map(|object| object.key).collect();
        self.held.lock().objects.retain(|object| !unneeded.contains(&object.key));
        Ok(())
    }

    fn status(&self) -> WalStatus {
        let held = self.held.lock();
        WalStatus {
            epoch: self.epoch,
            first: held.objects.first().map_or(held.next, |object| object.key.position),
            last: held.next.previous(),
            bytes: held.objects.iter().map(|object| object.bytes).sum(),
            segments: held.objects.len(),
            failed: held.fenced.as_ref().map(ToString::to_string),
        }
    }
}

/// The positions after the objects' records, when none is missing.
fn ends(objects: &[Object], next: Seq) -> impl Iterator<Item = Seq> {
    objects.iter().skip(1).map(|object| object.key.position).chain([next])
}

/// The records of an object.
async fn read(store: &Store, key: Key) -> Result<Vec<(Seq, Bytes)>> {
    let Some(bytes) = store.get(key).await? else {
        return Err(Damage::new(0, "the object is not there").of(&store.place(key)));
    };
    let (header, seed) = takeover::decode(store, key, &bytes)?;
    if header.kind != Kind::Records {
        return Err(Damage::new(0, "an object without records").of(&store.place(key)));
    }
    let body = bytes.slice(HEADER_BYTES..);
    decode_all(&body, seed, header.first, header.records).map_err(|damage| {
        let offset = damage.offset + HEADER_BYTES as u64;
        Damage { offset, ..damage }.of(&store.place(key))
    })
}

/// Refuses a log in which the records from `expected` to before `found` are missing.
fn adjacent(expected: Seq, found: Seq) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    let message = format!(
        "the write-ahead log is damaged: after record {} record {expected} is expected, but \
         {found} is next",
        expected.previous()
    );
    Err(Error::new(ErrorKind::Storage, message)
        .hint("Restore the missing objects from a copy; the log ends before them."))
}
