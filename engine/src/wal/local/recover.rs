//! Opening a log that a crash may have left: everything is read and checked once.

use std::io::Read;

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
    let mut found: Vec<(Seq, u64)> = files
        .iter()
        .filter_map(|(name, bytes)| Some((segment::first_seq(name)?, *bytes)))
        .collect();
    found.sort_unstable();
    let unneeded = found.windows(2).take_while(|pair| pair[1].0.previous() <= after).count();
    let needed = found.split_off(unneeded);

    let mut recovered = Recovered { segments: Vec::new(), next: Seq(1), epoch: epoch::read(disk)? };
    let mut end = None;
    for (index, (first, bytes)) in needed.iter().copied().enumerate() {
        if index > 0 && first != recovered.next {
            return Err(missing(disk, first, recovered.next));
        }
        let (mut reader, damage) = check(disk, first)?;
        recovered.segments.push(Segment { first, bytes });
        recovered.next = reader.next;
        recovered.epoch = recovered.epoch.max(reader.epoch);
        if let Some(damage) = damage {
            if index + 1 < needed.len() {
                return Err(damage.of(&reader.place));
            }
            excuse(disk, &mut reader, damage)?;
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
    let unneeded = found.iter().map(|(first, _)| segment::name(*first));
    // Each for good before the next one, so that no crash leaves a gap.
    for name in staged.chain(unneeded) {
        let removed = disk.remove(&name).and_then(|()| disk.sync());
        removed.map_err(|error| failed("remove", place(disk, &name), error))?;
    }
    Ok(recovered)
}

fn place(disk: &dyn Disk, name: &str) -> String {
    format!("{disk}/{name}")
}

/// Reads a segment to its end, or to what is no frame.
fn check(disk: &dyn Disk, first: Seq) -> Result<(SegmentReader, Option<Damage>)> {
    let mut reader = SegmentReader::open(disk, first)?;
    loop {
        match reader.step()? {
            Step::Record(..) => {}
            Step::End => return Ok((reader, None)),
            Step::Bad(damage) => return Ok((reader, Some(damage))),
        }
    }
}

/// Refuses damage at the end of the log unless a crash explains it.
fn excuse(disk: &dyn Disk, reader: &mut SegmentReader, damage: Damage) -> Result<()> {
    let mut bytes = Vec::new();
    disk.open(&segment::name(reader.first), reader.offset)
        .and_then(|(mut input, _)| input.read_to_end(&mut bytes))
        .map_err(|error| failed("read", &reader.place, error))?;
    match tail::torn(&bytes, reader.offset, reader.seed, reader.next) {
        Ok(()) => {
            let lost = bytes.len();
            tracing::warn!(
                "{} ends with {lost} bytes of a write that a crash cut off ({}); they are removed",
                reader.place,
                damage.what,
            );
            Ok(())
        }
        Err(later) => {
            let what = format!("{}, and a record follows at byte {later}", damage.what);
            Err(Damage { what, ..damage }.of(&reader.place))
        }
    }
}

fn missing(disk: &dyn Disk, first: Seq, expected: Seq) -> Error {
    let place = place(disk, &segment::name(first));
    let what = format!(
        "it begins with record {first}, but {} with record {expected} comes next",
        segment::name(expected)
    );
    Damage::new(0, what).of(&place)
}
