//! The server from outside: real clients and raw bytes over real sockets, and the program itself.

#![expect(clippy::unwrap_used, reason = "a test that fails here fails")]

mod beside;
mod capture;
mod catalog;
mod command_line;
mod copy_in;
mod crash;
mod deletes;
mod flight;
mod ingestion;
mod inserts;
mod lifecycle;
mod messages;
mod postgres;
mod statements;
mod support;
