//! A kernel or a sandbox that refuses one system call that a spawn needs: the spawn fails with the right
//! step and leaves nothing.

use crate::common;

use std::time::Duration;

use actix_process::{Command, Fd, SpawnStep};
use common::census::children;
use common::helper::helper;
use common::isolated::isolated;
use common::refuse::{Call, assert_fails, refuse};
use common::run;
use common::trace::{Trace, history};
use nix::libc;

#[test]
fn clone_refused_is_the_step_clone() {
    isolated(|| {
        let clone = Call::Flag(libc::SYS_clone, libc::CLONE_VFORK);
        run(async {
            let failed = (SpawnStep::Clone, libc::EPERM);
            assert_fails(helper(["pause"]), clone, failed).await;
        });
    });
}

#[test]
fn clone_without_memory_is_the_step_clone() {
    isolated(|| {
        let clone = Call::Flag(libc::SYS_clone, libc::CLONE_VFORK);
        run(async {
            let failed = (SpawnStep::Clone, libc::ENOMEM);
            assert_fails(helper(["pause"]), clone, failed).await;
        });
    });
}

#[test]
fn pipe2_refused_is_the_step_fds() {
    isolated(|| {
        run(async {
            let failed = (SpawnStep::Fds, libc::EMFILE);
            let error = assert_fails(helper(["pause"]), Call::Any(libc::SYS_pipe2), failed).await;
            assert_eq!(error.subject(), "fd 0");
        });
    });
}

#[test]
fn dup3_refused_is_the_step_fds() {
    isolated(|| {
        run(async {
            let failed = (SpawnStep::Fds, libc::EMFILE);
            let error = assert_fails(helper(["pause"]), Call::Any(libc::SYS_dup3), failed).await;
            assert_eq!(error.subject(), "fd 0");
        });
    });
}

#[test]
fn fcntl_refused_is_the_step_fds() {
    isolated(|| {
        run(async {
            let failed = (SpawnStep::Fds, libc::EPERM);
            assert_fails(helper(["pause"]), Call::Any(libc::SYS_fcntl), failed).await;
        });
    });
}

#[test]
fn fcntl_refused_to_the_child_is_the_step_fds() {
    isolated(|| {
        run(async {
            let failed = (SpawnStep::Fds, libc::EPERM);
            let command = helper(["pause"]).fds([(2, Fd::null()), (1, Fd::inherit(1))].into());
            // Only the child sets flags, of what stays where it is.
            let set_flags = Call::Second(libc::SYS_fcntl, libc::F_SETFD);
            let error = assert_fails(command, set_flags, failed).await;
            assert_eq!(error.subject(), "fd 1");
        });
    });
}

#[test]
fn chdir_refused_is_the_step_cwd() {
    isolated(|| {
        run(async {
            let failed = (SpawnStep::Cwd, libc::EPERM);
            let command = helper(["pause"]).current_dir("/tmp");
            let error = assert_fails(command, Call::Any(libc::SYS_chdir), failed).await;
            assert_eq!(error.subject(), "/tmp");
        });
    });
}

#[test]
fn execve_refused_is_the_step_exec() {
    isolated(|| {
        run(async {
            let failed = (SpawnStep::Exec, libc::EPERM);
            let command = Command::new("/bin/true");
            let error = assert_fails(command, Call::Any(libc::SYS_execve), failed).await;
            assert_eq!(error.subject(), "/bin/true");
        });
    });
}

#[test]
fn a_full_file_table_is_told_at_the_step_fds() {
    isolated(|| {
        run(async {
            let failed = (SpawnStep::Fds, libc::ENFILE);
            assert_fails(helper(["pause"]), Call::Any(libc::SYS_pipe2), failed).await;
        });
    });
}

#[test]
fn no_memory_for_the_program_is_told_at_the_step_exec() {
    isolated(|| {
        run(async {
            let failed = (SpawnStep::Exec, libc::ENOMEM);
            assert_fails(Command::new("true"), Call::Any(libc::SYS_execve), failed).await;
        });
    });
}

#[test]
fn epoll_ctl_refused_is_the_step_register() {
    isolated(|| {
        run(async {
            let failed = (SpawnStep::Register, libc::ENOSPC);
            assert_fails(helper(["pause"]), Call::Any(libc::SYS_epoll_ctl), failed).await;
        });
    });
}

#[test]
fn epoll_ctl_refused_from_the_start_leaves_no_child() {
    isolated(|| {
        run(async {
            history(&helper(["say", "hello"])).await;
            // No janitor thread runs yet, and none can start.
            refuse(Call::Any(libc::SYS_epoll_ctl), libc::EPERM);
            let (trace, protocol) = Trace::start();
            let spawning = helper(["pause"]).spawn(&protocol);
            let answer = actix_rt::time::timeout(Duration::from_secs(20), spawning).await;
            let error = answer.expect("no answer: the spawn is stuck").unwrap_err();
            assert_eq!(error.step(), SpawnStep::Register, "{error}");
            assert_eq!(children(), []);
            assert!(trace.events().is_empty());
        });
    });
}
