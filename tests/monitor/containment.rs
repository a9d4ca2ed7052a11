//! What holds the processes of a service together, with a cgroup and without.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use actix_process::monitor::{
    CgroupPlace, EventKind, ExitKind, Monitor, MonitorContainment, MonitorError, MonitorHandle,
    Ready, Reported, Restart, Service, ServiceState,
};
use actix_process::{Command, Ladder, Signal};
use futures::StreamExt;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::common::census::is_gone;
use crate::common::cgroups::own_directory;
use crate::common::helper::helper;
use crate::common::isolated::skipped;
use crate::common::{eventually, in_time, run};

const LONG: Duration = Duration::from_secs(60);

/// A cgroup for the monitor of one test. Its drop kills all that is left in it.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(purpose: &str) -> Option<Self> {
        let name = format!("test-of-monitor-{purpose}-{}", std::process::id());
        let path = own_directory().map(|own| own.join(name));
        let made = path.filter(|path| fs::create_dir(path).is_ok());
        if made.is_none() {
            skipped("no cgroup can be made");
        }
        made.map(Self)
    }

    fn place(&self) -> CgroupPlace {
        CgroupPlace::Directory(self.0.clone())
    }

    /// Those below it.
    fn leaves(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.0).unwrap().flatten();
        let paths = entries.map(|entry| entry.path());
        paths.filter(|path| path.is_dir()).collect()
    }

    fn members(&self) -> Vec<i32> {
        let leaves = self.leaves().into_iter();
        let texts = leaves.filter_map(|leaf| fs::read_to_string(leaf.join("cgroup.procs")).ok());
        let texts: Vec<String> = texts.collect();
        let pids = texts.iter().flat_map(|text| text.lines());
        pids.map(|pid| pid.parse().unwrap()).collect()
    }

    async fn none_left(&self) {
        let none = || self.leaves().is_empty().then_some(());
        let seen = || format!("{:?} with {:?}", self.leaves(), self.members());
        eventually("the cgroups to be removed", none, seen).await;
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
        let remove = |path: &Path| {
            for _ in 0..1000 {
                if fs::remove_dir(path).is_ok() || !path.exists() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        for leaf in self.leaves() {
            remove(&leaf);
        }
        remove(&self.0);
    }
}

/// A service with a daemon in a session of its own, which takes no notice of SIGTERM. `then` is what the service itself does. It has a second to die of SIGTERM
/// before its daemon gets SIGKILL: those that outlived it are counted.
fn with_daemon(then: &[&str]) -> Service {
    let daemon = [
        "leave", "6", "setsid", "ignore", "15", "say", "ready", "pause",
    ];
    let command = helper(daemon.into_iter().chain(then.iter().copied()));
    Service::new("web", command)
        .ready(Ready::line("ready"))
        .restart(Restart::never())
        .stop(Ladder::new().term(Duration::from_secs(1)).kill())
}

/// A monitor in this cgroup, with a service that has a daemon.
async fn running_in(cgroup: &Cgroup) -> (MonitorHandle, i32) {
    let monitor = Monitor::new().cgroups(cgroup.place());
    let monitor = monitor.service(with_daemon(&["pause"])).start().unwrap();
    monitor.ready("web").await.unwrap();
    let daemon = daemon(&monitor).await;
    (monitor, daemon)
}

/// The last line of the kind `held PID`.
async fn daemon(monitor: &MonitorHandle) -> i32 {
    let mut lines = monitor.follow("web", actix_process::monitor::Since::Start);
    in_time(async {
        loop {
            if let Some(actix_process::monitor::Followed::Line { bytes, .. }) = lines.next().await
                && let Some(pid) = bytes.strip_prefix(b"held ")
            {
                return str::from_utf8(pid).unwrap().parse().unwrap();
            }
        }
    })
    .await
}

/// A process that exits leaves its cgroup, which tells so, a moment before it becomes a zombie.
async fn until_gone(pid: i32) {
    let gone = || is_gone(pid).then_some(());
    eventually("a process to be gone", gone, || pid.to_string()).await;
}

/// How many were left over, by the events until the state comes.
async fn leftovers(
    events: &mut actix_process::monitor::Events,
    until: ServiceState,
) -> (usize, Option<ExitKind>) {
    let mut left = 0;
    in_time(async {
        loop {
            let Some(Reported::Event(event)) = events.next().await else {
                panic!("the events have ended");
            };
            match event.what {
                EventKind::Leftovers { count, .. } => left += count,
                EventKind::State { to, exit, .. } if to == until => {
                    return (left, exit.map(|exit| exit.kind));
                }
                _ => {}
            }
        }
    })
    .await
}

#[test]
fn a_daemon_is_gone_after_the_stop_where_there_is_a_cgroup() {
    let Some(cgroup) = Cgroup::new("stop") else {
        return;
    };
    run(async {
        let monitor = Monitor::new().cgroups(cgroup.place());
        let monitor = monitor.service(with_daemon(&["pause"])).start().unwrap();
        let containment = monitor.containment();
        assert!(
            matches!(containment, MonitorContainment::Cgroup { .. }),
            "{containment}"
        );
        monitor.ready("web").await.unwrap();
        let daemon = daemon(&monitor).await;
        assert_eq!(cgroup.leaves().len(), 1);
        assert!(cgroup.members().contains(&daemon));
        let mut events = monitor.events();
        in_time(monitor.stop("web")).await.unwrap();
        assert_eq!(
            cgroup.leaves(),
            [] as [&Path; 0],
            "it is gone when the stop is answered"
        );
        until_gone(daemon).await;
        let told = leftovers(&mut events, ServiceState::Stopped).await;
        assert_eq!(told, (1, Some(ExitKind::Escalated)));

        monitor.start("web").await.unwrap();
        let report = in_time(monitor.shutdown(LONG)).await;
        assert_eq!(
            (report.leftovers, &*report.killed),
            (1, &["web".to_owned()][..])
        );
        assert_eq!(cgroup.leaves(), [] as [&Path; 0]);
    });
}

#[test]
fn a_daemon_is_gone_after_the_stop_where_the_cgroup_is_made_right_below_the_hosts() {
    run(async {
        let monitor = Monitor::new().service(with_daemon(&["pause"]));
        let monitor = monitor.start().unwrap();
        if *monitor.containment() == MonitorContainment::Group {
            return skipped("no cgroup can be made");
        }
        monitor.ready("web").await.unwrap();
        let daemon = daemon(&monitor).await;
        let own = fs::read_to_string(format!("/proc/{daemon}/cgroup")).unwrap();
        let own = own.lines().find_map(|line| line.strip_prefix("0::"));
        let name = own.unwrap().rsplit('/').next().unwrap().to_owned();
        let mut events = monitor.events();
        in_time(monitor.stop("web")).await.unwrap();
        until_gone(daemon).await;
        let told = leftovers(&mut events, ServiceState::Stopped).await;
        assert_eq!(told, (1, Some(ExitKind::Escalated)));
        let path = own_directory().unwrap().join(&name);
        let gone = || (!path.exists()).then_some(());
        eventually("its cgroup to be removed", gone, || name.clone()).await;
        in_time(monitor.shutdown(LONG)).await;
    });
}

#[test]
fn a_daemon_that_its_service_leaves_is_stopped_where_there_is_a_cgroup() {
    let Some(cgroup) = Cgroup::new("left") else {
        return;
    };
    run(async {
        // It goes on when it is written to.
        let service = with_daemon(&["take", "0", "1", "exit", "0"]);
        let monitor = Monitor::new().cgroups(cgroup.place()).service(service);
        let monitor = monitor.start().unwrap();
        monitor.ready("web").await.unwrap();
        let daemon = daemon(&monitor).await;
        let mut events = monitor.events();
        monitor.write("web", "x").await.unwrap();
        let told = leftovers(&mut events, ServiceState::Exited).await;
        assert_eq!(told, (1, Some(ExitKind::Ok)));
        until_gone(daemon).await;
        cgroup.none_left().await;
        in_time(monitor.shutdown(LONG)).await;
    });
}

#[test]
fn without_a_cgroup_the_group_is_stopped_and_a_daemon_lives() {
    run(async {
        let monitor = Monitor::new().cgroups(CgroupPlace::Nowhere);
        let service = with_daemon(&["leave", "3", "ignore", "15", "pause", "pause"]);
        let monitor = monitor.service(service).start().unwrap();
        assert_eq!(*monitor.containment(), MonitorContainment::Group);
        monitor.ready("web").await.unwrap();
        let daemon = daemon(&monitor).await;
        let mut events = monitor.events();
        in_time(monitor.stop("web")).await.unwrap();
        let told = leftovers(&mut events, ServiceState::Stopped).await;
        let lives = !is_gone(daemon);
        let _ = kill(Pid::from_raw(daemon), nix::sys::signal::Signal::SIGKILL);
        assert!(lives, "only a cgroup holds it");
        assert!(told.0 <= 1, "{told:?}");
        in_time(monitor.shutdown(LONG)).await;
    });
}

#[test]
fn a_signal_reaches_all_of_the_cgroup() {
    let Some(cgroup) = Cgroup::new("signal") else {
        return;
    };
    run(async {
        let (monitor, daemon) = running_in(&cgroup).await;
        monitor.signal("web", Signal::USR1).await.unwrap();
        until_gone(daemon).await;
        cgroup.none_left().await;
        in_time(monitor.shutdown(LONG)).await;
    });
}

#[test]
fn a_drop_of_the_last_handle_kills_daemons_and_leaves_no_cgroup() {
    let Some(cgroup) = Cgroup::new("drop") else {
        return;
    };
    run(async {
        let (monitor, daemon) = running_in(&cgroup).await;
        let closed = monitor.closed();
        drop(monitor);
        let report = in_time(closed).await;
        assert_eq!(report.killed, ["web"], "{report:?}");
        until_gone(daemon).await;
        cgroup.none_left().await;
    });
}

#[test]
fn a_limit_that_cannot_be_set_is_refused_with_its_controller_and_nothing_is_spawned() {
    type Limited = fn(Service) -> Service;
    run(async {
        let marker = tempfile::tempdir().unwrap();
        let touched = marker.path().join("touched");
        let limits: [(&str, &str, Limited); 3] = [
            ("memory_max", "memory", |service| {
                service.memory_max(1 << 30)
            }),
            ("pids_max", "pids", |service| service.pids_max(100)),
            ("cpu_max", "cpu", |service| service.cpu_max(1.0)),
        ];
        let touch = || Service::new("touch", Command::new("touch").arg(&touched));
        let refused = |result: Result<(), MonitorError>, field: &str| {
            let Err(MonitorError::Spec(error)) = result else {
                panic!("{field}: {result:?}");
            };
            assert_eq!((&*error.service, error.field), ("limited", field));
            error.problem
        };
        let cgroup = Cgroup::new("limits");
        for (field, controller, limited) in limits {
            let sleep = || Service::new("limited", Command::new("sleep").arg("600"));
            let nowhere = || Monitor::new().cgroups(CgroupPlace::Nowhere);
            let both = nowhere().service(touch()).service(limited(sleep()));
            refused(both.start().map(drop), field);
            let monitor = nowhere().start().unwrap();
            let added = monitor.add_all([touch(), limited(sleep())]).await;
            refused(added, field);
            in_time(monitor.shutdown(LONG)).await;

            let Some(cgroup) = &cgroup else { continue };
            let there = Monitor::new().cgroups(cgroup.place());
            let started = there.service(limited(sleep())).start();
            if let Ok(monitor) = started {
                let MonitorContainment::Cgroup { controllers } = monitor.containment() else {
                    panic!("{}", monitor.containment());
                };
                assert!(controllers.iter().any(|known| known == controller));
                in_time(monitor.shutdown(LONG)).await;
            } else {
                let problem = refused(started.map(drop), field);
                assert!(problem.contains(&format!("`{controller}`")), "{problem}");
            }
            assert_eq!(cgroup.leaves(), [] as [&Path; 0]);
        }
        assert!(!touched.exists());
    });
}

#[test]
fn what_is_killed_for_want_of_memory_has_that_as_its_reason() {
    let Some(cgroup) = Cgroup::new("memory") else {
        return;
    };
    run(async {
        let greedy = Command::new("tail").arg("/dev/zero");
        let service = Service::new("web", greedy).restart(Restart::never());
        let monitor = Monitor::new().cgroups(cgroup.place());
        let monitor = match monitor
            .service(service.memory_max(32 << 20).on_demand())
            .start()
        {
            Ok(monitor) => monitor,
            Err(error) => return skipped(&error.to_string()),
        };
        let mut events = monitor.events();
        monitor.start("web").await.unwrap();
        let (_, kind) = leftovers(&mut events, ServiceState::Failed).await;
        assert_eq!(kind, Some(ExitKind::OutOfMemory));
        in_time(monitor.shutdown(LONG)).await;
    });
}

#[test]
fn a_place_where_no_cgroup_can_be_made_fails_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let place = CgroupPlace::Directory(directory.path().to_owned());
    let started = Monitor::new().cgroups(place).start();
    let Err(MonitorError::Cgroups(why)) = started else {
        panic!("{started:?}");
    };
    assert!(why.contains("not a cgroup"), "{why}");
}
