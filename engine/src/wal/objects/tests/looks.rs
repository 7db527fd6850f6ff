//! Whoever looks at a log does not take it over.

use super::*;
use crate::wal::objects::survey::{read, survey};
use crate::wal::{Reading, Sight, Survey};

fn log() -> Path {
    Path::from("wal")
}

async fn seen(store: &Arc<InMemory>, after: u64) -> (Option<Survey>, Vec<Bytes>) {
    let mut records = Vec::new();
    let objects = Arc::clone(store) as Arc<dyn ObjectStore>;
    let mut see = |record| records.push(record);
    (survey(objects, log(), Seq(after), &mut see).await.unwrap(), records)
}

/// How reading ends, the records, and the damage.
async fn whole(store: &Arc<InMemory>, after: u64) -> (Reading, Vec<Seq>, Vec<String>) {
    let (mut records, mut damage) = (Vec::new(), Vec::new());
    let mut see = |sight| match sight {
        Sight::Record(seq, _) => records.push(seq),
        Sight::CutOff(place, _) => damage.push(place),
        Sight::Damage(error) => damage.push(error.message),
    };
    let objects = Arc::clone(store) as Arc<dyn ObjectStore>;
    let reading = read(objects, log(), Seq(after), &mut see).await.unwrap();
    (reading, records, damage)
}

#[tokio::test]
async fn a_look_shows_what_is_held_beside_its_owner() {
    let store = Arc::new(InMemory::new());
    assert_eq!(seen(&store, 0).await, (None, Vec::new()));
    drop(open(&store).await.unwrap());
    let wal = open(&store).await.unwrap();
    for n in 1..=5 {
        append(&wal, n).await.unwrap();
    }
    let before = names(&store).await;
    let (look, records) = seen(&store, 3).await;
    let (look, status) = (look.unwrap(), wal.status());
    assert_eq!((look.is_open, look.epoch, look.last), (None, 2, Seq(5)));
    assert_eq!((look.segments, look.bytes), (status.segments, status.bytes));
    assert_eq!(records, [text(4), text(5)]);
    assert_eq!(names(&store).await, before);
    append(&wal, "goes on").await.unwrap();

    wal.trim(Seq(6)).await.unwrap();
    let (look, records) = seen(&store, 6).await;
    assert_eq!((look.unwrap().last, records.len()), (Seq(6), 0));
}

#[tokio::test]
async fn damage_is_shown_and_nothing_changed() {
    let store = Arc::new(InMemory::new());
    for _ in 0..2 {
        let wal = open(&store).await.unwrap();
        append(&wal, "a").await.unwrap();
        append(&wal, "b").await.unwrap();
    }
    let sound = (Reading::Whole, [1, 2, 3, 4].map(Seq).to_vec(), Vec::new());
    assert_eq!(whole(&store, 0).await, sound);
    assert_eq!(whole(&store, 3).await, (Reading::Whole, vec![Seq(4)], Vec::new()));

    let damaged = Path::from(name(1, 2));
    let bytes = store.get(&damaged).await.unwrap().bytes().await.unwrap();
    let mut changed = bytes.to_vec();
    *changed.last_mut().unwrap() ^= 1;
    store.put(&damaged, PutPayload::from(changed)).await.unwrap();
    let before = names(&store).await;
    let (reading, records, damage) = whole(&store, 0).await;
    assert_eq!((reading, records), (Reading::Whole, [1, 3, 4].map(Seq).to_vec()));
    assert!(damage.len() == 1 && damage[0].contains(damaged.as_ref()), "{damage:?}");
    assert_eq!(names(&store).await, before);
    // What is in files already may be as it will.
    assert_eq!(whole(&store, 2).await.2, [""; 0]);

    store.delete(&damaged).await.unwrap();
    let (_, _, damage) = whole(&store, 0).await;
    assert!(damage[0].contains("record 2 is expected, but 3 is next"), "{damage:?}");
    let (_, _, damage) = whole(&store, 1).await;
    assert!(damage.len() == 1 && damage[0].contains("but 3 is next"), "{damage:?}");
}
