//! Lines for callbacks: `Fd::lines`, its event and its callback.

use crate::common;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::tools::two_parts::two_parts;
use actix::prelude::*;
use actix_process::{
    CloseReason, Command, Fd, FromProcess, Line, LineEnd, NoProtocol, ProcessEvent,
    ProcessProtocol, SpawnStep,
};
use common::helper::{helper, hex};
use common::trace::{history, spawned};
use common::{eventually, run};

const MAX: usize = 1000;

fn lines(actions: &[&str]) -> Command {
    helper(actions).stdout(Fd::lines(MAX))
}

/// A line as a test writes it down: `...` where it goes on from a cut, and its end.
fn shown(line: &Line) -> String {
    let begin = if line.continues { "..." } else { "" };
    let end = match line.end {
        LineEnd::Newline => "$",
        LineEnd::Cut => "...",
        LineEnd::Closed => "|",
        _ => "?",
    };
    format!("{begin}{}{end}", line.to_string_lossy())
}

fn all_shown(lines: &[Line]) -> Vec<String> {
    lines.iter().map(shown).collect()
}

#[test]
fn rule_16_lines_come_in_order_one_a_message_before_the_close_and_the_end() {
    run(async {
        let say = helper(["say", "one", "tell", "2", "oops", "say", "two", "put", "1"])
            .arg(hex("half"))
            .stdout(Fd::lines(MAX));
        for command in [say.clone(), say.stderr(Fd::lines(MAX))] {
            let history = history(&command).await;
            history.assert_rules(&[0, 1, 2]);
            assert_eq!(all_shown(&history.lines(1)), ["one$", "two$", "half|"]);
            assert!(history.data(1).is_empty(), "its lines are no data as well");
            match history.lines(2).as_slice() {
                [] => assert_eq!(history.data(2), b"oops\n"),
                lines => assert_eq!(all_shown(lines), ["oops$"]),
            }
        }
    });
}

#[test]
fn lines_do_not_depend_on_where_the_reads_end() {
    run(async {
        let text = b"one\r\n\ntw\ro\r\r\n\r\nthree\xff\n\n12345678901234567890\nhalf\r";
        let wanted = [
            "one$",
            "$",
            "tw\ro\r$",
            "$",
            "three\u{fffd}$",
            "$",
            "12345678...",
            "...90123456...",
            "...7890$",
            "half\r|",
        ];
        for action in ["put", "dribble"] {
            let child = helper([action, "1", &hex(text)]).stdout(Fd::lines(8));
            let lines = history(&child).await.lines(1);
            assert_eq!(all_shown(&lines), wanted, "by {action}");
        }
        for border in 1..text.len() {
            let (begin, end) = text.split_at(border);
            let child = two_parts(begin, end).stdout(Fd::lines(8));
            let (trace, process) = spawned(child).await;
            trace.output(&process, 2, "half").await;
            process.write("x").unwrap();
            let lines = trace.ended(&process).await.lines(1);
            assert_eq!(all_shown(&lines), wanted, "cut at {border}");
        }
    });
}

#[test]
fn of_a_line_that_is_too_long_no_byte_is_lost() {
    run(async {
        const SIZE: usize = 30_000;
        let child = helper(["spam", &SIZE.to_string()]).stdout(Fd::lines(7));
        let history = history(&child).await;
        let mut text = Vec::new();
        for line in history.lines(1) {
            assert!(line.text.len() <= 7);
            text.extend_from_slice(&line.text);
            if line.end == LineEnd::Newline {
                text.push(b'\n');
            }
        }
        // A carriage return before a newline is no text.
        let wanted = String::from_utf8_lossy(&common::helper::pattern(SIZE)).replace("\r\n", "\n");
        assert!(
            String::from_utf8_lossy(&text) == wanted,
            "{} bytes",
            text.len()
        );
    });
}

#[test]
fn a_line_may_be_longer_than_the_window_and_comes_whole() {
    run(async {
        let command = Command::new("sh")
            .args([
                "-c",
                "head -c 300000 /dev/zero | tr '\\0' x; echo; echo after",
            ])
            .stdout(Fd::lines(1 << 20).window(4096));
        let lines = history(&command).await.lines(1);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].is_whole() && lines[0].text.len() == 300_000);
        assert_eq!(shown(&lines[1]), "after$");
    });
}

/// Keeps the messages of lines, with their credit, until it is told to let go.
#[derive(Clone, Default)]
struct Keeper {
    kept: Arc<Mutex<Vec<FromProcess>>>,
    told: Arc<Mutex<Vec<ProcessEvent>>>,
}

impl Actor for Keeper {
    type Context = Context<Self>;
}

impl Handler<FromProcess> for Keeper {
    type Result = ();

    fn handle(&mut self, message: FromProcess, ctx: &mut Context<Self>) {
        self.told.lock().unwrap().push(message.event.clone());
        match message.event {
            ProcessEvent::ChildLineReceived { .. } => self.kept.lock().unwrap().push(message),
            // So that its turns are known: without that, two milliseconds end the only one.
            _ => message.dispatch(self, ctx),
        }
    }
}

impl ProcessProtocol for Keeper {}

impl Keeper {
    fn kept(&self) -> usize {
        self.kept.lock().unwrap().len()
    }

    /// Not by a drop under the lock: it wakes the reader.
    fn let_go(&self) {
        let kept = std::mem::take(&mut *self.kept.lock().unwrap());
        drop(kept);
    }

    async fn keeps(&self, count: usize) {
        let full = || (self.kept() == count).then_some(());
        eventually("so many lines", full, || format!("{} kept", self.kept())).await;
    }

    fn is_told(&self, wanted: impl Fn(&ProcessEvent) -> bool) -> bool {
        self.told.lock().unwrap().iter().any(wanted)
    }

    async fn is_ended(&self) {
        let is_end = |event: &ProcessEvent| matches!(event, ProcessEvent::ProcessEnded { .. });
        let ended = || self.is_told(is_end).then_some(());
        let seen = || format!("{:?}", self.told.lock().unwrap().last());
        eventually("the end", ended, seen).await;
    }

    fn lines(&self) -> Vec<Line> {
        common::trace::lines_of(&self.told.lock().unwrap(), 1)
    }
}

#[test]
fn lines_whose_messages_are_kept_are_bounded_and_hold_up_the_rest_and_the_close() {
    run(async {
        let keeper = Keeper::default();
        let child = Command::new("seq").arg("1000").stdout(Fd::lines(MAX));
        let process = child.spawn(keeper.clone().start()).await.unwrap();
        keeper.keeps(64).await;
        // No wait for anything: time for a crate that breaks the rule to do so.
        actix_rt::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(keeper.kept(), 64);
        let is_close =
            |event: &ProcessEvent| matches!(event, ProcessEvent::ChildConnectionLost { fd: 1, .. });
        assert!(!keeper.is_told(is_close));
        process.exited().await;

        eventually(
            "all lines",
            || {
                keeper.let_go();
                (keeper.lines().len() == 1000).then_some(())
            },
            || format!("{} lines", keeper.lines().len()),
        )
        .await;
        keeper.let_go();
        keeper.is_ended().await;
        let wanted: Vec<String> = (1..=1000).map(|number| format!("{number}$")).collect();
        assert_eq!(all_shown(&keeper.lines()), wanted);
    });
}

#[test]
fn a_pause_and_a_close_hold_for_lines_that_were_read_and_are_not_on_their_way() {
    run(async {
        for close in [false, true] {
            let keeper = Keeper::default();
            let child = Command::new("seq").arg("1000").stdout(Fd::lines(MAX));
            let process = child.spawn(keeper.clone().start()).await.unwrap();
            keeper.keeps(64).await;
            if close {
                process.close_stdout();
                keeper.is_ended().await;
            } else {
                process.pause_producing();
            }
            keeper.let_go();
            actix_rt::time::sleep(Duration::from_millis(50)).await;
            assert_eq!(keeper.lines().len(), 64, "closed: {close}");
            if !close {
                process.resume_producing();
                let all = || {
                    keeper.let_go();
                    (keeper.lines().len() == 1000).then_some(())
                };
                eventually("the rest", all, || format!("{}", keeper.lines().len())).await;
                keeper.let_go();
                keeper.is_ended().await;
            }
        }
    });
}

#[test]
fn a_cut_tells_the_line_that_it_cut_off_and_then_the_close() {
    run(async {
        let child = lines(&[
            "say",
            "one",
            "put",
            "1",
            &hex("half"),
            "tell",
            "2",
            "ready",
            "pause",
        ]);
        let (trace, process) = spawned(child).await;
        trace.output(&process, 2, "ready").await;
        process.cut_connection();
        assert_eq!(trace.lost(&process, 1).await, CloseReason::Cut);
        let lines = common::trace::lines_of(&trace.of(&process), 1);
        assert_eq!(all_shown(&lines), ["one$", "half|"]);
        assert!(process.kill());
        trace.ended(&process).await.assert_rules(&[0, 1, 2]);
    });
}

#[test]
fn a_timeout_cuts_in_the_middle_of_a_line_but_loses_no_line_that_was_read() {
    run(async {
        // A descendant holds the pipe in the middle of a line.
        let descendant = ["leave", "1", "pause", "put", "1"];
        let child = helper(descendant).arg(hex("half")).stdout(Fd::lines(MAX));
        let child = child.ended_timeout(Duration::from_millis(200));
        let history = history(&child).await;
        let said = all_shown(&history.lines(1));
        assert_eq!(said[1..], ["half|"]);
        assert_eq!(history.closes()[&1], CloseReason::Cut);
        kill_descendant(&said[0]);

        // The protocol lets go long after the deadline.
        let text: String = (0..1000).map(|number| format!("{number}\n")).collect();
        let child = helper(["leave", "1", "pause", "put", "1", &hex(&text)]);
        let child = child.stdout(Fd::lines(MAX));
        let child = child.ended_timeout(Duration::from_millis(100));
        let keeper = Keeper::default();
        let process = child.spawn(keeper.clone().start()).await.unwrap();
        keeper.keeps(64).await;
        assert!(process.exited().await.success());
        actix_rt::time::sleep(Duration::from_millis(500)).await;
        let all = || {
            keeper.let_go();
            (keeper.lines().len() == 1001).then_some(())
        };
        eventually("all lines", all, || format!("{}", keeper.lines().len())).await;
        keeper.let_go();
        keeper.is_ended().await;
        kill_descendant(&shown(&keeper.lines()[0]));
    });
}

/// Kills the grandchild that said `held PID`.
fn kill_descendant(said: &str) {
    let pid = said.trim_end_matches('$').strip_prefix("held ").unwrap();
    let pid = nix::unistd::Pid::from_raw(pid.parse().unwrap());
    let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
}

#[test]
fn lines_for_nobody_are_thrown_away() {
    run(async {
        let child = lines(&["spam", "300000", "exit", "3"]);
        let process = child.spawn(NoProtocol).await.unwrap();
        assert_eq!(process.ended().await.code(), Some(3));
    });
}

#[test]
fn lines_of_many_descriptors_are_told_apart() {
    run(async {
        let mut child = helper([
            "tell", "5", "five", "tell", "7", "seven", "tell", "5", "end",
        ]);
        for fd in [5, 7] {
            child = child.fd(fd, Fd::lines(MAX));
        }
        let history = history(&child).await;
        history.assert_rules(&[0, 1, 2, 5, 7]);
        let of = |fd| (fd, all_shown(&history.lines(fd)));
        let wanted = [(5, vec!["five$", "end$"]), (7, vec!["seven$"])];
        let wanted =
            wanted.map(|(fd, lines)| (fd, lines.iter().map(ToString::to_string).collect()));
        assert_eq!(BTreeMap::from([of(5), of(7)]), BTreeMap::from(wanted));
    });
}

#[test]
fn lines_of_no_length_are_refused_before_anything_is_spawned() {
    run(async {
        let child = Command::new("true").stdout(Fd::lines(0));
        let error = child.spawn(NoProtocol).await.unwrap_err();
        assert_eq!(error.step(), SpawnStep::Invalid);
        assert!(error.to_string().contains("fd 1"), "{error}");
    });
}

#[test]
fn a_helper_collects_what_would_be_lines() {
    run(async {
        let output = lines(&["say", "one", "put", "1", &hex("half")])
            .output()
            .await
            .unwrap();
        assert_eq!(output.stdout, b"one\nhalf");
        assert!(Fd::lines(1).is_lines() && Fd::lines(1).is_read() && !Fd::read().is_lines());
    });
}
