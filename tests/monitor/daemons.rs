//! A process that has left the session of its service, in a cgroup: it dies with a host that is killed.

use std::fs;
use std::path::PathBuf;

use actix::System;
use actix_process::Command;
use actix_process::monitor::{CgroupPlace, Monitor, MonitorContainment, Ready, Service};

use crate::common::cgroups::own_directory;
use crate::common::hosts::{Host, role, tell};
use crate::common::isolated::skipped;

/// A cgroup for the services of this host.
fn directory() -> Option<PathBuf> {
    let path = own_directory()?.join(format!("test of daemons {}", std::process::id()));
    fs::create_dir(&path).ok().map(|()| path)
}

/// No test but the host of those below.
#[test]
fn host() {
    let Some(role) = role() else { return };
    let place = match role.as_str() {
        "found" => CgroupPlace::Found,
        "directory" => match directory() {
            Some(path) => CgroupPlace::Directory(path),
            None => return tell("no cgroup"),
        },
        other => panic!("no role {other}"),
    };
    System::new().block_on(async {
        let script = "setsid sh -c 'echo ready; exec sleep 300' & sleep 300";
        let command = Command::new("/bin/sh").args(["-c", script]);
        let service = Service::new("daemon", command).ready(Ready::line("ready"));
        let monitor = Monitor::new().cgroups(place).service(service);
        let monitor = monitor.start().unwrap();
        let is_in_a_cgroup = matches!(monitor.containment(), MonitorContainment::Cgroup { .. });
        monitor.ready("daemon").await.unwrap();
        tell(if is_in_a_cgroup { "ready" } else { "no cgroup" });
        std::future::pending().await
    })
}

fn all_die(role: &str) {
    let mut host = Host::start(role);
    if host.told() == "no cgroup" {
        return skipped("no cgroup can be made");
    }
    host.until_there_are(|host| host.services(""), 3);
    assert_eq!(host.services_in_its_session().len(), 2);
    host.kill();
    host.none_left(|host| host.services(""));
}

#[test]
fn a_daemon_in_a_cgroup_below_the_hosts_dies_with_it() {
    all_die("found");
}

#[test]
fn a_daemon_in_a_cgroup_of_a_directory_dies_with_its_host() {
    all_die("directory");
    // Whoever gives a directory sees to what is left of it: the next monitor there does.
    let base = own_directory()
        .into_iter()
        .flat_map(|own| fs::read_dir(own).unwrap());
    let paths = base.flatten().map(|entry| entry.path());
    for left in paths.filter(|path| path.to_string_lossy().contains("test of daemons")) {
        for leaf in fs::read_dir(&left).unwrap().flatten() {
            let _ = fs::remove_dir(leaf.path());
        }
        let _ = fs::remove_dir(left);
    }
}
