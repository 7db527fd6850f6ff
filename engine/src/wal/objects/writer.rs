//! Writing the log's objects, one group at a time.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use super::ObjectOptions;
use super::store::{Created, Key, Object, Store};
use super::takeover::{decode, fenced};
use crate::crash_point;
use crate::error::{Error, Result};
use crate::wal::Seq;
use crate::wal::frame::{FRAME_BYTES, Frame};
use crate::wal::group::{Append, Group};
use crate::wal::header::{HEADER_BYTES, Header, Kind};

/// Appends that are taken from the queue at a time.
const TAKEN_MAX: usize = 16 << 10;

/// After so many groups an owner looks whether another wants to have the log. One that writes
/// without pause could stay ahead of the other's seal for long.
const GROUPS_UNTIL_LOOK: u64 = 50;

/// What the log holds, for those who only look.
#[derive(Debug)]
pub(super) struct Held {
    /// Objects with records, in order.
    pub(super) objects: Vec<Object>,
    /// Position of the next record; all before are durable.
    pub(super) next: Seq,
    /// Set when another process has taken over.
    pub(super) fenced: Option<Error>,
}

/// The only one who adds objects.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) store: Store,
    pub(super) id: Uuid,
    pub(super) epoch: u64,
    pub(super) held: Arc<Mutex<Held>>,
    /// Groups since the last look.
    pub(super) groups: u64,
}

impl Writer {
    /// Writes what comes, until the log is dropped and all is written.
    pub(super) async fn serve(
        mut self,
        mut queue: mpsc::UnboundedReceiver<Append>,
        options: ObjectOptions,
    ) {
        let mut taken = Vec::new();
        let mut group = Group::default();
        let mut earliest = Instant::now();
        while queue.recv_many(&mut taken, TAKEN_MAX).await > 0 {
            gather(&mut queue, &mut taken, options.object_bytes, earliest).await;
            earliest = Instant::now() + options.interval;
            for append in taken.drain(..) {
                group.push(append);
                if group.bytes() >= options.object_bytes {
                    self.write(&mut group).await;
                }
            }
            if !group.records().is_empty() {
                self.write(&mut group).await;
            }
        }
    }

    async fn write(&mut self, group: &mut Group) {
        self.groups += 1;
        let first = self.commit(group.records()).await;
        group.answer(&first);
    }

    /// Makes records durable, at least one; gives the position of the first.
    async fn commit(&mut self, records: &[Bytes]) -> Result<Seq> {
        self.usable()?;
        if self.groups >= GROUPS_UNTIL_LOOK && self.is_wanted().await {
            return Err(self.fence().await);
        }
        loop {
            let first = self.usable()?;
            let key = Key { epoch: self.epoch, position: first };
            let bytes = self.encode(first, records);
            crash_point::reach("wal.object.write");
            let created = self.store.create(key, &bytes).await?;
            crash_point::reach("wal.object.written");
            let found = match created {
                Created::Taken(found) if found != bytes => found,
                _ => {
                    self.add(key, records.len(), bytes.len());
                    return Ok(first);
                }
            };
            let (header, _) = decode(&self.store, key, &found)?;
            if header.kind != Kind::Records || header.writer != self.id {
                return Err(self.fence().await);
            }
            // An earlier group of ours, which was given up when the store did not answer, has
            // arrived after all. This one comes after it.
            self.add(key, header.records as usize, found.len());
        }
    }

    /// Whether there is a claim of the next epoch. Should the store not say, it is asked again
    /// with the next group.
    async fn is_wanted(&mut self) -> bool {
        let claim = Key { epoch: self.epoch + 1, position: Seq::START };
        match self.store.get(claim).await {
            Ok(claim) => {
                self.groups = 0;
                claim.is_some()
            }
            Err(_) => false,
        }
    }

    /// The position of the next record, if it is ours to give.
    fn usable(&self) -> Result<Seq> {
        let held = self.held.lock();
        held.fenced.clone().map_or(Ok(held.next), Err)
    }

    fn encode(&self, first: Seq, records: &[Bytes]) -> Bytes {
        let payload: usize = records.iter().map(|record| FRAME_BYTES + record.len()).sum();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + payload);
        let header = Header {
            kind: Kind::Records,
            records: records.len() as u32,
            epoch: self.epoch,
            first,
            writer: self.id,
        };
        let (header, seed) = header.encode();
        bytes.extend_from_slice(&header);
        for (place, record) in (0..).zip(records) {
            let frame = Frame::of(record, first.plus(place as usize), place);
            bytes.extend_from_slice(&frame.encode(seed));
            bytes.extend_from_slice(record);
        }
        bytes.into()
    }

    fn add(&self, key: Key, records: usize, bytes: usize) {
        let mut held = self.held.lock();
        held.objects.push(Object { key, bytes: bytes as u64 });
        held.next = key.position.plus(records);
    }

    /// Ends this ownership for good.
    async fn fence(&self) -> Error {
        let newest = self.store.list().await.ok().and_then(|objects| objects.last().copied());
        let newer = newest.map_or(self.epoch + 1, |object| object.key.epoch.max(self.epoch + 1));
        let error = fenced(self.epoch, newer);
        tracing::error!("{error}");
        self.held.lock().fenced = Some(error.clone());
        error
    }
}

/// Waits for more appends until `earliest`, or until they fill an object.
async fn gather(
    queue: &mut mpsc::UnboundedReceiver<Append>,
    taken: &mut Vec<Append>,
    object_bytes: u64,
    earliest: Instant,
) {
    let mut bytes: u64 = taken.iter().map(Append::bytes).sum();
    while bytes < object_bytes && Instant::now() < earliest {
        match tokio::time::timeout_at(earliest, queue.recv()).await {
            Ok(Some(append)) => {
                bytes += append.bytes();
                taken.push(append);
            }
            // It is time, or nobody is left who could append.
            Ok(None) | Err(_) => return,
        }
    }
}
