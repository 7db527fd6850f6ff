//! Owners who do not know yet that they are none, and replies that are lost.

use super::*;

fn check_fenced(result: Result<Seq>, wal: &ObjectWal) {
    let error = result.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Storage);
    let expected = "another process has taken over the write-ahead log";
    assert!(error.message.starts_with(expected), "{error}");
    assert_eq!(wal.status().failed, Some(error.message));
}

#[tokio::test]
async fn the_owner_before_is_fenced_and_stays_so() {
    let store = Arc::new(InMemory::new());
    let first = open(&store).await.unwrap();
    append(&first, "a").await.unwrap();
    let second = open(&store).await.unwrap();
    for _ in 0..3 {
        check_fenced(append(&first, "late").await, &first);
    }
    assert!(first.trim(Seq(1)).await.is_err());
    append(&second, "b").await.unwrap();
    let third = open(&store).await.unwrap();
    check_fenced(append(&second, "late").await, &second);
    check_fenced(append(&first, "late").await, &first);
    append(&third, "c").await.unwrap();
    let expected = numbered(1, &[text("a"), text("b"), text("c")]);
    assert_eq!(replayed(&third, 0).await.unwrap(), expected);
}

#[tokio::test]
async fn an_owner_who_never_appended_is_fenced() {
    let store = Arc::new(InMemory::new());
    let idle = open(&store).await.unwrap();
    let also_idle = open(&store).await.unwrap();
    let wal = open(&store).await.unwrap();
    assert_eq!(append(&wal, "a").await.unwrap(), Seq(1));
    wal.trim(Seq(1)).await.unwrap();
    check_fenced(append(&idle, "late").await, &idle);
    check_fenced(append(&also_idle, "late").await, &also_idle);
    let wal = open(&store).await.unwrap();
    assert_eq!(replayed(&wal, 0).await.unwrap(), numbered(1, &[text("a")]));
}

#[tokio::test]
async fn a_put_that_arrives_after_the_seal_is_refused() {
    let memory = Arc::new(InMemory::new());
    let slow = Faulty::new(&memory, 1);
    let first = open_with(&slow, patient()).await.unwrap();
    append(&first, "a").await.unwrap();
    let held_back = slow.gate.lock().await;
    let mut late = Box::pin(append(&first, "late"));
    for _ in 0..10 {
        assert!(futures::poll!(&mut late).is_pending());
        tokio::task::yield_now().await;
    }
    let second = open(&memory).await.unwrap();
    append(&second, "b").await.unwrap();
    second.trim(Seq(2)).await.unwrap();
    drop(held_back);
    check_fenced(late.await, &first);
    let third = open(&memory).await.unwrap();
    assert_eq!(replayed(&third, 1).await.unwrap(), [(Seq(2), text("b"))]);
}

#[tokio::test]
async fn a_put_that_arrives_before_the_seal_counts() {
    let memory = Arc::new(InMemory::new());
    let lossy = Faulty::new(&memory, 1);
    let first = open(&lossy).await.unwrap();
    lossy.fail(0, 100);
    append(&first, "stored, but who knows").await.unwrap_err();
    lossy.fail(0, 0);
    let second = open(&memory).await.unwrap();
    assert_eq!(append(&second, "b").await.unwrap(), Seq(2));
    let expected = numbered(1, &[text("stored, but who knows"), text("b")]);
    assert_eq!(replayed(&second, 0).await.unwrap(), expected);
}

#[tokio::test]
async fn a_put_of_which_the_owner_does_not_know_fences_it_too() {
    let memory = Arc::new(InMemory::new());
    let lossy = Faulty::new(&memory, 1);
    let first = open(&lossy).await.unwrap();
    append(&first, "a").await.unwrap();
    lossy.fail(0, 100);
    append(&first, "stored, but who knows").await.unwrap_err();
    lossy.fail(0, 0);
    let second = open(&memory).await.unwrap();
    second.trim(Seq(2)).await.unwrap();
    assert_eq!(second.status().segments, 0);
    // The first owner still believes that position 2 is free.
    check_fenced(append(&first, "late").await, &first);
    let third = open(&memory).await.unwrap();
    assert_eq!(append(&third, "b").await.unwrap(), Seq(3));
}

#[tokio::test]
async fn a_lost_reply_is_seen_through() {
    let memory = Arc::new(InMemory::new());
    let lossy = Faulty::new(&memory, 3);
    lossy.fail(0, 50);
    let wal = open_with(&lossy, patient()).await.unwrap();
    for count in 1..=50 {
        assert_eq!(append(&wal, count).await.unwrap(), Seq(count));
    }
    let records: Vec<Bytes> = (1..=50).map(text).collect();
    assert_eq!(replayed(&wal, 0).await.unwrap(), numbered(1, &records));
}

#[tokio::test]
async fn a_group_that_was_given_up_but_stored_comes_before_the_next() {
    let memory = Arc::new(InMemory::new());
    let lossy = Faulty::new(&memory, 1);
    let wal = open(&lossy).await.unwrap();
    lossy.fail(0, 100);
    append(&wal, "given up").await.unwrap_err();
    lossy.fail(0, 0);
    assert_eq!(append(&wal, "next").await.unwrap(), Seq(2));
    // The same bytes are the same append.
    lossy.fail(0, 100);
    append(&wal, "again").await.unwrap_err();
    lossy.fail(0, 0);
    assert_eq!(append(&wal, "again").await.unwrap(), Seq(3));
    let expected = numbered(1, &[text("given up"), text("next"), text("again")]);
    assert_eq!(replayed(&wal, 0).await.unwrap(), expected);
}

#[tokio::test]
async fn an_opening_that_failed_halfway_hinders_nobody() {
    let memory = Arc::new(InMemory::new());
    let first = open(&memory).await.unwrap();
    append(&first, "a").await.unwrap();
    // Seeds decide after how many requests it fails.
    let mut opened = 0;
    for seed in 1..200 {
        let store = Faulty::new(&memory, seed);
        store.fail(4, 4);
        if let Ok(wal) = open(&store).await {
            store.fail(0, 0);
            append(&wal, opened).await.unwrap();
            opened += 1;
        }
    }
    assert!(opened > 5, "{opened}");
    check_fenced(append(&first, "late").await, &first);
    let wal = open(&memory).await.unwrap();
    let records: Vec<Bytes> = (0..opened).map(text).collect();
    let expected = numbered(1, &[&[text("a")], records.as_slice()].concat());
    assert_eq!(replayed(&wal, 0).await.unwrap(), expected);
}

#[tokio::test]
async fn an_owner_who_could_stay_ahead_gives_up() {
    let memory = Arc::new(InMemory::new());
    let wal = open(&memory).await.unwrap();
    append(&wal, "a").await.unwrap();
    // Another one claims, and gets no further.
    let claim = PutPayload::from_static(b"a claim");
    memory.put(&Path::from(name(2, 0)), claim).await.unwrap();
    let mut appended = 1;
    let error = loop {
        match append(&wal, appended).await {
            Ok(_) => appended += 1,
            Err(error) => break Err(error),
        }
    };
    check_fenced(error, &wal);
    assert!(appended < 100, "{appended}");
}

/// Several owners in a row, each of which appends until it is fenced by the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn owners_who_fence_each_other_lose_nothing() {
    let memory = Arc::new(InMemory::new());
    let mut owners = Vec::new();
    for owner in 0..8 {
        let store = Faulty::new(&memory, owner);
        store.fail(5, 5);
        let wal = open_with(&store, patient()).await.unwrap();
        let (begun, begins) = tokio::sync::oneshot::channel();
        let last = owner == 7;
        owners.push(tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            let mut begun = Some(begun);
            for count in 0.. {
                let records = (0..3).map(|caller| text(format_args!("{owner} {count} {caller}")));
                let appends =
                    records.map(async |record| (wal.append(record.clone()).await, record));
                let mut fenced = false;
                for (appended, record) in join_all(appends).await {
                    match appended {
                        Ok(seq) => acknowledged.push((seq, record)),
                        Err(_) => fenced = true,
                    }
                }
                if count == 3
                    && let Some(begun) = begun.take()
                {
                    let _ = begun.send(());
                }
                if fenced || (last && count == 20) {
                    break;
                }
            }
            (acknowledged, wal)
        }));
        let _ = begins.await;
    }
    let mut acknowledged = Vec::new();
    for (index, owner) in owners.into_iter().enumerate() {
        let (records, wal) = owner.await.unwrap();
        assert_eq!(wal.status().failed.is_some(), index < 7);
        acknowledged.extend(records);
    }
    acknowledged.sort();
    let wal = open(&memory).await.unwrap();
    let replayed = replayed(&wal, 0).await.unwrap();
    // Patience sees every put through, so nothing is in the log that was not acknowledged.
    assert_eq!(replayed, acknowledged);
}

#[tokio::test]
async fn a_folder_of_files_fences_too() {
    let folder = tempfile::tempdir().unwrap();
    let files = object_store::local::LocalFileSystem::new_with_prefix(folder.path()).unwrap();
    let store = Arc::new(files);
    let first = open_with(&store, patient()).await.unwrap();
    append(&first, "a").await.unwrap();
    let second = open_with(&store, patient()).await.unwrap();
    check_fenced(append(&first, "late").await, &first);
    assert_eq!(replayed(&second, 0).await.unwrap(), numbered(1, &[text("a")]));
}

#[tokio::test]
async fn a_store_without_conditional_put_is_refused() {
    let store = Faulty::new(&Arc::new(InMemory::new()), 1);
    store.refuse_conditions();
    let error = open_with(&store, patient()).await.unwrap_err();
    assert!(error.message.contains("conditional put not yet implemented"), "{error}");
}
