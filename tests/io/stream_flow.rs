//! How much of a stream may wait: the same credit as on the way to a protocol.

use crate::common;

use std::time::Duration;

use actix::prelude::*;
use actix_process::{Bytes, Fd, NoProtocol, ProcessHandle};
use common::helper::{counted, helper, pattern};
use common::streams::{at_hand, bytes, next};
use common::trace::{Trace, data_of, spawned};
use common::{eventually, run};

/// How much the child says on its 2 that it could write.
fn progress(trace: &Trace, process: &ProcessHandle) -> usize {
    let said = data_of(&trace.of(process), 2);
    let said = String::from_utf8(said).unwrap();
    let whole = said.rfind('\n').map_or("", |end| &said[..end]);
    whole.lines().next_back().map_or(0, |n| n.parse().unwrap())
}

/// Waits until the child has written `least`, and then some time for one that is not held up.
async fn settled(trace: &Trace, process: &ProcessHandle, least: usize) -> usize {
    let so_far = || progress(trace, process);
    eventually(
        "the window to fill",
        || (so_far() >= least).then_some(()),
        || format!("{} bytes", so_far()),
    )
    .await;
    actix_rt::time::sleep(Duration::from_millis(100)).await;
    so_far()
}

const PIPE: usize = 64 * 1024;

#[test]
fn a_hundred_mebibytes_wait_in_the_child_until_they_are_taken() {
    run(async {
        const TOTAL: usize = 100 * 1024 * 1024;
        const WINDOW: usize = 128 * 1024;
        let command = helper(["count", &TOTAL.to_string()]);
        let command = command.stdout(Fd::stream().window(WINDOW));
        let (trace, process) = spawned(command).await;
        // All the window is used, and no more; the rest of it is in the pipe.
        let held = settled(&trace, &process, WINDOW).await;
        assert!(held <= WINDOW + PIPE, "{held} bytes were taken out");

        let mut stream = process.take_stream(1).unwrap();
        let mut taken = 0;
        while let Some(data) = next(&mut stream).await {
            // Pieces need not begin or end with a number.
            let begin = taken / 8 * 8;
            let end = (taken + data.len()).next_multiple_of(8);
            let wanted = &counted(begin, end)[taken - begin..][..data.len()];
            assert!(wanted == data, "other bytes after {taken}");
            taken += data.len();
            if taken > TOTAL / 2 && taken - data.len() <= TOTAL / 2 {
                let held = settled(&trace, &process, 0).await - taken;
                assert!(held <= WINDOW + PIPE, "{held} bytes were taken out");
            }
        }
        assert_eq!(taken, TOTAL);
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2]);
        assert!(history.status().success());
    });
}

#[test]
fn what_is_at_hand_is_the_window_whatever_the_pipe_holds() {
    run(async {
        // 0 and 1 let through what 4096 does.
        for (window, most) in [(0, 4096), (1, 4096), (4096, 4096), (10_000, 10_000)] {
            let command = helper(["spam", "100000"]).stdout(Fd::stream().window(window));
            let process = command.spawn(NoProtocol).await.unwrap();
            let mut stream = process.take_stream(1).unwrap();
            let mut taken = Vec::new();
            while let Some(data) = next(&mut stream).await {
                // Without a turn for the reader between them.
                let chunks = [vec![data], at_hand(&mut stream)].concat();
                let waiting = chunks.concat();
                assert!(waiting.len() <= most, "{} of {most} bytes", waiting.len());
                let largest = chunks.iter().map(Bytes::len).max();
                // A quarter of the window, but no less than a packet of a pipe may be.
                let quarter = (most / 4).max(4096);
                assert!(largest <= Some(quarter), "{largest:?} bytes in one piece");
                taken.extend(waiting);
                actix_rt::time::sleep(Duration::from_micros(100)).await;
            }
            assert!(taken == pattern(100_000), "window {window}");
        }
    });
}

#[test]
fn no_more_than_64_pieces_wait() {
    run(async {
        // Each byte is asked for when the one before was told of, so that most come alone.
        let one = ["take", "0", "1", "put", "1", "2e", "tell", "2", "done"];
        let mut actions: Vec<&str> = std::iter::repeat_n(one, 100).flatten().collect();
        actions.push("cat");
        let command = helper(actions).stdout(Fd::stream());
        let (trace, process) = spawned(command).await;
        for round in 1..=100 {
            process.write("x").unwrap();
            let told = |events: &[_]| (data_of(events, 2).len() == 5 * round).then_some(());
            trace.until(&process, &format!("round {round}"), told).await;
        }
        let mut stream = process.take_stream(1).unwrap();
        let waiting = at_hand(&mut stream);
        assert!(waiting.len() <= 64, "{} pieces", waiting.len());
        process.close_stdin();
        let taken = [waiting.concat(), bytes(stream).await].concat();
        assert_eq!(taken, [b'.'; 100]);
        trace.ended(&process).await.assert_rules(&[0, 1, 2]);
    });
}

#[test]
fn a_stream_that_is_not_taken_holds_up_no_other_descriptor() {
    run(async {
        const SIZE: usize = 3_000_000;
        let size = SIZE.to_string();
        // A descendant floods the stream.
        let command = helper(["leave", "1", "drip", "flood", "2", &size, "copy", "0", "5"]);
        let command = command.stdout(Fd::stream()).fd(5, Fd::stream());
        let (trace, process) = spawned(command).await;
        let mut five = process.take_stream(5).unwrap();
        for round in 0..50 {
            let line = format!("round {round}\n");
            process.write(line.clone()).unwrap();
            assert_eq!(next(&mut five).await.unwrap(), line);
        }
        process.close_stdin();
        trace.exited(&process).await;
        // The descendant gets SIGPIPE.
        process.close_stdout();
        assert_eq!(next(&mut five).await, None);
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2, 5]);
        assert!(history.data(2) == pattern(SIZE));
    });
}

#[test]
fn a_taker_leaves_its_thread_to_others_under_a_flood_from_another() {
    run(async {
        const SIZE: usize = 50_000_000;
        let arbiter = Arbiter::new();
        let (tell, told) = tokio::sync::oneshot::channel();
        arbiter.spawn(async move {
            let command = helper(["pour", &SIZE.to_string()]).stdout(Fd::stream());
            let _ = tell.send(command.spawn(NoProtocol).await.unwrap());
        });
        let process = told.await.unwrap();
        let mut stream = process.take_stream(1).unwrap();
        // Both are one task: the second is polled whenever the first waits.
        let (mut taken, mut since, mut most) = (0, 0, 0);
        let mut turns = 0;
        futures::future::poll_fn(|cx| {
            turns += 1;
            since = 0;
            loop {
                match futures::StreamExt::poll_next_unpin(&mut stream, cx) {
                    std::task::Poll::Ready(Some(data)) => {
                        taken += data.len();
                        since += 1;
                        most = most.max(since);
                    }
                    std::task::Poll::Ready(None) => return std::task::Poll::Ready(()),
                    std::task::Poll::Pending => return std::task::Poll::Pending,
                }
            }
        })
        .await;
        assert_eq!(taken, SIZE);
        assert!(most <= 64, "{most} pieces in a row, in {turns} turns");
        arbiter.stop();
        arbiter.join().unwrap();
    });
}
