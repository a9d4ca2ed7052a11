//! A kernel or a sandbox that refuses one system call: the spawn works by a fallback, or fails
//! with the right step and leaves nothing.

mod common;

use std::time::Duration;

use actix_process::{Command, ExitStatus, Fd, NoProtocol, PtySize, Resource, Signal, SpawnStep};
use common::census::{Census, children, threads};
use common::helper::{helper, pattern};
use common::isolated::isolated;
use common::refuse::{Call, assert_fails, refuse};
use common::told::{may_change_ids, status, told};
use common::trace::{Trace, history};
use common::{eventually, in_time, run, start_all_threads};
use futures::FutureExt;
use nix::libc;

/// Children run, talk, are signalled and reaped, and leave nothing.
async fn assert_all_works(before: &Census) {
    let (trace, protocol) = Trace::start();
    let process = in_time(helper(["cat", "exit", "7"]).spawn(&protocol))
        .await
        .unwrap();
    process.write("through").unwrap();
    process.close_stdin();
    let ended = trace.ended(&process).await;
    ended.assert_rules(&[0, 1, 2]);
    assert_eq!(ended.text(1), "through");
    assert_eq!(ended.status().code(), Some(7));

    let process = helper(["say", "ready", "pause"])
        .spawn(&protocol)
        .await
        .unwrap();
    trace.output(&process, 1, "ready").await;
    process.signal(Signal::TERM).unwrap();
    let status = trace.ended(&process).await.status();
    assert_eq!(status.signal(), Some(Signal::TERM), "{status}");

    let text = history(&helper(["fds"])).await.text(1);
    assert_eq!(text.lines().count(), 3, "{text}");
    let error = Command::new("/no/such").spawn(&protocol).await.unwrap_err();
    assert_eq!(error.step(), SpawnStep::Exec);
    before.assert_restored_but_spawners().await;
}

#[test]
fn clone_refused_is_the_step_clone() {
    isolated("clone_refused_is_the_step_clone", || {
        let clone = Call::Flag(libc::SYS_clone, libc::CLONE_VFORK);
        run(async {
            let failed = (SpawnStep::Clone, libc::EPERM);
            assert_fails(helper(["pause"]), clone, failed).await;
        });
    });
}

#[test]
fn clone_without_memory_is_the_step_clone() {
    isolated("clone_without_memory_is_the_step_clone", || {
        let clone = Call::Flag(libc::SYS_clone, libc::CLONE_VFORK);
        run(async {
            let failed = (SpawnStep::Clone, libc::ENOMEM);
            assert_fails(helper(["pause"]), clone, failed).await;
        });
    });
}

#[test]
fn pipe2_refused_is_the_step_fds() {
    isolated("pipe2_refused_is_the_step_fds", || {
        run(async {
            let failed = (SpawnStep::Fds, libc::EMFILE);
            let error = assert_fails(helper(["pause"]), Call::Any(libc::SYS_pipe2), failed).await;
            assert_eq!(error.subject(), "fd 0");
        });
    });
}

#[test]
fn dup3_refused_is_the_step_fds() {
    isolated("dup3_refused_is_the_step_fds", || {
        run(async {
            let failed = (SpawnStep::Fds, libc::EMFILE);
            let error = assert_fails(helper(["pause"]), Call::Any(libc::SYS_dup3), failed).await;
            assert_eq!(error.subject(), "fd 0");
        });
    });
}

#[test]
fn fcntl_refused_is_the_step_fds() {
    isolated("fcntl_refused_is_the_step_fds", || {
        run(async {
            let failed = (SpawnStep::Fds, libc::EPERM);
            assert_fails(helper(["pause"]), Call::Any(libc::SYS_fcntl), failed).await;
        });
    });
}

#[test]
fn fcntl_refused_to_the_child_is_the_step_fds() {
    isolated("fcntl_refused_to_the_child_is_the_step_fds", || {
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
    isolated("chdir_refused_is_the_step_cwd", || {
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
    isolated("execve_refused_is_the_step_exec", || {
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
    isolated("a_full_file_table_is_told_at_the_step_fds", || {
        run(async {
            let failed = (SpawnStep::Fds, libc::ENFILE);
            assert_fails(helper(["pause"]), Call::Any(libc::SYS_pipe2), failed).await;
        });
    });
}

#[test]
fn no_memory_for_the_program_is_told_at_the_step_exec() {
    isolated("no_memory_for_the_program_is_told_at_the_step_exec", || {
        run(async {
            let failed = (SpawnStep::Exec, libc::ENOMEM);
            assert_fails(Command::new("true"), Call::Any(libc::SYS_execve), failed).await;
        });
    });
}

#[test]
fn epoll_ctl_refused_is_the_step_register() {
    isolated("epoll_ctl_refused_is_the_step_register", || {
        run(async {
            let failed = (SpawnStep::Register, libc::ENOSPC);
            assert_fails(helper(["pause"]), Call::Any(libc::SYS_epoll_ctl), failed).await;
        });
    });
}

#[test]
fn epoll_ctl_refused_from_the_start_leaves_no_child() {
    isolated("epoll_ctl_refused_from_the_start_leaves_no_child", || {
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

/// Whether a change of ids needs no copy of the memory here.
fn has_trampoline() -> bool {
    cfg!(target_arch = "x86_64")
        && !cfg!(actix_process_force_no_trampoline)
        && nix::unistd::geteuid().is_root()
}

#[test]
fn no_option_makes_a_copy_of_the_parents_memory() {
    isolated("no_option_makes_a_copy_of_the_parents_memory", || {
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
    isolated("no_memory_for_a_copy_is_the_step_clone", || {
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
    isolated("ids_change_where_no_memfd_can_be_made", || {
        ids_change_without(Call::Any(libc::SYS_memfd_create), libc::ENOSYS);
    });
}

#[test]
fn ids_change_where_no_memfd_can_be_executed() {
    isolated("ids_change_where_no_memfd_can_be_executed", || {
        ids_change_without(Call::Any(libc::SYS_execveat), libc::EACCES);
    });
}

#[test]
fn ids_change_where_the_trampoline_may_not_do_what_it_must() {
    isolated(
        "ids_change_where_the_trampoline_may_not_do_what_it_must",
        || {
            // glibc registers a list for each thread that it starts.
            ids_change_without(Call::Any(libc::SYS_set_robust_list), libc::EPERM);
        },
    );
}

/// Refuses a call and holds that everything works without it.
fn works_without(refused: Call, errno: i32) {
    run(async {
        let before = start_all_threads().await;
        refuse(refused, errno);
        assert_all_works(&before).await;
    });
}

#[test]
fn without_close_range_descriptors_are_closed_by_listing_them() {
    isolated(
        "without_close_range_descriptors_are_closed_by_listing_them",
        || {
            // More than one buffer of the listing holds.
            let leaky: Vec<i32> = (300..700)
                // SAFETY: integers; the numbers are free in this process, which runs one test.
                .map(|fd| unsafe { libc::dup2(0, fd) })
                .collect();
            assert_eq!(leaky.len(), 400);
            works_without(Call::Any(libc::SYS_close_range), libc::ENOSYS);
        },
    );
}

#[test]
fn without_pidfds_a_thread_waits_for_each_child() {
    isolated("without_pidfds_a_thread_waits_for_each_child", || {
        works_without(Call::Flag(libc::SYS_clone, libc::CLONE_PIDFD), libc::EINVAL);
        run(async {
            let (trace, protocol) = Trace::start();
            let process = helper(["say", "ready", "pause"])
                .spawn(&protocol)
                .await
                .unwrap();
            trace.output(&process, 1, "ready").await;
            until_waiters(1).await;
            assert!(process.kill());
            trace.ended(&process).await;
            until_waiters(0).await;
        });
    });
}

/// Waits until this many threads wait for a child each.
async fn until_waiters(count: usize) {
    let waiters = || {
        threads()
            .iter()
            .filter(|name| *name == "actix-process-w")
            .count()
    };
    eventually(
        &format!("{count} waiter threads"),
        || (waiters() == count).then_some(()),
        || format!("{:?}", threads()),
    )
    .await;
}

#[test]
fn a_sandbox_may_refuse_pidfds_with_any_errno() {
    isolated("a_sandbox_may_refuse_pidfds_with_any_errno", || {
        works_without(Call::Flag(libc::SYS_clone, libc::CLONE_PIDFD), libc::EPERM);
    });
}

#[test]
fn without_pidfds_a_cancelled_spawn_leaves_nothing() {
    isolated("without_pidfds_a_cancelled_spawn_leaves_nothing", || {
        run(async {
            let (trace, protocol) = Trace::start();
            let before = start_all_threads().await;
            refuse(Call::Flag(libc::SYS_clone, libc::CLONE_PIDFD), libc::EINVAL);
            for _ in 0..10 {
                let mut spawning = helper(["pause"]).spawn(&protocol);
                assert!((&mut spawning).now_or_never().is_none());
                drop(spawning);
                before.assert_restored_but_spawners().await;
            }
            assert!(trace.events().is_empty());
        });
    });
}

#[test]
fn without_pidfd_send_signal_signals_go_by_pid() {
    isolated("without_pidfd_send_signal_signals_go_by_pid", || {
        works_without(Call::Any(libc::SYS_pidfd_send_signal), libc::ENOSYS);
    });
}

#[test]
fn a_sandbox_may_refuse_pidfd_send_signal() {
    isolated("a_sandbox_may_refuse_pidfd_send_signal", || {
        works_without(Call::Any(libc::SYS_pidfd_send_signal), libc::EPERM);
    });
}

#[test]
fn pidfd_send_signal_may_be_refused_with_any_errno_that_a_clone_may() {
    let name = "pidfd_send_signal_may_be_refused_with_any_errno_that_a_clone_may";
    isolated(name, || {
        works_without(Call::Any(libc::SYS_pidfd_send_signal), libc::EACCES);
    });
}

#[test]
fn without_waitid_no_zombie_is_left() {
    isolated("without_waitid_no_zombie_is_left", || {
        run(async {
            let (trace, protocol) = Trace::start();
            let before = start_all_threads().await;
            refuse(Call::Any(libc::SYS_waitid), libc::EPERM);
            let process = helper(["exit", "7"]).spawn(&protocol).await.unwrap();
            let status = trace.ended(&process).await.status();
            assert!(
                matches!(status, ExitStatus::Unknown) || status.code() == Some(7),
                "{status}"
            );
            let error = Command::new("/no/such").spawn(&protocol).await.unwrap_err();
            assert_eq!(error.step(), SpawnStep::Exec, "{error}");
            before.assert_restored_but_spawners().await;
        });
    });
}

/// More than its reader's first buffers hold, so that it is read as a busy child's output is.
async fn assert_busy_child_is_read(before: &Census) {
    const MUCH: usize = 8 * 1024 * 1024;
    let history = history(&helper(["spam", &MUCH.to_string()])).await;
    history.assert_rules(&[0, 1, 2]);
    assert!(history.data(1) == pattern(MUCH), "other bytes came");
    before.assert_restored_but_spawners().await;
}

#[test]
fn without_large_pipes_a_busy_child_is_read_all_the_same() {
    isolated(
        "without_large_pipes_a_busy_child_is_read_all_the_same",
        || {
            run(async {
                let before = start_all_threads().await;
                assert_busy_child_is_read(&before).await;
                refuse(
                    Call::Second(libc::SYS_fcntl, libc::F_SETPIPE_SZ),
                    libc::EPERM,
                );
                assert_busy_child_is_read(&before).await;
            });
        },
    );
}
