//! What a child's terminal is set to, and the wait for it: a password is typed when echo is off.

use crate::common;

use std::time::{Duration, Instant};

use actix::Arbiter;
use actix_process::testing::TestProcess;
use actix_process::{
    CloseReason, Command, Fd, NoProtocol, ProcessHandle, Pty, PtySize, TerminalModes,
    TerminalModesError,
};
use common::helper::helper;
use common::streams::bytes;
use common::trace::spawned;
use common::{DEADLINE, block_on_thread, run, soon};
use futures::FutureExt;
use nix::sys::signal::{SIGKILL, kill};
use nix::unistd::Pid;

const SIZE: PtySize = PtySize::new(24, 80);
const SECRET: &str = "correct horse";

/// Long enough for some looks.
const A_WHILE: Duration = Duration::from_millis(100);

fn sh(script: &str) -> Command {
    Command::new("sh")
        .args(["-c", script])
        .pty(Pty::new(SIZE).stream())
}

fn no_echo(modes: &TerminalModes) -> bool {
    !modes.echo
}

async fn waited(process: &ProcessHandle) -> Result<TerminalModes, TerminalModesError> {
    soon(
        "the modes",
        process.wait_for_terminal_modes(no_echo, DEADLINE),
    )
    .await
}

/// Echo, lines, signals.
fn three(modes: TerminalModes) -> [bool; 3] {
    [modes.echo, modes.canonical, modes.signals]
}

#[test]
fn the_modes_are_what_the_command_asked_for_and_what_the_child_made_of_them() {
    run(async {
        let new = || Pty::new(SIZE);
        let child = |pty, change: &str| {
            let script = format!("{change}; echo ready >&3; read x <&4");
            let child = Command::new("sh").args(["-c", &script]).pty(pty);
            child.fd(3, Fd::read()).fd(4, Fd::write())
        };
        for (pty, change, modes) in [
            (new(), ":", [true, true, true]),
            (new().echo(false), ":", [false, true, true]),
            (new().raw(true), ":", [false, false, false]),
            (new().raw(true).echo(true), ":", [true, false, false]),
            (new(), "stty -echo", [false, true, true]),
            (new(), "stty -icanon", [true, false, true]),
            (new(), "stty -isig", [true, true, false]),
            (new().raw(true), "stty sane", [true, true, true]),
        ] {
            let (trace, process) = spawned(child(pty, change)).await;
            trace.output(&process, 3, "ready").await;
            assert_eq!(three(process.terminal_modes().unwrap()), modes, "{change}");
            process.close_child_fd(4);
            trace.ended(&process).await;
        }
    });
}

#[test]
fn a_password_that_is_typed_once_echo_is_off_is_not_shown() {
    run(async {
        for _ in 0..10 {
            // The prompt comes first, as with some programs.
            let asks = "printf Password:; read go <&3; stty -echo; read -r word; stty echo; echo; echo got $word";
            let process = sh(asks).fd(3, Fd::write()).spawn(NoProtocol).await.unwrap();
            let mut off = Box::pin(process.wait_for_terminal_modes(no_echo, DEADLINE));
            assert_eq!(off.as_mut().now_or_never(), None);
            assert!(actix_rt::time::timeout(A_WHILE, &mut off).await.is_err());
            process.write_to_child(3, "go\n").unwrap();
            let modes = soon("echo to be off", off).await.unwrap();
            assert_eq!(three(modes), [false, true, true]);
            process.write(format!("{SECRET}\n")).unwrap();
            let shown = bytes(process.stdout().unwrap()).await;
            let shown = String::from_utf8(shown).unwrap();
            assert_eq!(shown, format!("Password:\r\ngot {SECRET}\r\n"));
        }
    });
}

#[test]
fn programs_that_ask_for_passwords_are_waited_for() {
    run(async {
        let getpass = "import getpass; getpass.getpass(); print('done')";
        let read = "read -rsp Password: word; echo done";
        for (program, script) in [("python3", getpass), ("bash", read)] {
            let child = Command::new(program).args(["-c", script]);
            let child = child.pty(Pty::new(SIZE).stream());
            let process = match child.spawn(NoProtocol).await {
                Ok(process) => process,
                // Not every machine has them.
                Err(error) => {
                    eprintln!("not tried: {error}");
                    continue;
                }
            };
            waited(&process).await.unwrap();
            process.write(format!("{SECRET}\n")).unwrap();
            let shown = bytes(process.stdout().unwrap()).await;
            let shown = String::from_utf8(shown).unwrap();
            assert!(shown.contains("done"), "{program}: {shown}");
            assert!(!shown.contains(SECRET), "{program}: {shown}");
        }
    });
}

#[test]
fn any_modes_can_be_waited_for_and_those_that_are_there_come_at_once() {
    run(async {
        let child = sh("read go <&3; stty raw; read go <&3").fd(3, Fd::write());
        let process = child.spawn(NoProtocol).await.unwrap();
        let as_they_are = process.wait_for_terminal_modes(|_| true, Duration::ZERO);
        let modes = as_they_are.now_or_never().expect("at once").unwrap();
        assert_eq!(three(modes), [true, true, true]);
        process.write_to_child(3, "go\n").unwrap();
        let mut looks = 0;
        let raw = |modes: &TerminalModes| {
            looks += 1;
            !modes.canonical && !modes.signals
        };
        let waited = process.wait_for_terminal_modes(raw, DEADLINE);
        let modes = soon("raw modes", waited).await.unwrap();
        assert_eq!(three(modes), [true, false, false]);
        assert!(looks >= 1);
        process.close_child_fd(3);
        drop(process.stdout().unwrap());
        soon("its end", process.ended()).await;
    });
}

#[test]
fn without_a_terminal_there_are_no_modes() {
    run(async {
        let process = helper(["drain", "0"]).spawn(NoProtocol).await.unwrap();
        assert_eq!(
            process.terminal_modes(),
            Err(TerminalModesError::NoTerminal)
        );
        assert_eq!(waited(&process).await, Err(TerminalModesError::NoTerminal));
        process.close_stdin();
        let null = helper(["exit"]).stdin(Fd::null()).spawn(NoProtocol).await;
        let refused = null.unwrap().terminal_modes();
        assert_eq!(refused, Err(TerminalModesError::NoTerminal));
        let tests = TestProcess::with_pty().handle();
        assert_eq!(tests.terminal_modes(), Err(TerminalModesError::Closed));
        assert_eq!(waited(&tests).await, Err(TerminalModesError::Closed));
    });
}

#[test]
fn the_wait_ends_when_the_child_exits_or_closes_its_terminal() {
    run(async {
        // It never asks.
        let process = sh("read go <&3").fd(3, Fd::write()).spawn(NoProtocol).await;
        let process = process.unwrap();
        let mut waiting = Box::pin(process.wait_for_terminal_modes(no_echo, 10 * DEADLINE));
        assert_eq!(waiting.as_mut().now_or_never(), None);
        process.close_child_fd(3);
        let closed = Err(TerminalModesError::Closed);
        assert_eq!(soon("its exit", waiting).await, closed);
        drop(process.stdout().unwrap());
        soon("its end", process.ended()).await;
        assert_eq!(process.terminal_modes(), closed);

        // The child lives on without it.
        let child = helper(["close", "0", "close", "1", "close", "2", "drain", "3"]);
        let (trace, process) = spawned(child.pty(SIZE).fd(3, Fd::write())).await;
        assert_eq!(waited(&process).await, closed);
        assert_eq!(process.try_status(), None);
        assert_eq!(trace.lost(&process, 1).await, CloseReason::ByChild);
        process.close_child_fd(3);
        trace.ended(&process).await;

        // This side hangs up.
        let process = helper(["pause"]).pty(SIZE).spawn(NoProtocol).await.unwrap();
        let waiting = process.wait_for_terminal_modes(no_echo, 10 * DEADLINE);
        process.lose_connection();
        assert_eq!(soon("the hang-up", waiting).await, closed);
    });
}

#[test]
fn a_descendant_that_keeps_the_terminal_does_not_keep_the_wait() {
    run(async {
        let child = helper(["ignore", "1", "leave", "1", "pause"]).pty(SIZE);
        let (trace, process) = spawned(child).await;
        assert_eq!(waited(&process).await, Err(TerminalModesError::Closed));
        let said = trace.output(&process, 1, "\n").await;
        let said = String::from_utf8(said).unwrap();
        let pid = said.trim().strip_prefix("held ").unwrap().parse().unwrap();
        kill(Pid::from_raw(pid), SIGKILL).unwrap();
        trace.ended(&process).await;
    });
}

#[test]
fn time_is_over_when_the_caller_said_so_with_the_modes_of_the_last_look() {
    run(async {
        let process = helper(["pause"]).pty(SIZE).spawn(NoProtocol).await.unwrap();
        for timeout in [Duration::ZERO, Duration::from_millis(1), A_WHILE] {
            let begun = Instant::now();
            let waited = process.wait_for_terminal_modes(no_echo, timeout);
            match soon("the end of the time", waited).await {
                Err(TerminalModesError::TimedOut { modes }) => {
                    assert_eq!(three(modes), [true, true, true]);
                }
                other => panic!("{other:?}"),
            }
            assert!(begun.elapsed() >= timeout, "{:?}", begun.elapsed());
        }
        // It begins with the call.
        let waited = process.wait_for_terminal_modes(no_echo, A_WHILE);
        actix_rt::time::sleep(2 * A_WHILE).await;
        let error = waited.now_or_never().expect("time was over").unwrap_err();
        let text = error.to_string();
        assert!(text.contains("echo is on, lines are on"), "{text}");
        assert!(process.kill());
        soon("its end", process.ended()).await;
    });
}

#[test]
fn a_thread_without_a_runtime_can_wait() {
    run(async {
        let child = sh("read go <&3; stty -echo; read go <&3").fd(3, Fd::write());
        let arbiter = Arbiter::new();
        let (tell, told) = std::sync::mpsc::channel();
        arbiter.spawn(async move {
            let _ = tell.send(child.spawn(NoProtocol).await.unwrap());
        });
        // No runtime serves this thread meanwhile.
        let process = told.recv_timeout(DEADLINE).unwrap();
        let mut waited = Box::pin(process.wait_for_terminal_modes(no_echo, DEADLINE));
        assert_eq!(waited.as_mut().now_or_never(), None);
        process.write_to_child(3, "go\n").unwrap();
        let modes = block_on_thread(waited).unwrap();
        assert_eq!(three(modes), [false, true, true]);
        arbiter.stop();
        soon("its end", process.ended()).await;
    });
}
