//! The columns of `events`: what HogQL shows, what Parquet stores, what the Delta log declares.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{Field, Schema, SchemaRef};

use crate::types::Type;

/// The key of a column's one-line description in field metadata.
pub const COMMENT: &str = "comment";
/// The key that marks a column as excluded from `*`; present with the value `true`.
pub const HIDDEN: &str = "hidden";
/// The key that marks the JSON text whose keys have types; see [`super::Properties`].
pub const PROPERTY_TYPES: &str = "hedgerow.property_types";

pub(crate) const UUID: &str = "uuid";
pub(crate) const EVENT: &str = "event";
pub(crate) const PROPERTIES: &str = "properties";
pub(crate) const TIMESTAMP: &str = "timestamp";
pub(crate) const TEAM_ID: &str = "team_id";
pub(crate) const CREATED_AT: &str = "created_at";
pub(crate) const DISTINCT_ID: &str = "distinct_id";
pub(crate) const DISTINCT_ID_HASH: &str = "distinct_id_hash";

/// Every file is sorted by these columns, ascending, text by bytes. One person's events stay
/// together under each event name, and every key has a fixed place.
pub(crate) const SORT_KEY: [&str; 5] = [TEAM_ID, EVENT, DISTINCT_ID_HASH, TIMESTAMP, UUID];

/// The columns whose minimum and maximum each file has in the log.
pub(crate) const STATISTICS_COLUMNS: [&str; 4] = [TEAM_ID, EVENT, TIMESTAMP, DISTINCT_ID_HASH];

/// How many group keys an event has.
pub(crate) const GROUP_COUNT: usize = 5;

/// The columns of `events` in `*` order, hidden ones last.
///
/// Field metadata: the extension name of the type, [`COMMENT`], [`PROPERTY_TYPES`], and [`HIDDEN`] on columns that
/// `*` leaves out. Text columns are never NULL: an absent value is `''`.
pub fn events_schema() -> &'static SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| Arc::new(Schema::new(fields())));
    &SCHEMA
}

/// The names of all columns.
pub(crate) fn all_columns() -> Vec<&'static str> {
    events_schema().fields().iter().map(|field| field.name().as_str()).collect()
}

fn fields() -> Vec<Field> {
    let mut fields = vec![
        required(UUID, Type::Uuid, "The event's identity."),
        required(EVENT, Type::String, "The event's name; built-in names begin with $."),
        describe(
            required(PROPERTIES, Type::Json, "What the sender said about the event."),
            PROPERTY_TYPES,
            "event",
        ),
        required(TIMESTAMP, Type::utc(), "When the event happened, by the sender's clock."),
        required(TEAM_ID, Type::Int64, "The project's number."),
        required(DISTINCT_ID, Type::String, "Who the event is about, as the sender names them."),
        required("elements_chain", Type::String, "The clicked elements of an autocaptured event."),
        required(CREATED_AT, Type::utc(), "When the event was taken in."),
        required("$session_id", Type::String, "The session, or '' outside of one."),
        required("$window_id", Type::String, "The browser window or tab, or ''."),
        required("person_mode", Type::String, "full, or propertyless for anonymous events."),
    ];
    fields.extend((0..GROUP_COUNT).map(|index| {
        required(&format!("$group_{index}"), Type::String, "The key of the event's group, or ''.")
    }));
    fields.extend([
        required("person_id", Type::Uuid, "The person the event was taken in under."),
        hidden(optional(
            "person_properties",
            Type::Json,
            "The person when the event was taken in.",
        )),
        hidden(optional("person_created_at", Type::utc(), "When the person was first seen.")),
        hidden(required(
            DISTINCT_ID_HASH,
            Type::Int64,
            "The first bits of the XXH3 of distinct_id: the sort key.",
        )),
    ]);
    fields
}

/// The path of the file that an event is in.
pub(crate) const FILE: &str = "__file";
/// The number of an event's row in its file, from 0.
pub(crate) const ROW: &str = "__row";

/// [`events_schema`], and where each event is: for statements that change events.
pub(crate) fn placed_schema() -> &'static SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let file = optional(FILE, Type::String, "The file.");
        let fields = events_schema().fields().iter().map(Arc::clone);
        let places = [file, row_field()].map(|field| Arc::new(hidden(field)));
        Arc::new(Schema::new(fields.chain(places).collect::<Vec<_>>()))
    });
    &SCHEMA
}

pub(crate) fn row_field() -> Field {
    optional(ROW, Type::Int64, "The row in the file.")
}

fn required(name: &str, ty: Type, comment: &str) -> Field {
    describe(ty.to_field(name, false), COMMENT, comment)
}

fn optional(name: &str, ty: Type, comment: &str) -> Field {
    describe(ty.to_field(name, true), COMMENT, comment)
}

fn hidden(field: Field) -> Field {
    describe(field, HIDDEN, "true")
}

fn describe(field: Field, key: &str, value: &str) -> Field {
    let mut metadata: HashMap<String, String> = field.metadata().clone();
    metadata.insert(key.to_owned(), value.to_owned());
    field.with_metadata(metadata)
}

/// The hash by which a person's events are kept together: the upper 24 bits of the XXH3-64 of the
/// bytes, as signed bits because Delta has no unsigned integers. More bits would hardly keep more
/// events together, and take twice the space and more.
pub(crate) fn distinct_id_hash(distinct_id: &str) -> i64 {
    twox_hash::XxHash3_64::oneshot(distinct_id.as_bytes()).cast_signed() >> 40
}
