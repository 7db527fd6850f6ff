//! Local files that survive a power cut once they are acknowledged.
//!
//! `object_store`'s local implementation never calls fsync: after a crash a commit could be
//! there by name and empty. Here a file is written and synced under a hidden name, put in place
//! in one step, and its folder is synced before the write counts as done.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures::TryFutureExt;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    UploadPart,
};
use parking_lot::Mutex;

/// A local folder as an object store with durable writes.
#[derive(Debug, Clone)]
pub(crate) struct DurableFiles {
    files: Arc<LocalFileSystem>,
}

impl DurableFiles {
    /// The folder must exist.
    pub(crate) fn new(root: &FilePath) -> Result<Self> {
        Ok(Self { files: Arc::new(LocalFileSystem::new_with_prefix(root)?) })
    }

    async fn write(&self, location: &Path, payload: PutPayload, create: bool) -> Result<PutResult> {
        let target = self.files.path_to_filesystem(location)?;
        let name = location.to_string();
        let written =
            tokio::task::spawn_blocking(move || write_durably(&target, &payload, create)).await?;
        match written {
            Ok(()) => Ok(PutResult { e_tag: None, version: None }),
            Err(source) if create && source.kind() == io::ErrorKind::AlreadyExists => {
                Err(Error::AlreadyExists { path: name, source: Box::new(source) })
            }
            Err(source) => {
                let message = format!("cannot write {name}: {source}");
                Err(Error::Generic { store: "local", source: message.into() })
            }
        }
    }
}

/// Writes a whole file. With `create` it fails when the target is already there, and of two
/// writers one wins; without, the target is replaced.
fn write_durably(target: &FilePath, payload: &PutPayload, create: bool) -> io::Result<()> {
    let folder = target.parent().ok_or(io::ErrorKind::InvalidInput)?;
    create_folder_durably(folder)?;
    let (mut file, staged) = stage(target)?;
    let placed = payload
        .iter()
        .try_for_each(|bytes| file.write_all(bytes))
        .and_then(|()| file.sync_all())
        .and_then(|()| match create {
            true => std::fs::hard_link(&staged, target),
            false => std::fs::rename(&staged, target),
        });
    if create || placed.is_err() {
        // Only the hidden name is left, and a leftover would be harmless.
        let _ = std::fs::remove_file(&staged);
    }
    placed?;
    sync_folder(folder)
}

/// A new file beside the target. Listings skip names that end in `#` and a number.
fn stage(target: &FilePath) -> io::Result<(File, PathBuf)> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    loop {
        let mut name = target.as_os_str().to_owned();
        // Both numbers are digits, so the name stays hidden; the process keeps writers apart.
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        name.push(format!("#{}{number:08}", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).open(&name) {
            Ok(file) => return Ok((file, PathBuf::from(name))),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// Creates a folder and those above it, where they are missing.
pub(crate) fn create_folder_durably(folder: &FilePath) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().ok_or(io::ErrorKind::InvalidInput)?;
    create_folder_durably(parent)?;
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_folder(parent),
    }
}

/// Makes the names in a folder durable. Windows neither needs nor allows it.
pub(crate) fn sync_folder(folder: &FilePath) -> io::Result<()> {
    match cfg!(unix) {
        true => File::open(folder)?.sync_all(),
        false => Ok(()),
    }
}

impl fmt::Display for DurableFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "durable {}", self.files)
    }
}

#[async_trait]
impl ObjectStore for DurableFiles {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        match options.mode {
            PutMode::Create => self.write(location, payload, true).await,
            PutMode::Overwrite => self.write(location, payload, false).await,
            PutMode::Update(_) => Err(Error::NotImplemented {
                operation: "conditional update".to_owned(),
                implementer: self.to_string(),
            }),
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(Upload {
            files: self.clone(),
            location: location.clone(),
            parts: Arc::default(),
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.files.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.files.delete_stream(locations)
    }

    /// In order, as object stores list and readers of the log expect.
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let all = self.files.list(prefix).try_collect::<Vec<_>>();
        let sorted = all.map_ok(|mut files| {
            files.sort_by(|a, b| a.location.cmp(&b.location));
            stream::iter(files.into_iter().map(Ok))
        });
        sorted.try_flatten_stream().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.files.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let bytes = self.files.get_opts(from, GetOptions::default()).await?.bytes().await?;
        let create = matches!(options.mode, CopyMode::Create);
        self.write(to, bytes.into(), create).await.map(|_| ())
    }
}

/// An upload in parts, kept in memory until it is complete: only checkpoints of the log come
/// this way.
#[derive(Debug)]
struct Upload {
    files: DurableFiles,
    location: Path,
    parts: Arc<Mutex<Vec<PutPayload>>>,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.parts.lock().push(data);
        Box::pin(std::future::ready(Ok(())))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let parts = std::mem::take(&mut *self.parts.lock());
        let payload = parts.iter().flat_map(|part| part.iter().cloned()).collect();
        self.files.write(&self.location, payload, false).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.parts.lock().clear();
        Ok(())
    }
}
