//! The data the test files read: one store, three projects.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hedgerow_engine::ingest::{EventName, ImportOptions, Mapping, Source, import};
use hedgerow_engine::{Engine, EngineOptions, EventStore, Location, Result};
use tempfile::TempDir;

/// A store in a temporary folder, which lives as long as this does.
#[derive(Debug)]
pub struct Fixture {
    pub engine: Arc<Engine>,
    _folder: TempDir,
}

/// A project, the file it is made of, and what the file's fields mean.
struct Dataset {
    project: &'static str,
    file: &'static str,
    mapping: Mapping,
}

fn datasets() -> [Dataset; 3] {
    let field = |name: &str| Some(name.to_owned());
    [
        Dataset { project: "default", file: "events.ndjson", mapping: Mapping::default() },
        Dataset {
            project: "wikipedia",
            file: "wikipedia-edits.json.gz",
            mapping: Mapping {
                event: Some(EventName::Constant("edit".to_owned())),
                distinct_id: field("user"),
                timestamp: field("time"),
                ..Mapping::default()
            },
        },
        Dataset {
            project: "shop",
            file: "shop-clicks.csv.gz",
            mapping: Mapping {
                event: Some(EventName::Field("event".to_owned())),
                distinct_id: field("user_id"),
                timestamp: field("timestamp"),
                session_id: field("session_id"),
            },
        },
    ]
}

/// The folder with the data files.
pub fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data")
}

impl Fixture {
    /// Imports the data sets and opens an engine over them.
    ///
    /// # Errors
    /// What the import reports; a rejected record is an error too.
    pub async fn create() -> Result<Self> {
        let folder = TempDir::new().map_err(|error| {
            hedgerow_engine::Error::internal("no temporary folder").caused_by(error)
        })?;
        let location = Location(folder.path().to_string_lossy().into_owned());
        let store = EventStore::create(&location).await?;
        for dataset in datasets() {
            let project = store.create_project(dataset.project).await?;
            let sources = vec![Source::Path(data().join(dataset.file))];
            let options =
                ImportOptions { mapping: dataset.mapping, strict: true, ..Default::default() };
            import(&store, project, sources, options, &mut ()).await?;
        }
        let engine = Engine::open(&location, EngineOptions::default()).await?;
        Ok(Self { engine, _folder: folder })
    }
}
