//! How far an import has come, for whoever watches it in a terminal.

use std::io::{self, IsTerminal, Write};

use hedgerow_engine::ingest::{Observer, Progress};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A progress bar with events per second; nothing where stderr is no terminal.
pub(super) struct Meter {
    bar: ProgressBar,
    /// When it is known how many events there will be; otherwise bytes say how far it has come.
    events_total: Option<u64>,
}

impl Meter {
    pub(super) fn new(events_total: Option<u64>) -> Self {
        let target = match io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        Self { bar: ProgressBar::with_draw_target(None, target), events_total }
    }

    /// A line on stderr that the bar does not overwrite.
    pub(super) fn say(&self, line: &str) {
        self.bar.suspend(|| {
            // Without stderr there is nobody to tell.
            let _ = writeln!(io::stderr(), "{line}");
        });
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn set_length(&self, total: u64) {
        self.bar.set_length(total);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}") {
            self.bar.set_style(style);
        }
    }
}

impl Observer for Meter {
    fn progress(&mut self, progress: Progress) {
        if let (None, Some(total)) = (self.bar.length(), self.events_total.or(progress.bytes_total))
        {
            self.set_length(total);
        }
        let seconds = self.bar.elapsed().as_secs_f64().max(0.001);
        let rate = (progress.events as f64 / seconds) as u64;
        self.bar.set_message(format!("{} events, {rate} events/s", progress.events));
        self.bar.set_position(match self.events_total {
            Some(_) => progress.events,
            None => progress.bytes,
        });
    }
}
