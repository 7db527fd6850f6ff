//! Random operations on a store that fails, compared with what was acknowledged.

use super::*;

struct Model {
    acknowledged: BTreeMap<Seq, Bytes>,
    /// May be in the log or not; every record is appended once.
    refused: BTreeSet<Bytes>,
    trimmed: Seq,
}

impl Model {
    async fn check(&self, wal: &ObjectWal) {
        let replayed = replayed(wal, self.trimmed.0).await.unwrap();
        let seqs = replayed.iter().map(|(seq, _)| seq.0);
        assert!(seqs.eq(self.trimmed.0 + 1..=wal.status().last.0), "positions are dense");
        let mut seen = BTreeSet::new();
        for (seq, record) in &replayed {
            assert!(seen.insert(record), "record {seq} is there twice");
            match self.acknowledged.get(seq) {
                Some(acknowledged) => assert_eq!(acknowledged, record, "record {seq}"),
                None => assert!(self.refused.contains(record), "record {seq}"),
            }
        }
        let last = self.acknowledged.keys().next_back().copied().unwrap_or(Seq::START);
        assert!(last <= wal.status().last, "acknowledged records are lost");
    }
}

async fn run(seed: u64) {
    let mut random = Random::new(seed);
    let memory = Arc::new(InMemory::new());
    let store = Faulty::new(&memory, seed);
    let mut options = [options(), patient()][random.below(2)].clone();
    let mut model =
        Model { acknowledged: BTreeMap::new(), refused: BTreeSet::new(), trimmed: Seq::START };
    let mut owners: Vec<ObjectWal> = Vec::new();
    let mut count = 0;
    for _ in 0..50 {
        match random.below(10) {
            0 | 1 => {
                store.fail(random.below(40), random.below(40));
                options.after = [Seq::START, model.trimmed][random.below(2)];
                // One that fails may have fenced the others all the same.
                owners.extend(open_with(&store, options.clone()).await);
                store.fail(0, 0);
            }
            2 => {
                if let Some(wal) = owners.last() {
                    let upto = Seq(random.below(wal.status().last.0 as usize + 1) as u64);
                    model.trimmed = model.trimmed.max(upto);
                    store.fail(random.below(40), 0);
                    let _ = wal.trim(upto).await;
                    store.fail(0, 0);
                }
            }
            _ => {
                // An owner of before is fenced, or finds that the one after it never was.
                let late = random.below(4) == 0 && owners.len() > 1;
                let index = owners.len().checked_sub(1 + usize::from(late));
                let Some(wal) = index.map(|index| &owners[index]) else { continue };
                store.fail(random.below(40), random.below(40));
                let length = random.below(400);
                let records: Vec<Bytes> = (0..=random.below(5))
                    .map(|_| {
                        count += 1;
                        text(format_args!("{count} {}", "x".repeat(length)))
                    })
                    .collect();
                let appended = join_all(records.iter().map(|record| wal.append(record.clone())));
                for (appended, record) in appended.await.into_iter().zip(records) {
                    match appended {
                        Ok(seq) => {
                            assert!(!late, "an owner of before appends");
                            assert!(model.acknowledged.insert(seq, record).is_none());
                        }
                        Err(_) => drop(model.refused.insert(record)),
                    }
                }
                store.fail(0, 0);
            }
        }
    }
    options.after = Seq::START;
    let wal = open_with(&memory, options).await.unwrap();
    model.check(&wal).await;
    assert!(append(&wal, "goes on").await.unwrap() > Seq::START);
}

#[test]
fn acknowledged_records_survive_a_failing_store() {
    with_seeds(200, |seed| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.unwrap().block_on(run(seed));
    });
}
