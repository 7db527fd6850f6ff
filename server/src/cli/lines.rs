//! Many statements on stdin, one JSON object a line; one answer a line on stdout, as soon as it
//! is there.

use std::io::{self, BufRead, Write};

use hedgerow_engine::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::failure::Failure;
use crate::error::sqlstate;

/// A statement, and what the answer is called.
#[derive(Debug, Deserialize)]
pub(super) struct Request {
    #[serde(default)]
    pub id: Value,
    pub sql: String,
}

/// The answer to a statement that failed.
#[derive(Debug, Serialize)]
struct Refusal<'a> {
    id: &'a Value,
    ok: bool,
    sqlstate: &'static str,
    message: &'a str,
    position: Option<usize>,
    hint: Option<&'a str>,
}

/// Answers every line of stdin with what `answer` returns for it: the rest of a JSON object that
/// begins with the id.
///
/// # Errors
/// When stdin cannot be read or stdout cannot be written.
pub(super) fn answer_all(
    mut answer: impl FnMut(&str) -> Result<String, Error>,
) -> Result<(), Failure> {
    let mut input = io::stdin().lock();
    let mut output = io::stdout().lock();
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let reply = match serde_json::from_slice::<Request>(&line) {
            Ok(request) => match answer(&request.sql) {
                Ok(rest) => format!("{{\"id\":{},\"ok\":true,{rest}}}", request.id),
                Err(error) => refusal(&request.id, &error, &request.sql),
            },
            Err(error) => {
                let message = format!("not a line of {{\"id\", \"sql\"}}: {error}");
                let error = Error::new(ErrorKind::InvalidText, message);
                refusal(&Value::Null, &error, "")
            }
        };
        writeln!(output, "{reply}")?;
        output.flush()?;
    }
}

fn refusal(id: &Value, error: &Error, text: &str) -> String {
    let refusal = Refusal {
        id,
        ok: false,
        sqlstate: sqlstate(error.kind),
        message: &error.message,
        position: error.span.map(|span| span.position(text)),
        hint: error.hint.as_deref(),
    };
    serde_json::to_string(&refusal).unwrap_or_default()
}
