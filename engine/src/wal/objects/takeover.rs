//! Becoming the owner of a log, and ending the ownership of all others. See [`super`] for why it
//! holds.

use bytes::Bytes;
use uuid::Uuid;

use super::store::{Created, Key, Object, Store};
use crate::crash_point;
use crate::error::{Error, ErrorKind, Result};
use crate::wal::header::{HEADER_BYTES, Header, Kind};
use crate::wal::{Damage, Seq};

/// Tries to claim an epoch or to seal one, before there are too many others.
const TRIES_MAX: usize = 100;

/// What a new owner knows.
#[derive(Debug)]
pub(super) struct Ownership {
    pub(super) id: Uuid,
    pub(super) epoch: u64,
    /// Objects with records, in order.
    pub(super) objects: Vec<Object>,
    /// Position of the next record.
    pub(super) next: Seq,
}

/// Takes the log over from whoever has it. `after` is the last record that is known elsewhere: the
/// log goes on after it in any case.
pub(super) async fn take_over(store: &Store, after: Seq) -> Result<Ownership> {
    let id = Uuid::new_v4();
    for _ in 0..TRIES_MAX {
        let epoch = 1 + store.list().await?.last().map_or(0, |object| object.key.epoch);
        if !claim(store, epoch, id).await? {
            continue;
        }
        crash_point::reach("wal.object.claimed");
        let (objects, next) = seal_before(store, epoch, id).await?;
        if next > after {
            return Ok(Ownership { id, epoch, objects, next });
        }
        // The positions up to `after` are used up, though not in this log. A seal that says so ends
        // this epoch, and the next one begins there for everyone.
        let jump = Header { kind: Kind::Seal, records: 0, epoch, first: after.plus(1), writer: id };
        put(store, Key { epoch, position: next }, &jump).await?;
    }
    Err(contended(store))
}

/// Whether the epoch is ours now.
async fn claim(store: &Store, epoch: u64, id: Uuid) -> Result<bool> {
    let claim = Header { kind: Kind::Claim, records: 0, epoch, first: Seq::START, writer: id };
    let found = put(store, Key { epoch, position: Seq::START }, &claim).await?;
    Ok(found.is_none_or(|found| found.writer == id))
}

/// Seals all epochs before ours that are not, oldest first, since where one ends the next begins.
/// Gives all objects with records, and the position after them.
async fn seal_before(store: &Store, epoch: u64, id: Uuid) -> Result<(Vec<Object>, Seq)> {
    for _ in 0..TRIES_MAX {
        // After each seal we look again: it counts only if nothing stands behind it.
        let listed = store.list().await?;
        let (before, ours) =
            listed.split_at(listed.partition_point(|object| object.key.epoch < epoch));
        if let Some(newer) = ours.last().filter(|object| object.key.epoch > epoch) {
            return Err(fenced(epoch, newer.key.epoch));
        }
        let (mut place, mut open) = (None, None);
        for objects in before.chunk_by(|one, other| one.key.epoch == other.key.epoch) {
            let Some(last) = objects.last() else { continue };
            if !is_claim(&last.key) {
                place = Some(last.key);
            }
            if !is_seal(last) {
                open = Some(last.key.epoch);
                break;
            }
        }
        let Some(next) = position(store, place).await? else { continue };
        let Some(open) = open else {
            remove_claims(store, before).await?;
            return Ok((before.iter().copied().filter(has_records).collect(), next));
        };
        seal(store, open, id, next).await?;
    }
    Err(contended(store))
}

/// Removes the claims of sealed epochs. Whoever puts one again finds ours when it looks.
async fn remove_claims(store: &Store, objects: &[Object]) -> Result<()> {
    let claims: Vec<Key> = objects.iter().map(|object| object.key).filter(is_claim).collect();
    match claims.is_empty() {
        true => Ok(()),
        false => store.delete(&claims).await,
    }
}

fn is_claim(key: &Key) -> bool {
    key.position == Seq::START
}

/// Claims and seals are a header, and no more.
pub(super) fn has_records(object: &Object) -> bool {
    object.bytes > HEADER_BYTES as u64
}

fn is_seal(object: &Object) -> bool {
    !has_records(object) && !is_claim(&object.key)
}

/// Puts a seal at `next`, or after what the epoch's owner adds in the meantime.
async fn seal(store: &Store, epoch: u64, id: Uuid, mut next: Seq) -> Result<()> {
    for _ in 0..TRIES_MAX {
        let seal = Header { kind: Kind::Seal, records: 0, epoch, first: next, writer: id };
        crash_point::reach("wal.object.seal");
        let taken = put(store, Key { epoch, position: next }, &seal).await?;
        crash_point::reach("wal.object.sealed");
        match taken {
            Some(found) if found.kind == Kind::Records => {
                next = found.first.plus(found.records as usize);
            }
            // Ours, or that of another new owner.
            _ => return Ok(()),
        }
    }
    Err(contended(store))
}

/// Replaces an object that is not needed and the last of its epoch by a seal.
pub(super) async fn bury(store: &Store, key: Key, end: Seq) -> Result<()> {
    let seal =
        Header { kind: Kind::Seal, records: 0, epoch: key.epoch, first: end, writer: Uuid::nil() };
    let (bytes, _) = seal.encode();
    store.replace(key, &Bytes::copy_from_slice(&bytes)).await
}

/// Puts an object without records, or gives the header of the one that is there.
async fn put(store: &Store, key: Key, header: &Header) -> Result<Option<Header>> {
    let (bytes, _) = header.encode();
    match store.create(key, &Bytes::copy_from_slice(&bytes)).await? {
        Created::Done => Ok(None),
        Created::Taken(found) => Ok(Some(decode(store, key, &found)?.0)),
    }
}

/// The position after an object, the first of all without one. Nothing if its owner has removed
/// it, which means that there are others behind it.
async fn position(store: &Store, object: Option<Key>) -> Result<Option<Seq>> {
    let Some(key) = object else { return Ok(Some(Seq(1))) };
    let Some(bytes) = store.get(key).await? else { return Ok(None) };
    let (header, _) = decode(store, key, &bytes)?;
    Ok(Some(header.first.plus(header.records as usize)))
}

/// The header of the object at `key`, and the seed of the checksums after it.
pub(super) fn decode(store: &Store, key: Key, bytes: &[u8]) -> Result<(Header, u32)> {
    let (header, seed) = Header::decode(bytes).map_err(|damage| damage.of(&store.place(key)))?;
    let here = match header.kind {
        Kind::Claim => is_claim(&key),
        Kind::Records => header.first == key.position && header.records > 0,
        Kind::Seal => header.first >= key.position,
        Kind::Segment => false,
    };
    match here && header.epoch == key.epoch {
        true => Ok((header, seed)),
        false => Err(Damage::new(0, "the header is that of another object").of(&store.place(key))),
    }
}

/// The error for an owner who is one no more.
pub(super) fn fenced(epoch: u64, newer: u64) -> Error {
    let message = format!(
        "another process has taken over the write-ahead log: it opened it as number {newer}, this \
         one as number {epoch}"
    );
    Error::new(ErrorKind::Storage, message).hint(
        "Only one server may write to a store. Stop one of them; what this one acknowledged is in \
         the log that the other has.",
    )
}

fn contended(store: &Store) -> Error {
    let place = store.place(Key { epoch: 0, position: Seq::START });
    let message =
        format!("cannot take over the write-ahead log at {place}: others keep writing it");
    Error::new(ErrorKind::Storage, message).hint("Stop the other servers on this store.")
}
