//! Upkeep: small and mixed files become files of whole days, in one commit.

mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::slice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use chrono::Utc;
use futures::TryStreamExt;

use crate::crash_point;
use crate::error::Result;
use crate::storage::build::{
    BUFFER_BYTES, BuildOptions, BuiltParts, Sorter, column, default_workers, thin_rows,
};
use crate::storage::log::{Change, ChangeKind};
use crate::storage::maintain::plan::plan;
use crate::storage::{EventStore, Part, ProjectId, Snapshot, TEAM_ID};

pub use crate::storage::maintain::plan::Form;
pub(crate) use crate::storage::maintain::plan::days;

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
    /// Files that were not rewritten, since others changed them at the same time.
    pub left: u64,
    /// Files that were rewritten.
    pub rewritten: u64,
    /// Events in them, without those that were there twice.
    pub events: u64,
    /// Events that were there twice.
    pub duplicates: u64,
    /// Events older than their project keeps them.
    pub expired: u64,
    /// Files that no version of late names, which are gone now.
    pub deleted: u64,
    pub elapsed: Duration,
}

impl EventStore {
    /// Rewrites files where that makes queries faster, in one commit unless others change them
    /// meanwhile, and deletes what is no longer used; with [`Effort::Full`] also the events that are
    /// older than they are kept. Queries and imports go on meanwhile.
    ///
    /// # Errors
    /// `Storage` when a file cannot be read or written. Queries give what they gave.
    pub async fn maintain(&self, options: &MaintainOptions) -> Result<MaintainReport> {
        let started = Instant::now();
        let expired = match options.effort {
            Effort::Full => self.expire().await?,
            Effort::Light => 0,
        };
        let mut report = MaintainReport::default();
        let snapshot = self.snapshot().await?;
        let jobs = self.jobs(&snapshot, options.effort).await?;
        report.files_before = snapshot.parts().count() as u64;
        if !self.rewrite_jobs(&snapshot, &jobs, options, &mut report).await? {
            // Whoever is faster would always be first. A job by itself is short, and what others
            // take meanwhile is theirs. Files of several projects have to wait.
            for job in &jobs {
                let snapshot = self.snapshot().await?;
                let is_as_it_was = job.parts.iter().all(|part| snapshot.has(part));
                let alone = slice::from_ref(job);
                if !job.is_of_one_project()
                    || !is_as_it_was
                    || !self.rewrite_jobs(&snapshot, alone, options, &mut report).await?
                {
                    report.left += job.parts.len() as u64;
                }
            }
        }
        report.files_after = self.snapshot().await?.parts().count() as u64;
        if report.rewritten > 0 || options.effort == Effort::Full {
            report.deleted = self.clean(options.keep).await?;
        }
        (report.expired, report.elapsed) = (expired, started.elapsed());
        Ok(report)
    }

    /// How many files of a version upkeep would rewrite.
    ///
    /// # Errors
    /// `Storage` when a file cannot be read.
    pub(crate) async fn upkeep_due(&self, snapshot: &Snapshot, effort: Effort) -> Result<usize> {
        let jobs = self.jobs(snapshot, effort).await?;
        let due = jobs.into_iter().flat_map(|job| job.parts);
        Ok(due.map(|part| part.path.clone()).collect::<BTreeSet<_>>().len())
    }

    /// What upkeep has to do. A file of several projects is in a job of each of them.
    async fn jobs(&self, snapshot: &Snapshot, effort: Effort) -> Result<Vec<Job>> {
        let parts: Vec<_> = snapshot.parts().cloned().collect();
        let mut jobs = Vec::new();
        for project in self.projects_with_events(snapshot).await? {
            let planned = plan(&parts, project, thin_rows(snapshot.rows_of(project)), effort);
            jobs.extend(planned.into_iter().map(|parts| Job { project, parts }));
        }
        Ok(jobs)
    }

    /// Does jobs in one commit. False when others have changed the same files first: nothing has
    /// changed then. A file of several projects must be in the jobs of all of them.
    async fn rewrite_jobs(
        &self,
        snapshot: &Arc<Snapshot>,
        jobs: &[Job],
        options: &MaintainOptions,
        report: &mut MaintainReport,
    ) -> Result<bool> {
        let mut change = Change::new(ChangeKind::Rewrite);
        let mut duplicates = 0;
        for Job { project, parts } in jobs {
            let own = parts.iter().filter(|part| part.is_only(*project));
            let elsewhere =
                snapshot.rows_of(*project) - own.filter_map(|part| part.rows()).sum::<u64>();
            match self.rewrite(*project, parts, elsewhere, options).await {
                Ok(built) => {
                    duplicates += built.duplicates;
                    change.adds.extend(built.parts);
                }
                Err(error) => {
                    self.discard_parts(&change.adds).await;
                    return Err(error);
                }
            }
        }
        let parts = jobs.iter().flat_map(|job| &job.parts);
        let rewritten: BTreeMap<&str, &Arc<Part>> =
            parts.map(|part| (part.path.as_str(), part)).collect();
        change.removes = rewritten.into_values().map(Arc::clone).collect();
        if change.removes.is_empty() {
            return Ok(true);
        }
        crash_point::reach("maintain.put");
        // Should that fail, the commit may be there all the same: its files stay until a later
        // upkeep knows.
        if !self.change_parts(snapshot, &change.removes, &change).await? {
            self.discard_parts(&change.adds).await;
            return Ok(false);
        }
        crash_point::reach("maintain.committed");
        report.rewritten += change.removes.len() as u64;
        report.events += change.adds.iter().filter_map(Part::rows).sum::<u64>();
        report.duplicates += duplicates;
        Ok(true)
    }

    /// The projects that have events, whether or not they have a name.
    async fn projects_with_events(&self, snapshot: &Snapshot) -> Result<BTreeSet<ProjectId>> {
        let mut projects = BTreeSet::new();
        for part in snapshot.parts() {
            match part.project() {
                Some(project) => {
                    projects.insert(project);
                }
                None => {
                    let mut batches = self.read_part(part, &[TEAM_ID]).await?;
                    while let Some(batch) = batches.try_next().await? {
                        let teams = column(&batch, TEAM_ID)?.as_primitive::<Int64Type>();
                        projects.extend(teams.values().iter().map(|team| ProjectId(*team)));
                    }
                }
            }
        }
        Ok(projects)
    }

    /// Deletes the files that no version of this last span of time names: how many.
    ///
    /// # Errors
    /// `Storage` when the log cannot be read or a file cannot be deleted.
    pub async fn clean(&self, keep: Duration) -> Result<u64> {
        let deleted = self.log.vacuum(keep).await?;
        self.settle_mutations().await?;
        Ok(deleted)
    }

    /// Writes a project's events of some files anew, without the deleted ones. The project has
    /// `elsewhere` events more.
    pub(crate) async fn rewrite(
        &self,
        project: ProjectId,
        parts: &[Arc<Part>],
        elsewhere: u64,
        options: &MaintainOptions,
    ) -> Result<BuiltParts> {
        let mut sorter = Sorter::new(options.buffer_bytes);
        for part in parts {
            sorter.push_part(self, project, part).await?;
        }
        let options = BuildOptions {
            modified_ms: Utc::now().timestamp_millis(),
            workers: options.workers,
            rows_elsewhere: elsewhere,
        };
        self.build_parts(project, sorter.finish().await?, Vec::new(), options).await
    }
}

/// Files of a project that are written anew together.
struct Job {
    project: ProjectId,
    parts: Vec<Arc<Part>>,
}

impl Job {
    fn is_of_one_project(&self) -> bool {
        self.parts.iter().all(|part| part.is_only(self.project))
    }
}

#[cfg(test)]
mod tests;
