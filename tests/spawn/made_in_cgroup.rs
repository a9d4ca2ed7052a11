//! A child that is made in the cgroup that is made for it (clone3), and where that is refused.

use crate::common;

use std::fs;
use std::path::Path;

use actix_process::{Command, Containment, NoProtocol, SpawnStep};
use common::cgroups::{has_cgroups, ours};
use common::helper::helper;
use common::isolated::isolated;
use common::refuse::{Call, assert_fails, refuse};
use common::{in_time, run, start_all_threads};
use nix::libc;

const HAS_CLONE3: bool = cfg!(target_arch = "x86_64") && !cfg!(actix_process_force_no_clone3);

/// The size of what clone3 gets for a child that is in no new cgroup. What the C library asks for a thread by is larger.
const FOR_NO_CGROUP: Call = Call::Second(libc::SYS_clone3, 64);

/// A child joins a cgroup by writing one byte into the file that it has as the first after its own.
const JOIN: Call = Call::FirstAndThird(libc::SYS_write, 3, 1);

/// Each is in a cgroup of its own, and none is left.
async fn assert_each_has_a_cgroup() {
    let child = || {
        Command::new("cat")
            .arg("/proc/self/cgroup")
            .contained_by_cgroup()
    };
    let as_nobody = child().user("nobody").current_dir("/");
    for child in [child(), as_nobody] {
        let output = in_time(child.output().into_future()).await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("/actix-process-"), "{text}");
    }
    let listed = in_time(helper(["fds"]).contained_by_cgroup().output().into_future());
    let listed = String::from_utf8(listed.await.unwrap().stdout).unwrap();
    assert_eq!(listed.lines().count(), 3, "{listed}");
    assert_eq!(ours(), [] as [&Path; 0]);
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    assert!(!own.contains("/actix-process-"), "{own}");
}

#[test]
fn a_child_is_made_in_the_cgroup_that_is_made_for_it() {
    isolated(|| {
        if !HAS_CLONE3 || !has_cgroups() {
            return;
        }
        run(async {
            start_all_threads().await;
            refuse(JOIN, libc::EPERM);
            assert_each_has_a_cgroup().await;
        });
    });
}

#[test]
fn a_child_that_joins_its_cgroup_by_itself_and_may_not_is_refused_or_held_by_a_group() {
    isolated(|| {
        if !has_cgroups() {
            return;
        }
        run(async {
            start_all_threads().await;
            refuse(Call::Any(libc::SYS_clone3), libc::ENOSYS);
            assert_each_has_a_cgroup().await;
            refuse(JOIN, libc::EPERM);
            for _ in 0..2 {
                let child = helper(["pause"]).contained_by_cgroup();
                let error = in_time(child.spawn(NoProtocol)).await.unwrap_err();
                let told = (error.step(), error.subject(), error.errno());
                assert_eq!(told, (SpawnStep::Limits, "cgroup", Some(libc::EPERM)));
            }
            let child = helper(["exit"]).contained().spawn(NoProtocol);
            let child = in_time(child).await.unwrap();
            assert_eq!(child.containment(), Containment::Group);
            in_time(child.ended()).await;
            assert_eq!(ours(), [] as [&Path; 0]);
        });
    });
}

#[test]
fn a_shortage_at_clone3_is_the_step_clone() {
    isolated(|| {
        if !HAS_CLONE3 {
            return;
        }
        run(async {
            let failed = (SpawnStep::Clone, libc::EAGAIN);
            assert_fails(helper(["pause"]), FOR_NO_CGROUP, failed).await;
        });
    });
}

#[test]
fn a_sandbox_may_refuse_clone3_with_any_errno_of_a_refusal() {
    isolated(|| {
        run(async {
            start_all_threads().await;
            refuse(FOR_NO_CGROUP, libc::EPERM);
            for _ in 0..2 {
                let output = helper(["cat", "exit", "7"]).output().input("through");
                let output = in_time(output.into_future()).await.unwrap();
                assert_eq!(output.stdout, b"through");
                assert_eq!(output.status.code(), Some(7));
            }
        });
    });
}
