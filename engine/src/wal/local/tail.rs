//! Tells a write that a crash cut off from damage to what was durable.
//!
//! Only the last group of the last segment can be unfinished: a group is written after the one
//! before it was synced. A crash of the machine may leave any sectors of it unwritten, which read
//! as zeros, while later ones are there. So bytes that are no frame are what a crash left when
//! * no frame follows, or
//! * frames of the same group follow, and between here and there are unwritten sectors.
//!
//! Everything else was durable once, and may have been acknowledged.

use crate::wal::Seq;
use crate::wal::frame::{FRAME_BYTES, Frame};

/// The smallest unit that a disk writes.
const SECTOR_BYTES: usize = 512;

/// Whether a crash explains `tail`, which begins where the frame of record `expected` should
/// be, at `offset` in a file whose checksums are seeded with `seed`. If not, the offset of a
/// later frame that proves it.
pub(super) fn torn(tail: &[u8], offset: u64, seed: u32, expected: Seq) -> Result<(), u64> {
    let most = expected.plus(tail.len() / FRAME_BYTES);
    let mut group_follows = false;
    for (at, window) in tail.windows(FRAME_BYTES).enumerate().skip(1) {
        // Cheap to see of nearly all bytes: they are no position that could be meant.
        let Some(bytes) = window.first_chunk() else { continue };
        let seq = Frame::seq(bytes);
        if seq <= expected || seq > most {
            continue;
        }
        let Some(frame) = Frame::decode(window, seed) else { continue };
        let group = seq.0.saturating_sub(u64::from(frame.place));
        if group > expected.0 || (!group_follows && !unwritten(&tail[..at], offset)) {
            return Err(offset + at as u64);
        }
        group_follows = true;
    }
    Ok(())
}

/// Whether the end of a sector, from `offset` on, is all zeros.
fn unwritten(bytes: &[u8], offset: u64) -> bool {
    let rest = SECTOR_BYTES - (offset % SECTOR_BYTES as u64) as usize;
    let (begun, whole) = bytes.split_at(rest.min(bytes.len()));
    let zeros = |sector: &[u8]| sector.iter().all(|byte| *byte == 0);
    (begun.len() == rest && zeros(begun)) || whole.chunks_exact(SECTOR_BYTES).any(zeros)
}
