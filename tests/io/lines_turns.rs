//! One line after the other: a protocol that waits in the callback, the turns that a flood of lines leaves, and what the reader holds.

use crate::common;

use std::sync::{Arc, Mutex};
use std::task::Poll;

use actix::prelude::*;
use actix_process::{
    CloseReason, Command, Fd, Line, ProcessHandle, ProcessProtocol, process_protocol,
};
use common::isolated::isolated;
use common::{eventually, in_time, run, start_all_threads};

const MAX: usize = 1000;

/// Waits in each callback, by `ctx.wait`.
#[derive(Clone, Default)]
struct Waiter {
    log: Arc<Mutex<Vec<String>>>,
}

impl Actor for Waiter {
    type Context = Context<Self>;
}

impl ProcessProtocol for Waiter {
    fn line_received(&mut self, _: &ProcessHandle, _: i32, line: Line, ctx: &mut Context<Self>) {
        let log = Arc::clone(&self.log);
        let work = async move {
            log.lock()
                .unwrap()
                .push(format!("begin {}", line.to_string_lossy()));
            for _ in 0..3 {
                actix_rt::task::yield_now().await;
            }
            log.lock()
                .unwrap()
                .push(format!("end {}", line.to_string_lossy()));
        };
        ctx.wait(work.into_actor(self));
    }
    fn child_connection_lost(
        &mut self,
        _: &ProcessHandle,
        fd: i32,
        _: CloseReason,
        _: &mut Context<Self>,
    ) {
        self.log.lock().unwrap().push(format!("lost {fd}"));
    }
}
process_protocol!(Waiter);

#[test]
fn an_actor_that_waits_in_the_callback_takes_one_line_after_the_other() {
    run(async {
        let waiter = Waiter::default();
        let child = Command::new("seq").arg("200").stdout(Fd::lines(MAX));
        let child = child.stdin(Fd::null()).stderr(Fd::null());
        let process = child.spawn(waiter.clone().start()).await.unwrap();
        process.ended().await;
        let last = || waiter.log.lock().unwrap().last().cloned();
        let lost = || (last().as_deref() == Some("lost 1")).then_some(());
        eventually("the close", lost, || format!("{:?}", last())).await;
        let numbers = (1..=200).flat_map(|n| [format!("begin {n}"), format!("end {n}")]);
        let wanted: Vec<String> = numbers.chain(["lost 1".to_owned()]).collect();
        assert_eq!(*waiter.log.lock().unwrap(), wanted);
    });
}

/// Counts lines.
#[derive(Clone, Default)]
struct Counter(Arc<Mutex<usize>>);

impl Actor for Counter {
    type Context = Context<Self>;
}

impl ProcessProtocol for Counter {
    fn line_received(&mut self, _: &ProcessHandle, _: i32, _: Line, _: &mut Context<Self>) {
        *self.0.lock().unwrap() += 1;
    }
}
process_protocol!(Counter);

/// The most lines that a protocol handles between two turns of another task on its arbiter, of a child that writes
/// nothing but newlines and never stops.
async fn most_in_a_turn(arbiter: Option<&Arbiter>) -> usize {
    const ENOUGH: usize = 20_000;
    let counter = Counter::default();
    let count = Arc::clone(&counter.0);
    let (done, most) = tokio::sync::oneshot::channel();
    let mut done = Some(done);
    let (mut most_so_far, mut last) = (0, 0);
    // Ready always, and so polled whenever it is its turn.
    let beside = std::future::poll_fn(move |cx| {
        let now = *count.lock().unwrap();
        most_so_far = most_so_far.max(now - last);
        last = now;
        if now < ENOUGH {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let _ = done.take().map(|done| done.send(most_so_far));
        Poll::Ready(())
    });
    let protocol = match arbiter {
        Some(arbiter) => {
            arbiter.spawn(beside);
            Counter::start_in_arbiter(&arbiter.handle(), |_| counter)
        }
        None => {
            actix_rt::spawn(beside);
            counter.start()
        }
    };
    let yes = Command::new("yes").arg("").stdout(Fd::lines(MAX));
    let process = yes.spawn(protocol).await.unwrap();
    let most = in_time(most).await.unwrap();
    // The lines that its pipe holds would come first.
    process.close_stdout();
    assert!(process.kill());
    process.ended().await;
    most
}

#[test]
fn a_flood_of_short_lines_leaves_its_arbiter_its_turns() {
    run(async {
        // One turn of the reader is 16.
        let most = most_in_a_turn(None).await;
        assert!(most <= 64, "{most} lines in one turn");
    });
}

#[test]
fn a_flood_of_short_lines_leaves_another_arbiter_its_turns() {
    run(async {
        let arbiter = Arbiter::new();
        let most = most_in_a_turn(Some(&arbiter)).await;
        // A turn is 64, and the reader may begin the next while the first is being handled.
        assert!(most <= 1_000, "{most} lines in one turn");
        arbiter.stop();
    });
}

/// Waits for ever in the callback of its first line.
struct Held(tokio::sync::mpsc::UnboundedSender<()>);

impl Actor for Held {
    type Context = Context<Self>;
}

impl ProcessProtocol for Held {
    fn line_received(&mut self, _: &ProcessHandle, _: i32, _: Line, ctx: &mut Context<Self>) {
        self.0.send(()).unwrap();
        ctx.wait(std::future::pending::<()>().into_actor(self));
    }
}
process_protocol!(Held);

/// The memory that this process has asked for, used or not, in KiB.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse().unwrap()
}

#[test]
fn a_reader_whose_lines_wait_holds_no_buffer() {
    const CHILDREN: usize = 200;
    isolated(|| {
        run(async {
            start_all_threads().await;
            let (held, mut holds) = tokio::sync::mpsc::unbounded_channel();
            let mut kept = Vec::new();
            let mut spawn = async || {
                let child = Command::new("seq").arg("1000").stdout(Fd::lines(MAX));
                let child = child.stdin(Fd::null()).stderr(Fd::null());
                let protocol = Held(held.clone()).start();
                let process = child.spawn(&protocol).await.unwrap();
                in_time(holds.recv()).await.unwrap();
                // The turn of the reader that sent the line ends.
                actix_rt::task::yield_now().await;
                kept.push((process, protocol));
            };
            spawn().await;
            let before = memory();
            for _ in 0..CHILDREN {
                spawn().await;
            }
            let each = memory().saturating_sub(before) / CHILDREN;
            // A buffer is of 68.
            assert!(each < 56, "{each} KiB for each child");
        });
    });
}
