//! Contained children: what holds them, and that nothing is left of it.

use crate::common;

use std::fs;
use std::path::Path;
use std::time::Duration;

use actix::Actor;
use actix_process::supervisor::Shutdown;
use actix_process::{
    Command, Containment, NoProtocol, ProcessSupervisor, Signal, Spawn, SpawnStep,
};
use common::census::{children, is_gone};
use common::cgroups::{gone, has_cgroups, members, none_left, ours, own_directory};
use common::hanging_exec::HangingExec;
use common::helper::helper;
use common::isolated::isolated;
use common::many_fds::ManyFds;
use common::trace::{Die, Trace, data_of, spawned};
use common::{eventually, in_time, run};

/// For children that die of SIGKILL only.
const SHORT: Duration = Duration::from_millis(50);

/// A child whose own child is in a session of its own, ignores SIGTERM, and says so. Both run on.
fn with_daemon() -> Command {
    helper([
        "leave", "6", "setsid", "ignore", "15", "say", "left", "pause", "pause",
    ])
}

/// Spawns it; gives the daemon's pid.
async fn spawn_with_daemon(trace: &Trace, process: &actix_process::ProcessHandle) -> i32 {
    trace.output(process, 1, "left\n").await;
    let pid = trace.until(process, "the daemon's pid", |events| {
        let text = String::from_utf8(data_of(events, 1)).ok()?;
        let (pid, _) = text.split_once("held ")?.1.split_once('\n')?;
        pid.parse().ok()
    });
    pid.await
}

#[test]
fn a_contained_child_has_a_cgroup_that_is_gone_when_its_end_is_told() {
    isolated(|| {
        if !has_cgroups() {
            return;
        }
        run(async {
            let own = fs::read_to_string("/proc/self/cgroup").unwrap();
            let child = || Command::new("cat").arg("/proc/self/cgroup").contained();
            let as_nobody = child().user("nobody").current_dir("/");
            let mut lines = Vec::new();
            for child in [child(), as_nobody, child().contained_by_cgroup()] {
                let output = child.output().await.unwrap();
                assert_eq!(ours(), [] as [&Path; 0]);
                let text = String::from_utf8(output.stdout).unwrap();
                let line = text.lines().find(|line| line.starts_with("0::/")).unwrap();
                assert!(line.contains("/actix-process-"), "{text}");
                lines.push(line.to_owned());
            }
            assert_eq!(fs::read_to_string("/proc/self/cgroup").unwrap(), own);
            lines.dedup();
            assert_eq!(lines.len(), 3, "{lines:?}");
        });
    });
}

#[test]
fn containment_tells_what_holds_a_child() {
    isolated(|| {
        let cgroups = has_cgroups();
        run(async {
            let child = || Command::new("true");
            let strongest = match cgroups {
                true => Containment::Cgroup,
                false => Containment::Group,
            };
            for (child, right) in [
                (child(), Containment::Process),
                (child().process_group(0), Containment::Group),
                (child().setsid(true), Containment::Group),
                (child().contained(), strongest),
                (child().contained().setsid(true), strongest),
                (child().contained().process_group(0), strongest),
            ] {
                let what = format!("{child:?}");
                let process = child.spawn(NoProtocol).await.unwrap();
                assert_eq!(process.containment(), right, "{what}");
                in_time(process.ended()).await;
                assert_eq!(process.containment(), right, "{what}");
            }
        });
    });
}

#[test]
fn commands_that_cannot_be_meant_are_invalid() {
    run(async {
        let somewhere = || fs::File::open("/").unwrap().into();
        let child = || Command::new("true");
        for child in [
            child().cgroup(somewhere()).contained(),
            child().cgroup(somewhere()).contained_by_cgroup(),
            child().process_group(1).contained(),
        ] {
            let error = child.spawn(NoProtocol).await.unwrap_err();
            assert_eq!(error.step(), SpawnStep::Invalid);
            assert_eq!(error.subject(), "contained");
        }
    });
}

#[test]
fn a_daemon_of_a_contained_child_dies_with_it_whatever_ends_it() {
    isolated(|| {
        if !has_cgroups() {
            return;
        }
        run(async {
            for how in ["signal", "terminate", "orphan", "shutdown"] {
                let supervisor = ProcessSupervisor::new().start();
                let (trace, protocol) = Trace::start();
                let child = with_daemon().contained();
                let process = supervisor.send(Spawn::new(child, &protocol)).await;
                let process = process.unwrap().unwrap();
                let daemon = spawn_with_daemon(&trace, &process).await;
                assert!(!is_gone(daemon));
                assert_eq!(members().len(), 2, "{how}");
                match how {
                    "signal" => process.signal_group(Signal::KILL).unwrap(),
                    "terminate" => assert!(process.terminate_group(SHORT)),
                    "orphan" => protocol.send(Die::Stop).await.unwrap(),
                    _ => {
                        let shutdown = Shutdown { grace: SHORT };
                        let report = in_time(supervisor.send(shutdown)).await.unwrap();
                        assert!(report.unreaped.is_empty());
                    }
                }
                in_time(process.exited()).await;
                gone(daemon).await;
                none_left().await;
            }
        });
    });
}

#[test]
fn a_daemon_of_a_contained_helper_dies_with_it() {
    isolated(|| {
        if !has_cgroups() {
            return;
        }
        run(async {
            // It times out.
            let collecting = with_daemon().contained().output();
            let result = in_time(collecting.timeout(20 * SHORT).grace(SHORT).into_future()).await;
            assert!(result.is_err(), "{result:?}");
            none_left().await;
            // It is dropped.
            let collecting = with_daemon().contained().output().into_future();
            let both = || (members().len() == 2).then(members);
            let both = eventually("the child and its daemon", both, || {
                format!("{:?}", members())
            });
            let both = tokio::select! {
                result = collecting => panic!("{result:?}"),
                both = both => both,
            };
            for pid in both {
                gone(pid).await;
            }
            none_left().await;
            // It exits, and leaves the daemon.
            let child = helper([
                "leave", "4", "setsid", "say", "left", "pause", "take", "0", "1",
            ]);
            let output = in_time(child.contained().output().input("x").into_future()).await;
            output.unwrap();
            none_left().await;
            assert_eq!(children(), []);
        });
    });
}

#[test]
fn what_is_left_of_a_spawned_child_is_within_reach_and_its_cgroup_goes_with_the_last() {
    isolated(|| {
        if !has_cgroups() {
            return;
        }
        run(async {
            let signals = match cfg!(actix_process_force_no_pidfd) {
                true => &[Signal::KILL][..],
                false => &[Signal::KILL, Signal::TERM],
            };
            for signal in signals.iter().copied() {
                let child = helper([
                    "leave", "4", "setsid", "say", "left", "pause", "take", "0", "1",
                ]);
                let (trace, process) = spawned(child.contained()).await;
                let daemon = spawn_with_daemon(&trace, &process).await;
                process.write("x").unwrap();
                in_time(process.exited()).await;
                assert!(!is_gone(daemon));
                assert_eq!(members(), [daemon]);
                assert!(!process.kill(), "the child itself has exited");
                process.signal_group(signal).unwrap();
                gone(daemon).await;
                none_left().await;
                let error = process.signal_group(signal).unwrap_err();
                assert!(
                    matches!(error, actix_process::SignalError::Exited),
                    "{error}"
                );
            }
        });
    });
}

#[test]
fn a_spawn_that_fails_or_is_cancelled_leaves_no_cgroup() {
    isolated(|| {
        if !has_cgroups() {
            return;
        }
        run(async {
            let missing = Command::new("/no/such/program").contained();
            let error = missing.spawn(NoProtocol).await.unwrap_err();
            assert_eq!(error.step(), SpawnStep::Exec);
            assert_eq!(ours(), [] as [&Path; 0]);

            let lease = HangingExec::new();
            let child = lease.helper(["exit"]).contained();
            let mut spawning = child.spawn(NoProtocol);
            let hangs = || (members().len() == 1).then_some(());
            let hangs = eventually("the child to hang", hangs, || format!("{:?}", members()));
            tokio::select! {
                spawned = &mut spawning => panic!("{spawned:?}"),
                () = hangs => {}
            }
            drop(spawning);
            lease.until_children(0).await;
            none_left().await;
        });
    });
}

#[test]
fn many_contained_children_of_a_host_with_many_descriptors_leave_nothing() {
    isolated(|| {
        if !has_cgroups() {
            return;
        }
        run(async {
            ManyFds::open().await;
            let child = Command::new("true").contained_by_cgroup();
            let spawned = futures::future::join_all((0..50).map(|_| child.spawn(NoProtocol)));
            for process in spawned.await {
                let process = process.unwrap();
                assert_eq!(process.containment(), Containment::Cgroup);
                assert!(in_time(process.ended()).await.success());
            }
            assert_eq!(ours(), [] as [&Path; 0]);
        });
    });
}

#[test]
fn a_dead_hosts_empty_cgroups_are_removed_and_no_others() {
    isolated(|| {
        if !has_cgroups() {
            return;
        }
        // In a cgroup of its own, where no other test's host sweeps.
        let outside = own_directory().unwrap();
        let own = outside.join(format!("test-sweep-{}", std::process::id()));
        let go = |to: &Path| fs::write(to.join("cgroup.procs"), std::process::id().to_string());
        fs::create_dir(&own).unwrap();
        go(&own).unwrap();
        let link = fs::read_link("/proc/self/ns/pid").unwrap();
        let text = link.to_str().unwrap().to_owned();
        let namespace = text.trim_matches(|c: char| !c.is_ascii_digit()).to_owned();
        let make = |namespace: &str, pid: u32, count: u32| {
            let path = own.join(format!("actix-process-{namespace}-{pid}-12-{count}"));
            fs::create_dir(&path).unwrap();
            path
        };
        let mut dead = std::process::Command::new("true").spawn().unwrap();
        let mut descendant = std::process::Command::new("sleep")
            .arg("600")
            .spawn()
            .unwrap();
        let (dead_pid, alive) = (dead.id(), std::os::unix::process::parent_id());
        dead.wait().unwrap();

        let empty = make(&namespace, dead_pid, 0);
        fs::create_dir(empty.join("below")).unwrap();
        let full = make(&namespace, dead_pid, 1);
        fs::write(full.join("cgroup.procs"), descendant.id().to_string()).unwrap();
        let of_the_living = make(&namespace, alive, 2);
        let of_others = make("1", dead_pid, 3);
        run(async {
            Command::new("true").contained().status().await.unwrap();
        });
        assert!(!empty.exists());
        for path in [&full, &of_the_living, &of_others] {
            assert!(path.exists(), "{path:?}");
        }
        descendant.kill().unwrap();
        descendant.wait().unwrap();
        go(&outside).unwrap();
        for path in [full, of_the_living, of_others, own] {
            fs::remove_dir(path).unwrap();
        }
    });
}
