//! The order of rows: by day while files are being built, within a file by the sort key.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use datafusion::common::HashMap;

use crate::error::{Error, Result};
use crate::storage::{DISTINCT_ID_HASH, EVENT, TIMESTAMP, UUID};

/// A day in UTC, counted from 1970-01-01.
pub(crate) type Day = i64;

/// What makes an event of a project the same as another: uuid and timestamp.
pub(crate) type Key = ([u8; 16], i64);

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// The day of a time in microseconds.
pub(crate) fn day_of(micros: i64) -> Day {
    micros.div_euclid(MICROS_PER_DAY)
}

/// When a day begins, in microseconds.
pub(super) fn first_micros(day: Day) -> i64 {
    day.saturating_mul(MICROS_PER_DAY)
}

/// A row's sort key within one project.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SortKey {
    event: String,
    distinct_id_hash: i64,
    timestamp: i64,
    uuid: [u8; 16],
}

/// Which rows are wanted: those of some days, from a key on, up to but without another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) days: RangeInclusive<Day>,
    pub(super) from: Option<SortKey>,
    pub(super) before: Option<SortKey>,
}

impl Wanted {
    pub(super) fn all_of(days: &RangeInclusive<Day>) -> Self {
        Self { days: days.clone(), from: None, before: None }
    }
}

/// How rows of different days follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Days {
    /// Day by day: so that a run can be read by days.
    Apart,
    /// As if all were one: the order within a file.
    Together,
}

/// A row's place in the order, and where it is. The order of the fields is the order of the rows;
/// of equal rows the one that came first is first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    day: Day,
    /// The rank of the event's name among those at hand.
    event: u32,
    distinct_id_hash: i64,
    timestamp: i64,
    uuid: [u8; 16],
    pub(super) batch: u32,
    pub(super) row: u32,
}

impl Row {
    /// The place as `interleave` wants it.
    pub(super) fn place(&self) -> (usize, usize) {
        (self.batch as usize, self.row as usize)
    }

    pub(super) fn day(&self) -> Day {
        day_of(self.timestamp)
    }

    pub(super) fn key(&self) -> Key {
        (self.uuid, self.timestamp)
    }
}

/// The wanted rows of all batches, in order.
pub(super) fn sorted_rows(
    batches: &[RecordBatch],
    days: Days,
    wanted: Option<&Wanted>,
) -> Result<Vec<Row>> {
    let mut names = BTreeSet::new();
    for batch in batches {
        names.extend(column(batch, EVENT)?.as_string_view().iter().flatten());
    }
    let ranks: HashMap<&str, u32> = names.into_iter().zip(0..).collect();
    let mut rows = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
    for (batch_number, batch) in (0..).zip(batches) {
        let columns = KeyColumns::of(batch)?;
        for (row_number, index) in (0..).zip(0..batch.num_rows()) {
            if !wanted.is_none_or(|wanted| columns.is_in(index, wanted)) {
                continue;
            }
            rows.push(Row {
                day: match days {
                    Days::Apart => day_of(columns.timestamps[index]),
                    Days::Together => 0,
                },
                event: ranks.get(columns.events.value(index)).copied().unwrap_or_default(),
                distinct_id_hash: columns.hashes[index],
                timestamp: columns.timestamps[index],
                uuid: uuid_bytes(columns.uuids.value(index)),
                batch: batch_number,
                row: row_number,
            });
        }
    }
    rows.sort_unstable();
    Ok(rows)
}

/// The columns of the sort key.
struct KeyColumns<'a> {
    events: &'a arrow::array::StringViewArray,
    hashes: &'a [i64],
    timestamps: &'a [i64],
    uuids: &'a arrow::array::FixedSizeBinaryArray,
}

impl<'a> KeyColumns<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self> {
        Ok(Self {
            events: column(batch, EVENT)?.as_string_view(),
            hashes: column(batch, DISTINCT_ID_HASH)?.as_primitive::<Int64Type>().values(),
            timestamps: timestamps(batch)?,
            uuids: column(batch, UUID)?.as_fixed_size_binary(),
        })
    }

    fn is_in(&self, index: usize, wanted: &Wanted) -> bool {
        wanted.days.contains(&day_of(self.timestamps[index]))
            && wanted.from.as_ref().is_none_or(|from| self.compare(index, from).is_ge())
            && wanted.before.as_ref().is_none_or(|before| self.compare(index, before).is_lt())
    }

    fn compare(&self, index: usize, key: &SortKey) -> std::cmp::Ordering {
        let event = self.events.value(index).cmp(&key.event);
        event
            .then_with(|| self.hashes[index].cmp(&key.distinct_id_hash))
            .then_with(|| self.timestamps[index].cmp(&key.timestamp))
            .then_with(|| self.uuids.value(index).cmp(&key.uuid[..]))
    }
}

/// The sort key of a row of a batch.
pub(super) fn sort_key(batch: &RecordBatch, index: usize) -> Result<SortKey> {
    let columns = KeyColumns::of(batch)?;
    Ok(SortKey {
        event: columns.events.value(index).to_owned(),
        distinct_id_hash: columns.hashes[index],
        timestamp: columns.timestamps[index],
        uuid: uuid_bytes(columns.uuids.value(index)),
    })
}

/// The keys of a batch's events.
pub(crate) fn keys(batch: &RecordBatch) -> Result<impl Iterator<Item = Key>> {
    let uuids = column(batch, UUID)?.as_fixed_size_binary();
    let times = timestamps(batch)?;
    Ok((0..batch.num_rows()).map(move |row| (uuid_bytes(uuids.value(row)), times[row])))
}

/// A column of the store's schema.
pub(crate) fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a dyn Array> {
    let column = batch.column_by_name(name).map(AsRef::as_ref);
    column.ok_or_else(|| Error::internal(format!("no column {name} in a batch of events")))
}

fn timestamps(batch: &RecordBatch) -> Result<&[i64]> {
    Ok(column(batch, TIMESTAMP)?.as_primitive::<TimestampMicrosecondType>().values())
}

fn uuid_bytes(bytes: &[u8]) -> [u8; 16] {
    let mut uuid = [0; 16];
    uuid.copy_from_slice(bytes);
    uuid
}
