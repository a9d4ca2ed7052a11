//! Much data: through `cat` while paused and resumed, past a slow protocol, between arbiters.

use crate::common;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use actix::prelude::*;
use actix_process::{Bytes, CloseReason, Command, ExitStatus, ProcessHandle, ProcessProtocol};
use actix_process::{Spawn, process_protocol};
use common::helper::{helper, pattern};
use common::isolated::isolated;
use common::trace::{Trace, data_of, spawned};
use common::{amount, peak_memory, run};
use tokio::sync::oneshot;

const TOTAL: usize = 100 * 1024 * 1024;
const PIECE: usize = 64 * 1024 - 3;
/// So much is written ahead of what came back: more than the pipes and `cat` hold.
const AHEAD: usize = 1024 * 1024;

/// Sends a stream through an echoing child as the child takes it, pausing it over and over, and
/// holds every byte that comes back against what was sent.
struct Loop {
    block: Bytes,
    /// Written, but not back yet.
    flying: VecDeque<Bytes>,
    sent: usize,
    back: usize,
    pauses: usize,
    paused: bool,
    done: Option<oneshot::Sender<(usize, usize, ExitStatus)>>,
}

impl Loop {
    fn send(&mut self, process: &ProcessHandle) {
        while self.sent < TOTAL && self.sent - self.back < AHEAD {
            // Each piece begins elsewhere in the block, so that no two places look alike.
            let begin = (self.sent / PIECE * 7919) % (self.block.len() - PIECE);
            let piece = self
                .block
                .slice(begin..begin + PIECE.min(TOTAL - self.sent));
            self.sent += piece.len();
            self.flying.push_back(piece.clone());
            process.write(piece).unwrap();
            if self.sent == TOTAL {
                process.close_stdin();
            }
        }
    }

    fn compare(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let front = self
                .flying
                .front_mut()
                .expect("more came back than was sent");
            let both = data.len().min(front.len());
            let wanted = front.split_to(both);
            assert!(wanted == data[..both], "other bytes after {}", self.back);
            if front.is_empty() {
                self.flying.pop_front();
            }
            data = &data[both..];
            self.back += both;
        }
    }
}

impl Actor for Loop {
    type Context = Context<Self>;
}

impl ProcessProtocol for Loop {
    fn connection_made(&mut self, process: &ProcessHandle, _: &mut Context<Self>) {
        self.send(process);
    }

    fn out_received(&mut self, process: &ProcessHandle, data: Bytes, ctx: &mut Context<Self>) {
        self.compare(&data);
        self.send(process);
        if !self.paused && self.back / (1024 * 1024) > self.pauses {
            self.paused = true;
            self.pauses += 1;
            process.pause_producing();
            let process = process.clone();
            ctx.run_later(Duration::from_millis(1), move |this, _| {
                this.paused = false;
                process.resume_producing();
            });
        }
    }

    fn process_ended(&mut self, _: &ProcessHandle, status: ExitStatus, _: &mut Context<Self>) {
        let told = (self.back, self.pauses, status);
        let _ = self.done.take().unwrap().send(told);
    }
}
process_protocol!(Loop);

#[test]
fn a_hundred_mebibytes_pass_cat_both_ways_while_paused_and_resumed() {
    run(async {
        let (done, told) = oneshot::channel();
        let protocol = Loop {
            block: pattern(4 * PIECE).into(),
            flying: VecDeque::new(),
            sent: 0,
            back: 0,
            pauses: 0,
            paused: false,
            done: Some(done),
        };
        let _process = Command::new("cat").spawn(protocol.start()).await.unwrap();
        let told = actix_rt::time::timeout(common::DEADLINE, told).await;
        let (back, pauses, status) = told.expect("it hangs").expect("the protocol panicked");
        assert_eq!(back, TOTAL);
        assert!(status.success(), "{status}");
        assert!(pauses >= 20, "paused {pauses} times only");
    });
}

/// A protocol that takes a millisecond for each chunk.
struct Slow {
    bytes: Arc<Mutex<usize>>,
}

impl Actor for Slow {
    type Context = Context<Self>;
}

impl ProcessProtocol for Slow {
    fn out_received(&mut self, _: &ProcessHandle, data: Bytes, _: &mut Context<Self>) {
        thread::sleep(Duration::from_millis(1));
        *self.bytes.lock().unwrap() += data.len();
    }
}
process_protocol!(Slow);

fn assert_flat(elsewhere: bool) {
    let size = amount(200_000_000, 50_000_000);
    run(async {
        let bytes = Arc::new(Mutex::new(0));
        let slow = Slow {
            bytes: Arc::clone(&bytes),
        };
        let protocol = if elsewhere {
            Slow::start_in_arbiter(&Arbiter::new().handle(), |_| slow)
        } else {
            slow.start()
        };
        let first = helper(["pour", "3000000"]).spawn(&protocol).await.unwrap();
        first.ended().await;
        let before = peak_memory();
        let child = helper(["pour", &size.to_string()]);
        let process = child.spawn(&protocol).await.unwrap();
        process.ended().await;
        // The last event is queued. The kernel's count may lag by some pages, either way.
        let grown = peak_memory().saturating_sub(before);
        assert!(grown < 8 << 20, "{grown} bytes more than before");
        common::eventually(
            "all data",
            || (*bytes.lock().unwrap() == size + 3_000_000).then_some(()),
            || format!("{} bytes", bytes.lock().unwrap()),
        )
        .await;
    });
}

#[test]
fn memory_stays_flat_under_a_slow_protocol() {
    isolated(|| assert_flat(false));
}

#[test]
fn memory_stays_flat_under_a_slow_protocol_on_another_arbiter() {
    isolated(|| assert_flat(true));
}

#[test]
fn a_pause_of_one_descriptor_leaves_the_other_running() {
    run(async {
        let child = helper([
            "take", "0", "1", "say", "one", "tell", "2", "two", "drain", "0",
        ]);
        let (trace, process) = spawned(child).await;
        process.pause_child_fd(1);
        process.write("x").unwrap();
        trace.output(&process, 2, "two").await;
        // Said before "two"; and some time for a reader that does not pause.
        actix_rt::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(data_of(&trace.of(&process), 1), b"");
        process.resume_child_fd(1);
        trace.output(&process, 1, "one").await;
        process.close_stdin();
        trace.ended(&process).await.assert_rules(&[0, 1, 2]);
    });
}

#[test]
fn pauses_do_not_add_up_and_a_resume_without_a_pause_is_nothing() {
    run(async {
        let (trace, process) = spawned(helper(["cat"])).await;
        process.resume_producing();
        process.pause_producing();
        process.pause_producing();
        process.pause_child_fd(1);
        process.resume_producing();
        process.write("through\n").unwrap();
        trace.output(&process, 1, "through").await;
        process.close_stdin();
        trace.ended(&process).await.assert_rules(&[0, 1, 2]);
    });
}

#[test]
fn a_paused_descriptor_can_be_closed() {
    run(async {
        let child = helper(["ignore", "13", "say", "lost", "drain", "0"]);
        let (trace, process) = spawned(child).await;
        process.pause_producing();
        process.lose_connection();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2]);
        assert_eq!(history.closes()[&1], CloseReason::ByParent);
        assert_eq!(history.status().code(), Some(0));
    });
}

#[test]
fn children_of_protocols_on_two_arbiters_flow_side_by_side() {
    run(async {
        const SIZE: usize = 5_000_000;
        let arbiters = [Arbiter::new(), Arbiter::new()];
        let mut running = Vec::new();
        for arbiter in &arbiters {
            let (trace, protocol) = Trace::start_in(&arbiter.handle());
            let spawn = Spawn::new(helper(["cat"]), &protocol);
            let supervisor = actix_process::ProcessSupervisor::current().unwrap();
            let process = supervisor.send(spawn).await.unwrap().unwrap();
            running.push((trace, process));
        }
        let sent = pattern(SIZE);
        for (_, process) in &running {
            process.write(sent.clone()).unwrap();
            process.close_stdin();
        }
        for (trace, process) in &running {
            let history = trace.ended(process).await;
            history.assert_rules(&[0, 1, 2]);
            assert!(history.data(1) == sent, "other bytes came back");
        }
        for arbiter in &arbiters {
            arbiter.stop();
        }
    });
}

/// Notes on which thread it is called.
struct Where {
    threads: Arc<Mutex<Vec<ThreadId>>>,
}

impl Where {
    fn note(&self) {
        self.threads.lock().unwrap().push(thread::current().id());
    }
}

impl Actor for Where {
    type Context = Context<Self>;
}

impl ProcessProtocol for Where {
    fn connection_made(&mut self, _: &ProcessHandle, _: &mut Context<Self>) {
        self.note();
    }
    fn out_received(&mut self, _: &ProcessHandle, _: Bytes, _: &mut Context<Self>) {
        self.note();
    }
    fn process_ended(&mut self, _: &ProcessHandle, _: ExitStatus, _: &mut Context<Self>) {
        self.note();
    }
}
process_protocol!(Where);

#[test]
fn a_protocol_is_called_on_its_own_arbiter_wherever_the_spawn_was_asked() {
    run(async {
        let arbiter = Arbiter::new();
        let (tell, told) = oneshot::channel();
        arbiter.spawn_fn(move || tell.send(thread::current().id()).unwrap());
        let there = told.await.unwrap();
        let threads = Arc::new(Mutex::new(Vec::new()));
        let notes = Where {
            threads: Arc::clone(&threads),
        };
        let protocol = Where::start_in_arbiter(&arbiter.handle(), |_| notes);
        let process = helper(["say", "hello"]).spawn(&protocol).await.unwrap();
        process.ended().await;
        let seen = || threads.lock().unwrap().clone();
        common::eventually(
            "three callbacks",
            || (seen().len() == 3).then_some(()),
            || format!("{:?}", seen()),
        )
        .await;
        assert_eq!(seen(), [there; 3]);
        arbiter.stop();
    });
}

/// More than a read takes waits in its pipe, all written before, and no close makes up for a lost wake.
#[test]
fn a_busy_child_that_falls_silent_is_read_to_its_last_byte() {
    const FIRST: usize = 3_000_000;
    const REST: usize = 1024 * 1024;
    run(async {
        let [first, rest] = [FIRST, REST].map(|size| size.to_string());
        let child = helper(["spam", &first, "take", "0", "1", "spam", &rest, "tell", "2"]);
        let (trace, process) = spawned(child.args(["done", "pause"])).await;
        let all =
            |size| move |events: &[_]| Some(data_of(events, 1)).filter(|data| data.len() >= size);
        trace.until(&process, "the first", all(FIRST)).await;
        process.pause_child_fd(1);
        let output = format!("/proc/{}/fd/1", process.pid().unwrap());
        let output = std::fs::OpenOptions::new()
            .write(true)
            .open(output)
            .unwrap();
        nix::fcntl::fcntl(&output, nix::fcntl::FcntlArg::F_SETPIPE_SZ(REST as i32)).unwrap();
        drop(output);
        process.write("x").unwrap();
        trace.output(&process, 2, "done").await;
        process.resume_child_fd(1);
        let data = trace.until(&process, "the rest", all(FIRST + REST)).await;
        assert!(
            data == [pattern(FIRST), pattern(REST)].concat(),
            "other bytes came"
        );
        assert!(process.kill());
        trace.ended(&process).await.assert_rules(&[0, 1, 2]);
    });
}
