//! Disks that are full or fail.

use super::*;

#[test]
fn a_full_disk_fails_appends_until_there_is_room() {
    // Every length that a write may be cut to, within a segment and at the start of a new one.
    for segment_bytes in [60, 100, 1000] {
        let options = LocalOptions { segment_bytes, after: Seq::START };
        for room in 0..150 {
            let disk = Simulated::new(1);
            let mut writer = Writer::open(Arc::new(disk.clone()), &options).unwrap();
            writer.commit(&[text("before")]).unwrap();
            disk.set_room(room);
            let group = [text("one"), text("another"), text("a third")];
            let mut records = vec![text("before")];
            for _ in 0..2 {
                match writer.commit(&group) {
                    Ok(first) => {
                        assert_eq!(first, Seq(records.len() as u64 + 1));
                        records.extend_from_slice(&group);
                    }
                    Err(error) => {
                        assert_eq!(error.kind, ErrorKind::Storage);
                        assert!(error.message.starts_with("cannot write simulated/0"), "{error}");
                        assert!(error.hint.unwrap().starts_with("Make room"));
                    }
                }
            }
            assert!(records.len() < 7, "there was room for all");
            // The one that failed leaves nothing behind, not even for a restart.
            let copy = Simulated::with(&disk.files());
            let reopened = Writer::open(Arc::new(copy.clone()), &options).unwrap();
            assert_eq!(read(&copy, &reopened, 0).unwrap(), numbered(1, &records));
            disk.set_room(usize::MAX);
            assert_eq!(writer.commit(&group).unwrap(), Seq(records.len() as u64 + 1));
            records.extend_from_slice(&group);
            drop(writer);
            disk.restart();
            let writer = Writer::open(Arc::new(disk.clone()), &options).unwrap();
            assert_eq!(read(&disk, &writer, 0).unwrap(), numbered(1, &records));
        }
    }
}

#[test]
fn a_full_disk_can_be_trimmed() {
    let disk = Simulated::new(1);
    let mut writer =
        Writer::open(Arc::new(disk.clone()), &LocalOptions { segment_bytes: 100, ..SMALL })
            .unwrap();
    for count in 0..10 {
        writer.commit(&[text(count)]).unwrap();
    }
    disk.set_room(0);
    // There is no room for a new segment, so the last one stays.
    writer.trim(Seq(10)).unwrap_err();
    assert_eq!(writer.held().lock().segments.len(), 1);
    disk.set_room(1000);
    writer.trim(Seq(10)).unwrap();
    assert_eq!(writer.commit(&[text("next")]).unwrap(), Seq(11));
}

#[test]
fn nothing_is_appended_after_a_failed_sync() {
    let disk = Simulated::new(1);
    let mut writer = open(&disk).unwrap();
    writer.commit(&[text("durable")]).unwrap();
    disk.let_syncs_fail();
    let error = writer.commit(&[text("doubtful")]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Storage);
    let expected = "cannot sync simulated/00000000000000000001.wal: a sector cannot be written; \
                    nothing can be appended before a restart";
    assert_eq!(error.message, expected);
    for _ in 0..3 {
        assert_eq!(writer.commit(&[text("refused")]).unwrap_err().message, expected);
        assert_eq!(writer.trim(Seq(1)).unwrap_err().message, expected);
    }
    drop(writer);
    disk.restart();
    let writer = open(&disk).unwrap();
    let records = read(&disk, &writer, 0).unwrap();
    assert_eq!(records[0], (Seq(1), text("durable")));
    assert!(records.len() < 3);
}

#[tokio::test]
async fn the_status_tells_of_a_failed_sync() {
    let disk = Simulated::new(1);
    let lock = Lock(tempfile::tempfile().unwrap());
    let wal = LocalWal::start(Arc::new(disk.clone()), lock, &SMALL).unwrap();
    append(&wal, "durable").await.unwrap();
    assert_eq!(wal.status().failed, None);
    disk.let_syncs_fail();
    let error = append(&wal, "doubtful").await.unwrap_err();
    assert_eq!(wal.status().failed, Some(error.message.clone()));
    assert_eq!(append(&wal, "refused").await.unwrap_err().message, error.message);
    assert_eq!(replayed(&wal, 0).await.unwrap(), [(Seq(1), text("durable"))]);
}
