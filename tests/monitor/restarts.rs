//! When a service is started again, how long the next start waits, and when none comes any more.

use std::time::Duration;

use actix_process::monitor::{
    Backoff, Event, EventKind, ExitKind, Ready, Restart, ServiceState, StartFailure,
};
use actix_process::{Command, Signal, SpawnStep};
use nix::libc;

use crate::common::{in_time, run, write_executable};
use crate::watched::{LONG, READY, Watched, at_once, failure, helping, late, ms, pausing, shell};
use actix_process::monitor::Service;

/// The states of a service that has ended once and for all.
async fn end_of(service: Service) -> (ServiceState, ExitKind, usize) {
    let watched = Watched::start([service]).await;
    let over = |events: &[Event]| {
        events.iter().find_map(|event| match &event.what {
            EventKind::State {
                to: to @ (ServiceState::Exited | ServiceState::Failed),
                exit: Some(exit),
                ..
            } => Some((*to, exit.kind)),
            _ => None,
        })
    };
    let (state, kind) = watched.until("the end", over).await;
    let starts = watched.generations("a").len();
    watched.end().await;
    (state, kind, starts)
}

#[test]
fn an_end_is_judged_by_the_policy_and_its_codes_and_signals() {
    run(async {
        use ServiceState::{Exited, Failed};
        let never = at_once(Restart::never());
        let on_failure = at_once(Restart::on_failure());
        let always = at_once(Restart::always());
        let cases = [
            (vec!["exit", "0"], never.clone(), (Exited, ExitKind::Ok)),
            (vec!["exit", "3"], never.clone(), (Failed, ExitKind::Code)),
            (
                vec!["raise", "9"],
                never.clone(),
                (Failed, ExitKind::Signal),
            ),
            (
                vec!["exit", "3"],
                never.success_codes([3]),
                (Exited, ExitKind::Ok),
            ),
            (
                vec!["exit", "0"],
                on_failure.clone(),
                (Exited, ExitKind::Ok),
            ),
            (
                vec!["exit", "3"],
                on_failure.clone().success_codes([4, 3]),
                (Exited, ExitKind::Ok),
            ),
            (
                vec!["raise", "10"],
                on_failure.clone().success_signals([Signal::USR1]),
                (Exited, ExitKind::Ok),
            ),
            (
                vec!["exit", "78"],
                on_failure.fatal([78]),
                (Failed, ExitKind::Code),
            ),
            (
                vec!["exit", "78"],
                always.clone().fatal([78]),
                (Failed, ExitKind::Code),
            ),
            (vec!["exit", "0"], always.fatal([0]), (Exited, ExitKind::Ok)),
        ];
        for (actions, restart, (state, kind)) in cases {
            let command = crate::common::helper::helper(&actions);
            let service = Service::new("a", command).restart(restart.clone());
            let seen = end_of(service).await;
            assert_eq!(seen, (state, kind, 1), "{actions:?} {restart:?}");
        }
    });
}

#[test]
fn what_the_policy_restarts_comes_again_and_again() {
    run(async {
        let services = [
            helping("ok", ["exit", "0"]).restart(at_once(Restart::always())),
            helping("code", ["exit", "3"]).restart(at_once(Restart::always())),
            helping("failure", ["exit", "3"]).restart(at_once(Restart::on_failure())),
            helping("signal", ["raise", "9"]).restart(at_once(Restart::on_failure())),
        ];
        let watched = Watched::start(services).await;
        for id in ["ok", "code", "failure", "signal"] {
            watched.times(id, READY, 4).await;
            let generations = watched.generations(id);
            assert!(generations.is_sorted_by(|a, b| a < b), "{generations:?}");
        }
        assert!(watched.look("ok").await.restarts >= 3);
        watched.end().await;
    });
}

/// How long each restart waited.
fn delays(events: &[Event]) -> Vec<Duration> {
    let delays = events.iter().filter_map(|event| match event.what {
        EventKind::State { next_try, .. } => next_try,
        _ => None,
    });
    delays.collect()
}

async fn first_delays(service: Service, count: usize) -> Vec<Duration> {
    let watched = Watched::start([service]).await;
    let enough = |events: &[Event]| Some(delays(events)).filter(|delays| delays.len() >= count);
    let mut delays = watched.until("the delays", enough).await;
    let status = watched.look("a").await;
    assert!(
        status.next_try.is_none_or(|left| left <= ms(40)),
        "{status:?}"
    );
    watched.end().await;
    delays.truncate(count);
    delays
}

#[test]
fn delays_grow_up_to_the_cap_and_are_forgotten_after_readiness() {
    run(async {
        let backoff = Backoff::new().first(ms(5)).cap(ms(30)).jitter(0.0);
        let crashing =
            |backoff| helping("a", ["exit", "3"]).restart(Restart::on_failure().backoff(backoff));
        let grown = [5, 10, 20, 30, 30].map(ms);
        assert_eq!(first_delays(crashing(backoff), 5).await, grown);
        // A readiness that is long enough makes the next failure the first one again.
        let forgotten = crashing(backoff.reset_after(Duration::ZERO));
        assert_eq!(first_delays(forgotten, 4).await, [5; 4].map(ms));
        // A start that is never ready forgets nothing.
        let unready = crashing(backoff.reset_after(Duration::ZERO)).ready(Ready::line("never"));
        assert_eq!(first_delays(unready, 5).await, grown);
    });
}

#[test]
fn more_restarts_than_the_limit_in_its_window_are_a_failure_that_says_so() {
    run(async {
        let restart = at_once(Restart::on_failure()).limit(3, LONG);
        let watched = Watched::start([helping("a", ["exit", "7"]).restart(restart)]).await;
        watched.once("a", ServiceState::Failed).await;
        assert_eq!(watched.generations("a").len(), 4);
        let failed = failure(in_time(watched.ready("a")).await);
        let StartFailure::Limit {
            count,
            window,
            last,
            ..
        } = failed
        else {
            panic!("{failed:?}");
        };
        assert_eq!((count, window), (3, LONG));
        assert!(matches!(*last, StartFailure::Ended(_)), "{last:?}");
        // By hand it begins anew, with as many restarts as before.
        in_time(watched.start("a")).await.unwrap();
        watched.times("a", ServiceState::Failed, 2).await;
        assert_eq!(watched.generations("a").len(), 8);
        watched.end().await;
    });
}

#[test]
fn a_start_that_cannot_succeed_is_tried_once() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("no program");
        std::fs::write(&path, "data").unwrap();
        let commands = [
            (
                Command::new("/no/such/program"),
                SpawnStep::Exec,
                libc::ENOENT,
            ),
            (Command::new(&path), SpawnStep::Exec, libc::EACCES),
            (
                Command::new("true").current_dir("/no/such/directory"),
                SpawnStep::Cwd,
                libc::ENOENT,
            ),
        ];
        for (command, step, errno) in commands {
            let service = Service::new("a", command).restart(at_once(Restart::always()));
            let watched = Watched::start([service]).await;
            watched.once("a", ServiceState::Failed).await;
            for answer in [watched.ready("a").await, watched.start("a").await] {
                let failed = failure(answer);
                let StartFailure::Spawn(error) = failed else {
                    panic!("{failed:?}");
                };
                assert_eq!(
                    (error.step(), error.errno()),
                    (step, Some(errno)),
                    "{error}"
                );
            }
            // The second one by hand.
            assert_eq!(watched.generations("a").len(), 2);
            assert_eq!(watched.look("a").await.last_exit, None);
            watched.end().await;
        }
    });
}

#[test]
fn a_program_that_is_installed_later_is_found_by_who_retries() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("later");
        let restart = Restart::on_failure()
            .backoff(Backoff::new().first(ms(5)).cap(ms(5)))
            .retry_missing();
        let service = Service::new("a", Command::new(&path)).restart(restart);
        let watched = Watched::start([service]).await;
        watched.times("a", ServiceState::Backoff, 2).await;
        write_executable(&path, "#!/bin/sh\nexec sleep 600\n");
        watched.once("a", READY).await;
        watched.end().await;
    });
}

#[test]
fn the_first_failure_is_the_answer_to_all_who_wait_for_the_start() {
    run(async {
        let failing = || {
            let restart = late(Restart::on_failure());
            shell("a", "echo the reason >&2; exit 9")
                .restart(restart)
                .ready(Ready::line("up"))
        };
        let reason = |answer| {
            let failed = failure(answer);
            let text = failed.to_string();
            let StartFailure::Unready {
                exit: Some(exit), ..
            } = failed
            else {
                panic!("{failed:?}");
            };
            assert_eq!(exit.kind, ExitKind::Unready);
            assert_eq!(exit.status.unwrap().code(), Some(9));
            assert_eq!(&exit.tail[..], b"the reason\n");
            assert!(text.contains("the reason"), "{text}");
        };
        let watched = Watched::start([]).await;
        reason(in_time(watched.add(failing())).await);
        in_time(watched.remove("a")).await.unwrap();
        // It was added, and starts when it is asked for.
        in_time(watched.add(failing().on_demand())).await.unwrap();
        reason(in_time(watched.start("a")).await);
        in_time(watched.remove("a")).await.unwrap();
        in_time(watched.add(failing().on_demand())).await.unwrap();
        reason(in_time(watched.lease("a")).await.map(drop));
        in_time(watched.remove("a")).await.unwrap();
        watched.end().await;
        // Before the failure `ready` waits for it; after it for the next start, which is made now.
        let watched = Watched::start([failing()]).await;
        let (ready, now) = futures::join!(watched.ready("a"), async {
            watched.once("a", ServiceState::Backoff).await;
            in_time(watched.restart_now("a")).await
        });
        reason(ready);
        reason(now);
        watched.end().await;
    });
}

#[test]
fn a_start_by_hand_does_not_wait_for_the_delay_and_one_that_runs_is_left_alone() {
    run(async {
        let service = pausing("a").restart(late(Restart::on_failure()));
        let watched = Watched::start([service]).await;
        in_time(watched.ready("a")).await.unwrap();
        let first = watched.crash("a").await;
        watched.once("a", ServiceState::Backoff).await;
        let status = watched.look("a").await;
        assert!(
            status.next_try.is_some_and(|left| left > LONG / 2),
            "{status:?}"
        );
        assert_eq!(status.last_exit.unwrap().kind, ExitKind::Signal);
        in_time(watched.restart_now("a")).await.unwrap();
        let second = watched.pid("a").await;
        assert_ne!(second, first);
        in_time(watched.restart_now("a")).await.unwrap();
        assert_eq!(watched.pid("a").await, second);
        watched.end().await;
    });
}
