//! The server from outside: real clients and raw bytes over real sockets, and the program itself.

#![expect(clippy::unwrap_used, reason = "a test that fails here fails")]

mod catalog;
mod command_line;
mod crash;
mod flight;
mod lifecycle;
mod messages;
mod postgres;
mod statements;
mod support;
