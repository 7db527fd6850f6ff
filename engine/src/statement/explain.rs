//! EXPLAIN: how a query runs, in words.
//!
//! The plan is DataFusion's; here it is told as a tree of steps, without those that only pass
//! rows on. ANALYZE runs the query and adds what each step did.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::physical_plan::ParquetSource;
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::metrics::MetricValue;
use datafusion::physical_plan::{ExecutionPlan, displayable};
use futures::StreamExt;
use hedgerow_parser::ast::{Explain, ExplainFormat};
use serde_json::{Map, Value, json};

use self::names::Names;
use super::{Params, Work};
use crate::answer::{ResultStream, text_schema};
use crate::error::{Error, Result};
use crate::execute::shared::{self, SharedQuery};
use crate::functions::json::property::View;
use crate::lower::Task;
use crate::storage::{EventsSource, Origin, PropertyOrigins, ScannedFor};

mod names;

/// The name of the answer's only column, as in PostgreSQL.
pub(super) const COLUMN: &str = "QUERY PLAN";

/// One step of a plan.
struct Step {
    name: String,
    /// What it does it to, by label.
    details: Vec<(&'static str, Value)>,
    /// What it did, when it ran.
    measured: Option<Measured>,
    inputs: Vec<Step>,
}

struct Measured {
    rows: Option<usize>,
    time: Duration,
    counts: Vec<(&'static str, Value)>,
}

/// Explains a query, running it for ANALYZE.
pub(super) async fn run(work: &Work, explain: &Explain, params: Params) -> Result<ResultStream> {
    let started = Instant::now();
    let catalog = work.catalog().await?;
    let query = work.lower(Task::Query(&explain.query), &catalog, params)?;
    let plan = work.plan(&query).await?;
    let logical = &query.lowered.plan;
    let planning = started.elapsed();
    let mut execution = None;
    if !explain.analyze {
        for scan in scans(&plan.physical)? {
            scan.look().await?;
        }
    } else {
        let started = Instant::now();
        let mut batches = plan.batches()?;
        let mut rows = 0;
        while let Some(batch) = batches.next().await.transpose()? {
            rows += batch.num_rows();
        }
        execution = Some((started.elapsed(), rows));
    }
    let mut shared = Vec::new();
    let mut root = step(&plan.physical, explain, &mut shared);
    Names::of(&plan.physical)?.explain(&mut root);
    let mut properties = properties(logical)?;
    for query in &shared {
        properties.extend(self::properties(&query.body.lock())?);
    }
    let lines = match explain.format {
        ExplainFormat::Json => {
            vec![as_json(&root, &properties, planning, execution, logical, explain)?]
        }
        ExplainFormat::Text => {
            let mut lines = Vec::new();
            write_step(&root, 0, &mut lines);
            if !properties.is_empty() {
                let names: Vec<&str> = properties.iter().map(String::as_str).collect();
                lines.push(format!("Properties read: {}", names.join(", ")));
            }
            lines.push(format!("Planning: {}", milliseconds(planning)));
            if let Some((time, rows)) = execution {
                lines.push(format!("Execution: {}, {rows} rows", milliseconds(time)));
            }
            if explain.verbose {
                lines.push("Logical plan:".to_owned());
                lines.extend(logical.display_indent().to_string().lines().map(indented));
                lines.push("Physical plan:".to_owned());
                let physical = displayable(plan.physical.as_ref()).indent(true).to_string();
                lines.extend(physical.lines().map(indented));
            }
            lines
        }
    };
    Ok(ResultStream::texts(text_schema(&[COLUMN]), vec![lines])?.with_notices(query.notices))
}

/// The scans of events in a plan.
fn scans(plan: &Arc<dyn ExecutionPlan>) -> Result<Vec<EventsSource>> {
    let mut scans = Vec::new();
    plan.apply(|node| {
        scans.extend(events_source(node.as_ref()).cloned());
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(scans)
}

fn events_source(plan: &dyn ExecutionPlan) -> Option<&EventsSource> {
    plan.downcast_ref::<DataSourceExec>()?.data_source().downcast_ref::<EventsSource>()
}

fn indented(line: &str) -> String {
    format!("  {line}")
}

// ----- the tree -----------------------------------------------------------------------------

/// Steps that change no row: they pass them between threads.
const PLUMBING: &[&str] = &[
    "RepartitionExec",
    "CoalesceBatchesExec",
    "CoalescePartitionsExec",
    "CooperativeExec",
    "BufferExec",
];

/// What the steps are called here; others lose their `Exec`.
const NAMES: &[(&str, &str)] = &[
    ("AggregateExec", "Aggregate"),
    ("BoundedWindowAggExec", "Window"),
    ("WindowAggExec", "Window"),
    ("CrossJoinExec", "Cross join"),
    ("DataSourceExec", "Scan"),
    ("EmptyExec", "Nothing"),
    ("FilterExec", "Filter"),
    ("GlobalLimitExec", "Limit"),
    ("LocalLimitExec", "Limit"),
    ("HashJoinExec", "Hash join"),
    ("InterleaveExec", "Union all"),
    ("LazyMemoryExec", "Generate"),
    ("NestedLoopJoinExec", "Nested loop join"),
    ("PlaceholderRowExec", "One row"),
    ("ProjectionExec", "Compute"),
    ("ShiftExec", "Window"),
    ("SortExec", "Sort"),
    ("SortExec(TopK)", "Top rows"),
    ("SortMergeJoinExec", "Merge join"),
    ("SortPreservingMergeExec", "Merge sorted"),
    ("UnionExec", "Union all"),
    ("UnnestExec", "Unnest"),
];

/// A step and those before it. A shared query is told where it is read first, and kept in
/// `shared`.
fn step(
    plan: &Arc<dyn ExecutionPlan>,
    explain: &Explain,
    shared: &mut Vec<Arc<SharedQuery>>,
) -> Step {
    if !explain.verbose
        && PLUMBING.contains(&plan.name())
        && let [only] = plan.children().as_slice()
    {
        return step(only, explain, shared);
    }
    let known = NAMES.iter().find(|(name, _)| *name == plan.name());
    let name = known.map_or_else(
        || plan.name().trim_end_matches("Exec").to_owned(),
        |(_, name)| (*name).to_owned(),
    );
    let mut step = Step {
        name,
        details: Vec::new(),
        measured: explain.analyze.then(|| measured(plan)),
        inputs: Vec::new(),
    };
    if let Some(query) = shared::read_by(plan) {
        step.name = "Shared rows".to_owned();
        step.details.push(("of", query.name.trim_start_matches('_').into()));
        if !shared.iter().any(|known| known.id == query.id) {
            shared.push(Arc::clone(query));
            let computed = query.physical().map(|computed| self::step(computed, explain, shared));
            step.inputs.extend(computed);
        }
        return step;
    }
    step.inputs =
        plan.children().into_iter().map(|input| self::step(input, explain, shared)).collect();
    match plan.downcast_ref::<DataSourceExec>() {
        Some(scan) => describe_scan(scan, plan.schema(), &mut step),
        None => {
            let line = displayable(plan.as_ref()).one_line().to_string();
            let line = plain_columns(line.trim().trim_start_matches(plan.name()));
            let line = line.trim_start_matches([':', ' ']).trim();
            if !line.is_empty() {
                step.details.push(("of", line.into()));
            }
        }
    }
    step
}

fn describe_scan(scan: &DataSourceExec, schema: SchemaRef, step: &mut Step) {
    let columns: Vec<Value> =
        schema.fields().iter().map(|field| field.name().as_str().into()).collect();
    if let Some(events) = scan.data_source().downcast_ref::<EventsSource>() {
        let bytes = events.parts.iter().map(|part| part.size_bytes).sum();
        let files = Files { read: events.parts.len(), of: events.files_of_table, bytes };
        step.name = format!("Scan {}", events.table());
        step.details.push(("columns", columns.into()));
        files.describe(step);
        let conditions = events.conditions.iter().map(|part| plain_columns(&part.to_string()));
        let conditions: Vec<String> = conditions.collect();
        if !conditions.is_empty() {
            step.details.push(("where", conditions.join(" AND ").into()));
        }
        if let Some(limit) = events.limit {
            step.details.push(("limit", limit.into()));
        }
        describe_origins(&events.origins, step);
        return;
    }
    let Some((config, source)) = scan.downcast_to_file_source::<ParquetSource>() else {
        step.name = "Rows in memory".to_owned();
        return;
    };
    let files: Vec<_> = config.file_groups.iter().flat_map(|group| group.iter()).collect();
    let about = files.iter().find_map(|file| file.extension::<ScannedFor>());
    if let Some(about) = about {
        step.name = format!("Scan {}", about.table);
    }
    step.details.push(("columns", columns.into()));
    let of = about.map_or(files.len(), |about| about.files_of_table);
    let bytes = files.iter().map(|file| file.object_meta.size).sum();
    Files { read: files.len(), of, bytes }.describe(step);
    if let Some(limit) = config.limit {
        step.details.push(("limit", limit.into()));
    }
    if let Some(predicate) = datafusion::datasource::physical_plan::FileSource::filter(source) {
        step.details.push(("pruned by", plain_columns(&predicate.to_string()).into()));
    }
}

/// Where the files have the properties that a scan reads: counted by file and property, then the
/// names of those that cost more than a column, with the number of files.
fn describe_origins(origins: &PropertyOrigins, step: &mut Step) {
    if origins.is_empty() {
        return;
    }
    let counts = [
        ("properties from columns", Origin::Columns),
        ("properties from remainder", Origin::Remainder),
        ("properties from text", Origin::Text),
        ("properties absent", Origin::Absent),
    ];
    for (label, origin) in counts {
        let files: usize = origins.of(origin).values().sum();
        step.details.push((label, files.into()));
    }
    let lists = [("read from remainder", Origin::Remainder), ("read from text", Origin::Text)];
    for (label, origin) in lists {
        let names = origins.of(origin);
        if !names.is_empty() {
            step.details.push((label, json!(names)));
        }
    }
}

/// The files that a scan reads, of those that the table has.
struct Files {
    read: usize,
    of: usize,
    bytes: u64,
}

impl Files {
    fn describe(&self, step: &mut Step) {
        step.details.push(("files", self.read.into()));
        step.details.push(("files pruned", self.of.saturating_sub(self.read).into()));
        step.details.push(("bytes", self.bytes.into()));
    }
}

/// What a scan of events counts.
const SCAN_COUNTS: [&str; 6] = [
    "bytes read",
    "column chunks decoded",
    "column chunks in memory",
    "files read",
    "row groups pruned",
    "row groups read",
];

fn measured(plan: &Arc<dyn ExecutionPlan>) -> Measured {
    let Some(metrics) = plan.metrics() else {
        return Measured { rows: None, time: Duration::ZERO, counts: Vec::new() };
    };
    let time = Duration::from_nanos(metrics.elapsed_compute().unwrap_or(0) as u64);
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut reading = Duration::ZERO;
    for metric in metrics.iter() {
        match metric.value() {
            MetricValue::PruningMetrics { name, pruning_metrics }
                if name == "row_groups_pruned_statistics" =>
            {
                let (pruned, kept) = (pruning_metrics.pruned(), pruning_metrics.matched());
                *counts.entry("row groups pruned").or_default() += pruned;
                *counts.entry("row groups read").or_default() += kept;
            }
            MetricValue::Count { name, count } if name == "bytes_scanned" => {
                *counts.entry("bytes read").or_default() += count.value();
            }
            MetricValue::Count { name, count } => {
                if let Some(known) = SCAN_COUNTS.iter().find(|known| *known == name) {
                    *counts.entry(known).or_default() += count.value();
                }
            }
            MetricValue::Time { name, time } if name == "time_elapsed_processing" => {
                reading += Duration::from_nanos(time.value() as u64);
            }
            MetricValue::SpilledBytes(count) if count.value() > 0 => {
                *counts.entry("bytes spilled").or_default() += count.value();
            }
            _ => {}
        }
    }
    let counts = counts.into_iter().map(|(name, count)| (name, count.into()));
    Measured { rows: metrics.output_rows(), time: time.max(reading), counts: counts.collect() }
}

/// The properties that a plan reads anywhere, as dotted paths.
fn properties(plan: &LogicalPlan) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::ScalarFunction(call) = expr
                    && View::of_function(call.func.name()).is_some()
                    && call.args.len() > 1
                {
                    let path = call.args.iter().skip(1).map(|part| match part {
                        Expr::Literal(value, _) => value.to_string(),
                        _ => "*".to_owned(),
                    });
                    found.insert(path.collect::<Vec<_>>().join("."));
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}

/// DataFusion writes columns as `event@1`; the number says nothing to a user.
fn plain_columns(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('@') {
        let after = &rest[at + 1..];
        let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        plain.push_str(&rest[..at]);
        if digits == 0 {
            plain.push('@');
        }
        rest = &after[digits..];
    }
    plain.push_str(rest);
    plain
}

// ----- as text ------------------------------------------------------------------------------

fn write_step(step: &Step, depth: usize, lines: &mut Vec<String>) {
    let mut line = "  ".repeat(depth);
    line.push_str(&step.name);
    if let Some(Measured { rows, time, .. }) = &step.measured {
        let rows = rows.map(|rows| format!("{rows} rows, ")).unwrap_or_default();
        line.push_str(&format!("  ({rows}{})", milliseconds(*time)));
    }
    lines.push(line);
    let inside = "  ".repeat(depth + 2);
    let counts = step.measured.iter().flat_map(|measured| &measured.counts);
    for (label, value) in step.details.iter().chain(counts) {
        let shown = match value {
            Value::Number(bytes) if label.starts_with("bytes") => {
                readable_bytes(bytes.as_u64().unwrap_or(0))
            }
            Value::String(text) => text.clone(),
            Value::Array(items) => {
                let names: Vec<_> = items.iter().filter_map(Value::as_str).collect();
                names.join(", ")
            }
            Value::Object(files) => {
                let files = files.iter().map(|(name, files)| match files.as_u64() {
                    Some(1) => format!("{name} (1 file)"),
                    _ => format!("{name} ({files} files)"),
                });
                files.collect::<Vec<_>>().join(", ")
            }
            other => other.to_string(),
        };
        lines.push(format!("{inside}{label}: {shown}"));
    }
    for input in &step.inputs {
        write_step(input, depth + 1, lines);
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1_000.0)
}

fn readable_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} bytes") } else { format!("{value:.1} {}", UNITS[unit]) }
}

// ----- as JSON ------------------------------------------------------------------------------

/// The keys are PostgreSQL's where it has one, so that its tools can draw the plan.
fn as_json(
    root: &Step,
    properties: &BTreeSet<String>,
    planning: Duration,
    execution: Option<(Duration, usize)>,
    logical: &LogicalPlan,
    explain: &Explain,
) -> Result<String> {
    let in_ms = |time: Duration| time.as_secs_f64() * 1_000.0;
    let mut plan = Map::new();
    plan.insert("Plan".to_owned(), step_json(root));
    plan.insert("Properties Read".to_owned(), json!(properties));
    plan.insert("Planning Time".to_owned(), json!(in_ms(planning)));
    if let Some((time, rows)) = execution {
        plan.insert("Execution Time".to_owned(), json!(in_ms(time)));
        plan.insert("Rows".to_owned(), json!(rows));
    }
    if explain.verbose {
        plan.insert("Logical Plan".to_owned(), logical.display_indent().to_string().into());
    }
    serde_json::to_string_pretty(&json!([plan])).map_err(|error| Error::internal(error.to_string()))
}

fn step_json(step: &Step) -> Value {
    let mut object = Map::new();
    object.insert("Node Type".to_owned(), step.name.as_str().into());
    for (label, value) in &step.details {
        object.insert(title(label), value.clone());
    }
    if let Some(measured) = &step.measured {
        if let Some(rows) = measured.rows {
            object.insert("Actual Rows".to_owned(), rows.into());
        }
        let time = measured.time.as_secs_f64() * 1_000.0;
        object.insert("Actual Total Time".to_owned(), time.into());
        for (label, value) in &measured.counts {
            object.insert(title(label), value.clone());
        }
    }
    if !step.inputs.is_empty() {
        let inputs: Vec<Value> = step.inputs.iter().map(step_json).collect();
        object.insert("Plans".to_owned(), inputs.into());
    }
    Value::Object(object)
}

/// `files pruned` as a key: `Files Pruned`.
fn title(label: &str) -> String {
    let words = label.split(' ').map(|word| {
        let mut letters = word.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    });
    words.collect::<Vec<_>>().join(" ")
}
