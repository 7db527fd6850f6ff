//! What a scan did, for EXPLAIN ANALYZE.

use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder, Time};

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
}

impl ScanMetrics {
    pub(super) fn new(metrics: &ExecutionPlanMetricsSet, partition: usize) -> Self {
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
        }
    }
}
