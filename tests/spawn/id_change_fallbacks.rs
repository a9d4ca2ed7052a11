//! A change of ids where the kernel or a sandbox refuses a system call: what is forked then, and what not.

use crate::common;

use actix_process::{Command, Fd, NoProtocol, PtySize, Resource, Signal, SpawnStep};
use common::helper::helper;
use common::isolated::isolated;
use common::refuse::{Call, assert_fails, refuse};
use common::report::{has_trampoline, may_change_ids, status, told};
use common::{run, start_all_threads};
use nix::libc;

#[test]
fn no_option_makes_a_copy_of_the_parents_memory() {
    isolated(|| {
        run(async {
            start_all_threads().await;
            refuse(Call::NoFlag(libc::SYS_clone, libc::CLONE_VM), libc::EPERM);
            // SAFETY: the fork is refused, so there is no child.
            let forked = unsafe { nix::unistd::fork() };
            assert_eq!(forked.err(), Some(nix::errno::Errno::EPERM));

            let mut child = Command::new("/bin/cat")
                .current_dir("/")
                .env("PATH", "/bin")
                .setsid(true)
                .umask(0o77)
                .nice(5)
                .rlimit(Resource::Core, 0, 0)
                .oom_score_adj(100)
                .no_new_privs(true)
                .parent_death_signal(Signal::KILL)
                .fd(5, Fd::null());
            if has_trampoline() {
                child = child.user("nobody");
            }
            let output = child.output().input("through").await.unwrap();
            assert!(output.status.success(), "{output:?}");
            assert_eq!(output.stdout, b"through");

            // What excludes one of those.
            let others = [
                Command::new("/bin/true").process_group(0),
                Command::new("/bin/true").pty(PtySize::new(24, 80)),
                Command::new("/bin/true")
                    .chdir_as_parent(true)
                    .current_dir("/"),
            ];
            for child in others {
                assert!(child.output().await.unwrap().status.success());
            }
            let no_cgroup = std::fs::File::open("/").unwrap();
            let child = Command::new("/bin/true").cgroup(no_cgroup.into());
            let error = child.spawn(NoProtocol).await.unwrap_err();
            assert_eq!(error.step(), SpawnStep::Limits);
        });
    });
}

#[test]
fn no_memory_for_a_copy_is_the_step_clone() {
    isolated(|| {
        if !may_change_ids() {
            return;
        }
        run(async {
            start_all_threads().await;
            refuse(Call::Any(libc::SYS_memfd_create), libc::ENOSYS);
            let forks = Call::NoFlag(libc::SYS_clone, libc::CLONE_VM);
            let failed = (SpawnStep::Clone, libc::ENOMEM);
            assert_fails(helper(["pause"]).uid(65534).gid(65534), forks, failed).await;
        });
    });
}

/// Refuses a call and holds that a child takes on other ids all the same, and tells what fails.
fn ids_change_without(refused: Call, errno: i32) {
    if !may_change_ids() {
        return;
    }
    run(async {
        let before = start_all_threads().await;
        refuse(refused, errno);
        for _ in 0..2 {
            let child = || status().uid(65534).gid(65534).current_dir("/");
            assert_eq!(told(child(), "Uid:").await, "65534 65534 65534 65534");
            let error = child().current_dir("/no/such").spawn(NoProtocol).await;
            assert_eq!(error.unwrap_err().step(), SpawnStep::Cwd);
            let missing = Command::new("/no/such").uid(65534).gid(65534);
            let error = missing.spawn(NoProtocol).await.unwrap_err();
            assert_eq!(error.step(), SpawnStep::Exec, "{error}");
        }
        before.assert_restored_but_spawners().await;
    });
}

#[test]
fn ids_change_where_no_memfd_can_be_made() {
    isolated(|| {
        ids_change_without(Call::Any(libc::SYS_memfd_create), libc::ENOSYS);
    });
}

#[test]
fn ids_change_where_no_memfd_can_be_executed() {
    isolated(|| {
        ids_change_without(Call::Any(libc::SYS_execveat), libc::EACCES);
    });
}

#[test]
fn ids_change_where_the_trampoline_may_not_do_what_it_must() {
    isolated(|| {
        // glibc registers a list for each thread that it starts.
        ids_change_without(Call::Any(libc::SYS_set_robust_list), libc::EPERM);
    });
}
