//! Which program is executed: what ends the search, what goes on, and what is tried again.

use crate::common;

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix::prelude::*;
use actix_process::{Command, NoProtocol, SpawnStep};
use common::isolated::isolated;
use common::{amount, run};
use nix::libc;

/// So many files are written and run at once, unless the variable says otherwise.
fn rounds_by_default() -> usize {
    amount(1000, 400)
}
const ROUNDS_VARIABLE: &str = "ACTIX_PROCESS_BUSY_ROUNDS";

/// A directory with a link that leads to itself.
fn with_loop() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("loop", dir.path().join("loop")).unwrap();
    dir
}

#[test]
fn a_bad_directory_of_path_is_passed_over() {
    run(async {
        let dir = with_loop();
        let looped = dir.path().join("loop");
        let long = format!("/{}", "a".repeat(4200));
        let long_name = format!("/{}", "a".repeat(300));
        for bad in [&*long, &*long_name, looped.to_str().unwrap(), "/etc/passwd"] {
            let path = format!("{bad}:/usr/bin:/bin");
            let child = Command::new("true").env("PATH", path);
            assert!(child.status().await.unwrap().success());
        }
    });
}

#[test]
fn the_errno_that_tells_most_is_reported() {
    run(async {
        let dir = with_loop();
        let looped = dir.path().join("loop").to_str().unwrap().to_owned();
        let refused = dir.path().join("refused");
        fs::create_dir(&refused).unwrap();
        fs::write(refused.join("no-such"), "").unwrap();
        let refused = refused.to_str().unwrap();
        for (path, errno) in [
            // It is nowhere, and that a directory is none does not tell more.
            (format!("/bin:{looped}"), libc::ENOENT),
            (format!("{looped}:/etc/passwd:/bin"), libc::ENOENT),
            (looped.clone(), libc::ELOOP),
            (format!("{refused}:/bin:{looped}"), libc::EACCES),
        ] {
            let child = Command::new("no-such").env("PATH", &path);
            let error = child.spawn(NoProtocol).await.unwrap_err();
            assert_eq!(
                (error.step(), error.errno()),
                (SpawnStep::Exec, Some(errno)),
                "{path}"
            );
        }
        let error = Command::new("a".repeat(300))
            .spawn(NoProtocol)
            .await
            .unwrap_err();
        assert_eq!(error.errno(), Some(libc::ENAMETOOLONG), "{error}");
    });
}

#[test]
fn a_program_that_was_just_written_can_be_run() {
    isolated(|| {
        let rounds = std::env::var(ROUNDS_VARIABLE).ok();
        let rounds = rounds.map_or_else(rounds_by_default, |number| number.parse().unwrap());
        let dir = tempfile::tempdir().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        // Not by `run`, which has a deadline: as many rounds as were asked for.
        System::new().block_on(async {
            for _ in 0..2 {
                let stop = Arc::clone(&stop);
                actix_rt::spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        assert!(Command::new("true").status().await.unwrap().success());
                    }
                });
            }
            for round in 0..rounds {
                let name = dir.path().join(format!("s{round}"));
                let mut file = fs::File::create(&name).unwrap();
                file.set_permissions(Permissions::from_mode(0o755)).unwrap();
                file.write_all(b"#!/bin/true\n").unwrap();
                drop(file);
                let status = Command::new(&name).status().await;
                assert!(status.unwrap_or_else(|e| panic!("{round}: {e}")).success());
                fs::remove_file(&name).unwrap();
            }
            stop.store(true, Ordering::Relaxed);
        });
    });
}

#[test]
fn a_program_that_stays_open_for_writing_is_an_error() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().join("busy");
        let file = fs::File::create(&name).unwrap();
        file.set_permissions(Permissions::from_mode(0o755)).unwrap();
        let error = Command::new(&name).spawn(NoProtocol).await.unwrap_err();
        assert_eq!(
            (error.step(), error.errno()),
            (SpawnStep::Exec, Some(libc::ETXTBSY))
        );
    });
}
