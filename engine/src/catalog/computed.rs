//! Tables whose rows are computed when they are read.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::MemTable;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::COMMENT;
use crate::types::Type;

/// Where the rows come from.
#[async_trait]
pub(super) trait Rows: fmt::Debug + Send + Sync + 'static {
    /// All rows. Columns that are not wanted may hold anything of their type.
    async fn rows(&self, schema: SchemaRef, wanted: Wanted<'_>) -> Result<RecordBatch>;
}

/// Tells of a column's name whether the query reads it.
pub(super) type Wanted<'a> = &'a (dyn Fn(&str) -> bool + Sync);

/// A table of such rows.
#[derive(Debug)]
pub(super) struct Computed<R> {
    pub(super) schema: SchemaRef,
    pub(super) rows: R,
}

/// A column with its meaning.
pub(super) fn described(name: &str, ty: &Type, nullable: bool, comment: &str) -> Field {
    let metadata = [(COMMENT.to_owned(), comment.to_owned())].into();
    ty.to_field(name, nullable).with_metadata(metadata)
}

#[async_trait]
impl<R: Rows> TableProvider for Computed<R> {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let is_wanted = |name: &str| {
            let column = self.schema.index_of(name);
            projection.is_none_or(|wanted| column.is_ok_and(|column| wanted.contains(&column)))
        };
        let batch = self.rows.rows(self.schema(), &is_wanted).await?;
        let table = MemTable::try_new(self.schema(), vec![vec![batch]])?;
        table.scan(state, projection, filters, limit).await
    }
}
