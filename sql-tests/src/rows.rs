//! Arrow batches as the text that the test files hold.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use hedgerow::values::{self, Value, text};
use hedgerow_engine::{Result, Type};
use sqllogictest::DBOutput;

use crate::Letter;

/// The rows of a result, values printed as PostgreSQL prints them in UTC.
///
/// # Errors
/// Arrays that do not have the layout of their type.
pub fn output(schema: &Schema, batches: &[RecordBatch]) -> Result<DBOutput<Letter>> {
    let types = values::types(schema);
    let mut rows = Vec::new();
    for batch in batches {
        let columns = values::columns(&types, batch)?;
        for row in 0..batch.num_rows() {
            let cells = columns.iter().map(|column| match column.value(row) {
                Value::Null => cell(None),
                value => {
                    let mut printed = String::new();
                    text::write_value(&mut printed, &value, chrono_tz::Tz::UTC);
                    cell(Some(&printed))
                }
            });
            rows.push(cells.collect());
        }
    }
    Ok(DBOutput::Rows { types: types.iter().map(letter).collect(), rows })
}

/// A cell: what cannot be seen is spelled out.
pub fn cell(value: Option<&str>) -> String {
    match value {
        None => "NULL".to_owned(),
        Some("") => "(empty)".to_owned(),
        Some(text) => text.to_owned(),
    }
}

fn letter(ty: &Type) -> Letter {
    match ty {
        Type::Bool => Letter::Bool,
        Type::UInt64 => Letter::Real,
        ty if ty.is_integer() => Letter::Integer,
        Type::Float32 | Type::Float64 | Type::Decimal(..) => Letter::Real,
        Type::Date => Letter::Date,
        Type::DateTime(_) => Letter::DateTime,
        Type::Array(element) => match **element {
            // PostgreSQL's arrays are rectangular; nested ones are sent as JSON.
            Type::Array(_) | Type::Tuple(_) | Type::Map(..) => Letter::Text,
            _ => Letter::Array,
        },
        _ => Letter::Text,
    }
}
