use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use tempfile::TempDir;

use super::*;

const FILE_BYTES: u64 = 3 * PIECE_BYTES + 77;

fn path() -> Path {
    Path::from("events/some.parquet")
}

async fn file() -> (Arc<InMemory>, Vec<u8>) {
    let mut bytes = vec![0; usize::try_from(FILE_BYTES).unwrap()];
    StdRng::seed_from_u64(1).fill_bytes(&mut bytes);
    let store = Arc::new(InMemory::new());
    store.put(&path(), bytes.clone().into()).await.unwrap();
    (store, bytes)
}

fn on_disk(folder: &TempDir) -> RangeCacheOptions {
    RangeCacheOptions {
        memory_bytes: 8 << 20,
        folder: Some(folder.path().to_owned()),
        disk_bytes: 64 << 20,
    }
}

async fn cached(store: &Arc<InMemory>, options: &RangeCacheOptions) -> CachedRanges {
    let cache = RangeCache::open(options).await.unwrap();
    let store = Arc::<InMemory>::clone(store);
    CachedRanges::new(store, Arc::new(cache), Location("s3://bucket".to_owned()))
}

async fn read(reads: &CachedRanges, path: &Path, range: Range<u64>) -> StoreResult<Bytes> {
    Ok(reads.get_ranges(path, &[range]).await?.remove(0))
}

#[tokio::test]
async fn ranges_are_those_of_the_file() {
    let (store, bytes) = file().await;
    let reads = cached(&store, &RangeCacheOptions::default()).await;
    let mut random = StdRng::seed_from_u64(2);
    for _ in 0..200 {
        let ranges: Vec<Range<u64>> = (0..random.random_range(0..5))
            .map(|_| {
                let start = random.random_range(0..FILE_BYTES);
                start..random.random_range(start..FILE_BYTES) + 1
            })
            .collect();
        let found = reads.get_ranges(&path(), &ranges).await.unwrap();
        let expected = ranges.iter().map(|range| &bytes[range.start as usize..range.end as usize]);
        assert!(found.iter().map(AsRef::as_ref).eq(expected), "{ranges:?}");
    }
    let beyond = read(&reads, &path(), 0..FILE_BYTES + 1).await.unwrap_err();
    assert!(beyond.to_string().contains("ends before"), "{beyond}");
}

#[tokio::test]
async fn what_was_read_is_not_read_again() {
    let (store, bytes) = file().await;
    let reads = cached(&store, &RangeCacheOptions::default()).await;
    let last = FILE_BYTES - 10..FILE_BYTES;
    reads.get_ranges(&path(), &[5..6, last.clone()]).await.unwrap();
    store.delete(&path()).await.unwrap();
    let found = reads.get_ranges(&path(), &[0..PIECE_BYTES, last]).await.unwrap();
    assert_eq!(found[0], bytes[..PIECE_BYTES as usize]);
    assert_eq!(found[1], bytes[bytes.len() - 10..]);
    let error = read(&reads, &path(), 0..PIECE_BYTES + 1).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn a_disk_has_it_after_a_restart_and_damage_is_noticed() {
    let (store, bytes) = file().await;
    let folder = TempDir::new().unwrap();
    let reads = cached(&store, &on_disk(&folder)).await;
    read(&reads, &path(), 0..FILE_BYTES).await.unwrap();
    let second = RangeCache::open(&on_disk(&folder)).await.unwrap_err();
    assert!(second.message.contains("another process keeps its cache in"), "{second}");
    reads.cache.close().await;
    drop(reads);

    store.delete(&path()).await.unwrap();
    let reads = cached(&store, &on_disk(&folder)).await;
    let found = read(&reads, &path(), 0..FILE_BYTES).await.unwrap();
    assert_eq!(found, bytes);
    drop(reads);

    // Every piece is damaged somewhere, so that all come from the store.
    store.put(&path(), bytes.clone().into()).await.unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap().path();
        let mut content = std::fs::read(&file).unwrap();
        content.iter_mut().skip(8000).step_by(10_000).for_each(|byte| *byte ^= 1);
        std::fs::write(&file, content).unwrap();
    }
    let reads = cached(&store, &on_disk(&folder)).await;
    let found = read(&reads, &path(), 0..FILE_BYTES).await.unwrap();
    assert_eq!(found, bytes);
}

#[tokio::test]
async fn memory_is_bounded() {
    let (store, _) = file().await;
    let memory_bytes = 8 << 20;
    let options = RangeCacheOptions { memory_bytes, ..RangeCacheOptions::default() };
    let reads = cached(&store, &options).await;
    let other = vec![1; 1 << 20];
    for number in 0..40 {
        let path = Path::from(format!("events/{number}.parquet"));
        store.put(&path, other.clone().into()).await.unwrap();
        read(&reads, &path, 0..1 << 20).await.unwrap();
    }
    let used = reads.cache.pieces.memory().usage();
    assert!((memory_bytes / 2..=memory_bytes).contains(&used), "{used}");
}
