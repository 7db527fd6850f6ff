//! What goes to a client: encoded into one buffer, written when it is full or asked for.

use bytes::{Buf, BytesMut};
use pgwire::messages::Message;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::error::PgError;

/// Beyond this the buffer is written before more is added.
const BUFFER_BYTES: usize = 64 << 10;

/// Messages on their way to a client.
#[derive(Debug)]
pub(super) struct Outbox<W> {
    socket: W,
    pub buffer: BytesMut,
}

impl<W: AsyncWrite + Unpin> Outbox<W> {
    pub(super) fn new(socket: W) -> Self {
        Self { socket, buffer: BytesMut::with_capacity(BUFFER_BYTES) }
    }

    /// Adds a message. One the protocol cannot carry is replaced by an error.
    pub(super) fn push(&mut self, message: &impl Message) {
        let start = self.buffer.len();
        if let Err(error) = message.encode(&mut self.buffer) {
            self.buffer.truncate(start);
            let error = PgError::error("54000", format!("message cannot be sent: {error}"));
            if error.response().encode(&mut self.buffer).is_err() {
                self.buffer.truncate(start);
            }
        }
    }

    /// True when the buffer should be written before more is added.
    pub(super) fn is_full(&self) -> bool {
        self.buffer.len() >= BUFFER_BYTES
    }

    /// Writes everything; waits while the client does not read. Cancel-safe: what was not
    /// written stays in the buffer.
    ///
    /// # Errors
    /// Fatal when the client is gone.
    pub(super) async fn flush(&mut self) -> Result<(), PgError> {
        while self.buffer.has_remaining() {
            match self.socket.write_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return Err(gone()),
                Ok(_) => {}
            }
        }
        // A row of many megabytes should not keep its memory for the life of the connection.
        if self.buffer.capacity() > 16 * BUFFER_BYTES {
            self.buffer = BytesMut::with_capacity(BUFFER_BYTES);
        }
        Ok(())
    }

    /// Ends the connection in an orderly way.
    pub(super) async fn close(&mut self) {
        drop(self.socket.shutdown().await);
    }
}

/// The error for a client that is no longer there; nobody reads it.
pub(super) fn gone() -> PgError {
    PgError::fatal("08006", "connection to client lost")
}
