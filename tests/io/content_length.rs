//! Messages with a `Content-Length`, over a child's descriptors: what is no message ends nothing.

use crate::common;

use std::sync::{Arc, Mutex};

use actix::prelude::*;
use actix_process::codec::{ContentLength, ContentLengthError};
use actix_process::{Bytes, FramedProtocol, FromFrames, ProcessProtocol, process_protocol};
use common::helper::{helper, hex, pattern};
use common::run;
use common::streams::rest;
use futures::SinkExt;

const MAX: usize = 256 * 1024;

/// A log line, a message, a message above the maximum, a line that is not ended before a message.
fn written() -> Vec<u8> {
    let mut all = b"INFO: up\nContent-Length: 3\r\n\r\none".to_vec();
    all.extend_from_slice(format!("content-length: {}\r\n\r\n", MAX + 1).as_bytes());
    all.resize(all.len() + MAX + 1, b'x');
    all.extend_from_slice(b"50% Content-Length: 3\r\nContent-Type: a\r\n\r\ntwo");
    all
}

const EXPECTED: [Result<&str, &str>; 5] = [
    Err("noise in place of a header: INFO: up\\n"),
    Ok("one"),
    Err("a body of 262145 bytes, which is more than 262144"),
    Err("noise in place of a header: 50% "),
    Ok("two"),
];

fn text(frame: Result<Bytes, ContentLengthError>) -> Result<String, String> {
    frame
        .map(|body| String::from_utf8(body.to_vec()).unwrap())
        .map_err(|error| error.to_string())
}

fn assert_expected(found: Vec<Result<String, String>>) {
    let expected = EXPECTED.map(|item| item.map(str::to_owned).map_err(str::to_owned));
    assert_eq!(found, expected);
}

#[test]
fn a_stream_goes_on_after_noise_and_after_a_body_above_the_maximum() {
    run(async {
        let child = helper(["cat"]).open().await.unwrap();
        let mut stdin = child.stdin;
        let write = async {
            // In pieces, as they come.
            for piece in written().chunks(7000) {
                stdin.send(Bytes::copy_from_slice(piece)).await.unwrap();
            }
            stdin.close().await.unwrap();
        };
        let found = rest(child.stdout.decode(ContentLength::new(MAX)));
        let (found, ()) = futures::join!(found, write);
        assert_expected(found.into_iter().map(text).collect());
    });
}

struct Client(Arc<Mutex<Vec<Result<String, String>>>>);

impl Actor for Client {
    type Context = Context<Self>;
}
impl ProcessProtocol for Client {}
process_protocol!(Client);

impl Handler<FromFrames<ContentLength>> for Client {
    type Result = ();

    fn handle(&mut self, message: FromFrames<ContentLength>, _: &mut Context<Self>) {
        self.0.lock().unwrap().push(text(message.frame));
    }
}

#[test]
fn so_do_messages_to_a_protocol() {
    run(async {
        let found = Arc::new(Mutex::new(Vec::new()));
        let client = FramedProtocol::new(Client(Arc::clone(&found)).start());
        // Less than the body above the codec's maximum: none of it waits.
        let protocol = client.decode(1, MAX, ContentLength::new(MAX));
        let process = helper(["cat"]).spawn(protocol).await.unwrap();
        process.write(written()).unwrap();
        process.close_stdin();
        assert!(process.ended().await.success());
        assert_expected(found.lock().unwrap().clone());
    });
}

#[test]
fn a_sink_writes_what_a_stream_reads() {
    run(async {
        let child = helper(["cat"]).open().await.unwrap();
        let bodies: Vec<Vec<u8>> = [0, 1, 70_000, MAX].map(pattern).into();
        let mut requests = child.stdin.encode(ContentLength::new(MAX));
        let write = async {
            for body in &bodies {
                requests.send(&body[..]).await.unwrap();
            }
            let above = requests.send(&pattern(MAX + 1)[..]).await.unwrap_err();
            assert!(
                matches!(above, ContentLengthError::TooLong { .. }),
                "{above}"
            );
            requests.close().await.unwrap();
        };
        let found = rest(child.stdout.decode(ContentLength::new(MAX)));
        let (found, ()) = futures::join!(found, write);
        let found: Vec<_> = found.into_iter().map(Result::unwrap).collect();
        assert_eq!(found, bodies);
    });
}

#[test]
fn a_child_that_dies_in_a_message_is_told() {
    run(async {
        let half = hex("Content-Length: 10\r\n\r\nhalf");
        let child = helper(["put", "1", &half, "raise", "9"])
            .open()
            .await
            .unwrap();
        let found = rest(child.stdout.decode(ContentLength::new(MAX))).await;
        let found: Vec<_> = found.into_iter().map(text).collect();
        assert_eq!(
            found,
            [Err("the end after 4 of a body's 10 bytes".to_owned())]
        );
    });
}
