//! One file of the log: its name, and reading it from its start.

use std::io::{self, BufReader, Read};

use bytes::Bytes;

use super::disk::{Disk, failed};
use crate::error::Result;
use crate::wal::frame::{FRAME_BYTES, Frame};
use crate::wal::header::{HEADER_BYTES, Header, Kind};
use crate::wal::{Damage, Seq};

/// A segment as the log's owner keeps it in mind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    /// Position of its first record, or of the next one when it has none.
    pub(super) first: Seq,
    pub(super) bytes: u64,
}

/// Names sort as positions do.
pub(super) fn name(first: Seq) -> String {
    format!("{:020}.wal", first.0)
}

/// The position in a segment's name; nothing for other files.
pub(super) fn first_seq(name: &str) -> Option<Seq> {
    let digits = name.strip_suffix(".wal")?;
    let ours = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|first| ours && *first > 0).map(Seq)
}

/// What comes next in a segment.
#[derive(Debug)]
pub(super) enum Step {
    Record(Seq, Bytes),
    End,
    /// No frame; the reader stays where it is.
    Bad(Damage),
}

/// Reads a segment record by record.
pub(super) struct SegmentReader {
    /// The file, for errors.
    pub(super) place: String,
    pub(super) first: Seq,
    pub(super) epoch: u64,
    /// Of the checksums.
    pub(super) seed: u32,
    /// Position of the record that comes next.
    pub(super) next: Seq,
    /// Place in the file of the frame that comes next.
    pub(super) offset: u64,
    /// Place in the file of the last group read.
    pub(super) group: u64,
    length: u64,
    input: BufReader<Box<dyn Read + Send>>,
}

impl SegmentReader {
    pub(super) fn open(disk: &dyn Disk, first: Seq) -> Result<Self> {
        let name = name(first);
        let place = format!("{disk}/{name}");
        let unreadable = |error: io::Error| failed("read", &place, error);
        let (input, length) = disk.open(&name, 0).map_err(unreadable)?;
        let mut input = BufReader::with_capacity(256 << 10, input);
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        input.by_ref().take(HEADER_BYTES as u64).read_to_end(&mut bytes).map_err(unreadable)?;
        let (header, seed) = Header::decode(&bytes).map_err(|damage| damage.of(&place))?;
        if header.kind != Kind::Segment || header.first != first {
            let what = format!("the header is that of record {}", header.first);
            return Err(Damage::new(0, what).of(&place));
        }
        let offset = HEADER_BYTES as u64;
        Ok(Self {
            place,
            first,
            epoch: header.epoch,
            seed,
            next: first,
            offset,
            group: offset,
            length,
            input,
        })
    }

    pub(super) fn step(&mut self) -> Result<Step> {
        let left = self.length.saturating_sub(self.offset);
        if left == 0 {
            return Ok(Step::End);
        }
        if left < FRAME_BYTES as u64 {
            return Ok(self.bad("the file ends within a frame"));
        }
        let mut bytes = [0; FRAME_BYTES];
        self.read(&mut bytes)?;
        let Some(frame) = Frame::decode(&bytes, self.seed) else {
            return Ok(self.bad("the checksum of a frame is wrong"));
        };
        if frame.seq != self.next {
            let what = format!("record {} stands where {} is expected", frame.seq, self.next);
            return Ok(self.bad(what));
        }
        // Nothing is allocated for a length that the file does not have.
        if u64::from(frame.length) > left - FRAME_BYTES as u64 {
            return Ok(self.bad("the file ends within a record"));
        }
        let mut record = vec![0; frame.length as usize];
        self.read(&mut record)?;
        if !frame.fits(&record) {
            return Ok(self.bad(format!("the checksum of record {} is wrong", frame.seq)));
        }
        if frame.place == 0 {
            self.group = self.offset;
        }
        self.offset += (FRAME_BYTES + record.len()) as u64;
        self.next = frame.seq.plus(1);
        Ok(Step::Record(frame.seq, Bytes::from(record)))
    }

    fn bad(&self, what: impl Into<String>) -> Step {
        Step::Bad(Damage { offset: self.offset, what: what.into() })
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.input.read_exact(bytes).map_err(|error| failed("read", &self.place, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_segments_have_a_position() {
        for first in [1, 42, u64::MAX] {
            assert_eq!(first_seq(&name(Seq(first))), Some(Seq(first)));
        }
        for other in [
            "",
            "lock",
            "epoch",
            "1.wal",
            "00000000000000000000.wal",
            "0000000000000000001x.wal",
            "+0000000000000000001.wal",
            "99999999999999999999.wal",
            "00000000000000000001.wal.tmp",
        ] {
            assert_eq!(first_seq(other), None, "{other}");
        }
    }
}
