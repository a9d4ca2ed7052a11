//! Services that run while somebody has a lease of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use actix_process::monitor::{
    Backoff, Lease, Monitor, MonitorError, MonitorHandle, Ready, Restart, Service, ServiceState,
    Start, StartFailure, When, messages,
};
use futures::future::join_all;

use crate::changes::{Changes, READY, RUNNING, empty, end, failed_exit, pid_of, sh};
use crate::common::census::is_gone;
use crate::common::{eventually, in_time, run};

/// Runs this script on demand, and counts its starts.
fn counted(id: &str, script: &'static str) -> (Service, Arc<AtomicUsize>) {
    let starts = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&starts);
    let service = Service::new(id, move |_: &Start| {
        count.fetch_add(1, Ordering::AcqRel);
        Ok(sh(script))
    });
    (service.on_demand(), starts)
}

async fn with(service: Service) -> MonitorHandle {
    let monitor = empty();
    in_time(monitor.add(service)).await.unwrap();
    monitor
}

/// Asks for a lease, in a task of its own, and waits until the monitor has heard of it.
async fn asks(
    monitor: &MonitorHandle,
    id: &'static str,
) -> actix_rt::task::JoinHandle<Result<Lease, MonitorError>> {
    let before = monitor.status(id).await.unwrap().leases;
    let asking = actix_rt::spawn({
        let monitor = monitor.clone();
        async move { monitor.lease(id).await }
    });
    leases(monitor, id, before + 1).await;
    asking
}

async fn leases(monitor: &MonitorHandle, id: &str, count: usize) {
    in_time(async {
        while monitor.status(id).await.unwrap().leases != count {
            actix_rt::task::yield_now().await;
        }
    })
    .await;
}

async fn state(monitor: &MonitorHandle, id: &str) -> ServiceState {
    monitor.status(id).await.unwrap().state
}

#[test]
fn a_thousand_waiters_have_one_start() {
    run(async {
        let (service, starts) = counted("it", "read x; echo up; exec sleep 600");
        let monitor = with(service.ready(Ready::line("up"))).await;
        assert_eq!(state(&monitor, "it").await, ServiceState::Stopped);
        let asking = actix_rt::spawn({
            let monitor = monitor.clone();
            async move { join_all((0..1000).map(|_| monitor.lease("it"))).await }
        });
        leases(&monitor, "it", 1000).await;
        let mut changes = Changes::of(&monitor);
        while monitor.write("it", "go\n").await.is_err() {
            actix_rt::task::yield_now().await;
        }
        let leases = in_time(asking).await.unwrap();
        let leases: Vec<Lease> = leases.into_iter().map(Result::unwrap).collect();
        let pid = pid_of(leases[0].process());
        assert!(leases.iter().all(|lease| pid_of(lease.process()) == pid));
        assert_eq!(starts.load(Ordering::Acquire), 1);
        changes.until("it", READY).await;
        drop(leases);
        end(&monitor).await;
    });
}

#[test]
fn a_thousand_waiters_have_one_failure() {
    run(async {
        let script = "read x; echo the disk is full >&2; exit 3";
        let (service, starts) = counted("it", script);
        let service = service.ready(Ready::line("up")).restart(Restart::never());
        let monitor = with(service).await;
        let asking = actix_rt::spawn({
            let monitor = monitor.clone();
            async move { join_all((0..1000).map(|_| monitor.lease("it"))).await }
        });
        leases(&monitor, "it", 1000).await;
        while monitor.write("it", "go\n").await.is_err() {
            actix_rt::task::yield_now().await;
        }
        let answers = in_time(asking).await.unwrap();
        assert_eq!(answers.len(), 1000);
        for answer in answers {
            let Err(MonitorError::StartFailed { failure, .. }) = answer else {
                panic!("{answer:?}");
            };
            assert_eq!(failed_exit(&failure).tail, "the disk is full\n");
        }
        assert_eq!(starts.load(Ordering::Acquire), 1);
        leases(&monitor, "it", 0).await;
        end(&monitor).await;
    });
}

#[test]
fn who_drops_the_future_gives_the_lease_up() {
    run(async {
        let (service, starts) = counted("it", "read x; echo up; exec sleep 600");
        let service = service.ready(Ready::line("up")).idle_stop(Duration::ZERO);
        let monitor = with(service).await;
        let mut changes = Changes::of(&monitor);
        let first = asks(&monitor, "it").await;
        let second = asks(&monitor, "it").await;
        changes.until("it", RUNNING).await;
        first.abort();
        leases(&monitor, "it", 1).await;
        second.abort();
        changes.until("it", ServiceState::Stopped).await;
        assert!(!changes.states("it").contains(&READY));
        leases(&monitor, "it", 0).await;
        assert_eq!(starts.load(Ordering::Acquire), 1);
        end(&monitor).await;
    });
}

#[test]
fn it_is_stopped_when_it_was_idle_for_its_time_and_a_lease_keeps_it() {
    run(async {
        let (service, starts) = counted("it", "exec sleep 600");
        let time = Duration::from_millis(700);
        let monitor = with(service.idle_stop(time)).await;
        let mut changes = Changes::of(&monitor);
        let lease = in_time(monitor.lease("it")).await.unwrap();
        let other = in_time(monitor.lease("it")).await.unwrap();
        let pid = pid_of(lease.process());
        drop(lease);
        // While somebody has one it is not idle.
        actix_rt::time::sleep(time * 2).await;
        assert_eq!(state(&monitor, "it").await, READY);
        drop(other);
        // Within its time it is kept.
        actix_rt::time::sleep(time / 4).await;
        let again = in_time(monitor.lease("it")).await.unwrap();
        assert_eq!(pid_of(again.process()), pid);
        actix_rt::time::sleep(time * 2).await;
        assert_eq!(state(&monitor, "it").await, READY);
        let begun = Instant::now();
        drop(again);
        changes.until("it", ServiceState::Stopped).await;
        assert!(begun.elapsed() >= time);
        assert!(is_gone(pid));
        assert_eq!(starts.load(Ordering::Acquire), 1);
        let anew = in_time(monitor.lease("it")).await.unwrap();
        assert_ne!(pid_of(anew.process()), pid);
        drop(anew);
        end(&monitor).await;
    });
}

fn keyed() -> Service {
    Service::keyed("it", |key, start| {
        assert_eq!(start.key.as_deref(), Some(key));
        assert_eq!(&*start.id, "it");
        Ok(sh(&format!("echo {key} >&2; exec sleep 600")))
    })
}

async fn keys(monitor: &MonitorHandle) -> Vec<String> {
    let all = monitor.all().await.unwrap();
    let of = |status: &actix_process::monitor::Status| status.key.as_deref().map(str::to_owned);
    let mut keys: Vec<String> = all.iter().filter_map(of).collect();
    keys.sort();
    keys
}

#[test]
fn each_key_has_its_instance_and_the_longest_idle_goes_first() {
    run(async {
        let monitor = with(keyed().at_most(3)).await;
        assert!(keys(&monitor).await.is_empty());
        let mut held = Vec::new();
        for key in ["a", "b", "c"] {
            held.push(in_time(monitor.lease_key("it", key)).await.unwrap());
        }
        let again = in_time(monitor.lease_key("it", "b")).await.unwrap();
        assert_eq!(pid_of(again.process()), pid_of(held[1].process()));
        assert_eq!(again.name().key.as_deref(), Some("b"));
        drop(again);
        // One that is leased goes never.
        let full = in_time(monitor.lease_key("it", "d")).await;
        let full = full.map(drop).unwrap_err();
        assert!(
            matches!(full, MonitorError::AllLeased { limit: 3, .. }),
            "{full}"
        );
        let (c, b) = (held.pop().unwrap(), held.pop().unwrap());
        let b_pid = pid_of(b.process());
        drop(b);
        drop(c);
        let d = in_time(monitor.lease_key("it", "d")).await.unwrap();
        assert!(is_gone(b_pid), "one too many ran at a time");
        assert_eq!(keys(&monitor).await, ["a", "c", "d"]);
        // `c` is the longest idle one now, and one that is leased again is not.
        let c = in_time(monitor.lease_key("it", "c")).await.unwrap();
        drop(d);
        drop(c);
        let e = in_time(monitor.lease_key("it", "e")).await.unwrap();
        assert_eq!(keys(&monitor).await, ["a", "c", "e"]);
        let f = in_time(monitor.lease_key("it", "f")).await.unwrap();
        assert_eq!(keys(&monitor).await, ["a", "e", "f"]);
        let full = in_time(monitor.lease_key("it", "g")).await;
        assert!(matches!(full, Err(MonitorError::AllLeased { .. })));
        drop((e, f, held));
        end(&monitor).await;
    });
}

#[test]
fn an_instance_that_nobody_uses_is_forgotten() {
    run(async {
        let monitor = with(keyed().idle_stop(Duration::from_millis(50))).await;
        let leases = join_all(["a", "b"].map(|key| monitor.lease_key("it", key)));
        let leases = in_time(leases).await;
        assert_eq!(keys(&monitor).await, ["a", "b"]);
        drop(leases);
        in_time(async {
            while !keys(&monitor).await.is_empty() {
                actix_rt::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        let missing = in_time(monitor.status(("it", "a"))).await;
        assert!(matches!(missing, Err(MonitorError::NotFound { .. })));
        let keyless = in_time(monitor.lease("it")).await;
        assert!(matches!(keyless, Err(MonitorError::NotFound { .. })));
        end(&monitor).await;
    });
}

/// Leases again and again for this time; how many starts that made.
async fn hot_loop(script: &'static str, ready: Ready, backoff: Backoff) -> usize {
    let (service, starts) = counted("it", script);
    let restart = Restart::on_failure().backoff(backoff);
    let monitor = with(service.ready(ready).restart(restart)).await;
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        let left = until.saturating_duration_since(Instant::now());
        let _ = actix_rt::time::timeout(left, monitor.lease("it")).await;
        actix_rt::task::yield_now().await;
    }
    let starts = starts.load(Ordering::Acquire);
    end(&monitor).await;
    starts
}

#[test]
fn a_hot_loop_of_leases_starts_no_more_often_than_the_backoff_allows() {
    run(async {
        let backoff = || {
            let backoff = Backoff::new().first(Duration::from_millis(200));
            backoff.jitter(0.0)
        };
        // At 0, 0.2, 0.6 and 1.4 seconds.
        for (script, ready) in [
            ("exit 3", Ready::line("up")),
            ("echo up; exit 3", Ready::line("up")),
            ("exit 3", Ready::started()),
            ("exit 0", Ready::line("up")),
        ] {
            let text = format!("{ready:?}");
            let starts = hot_loop(script, ready, backoff()).await;
            assert!(
                (2..=4).contains(&starts),
                "{text}, {script}: {starts} starts"
            );
        }
    });
}

#[test]
fn one_that_ends_with_success_does_not_start_in_a_hot_loop_either() {
    run(async {
        // No success makes the next delay longer: at 0, 0.5, 1, 1.5 and 2 seconds.
        let backoff = Backoff::new().first(Duration::from_millis(500)).jitter(0.0);
        let starts = hot_loop("echo up; exit 0", Ready::line("up"), backoff).await;
        assert!((2..=5).contains(&starts), "{starts} starts");
    });
}

#[test]
fn a_lease_of_a_service_that_restarts_says_so() {
    run(async {
        let service = Service::new("it", |start: &Start| {
            let port = start.free_port()?;
            Ok(sh(&format!("echo {port} up; read x; exit 3")))
        });
        let restart = Restart::on_failure().backoff(Backoff::none());
        let service = service
            .ready(Ready::line("up"))
            .restart(restart)
            .on_demand();
        let monitor = with(service).await;
        let mut lease = in_time(monitor.lease("it")).await.unwrap();
        let (pid, start) = (pid_of(lease.process()), lease.start().clone());
        assert!(lease.is_current());
        monitor.write("it", "end\n").await.unwrap();
        in_time(lease.changed()).await.unwrap();
        assert!(lease.is_current());
        assert_ne!(pid_of(lease.process()), pid);
        assert!(lease.start().generation > start.generation);
        assert_ne!(lease.start().port().unwrap(), start.port().unwrap());
        assert_eq!(lease.start().attempt, 2);
        // The lease holds the new one as it held the old one.
        assert_eq!(monitor.status("it").await.unwrap().leases, 1);
        // A restart by hand is one as well.
        let (restarted, changed) =
            in_time(async { futures::join!(monitor.restart("it"), lease.changed()) }).await;
        restarted.unwrap();
        changed.unwrap();
        drop(lease);
        end(&monitor).await;
    });
}

#[test]
fn a_stop_or_a_removal_ends_what_is_leased() {
    run(async {
        let (service, starts) = counted("it", "exec sleep 600");
        let monitor = with(service).await;
        let mut lease = in_time(monitor.lease("it")).await.unwrap();
        let pid = pid_of(lease.process());
        in_time(monitor.stop("it")).await.unwrap();
        assert!(is_gone(pid) && !lease.is_current());
        let changed = in_time(lease.changed()).await;
        let stopped = matches!(
            changed,
            Err(MonitorError::State {
                state: ServiceState::Stopped,
                ..
            })
        );
        assert!(stopped, "{changed:?}");
        // No lease from before starts it; a new one does, and both see it.
        assert_eq!(state(&monitor, "it").await, ServiceState::Stopped);
        assert_eq!(starts.load(Ordering::Acquire), 1);
        let mut other = in_time(monitor.lease("it")).await.unwrap();
        in_time(lease.changed()).await.unwrap();
        assert_eq!(pid_of(lease.process()), pid_of(other.process()));
        let pid = pid_of(lease.process());
        in_time(monitor.remove("it")).await.unwrap();
        assert!(is_gone(pid));
        for lease in [&mut lease, &mut other] {
            let changed = in_time(lease.changed()).await;
            assert!(changed.is_err(), "{changed:?}");
        }
        let missing = in_time(monitor.lease("it")).await;
        assert!(matches!(missing, Err(MonitorError::NotFound { .. })));
        drop((lease, other));
        end(&monitor).await;
    });
}

#[test]
fn waiters_of_a_lease_hear_of_a_stop() {
    run(async {
        let (service, _) = counted("it", "exec sleep 600");
        let monitor = with(service.ready(Ready::line("never"))).await;
        let asking = asks(&monitor, "it").await;
        in_time(monitor.stop("it")).await.unwrap();
        let answer = in_time(asking).await.unwrap();
        let overtaken = matches!(answer, Err(MonitorError::Overtaken { by: "stop", .. }));
        assert!(overtaken, "{answer:?}");
        leases(&monitor, "it", 0).await;
        end(&monitor).await;
    });
}

#[test]
fn a_lease_tries_again_what_has_ended_while_another_one_is_held() {
    run(async {
        for (script, state) in [
            ("echo up; read x; exit 0", ServiceState::Exited),
            ("echo up; read x; exit 3", ServiceState::Failed),
        ] {
            let (service, starts) = counted("it", script);
            let restart = Restart::never().backoff(Backoff::none());
            let monitor = with(service.ready(Ready::line("up")).restart(restart)).await;
            let mut changes = Changes::of(&monitor);
            let lease = in_time(monitor.lease("it")).await.unwrap();
            monitor.write("it", "end\n").await.unwrap();
            changes.until("it", state).await;
            let again = in_time(monitor.lease("it")).await.unwrap();
            assert!(again.is_current());
            assert_eq!(starts.load(Ordering::Acquire), 2);
            drop((lease, again));
            end(&monitor).await;
        }
    });
}

#[test]
fn a_lease_of_one_that_always_runs_waits_for_it_and_does_not_start_it() {
    run(async {
        let monitor = empty();
        let service = Service::new("it", sh("exec sleep 600"));
        in_time(monitor.add(service)).await.unwrap();
        let lease = in_time(monitor.lease("it")).await.unwrap();
        drop(lease);
        in_time(monitor.stop("it")).await.unwrap();
        let answer = in_time(monitor.lease("it")).await;
        let stopped = matches!(
            answer,
            Err(MonitorError::State {
                state: ServiceState::Stopped,
                ..
            })
        );
        assert!(stopped, "{answer:?}");
        leases(&monitor, "it", 0).await;
        end(&monitor).await;
    });
}

#[test]
fn a_lease_by_message() {
    run(async {
        let (service, starts) = counted("it", "exec sleep 600");
        let monitor = with(service.idle_stop(Duration::ZERO)).await;
        let mut changes = Changes::of(&monitor);
        let name = "it".into();
        let lease = in_time(monitor.addr().send(messages::Lease { name })).await;
        let lease = lease.unwrap().unwrap();
        assert_eq!(starts.load(Ordering::Acquire), 1);
        assert!(lease.is_current());
        drop(lease);
        changes.until("it", ServiceState::Stopped).await;
        let name = "nobody".into();
        let missing = in_time(monitor.addr().send(messages::Lease { name })).await;
        assert!(matches!(
            missing.unwrap(),
            Err(MonitorError::NotFound { .. })
        ));
        end(&monitor).await;
    });
}

#[test]
fn a_lease_keeps_the_monitor_when_the_last_handle_is_dropped() {
    run(async {
        let (service, _) = counted("it", "exec sleep 600");
        let monitor = Monitor::new()
            .service(service)
            .guard(false)
            .start()
            .unwrap();
        let other = Service::new("other", sh("exec sleep 600"));
        in_time(monitor.add(other)).await.unwrap();
        let lease = in_time(monitor.lease("it")).await.unwrap();
        let other = monitor.status("other").await.unwrap().pid.unwrap();
        let closed = monitor.closed();
        drop(monitor);
        // What would be told in a moment is told before this is.
        let pid = pid_of(lease.process());
        actix_rt::time::sleep(Duration::from_millis(200)).await;
        assert!(lease.is_current() && !is_gone(pid) && !is_gone(other));
        drop(lease);
        in_time(closed).await;
        for pid in [pid, other] {
            eventually("its end", || is_gone(pid).then_some(()), || pid.to_string()).await;
        }
    });
}

#[test]
fn who_comes_after_one_on_demand_has_it_for_as_long_as_it_is_wanted() {
    run(async {
        let (service, starts) = counted("it", "exec sleep 600");
        let time = Duration::from_millis(500);
        let monitor = with(service.idle_stop(time)).await;
        let mut changes = Changes::of(&monitor);
        let after = Service::new("after", sh("exec sleep 600")).after("it", When::Ready);
        in_time(monitor.add(after)).await.unwrap();
        assert_eq!(state(&monitor, "it").await, READY);
        actix_rt::time::sleep(time * 2).await;
        assert_eq!(state(&monitor, "it").await, READY);
        let begun = Instant::now();
        in_time(monitor.stop("after")).await.unwrap();
        changes.until("it", ServiceState::Stopped).await;
        // It was not idle before.
        assert!(begun.elapsed() >= time, "{:?}", begun.elapsed());
        in_time(monitor.start("after")).await.unwrap();
        assert_eq!(state(&monitor, "it").await, READY);
        assert_eq!(starts.load(Ordering::Acquire), 2);
        end(&monitor).await;
    });
}

#[test]
fn a_failure_is_told_at_once_while_it_may_not_be_tried_again() {
    run(async {
        let (service, starts) = counted("it", "exit 3");
        let restart = Restart::on_failure().limit(1, Duration::from_secs(600));
        let restart = restart.backoff(Backoff::none());
        let monitor = with(service.ready(Ready::line("up")).restart(restart)).await;
        let mut last = None;
        for _ in 0..10 {
            let failed = in_time(monitor.lease("it")).await.map(drop).unwrap_err();
            last = Some(failed);
        }
        let Some(MonitorError::StartFailed { failure, .. }) = last else {
            panic!("{last:?}");
        };
        assert!(matches!(failure, StartFailure::Limit { .. }), "{failure}");
        assert_eq!(starts.load(Ordering::Acquire), 2);
        end(&monitor).await;
    });
}
