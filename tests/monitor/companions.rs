//! Services that are stopped and restarted together: OTP's one_for_all and rest_for_one.

use actix_process::monitor::{MonitorError, Restart, Service, ServiceState, When};

use crate::common::{in_time, run};
use crate::watched::{READY, Watched, at_once, helping, late, pausing};

fn restarting(id: &str) -> Service {
    pausing(id).restart(at_once(Restart::on_failure()))
}

/// a <-> b <-> c
fn one_for_all() -> [Service; 3] {
    [
        restarting("a").with("b"),
        restarting("b").with("a").with("c"),
        restarting("c").with("b"),
    ]
}

/// a <- b <- c
fn rest_for_one() -> [Service; 3] {
    [
        restarting("a"),
        restarting("b").after("a", When::Ready).with("a"),
        restarting("c").after("b", When::Ready).with("b"),
    ]
}

async fn pids(watched: &Watched) -> [i32; 3] {
    let mut pids = [0; 3];
    for (id, pid) in ["a", "b", "c"].into_iter().zip(&mut pids) {
        in_time(watched.ready(id)).await.unwrap();
        *pid = watched.pid(id).await;
    }
    pids
}

#[test]
fn those_that_name_each_other_come_again_all_when_one_crashes() {
    run(async {
        for victim in ["a", "b", "c"] {
            let watched = Watched::start(one_for_all()).await;
            let before = pids(&watched).await;
            watched.crash(victim).await;
            for id in ["a", "b", "c"] {
                watched.times(id, READY, 2).await;
            }
            let after = pids(&watched).await;
            assert!(
                before.iter().zip(after).all(|(a, b)| *a != b),
                "{before:?} {after:?}"
            );
            watched.end().await;
        }
    });
}

#[test]
fn along_the_order_those_after_the_one_that_crashes_come_again() {
    run(async {
        let watched = Watched::start(rest_for_one()).await;
        let first = pids(&watched).await;
        watched.crash("b").await;
        watched.times("c", READY, 2).await;
        let second = pids(&watched).await;
        assert_eq!(first[0], second[0]);
        assert!(
            first[1] != second[1] && first[2] != second[2],
            "{first:?} {second:?}"
        );
        // The last one goes first, and comes last.
        let texts = watched.texts();
        let last = |text: &str| texts.iter().rposition(|other| other == text).unwrap();
        assert!(last("c stopping") < last("b ready"), "{texts:?}");
        assert!(last("b ready") < last("c starting"), "{texts:?}");
        watched.crash("c").await;
        watched.times("c", READY, 3).await;
        let third = pids(&watched).await;
        assert_eq!(second[..2], third[..2]);
        watched.end().await;
    });
}

#[test]
fn a_restart_by_hand_takes_the_companions_along_and_a_stop_keeps_them_down() {
    run(async {
        let watched = Watched::start(rest_for_one()).await;
        let first = pids(&watched).await;
        in_time(watched.restart("a")).await.unwrap();
        watched.times("c", READY, 2).await;
        let second = pids(&watched).await;
        assert!(
            first.iter().zip(second).all(|(a, b)| *a != b),
            "{first:?} {second:?}"
        );
        in_time(watched.stop("a")).await.unwrap();
        for id in ["a", "b", "c"] {
            assert_eq!(watched.look(id).await.pid, None, "{id}");
        }
        // They are wanted, and wait for it.
        assert_eq!(watched.look("c").await.state, ServiceState::Waiting);
        let error = in_time(watched.ready("b")).await.unwrap_err();
        assert!(matches!(error, MonitorError::Dependency { .. }), "{error}");
        in_time(watched.start("a")).await.unwrap();
        in_time(watched.ready("c")).await.unwrap();
        watched.end().await;
    });
}

#[test]
fn a_companion_that_ends_with_success_takes_nobody_along() {
    run(async {
        let services = [
            helping("a", ["drain", "0"]).restart(at_once(Restart::on_failure())),
            restarting("b").with("a"),
        ];
        let watched = Watched::start(services).await;
        for id in ["a", "b"] {
            in_time(watched.ready(id)).await.unwrap();
        }
        let b = watched.pid("b").await;
        in_time(watched.signal("a", actix_process::Signal::TERM))
            .await
            .unwrap();
        watched.times("b", READY, 2).await;
        assert_ne!(watched.pid("b").await, b);
        watched.end().await;
        let services = [
            helping("a", ["exit", "0"]).restart(at_once(Restart::on_failure())),
            restarting("b").with("a"),
        ];
        let watched = Watched::start(services).await;
        watched.once("a", ServiceState::Exited).await;
        in_time(watched.ready("b")).await.unwrap();
        assert_eq!(watched.generations("b").len(), 1);
        watched.end().await;
    });
}

#[test]
fn one_that_fails_for_good_stops_its_companions_and_they_wait() {
    run(async {
        let services = [
            pausing("a").restart(late(Restart::never())),
            restarting("b").with("a"),
        ];
        let watched = Watched::start(services).await;
        for id in ["a", "b"] {
            in_time(watched.ready(id)).await.unwrap();
        }
        watched.crash("a").await;
        watched.once("a", ServiceState::Failed).await;
        watched.times("b", ServiceState::Waiting, 2).await;
        in_time(watched.start("a")).await.unwrap();
        in_time(watched.ready("b")).await.unwrap();
        watched.end().await;
    });
}
