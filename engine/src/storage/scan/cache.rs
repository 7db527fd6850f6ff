//! What scans keep in memory: footers, filters, and decoded columns of row groups, up to a budget.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use parking_lot::Mutex;
use parquet::bloom_filter::Sbbf;

use crate::storage::scan::open::OpenFile;

/// The least recently used goes first. Files never change, so nothing ever needs refreshing.
#[derive(Debug)]
pub(crate) struct ScanCache {
    bytes_max: usize,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    files: HashMap<Arc<str>, Entry<Arc<OpenFile>>>,
    filters: HashMap<ColumnKey, Entry<Arc<Sbbf>>>,
    columns: HashMap<ColumnKey, Entry<ArrayRef>>,
    bytes: usize,
    clock: u64,
}

#[derive(Debug)]
struct Entry<T> {
    value: T,
    bytes: usize,
    used: u64,
}

/// A column of one row group of one file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ColumnKey {
    pub(super) path: Arc<str>,
    pub(super) row_group: usize,
    pub(super) column: usize,
}

impl ScanCache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, entries: Mutex::default() }
    }

    pub(super) fn file(&self, path: &str) -> Option<Arc<OpenFile>> {
        let entries = &mut *self.entries.lock();
        entries.clock += 1;
        let entry = entries.files.get_mut(path)?;
        entry.used = entries.clock;
        Some(Arc::clone(&entry.value))
    }

    pub(super) fn keep_file(&self, file: &Arc<OpenFile>) {
        let bytes = file.memory_bytes();
        let entries = &mut *self.entries.lock();
        entries.clock += 1;
        let entry = Entry { value: Arc::clone(file), bytes, used: entries.clock };
        let before = entries.files.insert(Arc::clone(&file.path), entry);
        entries.count(bytes, before.map(|entry| entry.bytes), self.bytes_max);
    }

    pub(super) fn filter(&self, key: &ColumnKey) -> Option<Arc<Sbbf>> {
        let entries = &mut *self.entries.lock();
        entries.clock += 1;
        let entry = entries.filters.get_mut(key)?;
        entry.used = entries.clock;
        Some(Arc::clone(&entry.value))
    }

    pub(super) fn keep_filter(&self, key: ColumnKey, filter: &Arc<Sbbf>) {
        const BLOCK_BYTES: usize = 32;
        let bytes = filter.num_blocks() * BLOCK_BYTES;
        let entries = &mut *self.entries.lock();
        entries.clock += 1;
        let entry = Entry { value: Arc::clone(filter), bytes, used: entries.clock };
        let before = entries.filters.insert(key, entry);
        entries.count(bytes, before.map(|entry| entry.bytes), self.bytes_max);
    }

    pub(super) fn column(&self, key: &ColumnKey) -> Option<ArrayRef> {
        let entries = &mut *self.entries.lock();
        entries.clock += 1;
        let entry = entries.columns.get_mut(key)?;
        entry.used = entries.clock;
        Some(Arc::clone(&entry.value))
    }

    pub(super) fn keep_column(&self, key: ColumnKey, column: &ArrayRef) {
        let bytes = column.get_array_memory_size();
        let entries = &mut *self.entries.lock();
        entries.clock += 1;
        let entry = Entry { value: Arc::clone(column), bytes, used: entries.clock };
        let before = entries.columns.insert(key, entry);
        entries.count(bytes, before.map(|entry| entry.bytes), self.bytes_max);
    }

    /// The most that one column may take, so that it does not push out all others.
    pub(super) fn column_bytes_max(&self) -> usize {
        self.bytes_max / 32
    }
}

impl Entries {
    fn count(&mut self, more: usize, less: Option<usize>, bytes_max: usize) {
        self.bytes = self.bytes + more - less.unwrap_or(0);
        if self.bytes <= bytes_max {
            return;
        }
        // A tenth at a time, so that the search is rare.
        let wanted = bytes_max / 10 * 9;
        let mut uses: Vec<(u64, usize)> = self
            .files
            .values()
            .map(|entry| (entry.used, entry.bytes))
            .chain(self.filters.values().map(|entry| (entry.used, entry.bytes)))
            .chain(self.columns.values().map(|entry| (entry.used, entry.bytes)))
            .collect();
        uses.sort_unstable();
        let mut left = self.bytes;
        let keep_from = uses.into_iter().find_map(|(used, bytes)| {
            let fits = left <= wanted;
            left -= bytes;
            fits.then_some(used)
        });
        let keep_from = keep_from.unwrap_or(u64::MAX);
        self.files.retain(|_, entry| entry.used >= keep_from);
        self.filters.retain(|_, entry| entry.used >= keep_from);
        self.columns.retain(|_, entry| entry.used >= keep_from);
        self.bytes = self.files.values().map(|entry| entry.bytes).sum::<usize>()
            + self.filters.values().map(|entry| entry.bytes).sum::<usize>()
            + self.columns.values().map(|entry| entry.bytes).sum::<usize>();
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;

    use super::*;

    fn key(column: usize) -> ColumnKey {
        ColumnKey { path: "a".into(), row_group: 0, column }
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![0; 1000]));
        let cache = ScanCache::new(column.get_array_memory_size() * 10);
        for number in 0..10 {
            cache.keep_column(key(number), &column);
        }
        assert!(cache.column(&key(0)).is_some());
        cache.keep_column(key(10), &column);
        assert!(cache.column(&key(0)).is_some(), "used of late");
        assert!(cache.column(&key(1)).is_none());
        assert!(cache.column(&key(10)).is_some());
        assert!(cache.entries.lock().bytes <= cache.bytes_max);
    }
}
