//! What a store consists of, by its logs and listings.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path;

use crate::error::Result;
use crate::storage::build::Day;
use crate::storage::maintain::days;
use crate::storage::verify::unnamed;
use crate::storage::{EVENTS_FOLDER, Effort, EventStore, Form, Part, ProjectId, Snapshot};
use crate::types::time;

/// Some files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Files {
    pub files: u64,
    /// None when the log does not say it of all of them.
    pub rows: Option<u64>,
    pub bytes: u64,
}

impl<'a> FromIterator<&'a Arc<Part>> for Files {
    fn from_iter<I: IntoIterator<Item = &'a Arc<Part>>>(parts: I) -> Self {
        let none = Self { files: 0, rows: Some(0), bytes: 0 };
        parts.into_iter().fold(none, |sum, part| Self {
            files: sum.files + 1,
            rows: sum.rows.zip(part.rows()).map(|(rows, more)| rows + more),
            bytes: sum.bytes + part.size_bytes,
        })
    }
}

/// What a store consists of at one version of its log of events.
#[derive(Debug, Clone)]
pub struct Contents {
    pub version: u64,
    /// The newest checkpoint: what is read of the log begins there.
    pub checkpoint: Option<u64>,
    /// Records of the write-ahead log up to here are in files.
    pub flushed: u64,
    /// All files of events.
    pub events: Files,
    /// The same by what upkeep takes them for.
    pub forms: [(Form, Files); 3],
    /// Files that upkeep would rewrite.
    pub upkeep_due: u64,
    pub projects: Vec<ProjectFiles>,
    /// Files of events that are of several projects, or of which the log does not say.
    pub shared: Files,
    /// Tables that users made.
    pub tables: u64,
    pub table_files: Files,
    /// Files that the newest versions do not name: replaced, or not committed.
    pub unused_files: u64,
    pub unused_bytes: u64,
}

/// The files of one project alone.
#[derive(Debug, Clone)]
pub struct ProjectFiles {
    pub project: ProjectId,
    /// None for a project that has events and no name.
    pub name: Option<String>,
    pub files: Files,
    /// The first and last time of an event; none when the log does not say.
    pub times: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// By the days of their events; none for those of which the log does not say.
    pub days: Vec<(Option<RangeInclusive<NaiveDate>>, Files)>,
}

impl EventStore {
    /// Adds up what there is. Changes nothing.
    ///
    /// # Errors
    /// `Storage` when a log or a file cannot be read.
    pub(crate) async fn contents(&self) -> Result<Contents> {
        // Before the versions: what is written later is not listed.
        let listed = unnamed::list(self).await?;
        let snapshot = self.snapshot().await?;
        let mut used = unnamed::names(EVENTS_FOLDER, &snapshot.log.parts);
        let names: BTreeMap<ProjectId, String> =
            self.projects().await?.into_iter().map(|(name, id)| (id, name)).collect();
        let mut tables = Vec::new();
        for project in names.keys() {
            let definitions = self.definitions(*project).await?.definitions;
            for table in definitions.tables.values() {
                let version = self.table_log(&table.folder).await?.snapshot().await?;
                used.extend(unnamed::names(&table.folder, &version.parts));
                tables.push(version);
            }
        }
        let unused: Vec<_> =
            listed.into_iter().filter(|file| !used.contains(&file.location)).collect();
        Ok(Contents {
            version: snapshot.log.version,
            checkpoint: self.checkpoint().await?,
            flushed: snapshot.flushed(),
            events: snapshot.parts().collect(),
            forms: by_form(&snapshot),
            upkeep_due: self.upkeep_due(&snapshot, Effort::Full).await? as u64,
            projects: by_project(&snapshot, names),
            shared: snapshot.parts().filter(|part| part.project().is_none()).collect(),
            tables: tables.len() as u64,
            table_files: tables.iter().flat_map(|version| version.parts.values()).collect(),
            unused_files: unused.len() as u64,
            unused_bytes: unused.iter().map(|file| file.size).sum(),
        })
    }

    async fn checkpoint(&self) -> Result<Option<u64>> {
        let folder = Path::from(EVENTS_FOLDER).join("_delta_log");
        let files: Vec<_> = self.store.list(Some(&folder)).try_collect().await?;
        let version = |file: &object_store::ObjectMeta| {
            let (version, rest) = file.location.filename()?.split_once('.')?;
            version.parse().ok().filter(|_| rest.starts_with("checkpoint."))
        };
        Ok(files.iter().filter_map(version).max())
    }
}

fn by_form(snapshot: &Snapshot) -> [(Form, Files); 3] {
    let mut rows: BTreeMap<Option<ProjectId>, u64> = BTreeMap::new();
    for part in snapshot.parts() {
        *rows.entry(part.project()).or_default() += part.rows().unwrap_or_default();
    }
    let form = |part: &Arc<Part>| Form::of(part, rows[&part.project()]);
    let parts: Vec<_> = snapshot.parts().map(|part| (form(part), part)).collect();
    [Form::Large, Form::Small, Form::Mixed].map(|form| {
        (form, parts.iter().filter(|(of, _)| *of == form).map(|(_, part)| *part).collect())
    })
}

fn by_project(snapshot: &Snapshot, names: BTreeMap<ProjectId, String>) -> Vec<ProjectFiles> {
    let mut parts: BTreeMap<ProjectId, Vec<&Arc<Part>>> =
        names.keys().map(|project| (*project, Vec::new())).collect();
    for part in snapshot.parts() {
        if let Some(project) = part.project() {
            parts.entry(project).or_default().push(part);
        }
    }
    let of_project = |(project, parts): (ProjectId, Vec<&Arc<Part>>)| ProjectFiles {
        project,
        name: names.get(&project).cloned(),
        files: parts.iter().copied().collect(),
        times: times(&parts),
        days: by_days(&parts),
    };
    parts.into_iter().map(of_project).collect()
}

fn times(parts: &[&Arc<Part>]) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let times: Option<Vec<_>> = parts.iter().map(|part| part.times()).collect();
    let reach = |(first, last): (i64, i64), (start, end)| (first.min(start), last.max(end));
    let (first, last) = times?.into_iter().reduce(reach)?;
    Some((DateTime::from_timestamp_micros(first)?, DateTime::from_timestamp_micros(last)?))
}

fn by_days(parts: &[&Arc<Part>]) -> Vec<(Option<RangeInclusive<NaiveDate>>, Files)> {
    let mut of_days: BTreeMap<Option<(NaiveDate, NaiveDate)>, Vec<&Arc<Part>>> = BTreeMap::new();
    for part in parts {
        let days = days(part).and_then(|days| Some((date(*days.start())?, date(*days.end())?)));
        of_days.entry(days).or_default().push(part);
    }
    let range = |(first, last)| first..=last;
    let added_up = of_days.into_iter().map(|(days, parts)| (days.map(range), parts));
    added_up.map(|(days, parts)| (days, parts.into_iter().collect())).collect()
}

fn date(day: Day) -> Option<NaiveDate> {
    time::date(i32::try_from(day).ok()?)
}
