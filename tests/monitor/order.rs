//! Services that come after others, and the reverse of that order in a stop.

use std::time::Instant;

use actix_process::Ladder;
use actix_process::monitor::{MonitorError, Ready, Restart, ServiceState, When};

use crate::common::{in_time, run};
use crate::watched::{LONG, READY, Watched, at_once, helping, kill, late, ms, pausing, shell};

fn place(texts: &[String], text: &str) -> usize {
    let found = texts.iter().position(|other| other == text);
    found.unwrap_or_else(|| panic!("no {text} in {texts:?}"))
}

#[test]
fn a_service_after_another_starts_when_that_one_is_ready_and_not_before() {
    run(async {
        let gated = shell("db", "read line; echo up; exec sleep 600").ready(Ready::line("up"));
        let services = [pausing("web").after("db", When::Ready), gated];
        let watched = Watched::start(services).await;
        watched
            .once("db", ServiceState::Running { ready: false })
            .await;
        assert_eq!(watched.look("web").await.state, ServiceState::Waiting);
        in_time(watched.write("db", "\n")).await.unwrap();
        in_time(watched.ready("web")).await.unwrap();
        let texts = watched.texts();
        assert!(
            place(&texts, "db ready") < place(&texts, "web starting"),
            "{texts:?}"
        );
        // What happens to the other one later does not touch it.
        let web = watched.pid("web").await;
        watched.crash("db").await;
        watched
            .times("db", ServiceState::Running { ready: false }, 2)
            .await;
        assert_eq!(watched.pid("web").await, web);
        watched.end().await;
    });
}

#[test]
fn dependants_wait_for_the_present_incarnation_and_not_for_an_earlier_one() {
    run(async {
        let gated = shell("db", "read line; echo up; exec sleep 600").ready(Ready::line("up"));
        let services = [
            gated.restart(at_once(Restart::on_failure())),
            pausing("web").after("db", When::Ready).on_demand(),
        ];
        let watched = Watched::start(services).await;
        let not_ready = ServiceState::Running { ready: false };
        watched.once("db", not_ready).await;
        in_time(watched.write("db", "\n")).await.unwrap();
        watched.once("db", READY).await;
        watched.crash("db").await;
        watched.times("db", not_ready, 2).await;
        // The first incarnation was ready. This one is not.
        let (started, ()) = futures::join!(watched.start("web"), async {
            watched.once("web", ServiceState::Waiting).await;
            assert_eq!(watched.look("web").await.state, ServiceState::Waiting);
            in_time(watched.write("db", "\n")).await.unwrap();
        });
        started.unwrap();
        watched.times("db", READY, 2).await;
        watched.end().await;
    });
}

#[test]
fn a_service_whose_start_waits_is_not_failed_by_a_failure_of_the_other_one() {
    run(async {
        // Twice it ends before it is ready.
        let dir = tempfile::tempdir().unwrap();
        let count = dir.path().join("count");
        let script = format!(
            "echo x >> {0}; test $(wc -l < {0}) -lt 3 && exit 1; echo up; exec sleep 600",
            count.display()
        );
        let db = shell("db", &script).ready(Ready::line("up"));
        let services = [
            db.restart(at_once(Restart::on_failure())),
            pausing("web").after("db", When::Ready),
        ];
        let watched = Watched::start(services).await;
        in_time(watched.ready("web")).await.unwrap();
        assert_eq!(watched.generations("db").len(), 3);
        assert_eq!(watched.generations("web").len(), 1);
        watched.end().await;
    });
}

#[test]
fn after_an_end_or_a_success_what_waits_for_it_starts_and_else_is_told() {
    run(async {
        let never = at_once(Restart::never());
        let services = [
            helping("ok", ["exit", "0"]).restart(never.clone()),
            helping("bad", ["exit", "1"]).restart(never),
            pausing("ok-ended").after("ok", When::Ended),
            pausing("ok-succeeded").after("ok", When::Succeeded),
            pausing("bad-ended").after("bad", When::Ended),
            pausing("bad-succeeded").after("bad", When::Succeeded),
            pausing("ok-ready").after("ok", When::Ready).on_demand(),
        ];
        let watched = Watched::start(services).await;
        for id in ["ok-ended", "ok-succeeded", "bad-ended"] {
            in_time(watched.ready(id)).await.unwrap();
        }
        watched.once("bad", ServiceState::Failed).await;
        watched.once("ok", ServiceState::Exited).await;
        let starts = [
            (
                "bad-succeeded",
                "bad",
                ServiceState::Failed,
                watched.ready("bad-succeeded").await,
            ),
            (
                "ok-ready",
                "ok",
                ServiceState::Exited,
                watched.start("ok-ready").await,
            ),
        ];
        for (id, other, expected, answer) in starts {
            let error = answer.unwrap_err();
            let MonitorError::Dependency {
                name, of, state, ..
            } = &error
            else {
                panic!("{error}");
            };
            assert_eq!((&*name.id, &*of.id, *state), (id, other, expected));
            assert_eq!(watched.look(id).await.state, ServiceState::Waiting);
        }
        watched.end().await;
    });
}

#[test]
fn a_shutdown_goes_in_the_reverse_of_the_order() {
    run(async {
        let services = [
            pausing("a"),
            pausing("b").after("a", When::Ready),
            pausing("c").after("b", When::Ready),
            pausing("d").after("a", When::Ready),
        ];
        let watched = Watched::start(services).await;
        for id in ["c", "d"] {
            in_time(watched.ready(id)).await.unwrap();
        }
        watched.end().await;
        let texts = watched.texts();
        assert!(
            place(&texts, "c stopped") < place(&texts, "b stopping"),
            "{texts:?}"
        );
        assert!(
            place(&texts, "b stopped") < place(&texts, "a stopping"),
            "{texts:?}"
        );
        assert!(
            place(&texts, "d stopped") < place(&texts, "a stopping"),
            "{texts:?}"
        );
        // It waits for nobody.
        assert!(
            place(&texts, "d stopping") < place(&texts, "b stopping"),
            "{texts:?}"
        );
    });
}

#[test]
fn many_stops_take_the_longest_ladder_and_not_the_sum() {
    run(async {
        let ladder = Ladder::new().term(ms(1000)).kill();
        let ids: Vec<String> = (0..20).map(|n| format!("s{n}")).collect();
        let services = ids.iter().map(|id| {
            let ignoring = helping(id, ["ignore", "15", "say", "up", "pause"]);
            ignoring.stop(ladder.clone()).ready(Ready::line("up"))
        });
        let watched = Watched::start(services).await;
        for id in &ids {
            in_time(watched.ready(id)).await.unwrap();
        }
        let begun = Instant::now();
        let report = in_time(watched.shutdown(LONG)).await;
        let took = begun.elapsed();
        assert!((ms(1000)..ms(10_000)).contains(&took), "{took:?}");
        assert_eq!(report.killed.len(), ids.len(), "{report:?}");
        watched.end().await;
    });
}

#[test]
fn what_is_essential_ends_the_monitor_when_it_ends_for_good_and_only_then() {
    run(async {
        let services = || {
            [
                pausing("main").essential().restart(late(Restart::never())),
                pausing("other"),
            ]
        };
        let watched = Watched::start(services()).await;
        in_time(watched.ready("main")).await.unwrap();
        // None of these is an end.
        in_time(watched.restart("main")).await.unwrap();
        in_time(watched.stop("main")).await.unwrap();
        in_time(watched.start("main")).await.unwrap();
        in_time(watched.restart("main")).await.unwrap();
        let other = watched.pid("other").await;
        assert_eq!(
            watched.look("other").await.generation,
            watched.generations("other")[0]
        );
        watched.crash("main").await;
        let report = in_time(watched.closed()).await;
        assert_eq!(report.clean, ["other"], "{report:?}");
        assert!(crate::common::census::is_gone(other));
        watched.end().await;
    });
}

#[test]
fn an_essential_service_that_comes_again_ends_nothing() {
    run(async {
        let main = pausing("main")
            .essential()
            .restart(at_once(Restart::on_failure()).fatal([3]));
        let watched = Watched::start([main, pausing("other")]).await;
        for times in 1..4 {
            watched.times("main", READY, times).await;
            kill(watched.pid("main").await);
        }
        watched.times("main", READY, 4).await;
        watched.once("other", READY).await;
        assert_eq!(watched.look("other").await.state, READY);
        watched.end().await;
    });
}
