//! What is wrong with a service is told before anything is spawned, and its batch is not added.

use actix_process::monitor::{
    Alive, Backoff, CgroupLimits, CgroupPlace, Monitor, MonitorError, Ready, Restart, Service,
    ServiceState, Since, SpecError, Start, When, messages,
};
use actix_process::{Command, Fd, FdMap, Ladder, NoProtocol, Signal};
use std::time::Duration;

use crate::common::census::Census;
use crate::common::helper::helper;
use crate::common::isolated::isolated;
use crate::common::{in_time, run};
use crate::watched::{LONG, READY, Watched, helping, ms, pausing};

const ZERO: Duration = Duration::ZERO;

fn a(command: Command) -> Service {
    Service::new("a", command)
}

/// Services that are refused, with the service, the field and a word of the problem.
fn refused() -> Vec<(Vec<Service>, &'static str, &'static str, &'static str)> {
    let ok = || pausing("a");
    let ready = |ready: Ready| ok().ready(ready);
    let alive = |alive: Alive| ok().alive(alive);
    let restart = |restart: Restart| ok().restart(restart);
    let backoff = |backoff: Backoff| restart(Restart::always().backoff(backoff));
    let keyed = || Service::keyed("k", |_: &str, _: &Start| Ok(helper(["pause"])));
    let one = |service: Service, field, word| (vec![service], "a", field, word);
    let long = "x".repeat(129);
    vec![
        // Commands.
        one(a(Command::new("")), "command", "program"),
        one(a(Command::new("a\0b")), "command", ""),
        one(a(Command::new("true").arg("a\0b")), "command", ""),
        one(a(Command::new("true").env("A", "a\0b")), "command", ""),
        one(a(Command::new("true").env("", "x")), "command", ""),
        one(a(Command::new("true").env("A=B", "x")), "command", ""),
        one(a(Command::new("true").current_dir("a\0b")), "command", ""),
        one(
            a(Command::new("true").fds(FdMap::from([(1, Fd::read()), (1, Fd::null())]))),
            "command",
            "",
        ),
        // Ids.
        (vec![pausing("")], "", "id", "empty"),
        (vec![pausing("a b")], "a b", "id", "' '"),
        (vec![pausing("a/b")], "a/b", "id", "'/'"),
        (vec![pausing(&long)], "", "id", "129 bytes"),
        (vec![ok(), ok()], "a", "id", "another"),
        // Others.
        one(ok().after("b", When::Ready), "after", "\"b\""),
        one(ok().with("b"), "with", "\"b\""),
        one(ok().after("a", When::Ended), "after", "itself"),
        one(ok().with("a"), "with", "itself"),
        (
            vec![ok().after("k", When::Ready), keyed()],
            "a",
            "after",
            "keyed",
        ),
        (vec![ok().with("k"), keyed()], "a", "with", "keyed"),
        (
            vec![
                ok().after("b", When::Ready),
                pausing("b").after("c", When::Ready),
                pausing("c").after("a", When::Succeeded),
            ],
            "a",
            "after",
            "a circle: a after b after c after a",
        ),
        // Stops.
        one(ok().stop(Ladder::new()), "stop", "SIGKILL"),
        one(ok().stop(Ladder::new().term(LONG)), "stop", "SIGKILL"),
        one(
            ok().stop(Ladder::new().kill().term(LONG)),
            "stop",
            "SIGKILL",
        ),
        one(
            ok().stop(Ladder::new().term(LONG).signal(Signal::KILL, ms(99))),
            "stop",
            "SIGKILL",
        ),
        // Restarts.
        one(
            ok().essential().restart(Restart::always()),
            "essential",
            "never ends",
        ),
        one(
            backoff(Backoff::new().first(ms(2)).cap(ms(1))),
            "restart.backoff",
            "above the cap",
        ),
        one(
            backoff(Backoff::new().factor(0.5)),
            "restart.backoff",
            "factor",
        ),
        one(
            backoff(Backoff::new().factor(f64::NAN)),
            "restart.backoff",
            "factor",
        ),
        one(
            backoff(Backoff::new().jitter(1.5)),
            "restart.backoff",
            "jitter",
        ),
        one(
            restart(Restart::always().limit(0, LONG)),
            "restart.limit",
            "0 restarts",
        ),
        one(
            restart(Restart::always().limit(1, ZERO)),
            "restart.limit",
            "zero",
        ),
        one(
            restart(Restart::always().success_codes([256])),
            "restart.success_codes",
            "256",
        ),
        one(
            restart(Restart::always().fatal([-1])),
            "restart.fatal",
            "-1",
        ),
        // Readiness and liveness.
        one(ready(Ready::started().within(ZERO)), "ready", "within"),
        one(ready(Ready::after(ZERO)), "ready", "zero"),
        one(ready(Ready::tcp("localhost")), "ready", "no IP address"),
        one(ready(Ready::tcp("127.0.0.1:0")), "ready", "no IP address"),
        one(ready(Ready::port().every(ZERO)), "ready", "every"),
        one(ready(Ready::port().timeout(ZERO)), "ready", "timeout"),
        one(
            ready(Ready::port().within(ms(1)).timeout(ms(2))),
            "ready",
            "longer",
        ),
        one(ready(Ready::exec(Command::new(""))), "ready", "no program"),
        one(ready(Ready::fd(2)), "ready", "below 3"),
        one(ready(Ready::line("x").on(5)), "ready", "not piped"),
        one(
            a(helper(["pause"]).stdout(Fd::null()).stderr(Fd::inherit(2))).ready(Ready::line("x")),
            "ready",
            "not piped",
        ),
        one(
            a(helper(["pause"]).fd(5, Fd::write())).ready(Ready::fd(5)),
            "ready",
            "otherwise",
        ),
        one(
            ready(Ready::line("x")).protocol(|_| NoProtocol),
            "ready",
            "protocol",
        ),
        one(alive(Alive::port().every(ZERO)), "alive", "every"),
        one(alive(Alive::port().misses(0)), "alive", "misses"),
        one(alive(Alive::port().timeout(ZERO)), "alive", "timeout"),
        one(
            alive(Alive::port().every(ms(1)).timeout(ms(2))),
            "alive",
            "longer",
        ),
        one(ready(Ready::port()), "ready", "free_port"),
        one(alive(Alive::port()), "alive", "free_port"),
        // Instances.
        one(ok().at_most(3), "at_most", "not keyed"),
        one(ok().idle_stop(LONG), "idle_stop", "not on demand"),
        (vec![keyed().at_most(0)], "k", "at_most", "0"),
        one(ok().on_demand().essential(), "essential", "on demand"),
        // Output.
        one(ok().max_line(0), "max_line", "one byte"),
        one(ok().ring(usize::MAX), "ring", ""),
        one(ok().log(""), "log", "empty"),
        one(ok().log_rate(0, LONG), "log_rate", ""),
        one(ok().file("/"), "file", ""),
        // Limits that nothing here can set.
        one(ok().memory_max(1 << 30), "memory_max", "cgroup"),
        one(
            ok().memory_max(1 << 30)
                .limits(CgroupLimits::new().pids_max(9)),
            "pids_max",
            "cgroup",
        ),
        one(
            a(helper(["pause"]).contained()).memory_max(1 << 30),
            "memory_max",
            "command",
        ),
        one(
            a(helper(["pause"]).contained()).pids_max(9),
            "pids_max",
            "command",
        ),
    ]
}

fn problem(answer: Result<(), MonitorError>) -> SpecError {
    match answer {
        Err(MonitorError::Spec(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn assert_told(error: &SpecError, (service, field, word): (&str, &str, &str)) {
    let text = error.to_string();
    let of_it = error.service == service || error.service.len() == 129;
    assert!(
        of_it && error.field == field && error.problem.contains(word),
        "{text}"
    );
    assert!(!text.contains('\n') && !text.contains('\0'), "{text:?}");
}

/// What is right, beside what is not.
fn bystander() -> Service {
    pausing("bystander")
}

#[test]
fn a_monitor_is_not_started_and_nothing_is_spawned() {
    isolated(|| {
        run(async {
            let before = Census::take();
            for (mut services, service, field, word) in refused() {
                services.insert(0, bystander());
                let monitor = Monitor::new().cgroups(CgroupPlace::Nowhere);
                let error = monitor.services(services).start().map(drop);
                assert_told(&problem(error), (service, field, word));
            }
            let after = Census::take();
            assert_eq!(after.children, []);
            assert_eq!(after.threads, before.threads);
        });
    });
}

#[test]
fn a_running_monitor_adds_none_of_the_batch_and_spawns_nothing() {
    isolated(|| {
        run(async {
            let monitor = Monitor::new().cgroups(CgroupPlace::Nowhere).guard(false);
            let watched = Watched::start_of(monitor, [pausing("old")]).await;
            in_time(watched.ready("old")).await.unwrap();
            let old = watched.pid("old").await;
            for (mut services, service, field, word) in refused() {
                services.insert(0, bystander());
                let message = messages::Add {
                    services: services.clone(),
                };
                assert_told(
                    &problem(in_time(watched.add_all(services)).await),
                    (service, field, word),
                );
                let answer = in_time(watched.addr().send(message)).await.unwrap();
                assert_told(&problem(answer), (service, field, word));
            }
            // With those that are there.
            let clash = problem(in_time(watched.add(pausing("old"))).await);
            assert_told(&clash, ("old", "id", "another"));
            let all = watched.all().await.unwrap();
            assert_eq!(all.len(), 1, "{all:?}");
            let children = crate::common::census::children();
            assert_eq!(
                children.iter().map(|(pid, _)| *pid).collect::<Vec<_>>(),
                [old]
            );
            assert_eq!(watched.generations("bystander"), [0_u64; 0]);
            in_time(watched.add(bystander().after("old", When::Ready)))
                .await
                .unwrap();
            watched.end().await;
        });
    });
}

#[test]
fn what_a_closure_makes_is_checked_before_it_is_spawned() {
    isolated(|| {
        run(async {
            let watched = Watched::start_of(Monitor::new().guard(false), []).await;
            let made = |command: Command| {
                Service::new("a", move |_: &Start| Ok(command.clone())).restart(Restart::never())
            };
            let secret = "sentinel-3571";
            let cases = [
                made(Command::new("")),
                made(Command::new("true").arg(format!("{secret}\0"))),
                made(helper(["pause"]).stdout(Fd::null()).stderr(Fd::null()))
                    .ready(Ready::line("x")),
            ];
            for service in cases {
                let failed = crate::watched::failure(in_time(watched.add(service)).await);
                let text = format!("{failed} {failed:?}");
                assert!(!text.contains(secret), "{text}");
                assert_eq!(watched.look("a").await.state, ServiceState::Failed);
                in_time(watched.remove("a")).await.unwrap();
            }
            assert_eq!(crate::common::census::children(), []);
            watched.end().await;
        });
    });
}

#[test]
fn a_line_is_looked_for_on_any_descriptor_that_is_read() {
    run(async {
        let service = Service::new("a", helper(["tell", "5", "up", "pause"]).fd(5, Fd::read()));
        let watched = Watched::start([service.ready(Ready::line("up").on(5))]).await;
        in_time(watched.ready("a")).await.unwrap();
        assert_eq!(watched.look("a").await.state, READY);
        drop(watched.follow("a", Since::Start));
        watched.end().await;
    });
}

#[test]
fn a_closure_that_fails_or_panics_is_a_failed_start_with_its_words() {
    run(async {
        let failing = Service::new("a", |_: &Start| Err("no such model".into()));
        let panicking = Service::new("b", |start: &Start| {
            assert!(start.attempt == 0, "it panics");
            Ok(Command::new("true"))
        });
        let watched = Watched::start([]).await;
        let restart = || crate::watched::late(Restart::on_failure());
        for (service, words) in [(failing, "no such model"), (panicking, "panicked")] {
            let answer = in_time(watched.add(service.restart(restart()))).await;
            let text = answer.unwrap_err().to_string();
            assert!(text.contains(words), "{text}");
        }
        for id in ["a", "b"] {
            watched.once(id, ServiceState::Backoff).await;
        }
        in_time(watched.add(helping("c", ["pause"]))).await.unwrap();
        watched.end().await;
    });
}
