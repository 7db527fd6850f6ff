//! Looking at a log without opening it: nothing is locked for long, created, cut or removed.

use std::io;
use std::path::Path;

use bytes::Bytes;

use super::disk::{Disk, Folder, failed};
use super::epoch;
use super::recover::{cut_off, missing, read_segment, segments, unneeded};
use super::segment::Segment;
use crate::error::{Error, Result};
use crate::wal::{Reading, Seq, Sight, Survey, trimmed};

/// What the log in a folder holds; none where there is no log. Shows the records after `after`,
/// without what is being written. A process that has the log open may remove segments meanwhile.
///
/// # Errors
/// `Storage` when a segment cannot be read, or is gone.
pub(crate) fn survey(
    folder: &Path,
    after: Seq,
    see: &mut dyn FnMut(Bytes),
) -> Result<Option<Survey>> {
    let disk = Folder::unlocked(folder);
    let Some(segments) = list(&disk)? else { return Ok(None) };
    let mut survey = Survey {
        is_open: Some(disk.is_locked()?),
        epoch: epoch::read(&disk)?,
        last: after,
        bytes: segments.iter().map(|segment| segment.bytes).sum(),
        segments: segments.len(),
    };
    for (segment, is_last) in needed(&segments, after) {
        let (reader, damage) = read_segment(&disk, segment.first, &mut |seq, record| {
            if seq > after {
                see(record);
            }
        })?;
        if let Some(damage) = damage.filter(|_| !is_last) {
            return Err(damage.of(&reader.place));
        }
        survey.last = survey.last.max(reader.next.previous());
    }
    Ok(Some(survey))
}

/// Reads the records after `after` as an opening would, and shows all of them and all damage.
///
/// # Errors
/// `Storage` when the folder cannot be listed.
pub(crate) fn read(folder: &Path, after: Seq, see: &mut dyn FnMut(Sight)) -> Result<Reading> {
    let disk = Folder::unlocked(folder);
    let opened = epoch::read(&disk);
    if disk.is_locked()? {
        return Ok(Reading::InUse);
    }
    let Some(segments) = list(&disk)? else { return Ok(Reading::Whole) };
    let mut damages: Vec<Error> = opened.as_ref().err().cloned().into_iter().collect();
    if let Some((first, _)) =
        needed(&segments, after).next().filter(|(first, _)| after.plus(1) < first.first)
    {
        damages.push(trimmed(after, first.first));
    }
    let mut next = None;
    for (segment, is_last) in needed(&segments, after) {
        if let Some(next) = next.filter(|next| *next != segment.first) {
            damages.push(missing(&disk, segment.first, next));
        }
        next = match read_whole(&disk, segment, is_last, after, see) {
            Ok(next) => Some(next),
            Err(damage) => {
                damages.push(damage);
                None
            }
        };
    }
    // A server that has begun meanwhile cuts, renews and trims.
    let is_new_epoch = !damages.is_empty() && epoch::read(&disk).ok() != opened.ok();
    if is_new_epoch || disk.is_locked()? {
        return Ok(Reading::InUse);
    }
    damages.into_iter().map(Sight::Damage).for_each(see);
    Ok(Reading::Whole)
}

/// The segments in order; none without a folder.
fn list(disk: &Folder) -> Result<Option<Vec<Segment>>> {
    match disk.list() {
        Ok(files) => Ok(Some(segments(&files))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("list", disk, error)),
    }
}

/// The segments with records after `after`, and whether it is the last one.
fn needed(segments: &[Segment], after: Seq) -> impl Iterator<Item = (&Segment, bool)> {
    let needed = &segments[unneeded(segments, after)..];
    needed.iter().enumerate().map(|(index, segment)| (segment, index + 1 == needed.len()))
}

/// Shows a segment's records as an opening would read them: the position after the last one.
fn read_whole(
    disk: &Folder,
    segment: &Segment,
    is_last: bool,
    after: Seq,
    see: &mut dyn FnMut(Sight),
) -> Result<Seq> {
    let (reader, damage) = read_segment(disk, segment.first, &mut |seq, record| {
        if seq > after {
            see(Sight::Record(seq, record));
        }
    })?;
    match damage {
        Some(damage) if is_last => {
            let bytes = cut_off(disk, &reader, damage)?;
            see(Sight::CutOff(reader.place, bytes));
        }
        Some(damage) => return Err(damage.of(&reader.place)),
        None => {}
    }
    Ok(reader.next)
}
