//! Where events come from: files, folders and readers, compressed or not.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use crate::error::{Error, ErrorKind, Result};

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per line. A line may also hold an array of events or the body of a
    /// capture request.
    Json,
    /// Comma-separated values with a header.
    Csv,
    Parquet,
}

/// A place to read events from.
pub enum Source {
    /// A file, or a folder with files.
    Path(PathBuf),
    /// A stream, such as standard input, under the name that error messages give it.
    Reader { name: String, reader: Box<dyn Read + Send> },
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Self::Reader { name, .. } => f.debug_tuple("Reader").field(name).finish(),
        }
    }
}

/// A source that is one stream of bytes, not yet opened.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) name: Arc<str>,
    pub(super) source: Source,
    /// None for streams and pipes.
    pub(super) size_bytes: Option<u64>,
}

/// File endings that a folder is searched for.
const ENDINGS: [(&str, Format); 6] = [
    (".json", Format::Json),
    (".jsonl", Format::Json),
    (".ndjson", Format::Json),
    (".csv", Format::Csv),
    (".parquet", Format::Parquet),
    (".pq", Format::Parquet),
];

/// The inputs behind the sources: files as they are, folders with all event files below them, in
/// the order of their names.
///
/// # Errors
/// `InvalidInput` when a path is missing, cannot be read, or is a folder without event files.
pub(super) fn expand(sources: Vec<Source>) -> Result<Vec<Input>> {
    let mut inputs = Vec::new();
    for source in sources {
        match source {
            Source::Reader { name, reader } => inputs.push(Input {
                name: name.as_str().into(),
                source: Source::Reader { name, reader },
                size_bytes: None,
            }),
            Source::Path(path) => {
                let metadata =
                    std::fs::metadata(&path).map_err(|error| unreadable(&path, error))?;
                if metadata.is_dir() {
                    let found = inputs.len();
                    expand_folder(&path, &mut inputs)?;
                    if inputs.len() == found {
                        return Err(no_events(&path));
                    }
                } else {
                    inputs.push(file_input(path, &metadata));
                }
            }
        }
    }
    Ok(inputs)
}

fn file_input(path: PathBuf, metadata: &Metadata) -> Input {
    Input {
        name: path.display().to_string().into(),
        source: Source::Path(path),
        size_bytes: metadata.is_file().then_some(metadata.len()),
    }
}

/// Hidden files and links to folders are left out: the ones hold no data, the others may loop.
fn expand_folder(folder: &Path, inputs: &mut Vec<Input>) -> Result<()> {
    let entries = std::fs::read_dir(folder)
        .and_then(Iterator::collect::<io::Result<Vec<_>>>)
        .map_err(|error| unreadable(folder, error))?;
    let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        let metadata = std::fs::metadata(&path).map_err(|error| unreadable(&path, error))?;
        if metadata.is_dir() {
            if !path.is_symlink() {
                expand_folder(&path, inputs)?;
            }
        } else if format_by_name(&name).is_some() {
            inputs.push(file_input(path, &metadata));
        }
    }
    Ok(())
}

fn format_by_name(name: &str) -> Option<Format> {
    let name = name.to_ascii_lowercase();
    let name = [".gz", ".zst"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
    ENDINGS.iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, format)| *format)
}

/// An input whose format and compression are known.
pub(super) enum Opened {
    Text {
        format: Format,
        reader: Box<dyn BufRead + Send>,
    },
    /// Parquet is read from its end.
    Parquet(File),
}

const BUFFER_BYTES: usize = 256 << 10;
const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const PARQUET: &[u8] = b"PAR1";

/// Opens an input and finds out what it holds: compression and Parquet by their first bytes,
/// otherwise JSON or CSV by `format`, the name, or the first character.
///
/// # Errors
/// `InvalidInput` when it cannot be read or its format cannot be told.
pub(super) fn open(
    input: Input,
    format: Option<Format>,
    bytes_read: &Arc<AtomicU64>,
) -> Result<Opened> {
    let name = input.name;
    let reader: Box<dyn Read + Send> = match input.source {
        Source::Reader { reader, .. } => reader,
        Source::Path(path) => {
            let mut file = File::open(&path).map_err(|error| unreadable(&path, error))?;
            if is_parquet(&mut file).map_err(|error| unreadable(&path, error))? {
                bytes_read.fetch_add(input.size_bytes.unwrap_or_default(), Ordering::Relaxed);
                return match format {
                    None | Some(Format::Parquet) => Ok(Opened::Parquet(file)),
                    Some(_) => Err(invalid(format!("{name} is a Parquet file"))),
                };
            }
            Box::new(file)
        }
    };
    let counted = Counted { reader, bytes: Arc::clone(bytes_read) };
    let mut plain = BufReader::with_capacity(BUFFER_BYTES, counted);
    let start = plain.fill_buf().map_err(|error| read_error(&name, &error))?;
    let mut reader: Box<dyn BufRead + Send> = if start.starts_with(GZIP) {
        Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(plain)))
    } else if start.starts_with(ZSTD) {
        let decoder =
            zstd::Decoder::with_buffer(plain).map_err(|error| read_error(&name, &error))?;
        Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder))
    } else {
        Box::new(plain)
    };
    let start = reader.fill_buf().map_err(|error| read_error(&name, &error))?;
    let format = match format.or_else(|| format_by_name(&name)).or_else(|| format_by_content(start))
    {
        _ if start.starts_with(PARQUET) => Format::Parquet,
        Some(format) => format,
        // Nothing at all is no events in any format.
        None if start.is_empty() => Format::Json,
        None => {
            return Err(invalid(format!("cannot tell the format of {name}"))
                .hint("Name the format: json, csv or parquet."));
        }
    };
    match format {
        Format::Parquet => Err(invalid(format!("{name} is not a plain Parquet file"))
            .hint("Parquet is read from files, not from streams or compressed files.")),
        format => Ok(Opened::Text { format, reader }),
    }
}

fn format_by_content(start: &[u8]) -> Option<Format> {
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    match start.trim_ascii_start().first() {
        Some(b'{' | b'[') => Some(Format::Json),
        _ => None,
    }
}

/// Looks at the first bytes and goes back to them. Pipes cannot go back, and hold no Parquet.
fn is_parquet(file: &mut File) -> io::Result<bool> {
    if !file.metadata()?.is_file() {
        return Ok(false);
    }
    let mut start = Vec::with_capacity(PARQUET.len());
    file.by_ref().take(PARQUET.len() as u64).read_to_end(&mut start)?;
    file.rewind()?;
    Ok(start == PARQUET)
}

struct Counted {
    reader: Box<dyn Read + Send>,
    bytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

pub(super) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}

/// The error for bytes that stop or make no sense: a cut gzip stream, a failing disk.
pub(super) fn read_error(name: &str, error: &io::Error) -> Error {
    invalid(format!("cannot read {name}: {error}"))
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    let reason = match error.kind() {
        io::ErrorKind::NotFound => "no such file or folder".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    invalid(format!("cannot read {}: {reason}", path.display())).caused_by(error)
}

fn no_events(folder: &Path) -> Error {
    let endings: Vec<_> = ENDINGS.iter().map(|(ending, _)| *ending).collect();
    invalid(format!("no event files in {}", folder.display())).hint(format!(
        "Files are found by their ending: {}, also with .gz or .zst.",
        endings.join(" ")
    ))
}
