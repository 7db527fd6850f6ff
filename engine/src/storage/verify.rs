//! Reads all that a store holds, and compares it with what the store says of it.
//!
//! Others may write meanwhile: one version is looked at, and a file of it that is gone counts only
//! when the newest version still names it.

mod content;
mod documents;
mod order;
mod repeats;
mod rows;
mod small;
mod statistics;
pub(super) mod unnamed;

use std::sync::Arc;

use futures::StreamExt;
use futures::stream;
use object_store::{Error as StoreError, ObjectStore};

use crate::error::Result;
use crate::storage::log::{LogSnapshot, TableLog};
use crate::storage::verify::content::Content;
use crate::storage::{EVENTS_FOLDER, EventStore, Part, default_workers};

/// Something that verification came upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// What should not be so.
    Problem(Remark),
    /// What is worth knowing.
    Note(Remark),
}

/// What is said about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Its name in the data folder.
    pub file: String,
    /// A sentence without its end.
    pub what: String,
}

/// Takes what is found as it is found.
pub(crate) type See<'a> = &'a mut (dyn FnMut(Finding) + Send);

pub(crate) fn problem(file: impl Into<String>, what: impl Into<String>) -> Finding {
    Finding::Problem(Remark { file: file.into(), what: what.into() })
}

pub(crate) fn note(file: impl Into<String>, what: impl Into<String>) -> Finding {
    Finding::Note(Remark { file: file.into(), what: what.into() })
}

/// How much was looked at.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    pub(crate) version: u64,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) events: u64,
    pub(crate) tables: u64,
}

/// The files of one table at one version.
struct Table<'a> {
    folder: &'a str,
    log: &'a Arc<dyn TableLog>,
    snapshot: Arc<LogSnapshot>,
}

/// What became of a file.
struct Checked {
    part: Arc<Part>,
    /// None when it could not be read to its end.
    rows: Option<u64>,
    problems: Vec<String>,
}

impl EventStore {
    /// Reads everything and shows what is wrong with it.
    ///
    /// # Errors
    /// `Storage` when the log cannot be read any more.
    pub(crate) async fn verify(&self, see: See<'_>) -> Result<Totals> {
        // Before the versions: what is written later is not listed.
        let listed = unnamed::list(self).await?;
        let definitions = small::check(self, see).await;
        let snapshot = self.log.snapshot().await?;
        let mut totals = Totals { version: snapshot.version, ..Totals::default() };
        let events = Table { folder: EVENTS_FOLDER, log: &self.log, snapshot };
        let sound = self.check_files(&events, &mut totals, see).await?;
        let kept = |(part, rows): &(Arc<Part>, u64)| {
            rows - part.deleted.as_ref().map_or(0, |deleted| deleted.count())
        };
        totals.events = sound.iter().map(kept).sum();
        repeats::check(self, &sound, see).await?;
        let mut named = unnamed::names(EVENTS_FOLDER, &events.snapshot.parts);
        for (table, folder) in definitions {
            totals.tables += 1;
            let opened = async { self.table_log(&folder).await?.snapshot().await };
            let snapshot = match opened.await {
                Ok(snapshot) => snapshot,
                Err(error) => {
                    see(problem(&folder, format!("the table {table}: {error}")));
                    continue;
                }
            };
            let log = &self.table_log(&folder).await?;
            named.extend(unnamed::names(&folder, &snapshot.parts));
            let files = Table { folder: &folder, log, snapshot };
            self.check_files(&files, &mut totals, see).await?;
        }
        unnamed::check(self, listed, &named, see).await?;
        Ok(totals)
    }

    /// Checks each file for itself; those without problems, with their rows.
    async fn check_files(
        &self,
        table: &Table<'_>,
        totals: &mut Totals,
        see: See<'_>,
    ) -> Result<Vec<(Arc<Part>, u64)>> {
        let parts: Vec<_> = table.snapshot.parts.values().cloned().collect();
        let checks = parts.into_iter().map(|part| check_file(&self.store, table.folder, part));
        let mut checks = stream::iter(checks).buffered(default_workers());
        let mut sound = Vec::new();
        while let Some(checked) = checks.next().await {
            let Checked { part, rows, problems } = checked;
            if !problems.is_empty() && !still_names(table.log, &part).await? {
                continue;
            }
            totals.files += 1;
            totals.bytes += part.size_bytes;
            match rows {
                Some(rows) if problems.is_empty() => sound.push((part, rows)),
                _ => {
                    let file = format!("{}/{}", table.folder, part.path);
                    problems.into_iter().for_each(|what| see(problem(&file, what)));
                }
            }
        }
        Ok(sound)
    }
}

/// False for a file that was replaced meanwhile.
async fn still_names(log: &Arc<dyn TableLog>, part: &Part) -> Result<bool> {
    Ok(log.snapshot().await?.parts.contains_key(&part.path))
}

async fn check_file(store: &Arc<dyn ObjectStore>, folder: &str, part: Arc<Part>) -> Checked {
    let failed = |part, what| Checked { part, rows: None, problems: vec![what] };
    let location = match part.location_in(folder) {
        Ok(location) => location,
        Err(error) => return failed(part, error.message),
    };
    let content = match Content::fetch(store, &location).await {
        Ok(content) => content,
        Err(StoreError::NotFound { .. }) => {
            return failed(part, "the log names it, and it is not there".to_owned());
        }
        Err(error) => return failed(part, format!("it cannot be read: {error}")),
    };
    if content.bytes != part.size_bytes {
        let what = format!("it has {} bytes, by the log {}", content.bytes, part.size_bytes);
        return failed(part, what);
    }
    if let Some(expected) = part.checksum.filter(|expected| *expected != content.checksum) {
        // It is not what was written: what it decodes to says nothing more.
        let found = content.checksum;
        let what = format!("its checksum is {found:08x}, by the log {expected:08x}");
        return failed(part, what);
    }
    let is_events = folder == EVENTS_FOLDER;
    let checked = Arc::clone(&part);
    let decoded = tokio::task::spawn_blocking(move || match is_events {
        true => rows::check_events(content, &checked),
        false => rows::check_table(content, &checked),
    });
    match decoded.await {
        Ok((rows, problems)) => Checked { part, rows, problems },
        // Decoders of damaged files of other writers may panic.
        Err(error) => failed(part, format!("it cannot be decoded: {error}")),
    }
}
