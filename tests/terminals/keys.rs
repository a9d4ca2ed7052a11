//! Keys: bytes that the line discipline of a terminal acts on.

use crate::common;

use actix_process::{Command, Pty, PtySize, Signal};
use common::census::is_gone;
use common::helper::helper;
use common::trace::{Trace, spawned};
use common::{eventually, run};

const SIZE: PtySize = PtySize::new(24, 80);

#[test]
fn ctrl_c_and_ctrl_backslash_make_signals() {
    run(async {
        for (key, signal) in [("\x03", Signal::INT), ("\x1c", Signal::QUIT)] {
            let child = helper(["say", "ready", "pause"]).pty(SIZE);
            let (trace, process) = spawned(child).await;
            trace.output(&process, 1, "ready").await;
            process.write(key).unwrap();
            let history = trace.ended(&process).await;
            history.assert_rules(&[0, 1]);
            assert_eq!(history.status().signal(), Some(signal));
        }
    });
}

#[test]
fn ctrl_c_reaches_the_whole_foreground_and_no_other_terminal() {
    run(async {
        let (trace, protocol) = Trace::start();
        let child = helper(["leave", "1", "pause", "pause"]).pty(SIZE);
        let other = child.spawn(&protocol).await.unwrap();
        let process = child.spawn(&protocol).await.unwrap();
        let said = trace.output(&process, 1, "\n").await;
        let said = String::from_utf8(said).unwrap();
        let descendant = said["held ".len()..].trim_end().parse().unwrap();
        process.write("\x03").unwrap();
        let history = trace.ended(&process).await;
        assert_eq!(history.status().signal(), Some(Signal::INT));
        let dead = || is_gone(descendant).then_some(());
        eventually("the descendant's death", dead, || format!("{descendant}")).await;
        assert_eq!(other.try_status(), None);
        assert!(other.kill());
        trace.ended(&other).await;
    });
}

#[test]
fn ctrl_z_makes_a_signal_too() {
    run(async {
        let child = helper(["block", "20", "say", "ready", "await", "20"]).pty(SIZE);
        let (trace, process) = spawned(child).await;
        trace.output(&process, 1, "ready").await;
        process.write("\x1a").unwrap();
        let history = trace.ended(&process).await;
        let said = history.text(1);
        assert!(said.ends_with("got 20\r\n"), "{said}");
        assert_eq!(history.status().code(), Some(0));
    });
}

#[test]
fn ctrl_d_ends_the_input_once_the_line_is_out() {
    run(async {
        for (typed, shown) in [
            ("\x04", ""),
            ("hello\n\x04", "hello\r\nhello\r\n"),
            // In the middle of a line it only sends that.
            ("hello\x04\x04", "hellohello"),
        ] {
            let (trace, process) = spawned(helper(["cat"]).pty(SIZE)).await;
            process.write(typed).unwrap();
            let history = trace.ended(&process).await;
            history.assert_rules(&[0, 1]);
            assert_eq!(history.text(1), shown);
            assert_eq!(history.status().code(), Some(0));
        }
    });
}

#[test]
fn a_line_is_edited_before_the_child_sees_it() {
    run(async {
        let pty = Pty::new(SIZE).echo(false);
        let (trace, process) = spawned(helper(["cat"]).pty(pty)).await;
        process.write("wrong\x15rigt\x7fht\n\x04").unwrap();
        assert_eq!(trace.ended(&process).await.text(1), "right\r\n");
    });
}

#[test]
fn on_a_raw_terminal_keys_are_bytes() {
    run(async {
        let typed: Vec<u8> = (0..=255).collect();
        let child = Command::new("head").args(["-c", "256"]);
        let child = child.pty(Pty::new(SIZE).raw(true));
        let (trace, process) = spawned(child).await;
        process.write(typed.clone()).unwrap();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1]);
        assert_eq!(history.data(1), typed);
        assert_eq!(history.status().code(), Some(0));
    });
}

/// GNU cat closes 0, 1 and 2 before it exits. Twisted hung it up then, mostly.
#[test]
fn cat_exits_0_at_ctrl_d_200_times() {
    run(async {
        for _ in 0..200 {
            let cat = Command::new("cat").pty(SIZE);
            let (trace, process) = spawned(cat).await;
            process.write("line\n\x04").unwrap();
            let history = trace.ended(&process).await;
            history.assert_rules(&[0, 1]);
            let seen = (history.text(1), history.status().code());
            let wanted = ("line\r\nline\r\n".to_owned(), Some(0));
            assert_eq!(seen, wanted, "{:?}", history.status());
        }
    });
}
