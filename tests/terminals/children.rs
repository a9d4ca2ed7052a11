//! Children on terminals, real ones of the kernel's: what the child finds, and how its output and
//! its input pass.

use crate::common;

use actix_process::{CloseReason, Command, Fd, Pty, PtySize, Signal, WriteError};
use common::helper::{helper, numbers, pattern};
use common::isolated::isolated;
use common::limits::is_root;
use common::trace::{Trace, history, spawned};
use common::{run, tty};
use nix::libc;

const SIZE: PtySize = PtySize::new(24, 80);

#[test]
fn the_child_leads_a_session_that_the_terminal_controls_and_is_in_its_foreground() {
    run(async {
        let plain = helper(["session", "0", "pause"]).pty(SIZE);
        // Which it does anyway.
        for child in [plain.clone().setsid(true), plain] {
            let (trace, process) = spawned(child).await;
            let said = trace.output(&process, 1, "\n").await;
            let pid = process.pid().unwrap();
            assert_eq!(
                String::from_utf8(said).unwrap(),
                format!("session {pid} group {pid} foreground {pid} of {pid} controlled true\r\n")
            );
            assert!(process.kill());
            trace.ended(&process).await.assert_rules(&[0, 1]);
        }
    });
}

#[test]
fn the_terminal_is_0_1_and_2_and_nothing_else_is_open() {
    isolated(|| {
        // SAFETY: one more descriptor, not close-on-exec, which is left.
        assert!(unsafe { libc::dup(0) } > 2);
        let said = run(async { history(&helper(["fds"]).pty(SIZE)).await.text(1) });
        assert_eq!(numbers(&said), [0, 1, 2]);
        let what: Vec<&str> = said.lines().map(|line| &line[2..]).collect();
        assert!(what[0].starts_with("/dev/pts/"), "{said}");
        assert!(what[0].ends_with(" blocking"), "{said}");
        assert!(what.iter().all(|it| *it == what[0]), "{said}");
    });
}

#[test]
fn the_terminals_name_and_dev_tty_work() {
    run(async {
        let script = "tty && echo one > /dev/tty && echo two > \"$(tty)\"";
        let child = Command::new("sh").args(["-c", script]).pty(SIZE);
        let said = history(&child).await.text(1);
        assert!(said.starts_with("/dev/pts/"), "{said}");
        assert!(said.ends_with("\r\none\r\ntwo\r\n"), "{said}");
    });
}

#[test]
fn signals_are_default_whatever_the_parent_made_of_them() {
    isolated(|| {
        let all = [
            libc::SIGHUP,
            libc::SIGINT,
            libc::SIGQUIT,
            libc::SIGTSTP,
            libc::SIGTTOU,
        ];
        for signal in all {
            // SAFETY: no handler, only a disposition.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        }
        run(async {
            let child = helper(["status", "say", "ready", "pause"]).pty(SIZE);
            let (trace, process) = spawned(child).await;
            trace.output(&process, 1, "ready").await;
            process.write("\x03").unwrap();
            let history = trace.ended(&process).await;
            assert_eq!(history.status().signal(), Some(Signal::INT));
            let status = history.text(1);
            for mask in ["SigBlk", "SigIgn"] {
                let line = status.lines().find(|line| line.starts_with(mask));
                let line = line.unwrap();
                assert!(line.ends_with(":\t0000000000000000"), "{line}");
            }
        });
    });
}

#[test]
fn all_that_the_child_prints_is_data_of_1_with_cr_lf() {
    run(async {
        let child = helper(["say", "out", "tell", "2", "err", "tell", "0", "odd"]).pty(SIZE);
        let history = history(&child).await;
        history.assert_rules(&[0, 1]);
        assert_eq!(history.text(1), "out\r\nerr\r\nodd\r\n");
        assert_eq!(history.closes()[&0], CloseReason::ByChild);
        assert_eq!(history.closes()[&1], CloseReason::ByChild);
        assert_eq!(history.status().code(), Some(0));
    });
}

#[test]
fn what_a_child_writes_right_before_its_exit_arrives_whole() {
    run(async {
        for _ in 0..20 {
            let pty = Pty::new(SIZE).raw(true);
            let history = history(&helper(["spam", "100000"]).pty(pty)).await;
            history.assert_rules(&[0, 1]);
            assert!(history.data(1) == pattern(100_000));
            assert_eq!(history.closes()[&1], CloseReason::ByChild);
            assert_eq!(history.status().code(), Some(0));
        }
    });
}

#[test]
fn stderr_may_have_a_pipe_of_its_own() {
    run(async {
        let actions = ["say", "out", "tell", "2", "err", "fds", "close", "2", "cat"];
        let child = helper(actions).pty(SIZE).stderr(Fd::read());
        let (trace, process) = spawned(child).await;
        assert_eq!(trace.lost(&process, 2).await, CloseReason::ByChild);
        // The terminal is open all the same.
        process.write("typed\n\x04").unwrap();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2]);
        assert_eq!(history.text(2), "err\n");
        let said = history.text(1);
        assert!(said.starts_with("out\r\n0 /dev/pts/"), "{said}");
        assert!(said.contains("\r\n2 pipe:["), "{said}");
        assert!(said.ends_with("typed\r\ntyped\r\n"), "{said}");
        assert_eq!(history.status().code(), Some(0));
    });
}

#[test]
fn closing_the_pipe_of_stderr_leaves_the_terminal() {
    run(async {
        let child = helper(["say", "ready", "cat"]).pty(SIZE).stderr(Fd::read());
        let (trace, process) = spawned(child).await;
        trace.output(&process, 1, "ready").await;
        process.close_stderr();
        assert_eq!(trace.lost(&process, 2).await, CloseReason::ByParent);
        process.write("typed\n\x04").unwrap();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2]);
        assert_eq!(history.text(1), "ready\r\ntyped\r\ntyped\r\n");
    });
}

#[test]
fn stderr_may_be_something_else_than_a_pipe() {
    run(async {
        let child = helper(["say", "out", "tell", "2", "err"]).pty(SIZE);
        let history = history(&child.clone().stderr(Fd::null())).await;
        history.assert_rules(&[0, 1]);
        assert_eq!(history.text(1), "out\r\n");

        let (trace, process) = spawned(child.stderr(Fd::stream())).await;
        let stream = process.take_stream(2).unwrap();
        assert_eq!(common::streams::bytes(stream).await, b"err\n");
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2]);
        assert_eq!(history.text(1), "out\r\n");
    });
}

#[test]
fn further_descriptors_are_as_without_a_terminal() {
    run(async {
        let child = helper(["copy", "3", "5", "fds"])
            .fd(5, Fd::read())
            .pty(SIZE)
            .fd(3, Fd::write())
            .fd(9, Fd::null());
        let (trace, process) = spawned(child).await;
        process.write_to_child(3, pattern(200_000)).unwrap();
        process.close_child_fd(3);
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 3, 5]);
        assert!(history.data(5) == pattern(200_000));
        let said = history.text(1);
        assert_eq!(numbers(&said), [0, 1, 2, 3, 5, 9]);
        assert!(said.contains("\r\n9 /dev/null "), "{said}");
    });
}

#[test]
fn a_map_that_names_none_of_the_three_gets_the_terminal_there() {
    run(async {
        let map = || [(7, Fd::read())].into();
        let before = helper(["fds"]).fds(map()).pty(SIZE);
        let after = helper(["fds"]).pty(SIZE).fds(map());
        for child in [before, after] {
            let history = history(&child).await;
            history.assert_rules(&[0, 1, 7]);
            assert_eq!(numbers(&history.text(1)), [0, 1, 2, 7]);
        }
    });
}

#[test]
fn only_0_is_written() {
    run(async {
        let child = helper(["say", "ready", "cat"]).pty(SIZE);
        let (trace, process) = spawned(child).await;
        for fd in [1, 2, 3] {
            let refused = WriteError::NotWritable { fd };
            assert_eq!(process.write_to_child(fd, "x"), Err(refused));
        }
        assert!(process.take_stream(1).is_err());
        process.write_sequence(["one", "\n", "\x04"]).unwrap();
        let history = trace.ended(&process).await;
        assert_eq!(history.text(1).matches("one\r\n").count(), 2);
    });
}

#[test]
fn thousands_of_lines_typed_arrive_whole() {
    run(async {
        let lines: String = (0..5000).map(|n| format!("this is line {n}\n")).collect();
        let pty = Pty::new(SIZE).echo(false);
        let child = helper(["copy", "0", "3"]).pty(pty).fd(3, Fd::read());
        let (trace, process) = spawned(child).await;
        process.write(lines.clone()).unwrap();
        process.write("\x04").unwrap();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 3]);
        assert!(history.text(3) == lines, "{} bytes", history.data(3).len());
        assert_eq!(history.text(1), "");
    });
}

#[test]
fn other_children_have_neither_end() {
    run(async {
        let (trace, protocol) = Trace::start();
        let child = helper(["say", "ready", "pause"]).pty(SIZE);
        let process = child.spawn(&protocol).await.unwrap();
        trace.output(&process, 1, "ready").await;

        let ours = helper(["fds", "drain", "0"]);
        let ours = ours.spawn(&protocol).await.unwrap();
        let said = trace.output(&ours, 1, "2 pipe:").await;
        assert_eq!(numbers(&String::from_utf8(said).unwrap()), [0, 1, 2]);
        // One that closes nothing by itself.
        let exe = std::env::current_exe().unwrap();
        let stds = std::process::Command::new(exe)
            .args(["@helper", "fds"])
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8(stds.stdout).unwrap();
        assert!(!said.contains("/dev/ptmx"), "{said}");
        assert!(!said.contains("/dev/pts/"), "{said}");

        process.lose_connection();
        let history = trace.ended(&process).await;
        assert_eq!(history.status().signal(), Some(Signal::HUP));
        assert!(ours.kill());
        trace.ended(&ours).await;
    });
}

#[test]
fn a_host_that_leads_a_session_does_not_get_the_terminal() {
    isolated(|| {
        nix::unistd::setsid().unwrap();
        run(async {
            let history = history(&helper(["session", "0"]).pty(SIZE)).await;
            let said = history.text(1);
            assert!(said.ends_with("controlled true\r\n"), "{said}");
        });
        assert_eq!(tty::controlling_terminal(), 0);
    });
}

#[test]
fn a_host_without_0_1_and_2_can_have_children_on_terminals() {
    isolated(|| {
        let said = run(async {
            let saved: Vec<i32> = (0..3)
                // SAFETY: makes descriptors, and closes some that nothing uses meanwhile.
                .map(|fd| unsafe {
                    let saved = libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 100);
                    libc::close(fd);
                    saved
                })
                .collect();
            let child = helper(["session", "2", "fds"]).pty(SIZE);
            // A panic would not be seen.
            let (trace, protocol) = Trace::start();
            let output = match child.spawn(&protocol).await {
                Ok(process) => Ok(trace.ended(&process).await.text(1)),
                Err(error) => Err(error.to_string()),
            };
            for (fd, saved) in saved.into_iter().enumerate() {
                // SAFETY: integers.
                unsafe { libc::dup2(saved, fd as i32) };
            }
            output.unwrap()
        });
        let (session, listing) = said.split_once("\r\n").unwrap();
        assert!(session.ends_with("controlled true"), "{said}");
        assert_eq!(numbers(listing), [0, 1, 2]);
    });
}

#[test]
fn a_child_of_another_user_has_its_terminal() {
    if !is_root() {
        println!("skipped: only root can change the user");
        return;
    }
    run(async {
        let script = "id -u; echo one > /dev/tty; read line; echo \"<$line>\"";
        let child = Command::new("sh")
            .args(["-c", script])
            .uid(65534)
            .pty(Pty::new(SIZE).echo(false));
        let (trace, process) = spawned(child).await;
        process.write("typed\n").unwrap();
        let history = trace.ended(&process).await;
        let said = history.text(1);
        assert_eq!(said, "65534\r\none\r\n<typed>\r\n");
    });
}
