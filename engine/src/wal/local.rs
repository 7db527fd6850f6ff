//! The log in a local folder: durable against the death of the process and of the machine, not
//! against the loss of the disk.
//!
//! ```text
//! wal/lock                       locked by the process that has the log open
//! wal/epoch                      how many times it was opened
//! wal/00000000000000000001.wal   a segment, named after its first record: header, then frames
//! wal/00000000000000004711.wal
//! ```
//! A thread of its own writes. It takes all appends that wait, writes their frames, syncs once and
//! acknowledges; what comes in meanwhile is the next group. So one caller waits for nothing but
//! the disk, and many share its syncs.
//!
//! Opening reads everything. The end of the last segment may be what a crash left of a group that
//! was never acknowledged, and is cut off; anything else that is not as it was written is an
//! error ([`tail`]). A write that fails, as on a full disk, is taken back, and the log goes on
//! when there is room. A sync that fails ends the log until the process is restarted.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::group::{Append, Group, writer_gone};
use super::{Seq, Wal, WalStatus};
use crate::error::{Error, Result};
use disk::{Disk, Folder, Lock, failed};
use replay::Replay;
use writer::{Held, Writer};

mod disk;
mod epoch;
mod recover;
mod replay;
mod segment;
pub(crate) mod survey;
mod tail;
#[cfg(test)]
mod tests;
mod writer;

/// Appends that are taken from the queue at a time.
const TAKEN_MAX: usize = 16 << 10;

/// How to open a local log.
#[derive(Debug, Clone)]
pub(crate) struct LocalOptions {
    /// A segment that has reached this size is followed by a new one. Smaller ones give space back
    /// earlier, and cost two more syncs each.
    pub(crate) segment_bytes: u64,
    /// Records up to here are not needed: they are in the tables already. The log goes on after
    /// them even when it does not have them, so that no position is used twice when the folder
    /// is lost.
    pub(crate) after: Seq,
}

impl Default for LocalOptions {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, after: Seq::START }
    }
}

/// A log in a local folder, open in this process alone.
///
/// Dropping it waits until all that was appended is durable.
#[derive(Debug)]
pub(crate) struct LocalWal {
    commands: mpsc::UnboundedSender<Command>,
    held: Arc<Mutex<Held>>,
    disk: Arc<dyn Disk>,
    thread: Option<JoinHandle<()>>,
    /// Given up after the thread has ended.
    _lock: Lock,
}

#[derive(Debug)]
enum Command {
    Append(Append),
    Trim(Seq, oneshot::Sender<Result<()>>),
    Stop,
}

impl LocalWal {
    /// Opens the log in `folder`, which is created where it is missing. Blocks while it reads all
    /// records.
    ///
    /// # Errors
    /// `Storage` when another process has it open, it cannot be read or written, it was written by
    /// a newer version, or it is damaged; then file and place are told.
    pub(crate) fn open(folder: &Path, options: &LocalOptions) -> Result<Self> {
        let (disk, lock) = Folder::lock(folder)?;
        Self::start(Arc::new(disk), lock, options)
    }

    fn start(disk: Arc<dyn Disk>, lock: Lock, options: &LocalOptions) -> Result<Self> {
        let writer = Writer::open(Arc::clone(&disk), options)?;
        let held = writer.held();
        let (commands, queue) = mpsc::unbounded_channel();
        let thread = std::thread::Builder::new()
            .name("wal".to_owned())
            .spawn(move || serve(writer, queue))
            .map_err(|error| failed("start a thread for", &disk, error))?;
        Ok(Self { commands, held, disk, thread: Some(thread), _lock: lock })
    }
}

#[async_trait]
impl Wal for LocalWal {
    async fn append(&self, record: Bytes) -> Result<Seq> {
        let (append, answer) = Append::new(record)?;
        self.commands.send(Command::Append(append)).map_err(|_| writer_gone())?;
        answer.await.map_err(|_| writer_gone())?
    }

    fn replay(&self, after: Seq) -> BoxStream<'_, Result<(Seq, Bytes)>> {
        let replay = Replay::new(Arc::clone(&self.disk), &self.held.lock(), after);
        let batches = stream::once(async { replay }).map_ok(|replay| {
            stream::try_unfold(replay, async |mut replay| {
                let read = tokio::task::spawn_blocking(move || {
                    replay.batch().map(|batch| (!batch.is_empty()).then_some((batch, replay)))
                });
                read.await.map_err(|error| Error::internal(error.to_string()))?
            })
        });
        batches
            .try_flatten()
            .map_ok(|batch| stream::iter(batch.into_iter().map(Ok)))
            .try_flatten()
            .boxed()
    }

    async fn trim(&self, upto: Seq) -> Result<()> {
        let (done, answer) = oneshot::channel();
        self.commands.send(Command::Trim(upto, done)).map_err(|_| writer_gone())?;
        answer.await.map_err(|_| writer_gone())?
    }

    fn status(&self) -> WalStatus {
        let held = self.held.lock();
        WalStatus {
            epoch: held.epoch,
            first: held.segments.first().map_or(held.next, |segment| segment.first),
            last: held.next.previous(),
            bytes: held.segments.iter().map(|segment| segment.bytes).sum(),
            segments: held.segments.len(),
            failed: held.poison.as_ref().map(ToString::to_string),
        }
    }
}

impl Drop for LocalWal {
    fn drop(&mut self) {
        // Without a thread there is nothing to stop or to wait for.
        let _ = self.commands.send(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread that writes.
fn serve(mut writer: Writer, mut queue: mpsc::UnboundedReceiver<Command>) {
    let mut taken = Vec::new();
    let mut group = Group::default();
    while queue.blocking_recv_many(&mut taken, TAKEN_MAX) > 0 {
        for command in taken.drain(..) {
            match command {
                Command::Append(append) => {
                    group.push(append);
                    if group.bytes() >= writer.room() {
                        commit(&mut writer, &mut group);
                    }
                }
                Command::Trim(upto, done) => {
                    commit(&mut writer, &mut group);
                    let _ = done.send(writer.trim(upto));
                }
                Command::Stop => {
                    commit(&mut writer, &mut group);
                    return;
                }
            }
        }
        commit(&mut writer, &mut group);
    }
}

fn commit(writer: &mut Writer, group: &mut Group) {
    if group.records().is_empty() {
        return;
    }
    let several = group.records().len() > 1;
    let first = writer.commit(group.records());
    group.answer(&first);
    if several {
        // Many append again as soon as they are answered. Without their turn the next sync would
        // be for the first of them only, and the others wait for two.
        std::thread::yield_now();
    }
}
