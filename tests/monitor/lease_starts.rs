//! Which leases start a service, and how often.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use actix_process::monitor::{
    Backoff, MonitorError, MonitorHandle, Ready, Restart, Service, ServiceState, StartFailure,
};
use futures::future::join_all;

use crate::changes::{Changes, empty, end, pid_of, sh};
use crate::common::census::is_gone;
use crate::common::{in_time, run};
use crate::leases::{counted, leases, with};

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
fn an_instance_without_leases_that_was_restarted_by_hand_makes_room() {
    run(async {
        let monitor = with(keyed().at_most(1)).await;
        let one = in_time(monitor.lease_key("it", "one")).await.unwrap();
        in_time(monitor.restart(("it", "one"))).await.unwrap();
        drop(one);
        let two = in_time(monitor.lease_key("it", "two")).await.unwrap();
        assert_eq!(keys(&monitor).await, ["two"]);
        drop(two);
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
