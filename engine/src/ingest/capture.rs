//! The body of a capture request, as PostHog's SDKs send it → events.

use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};

use crate::error::{Error, ErrorKind, Result};
use crate::ingest::Repeats;
use crate::ingest::event::EventBuilder;
use crate::ingest::parse::{Record, records_of_line};
use crate::ingest::record::{Mapping, read_event};
use crate::storage::ProjectId;

/// Reads the events of a body into the columns of the store: one event, an array of events, or an object with a `batch` of them. An event without a
/// timestamp happened when it was received; one without a uuid gets it from its content.
///
/// # Errors
/// `InvalidInput` that names the first event at fault: all are taken in, or none.
pub(crate) fn capture(
    project: ProjectId,
    body: &[u8],
    received_at: DateTime<Utc>,
) -> Result<RecordBatch> {
    let invalid = |reason: String| Error::new(ErrorKind::InvalidInput, reason);
    let body = std::str::from_utf8(body)
        .map_err(|error| invalid(format!("not UTF-8 from byte {} on", error.valid_up_to() + 1)))?;
    let records = records_of_line(body.trim_ascii()).map_err(|reason| invalid(reason.into()))?;
    let received_at = received_at.timestamp_micros();
    let mut builder = EventBuilder::new(project, received_at);
    let several = records.len() > 1;
    for (number, Record { fields, .. }) in (1..).zip(records) {
        let read = fields.and_then(|fields| {
            // What it returns borrows from the fields.
            let event = read_event(&fields, &Mapping::default(), Some(received_at))?;
            Ok(builder.append(&event))
        });
        match read {
            Ok(appended) => appended?,
            Err(reason) if several => return Err(invalid(format!("event {number}: {reason}"))),
            Err(reason) => return Err(invalid(reason.into())),
        }
    }
    Repeats::default().tell_apart(0, builder.finish()?)
}
