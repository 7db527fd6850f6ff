//! `system.ingest`: how events come into the project.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use chrono::Utc;
use datafusion::error::Result;

use super::Table;
use super::computed::{Computed, Rows, Wanted, described};
use crate::ingest::{Counts, Ingest};
use crate::storage::{ProjectId, Snapshot};
use crate::types::Type;
use crate::wal::WalStatus;

/// The table of one project. It has one row in a process that takes events in, otherwise none.
pub(super) fn table(
    ingest: Option<Arc<Ingest>>,
    snapshot: Arc<Snapshot>,
    project: ProjectId,
) -> Table {
    Table {
        name: "system.ingest".to_owned(),
        doc: "How events come into the project; empty where none are taken in.",
        provider: Arc::new(Computed {
            schema: schema(),
            rows: IngestRows { ingest, snapshot, project },
        }),
    }
}

#[derive(Debug)]
struct IngestRows {
    ingest: Option<Arc<Ingest>>,
    snapshot: Arc<Snapshot>,
    project: ProjectId,
}

/// The row, where there is one.
struct Row {
    hot_rows: usize,
    hot_bytes: usize,
    lag_seconds: Option<f64>,
    counts: Counts,
    wal: WalStatus,
    flushed: u64,
}

type Count = fn(&Row) -> u64;

/// The columns that count, with their meaning.
const COUNTS: [(&str, &str, Count); 12] = [
    ("hot_rows", "Events of the project in no file yet.", |row| row.hot_rows as u64),
    ("hot_bytes", "What these take in memory.", |row| row.hot_bytes as u64),
    (
        "accepted",
        "Requests and statements of the project that were acknowledged since the server began. \
         Statements whose events became files at once are not counted.",
        |row| row.counts.accepted,
    ),
    ("refused", "Those that were answered with an error.", |row| row.counts.refused),
    ("stored", "Events of the accepted ones that are stored.", |row| row.counts.stored),
    ("repeated", "Events of the accepted ones that were stored before.", |row| row.counts.repeated),
    ("wal_epoch", "How many times the write-ahead log was opened.", |row| row.wal.epoch),
    ("wal_segments", "Its segments, or objects.", |row| row.wal.segments as u64),
    ("wal_bytes", "Their size.", |row| row.wal.bytes),
    ("wal_records", "Its records that are in no file yet, of all projects.", |row| {
        row.wal.last.0.saturating_sub(row.flushed)
    }),
    ("last_record", "Number of its last durable record.", |row| row.wal.last.0),
    ("flushed_record", "Records up to this one are in files.", |row| row.flushed),
];

fn schema() -> SchemaRef {
    let count =
        |(name, comment, _): &(&str, &str, Count)| described(name, &Type::Int64, false, comment);
    let mut fields: Vec<_> = COUNTS.iter().map(count).collect();
    fields.extend([
        described(
            "lag_seconds",
            &Type::Float64,
            true,
            "How long ago the oldest event in no file was taken in, by created_at. NULL without any.",
        ),
        described(
            "wal_error",
            &Type::String,
            true,
            "Why nothing can be taken in until the server is started anew. NULL while all is well.",
        ),
    ]);
    Arc::new(Schema::new(fields))
}

impl IngestRows {
    fn row(&self) -> Option<Row> {
        let ingest = self.ingest.as_ref()?;
        let hot: Vec<_> = self.snapshot.hot_of(self.project).collect();
        let oldest = hot.iter().filter_map(|batch| batch.taken_in).min();
        let lag_micros = oldest.map(|micros| (Utc::now().timestamp_micros() - micros).max(0));
        Some(Row {
            hot_rows: hot.iter().map(|batch| batch.rows.num_rows()).sum(),
            hot_bytes: hot.iter().map(|batch| batch.bytes).sum(),
            lag_seconds: lag_micros.map(|micros| micros as f64 / 1e6),
            counts: ingest.counts(self.project),
            wal: ingest.wal_status(),
            flushed: self.snapshot.flushed(),
        })
    }
}

#[async_trait]
impl Rows for IngestRows {
    async fn rows(&self, schema: SchemaRef, _wanted: Wanted<'_>) -> Result<RecordBatch> {
        let row = self.row();
        let row = row.as_slice();
        let count = |(.., count): (_, _, Count)| {
            let values = row.iter().map(|row| count(row).cast_signed());
            Arc::new(Int64Array::from_iter_values(values)) as ArrayRef
        };
        let mut columns: Vec<ArrayRef> = COUNTS.map(count).into();
        let lags: Float64Array = row.iter().map(|row| row.lag_seconds).collect();
        let errors: StringViewArray = row.iter().map(|row| row.wal.failed.as_deref()).collect();
        columns.extend([Arc::new(lags) as ArrayRef, Arc::new(errors)]);
        Ok(RecordBatch::try_new(schema, columns)?)
    }
}
