//! Terminals leave nothing behind, however their children end or do not begin.

use crate::common;

use std::io::Read;
use std::time::Duration;

use actix_process::{
    Command, Fd, OnOrphaned, ProcessHandle, ProcessSupervisor, Pty, PtySize, Resource, Signal,
    Spawn, SpawnStep,
};
use common::census::open_fds;
use common::hanging_exec::HangingExec;
use common::helper::helper;
use common::isolated::isolated;
use common::trace::{Die, Trace, spawned};
use common::tty::pair;
use common::{DEADLINE, eventually, run, start_all_threads};
use futures::FutureExt;

const SIZE: PtySize = PtySize::new(24, 80);

fn given() -> Pty {
    let (master, slave) = pair();
    Pty::from_ends(master, slave)
}

fn new() -> Pty {
    Pty::new(SIZE)
}

/// Both ways to a terminal.
const WAYS: [fn() -> Pty; 2] = [new, given];

fn masters() -> usize {
    let fds = open_fds();
    fds.values().filter(|it| *it == "/dev/ptmx").count()
}

#[test]
fn nothing_is_left_of_children_however_they_end() {
    isolated(|| {
        run(async {
            let before = start_all_threads().await;
            let ends: [fn(&ProcessHandle); 9] = [
                |process| process.write("\x04").unwrap(),
                |process| process.write("\x03").unwrap(),
                |process| process.lose_connection(),
                |process| process.abort(0),
                |process| process.abort(1),
                |process| process.cut_connection(),
                |process| assert!(process.kill()),
                |process| assert!(process.terminate_group(DEADLINE)),
                |process| {
                    process.pause_producing();
                    process.lose_connection();
                },
            ];
            let mut kept = Vec::new();
            for end in ends {
                for way in WAYS {
                    let child = helper(["say", "ready", "cat"])
                        .pty(way())
                        .stderr(Fd::read())
                        .fd(4, Fd::read());
                    let (trace, process) = spawned(&child).await;
                    trace.output(&process, 1, "ready").await;
                    assert_eq!(masters(), 1);
                    end(&process);
                    trace.ended(&process).await.assert_rules(&[0, 1, 2, 4]);
                    assert_eq!(masters(), 0);
                    // Neither of them costs anything.
                    kept.push((child, process));
                }
            }
            before.assert_restored_but_spawners().await;
            drop(kept);
        });
    });
}

#[test]
fn nothing_is_left_of_a_failed_spawn() {
    isolated(|| {
        run(async {
            let before = start_all_threads().await;
            for (command, step) in [
                (Command::new("/no/such/program"), SpawnStep::Exec),
                (Command::new("no-such-program"), SpawnStep::Exec),
                (Command::new("/etc/passwd"), SpawnStep::Exec),
                (
                    Command::new("true").current_dir("/no/such/dir"),
                    SpawnStep::Cwd,
                ),
                (
                    Command::new("true").rlimit(Resource::OpenFiles, 1 << 40, 1 << 40),
                    SpawnStep::Limits,
                ),
                (
                    Command::new("true").user("no such user"),
                    SpawnStep::Identity,
                ),
                (Command::new("true").stdin(Fd::null()), SpawnStep::Invalid),
            ] {
                for way in WAYS {
                    let (trace, protocol) = Trace::start();
                    let command = command.clone().pty(way()).fd(5, Fd::read());
                    let error = command.spawn(&protocol).await.unwrap_err();
                    assert_eq!(error.step(), step, "{error}");
                    assert_eq!(masters(), 0, "{error}");
                    before.assert_restored_but_spawners().await;
                    assert!(trace.events().is_empty());
                }
            }
        });
    });
}

#[test]
fn nothing_is_left_of_a_cancelled_spawn() {
    isolated(|| {
        run(async {
            let before = start_all_threads().await;
            for round in 0..60 {
                for way in WAYS {
                    let (_, protocol) = Trace::start();
                    // Committed, it lives until its protocol is told to die.
                    let mut spawning = helper(["pause"]).pty(way()).spawn(&protocol);
                    for _ in 0..round {
                        if (&mut spawning).now_or_never().is_some() {
                            break;
                        }
                        tokio::task::yield_now().await;
                        if round % 2 == 0 {
                            actix_rt::time::sleep(Duration::from_micros(100)).await;
                        }
                    }
                    drop(spawning);
                    protocol.do_send(Die::Stop);
                }
            }
            before.assert_restored_but_spawners().await;
        });
    });
}

#[test]
fn what_a_cancelled_child_has_started_is_killed_too() {
    run(async {
        let actions = [
            "ignore", "1", "leave", "1", "pause", "tell", "3", "x", "pause",
        ];
        let (mut alive, theirs) = std::io::pipe().unwrap();
        let child = helper(actions).pty(SIZE).fd(3, theirs);
        let (trace, protocol) = Trace::start();
        let mut spawning = child.spawn(&protocol);
        assert!((&mut spawning).now_or_never().is_none());
        // The child runs, but it is not ours yet: that would take a turn of this arbiter.
        alive.read_exact(&mut [0; 2]).unwrap();
        drop(spawning);
        // Child and grandchild had it open.
        let (tell, told) = futures::channel::oneshot::channel();
        std::thread::spawn(move || tell.send(alive.read_to_end(&mut Vec::new())));
        let rest = actix_rt::time::timeout(DEADLINE, told).await;
        assert_eq!(rest.expect("somebody lives").unwrap().unwrap(), 0);
        assert!(trace.events().is_empty());
    });
}

#[test]
fn nothing_is_left_of_an_exec_that_hangs() {
    isolated(|| {
        run(async {
            let before = start_all_threads().await;
            for way in WAYS {
                let mut hung = HangingExec::new();
                let (trace, protocol) = Trace::start();
                let mut spawning = hung.helper(["pause"]).pty(way()).spawn(&protocol);
                assert!((&mut spawning).now_or_never().is_none());
                hung.until_children(1).await;
                drop(spawning);
                hung.until_children(0).await;
                hung.release();
                assert!(trace.events().is_empty());
                drop(hung);
                before.assert_restored_but_spawners().await;
            }
        });
    });
}

#[test]
fn nothing_is_left_when_an_owner_is_gone() {
    isolated(|| {
        run(async {
            let before = start_all_threads().await;
            for way in WAYS {
                for policy in [
                    OnOrphaned::Kill,
                    OnOrphaned::Leave,
                    OnOrphaned::Terminate(Duration::ZERO),
                ] {
                    let (trace, protocol) = Trace::start();
                    let child = helper(["say", "ready", "pause"]).pty(way());
                    let child = child.on_orphaned(policy);
                    let process = child.spawn(&protocol).await.unwrap();
                    trace.output(&process, 1, "ready").await;
                    protocol.do_send(Die::Stop);
                    before.assert_restored_but_spawners().await;
                    assert!(process.try_status().is_some());
                }
            }
        });
    });
}

#[test]
fn a_lost_arbiter_hangs_its_children_up() {
    isolated(|| {
        run(async {
            let before = start_all_threads().await;
            for way in WAYS {
                let (trace, protocol) = Trace::start();
                let child = helper(["say", "ready", "pause"]).pty(way());
                let child = child.on_orphaned(OnOrphaned::Leave);
                let arbiter = actix::Arbiter::new();
                let (tell, told) = futures::channel::oneshot::channel();
                // The pipe actors live where the spawn is asked.
                arbiter.spawn(async move {
                    let supervisor = ProcessSupervisor::current().unwrap();
                    let spawned = supervisor.send(Spawn::new(child, &protocol)).await;
                    let _ = tell.send(spawned.unwrap().unwrap());
                    std::future::pending::<()>().await;
                });
                let process: ProcessHandle = told.await.unwrap();
                trace.output(&process, 1, "ready").await;
                arbiter.stop();
                let ended = actix_rt::time::timeout(DEADLINE, process.ended()).await;
                let status = ended.expect("it does not end");
                assert_eq!(status.signal(), Some(Signal::HUP));
                arbiter.join().unwrap();
                before.assert_restored_but_spawners().await;
            }
        });
    });
}

#[test]
fn a_descendant_holds_no_more_than_the_master_and_the_hold_on_its_group() {
    isolated(|| {
        run(async {
            let before = start_all_threads().await;
            let child = helper(["ignore", "1", "leave", "2", "drain", "0"]).pty(new());
            let (trace, process) = spawned(child).await;
            trace.exited(&process).await;
            // The pidfd holds the group, in which the descendant is.
            let pidfds = usize::from(!cfg!(actix_process_force_no_pidfd));
            let held = before.fds.len() + 1 + pidfds;
            let seen = || format!("{:#?}", open_fds());
            let no_more = || (open_fds().len() == held).then_some(());
            eventually("the master and the pidfd alone", no_more, seen).await;
            assert_eq!(masters(), 1);
            // The end of its input, typed.
            process.write("\x04").unwrap();
            trace.ended(&process).await.assert_rules(&[0, 1]);
            drop((process, trace));
            before.assert_restored_but_spawners().await;
        });
    });
}
