//! What is asked of a running monitor: each request does what it says once, however often it is asked for.

use std::pin::pin;

use actix_process::monitor::{
    Event, EventKind, MonitorError, Ready, Restart, Service, ServiceState, Start, When, messages,
};
use actix_process::{Command, Ladder, Signal};

use futures::poll;

use crate::common::census::is_gone;
use crate::common::helper::helper;
use crate::common::{in_time, run};
use crate::watched::{LONG, READY, Watched, helping, late, ms, pausing, shell};

#[test]
fn what_there_is_not_is_told_so() {
    run(async {
        let keyed = Service::keyed("k", |_: &str, _: &Start| Ok(helper(["pause"])));
        let watched = Watched::start([pausing("a")]).await;
        in_time(watched.add(keyed)).await.unwrap();
        let found = |answer: Result<(), MonitorError>| match answer {
            Err(MonitorError::NotFound { name, .. }) => name.to_string(),
            other => panic!("{other:?}"),
        };
        for name in ["b", "k"] {
            assert_eq!(found(watched.start(name).await), name);
            assert_eq!(found(watched.ready(name).await), name);
            assert_eq!(found(watched.stop(name).await), name);
            assert_eq!(found(watched.restart(name).await), name);
            assert_eq!(found(watched.restart_now(name).await), name);
            assert_eq!(found(watched.signal(name, Signal::HUP).await), name);
            assert_eq!(found(watched.write(name, "x").await), name);
            assert_eq!(found(watched.status(name).await.map(drop)), name);
            assert_eq!(found(watched.lease(name).await.map(drop)), name);
        }
        assert_eq!(found(watched.remove("b").await), "b");
        assert_eq!(found(watched.remove(("k", "key")).await), "k[key]");
        assert_eq!(found(watched.stop(("a", "key")).await), "a[key]");
        watched.end().await;
    });
}

#[test]
fn a_start_of_what_runs_and_a_stop_of_what_is_stopped_do_nothing() {
    run(async {
        let watched = Watched::start([pausing("a")]).await;
        for _ in 0..3 {
            in_time(watched.start("a")).await.unwrap();
            in_time(watched.ready("a")).await.unwrap();
        }
        let pid = watched.pid("a").await;
        for _ in 0..3 {
            in_time(watched.stop("a")).await.unwrap();
        }
        assert!(is_gone(pid));
        let error = in_time(watched.ready("a")).await.unwrap_err();
        let stopped = matches!(
            &error,
            MonitorError::State {
                state: ServiceState::Stopped,
                ..
            }
        );
        assert!(stopped, "{error}");
        let error = in_time(watched.signal("a", Signal::HUP)).await.unwrap_err();
        assert!(matches!(&error, MonitorError::State { .. }), "{error}");
        in_time(watched.start("a")).await.unwrap();
        let status = watched.look("a").await;
        assert_eq!((status.state, status.restarts), (READY, 1));
        watched.times("a", READY, 2).await;
        assert_eq!(watched.generations("a").len(), 2);
        watched.end().await;
    });
}

#[test]
fn however_many_ask_for_a_start_there_is_one_and_all_hear_of_it() {
    run(async {
        let gated = shell("a", "read line; echo up; exec sleep 600").ready(Ready::line("up"));
        let watched = Watched::start([gated.on_demand()]).await;
        let starts = (0..20).map(|n| {
            let watched = &watched;
            async move {
                if n % 2 == 0 {
                    watched.start("a").await
                } else {
                    let message = messages::Start { name: "a".into() };
                    watched.addr().send(message).await.unwrap()
                }
            }
        });
        let (answers, ()) = futures::join!(futures::future::join_all(starts), async {
            watched
                .once("a", ServiceState::Running { ready: false })
                .await;
            in_time(watched.write("a", "\n")).await.unwrap();
        });
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        assert_eq!(watched.generations("a").len(), 1);
        watched.end().await;
    });
}

#[test]
fn a_restart_is_another_process_and_forgets_failures() {
    run(async {
        let restart = late(Restart::on_failure()).limit(1, LONG);
        let watched = Watched::start([pausing("a").restart(restart)]).await;
        in_time(watched.ready("a")).await.unwrap();
        let first = watched.pid("a").await;
        in_time(watched.restart("a")).await.unwrap();
        let second = watched.pid("a").await;
        assert!(first != second && is_gone(first));
        // From a backoff, and from the limit.
        watched.crash("a").await;
        watched.once("a", ServiceState::Backoff).await;
        in_time(watched.restart("a")).await.unwrap();
        watched.crash("a").await;
        watched.times("a", ServiceState::Backoff, 2).await;
        // One that waits is made now, and is not forgotten.
        in_time(watched.restart_now("a")).await.unwrap();
        watched.crash("a").await;
        watched.once("a", ServiceState::Failed).await;
        in_time(watched.restart("a")).await.unwrap();
        // And one that is stopped.
        in_time(watched.stop("a")).await.unwrap();
        in_time(watched.restart("a")).await.unwrap();
        watched.end().await;
    });
}

#[test]
fn a_later_request_overtakes_the_one_before_it_and_says_so() {
    run(async {
        let unready = || pausing("a").ready(Ready::line("never"));
        let stubborn = helping("b", ["ignore", "15", "say", "up", "pause"]);
        let stubborn = stubborn
            .ready(Ready::line("up"))
            .stop(Ladder::new().term(ms(300)).kill());
        let watched = Watched::start([unready().on_demand(), stubborn]).await;
        in_time(watched.ready("b")).await.unwrap();
        let by = |answer: Result<(), MonitorError>| match answer {
            Err(MonitorError::Overtaken { by, .. }) => by,
            other => panic!("{other:?}"),
        };
        // Two starts do not overtake each other; the stop overtakes both.
        let (one, two, ()) = futures::join!(watched.start("a"), watched.start("a"), async {
            watched
                .once("a", ServiceState::Running { ready: false })
                .await;
            in_time(watched.stop("a")).await.unwrap();
        });
        assert_eq!((by(one), by(two)), ("stop", "stop"));
        let (start, restart, ()) = futures::join!(
            watched.start("a"),
            async {
                watched
                    .times("a", ServiceState::Running { ready: false }, 2)
                    .await;
                watched.restart("a").await
            },
            async {
                watched
                    .times("a", ServiceState::Running { ready: false }, 3)
                    .await;
                in_time(watched.remove("a")).await.unwrap();
            }
        );
        assert_eq!((by(start), by(restart)), ("restart", "remove"));
        // A stop that is under way, by a start: the child goes, and another one comes.
        let old = watched.pid("b").await;
        let (stop, start) = futures::join!(watched.stop("b"), async {
            watched.once("b", ServiceState::Stopping).await;
            in_time(watched.start("b")).await
        });
        start.unwrap();
        assert_eq!(by(stop), "start");
        assert!(is_gone(old) && watched.pid("b").await != old);
        watched.end().await;
    });
}

#[test]
fn what_is_removed_is_stopped_and_forgotten_and_its_id_is_free() {
    run(async {
        let services = [
            pausing("a"),
            pausing("b").after("a", When::Ready),
            pausing("c").with("a"),
        ];
        let watched = Watched::start(services).await;
        for id in ["a", "b", "c"] {
            in_time(watched.ready(id)).await.unwrap();
        }
        let error = in_time(watched.remove("a")).await.unwrap_err();
        assert!(matches!(&error, MonitorError::Needed { .. }), "{error}");
        assert_eq!(watched.look("a").await.state, READY);
        for id in ["b", "c", "a"] {
            let pid = watched.pid(id).await;
            in_time(watched.remove(id)).await.unwrap();
            assert!(is_gone(pid));
            let error = in_time(watched.status(id)).await.unwrap_err();
            assert!(matches!(&error, MonitorError::NotFound { .. }), "{error}");
        }
        let removed = |events: &[Event]| {
            let removed = events
                .iter()
                .filter(|event| event.what == EventKind::Removed);
            (removed.count() == 3).then_some(())
        };
        watched.until("three removals", removed).await;
        assert_eq!(watched.all().await.unwrap(), []);
        in_time(watched.add(pausing("a"))).await.unwrap();
        // A new one: it knows nothing of the one before.
        let status = watched.look("a").await;
        assert_eq!((status.restarts, status.last_exit), (0, None));
        watched.end().await;
    });
}

#[test]
fn a_batch_is_answered_when_all_are_ready_and_with_the_first_failure() {
    run(async {
        let watched = Watched::start([]).await;
        let services = [
            pausing("web").after("db", When::Ready),
            helping("db", ["say", "up", "pause"]).ready(Ready::line("up")),
            pausing("lazy").on_demand(),
        ];
        in_time(watched.add_all(services)).await.unwrap();
        let states = watched.all().await.unwrap();
        let states: Vec<_> = states
            .iter()
            .map(|status| (&*status.id, status.state))
            .collect();
        let expected = [
            ("web", READY),
            ("db", READY),
            ("lazy", ServiceState::Stopped),
        ];
        assert_eq!(states, expected);
        let services = [
            pausing("good"),
            helping("bad", ["exit", "4"])
                .ready(Ready::line("up"))
                .restart(late(Restart::on_failure())),
        ];
        let error = in_time(watched.add_all(services)).await.unwrap_err();
        let MonitorError::StartFailed { name, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(name.to_string(), "bad");
        // They are there, and go on as their policies say.
        assert_eq!(watched.look("good").await.state, READY);
        assert_eq!(watched.look("bad").await.state, ServiceState::Backoff);
        in_time(watched.add_all([])).await.unwrap();
        watched.end().await;
    });
}

#[test]
fn all_are_ready_but_those_on_demand_and_those_that_are_over() {
    run(async {
        let once = helping("once", ["exit", "0"]).restart(Restart::never());
        let slow = helping("slow", ["take", "0", "1", "say", "up", "pause"]);
        let watched = Watched::start([
            pausing("web").after("slow", When::Ready),
            slow.ready(Ready::line("up")),
            pausing("lazy").on_demand(),
            pausing("stopped"),
            once,
        ])
        .await;
        in_time(watched.stop("stopped")).await.unwrap();
        watched.once("once", ServiceState::Exited).await;
        let mut ready = pin!(watched.all_ready());
        assert!(poll!(&mut ready).is_pending(), "`slow` is not ready");
        assert_ne!(watched.look("web").await.state, READY);
        watched
            .once("slow", ServiceState::Running { ready: false })
            .await;
        watched.write("slow", "x").await.unwrap();
        in_time(ready).await.unwrap();
        assert_eq!(watched.look("web").await.state, READY);
        assert_eq!(watched.look("lazy").await.state, ServiceState::Stopped);
        let bad = Service::new("bad", Command::new("/no/such/program"));
        in_time(watched.add(bad)).await.unwrap_err();
        let error = in_time(watched.all_ready()).await.unwrap_err();
        assert!(error.to_string().contains("bad"), "{error}");
        watched.end().await;
    });
}

#[test]
fn generations_grow_over_all_services_and_each_start_has_its_own() {
    run(async {
        let watched = Watched::start([pausing("a"), pausing("b")]).await;
        for id in ["a", "b"] {
            in_time(watched.ready(id)).await.unwrap();
        }
        for id in ["a", "b", "a", "b"] {
            in_time(watched.restart(id)).await.unwrap();
        }
        watched.times("a", READY, 3).await;
        watched.times("b", READY, 3).await;
        let mut all = [watched.generations("a"), watched.generations("b")].concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 6);
        assert_eq!(
            watched.look("a").await.generation,
            watched.generations("a")[2]
        );
        watched.end().await;
    });
}
