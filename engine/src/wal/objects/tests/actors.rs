//! Servers that open, append, replay, trim and die at the same time, on a store that is slow, fails
//! and does what it was asked for long after it was given up. All of it in one thread, so that a
//! seed decides who has its turn.

use std::cell::RefCell;
use std::rc::Rc;

use super::*;

/// What everybody may rely on.
#[derive(Default)]
struct World {
    acknowledged: BTreeMap<Seq, Bytes>,
    refused: BTreeSet<Bytes>,
    /// The last record that the tables have.
    committed: u64,
    appended: usize,
}

async fn act(world: Rc<RefCell<World>>, memory: Arc<InMemory>, seed: u64) {
    let mut random = Random::new(seed);
    let store = Faulty::new(&memory, seed);
    store.be_slow_and_late(random.below(15));
    let mut wal: Option<ObjectWal> = None;
    for _ in 0..25 {
        store.fail(random.below(10), random.below(10));
        let Some(open) = &wal else {
            let after = Seq([0, world.borrow().committed][random.below(2)]);
            let options = [options(), patient()][random.below(2)].clone();
            wal = open_with(&store, ObjectOptions { after, ..options }).await.ok();
            continue;
        };
        match random.below(10) {
            0 => wal = None,
            1 => check(&world, open).await,
            2 | 3 => {
                // Tables are committed by their owner, who may be one no more.
                let last = open.status().last.0;
                let upto = {
                    let mut world = world.borrow_mut();
                    world.committed = world.committed.max(random.below(last as usize + 1) as u64);
                    world.committed.min(last)
                };
                let _ = open.trim(Seq(upto)).await;
            }
            _ => {
                let records: Vec<Bytes> = (0..=random.below(3))
                    .map(|_| {
                        world.borrow_mut().appended += 1;
                        text(world.borrow().appended)
                    })
                    .collect();
                let appended = join_all(records.iter().map(|record| open.append(record.clone())));
                let appended = appended.await;
                if appended.iter().any(Result::is_err) && random.percent(30) {
                    wal = None;
                }
                let mut world = world.borrow_mut();
                for (appended, record) in appended.into_iter().zip(records) {
                    match appended {
                        Ok(seq) => {
                            let before = world.acknowledged.insert(seq, record);
                            assert_eq!(before, None, "position {seq} was given twice");
                        }
                        Err(_) => drop(world.refused.insert(record)),
                    }
                }
            }
        }
    }
}

/// Compares what a log has with what was acknowledged before it was asked.
async fn check(world: &RefCell<World>, wal: &ObjectWal) {
    let (committed, acknowledged) = {
        let world = world.borrow();
        (world.committed, world.acknowledged.clone())
    };
    let last = wal.status().last;
    // Somebody may have trimmed, or the store failed.
    let Ok(mut replayed) = replayed(wal, committed.min(last.0)).await else { return };
    // Where records were removed meanwhile, a request that comes late can have put others.
    replayed.retain(|(seq, _)| seq.0 > world.borrow().committed);
    compare(&replayed, &acknowledged, &world.borrow());
}

fn compare(replayed: &[(Seq, Bytes)], acknowledged: &BTreeMap<Seq, Bytes>, world: &World) {
    let mut seen = BTreeSet::new();
    for (seq, record) in replayed {
        assert!(seen.insert(record), "record {seq} is there twice");
        match acknowledged.get(seq) {
            Some(acknowledged) => assert_eq!(acknowledged, record, "record {seq}"),
            // Appended by somebody who does not know yet, or never will.
            None => assert!(!acknowledged.values().any(|other| other == record), "{seq}"),
        }
    }
    assert!(replayed.len() <= world.appended);
}

async fn run(seed: u64) {
    let world = Rc::new(RefCell::new(World::default()));
    let memory = Arc::new(InMemory::new());
    let actors = (0..3).map(|actor| {
        let (world, memory) = (Rc::clone(&world), Arc::clone(&memory));
        tokio::task::spawn_local(act(world, memory, seed * 100 + actor))
    });
    for actor in join_all(actors).await {
        actor.unwrap();
    }
    let wal = open(&memory).await.unwrap();
    let committed = world.borrow().committed;
    let replayed = replayed(&wal, committed).await.unwrap();
    let world = world.borrow();
    let seqs = replayed.iter().map(|(seq, _)| seq.0);
    assert!(seqs.eq(world.committed + 1..=wal.status().last.0), "positions are dense");
    compare(&replayed, &world.acknowledged, &world);
    for (seq, record) in world.acknowledged.range(Seq(world.committed + 1)..) {
        assert!(replayed.contains(&(*seq, record.clone())), "record {seq} is lost");
    }
    let known = |record: &Bytes| world.refused.contains(record);
    for (seq, record) in &replayed {
        assert!(world.acknowledged.contains_key(seq) || known(record), "record {seq}");
    }
}

#[test]
fn many_owners_at_a_time_lose_nothing() {
    with_seeds(100, |seed| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, run(seed));
    });
}
