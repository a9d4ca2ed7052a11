//! Children on terminals: real ones, of the kernel's.

mod common;

use actix_process::{
    CloseReason, Command, Pty, PtySize, ResizeError, Signal, SpawnStep, WriteError,
};
use common::helper::{helper, pattern};
use common::run;
use common::trace::Trace;

const SIZE: PtySize = PtySize::new(24, 80);

#[test]
fn what_a_child_writes_right_before_its_exit_arrives_whole() {
    run(async {
        for _ in 0..20 {
            let (trace, protocol) = Trace::start();
            let child = helper(["spam", "100000"]).pty(Pty::new(SIZE).raw(true));
            let process = child.spawn(&protocol).await.unwrap();
            let history = trace.ended(&process).await;
            history.assert_rules(&[0, 1]);
            assert_eq!(history.data(1), pattern(100_000));
            assert_eq!(history.closes()[&1], CloseReason::ByChild);
            assert_eq!(history.status().code(), Some(0));
        }
    });
}

#[test]
fn a_child_that_closes_its_terminal_and_lives_on_is_not_hung_up() {
    run(async {
        for _ in 0..200 {
            let (trace, protocol) = Trace::start();
            let child = helper([
                "say", "ready", "close", "0", "close", "1", "close", "2", "drain", "3",
            ])
            .pty(SIZE)
            .fd(3, actix_process::Fd::write());
            let process = child.spawn(&protocol).await.unwrap();
            assert_eq!(trace.lost(&process, 1).await, CloseReason::ByChild);
            assert_eq!(trace.lost(&process, 0).await, CloseReason::ByChild);
            assert_eq!(process.write("x"), Err(WriteError::Closed { fd: 0 }));
            assert_eq!(process.resize(SIZE), Err(ResizeError::Closed));
            process.close_child_fd(3);
            let history = trace.ended(&process).await;
            assert_eq!(history.status().code(), Some(0), "{:?}", history.status());
            assert_eq!(history.text(1), "ready\r\n");
        }
    });
}

#[test]
fn keys_make_signals() {
    run(async {
        for (key, signal) in [("\x03", Signal::INT), ("\x1c", Signal::QUIT)] {
            let (trace, protocol) = Trace::start();
            let child = helper(["say", "ready", "pause"]).pty(SIZE);
            let process = child.spawn(&protocol).await.unwrap();
            trace.output(&process, 1, "ready").await;
            process.write(key).unwrap();
            let history = trace.ended(&process).await;
            history.assert_rules(&[0, 1]);
            assert_eq!(history.status().signal(), Some(signal));
        }
        let (trace, protocol) = Trace::start();
        let process = helper(["cat"]).pty(SIZE).spawn(&protocol).await.unwrap();
        process.write("hello\n\x04").unwrap();
        let history = trace.ended(&process).await;
        assert_eq!(history.text(1), "hello\r\nhello\r\n");
        assert_eq!(history.status().code(), Some(0));
    });
}

#[test]
fn lose_connection_flushes_and_hangs_up() {
    run(async {
        let (trace, protocol) = Trace::start();
        let child = helper(["say", "ready", "drain", "0"]).pty(Pty::new(SIZE).raw(true));
        let process = child.spawn(&protocol).await.unwrap();
        trace.output(&process, 1, "ready").await;
        process.write(vec![b'x'; 1_000_000]).unwrap();
        process.lose_connection();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1]);
        assert_eq!(history.closes()[&0], CloseReason::ByParent);
        assert_eq!(history.closes()[&1], CloseReason::ByParent);
        assert_eq!(history.status().signal(), Some(Signal::HUP));
    });
}

#[test]
fn senseless_combinations_are_refused() {
    run(async {
        let base = || Command::new("true").pty(SIZE);
        for (command, says) in [
            (base().process_group(0), "process_group"),
            (base().stdin(actix_process::Fd::null()), "fd 0"),
            (base().stdout(actix_process::Fd::read()), "fd 1"),
        ] {
            let error = command.spawn(actix_process::NoProtocol).await.unwrap_err();
            assert_eq!(error.step(), SpawnStep::Invalid);
            assert!(error.to_string().contains(says), "{error}");
        }
    });
}
