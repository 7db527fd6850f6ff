//! Which days share a file, and how a large cell is cut into pieces that fit into memory.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::storage::build::order::{Day, SortKey, Wanted};
use crate::storage::build::run::{Block, DayTotal};

/// A day of so many bytes of rows is not thin, however few rows there are.
const THIN_BYTES: u64 = 64 << 20;

/// Days that share a file: one, unless days are thin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) days: RangeInclusive<Day>,
    pub(super) rows: u64,
}

/// A day with fewer rows shares its file with its neighbours: a project of so many rows has some
/// hundred files before its days are worth one each, not one for every day of a long, thin history.
pub(crate) fn thin_rows(rows_of_project: u64) -> u64 {
    const ROWS_PER_FILE: u64 = 1 << 16;
    const FILES: u64 = 128;
    (rows_of_project / FILES).min(ROWS_PER_FILE)
}

/// The cells of all days, ascending.
pub(super) fn cells(days: BTreeMap<Day, DayTotal>, thin: u64) -> Vec<Cell> {
    let is_thin = |total: DayTotal| total.rows < thin && total.bytes < THIN_BYTES;
    let mut cells: Vec<(Cell, DayTotal)> = Vec::new();
    for (day, total) in days {
        match cells.last_mut() {
            Some((cell, sum)) if is_thin(*sum) && is_thin(total) => {
                cell.days = *cell.days.start()..=day;
                cell.rows += total.rows;
                sum.rows += total.rows;
                sum.bytes += total.bytes;
            }
            _ => cells.push((Cell { days: day..=day, rows: total.rows }, total)),
        }
    }
    cells.into_iter().map(|(cell, _)| cell).collect()
}

/// Consecutive pieces of a cell of about `bytes_max` each, by where blocks begin.
pub(super) fn pieces<'a>(
    cell: &Cell,
    blocks: impl Iterator<Item = &'a Block>,
    bytes_max: usize,
) -> Vec<Wanted> {
    let whole = Wanted::all_of(&cell.days);
    let mut starts: Vec<(Option<&SortKey>, usize)> = blocks
        .filter(|block| block.may_hold(&whole))
        .map(|block| (block.first_within(&whole), block.bytes))
        .collect();
    starts.sort_unstable();
    let mut pieces = vec![whole];
    let mut bytes = 0;
    for (start, more) in starts {
        if let (Some(start), Some(last)) = (start, pieces.last_mut())
            && bytes + more > bytes_max
            && bytes > 0
        {
            last.before = Some(start.clone());
            let days = cell.days.clone();
            pieces.push(Wanted { days, from: Some(start.clone()), before: None });
            bytes = 0;
        }
        bytes += more;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(rows: &[(Day, u64)]) -> BTreeMap<Day, DayTotal> {
        rows.iter().map(|(day, rows)| (*day, DayTotal { rows: *rows, bytes: rows * 100 })).collect()
    }

    fn spans(cells: &[Cell]) -> Vec<(Day, Day)> {
        cells.iter().map(|cell| (*cell.days.start(), *cell.days.end())).collect()
    }

    #[test]
    fn a_day_has_a_file_of_its_own() {
        let cells = cells(days(&[(-1, 10), (0, 10), (5, 10)]), 10);
        assert_eq!(spans(&cells), [(-1, -1), (0, 0), (5, 5)]);
    }

    #[test]
    fn thin_days_share_a_file() {
        let cells = cells(days(&[(0, 4), (1, 4), (2, 4), (3, 4), (4, 50), (5, 1), (9, 1)]), 10);
        assert_eq!(spans(&cells), [(0, 2), (3, 3), (4, 4), (5, 9)]);
        assert_eq!(cells.iter().map(|cell| cell.rows).collect::<Vec<_>>(), [12, 4, 50, 2]);
    }

    #[test]
    fn a_long_thin_history_makes_few_files() {
        let rows: Vec<_> = (0..3650).map(|day| (day, 9)).collect();
        let cells = cells(days(&rows), thin_rows(3650 * 9));
        assert!(cells.len() <= 128, "{} files", cells.len());
        assert_eq!(cells.iter().map(|cell| cell.rows).sum::<u64>(), 3650 * 9);
    }
}
