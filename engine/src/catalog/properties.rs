//! `system.properties`: what was seen of the project's event properties.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::MemTable;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::{COMMENT, Table};
use crate::storage::{ProjectId, Properties, Property, Snapshot};

/// The table of one project.
pub(super) fn table(snapshot: Arc<Snapshot>, project: ProjectId) -> Table {
    Table {
        name: "system.properties".to_owned(),
        doc: "The keys of event properties, with what was seen under them.",
        provider: Arc::new(PropertiesTable { schema: schema(), snapshot, project }),
    }
}

/// Filled when it is read: the keys of a project are put together from all its files.
#[derive(Debug)]
struct PropertiesTable {
    schema: SchemaRef,
    snapshot: Arc<Snapshot>,
    project: ProjectId,
}

type Count = fn(&Property) -> u64;

/// The columns that count, with their meaning.
const COUNTS: [(&str, &str, Count); 8] = [
    ("events", "Events that have the key.", |property| property.seen.total()),
    ("strings", "Strings that are no times.", |property| property.seen.strings),
    ("date_times", "Strings that are ISO 8601 times.", |property| property.seen.date_times),
    ("numbers", "Numbers.", |property| property.seen.numbers + property.seen.large_numbers),
    ("booleans", "true and false.", |property| property.seen.booleans),
    ("objects", "Objects.", |property| property.seen.objects),
    ("arrays", "Arrays.", |property| property.seen.arrays),
    ("nulls", "null and empty strings, which read as NULL.", |property| property.seen.nulls),
];

fn schema() -> SchemaRef {
    let field = |name: &str, data_type, comment: &str| {
        let metadata = [(COMMENT.to_owned(), comment.to_owned())].into();
        Field::new(name, data_type, false).with_metadata(metadata)
    };
    let mut fields = vec![
        field("key", DataType::Utf8View, "The key, as in properties.key."),
        field("type", DataType::Utf8View, "String, Numeric, Boolean or DateTime."),
    ];
    fields.extend(COUNTS.map(|(name, comment, _)| field(name, DataType::Int64, comment)));
    Arc::new(Schema::new(fields))
}

fn rows(schema: SchemaRef, properties: &Properties) -> Result<RecordBatch> {
    let keys: StringViewArray = properties.iter().map(|(key, _)| Some(key)).collect();
    let types: StringViewArray =
        properties.iter().map(|(_, property)| Some(property.ty.name())).collect();
    let mut columns: Vec<ArrayRef> = vec![Arc::new(keys), Arc::new(types)];
    columns.extend(COUNTS.map(|(_, _, count)| {
        let counts = properties.iter().map(|(_, property)| count(&property).cast_signed());
        Arc::new(Int64Array::from_iter_values(counts)) as ArrayRef
    }));
    Ok(RecordBatch::try_new(schema, columns)?)
}

#[async_trait]
impl TableProvider for PropertiesTable {
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
        let batch = rows(self.schema(), &self.snapshot.properties(self.project))?;
        let table = MemTable::try_new(self.schema(), vec![vec![batch]])?;
        table.scan(state, projection, filters, limit).await
    }
}
