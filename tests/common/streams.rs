//! Taking streams, each wait with a deadline that says what came.

use std::fmt::Debug;

use actix::Addr;
use actix_process::{Bytes, Command, Fd, FdStream, ProcessHandle};
use futures::{FutureExt, Stream, StreamExt};

use super::DEADLINE;
use super::helper::helper;
use super::trace::{Trace, Tracer};

/// A child whose standard output is a stream.
pub fn streaming(actions: &[&str]) -> Command {
    helper(actions).stdout(Fd::stream())
}

/// Its protocol notes what comes.
pub async fn spawn(command: Command) -> (Trace, Addr<Tracer>, ProcessHandle) {
    let (trace, protocol) = Trace::start();
    let process = command.spawn(&protocol).await.unwrap();
    (trace, protocol, process)
}

/// The next item.
pub async fn next<S>(stream: &mut S) -> Option<S::Item>
where
    S: Stream + Unpin,
{
    let next = actix_rt::time::timeout(DEADLINE, stream.next());
    next.await.expect("nothing came, nor did the stream end")
}

/// Everything until the end.
pub async fn rest<S>(mut stream: S) -> Vec<S::Item>
where
    S: Stream + Unpin,
    S::Item: Debug,
{
    let mut items = Vec::new();
    loop {
        match actix_rt::time::timeout(DEADLINE, stream.next()).await {
            Ok(Some(item)) => items.push(item),
            Ok(None) => return items,
            Err(_) => {
                let last = items.last();
                panic!(
                    "it does not end after {} items, the last {last:?}",
                    items.len()
                );
            }
        }
    }
}

/// Every byte until the end.
pub async fn bytes(stream: FdStream) -> Vec<u8> {
    rest(stream).await.concat()
}

/// Takes until `text` is in what came; gives all of that.
pub async fn until(stream: &mut FdStream, text: &str) -> Vec<u8> {
    let mut taken = Vec::new();
    while !String::from_utf8_lossy(&taken).contains(text) {
        match next(stream).await {
            Some(data) => taken.extend_from_slice(&data),
            None => panic!(
                "it ended without {text:?} after {:?}",
                String::from_utf8_lossy(&taken)
            ),
        }
    }
    taken
}

/// What can be taken without waiting, and so without a turn for a reader on this arbiter.
pub fn at_hand(stream: &mut FdStream) -> Vec<Bytes> {
    let mut chunks = Vec::new();
    let mut waits = 0;
    // Once may be no more than a pause that leaves others their turn.
    while waits < 2 {
        match stream.next().now_or_never() {
            Some(Some(chunk)) => {
                chunks.push(chunk);
                waits = 0;
            }
            Some(None) => break,
            None => waits += 1,
        }
    }
    chunks
}
