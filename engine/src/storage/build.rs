//! Rows of one project in any order → the files of the store, in bounded memory.
//!
//! An external sort. [`Sorter`] cuts what comes into sorted runs, on disk but for the last;
//! [`cells`] decides which days share a file, nearly always one day alone; each cell is then put
//! together from its pieces of all runs, without what is stored already. Imports and upkeep build
//! their files the same way.

mod cells;
mod gather;
mod order;
mod repeats;
mod run;
mod sorter;
mod write;

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::error::{Error, Result};
use crate::storage::build::cells::cells;
use crate::storage::build::write::{Built, CellWriter};
use crate::storage::{EventStore, Part, ProjectId};

pub(crate) use crate::storage::build::cells::thin_rows;
pub(crate) use crate::storage::build::order::{Day, Key, column, day_of, keys};
pub(crate) use crate::storage::build::repeats::shares_events;
pub(crate) use crate::storage::build::sorter::{Sorted, Sorter};
pub(crate) use crate::storage::build::write::PART_BYTES;

/// Bytes of rows held before they are sorted, unless told otherwise.
pub(crate) const BUFFER_BYTES: usize = 256 << 20;

/// Threads to work with, unless told otherwise: one per core.
pub(crate) fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// How files are built.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BuildOptions {
    /// When the files were made, in milliseconds since the epoch.
    pub(crate) modified_ms: i64,
    /// Cells in work at a time.
    pub(crate) workers: usize,
    /// Rows of the project that stay in other files: thin days are judged by all of its rows.
    pub(crate) rows_elsewhere: u64,
}

/// Files that no commit names yet.
#[derive(Debug, Default)]
pub(crate) struct BuiltParts {
    pub(crate) parts: Vec<Part>,
    /// Rows left out because `known` has them, or because an equal one is in.
    pub(crate) duplicates: u64,
}

impl EventStore {
    /// Writes sorted rows as files of whole days, without the events that `known` files have.
    ///
    /// # Errors
    /// `Storage` when a file cannot be read or written. No file is left behind then.
    pub(crate) async fn build_parts(
        &self,
        project: ProjectId,
        sorted: Sorted,
        known: Vec<Arc<Part>>,
        options: BuildOptions,
    ) -> Result<BuiltParts> {
        let cells = cells(sorted.days(), thin_rows(sorted.rows() + options.rows_elsewhere));
        let writer = Arc::new(CellWriter {
            store: self.clone(),
            project,
            sorted,
            known,
            modified_ms: options.modified_ms,
        });
        let mut waiting = cells.into_iter();
        let mut working = JoinSet::new();
        let mut built = BuiltParts::default();
        let mut outcome = Ok(());
        loop {
            while outcome.is_ok()
                && working.len() < options.workers.max(1)
                && let Some(cell) = waiting.next()
            {
                let writer = Arc::clone(&writer);
                working.spawn_blocking(move || writer.write(&cell));
            }
            let Some(done) = working.join_next().await else { break };
            match done {
                Ok(Built { parts, outcome: Ok(duplicates) }) => {
                    built.parts.extend(parts);
                    built.duplicates += duplicates;
                }
                Ok(Built { parts, outcome: Err(error) }) => {
                    built.parts.extend(parts);
                    outcome = Err(error);
                }
                Err(error) => outcome = Err(Error::internal(format!("a build died: {error}"))),
            }
        }
        if outcome.is_err() {
            self.discard_parts(&built.parts).await;
        }
        outcome.map(|()| built)
    }
}
