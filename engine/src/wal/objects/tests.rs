use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use object_store::memory::InMemory;
use object_store::{ObjectStoreExt, PutPayload};

use super::*;
use crate::wal::testing::{Random, numbered, replayed, text, with_seeds};
use faulty::Faulty;

mod actors;
mod faulty;
mod fencing;
mod looks;
mod model;

/// Neither waits nor repeats.
fn options() -> ObjectOptions {
    ObjectOptions {
        interval: Duration::ZERO,
        object_bytes: 1000,
        limits: Limits { request: LONG, patience: Duration::ZERO, pause: Duration::ZERO },
        after: Seq::START,
    }
}

/// Repeats until it succeeds.
fn patient() -> ObjectOptions {
    let limits = Limits { patience: LONG, ..options().limits };
    ObjectOptions { limits, ..options() }
}

const LONG: Duration = Duration::from_secs(3600);

async fn open(store: &Arc<impl ObjectStore>) -> Result<ObjectWal> {
    open_with(store, options()).await
}

async fn open_with(store: &Arc<impl ObjectStore>, options: ObjectOptions) -> Result<ObjectWal> {
    let store = Arc::clone(store) as Arc<dyn ObjectStore>;
    ObjectWal::open(store, Path::from("wal"), options).await
}

async fn append(wal: &ObjectWal, record: impl std::fmt::Display) -> Result<Seq> {
    wal.append(text(record)).await
}

async fn names(store: &InMemory) -> Vec<String> {
    let mut names: Vec<String> =
        store.list(None).map_ok(|meta| meta.location.to_string()).try_collect().await.unwrap();
    names.sort();
    names
}

fn name(epoch: u64, position: u64) -> String {
    format!("wal/{epoch:020}/{position:020}")
}

#[tokio::test]
async fn what_was_appended_is_read_back_by_the_next_owner() {
    let store = Arc::new(InMemory::new());
    let mut records = Vec::new();
    for round in 1..=4_u64 {
        let wal = open(&store).await.unwrap();
        assert_eq!(replayed(&wal, 0).await.unwrap(), numbered(1, &records));
        for record in [text(""), text(round), Bytes::from(vec![round as u8; 700 * round as usize])]
        {
            records.push(record.clone());
            assert_eq!(wal.append(record).await.unwrap(), Seq(records.len() as u64));
        }
        assert_eq!(replayed(&wal, 0).await.unwrap(), numbered(1, &records));
        let status = wal.status();
        assert_eq!((status.epoch, status.segments), (round, records.len()));
        assert_eq!((status.first, status.last), (Seq(1), Seq(records.len() as u64)));
    }
    let wal = open(&store).await.unwrap();
    for after in 0..=records.len() {
        let expected = numbered(after as u64 + 1, &records[after..]);
        assert_eq!(replayed(&wal, after as u64).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn callers_who_wait_at_the_same_time_share_an_object() {
    let store = Arc::new(InMemory::new());
    let wal =
        open_with(&store, ObjectOptions { object_bytes: 1 << 20, ..options() }).await.unwrap();
    let seqs = join_all((0..100).map(|count| append(&wal, count))).await;
    let seqs: Vec<u64> = seqs.into_iter().map(|seq| seq.unwrap().0).collect();
    assert_eq!(seqs, (1..=100).collect::<Vec<_>>());
    assert_eq!(wal.status().segments, 1);
    let records: Vec<Bytes> = (0..100).map(text).collect();
    assert_eq!(replayed(&wal, 0).await.unwrap(), numbered(1, &records));
    assert_eq!(replayed(&wal, 99).await.unwrap(), numbered(100, &records[99..]));
}

#[tokio::test]
async fn a_group_that_fills_an_object_does_not_wait_for_the_interval() {
    let store = Arc::new(InMemory::new());
    let options = ObjectOptions { interval: LONG, ..options() };
    let wal = open_with(&store, options).await.unwrap();
    // The first waits for nothing, since nothing was put before it.
    append(&wal, "first").await.unwrap();
    let full = join_all((0..4).map(|_| wal.append(Bytes::from(vec![0; 300])))).await;
    assert_eq!(full.last().unwrap().as_ref().unwrap(), &Seq(5));
    let mut small = Box::pin(append(&wal, "small"));
    for _ in 0..10 {
        assert!(futures::poll!(&mut small).is_pending());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn trimming_removes_objects_and_keeps_the_position() {
    let store = Arc::new(InMemory::new());
    let wal = open(&store).await.unwrap();
    for count in 1..=10_u64 {
        assert_eq!(append(&wal, count).await.unwrap(), Seq(count));
    }
    wal.trim(Seq(6)).await.unwrap();
    assert_eq!((wal.status().first, wal.status().segments), (Seq(7), 4));
    let records: Vec<Bytes> = (7..=10).map(text).collect();
    assert_eq!(replayed(&wal, 6).await.unwrap(), numbered(7, &records));
    let error = replayed(&wal, 5).await.unwrap_err();
    assert!(error.message.contains("starts at record 7"), "{error}");
    // The last one keeps the position, until another owner's seal does.
    wal.trim(Seq(1000)).await.unwrap();
    assert_eq!((wal.status().first, wal.status().last), (Seq(10), Seq(10)));
    let wal = open(&store).await.unwrap();
    wal.trim(Seq(1000)).await.unwrap();
    assert_eq!((wal.status().first, wal.status().last), (Seq(11), Seq(10)));
    for epoch in 3..6 {
        let wal = open(&store).await.unwrap();
        assert_eq!((wal.status().first, wal.status().last), (Seq(11), Seq(10)));
        assert_eq!(wal.status().epoch, epoch);
    }
    let wal = open(&store).await.unwrap();
    assert_eq!(append(&wal, "next").await.unwrap(), Seq(11));
    // Of every epoch the end, and of those with records the last of them.
    let expected = [
        name(1, 10),
        name(1, 11),
        name(2, 11),
        name(3, 11),
        name(4, 11),
        name(5, 11),
        name(6, 0),
        name(6, 11),
    ];
    assert_eq!(names(&store).await, expected);
}

#[tokio::test]
async fn positions_that_are_used_elsewhere_are_not_used_again() {
    let store = Arc::new(InMemory::new());
    let opened =
        async |after| open_with(&store, ObjectOptions { after: Seq(after), ..options() }).await;
    let first = opened(7).await.unwrap();
    assert_eq!(append(&first, "a").await.unwrap(), Seq(8));
    let second = opened(100).await.unwrap();
    assert_eq!(second.status().last, Seq(100));
    // However late the first owner comes.
    assert!(append(&first, "late").await.unwrap_err().message.contains("has taken over"));
    let third = opened(0).await.unwrap();
    assert_eq!(append(&third, "b").await.unwrap(), Seq(101));
    assert!(append(&second, "late").await.is_err());
    let fourth = opened(0).await.unwrap();
    assert_eq!(replayed(&fourth, 100).await.unwrap(), [(Seq(101), text("b"))]);
    assert_eq!(append(&fourth, "c").await.unwrap(), Seq(102));
}

#[tokio::test]
async fn damaged_and_missing_objects_are_refused() {
    let store = Arc::new(InMemory::new());
    let first = open(&store).await.unwrap();
    for group in 0..3 {
        join_all((0..3).map(|count| append(&first, group * 10 + count))).await;
    }
    let wal = open(&store).await.unwrap();
    assert_eq!(replayed(&wal, 0).await.unwrap().len(), 9);
    for position in [1, 4, 7] {
        let name = name(1, position);
        let path = Path::from(name.as_str());
        let bytes = store.get(&path).await.unwrap().bytes().await.unwrap();
        for at in 0..bytes.len() {
            let mut flipped = bytes.to_vec();
            flipped[at] ^= 1 << (at % 8);
            store.put(&path, PutPayload::from(flipped)).await.unwrap();
            let error = replayed(&wal, 0).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Storage);
            let place = format!("the write-ahead log is damaged: {name}, byte ");
            assert!(error.message.starts_with(&place), "{error}");
        }
        for length in 0..bytes.len() {
            store.put(&path, PutPayload::from(bytes.slice(..length))).await.unwrap();
            assert!(replayed(&wal, 0).await.is_err(), "{length} bytes");
        }
        let longer = [bytes.as_ref(), &[0]].concat();
        store.put(&path, PutPayload::from(longer)).await.unwrap();
        assert!(replayed(&wal, 0).await.is_err());
        store.delete(&path).await.unwrap();
        assert!(replayed(&wal, 0).await.is_err());
        let later = open(&store).await.unwrap();
        let missing = replayed(&later, 0).await.unwrap_err();
        let expected = match position {
            1 => "starts at record 4, but those after record 0 are wanted".to_owned(),
            _ => format!("record {position} is expected, but {} is next", position + 3),
        };
        assert!(missing.message.contains(&expected), "{missing}");
        // Nobody needs the records that are gone.
        assert_eq!(replayed(&later, position + 2).await.unwrap().len() as u64, 7 - position);
        store.put(&path, PutPayload::from(bytes)).await.unwrap();
    }
}

#[tokio::test]
async fn the_errors_say_what_the_store_said() {
    let memory = Arc::new(InMemory::new());
    let store = Faulty::new(&memory, 1);
    let wal = open(&store).await.unwrap();
    store.fail(100, 0);
    let error = append(&wal, "a").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Storage);
    let expected = format!(
        "cannot write {} for the write-ahead log: Generic faulty error: 503 slow down",
        name(1, 1)
    );
    assert_eq!(error.message, expected);
    assert!(open(&store).await.is_err());
    store.fail(0, 0);
    assert_eq!(append(&wal, "b").await.unwrap(), Seq(1));
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_given_up() {
    let memory = Arc::new(InMemory::new());
    let store = Faulty::new(&memory, 1);
    let limits = Limits { request: Duration::from_millis(10), ..options().limits };
    // A busy machine can be slower than that.
    let wal = loop {
        let opened = open_with(&store, ObjectOptions { limits, ..options() }).await;
        if let Ok(wal) = opened {
            break wal;
        }
    };
    let held_back = store.gate.lock().await;
    let error = append(&wal, "a").await.unwrap_err();
    let expected = "the store did not answer within 0.01 s";
    assert!(error.message.contains(expected), "{error}");
    drop(held_back);
    let appended = loop {
        if let Ok(seq) = append(&wal, "b").await {
            break seq;
        }
    };
    assert_eq!(appended, Seq(1));
}

#[tokio::test]
async fn too_long_a_record_is_refused() {
    let wal = open(&Arc::new(InMemory::new())).await.unwrap();
    let too_long = Bytes::from(vec![0; crate::wal::RECORD_BYTES_MAX + 1]);
    assert_eq!(wal.append(too_long).await.unwrap_err().kind, ErrorKind::InvalidInput);
}
