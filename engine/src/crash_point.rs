//! Named steps at which a test can make the process die.
//!
//! In builds with debug assertions, `HEDGEROW_CRASH_AT=wal.synced:17` aborts the process when the
//! step `wal.synced` is reached for the 17th time: nothing is unwound, flushed or answered, as
//! with `kill -9`. In other builds there is nothing left of it.

/// Marks a step. Crash tests find it by its name, which is written in one place only.
#[cfg(debug_assertions)]
pub(crate) fn reach(step: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static WANTED: LazyLock<Option<(String, u64)>> = LazyLock::new(|| {
        let wanted = std::env::var("HEDGEROW_CRASH_AT").ok()?;
        let parsed = parse(&wanted);
        if parsed.is_none() {
            tracing::error!("HEDGEROW_CRASH_AT={wanted} is not of the form step:count");
        }
        parsed
    });
    static REACHED: AtomicU64 = AtomicU64::new(0);

    if let Some((name, count)) = &*WANTED
        && name == step
        && REACHED.fetch_add(1, Ordering::Relaxed) + 1 == *count
    {
        std::process::abort();
    }
}

/// Marks a step; of no effect in this build.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub(crate) fn reach(_step: &str) {}

#[cfg(debug_assertions)]
fn parse(wanted: &str) -> Option<(String, u64)> {
    let (step, count) = wanted.rsplit_once(':')?;
    Some((step.to_owned(), count.parse().ok().filter(|count| *count > 0)?))
}

#[cfg(debug_assertions)]
#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_step_and_its_count_are_read() {
        assert_eq!(parse("wal.synced:17"), Some(("wal.synced".to_owned(), 17)));
        for wrong in ["", "wal.synced", "wal.synced:", "wal.synced:0", "wal.synced:x"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    /// Runs the test below in a process of its own; tells how many steps it took, and whether it
    /// lived.
    fn run(crash_at: &str) -> (usize, bool) {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash_point::tests::child", "--ignored", "--nocapture"])
            .env("HEDGEROW_CRASH_AT", crash_at)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (text.matches("took a step").count(), output.status.success())
    }

    #[test]
    #[ignore = "run in a process of its own by the test that wants it to die"]
    fn child() {
        for _ in 0..5 {
            reach("one");
            reach("other");
            eprintln!("took a step");
        }
    }

    #[test]
    fn the_process_dies_at_the_step_and_count_asked_for() {
        assert_eq!(run("one:1"), (0, false));
        assert_eq!(run("other:4"), (3, false));
        assert_eq!(run("other:6"), (5, true));
        assert_eq!(run("another:1"), (5, true));
    }
}
