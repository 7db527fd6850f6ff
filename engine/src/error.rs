//! One error type for the whole engine, sorted by what the caller must do about it.

use std::sync::Arc;

use datafusion::arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use hedgerow_parser::{Span, SyntaxError, SyntaxErrorKind};

/// The result of everything in the engine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, where in the user's text, and what could be done about it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What the caller must do about it.
    pub kind: ErrorKind,
    /// One line in lower case, without the place.
    pub message: String,
    /// Where in the query text, for errors the text is to blame for.
    pub span: Option<Span>,
    /// A way out, as a sentence.
    pub hint: Option<String>,
    /// The error underneath, for logs.
    #[source]
    pub source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// Kinds of errors. Each protocol maps them to its own codes in one exhaustive match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The text is not HogQL.
    Syntax,
    /// Well-formed, but refused on purpose.
    Unsupported,
    /// No such table.
    UnknownTable,
    /// No such column, alias or field.
    UnknownColumn,
    /// No such function, or no form of it that takes these arguments.
    UnknownFunction,
    /// A name that could mean two things.
    Ambiguous,
    /// A name declared twice.
    Duplicate,
    /// Types that do not fit together.
    TypeMismatch,
    /// An aggregate where none may stand, or a column outside GROUP BY.
    Grouping,
    /// A window function where none may stand.
    Windowing,
    /// A value or argument outside what a function takes.
    InvalidArgument,
    /// Text that cannot be read as the wanted type.
    InvalidText,
    /// A date or time that does not exist or cannot be read.
    InvalidDateTime,
    /// A number outside the range of its type.
    OutOfRange,
    /// Integer division by zero.
    DivisionByZero,
    /// A row without a value that it must have.
    Missing,
    /// A scalar subquery with more than one row.
    Cardinality,
    /// A view, table or file that is already there.
    AlreadyExists,
    /// Others depend on it.
    InUse,
    /// A view where a table is wanted, or the other way round.
    WrongObject,
    /// Something that this server is not allowed to do.
    NotAllowed,
    /// No prepared statement of that name.
    UnknownStatement,
    /// A prepared statement of that name is already there.
    DuplicateStatement,
    /// A parameter without a value, or with one too many.
    Parameter,
    /// No such cohort or action.
    UnknownObject,
    /// A sender without the token of a project.
    UnknownToken,
    /// No such project.
    UnknownProject,
    /// A setting that does not exist, or a value it cannot take.
    InvalidSetting,
    /// The text is larger or deeper than the limits.
    TooComplex,
    /// A memory limit was reached.
    OutOfMemory,
    /// More events come in than can be written; the same request can succeed later.
    Overloaded,
    /// The query was cancelled or timed out.
    Cancelled,
    /// The store cannot be read or written.
    Storage,
    /// Input data that cannot be imported.
    InvalidInput,
    /// A bug in Hedgerow. User input can never produce it.
    Internal,
}

impl Error {
    /// An error without a place.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), span: None, hint: None, source: None }
    }

    /// The same error, at a place, unless it already has one closer to the cause.
    #[must_use]
    pub fn at(mut self, span: Span) -> Self {
        self.span.get_or_insert(span);
        self
    }

    /// The same error, with a way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same error, with what caused it.
    #[must_use]
    pub fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// A bug.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Something refused on purpose.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }
}

/// The nearest of `candidates` to a mistyped `name`, as a hint.
pub fn did_you_mean<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let wanted = name.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            (strsim::damerau_levenshtein(&wanted, &candidate.to_lowercase()), candidate)
        })
        .filter(|(distance, _)| *distance <= 1 + name.chars().count() / 4)
        .min()
        .map(|(_, candidate)| format!("Did you mean {candidate}?"))
}

impl From<SyntaxError> for Error {
    fn from(error: SyntaxError) -> Self {
        let kind = match error.kind {
            SyntaxErrorKind::Syntax => ErrorKind::Syntax,
            SyntaxErrorKind::Unsupported => ErrorKind::Unsupported,
            SyntaxErrorKind::TooComplex => ErrorKind::TooComplex,
        };
        let message = match &error.expected {
            Some(expected) => format!("{}, expected {expected}", error.message),
            None => error.message.clone(),
        };
        Self { kind, message, span: Some(error.span), hint: error.hint, source: None }
    }
}

/// Kernels raise [`Error`]s wrapped as external DataFusion errors; [`raised`] gives them back.
impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        Self::External(Box::new(error))
    }
}

/// What DataFusion says of a scalar subquery with several rows.
const TOO_MANY_ROWS: &str = "Scalar subquery returned more than one row";

/// The single place where DataFusion's errors get a kind.
impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        let translated = translated(&error);
        match translated.kind {
            ErrorKind::Storage if translated.source.is_none() => translated.caused_by(error),
            _ => translated,
        }
    }
}

fn translated(error: &DataFusionError) -> Error {
    match error {
        DataFusionError::External(inner) => raised(inner.as_ref()),
        DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
            ArrowError::ExternalError(inner) => raised(inner.as_ref()),
            ArrowError::DivideByZero => Error::new(ErrorKind::DivisionByZero, "division by zero"),
            ArrowError::ArithmeticOverflow(message) => Error::new(ErrorKind::OutOfRange, message),
            ArrowError::CastError(message) if message.starts_with("Can't cast value") => {
                Error::new(ErrorKind::OutOfRange, message)
            }
            ArrowError::CastError(message) | ArrowError::ParseError(message) => {
                Error::new(ErrorKind::InvalidText, message)
            }
            ArrowError::ComputeError(message) | ArrowError::InvalidArgumentError(message) => {
                Error::new(ErrorKind::InvalidArgument, message)
            }
            _ => Error::internal(error.to_string()),
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            translated(inner)
        }
        // What several partitions wait for fails for each of them.
        DataFusionError::Shared(inner) => translated(inner),
        DataFusionError::Collection(errors) => {
            errors.first().map_or_else(|| Error::internal("empty error collection"), translated)
        }
        DataFusionError::ResourcesExhausted(message) => Error::new(ErrorKind::OutOfMemory, message)
            .hint("Raise the memory limit, or read less data at once."),
        DataFusionError::ObjectStore(inner) => Error::new(ErrorKind::Storage, inner.to_string()),
        DataFusionError::IoError(inner) => Error::new(ErrorKind::Storage, inner.to_string()),
        DataFusionError::ParquetError(inner) => Error::new(ErrorKind::Storage, inner.to_string()),
        DataFusionError::NotImplemented(message) => Error::unsupported(message),
        DataFusionError::Plan(message) => Error::new(ErrorKind::TypeMismatch, message),
        DataFusionError::SchemaError(inner, _) => match inner.as_ref() {
            SchemaError::FieldNotFound { field, .. } => Error::new(
                ErrorKind::UnknownColumn,
                format!("no column named {}", field.flat_name()),
            ),
            other => Error::new(ErrorKind::Ambiguous, other.to_string()),
        },
        // DataFusion has no kind of its own for this.
        DataFusionError::Execution(message) if message == TOO_MANY_ROWS => {
            Error::new(ErrorKind::Cardinality, "a scalar subquery gave more than one row")
                .hint("Add LIMIT 1, or aggregate.")
        }
        DataFusionError::Execution(message) => Error::new(ErrorKind::InvalidArgument, message),
        other => Error::internal(other.to_string()),
    }
}

/// An error that passed through a library: one of ours comes back whole.
fn raised(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Error {
    if let Some(ours) = error.downcast_ref::<Error>() {
        return ours.clone();
    }
    match error.downcast_ref::<DataFusionError>() {
        Some(inner) => translated(inner),
        None => Error::internal(error.to_string()),
    }
}

impl From<ArrowError> for Error {
    fn from(error: ArrowError) -> Self {
        DataFusionError::from(error).into()
    }
}

impl From<object_store::Error> for Error {
    fn from(error: object_store::Error) -> Self {
        const LOCAL: [&str; 2] = ["local", "LocalFileSystem"];
        let failed = match &error {
            object_store::Error::Generic { store, source } if LOCAL.contains(store) => {
                Self::new(ErrorKind::Storage, source.to_string())
            }
            object_store::Error::Generic { store, source } => {
                let message = format!("the object store ({store}) failed: {source}");
                Self::new(ErrorKind::Storage, message).hint("Try again when it answers.")
            }
            _ => Self::new(ErrorKind::Storage, error.to_string()),
        };
        failed.caused_by(error)
    }
}
