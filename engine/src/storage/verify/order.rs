//! Whether rows are in the order of the sort key.

use std::cmp::Ordering;

use arrow::array::{AsArray, FixedSizeBinaryArray, RecordBatch, StringViewArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};

use crate::error::Result;
use crate::storage::build::column;
use crate::storage::schema::{DISTINCT_ID_HASH, EVENT, TEAM_ID, TIMESTAMP, UUID};

/// What was seen of a file's order.
#[derive(Debug, Default)]
pub(super) struct Order {
    rows: u64,
    /// The rows before, by the last of them.
    last: Option<RecordBatch>,
    /// The first row that comes before its predecessor.
    broken_at: Option<u64>,
}

/// The columns of [`SORT_KEY`](crate::storage::schema::SORT_KEY).
struct Keys<'a> {
    teams: &'a [i64],
    events: &'a StringViewArray,
    hashes: &'a [i64],
    timestamps: &'a [i64],
    uuids: &'a FixedSizeBinaryArray,
}

impl<'a> Keys<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self> {
        Ok(Self {
            teams: column(batch, TEAM_ID)?.as_primitive::<Int64Type>().values(),
            events: column(batch, EVENT)?.as_string_view(),
            hashes: column(batch, DISTINCT_ID_HASH)?.as_primitive::<Int64Type>().values(),
            timestamps: column(batch, TIMESTAMP)?
                .as_primitive::<TimestampMicrosecondType>()
                .values(),
            uuids: column(batch, UUID)?.as_fixed_size_binary(),
        })
    }

    fn compare(&self, row: usize, other: &Self, row_of_other: usize) -> Ordering {
        let (a, b) = (row, row_of_other);
        let team = self.teams[a].cmp(&other.teams[b]);
        team.then_with(|| self.events.value(a).cmp(other.events.value(b)))
            .then_with(|| self.hashes[a].cmp(&other.hashes[b]))
            .then_with(|| self.timestamps[a].cmp(&other.timestamps[b]))
            .then_with(|| self.uuids.value(a).cmp(other.uuids.value(b)))
    }
}

impl Order {
    /// Looks at the rows that come next.
    pub(super) fn add(&mut self, events: &RecordBatch) -> Result<()> {
        let rows = events.num_rows();
        if rows == 0 || self.broken_at.is_some() {
            return Ok(());
        }
        let keys = Keys::of(events)?;
        if let Some(last) = &self.last
            && Keys::of(last)?.compare(0, &keys, 0).is_gt()
        {
            self.broken_at = Some(self.rows);
        }
        let within = (1..rows).find(|row| keys.compare(row - 1, &keys, *row).is_gt());
        let within = within.map(|row| self.rows + row as u64);
        self.broken_at = self.broken_at.or(within);
        self.rows += rows as u64;
        self.last = Some(events.slice(rows - 1, 1));
        Ok(())
    }

    pub(super) fn problem(&self) -> Option<String> {
        let row = self.broken_at? + 1;
        Some(format!("the log calls it sorted, and row {row} comes before the one above it"))
    }
}
