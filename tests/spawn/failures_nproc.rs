//! Spawns that fail because the user may have no more processes.
//!
//! RLIMIT_NPROC does not bind root, so these run as nobody.

use crate::common;

use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use actix::Actor;
use actix_process::{NoProtocol, ProcessSupervisor, Spawn, SpawnStep};
use common::census::{Census, children};
use common::helper::helper;
use common::isolated::{isolated_from, skipped};
use common::trace::{Trace, history};
use common::{copy_of_this_program, run, start_all_threads};
use nix::libc;

const NOBODY: u32 = 65534;

/// Runs `body` alone in a process of nobody's.
fn as_nobody(body: impl FnOnce()) {
    // SAFETY: no arguments.
    let user = unsafe { libc::geteuid() };
    if user != 0 && user != NOBODY {
        return skipped("only root can become nobody");
    }
    // A copy where nobody may read it.
    let dir = tempfile::tempdir().unwrap();
    let copy = || -> std::io::Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755))?;
        let path = dir.path().join("test");
        copy_of_this_program(&path);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        Ok(path)
    };
    let change = |command: &mut std::process::Command| {
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
    };
    isolated_from(copy, change, body);
}

/// Sets how many processes nobody may have; `None`: as many as at first.
fn limit_processes(count: Option<u64>) {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: writes and reads a local.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NPROC, &raw mut limit);
        limit.rlim_cur = count.unwrap_or(limit.rlim_max);
        assert_eq!(libc::setrlimit(libc::RLIMIT_NPROC, &raw const limit), 0);
    }
}

#[test]
fn with_no_process_left_the_clone_is_the_step() {
    as_nobody(|| {
        run(async {
            let before = start_all_threads().await;
            let (trace, protocol) = Trace::start();
            limit_processes(Some(1));
            let command = helper(["pause"]);
            for _ in 0..3 {
                let error = command.spawn(&protocol).await.unwrap_err();
                let seen = (error.step(), error.errno());
                assert_eq!(seen, (SpawnStep::Clone, Some(libc::EAGAIN)), "{error}");
                assert_eq!(
                    error.subject(),
                    std::env::current_exe().unwrap().to_str().unwrap()
                );
                let kind = std::io::Error::from(error).kind();
                assert_eq!(kind, std::io::ErrorKind::WouldBlock);
                before.assert_restored_but_spawners().await;
            }
            assert!(trace.events().is_empty());
            limit_processes(None);
            assert_eq!(history(&helper(["say", "again"])).await.text(1), "again\n");
        });
    });
}

#[test]
fn without_a_thread_for_the_supervisor_a_spawn_is_a_typed_error() {
    as_nobody(|| {
        run(async {
            let before = Census::take();
            limit_processes(Some(1));
            let error = helper(["pause"]).spawn(NoProtocol).await.unwrap_err();
            let seen = (error.step(), error.errno());
            assert_eq!(seen, (SpawnStep::Register, Some(libc::EAGAIN)), "{error}");
            before.assert_restored().await;
            limit_processes(None);
            assert_eq!(history(&helper(["say", "now"])).await.text(1), "now\n");
        });
    });
}

#[test]
fn without_a_spawner_thread_a_spawn_is_a_typed_error() {
    as_nobody(|| {
        run(async {
            let supervisor = ProcessSupervisor::new().start();
            let before = Census::take();
            limit_processes(Some(1));
            for _ in 0..3 {
                let spawn = Spawn::new(helper(["pause"]), NoProtocol);
                let error = supervisor.send(spawn).await.unwrap().unwrap_err();
                let seen = (error.step(), error.errno());
                assert_eq!(seen, (SpawnStep::Clone, Some(libc::EAGAIN)), "{error}");
                before.assert_restored().await;
            }
            limit_processes(None);
            let spawn = Spawn::new(helper(["say", "now"]), NoProtocol);
            let process = supervisor.send(spawn).await.unwrap().unwrap();
            assert!(process.ended().await.success());
            assert!(children().is_empty());
        });
    });
}
