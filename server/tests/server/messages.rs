//! Raw messages: the protocol's rules where drivers never go.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{ENDLESS_ROWS, start};

struct Wire(TcpStream);

/// A message's tag and body.
type Raw = (char, Vec<u8>);

fn message(tag: char, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag as u8];
    bytes.extend((body.len() as u32 + 4).to_be_bytes());
    bytes.extend(body);
    bytes
}

fn parse(name: &str, sql: &str) -> Vec<u8> {
    message('P', format!("{name}\0{sql}\0\0\0").as_bytes())
}

fn bind(portal: &str, statement: &str) -> Vec<u8> {
    message('B', format!("{portal}\0{statement}\0\0\0\0\0\0\0").as_bytes())
}

fn execute(portal: &str, rows_max: u32) -> Vec<u8> {
    let mut body = format!("{portal}\0").into_bytes();
    body.extend(rows_max.to_be_bytes());
    message('E', &body)
}

fn sync() -> Vec<u8> {
    message('S', b"")
}

impl Wire {
    /// A session that is ready.
    async fn open(address: SocketAddr) -> Self {
        let mut wire = Self(TcpStream::connect(address).await.unwrap());
        let body = b"\0\x03\0\0user\0tester\0database\0default\0\0";
        let mut bytes = (body.len() as u32 + 4).to_be_bytes().to_vec();
        bytes.extend(body);
        wire.0.write_all(&bytes).await.unwrap();
        wire.until_ready().await;
        wire
    }

    async fn send(&mut self, messages: &[Vec<u8>]) {
        self.0.write_all(&messages.concat()).await.unwrap();
    }

    /// The next message; none when the server closed the connection.
    async fn next(&mut self) -> Option<Raw> {
        let tag = self.0.read_u8().await.ok()?;
        let length = self.0.read_u32().await.unwrap() as usize;
        let mut body = vec![0; length - 4];
        self.0.read_exact(&mut body).await.unwrap();
        Some((tag as char, body))
    }

    async fn until_ready(&mut self) -> Vec<Raw> {
        let mut messages = Vec::new();
        while let Some(message) = self.next().await {
            let ready = message.0 == 'Z';
            messages.push(message);
            if ready {
                break;
            }
        }
        messages
    }

    /// The tags up to ReadyForQuery, errors with their code.
    async fn tags(&mut self) -> Vec<String> {
        let messages = self.until_ready().await;
        messages
            .iter()
            .map(|(tag, body)| match tag {
                'E' => format!("E{}", field(body, b'C')),
                'Z' => format!("Z{}", body[0] as char),
                'C' => String::from_utf8_lossy(&body[..body.len() - 1]).into_owned(),
                tag => tag.to_string(),
            })
            .collect()
    }
}

/// A field of an error.
fn field(body: &[u8], wanted: u8) -> String {
    let mut fields = body.split(|byte| *byte == 0);
    let found = fields.find(|field| field.first() == Some(&wanted));
    String::from_utf8_lossy(&found.unwrap_or_default()[1..]).into_owned()
}

#[tokio::test]
async fn after_an_error_everything_is_skipped_until_sync() {
    let server = start().await;
    let mut wire = Wire::open(server.pg).await;
    wire.send(&[
        parse("a", "select 1"),
        bind("", "a"),
        execute("", 0),
        parse("b", "select nosuch"),
        bind("", "b"),
        execute("", 0),
        parse("c", "select 3"),
        message('Q', b"select 4\0"),
        sync(),
        bind("", "a"),
        execute("", 0),
        sync(),
    ])
    .await;
    assert_eq!(wire.tags().await, ["1", "2", "D", "SELECT 1", "E42703", "ZI"]);
    assert_eq!(wire.tags().await, ["2", "D", "SELECT 1", "ZI"]);
    wire.send(&[bind("", "c"), sync()]).await;
    assert_eq!(wire.tags().await, ["E26000", "ZI"]);
}

#[tokio::test]
async fn broken_messages_are_errors_and_not_the_end() {
    let server = start().await;
    let mut wire = Wire::open(server.pg).await;
    wire.send(&[parse("a", "select $1 + 1, 2, 3"), sync()]).await;
    assert_eq!(wire.tags().await, ["1", "ZI"]);
    for (bad, code) in [
        // Too few bytes for what it announces.
        (message('B', b"\0a\0\0\x05"), "E08P01"),
        // Two format codes for one parameter.
        (message('B', b"\0a\0\0\x02\0\0\0\0\0\x01\0\0\0\x011\0\0"), "E08P01"),
        // Two result formats for three columns.
        (message('B', b"\0a\0\0\0\0\x01\0\0\0\x011\0\x02\0\0\0\x01"), "E08P01"),
        // A format that does not exist.
        (message('B', b"\0a\0\0\x01\0\x07\0\x01\0\0\0\x011\0\0"), "E08P01"),
        // No value for the parameter.
        (message('B', b"\0a\0\0\0\0\0\0\0"), "E08P01"),
        // A value that is no number.
        (message('B', b"\0a\0\0\0\0\x01\0\0\0\x01x\0\0"), "E22P02"),
        // Binary of the wrong length.
        (message('B', b"\0a\0\0\x01\0\x01\0\x01\0\0\0\x011\0\0"), "E22P03"),
        // A name that is no UTF-8.
        (message('P', b"\xff\0select 1\0\0\0"), "E22021"),
        (message('D', b"Xa\0"), "E08P01"),
        (message('F', b"\0\0\0\0"), "E0A000"),
        (parse("a", "select 1"), "E42P05"),
        (parse("", "select 1; select 2"), "E42601"),
        (execute("nosuch", 0), "E34000"),
    ] {
        wire.send(&[bad.clone(), sync()]).await;
        assert_eq!(wire.tags().await, [code, "ZI"], "{bad:?}");
    }
    wire.send(&[message('Q', b"select '\xff'\0")]).await;
    assert_eq!(wire.tags().await, ["E22021", "ZI"]);
}

#[tokio::test]
async fn garbage_ends_the_connection() {
    let server = start().await;
    for garbage in [&b"\x01\0\0\0\x04"[..], b"Q\xff\xff\xff\xff", b"Q\0\0\0\x01"] {
        let mut wire = Wire::open(server.pg).await;
        wire.send(&[garbage.to_vec()]).await;
        let (tag, body) = wire.next().await.unwrap();
        assert_eq!((tag, field(&body, b'C').as_str()), ('E', "08P01"));
        assert!(wire.next().await.is_none());
    }
    let mut socket = TcpStream::connect(server.pg).await.unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer[0], b'E');
}

#[tokio::test]
async fn encryption_is_declined_and_new_protocols_negotiated() {
    let server = start().await;
    let mut socket = TcpStream::connect(server.pg).await.unwrap();
    let mut answer = [0];
    for request in [b"\0\0\0\x08\x04\xd2\x16\x30", b"\0\0\0\x08\x04\xd2\x16\x2f"] {
        socket.write_all(request).await.unwrap();
        socket.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, *b"N");
    }
    let body = b"\0\x03\0\x02user\0tester\0database\0default\0_pq_.x\0y\0\0";
    let mut bytes = (body.len() as u32 + 4).to_be_bytes().to_vec();
    bytes.extend(body);
    socket.write_all(&bytes).await.unwrap();
    let (tag, body) = Wire(socket).next().await.unwrap();
    assert_eq!((tag, &body[..]), ('v', &b"\0\x03\0\0\0\0\0\x01_pq_.x\0"[..]));
}

#[tokio::test]
async fn portals_stop_at_the_row_limit_and_interleave() {
    let server = start().await;
    let mut wire = Wire::open(server.pg).await;
    wire.send(&[message('Q', b"begin\0")]).await;
    assert_eq!(wire.tags().await, ["BEGIN", "ZT"]);
    wire.send(&[
        parse("n", "select number from numbers(3)"),
        bind("a", "n"),
        bind("b", "n"),
        execute("a", 2),
        execute("b", 1),
        execute("a", 2),
        execute("a", 2),
        sync(),
    ])
    .await;
    assert_eq!(
        wire.tags().await,
        ["1", "2", "2", "D", "D", "s", "D", "s", "D", "SELECT 1", "SELECT 0", "ZT"]
    );
    wire.send(&[bind("a", "n"), sync()]).await;
    assert_eq!(wire.tags().await, ["E42P03", "ZE"]);
    wire.send(&[message('Q', b"commit\0"), execute("b", 0), sync()]).await;
    assert_eq!(wire.tags().await, ["ROLLBACK", "ZI"]);
    assert_eq!(wire.tags().await, ["E34000", "ZI"]);
}

#[tokio::test]
async fn describe_keeps_the_promise_of_execute() {
    let server = start().await;
    let mut wire = Wire::open(server.pg).await;
    wire.send(&[
        parse("", "select 1 as a, toDecimal(1.5, 2) as b"),
        message('D', b"S\0"),
        bind("", ""),
        message('D', b"P\0"),
        sync(),
        message('Q', b"select 1 as a, toDecimal(1.5, 2) as b\0"),
    ])
    .await;
    let described = wire.until_ready().await;
    let simple = wire.until_ready().await;
    let columns = |messages: &[Raw]| -> Vec<Vec<u8>> {
        messages.iter().filter(|(tag, _)| *tag == 'T').map(|(_, body)| body.clone()).collect()
    };
    let (described, simple) = (columns(&described), columns(&simple));
    assert_eq!(described.len(), 2);
    assert_eq!(described[0], described[1]);
    assert_eq!(described[0], simple[0]);
    // numeric(18,2): ((18 << 16) | 2) + 4
    assert!(described[0].windows(4).any(|bytes| bytes == 1_179_654_u32.to_be_bytes()));
}

#[tokio::test]
async fn empty_queries_and_utilities() {
    let server = start().await;
    let mut wire = Wire::open(server.pg).await;
    wire.send(&[message('Q', b";\0")]).await;
    assert_eq!(wire.tags().await, ["I", "ZI"]);
    wire.send(&[
        parse("", " -- nothing"),
        message('D', b"S\0"),
        bind("", ""),
        execute("", 0),
        sync(),
    ])
    .await;
    assert_eq!(wire.tags().await, ["1", "t", "n", "2", "I", "ZI"]);
    wire.send(&[parse("", "set extra_float_digits = 3"), bind("", ""), execute("", 1), sync()])
        .await;
    assert_eq!(wire.tags().await, ["1", "2", "SET", "ZI"]);
    wire.send(&[parse("", "set application_name = 'x'"), bind("", ""), execute("", 1), sync()])
        .await;
    assert_eq!(wire.tags().await, ["1", "2", "SET", "S", "ZI"]);
    wire.send(&[message('Q', b"commit\0")]).await;
    assert_eq!(wire.tags().await, ["N", "COMMIT", "ZI"]);
}

#[tokio::test]
async fn a_client_that_leaves_stops_its_query() {
    let server = start().await;
    let mut wire = Wire::open(server.pg).await;
    wire.send(&[message('Q', format!("{ENDLESS_ROWS}\0").as_bytes())]).await;
    assert_eq!(wire.next().await.unwrap().0, 'T');
    drop(wire);
    server.lifecycle.drain.cancel();
    // The server waits for its clients, and nothing but the query was left of this one.
    server.serving.await.unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_the_query_back() {
    let server = start().await;
    let mut wire = Wire::open(server.pg).await;
    wire.send(&[message('Q', format!("{ENDLESS_ROWS}\0").as_bytes())]).await;
    assert_eq!(wire.next().await.unwrap().0, 'T');
    // Nothing more is read. The server can still be stopped.
    server.lifecycle.stop.cancel();
    server.lifecycle.drain.cancel();
    server.serving.await.unwrap();
}
