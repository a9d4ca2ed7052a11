//! One HTTP request on a connection, and its answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use crate::common::DEADLINE;

/// The status and the body. `head` is the request line and its headers, without Host and Content-Length.
pub fn request(address: &str, head: &str, body: &str) -> (u16, String) {
    let mut client = connect(address);
    let length = body.len();
    let request = format!("{head}\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n{body}");
    client.write_all(request.as_bytes()).unwrap();
    let mut answer = BufReader::new(client);
    let (status, length) = head_of(&mut answer);
    let mut body = vec![0; length];
    answer.read_exact(&mut body).unwrap();
    (status, String::from_utf8(body).unwrap())
}

pub fn connect(address: &str) -> TcpStream {
    let client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    client.set_write_timeout(Some(DEADLINE)).unwrap();
    client.set_nodelay(true).unwrap();
    client
}

/// The status of an answer and its Content-Length; what follows is its body.
pub fn head_of(answer: &mut impl BufRead) -> (u16, usize) {
    let (mut status, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        answer.read_line(&mut line).unwrap();
        match line.trim_end() {
            "" => break,
            first if status.is_none() => status = first.split(' ').nth(1).map(str::to_owned),
            header => {
                let (name, value) = header.split_once(':').unwrap();
                if name.eq_ignore_ascii_case("content-length") {
                    length = value.trim().parse().unwrap();
                }
            }
        }
    }
    (status.expect("an answer").parse().unwrap(), length)
}

/// The head of the answer to a GET.
pub fn head(address: &str, path: &str) -> String {
    let mut client = connect(address);
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    client.write_all(request.as_bytes()).unwrap();
    let lines = BufReader::new(client).lines().map(Result::unwrap);
    lines
        .take_while(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}
