//! `COPY (query) TO 'file'`: a result as a file in the export folder.
//!
//! The file is written under a name of its own and put in place when it is whole. It cannot get
//! outside the folder: names that climb, absolute names and links are refused.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use futures::StreamExt;
use hedgerow_parser::Span;
use hedgerow_parser::ast::{Copy, CopyFormat, CopyTarget};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use uuid::Uuid;

use super::{Params, Work};
use crate::answer::ResultStream;
use crate::error::{Error, ErrorKind, Result};
use crate::execute::Plan;
use crate::functions::conversions::display::Display;
use crate::lower::Task;
use crate::types::Type;

/// Runs the query and writes its rows: `COPY n`.
pub(super) async fn run(work: &Work, copy: &Copy, params: Params) -> Result<ResultStream> {
    let CopyTarget::File(name, span) = &copy.target else {
        return Err(Error::unsupported("COPY … TO STDOUT is not available"));
    };
    let format = format_of(copy, name, *span)?;
    let target = target(work.engine.export_folder(), name).map_err(|error| error.at(*span))?;
    let catalog = work.catalog().await?;
    let query = work.lower(Task::Query(&copy.query), &catalog, params)?;
    let plan = work.plan(&query).await?;
    let mut hidden = target.as_os_str().to_owned();
    hidden.push(format!(".{}.tmp", Uuid::now_v7()));
    let hidden = PathBuf::from(hidden);
    let written = write(&plan, format, copy.header.unwrap_or(true), &hidden).await;
    let placed = match written {
        Ok(rows) => fs::rename(&hidden, &target).map(|()| rows).map_err(|e| failed(name, e)),
        Err(error) => Err(error),
    };
    let rows = placed.inspect_err(|_| {
        // The error counts; a leftover is only untidy.
        let _ = fs::remove_file(&hidden);
    })?;
    Ok(ResultStream::done("COPY", Some(rows)).with_notices(query.notices))
}

/// The format that is asked for, or the one the name ends in.
fn format_of(copy: &Copy, name: &str, span: Span) -> Result<CopyFormat> {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    let format = match (copy.format, extension) {
        (Some(format), _) => format,
        (None, Some("csv")) => CopyFormat::Csv,
        (None, Some("parquet")) => CopyFormat::Parquet,
        (None, _) => {
            return Err(Error::new(ErrorKind::InvalidArgument, "the file's format is not known")
                .at(span)
                .hint("Name it .csv or .parquet, or add WITH (FORMAT csv)."));
        }
    };
    match format {
        CopyFormat::Text => Err(Error::unsupported("files are written as csv or parquet").at(span)),
        CopyFormat::Parquet if copy.header.is_some() => {
            Err(Error::new(ErrorKind::InvalidArgument, "HEADER is for csv").at(span))
        }
        format => Ok(format),
    }
}

/// Where a file goes. Its folders are made where they are missing.
fn target(export: Option<&Path>, name: &str) -> Result<PathBuf> {
    let not_allowed = |message: String| Error::new(ErrorKind::NotAllowed, message);
    let Some(export) = export else {
        return Err(not_allowed("this server has no folder for exported files".to_owned())
            .hint("Start it with --export-folder DIR."));
    };
    let outside = || {
        not_allowed(format!("not a file in the export folder: '{}'", name.escape_debug()))
            .hint("Give a name inside it, as in 'reports/today.csv'.")
    };
    let path = Path::new(name);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    if !plain || path.file_name().is_none() || name.contains('\0') || name.ends_with('/') {
        return Err(outside());
    }
    let mut target = export.to_owned();
    let mut parts = path.components().peekable();
    while let Some(part) = parts.next() {
        target.push(part);
        match fs::symlink_metadata(&target) {
            Ok(found) if found.is_symlink() => return Err(outside()),
            Ok(found) if parts.peek().is_some() != found.is_dir() => return Err(outside()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if parts.peek().is_some() {
                    fs::create_dir(&target).map_err(|error| failed(name, error))?;
                }
            }
            Err(error) => return Err(failed(name, error)),
        }
    }
    Ok(target)
}

async fn write(plan: &Plan, format: CopyFormat, header: bool, path: &Path) -> Result<u64> {
    let shown = path.to_string_lossy();
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(|error| failed(&shown, error))?;
    let mut sink = match format {
        CopyFormat::Parquet => {
            let properties = WriterProperties::builder()
                .set_compression(Compression::ZSTD(ZstdLevel::default()))
                .build();
            let writer = ArrowWriter::try_new(file, Arc::clone(&plan.schema), Some(properties));
            Sink::Parquet(Box::new(writer.map_err(encoding)?))
        }
        _ => Sink::Csv(BufWriter::new(file)),
    };
    if let (Sink::Csv(file), true) = (&mut sink, header) {
        let names = plan.schema.fields().iter().map(|field| Some(field.name().as_str()));
        let mut line = String::new();
        write_line(&mut line, names);
        file.write_all(line.as_bytes()).map_err(|error| failed(&shown, error))?;
    }
    let mut rows = 0;
    let mut batches = plan.batches()?;
    while let Some(batch) = batches.next().await.transpose()? {
        rows += batch.num_rows() as u64;
        match &mut sink {
            Sink::Parquet(writer) => writer.write(&batch).map_err(encoding)?,
            Sink::Csv(file) => {
                let lines = csv(&batch)?;
                file.write_all(lines.as_bytes()).map_err(|error| failed(&shown, error))?;
            }
        }
    }
    let file = match sink {
        Sink::Parquet(writer) => writer.into_inner().map_err(encoding)?,
        Sink::Csv(file) => file.into_inner().map_err(|error| failed(&shown, error.into_error()))?,
    };
    file.sync_all().map_err(|error| failed(&shown, error))?;
    Ok(rows)
}

enum Sink {
    Parquet(Box<ArrowWriter<File>>),
    Csv(BufWriter<File>),
}

/// The rows as lines of RFC 4180, each value as toString shows it; NULL is an empty field, and an
/// empty text is quoted.
fn csv(batch: &RecordBatch) -> Result<String> {
    let schema = batch.schema();
    let types: Vec<Type> = schema.fields().iter().map(|field| Type::from_field(field)).collect();
    // A column of nothing but NULL has no bitmap.
    let nulls: Vec<_> = batch.columns().iter().map(|column| column.logical_nulls()).collect();
    let shown = batch.columns().iter().zip(&types);
    let shown = shown.map(|(column, ty)| Display::new(column, ty)).collect::<Result<Vec<_>>>()?;
    let mut lines = String::new();
    for row in 0..batch.num_rows() {
        let cells: Vec<Option<String>> = nulls
            .iter()
            .zip(&shown)
            .map(|(nulls, shown)| {
                if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                    return None;
                }
                let mut cell = String::new();
                shown.write(row, &mut cell);
                Some(cell)
            })
            .collect();
        write_line(&mut lines, cells.iter().map(Option::as_deref));
    }
    Ok(lines)
}

fn write_line<'a>(out: &mut String, cells: impl Iterator<Item = Option<&'a str>>) {
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            out.push(',');
        }
        let Some(cell) = cell else { continue };
        if cell.is_empty() || cell.contains(['"', ',', '\n', '\r']) {
            out.push('"');
            out.push_str(&cell.replace('"', "\"\""));
            out.push('"');
        } else {
            out.push_str(cell);
        }
    }
    out.push_str("\r\n");
}

fn encoding(error: parquet::errors::ParquetError) -> Error {
    Error::new(ErrorKind::Storage, format!("cannot write Parquet: {error}")).caused_by(error)
}

fn failed(name: &str, error: io::Error) -> Error {
    Error::new(ErrorKind::Storage, format!("cannot write {name}: {error}")).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_outside_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (export, elsewhere) = (folder.path().join("export"), folder.path().join("elsewhere"));
        fs::create_dir(&export).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, export.join("link")).unwrap();
        std::os::unix::fs::symlink(elsewhere.join("f.csv"), export.join("f.csv")).unwrap();
        for name in [
            "../a.csv",
            "a/../../b.csv",
            "/tmp/a.csv",
            "link/a.csv",
            "f.csv",
            "",
            ".",
            "a/",
            "./a.csv",
            "a\0.csv",
            "link",
        ] {
            let error = target(Some(&export), name).unwrap_err();
            assert_eq!(error.kind, ErrorKind::NotAllowed, "{name}");
        }
        assert_eq!(target(None, "a.csv").unwrap_err().kind, ErrorKind::NotAllowed);
        let inside = target(Some(&export), "a/b/c.csv").unwrap();
        assert_eq!(inside, export.join("a/b/c.csv"));
        assert!(export.join("a/b").is_dir());
        assert!(fs::read_dir(&elsewhere).unwrap().next().is_none());
    }
}
