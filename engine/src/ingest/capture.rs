//! The body of a capture request, as PostHog's SDKs send it → events.

use std::borrow::Cow;
use std::collections::HashMap;

use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};

use crate::error::{Error, ErrorKind, Result};
use crate::functions::json::scan;
use crate::ingest::Repeats;
use crate::ingest::event::EventBuilder;
use crate::ingest::parse::{Record, records_of_line};
use crate::ingest::record::{Field, Fields, Mapping, Value, read_event};
use crate::storage::{PROPERTIES, ProjectId};

/// Who may send events, and into which project.
#[derive(Debug, Clone)]
pub enum Senders {
    /// Everybody, whatever their token, into this project.
    Anyone(ProjectId),
    /// Whoever names the token of a project, into that project.
    Tokens(HashMap<String, ProjectId>),
}

/// Reads the events of a body into the columns of the store: one event, an array of events, or an
/// object with a `batch` of them. An event without a timestamp happened when it was received; one
/// without a uuid gets it from its content.
///
/// # Errors
/// `UnknownToken` for a body without a token of a project; `InvalidInput` that names the first
/// event at fault: all are taken in, or none.
pub(crate) fn capture(
    senders: &Senders,
    body: &[u8],
    received_at: DateTime<Utc>,
) -> Result<(ProjectId, RecordBatch)> {
    let invalid = |reason: String| Error::new(ErrorKind::InvalidInput, reason);
    let body = std::str::from_utf8(body)
        .map_err(|error| invalid(format!("not UTF-8 from byte {} on", error.valid_up_to() + 1)))?;
    let body = body.trim_ascii();
    let records = records_of_line(body).map_err(|reason| invalid(reason.into()))?;
    let project = match senders {
        Senders::Anyone(project) => *project,
        Senders::Tokens(tokens) => {
            project_of(tokens, &tokens_of(body, &records)).map_err(|reason| {
                Error::new(ErrorKind::UnknownToken, reason)
                    .hint("Send the token of a project as api_key.")
            })?
        }
    };
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
    Ok((project, Repeats::default().tell_apart(0, builder.finish()?)?))
}

/// The one project of all tokens of a body.
fn project_of(
    tokens: &HashMap<String, ProjectId>,
    named: &[Cow<'_, str>],
) -> Result<ProjectId, String> {
    let mut project = None;
    for token in named {
        let Some(found) = tokens.get(token.as_ref()) else {
            let shown: String = token.escape_debug().take(60).collect();
            return Err(format!("no project has the token '{shown}'"));
        };
        if *project.get_or_insert(*found) != *found {
            return Err("the tokens of one request belong to different projects".to_owned());
        }
    }
    project.ok_or_else(|| "the request has no project token".to_owned())
}

/// The tokens that a body names: beside its batch, in its events, or in their properties.
fn tokens_of<'a>(body: &'a str, records: &[Record<'a>]) -> Vec<Cow<'a, str>> {
    let mut tokens = Vec::new();
    let mut add = |raw: &'a str| {
        if let Some(token) = Value::Json(raw).text().filter(|token| !token.is_empty())
            && !tokens.contains(&token)
        {
            tokens.push(token);
        }
    };
    let is_token = |name: &str| matches!(name, "api_key" | "token");
    let body = Fields::of_json(body);
    let events = records.iter().flat_map(|record| &record.fields);
    for Field { name, value } in body.iter().chain(events).flat_map(Fields::iter) {
        let Value::Json(raw) = *value else { continue };
        if is_token(name) {
            add(raw);
        } else if name == PROPERTIES {
            scan::members(raw, &mut |name, raw| {
                if scan::unescape(name) == "token" {
                    add(raw);
                }
            });
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        let known = HashMap::from([
            ("phc_a".to_owned(), ProjectId(1)),
            ("phc_b".to_owned(), ProjectId(2)),
            ("phc_b2".to_owned(), ProjectId(2)),
        ]);
        let senders = Senders::Tokens(known);
        let project = |body: &str| {
            capture(&senders, body.as_bytes(), Utc::now())
                .map(|(project, _)| project.0)
                .map_err(|error| (error.kind, error.message))
        };
        let refused = |message: &str| Err((ErrorKind::UnknownToken, message.to_owned()));
        let event = r#""event":"e","distinct_id":"u""#;
        for (body, expected) in [
            (format!(r#"{{"api_key":"phc_a","batch":[{{{event}}}]}}"#), Ok(1)),
            (format!(r#"{{"batch":[{{{event}}}],"token":"phc_b"}}"#), Ok(2)),
            (format!(r#"{{"token":"phc_a",{event}}}"#), Ok(1)),
            (format!(r#"{{{event},"properties":{{"token":"phc_b"}}}}"#), Ok(2)),
            (format!(r#"[{{{event},"api_key":"phc_b"}},{{{event},"token":"phc_b2"}}]"#), Ok(2)),
            (
                format!(r#"[{{{event},"token":"phc_a"}},{{{event},"token":"phc_b"}}]"#),
                refused("the tokens of one request belong to different projects"),
            ),
            (
                format!(r#"{{"api_key":"x","batch":[{{{event}}}]}}"#),
                refused("no project has the token 'x'"),
            ),
            (format!(r#"{{"batch":[{{{event}}}]}}"#), refused("the request has no project token")),
            (format!(r#"{{"api_key":null,{event}}}"#), refused("the request has no project token")),
        ] {
            assert_eq!(project(&body), expected, "{body}");
        }
    }
}
