//! The delivery rules about flow, 7 and 8, each by tests named for it.

use crate::common;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::prelude::*;
use actix_process::{CloseReason, FromProcess, ProcessEvent, ProcessHandle};
use common::helper::{helper, pattern};
use common::slow_protocol::{SlowProtocol, Withheld};
use common::trace::spawned;
use common::{amount, eventually, run};

/// Runs a child against a slow that lets go every few milliseconds, until its end.
async fn withheld(actions: &[&str], window: usize) -> Withheld {
    let (withheld, protocol) = SlowProtocol::start_new();
    let child = helper(actions).window(window);
    let process = child.spawn(&protocol).await.unwrap();
    eventually(
        "something to withheld",
        || (!withheld.lock().unwrap().kept.is_empty()).then_some(()),
        || "nothing".to_owned(),
    )
    .await;
    // Long enough for a child that is not held up to write all it has.
    actix_rt::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(process.try_status(), None, "the child was not held up");
    eventually(
        "the end",
        || {
            Withheld::let_go(&withheld);
            withheld.lock().unwrap().ended.then_some(())
        },
        || format!("{} bytes", withheld.lock().unwrap().received.len()),
    )
    .await;
    std::mem::take(&mut *withheld.lock().unwrap())
}

#[test]
fn rule_07_what_is_on_its_way_is_bounded_by_bytes_and_blocks_the_child() {
    run(async {
        const SIZE: usize = 3_000_000;
        const WINDOW: usize = 64 * 1024;
        let withheld = withheld(&["spam", &SIZE.to_string()], WINDOW).await;
        assert!(withheld.received == pattern(SIZE), "other bytes came");
        assert!(
            withheld.most_bytes <= WINDOW,
            "{} bytes",
            withheld.most_bytes
        );
        assert!(withheld.most_messages > 1, "the window is hardly used");
    });
}

#[test]
fn rule_07_what_is_on_its_way_is_bounded_by_the_number_of_messages() {
    run(async {
        const SIZE: usize = 300_000;
        let withheld = withheld(&["tiny", &SIZE.to_string()], 1 << 20).await;
        assert!(withheld.received == pattern(SIZE), "other bytes came");
        assert!(withheld.most_messages <= 64, "{}", withheld.most_messages);
    });
}

#[test]
fn rule_07_the_arbiter_serves_others_while_a_child_waits_for_its_protocol() {
    run(async {
        let (_, protocol) = SlowProtocol::start_new();
        let flood = helper(["drip"]).window(8192);
        let blocked = flood.spawn(&protocol).await.unwrap();
        let (trace, process) = spawned(helper(["cat"])).await;
        for round in 0..50 {
            let line = format!("round {round}\n");
            process.write(line.clone()).unwrap();
            trace.output(&process, 1, &line).await;
        }
        process.close_stdin();
        trace.ended(&process).await;
        assert_eq!(blocked.try_status(), None);
        blocked.lose_connection();
        blocked.ended().await;
    });
}

/// A protocol that takes some time for each message.
struct Busy {
    handled: Arc<Mutex<usize>>,
}

impl Actor for Busy {
    type Context = Context<Self>;
}

impl actix_process::ProcessProtocol for Busy {
    fn out_received(&mut self, _: &ProcessHandle, _: actix_process::Bytes, _: &mut Context<Self>) {
        let begun = thread_time();
        while thread_time() - begun < Duration::from_micros(200) {
            std::hint::spin_loop();
        }
        *self.handled.lock().unwrap() += 1;
    }
}
actix_process::process_protocol!(Busy);

/// How long this thread has run, in which the machine's other work does not count.
fn thread_time() -> Duration {
    use nix::libc::{CLOCK_THREAD_CPUTIME_ID, clock_gettime, timespec};
    let mut time = timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: fills the live local.
    let told = unsafe { clock_gettime(CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(told, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// What the thread of a protocol works between the ticks of a timer on its arbiter, while it
/// handles `messages` of a child which never stops writing.
async fn gaps_under_a_flood(protocol_elsewhere: bool, messages: usize) -> Vec<Duration> {
    let handled = Arc::new(Mutex::new(0));
    let arbiter = Arbiter::new();
    let (of_protocol, of_timer) = (Arc::clone(&handled), Arc::clone(&handled));
    let (done, gaps) = tokio::sync::oneshot::channel();
    let tick = async move {
        let mut gaps = Vec::new();
        let mut last = thread_time();
        while *of_timer.lock().unwrap() < messages {
            actix_rt::time::sleep(Duration::from_millis(1)).await;
            let now = thread_time();
            gaps.push(now - last);
            last = now;
        }
        let _ = done.send(gaps);
    };
    let busy = Busy {
        handled: of_protocol,
    };
    let protocol = if protocol_elsewhere {
        arbiter.spawn(tick);
        Busy::start_in_arbiter(&arbiter.handle(), |_| busy)
    } else {
        actix_rt::spawn(tick);
        busy.start()
    };
    let process = helper(["drip"]).spawn(&protocol).await.unwrap();
    let gaps = actix_rt::time::timeout(common::DEADLINE, gaps).await;
    let gaps = gaps.expect("the timer's arbiter starves").unwrap();
    assert!(process.kill());
    process.ended().await;
    arbiter.stop();
    gaps
}

fn assert_short(gaps: &[Duration]) {
    // A turn of 64 messages is 13 ms of work; a starved timer would not tick for all 1,200 (400 of 2,000).
    let worst = gaps.iter().max().unwrap();
    assert!(*worst < Duration::from_millis(100), "worst gap: {worst:?}");
}

#[test]
fn rule_07_a_timer_beside_the_protocol_ticks_under_a_flood() {
    run(async { assert_short(&gaps_under_a_flood(false, amount(6_000, 2_000)).await) });
}

#[test]
fn rule_07_a_timer_beside_a_protocol_on_another_arbiter_ticks_under_a_flood() {
    run(async { assert_short(&gaps_under_a_flood(true, amount(6_000, 2_000)).await) });
}

/// A protocol that stops the flow at the first data, and counts what comes after.
struct Stopper {
    stop: fn(&ProcessHandle),
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default, Clone, Debug)]
struct Seen {
    before: usize,
    after: usize,
    closes: BTreeMap<i32, CloseReason>,
    ended: bool,
}

impl Actor for Stopper {
    type Context = Context<Self>;
}

impl Handler<FromProcess> for Stopper {
    type Result = ();

    fn handle(&mut self, message: FromProcess, _: &mut Self::Context) {
        let mut seen = self.seen.lock().unwrap();
        match &message.event {
            ProcessEvent::ChildDataReceived { data, .. } if seen.before == 0 => {
                seen.before = data.len();
                drop(seen);
                (self.stop)(&message.process);
            }
            ProcessEvent::ChildDataReceived { data, .. } => seen.after += data.len(),
            ProcessEvent::ChildConnectionLost { fd, reason } => {
                seen.closes.insert(*fd, *reason);
            }
            ProcessEvent::ProcessEnded { .. } => seen.ended = true,
            _ => {}
        }
    }
}

const STOP_WINDOW: usize = 16 * 1024;

/// Runs a child that never stops writing against a [`Stopper`]; gives what it saw when nothing
/// more came for a while.
async fn stopped(elsewhere: bool, stop: fn(&ProcessHandle)) -> (ProcessHandle, Seen) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let stopper = Stopper {
        stop,
        seen: Arc::clone(&seen),
    };
    let arbiter = elsewhere.then(Arbiter::new);
    let protocol = match &arbiter {
        Some(arbiter) => Stopper::start_in_arbiter(&arbiter.handle(), |_| stopper),
        None => stopper.start(),
    };
    let child = helper(["pour", "2000000000"]).window(STOP_WINDOW);
    let process = child.spawn(&protocol).await.unwrap();
    let now = || seen.lock().unwrap().clone();
    eventually(
        "data",
        || (now().before > 0).then_some(()),
        || format!("{:?}", now()),
    )
    .await;
    // No wait for anything: time for a reader that breaks the rule to go on.
    actix_rt::time::sleep(Duration::from_millis(100)).await;
    let so_far = now();
    // It may have died of its closed pipe.
    process.kill();
    process.lose_connection();
    eventually(
        "the end",
        || now().ended.then_some(()),
        || format!("{:?}", now()),
    )
    .await;
    if let Some(arbiter) = arbiter {
        arbiter.stop();
    }
    (process, so_far)
}

#[test]
fn rule_08_after_a_pause_at_most_the_window_comes() {
    run(async {
        for elsewhere in [false, true] {
            for _ in 0..5 {
                let (_, seen) = stopped(elsewhere, ProcessHandle::pause_producing).await;
                assert!(seen.after <= STOP_WINDOW, "{elsewhere}: {seen:?}");
                assert_eq!(seen.closes, BTreeMap::new());
            }
        }
    });
}

#[test]
fn rule_08_after_a_close_at_most_the_window_comes() {
    run(async {
        for elsewhere in [false, true] {
            for _ in 0..5 {
                let (process, seen) = stopped(elsewhere, ProcessHandle::close_stdout).await;
                assert!(seen.after <= STOP_WINDOW, "{elsewhere}: {seen:?}");
                assert_eq!(seen.closes.get(&1), Some(&CloseReason::ByParent));
                assert!(process.try_status().is_some());
            }
        }
    });
}

#[test]
fn rule_08_of_a_paused_dead_child_only_the_exit_comes_before_the_resume() {
    run(async {
        let child = helper(["take", "0", "1", "spam", "1000", "exit", "4"]);
        let (trace, process) = spawned(child).await;
        process.pause_producing();
        process.write("x").unwrap();
        let status = trace.exited(&process).await;
        assert_eq!(status.code(), Some(4));
        assert_eq!(trace.lost(&process, 0).await, CloseReason::ByChild);
        // No wait for anything: time for a crate that breaks the rule to do so.
        actix_rt::time::sleep(Duration::from_millis(100)).await;
        let so_far = trace.of(&process);
        assert_eq!(so_far.len(), 3, "{so_far:?}");

        process.resume_producing();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2]);
        assert_eq!(history.data(1), pattern(1000));
        assert_eq!(history.status(), status);
    });
}
