//! Project tokens: with which SDKs say to which project their events belong. Whoever has a token can
//! send events and nothing else, so tokens stand in web pages and are no secrets. Each is a small
//! file of its own, named by the token, so that it belongs to one project only.

use std::collections::HashMap;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::storage::ProjectId;

pub(super) const FOLDER: &str = "tokens";
const TOKEN_BYTES_MAX: usize = 200;

#[derive(Serialize, Deserialize)]
struct TokenFile {
    project: i64,
}

/// All tokens, with their projects.
pub(super) async fn list(store: &dyn ObjectStore) -> Result<HashMap<String, ProjectId>> {
    let files: Vec<_> = store.list(Some(&Path::from(FOLDER))).try_collect().await?;
    let mut tokens = HashMap::with_capacity(files.len());
    for file in files {
        let name = file.location.filename().and_then(|name| name.strip_suffix(".json"));
        let Some(token) = name else { continue };
        tokens.insert(token.to_owned(), read(store, &file.location).await?);
    }
    Ok(tokens)
}

/// Gives a project a token.
pub(super) async fn add(store: &dyn ObjectStore, token: &str, project: ProjectId) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if token.is_empty() || token.len() > TOKEN_BYTES_MAX || !token.bytes().all(plain) {
        let message = format!("not a project token: '{}'", token.escape_debug());
        return Err(Error::new(ErrorKind::InvalidArgument, message)
            .hint(format!("A token has 1 to {TOKEN_BYTES_MAX} letters, digits, _ and -.")));
    }
    let path = Path::from(format!("{FOLDER}/{token}.json"));
    let file = TokenFile { project: project.0 };
    let bytes = serde_json::to_vec(&file).map_err(|error| Error::internal(error.to_string()))?;
    match store.put_opts(&path, bytes.into(), PutMode::Create.into()).await {
        Ok(_) => Ok(()),
        Err(StoreError::AlreadyExists { .. }) => match read(store, &path).await? == project {
            true => Ok(()),
            false => {
                let message = format!("the token {token} belongs to another project");
                Err(Error::new(ErrorKind::AlreadyExists, message))
            }
        },
        Err(error) => Err(error.into()),
    }
}

async fn read(store: &dyn ObjectStore, path: &Path) -> Result<ProjectId> {
    let bytes = store.get(path).await?.bytes().await?;
    let file: TokenFile = serde_json::from_slice(&bytes).map_err(|error| {
        Error::new(ErrorKind::Storage, format!("{path} is damaged")).caused_by(error)
    })?;
    Ok(ProjectId(file.project))
}
