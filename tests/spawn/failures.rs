//! Spawns that fail: the error names the step, the errno and the subject, and nothing is left.

use crate::common;

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use actix::Addr;
use actix_process::{Command, Fd, FdMap, SpawnError, SpawnStep};
use common::census::Census;
use common::helper::helper;
use common::isolated::isolated;
use common::trace::{Trace, Tracer};
use common::{run, start_all_threads, write_executable};
use nix::libc;

/// What there was before the failures, with all threads started.
struct Failures {
    trace: Trace,
    protocol: Addr<Tracer>,
    before: Census,
}

impl Failures {
    async fn new() -> Self {
        let (trace, protocol) = Trace::start();
        Self {
            trace,
            protocol,
            before: start_all_threads().await,
        }
    }

    /// Spawns a command that must fail.
    async fn of(&self, command: Command) -> SpawnError {
        let error = command.spawn(&self.protocol).await.unwrap_err();
        self.before.assert_restored_but_spawners().await;
        assert!(self.trace.events().is_empty(), "{error}");
        error
    }

    /// The same; the error must be as described, its detail at least contain `detail`.
    async fn assert(
        &self,
        command: Command,
        step: SpawnStep,
        errno: Option<i32>,
        subject: &str,
        detail: &str,
    ) -> SpawnError {
        let error = self.of(command).await;
        let seen = (error.step(), error.errno(), error.subject());
        assert_eq!(seen, (step, errno, subject), "{error}");
        assert!(error.detail().contains(detail), "{:?}", error.detail());
        assert_eq!(error.detail().is_empty(), detail.is_empty(), "{error}");
        assert!(error.to_string().contains(subject), "{error}");
        error
    }

    async fn assert_exec(&self, program: &Path, errno: i32, detail: &str) -> SpawnError {
        let subject = program.to_str().unwrap();
        let command = Command::new(program);
        self.assert(command, SpawnStep::Exec, Some(errno), subject, detail)
            .await
    }

    async fn assert_invalid(&self, command: Command, subject: &str, detail: &str) {
        let error = self
            .assert(command, SpawnStep::Invalid, None, subject, detail)
            .await;
        assert_eq!(std::io::Error::from(error).kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn a_program_that_cannot_be_executed_is_told_from_others() {
    isolated(|| {
        run(async {
            let failures = Failures::new().await;
            let dir = tempfile::tempdir().unwrap();
            let at = |name: &str| dir.path().join(name);
            fs::write(at("plain"), "no program").unwrap();
            write_executable(&at("nonsense"), "neither a script nor a binary");
            write_executable(&at("orphan"), "#! /no/such/interpreter -x\n");
            std::os::unix::fs::symlink("nowhere", at("dangling")).unwrap();

            let error = failures.assert_exec(&at("missing"), libc::ENOENT, "").await;
            assert_eq!(std::io::Error::from(error).kind(), ErrorKind::NotFound);
            let below = at("plain/below");
            failures.assert_exec(&below, libc::ENOTDIR, "").await;
            let refused = libc::EACCES;
            let detail = "plain is not executable";
            let error = failures.assert_exec(&at("plain"), refused, detail).await;
            let kind = std::io::Error::from(error).kind();
            assert_eq!(kind, ErrorKind::PermissionDenied);
            failures
                .assert_exec(dir.path(), refused, "is a directory")
                .await;
            let unknown = libc::ENOEXEC;
            failures
                .assert_exec(&at("nonsense"), unknown, "no known format")
                .await;
            let no_interpreter = "/no/such/interpreter, is missing";
            failures
                .assert_exec(&at("orphan"), libc::ENOENT, no_interpreter)
                .await;
            failures
                .assert_exec(&at("dangling"), libc::ENOENT, "dangling link")
                .await;
        });
    });
}

#[test]
fn a_bare_name_that_is_not_found_says_where_it_was_looked_for() {
    isolated(|| {
        run(async {
            let failures = Failures::new().await;
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("plain"), "no program").unwrap();
            let path = format!("/no/such:{}", dir.path().display());
            let missing = Command::new("missing").env("PATH", &path);
            let (step, not_found) = (SpawnStep::Exec, format!("not found in PATH ({path})"));
            failures
                .assert(missing, step, Some(libc::ENOENT), "missing", &not_found)
                .await;
            let plain = Command::new("plain").env("PATH", format!("{path}:/no/such"));
            let refused = Some(libc::EACCES);
            failures
                .assert(plain, step, refused, "plain", "is not executable")
                .await;
        });
    });
}

#[test]
fn a_current_dir_that_cannot_be_entered_is_the_step() {
    isolated(|| {
        run(async {
            let failures = Failures::new().await;
            let in_dir = |dir: &str| helper(["cwd"]).current_dir(dir);
            for (dir, errno) in [
                ("/no/such/dir", libc::ENOENT),
                ("", libc::ENOENT),
                ("/dev/null", libc::ENOTDIR),
            ] {
                failures
                    .assert(in_dir(dir), SpawnStep::Cwd, Some(errno), dir, "")
                    .await;
            }
        });
    });
}

#[test]
fn too_long_arguments_and_environments_are_refused_by_the_kernel() {
    isolated(|| {
        run(async {
            let failures = Failures::new().await;
            // One string may have 128 KiB.
            let long = "x".repeat(200 * 1024);
            for command in [
                Command::new("/bin/true").arg(&long),
                Command::new("/bin/true").env("LONG", &long),
            ] {
                let (step, errno) = (SpawnStep::Exec, Some(libc::E2BIG));
                let error = failures
                    .assert(command, step, errno, "/bin/true", "too long")
                    .await;
                assert_eq!(
                    std::io::Error::from(error).kind(),
                    ErrorKind::ArgumentListTooLong
                );
            }
        });
    });
}

#[test]
fn what_no_kernel_would_take_is_invalid() {
    isolated(|| {
        run(async {
            let failures = Failures::new().await;
            let good = || Command::new("/bin/true");
            let nul = "holds a NUL";
            let name = "its name is empty or holds '=' or NUL";
            for (command, subject, detail) in [
                (Command::new(""), "the program", "is empty"),
                (Command::new("a\0b"), "the program", nul),
                (good().arg("ok").arg("a\0b"), "argument 2", nul),
                (good().arg0("a\0b"), "argument 0", nul),
                (good().env("K", "a\0b"), "environment variable \"K\"", nul),
                (good().env("K=V", "v"), "environment variable \"K\"", name),
                (good().env("", "v"), "environment variable \"\"", name),
                (
                    good().env("a\0", "v"),
                    "environment variable \"a\\0\"",
                    name,
                ),
                (good().current_dir("a\0b"), "the current directory", nul),
                (good().process_group(-1), "process group -1", "is negative"),
                (good().fd(-1, Fd::null()), "fd -1", "is negative"),
                (
                    good().fds(FdMap::from([(4, Fd::read()), (4, Fd::null())])),
                    "fd 4",
                    "is named twice",
                ),
            ] {
                failures.assert_invalid(command, subject, detail).await;
            }
        });
    });
}

#[test]
fn an_inherited_descriptor_must_be_open_before_the_spawn() {
    isolated(|| {
        run(async {
            let failures = Failures::new().await;
            let closed = Some(libc::EBADF);
            let far = helper(["fds"]).fd(3, Fd::inherit(700));
            let detail = "the parent's fd 700 is not open";
            failures
                .assert(far, SpawnStep::Fds, closed, "fd 3", detail)
                .await;

            // The numbers that the spawn's own pipes will get.
            for above in 0..8 {
                let free = (3..).filter(|fd| !failures.before.fds.contains_key(fd));
                let next = free.take(above + 1).last().unwrap();
                let command = helper(["fds"]).fd(30, Fd::inherit(next));
                let detail = format!("the parent's fd {next} is not open");
                failures
                    .assert(command, SpawnStep::Fds, closed, "fd 30", &detail)
                    .await;
            }
        });
    });
}

#[test]
fn a_descriptor_that_cannot_be_placed_is_named() {
    isolated(|| {
        run(async {
            let failures = Failures::new().await;
            // Beyond RLIMIT_NOFILE, whatever that is.
            let command = helper(["fds"]).fd(i32::MAX, Fd::read());
            let errno = Some(libc::EBADF);
            failures
                .assert(command, SpawnStep::Fds, errno, "fd 2147483647", "")
                .await;
        });
    });
}

#[test]
fn a_process_group_that_does_not_exist_is_an_identity_failure() {
    isolated(|| {
        run(async {
            let failures = Failures::new().await;
            let none = i32::MAX;
            let command = helper(["pause"]).process_group(none);
            let (step, errno) = (SpawnStep::Identity, Some(libc::EPERM));
            failures
                .assert(command, step, errno, &format!("process group {none}"), "")
                .await;
        });
    });
}

#[test]
fn a_path_that_is_not_utf8_is_named_as_well_as_it_can_be() {
    isolated(|| {
        run(async {
            let failures = Failures::new().await;
            let name = std::ffi::OsString::from_vec(b"/no/such/\xff".to_vec());
            let error = failures.of(Command::new(name)).await;
            assert_eq!(error.subject(), "/no/such/\u{fffd}");
        });
    });
}

/// Leaves exactly `count` descriptors free below the limit.
fn leave_free(count: usize) -> Vec<OwnedFd> {
    let mut hogs: Vec<OwnedFd> = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        hogs.push(file.into());
    }
    hogs.truncate(hogs.len() - count);
    hogs
}

#[test]
fn with_few_descriptors_left_a_spawn_works_or_fails_cleanly() {
    isolated(|| {
        run(async {
            let failures = Failures::new().await;
            let limit = libc::rlimit {
                rlim_cur: 128,
                rlim_max: 1024,
            };
            // SAFETY: reads a local.
            let set = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
            assert_eq!(set, 0);
            let mut steps = Vec::new();
            for count in 0..=12 {
                let hogs = leave_free(count);
                let (trace, protocol) = Trace::start();
                match helper(["cat", "say", "alive"]).spawn(&protocol).await {
                    Ok(process) => {
                        process.close_stdin();
                        let history = trace.ended(&process).await;
                        assert_eq!(history.text(1), "alive\n", "with {count} free");
                        steps.push(None);
                    }
                    Err(error) => {
                        assert_eq!(error.errno(), Some(libc::EMFILE), "with {count}: {error}");
                        assert!(trace.events().is_empty(), "with {count}: {error}");
                        steps.push(Some(error.step()));
                    }
                }
                // The census needs descriptors of its own.
                drop(hogs);
                failures.before.assert_restored_but_spawners().await;
            }
            assert_eq!(steps[0], Some(SpawnStep::Fds), "{steps:?}");
            assert_eq!(steps[12], None, "{steps:?}");
            if !cfg!(actix_process_force_no_pidfd) {
                assert!(steps.contains(&Some(SpawnStep::Clone)), "{steps:?}");
            }
        });
    });
}
