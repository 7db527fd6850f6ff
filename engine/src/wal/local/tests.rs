use super::*;
use crate::error::ErrorKind;
use crate::wal::testing::{Random, numbered, replayed, text};

mod damage;
mod faults;
mod looks;
mod model;
mod process;
mod simulated;

use simulated::{Files, Simulated};

const SMALL: LocalOptions = LocalOptions { segment_bytes: 4096, after: Seq::START };

fn open(disk: &Simulated) -> Result<Writer> {
    Writer::open(Arc::new(disk.clone()), &SMALL)
}

/// All records after `after`, read without a thread or a runtime.
fn read(disk: &Simulated, writer: &Writer, after: u64) -> Result<Vec<(Seq, Bytes)>> {
    let held = writer.held();
    let mut replay = Replay::new(Arc::new(disk.clone()), &held.lock(), Seq(after))?;
    let mut records = Vec::new();
    loop {
        match replay.batch()? {
            batch if batch.is_empty() => return Ok(records),
            batch => records.extend(batch),
        }
    }
}

/// A log of groups, each of which was synced, and the names of its segments.
fn written(groups: &[Vec<Bytes>], options: &LocalOptions) -> (Files, Vec<String>) {
    let disk = Simulated::new(1);
    let mut writer = Writer::open(Arc::new(disk.clone()), options).unwrap();
    for group in groups {
        writer.commit(group).unwrap();
    }
    drop(writer);
    let files = disk.files();
    let names = files.keys().filter(|name| segment::first_seq(name).is_some());
    (files.clone(), names.cloned().collect())
}

fn append(wal: &LocalWal, record: impl std::fmt::Display) -> impl Future<Output = Result<Seq>> {
    wal.append(text(record))
}

#[tokio::test]
async fn what_was_appended_is_read_back_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("data/wal");
    let options = LocalOptions { segment_bytes: 300, ..SMALL };
    let mut records = Vec::new();
    for round in 1..=4_u64 {
        let wal = LocalWal::open(&folder, &options).unwrap();
        assert_eq!(wal.status().epoch, round);
        assert_eq!(replayed(&wal, 0).await.unwrap(), numbered(1, &records));
        for record in [text(""), text(round), Bytes::from(vec![round as u8; 100 * round as usize])]
        {
            records.push(record.clone());
            assert_eq!(wal.append(record).await.unwrap(), Seq(records.len() as u64));
        }
        assert_eq!(replayed(&wal, 0).await.unwrap(), numbered(1, &records));
        let status = wal.status();
        assert_eq!((status.first, status.last), (Seq(1), Seq(records.len() as u64)));
        let files = std::fs::read_dir(&folder).unwrap().map(Result::unwrap);
        let segments: Vec<u64> = files
            .filter(|file| file.path().extension().is_some_and(|extension| extension == "wal"))
            .map(|file| file.metadata().unwrap().len())
            .collect();
        assert_eq!((status.segments, status.bytes), (segments.len(), segments.iter().sum()));
    }
    let wal = LocalWal::open(&folder, &options).unwrap();
    for after in 0..=records.len() {
        let expected = numbered(after as u64 + 1, &records[after..]);
        assert_eq!(replayed(&wal, after as u64).await.unwrap(), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_callers_at_a_time_get_dense_positions() {
    let folder = tempfile::tempdir().unwrap();
    let options = LocalOptions { segment_bytes: 20_000, ..SMALL };
    let wal = Arc::new(LocalWal::open(folder.path(), &options).unwrap());
    let callers = (0..64).map(|caller| {
        let wal = Arc::clone(&wal);
        tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            for count in 0..25 {
                let record = text(format_args!("{caller} {count}"));
                acknowledged.push((wal.append(record.clone()).await.unwrap(), record));
            }
            acknowledged
        })
    });
    let mut acknowledged = Vec::new();
    for caller in futures::future::join_all(callers).await {
        let records = caller.unwrap();
        assert!(records.is_sorted(), "one caller's records are in its order");
        acknowledged.extend(records);
    }
    acknowledged.sort();
    let seqs: Vec<u64> = acknowledged.iter().map(|(seq, _)| seq.0).collect();
    assert_eq!(seqs, (1..=64 * 25).collect::<Vec<_>>());
    drop(wal);
    let wal = LocalWal::open(folder.path(), &options).unwrap();
    assert_eq!(replayed(&wal, 0).await.unwrap(), acknowledged);
    assert!(wal.status().segments > 1);
}

#[tokio::test]
async fn what_comes_in_during_a_sync_shares_the_next_one() {
    let disk = Simulated::new(1);
    let lock = Lock(tempfile::tempfile().unwrap());
    let wal = LocalWal::start(Arc::new(disk.clone()), lock, &SMALL).unwrap();
    append(&wal, "the first creates a segment").await.unwrap();
    let before = disk.syncs_begun();
    disk.hold_back(true);
    let mut first = Box::pin(append(&wal, "alone"));
    assert!(futures::poll!(&mut first).is_pending());
    disk.wait_for_sync(before);
    let mut others: Vec<_> = (0..99).map(|count| Box::pin(append(&wal, count))).collect();
    for other in &mut others {
        assert!(futures::poll!(other).is_pending());
    }
    disk.hold_back(false);
    assert_eq!(first.await.unwrap(), Seq(2));
    for (place, other) in others.into_iter().enumerate() {
        assert_eq!(other.await.unwrap(), Seq(3 + place as u64));
    }
    assert_eq!(disk.syncs_begun() - before, 2);
}

#[tokio::test]
async fn appends_whose_callers_went_away_are_finished_by_drop() {
    let folder = tempfile::tempdir().unwrap();
    let wal = LocalWal::open(folder.path(), &SMALL).unwrap();
    for count in 0..10 {
        let mut append = Box::pin(append(&wal, count));
        let _ = futures::poll!(&mut append);
    }
    drop(wal);
    let wal = LocalWal::open(folder.path(), &SMALL).unwrap();
    assert_eq!(wal.status().last, Seq(10));
}

#[tokio::test]
async fn a_second_owner_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let wal = LocalWal::open(folder.path(), &SMALL).unwrap();
    for _ in 0..2 {
        let error = LocalWal::open(folder.path(), &SMALL).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Storage);
        let place = folder.path().display();
        let expected = format!("another process uses the write-ahead log in {place}");
        assert_eq!(error.message, expected);
    }
    append(&wal, "goes on").await.unwrap();
    drop(wal);
    assert_eq!(LocalWal::open(folder.path(), &SMALL).unwrap().status().epoch, 2);
}

#[tokio::test]
async fn trimming_gives_back_whole_segments_and_keeps_the_position() {
    let folder = tempfile::tempdir().unwrap();
    let options = LocalOptions { segment_bytes: 200, ..SMALL };
    let wal = LocalWal::open(folder.path(), &options).unwrap();
    for count in 1..=20_u64 {
        assert_eq!(append(&wal, count).await.unwrap(), Seq(count));
    }
    let before = wal.status();
    wal.trim(Seq(9)).await.unwrap();
    let after = wal.status();
    assert!(after.segments < before.segments && after.bytes < before.bytes, "{after:?}");
    assert!(after.first > Seq(1) && after.first <= Seq(10), "{after:?}");
    let records: Vec<Bytes> = (10..=20).map(text).collect();
    assert_eq!(replayed(&wal, 9).await.unwrap(), numbered(10, &records));
    let error = replayed(&wal, 0).await.unwrap_err();
    let expected = format!(
        "the write-ahead log starts at record {}, but those after record 0 are wanted",
        after.first
    );
    assert_eq!(error.message, expected);

    wal.trim(Seq(1000)).await.unwrap();
    wal.trim(Seq(1000)).await.unwrap();
    let empty = wal.status();
    assert_eq!((empty.first, empty.last, empty.segments), (Seq(21), Seq(20), 1));
    drop(wal);
    for count in 21..=23 {
        let wal = LocalWal::open(folder.path(), &options).unwrap();
        assert_eq!((wal.status().first, wal.status().last), (Seq(21), Seq(count - 1)));
        assert_eq!(append(&wal, count).await.unwrap(), Seq(count));
    }
    let wal = LocalWal::open(folder.path(), &options).unwrap();
    let records: Vec<Bytes> = (21..=23).map(text).collect();
    assert_eq!(replayed(&wal, 20).await.unwrap(), numbered(21, &records));
}

#[tokio::test]
async fn positions_that_are_used_elsewhere_are_not_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let open = |after| LocalWal::open(folder.path(), &LocalOptions { after: Seq(after), ..SMALL });
    assert_eq!(append(&open(7).unwrap(), "a").await.unwrap(), Seq(8));
    assert_eq!(append(&open(7).unwrap(), "b").await.unwrap(), Seq(9));
    let wal = open(100).unwrap();
    assert_eq!((wal.status().first, wal.status().last), (Seq(101), Seq(100)));
    drop(wal);
    assert_eq!(append(&open(100).unwrap(), "c").await.unwrap(), Seq(101));
    let wal = open(0).unwrap();
    assert_eq!(replayed(&wal, 100).await.unwrap(), [(Seq(101), text("c"))]);
}

#[tokio::test]
async fn records_may_be_longer_than_a_segment_but_not_than_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let wal = LocalWal::open(folder.path(), &SMALL).unwrap();
    let long = Random::new(1).record(0).to_vec();
    let long = Bytes::from([long, vec![7; 3_000_000]].concat());
    append(&wal, "a").await.unwrap();
    assert_eq!(wal.append(long.clone()).await.unwrap(), Seq(2));
    append(&wal, "b").await.unwrap();
    let too_long = Bytes::from(vec![0; crate::wal::RECORD_BYTES_MAX + 1]);
    let error = wal.append(too_long).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidInput);
    assert!(error.message.contains("1073741825 bytes"), "{error}");
    drop(wal);
    let wal = LocalWal::open(folder.path(), &SMALL).unwrap();
    assert_eq!(replayed(&wal, 0).await.unwrap(), numbered(1, &[text("a"), long, text("b")]));
}
