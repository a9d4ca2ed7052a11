//! Askers that no pool of threads is like: a thread for each spawn, or a typed error.

use crate::common;

use std::panic::catch_unwind;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::tools::asker::{assert_spawns, on_a_thread};
use actix::Arbiter;
use actix_process::{NoProtocol, SpawnError, SpawnStep, set_max_spawner_threads};
use common::census::{Census, spawner_threads};
use common::helper::helper;
use common::isolated::{isolated, skipped};
use common::trace::{Trace, spawned};
use common::{eventually, in_time, run};
use nix::libc;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

/// This thread gets no privileges any more: it may confine itself, and nobody sees.
fn set_no_new_privs() {
    // SAFETY: integers.
    let set = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1_u64, 0_u64, 0_u64, 0_u64) };
    assert_eq!(set, 0);
}

fn unshare(flags: i32) -> Result<(), String> {
    // SAFETY: integers.
    match unsafe { libc::unshare(flags) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error().to_string()),
    }
}

/// The calling thread spawns, leaves something by `flags`, and spawns again: the step that failed.
async fn step_after_leaving(flags: i32) -> Result<SpawnStep, String> {
    let command = helper(["say", "hi"]);
    assert_eq!(command.output().await.unwrap().stdout, b"hi\n");
    unshare(flags)?;
    let error = command.spawn(NoProtocol).await.unwrap_err();
    assert_eq!(error.subject(), "the spawner thread");
    Ok(error.step())
}

/// A thread that spawns, leaves something by `flags`, and spawns again.
fn refused_after_leaving(flags: i32) {
    isolated(|| {
        let step = on_a_thread(move || run(step_after_leaving(flags)));
        match step {
            Ok(step) => assert_eq!(step, SpawnStep::Clone),
            Err(why) => skipped(&why),
        }
        assert_spawns();
    });
}

/// Its next child would be the first of a namespace, and no thread of ours can have that.
#[test]
fn a_thread_that_can_make_no_thread_like_itself_gets_a_typed_error() {
    refused_after_leaving(libc::CLONE_NEWPID);
}

#[test]
fn a_thread_with_a_descriptor_table_of_its_own_gets_a_typed_error() {
    refused_after_leaving(libc::CLONE_FILES);
}

/// In a copy of this process, by fork, which is a host like any other: its one thread is its main thread.
#[test]
fn a_main_thread_with_a_descriptor_table_of_its_own_gets_a_typed_error() {
    isolated(|| {
        // SAFETY: nothing was spawned yet; other threads of the harness wait, and the copy ends below.
        match unsafe { fork() }.unwrap() {
            ForkResult::Parent { child } => {
                assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
            }
            ForkResult::Child => {
                // SAFETY: an integer; a copy that hangs dies of SIGALRM.
                unsafe { libc::alarm(20) };
                let ended = catch_unwind(|| {
                    run(async {
                        let step = step_after_leaving(libc::CLONE_FILES).await;
                        let refused = step == Ok(SpawnStep::Clone);
                        // At once: whatever else is dropped is in two tables, or in one.
                        // SAFETY: an integer.
                        unsafe { libc::_exit(i32::from(!refused)) }
                    });
                });
                drop(ended);
                // SAFETY: an integer.
                unsafe { libc::_exit(2) }
            }
        }
    });
}

#[test]
fn a_thread_for_one_spawn_ends_with_it() {
    isolated(|| {
        assert_spawns();
        let usual = spawner_threads();
        on_a_thread(move || {
            set_no_new_privs();
            for _ in 0..5 {
                assert_spawns();
            }
            // One that is never asked for in earnest.
            drop(helper(["say", "hi"]).spawn(NoProtocol));
            run(eventually(
                "no thread more than before",
                || (spawner_threads() <= usual).then_some(()),
                || format!("{:?}", Census::take()),
            ));
        });
    });
}

#[test]
fn a_thread_for_one_spawn_outlives_its_child_where_the_child_would_die_with_it() {
    isolated(|| {
        on_a_thread(|| {
            set_no_new_privs();
            run(async {
                let signal = actix_process::Signal::KILL;
                let cat = helper(["cat", "say", "at last"]).parent_death_signal(signal);
                let (trace, process) = spawned(cat).await;
                // Its own, and perhaps one that stood by while its exec took long.
                assert!(spawner_threads() >= 1);
                // Spawns that do not hold their threads end them meanwhile.
                for _ in 0..3 {
                    let output = helper(["say", "hi"]).output().await.unwrap();
                    assert_eq!(output.stdout, b"hi\n");
                }
                eventually(
                    "one thread",
                    || (spawner_threads() == 1).then_some(()),
                    || format!("{:?}", Census::take()),
                )
                .await;
                process.close_stdin();
                assert_eq!(trace.ended(&process).await.text(1), "at last\n");
                eventually(
                    "no thread",
                    || (spawner_threads() == 0).then_some(()),
                    || format!("{:?}", Census::take()),
                )
                .await;
            });
        });
    });
}

#[test]
fn more_threads_of_their_own_than_may_be_are_a_typed_error() {
    isolated(|| {
        set_max_spawner_threads(2);
        on_a_thread(|| {
            set_no_new_privs();
            run(async {
                let ask = || helper(["say", "hi"]).spawn(NoProtocol);
                let asked = [ask(), ask()];
                let error = ask().await.unwrap_err();
                assert_eq!(error.step(), SpawnStep::Clone, "{error}");
                assert_eq!(error.subject(), "the spawner thread");
                for spawning in asked {
                    let process = spawning.await.unwrap();
                    assert!(process.ended().await.success());
                }
                assert!(ask().await.unwrap().ended().await.success());
            });
        });
    });
}

/// The thread that asks holds the list of pools meanwhile.
#[test]
fn a_pool_whose_first_worker_may_not_start_is_a_typed_error_and_holds_up_nobody() {
    isolated(|| {
        assert_spawns();
        // Room for the thread that minds the time, and for none that works.
        set_max_spawner_threads(spawner_threads() + 1);
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            // SAFETY: integers; 0 is this thread.
            let set = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 7) };
            assert_eq!(set, 0);
            run(async {
                let error = helper(["say", "hi"]).spawn(NoProtocol).await.unwrap_err();
                tell.send(error).unwrap();
            });
        });
        let error = told.recv_timeout(Duration::from_secs(60));
        let error = error.expect("the asker waits for itself");
        assert_eq!(error.step(), SpawnStep::Clone, "{error}");
        assert_eq!(error.subject(), "the spawner thread");
        assert_spawns();
    });
}

/// Asks for a spawn here, the first of the process, and polls it on another thread, which `change` has
/// changed before. What failed, or the child's output.
fn polled_elsewhere(change: impl FnOnce() + Send + 'static) -> Result<(), SpawnError> {
    run(async {
        let (trace, protocol) = Trace::start();
        let spawning = helper(["say", "hi"]).spawn(&protocol);
        let elsewhere = Arbiter::new();
        let (tell, told) = tokio::sync::oneshot::channel();
        elsewhere.spawn(async move {
            change();
            let _ = tell.send(spawning.await);
        });
        let process = in_time(told).await.unwrap()?;
        trace.output(&process, 1, "hi\n").await;
        trace.ended(&process).await;
        Ok(())
    })
}

#[test]
fn a_first_spawn_may_be_polled_on_another_thread_that_is_like_the_asker() {
    isolated(|| polled_elsewhere(|| {}).unwrap());
}

#[test]
fn a_first_spawn_that_is_polled_on_a_thread_unlike_the_asker_is_a_typed_error() {
    isolated(|| {
        let error = polled_elsewhere(|| {
            // SAFETY: integers; 0 is this thread.
            let set = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 7) };
            assert_eq!(set, 0);
        });
        let error = error.unwrap_err();
        assert_eq!(error.step(), SpawnStep::Clone, "{error}");
        assert_spawns();
    });
}

/// What a child has whose spawn a thread without a System asked for, that ended before it was polled.
fn asked_without_a_system(ask: fn()) -> Result<String, SpawnError> {
    run(async move {
        let (trace, protocol) = Trace::start();
        let spawning = on_a_thread(move || {
            ask();
            helper(["status"]).spawn(&protocol)
        });
        let process = spawning.await?;
        Ok(trace.ended(&process).await.text(1))
    })
}

#[test]
fn a_child_has_the_state_of_an_asker_that_has_no_system() {
    isolated(|| {
        let unconfined = asked_without_a_system(|| {}).unwrap();
        assert!(unconfined.contains("NoNewPrivs:\t0"), "{unconfined}");
        let confined = asked_without_a_system(set_no_new_privs).unwrap();
        assert!(confined.contains("NoNewPrivs:\t1"), "{confined}");
    });
}

#[test]
fn a_first_spawn_of_an_asker_that_has_no_system_is_a_typed_error_on_a_thread_unlike_it() {
    isolated(|| {
        let error = asked_without_a_system(|| {
            // SAFETY: integers; 0 is this thread.
            let set = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 7) };
            assert_eq!(set, 0);
        });
        assert_eq!(error.unwrap_err().step(), SpawnStep::Clone);
        assert_spawns();
    });
}
