//! Short lives of servers over one object store that fails.
//!
//! Senders repeat what they get no answer to, files are rewritten, others import and look, and lives
//! end in the middle of anything, as with `kill -9`. Chance comes from a seed, but time is real: two
//! runs of a seed are alike, and need not be the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use chrono::Utc;
use datafusion::prelude::SessionContext;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};

use super::{Ingest, IngestOptions};
use crate::error::ErrorKind;
use crate::ingest::{ImportOptions, Senders, Source, capture, import};
use crate::storage::testing::Faulty;
use crate::storage::{EventStore, Location, MaintainOptions, ProjectId};
use crate::wal::testing::seeds;

const SEEDS: u64 = 12;
const LIVES: u64 = 8;
const SENDERS: u64 = 3;
/// Events of a request, which are there all or none.
const EVENTS_MAX: u64 = 5;
const TRIES_MAX: u32 = 100;

/// How a request comes in; it keeps to it, since a repeat that comes another way is in queries until
/// it is moved into files.
#[derive(Debug, Clone, Copy)]
enum Way {
    Append,
    Import,
}

/// What the senders know, over all lives.
#[derive(Debug, Default)]
struct Sent {
    /// How many events each request had, and whether it was acknowledged.
    requests: BTreeMap<u64, (u64, bool)>,
}

#[derive(Debug, Clone)]
struct World {
    seed: u64,
    objects: Arc<InMemory>,
    sent: Arc<Mutex<Sent>>,
}

fn location() -> Location {
    Location("s3://bucket/simulated".to_owned())
}

/// The events of a request, as lines of JSON.
fn events(request: u64, count: u64) -> Vec<String> {
    let event = |number: u64| {
        let uuid = uuid::Uuid::from_u128(u128::from(request * EVENTS_MAX + number));
        format!(
            r#"{{"uuid":"{uuid}","event":"e","distinct_id":"{request}","timestamp":"2026-01-0{}","properties":{{"of":{count}}}}}"#,
            request % 3 + 1,
        )
    };
    (0..count).map(event).collect()
}

fn rows(project: ProjectId, request: u64, count: u64) -> RecordBatch {
    let body = format!("[{}]", events(request, count).join(","));
    capture(&Senders::Anyone(project), body.as_bytes(), Utc::now()).unwrap().1
}

impl World {
    fn process(&self, life: u64, refused: u32, lost: u32) -> Arc<Faulty> {
        Faulty::new(Arc::clone(&self.objects), self.seed * 1000 + life, refused, lost)
    }

    /// A new request, or one that somebody got no answer to.
    fn request(&self, way: Way, chance: &mut StdRng) -> (u64, u64) {
        let mut sent = self.sent.lock();
        let of_way = sent.requests.iter().filter(|(number, _)| *number % 2 == way as u64);
        let count = of_way.clone().count() as u64;
        let open: Vec<_> = of_way.filter(|(_, (_, done))| !done).collect();
        if !open.is_empty() && chance.random_bool(0.5) {
            let (number, (count, _)) = open[chance.random_range(0..open.len())];
            return (*number, *count);
        }
        let (number, count) = (count * 2 + way as u64, chance.random_range(1..=EVENTS_MAX));
        sent.requests.insert(number, (count, false));
        (number, count)
    }

    fn acknowledged(&self, request: u64) {
        if let Some((_, done)) = self.sent.lock().requests.get_mut(&request) {
            *done = true;
        }
    }

    /// Every request as a look at the store finds it: once and whole, or not at all; those that were
    /// acknowledged when it began are there.
    async fn check(&self, store: &EventStore, project: ProjectId, who: &str) {
        let before: BTreeSet<u64> = {
            let sent = self.sent.lock();
            sent.requests.iter().filter(|(_, (_, done))| *done).map(|(number, _)| *number).collect()
        };
        let context = SessionContext::new();
        let (url, objects) = store.object_store();
        context.register_object_store(url, Arc::clone(objects));
        let Ok(snapshot) = store.snapshot().await else { return };
        context.register_table("events", store.events(&snapshot, project)).unwrap();
        let sql = "select arrow_cast(distinct_id, 'Int64'), count(*), count(distinct uuid) \
                   from events group by 1";
        // The store may fail meanwhile.
        let Ok(found) = context.sql(sql).await.unwrap().collect().await else { return };
        let mut there = BTreeSet::new();
        for batch in found {
            let column = |at: usize| batch.column(at).as_primitive::<Int64Type>().values().to_vec();
            for ((request, rows), distinct) in column(0).into_iter().zip(column(1)).zip(column(2)) {
                let request = request as u64;
                let (count, _) = self.sent.lock().requests[&request];
                let found = (rows as u64, distinct as u64);
                assert_eq!(found, (count, count), "seed {}, {who}: request {request}", self.seed);
                there.insert(request);
            }
        }
        let missing: Vec<_> = before.difference(&there).collect();
        assert!(missing.is_empty(), "seed {}, {who}: {missing:?} are gone", self.seed);
    }

    /// A server that senders send to while files are rewritten and others look and import, for a while.
    async fn live(&self, life: u64, faulty: Arc<Faulty>) {
        let mut chance = StdRng::seed_from_u64(self.seed * 1000 + 100 + life);
        let store = Arc::<Faulty>::clone(&faulty) as Arc<dyn ObjectStore>;
        let store =
            again(async || EventStore::open_in(Arc::clone(&store), &location()).await).await;
        let project = again(async || store.create_project("default").await).await;
        let options = IngestOptions {
            flush_after: Duration::from_millis(chance.random_range(20..500)),
            ..IngestOptions::default()
        };
        // One that fails midway has the log; the next one takes it over.
        let ingest = Arc::new(
            again(async || Ingest::open(&store, &location(), options.clone()).await).await,
        );
        // After a start everything is there that anybody was told is there.
        self.check(&store, project, "at the start").await;
        let mut actors = tokio::task::JoinSet::new();
        for sender in 0..SENDERS {
            let (world, ingest) = (self.clone(), Arc::clone(&ingest));
            let mut chance = StdRng::seed_from_u64(self.seed * 1000 + 200 + life * 10 + sender);
            actors.spawn(async move {
                loop {
                    let (request, count) = world.request(Way::Append, &mut chance);
                    match ingest.append(project, rows(project, request, count)).await {
                        Ok(_) => world.acknowledged(request),
                        Err(error) => assert_eq!(error.kind, ErrorKind::Storage, "{error}"),
                    }
                    sleep(Duration::from_millis(chance.random_range(0..60))).await;
                }
            });
        }
        let (world, others) = (self.clone(), store.clone());
        let mut other_chance = StdRng::seed_from_u64(self.seed * 1000 + 500 + life);
        actors.spawn(async move {
            loop {
                sleep(Duration::from_millis(other_chance.random_range(0..300))).await;
                match other_chance.random_range(0..3) {
                    0 => {
                        let options = MaintainOptions { workers: 1, ..MaintainOptions::default() };
                        let _ = others.maintain(&options).await;
                    }
                    1 => {
                        let (request, count) = world.request(Way::Import, &mut other_chance);
                        let reader = std::io::Cursor::new(events(request, count).join("\n"));
                        let name = "simulated".to_owned();
                        let source = Source::Reader { name, reader: Box::new(reader) };
                        let options = ImportOptions::default();
                        if import(&others, project, vec![source], options, &mut ()).await.is_ok() {
                            world.acknowledged(request);
                        }
                    }
                    _ => world.check(&others, project, "meanwhile").await,
                }
            }
        });
        let end = Duration::from_millis(chance.random_range(100..1500));
        let ended = timeout(end, actors.join_next()).await;
        if let Ok(Some(Err(error))) = ended {
            std::panic::resume_unwind(error.into_panic());
        }
        faulty.die();
    }
}

/// Repeats what fails, as a supervisor would.
async fn again<T>(work: impl AsyncFn() -> crate::Result<T>) -> T {
    let mut last = None;
    for _ in 0..TRIES_MAX {
        match work().await {
            Ok(done) => return done,
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::Storage, "{error}");
                last = Some(error);
            }
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("it never succeeds: {last:?}");
}

fn simulate(seed: u64) {
    let world = World { seed, objects: Arc::default(), sent: Arc::default() };
    let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
    let sound = |life| world.process(life, 0, 0) as Arc<dyn ObjectStore>;
    let project = runtime().block_on(async {
        let store = EventStore::create_in(sound(900), &location()).await.unwrap();
        store.create_project("default").await.unwrap()
    });
    for life in 0..LIVES {
        let (refused, lost) = [(0, 0), (10, 0), (0, 10), (10, 10)][(life % 4) as usize];
        let faulty = world.process(life, refused, lost);
        let runtime = runtime();
        runtime.block_on(world.live(life, faulty));
        // With everything that is under way.
        runtime.shutdown_background();
    }
    runtime().block_on(async {
        let store = EventStore::open_in(sound(901), &location()).await.unwrap();
        let ingest = Ingest::open(&store, &location(), IngestOptions::default()).await.unwrap();
        world.check(&store, project, "at the end").await;
        ingest.flush().await.unwrap();
        world.check(&store, project, "in files").await;
        store.maintain(&MaintainOptions::default()).await.unwrap();
        world.check(&store, project, "rewritten").await;
    });
    let sent = world.sent.lock();
    let done = sent.requests.values().filter(|(_, done)| *done).count();
    let all = sent.requests.len();
    assert!(done > 10, "seed {seed}: {done} of {all} requests were acknowledged");
}

#[test]
fn acknowledged_events_are_there_once_whatever_the_store_does() {
    // Most of the time each of them waits.
    std::thread::scope(|scope| {
        for seed in seeds(SEEDS) {
            scope.spawn(move || simulate(seed));
        }
    });
}
