//! The engine: everything that knows what HogQL means. It speaks Arrow and knows no protocol.

mod answer;
pub mod backup;
pub mod catalog;
mod crash_point;
pub mod demo;
pub mod editor;
pub mod engine;
pub mod error;
mod execute;
pub mod functions;
pub mod ingest;
pub mod inspect;
mod lower;
pub mod session;
pub mod settings;
mod statement;
pub mod storage;
pub mod types;
pub mod verify;
mod views;
mod wal;

pub use answer::{Done, Notice, ResultStream};
pub use engine::{Engine, EngineOptions};
pub use error::{Error, ErrorKind, Result};
pub use session::{Session, SessionOptions, Statement, TableInfo};
pub use statement::Loading;
pub use storage::{EventStore, Location, ProjectId};
pub use types::Type;
