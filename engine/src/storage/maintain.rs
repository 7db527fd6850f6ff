//! Upkeep: small and mixed files become files of whole days, in one commit.

mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use chrono::Utc;
use futures::TryStreamExt;

use crate::error::Result;
use crate::storage::build::{
    BUFFER_BYTES, BuildOptions, BuiltParts, Sorter, column, default_workers, thin_rows,
};
use crate::storage::log::Change;
use crate::storage::maintain::plan::plan;
use crate::storage::{EventStore, Outcome, Part, ProjectId, Snapshot, TEAM_ID};

/// How much is rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// What is worth it at once: each event is rewritten a few times in its life, however many
    /// imports follow.
    Light,
    /// All that makes queries faster.
    Full,
}

/// How to do upkeep.
#[derive(Debug, Clone)]
pub struct MaintainOptions {
    pub effort: Effort,
    /// Files that no version of this last span of time names are deleted. It must be longer than
    /// the longest query, also of other tools that read the files.
    pub keep: Duration,
    /// Bytes of events held before they are sorted and put aside.
    pub buffer_bytes: usize,
    /// Files in work at a time.
    pub workers: usize,
}

impl Default for MaintainOptions {
    fn default() -> Self {
        Self {
            effort: Effort::Full,
            keep: Duration::from_hours(24),
            buffer_bytes: BUFFER_BYTES,
            workers: default_workers(),
        }
    }
}

/// What upkeep did.
#[derive(Debug, Clone, Default)]
pub struct MaintainReport {
    /// Files there were.
    pub files_before: u64,
    /// Files there are.
    pub files_after: u64,
    /// Files that were rewritten.
    pub rewritten: u64,
    /// Events in them, without those that were there twice.
    pub events: u64,
    /// Events that were there twice.
    pub duplicates: u64,
    /// Files that no version of late names, which are gone now.
    pub deleted: u64,
    pub elapsed: Duration,
}

impl EventStore {
    /// Rewrites files where that makes queries faster, in one commit, and deletes what is no
    /// longer used. Queries and imports go on meanwhile.
    ///
    /// # Errors
    /// `Storage` when a file cannot be read or written. Nothing has changed then.
    pub async fn maintain(&self, options: &MaintainOptions) -> Result<MaintainReport> {
        let started = Instant::now();
        let mut report = loop {
            let snapshot = self.snapshot().await?;
            let mut upkeep = Upkeep {
                store: self,
                options,
                snapshot,
                change: Change::default(),
                report: MaintainReport::default(),
            };
            let outcome = upkeep.run().await;
            let is_done = matches!(outcome, Ok(true));
            if !is_done {
                self.discard_parts(&upkeep.change.adds).await;
            }
            if outcome? {
                break upkeep.report;
            }
        };
        if report.rewritten > 0 || options.effort == Effort::Full {
            report.deleted = self.log.vacuum(options.keep).await?;
        }
        report.elapsed = started.elapsed();
        Ok(report)
    }
}

/// One attempt.
struct Upkeep<'a> {
    store: &'a EventStore,
    options: &'a MaintainOptions,
    snapshot: Arc<Snapshot>,
    change: Change,
    report: MaintainReport,
}

impl Upkeep<'_> {
    /// False when somebody else rewrote the same files first.
    async fn run(&mut self) -> Result<bool> {
        self.report.files_before = self.snapshot.parts().count() as u64;
        let mut rewritten: BTreeMap<String, Arc<Part>> = BTreeMap::new();
        let parts: Vec<_> = self.snapshot.parts().cloned().collect();
        for project in self.projects().await? {
            let rows = self.snapshot.rows_of(project);
            for job in plan(&parts, project, thin_rows(rows), self.options.effort) {
                let built = self.rewrite(project, &job, rows).await?;
                self.report.duplicates += built.duplicates;
                self.change.adds.extend(built.parts);
                rewritten.extend(job.into_iter().map(|part| (part.path.clone(), part)));
            }
        }
        self.change.rewritten = rewritten.into_values().collect();
        self.report.rewritten = self.change.rewritten.len() as u64;
        self.report.events = self.change.adds.iter().filter_map(Part::rows).sum();
        self.report.files_after =
            self.report.files_before - self.report.rewritten + self.change.adds.len() as u64;
        self.commit().await
    }

    /// The projects that have events, whether or not they have a name.
    async fn projects(&self) -> Result<BTreeSet<ProjectId>> {
        let mut projects = BTreeSet::new();
        for part in self.snapshot.parts() {
            match part.project() {
                Some(project) => {
                    projects.insert(project);
                }
                None => {
                    let mut batches = self.store.read_part(part, &[TEAM_ID]).await?;
                    while let Some(batch) = batches.try_next().await? {
                        let teams = column(&batch, TEAM_ID)?.as_primitive::<Int64Type>();
                        projects.extend(teams.values().iter().map(|team| ProjectId(*team)));
                    }
                }
            }
        }
        Ok(projects)
    }

    async fn rewrite(
        &self,
        project: ProjectId,
        parts: &[Arc<Part>],
        rows_of_project: u64,
    ) -> Result<BuiltParts> {
        let mut sorter = Sorter::new(self.options.buffer_bytes);
        for part in parts {
            sorter.push_part(self.store, project, part).await?;
        }
        let own = parts.iter().filter(|part| part.is_only(project));
        let rows_here: u64 = own.filter_map(|part| part.rows()).sum();
        let options = BuildOptions {
            modified_ms: Utc::now().timestamp_millis(),
            workers: self.options.workers,
            rows_elsewhere: rows_of_project - rows_here,
        };
        self.store.build_parts(project, sorter.finish().await?, Vec::new(), options).await
    }

    async fn commit(&mut self) -> Result<bool> {
        if self.change.rewritten.is_empty() {
            return Ok(true);
        }
        loop {
            if let Outcome::Committed(_) =
                self.store.commit(&self.snapshot, self.change.clone()).await?
            {
                return Ok(true);
            }
            // Files that others added do not matter; files that are gone do.
            self.snapshot = self.store.snapshot().await?;
            if !self.change.rewritten.iter().all(|part| self.snapshot.has(part)) {
                return Ok(false);
            }
        }
    }
}
