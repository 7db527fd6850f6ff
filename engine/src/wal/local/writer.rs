//! Writing the log, one group at a time. It knows no threads and no callers.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use uuid::Uuid;

use super::disk::{Disk, Output, failed};
use super::recover::recover;
use super::segment::{self, Segment};
use super::{LocalOptions, epoch};
use crate::crash_point;
use crate::error::{Error, ErrorKind, Result};
use crate::wal::Seq;
use crate::wal::frame::Frame;
use crate::wal::header::{HEADER_BYTES, Header, Kind};

/// Frames are gathered up to this size for one write.
const GATHERED_BYTES: usize = 1 << 20;

/// Records from this size on are written from where they are.
const LARGE_BYTES: usize = 64 << 10;

/// What the log holds, for those who only look.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) epoch: u64,
    /// In order. There may be none before the first append.
    pub(super) segments: Vec<Segment>,
    /// Position of the next record; all before are durable.
    pub(super) next: Seq,
    /// Why nothing can be written any more.
    pub(super) poison: Option<Error>,
}

/// The only one who changes the log's files.
#[derive(Debug)]
pub(super) struct Writer {
    disk: Arc<dyn Disk>,
    id: Uuid,
    segment_bytes: u64,
    /// Every opening writes segments of its own, the first when it is needed.
    active: Option<Active>,
    held: Arc<Mutex<Held>>,
    gathered: Vec<u8>,
}

/// The segment that grows.
#[derive(Debug)]
struct Active {
    file: Box<dyn Output>,
    name: String,
    seed: u32,
    /// Its length as far as it is durable.
    bytes: u64,
}

impl Writer {
    /// Recovers what a crash left.
    pub(super) fn open(disk: Arc<dyn Disk>, options: &LocalOptions) -> Result<Self> {
        let recovered = recover(disk.as_ref(), options.after)?;
        let epoch = recovered.epoch + 1;
        epoch::write(disk.as_ref(), epoch)?;
        let held = Held { epoch, segments: recovered.segments, next: recovered.next, poison: None };
        let mut writer = Self {
            disk,
            id: Uuid::new_v4(),
            segment_bytes: options.segment_bytes,
            active: None,
            held: Arc::new(Mutex::new(held)),
            gathered: Vec::new(),
        };
        if recovered.next <= options.after {
            writer.go_on_after(options.after)?;
        }
        Ok(writer)
    }

    pub(super) fn held(&self) -> Arc<Mutex<Held>> {
        Arc::clone(&self.held)
    }

    /// Bytes of frames that the segment takes until it is full.
    pub(super) fn room(&self) -> u64 {
        let empty = HEADER_BYTES as u64;
        let used = self.active.as_ref().map_or(empty, |active| active.bytes);
        let used = if used < self.segment_bytes { used } else { empty };
        self.segment_bytes.saturating_sub(used)
    }

    /// Makes records durable, at least one; gives the position of the first.
    pub(super) fn commit(&mut self, records: &[Bytes]) -> Result<Seq> {
        self.usable()?;
        let mut active = match self.active.take() {
            Some(active) if active.bytes < self.segment_bytes => active,
            _ => self.create_segment()?,
        };
        let first = self.held.lock().next;
        crash_point::reach("wal.write");
        let bytes = match self.write(&mut active, first, records) {
            Ok(bytes) => bytes,
            Err(error) => return Err(self.take_back(active, error)),
        };
        crash_point::reach("wal.written");
        if let Err(error) = active.file.sync() {
            // If this works, a restart will not see what may never reach the disk.
            let _ = active.file.cut(active.bytes);
            return Err(self.poison(&active.name, error));
        }
        crash_point::reach("wal.synced");
        active.bytes += bytes;
        let mut held = self.held.lock();
        held.next = first.plus(records.len());
        if let Some(last) = held.segments.last_mut() {
            last.bytes = active.bytes;
        }
        drop(held);
        self.active = Some(active);
        Ok(first)
    }

    /// Removes the segments whose records are all up to `upto`. When that is all of them, an empty
    /// one stays and keeps the position.
    pub(super) fn trim(&mut self, upto: Seq) -> Result<()> {
        self.usable()?;
        crash_point::reach("wal.trim");
        let (firsts, next) = {
            let held = self.held.lock();
            (held.segments.iter().map(|segment| segment.first).collect::<Vec<_>>(), held.next)
        };
        // The closed ones go first: a new segment may need the room.
        let ended = firsts.windows(2).take_while(|pair| pair[1].previous() <= upto).count();
        self.remove_segments(ended)?;
        let last_unneeded =
            firsts.last().is_some_and(|last| *last < next && next.previous() <= upto);
        if last_unneeded {
            self.active = Some(self.create_segment()?);
            self.remove_segments(1)?;
        }
        crash_point::reach("wal.trimmed");
        Ok(())
    }

    /// Continues after records that never were in this log, or are lost with parts of it: their
    /// positions are known elsewhere and must not be used again.
    fn go_on_after(&mut self, after: Seq) -> Result<()> {
        let obsolete = {
            let mut held = self.held.lock();
            held.next = after.plus(1);
            held.segments.len()
        };
        self.active = Some(self.create_segment()?);
        self.remove_segments(obsolete)
    }

    /// Removes the first segments, each for good before the next, so that no crash leaves a gap.
    fn remove_segments(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            let Some(oldest) = self.held.lock().segments.first().copied() else { break };
            let name = segment::name(oldest.first);
            self.disk.remove(&name).map_err(|error| failed("remove", self.place(&name), error))?;
            self.disk.sync().map_err(|error| self.poison(&name, error))?;
            self.held.lock().segments.remove(0);
            crash_point::reach("wal.trim.removed");
        }
        Ok(())
    }

    /// A segment for the next record. It gets its name when its header is durable, and may replace
    /// an older one of that name, which is without records then.
    fn create_segment(&mut self) -> Result<Active> {
        let (epoch, first) = {
            let held = self.held.lock();
            (held.epoch, held.next)
        };
        let header = Header { kind: Kind::Segment, records: 0, epoch, first, writer: self.id };
        let (bytes, seed) = header.encode();
        let name = segment::name(first);
        let staged = format!("{name}.tmp");
        crash_point::reach("wal.segment.create");
        let mut file = self
            .disk
            .create(&staged)
            .and_then(|mut file| file.write(&bytes).map(|()| file))
            .map_err(|error| failed("write", self.place(&staged), error))?;
        file.sync().map_err(|error| self.poison(&staged, error))?;
        crash_point::reach("wal.segment.staged");
        self.disk
            .rename(&staged, &name)
            .map_err(|error| failed("create", self.place(&name), error))?;
        crash_point::reach("wal.segment.placed");
        self.disk.sync().map_err(|error| self.poison(&name, error))?;
        crash_point::reach("wal.segment.created");
        let bytes = HEADER_BYTES as u64;
        let mut held = self.held.lock();
        if held.segments.last().is_some_and(|last| last.first == first) {
            held.segments.pop();
        }
        held.segments.push(Segment { first, bytes });
        drop(held);
        Ok(Active { file, name, seed, bytes })
    }

    /// Writes the frames of a group; gives their length.
    fn write(&mut self, active: &mut Active, first: Seq, records: &[Bytes]) -> io::Result<u64> {
        let mut bytes = 0;
        self.gathered.clear();
        for (place, record) in (0..).zip(records) {
            let frame = Frame::of(record, first.plus(place as usize), place).encode(active.seed);
            bytes += (frame.len() + record.len()) as u64;
            self.gathered.extend_from_slice(&frame);
            let large = record.len() >= LARGE_BYTES;
            if !large {
                self.gathered.extend_from_slice(record);
            }
            if large || self.gathered.len() >= GATHERED_BYTES {
                active.file.write(&self.gathered)?;
                self.gathered.clear();
            }
            if large {
                active.file.write(record)?;
            }
        }
        active.file.write(&self.gathered)?;
        Ok(bytes)
    }

    /// After a failed write: without what was written of the group, the segment is as it was, and
    /// takes the next group when the cause is gone.
    fn take_back(&mut self, mut active: Active, error: io::Error) -> Error {
        let failed = failed("write", self.place(&active.name), error);
        match active.file.cut(active.bytes) {
            Ok(()) => {
                self.active = Some(active);
                failed
            }
            Err(error) => self.poison(&active.name, error),
        }
    }

    /// After a failed sync nobody knows what the disk holds, and a second sync would succeed
    /// whatever that is: only reading it anew can tell.
    fn poison(&self, name: &str, error: io::Error) -> Error {
        let message = format!(
            "cannot sync {}: {error}; nothing can be appended before a restart",
            self.place(name)
        );
        let poison = Error::new(ErrorKind::Storage, message)
            .hint(
                "Check the disk, then restart: what was acknowledged is read back from the log, \
                 what was refused can be sent again.",
            )
            .caused_by(error);
        tracing::error!("{poison}");
        self.held.lock().poison = Some(poison.clone());
        poison
    }

    fn usable(&self) -> Result<()> {
        self.held.lock().poison.clone().map_or(Ok(()), Err)
    }

    fn place(&self, name: &str) -> String {
        format!("{}/{name}", self.disk)
    }
}
