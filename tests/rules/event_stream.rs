//! The events of a child as one stream: the rules of a protocol, for code that is no actor.

use crate::common;

use std::time::Duration;

use actix_process::supervisor::List;
use actix_process::{
    Command, Fd, ProcessEvent, ProcessEvents, ProcessSupervisor, Signal, SpawnStep,
};
use common::census::{is_gone, state_and_parent};
use common::helper::{helper, pattern};
use common::isolated::isolated;
use common::streams::{next, rest};
use common::trace::{data_of, lines_of};
use common::{DEADLINE, eventually, in_time, on_tokio, run, start_all_threads};
use futures::{FutureExt, StreamExt};

async fn events(command: Command) -> ProcessEvents {
    command.events().await.unwrap()
}

#[test]
fn the_start_is_first_and_the_end_is_last_of_all() {
    run(async {
        let actions = [
            "spam", "200000", "tell", "2", "hm", "close", "1", "exit", "3",
        ];
        let stream = events(helper(actions)).await;
        let process = stream.process().clone();
        process.close_stdin();
        let all = rest(stream).await;
        assert_eq!(all.first(), Some(&ProcessEvent::ConnectionMade));
        let status = in_time(process.ended()).await;
        assert_eq!(status.code(), Some(3));
        assert_eq!(all.last(), Some(&ProcessEvent::ProcessEnded { status }));
        assert!(data_of(&all, 1) == pattern(200_000));
        assert_eq!(data_of(&all, 2), b"hm\n");
        let exited = ProcessEvent::ProcessExited { status };
        assert_eq!(all.iter().filter(|event| **event == exited).count(), 1);
        for fd in 0..3 {
            let close = |event: &ProcessEvent| matches!(event, ProcessEvent::ChildConnectionLost { fd: of, .. } if *of == fd);
            assert_eq!(
                all.iter().filter(|event| close(event)).count(),
                1,
                "{all:?}"
            );
        }
    });
}

#[test]
fn nothing_is_read_before_the_start_was_handled() {
    run(async {
        let mut stream = events(helper(["spam", "1000", "cat"])).await;
        assert_eq!(next(&mut stream).await, Some(ProcessEvent::ConnectionMade));
        // Handled when the next one is asked for: a descriptor that is paused now gives no byte.
        stream.process().pause_child_fd(1);
        stream.process().close_stdin();
        loop {
            match next(&mut stream).await.unwrap() {
                ProcessEvent::ProcessExited { .. } => break,
                ProcessEvent::ChildDataReceived { fd: 1, .. } => panic!("read while paused"),
                _ => {}
            }
        }
        stream.process().resume_child_fd(1);
        assert!(data_of(&rest(stream).await, 1) == pattern(1000));
    });
}

#[test]
fn a_taker_that_does_not_take_holds_up_its_child() {
    run(async {
        let command = helper(["count", "4000000"]).window(64 * 1024);
        let command = command.stderr(Fd::stream()).stdin(Fd::null());
        let mut stream = events(command).await;
        let mut told = stream.process().stderr().unwrap().lines(80);
        assert_eq!(next(&mut stream).await, Some(ProcessEvent::ConnectionMade));
        assert!(stream.next().now_or_never().is_none());
        // What the child has written, until it writes no more: pipe and window are full.
        let mut written = 0;
        while let Ok(Some(line)) =
            actix_rt::time::timeout(Duration::from_millis(500), told.next()).await
        {
            written = line.unwrap().parse().unwrap();
        }
        assert!((64 * 1024..512 * 1024).contains(&written), "{written}");
        let (all, _) = in_time(futures::future::join(rest(stream), told.count())).await;
        assert_eq!(data_of(&all, 1).len(), 4_000_000);
    });
}

#[test]
fn lines_come_where_they_are_asked_for() {
    run(async {
        let command = helper(["say", "one", "say", "two"]).stdout(Fd::lines(80));
        let all = rest(events(command.stdin(Fd::null())).await).await;
        let lines = lines_of(&all, 1);
        let texts: Vec<_> = lines.iter().map(|line| line.to_string_lossy()).collect();
        assert_eq!(texts, ["one", "two"]);
    });
}

#[test]
fn a_stream_that_drops_orphans_its_child() {
    run(async {
        let command = helper(["hold", "pause"]).process_group(0);
        let mut stream = events(command).await;
        let process = stream.process().clone();
        let member: i32 = loop {
            if let ProcessEvent::ChildDataReceived { fd: 1, data } =
                next(&mut stream).await.unwrap()
            {
                let text = String::from_utf8_lossy(&data).into_owned();
                break text.trim().trim_start_matches("held ").parse().unwrap();
            }
        };
        drop(stream);
        assert_eq!(in_time(process.ended()).await.signal(), Some(Signal::KILL));
        let seen = || format!("{member} {:?}", state_and_parent(member));
        eventually("a death", || is_gone(member).then_some(()), seen).await;
    });
}

#[test]
fn a_future_that_drops_at_any_moment_leaves_nothing() {
    isolated(|| {
        run(async {
            let before = start_all_threads().await;
            for round in 0..100 {
                // It floods: what nobody takes would hold it up for ever.
                let mut starting = Box::pin(helper(["drip"]).events());
                assert!((&mut starting).now_or_never().is_none());
                actix_rt::time::sleep(Duration::from_micros(20 * round)).await;
                drop(starting);
            }
            let supervisor = ProcessSupervisor::current().unwrap();
            let begun = std::time::Instant::now();
            loop {
                let listed = supervisor.send(List).await.unwrap();
                if listed.is_empty() {
                    break;
                }
                assert!(begun.elapsed() < DEADLINE, "{listed:?}");
                actix_rt::time::sleep(Duration::from_millis(5)).await;
            }
            before.assert_restored_but_spawners().await;
        });
    });
}

#[test]
fn a_failed_start_is_an_error_and_no_event() {
    run(async {
        let error = Command::new("/no/such/program").events().await.unwrap_err();
        assert_eq!(error.step(), SpawnStep::Exec);
    });
}

#[test]
fn the_stream_works_with_no_arbiter() {
    on_tokio(2, async {
        let command = helper(["say", "hello"]).stdin(Fd::null());
        let all: Vec<_> = events(command).await.collect().await;
        assert_eq!(data_of(&all, 1), b"hello\n");
    });
}
