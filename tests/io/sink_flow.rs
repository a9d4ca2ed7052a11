//! Many mebibytes through sinks, from memory and from another child's stream.

use crate::common;

use crate::tools::held_bytes::HeldBytes;
use actix_process::{Command, Fd, NoProtocol};
use common::census::Census;
use common::helper::{counted, digest, helper};
use common::isolated::isolated;
use common::streams::bytes;
use common::{amount, peak_memory, run, soon, start_all_threads};
use futures::{SinkExt, StreamExt};

const ALL: usize = 100 * 1024 * 1024;

fn total() -> usize {
    amount(ALL, ALL / 4)
}

/// With so many bytes in the queue a sink has no room.
const MARK: usize = 64 * 1024;
/// A page: a pipe takes whole pages, so each chunk is wholly in the queue or not at all.
const CHUNK: usize = 4096;
/// Of the first `total()` bytes of `counted`.
fn sha256() -> &'static str {
    match total() {
        ALL => "e7c039b3be8ca4af10294b25b752afc4bb7c9af4f3d21af8a98c84fa01021e2a  -\n",
        _ => "c3346002cca9360e41cbb2b4a45538b14258093ad7c027e304d73c2b03a19903  -\n",
    }
}

/// The digest of all bytes, as the helper says it.
fn wanted() -> String {
    let words = 0..total() / 8;
    let all = words.fold(0, |so_far, word| digest(so_far, &word.to_le_bytes()));
    format!("digest {all:x}\n")
}

/// Feeds everything to the 0 of `command`; gives what it said.
async fn feed_all(command: Command) -> (HeldBytes, String) {
    let process = command
        .stdout(Fd::stream())
        .spawn(NoProtocol)
        .await
        .unwrap();
    let held_bytes = HeldBytes::default();
    let mut sink = process.stdin().unwrap();
    for begin in (0..total()).step_by(CHUNK) {
        let chunk = held_bytes.chunk(counted(begin, begin + CHUNK));
        sink.feed(chunk).await.unwrap();
    }
    sink.close().await.unwrap();
    assert_eq!(held_bytes.held(), 0);
    let said = bytes(process.take_stream(1).unwrap()).await;
    assert!(process.ended().await.success());
    (held_bytes, String::from_utf8(said).unwrap())
}

#[test]
fn many_mebibytes_through_a_sink_reach_sha256sum() {
    run(async {
        let (held_bytes, said) = feed_all(Command::new("sha256sum")).await;
        assert_eq!(said, sha256());
        // The queue, and the item that waits for room.
        assert!(
            held_bytes.most() <= MARK + CHUNK,
            "{} bytes",
            held_bytes.most()
        );
    });
}

#[test]
fn many_mebibytes_through_a_sink_reach_a_slow_child() {
    run(async {
        let (held_bytes, said) = feed_all(helper(["digest", "0", "300"])).await;
        assert_eq!(said, wanted());
        // All room was used.
        assert_eq!(held_bytes.most(), MARK + CHUNK);
    });
}

/// Joins the stream of one child to the sink of another.
async fn forward(total: usize) -> String {
    let count = helper(["count", &total.to_string()]);
    let count = count.stdout(Fd::stream()).stderr(Fd::null());
    let count = count.spawn(NoProtocol).await.unwrap();
    let digest = helper(["digest", "0", "100"]).stdout(Fd::stream());
    let digest = digest.spawn(NoProtocol).await.unwrap();
    let stream = count.take_stream(1).unwrap();
    stream
        .map(Ok)
        .forward(digest.stdin().unwrap())
        .await
        .unwrap();
    let said = bytes(digest.take_stream(1).unwrap()).await;
    assert!(count.ended().await.success());
    assert!(digest.ended().await.success());
    String::from_utf8(said).unwrap()
}

#[test]
fn many_mebibytes_go_from_one_childs_stream_to_anothers_sink() {
    isolated(|| {
        run(async {
            start_all_threads().await;
            forward(4 * 1024 * 1024).await;
            let census = Census::quiet().await;
            let before = peak_memory();
            assert_eq!(forward(total()).await, wanted());
            // The kernel's count may lag by some pages, either way.
            let grown = peak_memory().saturating_sub(before);
            assert!(grown < 8 << 20, "{grown} bytes more than before");
            census.assert_restored_but_spawners().await;
        });
    });
}

#[test]
fn a_forward_to_a_child_that_closes_its_input_fails_and_holds_nothing_up() {
    run(async {
        let count = helper(["count", &total().to_string()]);
        let count = count.stdout(Fd::stream()).stderr(Fd::null());
        let count = count.spawn(NoProtocol).await.unwrap();
        let taker = helper(["take", "0", "1000000", "close", "0", "pause"]);
        let taker = taker.spawn(NoProtocol).await.unwrap();
        let stream = count.take_stream(1).unwrap();
        let forwarded = stream.map(Ok).forward(taker.stdin().unwrap()).await;
        let closed = actix_process::WriteError::Closed { fd: 0 };
        assert_eq!(forwarded, Err(closed));
        // The stream was dropped with it: the writer gets an error and ends.
        soon("its end", count.ended()).await;
        assert!(taker.kill());
        taker.ended().await;
    });
}
