//! A part: one immutable Parquet file of the log, with what the log says about its contents.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, UInt64Array, new_empty_array};
use arrow::compute::{concat, filter};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, Result as DfResult, ScalarValue};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use object_store::ObjectMeta;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::storage::deleted::DeletedRows;
use crate::storage::properties::PropertyCounts;
use crate::storage::schema::{TEAM_ID, TIMESTAMP, events_schema};
use crate::storage::{EVENTS_FOLDER, ProjectId};

/// One file of the log.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Part {
    /// Relative to the table.
    pub(crate) path: String,
    pub(crate) size_bytes: u64,
    /// Milliseconds since the epoch.
    pub(crate) modified_ms: i64,
    /// The rows are in the order of the sort key. Other tools that rewrite files lose it.
    pub(crate) sorted: bool,
    /// None when a foreign writer left no statistics.
    pub(crate) statistics: Option<PartStatistics>,
    /// None when the writer did not look.
    pub(crate) properties: Option<Arc<PropertyCounts>>,
    /// CRC32C of the file's bytes; none of files that other tools wrote.
    pub(crate) checksum: Option<u32>,
    /// None when all rows are there.
    pub(crate) deleted: Option<Arc<DeletedRows>>,
}

/// What the log knows about the rows of a part.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct PartStatistics {
    pub(crate) rows: u64,
    /// By column name. A column without an entry may hold anything.
    pub(crate) ranges: BTreeMap<String, Range>,
    pub(crate) nulls: BTreeMap<String, u64>,
}

/// The least and greatest value of a column; a side that is None is unbounded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Range {
    pub(crate) min: Option<ScalarValue>,
    pub(crate) max: Option<ScalarValue>,
}

/// Text longer than this gets no bounds: a cut maximum would be wrong.
const BOUND_BYTES_MAX: usize = 256;

impl Part {
    /// Where a file of `events` is in the data folder.
    pub(crate) fn location(&self) -> Result<Path> {
        self.location_in(EVENTS_FOLDER)
    }

    /// Where the file is in the data folder, when the table is in `folder`.
    pub(crate) fn location_in(&self, folder: &str) -> Result<Path> {
        let location = Path::parse(format!("{folder}/{}", self.path));
        location.map_err(|error| {
            Error::new(ErrorKind::Storage, format!("the log names a strange file: {}", self.path))
                .caused_by(error)
        })
    }

    /// A file of `events` for a scan.
    pub(crate) fn to_file(&self) -> Result<PartitionedFile> {
        Ok(PartitionedFile::new_from_meta(self.meta_in(EVENTS_FOLDER)?))
    }

    /// What the object store would say about the file, when the table is in `folder`.
    pub(crate) fn meta_in(&self, folder: &str) -> Result<ObjectMeta> {
        Ok(ObjectMeta {
            location: self.location_in(folder)?,
            last_modified: DateTime::from_timestamp_millis(self.modified_ms).unwrap_or_default(),
            size: self.size_bytes,
            e_tag: None,
            version: None,
        })
    }

    /// How many rows it has, without the deleted ones, where the log knows.
    pub(crate) fn rows(&self) -> Option<u64> {
        let deleted = self.deleted.as_ref().map_or(0, |deleted| deleted.count());
        self.rows_in_file().map(|rows| rows.saturating_sub(deleted))
    }

    /// How many rows it has, deleted ones included: what all other statistics speak of.
    pub(crate) fn rows_in_file(&self) -> Option<u64> {
        self.statistics.as_ref().map(|known| known.rows)
    }

    /// False when the log shows that it has no rows of the project.
    pub(crate) fn may_have(&self, project: ProjectId) -> bool {
        let id = project.0.into();
        self.may_overlap(TEAM_ID, &id, &id)
    }

    /// The project to which every row belongs; none when there are several, or nobody knows.
    pub(crate) fn project(&self) -> Option<ProjectId> {
        match self.range(TEAM_ID)? {
            Range {
                min: Some(ScalarValue::Int64(Some(min))),
                max: Some(ScalarValue::Int64(Some(max))),
            } if min == max => Some(ProjectId(*min)),
            _ => None,
        }
    }

    /// True when every row surely belongs to the project.
    pub(crate) fn is_only(&self, project: ProjectId) -> bool {
        self.project() == Some(project)
    }

    /// False when the log shows that no value of a column lies between these two.
    pub(crate) fn may_overlap(
        &self,
        column: &str,
        first: &ScalarValue,
        last: &ScalarValue,
    ) -> bool {
        self.range(column).is_none_or(|range| {
            range.min.as_ref().is_none_or(|min| min <= last)
                && range.max.as_ref().is_none_or(|max| max >= first)
        })
    }

    /// The first and last time of an event, in microseconds, where the log knows both.
    pub(crate) fn times(&self) -> Option<(i64, i64)> {
        match self.range(TIMESTAMP)? {
            Range {
                min: Some(ScalarValue::TimestampMicrosecond(Some(first), _)),
                max: Some(ScalarValue::TimestampMicrosecond(Some(last), _)),
            } => Some((*first, *last)),
            _ => None,
        }
    }

    /// What is known about the values of a column.
    pub(crate) fn range(&self, column: &str) -> Option<&Range> {
        self.statistics.as_ref()?.ranges.get(column)
    }
}

/// The statistics of an `add` action, as the Delta protocol lays them out.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeltaStatistics {
    num_records: u64,
    #[serde(default)]
    min_values: BTreeMap<String, Value>,
    #[serde(default)]
    max_values: BTreeMap<String, Value>,
    #[serde(default)]
    null_count: BTreeMap<String, Value>,
}

impl PartStatistics {
    /// The JSON text for the log.
    pub(crate) fn to_json(&self) -> String {
        let side = |pick: fn(&Range) -> &Option<ScalarValue>| {
            self.ranges
                .iter()
                .filter_map(|(name, range)| Some((name.clone(), to_json(pick(range).as_ref()?)?)))
                .collect()
        };
        let statistics = DeltaStatistics {
            num_records: self.rows,
            min_values: side(|range| &range.min),
            max_values: side(|range| &range.max),
            null_count: self.nulls.iter().map(|(name, n)| (name.clone(), (*n).into())).collect(),
        };
        // A map with text keys always serialises.
        serde_json::to_string(&statistics).unwrap_or_default()
    }

    /// Reads the JSON text of the log; none when it says nothing usable.
    pub(crate) fn from_json(text: &str) -> Option<Self> {
        let delta: DeltaStatistics = serde_json::from_str(text).ok()?;
        let ranges = events_schema().fields().iter().filter_map(|field| {
            let name = field.name();
            let bound = |values: &BTreeMap<String, Value>, end| {
                from_json(values.get(name)?, field.data_type(), end)
            };
            let min = bound(&delta.min_values, End::Min);
            let max = bound(&delta.max_values, End::Max);
            (min.is_some() || max.is_some()).then(|| (name.clone(), Range { min, max }))
        });
        let nulls =
            delta.null_count.iter().filter_map(|(name, n)| Some((name.clone(), n.as_u64()?)));
        Some(Self { rows: delta.num_records, ranges: ranges.collect(), nulls: nulls.collect() })
    }
}

fn to_json(value: &ScalarValue) -> Option<Value> {
    match value {
        ScalarValue::Int64(Some(number)) => Some((*number).into()),
        ScalarValue::Utf8View(Some(text)) if text.len() <= BOUND_BYTES_MAX => {
            Some(text.as_str().into())
        }
        ScalarValue::TimestampMicrosecond(Some(micros), _) => {
            let time = DateTime::<Utc>::from_timestamp_micros(*micros)?;
            Some(time.to_rfc3339_opts(SecondsFormat::Micros, true).into())
        }
        _ => None,
    }
}

#[derive(Clone, Copy, PartialEq)]
enum End {
    Min,
    Max,
}

fn from_json(value: &Value, data_type: &DataType, end: End) -> Option<ScalarValue> {
    match data_type {
        DataType::Int64 => Some(ScalarValue::Int64(Some(value.as_i64()?))),
        DataType::Utf8View => Some(ScalarValue::Utf8View(Some(value.as_str()?.to_owned()))),
        DataType::Timestamp(_, zone) => {
            let micros = timestamp_bound(value.as_str()?, end)?;
            Some(ScalarValue::TimestampMicrosecond(Some(micros), zone.clone()))
        }
        _ => None,
    }
}

/// Other writers cut timestamps down to milliseconds, which makes a maximum up to one
/// millisecond too small.
fn timestamp_bound(text: &str, end: End) -> Option<i64> {
    let micros = match DateTime::parse_from_rfc3339(text) {
        Ok(time) => time.timestamp_micros(),
        Err(_) => {
            let formats = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];
            let parsed = formats.iter().find_map(|format| {
                NaiveDateTime::parse_from_str(text.trim_end_matches('Z'), format).ok()
            });
            parsed?.and_utc().timestamp_micros()
        }
    };
    let digits = text
        .split_once('.')
        .map_or(0, |(_, fraction)| fraction.bytes().take_while(u8::is_ascii_digit).count());
    Some(if end == End::Max && digits < 6 { micros.saturating_add(999) } else { micros })
}

/// Parts, with the bounds of their columns in the form that pruning asks for.
#[derive(Debug)]
pub(crate) struct PartIndex {
    pub(crate) parts: Vec<Arc<Part>>,
    /// By column; columns of which no bound is known have none.
    bounds: BTreeMap<String, Bounds>,
    rows: ArrayRef,
}

/// The least and greatest values of a column, and its NULLs, by part.
#[derive(Debug)]
struct Bounds {
    min: Option<ArrayRef>,
    max: Option<ArrayRef>,
    nulls: ArrayRef,
}

impl PartIndex {
    pub(crate) fn new(parts: Vec<Arc<Part>>) -> Self {
        let names = bounded(&parts).into_iter();
        let bounds = names.map(|name| (name.clone(), Bounds::new(&parts, name))).collect();
        Self { rows: rows(&parts), bounds, parts }
    }

    /// The index of other parts, made of what this one knows of those that stay, which are all
    /// unless some `are_gone`; none where those `added` have bounds of other columns.
    pub(crate) fn changed(
        &self,
        parts: &BTreeMap<String, Arc<Part>>,
        added: &[Arc<Part>],
        are_gone: bool,
    ) -> Option<Self> {
        let stays = |part: &Arc<Part>| {
            !are_gone || parts.get(&part.path).is_some_and(|found| Arc::ptr_eq(found, part))
        };
        let stays: Vec<bool> = self.parts.iter().map(stays).collect();
        let kept = self.parts.iter().zip(&stays).filter(|(_, stays)| **stays);
        if bounded(added).iter().any(|name| !self.bounds.contains_key(*name)) {
            return None;
        }
        let parts = kept.map(|(part, _)| part).chain(added).cloned().collect();
        let stays = BooleanArray::from(stays);
        let bounds = self.bounds.iter().map(|(name, bounds)| {
            let bounds = bounds.joined(&stays, &Bounds::new(added, name)).ok()?;
            Some((name.clone(), bounds))
        });
        let bounds = bounds.collect::<Option<_>>()?;
        let rows = joined(&self.rows, &stays, &rows(added)).ok()?;
        Some(Self { parts, bounds, rows })
    }

    /// The parts that may have rows for the predicate, which is over the table.
    pub(crate) fn select(&self, predicate: Arc<dyn PhysicalExpr>) -> DfResult<Vec<Arc<Part>>> {
        let pruning = PruningPredicateBuilder::new()
            .with_file_schema(Arc::clone(events_schema()))
            .try_build(predicate)?;
        let keep = pruning.prune(self)?;
        let kept = self.parts.iter().zip(keep).filter(|(_, keep)| *keep);
        Ok(kept.map(|(part, _)| Arc::clone(part)).collect())
    }
}

impl Bounds {
    fn new(parts: &[Arc<Part>], name: &str) -> Self {
        let side = |pick: fn(&Range) -> &Option<ScalarValue>| {
            let data_type = events_schema().field_with_name(name).ok()?.data_type();
            if parts.is_empty() {
                return Some(new_empty_array(data_type));
            }
            let unknown = ScalarValue::try_new_null(data_type).ok()?;
            let values = parts.iter().map(|part| {
                let bound = part.range(name).and_then(|range| pick(range).clone());
                bound.unwrap_or_else(|| unknown.clone())
            });
            ScalarValue::iter_to_array(values).ok()
        };
        let nulls = parts.iter().map(|part| part.statistics.as_ref()?.nulls.get(name).copied());
        Self {
            min: side(|range| &range.min),
            max: side(|range| &range.max),
            nulls: Arc::new(nulls.collect::<UInt64Array>()),
        }
    }

    /// Those of the parts that stay, and of others behind them.
    fn joined(&self, stays: &BooleanArray, others: &Self) -> Result<Self, ArrowError> {
        let side = |ours: &Option<ArrayRef>, others: &Option<ArrayRef>| match (ours, others) {
            (Some(ours), Some(others)) => joined(ours, stays, others).map(Some),
            _ => Ok(None),
        };
        Ok(Self {
            min: side(&self.min, &others.min)?,
            max: side(&self.max, &others.max)?,
            nulls: joined(&self.nulls, stays, &others.nulls)?,
        })
    }
}

/// The columns of which parts know anything.
fn bounded(parts: &[Arc<Part>]) -> BTreeSet<&String> {
    let known = parts.iter().filter_map(|part| part.statistics.as_ref());
    known.flat_map(|known| known.ranges.keys().chain(known.nulls.keys())).collect()
}

fn rows(parts: &[Arc<Part>]) -> ArrayRef {
    Arc::new(parts.iter().map(|part| part.rows_in_file()).collect::<UInt64Array>())
}

fn joined(
    ours: &ArrayRef,
    stays: &BooleanArray,
    others: &ArrayRef,
) -> Result<ArrayRef, ArrowError> {
    concat(&[filter(ours, stays)?.as_ref(), others.as_ref()])
}

impl PruningStatistics for PartIndex {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds.get(&column.name)?.min.clone()
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds.get(&column.name)?.max.clone()
    }

    fn num_containers(&self) -> usize {
        self.parts.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds.get(&column.name).map(|bounds| Arc::clone(&bounds.nulls))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::clone(&self.rows))
    }

    fn contained(
        &self,
        _column: &Column,
        _values: &std::collections::HashSet<ScalarValue>,
    ) -> Option<BooleanArray> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(micros: i64) -> Option<ScalarValue> {
        Some(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())))
    }

    #[test]
    fn statistics_survive_the_log() {
        let text = |value: &str| Some(ScalarValue::Utf8View(Some(value.to_owned())));
        let statistics = PartStatistics {
            rows: 3,
            ranges: BTreeMap::from([
                ("event".to_owned(), Range { min: text("a"), max: text("z") }),
                ("timestamp".to_owned(), Range { min: time(-1), max: time(1_000_001) }),
            ]),
            nulls: BTreeMap::from([("event".to_owned(), 0)]),
        };
        assert_eq!(PartStatistics::from_json(&statistics.to_json()), Some(statistics));
    }

    #[test]
    fn a_changed_index_is_the_one_of_its_parts() {
        let part = |number: i64| {
            let range = Range { min: time(number), max: time(number + 1) };
            let statistics = PartStatistics {
                rows: 3,
                ranges: BTreeMap::from([("timestamp".to_owned(), range)]),
                nulls: BTreeMap::from([("timestamp".to_owned(), 0)]),
            };
            let part = Part {
                path: format!("{number}.parquet"),
                size_bytes: 1,
                modified_ms: 0,
                sorted: true,
                statistics: Some(statistics),
                properties: None,
                checksum: None,
                deleted: None,
            };
            (part.path.clone(), Arc::new(part))
        };
        let old: BTreeMap<_, _> = (0..5).map(part).collect();
        let index = PartIndex::new(old.values().cloned().collect());
        let mut new = old.clone();
        new.remove("1.parquet");
        let added: BTreeMap<_, _> = (7..9).map(part).collect();
        new.extend(added.clone());
        let added: Vec<_> = added.into_values().collect();
        let changed = index.changed(&new, &added, true).unwrap();
        let paths: Vec<_> = changed.parts.iter().map(|part| part.path.as_str()).collect();
        assert_eq!(paths, ["0", "2", "3", "4", "7", "8"].map(|n| format!("{n}.parquet")));
        let anew = PartIndex::new(changed.parts.clone());
        let column = Column::from_name("timestamp");
        assert_eq!(&changed.min_values(&column), &anew.min_values(&column));
        assert_eq!(&changed.max_values(&column), &anew.max_values(&column));
        assert_eq!(&changed.null_counts(&column), &anew.null_counts(&column));
        assert_eq!(&changed.row_counts(), &anew.row_counts());
        let (path, more) = part(5);
        let mut grown = new.clone();
        grown.insert(path, Arc::clone(&more));
        assert_eq!(changed.changed(&grown, &[more], false).unwrap().num_containers(), 7);
        let none = changed.changed(&BTreeMap::new(), &[], true).unwrap();
        assert_eq!(none.num_containers(), 0);
    }

    #[test]
    fn long_text_has_no_bound() {
        let max = Some(ScalarValue::Utf8View(Some("x".repeat(BOUND_BYTES_MAX + 1))));
        let statistics = PartStatistics {
            rows: 1,
            ranges: BTreeMap::from([("event".to_owned(), Range { min: None, max })]),
            nulls: BTreeMap::new(),
        };
        let read = PartStatistics::from_json(&statistics.to_json()).unwrap();
        assert!(read.ranges.is_empty());
    }

    #[test]
    fn millisecond_bounds_of_other_writers_are_widened() {
        let json = r#"{"numRecords":1,
            "minValues":{"timestamp":"1970-01-01T00:00:00.001Z"},
            "maxValues":{"timestamp":"1970-01-01T00:00:00.001Z"}}"#;
        let read = PartStatistics::from_json(json).unwrap();
        assert_eq!(read.ranges["timestamp"], Range { min: time(1000), max: time(1999) });
    }
}
