//! HogQL types as PostgreSQL types: OIDs, modifiers, and the columns of a row description.

pub(super) mod binary;

use arrow::datatypes::Schema;
use hedgerow_engine::Type;
use pgwire::api::Type as PgType;
use pgwire::messages::data::{FieldDescription, RowDescription};

use super::error::PgError;

/// Text or binary: what a client asks for each value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Binary,
}

/// The type under which PostgreSQL clients know a HogQL type.
pub(super) fn pg_type(ty: &Type) -> PgType {
    match ty {
        Type::Null | Type::String => PgType::TEXT,
        Type::Bool => PgType::BOOL,
        Type::Int8 | Type::Int16 | Type::UInt8 => PgType::INT2,
        Type::Int32 | Type::UInt16 => PgType::INT4,
        Type::Int64 | Type::UInt32 => PgType::INT8,
        Type::UInt64 | Type::Decimal(..) => PgType::NUMERIC,
        Type::Float32 => PgType::FLOAT4,
        Type::Float64 => PgType::FLOAT8,
        Type::Json | Type::Tuple(_) | Type::Map(..) => PgType::JSONB,
        Type::Uuid => PgType::UUID,
        Type::Date => PgType::DATE,
        Type::DateTime(_) => PgType::TIMESTAMPTZ,
        Type::Interval => PgType::INTERVAL,
        Type::Array(element) => array_type(element),
    }
}

/// PostgreSQL's arrays are rectangular, so an array of arrays travels as JSON.
fn array_type(element: &Type) -> PgType {
    match element {
        Type::Array(_) | Type::Tuple(_) | Type::Map(..) => PgType::JSONB,
        flat => {
            let element = pg_type(flat);
            let found = ARRAYS.iter().find(|(_, item)| *item == element);
            found.map_or(PgType::TEXT_ARRAY, |(array, _)| array.clone())
        }
    }
}

/// The array types clients send and get, with their elements.
const ARRAYS: &[(PgType, PgType)] = &[
    (PgType::BOOL_ARRAY, PgType::BOOL),
    (PgType::INT2_ARRAY, PgType::INT2),
    (PgType::INT4_ARRAY, PgType::INT4),
    (PgType::INT8_ARRAY, PgType::INT8),
    (PgType::OID_ARRAY, PgType::OID),
    (PgType::NUMERIC_ARRAY, PgType::NUMERIC),
    (PgType::FLOAT4_ARRAY, PgType::FLOAT4),
    (PgType::FLOAT8_ARRAY, PgType::FLOAT8),
    (PgType::TEXT_ARRAY, PgType::TEXT),
    (PgType::VARCHAR_ARRAY, PgType::VARCHAR),
    (PgType::BPCHAR_ARRAY, PgType::BPCHAR),
    (PgType::NAME_ARRAY, PgType::NAME),
    (PgType::JSON_ARRAY, PgType::JSON),
    (PgType::JSONB_ARRAY, PgType::JSONB),
    (PgType::UUID_ARRAY, PgType::UUID),
    (PgType::DATE_ARRAY, PgType::DATE),
    (PgType::TIMESTAMP_ARRAY, PgType::TIMESTAMP),
    (PgType::TIMESTAMPTZ_ARRAY, PgType::TIMESTAMPTZ),
    (PgType::INTERVAL_ARRAY, PgType::INTERVAL),
];

/// The element type of an array type.
pub(super) fn element_type(array: &PgType) -> Option<PgType> {
    ARRAYS.iter().find(|(known, _)| known == array).map(|(_, element)| element.clone())
}

/// The HogQL type a client means by a parameter's OID; none where it leaves the choice to us, or
/// names a type we only know as text.
pub(super) fn declared_type(oid: u32, timezone: &str) -> Option<Type> {
    let ty = match PgType::from_oid(oid)? {
        PgType::BOOL => Type::Bool,
        PgType::INT2 => Type::Int16,
        PgType::INT4 => Type::Int32,
        PgType::INT8 | PgType::OID => Type::Int64,
        // Wide enough for money and counts; values with more digits are refused, not rounded.
        PgType::NUMERIC => Type::Decimal(38, 10),
        PgType::FLOAT4 => Type::Float32,
        PgType::FLOAT8 => Type::Float64,
        PgType::TEXT | PgType::VARCHAR | PgType::BPCHAR | PgType::NAME => Type::String,
        PgType::UUID => Type::Uuid,
        PgType::JSON | PgType::JSONB => Type::Json,
        PgType::DATE => Type::Date,
        PgType::TIMESTAMP | PgType::TIMESTAMPTZ => Type::DateTime(timezone.into()),
        PgType::INTERVAL => Type::Interval,
        other => declared_type(element_type(&other)?.oid(), timezone)?.array(),
    };
    Some(ty)
}

/// Bytes of a value as `pg_type.typlen` gives them; -1 where they vary.
pub(super) fn type_length(ty: &PgType) -> i16 {
    match *ty {
        PgType::BOOL | PgType::CHAR => 1,
        PgType::INT2 => 2,
        PgType::INT4 | PgType::FLOAT4 | PgType::DATE | PgType::OID => 4,
        PgType::INT8 | PgType::FLOAT8 | PgType::TIMESTAMP | PgType::TIMESTAMPTZ => 8,
        PgType::UUID | PgType::INTERVAL => 16,
        PgType::NAME => 64,
        _ => -1,
    }
}

/// Precision and scale as `numeric` carries them; -1 for everything else.
pub(super) fn type_modifier(ty: &Type) -> i32 {
    match ty {
        Type::Decimal(precision, scale) => {
            ((i32::from(*precision) << 16) | (i32::from(*scale) & 0x7ff)) + 4
        }
        Type::Array(element) => type_modifier(element),
        _ => -1,
    }
}

/// The columns of a result, as Describe promises them and Execute keeps them.
pub(super) fn row_description(schema: &Schema, formats: &[Format]) -> RowDescription {
    let fields = schema.fields().iter().enumerate().map(|(at, field)| {
        let ty = Type::from_field(field);
        let pg = pg_type(&ty);
        let format = format_of(formats, at);
        FieldDescription::new(
            field.name().clone(),
            0,
            0,
            pg.oid(),
            type_length(&pg),
            type_modifier(&ty),
            format as i16,
        )
    });
    RowDescription::new(fields.collect())
}

/// The format of one column: none given means text, one given holds for all.
pub(super) fn format_of(formats: &[Format], column: usize) -> Format {
    match formats {
        [] => Format::Text,
        [one] => *one,
        many => many.get(column).copied().unwrap_or(Format::Text),
    }
}

/// Checks the format codes of a Bind against the number of values they are for.
///
/// # Errors
/// 08P01 for an unknown code, or for a number of codes that is neither 0, 1 nor `values`.
pub(super) fn formats(codes: &[i16], values: usize, what: &str) -> Result<Vec<Format>, PgError> {
    if codes.len() > 1 && codes.len() != values {
        let message =
            format!("bind message has {} {what} formats but {values} {what}s", codes.len());
        return Err(PgError::protocol(message));
    }
    codes
        .iter()
        .map(|code| match code {
            0 => Ok(Format::Text),
            1 => Ok(Format::Binary),
            other => Err(PgError::protocol(format!("unsupported format code: {other}"))),
        })
        .collect()
}
