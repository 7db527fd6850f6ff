//! Which files are rewritten together.

use std::ops::RangeInclusive;
use std::sync::Arc;

use chrono::Utc;

use crate::storage::build::{Day, PART_BYTES, day_of, thin_rows};
use crate::storage::maintain::Effort;
use crate::storage::{Part, ProjectId};

/// What upkeep takes a file for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// As files are built, and of half the size of a full one at least.
    Large,
    /// As files are built: others of the same days may be put together with it.
    Small,
    /// Of several projects, unsorted, of more days than a file is built of, or with deleted rows.
    Mixed,
}

impl Form {
    /// Of a file, when its project has so many rows.
    pub(crate) fn of(part: &Arc<Part>, rows_of_project: u64) -> Self {
        match part.project() {
            Some(project) => {
                File::new(part, project, thin_rows(rows_of_project), Effort::Full).form()
            }
            None => Self::Mixed,
        }
    }

    /// The name for users.
    pub fn name(self) -> &'static str {
        match self {
            Self::Large => "large",
            Self::Small => "small",
            Self::Mixed => "mixed",
        }
    }
}

/// Files of the same days that [`Effort::Light`] leaves apart at most.
const FILES_PER_DAY_MAX: usize = 8;

/// The files of one project that need it, in groups: the rows of each group become new files.
///
/// Groups do not overlap in time, so that each can be built alone. `thin` is the number of rows
/// below which a day shares its file with its neighbours.
pub(super) fn plan(
    parts: &[Arc<Part>],
    project: ProjectId,
    thin: u64,
    effort: Effort,
) -> Vec<Vec<Arc<Part>>> {
    let files: Vec<File> = parts
        .iter()
        .filter(|part| part.may_have(project))
        .map(|part| File::new(part, project, thin, effort))
        .filter(|file| file.form() != Form::Large)
        .collect();
    match effort {
        Effort::Full => {
            let groups = thin_neighbours(overlapping(files), thin);
            jobs(groups.into_iter().filter(|group| group.len() > 1 || group[0].is_mixed))
        }
        Effort::Light => {
            let (mixed, whole): (Vec<_>, Vec<_>) =
                files.into_iter().partition(|file| file.is_mixed);
            let smaller = overlapping(whole).into_iter().map(worth_merging);
            jobs(smaller.chain([mixed]).filter(|group| !group.is_empty()))
        }
    }
}

/// [`Effort::Light`] rewrites files with deleted rows when one in so many is deleted, or after so
/// long: whoever asks for deletion wants the events gone in the end.
const DELETED_SHARE: u64 = 4;
const DELETED_STAY_MS: i64 = 24 * 3_600_000;

struct File {
    part: Arc<Part>,
    days: RangeInclusive<Day>,
    rows: u64,
    /// Not of the form that files are built in: several projects, unsorted, or more days and rows
    /// than thin days would have.
    is_mixed: bool,
}

impl File {
    fn new(part: &Arc<Part>, project: ProjectId, thin: u64, effort: Effort) -> Self {
        let days = days(part);
        let rows = part.rows().unwrap_or_default();
        let is_one_day = days.as_ref().is_some_and(|days| days.start() == days.end());
        let is_whole = !is_worth_deleting(part, effort)
            && part.sorted
            && part.is_only(project)
            && days.is_some()
            && (is_one_day || rows < 2 * thin);
        Self {
            part: Arc::clone(part),
            days: days.unwrap_or(Day::MIN..=Day::MAX),
            rows,
            is_mixed: !is_whole,
        }
    }

    fn form(&self) -> Form {
        match self.part.size_bytes < PART_BYTES as u64 / 2 {
            _ if self.is_mixed => Form::Mixed,
            true => Form::Small,
            false => Form::Large,
        }
    }
}

/// True when a file should be rewritten for the sake of its deleted rows.
fn is_worth_deleting(part: &Part, effort: Effort) -> bool {
    let Some(deleted) = &part.deleted else { return false };
    let age_ms = Utc::now().timestamp_millis() - deleted.since_ms;
    effort == Effort::Full
        || age_ms > DELETED_STAY_MS
        || part.rows_in_file().is_none_or(|rows| deleted.count() * DELETED_SHARE >= rows)
}

/// The days of a part's events, where the log knows.
pub(crate) fn days(part: &Part) -> Option<RangeInclusive<Day>> {
    part.times().map(|(first, last)| day_of(first)..=day_of(last))
}

/// Groups of files with days in common, by day.
fn overlapping(mut files: Vec<File>) -> Vec<Vec<File>> {
    files.sort_by_key(|file| *file.days.start());
    let mut groups: Vec<(Day, Vec<File>)> = Vec::new();
    for file in files {
        let end = *file.days.end();
        match groups.last_mut() {
            Some((last, group)) if file.days.start() <= last => {
                *last = end.max(*last);
                group.push(file);
            }
            _ => groups.push((end, vec![file])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// Joins neighbours that are thin.
fn thin_neighbours(groups: Vec<Vec<File>>, thin: u64) -> Vec<Vec<File>> {
    let is_thin = |group: &[File]| group.iter().map(|file| file.rows).sum::<u64>() < thin;
    let mut joined: Vec<Vec<File>> = Vec::new();
    for group in groups {
        match joined.last_mut() {
            Some(last) if is_thin(last) && is_thin(&group) => last.extend(group),
            _ => joined.push(group),
        }
    }
    joined
}

/// Of files with days in common, the smaller ones if they are not small beside the rest: a large
/// file is rewritten only when it grows by half.
fn worth_merging(mut group: Vec<File>) -> Vec<File> {
    group.sort_by_key(|file| file.rows);
    let rows: Vec<u64> = group.iter().map(|file| file.rows).collect();
    while let Some(largest) = group.last() {
        let others: u64 = rows[..group.len() - 1].iter().sum();
        if group.len() > 1 && (largest.rows <= 2 * others || rows.len() > FILES_PER_DAY_MAX) {
            return group;
        }
        group.pop();
    }
    group
}

fn jobs(groups: impl Iterator<Item = Vec<File>>) -> Vec<Vec<Arc<Part>>> {
    groups.map(|group| group.into_iter().map(|file| file.part).collect()).collect()
}
