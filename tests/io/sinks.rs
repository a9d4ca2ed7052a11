//! Sinks: how much they take, what waits for what, and how they fail.

use crate::common;

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use crate::tools::held_bytes::HeldBytes;
use crate::tools::producing::{PIPE, fill};
use actix_process::{Bytes, CloseReason, Command, Fd, FdSink, NoProtocol, ProcessHandle};
use actix_process::{PtySize, WriteError};
use common::helper::{helper, pattern};
use common::trace::{Trace, spawned};
use common::{run, soon};
use futures::{FutureExt, SinkExt};

/// With so many bytes in the queue a sink has no room.
const MARK: usize = 64 * 1024;

const CLOSED: Result<(), WriteError> = Err(WriteError::Closed { fd: 0 });

/// A child that reads nothing from 0 before 3 says so, then does `then`.
fn held_up(then: &[&str]) -> Command {
    helper([&["take", "3", "1"][..], then].concat()).fd(3, Fd::write())
}

fn go(process: &ProcessHandle) {
    process.write_to_child(3, "!").unwrap();
}

fn takes(sink: &mut FdSink, data: Bytes) -> bool {
    match sink.feed(data).now_or_never() {
        Some(fed) => fed.is_ok(),
        None => false,
    }
}

#[test]
fn a_sink_takes_64_kib_and_an_item_beyond_what_the_pipe_holds() {
    run(async {
        let (trace, protocol) = Trace::start();
        let child = held_up(&["drain", "0"]);
        let process = child.spawn(&protocol).await.unwrap();
        fill(&process, 0).await;
        let held_bytes = HeldBytes::default();
        let mut sink = process.stdin().unwrap();
        for _ in 0..4 {
            assert!(takes(&mut sink, held_bytes.zeros(MARK / 4)));
        }
        assert!(!takes(&mut sink, held_bytes.zeros(1)), "there is no room");
        assert_eq!(held_bytes.held(), MARK);
        go(&process);
        soon("the flush", sink.flush()).await.unwrap();
        process.close_stdin();
        assert!(trace.ended(&process).await.status().success());

        let process = child.spawn(&protocol).await.unwrap();
        fill(&process, 0).await;
        let mut sink = process.stdin().unwrap();
        assert!(takes(&mut sink, held_bytes.zeros(MARK - 1)));
        assert!(takes(&mut sink, held_bytes.zeros(100_000)));
        assert!(!takes(&mut sink, held_bytes.zeros(1)), "there is no room");
        assert_eq!(held_bytes.held(), MARK - 1 + 100_000);
        assert!(process.kill());
        trace.ended(&process).await.assert_rules(&[0, 1, 2, 3]);
        assert_eq!(held_bytes.held(), 0);
    });
}

#[test]
fn a_sink_that_waits_for_room_goes_on_when_half_of_it_is_written() {
    run(async {
        // Half of the queue stays in it.
        let child = held_up(&["take", "0", &(MARK / 2).to_string(), "pause"]);
        let process = child.spawn(NoProtocol).await.unwrap();
        fill(&process, 0).await;
        let mut sink = process.stdin().unwrap();
        sink.feed(vec![0; MARK].into()).await.unwrap();
        let mut feed = Box::pin(sink.feed("x".into()));
        assert_eq!(feed.as_mut().now_or_never(), None);
        go(&process);
        soon("the item", feed).await.unwrap();
        assert_eq!(sink.flush().now_or_never(), None);
        assert!(process.kill());
        process.ended().await;
    });
}

#[test]
fn a_flush_waits_for_the_last_byte_of_what_everybody_has_queued() {
    run(async {
        let (most, rest) = (PIPE / 4 * 3, PIPE / 4);
        let [first, second] = [most, rest].map(|bytes| bytes.to_string());
        let child = held_up(&[
            "take", "0", &first, "take", "3", "1", "take", "0", &second, "pause",
        ]);
        let process = child.spawn(NoProtocol).await.unwrap();
        let (mut sink, held_bytes) = (process.stdin().unwrap(), HeldBytes::default());
        soon("a flush of nothing", sink.flush()).await.unwrap();
        fill(&process, 0).await;
        process.write(held_bytes.zeros(most)).unwrap();
        process
            .stdin()
            .unwrap()
            .feed(held_bytes.zeros(rest))
            .await
            .unwrap();
        let mut flush = Box::pin(sink.flush());
        assert_eq!(flush.as_mut().now_or_never(), None);
        go(&process);
        held_bytes.shrinks_to(rest).await;
        assert_eq!(flush.as_mut().now_or_never(), None);
        go(&process);
        soon("the flush", flush).await.unwrap();
        assert_eq!(held_bytes.held(), 0);
        assert!(process.kill());
        process.ended().await;
    });
}

#[test]
fn a_close_writes_everything_and_waits_for_the_close() {
    run(async {
        const SIZE: usize = 1 << 20;
        let (trace, process) = spawned(held_up(&["cat"])).await;
        let sent = pattern(SIZE);
        let (mut sink, mut other) = (process.stdin().unwrap(), process.stdin().unwrap());
        sink.feed(sent.clone().into()).await.unwrap();
        assert_eq!(sink.close().now_or_never(), None);
        // It is closed for everybody.
        assert_eq!(process.write("no"), CLOSED);
        assert_eq!(other.feed("no".into()).await, CLOSED);
        assert_eq!(sink.feed("no".into()).await, CLOSED);
        assert_eq!(sink.close().now_or_never(), None);
        go(&process);
        soon("the close", sink.close()).await.unwrap();
        assert_eq!(trace.lost(&process, 0).await, CloseReason::ByParent);
        soon("another close", sink.close()).await.unwrap();
        soon("another sink's close", other.close()).await.unwrap();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2, 3]);
        assert!(history.data(1) == sent, "other bytes came back");
    });
}

/// Loses 0 with bytes queued, by `lose`: whatever waits fails, and all that follows.
async fn assert_lost(child: &Command, lose: impl Fn(&ProcessHandle)) {
    let process = child.spawn(NoProtocol).await.unwrap();
    fill(&process, 0).await;
    let (mut feeding, mut flushing) = (process.stdin().unwrap(), process.stdin().unwrap());
    feeding.feed(vec![0; MARK].into()).await.unwrap();
    let mut feed = Box::pin(feeding.feed("x".into()));
    let mut flush = Box::pin(flushing.flush());
    assert_eq!(feed.as_mut().now_or_never(), None);
    assert_eq!(flush.as_mut().now_or_never(), None);
    lose(&process);
    let both = futures::future::join(feed, flush);
    assert_eq!(soon("what waits", both).await, (CLOSED, CLOSED));
    let mut sink = process.stdin().unwrap();
    assert_eq!(sink.feed("x".into()).await, CLOSED);
    assert_eq!(sink.send("x".into()).await, CLOSED);
    assert_eq!(sink.flush().await, CLOSED);
    assert_eq!(sink.close().await, CLOSED);
    process.kill();
    process.ended().await;
    assert_eq!(sink.feed("x".into()).await, CLOSED);
    assert_eq!(sink.close().await, CLOSED);
}

#[test]
fn a_sink_fails_when_the_child_closes_with_bytes_queued() {
    run(async {
        assert_lost(&held_up(&["close", "0", "pause"]), go).await;
        assert_lost(&held_up(&["exit", "0"]), go).await;
    });
}

#[test]
fn a_sink_fails_when_its_queue_is_dropped() {
    run(async {
        let child = held_up(&["pause"]);
        assert_lost(&child, |process| assert!(process.kill())).await;
        assert_lost(&child, |process| process.abort(0)).await;
        assert_lost(&child, ProcessHandle::cut_connection).await;
    });
}

#[test]
fn a_sink_that_waits_for_room_learns_of_a_close_at_once() {
    run(async {
        let closes: [fn(&ProcessHandle); 3] = [
            ProcessHandle::close_stdin,
            ProcessHandle::lose_connection,
            // By another sink, which waits for the child.
            |process| assert_eq!(process.stdin().unwrap().close().now_or_never(), None),
        ];
        for close in closes {
            // It reads nothing, ever.
            let process = helper(["pause"]).spawn(NoProtocol).await.unwrap();
            fill(&process, 0).await;
            let mut sink = process.stdin().unwrap();
            sink.feed(vec![0; MARK].into()).await.unwrap();
            let mut waiting = process.stdin().unwrap();
            let waiting = actix_rt::spawn(async move { waiting.feed("x".into()).await });
            // It has begun to wait.
            actix_rt::task::yield_now().await;
            close(&process);
            assert_eq!(soon("the item", waiting).await.unwrap(), CLOSED);
            assert!(process.kill());
            process.ended().await;
        }
    });
}

#[test]
fn a_close_without_anything_lost_is_none_of_the_sinks_errors() {
    run(async {
        let child = helper(["take", "0", "1", "close", "0", "pause"]);
        let (trace, process) = spawned(child).await;
        let mut sink = process.stdin().unwrap();
        sink.send("x".into()).await.unwrap();
        assert_eq!(trace.lost(&process, 0).await, CloseReason::ByChild);
        // All was written, as far as this side can tell; but no more is.
        assert_eq!(sink.flush().await, Ok(()));
        assert_eq!(sink.close().await, Ok(()));
        assert_eq!(sink.send("x".into()).await, CLOSED);
        assert!(process.kill());
        trace.ended(&process).await.assert_rules(&[0, 1, 2]);
    });
}

#[test]
fn a_sink_of_what_is_not_written_says_so() {
    run(async {
        let child = helper(["pause"]).fd(3, Fd::null()).fd(4, Fd::inherit(2));
        let child = child.fd(5, Fd::stream());
        let process = child.spawn(NoProtocol).await.unwrap();
        for fd in [1, 2, 3, 4, 5, 9, -1, i32::MIN] {
            let refused = process.sink(fd).unwrap_err();
            assert_eq!(refused, WriteError::NotWritable { fd });
        }
        // Nothing was closed by that.
        assert!(process.take_stream(5).is_ok());
        assert!(process.kill());
        process.ended().await;
    });
}

#[test]
fn an_empty_item_is_nothing() {
    run(async {
        let (trace, process) = spawned(helper(["cat"])).await;
        let mut sink = process.stdin().unwrap();
        soon("nothing", sink.send(Bytes::new())).await.unwrap();
        soon("something", sink.send("a".into())).await.unwrap();
        soon("nothing", sink.send(Bytes::new())).await.unwrap();
        soon("the close", sink.close()).await.unwrap();
        assert_eq!(trace.ended(&process).await.text(1), "a");
    });
}

#[test]
fn a_sink_of_a_descriptor_above_two_is_its_own() {
    run(async {
        let child = helper(["copy", "70", "1", "copy", "0", "1"]).fd(70, Fd::write());
        let (trace, process) = spawned(child).await;
        let (mut zero, mut seventy) = (process.stdin().unwrap(), process.sink(70).unwrap());
        zero.send("zero".into()).await.unwrap();
        seventy.send("seventy, ".into()).await.unwrap();
        zero.close().await.unwrap();
        seventy.send("and ".into()).await.unwrap();
        seventy.close().await.unwrap();
        let closed = Err(WriteError::Closed { fd: 70 });
        assert_eq!(seventy.feed("x".into()).await, closed);
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2, 70]);
        assert_eq!(history.text(1), "seventy, and zero");
    });
}

#[test]
fn a_dropped_sink_closes_nothing() {
    run(async {
        let (trace, process) = spawned(helper(["cat"])).await;
        let mut sink = process.stdin().unwrap();
        sink.feed("one ".into()).await.unwrap();
        drop(sink);
        drop(process.stdin().unwrap());
        trace.output(&process, 1, "one ").await;
        process.write("two").unwrap();
        process.close_stdin();
        assert_eq!(trace.ended(&process).await.text(1), "one two");
    });
}

/// A waker that is only counted.
struct Counted;

impl Wake for Counted {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_dropped_sink_waits_no_more_and_one_keeps_one_waker() {
    run(async {
        let process = helper(["pause"]).spawn(NoProtocol).await.unwrap();
        fill(&process, 0).await;
        let mut sink = process.stdin().unwrap();
        sink.feed(vec![0; MARK].into()).await.unwrap();
        let wakers = [Arc::new(Counted), Arc::new(Counted)];
        for counted in &wakers {
            let waker = Waker::from(Arc::clone(counted));
            let mut context = Context::from_waker(&waker);
            assert_eq!(sink.poll_ready_unpin(&mut context), Poll::Pending);
            assert_eq!(sink.poll_flush_unpin(&mut context), Poll::Pending);
        }
        let kept = || wakers.each_ref().map(|waker| Arc::strong_count(waker) - 1);
        assert_eq!(kept(), [0, 1]);
        drop(sink);
        assert_eq!(kept(), [0, 0]);
        assert!(process.kill());
        process.ended().await;
    });
}

#[test]
fn a_sink_of_a_terminal_closes_nothing() {
    run(async {
        let child = helper(["cat"]).pty(PtySize::new(24, 80));
        let (trace, process) = spawned(child).await;
        let mut sink = process.stdin().unwrap();
        sink.send("one\n".into()).await.unwrap();
        trace.output(&process, 1, "one\r\none\r\n").await;
        soon("the close", sink.close()).await.unwrap();
        soon("an item", sink.send("two\n".into())).await.unwrap();
        trace.output(&process, 1, "one\r\ntwo\r\ntwo\r\n").await;
        sink.send("\x04".into()).await.unwrap();
        trace.ended(&process).await.assert_rules(&[0, 1]);
        assert_eq!(sink.send("x".into()).await, CLOSED);
    });
}
