//! Random operations, faults and power cuts, compared with a list of what was acknowledged.

use super::*;
use crate::wal::testing::with_seeds;

/// What the log must hold.
#[derive(Default)]
struct Model {
    /// All records that were ever acknowledged.
    records: Vec<Bytes>,
    /// The group that was refused last, when nobody knows whether it is in the log.
    doubtful: Vec<Bytes>,
    trimmed: usize,
}

impl Model {
    /// Compares, and learns which of the doubtful records survived: the first few of them.
    fn check(&mut self, disk: &Simulated, writer: &Writer) {
        let read_back = read(disk, writer, self.trimmed as u64).unwrap();
        let survived = (self.trimmed + read_back.len()).checked_sub(self.records.len());
        let survived = survived.expect("acknowledged records are lost");
        self.records.extend(self.doubtful.drain(..).take(survived));
        assert_eq!(read_back, numbered(self.trimmed as u64 + 1, &self.records[self.trimmed..]));
        let first = writer.held().lock().segments.first().map(|segment| segment.first);
        if let Some(first) = first {
            let held = read(disk, writer, first.previous().0).unwrap();
            assert_eq!(held, numbered(first.0, &self.records[first.previous().0 as usize..]));
        }
    }
}

/// The death of the process, or of the machine.
fn die(disk: &Simulated, random: &mut Random) {
    match random.percent(50) {
        true => disk.revive(),
        false => disk.restart(),
    }
}

fn run(seed: u64) {
    let mut random = Random::new(seed);
    let disk = Simulated::new(seed);
    let options = LocalOptions { segment_bytes: [100, 1500, 8000][random.below(3)], ..SMALL };
    let mut model = Model::default();
    let mut writer = None;
    for _ in 0..60 {
        let Some(open) = &mut writer else {
            // It may die again while the log is being recovered.
            let after = [0, model.trimmed][random.below(2)];
            if random.percent(20) {
                disk.fail_after(1 + random.below(12) as u64);
            }
            match Writer::open(
                Arc::new(disk.clone()),
                &LocalOptions { after: Seq(after as u64), ..options },
            ) {
                Ok(opened) if !disk.is_off() => {
                    disk.fail_after(u64::MAX);
                    model.check(&disk, &opened);
                    writer = Some(opened);
                }
                Ok(_) => die(&disk, &mut random),
                Err(error) => {
                    assert!(disk.fails(), "{error}");
                    die(&disk, &mut random);
                }
            }
            continue;
        };
        match random.below(20) {
            0 => writer = None,
            1 => disk.fail_after(random.below(10) as u64 + 1),
            2 => disk.set_room(random.below(3000)),
            3 => disk.let_syncs_fail(),
            4..8 => {
                let upto = random.below(model.records.len() + 5);
                model.trimmed = model.trimmed.max(upto.min(model.records.len()));
                if open.trim(Seq(upto as u64)).is_err() {
                    disk.set_room(usize::MAX);
                }
            }
            _ => {
                let bytes_max = [10, 300, 2000][random.below(3)];
                let group = random.records(6, bytes_max);
                match open.commit(&group) {
                    Ok(first) => {
                        assert_eq!(first, Seq(model.records.len() as u64 + 1));
                        model.records.extend(group);
                    }
                    Err(_) => {
                        let poisoned = open.held().lock().poison.is_some();
                        if poisoned && model.doubtful.is_empty() {
                            model.doubtful = group;
                        }
                        disk.set_room(usize::MAX);
                    }
                }
            }
        }
        let poisoned = writer.as_ref().is_some_and(|open| open.held().lock().poison.is_some());
        if disk.is_off() || (poisoned && random.percent(50)) {
            writer = None;
            die(&disk, &mut random);
        }
    }
    disk.restart();
    model.check(&disk, &Writer::open(Arc::new(disk.clone()), &options).unwrap());
}

#[test]
fn acknowledged_records_survive_everything() {
    with_seeds(500, run);
}
