//! The projects of a data folder: one small file each, named by the project's number.

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::storage::ProjectId;

pub(super) const FOLDER: &str = "projects";
const NAME_BYTES_MAX: usize = 128;

#[derive(Serialize, Deserialize)]
struct ProjectFile {
    name: String,
}

/// The projects by name, in the order of their numbers.
pub(crate) async fn list(store: &dyn ObjectStore) -> Result<Vec<(String, ProjectId)>> {
    let files: Vec<_> = store.list(Some(&Path::from(FOLDER))).try_collect().await?;
    let mut projects = Vec::with_capacity(files.len());
    for file in files {
        let Some(id) = project_id(&file.location) else { continue };
        let bytes = store.get(&file.location).await?.bytes().await?;
        let project: ProjectFile = serde_json::from_slice(&bytes).map_err(|error| {
            Error::new(ErrorKind::Storage, format!("{} is damaged", file.location)).caused_by(error)
        })?;
        projects.push((project.name, id));
    }
    projects.sort_by_key(|(_, id)| *id);
    Ok(projects)
}

/// The number of a project, giving it the next one where it is new. Two processes never give
/// out the same number, and a name that both create at once gets one number.
pub(crate) async fn create(store: &dyn ObjectStore, name: &str) -> Result<ProjectId> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        let message = format!("not a project name: '{}'", name.escape_debug());
        return Err(Error::new(ErrorKind::InvalidArgument, message)
            .hint(format!("A name has 1 to {NAME_BYTES_MAX} printable characters.")));
    }
    loop {
        let projects = list(store).await?;
        if let Some((_, id)) = projects.iter().find(|(known, _)| known == name) {
            return Ok(*id);
        }
        // Numbers are taken one by one, so whoever loses the race sees the winner's name next.
        let id = ProjectId(projects.last().map_or(1, |(_, last)| last.0 + 1));
        let file = ProjectFile { name: name.to_owned() };
        let bytes =
            serde_json::to_vec(&file).map_err(|error| Error::internal(error.to_string()))?;
        match store.put_opts(&project_path(id), bytes.into(), PutMode::Create.into()).await {
            Ok(_) => return Ok(id),
            Err(StoreError::AlreadyExists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn project_path(id: ProjectId) -> Path {
    Path::from(format!("{FOLDER}/{}.json", id.0))
}

fn project_id(path: &Path) -> Option<ProjectId> {
    let id = path.filename()?.strip_suffix(".json")?.parse().ok()?;
    (id > 0).then_some(ProjectId(id))
}
