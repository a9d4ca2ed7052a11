//! Terminals that end, from either side: who is hung up, what is reported, and when.

use crate::common;

use actix_process::{
    CloseReason, Command, Fd, Pty, PtySize, ResizeError, Signal, SignalError, WriteError,
};
use common::helper::{helper, pattern};
use common::run;
use common::trace::{history, spawned};

const SIZE: PtySize = PtySize::new(24, 80);

/// So much of what was written may be in the kernel still, on its way to a child that does not read:
/// its limit for a terminal is 640 KiB, and its line discipline has 4 KiB.
const ON_ITS_WAY: usize = 700_000;

#[test]
fn a_child_that_closes_its_terminal_and_lives_on_is_not_hung_up() {
    run(async {
        for _ in 0..200 {
            let child = helper([
                "say", "ready", "close", "0", "close", "1", "close", "2", "drain", "3",
            ])
            .pty(SIZE)
            .fd(3, Fd::write());
            let (trace, process) = spawned(child).await;
            assert_eq!(trace.lost(&process, 1).await, CloseReason::ByChild);
            assert_eq!(trace.lost(&process, 0).await, CloseReason::ByChild);
            assert_eq!(process.write("x"), Err(WriteError::Closed { fd: 0 }));
            assert_eq!(process.resize(SIZE), Err(ResizeError::Closed));
            process.close_child_fd(3);
            let history = trace.ended(&process).await;
            history.assert_rules(&[0, 1, 3]);
            assert_eq!(history.status().code(), Some(0), "{:?}", history.status());
            assert_eq!(history.text(1), "ready\r\n");
        }
    });
}

#[test]
fn one_that_opens_it_again_is_not_hung_up_either() {
    run(async {
        for _ in 0..20 {
            let script = "exec 0<&- 1>&- 2>&-; read line <&3; echo lost >/dev/tty; exit 7";
            let child = Command::new("sh").args(["-c", script]);
            let process = child.pty(SIZE).fd(3, Fd::write());
            let (trace, process) = spawned(process).await;
            trace.lost(&process, 1).await;
            process.write_to_child(3, "go on\n").unwrap();
            let history = trace.ended(&process).await;
            history.assert_rules(&[0, 1, 3]);
            assert_eq!(history.status().code(), Some(7), "{:?}", history.status());
            assert_eq!(history.text(1), "");
        }
    });
}

#[test]
fn lose_connection_hangs_the_child_up() {
    run(async {
        let child = helper(["say", "ready", "pause"]).pty(SIZE);
        let (trace, process) = spawned(child).await;
        trace.output(&process, 1, "ready").await;
        process.lose_connection();
        assert_eq!(process.write("x"), Err(WriteError::Closed { fd: 0 }));
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1]);
        assert_eq!(history.closes()[&0], CloseReason::ByParent);
        assert_eq!(history.closes()[&1], CloseReason::ByParent);
        assert_eq!(history.status().signal(), Some(Signal::HUP));
        assert_eq!(process.write("x"), Err(WriteError::Closed { fd: 0 }));
        assert!(matches!(
            process.signal(Signal::HUP),
            Err(SignalError::Exited)
        ));
    });
}

#[test]
fn lose_connection_flushes_first() {
    run(async {
        const SIZE_READ: usize = 1_000_000;
        let size = SIZE_READ.to_string();
        // Lives to its end only if it got all of that; what came after it is lost.
        let actions = [
            "ignore", "1", "say", "ready", "take", "0", &size, "drain", "0",
        ];
        let child = helper(actions);
        let child = child.pty(Pty::new(SIZE).raw(true));
        let (trace, process) = spawned(child).await;
        trace.output(&process, 1, "ready").await;
        process.write(pattern(SIZE_READ + ON_ITS_WAY)).unwrap();
        process.lose_connection();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1]);
        assert_eq!(history.status().code(), Some(0), "{:?}", history.status());
    });
}

#[test]
fn lose_connection_flushes_to_a_child_that_must_get_rid_of_its_output_first() {
    run(async {
        for paused in [false, true] {
            let actions = ["ignore", "1", "say", "ready", "take", "0", "1"];
            let actions = [
                &actions[..],
                &["spam", "3000000", "take", "0", "300000", "drain", "0"],
            ]
            .concat();
            let child = helper(actions).pty(Pty::new(SIZE).raw(true));
            let (trace, process) = spawned(child).await;
            trace.output(&process, 1, "ready").await;
            if paused {
                process.pause_producing();
            }
            process.write(pattern(300_001 + ON_ITS_WAY)).unwrap();
            process.lose_connection();
            let history = trace.ended(&process).await;
            history.assert_rules(&[0, 1]);
            assert_eq!(history.closes()[&1], CloseReason::ByParent);
            // Its output went nowhere, but for what was on its way already.
            let most = if paused {
                "ready\n".len()
            } else {
                Command::DEFAULT_WINDOW + 6
            };
            assert!(history.data(1).len() <= most, "{}", history.data(1).len());
            assert_eq!(history.status().code(), Some(0), "{:?}", history.status());
        }
    });
}

#[test]
fn lose_connection_of_a_child_that_ignores_it_leaves_it_running() {
    run(async {
        let child = helper(["ignore", "1", "say", "ready", "drain", "0"]).pty(SIZE);
        let (trace, process) = spawned(child).await;
        trace.output(&process, 1, "ready").await;
        process.lose_connection();
        // Its input ends, and it lives to see it.
        assert_eq!(trace.lost(&process, 0).await, CloseReason::ByParent);
        assert_eq!(trace.lost(&process, 1).await, CloseReason::ByParent);
        let status = trace.ended(&process).await.status();
        assert_eq!(status.code(), Some(0), "{status:?}");
    });
}

#[test]
fn lose_connection_closes_the_pipes_beside_it_too() {
    run(async {
        let child = helper(["say", "ready", "pause"])
            .pty(SIZE)
            .stderr(Fd::read())
            .fd(3, Fd::write())
            .fd(4, Fd::read());
        let (trace, process) = spawned(child).await;
        trace.output(&process, 1, "ready").await;
        process.lose_connection();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2, 3, 4]);
        let by_parent = |reason: &CloseReason| *reason == CloseReason::ByParent;
        assert!(history.closes().values().all(by_parent));
    });
}

#[test]
fn closing_one_half_does_nothing() {
    run(async {
        let child = helper(["say", "ready", "cat"]).pty(Pty::new(SIZE).echo(false));
        let (trace, process) = spawned(child).await;
        trace.output(&process, 1, "ready").await;
        process.close_stdin();
        process.close_stdout();
        process.close_stderr();
        process.close_child_fd(0);
        process.close_child_fd(1);
        process.write("one\n").unwrap();
        trace.output(&process, 1, "one").await;
        process.close_child_fd(1);
        process.write("two\n\x04").unwrap();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1]);
        assert_eq!(history.text(1), "ready\r\none\r\ntwo\r\n");
        assert_eq!(history.closes()[&0], CloseReason::ByChild);
        assert_eq!(history.status().code(), Some(0));
    });
}

#[test]
fn abort_drops_the_queue_and_hangs_up_by_either_half() {
    run(async {
        for half in [0, 1] {
            let child = helper(["say", "ready", "pause"]).pty(Pty::new(SIZE).raw(true));
            let (trace, process) = spawned(child).await;
            trace.output(&process, 1, "ready").await;
            // Nobody will ever read it.
            process.write(pattern(10 * ON_ITS_WAY)).unwrap();
            process.abort(half);
            let history = trace.ended(&process).await;
            history.assert_rules(&[0, 1]);
            assert_eq!(history.closes()[&0], CloseReason::Aborted);
            assert_eq!(history.closes()[&1], CloseReason::Aborted);
            assert_eq!(history.status().signal(), Some(Signal::HUP));
            assert_eq!(process.write("x"), Err(WriteError::Closed { fd: 0 }));
        }
    });
}

#[test]
fn abort_overtakes_lose_connection() {
    run(async {
        let child = helper(["say", "ready", "pause"]).pty(Pty::new(SIZE).raw(true));
        let (trace, process) = spawned(child).await;
        trace.output(&process, 1, "ready").await;
        process.write(pattern(10 * ON_ITS_WAY)).unwrap();
        process.lose_connection();
        process.abort(0);
        let history = trace.ended(&process).await;
        assert_eq!(history.closes()[&0], CloseReason::Aborted);
        assert_eq!(history.status().signal(), Some(Signal::HUP));
    });
}

#[test]
fn cut_connection_delivers_what_is_there_and_hangs_up() {
    run(async {
        let actions = ["spam", "1000", "tell", "3", "written", "pause"];
        let child = helper(actions).pty(Pty::new(SIZE).raw(true));
        let (trace, process) = spawned(child.fd(3, Fd::read())).await;
        process.pause_child_fd(1);
        trace.output(&process, 3, "written").await;
        process.cut_connection();
        process.resume_child_fd(1);
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 3]);
        let cut = |reason: &CloseReason| *reason == CloseReason::Cut;
        assert!(history.closes().values().all(cut), "{:?}", history.closes());
        assert!(history.data(1) == pattern(1000));
        assert_eq!(history.status().signal(), Some(Signal::HUP));
    });
}

#[test]
fn the_end_of_the_output_is_no_error_whatever_the_status() {
    run(async {
        for (action, argument, said) in [
            ("exit", "3", "exit status: 3"),
            ("raise", "9", "signal: 9 (SIGKILL)"),
            ("raise", "15", "signal: 15 (SIGTERM)"),
        ] {
            let child = helper(["say", "last words", action, argument]).pty(SIZE);
            let history = history(&child).await;
            history.assert_rules(&[0, 1]);
            assert_eq!(history.text(1), "last words\r\n");
            assert_eq!(history.closes()[&0], CloseReason::ByChild);
            assert_eq!(history.closes()[&1], CloseReason::ByChild);
            assert_eq!(history.status().to_string(), said);
        }
    });
}
