//! A store in S3, on a server inside this process.

#![expect(clippy::unwrap_used, reason = "a failure here is the test failing")]

use std::io::Cursor;
use std::sync::Arc;

use async_trait::async_trait;
use hedgerow_engine::ingest::{ImportOptions, Source, import};
use hedgerow_engine::{ErrorKind, EventStore, Location};
use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use object_store::prefix::PrefixStore;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};

/// Takes requests straight to the server, without a socket.
#[derive(Debug, Clone)]
struct InProcess(S3Service);

#[async_trait]
impl HttpService for InProcess {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let request = request.map(s3s::Body::http_body);
        let response = self.0.call(request).await.map_err(failed)?;
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
fn bucket(folder: &std::path::Path) -> Arc<dyn ObjectStore> {
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
        .with_http_connector(InProcess(service.build()))
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
    let objects = || bucket(folder.path());

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

    let context = datafusion::prelude::SessionContext::new();
    let (url, store) = one.object_store();
    context.register_object_store(url, Arc::clone(store));
    let snapshot = one.snapshot().await.unwrap();
    context.register_table("events", one.events(&snapshot, project)).unwrap();
    let frame = context.sql("select event from events where event > 'a' order by 1").await.unwrap();
    let rows = frame.collect().await.unwrap();
    let names: Vec<_> = rows
        .iter()
        .flat_map(|batch| arrow::array::AsArray::as_string_view(batch.column(0)).iter().flatten())
        .collect();
    assert_eq!(names, ["b", "c"]);
}
