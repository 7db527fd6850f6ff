//! One record of the input → one event.
//!
//! A record is a list of named fields, whatever the format. Some fields have a role (the event's
//! name, its time, …); all others become properties, so nothing the sender said is lost.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::error::ErrorKind;
use crate::functions::json::scan::{self, Level};
use crate::ingest::event::Event;
use crate::ingest::time::{YEARS, parse_timestamp};
use crate::storage::{DISTINCT_ID_HASH, GROUP_COUNT, PROPERTIES};

/// Which fields of the input play which role.
///
/// The default is the shape that PostHog's SDKs send and its exports write. As soon as one role
/// is named, the input counts as foreign: the event's name, distinct id and timestamp come from
/// the named fields (or from `event`, `distinct_id` and `timestamp`), and every other field
/// becomes a property under its own name.
#[derive(Debug, Clone, Default)]
pub struct Mapping {
    /// The event's name.
    pub event: Option<EventName>,
    /// The field with who the event is about.
    pub distinct_id: Option<String>,
    /// The field with the time of the event.
    pub timestamp: Option<String>,
    /// The field with the session.
    pub session_id: Option<String>,
}

/// Where the name of an event comes from.
#[derive(Debug, Clone)]
pub enum EventName {
    /// From this field.
    Field(String),
    /// The same for all.
    Constant(String),
}

impl Mapping {
    fn is_foreign(&self) -> bool {
        self.event.is_some()
            || self.distinct_id.is_some()
            || self.timestamp.is_some()
            || self.session_id.is_some()
    }
}

/// Why a record cannot become an event, for people to read.
pub(super) type Reason = Cow<'static, str>;

/// The same, with what programs need to know of it.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: ErrorKind,
    pub(super) reason: Reason,
}

impl Fault {
    fn new(kind: ErrorKind, reason: impl Into<Reason>) -> Self {
        Self { kind, reason: reason.into() }
    }
}

impl From<Fault> for Reason {
    fn from(fault: Fault) -> Self {
        fault.reason
    }
}

/// One named value of a record.
#[derive(Debug)]
pub(super) struct Field<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) value: Value<'a>,
}

/// The named values of a record.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    named: Vec<Field<'a>>,
    /// Of the field `properties`, where reading the record has shown them.
    known: Option<KnownProperties<'a>>,
}

impl<'a> Fields<'a> {
    /// Of a JSON object; none for any other text.
    pub(super) fn of_json(text: &'a str) -> Option<Self> {
        let mut named = Vec::with_capacity(16);
        let mut known = KnownProperties::default();
        // The last one of several counts, and it may be spelled with escapes.
        let mut read = Vec::new();
        let is_object = scan::wrapped(text, PROPERTIES, &mut |level, key, raw| match level {
            Level::Document => known.note(key, raw),
            Level::Wrapper => {
                let name = scan::unescape(key);
                if name == PROPERTIES {
                    read.push(key == PROPERTIES && raw.starts_with('{'));
                }
                named.push(Field { name, value: Value::Json(raw) });
            }
        });
        is_object.then(|| Self { named, known: (read == [true]).then_some(known) })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Field<'a>> {
        self.named.iter()
    }

    /// True when no field has this name.
    pub(super) fn lacks(&self, name: &str) -> bool {
        self.named.iter().all(|field| field.name != name)
    }

    /// The text of an array under this name.
    pub(super) fn array(&self, name: &str) -> Option<&'a str> {
        self.named.iter().find_map(|field| match field.value {
            Value::Json(raw) if field.name == name && raw.starts_with('[') => Some(raw),
            _ => None,
        })
    }
}

impl<'a> From<Vec<Field<'a>>> for Fields<'a> {
    fn from(named: Vec<Field<'a>>) -> Self {
        Self { named, known: None }
    }
}

/// A value as the format gives it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    /// JSON text.
    Json(&'a str),
    /// Text without a type, as in CSV.
    Text(&'a str),
    /// A time in microseconds since the epoch.
    Time(i64),
    Uuid(Uuid),
}

impl<'a> Value<'a> {
    /// NULL in JSON, an empty cell in CSV.
    fn is_absent(self) -> bool {
        match self {
            Self::Json(raw) => raw == "null",
            Self::Text(text) => text.is_empty(),
            Self::Time(_) | Self::Uuid(_) => false,
        }
    }

    /// The value as plain text; none for NULL and for what has no plain text.
    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Time(micros) => {
                let time = DateTime::from_timestamp_micros(micros)?;
                Some(Cow::Owned(time.to_rfc3339_opts(SecondsFormat::AutoSi, true)))
            }
            Self::Uuid(uuid) => Some(Cow::Owned(uuid.to_string())),
            Self::Json(raw) => match raw.as_bytes() {
                [b'"', ..] => unquote(raw),
                [b'-' | b'0'..=b'9' | b't' | b'f', ..] => Some(Cow::Borrowed(raw)),
                _ => None,
            },
        }
    }

    /// A JSON object, given as such or as text that holds one. `{}` for NULL and `''`.
    fn object(self) -> Option<Cow<'a, str>> {
        let text = match self {
            Self::Json(raw) if raw.starts_with('{') => return Some(Cow::Borrowed(raw)),
            Self::Json("null") => return Some(Cow::Borrowed("{}")),
            Self::Json(raw) if raw.starts_with('"') => unquote(raw)?,
            Self::Json(_) | Self::Time(_) | Self::Uuid(_) => return None,
            Self::Text(text) => Cow::Borrowed(text),
        };
        match text.trim_ascii() {
            "" => Some(Cow::Borrowed("{}")),
            object => {
                let valid: &RawValue = serde_json::from_str(object).ok()?;
                valid.get().starts_with('{').then(|| Cow::Owned(object.to_owned()))
            }
        }
    }

    fn write_json(self, out: &mut String) {
        match self {
            Self::Json(raw) => out.push_str(raw),
            Self::Text(text) if is_canonical_number(text) => out.push_str(text),
            Self::Text(text) => write_string(text, out),
            Self::Time(_) | Self::Uuid(_) => write_string(&self.text().unwrap_or_default(), out),
        }
    }
}

/// Text that is a number and would be printed in just this way; `007` and `1.50` are not.
fn is_canonical_number(text: &str) -> bool {
    if !text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return false;
    }
    match text.parse::<i64>() {
        Ok(number) => number.to_string() == text,
        Err(_) => text.parse::<f64>().is_ok_and(|number| {
            number.is_finite() && number.to_string() == text && text.contains('.')
        }),
    }
}

fn write_string(text: &str, out: &mut String) {
    // Text always serialises.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

fn unquote(json: &str) -> Option<Cow<'_, str>> {
    let inner = &json[1..json.len() - 1];
    match inner.contains('\\') {
        false => Some(Cow::Borrowed(inner)),
        true => serde_json::from_str::<String>(json).ok().map(Cow::Owned),
    }
}

/// Turns the fields of a record into an event. It happened when it was received, if that is known
/// and it does not say.
pub(super) fn read_event<'a>(
    fields: &Fields<'a>,
    mapping: &Mapping,
    received_at: Option<i64>,
) -> Result<Event<'a>, Fault> {
    let event = match mapping.is_foreign() {
        true => read_foreign(&fields.named, mapping),
        false => read_posthog(fields, received_at),
    }?;
    check_depth("properties", &event.properties)?;
    check_depth("person_properties", event.person_properties.as_deref().unwrap_or_default())?;
    Ok(event)
}

/// What queries cannot read is not taken in.
fn check_depth(name: &str, json: &str) -> Result<(), Fault> {
    match scan::is_too_deep(json) {
        true => {
            let reason = format!("{name} is nested deeper than {} levels", scan::DEPTH_MAX);
            Err(Fault::new(ErrorKind::InvalidText, reason))
        }
        false => Ok(()),
    }
}

fn read_foreign<'a>(fields: &[Field<'a>], mapping: &Mapping) -> Result<Event<'a>, Fault> {
    let (event_field, constant) = match &mapping.event {
        Some(EventName::Field(name)) => (Some(name.as_str()), None),
        Some(EventName::Constant(name)) => (None, Some(name)),
        None => (Some("event"), None),
    };
    let distinct_id_field = mapping.distinct_id.as_deref().unwrap_or("distinct_id");
    let timestamp_field = mapping.timestamp.as_deref().unwrap_or("timestamp");
    let session_id_field = mapping.session_id.as_deref();

    let mut event = Event { person_mode: Cow::Borrowed(FULL), ..Event::default() };
    let mut timestamp = None;
    let mut properties = Properties::default();
    for Field { name, value } in fields {
        // One field may play several roles: the user may be the session too.
        let mut has_role = false;
        if event_field == Some(name) {
            event.event = text_role(name, *value)?;
            has_role = true;
        }
        if name == distinct_id_field {
            event.distinct_id = text_role(name, *value)?;
            has_role = true;
        }
        if name == timestamp_field {
            timestamp = Some(time_role(name, *value)?);
            has_role = true;
        }
        if session_id_field == Some(name) {
            event.session_id = text_role(name, *value)?;
            has_role = true;
        }
        if !has_role && !matches!(value, Value::Text("")) {
            properties.push(name, *value);
        }
    }
    if let Some(name) = constant {
        event.event = Cow::Owned(name.clone());
    }
    event.properties = Cow::Owned(properties.finish());
    require(&event.event, event_field.unwrap_or("event"))?;
    require(&event.distinct_id, distinct_id_field)?;
    event.timestamp = timestamp.ok_or_else(|| missing(timestamp_field))?;
    Ok(event)
}

const FULL: &str = "full";
const PROPERTYLESS: &str = "propertyless";

/// Fields that wrap an event on its way and say nothing about it, or follow from others. The
/// project is chosen by who imports, not by the data.
const ENVELOPE: [&str; 14] = [
    DISTINCT_ID_HASH,
    "_inserted_at",
    "api_key",
    "inserted_at",
    "library",
    "library_version",
    "now",
    "offset",
    "project_id",
    "sent_at",
    "site_url",
    "team_id",
    "token",
    "type",
];

fn read_posthog<'a>(fields: &Fields<'a>, received_at: Option<i64>) -> Result<Event<'a>, Fault> {
    let mut event = Event { properties: Cow::Borrowed("{}"), ..Event::default() };
    let mut timestamp = None;
    let mut extra = Vec::new();
    for field @ Field { name, value } in &fields.named {
        let (name, value) = (name.as_ref(), *value);
        match name {
            PROPERTIES => {
                event.properties = value.object().ok_or_else(|| no_object(name))?;
            }
            "uuid" => event.uuid = uuid_role(name, value)?,
            "event" => event.event = text_role(name, value)?,
            "distinct_id" | "$distinct_id" => event.distinct_id = text_role(name, value)?,
            "timestamp" if value.is_absent() && received_at.is_some() => {}
            "timestamp" => timestamp = Some(time_role(name, value)?),
            "created_at" => event.created_at = optional_time_role(name, value)?,
            "elements_chain" => event.elements_chain = text_role(name, value)?,
            "$session_id" => event.session_id = text_role(name, value)?,
            "$window_id" => event.window_id = text_role(name, value)?,
            "person_mode" => event.person_mode = text_role(name, value)?,
            "person_id" => event.person_id = uuid_role(name, value)?,
            "person_created_at" => event.person_created_at = optional_time_role(name, value)?,
            "person_properties" => {
                let object = value.object().ok_or_else(|| no_object(name))?;
                event.person_properties = (!value.is_absent()).then_some(object);
            }
            _ if ENVELOPE.contains(&name) || value.is_absent() => {}
            _ => match group_index(name) {
                Some(index) => event.groups[index] = text_role(name, value)?,
                None => extra.push(field),
            },
        }
    }
    let properties = std::mem::take(&mut event.properties);
    match &fields.known {
        Some(known) => known.fill(&mut event),
        None => KnownProperties::of(&properties).fill(&mut event),
    }
    event.properties = match extra.is_empty() {
        true => properties,
        false => Cow::Owned(merge(&properties, &extra)?),
    };
    if event.person_mode.is_empty() {
        event.person_mode = Cow::Borrowed(FULL);
    }
    require(&event.event, "event")?;
    require(&event.distinct_id, "distinct_id")?;
    event.timestamp = timestamp.or(received_at).ok_or_else(|| missing("timestamp"))?;
    Ok(event)
}

fn group_index(name: &str) -> Option<usize> {
    let index = name.strip_prefix("$group_")?.parse().ok()?;
    (index < GROUP_COUNT).then_some(index)
}

fn require(text: &str, field: &str) -> Result<(), Fault> {
    if text.is_empty() { Err(missing(field)) } else { Ok(()) }
}

fn missing(field: &str) -> Fault {
    Fault::new(ErrorKind::Missing, format!("{field} is missing"))
}

fn no_object(field: &str) -> Fault {
    Fault::new(ErrorKind::InvalidText, format!("{field} is not a JSON object"))
}

/// Text, or `''` for NULL.
fn text_role<'a>(name: &str, value: Value<'a>) -> Result<Cow<'a, str>, Fault> {
    if value.is_absent() {
        return Ok(Cow::Borrowed(""));
    }
    let not_text = || Fault::new(ErrorKind::InvalidText, format!("{name} is not text"));
    value.text().ok_or_else(not_text)
}

fn uuid_role(name: &str, value: Value<'_>) -> Result<Option<Uuid>, Fault> {
    if let Value::Uuid(uuid) = value {
        return Ok(Some(uuid));
    }
    let text = text_role(name, value)?;
    if text.is_empty() {
        return Ok(None);
    }
    let uuid = Uuid::try_parse(&text);
    uuid.map(Some).map_err(|_| {
        let reason = format!("{name} is not a UUID: {}", excerpt(&text));
        Fault::new(ErrorKind::InvalidText, reason)
    })
}

fn optional_time_role(name: &str, value: Value<'_>) -> Result<Option<i64>, Fault> {
    if value.is_absent() { Ok(None) } else { time_role(name, value).map(Some) }
}

fn time_role(name: &str, value: Value<'_>) -> Result<i64, Fault> {
    if value.is_absent() {
        return Err(missing(name));
    }
    let invalid = |reason| Fault::new(ErrorKind::InvalidDateTime, reason);
    if let Value::Time(micros) = value {
        let outside = || invalid(format!("{name} is not in the years 1 to 9999"));
        return YEARS.contains(&micros).then_some(micros).ok_or_else(outside);
    }
    let text = value.text().ok_or_else(|| invalid(format!("{name} is not a time")))?;
    parse_timestamp(&text)
        .ok_or_else(|| invalid(format!("{name} is not a time: {}", excerpt(&text))))
}

fn excerpt(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let mut excerpt: String = text.escape_debug().take(CHARS_MAX).collect();
    if excerpt.len() < text.len() {
        excerpt.push('…');
    }
    format!("'{excerpt}'")
}

/// A JSON object under construction.
#[derive(Debug, Default)]
struct Properties {
    pairs: String,
}

impl Properties {
    fn push(&mut self, name: &str, value: Value<'_>) {
        if !self.pairs.is_empty() {
            self.pairs.push(',');
        }
        write_string(name, &mut self.pairs);
        self.pairs.push(':');
        value.write_json(&mut self.pairs);
    }

    fn finish(self) -> String {
        format!("{{{}}}", self.pairs)
    }
}

/// The object with more pairs in front, save those whose key it has.
fn merge(object: &str, extra: &[&Field<'_>]) -> Result<String, Fault> {
    let broken = || no_object("properties");
    let mut own = Vec::new();
    scan::members(object, &mut |key, _| own.push(scan::unescape(key)));
    let mut properties = Properties::default();
    for field in extra {
        if !own.contains(&field.name) {
            properties.push(&field.name, field.value);
        }
    }
    let pairs = properties.pairs;
    let rest = object.trim_ascii_start().strip_prefix('{').ok_or_else(broken)?;
    let comma = if own.is_empty() || pairs.is_empty() { "" } else { "," };
    Ok(format!("{{{pairs}{comma}{rest}"))
}

/// The properties that have columns of their own.
#[derive(Debug, Default)]
struct KnownProperties<'a> {
    distinct_id: Option<Value<'a>>,
    session_id: Option<Value<'a>>,
    window_id: Option<Value<'a>>,
    elements_chain: Option<Value<'a>>,
    process_person_profile: Option<Value<'a>>,
    groups: [Option<Value<'a>>; GROUP_COUNT],
}

impl<'a> KnownProperties<'a> {
    /// Of an object; nothing of one that is too deep.
    fn of(object: &'a str) -> Self {
        let mut known = Self::default();
        scan::members(object, &mut |key, raw| known.note(key, raw));
        known
    }

    /// Keeps a member if it is one of these.
    fn note(&mut self, raw_key: &str, raw: &'a str) {
        if !raw_key.starts_with(['$', 'd', '\\']) {
            return;
        }
        let slot = match scan::unescape(raw_key).as_ref() {
            "distinct_id" => &mut self.distinct_id,
            "$session_id" => &mut self.session_id,
            "$window_id" => &mut self.window_id,
            "$elements_chain" => &mut self.elements_chain,
            "$process_person_profile" => &mut self.process_person_profile,
            key => match group_index(key) {
                Some(index) => &mut self.groups[index],
                None => return,
            },
        };
        *slot = Some(Value::Json(raw));
    }

    /// Gives their values to the columns that have none.
    fn fill(&self, event: &mut Event<'_>) {
        let fill = |column: &mut Cow<'_, str>, value: Option<Value<'_>>| {
            if column.is_empty()
                && let Some(text) = value.and_then(Value::text)
            {
                *column = Cow::Owned(text.into_owned());
            }
        };
        fill(&mut event.distinct_id, self.distinct_id);
        fill(&mut event.session_id, self.session_id);
        fill(&mut event.window_id, self.window_id);
        fill(&mut event.elements_chain, self.elements_chain);
        for (column, value) in event.groups.iter_mut().zip(self.groups) {
            fill(column, value);
        }
        let anonymous = self.process_person_profile.and_then(Value::text);
        if event.person_mode.is_empty() && anonymous.as_deref() == Some("false") {
            event.person_mode = Cow::Borrowed(PROPERTYLESS);
        }
    }
}
