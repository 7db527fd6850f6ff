use object_store::ObjectStore;
use object_store::memory::InMemory;

use super::*;
use crate::storage::Location;
use crate::storage::scan::tests::{commit, put};
use crate::storage::testing::Faulty;

fn location() -> Location {
    Location("s3://bucket/upkeep".to_owned())
}

/// How many events all files hold, each of which is there.
async fn events(store: &EventStore) -> usize {
    let snapshot = store.snapshot().await.unwrap();
    let mut rows = 0;
    for part in snapshot.parts() {
        let mut batches = store.read_part(part, &[TEAM_ID]).await.unwrap();
        while let Some(batch) = batches.try_next().await.unwrap() {
            rows += batch.num_rows();
        }
    }
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_a_commit_that_may_be_there_stay() {
    let objects = Arc::new(InMemory::new());
    let open = || Faulty::new(Arc::clone(&objects), 1, 0, 0);
    let sound: Arc<dyn ObjectStore> = open();
    let store = EventStore::create_in(sound, &location()).await.unwrap();
    let small = [put(&store, &[(1, "e", "a", 1)]).await, put(&store, &[(1, "e", "b", 2)]).await];
    commit(&store, small.into()).await;

    let faulty = open();
    let upkeep = Arc::<Faulty>::clone(&faulty) as Arc<dyn ObjectStore>;
    let upkeep = EventStore::open_in(upkeep, &location()).await.unwrap();
    faulty.lose_next_commit();
    upkeep.maintain(&MaintainOptions::default()).await.unwrap_err();
    assert_eq!(store.snapshot().await.unwrap().parts().count(), 1, "it is there");
    assert_eq!(events(&store).await, 2);
}
