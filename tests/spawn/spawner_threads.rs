//! Execs that hang: they hold up neither the arbiter that asked, nor other spawns, nor other
//! children.

use crate::common;

use std::future::Future;
use std::panic::{catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use actix_process::{Command, ProcessHandle, SpawnError, SpawnStep, set_max_spawner_threads};
use common::census::{spawner_threads, threads};
use common::hanging_exec::HangingExec;
use common::helper::helper;
use common::isolated::{is_isolated, isolated, skipped};
use common::trace::{Trace, history};
use common::{eventually, run};
use futures::FutureExt;
use futures::future::{Either, join_all, select};
use nix::libc;

/// When all threads of a pool are held up for so long, others help.
const PATIENCE: Duration = Duration::from_millis(100);

/// Runs a spawn in the background.
fn start(
    spawning: impl Future<Output = Result<ProcessHandle, SpawnError>> + 'static,
) -> actix_rt::task::JoinHandle<ProcessHandle> {
    actix_rt::spawn(async move { spawning.await.unwrap() })
}

#[test]
fn one_hung_exec_holds_up_no_other_spawn() {
    isolated(|| {
        run(async {
            let mut lease = HangingExec::new();
            let (trace, protocol) = Trace::start();
            let hung = start(lease.helper(["say", "at last"]).spawn(&protocol));
            lease.until_children(1).await;
            for _ in 0..20 {
                assert_eq!(history(&helper(["say", "hi"])).await.text(1), "hi\n");
            }
            assert!(!hung.is_finished());
            lease.release();
            let process = hung.await.unwrap();
            assert_eq!(trace.ended(&process).await.text(1), "at last\n");
        });
    });
}

#[test]
fn a_spawn_queued_with_hung_ones_is_served() {
    isolated(|| {
        run(async {
            history(&helper(["say", "the spawner thread is idle now"])).await;
            let mut lease = HangingExec::new();
            let (trace, protocol) = Trace::start();
            // All at once, so that they wait in the queue together.
            let mut hung: Vec<_> = (0..3)
                .map(|_| lease.helper(["say", "at last"]).spawn(&protocol))
                .collect();
            for spawning in &mut hung {
                assert!(spawning.now_or_never().is_none());
            }
            let process = helper(["say", "hi"]).spawn(&protocol).await.unwrap();
            assert_eq!(trace.ended(&process).await.text(1), "hi\n");
            for spawning in &mut hung {
                assert!(spawning.now_or_never().is_none());
            }
            lease.release();
            for process in join_all(hung).await {
                assert_eq!(trace.ended(&process.unwrap()).await.text(1), "at last\n");
            }
        });
    });
}

/// What is logged about threads that help because all others are held up.
struct Helpers(Mutex<Vec<String>>);

static HELPERS: Helpers = Helpers(Mutex::new(Vec::new()));

impl log::Log for Helpers {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let text = record.args().to_string();
        if text.contains("held up") {
            self.0.lock().unwrap().push(text);
        }
    }

    fn flush(&self) {}
}

#[test]
fn a_second_thread_serves_what_waits_at_once_and_others_help_when_both_are_held_up() {
    isolated(|| {
        log::set_logger(&HELPERS).unwrap();
        log::set_max_level(log::LevelFilter::Debug);
        run(async {
            let mut lease = HangingExec::new();
            let (trace, protocol) = Trace::start();
            let mut hung = Vec::new();
            let begun = Instant::now();
            for (count, helpers) in [(1, 0), (2, 0), (3, 1), (4, 2)] {
                let mut spawning = lease.helper(["say", "at last"]).spawn(&protocol);
                assert!((&mut spawning).now_or_never().is_none());
                hung.push(spawning);
                lease.until_children(count).await;
                let (running, names) = (spawner_threads(), threads());
                let helped = HELPERS.0.lock().unwrap().clone();
                // After they were counted: another may start at that moment. The first counts as held up then, when the second is asked for.
                if helpers == 0 && begun.elapsed() >= PATIENCE {
                    return skipped("a busy machine kept the first two for too long");
                }
                // One minds the time.
                assert_eq!(running, count + 1, "{names:?}");
                assert_eq!(helped.len(), helpers, "{helped:?}");
            }
            lease.release();
            for process in join_all(hung).await {
                assert_eq!(trace.ended(&process.unwrap()).await.text(1), "at last\n");
            }
        });
    });
}

#[test]
fn the_asking_arbiter_goes_on_meanwhile() {
    isolated(|| {
        run(async {
            let mut lease = HangingExec::new();
            let (trace, protocol) = Trace::start();
            let hung = pin!(lease.helper(["exit"]).spawn(&protocol));
            let ticks = async {
                let mut timer = actix_rt::time::interval(Duration::from_millis(1));
                lease.until_children(1).await;
                for _ in 0..100 {
                    timer.tick().await;
                }
            };
            let Either::Right(((), hung)) = select(hung, pin!(ticks)).await else {
                panic!("the spawn did not hang");
            };
            lease.release();
            let process = hung.await.unwrap();
            trace.ended(&process).await;
        });
    });
}

#[test]
fn a_hung_exec_does_not_hold_the_pipes_of_other_children() {
    isolated(|| {
        run(async {
            let mut lease = HangingExec::new();
            let (trace, protocol) = Trace::start();
            let cat = helper(["cat"]).spawn(&protocol).await.unwrap();
            let hung = start(lease.helper(["exit"]).spawn(&protocol));
            lease.until_children(2).await;
            cat.write("through").unwrap();
            cat.close_stdin();
            assert_eq!(trace.ended(&cat).await.text(1), "through");
            assert!(!hung.is_finished());
            lease.release();
            trace.ended(&hung.await.unwrap()).await;
        });
    });
}

/// Lets `count` execs hang, and then spawns one that does not. The threads that helped end with them.
fn with_hung_execs(count: usize) {
    isolated(|| {
        run(async {
            let mut lease = HangingExec::new();
            let (trace, protocol) = Trace::start();
            // All are queued before the one that follows.
            let spawn = || {
                let mut spawning = lease.helper(["say", "at last"]).spawn(&protocol);
                assert!((&mut spawning).now_or_never().is_none());
                start(spawning)
            };
            let hung: Vec<_> = (0..count).map(|_| spawn()).collect();
            let asked = Instant::now();
            assert_eq!(history(&helper(["say", "hi"])).await.text(1), "hi\n");
            let took = asked.elapsed();
            // The kernel breaks the lease after 45 s; the threads need 100 ms for each doubling.
            assert!(took < Duration::from_secs(10), "it took {took:?}");
            lease.until_children(count).await;
            assert!(hung.iter().all(|task| !task.is_finished()));
            let asked = Instant::now();
            assert_eq!(history(&helper(["say", "hi"])).await.text(1), "hi\n");
            let took = asked.elapsed();
            assert!(took < Duration::from_secs(5), "the next took {took:?}");

            lease.release();
            for task in hung {
                let process = task.await.unwrap();
                assert_eq!(trace.ended(&process).await.text(1), "at last\n");
            }
            until_usual_threads().await;
            lease.until_children(0).await;
            assert_eq!(history(&helper(["say", "hi"])).await.text(1), "hi\n");
        });
    });
}

/// Two that work, and one that minds the time.
async fn until_usual_threads() {
    eventually(
        "three spawner threads at most",
        || (spawner_threads() <= 3).then_some(()),
        || format!("{:?}", threads()),
    )
    .await;
}

#[test]
fn four_hung_execs_hold_up_no_other_spawn() {
    with_hung_execs(4);
}

#[test]
fn twenty_hung_execs_hold_up_no_other_spawn() {
    with_hung_execs(20);
}

#[test]
fn with_no_thread_left_a_spawn_that_would_wait_for_a_hung_one_is_a_typed_error() {
    isolated(|| {
        // Four that work, and one that minds the time.
        set_max_spawner_threads(5);
        run(async {
            let mut lease = HangingExec::new();
            let (trace, protocol) = Trace::start();
            let spawn = || start(lease.helper(["say", "at last"]).spawn(&protocol));
            let hung: Vec<_> = (0..4).map(|_| spawn()).collect();
            lease.until_children(4).await;
            for _ in 0..3 {
                let asked = Instant::now();
                let error = helper(["say", "hi"]).spawn(&protocol).await.unwrap_err();
                let took = asked.elapsed();
                assert_eq!(error.step(), SpawnStep::Clone, "{error}");
                assert_eq!(error.subject(), "the spawner thread");
                assert!(error.to_string().contains("4 are held up"), "{error}");
                assert!(took < Duration::from_secs(5), "it took {took:?}");
            }
            assert_eq!(spawner_threads(), 5, "{:?}", threads());
            assert!(hung.iter().all(|task| !task.is_finished()));

            lease.release();
            for task in hung {
                let process = task.await.unwrap();
                assert_eq!(trace.ended(&process).await.text(1), "at last\n");
            }
            assert_eq!(history(&helper(["say", "hi"])).await.text(1), "hi\n");
        });
    });
}

#[test]
fn cancelled_hung_spawns_give_their_threads_back() {
    isolated(|| {
        run(async {
            let lease = HangingExec::new();
            let (trace, protocol) = Trace::start();
            for _ in 0..3 {
                let mut hung: Vec<_> = (0..4)
                    .map(|_| lease.helper(["exit"]).spawn(&protocol))
                    .collect();
                for spawning in &mut hung {
                    assert!(spawning.now_or_never().is_none());
                }
                lease.until_children(4).await;
                drop(hung);
                assert_eq!(history(&helper(["say", "hi"])).await.text(1), "hi\n");
                lease.until_children(0).await;
            }
            assert!(trace.events().is_empty());
            until_usual_threads().await;
        });
    });
}

#[test]
fn ordinary_load_adds_no_worker() {
    // Two jobs that take 100 ms may add one, and on a machine with much else to do some do: so
    // before others, where we may, and the best of ten processes.
    let attempt = || {
        isolated(|| {
            // SAFETY: integers. Threads and children take it over.
            unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -19) };
            run(async {
                let (trace, protocol) = Trace::start();
                // Children that need no time of the processor while others are spawned.
                let spawns = (0..200).map(|_| Command::new("cat").spawn(&protocol));
                let processes = join_all(spawns).await;
                // Two that work, and one that minds the time.
                assert!(spawner_threads() <= 3, "{:?}", threads());
                for process in processes {
                    let process = process.unwrap();
                    process.close_stdin();
                    trace.ended(&process).await;
                }
            });
        });
    };
    let mut last = None;
    for _ in 0..10 {
        match catch_unwind(attempt) {
            Ok(()) => return,
            // In the process that runs the test alone there is one attempt.
            Err(panic) if is_isolated() => resume_unwind(panic),
            Err(panic) => last = Some(panic),
        }
    }
    resume_unwind(last.unwrap());
}
