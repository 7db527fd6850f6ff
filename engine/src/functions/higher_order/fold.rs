//! `arrayFold`: the lambda is evaluated position by position, for all rows at once.

use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::array::{Array, ArrayRef, UInt64Array};
use arrow::compute::{interleave, nullif, take, take_arrays};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::LambdaArgument;

use super::elements::Flat;
use crate::error::Result;

/// Accumulates the elements of each row, beginning with its value in `start`.
pub(super) fn fold(
    lambda: &LambdaArgument,
    flat: &Flat,
    start: ArrayRef,
    unpacks: bool,
) -> Result<ArrayRef> {
    let params = flat.params(unpacks);
    let mut sums = start;
    let longest = (0..flat.rows()).map(|row| flat.range(row).len()).max().unwrap_or(0);
    for position in 0..longest {
        let rows = (0..flat.rows()).filter(|row| flat.range(*row).len() > position);
        let rows: Vec<usize> = rows.collect();
        let owners = UInt64Array::from_iter_values(rows.iter().map(|row| *row as u64));
        let places = rows.iter().map(|row| (flat.range(*row).start + position) as u64);
        let places = UInt64Array::from_iter_values(places);
        let mut columns = vec![take(&sums, &owners, None)?];
        columns.extend(take_arrays(&params, &places, None)?);
        let columns: Vec<_> = columns.iter().map(|column| move || Ok(Arc::clone(column))).collect();
        let columns: Vec<&dyn Fn() -> DataFusionResult<ArrayRef>> =
            columns.iter().map(|column| column as _).collect();
        let next = lambda
            .evaluate(&columns, |captures| Ok(take_arrays(captures, &owners, None)?))?
            .into_array(rows.len())?;
        sums = scatter(&sums, &next, &rows)?;
    }
    match &flat.nulls {
        Some(nulls) => Ok(nullif(&sums, &BooleanArray::new(!nulls.inner(), None))?),
        None => Ok(sums),
    }
}

/// `values` with `updates` in the given rows.
fn scatter(values: &ArrayRef, updates: &ArrayRef, rows: &[usize]) -> Result<ArrayRef> {
    if rows.len() == values.len() {
        return Ok(Arc::clone(updates));
    }
    let mut places: Vec<_> = (0..values.len()).map(|row| (0, row)).collect();
    for (update, row) in rows.iter().enumerate() {
        places[*row] = (1, update);
    }
    Ok(interleave(&[values.as_ref(), updates.as_ref()], &places)?)
}
