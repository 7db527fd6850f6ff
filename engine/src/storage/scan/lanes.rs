//! Expressions over the columns of a row group, some of which are dictionaries.
//!
//! An expression over a single dictionary is computed once for each of its values, not for each
//! row: filters and functions of text cost next to nothing there.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Int32Array, RecordBatch, RecordBatchOptions,
    new_null_array,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{concat, take};
use arrow::datatypes::{Int32Type, Schema, SchemaRef};
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};

use crate::functions::aggregates::passing;

/// An expression over the columns that a scan loads.
#[derive(Debug, Clone)]
pub(super) struct Lane {
    expr: Arc<dyn PhysicalExpr>,
    /// The columns that it reads, by their places among the loaded ones; its own schema is just
    /// these.
    pub(super) columns: Vec<usize>,
    schema: SchemaRef,
}

/// What is known of a lane in one row group.
#[derive(Debug)]
pub(super) enum Prepared {
    /// Its values for each value of the dictionary in its only column, and at the end for NULL.
    ByDictionary(ArrayRef),
    ByRow,
}

impl Lane {
    /// An expression over the columns of a file, of which those in `loaded` are loaded.
    pub(super) fn new(
        expr: Arc<dyn PhysicalExpr>,
        file: &Schema,
        loaded: &[usize],
    ) -> Result<Self> {
        let mut read: Vec<usize> = collect_columns(&expr).iter().map(Column::index).collect();
        read.sort_unstable();
        let columns = read.iter().filter_map(|index| loaded.iter().position(|l| l == index));
        let fields: Vec<_> = read.iter().map(|index| Arc::clone(&file.fields()[*index])).collect();
        let schema = Arc::new(Schema::new(fields));
        Ok(Self { columns: columns.collect(), expr: reassign_expr_columns(expr, &schema)?, schema })
    }

    /// Computes the lane for the values of a dictionary, where that is less work than for `rows`
    /// rows. What fails for a value that no row may have in the end is left to the rows.
    pub(super) fn prepare(&self, columns: &[Option<ArrayRef>], rows: usize) -> Prepared {
        let [only] = self.columns.as_slice() else { return Prepared::ByRow };
        let dictionary = columns[*only].as_ref().and_then(dictionary);
        match dictionary.filter(|dictionary| dictionary.values().len() * 2 <= rows) {
            Some(dictionary) => match self.over_values(dictionary.values()) {
                Ok(values) => Prepared::ByDictionary(values),
                Err(_) => Prepared::ByRow,
            },
            None => Prepared::ByRow,
        }
    }

    fn over_values(&self, values: &ArrayRef) -> Result<ArrayRef> {
        let values = with_null(values)?;
        let rows = values.len();
        let field = self.schema.field(0).clone().with_nullable(true);
        let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![values])?;
        self.expr.evaluate(&batch)?.into_array(rows)
    }

    /// The lane's values for `rows` rows of the loaded columns.
    pub(super) fn evaluate(
        &self,
        prepared: &Prepared,
        columns: &[ArrayRef],
        rows: usize,
    ) -> Result<ArrayRef> {
        match (prepared, self.columns.as_slice()) {
            (Prepared::ByDictionary(values), [only]) => {
                gather(values, columns[*only].as_dictionary::<Int32Type>().keys())
            }
            _ => {
                let columns = self.columns.iter().map(|index| plain(&columns[*index]));
                let columns = columns.collect::<Result<Vec<_>>>()?;
                let options = RecordBatchOptions::new().with_row_count(Some(rows));
                let schema = Arc::clone(&self.schema);
                let batch = RecordBatch::try_new_with_options(schema, columns, &options)?;
                self.expr.evaluate(&batch)?.into_array(rows)
            }
        }
    }
}

/// A column that is no dictionary.
fn plain(column: &ArrayRef) -> Result<ArrayRef> {
    match dictionary(column) {
        Some(dictionary) => Ok(take(dictionary.values(), dictionary.keys(), None)?),
        None => Ok(Arc::clone(column)),
    }
}

/// Which rows a condition over a dictionary lets pass.
pub(super) fn selected(values: &ArrayRef, column: &ArrayRef) -> BooleanBuffer {
    let keys = column.as_dictionary::<Int32Type>().keys();
    let passes: Vec<bool> = passing(values.as_boolean()).iter().collect();
    let null = passes.len() - 1;
    match keys.nulls() {
        None => {
            let keys = keys.values();
            BooleanBuffer::collect_bool(keys.len(), |row| passes[key(keys[row])])
        }
        Some(nulls) => {
            let keys = keys.values();
            BooleanBuffer::collect_bool(keys.len(), |row| {
                passes[if nulls.is_valid(row) { key(keys[row]) } else { null }]
            })
        }
    }
}

fn key(key: i32) -> usize {
    usize::try_from(key).unwrap_or_default()
}

fn dictionary(column: &ArrayRef) -> Option<&DictionaryArray<Int32Type>> {
    column.as_dictionary_opt::<Int32Type>()
}

fn with_null(values: &ArrayRef) -> Result<ArrayRef> {
    let null = new_null_array(values.data_type(), 1);
    Ok(concat(&[values.as_ref(), null.as_ref()])?)
}

/// The values by key; the last is that of NULL.
fn gather(values: &ArrayRef, keys: &Int32Array) -> Result<ArrayRef> {
    let null = i32::try_from(values.len() - 1).unwrap_or(i32::MAX);
    let Some(nulls) = keys.nulls().filter(|nulls| nulls.null_count() > 0) else {
        return Ok(take(values, keys, None)?);
    };
    let keys = keys.values().iter().zip(nulls).map(|(key, valid)| if valid { *key } else { null });
    Ok(take(values, &keys.collect::<Int32Array>(), None)?)
}
