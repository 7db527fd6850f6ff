//! Where a data folder is, and the object store rooted at it.

use std::fmt;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    Error as StoreError, ObjectStore, ObjectStoreExt, ObjectStoreScheme, PutMode, PutPayload,
    RetryConfig,
};
use url::Url;
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::storage::durable::DurableFiles;

/// Where a data folder is: a local path, or an object-store URL (`s3://`, `gs://`, `az://`).
///
/// Object stores take their credentials and endpoint from the usual environment variables
/// (`AWS_*`, `GOOGLE_*`, `AZURE_*`).
#[derive(Debug, Clone)]
pub struct Location(pub String);

impl Location {
    /// The folder; none for object stores.
    ///
    /// # Errors
    /// `Storage` when the location cannot be understood.
    pub(crate) fn folder(&self) -> Result<Option<PathBuf>> {
        Ok(match parse(self)? {
            Place::Folder(path) => Some(path),
            Place::Remote(_) => None,
        })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&FilePath> for Location {
    fn from(path: &FilePath) -> Self {
        Self(path.to_string_lossy().into_owned())
    }
}

/// What a location turned out to be.
enum Place {
    Folder(PathBuf),
    Remote(Url),
}

/// Opens the object store whose root is the data folder. It is used alike for every kind of
/// location: nothing above this module knows where the bytes are. Listings come in order.
///
/// # Errors
/// `Storage` when the location cannot be understood, or is a local folder that is not there and
/// `create` is not given.
pub(crate) fn open_root(location: &Location, create: bool) -> Result<Arc<dyn ObjectStore>> {
    match parse(location)? {
        Place::Folder(path) => open_folder(location, &path, create),
        Place::Remote(url) => open_remote(location, &url, std::env::vars()),
    }
}

fn parse(location: &Location) -> Result<Place> {
    let text = location.0.as_str();
    let Some((scheme, _)) = text.split_once("://") else {
        return match text {
            "" => Err(invalid(location).hint("Give a folder or an object-store URL.")),
            path => Ok(Place::Folder(PathBuf::from(path))),
        };
    };
    let url = Url::parse(text).map_err(|error| invalid(location).caused_by(error))?;
    match scheme {
        "file" => url.to_file_path().map(Place::Folder).map_err(|()| invalid(location)),
        "s3" | "gs" | "az" => Ok(Place::Remote(url)),
        _ => Err(invalid(location).hint("Use a local path, s3://, gs:// or az://.")),
    }
}

fn open_folder(location: &Location, path: &FilePath, create: bool) -> Result<Arc<dyn ObjectStore>> {
    if create {
        std::fs::create_dir_all(path).map_err(|error| {
            Error::new(ErrorKind::Storage, format!("cannot create {location}: {error}"))
                .caused_by(error)
        })?;
    }
    let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => no_data_folder(location),
        _ => Error::new(ErrorKind::Storage, format!("cannot open {location}: {error}"))
            .caused_by(error),
    })?;
    if !metadata.is_dir() {
        return Err(Error::new(ErrorKind::Storage, format!("{location} is not a folder")));
    }
    Ok(Arc::new(DurableFiles::new(path)?))
}

fn open_remote(
    location: &Location,
    url: &Url,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Arc<dyn ObjectStore>> {
    // The library takes names like `token` and `region` as well, which may mean anything else.
    let options = environment.filter(|(name, _)| {
        ["AWS_", "GOOGLE_", "AZURE_"].iter().any(|prefix| name.starts_with(prefix))
    });
    let (store, prefix) = remote_store(url, options).map_err(|error| {
        Error::new(ErrorKind::Storage, format!("cannot open {location}: {error}")).caused_by(error)
    })?;
    Ok(match prefix == Path::default() {
        true => store,
        false => Arc::new(PrefixStore::new(store, prefix)),
    })
}

fn remote_store(
    url: &Url,
    options: impl Iterator<Item = (String, String)>,
) -> object_store::Result<(Arc<dyn ObjectStore>, Path)> {
    /// The client of a store, with those of the options that it knows.
    macro_rules! client {
        ($builder:ty) => {{
            let builder = <$builder>::new().with_url(url.as_str()).with_retry(retries());
            let with = |builder: $builder, (name, value): (String, String)| match name
                .to_ascii_lowercase()
                .parse()
            {
                Ok(key) => builder.with_config(key, value),
                Err(_) => builder,
            };
            Arc::new(options.fold(builder, with).build()?) as Arc<dyn ObjectStore>
        }};
    }
    let (scheme, path) = ObjectStoreScheme::parse(url)?;
    let store = match scheme {
        ObjectStoreScheme::AmazonS3 => client!(AmazonS3Builder),
        ObjectStoreScheme::GoogleCloudStorage => client!(GoogleCloudStorageBuilder),
        ObjectStoreScheme::MicrosoftAzure => client!(MicrosoftAzureBuilder),
        scheme => {
            return Err(StoreError::NotSupported { source: format!("{scheme:?}").into() });
        }
    };
    Ok((store, Path::parse(path)?))
}

/// How requests are repeated that are refused, lost or not answered in time: whoever waits is told
/// within a minute and a half, in which the library's deadline of a request, 30 seconds, passes twice. Pauses
/// grow and are random, so that many clients do not come back at the same time.
fn retries() -> RetryConfig {
    RetryConfig { retry_timeout: Duration::from_secs(45), ..RetryConfig::default() }
}

/// Refuses a store that puts an object in the place of another though it is asked not to: two
/// writers would undo each other's work. Those that know that they cannot do it say so themselves.
///
/// # Errors
/// `Storage` for such a store, and when it does not answer.
pub(crate) async fn check_conditional_put(objects: &dyn ObjectStore) -> Result<()> {
    let path = Path::from(format!("wal/probe-{}", Uuid::new_v4()));
    let put = || objects.put_opts(&path, PutPayload::from_static(b"probe"), PutMode::Create.into());
    let mut done = put().await;
    if done.is_ok() {
        done = put().await;
        objects.delete(&path).await?;
    }
    match done {
        Ok(_) => Err(Error::new(
            ErrorKind::Storage,
            "the object store has no conditional put: it replaces an object although it is asked \
             to put one only where there is none",
        )
        .hint("Use a store that heeds `If-None-Match: *`, or a newer version of this one.")),
        // The name is ours alone: should the first put say so, it was sent again by the client.
        Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The error for a location that holds no store.
pub(crate) fn no_data_folder(location: &Location) -> Error {
    Error::new(ErrorKind::Storage, format!("no data folder at {location}")).hint(
        "Import events to create one, or start the demo; check the path if it should be there.",
    )
}

fn invalid(location: &Location) -> Error {
    Error::new(ErrorKind::Storage, format!("not a data folder or URL: '{location}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, environment: &[(&str, &str)], expected: &str) {
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let location = Location(url.to_owned());
        let Ok(Place::Remote(url)) = parse(&location) else { panic!("not remote: {url}") };
        let opened = open_remote(&location, &url, environment);
        let text = opened.map_or_else(|error| error.message, |store| store.to_string());
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn object_stores_are_set_up_from_the_environment() {
        let aws = [
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ENDPOINT_URL", "http://localhost:9"),
            ("AWS_ALLOW_HTTP", "true"),
        ];
        check("s3://bucket", &aws, "AmazonS3(bucket)");
        check("s3://bucket/some/folder", &aws, "some/folder");
        check("gs://bucket", &[], "GoogleCloudStorage(bucket)");
        check("az://container", &[("AZURE_STORAGE_ACCOUNT_NAME", "me")], "container: container");
        check("az://container", &[], "cannot open az://container: ");
    }

    #[test]
    fn other_locations_are_refused() {
        for text in ["", "http://host/path", "s3:/x://y", "ftp://x"] {
            let error = open_root(&Location(text.to_owned()), false).err();
            assert_eq!(error.map(|error| error.kind), Some(ErrorKind::Storage), "{text}");
        }
    }
}
