//! Opening a log that a crash may have left: everything is read and checked once.

use std::io::Read;

use bytes::Bytes;

use super::disk::{Disk, failed};
use super::segment::{self, Segment, SegmentReader, Step};
use super::{epoch, tail};
use crate::crash_point;
use crate::error::{Error, Result};
use crate::wal::{Damage, Seq};

/// A log in order.
#[derive(Debug)]
pub(super) struct Recovered {
    /// In order; the last one says by its name where the log goes on, even without records.
    pub(super) segments: Vec<Segment>,
    /// Position of the next record.
    pub(super) next: Seq,
    /// The last epoch there was.
    pub(super) epoch: u64,
}

/// Checks all segments with records after `after`, removes those without, and takes back what a
/// crash left half written.
///
/// # Errors
/// `Storage` when records may be missing that were acknowledged. Nothing is changed then.
pub(super) fn recover(disk: &dyn Disk, after: Seq) -> Result<Recovered> {
    let files = disk.list().map_err(|error| failed("list", disk, error))?;
    let mut found = segments(&files);
    let needed = found.split_off(unneeded(&found, after));

    let mut recovered = Recovered { segments: Vec::new(), next: Seq(1), epoch: epoch::read(disk)? };
    let mut end = None;
    for (index, segment) in needed.iter().copied().enumerate() {
        let first = segment.first;
        if index > 0 && first != recovered.next {
            return Err(missing(disk, first, recovered.next));
        }
        let (reader, damage) = read_segment(disk, first, &mut |_, _| ())?;
        recovered.segments.push(segment);
        recovered.next = reader.next;
        recovered.epoch = recovered.epoch.max(reader.epoch);
        if let Some(damage) = damage {
            if index + 1 < needed.len() {
                return Err(damage.of(&reader.place));
            }
            excuse(disk, &reader, damage)?;
        }
        end = Some((reader.group, reader.offset));
    }

    if let (Some(last), Some((group, length))) = (recovered.segments.last_mut(), end) {
        // The last group may not be durable yet, and must be before the log goes on behind it.
        let name = segment::name(last.first);
        crash_point::reach("wal.cut");
        let renewed = disk.renew(&name, group, length);
        renewed.map_err(|error| failed("write", place(disk, &name), error))?;
        last.bytes = length;
    }
    let staged = files.iter().map(|(name, _)| name.clone());
    let staged = staged.filter(|name| name.ends_with(".wal.tmp"));
    let unneeded = found.iter().map(|segment| segment::name(segment.first));
    // Each for good before the next one, so that no crash leaves a gap.
    for name in staged.chain(unneeded) {
        let removed = disk.remove(&name).and_then(|()| disk.sync());
        removed.map_err(|error| failed("remove", place(disk, &name), error))?;
    }
    Ok(recovered)
}

/// The segments among files, in order.
pub(super) fn segments(files: &[(String, u64)]) -> Vec<Segment> {
    let segment = |(name, bytes): &(String, u64)| {
        Some(Segment { first: segment::first_seq(name)?, bytes: *bytes })
    };
    let mut segments: Vec<_> = files.iter().filter_map(segment).collect();
    segments.sort_unstable_by_key(|segment| segment.first);
    segments
}

/// How many of the first segments have no record after `after`. The last one is needed always.
pub(super) fn unneeded(segments: &[Segment], after: Seq) -> usize {
    segments.windows(2).take_while(|pair| pair[1].first.previous() <= after).count()
}

fn place(disk: &dyn Disk, name: &str) -> String {
    format!("{disk}/{name}")
}

/// Shows the records of a segment, up to its end or to what is no frame.
pub(super) fn read_segment(
    disk: &dyn Disk,
    first: Seq,
    see: &mut dyn FnMut(Seq, Bytes),
) -> Result<(SegmentReader, Option<Damage>)> {
    let mut reader = SegmentReader::open(disk, first)?;
    loop {
        match reader.step()? {
            Step::Record(seq, record) => see(seq, record),
            Step::End => return Ok((reader, None)),
            Step::Bad(damage) => return Ok((reader, Some(damage))),
        }
    }
}

/// Refuses damage at the end of the log unless a crash explains it.
fn excuse(disk: &dyn Disk, reader: &SegmentReader, damage: Damage) -> Result<()> {
    let what = damage.what.clone();
    let lost = cut_off(disk, reader, damage)?;
    tracing::warn!(
        "{} ends with {lost} bytes of a write that a crash cut off ({what}); they are removed",
        reader.place,
    );
    Ok(())
}

/// How many bytes a crash left of a write at the end of the log.
///
/// # Errors
/// `Storage` when a crash does not explain what stands there.
pub(super) fn cut_off(disk: &dyn Disk, reader: &SegmentReader, damage: Damage) -> Result<usize> {
    let mut bytes = Vec::new();
    disk.open(&segment::name(reader.first), reader.offset)
        .and_then(|(mut input, _)| input.read_to_end(&mut bytes))
        .map_err(|error| failed("read", &reader.place, error))?;
    match tail::torn(&bytes, reader.offset, reader.seed, reader.next) {
        Ok(()) => Ok(bytes.len()),
        Err(later) => {
            let what = format!("{}, and a record follows at byte {later}", damage.what);
            Err(Damage { what, ..damage }.of(&reader.place))
        }
    }
}

/// The error for a segment that does not follow the one before.
pub(super) fn missing(disk: &dyn Disk, first: Seq, expected: Seq) -> Error {
    let place = place(disk, &segment::name(first));
    let what = format!(
        "it begins with record {first}, but {} with record {expected} comes next",
        segment::name(expected)
    );
    Damage::new(0, what).of(&place)
}
