//! An inspection for programs.

use hedgerow_engine::inspect::{Files, Inspection, ProjectFiles, WriteAheadLog};
use serde_json::{Map, Value, json};

pub(super) fn of(inspection: &Inspection) -> Value {
    let Inspection { contents, log, inspected_at } = inspection;
    let forms =
        contents.forms.iter().map(|(form, files)| (form.name().to_owned(), of_files(files)));
    let projects = contents.projects.iter().map(|project| of_project(project, log.as_ref()));
    json!({
        "inspected_at": inspected_at,
        "version": contents.version,
        "checkpoint": contents.checkpoint,
        "events": of_files(&contents.events),
        "forms": forms.collect::<Map<_, _>>(),
        "upkeep_due": contents.upkeep_due,
        "projects": projects.collect::<Vec<_>>(),
        "shared": of_files(&contents.shared),
        "tables": with(of_files(&contents.table_files), [("tables", contents.tables.into())]),
        "unused": { "files": contents.unused_files, "bytes": contents.unused_bytes },
        "wal": log.as_ref().map(of_log),
        "lag_seconds": inspection.lag().map(|lag| lag.as_seconds_f64()),
    })
}

fn of_files(files: &Files) -> Value {
    let Files { files, rows, bytes } = files;
    json!({ "files": files, "rows": rows, "bytes": bytes })
}

fn of_project(project: &ProjectFiles, log: Option<&WriteAheadLog>) -> Value {
    let days = project.days.iter().map(|(days, files)| {
        let (first, last) = (days.as_ref().map(|d| d.start()), days.as_ref().map(|d| d.end()));
        with(of_files(files), [("first_day", json!(first)), ("last_day", json!(last))])
    });
    with(
        of_files(&project.files),
        [
            ("project", json!(project.name)),
            ("number", project.project.0.into()),
            ("first_event", json!(project.times.map(|(first, _)| first))),
            ("last_event", json!(project.times.map(|(_, last)| last))),
            ("waiting_events", waiting(project, log).into()),
            ("days", days.collect()),
        ],
    )
}

/// How many events of a project are in no file yet.
pub(super) fn waiting(project: &ProjectFiles, log: Option<&WriteAheadLog>) -> u64 {
    log.and_then(|log| log.waiting.events.get(&project.project)).copied().unwrap_or_default()
}

fn of_log(log: &WriteAheadLog) -> Value {
    json!({
        "open": log.is_open,
        "epoch": log.epoch,
        "segments": log.segments,
        "bytes": log.bytes,
        "last_record": log.last_record,
        "flushed_record": log.flushed_record,
        "waiting": {
            "records": log.waiting.records,
            "events": log.waiting.events.values().sum::<u64>(),
            "bytes": log.waiting.bytes,
            "oldest_taken_in": log.waiting.oldest,
        },
    })
}

fn with<const N: usize>(object: Value, more: [(&str, Value); N]) -> Value {
    let mut members = match object {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    members.extend(more.map(|(name, value)| (name.to_owned(), value)));
    Value::Object(members)
}
