//! Ending a statement from outside: by a cancel request, its time limit, a client that is gone, or
//! the end of the server.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use pgwire::messages::startup::SecretKey;
use tokio::io::AsyncRead;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::error::PgError;
use super::message::{Inbox, Message};
use super::outbox::gone;

/// The running statements by the key their client was given.
#[derive(Debug, Default)]
pub(super) struct Cancels {
    connections: Mutex<HashMap<(i32, SecretKey), Arc<CancelSlot>>>,
}

/// Where a connection leaves the token of its running statement.
#[derive(Debug, Default)]
pub(super) struct CancelSlot(Mutex<Option<CancellationToken>>);

/// A connection's entry among the cancellable ones, removed when dropped.
#[derive(Debug)]
pub(super) struct CancelKey {
    cancels: Arc<Cancels>,
    pub pid: i32,
    pub secret: SecretKey,
    pub slot: Arc<CancelSlot>,
}

impl Cancels {
    /// Gives a new connection its key: a number no other has, and a secret.
    pub(super) fn register(self: &Arc<Self>) -> CancelKey {
        let slot = Arc::<CancelSlot>::default();
        let mut connections = self.connections.lock();
        let (pid, secret) = loop {
            let pid = rand::random_range(1..=i32::MAX);
            if connections.keys().all(|(taken, _)| *taken != pid) {
                break (pid, SecretKey::I32(rand::random()));
            }
        };
        connections.insert((pid, secret.clone()), Arc::clone(&slot));
        CancelKey { cancels: Arc::clone(self), pid, secret, slot }
    }

    /// Cancels what the connection with that key runs now. A wrong key, or an idle connection,
    /// is nothing to report: the asking client gets no answer in any case.
    pub(super) fn cancel(&self, pid: i32, secret: SecretKey) {
        if let Some(slot) = self.connections.lock().get(&(pid, secret))
            && let Some(token) = &*slot.0.lock()
        {
            token.cancel();
        }
    }
}

impl Drop for CancelKey {
    fn drop(&mut self) {
        self.cancels.connections.lock().remove(&(self.pid, self.secret.clone()));
    }
}

impl CancelSlot {
    /// Opens the slot for one statement.
    pub(super) fn begin(&self) -> CancellationToken {
        let token = CancellationToken::new();
        *self.0.lock() = Some(token.clone());
        token
    }

    /// Closes the slot: a cancel request that comes too late hits nothing.
    pub(super) fn end(&self) {
        *self.0.lock() = None;
    }
}

/// Everything that can end one statement before it is done.
#[derive(Debug)]
pub(super) struct Limits {
    pub cancel: CancellationToken,
    pub shutdown: CancellationToken,
    pub deadline: Option<Instant>,
}

impl Limits {
    /// The limits of a statement that starts now. A timeout of zero means none.
    pub(super) fn start(
        slot: &CancelSlot,
        shutdown: &CancellationToken,
        timeout: Duration,
    ) -> Self {
        let deadline = (!timeout.is_zero()).then(|| Instant::now() + timeout);
        Self { cancel: slot.begin(), shutdown: shutdown.clone(), deadline }
    }

    /// Runs `work` until it is done or a limit is reached; then `work` is dropped.
    ///
    /// # Errors
    /// 57014 for a cancelled statement or one out of time; fatal ones otherwise.
    pub(super) async fn run<T, R: AsyncRead + Unpin>(
        &self,
        inbox: &mut Inbox<R>,
        work: impl Future<Output = Result<T, PgError>>,
    ) -> Result<T, PgError> {
        // The limits come first: work that is always ready must not hide them.
        tokio::select! {
            biased;
            error = self.reached() => Err(error),
            () = inbox.gone() => Err(gone()),
            result = work => result,
        }
    }

    /// The next message of a statement that the client has a part in.
    ///
    /// # Errors
    /// As [`Limits::run`]; fatal ones where messages cannot be told apart.
    pub(super) async fn message<R: AsyncRead + Unpin>(
        &self,
        inbox: &mut Inbox<R>,
    ) -> Result<Message, PgError> {
        tokio::select! {
            biased;
            error = self.reached() => Err(error),
            message = inbox.message() => message?.ok_or_else(gone),
        }
    }

    /// Resolves with the error of the first limit that is reached.
    async fn reached(&self) -> PgError {
        let timeout = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => {
                PgError::error("57014", "canceling statement due to user request")
            }
            () = timeout => PgError::error("57014", "canceling statement due to statement timeout"),
            () = self.shutdown.cancelled() => shutting_down(),
        }
    }
}

/// The error that ends connections when the server ends.
pub(super) fn shutting_down() -> PgError {
    PgError::fatal("57P01", "terminating connection due to administrator command")
}
