//! What a stop does, and when a service counts as stopped.

use std::time::{Duration, Instant};

use actix_process::monitor::{
    CgroupPlace, Event, EventKind, ExitKind, Monitor, MonitorError, Ready, Restart, ServiceState,
};
use actix_process::{Ladder, Signal};
use nix::libc;

use crate::common::census::is_gone;
use crate::common::helper::numbers;
use crate::common::isolated::{isolated, skipped};
use crate::common::limits::is_root;
use crate::common::{eventually, in_time, run};
use crate::watched::{LONG, READY, Watched, at_once, helping, kill, ms, shell};

/// How many the first leftovers were that were told of.
async fn leftovers(watched: &Watched) -> usize {
    let count = |event: &Event| match event.what {
        EventKind::Leftovers { count, .. } => Some(count),
        _ => None,
    };
    let find = |events: &[Event]| events.iter().find_map(count);
    watched.until("leftovers", find).await
}

/// The pids that the helper has told of its grandchildren.
async fn held(watched: &Watched, id: &str, count: usize) -> Vec<i32> {
    use actix_process::monitor::{Followed, Since};
    use futures::StreamExt;
    let mut lines = watched.follow(id, Since::Start);
    let mut pids = Vec::new();
    while pids.len() < count {
        match in_time(lines.next()).await {
            Some(Followed::Line { bytes, .. }) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                if let Some(pid) = text.strip_prefix("held ") {
                    pids.extend(numbers(pid));
                }
            }
            Some(_) => {}
            None => panic!("{pids:?}"),
        }
    }
    pids
}

#[test]
fn a_stop_takes_the_whole_group_along() {
    run(async {
        let family = helping(
            "a",
            [
                "leave", "1", "pause", "leave", "1", "pause", "say", "up", "pause",
            ],
        );
        let watched = Watched::start([family.ready(Ready::line("up"))]).await;
        in_time(watched.ready("a")).await.unwrap();
        let grandchildren = held(&watched, "a", 2).await;
        let pid = watched.pid("a").await;
        in_time(watched.stop("a")).await.unwrap();
        for pid in grandchildren.into_iter().chain([pid]) {
            assert!(is_gone(pid), "{pid}");
        }
        assert_eq!(watched.last_exit("a").await.kind, ExitKind::Stopped);
        watched.end().await;
    });
}

#[test]
fn what_outlives_the_child_is_stopped_and_counted_before_the_service_counts_as_stopped() {
    run(async {
        // The grandchild ignores SIGTERM; the child minds it.
        let actions = ["leave", "5", "ignore", "15", "say", "up", "pause", "pause"];
        let family = helping("a", actions).ready(Ready::line("up"));
        let family = family.stop(Ladder::new().term(ms(200)).kill());
        let watched = Watched::start([family]).await;
        in_time(watched.ready("a")).await.unwrap();
        let grandchild = held(&watched, "a", 1).await[0];
        in_time(watched.stop("a")).await.unwrap();
        assert!(is_gone(grandchild));
        assert_eq!(leftovers(&watched).await, 1);
        // It took the SIGKILL.
        assert_eq!(watched.last_exit("a").await.kind, ExitKind::Escalated);
        watched.end().await;
    });
}

#[test]
fn what_a_crash_leaves_behind_is_gone_before_the_next_start() {
    run(async {
        let actions = ["leave", "1", "pause", "say", "up", "drain", "0"];
        let family = helping("a", actions).ready(Ready::line("up"));
        let family = family.restart(at_once(Restart::always()));
        let watched = Watched::start([family]).await;
        in_time(watched.ready("a")).await.unwrap();
        let grandchild = held(&watched, "a", 1).await[0];
        watched.crash("a").await;
        watched.times("a", ServiceState::Starting, 2).await;
        assert!(is_gone(grandchild));
        assert_eq!(leftovers(&watched).await, 1);
        watched.times("a", READY, 2).await;
        watched.end().await;
    });
}

#[test]
fn what_holds_none_of_the_childs_pipes_is_stopped_and_counted_too() {
    run(async {
        // The child ends before it: it has ended when the monitor hears of its exit.
        let script = "sleep 600 <&- >&- 2>&- & echo held $!; exit 3";
        let family = shell("a", script).restart(Restart::never());
        let watched =
            Watched::start_of(Monitor::new().cgroups(CgroupPlace::Nowhere), [family]).await;
        watched.once("a", ServiceState::Failed).await;
        let grandchild = held(&watched, "a", 1).await[0];
        assert!(is_gone(grandchild));
        assert_eq!(leftovers(&watched).await, 1);
        watched.end().await;
    });
}

#[test]
fn the_ladder_is_climbed_as_far_as_it_takes() {
    run(async {
        let ladder = || {
            Ladder::eof(ms(200))
                .signal(Signal::USR1, ms(200))
                .term(ms(200))
                .kill()
        };
        let services = [
            helping("eof", ["say", "up", "drain", "0"]),
            helping("usr1", ["say", "up", "pause"]),
            helping("term", ["ignore", "10", "say", "up", "pause"]),
            helping(
                "kill",
                ["ignore", "10", "ignore", "15", "say", "up", "pause"],
            ),
        ];
        let services = services.map(|service| service.ready(Ready::line("up")).stop(ladder()));
        let watched = Watched::start(services).await;
        for (id, signal, kind) in [
            ("eof", None, ExitKind::Stopped),
            ("usr1", Some(Signal::USR1), ExitKind::Stopped),
            ("term", Some(Signal::TERM), ExitKind::Stopped),
            ("kill", Some(Signal::KILL), ExitKind::Escalated),
        ] {
            in_time(watched.ready(id)).await.unwrap();
            in_time(watched.stop(id)).await.unwrap();
            let exit = watched.last_exit(id).await;
            assert_eq!(
                (exit.status.unwrap().signal(), exit.kind),
                (signal, kind),
                "{id}"
            );
        }
        watched.end().await;
    });
}

#[test]
fn who_asks_again_for_a_stop_that_is_under_way_hears_of_the_same_end() {
    run(async {
        let ignoring = helping("a", ["ignore", "15", "say", "up", "pause"]);
        let ignoring = ignoring
            .ready(Ready::line("up"))
            .stop(Ladder::new().term(ms(300)).kill());
        let watched = Watched::start([ignoring]).await;
        in_time(watched.ready("a")).await.unwrap();
        let pid = watched.pid("a").await;
        let stops = (0..5).map(|_| watched.stop("a"));
        for stopped in in_time(futures::future::join_all(stops)).await {
            stopped.unwrap();
        }
        assert!(is_gone(pid));
        watched.once("a", ServiceState::Stopped).await;
        let stopping = [ServiceState::Stopping, ServiceState::Stopped];
        assert!(
            watched.states("a").ends_with(&stopping),
            "{:?}",
            watched.texts()
        );
        // And of one that is over.
        in_time(watched.stop("a")).await.unwrap();
        assert_eq!(watched.states("a").len(), 6, "{:?}", watched.texts());
        watched.end().await;
    });
}

#[test]
fn what_cannot_be_killed_is_told_keeps_its_place_and_is_reaped_when_it_dies() {
    isolated(|| {
        if !is_root() {
            return skipped("only root can make such a child");
        }
        run(async {
            let child = helping("a", ["say", "up", "drain", "0"]).ready(Ready::line("up"));
            let child = child.stop(Ladder::new().term(ms(100)).kill());
            // It minds the end of its input: nobody could kill it at the end of this test.
            let other = helping("other", ["drain", "0"]);
            let monitor = Monitor::new().cgroups(CgroupPlace::Nowhere).guard(false);
            let watched = Watched::start_of(monitor, [child, other]).await;
            in_time(watched.ready("a")).await.unwrap();
            in_time(watched.ready("other")).await.unwrap();
            let pid = watched.pid("a").await;
            // The children stay root, and this process becomes nobody, with all its threads.
            // SAFETY: integers.
            assert_eq!(unsafe { libc::setresuid(65534, 65534, 65534) }, 0);
            let begun = Instant::now();
            let error = in_time(watched.stop("a")).await.unwrap_err();
            assert!(matches!(error, MonitorError::Unkillable { .. }), "{error}");
            assert!(begun.elapsed() < Duration::from_secs(5));
            let told = |event: &Event| event.what == EventKind::Unkillable;
            let told = |events: &[Event]| events.iter().any(told).then_some(());
            watched.until("an event", told).await;
            let status = watched.look("a").await;
            assert_eq!(
                (status.state, status.pid),
                (ServiceState::Stopping, Some(pid))
            );
            in_time(watched.signal("a", Signal::TERM))
                .await
                .unwrap_err();
            let report = watched.shutdown(Duration::ZERO);
            let report = in_time(report).await;
            assert!(report.unkillable.contains(&"a".to_owned()), "{report:?}");
            // With the monitor its pipes are closed.
            eventually(
                "its end",
                || is_gone(pid).then_some(()),
                || "it lives".to_owned(),
            )
            .await;
        });
    });
}

#[test]
fn an_unkillable_one_that_dies_after_all_is_stopped_and_can_be_started() {
    isolated(|| {
        if !is_root() {
            return skipped("only root can make such a child");
        }
        run(async {
            let child = helping("a", ["say", "up", "take", "0", "1"]).ready(Ready::line("up"));
            let child = child.stop(Ladder::new().term(ms(50)).kill());
            let monitor = Monitor::new().cgroups(CgroupPlace::Nowhere).guard(false);
            let watched = Watched::start_of(monitor, [child]).await;
            in_time(watched.ready("a")).await.unwrap();
            let pid = watched.pid("a").await;
            // Effective only: back and forth.
            // SAFETY: integers.
            assert_eq!(unsafe { libc::setresuid(65534, 65534, 0) }, 0);
            let error = in_time(watched.stop("a")).await.unwrap_err();
            assert!(matches!(error, MonitorError::Unkillable { .. }), "{error}");
            in_time(watched.write("a", "x")).await.unwrap();
            watched.once("a", ServiceState::Stopped).await;
            assert!(is_gone(pid));
            // SAFETY: integers.
            assert_eq!(unsafe { libc::setresuid(0, 0, 0) }, 0);
            in_time(watched.start("a")).await.unwrap();
            kill(watched.pid("a").await);
            watched.end().await;
        });
    });
}

#[test]
fn a_restart_waits_for_the_end_of_the_whole_group() {
    run(async {
        let actions = ["leave", "5", "ignore", "15", "say", "up", "pause", "pause"];
        let family = helping("a", actions).ready(Ready::line("up"));
        let watched = Watched::start([family.stop(Ladder::new().term(ms(100)).kill())]).await;
        in_time(watched.ready("a")).await.unwrap();
        let grandchild = held(&watched, "a", 1).await[0];
        let begun = Instant::now();
        in_time(watched.restart("a")).await.unwrap();
        assert!(is_gone(grandchild));
        assert!(begun.elapsed() < LONG);
        assert_eq!(watched.generations("a").len(), 2);
        watched.end().await;
    });
}
