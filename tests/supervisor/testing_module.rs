//! How users test their own protocols: `actix_process::testing`, without any child.

use crate::common;

use std::time::Duration;

use actix::prelude::*;
use actix_process::testing::{Recorded, TestProcess};
use actix_process::{Bytes, CloseReason, ExitStatus, FromProcess, ProcessEvent};
use actix_process::{
    ProcessHandle, ProcessProtocol, PtySize, ResizeError, Signal, WriteError, process_protocol,
};
use common::run;

/// The protocol under test: asks a question, ends a child that answers "no", and slows one down
/// that says much on its standard error.
#[derive(Default)]
struct Asker {
    answer: String,
    complaints: usize,
    lost: Vec<(i32, CloseReason)>,
    exited: Option<ExitStatus>,
    ended: bool,
}

impl Actor for Asker {
    type Context = Context<Self>;
}

impl ProcessProtocol for Asker {
    fn connection_made(&mut self, process: &ProcessHandle, _: &mut Context<Self>) {
        process.write_sequence(["well", "?\n"]).unwrap();
        process.close_stdin();
    }

    fn out_received(&mut self, process: &ProcessHandle, data: Bytes, _: &mut Context<Self>) {
        self.answer.push_str(std::str::from_utf8(&data).unwrap());
        if self.answer == "no\n" {
            assert!(process.terminate(Duration::from_secs(5)));
        }
    }

    fn err_received(&mut self, process: &ProcessHandle, data: Bytes, _: &mut Context<Self>) {
        self.complaints += data.len();
        if self.complaints > 10 {
            process.pause_child_fd(2);
        }
    }

    fn out_connection_lost(
        &mut self,
        _: &ProcessHandle,
        reason: CloseReason,
        _: &mut Context<Self>,
    ) {
        self.lost.push((1, reason));
    }

    fn process_exited(&mut self, _: &ProcessHandle, status: ExitStatus, _: &mut Context<Self>) {
        self.exited = Some(status);
    }

    fn process_ended(&mut self, _: &ProcessHandle, _: ExitStatus, _: &mut Context<Self>) {
        self.ended = true;
    }
}
process_protocol!(Asker);

/// What the test asks the protocol for.
#[derive(Message)]
#[rtype(result = "Asker")]
struct Take;

impl Handler<Take> for Asker {
    type Result = MessageResult<Take>;

    fn handle(&mut self, _: Take, _: &mut Context<Self>) -> Self::Result {
        MessageResult(std::mem::take(self))
    }
}

fn data(fd: i32, text: &'static str) -> ProcessEvent {
    ProcessEvent::ChildDataReceived {
        fd,
        data: Bytes::from_static(text.as_bytes()),
    }
}

/// Sends events as the crate would, and waits until they are handled.
async fn play(test: &TestProcess, events: Vec<ProcessEvent>) -> Asker {
    let protocol = Asker::default().start();
    for event in events {
        protocol.do_send(FromProcess::new(test.handle(), event));
    }
    protocol.send(Take).await.unwrap()
}

#[test]
fn a_protocols_commands_are_recorded_in_order() {
    run(async {
        let test = TestProcess::new();
        let asker = play(
            &test,
            vec![ProcessEvent::ConnectionMade, data(1, "n"), data(1, "o\n")],
        )
        .await;
        assert_eq!(asker.answer, "no\n");
        assert_eq!(
            test.commands(),
            [
                Recorded::Write {
                    fd: 0,
                    data: "well".into()
                },
                Recorded::Write {
                    fd: 0,
                    data: "?\n".into()
                },
                Recorded::Close { fd: 0 },
                Recorded::Terminate(Duration::from_secs(5)),
            ]
        );
        assert_eq!(test.commands(), [], "they are taken");
    });
}

#[test]
fn every_event_reaches_its_callback() {
    run(async {
        let test = TestProcess::new();
        let status = ExitStatus::from_code(3);
        let reason = CloseReason::ByChild;
        let events = vec![
            data(2, "oh dear, oh dear"),
            ProcessEvent::ChildConnectionLost { fd: 1, reason },
            ProcessEvent::ProcessExited { status },
            ProcessEvent::ProcessEnded { status },
        ];
        let asker = play(&test, events).await;
        assert_eq!(asker.lost, [(1, reason)]);
        assert_eq!(asker.exited, Some(status));
        assert!(asker.ended);
        assert_eq!(test.commands(), [Recorded::Pause { fd: 2 }]);
    });
}

#[test]
fn a_callback_can_be_called_by_hand_without_a_system() {
    let test = TestProcess::with_fds(&[0, 3], &[1, 4]);
    let process = test.handle();
    process.write_to_child(3, "three").unwrap();
    process.signal(Signal::HUP).unwrap();
    assert!(process.kill());
    process.signal_group(Signal::INT).unwrap();
    assert!(process.terminate_group(Duration::ZERO));
    process.pause_producing();
    process.resume_child_fd(4);
    process.abort(3);
    let three = Recorded::Write {
        fd: 3,
        data: "three".into(),
    };
    assert_eq!(
        test.commands(),
        [
            three,
            Recorded::Signal(Signal::HUP),
            Recorded::Signal(Signal::KILL),
            Recorded::SignalGroup(Signal::INT),
            Recorded::TerminateGroup(Duration::ZERO),
            Recorded::Pause { fd: 1 },
            Recorded::Pause { fd: 4 },
            Recorded::Resume { fd: 4 },
            Recorded::Abort { fd: 3 },
        ]
    );
    process.lose_connection();
    let closes = [0, 3, 1, 4].map(|fd| Recorded::Close { fd });
    assert_eq!(test.commands(), closes);
}

#[test]
fn writes_fail_as_those_to_a_real_child_do() {
    let test = TestProcess::new();
    let process = test.handle();
    let not_writable = |fd| Err(WriteError::NotWritable { fd });
    assert_eq!(process.write_to_child(1, "x"), not_writable(1));
    assert_eq!(process.write_to_child(7, "x"), not_writable(7));
    process.close_stdin();
    assert_eq!(process.write("x"), Err(WriteError::Closed { fd: 0 }));
    assert_eq!(test.commands(), [Recorded::Close { fd: 0 }]);
}

#[test]
fn the_handles_futures_follow_the_test() {
    run(async {
        let test = TestProcess::new();
        let process = test.handle();
        let (exited, ended) = (process.exited(), process.ended());
        assert_eq!(process.try_status(), None);
        let status = ExitStatus::from_signal(Signal::TERM);
        test.exit(status);
        assert_eq!(exited.await, status);
        assert_eq!(process.try_status(), Some(status));
        test.end();
        assert_eq!(ended.await, status);
        drop(test);
        assert_eq!(process.ended().await, status);
    });
}

#[test]
fn who_waits_for_a_dropped_test_gets_an_unknown_status() {
    run(async {
        let test = TestProcess::new();
        let process = test.handle();
        let (exited, ended) = (process.exited(), process.ended());
        let waiting = actix_rt::spawn(ended);
        tokio::task::yield_now().await;
        drop(test);
        assert_eq!(waiting.await.unwrap(), ExitStatus::Unknown);
        assert_eq!(exited.await, ExitStatus::Unknown);
    });
}

#[test]
fn a_terminal_records_its_size_and_closes_as_one() {
    let test = TestProcess::with_pty();
    let process = test.handle();
    let size = PtySize::new(50, 132);
    process.resize(size).unwrap();
    process.close_stdin();
    process.lose_connection();
    assert_eq!(
        test.commands(),
        [
            Recorded::Resize(size),
            Recorded::Close { fd: 0 },
            Recorded::Close { fd: 1 }
        ]
    );
    let plain = TestProcess::new();
    assert_eq!(plain.handle().resize(size), Err(ResizeError::NoTerminal));
    assert_eq!(plain.commands(), []);
}

#[test]
fn a_test_process_has_no_pid_and_was_born_with_one_that_no_process_has() {
    let handle = TestProcess::new().handle();
    assert_eq!(handle.pid(), None);
    assert_eq!(handle.spawned_pid(), i32::MAX);
    // SAFETY: sends nothing.
    let found = unsafe { nix::libc::kill(handle.spawned_pid(), 0) };
    assert_eq!(found, -1);
}
