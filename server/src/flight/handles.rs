//! What clients hold by a handle: bearer tokens, prepared statements, tickets. A handle is
//! random, belongs to one principal, and expires.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use datafusion::common::ScalarValue;
use hedgerow_engine::{Session, Statement};
use parking_lot::Mutex;

/// How long a token lives without a request.
const TOKEN_AGE_MAX: Duration = Duration::from_secs(24 * 3_600);
/// How long a prepared statement or ticket lives without use.
const STATEMENT_AGE_MAX: Duration = Duration::from_secs(3_600);
/// The most of either that live at once: clients that never close theirs lose the oldest.
const COUNT_MAX: usize = 10_000;

/// On whose behalf a request comes: the holder of a token, or someone without, and the project.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Principal {
    pub token: Option<Bytes>,
    pub project: String,
}

/// A statement waiting to be run.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub session: Arc<Session>,
    pub statement: Arc<Statement>,
    /// The values of its parameters, once they were sent.
    pub params: Vec<ScalarValue>,
}

/// Everything held.
#[derive(Debug, Default)]
pub(super) struct Handles {
    tokens: Mutex<HashMap<Bytes, Instant>>,
    statements: Mutex<HashMap<Bytes, Entry>>,
    /// The sessions of tokens, so that SET holds for the requests that follow.
    sessions: Mutex<HashMap<Principal, (Arc<Session>, Instant)>>,
}

#[derive(Debug)]
struct Entry {
    principal: Principal,
    held: Held,
    used: Instant,
}

impl Handles {
    /// A new bearer token.
    pub(super) fn token(&self) -> Bytes {
        let token = random();
        let mut tokens = self.tokens.lock();
        make_room(&mut tokens, TOKEN_AGE_MAX, |used| *used);
        tokens.insert(token.clone(), Instant::now());
        token
    }

    /// True for a token that was given out and lives.
    pub(super) fn is_token(&self, token: &Bytes) -> bool {
        match self.tokens.lock().get_mut(token) {
            Some(used) if used.elapsed() < TOKEN_AGE_MAX => {
                *used = Instant::now();
                true
            }
            _ => false,
        }
    }

    /// The session of a principal with a token, if it has one.
    pub(super) fn session(&self, principal: &Principal) -> Option<Arc<Session>> {
        let mut sessions = self.sessions.lock();
        let (session, used) = sessions.get_mut(principal)?;
        *used = Instant::now();
        Some(Arc::clone(session))
    }

    /// Keeps a session for the requests of a principal that follow. Without a token nobody knows
    /// which requests belong together. Of two sessions at once the first is kept.
    pub(super) fn keep(&self, principal: &Principal, session: Session) -> Arc<Session> {
        let session = Arc::new(session);
        if principal.token.is_none() {
            return session;
        }
        let mut sessions = self.sessions.lock();
        make_room(&mut sessions, TOKEN_AGE_MAX, |(_, used)| *used);
        let entry = sessions.entry(principal.clone()).or_insert((session, Instant::now()));
        Arc::clone(&entry.0)
    }

    /// Holds a statement for a principal.
    pub(super) fn hold(&self, principal: Principal, held: Held) -> Bytes {
        let handle = random();
        let mut statements = self.statements.lock();
        make_room(&mut statements, STATEMENT_AGE_MAX, |entry| entry.used);
        statements.insert(handle.clone(), Entry { principal, held, used: Instant::now() });
        handle
    }

    /// What a principal holds by that handle.
    pub(super) fn get(&self, principal: &Principal, handle: &Bytes) -> Option<Held> {
        self.with(principal, handle, |held| held.clone())
    }

    /// Holds something else by a handle; false when it holds nothing any more.
    pub(super) fn replace(&self, principal: &Principal, handle: &Bytes, with: Held) -> bool {
        self.with(principal, handle, |held| *held = with).is_some()
    }

    /// Lets go of a statement.
    pub(super) fn close(&self, principal: &Principal, handle: &Bytes) {
        let mut statements = self.statements.lock();
        if statements.get(handle).is_some_and(|entry| entry.principal == *principal) {
            statements.remove(handle);
        }
    }

    fn with<T>(
        &self,
        principal: &Principal,
        handle: &Bytes,
        read: impl FnOnce(&mut Held) -> T,
    ) -> Option<T> {
        let mut statements = self.statements.lock();
        let entry = statements.get_mut(handle)?;
        if entry.principal != *principal || entry.used.elapsed() >= STATEMENT_AGE_MAX {
            return None;
        }
        entry.used = Instant::now();
        Some(read(&mut entry.held))
    }
}

/// Forgets what is too old, and the oldest when there is still too much.
fn make_room<K: Eq + Hash, T>(
    entries: &mut HashMap<K, T>,
    age_max: Duration,
    used: impl Fn(&T) -> Instant,
) {
    if entries.len() < COUNT_MAX {
        return;
    }
    entries.retain(|_, entry| used(entry).elapsed() < age_max);
    if entries.len() >= COUNT_MAX {
        let mut times: Vec<_> = entries.values().map(&used).collect();
        times.sort_unstable();
        let middle = times[times.len() / 2];
        entries.retain(|_, entry| used(entry) > middle);
    }
}

fn random() -> Bytes {
    let bytes: [u8; 16] = rand::random();
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    text.into()
}
