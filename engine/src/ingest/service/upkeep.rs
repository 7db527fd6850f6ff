//! Keeps files in order while events come in, so that flushes never wait for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::storage::{Effort, EventStore, MaintainOptions};

/// Without new files it looks after this: others may have changed them, and marks grow old.
const LOOK_EVERY: Duration = Duration::from_mins(10);
/// What is old is looked for this often.
const CLEAN_EVERY: Duration = Duration::from_hours(1);

/// Runs until `closing`; `due` tells it that there are new files.
pub(super) async fn run(store: EventStore, due: Arc<Notify>, closing: CancellationToken) {
    // An upkeep that is dropped leaves files that nobody sees, for a later one to delete.
    closing.run_until_cancelled(keep_in_order(store, due)).await;
}

async fn keep_in_order(store: EventStore, due: Arc<Notify>) {
    let mut cleaned = None;
    loop {
        tokio::select! {
            () = due.notified() => {}
            () = sleep(LOOK_EVERY) => {}
        }
        if let Err(error) = look(&store, &mut cleaned).await {
            tracing::warn!(%error, "upkeep failed");
        }
    }
}

async fn look(store: &EventStore, cleaned: &mut Option<Instant>) -> Result<()> {
    // One thread: queries come first.
    let options =
        MaintainOptions { effort: Effort::Light, workers: 1, ..MaintainOptions::default() };
    store.maintain(&options).await?;
    if cleaned.is_none_or(|cleaned| cleaned.elapsed() >= CLEAN_EVERY) {
        store.expire().await?;
        store.clean(options.keep).await?;
        *cleaned = Some(Instant::now());
    }
    Ok(())
}
