//! A store in S3, on a server inside this process.

#![expect(clippy::unwrap_used, reason = "a failure here is the test failing")]

use std::io::Cursor;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::AsArray;
use async_trait::async_trait;
use hedgerow_engine::ingest::{ImportOptions, Source, import};
use hedgerow_engine::storage::MaintainOptions;
use hedgerow_engine::{ErrorKind, EventStore, Location, ProjectId};
use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use object_store::prefix::PrefixStore;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};

/// Takes requests straight to the server, without a socket.
#[derive(Debug, Clone)]
struct InProcess(S3Service, Faults);

/// How many of a hundred requests go wrong, and how: by chance.
#[derive(Debug, Clone)]
struct Faults {
    chance: Arc<Mutex<StdRng>>,
    /// The server is busy.
    refused: u32,
    /// It does what is asked, and the answer is lost.
    lost: u32,
}

impl Faults {
    fn new(seed: u64, refused: u32, lost: u32) -> Self {
        Self { chance: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))), refused, lost }
    }

    fn dice(&self) -> u32 {
        self.chance.lock().unwrap().random_range(0..100)
    }
}

#[async_trait]
impl HttpService for InProcess {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if self.1.dice() < self.1.refused {
            let mut busy = HttpResponse::new(HttpResponseBody::from(bytes::Bytes::new()));
            *busy.status_mut() = 503.try_into().unwrap();
            return Ok(busy);
        }
        let length = request.body().content_length();
        let mut request = request.map(s3s::Body::http_body);
        // As a connection would.
        request.headers_mut().entry("content-length").or_insert(length.into());
        let response = self.0.call(request).await.map_err(failed)?;
        if self.1.dice() < self.1.lost {
            return Err(HttpError::new(HttpErrorKind::Interrupted, std::io::Error::other("lost")));
        }
        let (head, mut body) = response.into_parts();
        let bytes = body.store_all_limited(1 << 30).await.map_err(failed)?;
        Ok(HttpResponse::from_parts(head, HttpResponseBody::from(bytes)))
    }
}

fn failed(error: impl std::fmt::Debug) -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, std::io::Error::other(format!("{error:?}")))
}

impl HttpConnector for InProcess {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

/// A data folder in a bucket, kept in a local folder.
fn bucket(folder: &std::path::Path, faults: Faults) -> Arc<dyn ObjectStore> {
    std::fs::create_dir_all(folder.join("bucket")).unwrap();
    let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder).unwrap());
    service.set_auth(SimpleAuth::from_single("access", "secret"));
    let s3 = AmazonS3Builder::new()
        .with_bucket_name("bucket")
        .with_region("eu-west-1")
        .with_endpoint("http://localhost")
        .with_allow_http(true)
        .with_access_key_id("access")
        .with_secret_access_key("secret")
        .with_http_connector(InProcess(service.build(), faults))
        .build()
        .unwrap();
    Arc::new(PrefixStore::new(s3, "some/folder"))
}

fn source(events: &[&str]) -> Vec<Source> {
    let lines: String = events
        .iter()
        .map(|name| {
            format!(r#"{{"event":"{name}","distinct_id":"d","timestamp":"2024-01-01"}}"#) + "\n"
        })
        .collect();
    vec![Source::Reader { name: "test".to_owned(), reader: Box::new(Cursor::new(lines)) }]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_lives_in_s3() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location("s3://bucket/some/folder".to_owned());
    let objects = || bucket(folder.path(), Faults::new(0, 0, 0));

    let error = EventStore::open_in(objects(), &location).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Storage);
    assert_eq!(error.message, "no data folder at s3://bucket/some/folder");

    // Two clients that do not know of each other.
    let one = EventStore::create_in(objects(), &location).await.unwrap();
    let two = EventStore::open_in(objects(), &location).await.unwrap();
    let project = one.create_project("default").await.unwrap();
    assert_eq!(two.create_project("default").await.unwrap(), project);
    let options = ImportOptions::default;
    let mut unit = ();
    let report = import(&one, project, source(&["a", "b"]), options(), &mut unit).await.unwrap();
    assert_eq!(report.imported, 2);
    let report = import(&two, project, source(&["b", "c"]), options(), &mut unit).await.unwrap();
    assert_eq!((report.imported, report.duplicates), (1, 1));

    let names = names(&one, project).await;
    assert_eq!(names, ["a", "b", "c"]);
}

/// The names of all events, in order.
async fn names(store: &EventStore, project: ProjectId) -> Vec<String> {
    let context = datafusion::prelude::SessionContext::new();
    let (url, objects) = store.object_store();
    context.register_object_store(url, Arc::clone(objects));
    let snapshot = store.snapshot().await.unwrap();
    context.register_table("events", store.events(&snapshot, project)).unwrap();
    let frame = context.sql("select event from events order by 1").await.unwrap();
    let rows = frame.collect().await.unwrap();
    let names = rows.iter().flat_map(|batch| batch.column(0).as_string_view().iter().flatten());
    names.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_fails_now_and_then() {
    // Requests that are refused are repeated. Of those whose answers are lost not all can be; what
    // is told to have failed is done again.
    for (seed, refused, lost) in [(1, 10, 0), (2, 0, 10), (3, 10, 10)] {
        let folder = tempfile::tempdir().unwrap();
        let location = Location("s3://bucket/some/folder".to_owned());
        let sound = || bucket(folder.path(), Faults::new(0, 0, 0));
        let store = EventStore::create_in(sound(), &location).await.unwrap();
        let project = store.create_project("default").await.unwrap();
        let faulty = bucket(folder.path(), Faults::new(seed, refused, lost));
        let mut failures = 0;
        let mut store = again(&mut failures, async || {
            EventStore::open_in(Arc::clone(&faulty), &location).await
        })
        .await;
        let mut expected = Vec::new();
        for round in 0..6 {
            let events: Vec<String> = (0..10).map(|n| format!("{round}-{n}")).collect();
            again(&mut failures, async || {
                let events: Vec<&str> = events.iter().map(String::as_str).collect();
                let options = ImportOptions::default();
                import(&store, project, source(&events), options, &mut ()).await
            })
            .await;
            expected.extend(events);
            if round == 3 {
                let options = MaintainOptions { keep: Duration::ZERO, ..Default::default() };
                again(&mut failures, async || store.maintain(&options).await).await;
                store = EventStore::open_in(sound(), &location).await.unwrap();
                assert_eq!(names(&store, project).await, expected, "seed {seed}");
                store = again(&mut failures, async || {
                    EventStore::open_in(Arc::clone(&faulty), &location).await
                })
                .await;
            }
        }
        let sound = EventStore::open_in(sound(), &location).await.unwrap();
        assert_eq!(names(&sound, project).await, expected, "seed {seed}");
        // Busy servers are no errors at all.
        assert!(lost > 0 || failures == 0, "{failures} failures");
    }
}

/// Repeats what fails, as a person would.
async fn again<T>(failures: &mut u32, work: impl AsyncFn() -> hedgerow_engine::Result<T>) -> T {
    let mut last = None;
    for _ in 0..20 {
        match work().await {
            Ok(done) => return done,
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::Storage, "{error}");
                *failures += 1;
                last = Some(error);
            }
        }
    }
    panic!("it never succeeds: {last:?}");
}
