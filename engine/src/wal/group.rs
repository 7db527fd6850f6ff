//! The appends that become durable together.

use bytes::Bytes;
use tokio::sync::oneshot;

use super::frame::FRAME_BYTES;
use super::{RECORD_BYTES_MAX, Seq};
use crate::error::{Error, ErrorKind, Result};

/// A record, and the caller who waits for it.
#[derive(Debug)]
pub(super) struct Append {
    record: Bytes,
    done: oneshot::Sender<Result<Seq>>,
}

/// Where the answer to an append arrives.
pub(super) type Answer = oneshot::Receiver<Result<Seq>>;

impl Append {
    pub(super) fn new(record: Bytes) -> Result<(Self, Answer)> {
        if record.len() > RECORD_BYTES_MAX {
            let message = format!(
                "a record of {} bytes is longer than the write-ahead log takes ({RECORD_BYTES_MAX})",
                record.len()
            );
            return Err(Error::new(ErrorKind::InvalidInput, message)
                .hint("Send the events in several batches."));
        }
        let (done, answer) = oneshot::channel();
        Ok((Self { record, done }, answer))
    }

    /// Length of its frame.
    pub(super) fn bytes(&self) -> u64 {
        (FRAME_BYTES + self.record.len()) as u64
    }
}

/// Appends that wait for the same sync.
#[derive(Debug, Default)]
pub(super) struct Group {
    records: Vec<Bytes>,
    waiting: Vec<oneshot::Sender<Result<Seq>>>,
    bytes: u64,
}

impl Group {
    pub(super) fn push(&mut self, append: Append) {
        self.bytes += append.bytes();
        self.records.push(append.record);
        self.waiting.push(append.done);
    }

    pub(super) fn records(&self) -> &[Bytes] {
        &self.records
    }

    /// Length of its frames.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Answers all callers and leaves the group empty. `first` is the position of the first
    /// record. A caller who went away misses nothing.
    pub(super) fn answer(&mut self, first: &Result<Seq>) {
        self.records.clear();
        self.bytes = 0;
        for (place, done) in self.waiting.drain(..).enumerate() {
            let _ = done.send(first.clone().map(|first| first.plus(place)));
        }
    }
}

/// The error for a log whose writer is gone, which only a bug can bring about.
pub(super) fn writer_gone() -> Error {
    Error::internal("the writer of the write-ahead log is gone")
}
