//! What becomes of services when the host is killed by SIGKILL, and the guard that sees to it.

use std::time::Duration;

use actix::System;
use actix_process::Command;
use actix_process::monitor::{
    Backoff, CgroupPlace, EventKind, Monitor, MonitorHandle, OnHostDeath, Ready, Reported, Restart,
    Service,
};
use futures::StreamExt;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::census::{children, is_gone};
use crate::common::helper::helper;
use crate::common::hosts::{Host, role, tell};
use crate::common::isolated::isolated;
use crate::common::mounts::isolated_with_mounts;
use crate::common::{amount, eventually, in_time, run};

const LONG: Duration = Duration::from_secs(60);

fn shell(id: String, script: &str) -> Service {
    Service::new(id, Command::new("/bin/sh").args(["-c", script]))
}

/// Thirty, with grandchildren. Some of them start and end all the time.
fn thirty() -> Vec<Service> {
    let quick = Backoff::new().first(Duration::from_millis(10)).factor(1.0);
    let service = |n: usize| match n % 5 {
        0 => shell(format!("plain-{n}"), "exec sleep 300"),
        1 | 2 => shell(format!("family-{n}"), "sleep 300 & sleep 300 & wait"),
        3 => shell(format!("daemon-{n}"), "setsid sleep 300 & sleep 300 & wait"),
        _ => shell(format!("crash-{n}"), "sleep 300 & sleep 0.05; exit 1")
            .restart(Restart::always().backoff(quick)),
    };
    (0..30).map(service).collect()
}

/// The guard of the monitor of this process, if it has one.
fn guard() -> Option<i32> {
    let pids = children().into_iter().map(|(pid, _)| pid);
    let mut guards = pids.filter(|pid| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = words.split(|byte| *byte == 0);
        words.any(|word| word == b"actix-process-guard")
    });
    guards.next()
}

/// The guard, when it ignores what may be sent to it: its signals are set up.
async fn guard_ready() -> i32 {
    let ignores = |pid: i32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        ignored.is_some_and(|mask| mask & (1 << 14) != 0)
    };
    let ready = || guard().filter(|pid| ignores(*pid));
    eventually("the guard", ready, || format!("{:?}", children())).await
}

/// Kills the guard; gives the next one.
async fn replaced(monitor: &MonitorHandle) -> i32 {
    let mut events = monitor.events();
    let before = guard_ready().await;
    kill(Pid::from_raw(before), Signal::SIGKILL).unwrap();
    in_time(async {
        loop {
            if let Some(Reported::Event(event)) = events.next().await
                && event.what == EventKind::GuardReplaced
            {
                assert_eq!(event.id, None);
                break;
            }
        }
    })
    .await;
    let after = guard_ready().await;
    assert_ne!(after, before);
    after
}

fn family(which: &str) -> Command {
    let script = "sleep 300 & echo ready; exec sleep 300";
    Command::new("/bin/sh")
        .args(["-c", script])
        .env("WHICH", which)
}

/// No test but the host of those below.
#[test]
fn host() {
    let Some(role) = role() else { return };
    System::new().block_on(async {
        let monitor = Monitor::new().cgroups(CgroupPlace::Nowhere);
        let ready = Ready::line("ready");
        let service = |id: &str, command| Service::new(id, command).ready(ready.clone());
        let monitor = match role.as_str() {
            "storm" => monitor.services(thirty()),
            "policies" => monitor
                .service(service("leave", family("leave")).on_host_death(OnHostDeath::Leave))
                .service(service("deaf", family("deaf")).on_host_death(OnHostDeath::StdinEof))
                .service(
                    service(
                        "reader",
                        helper(["say", "ready", "cat"]).env("WHICH", "reader"),
                    )
                    .on_host_death(OnHostDeath::StdinEof),
                )
                .service(service("kill", family("kill"))),
            "replaced" => monitor.service(service("kill", family("kill"))),
            "restarted" => monitor.service(service("kill", family("kill"))),
            "without" => monitor
                .guard(false)
                .service(service("kill", family("kill"))),
            other => panic!("no role {other}"),
        };
        let monitor = monitor.start().unwrap();
        if role == "storm" {
            tell("started");
            return std::future::pending().await;
        }
        for status in monitor.all().await.unwrap() {
            monitor.ready(&*status.id).await.unwrap();
        }
        match role.as_str() {
            "replaced" => drop(replaced(&monitor).await),
            "restarted" => {
                for _ in 0..5 {
                    monitor.restart("kill").await.unwrap();
                }
            }
            _ => {}
        }
        tell("ready");
        std::future::pending().await
    })
}

#[test]
fn nothing_survives_hosts_that_are_killed_at_random_moments() {
    for _ in 0..amount(20, 4) {
        let mut host = Host::start("storm");
        assert_eq!(host.told(), "started");
        std::thread::sleep(Duration::from_micros(fastrand::u64(1000..600_000)));
        host.kill();
        // Those in sessions of their own are told, and not counted.
        host.none_left(Host::services_in_its_session);
        println!("in sessions of their own: {}", host.services("").len());
    }
}

#[test]
fn each_service_has_its_policy() {
    let mut host = Host::start("policies");
    assert_eq!(host.told(), "ready");
    for (which, count) in [("leave", 2), ("deaf", 2), ("reader", 1), ("kill", 2)] {
        assert_eq!(
            host.services(&format!("WHICH={which}")).len(),
            count,
            "{which}"
        );
    }
    host.kill();
    host.none_left(|host| host.services("WHICH=kill"));
    host.none_left(|host| host.services("WHICH=reader"));
    assert_eq!(host.services("WHICH=leave").len(), 2);
    assert_eq!(host.services("WHICH=deaf").len(), 2);
}

#[test]
fn a_guard_that_replaces_another_knows_all_groups() {
    let mut host = Host::start("replaced");
    assert_eq!(host.told(), "ready");
    host.kill();
    host.none_left(|host| host.services(""));
}

#[test]
fn a_service_that_was_restarted_is_guarded() {
    let mut host = Host::start("restarted");
    assert_eq!(host.told(), "ready");
    // A restart is over before the child has started its own.
    host.until_there_are(|host| host.services(""), 2);
    host.kill();
    host.none_left(|host| host.services(""));
}

#[test]
fn without_a_guard_the_child_alone_dies() {
    let mut host = Host::start("without");
    assert_eq!(host.told(), "ready");
    host.kill();
    let one = || (host.services("").len() == 1).then_some(());
    run(eventually("one to be left", one, || {
        format!("{:?}", host.services(""))
    }));
}

#[test]
fn a_guard_that_dies_is_replaced_and_an_event_says_so() {
    isolated(|| {
        run(async {
            let sleep = Service::new("sleep", Command::new("sleep").arg("600"));
            let monitor = Monitor::new().service(sleep).start().unwrap();
            monitor.ready("sleep").await.unwrap();
            let pid = monitor.status("sleep").await.unwrap().pid;
            replaced(&monitor).await;
            let last = replaced(&monitor).await;
            assert_eq!(monitor.status("sleep").await.unwrap().pid, pid);
            let report = monitor.shutdown(LONG).await;
            assert_eq!(report.clean, ["sleep"], "{report:?}");
            assert!(is_gone(last));
        });
    });
}

#[test]
fn a_monitor_that_wants_none_has_no_guard() {
    isolated(|| {
        run(async {
            let sleep = Service::new("sleep", Command::new("sleep").arg("600"));
            let monitor = Monitor::new().guard(false).service(sleep).start().unwrap();
            monitor.ready("sleep").await.unwrap();
            assert_eq!(guard(), None);
            let report = monitor.shutdown(LONG).await;
            assert_eq!(report.clean, ["sleep"], "{report:?}");
        });
    });
}

#[test]
fn without_a_shell_there_is_no_guard_and_services_run() {
    isolated_with_mounts(|| {
        let shell = std::fs::canonicalize("/bin/sh").unwrap();
        let nothing = None::<&str>;
        let flags = nix::mount::MsFlags::MS_BIND;
        nix::mount::mount(Some("/dev/null"), &shell, nothing, flags, nothing).unwrap();
        run(async {
            let sleep = Service::new("sleep", helper(["pause"]));
            let monitor = Monitor::new().service(sleep).start().unwrap();
            monitor.ready("sleep").await.unwrap();
            assert_eq!(guard(), None);
            let report = monitor.shutdown(LONG).await;
            assert_eq!(report.clean, ["sleep"], "{report:?}");
        });
    });
}
