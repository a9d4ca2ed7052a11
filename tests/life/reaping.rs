//! How the end of a child is learnt: its status, whoever else reaps, and who waits for it.

use crate::common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_process::{ExitStatus, IgnoredSignals, NoProtocol, ProcessHandle, Signal};
use common::census::{Census, children, has_watch, state_and_parent};
use common::helper::helper;
use common::isolated::isolated;
use common::limits::{max_rss, set_soft_limit};
use common::trace::{Trace, spawned};
use common::{DEADLINE, block_on_thread, eventually, in_time, run};
use nix::libc;

#[test]
fn exit_codes_are_told_as_they_are() {
    run(async {
        let (trace, protocol) = Trace::start();
        for code in [0, 1, 2, 7, 42, 126, 127, 128, 129, 137, 143, 200, 254, 255] {
            let child = helper(["exit", &code.to_string()]);
            let process = child.spawn(&protocol).await.unwrap();
            let status = trace.ended(&process).await.status();
            assert_eq!(status.code(), Some(code));
            assert_eq!(status.success(), code == 0);
            assert_eq!((status.signal(), status.core_dumped()), (None, false));
            assert_eq!(process.try_status(), Some(status));
        }
    });
}

#[test]
fn a_death_by_any_signal_is_told_with_its_number() {
    // No core files: the soft limit is this process's own.
    isolated(|| {
        set_soft_limit(libc::RLIMIT_CORE, 0);
        run(async {
            // Those whose default does not end a process.
            let harmless = [17, 18, 19, 20, 21, 22, 23, 28];
            for number in (1..=64).filter(|number| !harmless.contains(number)) {
                let child = helper(["say", "ready", "pause"]);
                // Whoever started this test may ignore some.
                let child = child.ignored_signals(IgnoredSignals::Reset);
                let (trace, process) = spawned(child).await;
                trace.output(&process, 1, "ready").await;
                let signal = Signal::new(number).unwrap();
                process.signal(signal).unwrap();
                let status = trace.ended(&process).await.status();
                assert_eq!(status.signal(), Some(signal), "{status}");
                assert_eq!(status.code(), None);
                assert!(!status.core_dumped());
            }
        });
    });
}

#[test]
fn a_core_dump_is_told() {
    isolated(|| {
        let (_, hard) = set_soft_limit(libc::RLIMIT_CORE, libc::RLIM_INFINITY);
        let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
        let dir = tempfile::tempdir().unwrap();
        run(async {
            let child = helper(["raise", "6"]).current_dir(dir.path());
            let process = child.spawn(NoProtocol).await.unwrap();
            let status = in_time(process.ended()).await;
            assert_eq!(status.signal(), Some(Signal::ABRT));
            if hard == 0 {
                println!("the flag is not looked at: no core is allowed ({hard})");
            } else if pattern.starts_with('|') || Path::new(&pattern).is_absolute() {
                println!("the flag is not looked at: cores go to {pattern}");
            } else {
                assert!(status.core_dumped(), "{status}");
                assert!(status.to_string().ends_with("(core dumped)"), "{status}");
            }
        });
    });
}

#[test]
fn a_busy_childs_resources_are_told() {
    run(async {
        let script = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        let child = actix_process::Command::new("sh").args(["-c", script]);
        let process = child.spawn(NoProtocol).await.unwrap();
        let status = in_time(process.ended()).await;
        assert!(status.success(), "{status}");
        let rusage = status.rusage().unwrap();
        let busy = rusage.user_time + rusage.system_time;
        assert!(busy > Duration::from_millis(1), "{rusage:?}");
        assert!(busy < DEADLINE, "{rusage:?}");
        assert!(rusage.minor_faults > 0, "{rusage:?}");
        // The kernel counts in what was resident where the child was cloned: here.
        let most = max_rss().max(64 * 1024 * 1024);
        assert!(rusage.max_rss >= 256 * 1024, "{rusage:?}");
        assert!(rusage.max_rss <= most, "{rusage:?}, at most {most}");
    });
}

/// Whether the kernel keeps the status of a child that was reaped, for its pidfd: since Linux 6.15.
fn kernel_keeps_statuses() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map_while(|n| n.parse().ok());
    let version: (u32, u32) = (numbers.next().unwrap(), numbers.next().unwrap());
    version >= (6, 15) && !cfg!(actix_process_force_no_pidfd)
}

/// What a child that somebody else reaped must have ended with, or [`ExitStatus::Unknown`].
fn assert_true_status(status: ExitStatus, right: ExitStatus) {
    if kernel_keeps_statuses() {
        assert_eq!(status, right);
        assert_eq!(status.rusage(), None, "nobody told us what it used");
    } else {
        assert_eq!(status, ExitStatus::Unknown);
    }
}

#[test]
fn a_child_that_somebody_else_reaped_ends_with_its_true_status() {
    isolated(|| {
        let done = Arc::new(AtomicBool::new(false));
        let thief = std::thread::spawn({
            let done = Arc::clone(&done);
            move || {
                let mut stolen = 0;
                while !done.load(Ordering::SeqCst) {
                    // SAFETY: integers and no status.
                    if unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } > 0 {
                        stolen += 1;
                    }
                    std::thread::yield_now();
                }
                stolen
            }
        });
        run(async {
            let mut not_ours = 0;
            for round in 0..50 {
                let child = helper(["take", "0", "1", "say", "bye", "exit", "7"]);
                let (trace, process) = spawned(child).await;
                let by_signal = round % 2 == 0;
                if by_signal {
                    process.signal(Signal::USR1).unwrap();
                } else {
                    process.write("x").unwrap();
                }
                let history = trace.ended(&process).await;
                history.assert_rules(&[0, 1, 2]);
                let status = history.status();
                if by_signal {
                    assert_eq!(history.text(1), "");
                } else {
                    assert_eq!(history.text(1), "bye\n");
                }
                if status.rusage().is_none() {
                    not_ours += 1;
                    let right = match by_signal {
                        true => ExitStatus::from_signal(Signal::USR1),
                        false => ExitStatus::from_code(7),
                    };
                    assert_true_status(status, right);
                }
                assert!(matches!(
                    process.signal(Signal::KILL),
                    Err(actix_process::SignalError::Exited)
                ));
            }
            done.store(true, Ordering::SeqCst);
            assert_eq!(thief.join().unwrap(), not_ours);
        });
        assert_eq!(children(), []);
    });
}

#[test]
fn with_sigchld_ignored_every_child_ends_with_its_true_status() {
    isolated(|| {
        // SAFETY: no handler, only a disposition, before any thread of ours.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
        run(async {
            let (trace, protocol) = Trace::start();
            for _ in 0..20 {
                let process = helper(["say", "bye", "exit", "7"]).spawn(&protocol);
                let process = process.await.unwrap();
                let history = trace.ended(&process).await;
                history.assert_rules(&[0, 1, 2]);
                assert_eq!(history.text(1), "bye\n");
                // The kernel has reaped it by itself.
                assert_true_status(history.status(), ExitStatus::from_code(7));
                assert_eq!(process.pid(), None);

                let process = helper(["pause"]).spawn(&protocol).await.unwrap();
                assert!(process.kill());
                let status = trace.ended(&process).await.status();
                assert_true_status(status, ExitStatus::from_signal(Signal::KILL));
            }
            // A failed spawn does not hang on the child that is gone already.
            let failed = actix_process::Command::new("/no/such/program").spawn(&protocol);
            assert!(in_time(failed).await.is_err());
        });
    });
}

#[test]
fn foreign_children_are_left_alone() {
    run(async {
        let mut foreign = std::process::Command::new("sh")
            .args(["-c", "exit 9"])
            .spawn()
            .unwrap();
        let pid = foreign.id() as i32;
        let is_zombie = || matches!(state_and_parent(pid), Some(('Z', _))).then_some(());
        let seen = || format!("{:?}", state_and_parent(pid));
        eventually("the foreign child's death", is_zombie, seen).await;
        for _ in 0..10 {
            let process = helper(["exit"]).spawn(NoProtocol).await.unwrap();
            in_time(process.ended()).await;
            assert!(is_zombie().is_some(), "{}", seen());
        }
        assert_eq!(foreign.wait().unwrap().code(), Some(9));
    });
}

#[test]
fn any_number_of_waiters_on_any_runtime_learn_the_status() {
    run(async {
        let child = helper(["hold-until", "0", "take", "3", "1", "exit", "3"]);
        let child = child.fd(3, actix_process::Fd::write());
        let (trace, process) = spawned(child).await;
        let thread = |process: ProcessHandle| {
            std::thread::spawn(move || {
                let exited = block_on_thread(process.exited());
                assert_eq!(process.try_status(), Some(exited));
                assert_eq!(process.pid(), None);
                assert_eq!(block_on_thread(process.ended()), exited);
                exited
            })
        };
        let threads = [(); 3].map(|()| thread(process.clone()));
        let tasks = [(); 50].map(|()| actix_rt::spawn(process.ended()));
        let tokio = std::thread::spawn({
            let exited = process.exited();
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread();
                { runtime }.build().unwrap().block_on(exited)
            }
        });
        assert_eq!(process.try_status(), None);

        trace.output(&process, 1, "held").await;
        process.write_to_child(3, "x").unwrap();
        let status = in_time(process.exited()).await;
        assert_eq!(status.code(), Some(3));
        // Its descendant holds the pipes.
        assert!(tasks.iter().all(|task| !task.is_finished()));
        process.close_stdin();
        for task in tasks {
            assert_eq!(in_time(task).await.unwrap(), status);
        }
        for thread in threads {
            assert_eq!(thread.join().unwrap(), status);
        }
        assert_eq!(tokio.join().unwrap(), status);
        // Late ones too.
        assert_eq!(in_time(process.exited()).await, status);
        assert_eq!(block_on_thread(process.ended()), status);
    });
}

#[test]
fn a_handle_that_is_kept_after_the_end_costs_no_descriptor() {
    isolated(|| {
        run(async {
            let spawn = || async {
                let process = helper(["exit"]).spawn(NoProtocol).await.unwrap();
                in_time(process.ended()).await;
                process
            };
            let mut kept = vec![spawn().await];
            let closed = || (!has_watch()).then_some(());
            eventually("the close of its pidfd", closed, String::new).await;
            let before = Census::take();
            for _ in 0..20 {
                kept.push(spawn().await);
            }
            let seen = || format!("{:#?}, before {before:#?}", Census::take());
            let same = || (Census::take().fds == before.fds).then_some(());
            eventually("the descriptors as before", same, seen).await;
            assert_eq!(children(), []);
        });
    });
}
