//! The wanted rows among those in memory.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::projection::ProjectionExprs;

/// What a scan wants of rows in the columns of the store; properties are read from their text.
#[derive(Debug)]
pub(super) struct HotRows {
    conditions: Vec<Arc<dyn PhysicalExpr>>,
    projection: Vec<Arc<dyn PhysicalExpr>>,
    schema: SchemaRef,
}

impl HotRows {
    pub(super) fn new(
        conditions: &[Arc<dyn PhysicalExpr>],
        projection: &ProjectionExprs,
        schema: SchemaRef,
    ) -> Self {
        let projection = projection.iter().map(|column| Arc::clone(&column.expr)).collect();
        Self { conditions: conditions.to_vec(), projection, schema }
    }

    /// The columns of the answer for the rows that pass all conditions.
    pub(super) fn answer(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let mut rows = rows.clone();
        for condition in &self.conditions {
            let passing = condition.evaluate(&rows)?.into_array(rows.num_rows())?;
            // A row that another condition has refused must not make this one fail.
            rows = filter_record_batch(&rows, passing.as_boolean())?;
        }
        let columns = self.projection.iter().map(|expr| {
            let column = expr.evaluate(&rows)?;
            column.into_array(rows.num_rows())
        });
        let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}
