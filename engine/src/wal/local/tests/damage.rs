//! Logs whose files are not as they were written.

use super::*;
use crate::wal::frame::{FRAME_BYTES, Frame};
use crate::wal::header::{HEADER_BYTES, Header};

/// Three segments of a few groups each.
fn groups() -> Vec<Vec<Bytes>> {
    let mut random = Random::new(5);
    (0..12).map(|_| random.records(3, 60)).collect()
}

const TINY: LocalOptions = LocalOptions { segment_bytes: 350, after: Seq::START };

/// Where the frames of a segment begin, and its end.
fn frames(bytes: &[u8]) -> Vec<usize> {
    let (_, seed) = Header::decode(bytes).unwrap();
    let mut offsets = vec![HEADER_BYTES];
    let mut offset = HEADER_BYTES;
    while let Some(frame) = Frame::decode(&bytes[offset..], seed) {
        offset += FRAME_BYTES + frame.length as usize;
        offsets.push(offset);
    }
    assert_eq!(offset, bytes.len());
    offsets
}

/// Opens a log, which must succeed with the first `count` of `records`, and append.
fn check_survivors(files: &Files, records: &[Bytes], count: usize) {
    let disk = Simulated::with(files);
    let mut writer = open(&disk).unwrap();
    assert_eq!(read(&disk, &writer, 0).unwrap(), numbered(1, &records[..count]));
    let more = [text("one more"), text("and another")];
    assert_eq!(writer.commit(&more).unwrap(), Seq(count as u64 + 1));
    drop(writer);
    let writer = open(&disk).unwrap();
    let expected = [&records[..count], &more].concat();
    assert_eq!(read(&disk, &writer, 0).unwrap(), numbered(1, &expected));
}

/// Opens a log, which must fail, tell `place`, and leave the files alone.
fn check_refused(files: &Files, place: &str) {
    let disk = Simulated::with(files);
    let error = open(&disk).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Storage);
    assert!(error.message.contains(place), "{error} instead of {place}");
    assert!(error.hint.is_some());
    assert_eq!(disk.files(), *files);
}

#[test]
fn a_log_cut_off_anywhere_keeps_all_whole_records() {
    let groups = groups();
    let (files, names) = written(&groups, &TINY);
    assert!(names.len() >= 3, "{names:?}");
    let records = groups.concat();
    let last = &names[names.len() - 1];
    let before = segment::first_seq(last).unwrap().0 as usize - 1;
    let bytes = &files[last];
    let ends = &frames(bytes)[1..];
    for length in HEADER_BYTES..=bytes.len() {
        // What was never written may read as zeros, which can happen to be right.
        for zeros in [0, 1, 23, 24, 600, 5000] {
            let mut cut = bytes[..length].to_vec();
            cut.resize(length + zeros, 0);
            let whole = |end: usize| cut.get(..end) == Some(&bytes[..end]);
            let count = before + ends.iter().filter(|end| whole(**end)).count();
            let mut files = files.clone();
            files.insert(last.clone(), cut);
            check_survivors(&files, &records, count);
        }
    }
    for length in 0..HEADER_BYTES {
        let mut files = files.clone();
        files.insert(last.clone(), bytes[..length].to_vec());
        check_refused(&files, &format!("simulated/{last}, byte {length}: "));
    }
}

#[test]
fn a_flipped_bit_is_refused_unless_it_is_in_the_last_record() {
    let groups = groups();
    let (files, names) = written(&groups, &TINY);
    let records = groups.concat();
    let last = names.len() - 1;
    for (index, name) in names.iter().enumerate() {
        let frames = frames(&files[name]);
        let last_frame = frames[frames.len() - 2];
        for at in 0..files[name].len() {
            let mut files = files.clone();
            files.get_mut(name).unwrap()[at] ^= 1 << (at % 8);
            if index == last && at >= last_frame {
                check_survivors(&files, &records, records.len() - 1);
                continue;
            }
            let place = format!("simulated/{name}, byte ");
            check_refused(&files, &place);
            if let Some(frame) = frames.iter().rfind(|frame| **frame <= at) {
                check_refused(&files, &format!("{place}{frame}: "));
            }
        }
    }
}

#[test]
fn damage_within_the_last_group_is_no_unfinished_write() {
    let group: Vec<Bytes> = (0..4).map(text).collect();
    let (files, names) = written(std::slice::from_ref(&group), &SMALL);
    let frames = frames(&files[&names[0]]);
    for at in frames[0]..frames[3] {
        let mut files = files.clone();
        files.get_mut(&names[0]).unwrap()[at] ^= 0x10;
        let frame = frames.iter().rfind(|frame| **frame <= at).unwrap();
        check_refused(&files, &format!("byte {frame}: "));
    }
}

#[test]
fn unwritten_sectors_excuse_only_the_last_group() {
    let mut random = Random::new(3);
    let group: Vec<Bytes> = (0..40).map(|_| random.record(90)).collect();
    let last = vec![text("a group behind")];
    let one = LocalOptions::default();
    let (unsynced, names) = written(&[vec![text("first")], group.clone()], &one);
    let (synced, _) = written(&[vec![text("first")], group.clone(), last], &one);
    let records = [vec![text("first")], group].concat();
    let frames = frames(&unsynced[&names[0]]);
    for sector in 1..unsynced[&names[0]].len() / 512 {
        let lost = sector * 512..(sector + 1) * 512;
        let zeroed = |files: &Files| {
            let mut files = files.clone();
            files.get_mut(&names[0]).unwrap()[lost.clone()].fill(0);
            files
        };
        let count = frames[1..].iter().filter(|end| **end <= lost.start).count();
        check_survivors(&zeroed(&unsynced), &records, count);
        check_refused(&zeroed(&synced), &format!("byte {}: ", frames[count]));
    }
}

#[test]
fn a_missing_segment_is_refused() {
    let (files, names) = written(&groups(), &TINY);
    let mut without = files.clone();
    without.remove(&names[1]);
    let place = format!("simulated/{}, byte 0: it begins with record", names[2]);
    check_refused(&without, &place);

    // Under another name it is none of this log.
    let mut renamed = files.clone();
    let middle = renamed.remove(&names[1]).unwrap();
    renamed.insert(segment::name(Seq(1000)), middle);
    check_refused(&renamed, "byte 0: it begins with record");
    let mut swapped = files.clone();
    swapped.insert(names[1].clone(), files[&names[2]].clone());
    check_refused(&swapped, &format!("simulated/{}, byte 0: the header is that of", names[1]));
}

#[test]
fn segments_that_are_not_needed_are_not_missed() {
    let groups = groups();
    let (mut files, names) = written(&groups, &TINY);
    let third = segment::first_seq(&names[2]).unwrap();
    files.remove(&names[1]);
    files.get_mut(&names[0]).unwrap()[0] ^= 1;
    let disk = Simulated::with(&files);
    let after = third.previous();
    let writer = Writer::open(Arc::new(disk.clone()), &LocalOptions { after, ..TINY }).unwrap();
    let expected = &groups.concat()[after.0 as usize..];
    assert_eq!(read(&disk, &writer, after.0).unwrap(), numbered(third.0, expected));
    assert!(!disk.files().contains_key(&names[0]));
}

#[test]
fn a_newer_format_is_refused() {
    let (mut files, names) = written(&groups(), &TINY);
    let bytes = files.get_mut(&names[1]).unwrap();
    bytes[8] = 9;
    check_refused(&files, &format!("simulated/{}, byte 8: format version 9 is newer", names[1]));
}

#[test]
fn a_length_is_not_believed() {
    let groups = vec![vec![text("a")], vec![text("b")]];
    let (mut files, names) = written(&groups, &SMALL);
    let bytes = files.get_mut(&names[0]).unwrap();
    let (_, seed) = Header::decode(bytes).unwrap();
    let mut frame = Frame::of(b"c", Seq(3), 0);
    frame.length = u32::MAX;
    bytes.extend_from_slice(&frame.encode(seed));
    bytes.extend_from_slice(b"only this");
    check_survivors(&files, &groups.concat(), 2);
}

#[test]
fn what_looks_like_a_frame_within_a_record_proves_nothing() {
    // The frames of another log, with positions that would fit, in a record that was cut off.
    let later: Vec<Vec<Bytes>> = (0..9).map(|count| vec![text(count)]).collect();
    let (other, names) = written(&later, &LocalOptions::default());
    let first = vec![text("first")];
    let hostile = Bytes::from([other[&names[0]].clone(), vec![1; 100]].concat());
    let (mut files, names) = written(&[first.clone(), vec![hostile]], &LocalOptions::default());
    let bytes = files.get_mut(&names[0]).unwrap();
    bytes.truncate(bytes.len() - 1);
    check_survivors(&files, &first, 1);
}

#[test]
fn a_damaged_epoch_is_refused_and_a_lost_one_taken_from_the_segments() {
    let (files, _) = written(&groups(), &TINY);
    for at in 0..files["epoch"].len() {
        let mut files = files.clone();
        files.get_mut("epoch").unwrap()[at] ^= 4;
        check_refused(&files, "simulated/epoch, byte 0: not an epoch");
    }
    let mut files = files;
    files.remove("epoch");
    let writer = open(&Simulated::with(&files)).unwrap();
    assert_eq!(writer.held().lock().epoch, 2);
}
