//! Parameters: one batch of one row, columns in the order of `$1`, `$2`, ….

use arrow::array::RecordBatch;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::sql::server::PeekableFlightDataStream;
use datafusion::common::ScalarValue;
use futures::{StreamExt, TryStreamExt};
use hedgerow_engine::{Error, ErrorKind, Result, Type};
use tonic::Status;

/// Reads the row of values a client sends.
///
/// # Errors
/// `InvalidArgument` unless it is exactly one.
pub(super) async fn read(stream: PeekableFlightDataStream) -> Result<RecordBatch, Status> {
    let mut batches = FlightRecordBatchStream::new_from_flight_data(stream.map_err(Into::into));
    let mut row = None;
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(|error| Status::invalid_argument(error.to_string()))?;
        match (batch.num_rows(), &row) {
            (0, _) => {}
            (1, None) => row = Some(batch),
            _ => return Err(Status::unimplemented("one row of parameters at a time")),
        }
    }
    row.ok_or_else(|| Status::invalid_argument("no row of parameters"))
}

/// The types of the sent values, for the parameters whose type nothing else decides.
pub(super) fn types(row: &RecordBatch, wanted: &[Type]) -> Vec<Option<Type>> {
    let schema = row.schema();
    let sent = schema.fields().iter().map(|field| Type::from_field(field));
    wanted.iter().zip(sent).map(|(wanted, sent)| (*wanted == Type::Null).then_some(sent)).collect()
}

/// The values, as parameters of these types.
///
/// # Errors
/// `Parameter` when there are too many or too few, `InvalidText` for one that cannot be converted.
pub(super) fn values(row: &RecordBatch, types: &[Type]) -> Result<Vec<ScalarValue>> {
    if row.num_columns() != types.len() {
        let message =
            format!("{} parameters given where {} are wanted", row.num_columns(), types.len());
        return Err(Error::new(ErrorKind::Parameter, message));
    }
    let values = row.columns().iter().zip(types).enumerate().map(|(at, (column, ty))| {
        let value = ScalarValue::try_from_array(column, 0)?;
        value.cast_to(&ty.to_arrow()).map_err(|_| {
            let (given, number) = (column.data_type(), at + 1);
            let message = format!("parameter ${number} is {given} and cannot be read as {ty}");
            Error::new(ErrorKind::InvalidText, message)
        })
    });
    values.collect()
}
