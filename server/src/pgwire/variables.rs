//! What `SET`, `SHOW` and `RESET` know on the Postgres wire, in one table.
//!
//! Every name does what it says or is refused: a name that is not here is an error, and a value
//! that Hedgerow would not honour is refused by its row.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hedgerow_engine::{ErrorKind, Session};
use parking_lot::Mutex;

use super::error::PgError;

/// The PostgreSQL release whose behaviour clients can count on.
pub(super) const SERVER_VERSION: &str = "15.8";
const SERVER_VERSION_NUM: &str = "150008";

/// One variable.
struct Variable {
    name: &'static str,
    default: &'static str,
    /// True when the client is told about every change.
    reported: bool,
    kind: Kind,
    doc: &'static str,
}

/// What values a variable takes.
enum Kind {
    /// A setting of the engine, which checks it.
    Engine,
    /// Shown, never changed.
    Fixed,
    /// Any short text.
    Text,
    /// `on` or `off`; both mean the same here.
    Bool,
    /// One of these, in any case; the first is what the others are another word for.
    OneOf(&'static [&'static str]),
    /// Milliseconds, or a number with a unit.
    Duration,
    /// Any of these transaction isolation levels: every query reads one snapshot.
    Isolation,
    /// A date style whose output is ISO.
    DateStyle,
    /// Whole numbers in this range.
    Int(i64, i64),
}

const fn fixed(name: &'static str, value: &'static str, doc: &'static str) -> Variable {
    Variable { name, default: value, reported: false, kind: Kind::Fixed, doc }
}

const fn variable(
    name: &'static str,
    default: &'static str,
    kind: Kind,
    doc: &'static str,
) -> Variable {
    Variable { name, default, reported: false, kind, doc }
}

const fn reported(variable: Variable) -> Variable {
    Variable { reported: true, ..variable }
}

const VARIABLES: &[Variable] = &[
    reported(variable("application_name", "", Kind::Text, "Name of the client program.")),
    fixed("block_size", "8192", "Size of a disk block in PostgreSQL."),
    variable("bytea_output", "hex", Kind::OneOf(&["hex"]), "Output format of binary strings."),
    reported(variable(
        "client_encoding",
        "UTF8",
        Kind::OneOf(&["UTF8", "UTF-8", "UNICODE", "SQL_ASCII"]),
        "Encoding of the client's text: always UTF-8.",
    )),
    variable(
        "client_min_messages",
        "notice",
        Kind::OneOf(&[
            "notice", "debug5", "debug4", "debug3", "debug2", "debug1", "debug", "log", "info",
            "warning", "error",
        ]),
        "Notices below this level are not sent.",
    ),
    reported(variable("DateStyle", "ISO, MDY", Kind::DateStyle, "Output format of dates: ISO.")),
    variable(
        "default_transaction_isolation",
        "read committed",
        Kind::Isolation,
        "Isolation of new transactions; every query reads one snapshot.",
    ),
    reported(variable(
        "default_transaction_read_only",
        "off",
        Kind::Bool,
        "Whether new transactions refuse statements that write.",
    )),
    variable(
        "extra_float_digits",
        "1",
        Kind::Int(1, 3),
        "Floats are always printed with the shortest digits that read back the same.",
    ),
    variable(
        "hogql_strings",
        "off",
        Kind::Engine,
        "Backslash escapes in quoted text, as in HogQL.",
    ),
    variable(
        "idle_in_transaction_session_timeout",
        "0",
        Kind::OneOf(&["0"]),
        "Time limit of idle transactions: none.",
    ),
    reported(fixed("in_hot_standby", "off", "Whether the server is a standby.")),
    reported(fixed("integer_datetimes", "on", "Times are whole microseconds.")),
    reported(variable(
        "IntervalStyle",
        "postgres",
        Kind::OneOf(&["postgres"]),
        "Output format of intervals.",
    )),
    reported(fixed("is_superuser", "off", "Whether the user is a superuser.")),
    variable("jit", "off", Kind::Bool, "PostgreSQL's compiler of expressions; there is none."),
    fixed("lc_collate", "C", "Order of text: by bytes."),
    fixed("lc_ctype", "C.UTF-8", "Classes of characters."),
    variable(
        "lock_timeout",
        "0",
        Kind::Duration,
        "Time limit of waiting for a lock; there are none.",
    ),
    fixed("max_identifier_length", "63", "Longest name in PostgreSQL."),
    fixed("max_index_keys", "32", "Most columns of an index in PostgreSQL."),
    variable("property_types", "{}", Kind::Engine, "Types of event properties, as JSON."),
    variable("row_security", "on", Kind::Bool, "Row policies; there are none."),
    variable("search_path", "\"$user\", public", Kind::Text, "Schemas of unqualified names."),
    reported(fixed("server_encoding", "UTF8", "Encoding of stored text.")),
    reported(fixed("server_version", SERVER_VERSION, "The PostgreSQL release this wire follows.")),
    fixed("server_version_num", SERVER_VERSION_NUM, "The same as a number."),
    reported(variable("session_authorization", "", Kind::Fixed, "The user of the session.")),
    reported(variable(
        "standard_conforming_strings",
        "on",
        Kind::OneOf(&["on", "true", "yes", "1"]),
        "A backslash in '…' is an ordinary character; see hogql_strings.",
    )),
    variable(
        "statement_timeout",
        "0",
        Kind::Duration,
        "Time limit of a statement, its rows included; 0 for none.",
    ),
    reported(variable(
        "TimeZone",
        "UTC",
        Kind::Engine,
        "Zone in which times are computed and shown.",
    )),
    variable(
        "transaction_isolation",
        "read committed",
        Kind::Isolation,
        "Isolation of this transaction; every query reads one snapshot.",
    ),
    variable(
        "transaction_read_only",
        "off",
        Kind::Bool,
        "Whether this transaction refuses statements that write.",
    ),
    variable("week_start", "sunday", Kind::Engine, "The day on which toStartOfWeek begins a week."),
];

/// True for the name of a variable, however it is spelled.
pub(super) fn is_variable(name: &str) -> bool {
    find(name).is_ok()
}

/// The values of one session, shared with the functions that read and set them.
#[derive(Debug)]
pub(super) struct Variables {
    session: Arc<Session>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What differs from the table's default.
    values: BTreeMap<&'static str, String>,
    /// What `RESET` returns to: the startup packet's choices.
    initial: BTreeMap<&'static str, String>,
    /// In a transaction: the values at its start, and those to restore at its end.
    at_begin: Option<BTreeMap<&'static str, String>>,
    local: BTreeMap<&'static str, String>,
    /// Reported variables that changed since the client was last told.
    changed: Vec<(&'static str, String)>,
}

/// How long a change holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Session,
    /// Until the end of the transaction.
    Local,
}

impl Variables {
    pub(super) fn new(session: Arc<Session>, user: &str) -> Self {
        let mut state = State::default();
        state.values.insert("session_authorization", clip(user));
        Self { session, state: Mutex::new(state) }
    }

    /// Ends the startup: what is set now is what `RESET` returns to. Gives every reported variable
    /// with its value.
    pub(super) fn started(&self) -> Vec<(&'static str, String)> {
        let mut state = self.state.lock();
        state.initial = state.values.clone();
        state.changed.clear();
        let reported = VARIABLES.iter().filter(|variable| variable.reported);
        reported.map(|variable| (variable.name, value(&state, variable))).collect()
    }

    /// The proper name of a variable, and its value.
    ///
    /// # Errors
    /// 42704 for an unknown name.
    pub(super) fn get(&self, name: &str) -> Result<(&'static str, String), PgError> {
        let variable = find(name)?;
        Ok((variable.name, value(&self.state.lock(), variable)))
    }

    /// Name, value and description of every variable, by name.
    pub(super) fn all(&self) -> Vec<(&'static str, String, &'static str)> {
        let state = self.state.lock();
        VARIABLES.iter().map(|row| (row.name, value(&state, row), row.doc)).collect()
    }

    /// Changes a variable.
    ///
    /// # Errors
    /// 42704 for an unknown name, 55P02 for one that is fixed, 22023 for a value it cannot take.
    pub(super) fn set(&self, name: &str, text: &str, scope: Scope) -> Result<(), PgError> {
        let variable = find(name)?;
        let text = self.checked(variable, text)?;
        let mut state = self.state.lock();
        if scope == Scope::Local {
            if state.at_begin.is_none() {
                return Ok(());
            }
            let before = value(&state, variable);
            state.local.entry(variable.name).or_insert(before);
        } else {
            // A later SET wins over an earlier SET LOCAL.
            state.local.remove(variable.name);
        }
        self.apply(&mut state, variable, text)
    }

    /// Returns a variable, or all of them, to the value the session started with.
    ///
    /// # Errors
    /// 42704 for an unknown name, 55P02 for one that is fixed.
    pub(super) fn reset(&self, name: Option<&str>) -> Result<(), PgError> {
        let mut state = self.state.lock();
        match name {
            None => {
                self.session.reset_placeholders();
                let initial = state.initial.clone();
                self.restore(&mut state, &initial)
            }
            Some(name) => {
                let variable = find(name)?;
                if matches!(variable.kind, Kind::Fixed) {
                    return Err(cannot_change(variable));
                }
                let initial = state.initial.get(variable.name).cloned();
                let text = initial.unwrap_or_else(|| variable.default.to_owned());
                self.apply(&mut state, variable, text)
            }
        }
    }

    /// Remembers the values, for a rollback.
    pub(super) fn begin(&self) {
        let mut state = self.state.lock();
        state.at_begin = Some(state.values.clone());
    }

    /// Ends a transaction: a rollback undoes every change in it, a commit only the local ones.
    ///
    /// # Errors
    /// Internal ones: the values were valid before.
    pub(super) fn end(&self, commit: bool) -> Result<(), PgError> {
        let mut state = self.state.lock();
        let Some(at_begin) = state.at_begin.take() else { return Ok(()) };
        let local = std::mem::take(&mut state.local);
        if commit {
            for (name, text) in local {
                self.apply(&mut state, find(name)?, text)?;
            }
            Ok(())
        } else {
            self.restore(&mut state, &at_begin)
        }
    }

    /// Reported variables that changed since the last call.
    pub(super) fn changes(&self) -> Vec<(&'static str, String)> {
        std::mem::take(&mut self.state.lock().changed)
    }

    /// The time limit of statements; zero for none.
    pub(super) fn statement_timeout(&self) -> Duration {
        let text = self.get("statement_timeout").map(|(_, text)| text).unwrap_or_default();
        Duration::from_millis(milliseconds(&text).unwrap_or_default())
    }

    /// True when the client wants to see notices.
    pub(super) fn wants_notices(&self) -> bool {
        let level = self.get("client_min_messages").map(|(_, text)| text).unwrap_or_default();
        !matches!(level.as_str(), "warning" | "error")
    }

    fn restore(
        &self,
        state: &mut State,
        wanted: &BTreeMap<&'static str, String>,
    ) -> Result<(), PgError> {
        for variable in VARIABLES {
            let text = match wanted.get(variable.name) {
                Some(text) => text.clone(),
                None => variable.default.to_owned(),
            };
            if value(state, variable) != text {
                self.apply(state, variable, text)?;
            }
        }
        Ok(())
    }

    fn apply(&self, state: &mut State, row: &Variable, text: String) -> Result<(), PgError> {
        if matches!(row.kind, Kind::Engine) {
            self.session.set(row.name, &text)?;
        }
        if value(state, row) != text {
            if row.reported {
                state.changed.push((row.name, text.clone()));
            }
            state.values.insert(row.name, text);
        }
        Ok(())
    }

    /// The value in the form in which it is shown.
    fn checked(&self, row: &Variable, text: &str) -> Result<String, PgError> {
        let text = match text.to_ascii_lowercase().as_str() {
            "default" => row.default,
            _ => text,
        };
        let lower = text.trim().to_ascii_lowercase();
        let valid = match &row.kind {
            Kind::Engine => {
                // Tried on a copy: whether it is applied depends on what follows.
                let mut settings = self.session.settings();
                return match settings.set(row.name, text) {
                    Ok(()) => Ok(settings.get(row.name).unwrap_or_default()),
                    Err(error) if error.kind == ErrorKind::InvalidSetting => {
                        Err(invalid(row, text))
                    }
                    Err(error) => Err(error.into()),
                };
            }
            Kind::Fixed => return Err(cannot_change(row)),
            Kind::Text => Some(clip(text)),
            Kind::Bool => match lower.as_str() {
                "on" | "true" | "yes" | "1" => Some("on".to_owned()),
                "off" | "false" | "no" | "0" => Some("off".to_owned()),
                _ => None,
            },
            Kind::OneOf(words) => {
                // asyncpg quotes the encoding twice.
                let bare = lower.trim_matches('\'');
                let found = words.iter().find(|word| word.eq_ignore_ascii_case(bare));
                let same = !matches!(row.name, "client_min_messages");
                found.map(|word| (if same { words[0] } else { word }).to_owned())
            }
            Kind::Duration => milliseconds(&lower).map(|ms| match ms {
                0 => "0".to_owned(),
                ms => format!("{ms}ms"),
            }),
            Kind::Isolation => {
                const LEVELS: &[&str] =
                    &["read uncommitted", "read committed", "repeatable read", "serializable"];
                LEVELS.contains(&lower.as_str()).then_some(lower)
            }
            Kind::DateStyle => date_style(&lower),
            Kind::Int(min, max) => {
                let number = lower.parse::<i64>().ok();
                number.filter(|n| (*min..=*max).contains(n)).map(|n| n.to_string())
            }
        };
        valid.ok_or_else(|| invalid(row, text))
    }
}

fn value(state: &State, row: &Variable) -> String {
    state.values.get(row.name).cloned().unwrap_or_else(|| row.default.to_owned())
}

/// Other words for a variable's name, as statements spell them.
fn find(name: &str) -> Result<&'static Variable, PgError> {
    let name = match name.to_ascii_lowercase().as_str() {
        "time zone" => "timezone".to_owned(),
        "names" => "client_encoding".to_owned(),
        "transaction isolation level" => "transaction_isolation".to_owned(),
        other => other.to_owned(),
    };
    VARIABLES.iter().find(|row| row.name.eq_ignore_ascii_case(&name)).ok_or_else(|| {
        let error =
            PgError::error("42704", format!("unrecognized configuration parameter \"{name}\""));
        let names = VARIABLES.iter().map(|row| row.name);
        match hedgerow_engine::error::did_you_mean(&name, names) {
            Some(hint) => error.hint(hint),
            None => error,
        }
    })
}

fn cannot_change(row: &Variable) -> PgError {
    PgError::error("55P02", format!("parameter \"{}\" cannot be changed", row.name))
}

fn invalid(row: &Variable, text: &str) -> PgError {
    let message = format!("invalid value for parameter \"{}\": \"{text}\"", row.name);
    PgError::error("22023", message).hint(row.doc)
}

/// Names on the wire are at most 63 bytes.
fn clip(text: &str) -> String {
    let mut end = text.len().min(63);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].replace('\0', "")
}

/// `ISO` with an order of day and month, in any case and order.
fn date_style(lower: &str) -> Option<String> {
    let mut order = "MDY";
    for word in lower.split(',').map(str::trim) {
        match word {
            "iso" => {}
            "mdy" | "us" => order = "MDY",
            "dmy" | "euro" | "european" => order = "DMY",
            "ymd" => order = "YMD",
            _ => return None,
        }
    }
    Some(format!("ISO, {order}"))
}

/// A number of milliseconds, or a number with one of PostgreSQL's units.
fn milliseconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let factor = match text[digits..].trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(factor).filter(|ms| *ms <= i32::MAX as u64)
}
