//! Batches in the layouts that every Flight client reads, and errors as gRPC has them.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use hedgerow_engine::{Error, ErrorKind, Result};
use tonic::Status;
use tonic::metadata::MetadataMap;

use crate::error::{grpc_code, sqlstate};

/// The schema as sent: views and dictionaries become plain arrays, which clients on older Arrow
/// libraries read too, and which carry no more bytes than the rows need. Names, nullability and
/// metadata stay.
pub(super) fn wire_schema(schema: &Schema) -> SchemaRef {
    let fields: Fields = schema.fields().iter().map(wire_field).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn wire_field(field: &Arc<Field>) -> Arc<Field> {
    Arc::new(field.as_ref().clone().with_data_type(wire_type(field.data_type())))
}

fn wire_type(ty: &DataType) -> DataType {
    match ty {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, value) => wire_type(value),
        DataType::List(item) | DataType::ListView(item) => DataType::List(wire_field(item)),
        DataType::LargeList(item) | DataType::LargeListView(item) => {
            DataType::LargeList(wire_field(item))
        }
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(wire_field(item), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(wire_field).collect()),
        DataType::Map(entries, sorted) => DataType::Map(wire_field(entries), *sorted),
        other => other.clone(),
    }
}

/// A batch in the layout of its wire schema.
///
/// # Errors
/// `Internal` when the batch does not have the announced columns.
pub(super) fn wire_batch(schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = batch.columns().iter().zip(schema.fields()).map(|(array, field)| {
        let wanted = field.data_type();
        match array.data_type() == wanted {
            true => Ok(Arc::clone(array)),
            false => cast(array, wanted),
        }
    });
    let columns = columns.collect::<Result<Vec<ArrayRef>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(SchemaRef::clone(schema), columns, &options)?)
}

/// An error about `text` as a gRPC status: place and hint in the message, and for programs in
/// the trailers `sqlstate`, `position`.
pub(super) fn status(error: &Error, text: &str) -> Status {
    if error.kind == ErrorKind::Internal {
        tracing::error!(error = %error.message, source = ?error.source, "internal error");
    }
    let position = error.span.map(|span| span.position(text));
    let mut message = error.message.clone();
    if let Some(position) = position {
        message.push_str(&format!(" at position {position}"));
    }
    if let Some(hint) = &error.hint {
        message.push_str(&format!("\n{hint}"));
    }
    let mut trailers = MetadataMap::new();
    if let Ok(code) = sqlstate(error.kind).parse() {
        trailers.insert("sqlstate", code);
    }
    if let Some(position) = position {
        trailers.insert("position", position.into());
    }
    Status::with_metadata(grpc_code(error.kind), message, trailers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, AsArray, StringViewArray, StructArray};
    use hedgerow_engine::Type;

    #[test]
    fn views_become_plain_at_every_depth() {
        let ty = Type::Map(Box::new(Type::String), Box::new(Type::tuple([Type::Json]).array()));
        let field = ty.to_field("m", true);
        let schema = wire_schema(&Schema::new(vec![field]));
        assert!(!schema.to_string().contains("View"), "{schema}");

        let names = Fields::from(vec![Type::Json.to_field("j", true)]);
        let texts: ArrayRef = Arc::new(StringViewArray::from(vec![Some("{}"), None]));
        let tuple = StructArray::new(names.clone(), vec![texts], None);
        let field = Field::new("t", DataType::Struct(names), false);
        let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![Arc::new(tuple)])
            .unwrap();
        let schema = wire_schema(&batch.schema());
        let sent = wire_batch(&schema, &batch).unwrap();
        let texts = sent.column(0).as_struct().column(0).as_string::<i32>().clone();
        assert_eq!(texts.value(0), "{}");
        assert!(texts.is_null(1));
        assert_eq!(sent.schema(), schema);
    }
}
