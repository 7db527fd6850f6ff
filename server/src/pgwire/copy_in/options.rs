//! The options of COPY … FROM STDIN, with PostgreSQL's defaults and rules (manual page COPY).

use hedgerow_parser::ast::{CopyFormat, CopyFrom, CopyHeader};

use super::super::error::PgError;

/// How lines are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options {
    pub form: Form,
    pub header: CopyHeader,
    pub delimiter: u8,
    /// What stands for NULL, as it is written.
    pub null: Vec<u8>,
}

/// How cells are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// With backslashes.
    Text,
    /// In quotes, where they have to be.
    Csv { quote: u8, escape: u8 },
}

impl Options {
    /// # Errors
    /// 0A000 and 22023, as PostgreSQL.
    pub(super) fn new(copy: &CopyFrom) -> Result<Self, PgError> {
        let is_csv = match copy.format {
            None | Some(CopyFormat::Text) => false,
            Some(CopyFormat::Csv) => true,
            Some(CopyFormat::Parquet) => {
                return Err(PgError::unsupported("FORMAT parquet is for files")
                    .hint("Use FORMAT csv, or import the file: hedgerow import."));
            }
        };
        let form = match is_csv {
            true => {
                let quote = byte(copy.quote.as_ref(), b'"', "quote")?;
                Form::Csv { quote, escape: byte(copy.escape.as_ref(), quote, "escape")? }
            }
            false => {
                for (name, option) in [("quote", &copy.quote), ("escape", &copy.escape)] {
                    if option.is_some() {
                        let message = format!("COPY {name} available only in CSV mode");
                        return Err(PgError::unsupported(message));
                    }
                }
                Form::Text
            }
        };
        let usual = if is_csv { b',' } else { b'\t' };
        let options = Self {
            form,
            header: copy.header.unwrap_or(CopyHeader::Row),
            delimiter: byte(copy.delimiter.as_ref(), usual, "delimiter")?,
            null: match &copy.null {
                Some(null) => null.clone().into_bytes(),
                None if is_csv => Vec::new(),
                None => b"\\N".to_vec(),
            },
        };
        options.check()?;
        Ok(options)
    }

    fn check(&self) -> Result<(), PgError> {
        let invalid = |message: &str| Err(PgError::error("22023", message));
        let Self { form, delimiter, null, .. } = self;
        if matches!(delimiter, b'\n' | b'\r') {
            return invalid("COPY delimiter cannot be newline or carriage return");
        }
        if null.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
            return invalid("COPY null representation cannot use newline or carriage return");
        }
        if null.contains(delimiter) {
            let message = "COPY delimiter must not appear in the NULL specification";
            return Err(PgError::unsupported(message));
        }
        match form {
            // They mean something after a backslash.
            Form::Text if matches!(delimiter, b'\\' | b'.' | b'a'..=b'z' | b'0'..=b'9') => {
                let delimiter = char::from(*delimiter);
                invalid(&format!("COPY delimiter cannot be \"{delimiter}\""))
            }
            Form::Csv { quote, .. } if quote == delimiter => {
                invalid("COPY delimiter and quote must be different")
            }
            Form::Csv { quote, .. } if null.contains(quote) => {
                let message = "CSV quote character must not appear in the NULL specification";
                Err(PgError::unsupported(message))
            }
            Form::Csv { quote, escape }
                if [quote, escape].iter().any(|b| matches!(b, b'\n' | b'\r')) =>
            {
                invalid("COPY quote and escape cannot be newline or carriage return")
            }
            _ => Ok(()),
        }
    }
}

fn byte(text: Option<&String>, usual: u8, name: &str) -> Result<u8, PgError> {
    match text.map(|text| text.as_bytes()) {
        None => Ok(usual),
        Some([byte]) if byte.is_ascii() && *byte != 0 => Ok(*byte),
        Some(_) => {
            let message = format!("COPY {name} must be a single one-byte character");
            Err(PgError::unsupported(message))
        }
    }
}
