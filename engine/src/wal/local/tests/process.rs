//! A process that dies at every step.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use super::*;

const FOLDER: &str = "HEDGEROW_TEST_WAL";

const OPTIONS: LocalOptions = LocalOptions { segment_bytes: 600, after: Seq::START };

/// Appends from several callers, notes what was acknowledged, and trims.
#[tokio::test]
#[ignore = "run in a process of its own by the test that wants it to die"]
async fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let folder = Path::new(&folder);
    let notes = folder.join("acknowledged");
    let mut notes = OpenOptions::new().create(true).append(true).open(notes).unwrap();
    let wal = LocalWal::open(folder, &OPTIONS).unwrap();
    for round in 0..12 {
        let appends = (0..5).map(|caller| {
            let record = format!("{round} {caller} {}", std::process::id());
            let append = append(&wal, record.clone());
            async move { (append.await.unwrap(), record) }
        });
        for (seq, record) in futures::future::join_all(appends).await {
            writeln!(notes, "{seq} {record}").unwrap();
        }
        if round % 4 == 3 {
            let upto = Seq(wal.status().last.0 - 7 * (round % 8 / 4));
            writeln!(notes, "trimmed {upto}").unwrap();
            wal.trim(upto).await.unwrap();
        }
    }
}

fn lives(folder: &Path, crash_at: &str) -> bool {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "wal::local::tests::process::child", "--ignored"])
        .env("HEDGEROW_CRASH_AT", crash_at)
        .env(FOLDER, folder)
        .output()
        .unwrap();
    output.status.success()
}

/// Everything acknowledged and not trimmed is there, once.
async fn check(folder: &Path) {
    let notes = std::fs::read_to_string(folder.join("acknowledged")).unwrap_or_default();
    let mut acknowledged = BTreeMap::new();
    let mut trimmed = 0;
    for line in notes.lines() {
        match line.split_once(' ').unwrap() {
            ("trimmed", upto) => trimmed = upto.parse().unwrap(),
            (seq, record) => {
                let before = acknowledged.insert(Seq(seq.parse().unwrap()), record);
                assert_eq!(before, None, "a position was given twice");
            }
        }
    }
    let wal = LocalWal::open(folder, &OPTIONS).unwrap();
    let replayed: BTreeMap<_, _> = replayed(&wal, trimmed).await.unwrap().into_iter().collect();
    for (seq, record) in acknowledged.range(Seq(trimmed + 1)..) {
        assert_eq!(replayed.get(seq), Some(&text(record)), "record {seq}");
    }
    assert_eq!(wal.status().last.0, trimmed + replayed.len() as u64);
}

#[cfg(debug_assertions)]
#[tokio::test]
async fn acknowledged_records_survive_a_crash_at_every_step() {
    for step in [
        "wal.write",
        "wal.written",
        "wal.synced",
        "wal.segment.create",
        "wal.segment.staged",
        "wal.segment.placed",
        "wal.segment.created",
        "wal.trim",
        "wal.trim.removed",
        "wal.trimmed",
    ] {
        let folder = tempfile::tempdir().unwrap();
        for count in [1, 2] {
            assert!(!lives(folder.path(), &format!("{step}:{count}")), "{step} was not reached");
            check(folder.path()).await;
        }
        assert!(lives(folder.path(), ""), "after {step}");
        check(folder.path()).await;
    }
}

#[cfg(debug_assertions)]
#[tokio::test]
async fn a_crash_during_recovery_is_recovered_from() {
    let folder = tempfile::tempdir().unwrap();
    assert!(!lives(folder.path(), "wal.synced:3"));
    let segments = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let last = segments
        .filter(|path| path.extension().is_some_and(|extension| extension == "wal"))
        .max()
        .unwrap();
    OpenOptions::new().append(true).open(last).unwrap().write_all(b"half a frame").unwrap();
    assert!(!lives(folder.path(), "wal.cut:1"));
    check(folder.path()).await;
    assert!(lives(folder.path(), ""));
    check(folder.path()).await;
}
