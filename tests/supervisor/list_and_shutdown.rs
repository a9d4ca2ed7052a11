//! The supervisor: its list, its shutdown, and the one that a System has by itself.

use crate::common;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use actix::prelude::*;
use actix_process::supervisor::{List, ProcessInfo, ProcessState, Shutdown};
use actix_process::{
    Command, Fd, FdMap, NoProtocol, ProcessEvent, ProcessHandle, ProcessSupervisor, Signal, Spawn,
    SpawnStep,
};
use common::census::{Census, children, has_watch, is_gone};
use common::helper::helper;
use common::isolated::isolated;
use common::trace::{Trace, spawned_by};
use common::{DEADLINE, copy_of_this_program, eventually, in_time, run, start_all_threads};

/// Nothing here waits for the end of it.
const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(50);

async fn list(supervisor: &Addr<ProcessSupervisor>) -> Vec<ProcessInfo> {
    in_time(supervisor.send(List)).await.unwrap()
}

/// A child that has said that it is ready.
async fn ready(supervisor: &Addr<ProcessSupervisor>, actions: &[&str]) -> (Trace, ProcessHandle) {
    let (trace, process) = spawned_by(supervisor, helper(actions)).await;
    trace.output(&process, 1, "ready").await;
    (trace, process)
}

#[test]
fn list_tells_of_every_child_until_it_has_ended() {
    run(async {
        let supervisor = ProcessSupervisor::new().start();
        assert!(list(&supervisor).await.is_empty());
        let before = SystemTime::now();
        let (first_trace, first) = ready(&supervisor, &["say", "ready", "pause"]).await;
        let mut map = FdMap::new();
        map = map
            .set(3, Fd::write())
            .set(9, Fd::read())
            .set(1, Fd::null());
        let child = helper(["take", "3", "1"]).fds(map);
        let spawn = Spawn::new(child, NoProtocol);
        let second = supervisor.send(spawn).await.unwrap().unwrap();
        let after = SystemTime::now();

        let infos = list(&supervisor).await;
        assert_eq!(infos.len(), 2);
        let handles = [&first, &second];
        for (info, handle) in infos.iter().zip(handles) {
            assert_eq!(info.id, handle.id());
            assert_eq!(info.pid, handle.pid());
            assert!(info.pid.is_some());
            assert_eq!(info.program, handle.program());
            assert_eq!(info.state, ProcessState::Running);
            assert!((before..=after).contains(&info.started_at));
        }
        assert_eq!(infos[0].open_fds, [0, 1, 2]);
        assert_eq!(infos[1].open_fds, [3, 9]);

        second.write_to_child(3, "x").unwrap();
        in_time(second.ended()).await;
        let gone = list(&supervisor).await;
        assert_eq!(
            gone.iter().map(|info| info.id).collect::<Vec<_>>(),
            [first.id()]
        );
        first.close_stdin();
        first_trace.lost(&first, 0).await;
        assert_eq!(list(&supervisor).await[0].open_fds, [1, 2]);
        assert!(first.kill());
        in_time(first.ended()).await;
        assert!(list(&supervisor).await.is_empty());
    });
}

#[test]
fn list_shows_a_reaped_child_whose_pipes_are_held_as_exited() {
    run(async {
        let supervisor = ProcessSupervisor::new().start();
        let actions = ["say", "ready", "hold-until", "0", "close", "2"];
        let (trace, process) = ready(&supervisor, &actions).await;
        trace.exited(&process).await;
        let infos = list(&supervisor).await;
        assert_eq!(infos.len(), 1);
        assert_eq!(infos[0].state, ProcessState::Exited);
        assert_eq!(infos[0].pid, None);
        assert_eq!(infos[0].open_fds, [0, 1, 2]);
        // A shutdown has nothing to wait for.
        let report = in_time(supervisor.send(Shutdown { grace: LONG })).await;
        assert!(report.unwrap().unreaped.is_empty());
        process.close_stdin();
        trace.ended(&process).await;
        assert!(list(&supervisor).await.is_empty());
    });
}

#[test]
fn supervisors_keep_tables_of_their_own() {
    run(async {
        let one = ProcessSupervisor::new().start();
        let other = ProcessSupervisor::new().start();
        let (_, ones) = ready(&one, &["say", "ready", "pause"]).await;
        let (_, others) = ready(&other, &["say", "ready", "pause"]).await;
        assert_eq!(list(&one).await[0].id, ones.id());
        assert_eq!(list(&other).await[0].id, others.id());
        in_time(one.send(Shutdown { grace: LONG })).await.unwrap();
        assert!(ones.try_status().is_some());
        assert_eq!(others.try_status(), None);
        let (_, more) = ready(&other, &["say", "ready", "pause"]).await;
        assert_eq!(list(&other).await.len(), 2);
        assert!(others.kill());
        assert!(more.kill());
        in_time(others.ended()).await;
        in_time(more.ended()).await;
    });
}

#[test]
fn a_shutdown_terminates_then_kills_and_answers_when_all_are_reaped() {
    run(async {
        let supervisor = ProcessSupervisor::new().start();
        let (_, meek) = ready(&supervisor, &["say", "ready", "pause"]).await;
        let stubborn = ["ignore", "15", "say", "ready", "pause"];
        let (_, stubborn) = ready(&supervisor, &stubborn).await;
        let begun = Instant::now();
        let report = in_time(supervisor.send(Shutdown { grace: SHORT })).await;
        assert!(report.unwrap().unreaped.is_empty());
        assert!(begun.elapsed() >= SHORT);
        let signal = |process: &ProcessHandle| process.try_status().unwrap().signal();
        assert_eq!(signal(&meek), Some(Signal::TERM));
        assert_eq!(signal(&stubborn), Some(Signal::KILL));
    });
}

#[test]
fn a_shutdown_of_children_that_die_of_sigterm_does_not_wait_for_the_grace() {
    run(async {
        let supervisor = ProcessSupervisor::new().start();
        let (_, meek) = ready(&supervisor, &["say", "ready", "pause"]).await;
        let report = in_time(supervisor.send(Shutdown { grace: LONG })).await;
        assert!(report.unwrap().unreaped.is_empty());
        assert_eq!(meek.try_status().unwrap().signal(), Some(Signal::TERM));
    });
}

#[test]
fn after_a_shutdown_spawns_are_refused() {
    run(async {
        let supervisor = ProcessSupervisor::new().start();
        let shutdown = supervisor.send(Shutdown { grace: LONG });
        // Refused from the moment that it is handled, not only when it is answered.
        let spawn = supervisor.send(Spawn::new(helper(["exit"]), NoProtocol));
        let (report, spawned) = futures::join!(shutdown, spawn);
        assert!(report.unwrap().unreaped.is_empty());
        for refused in [
            spawned,
            supervisor
                .send(Spawn::new(helper(["exit"]), NoProtocol))
                .await,
        ] {
            let error = refused.unwrap().unwrap_err();
            assert_eq!(error.step(), SpawnStep::Register);
            assert!(error.to_string().contains("shutting down"), "{error}");
        }
    });
}

#[test]
fn two_shutdowns_are_both_answered_and_the_shorter_grace_counts() {
    run(async {
        let supervisor = ProcessSupervisor::new().start();
        let stubborn = ["ignore", "15", "say", "ready", "pause"];
        let (_, stubborn) = ready(&supervisor, &stubborn).await;
        let patient = supervisor.send(Shutdown { grace: LONG });
        let hasty = supervisor.send(Shutdown { grace: SHORT });
        let (patient, hasty) = in_time(futures::future::join(patient, hasty)).await;
        assert!(patient.unwrap().unreaped.is_empty());
        assert!(hasty.unwrap().unreaped.is_empty());
        let status = stubborn.try_status().unwrap();
        assert_eq!(status.signal(), Some(Signal::KILL));
    });
}

#[test]
fn a_shutdown_kills_a_spawn_that_hangs_in_its_exec() {
    isolated(|| {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("leased");
        copy_of_this_program(&program);
        run(async {
            // Another supervisor's child holds the lease: the shutdown must not release it.
            let holder = ProcessSupervisor::new().start();
            let lease = ["lease", program.to_str().unwrap(), "say", "ready", "pause"];
            let (_, lease) = ready(&holder, &lease).await;

            let supervisor = ProcessSupervisor::new().start();
            let hung = Command::new(&program).args(["@helper", "pause"]);
            let spawn = supervisor.send(Spawn::new(hung, NoProtocol));
            let seen = || format!("{:?}", children());
            let unborn = eventually("a child in its exec", unborn_child, seen).await;
            let report = in_time(supervisor.send(Shutdown { grace: LONG })).await;
            assert!(report.unwrap().unreaped.is_empty());
            assert!(is_gone(unborn), "the shutdown waits for its reap");
            let error = in_time(spawn).await.unwrap().unwrap_err();
            assert_eq!(error.step(), SpawnStep::Register);
            assert_eq!(lease.try_status(), None);
            assert!(lease.kill());
            in_time(lease.ended()).await;
        });
    });
}

/// A child of this process that has not exec'd yet: it still has our own command line.
fn unborn_child() -> Option<i32> {
    let cmdline = |pid: i32| std::fs::read(format!("/proc/{pid}/cmdline"));
    let ours = cmdline(std::process::id() as i32).unwrap();
    let unborn = |pid: &i32| cmdline(*pid).is_ok_and(|its| its == ours);
    children().into_iter().map(|(pid, _)| pid).find(unborn)
}

#[test]
fn the_systems_own_supervisor_stays_the_same_while_it_lives() {
    run(async {
        let first = ProcessSupervisor::current().unwrap();
        assert_eq!(ProcessSupervisor::current().unwrap(), first);
        let process = helper(["pause"]).spawn(NoProtocol).await.unwrap();
        assert_eq!(list(&first).await[0].id, process.id());
        // From another arbiter of this System too.
        let arbiter = Arbiter::new();
        let (give, given) = tokio::sync::oneshot::channel();
        arbiter.spawn_fn(move || {
            let _ = give.send(ProcessSupervisor::current().unwrap());
        });
        assert_eq!(in_time(given).await.unwrap(), first);
        arbiter.stop();
        assert!(process.kill());
        in_time(process.ended()).await;
        assert_eq!(ProcessSupervisor::current().unwrap(), first);
    });
}

#[test]
fn each_system_has_its_own_supervisor_side_by_side_and_in_turn() {
    let in_a_thread = || {
        std::thread::spawn(|| {
            run(async {
                let process = helper(["pause"]).spawn(NoProtocol).await.unwrap();
                let supervisor = ProcessSupervisor::current().unwrap();
                assert_eq!(list(&supervisor).await.len(), 1);
                assert!(process.kill());
                in_time(process.ended()).await;
                supervisor
            })
        })
    };
    let both = [in_a_thread(), in_a_thread()];
    let [one, other] = both.map(|thread| thread.join().unwrap());
    assert_ne!(one, other);
    let third = in_a_thread().join().unwrap();
    assert_ne!(third, one);
    assert_ne!(third, other);
}

#[test]
fn in_a_system_that_has_stopped_there_is_no_supervisor() {
    std::thread::spawn(move || {
        run(async { ProcessSupervisor::current().unwrap() });
        let error = ProcessSupervisor::current().unwrap_err();
        assert_eq!(error.step(), SpawnStep::Register);
    })
    .join()
    .unwrap();
}

/// Threads that are not the process-wide ones, which stay.
fn mortal_threads() -> Vec<String> {
    let mut names = common::census::threads();
    names.retain(|name| !name.starts_with("actix-process-"));
    names
}

#[test]
fn systems_that_are_gone_leave_no_thread_and_no_descriptor() {
    isolated(|| {
        let system = || {
            run(async {
                // Killed when the System goes, and reaped by the process-wide thread.
                let process = helper(["pause"]).spawn(NoProtocol).await;
                process.unwrap();
            });
        };
        let wait_for = |done: &dyn Fn() -> bool| {
            let begun = Instant::now();
            while !done() {
                assert!(begun.elapsed() < DEADLINE, "{:#?}", Census::take());
                std::thread::yield_now();
            }
        };
        // The process-wide threads and their descriptors; the janitor's too, which a System's
        // end may do without.
        let threads = mortal_threads();
        run(async { drop(start_all_threads().await) });
        let gone = || children().is_empty() && mortal_threads() == threads && !has_watch();
        wait_for(&gone);
        let fds = Census::take().fds;
        for _ in 0..10 {
            system();
        }
        for thread in [(); 5].map(|()| std::thread::spawn(system)) {
            thread.join().unwrap();
        }
        wait_for(&gone);
        wait_for(&|| Census::take().fds == fds);
    });
}

/// What was logged, for a process of its own.
struct Capture(Arc<Mutex<Vec<(log::Level, String)>>>);

impl log::Log for Capture {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        let line = (record.level(), record.args().to_string());
        self.0.lock().unwrap().push(line);
    }
    fn flush(&self) {}
}

#[test]
fn a_spawn_by_do_send_works_and_its_failure_is_logged() {
    isolated(|| {
        let lines = Arc::new(Mutex::new(Vec::new()));
        log::set_boxed_logger(Box::new(Capture(Arc::clone(&lines)))).unwrap();
        log::set_max_level(log::LevelFilter::Warn);
        System::new().block_on(async {
            let (trace, protocol) = Trace::start();
            let supervisor = ProcessSupervisor::current().unwrap();
            supervisor.do_send(Spawn::new(helper(["say", "hello"]), &protocol));
            let ended = || {
                let events = trace.events();
                let last = events.last().map(|(_, event)| event.clone());
                matches!(last, Some(ProcessEvent::ProcessEnded { .. })).then_some(())
            };
            eventually("the end", ended, || format!("{:?}", trace.events())).await;
            assert_eq!(*lines.lock().unwrap(), []);

            let missing = Command::new("/no/such/program");
            supervisor.do_send(Spawn::new(missing.clone(), &protocol));
            let logged = || {
                let lines = lines.lock().unwrap();
                let named = |(level, line): &&(log::Level, String)| {
                    *level == log::Level::Warn && line.contains("/no/such/program")
                };
                lines.iter().find(named).cloned()
            };
            eventually("a warning", logged, || {
                format!("{:?}", lines.lock().unwrap())
            })
            .await;
            // One that somebody hears of is not.
            lines.lock().unwrap().clear();
            assert!(missing.spawn(&protocol).await.is_err());
            assert_eq!(*lines.lock().unwrap(), []);
        });
    });
}
