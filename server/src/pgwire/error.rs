//! Errors and notices as PostgreSQL clients read them.

use hedgerow_engine::{Error, ErrorKind, Notice};
use pgwire::messages::response::{ErrorResponse, NoticeResponse};

use crate::error::sqlstate;

/// An error on its way to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PgError {
    /// True when the connection ends with it.
    pub fatal: bool,
    pub code: &'static str,
    pub message: String,
    pub hint: Option<String>,
    /// 1-based, in characters of the text the client sent.
    pub position: Option<usize>,
    /// Where in the data of a COPY.
    pub context: Option<String>,
}

impl PgError {
    /// An error after which the session goes on.
    pub(super) fn error(code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { fatal: false, code, message, hint: None, position: None, context: None }
    }

    /// An error that ends the connection.
    pub(super) fn fatal(code: &'static str, message: impl Into<String>) -> Self {
        Self { fatal: true, ..Self::error(code, message) }
    }

    /// A client that breaks the protocol in a way that can be recovered from.
    pub(super) fn protocol(message: impl Into<String>) -> Self {
        Self::error("08P01", message)
    }

    /// Something refused on purpose.
    pub(super) fn unsupported(message: impl Into<String>) -> Self {
        Self::error("0A000", message)
    }

    /// The same error, with a way out.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same error, with where in the data it happened.
    #[must_use]
    pub(super) fn context(mut self, context: impl Into<String>) -> Self {
        self.context = Some(context.into());
        self
    }

    /// An engine's error about `text`, which starts `offset` characters into what was sent.
    pub(super) fn from_engine(error: Error, text: &str, offset: usize) -> Self {
        if error.kind == ErrorKind::Internal {
            tracing::error!(error = %error.message, source = ?error.source, "internal error");
        }
        Self {
            fatal: false,
            code: sqlstate(error.kind),
            position: error.span.map(|span| offset + span.position(text)),
            message: error.message,
            hint: error.hint,
            context: None,
        }
    }

    /// The message to send.
    pub(super) fn response(&self) -> ErrorResponse {
        let severity = if self.fatal { "FATAL" } else { "ERROR" };
        let mut fields = fields(severity, self.code, &self.message, self.hint.as_deref());
        if let Some(position) = self.position {
            fields.push((b'P', position.to_string()));
        }
        if let Some(context) = &self.context {
            fields.push((b'W', clean(context)));
        }
        ErrorResponse::new(fields)
    }
}

/// An engine's error that no text is to blame for.
impl From<Error> for PgError {
    fn from(error: Error) -> Self {
        Self::from_engine(Error { span: None, ..error }, "", 0)
    }
}

/// A notice about an answer.
pub(super) fn notice(notice: &Notice) -> NoticeResponse {
    NoticeResponse::new(fields("NOTICE", "00000", &notice.message, notice.hint.as_deref()))
}

/// A warning about a statement that had no effect.
pub(super) fn warning(code: &'static str, message: &str) -> NoticeResponse {
    NoticeResponse::new(fields("WARNING", code, message, None))
}

/// Strings end at a NUL on this wire.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn fields(severity: &str, code: &str, message: &str, hint: Option<&str>) -> Vec<(u8, String)> {
    let mut fields = vec![
        (b'S', severity.to_owned()),
        (b'V', severity.to_owned()),
        (b'C', code.to_owned()),
        (b'M', clean(message)),
    ];
    if let Some(hint) = hint {
        fields.push((b'H', clean(hint)));
    }
    fields
}
