//! Descriptors that are taken as streams.

use crate::common;

use std::time::Duration;

use actix::prelude::*;
use actix_process::{
    Bytes, CloseReason, Fd, NoProtocol, ProcessEvent, ProcessHandle, ProcessId, ProcessProtocol,
    Signal, StreamError, process_protocol,
};
use common::helper::{helper, pattern};
use common::streams::{bytes, next, spawn, streaming};
use common::trace::{Trace, data_of};
use common::{block_on_thread, run};
use futures::{FutureExt, StreamExt};

#[test]
fn what_came_before_the_take_is_in_the_stream_even_after_the_end() {
    run(async {
        // As many reads as the window has messages could be of a page each.
        const SIZE: usize = 200_000;
        let (trace, _, process) = spawn(streaming(&["spam", &SIZE.to_string()])).await;
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2]);
        assert_eq!(history.closes()[&1], CloseReason::ByChild);
        assert_eq!(
            history.data(1),
            b"",
            "the protocol got what is the stream's"
        );
        assert!(bytes(process.take_stream(1).unwrap()).await == pattern(SIZE));
    });
}

#[test]
fn what_comes_little_by_little_waits_for_the_take_as_well() {
    run(async {
        let actions = [
            "say", "one", "tell", "2", "said", "take", "0", "1", "say", "two", "spam", "100000",
        ];
        let (trace, _, process) = spawn(streaming(&actions)).await;
        trace.output(&process, 2, "said").await;
        // Long enough for whoever gives a stream no more than a short turn.
        actix_rt::time::sleep(Duration::from_millis(20)).await;
        process.write("x").unwrap();
        trace.ended(&process).await.assert_rules(&[0, 1, 2]);
        let taken = bytes(process.take_stream(1).unwrap()).await;
        assert!(taken == [b"one\ntwo\n".to_vec(), pattern(100_000)].concat());
    });
}

#[test]
fn a_child_that_writes_more_than_the_window_waits_for_the_take() {
    run(async {
        let command = helper(["tell", "2", "ready", "spam", "1000000"]);
        let command = command.stdout(Fd::stream().window(64 * 1024));
        let (trace, _, process) = spawn(command).await;
        trace.output(&process, 2, "ready").await;
        // Long enough for a child that is not held up.
        actix_rt::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(process.try_status(), None, "it was not held up");
        assert!(bytes(process.take_stream(1).unwrap()).await == pattern(1_000_000));
        trace.ended(&process).await.assert_rules(&[0, 1, 2]);
    });
}

#[test]
fn a_stream_can_be_taken_once_and_nothing_else_can() {
    run(async {
        let command = streaming(&["say", "one", "cat"]).fd(3, Fd::null());
        let (trace, _, process) = spawn(command).await;
        for fd in [0, 2, 3, 4, -1] {
            let error = process.take_stream(fd).unwrap_err();
            assert_eq!(error, StreamError::NotStream { fd });
        }
        let mut stream = process.take_stream(1).unwrap();
        for taker in [&process, &process.clone()] {
            let error = taker.take_stream(1).unwrap_err();
            assert_eq!(error, StreamError::Taken { fd: 1 });
            assert_eq!(error.to_string(), "the stream of fd 1 was taken before");
        }
        assert_eq!(next(&mut stream).await.unwrap(), "one\n");
        process.close_stdin();
        trace.ended(&process).await;
        assert_eq!(next(&mut stream).await, None);
        assert_eq!(next(&mut stream).await, None);
        drop(stream);
        let error = process.take_stream(1).unwrap_err();
        assert_eq!(error, StreamError::Taken { fd: 1 });
    });
}

#[test]
fn dropping_a_stream_closes_its_descriptor() {
    run(async {
        let actions = ["tell", "2", "ready", "take", "0", "1", "drip"];
        let (trace, _, process) = spawn(streaming(&actions)).await;
        let stream = process.take_stream(1).unwrap();
        trace.output(&process, 2, "ready").await;
        drop(stream);
        assert_eq!(trace.lost(&process, 1).await, CloseReason::ByParent);
        process.write("x").unwrap();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2]);
        assert_eq!(history.status().signal(), Some(Signal::PIPE));
    });
}

#[test]
fn dropping_a_full_stream_lets_its_child_go_on_with_the_others() {
    run(async {
        let command = helper(["ignore", "13", "drip", "flood", "5", "9", "copy", "0", "2"]);
        let command = command.stdout(Fd::stream()).fd(5, Fd::stream());
        let (trace, _, process) = spawn(command).await;
        let mut stream = process.take_stream(1).unwrap();
        next(&mut stream).await.unwrap();
        assert_eq!(trace.of(&process), [ProcessEvent::ConnectionMade]);
        drop(stream);
        let mut other = process.take_stream(5).unwrap();
        assert_eq!(next(&mut other).await.unwrap(), pattern(9));
        process.write("through\n").unwrap();
        trace.output(&process, 2, "through").await;
        process.close_stdin();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2, 5]);
        assert_eq!(history.closes()[&1], CloseReason::ByParent);
        assert_eq!(history.closes()[&5], CloseReason::ByChild);
        assert_eq!(next(&mut other).await, None);
    });
}

#[test]
fn its_close_reaches_the_protocol_though_nobody_reads_it() {
    run(async {
        let (trace, _, process) = spawn(streaming(&["say", "last", "close", "1", "cat"])).await;
        assert_eq!(trace.lost(&process, 1).await, CloseReason::ByChild);
        let stream = process.take_stream(1).unwrap();
        assert_eq!(bytes(stream).await, b"last\n");
        process.close_stdin();
        trace.ended(&process).await.assert_rules(&[0, 1, 2]);
    });
}

#[test]
fn a_paused_stream_gives_nothing_until_it_is_resumed() {
    run(async {
        let actions = [
            "take", "0", "1", "say", "one", "tell", "2", "two", "drain", "0",
        ];
        let (trace, _, process) = spawn(streaming(&actions)).await;
        let mut stream = process.take_stream(1).unwrap();
        process.pause_child_fd(1);
        process.write("x").unwrap();
        trace.output(&process, 2, "two").await;
        // Said before "two"; and some time for a reader that does not pause.
        actix_rt::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(stream.next().now_or_never(), None);
        process.resume_child_fd(1);
        assert_eq!(next(&mut stream).await.unwrap(), "one\n");
        process.pause_producing();
        process.resume_producing();
        process.close_stdin();
        assert_eq!(next(&mut stream).await, None);
        trace.ended(&process).await.assert_rules(&[0, 1, 2]);
    });
}

#[test]
fn closing_the_descriptor_in_whatever_way_ends_the_stream() {
    type Close = fn(&ProcessHandle);
    let ways: [(Close, CloseReason); 5] = [
        (|process| process.close_child_fd(1), CloseReason::ByParent),
        (ProcessHandle::close_stdout, CloseReason::ByParent),
        (ProcessHandle::lose_connection, CloseReason::ByParent),
        (|process| process.abort(1), CloseReason::Aborted),
        (ProcessHandle::cut_connection, CloseReason::Cut),
    ];
    run(async {
        for (close, reason) in ways {
            let (trace, _, process) = spawn(streaming(&["say", "one", "pause"])).await;
            let mut stream = process.take_stream(1).unwrap();
            assert_eq!(next(&mut stream).await.unwrap(), "one\n");
            close(&process);
            assert_eq!(next(&mut stream).await, None, "{reason:?}");
            assert_eq!(trace.lost(&process, 1).await, reason);
            assert!(process.kill());
            trace.ended(&process).await.assert_rules(&[0, 1, 2]);
        }
    });
}

#[test]
fn streams_need_no_protocol() {
    run(async {
        let command = helper([
            "spam", "500000", "tell", "2", "unheard", "tell", "5", "five",
        ]);
        let command = command.stdout(Fd::stream()).fd(5, Fd::stream());
        let process = command.spawn(NoProtocol).await.unwrap();
        let (one, five) = futures::join!(
            bytes(process.take_stream(1).unwrap()),
            bytes(process.take_stream(5).unwrap()),
        );
        assert!(one == pattern(500_000));
        assert_eq!(five, b"five\n");
        assert!(process.ended().await.success());
    });
}

#[test]
fn several_streams_of_one_child_keep_apart() {
    run(async {
        const SIZE: usize = 700_000;
        let size = SIZE.to_string();
        let actions = [
            "tell", "5", "five", "tell", "2", "two", "flood", "1", &size, "flood", "5", &size,
            "close", "2", "flood", "1", &size,
        ];
        let command = helper(actions).stdout(Fd::stream()).stderr(Fd::stream());
        let (trace, _, process) = spawn(command.fd(5, Fd::stream())).await;
        let take = |fd| bytes(process.take_stream(fd).unwrap());
        let (one, two, five) = futures::join!(take(1), take(2), take(5));
        assert!(one == [pattern(SIZE), pattern(SIZE)].concat());
        assert_eq!(two, b"two\n");
        assert!(five == [b"five\n".to_vec(), pattern(SIZE)].concat());
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2, 5]);
        assert!(history.events.iter().all(|event| !is_data(event)));
    });
}

fn is_data(event: &ProcessEvent) -> bool {
    matches!(event, ProcessEvent::ChildDataReceived { .. })
}

#[test]
fn a_stream_is_polled_on_any_thread_and_by_any_runtime() {
    run(async {
        let (trace, _, process) = spawn(streaming(&["spam", "2000000"])).await;
        let stream = process.take_stream(1).unwrap();
        let thread = std::thread::spawn(|| block_on_thread(stream.collect::<Vec<_>>()).concat());
        trace.ended(&process).await;
        assert!(thread.join().unwrap() == pattern(2_000_000));

        let (trace, _, process) = spawn(streaming(&["spam", "2000000", "drip"])).await;
        let taker = process.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let chunks = taker.take_stream(1).unwrap();
            let begin = chunks.scan(0, |taken, data| {
                let before = *taken;
                *taken += data.len();
                futures::future::ready((before < 2_000_000).then_some(data))
            });
            // And drops the stream there.
            runtime
                .unwrap()
                .block_on(begin.collect::<Vec<_>>())
                .concat()
        });
        assert_eq!(trace.lost(&process, 1).await, CloseReason::ByParent);
        let status = trace.ended(&process).await.status();
        assert_eq!(status.signal(), Some(Signal::PIPE));
        assert!(thread.join().unwrap()[..2_000_000] == pattern(2_000_000));
    });
}

/// Takes the stream in its first callback and adds it to its own context.
struct Taker {
    trace: Trace,
}

impl Actor for Taker {
    type Context = Context<Self>;
}

impl ProcessProtocol for Taker {
    fn connection_made(&mut self, process: &ProcessHandle, ctx: &mut Context<Self>) {
        let id = process.id();
        let stream = process.take_stream(1).unwrap();
        ctx.add_stream(stream.map(move |data| (id, data)));
    }
}
process_protocol!(Taker);

impl StreamHandler<(ProcessId, Bytes)> for Taker {
    fn handle(&mut self, (id, data): (ProcessId, Bytes), _: &mut Context<Self>) {
        let event = ProcessEvent::ChildDataReceived { fd: 1, data };
        self.trace.push(id, event);
    }

    fn finished(&mut self, _: &mut Context<Self>) {
        // By default an actor stops when one of its streams has ended.
    }
}

#[test]
fn an_actor_takes_the_streams_of_its_children_into_its_context() {
    run(async {
        let trace = Trace::default();
        let protocol = Taker {
            trace: trace.clone(),
        };
        let protocol = protocol.start();
        for _ in 0..2 {
            let process = streaming(&["spam", "300000"]).spawn(&protocol);
            let process = process.await.unwrap();
            let wanted = pattern(300_000);
            let all = |events: &[_]| (data_of(events, 1).len() >= wanted.len()).then_some(());
            trace.until(&process, "all data", all).await;
            assert!(data_of(&trace.of(&process), 1) == wanted);
            assert!(process.ended().await.success());
        }
    });
}
