//! The first bytes of every segment and object.
//!
//! ```text
//! magic "HEDGEWAL" │ version u16 │ kind u8 │ 0 u8 │ records u32 │ epoch u64 │ first u64
//! │ writer 16 bytes │ CRC32C of all before, u32
//! ```
//! Integers are little-endian. The checksum seeds those of the frames that follow, so a frame is
//! valid only where it was written: bytes left from another file, or a record that contains
//! something like a frame, are none.

use uuid::Uuid;

use super::{Damage, Seq};

const MAGIC: [u8; 8] = *b"HEDGEWAL";
const VERSION: u16 = 1;

/// Length of a header.
pub(super) const HEADER_BYTES: usize = 52;

/// What follows a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file that grows; its header does not know how many records will follow.
    Segment,
    /// An object with records.
    Records,
    /// An object without records, which says whose an epoch is.
    Claim,
    /// An object without records, after which nothing can be added to an epoch.
    Seal,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Segment, Self::Records, Self::Claim, Self::Seal];

    fn code(self) -> u8 {
        match self {
            Self::Segment => 1,
            Self::Records => 2,
            Self::Claim => 3,
            Self::Seal => 4,
        }
    }
}

/// Who wrote a segment or object, and where in the log it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    /// Number of records that follow, for objects.
    pub(super) records: u32,
    pub(super) epoch: u64,
    /// Position of the first record that follows, or would follow.
    pub(super) first: Seq,
    /// Of this opening of the log, random.
    pub(super) writer: Uuid,
}

impl Header {
    /// The header's bytes, and the seed of the checksums after it.
    pub(super) fn encode(&self) -> ([u8; HEADER_BYTES], u32) {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10] = self.kind.code();
        bytes[12..16].copy_from_slice(&self.records.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.first.0.to_le_bytes());
        bytes[32..48].copy_from_slice(self.writer.as_bytes());
        let checksum = crc32c::crc32c(&bytes[..48]);
        bytes[48..].copy_from_slice(&checksum.to_le_bytes());
        (bytes, checksum)
    }

    /// The header at the start of `bytes`, and the seed of the checksums after it.
    pub(super) fn decode(bytes: &[u8]) -> Result<(Self, u32), Damage> {
        let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(Damage::new(bytes.len(), "the file ends within its header"));
        };
        if bytes[..8] != MAGIC {
            return Err(Damage::new(0, "not a part of a write-ahead log"));
        }
        let version = u16::from_le_bytes(array(bytes, 8));
        if version > VERSION {
            let what = format!(
                "format version {version} is newer than this Hedgerow can read ({VERSION})"
            );
            return Err(Damage::new(8, what));
        }
        let checksum = u32::from_le_bytes(array(bytes, 48));
        if version != VERSION || crc32c::crc32c(&bytes[..48]) != checksum {
            return Err(Damage::new(0, "the checksum of the header is wrong"));
        }
        let code = bytes[10];
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.code() == code) else {
            return Err(Damage::new(10, format!("unknown kind {code}")));
        };
        let header = Self {
            kind,
            records: u32::from_le_bytes(array(bytes, 12)),
            epoch: u64::from_le_bytes(array(bytes, 16)),
            first: Seq(u64::from_le_bytes(array(bytes, 24))),
            writer: Uuid::from_bytes(array(bytes, 32)),
        };
        Ok((header, checksum))
    }
}

/// The `N` bytes from `from` on.
pub(super) fn array<const N: usize>(bytes: &[u8], from: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[from..from + N]);
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header {
        kind: Kind::Records,
        records: 7,
        epoch: 3,
        first: Seq(u64::MAX - 1),
        writer: Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
    };

    #[test]
    fn a_header_is_read_as_it_was_written() {
        for kind in Kind::ALL {
            let header = Header { kind, ..HEADER };
            let (bytes, seed) = header.encode();
            assert_eq!(Header::decode(&bytes), Ok((header, seed)));
        }
    }

    #[test]
    fn no_flipped_bit_goes_unnoticed() {
        let (bytes, _) = HEADER.encode();
        for bit in 0..HEADER_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&flipped).is_err(), "bit {bit}");
        }
        for length in 0..HEADER_BYTES {
            assert!(Header::decode(&bytes[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_newer_version_is_named() {
        let (mut bytes, _) = HEADER.encode();
        bytes[8] = 2;
        let damage = Header::decode(&bytes).unwrap_err();
        assert!(damage.what.contains("version 2 is newer"), "{damage:?}");
    }
}
