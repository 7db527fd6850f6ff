//! A record in a segment or object.
//!
//! ```text
//! length u32 │ place u32 │ seq u64 │ CRC32C of the record, u32
//! │ CRC32C of the header's checksum and all before, u32 │ record
//! ```
//! Little-endian. `place` counts the records of a group from 0: a frame whose group begins after
//! record *n* proves that *n* was once durable, which tells a write that was cut off by a crash
//! from damage. Since the frame's own header has a checksum, lengths are believed only if they
//! were written.

use bytes::Bytes;

use super::header::array;
use super::{Damage, Seq};

/// Length of what stands before a record.
pub(super) const FRAME_BYTES: usize = 24;

/// What stands before a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) length: u32,
    pub(super) place: u32,
    pub(super) seq: Seq,
    checksum: u32,
}

impl Frame {
    /// The frame of a record whose length is within the limit.
    pub(super) fn of(record: &[u8], seq: Seq, place: u32) -> Self {
        Self { length: record.len() as u32, place, seq, checksum: crc32c::crc32c(record) }
    }

    pub(super) fn encode(&self, seed: u32) -> [u8; FRAME_BYTES] {
        let mut bytes = [0; FRAME_BYTES];
        bytes[..4].copy_from_slice(&self.length.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.place.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.seq.0.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.checksum.to_le_bytes());
        let checksum = crc32c::crc32c_append(seed, &bytes[..20]);
        bytes[20..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// What was written at the start of `bytes`, or nothing when it is no frame.
    pub(super) fn decode(bytes: &[u8], seed: u32) -> Option<Self> {
        let bytes = bytes.first_chunk::<FRAME_BYTES>()?;
        let checksum = u32::from_le_bytes(array(bytes, 20));
        (crc32c::crc32c_append(seed, &bytes[..20]) == checksum).then(|| Self {
            length: u32::from_le_bytes(array(bytes, 0)),
            place: u32::from_le_bytes(array(bytes, 4)),
            seq: Self::seq(bytes),
            checksum: u32::from_le_bytes(array(bytes, 16)),
        })
    }

    /// The position that `bytes` would be a frame of.
    pub(super) fn seq(bytes: &[u8; FRAME_BYTES]) -> Seq {
        Seq(u64::from_le_bytes(array(bytes, 8)))
    }

    /// Whether this is the record that the frame was written for.
    pub(super) fn fits(&self, record: &[u8]) -> bool {
        crc32c::crc32c(record) == self.checksum
    }
}

/// The records of a whole object, without copying them. `body` follows the header, and `first`
/// and `records` are what that says.
pub(super) fn decode_all(
    body: &Bytes,
    seed: u32,
    first: Seq,
    records: u32,
) -> Result<Vec<(Seq, Bytes)>, Damage> {
    let mut decoded = Vec::new();
    let mut offset = 0;
    for place in 0..records {
        let wanted = first.plus(place as usize);
        let frame = Frame::decode(&body[offset..], seed)
            .filter(|frame| frame.seq == wanted)
            .ok_or_else(|| Damage::new(offset, format!("record {wanted} is not here")))?;
        let start = offset + FRAME_BYTES;
        let record = match start.checked_add(frame.length as usize) {
            Some(end) if end <= body.len() => body.slice(start..end),
            _ => return Err(Damage::new(offset, format!("record {wanted} is cut off"))),
        };
        if !frame.fits(&record) {
            return Err(Damage::new(offset, format!("the checksum of record {wanted} is wrong")));
        }
        offset = start + record.len();
        decoded.push((wanted, record));
    }
    match offset == body.len() {
        true => Ok(decoded),
        false => Err(Damage::new(offset, "more than the header tells of")),
    }
}
