//! The write-ahead log: a record that was acknowledged survives a crash, in its place.
//!
//! A *record* is opaque bytes. A *frame* is a record with its number and checksums
//! ([`frame`]). A *group* is the records of all callers who waited at the same time; it is made
//! durable at once. A *segment* ([`local`], a file) or an *object* ([`objects`]) is a header
//! ([`header`]) and frames.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::error::{Error, ErrorKind, Result};

mod frame;
mod group;
mod header;
pub(crate) mod local;
pub(crate) mod objects;
#[cfg(test)]
pub(crate) mod testing;

/// The longest record in bytes, 1 GiB. It keeps lengths in 32 bits, and one append from holding up
/// all others for long.
pub(crate) const RECORD_BYTES_MAX: usize = 1 << 30;

/// The position of a record in the log: from 1, without gaps, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Seq(pub(crate) u64);

impl Seq {
    /// Before the first record.
    pub(crate) const START: Self = Self(0);

    /// The position `count` records further on.
    pub(crate) fn plus(self, count: usize) -> Self {
        Self(self.0 + count as u64)
    }

    /// The position of the record before this one.
    pub(crate) fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A log of records that is durable before it acknowledges, owned by one process at a time.
#[async_trait]
pub(crate) trait Wal: fmt::Debug + Send + Sync {
    /// Appends a record, which is durable when this returns. Callers who wait at the same time
    /// share a sync.
    ///
    /// After an error, and when the future is dropped, the record may still be in the log: after a
    /// failed sync or a lost reply nobody can know. So the numbers handed out can have gaps, while
    /// those in the log have none.
    ///
    /// # Errors
    /// `InvalidInput` for a record longer than [`RECORD_BYTES_MAX`]; `Storage` when the log cannot
    /// be written, or belongs to another process by now.
    async fn append(&self, record: Bytes) -> Result<Seq>;

    /// All records after `after` that are durable now, in order. Few of them are in memory at a
    /// time.
    ///
    /// # Errors
    /// `Storage` when a record after `after` was trimmed, or cannot be read as it was written.
    fn replay(&self, after: Seq) -> BoxStream<'_, Result<(Seq, Bytes)>>;

    /// Says that the records up to and with `upto` are not needed any more. Space is given back
    /// by whole segments or objects, so some of these records may stay for a while.
    ///
    /// # Errors
    /// `Storage`; what was not removed is removed by the next trim.
    async fn trim(&self, upto: Seq) -> Result<()>;

    /// What the log holds now.
    fn status(&self) -> WalStatus;
}

/// What a log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WalStatus {
    /// How many times the log was opened; each owner has its own.
    pub(crate) epoch: u64,
    /// The first record held, or when there is none, the one to come.
    pub(crate) first: Seq,
    /// The last durable record; before `first` when none is held.
    pub(crate) last: Seq,
    /// Size in the file system or store.
    pub(crate) bytes: u64,
    /// Number of segments, or of objects that hold records.
    pub(crate) segments: usize,
    /// Why nothing can be appended until the process is restarted.
    pub(crate) failed: Option<String>,
}

/// What a look at a log shows that does not open it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Survey {
    /// True while a process has it open; none where nobody can know, as in object stores.
    pub(crate) is_open: Option<bool>,
    /// How many times the log was opened.
    pub(crate) epoch: u64,
    /// The last record that there was.
    pub(crate) last: Seq,
    /// Size in the file system or store.
    pub(crate) bytes: u64,
    /// Number of segments, or of objects that hold records.
    pub(crate) segments: usize,
}

/// What is come upon when a log is read without opening it.
#[derive(Debug)]
pub(crate) enum Sight {
    Record(Seq, Bytes),
    /// A name, and how many bytes of a write that was never acknowledged stand at its end.
    CutOff(String, usize),
    /// What would keep the log from being opened.
    Damage(Error),
}

/// How reading a log without opening it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// All was read.
    Whole,
    /// A process has it open, and changes it: what was seen says nothing.
    InUse,
}

/// Bytes that are not what was written there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Damage {
    /// Place in the segment or object.
    offset: u64,
    what: String,
}

impl Damage {
    fn new(offset: usize, what: impl Into<String>) -> Self {
        Self { offset: offset as u64, what: what.into() }
    }

    /// The error that keeps a log from being read.
    fn of(&self, place: &str) -> Error {
        let Self { offset, what } = self;
        let message = format!("the write-ahead log is damaged: {place}, byte {offset}: {what}");
        Error::new(ErrorKind::Storage, message).hint(
            "Restore it from a copy. To go on without it, move it and everything after it in the \
             log away: records in there that are not in the tables yet are lost.",
        )
    }
}

/// The error for a replay from before the first record held.
fn trimmed(after: Seq, first: Seq) -> Error {
    let message = format!(
        "the write-ahead log starts at record {first}, but those after record {after} are wanted"
    );
    Error::new(ErrorKind::Storage, message)
        .hint("Tables and log do not belong together: restore both from the same moment.")
}
