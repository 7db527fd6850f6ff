//! The bytes of a file, whole, with their checksum.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt};

/// Larger files are put aside in a temporary one.
const HELD_BYTES_MAX: u64 = 256 << 20;

/// A file that was read to its end.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) data: Data,
    pub(super) bytes: u64,
    pub(super) checksum: u32,
}

#[derive(Debug)]
pub(super) enum Data {
    Held(Bytes),
    Aside(File),
}

impl Content {
    pub(super) async fn fetch(
        store: &Arc<dyn ObjectStore>,
        location: &Path,
    ) -> Result<Self, Error> {
        let found = store.get(location).await?;
        let mut aside = match found.meta.size > HELD_BYTES_MAX {
            true => Some(tempfile::tempfile().map_err(unwritable)?),
            false => None,
        };
        let (mut held, mut bytes, mut checksum) = (Vec::new(), 0, 0);
        let mut chunks = found.into_stream();
        while let Some(chunk) = chunks.try_next().await? {
            bytes += chunk.len() as u64;
            checksum = crc32c::crc32c_append(checksum, &chunk);
            match &mut aside {
                Some(file) => file.write_all(&chunk).map_err(unwritable)?,
                None => held.extend_from_slice(&chunk),
            }
        }
        let data = aside.map_or_else(|| Data::Held(held.into()), Data::Aside);
        Ok(Self { data, bytes, checksum })
    }
}

fn unwritable(error: io::Error) -> Error {
    Error::Generic { store: "temporary file", source: Box::new(error) }
}
