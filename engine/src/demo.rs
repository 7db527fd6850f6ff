//! A believable product to try queries on: Loomboard, task boards for small teams.
//!
//! Persons are simulated one after another, each with a random generator of its own, so the
//! events depend only on the options, and memory does not grow with their number. The stream is
//! ordered by person; an import sorts it anyway.
//!
//! What is in it: anonymous visitors with sessions, channels and devices; sign-ups through a
//! funnel with an experiment that works; teams that use the product on working days; purchases,
//! renewals and cancellations; growth over the period.

mod event;
mod journey;
mod person;

use std::io::{self, Read};

use chrono::{DateTime, Utc};

use crate::demo::journey::Market;
use crate::error::Result;
use crate::ingest::{Format, ImportOptions, ImportReport, Observer, Source, import};
use crate::storage::{EventStore, ProjectId};

/// What to generate. Equal options give equal events, byte for byte.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// How many events, exactly.
    pub events: u64,
    /// How many days they cover.
    pub days: u32,
    /// Another seed is another product history.
    pub seed: u64,
    /// No event is later.
    pub end: DateTime<Utc>,
    /// Adds the rarely used properties that real senders add, for about 1.5 kB per event.
    pub wide: bool,
}

impl DemoOptions {
    /// 200 000 events over the 90 days before `end`.
    pub fn new(end: DateTime<Utc>) -> Self {
        Self { events: 200_000, days: 90, seed: 42, end, wide: false }
    }
}

/// The events as JSON lines in PostHog's shape.
pub fn events(options: &DemoOptions) -> impl Read + Send + 'static {
    Events {
        market: Market::new(options),
        seed: options.seed,
        wide: options.wide,
        person: 0,
        left: options.events,
        lines: Vec::new(),
        read: 0,
    }
}

/// Imports the events into a project, unless it has events already: a demo that is started again
/// shows what it showed before. None when nothing was done.
///
/// # Errors
/// `Storage` when the store fails.
pub async fn seed(
    store: &EventStore,
    project: ProjectId,
    options: &DemoOptions,
    observer: &mut dyn Observer,
) -> Result<Option<ImportReport>> {
    if store.snapshot().await?.may_have_events(project) {
        return Ok(None);
    }
    let reader = Box::new(events(options));
    let sources = vec![Source::Reader { name: "demo".to_owned(), reader }];
    let import_options = ImportOptions {
        format: Some(Format::Json),
        strict: true,
        imported_at: options.end,
        ..ImportOptions::default()
    };
    import(store, project, sources, import_options, observer).await.map(Some)
}

/// The lines of one person at a time.
struct Events {
    market: Market,
    seed: u64,
    wide: bool,
    person: u64,
    left: u64,
    lines: Vec<u8>,
    read: usize,
}

impl Read for Events {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.lines.len() {
            if self.left == 0 {
                return Ok(0);
            }
            self.lines.clear();
            self.read = 0;
            let mut events = self.market.simulate(self.seed, self.person);
            self.person += 1;
            events.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= events.len() as u64;
            for event in &events {
                event.write_line(self.wide, &mut self.lines);
            }
        }
        let count = buffer.len().min(self.lines.len() - self.read);
        buffer[..count].copy_from_slice(&self.lines[self.read..self.read + count]);
        self.read += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
