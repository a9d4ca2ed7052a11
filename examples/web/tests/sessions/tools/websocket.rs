//! A client of a WebSocket, which can be as slow and as rude as a test needs it.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;

use super::http;

pub struct WebSocket {
    stream: BufReader<TcpStream>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    Binary(Vec<u8>),
    /// The reason.
    Close(String),
}

impl WebSocket {
    /// The status of the answer, if it is a refusal. `origin` is the header line, or empty.
    pub fn open(address: &str, path: &str, origin: &str) -> Result<Self, u16> {
        let mut stream = BufReader::new(http::connect(address));
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\n{origin}Upgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        match http::head_of(&mut stream) {
            (101, _) => Ok(Self { stream }),
            (status, _) => Err(status),
        }
    }

    pub fn text(&mut self, text: &str) {
        self.send(0x81, text.as_bytes());
    }

    pub fn binary(&mut self, bytes: &[u8]) {
        self.send(0x82, bytes);
    }

    /// `kind` is the first byte of a frame.
    pub fn send(&mut self, kind: u8, content: &[u8]) {
        let length = u16::try_from(content.len()).unwrap();
        let mut frame = vec![kind, 0x80 | 126];
        frame.extend(length.to_be_bytes());
        // A mask that changes nothing.
        frame.extend([0; 4]);
        frame.extend(content);
        self.stream.get_mut().write_all(&frame).unwrap();
    }

    /// The next one; `None` at the end of the connection.
    pub fn next(&mut self) -> Option<Frame> {
        let [kind, length] = self.take()?;
        let length = match length {
            126 => usize::from(u16::from_be_bytes(self.take()?)),
            127 => usize::try_from(u64::from_be_bytes(self.take()?)).unwrap(),
            length => usize::from(length),
        };
        let mut content = vec![0; length];
        self.stream.read_exact(&mut content).ok()?;
        match kind {
            0x82 => Some(Frame::Binary(content)),
            0x88 => {
                let reason = content.get(2..).unwrap_or_default();
                Some(Frame::Close(String::from_utf8(reason.to_vec()).unwrap()))
            }
            kind => panic!("a frame of kind {kind:x}"),
        }
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        // A time-out is no end.
        match self.stream.read_exact(&mut bytes) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("nothing came in time")
            }
            read => read.ok().map(|()| bytes),
        }
    }
}
