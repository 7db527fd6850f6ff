//! `system.files`: the files that the project's events are in.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::error::Result;
use futures::{StreamExt, TryStreamExt, stream};

use super::Table;
use super::computed::{Computed, Rows, Wanted, described};
use crate::storage::{EVENTS_FOLDER, EventStore, Form, OpenFile, Part, ProjectId, Snapshot};
use crate::types::Type;

/// Footers that are read at a time.
const FOOTERS_AT_A_TIME: usize = 16;

/// The table of one project.
pub(super) fn table(store: EventStore, snapshot: Arc<Snapshot>, project: ProjectId) -> Table {
    Table {
        name: "system.files".to_owned(),
        doc: "The files with the project's events, at the version that the query reads.",
        provider: Arc::new(Computed {
            schema: schema(),
            rows: FileRows { store, snapshot, project },
        }),
    }
}

#[derive(Debug)]
struct FileRows {
    store: EventStore,
    snapshot: Arc<Snapshot>,
    project: ProjectId,
}

/// A file as a row of the table.
struct Row {
    part: Arc<Part>,
    /// Other projects have events in it, or nobody knows.
    is_shared: bool,
    form: Form,
    /// None when no column needs it.
    footer: Option<Arc<OpenFile>>,
}

impl Row {
    /// What the log says of the rows, if they are all the project's.
    fn own<T>(&self, value: impl FnOnce(&Part) -> Option<T>) -> Option<T> {
        value(&self.part).filter(|_| !self.is_shared)
    }
}

/// A column: its name, type and meaning, and its values.
type Column = (&'static str, Type, bool, &'static str, fn(&[Row]) -> ArrayRef);

fn columns() -> [Column; 14] {
    [
        ("path", Type::String, false, "Where it is in the data folder.", |rows| {
            texts(rows, |row| Some(format!("{EVENTS_FOLDER}/{}", row.part.path)))
        }),
        (
            "rows",
            Type::Int64,
            true,
            "Its events. NULL where the log does not say, and in shared files.",
            |rows| numbers(rows, |row| row.own(Part::rows).map(u64::cast_signed)),
        ),
        ("bytes", Type::Int64, false, "Its size.", |rows| {
            numbers(rows, |row| Some(row.part.size_bytes.cast_signed()))
        }),
        (
            "deleted",
            Type::Int64,
            true,
            "Deleted events that are still in it, which nobody reads. NULL in shared files.",
            |rows| numbers(rows, |row| row.own(|part| Some(deleted(part)))),
        ),
        (
            "min_timestamp",
            Type::utc(),
            true,
            "The first timestamp in it. NULL as for rows.",
            |rows| times(rows, |row| row.own(Part::times).map(|(first, _)| first)),
        ),
        (
            "max_timestamp",
            Type::utc(),
            true,
            "The last timestamp in it. NULL as for rows.",
            |rows| times(rows, |row| row.own(Part::times).map(|(_, last)| last)),
        ),
        (
            "form",
            Type::String,
            false,
            "What upkeep takes it for: large and small files are as files are built, of one day or \
             of neighbouring days with few events; mixed ones are not, or have deleted events, and \
             are rewritten.",
            |rows| texts(rows, |row| Some(row.form.name())),
        ),
        (
            "sorted",
            Type::Bool,
            false,
            "Whether its rows are in the order of the sort key.",
            |rows| flags(rows, |row| row.part.sorted),
        ),
        (
            "shared",
            Type::Bool,
            false,
            "Whether other projects have events in it, or nobody knows.",
            |rows| flags(rows, |row| row.is_shared),
        ),
        ("written_at", Type::utc(), false, "When it was written.", |rows| {
            times(rows, |row| Some(row.part.modified_ms.saturating_mul(1000)))
        }),
        (
            "crc32c",
            Type::String,
            true,
            "The checksum of its bytes, in hexadecimal. NULL for files of other tools.",
            |rows| texts(rows, |row| row.part.checksum.map(|sum| format!("{sum:08x}"))),
        ),
        ("row_groups", Type::Int64, true, "Its row groups, by its footer.", |rows| {
            numbers(rows, |row| i64::try_from(row.footer.as_ref()?.row_groups()).ok())
        }),
        (
            "property_columns",
            Type::Int64,
            true,
            "Its columns that hold properties besides the documents, by its footer.",
            |rows| numbers(rows, |row| i64::try_from(row.footer.as_ref()?.property_columns()).ok()),
        ),
        (
            "layout_version",
            Type::Int64,
            true,
            "The version of the layout of these columns, by its footer. NULL without any.",
            |rows| numbers(rows, |row| row.footer.as_ref()?.layout_version().map(i64::from)),
        ),
    ]
}

fn deleted(part: &Part) -> i64 {
    part.deleted.as_ref().map_or(0, |deleted| deleted.count().cast_signed())
}

/// The columns for which a footer is read.
const OF_FOOTER: [&str; 3] = ["row_groups", "property_columns", "layout_version"];

fn schema() -> SchemaRef {
    let field = |(name, ty, nullable, comment, _): &Column| described(name, ty, *nullable, comment);
    Arc::new(Schema::new(columns().iter().map(field).collect::<Vec<_>>()))
}

fn texts<T: AsRef<str>>(rows: &[Row], value: impl Fn(&Row) -> Option<T>) -> ArrayRef {
    Arc::new(rows.iter().map(value).collect::<StringViewArray>())
}

fn numbers(rows: &[Row], value: impl Fn(&Row) -> Option<i64>) -> ArrayRef {
    Arc::new(rows.iter().map(value).collect::<Int64Array>())
}

fn times(rows: &[Row], micros: impl Fn(&Row) -> Option<i64>) -> ArrayRef {
    let times: TimestampMicrosecondArray = rows.iter().map(micros).collect();
    Arc::new(times.with_timezone("UTC"))
}

fn flags(rows: &[Row], value: impl Fn(&Row) -> bool) -> ArrayRef {
    Arc::new(rows.iter().map(|row| Some(value(row))).collect::<BooleanArray>())
}

#[async_trait]
impl Rows for FileRows {
    async fn rows(&self, schema: SchemaRef, wanted: Wanted<'_>) -> Result<RecordBatch> {
        let needs_footer = OF_FOOTER.into_iter().any(wanted);
        let rows_of_project = self.snapshot.rows_of(self.project);
        let parts = self.snapshot.parts().filter(|part| part.may_have(self.project));
        let parts: Vec<_> = parts.cloned().collect();
        let row = async |part: Arc<Part>| {
            let footer = match needs_footer {
                true => Some(self.store.open_part(&part).await?),
                false => None,
            };
            let is_shared = !part.is_only(self.project);
            let form = Form::of(&part, rows_of_project);
            Ok::<_, crate::error::Error>(Row { part, is_shared, form, footer })
        };
        let rows = stream::iter(parts).map(row).buffered(FOOTERS_AT_A_TIME);
        let rows: Vec<Row> = rows.try_collect().await?;
        let arrays = columns().iter().map(|(.., values)| values(&rows)).collect();
        Ok(RecordBatch::try_new(schema, arrays)?)
    }
}
