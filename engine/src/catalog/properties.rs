//! `system.properties`: what was seen of the project's event properties.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, Float64Builder, Int64Array, ListArray, RecordBatch, StringViewArray,
    StringViewBuilder, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::error::Result;

use super::Table;
use super::computed::{Computed, Rows, Wanted, described};
use crate::error::Error;
use crate::storage::{Definitions, ProjectId, PropertyValues, Seen, Snapshot};
use crate::types::Type;
use crate::types::property::PropertyType;

/// The table of one project.
pub(super) fn table(
    snapshot: Arc<Snapshot>,
    project: ProjectId,
    definitions: Arc<Definitions>,
) -> Table {
    Table {
        name: "system.properties".to_owned(),
        doc: "The keys of event properties, with what was seen under them.",
        provider: Arc::new(Computed {
            schema: schema(),
            rows: PropertyRows { snapshot, project, definitions },
        }),
    }
}

/// The keys of a project are put together from all its files.
#[derive(Debug)]
struct PropertyRows {
    snapshot: Arc<Snapshot>,
    project: ProjectId,
    definitions: Arc<Definitions>,
}

/// A key as a row of the table.
struct Row<'a> {
    key: &'a str,
    ty: PropertyType,
    is_set: bool,
    seen: Seen,
    /// None for a key that was never seen, only given a type.
    values: Option<&'a PropertyValues>,
}

type Count = fn(&Seen) -> u64;

/// The columns that count, with their meaning.
const COUNTS: [(&str, &str, Count); 8] = [
    ("events", "Events that have the key.", Seen::total),
    ("strings", "Strings that are no times.", |seen| seen.strings),
    ("date_times", "Strings that are ISO 8601 times.", |seen| seen.date_times),
    ("numbers", "Numbers.", |seen| seen.numbers + seen.large_numbers),
    ("booleans", "true and false.", |seen| seen.booleans),
    ("objects", "Objects.", |seen| seen.objects),
    ("arrays", "Arrays.", |seen| seen.arrays),
    ("nulls", "null and empty strings, which read as NULL.", |seen| seen.nulls),
];

fn schema() -> SchemaRef {
    let field = |name, ty, nullable, comment| described(name, &ty, nullable, comment);
    let mut fields = vec![
        field("key", Type::String, false, "The key, as in properties.key."),
        field("type", Type::String, false, "String, Numeric, Boolean or DateTime."),
        field(
            "type_source",
            Type::String,
            false,
            "learned from the values, or set with ALTER TABLE events ALTER COLUMN.",
        ),
    ];
    fields.extend(COUNTS.map(|(name, comment, _)| field(name, Type::Int64, false, comment)));
    fields.extend([
        field(
            "fill_rate",
            Type::Float64,
            true,
            "The share of events that have the key, among those of the files that counted it; \
             NULL where a file does not say how many rows it has.",
        ),
        field(
            "misfits",
            Type::Int64,
            true,
            "Values that are not of the type: under Numeric or Boolean neither such a value nor a \
             string that spells one, under DateTime no ISO 8601 time; 0 under String. NULL where \
             a file did not tell such strings apart.",
        ),
        field(
            "distinct_values",
            Type::Int64,
            true,
            "An estimate of how many different values there are, exact up to 10, else give or \
             take a seventh; where a sample of 1024 rows per file has fewer than 64, those of the \
             sample are counted. NULL where files with more than a tenth of the values did not \
             count them.",
        ),
        field(
            "frequent_values",
            frequent_type(),
            true,
            "Up to 5 of the most frequent values of at most 64 bytes, with their share of all \
             values, by a sample of 1024 rows per file. NULL as in distinct_values.",
        ),
    ]);
    Arc::new(Schema::new(fields))
}

fn frequent_type() -> Type {
    Type::tuple([Type::String, Type::Float64]).array()
}

fn rows(schema: SchemaRef, rows: &[Row<'_>]) -> Result<RecordBatch> {
    fn texts<'a>(rows: &'a [Row<'_>], text: impl Fn(&Row<'a>) -> &'a str) -> ArrayRef {
        Arc::new(rows.iter().map(|row| Some(text(row))).collect::<StringViewArray>())
    }
    let source = |row: &Row<'_>| if row.is_set { "set" } else { "learned" };
    let mut columns: Vec<ArrayRef> =
        vec![texts(rows, |row| row.key), texts(rows, |row| row.ty.name()), texts(rows, source)];
    columns.extend(COUNTS.map(|(_, _, count)| {
        let counts = rows.iter().map(|row| count(&row.seen).cast_signed());
        Arc::new(Int64Array::from_iter_values(counts)) as ArrayRef
    }));
    let fill_rates: Float64Array = rows.iter().map(|row| row.values?.fill_rate).collect();
    let misfits = rows.iter().map(|row| {
        let misfits = row.seen.misfits(row.ty).cast_signed();
        (misfits == 0 || row.values?.knows_spelled).then_some(misfits)
    });
    let misfits: Int64Array = misfits.collect();
    let distinct = rows.iter().map(|row| Some(row.values?.distinct?.cast_signed()));
    let distinct: Int64Array = distinct.collect();
    columns.extend([Arc::new(fill_rates) as ArrayRef, Arc::new(misfits), Arc::new(distinct)]);
    columns.push(frequent(rows.iter().map(|row| row.values?.frequent.as_deref()))?);
    Ok(RecordBatch::try_new(schema, columns)?)
}

/// Lists of values with their shares.
fn frequent<'a>(lists: impl Iterator<Item = Option<&'a [(String, f64)]>>) -> Result<ArrayRef> {
    let (mut values, mut shares) = (StringViewBuilder::new(), Float64Builder::new());
    let (mut lengths, mut present) = (Vec::new(), Vec::new());
    for list in lists {
        present.push(list.is_some());
        let list = list.unwrap_or_default();
        lengths.push(list.len());
        for (value, share) in list {
            values.append_value(value);
            shares.append_value(*share);
        }
    }
    let Type::Array(pair) = frequent_type() else {
        return Err(Error::internal("frequent values are lists").into());
    };
    let field = pair.item_field();
    let DataType::Struct(fields) = field.data_type() else {
        return Err(Error::internal("frequent values are pairs").into());
    };
    let columns: Vec<ArrayRef> = vec![Arc::new(values.finish()), Arc::new(shares.finish())];
    let pairs = StructArray::try_new(fields.clone(), columns, None)?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(ListArray::try_new(field, offsets, Arc::new(pairs), Some(present.into()))?))
}

#[async_trait]
impl Rows for PropertyRows {
    async fn rows(&self, schema: SchemaRef, _wanted: Wanted<'_>) -> Result<RecordBatch> {
        let properties = self.snapshot.properties(self.project);
        let values = self.snapshot.property_values(self.project);
        let set = &self.definitions.property_types;
        let seen = properties.iter().map(|(key, _)| key);
        let keys: BTreeSet<&str> = seen.chain(set.keys().map(String::as_str)).collect();
        let row = |key| {
            let learned = properties.get(key);
            let by_hand = set.get(key).copied();
            Row {
                key,
                ty: by_hand.or(learned.map(|known| known.ty)).unwrap_or_default(),
                is_set: by_hand.is_some(),
                seen: learned.map_or_else(Seen::default, |known| known.seen),
                values: values.get(key),
            }
        };
        rows(schema, &keys.into_iter().map(row).collect::<Vec<_>>())
    }
}
