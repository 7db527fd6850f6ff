//! Files that other tools add to a store: no footer of ours, types of their own.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, FixedSizeBinaryArray, Int64Array, RecordBatch, StringViewArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use hedgerow_engine::storage::events_schema;
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use twox_hash::XxHash3_64;

/// What an event says.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) uuid: u128,
    pub(crate) event: String,
    pub(crate) distinct_id: String,
    pub(crate) timestamp_ms: i64,
    pub(crate) project: i64,
    pub(crate) properties: String,
}

/// The events in the columns and types of the store.
pub(crate) fn batch(events: &[Event]) -> RecordBatch {
    let text = |value: fn(&Event) -> &str| -> ArrayRef {
        Arc::new(StringViewArray::from_iter_values(events.iter().map(value)))
    };
    let numbers = |value: fn(&Event) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(events.iter().map(value)))
    };
    let columns = events_schema().fields().iter().map(|field| -> ArrayRef {
        match field.name().as_str() {
            "uuid" | "person_id" => {
                let ids = events.iter().map(|event| event.uuid.to_be_bytes());
                Arc::new(FixedSizeBinaryArray::try_from_iter(ids).unwrap())
            }
            "timestamp" | "created_at" => {
                let micros = events.iter().map(|event| event.timestamp_ms * 1000);
                Arc::new(TimestampMicrosecondArray::from_iter_values(micros).with_timezone("UTC"))
            }
            "event" => text(|event| &event.event),
            "distinct_id" => text(|event| &event.distinct_id),
            "properties" => text(|event| &event.properties),
            "team_id" => numbers(|event| event.project),
            "distinct_id_hash" => {
                numbers(|event| XxHash3_64::oneshot(event.distinct_id.as_bytes()).cast_signed())
            }
            _ if field.is_nullable() => new_null_array(field.data_type(), events.len()),
            _ => text(|_| ""),
        }
    });
    RecordBatch::try_new(Arc::clone(events_schema()), columns.collect()).unwrap()
}

/// The same in types that other tools like: large text, milliseconds without a zone, variable
/// binary, nothing declared as never NULL; names as dictionaries.
#[allow(dead_code, reason = "no test needs all of it")]
pub(crate) fn in_other_types(batch: &RecordBatch) -> RecordBatch {
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let (fields, columns): (Vec<_>, Vec<_>) = batch
        .schema_ref()
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| {
            let ty = match field.data_type() {
                _ if field.name() == "event" => dictionary.clone(),
                DataType::Utf8View => DataType::LargeUtf8,
                DataType::Timestamp(..) => DataType::Timestamp(TimeUnit::Millisecond, None),
                DataType::FixedSizeBinary(_) => DataType::Binary,
                other => other.clone(),
            };
            (Field::new(field.name(), ty.clone(), true), cast(column, &ty).unwrap())
        })
        .unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// Writes rows as a file of the store in the folder `data`, and commits it as other tools do.
pub(crate) fn commit(data: &Path, rows: &RecordBatch, footer: Option<Vec<KeyValue>>) {
    let events = data.join("events");
    let version = std::fs::read_dir(events.join("_delta_log"))
        .unwrap()
        .filter(|entry| {
            entry.as_ref().unwrap().path().extension().is_some_and(|name| name == "json")
        })
        .count();
    let name = format!("part-{version:05}-of-another-tool.parquet");
    let properties = WriterProperties::builder().set_key_value_metadata(footer).build();
    let file = File::create_new(events.join(&name)).unwrap();
    let mut writer = ArrowWriter::try_new(file, rows.schema(), Some(properties)).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
    let size = std::fs::metadata(events.join(&name)).unwrap().len();
    let add = serde_json::json!({"add": {
        "path": name, "partitionValues": {}, "size": size, "modificationTime": 1_767_225_600_000_i64,
        "dataChange": true, "stats": format!(r#"{{"numRecords":{}}}"#, rows.num_rows()),
    }});
    let commit = events.join(format!("_delta_log/{version:020}.json"));
    std::fs::write(commit, add.to_string()).unwrap();
}
