//! What clients send: bytes to messages, bounded and total.
//!
//! The wire library's own decoders trust the lengths they read and index past the end of short
//! messages; here every message is cut out of the stream first and read within its bounds.

use bytes::{Buf, Bytes, BytesMut};
use pgwire::messages::startup::SecretKey;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::error::PgError;

/// The largest message: a query with its parameters.
const MESSAGE_BYTES_MAX: usize = 256 << 20;
/// The largest packet before a session exists.
const STARTUP_BYTES_MAX: usize = 10_000;
/// How much of a pipeline is read ahead while a query runs.
const READ_AHEAD_BYTES: usize = 1 << 20;

const CANCEL_CODE: u32 = 80_877_102;
const SSL_CODE: u32 = 80_877_103;
const GSS_CODE: u32 = 80_877_104;

/// What may come before a session exists.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// A request for encryption, which is answered with one byte.
    Encryption,
    Cancel {
        pid: i32,
        secret: SecretKey,
    },
    Startup {
        major: u16,
        minor: u16,
        parameters: Vec<(String, String)>,
    },
}

/// A message of a running session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    Query(String),
    Parse {
        name: String,
        text: String,
        types: Vec<u32>,
    },
    Bind {
        portal: String,
        statement: String,
        formats: Vec<i16>,
        values: Vec<Option<Bytes>>,
        result_formats: Vec<i16>,
    },
    Describe(Target, String),
    Execute {
        portal: String,
        rows_max: i32,
    },
    Close(Target, String),
    Flush,
    Sync,
    Terminate,
    /// Data of a COPY; what comes after one has ended is skipped.
    CopyData(Bytes),
    CopyDone,
    /// The client gives a COPY up, and why.
    CopyFail(String),
    /// A message that cannot be read, though the next one can.
    Broken {
        /// True for a simple query, which is answered at once and not at the next Sync.
        simple: bool,
        error: PgError,
    },
}

/// What Describe and Close name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Statement,
    Portal,
}

/// Cuts the stream into messages.
#[derive(Debug)]
pub(super) struct Inbox<R> {
    socket: R,
    buffer: BytesMut,
    ended: bool,
}

impl<R: AsyncRead + Unpin> Inbox<R> {
    pub(super) fn new(socket: R) -> Self {
        Self { socket, buffer: BytesMut::with_capacity(8 << 10), ended: false }
    }

    /// The next packet before a session exists; none when the client is gone.
    ///
    /// # Errors
    /// Fatal ones: what cannot be understood here cannot be skipped either.
    pub(super) async fn opening(&mut self) -> Result<Option<Opening>, PgError> {
        let broken = || PgError::fatal("08P01", "invalid startup packet");
        if !self.fill(4).await {
            return Ok(None);
        }
        let length = (&self.buffer[..4]).get_u32() as usize;
        if !(8..=STARTUP_BYTES_MAX).contains(&length) {
            return Err(broken());
        }
        if !self.fill(length).await {
            return Ok(None);
        }
        let mut body = Body(self.buffer.split_to(length).freeze().slice(4..));
        let opening = match body.u32().ok_or_else(broken)? {
            SSL_CODE | GSS_CODE => Opening::Encryption,
            CANCEL_CODE => {
                let pid = body.i32().ok_or_else(broken)?;
                let secret = match body.0.len() {
                    4 => SecretKey::I32(body.i32().ok_or_else(broken)?),
                    _ => SecretKey::Bytes(body.0),
                };
                Opening::Cancel { pid, secret }
            }
            version => {
                let mut parameters = Vec::new();
                loop {
                    let name = body.text().ok_or_else(broken)??;
                    if name.is_empty() {
                        break;
                    }
                    parameters.push((name, body.text().ok_or_else(broken)??));
                }
                Opening::Startup {
                    major: (version >> 16) as u16,
                    minor: version as u16,
                    parameters,
                }
            }
        };
        Ok(Some(opening))
    }

    /// The next message; none when the client is gone. Cancel-safe.
    ///
    /// # Errors
    /// Fatal ones, where the boundaries of messages are lost.
    pub(super) async fn message(&mut self) -> Result<Option<Message>, PgError> {
        if !self.fill(5).await {
            return Ok(None);
        }
        let tag = self.buffer[0];
        let length = (&self.buffer[1..5]).get_u32() as usize;
        if !KNOWN_TAGS.contains(&tag) {
            return Err(PgError::fatal("08P01", format!("invalid frontend message type {tag}")));
        }
        if !(4..=MESSAGE_BYTES_MAX).contains(&length) {
            return Err(PgError::fatal("08P01", format!("invalid message length {length}")));
        }
        if !self.fill(length + 1).await {
            return Ok(None);
        }
        let body = Body(self.buffer.split_to(length + 1).freeze().slice(5..));
        match decode(tag, body) {
            Err(error) if !error.fatal => Ok(Some(Message::Broken { simple: tag == b'Q', error })),
            result => result.map(Some),
        }
    }

    /// Resolves when the client is gone, reading ahead meanwhile. Cancel-safe.
    pub(super) async fn gone(&mut self) {
        while !self.ended {
            if self.buffer.len() >= READ_AHEAD_BYTES {
                std::future::pending::<()>().await;
            }
            self.read().await;
        }
    }

    async fn fill(&mut self, bytes: usize) -> bool {
        while self.buffer.len() < bytes && !self.ended {
            self.read().await;
        }
        self.buffer.len() >= bytes
    }

    async fn read(&mut self) {
        match self.socket.read_buf(&mut self.buffer).await {
            Ok(0) | Err(_) => self.ended = true,
            Ok(_) => {}
        }
    }
}

const KNOWN_TAGS: &[u8] = b"QPBDECHSXpdcfF";

fn decode(tag: u8, mut body: Body) -> Result<Message, PgError> {
    let message = match tag {
        b'Q' => body.text().transpose()?.map(Message::Query),
        b'P' => body.parse()?,
        b'B' => body.bind()?,
        b'D' => body.target()?.map(|(target, name)| Message::Describe(target, name)),
        b'C' => body.target()?.map(|(target, name)| Message::Close(target, name)),
        b'E' => match (body.text().transpose()?, body.i32()) {
            (Some(portal), Some(rows_max)) => Some(Message::Execute { portal, rows_max }),
            _ => None,
        },
        b'H' => Some(Message::Flush),
        b'S' => Some(Message::Sync),
        b'X' => Some(Message::Terminate),
        b'd' => return Ok(Message::CopyData(body.0)),
        b'c' => Some(Message::CopyDone),
        b'f' => body.text().transpose()?.map(Message::CopyFail),
        b'F' => return Err(PgError::unsupported("function calls are not supported")),
        _ => return Err(PgError::fatal("08P01", "unexpected password message")),
    };
    match message {
        Some(message) if body.0.is_empty() => Ok(message),
        _ => Err(PgError::protocol(format!("invalid message format of '{}'", char::from(tag)))),
    }
}

/// The rest of one message. Every read is `None` where the message is too short for it.
struct Body(Bytes);

impl Body {
    fn take(&mut self, bytes: usize) -> Option<Bytes> {
        (self.0.len() >= bytes).then(|| self.0.split_to(bytes))
    }

    fn u8(&mut self) -> Option<u8> {
        self.0.try_get_u8().ok()
    }

    fn i16(&mut self) -> Option<i16> {
        self.0.try_get_i16().ok()
    }

    fn u16(&mut self) -> Option<u16> {
        self.0.try_get_u16().ok()
    }

    fn i32(&mut self) -> Option<i32> {
        self.0.try_get_i32().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.0.try_get_u32().ok()
    }

    fn text(&mut self) -> Option<Result<String, PgError>> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let text = self.take(end)?;
        self.0.advance(1);
        Some(utf8(&text).map(str::to_owned))
    }

    fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.u16()?;
        (0..count).map(|_| read(self)).collect()
    }

    fn parse(&mut self) -> Result<Option<Message>, PgError> {
        let Some(name) = self.text().transpose()? else { return Ok(None) };
        let Some(text) = self.text().transpose()? else { return Ok(None) };
        Ok(self.list(Self::u32).map(|types| Message::Parse { name, text, types }))
    }

    fn bind(&mut self) -> Result<Option<Message>, PgError> {
        let Some(portal) = self.text().transpose()? else { return Ok(None) };
        let Some(statement) = self.text().transpose()? else { return Ok(None) };
        let Some(formats) = self.list(Self::i16) else { return Ok(None) };
        let Some(values) = self.list(Self::value) else { return Ok(None) };
        Ok(self.list(Self::i16).map(|result_formats| Message::Bind {
            portal,
            statement,
            formats,
            values,
            result_formats,
        }))
    }

    fn value(&mut self) -> Option<Option<Bytes>> {
        match self.i32()? {
            -1 => Some(None),
            length => self.take(usize::try_from(length).ok()?).map(Some),
        }
    }

    fn target(&mut self) -> Result<Option<(Target, String)>, PgError> {
        let target = match self.u8() {
            Some(b'S') => Target::Statement,
            Some(b'P') => Target::Portal,
            _ => return Ok(None),
        };
        Ok(self.text().transpose()?.map(|name| (target, name)))
    }
}

/// Text as it came, or 22021.
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, PgError> {
    std::str::from_utf8(bytes)
        .map_err(|_| PgError::error("22021", "invalid byte sequence for encoding \"UTF8\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn decode_all(bytes: &[u8]) -> Vec<Result<Message, PgError>> {
        let mut inbox = Inbox::new(bytes);
        let mut messages = Vec::new();
        while let Some(message) = inbox.message().await.transpose() {
            let stop = message.as_ref().is_err_and(|error| error.fatal);
            messages.push(message);
            if stop {
                break;
            }
        }
        messages
    }

    #[tokio::test]
    async fn a_broken_message_does_not_touch_the_next() {
        // A Parse that ends in the middle of its type list, a Bind whose value is longer than the
        // message, invalid UTF-8, then a Sync.
        let bytes = b"P\0\0\0\x08\0\0\0\x01B\0\0\0\x10\0\0\0\0\0\x01\x7f\xff\xff\xff\0\0\
                      Q\0\0\0\x06\xff\0S\0\0\0\x04";
        let messages = decode_all(bytes).await;
        let codes: Vec<_> = messages
            .iter()
            .map(|message| match message {
                Ok(Message::Broken { simple, error }) => Err((error.code, *simple)),
                Ok(message) => Ok(message),
                Err(error) => panic!("{error:?}"),
            })
            .collect();
        let expected = [
            Err(("08P01", false)),
            Err(("08P01", false)),
            Err(("22021", true)),
            Ok(&Message::Sync),
        ];
        assert_eq!(codes, expected);
    }

    #[tokio::test]
    async fn lost_boundaries_are_fatal() {
        for bytes in [&b"Z\0\0\0\x04"[..], b"Q\xff\xff\xff\xff", b"Q\0\0\0\x03", b"p\0\0\0\x05\0"] {
            let messages = decode_all(bytes).await;
            assert!(matches!(&messages[..], [Err(error)] if error.fatal), "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn openings() {
        let mut inbox =
            Inbox::new(&b"\0\0\0\x08\x04\xd2\x16\x2f\0\0\0\x11\0\x03\0\0user\0me\0\0"[..]);
        assert_eq!(inbox.opening().await, Ok(Some(Opening::Encryption)));
        let parameters = vec![("user".to_owned(), "me".to_owned())];
        assert_eq!(
            inbox.opening().await,
            Ok(Some(Opening::Startup { major: 3, minor: 0, parameters }))
        );
        for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\0\0\0\x09\0\x03\0\0\xff"] {
            assert!(Inbox::new(garbage).opening().await.is_err());
        }
    }
}
