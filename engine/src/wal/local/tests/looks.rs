//! Whoever looks at a log disturbs nobody.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::wal::Survey;
use crate::wal::local::survey::survey;

fn seen(folder: &Path, after: u64) -> (Option<Survey>, Vec<Bytes>) {
    let mut records = Vec::new();
    (survey(folder, Seq(after), &mut |record| records.push(record)).unwrap(), records)
}

#[test]
fn looks_do_not_keep_an_owner_out() {
    let folder = tempfile::tempdir().unwrap();
    drop(Folder::lock(folder.path()).unwrap());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    Folder::unlocked(folder.path()).is_locked().unwrap();
                }
            });
        }
        for _ in 0..500 {
            let (disk, lock) = Folder::lock(folder.path()).unwrap();
            assert!(disk.is_locked().unwrap());
            Folder::lock(folder.path()).unwrap_err();
            drop(lock);
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn of_many_who_want_a_log_at_once_one_has_it() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..100 {
        let together = std::sync::Barrier::new(4);
        let locked: Vec<_> = std::thread::scope(|scope| {
            let wanting = [(); 4].map(|()| {
                scope.spawn(|| {
                    together.wait();
                    // Kept until all have tried.
                    let locked = Folder::lock(folder.path());
                    together.wait();
                    locked.is_ok()
                })
            });
            wanting.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(locked.iter().filter(|has_it| **has_it).count(), 1);
    }
}

#[tokio::test]
async fn a_look_shows_what_is_held_beside_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("wal");
    assert_eq!(seen(&folder, 0).0, None);
    assert!(!folder.exists());

    let options = LocalOptions { segment_bytes: 200, ..SMALL };
    let wal = LocalWal::open(&folder, &options).unwrap();
    for n in 1..=9 {
        append(&wal, n).await.unwrap();
    }
    let (look, records) = seen(&folder, 7);
    let (look, status) = (look.unwrap(), wal.status());
    assert_eq!(look.is_open, Some(true));
    assert_eq!((look.epoch, look.last), (1, Seq(9)));
    assert!(look.segments > 1);
    assert_eq!((look.segments, look.bytes), (status.segments, status.bytes));
    assert_eq!(records, [text(8), text(9)]);

    wal.trim(Seq(9)).await.unwrap();
    drop(wal);
    let (look, records) = seen(&folder, 9);
    let look = look.unwrap();
    assert_eq!((look.is_open, look.last, records.len()), (Some(false), Seq(9), 0));
    // What a crash leaves is not taken for a record.
    let files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    let segment = files.filter(|path| path.extension().is_some_and(|e| e == "wal")).max().unwrap();
    let bytes = [std::fs::read(&segment).unwrap(), vec![7; 9]].concat();
    std::fs::write(&segment, &bytes).unwrap();
    assert_eq!(seen(&folder, 9).0.unwrap().last, Seq(9));
    assert_eq!(std::fs::read(&segment).unwrap(), bytes);
}
