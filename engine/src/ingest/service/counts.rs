//! What became of requests, for whoever watches the service.

use crate::error::Result;
use crate::ingest::Appended;

/// The requests of a project since the service was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Those that were acknowledged.
    pub(crate) accepted: u64,
    /// Those that were answered with an error.
    pub(crate) refused: u64,
    /// Events of the former that are stored.
    pub(crate) stored: u64,
    /// Events of the former that were stored before.
    pub(crate) repeated: u64,
}

impl Counts {
    pub(super) fn add(&mut self, outcome: &Result<Appended>) {
        match outcome {
            Ok(Appended { stored, repeated }) => {
                self.accepted += 1;
                self.stored += stored;
                self.repeated += repeated;
            }
            Err(_) => self.refused += 1,
        }
    }
}
