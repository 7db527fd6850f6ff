//! What a scan did, for EXPLAIN ANALYZE.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder, Time};

use parking_lot::Mutex;

use crate::storage::adapt::{Origin, Origins};

/// Of each property that a scan reads, in how many files it has which origin.
#[derive(Debug, Default)]
pub(crate) struct PropertyOrigins(Mutex<BTreeMap<String, BTreeMap<Origin, usize>>>);

impl PropertyOrigins {
    /// Notes one file.
    pub(super) fn add(&self, origins: Origins) {
        let mut files = self.0.lock();
        for (property, origin) in origins {
            *files.entry(property).or_default().entry(origin).or_default() += 1;
        }
    }

    /// True when no file was noted that reads a property.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// The properties with this origin anywhere, with the number of files.
    pub(crate) fn of(&self, origin: Origin) -> BTreeMap<String, usize> {
        let files = self.0.lock();
        let of =
            files.iter().filter_map(|(name, files)| Some((name.clone(), *files.get(&origin)?)));
        of.collect()
    }
}

/// Counters of one partition.
#[derive(Debug, Clone)]
pub(super) struct ScanMetrics {
    pub(super) files: Count,
    pub(super) groups: Count,
    pub(super) groups_pruned: Count,
    pub(super) columns_decoded: Count,
    pub(super) columns_cached: Count,
    pub(super) bytes: Count,
    pub(super) rows: Count,
    pub(super) time: Time,
    /// Of all partitions.
    pub(super) origins: Arc<PropertyOrigins>,
}

impl ScanMetrics {
    pub(super) fn new(
        metrics: &ExecutionPlanMetricsSet,
        partition: usize,
        origins: &Arc<PropertyOrigins>,
    ) -> Self {
        let counter = |name: &'static str| MetricBuilder::new(metrics).counter(name, partition);
        Self {
            files: counter("files read"),
            groups: counter("row groups read"),
            groups_pruned: counter("row groups pruned"),
            columns_decoded: counter("column chunks decoded"),
            columns_cached: counter("column chunks in memory"),
            bytes: counter("bytes read"),
            rows: MetricBuilder::new(metrics).output_rows(partition),
            time: MetricBuilder::new(metrics).elapsed_compute(partition),
            origins: Arc::clone(origins),
        }
    }
}
