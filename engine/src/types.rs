//! HogQL types and how they are laid out in Arrow.
//!
//! A [`Type`] is what a user sees; several share one Arrow type (`String` and `Json` are both
//! Utf8View) and are told apart by the field's extension metadata.

pub mod names;
pub mod property;
pub mod time;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, IntervalUnit, TimeUnit};

/// The key of Arrow's extension type name in field metadata.
pub const EXTENSION_NAME: &str = "ARROW:extension:name";
/// The extension name of UUIDs stored as 16 bytes.
pub const UUID_EXTENSION: &str = "arrow.uuid";
/// The extension name of JSON text.
pub const JSON_EXTENSION: &str = "arrow.json";

/// The type of an expression.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Type {
    /// The type of a bare NULL: fits anywhere.
    Null,
    Bool,
    Int8,
    Int16,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    Float32,
    Float64,
    /// Precision and scale.
    Decimal(u8, i8),
    /// UTF-8 text, as Utf8View.
    String,
    /// JSON text, as Utf8View with an extension type.
    Json,
    /// 16 bytes with an extension type.
    Uuid,
    /// Days.
    Date,
    /// Microseconds since the epoch, shown in this time zone.
    DateTime(Arc<str>),
    /// Months, days and nanoseconds.
    Interval,
    Array(Box<Type>),
    /// Elements with their names; unnamed elements are called `1`, `2`, ….
    Tuple(Vec<(String, Type)>),
    Map(Box<Type>, Box<Type>),
}

impl Type {
    /// A DateTime in UTC.
    pub fn utc() -> Self {
        Self::DateTime("UTC".into())
    }

    /// The array of this type.
    #[must_use]
    pub fn array(self) -> Self {
        Self::Array(Box::new(self))
    }

    /// A tuple of unnamed elements.
    pub fn tuple(elements: impl IntoIterator<Item = Self>) -> Self {
        let named = elements.into_iter().enumerate().map(|(i, ty)| ((i + 1).to_string(), ty));
        Self::Tuple(named.collect())
    }

    /// How values of this type are laid out.
    pub fn to_arrow(&self) -> DataType {
        match self {
            Self::Null => DataType::Null,
            Self::Bool => DataType::Boolean,
            Self::Int8 => DataType::Int8,
            Self::Int16 => DataType::Int16,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::UInt8 => DataType::UInt8,
            Self::UInt16 => DataType::UInt16,
            Self::UInt32 => DataType::UInt32,
            Self::UInt64 => DataType::UInt64,
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::Decimal(precision, scale) => DataType::Decimal128(*precision, *scale),
            Self::String | Self::Json => DataType::Utf8View,
            Self::Uuid => DataType::FixedSizeBinary(16),
            Self::Date => DataType::Date32,
            Self::DateTime(zone) => {
                DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::clone(zone)))
            }
            Self::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
            Self::Array(element) => DataType::List(element.item_field()),
            Self::Tuple(elements) => DataType::Struct(
                elements.iter().map(|(name, ty)| ty.to_field(name, true)).collect::<Fields>(),
            ),
            Self::Map(key, value) => DataType::Map(
                Arc::new(Field::new(
                    "entries",
                    DataType::Struct(Fields::from(vec![
                        key.to_field("key", false),
                        value.to_field("value", true),
                    ])),
                    false,
                )),
                false,
            ),
        }
    }

    /// The field of list elements.
    pub fn item_field(&self) -> FieldRef {
        Arc::new(self.to_field(Field::LIST_FIELD_DEFAULT_NAME, true))
    }

    /// A field of this type, with its extension metadata.
    pub fn to_field(&self, name: impl Into<String>, nullable: bool) -> Field {
        let field = Field::new(name, self.to_arrow(), nullable);
        match self {
            Self::Uuid => field.with_metadata(extension(UUID_EXTENSION)),
            Self::Json => field.with_metadata(extension(JSON_EXTENSION)),
            _ => field,
        }
    }

    /// The type of a field, extension metadata considered. Layouts that Hedgerow does not
    /// produce itself map to the nearest type that loses nothing.
    pub fn from_field(field: &Field) -> Self {
        let extension = field.metadata().get(EXTENSION_NAME).map(String::as_str);
        match (field.data_type(), extension) {
            (DataType::FixedSizeBinary(16), _) => Self::Uuid,
            (DataType::Utf8View | DataType::Utf8 | DataType::LargeUtf8, Some(JSON_EXTENSION)) => {
                Self::Json
            }
            (data_type, _) => Self::from_arrow(data_type),
        }
    }

    fn from_arrow(data_type: &DataType) -> Self {
        match data_type {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Bool,
            DataType::Int8 => Self::Int8,
            DataType::Int16 => Self::Int16,
            DataType::Int32 => Self::Int32,
            DataType::Int64 => Self::Int64,
            DataType::UInt8 => Self::UInt8,
            DataType::UInt16 => Self::UInt16,
            DataType::UInt32 => Self::UInt32,
            DataType::UInt64 => Self::UInt64,
            DataType::Float16 | DataType::Float32 => Self::Float32,
            DataType::Float64 => Self::Float64,
            DataType::Decimal32(p, s) | DataType::Decimal64(p, s) | DataType::Decimal128(p, s) => {
                Self::Decimal(*p, *s)
            }
            DataType::Date32 | DataType::Date64 => Self::Date,
            DataType::Timestamp(_, zone) => {
                Self::DateTime(zone.clone().unwrap_or_else(|| "UTC".into()))
            }
            DataType::Interval(_) | DataType::Duration(_) => Self::Interval,
            DataType::List(item)
            | DataType::LargeList(item)
            | DataType::ListView(item)
            | DataType::LargeListView(item)
            | DataType::FixedSizeList(item, _) => Self::from_field(item).array(),
            DataType::Struct(fields) => Self::Tuple(
                fields
                    .iter()
                    .map(|field| (field.name().clone(), Self::from_field(field)))
                    .collect(),
            ),
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(fields) if fields.len() == 2 => Self::Map(
                    Box::new(Self::from_field(&fields[0])),
                    Box::new(Self::from_field(&fields[1])),
                ),
                _ => Self::String,
            },
            DataType::Dictionary(_, value) => Self::from_arrow(value),
            _ => Self::String,
        }
    }

    /// Signed and unsigned integers.
    pub fn is_integer(&self) -> bool {
        self.is_signed() || self.is_unsigned()
    }

    /// Signed integers.
    pub fn is_signed(&self) -> bool {
        matches!(self, Self::Int8 | Self::Int16 | Self::Int32 | Self::Int64)
    }

    /// Unsigned integers.
    pub fn is_unsigned(&self) -> bool {
        matches!(self, Self::UInt8 | Self::UInt16 | Self::UInt32 | Self::UInt64)
    }

    /// Floats.
    pub fn is_float(&self) -> bool {
        matches!(self, Self::Float32 | Self::Float64)
    }

    /// Everything arithmetic works on; booleans count as 0 and 1.
    pub fn is_numeric(&self) -> bool {
        self.is_integer() || self.is_float() || matches!(self, Self::Decimal(..) | Self::Bool)
    }

    /// Text, JSON included.
    pub fn is_text(&self) -> bool {
        matches!(self, Self::String | Self::Json)
    }

    /// Dates and times.
    pub fn is_temporal(&self) -> bool {
        matches!(self, Self::Date | Self::DateTime(_))
    }

    /// The type both can be converted to without losing meaning, as for the branches of `if`
    /// or the elements of an array; none when there is no such type.
    pub fn common(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (a, b) if a == b => Some(a.clone()),
            (Self::Null, ty) | (ty, Self::Null) => Some(ty.clone()),
            (Self::String, Self::Json) | (Self::Json, Self::String) => Some(Self::String),
            (Self::Date, ty @ Self::DateTime(_)) | (ty @ Self::DateTime(_), Self::Date) => {
                Some(ty.clone())
            }
            (Self::DateTime(_), Self::DateTime(_)) => Some(self.clone()),
            (Self::Array(a), Self::Array(b)) => a.common(b).map(Self::array),
            (Self::Map(ak, av), Self::Map(bk, bv)) => {
                Some(Self::Map(Box::new(ak.common(bk)?), Box::new(av.common(bv)?)))
            }
            (Self::Tuple(a), Self::Tuple(b)) if a.len() == b.len() => a
                .iter()
                .zip(b)
                .map(|((name, a), (_, b))| Some((name.clone(), a.common(b)?)))
                .collect::<Option<_>>()
                .map(Self::Tuple),
            (a, b) if a.is_numeric() && b.is_numeric() => Some(common_number(a, b)),
            _ => None,
        }
    }
}

/// The number type that holds both. Integers that no integer type holds together (UInt64 with a
/// signed one) become Float64, as do decimals with floats.
fn common_number(a: &Type, b: &Type) -> Type {
    match (a, b) {
        (Type::Decimal(p1, s1), Type::Decimal(p2, s2)) => {
            let scale = (*s1).max(*s2);
            let whole = (*p1 as i16 - *s1 as i16).max(*p2 as i16 - *s2 as i16);
            Type::Decimal((whole + i16::from(scale)).clamp(1, 38) as u8, scale)
        }
        (Type::Decimal(..), other) | (other, Type::Decimal(..)) if other.is_float() => {
            Type::Float64
        }
        (Type::Decimal(_, scale), _) | (_, Type::Decimal(_, scale)) => Type::Decimal(38, *scale),
        (Type::Float32, Type::Float32) => Type::Float32,
        _ if a.is_float() || b.is_float() => Type::Float64,
        (Type::UInt64, other) | (other, Type::UInt64) if other.is_signed() => Type::Float64,
        (Type::UInt64, _) | (_, Type::UInt64) => Type::UInt64,
        _ => Type::Int64,
    }
}

fn extension(name: &str) -> HashMap<String, String> {
    HashMap::from([(EXTENSION_NAME.to_owned(), name.to_owned())])
}

/// The name shown to users, in ClickHouse's spelling.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("Null"),
            Self::Decimal(precision, scale) => write!(f, "Decimal({precision}, {scale})"),
            Self::Json => f.write_str("JSON"),
            Self::Uuid => f.write_str("UUID"),
            Self::DateTime(_) => f.write_str("DateTime"),
            Self::Array(element) => write!(f, "Array({element})"),
            Self::Map(key, value) => write!(f, "Map({key}, {value})"),
            Self::Tuple(elements) => {
                f.write_str("Tuple(")?;
                for (i, (_, ty)) in elements.iter().enumerate() {
                    let comma = if i == 0 { "" } else { ", " };
                    write!(f, "{comma}{ty}")?;
                }
                f.write_str(")")
            }
            plain => write!(f, "{plain:?}"),
        }
    }
}
