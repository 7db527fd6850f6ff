//! Reading the log from a position on.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::disk::Disk;
use super::segment::{SegmentReader, Step};
use super::writer::Held;
use crate::error::{Error, ErrorKind, Result};
use crate::wal::{Damage, Seq, trimmed};

/// Records are handed over in batches of about this size.
const BATCH_BYTES: usize = 1 << 20;

/// Reads the records that were durable when it was made.
pub(super) struct Replay {
    disk: Arc<dyn Disk>,
    segments: VecDeque<Seq>,
    reader: Option<SegmentReader>,
    after: Seq,
    last: Seq,
    /// Position of the next record read.
    next: Seq,
}

impl Replay {
    pub(super) fn new(disk: Arc<dyn Disk>, held: &Held, after: Seq) -> Result<Self> {
        let mut segments: VecDeque<Seq> =
            held.segments.iter().map(|segment| segment.first).collect();
        let first = segments.front().copied().unwrap_or(held.next);
        if after.plus(1) < first {
            return Err(trimmed(after, first));
        }
        let end = |next: Option<&Seq>| next.copied().unwrap_or(held.next);
        while !segments.is_empty() && end(segments.get(1)).previous() <= after {
            segments.pop_front();
        }
        let next = segments.front().copied().unwrap_or(held.next);
        Ok(Self { disk, segments, reader: None, after, last: held.next.previous(), next })
    }

    /// The next records, none at the end. A batch is of one record at least, and of little more
    /// than the batch size unless that one is larger.
    pub(super) fn batch(&mut self) -> Result<Vec<(Seq, Bytes)>> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while bytes < BATCH_BYTES {
            let Some((seq, record)) = self.record()? else { break };
            bytes += record.len() + size_of::<(Seq, Bytes)>();
            if seq > self.after {
                batch.push((seq, record));
            } else {
                bytes = 0;
            }
        }
        Ok(batch)
    }

    fn record(&mut self) -> Result<Option<(Seq, Bytes)>> {
        loop {
            if self.next > self.last {
                return Ok(None);
            }
            let Some(reader) = &mut self.reader else {
                self.reader = Some(self.open()?);
                continue;
            };
            match reader.step()? {
                Step::Record(seq, record) => {
                    self.next = seq.plus(1);
                    return Ok(Some((seq, record)));
                }
                Step::End => self.reader = None,
                Step::Bad(damage) => return Err(damage.of(&reader.place)),
            }
        }
    }

    fn open(&mut self) -> Result<SegmentReader> {
        let Some(first) = self.segments.pop_front() else {
            let message = format!("record {} is not in the write-ahead log any more", self.next);
            return Err(Error::new(ErrorKind::Storage, message));
        };
        let reader = SegmentReader::open(self.disk.as_ref(), first)?;
        if first != self.next {
            let what = format!("it begins with record {first} instead of {}", self.next);
            return Err(Damage::new(0, what).of(&reader.place));
        }
        Ok(reader)
    }
}
