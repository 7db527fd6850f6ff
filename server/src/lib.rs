//! The server: protocols, command line, process. It translates; meaning lives in the engine.
//!
//! ```text
//! cli ─> server ─┬─ pgwire ─┐
//!                ├─ flight ─┼─> hedgerow_engine::Session ─> values ─> the protocol's encoder
//!                └─ http ───┘
//! ```

pub mod cli;
mod config;
pub mod error;
mod flight;
mod http;
mod pgwire;
pub mod server;
pub mod values;
