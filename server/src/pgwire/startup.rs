//! From the first byte to the first ReadyForQuery.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hedgerow_engine::{ErrorKind, SessionOptions};
use hedgerow_parser::Dialect;
use pgwire::messages::response::SslResponse;
use pgwire::messages::startup::{
    Authentication, BackendKeyData, NegotiateProtocolVersion, ParameterStatus,
};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::PgServer;
use super::backend::Backend;
use super::catalog::Catalog;
use super::connection::Connection;
use super::error::PgError;
use super::message::{Inbox, Opening};
use super::outbox::Outbox;
use super::utility::Transaction;
use super::variables::{Scope, Variables};
use crate::server::DEFAULT_PROJECT;

/// How long a client may take to say who it is.
const STARTUP_SECONDS_MAX: u64 = 60;

/// The newest protocol we speak, in the form that libpq 18 reads; older clients do not ask.
const PROTOCOL_3_0: i32 = 3 << 16;

/// Greets a client and, if it wants one, opens its session. The client is told what went wrong.
pub(super) async fn open(server: &PgServer, socket: TcpStream) -> Option<Connection> {
    drop(socket.set_nodelay(true));
    let (read, write) = socket.into_split();
    let (mut inbox, mut outbox) = (Inbox::new(read), Outbox::new(write));
    let greeting = greet(server, &mut inbox, &mut outbox);
    let limit = Duration::from_secs(STARTUP_SECONDS_MAX);
    let parameters = tokio::select! {
        greeting = tokio::time::timeout(limit, greeting) => greeting.ok()?,
        () = server.lifecycle.drain.cancelled() => Err(super::cancel::shutting_down()),
    };
    let result = match parameters {
        Ok(None) => return None,
        Ok(Some(parameters)) => begin(server, &parameters, &mut outbox).await,
        Err(error) => Err(error),
    };
    match result {
        Ok((backend, cancel)) => Some(Connection {
            inbox,
            outbox,
            backend,
            cancel,
            lifecycle: server.lifecycle.clone(),
            transaction: Transaction::default(),
            statements: HashMap::new(),
            portals: HashMap::new(),
        }),
        Err(error) => {
            outbox.push(&PgError { fatal: true, ..error }.response());
            drop(outbox.flush().await);
            outbox.close().await;
            None
        }
    }
}

/// Up to the startup packet, whose parameters are returned; none for a client that only wanted
/// to cancel something, or left.
async fn greet(
    server: &PgServer,
    inbox: &mut Inbox<OwnedReadHalf>,
    outbox: &mut Outbox<OwnedWriteHalf>,
) -> Result<Option<Vec<(String, String)>>, PgError> {
    loop {
        match inbox.opening().await? {
            None => return Ok(None),
            Some(Opening::Encryption) => {
                outbox.push(&SslResponse::Refuse);
                outbox.flush().await?;
            }
            Some(Opening::Cancel { pid, secret }) => {
                server.cancels.cancel(pid, secret);
                return Ok(None);
            }
            Some(Opening::Startup { major: 3, minor, parameters }) => {
                let (options, parameters): (Vec<_>, Vec<_>) =
                    parameters.into_iter().partition(|(name, _)| name.starts_with("_pq_."));
                if minor > 0 || !options.is_empty() {
                    let names = options.into_iter().map(|(name, _)| name).collect();
                    outbox.push(&NegotiateProtocolVersion::new(PROTOCOL_3_0, names));
                }
                return Ok(Some(parameters));
            }
            Some(Opening::Startup { major, minor, .. }) => {
                let message = format!(
                    "unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.0"
                );
                return Err(PgError::fatal("0A000", message));
            }
        }
    }
}

/// Opens the session that the startup packet asks for, and tells the client about it.
async fn begin(
    server: &PgServer,
    parameters: &[(String, String)],
    outbox: &mut Outbox<OwnedWriteHalf>,
) -> Result<(Backend, super::cancel::CancelKey), PgError> {
    let parameter = |wanted: &str| {
        parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    };
    let Some(user) = parameter("user").filter(|user| !user.is_empty()) else {
        return Err(PgError::fatal("28000", "no user name in the startup packet"));
    };
    // Clients that name no database send the user's name for it, or nothing.
    let database = parameter("database").filter(|name| !name.is_empty());
    let project = database.unwrap_or(DEFAULT_PROJECT);
    let options = SessionOptions { project: project.to_owned(), dialect: Dialect::Postgres };
    let session = server.engine.session(options).await.map_err(|error| match error.kind {
        ErrorKind::UnknownProject => {
            let message = format!("database \"{project}\" does not exist");
            let hint = format!("A database is a project; the default one is {DEFAULT_PROJECT}.");
            PgError::fatal("3D000", message).hint(hint)
        }
        _ => error.into(),
    })?;
    session.set_user(user);
    let session = Arc::new(session);
    let variables = Arc::new(Variables::new(Arc::clone(&session), user));
    for (name, value) in parameters {
        match name.as_str() {
            "user" | "database" | "replication" => {}
            "options" => set_options(&variables, value)?,
            name => variables.set(name, value, Scope::Session)?,
        }
    }

    let cancel = server.cancels.register();
    outbox.push(&Authentication::Ok);
    for (name, value) in variables.started() {
        outbox.push(&ParameterStatus::new(name.to_owned(), value));
    }
    outbox.push(&BackendKeyData::new(cancel.pid, cancel.secret.clone()));
    let catalog =
        Catalog::new(Arc::clone(&session), Arc::clone(&variables), user.to_owned(), cancel.pid);
    Ok((Backend { session, variables, catalog }, cancel))
}

/// `-c name=value` and `--name=value`, any number of times; a backslash keeps a blank.
fn set_options(variables: &Variables, options: &str) -> Result<(), PgError> {
    let mut words = vec![String::new()];
    let mut chars = options.chars();
    while let Some(c) = chars.next() {
        let word = words.last_mut();
        match (c, word) {
            ('\\', Some(word)) => word.extend(chars.next()),
            (c, _) if c.is_ascii_whitespace() => words.push(String::new()),
            (c, Some(word)) => word.push(c),
            (_, None) => {}
        }
    }
    let mut words = words.into_iter().filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        let assignment = match (word.as_str(), word.strip_prefix("--")) {
            ("-c", _) => words.next(),
            (_, Some(rest)) => Some(rest.to_owned()),
            (short, None) => short.strip_prefix("-c").map(str::to_owned),
        };
        let assignment = assignment.unwrap_or_default();
        let Some((name, value)) = assignment.split_once('=') else {
            return Err(PgError::fatal("42601", format!("invalid startup option: {word}")));
        };
        variables.set(&name.replace('-', "_"), value, Scope::Session)?;
    }
    Ok(())
}
