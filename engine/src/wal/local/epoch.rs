//! How many times the log was opened, in a file of its own.
//!
//! ```text
//! magic "HEDGEPOC" │ epoch u64 │ CRC32C of all before, u32
//! ```

use std::io::{self, Read};

use super::disk::{Disk, failed};
use crate::error::Result;
use crate::wal::Damage;
use crate::wal::header::array;

const NAME: &str = "epoch";
const MAGIC: [u8; 8] = *b"HEDGEPOC";
const BYTES: usize = 20;

/// The last epoch; 0 where the log was never opened.
pub(super) fn read(disk: &dyn Disk) -> Result<u64> {
    let place = format!("{disk}/{NAME}");
    let mut bytes = Vec::new();
    let read = disk
        .open(NAME, 0)
        .and_then(|(input, _)| input.take(BYTES as u64 + 1).read_to_end(&mut bytes));
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(failed("read", place, error)),
        Ok(_) => {}
    }
    let valid = bytes.len() == BYTES
        && bytes[..8] == MAGIC
        && crc32c::crc32c(&bytes[..16]).to_le_bytes() == bytes[16..];
    match valid {
        true => Ok(u64::from_le_bytes(array(&bytes, 8))),
        false => Err(Damage::new(0, "not an epoch")
            .of(&place)
            .hint("Delete this file: the epoch is then taken from the segments.")),
    }
}

/// Replaces the epoch, durably.
pub(super) fn write(disk: &dyn Disk, epoch: u64) -> Result<()> {
    let mut bytes = [0; BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..16].copy_from_slice(&epoch.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[..16]);
    bytes[16..].copy_from_slice(&checksum.to_le_bytes());
    let staged = format!("{NAME}.tmp");
    let write = || {
        let mut file = disk.create(&staged)?;
        file.write(&bytes)?;
        file.sync()?;
        disk.rename(&staged, NAME)?;
        disk.sync()
    };
    write().map_err(|error| failed("write", format!("{disk}/{NAME}"), error))
}
