//! Bytes → a file in a store.

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, Result};

/// Larger files go in parts of this size, so that each is there before the deadline of a request,
/// also over a slow line.
const PART_BYTES: usize = 16 << 20;
const PARTS_AT_A_TIME: usize = 4;

/// Stores a file under a name that nobody else has, so that the store may be sent it twice. A reader
/// finds all of it or nothing.
pub(crate) async fn upload(store: &dyn ObjectStore, path: &Path, bytes: Bytes) -> Result<()> {
    if bytes.len() <= PART_BYTES {
        return store.put(path, bytes.into()).await.map(drop);
    }
    let mut upload = store.put_multipart(path).await?;
    let done = match send(upload.as_mut(), &bytes).await {
        Ok(()) => upload.complete().await.map(drop),
        Err(error) => Err(error),
    };
    if done.is_err() {
        // Should that fail as well, the store keeps parts that nobody sees.
        let _ = upload.abort().await;
    }
    done
}

async fn send(upload: &mut dyn MultipartUpload, bytes: &Bytes) -> Result<()> {
    let parts = bytes.chunks(PART_BYTES).map(|part| upload.put_part(bytes.slice_ref(part).into()));
    let parts: Vec<_> = parts.collect();
    stream::iter(parts).buffer_unordered(PARTS_AT_A_TIME).try_collect().await
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;
    use crate::storage::durable::DurableFiles;

    async fn check(store: &dyn ObjectStore) {
        for length in [0, 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES - 5] {
            let bytes: Bytes = (0..length).map(|n| (n / 1000 % 251) as u8).collect();
            let path = Path::from(format!("some/{length}"));
            upload(store, &path, bytes.clone()).await.unwrap();
            let found = store.get(&path).await.unwrap().bytes().await.unwrap();
            assert!(found == bytes, "{length}");
        }
    }

    #[tokio::test]
    async fn files_of_all_sizes_are_there_as_they_were() {
        check(&InMemory::new()).await;
        let folder = tempfile::tempdir().unwrap();
        check(&DurableFiles::new(folder.path()).unwrap()).await;
    }
}
