//! The interfaces under test.

mod embedded;
mod flight;
mod pgwire;

pub use embedded::Embedded;
pub use flight::Flight;
pub use pgwire::Pgwire;
