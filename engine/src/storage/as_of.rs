//! `events` as it was at a time: an earlier version of the log.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{Error as StoreError, ObjectStoreExt};

use crate::error::{Error, ErrorKind, Result};
use crate::storage::log::LogSnapshot;
use crate::storage::mutations::State;
use crate::storage::schema::events_schema;
use crate::storage::{EventStore, ProjectId, Snapshot};

/// Files looked for at a time.
const LOOKS_AT_A_TIME: usize = 16;

/// The events of a project in the version that was the newest at a time. It is looked up when a
/// query is planned.
struct EventsAsOf {
    store: EventStore,
    project: ProjectId,
    time: DateTime<Utc>,
}

impl fmt::Debug for EventsAsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "events as of {}", self.time)
    }
}

impl EventStore {
    /// A table whose scans fail when the version is not to be had.
    pub(crate) fn events_as_of(
        &self,
        project: ProjectId,
        time: DateTime<Utc>,
    ) -> Arc<dyn TableProvider> {
        Arc::new(EventsAsOf { store: self.clone(), project, time })
    }

    /// The version that was the newest at a time.
    ///
    /// # Errors
    /// `InvalidArgument` for a time to come, one before the log begins, one before events of the
    /// project were deleted, and one whose files are gone; `Storage`.
    async fn snapshot_at(&self, project: ProjectId, time: DateTime<Utc>) -> Result<Arc<Snapshot>> {
        let told = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
        let refused = |message: String| Error::new(ErrorKind::InvalidArgument, message);
        if time > Utc::now() {
            return Err(refused(format!("{} is still to come", told(time))));
        }
        let mutations = self.mutations(project).await?;
        let deleted = mutations.iter().rfind(|mutation| mutation.state != State::Failed);
        let deleted = deleted.and_then(|it| DateTime::from_timestamp_millis(it.created_ms));
        if let Some(deleted) = deleted.filter(|deleted| time < *deleted) {
            let message = format!("events were deleted at {}", told(deleted));
            return Err(refused(message).hint("Versions before that are not shown any more."));
        }
        let log = match self.log.snapshot_at(time).await? {
            Ok(log) => log,
            Err(Some(first)) => {
                return Err(refused(format!("the log begins at {}", told(first))));
            }
            Err(None) => return Err(refused(format!("the log of {} is gone", told(time)))),
        };
        if !self.has_files(&log).await? {
            let message = format!("files of {} are gone", told(time));
            return Err(refused(message).hint(
                "Upkeep deletes files that no version of the last day has: maintain --keep-hours.",
            ));
        }
        Ok(Arc::new(Snapshot { log, hot: Vec::new() }))
    }

    /// True when all files of an earlier version are there.
    async fn has_files(&self, log: &LogSnapshot) -> Result<bool> {
        let newest = self.log.snapshot().await?;
        let others = log.parts.values().filter(|part| !newest.parts.contains_key(&part.path));
        let looks = others.map(|part| async {
            match self.store.head(&part.location()?).await {
                Ok(_) => Ok(true),
                Err(StoreError::NotFound { .. }) => Ok(false),
                Err(error) => Err(Error::from(error)),
            }
        });
        let looks = stream::iter(looks.collect::<Vec<_>>()).buffer_unordered(LOOKS_AT_A_TIME);
        looks.try_all(|is_there| async move { is_there }).await
    }
}

#[async_trait]
impl TableProvider for EventsAsOf {
    fn schema(&self) -> SchemaRef {
        Arc::clone(events_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> DfResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let snapshot = self.store.snapshot_at(self.project, self.time).await?;
        let events = self.store.events(&snapshot, self.project);
        events.scan(state, projection, filters, limit).await
    }
}
