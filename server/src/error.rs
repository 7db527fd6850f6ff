//! What each kind of error is called on each protocol.
//!
//! The matches have no wildcard: a new kind does not compile until all three know it.

use axum::http::StatusCode;
use hedgerow_engine::ErrorKind;
use tonic::Code;

/// The SQLSTATE of a kind.
pub fn sqlstate(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Syntax => "42601",
        ErrorKind::Unsupported => "0A000",
        ErrorKind::UnknownTable => "42P01",
        ErrorKind::UnknownColumn => "42703",
        ErrorKind::UnknownFunction => "42883",
        ErrorKind::Ambiguous => "42702",
        ErrorKind::Duplicate => "42712",
        ErrorKind::TypeMismatch => "42804",
        ErrorKind::Grouping => "42803",
        ErrorKind::Windowing => "42P20",
        ErrorKind::InvalidArgument => "22023",
        ErrorKind::InvalidText => "22P02",
        ErrorKind::InvalidDateTime => "22007",
        ErrorKind::OutOfRange => "22003",
        ErrorKind::DivisionByZero => "22012",
        ErrorKind::Missing => "23502",
        ErrorKind::Cardinality => "21000",
        ErrorKind::AlreadyExists => "42P07",
        ErrorKind::InUse => "2BP01",
        ErrorKind::WrongObject => "42809",
        ErrorKind::NotAllowed => "42501",
        ErrorKind::UnknownStatement => "26000",
        ErrorKind::DuplicateStatement => "42P05",
        ErrorKind::Parameter => "42P02",
        ErrorKind::UnknownObject => "42704",
        ErrorKind::UnknownToken => "28000",
        ErrorKind::UnknownProject => "3D000",
        ErrorKind::InvalidSetting => "22023",
        ErrorKind::TooComplex => "54001",
        ErrorKind::OutOfMemory => "53200",
        ErrorKind::Overloaded => "53400",
        ErrorKind::Cancelled => "57014",
        ErrorKind::Storage => "58030",
        ErrorKind::InvalidInput => "22000",
        ErrorKind::Internal => "XX000",
    }
}

/// The gRPC code of a kind.
pub fn grpc_code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::Syntax
        | ErrorKind::Ambiguous
        | ErrorKind::Duplicate
        | ErrorKind::TypeMismatch
        | ErrorKind::Grouping
        | ErrorKind::Windowing
        | ErrorKind::InvalidArgument
        | ErrorKind::InvalidText
        | ErrorKind::InvalidDateTime
        | ErrorKind::DivisionByZero
        | ErrorKind::Missing
        | ErrorKind::Cardinality
        | ErrorKind::Parameter
        | ErrorKind::InvalidSetting
        | ErrorKind::TooComplex
        | ErrorKind::WrongObject
        | ErrorKind::InvalidInput => Code::InvalidArgument,
        ErrorKind::AlreadyExists | ErrorKind::DuplicateStatement => Code::AlreadyExists,
        ErrorKind::InUse => Code::FailedPrecondition,
        ErrorKind::NotAllowed => Code::PermissionDenied,
        ErrorKind::UnknownToken => Code::Unauthenticated,
        ErrorKind::UnknownTable
        | ErrorKind::UnknownColumn
        | ErrorKind::UnknownFunction
        | ErrorKind::UnknownObject
        | ErrorKind::UnknownStatement
        | ErrorKind::UnknownProject => Code::NotFound,
        ErrorKind::OutOfRange => Code::OutOfRange,
        ErrorKind::Unsupported => Code::Unimplemented,
        ErrorKind::OutOfMemory | ErrorKind::Overloaded => Code::ResourceExhausted,
        ErrorKind::Cancelled => Code::Cancelled,
        ErrorKind::Storage => Code::Unavailable,
        ErrorKind::Internal => Code::Internal,
    }
}

/// The HTTP status of a kind.
pub fn http_status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Syntax
        | ErrorKind::Unsupported
        | ErrorKind::UnknownTable
        | ErrorKind::UnknownColumn
        | ErrorKind::UnknownFunction
        | ErrorKind::UnknownObject
        | ErrorKind::Ambiguous
        | ErrorKind::Duplicate
        | ErrorKind::TypeMismatch
        | ErrorKind::Grouping
        | ErrorKind::Windowing
        | ErrorKind::InvalidArgument
        | ErrorKind::InvalidText
        | ErrorKind::InvalidDateTime
        | ErrorKind::OutOfRange
        | ErrorKind::DivisionByZero
        | ErrorKind::Missing
        | ErrorKind::Cardinality
        | ErrorKind::Parameter
        | ErrorKind::InvalidSetting
        | ErrorKind::TooComplex
        | ErrorKind::WrongObject
        | ErrorKind::UnknownStatement
        | ErrorKind::DuplicateStatement
        | ErrorKind::InvalidInput => StatusCode::BAD_REQUEST,
        ErrorKind::AlreadyExists | ErrorKind::InUse => StatusCode::CONFLICT,
        ErrorKind::NotAllowed => StatusCode::FORBIDDEN,
        ErrorKind::UnknownToken => StatusCode::UNAUTHORIZED,
        ErrorKind::UnknownProject => StatusCode::NOT_FOUND,
        ErrorKind::OutOfMemory => StatusCode::INSUFFICIENT_STORAGE,
        ErrorKind::Cancelled => StatusCode::REQUEST_TIMEOUT,
        ErrorKind::Storage | ErrorKind::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
