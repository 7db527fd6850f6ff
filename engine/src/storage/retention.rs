//! Retention: events older than a project keeps them are deleted, day by day.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use chrono::{Days, NaiveTime, Utc};
use datafusion::common::ScalarValue;
use futures::TryStreamExt;
use roaring::RoaringBitmap;

use crate::error::{Error, Result};
use crate::storage::build::column;
use crate::storage::mutations::Mutation;
use crate::storage::{EventStore, Part, Places, ProjectId, TEAM_ID, TIMESTAMP};

impl EventStore {
    /// Deletes the events of all projects that are older than they keep them: how many.
    ///
    /// Days are those of UTC, so that whole files go, and each only once.
    ///
    /// # Errors
    /// `Storage` when files cannot be read or written.
    pub(crate) async fn expire(&self) -> Result<u64> {
        let mut expired = 0;
        for (_, project) in self.projects().await? {
            let definitions = self.definitions(project).await?.definitions;
            let Some(days) = definitions.retention_days else { continue };
            let today = Utc::now().date_naive();
            // So many days that the calendar has no such day keep everything.
            let Some(first) = today.checked_sub_days(Days::new(days.into())) else { continue };
            let before = first.and_time(NaiveTime::MIN).and_utc();
            let statement = format!("retention of {days} days: events before {first}");
            let mutation = Mutation::new(project, statement);
            expired += self.delete_before(project, before.timestamp_micros(), mutation).await?;
        }
        Ok(expired)
    }

    async fn delete_before(
        &self,
        project: ProjectId,
        before_micros: i64,
        mut mutation: Mutation,
    ) -> Result<u64> {
        loop {
            let snapshot = self.snapshot().await?;
            let mut places = Places::new();
            for part in snapshot.parts().filter(|part| may_have(part, project, before_micros)) {
                let rows = self.rows_before(part, project, before_micros).await?;
                if !rows.is_empty() {
                    places.insert(part.path.clone(), rows);
                }
            }
            if places.is_empty() {
                return Ok(0);
            }
            if self.delete_rows(&snapshot, project, places, &mut mutation).await? {
                return Ok(mutation.events);
            }
        }
    }

    /// The rows of a file that are a project's and from before a time.
    async fn rows_before(
        &self,
        part: &Part,
        project: ProjectId,
        before_micros: i64,
    ) -> Result<RoaringBitmap> {
        let deleted = part.deleted.as_ref();
        let mut rows = RoaringBitmap::new();
        let whole = Part { deleted: None, ..part.clone() };
        let mut batches = self.read_part(&whole, &[TEAM_ID, TIMESTAMP]).await?;
        let mut first_row = 0_u64;
        while let Some(batch) = batches.try_next().await? {
            let teams = column(&batch, TEAM_ID)?.as_primitive::<Int64Type>().values();
            let times = column(&batch, TIMESTAMP)?.as_primitive::<TimestampMicrosecondType>();
            for (at, (team, time)) in teams.iter().zip(times.values()).enumerate() {
                if *team == project.0 && *time < before_micros {
                    let row = u32::try_from(first_row + at as u64);
                    rows.insert(row.map_err(|_| Error::internal("a file of too many rows"))?);
                }
            }
            first_row += batch.num_rows() as u64;
        }
        // Those that are deleted already are no news.
        Ok(match deleted {
            Some(deleted) if deleted.has_all(&rows) => RoaringBitmap::new(),
            _ => rows,
        })
    }
}

fn may_have(part: &Arc<Part>, project: ProjectId, before_micros: i64) -> bool {
    let time = |micros| ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into()));
    part.may_have(project)
        && part.may_overlap(TIMESTAMP, &time(i64::MIN), &time(before_micros.saturating_sub(1)))
}
