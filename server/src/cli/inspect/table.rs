//! An inspection for people.

use std::io::{self, Write};

use chrono::{DateTime, SecondsFormat, Utc};
use hedgerow_engine::inspect::{Files, Inspection, WriteAheadLog};

use super::json::waiting;

pub(super) fn write(out: &mut dyn Write, inspection: &Inspection) -> io::Result<()> {
    let Inspection { contents, log, .. } = inspection;
    let mut rows = vec![row(["", "files", "rows", "bytes"]), files("events", &contents.events)];
    rows.extend(contents.forms.iter().map(|(form, of)| files(&format!("  {}", form.name()), of)));
    let tables = format!("tables ({})", contents.tables);
    rows.push(files(&tables, &contents.table_files));
    let unused = (contents.unused_files.to_string(), contents.unused_bytes.to_string());
    rows.push(row(["unused", &unused.0, "", &unused.1]));
    write_columns(out, &rows)?;

    let names = ["project", "files", "rows", "bytes", "not in files", "first event", "last event"];
    let mut rows = vec![row(names)];
    for project in &contents.projects {
        let name = project.name.clone().unwrap_or_else(|| format!("number {}", project.project.0));
        let mut cells = files(&name, &project.files);
        cells.push(waiting(project, log.as_ref()).to_string());
        cells.push(project.times.map(|(first, _)| spelled(first)).unwrap_or_default());
        cells.push(project.times.map(|(_, last)| spelled(last)).unwrap_or_default());
        rows.push(cells);
    }
    if contents.shared.files > 0 {
        rows.push(files("(several)", &contents.shared));
    }
    writeln!(out)?;
    write_columns(out, &rows)?;

    let checkpoint = contents.checkpoint.map_or("none".to_owned(), |version| version.to_string());
    writeln!(out, "\nlog of events: version {}, checkpoint {checkpoint}", contents.version)?;
    writeln!(out, "upkeep: {} files would be rewritten", contents.upkeep_due)?;
    match log {
        Some(log) => write_log(out, log, inspection),
        None => writeln!(out, "write-ahead log: none"),
    }
}

fn write_log(out: &mut dyn Write, log: &WriteAheadLog, whole: &Inspection) -> io::Result<()> {
    let open = match log.is_open {
        Some(true) => "open in a server, ",
        Some(false) => "not open, ",
        None => "",
    };
    writeln!(
        out,
        "write-ahead log: {open}epoch {}, {} segments of {} bytes, last record {}",
        log.epoch, log.segments, log.bytes, log.last_record
    )?;
    let waiting = &log.waiting;
    let events: u64 = waiting.events.values().sum();
    let lag = whole.lag().map(|lag| format!(", lag {:.1} s", lag.as_seconds_f64()));
    writeln!(
        out,
        "not in files: {} records of {} bytes with {events} events{}",
        waiting.records,
        waiting.bytes,
        lag.unwrap_or_default()
    )
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).into()
}

fn files(name: &str, files: &Files) -> Vec<String> {
    let rows = files.rows.map_or("unknown".to_owned(), |rows| rows.to_string());
    vec![name.to_owned(), files.files.to_string(), rows, files.bytes.to_string()]
}

fn spelled(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// Names on the left, all else on the right.
fn write_columns(out: &mut dyn Write, rows: &[Vec<String>]) -> io::Result<()> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    for row in rows {
        let cells = row.iter().enumerate().map(|(column, cell)| match column {
            0 => format!("{cell:width$}", width = width(0)),
            _ => format!("{cell:>width$}", width = width(column)),
        });
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}
