//! Data folders and projects.

use hedgerow_engine::{ErrorKind, EventStore, Location, ProjectId};

#[tokio::test]
async fn a_missing_folder_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let check = async |location: String, message: String| {
        let error = EventStore::open(&Location(location)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Storage);
        assert_eq!(error.message, message);
    };
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("file"), "").unwrap();
    std::fs::create_dir(path("empty")).unwrap();
    check(path("missing"), format!("no data folder at {}", path("missing"))).await;
    check(path("empty"), format!("no data folder at {}", path("empty"))).await;
    check(path("file"), format!("{} is not a folder", path("file"))).await;
    check(String::new(), "not a data folder or URL: ''".to_owned()).await;
    check("ftp://x/y".to_owned(), "not a data folder or URL: 'ftp://x/y'".to_owned()).await;
}

#[tokio::test]
async fn another_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::from(folder.path());
    EventStore::create(&location).await.unwrap();
    for (version, hint) in [(3, "Use the newer Hedgerow"), (1, "It was written before")] {
        let format = format!(r#"{{"version":{version}}}"#);
        std::fs::write(folder.path().join("hedgerow.json"), format).unwrap();
        for outcome in [EventStore::open(&location).await, EventStore::create(&location).await] {
            let error = outcome.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Storage);
            let message = format!("has format {version}, and this Hedgerow reads 2");
            assert!(error.message.ends_with(&message), "{}", error.message);
            assert!(error.hint.unwrap().starts_with(hint));
        }
    }
    std::fs::write(folder.path().join("hedgerow.json"), "damaged").unwrap();
    let error = EventStore::open(&location).await.unwrap_err();
    assert_eq!(error.message, "hedgerow.json is damaged");
}

#[tokio::test]
async fn a_folder_with_strange_characters_works() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::from(folder.path().join("a b%20c#d?é").as_path());
    EventStore::create(&location).await.unwrap().create_project("p").await.unwrap();
    let projects = EventStore::open(&location).await.unwrap().projects().await.unwrap();
    assert_eq!(projects, [("p".to_owned(), ProjectId(1))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn projects_get_one_number_each() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::from(folder.path());
    // As two processes would.
    let (one, two) = tokio::join!(EventStore::create(&location), EventStore::create(&location));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert!(one.projects().await.unwrap().is_empty());
    let (a, same, b, c) = tokio::join!(
        one.create_project("a"),
        two.create_project("a"),
        one.create_project("b"),
        two.create_project("c"),
    );
    let (a, b, c) = (a.unwrap(), b.unwrap(), c.unwrap());
    assert_eq!(same.unwrap(), a);
    let mut ids = [a, b, c];
    ids.sort();
    assert_eq!(ids, [ProjectId(1), ProjectId(2), ProjectId(3)]);
    assert_eq!(one.projects().await.unwrap(), two.projects().await.unwrap());
    assert_eq!(one.projects().await.unwrap().len(), 3);

    for bad in ["", "a\nb", &"x".repeat(129)] {
        let error = one.create_project(bad).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidArgument);
    }
}
