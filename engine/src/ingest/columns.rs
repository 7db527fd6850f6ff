//! Rows in Arrow columns → events. Each column fills the column of `events` of its name; what it
//! leaves NULL is as if it had not been sent.

use std::borrow::Cow;

use arrow::array::types::{
    Date32Type, Date64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, PrimitiveArray, RecordBatch};
use arrow::array::{ArrowPrimitiveType, StringViewArray};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, TimeUnit};
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::ingest::event::EventBuilder;
use crate::ingest::record::{Field, Mapping, Value, read_event};
use crate::storage::{DISTINCT_ID_HASH, ProjectId, TEAM_ID, events_schema};
use crate::types::Type;

/// Why rows are not taken.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{error}")]
pub struct Refused {
    /// The row at fault, counted from 0 over all rows of the load; none when it is not one row.
    pub row: Option<u64>,
    #[source]
    pub error: Error,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self { row: None, error }
    }
}

/// For those who have no better name for a row than its number.
impl From<Refused> for Error {
    fn from(Refused { row, error }: Refused) -> Self {
        match row {
            Some(row) => Self { message: format!("row {}: {}", row + 1, error.message), ..error },
            None => error,
        }
    }
}

/// A column of `events` that rows fill.
#[derive(Debug, Clone)]
pub(crate) struct Filled {
    name: String,
    role: Role,
}

#[derive(Debug, Clone, Copy)]
enum Role {
    Text,
    Json,
    Time,
    Uuid,
    /// The project's number, which rows may repeat.
    Project,
}

impl Filled {
    /// # Errors
    /// `UnknownColumn`; `Unsupported` for the column that is computed from another.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let field = events_schema().field_with_name(name);
        let Ok(field) = field else {
            let message = format!("table events has no column named {name}");
            return Err(Error::new(ErrorKind::UnknownColumn, message));
        };
        let role = match Type::from_field(field) {
            _ if name == DISTINCT_ID_HASH => {
                let message = format!("{name} is computed from distinct_id and cannot be given");
                return Err(Error::unsupported(message));
            }
            _ if name == TEAM_ID => Role::Project,
            Type::Uuid => Role::Uuid,
            Type::DateTime(_) => Role::Time,
            Type::Json => Role::Json,
            _ => Role::Text,
        };
        Ok(Self { name: name.to_owned(), role })
    }

    fn cells(&self, column: &ArrayRef, project: ProjectId) -> Result<Cells, Refused> {
        if let DataType::Dictionary(_, values) = column.data_type() {
            return self.cells(&cast(column, values).map_err(Error::from)?, project);
        }
        let mismatch = || {
            let (name, found) = (&self.name, column.data_type());
            let message = format!("column {name}: cannot convert {found} to {}", self.wanted());
            Error::new(ErrorKind::TypeMismatch, message)
        };
        match (self.role, column.data_type()) {
            (_, DataType::Null) => Ok(Cells::Absent),
            (Role::Project, found) if found.is_integer() => {
                check_project(column, project)?;
                Ok(Cells::Absent)
            }
            (Role::Project, _) => Err(mismatch().into()),
            (_, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) => text(column),
            (Role::Text, found) if found.is_integer() || *found == DataType::Boolean => {
                text(column)
            }
            (Role::Uuid, DataType::FixedSizeBinary(16)) => {
                Ok(Cells::Uuid(column.as_fixed_size_binary().iter().map(uuid).collect()))
            }
            (Role::Uuid, DataType::Binary | DataType::LargeBinary | DataType::BinaryView) => {
                uuids(&self.name, column)
            }
            (Role::Time, found) => times(&self.name, column, found).unwrap_or_else(|| {
                let error = mismatch();
                Err(match found.is_numeric() {
                    true => error.hint("Send a timestamp, or text."),
                    false => error,
                }
                .into())
            }),
            _ => Err(mismatch().into()),
        }
    }

    fn wanted(&self) -> &'static str {
        match self.role {
            Role::Text => "String",
            Role::Json => "JSON text",
            Role::Time => "DateTime",
            Role::Uuid => "UUID",
            Role::Project => "Int64",
        }
    }
}

/// The values of one column.
#[derive(Debug)]
enum Cells {
    Absent,
    Text(StringViewArray),
    Time(Vec<Option<i64>>),
    Uuid(Vec<Option<Uuid>>),
}

impl Cells {
    fn value(&self, row: usize) -> Option<Value<'_>> {
        match self {
            Self::Absent => None,
            Self::Text(texts) => texts.is_valid(row).then(|| Value::Text(texts.value(row))),
            Self::Time(times) => times[row].map(Value::Time),
            Self::Uuid(uuids) => uuids[row].map(Value::Uuid),
        }
    }
}

/// Adds the rows of a batch to `builder`. Its columns fill `columns`, in this order.
///
/// # Errors
/// What is wrong with the first row at fault: `Missing`, `InvalidText`, `InvalidDateTime`;
/// `TypeMismatch` for a column, `InvalidArgument` for rows of another project.
pub(super) fn append(
    builder: &mut EventBuilder,
    project: ProjectId,
    columns: &[Filled],
    rows: &RecordBatch,
    received_at: i64,
) -> Result<(), Refused> {
    if rows.num_columns() != columns.len() {
        return Err(Error::internal("rows with other columns than were announced").into());
    }
    let cells = columns.iter().zip(rows.columns());
    let cells = cells.map(|(filled, column)| filled.cells(column, project));
    let cells = cells.collect::<Result<Vec<_>, _>>()?;
    let mapping = Mapping::default();
    for row in 0..rows.num_rows() {
        let fields: Vec<Field<'_>> = columns
            .iter()
            .zip(&cells)
            .filter_map(|(column, cells)| {
                let name = Cow::Borrowed(column.name.as_str());
                Some(Field { name, value: cells.value(row)? })
            })
            .collect();
        let event = read_event(&fields.into(), &mapping, Some(received_at));
        let event = event.map_err(|fault| at(row, Error::new(fault.kind, fault.reason)))?;
        builder.append(&event)?;
    }
    Ok(())
}

impl Refused {
    /// The same, where the batch has so many rows before it.
    pub(super) fn behind(self, rows: u64) -> Self {
        Self { row: self.row.map(|row| row + rows), ..self }
    }
}

fn at(row: usize, error: Error) -> Refused {
    Refused { row: Some(row as u64), error }
}

fn text(column: &ArrayRef) -> Result<Cells, Refused> {
    let texts = cast(column, &DataType::Utf8View).map_err(Error::from)?;
    Ok(Cells::Text(texts.as_string_view().clone()))
}

fn uuid(bytes: Option<&[u8]>) -> Option<Uuid> {
    Uuid::from_slice(bytes?).ok()
}

fn uuids(name: &str, column: &ArrayRef) -> Result<Cells, Refused> {
    let bytes = cast(column, &DataType::BinaryView).map_err(Error::from)?;
    let uuids = bytes.as_binary_view().iter().enumerate().map(|(row, bytes)| {
        let Some(bytes) = bytes else { return Ok(None) };
        let wrong = |_| {
            let message = format!("{name} is not a UUID: {} bytes where it has 16", bytes.len());
            at(row, Error::new(ErrorKind::InvalidText, message))
        };
        Uuid::from_slice(bytes).map(Some).map_err(wrong)
    });
    Ok(Cells::Uuid(uuids.collect::<Result<_, _>>()?))
}

/// Times as microseconds since the epoch; a time without a zone is in UTC, a date its midnight.
/// None for a type that has no times.
fn times(name: &str, column: &ArrayRef, found: &DataType) -> Option<Result<Cells, Refused>> {
    const DAY: i64 = 86_400_000_000;
    Some(match found {
        DataType::Date32 => {
            micros::<Date32Type>(name, column, |days| i64::from(days).checked_mul(DAY))
        }
        DataType::Date64 => micros::<Date64Type>(name, column, |ms| ms.checked_mul(1_000)),
        DataType::Timestamp(TimeUnit::Second, _) => {
            micros::<TimestampSecondType>(name, column, |s| s.checked_mul(1_000_000))
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            micros::<TimestampMillisecondType>(name, column, |ms| ms.checked_mul(1_000))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            micros::<TimestampMicrosecondType>(name, column, Some)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            micros::<TimestampNanosecondType>(name, column, |ns| Some(ns.div_euclid(1_000)))
        }
        _ => return None,
    })
}

fn micros<T: ArrowPrimitiveType>(
    name: &str,
    column: &ArrayRef,
    convert: impl Fn(T::Native) -> Option<i64>,
) -> Result<Cells, Refused> {
    let values: &PrimitiveArray<T> = column.as_primitive();
    let times = values.iter().enumerate().map(|(row, value)| {
        let Some(value) = value else { return Ok(None) };
        let outside = || {
            let message = format!("{name} is not in the years 1 to 9999");
            at(row, Error::new(ErrorKind::InvalidDateTime, message))
        };
        convert(value).map(Some).ok_or_else(outside)
    });
    Ok(Cells::Time(times.collect::<Result<_, _>>()?))
}

/// Rows go into the project of who sends them, and nowhere else.
fn check_project(column: &ArrayRef, project: ProjectId) -> Result<(), Refused> {
    let ProjectId(number) = project;
    let message = format!("{TEAM_ID} is {number} in this project");
    let other = Error::new(ErrorKind::InvalidArgument, message).hint("Leave it out.");
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let teams = cast_with_options(column, &DataType::Int64, &strict).map_err(|_| other.clone())?;
    let teams: &Int64Array = teams.as_primitive();
    match teams.iter().position(|team| team.is_some_and(|team| team != number)) {
        Some(row) => Err(at(row, other)),
        None => Ok(()),
    }
}
