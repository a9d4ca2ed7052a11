//! What a program's first spawn needs: as [`Command::spawn`] says.

use crate::common;

use std::fs::File;
use std::os::fd::OwnedFd;

use actix_process::{Command, NoProtocol};
use common::block_on_thread;
use common::isolated::isolated;
use nix::libc;

/// As documented at `Command::spawn`.
const NEEDED: usize = 13;
/// With the crate's own arbiter, which the first runtime of the process is for here: that has two for tokio's `signal` feature.
const NEEDED_ALONE: usize = 15;

/// The errno of a System's first spawn with so many descriptors free.
fn first_spawn_with(free: usize) -> Option<i32> {
    actix::System::new().block_on(first_spawn(free))
}

async fn first_spawn(free: usize) -> Option<i32> {
    let limit = libc::rlimit {
        rlim_cur: 64,
        rlim_max: 64,
    };
    // SAFETY: reads a local.
    let set = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    assert_eq!(set, 0);
    let mut hogs: Vec<OwnedFd> = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        hogs.push(file.into());
    }
    hogs.truncate(hogs.len() - free);
    match Command::new("true").spawn(NoProtocol).await {
        Ok(process) => {
            assert!(process.ended().await.success());
            None
        }
        Err(error) => Some(error.errno().unwrap()),
    }
}

#[test]
fn a_first_spawn_needs_as_many_free_descriptors_as_documented() {
    isolated(|| assert_eq!(first_spawn_with(NEEDED), None));
}

#[test]
fn a_first_spawn_with_one_less_is_a_typed_error() {
    isolated(|| {
        assert_eq!(first_spawn_with(NEEDED - 1), Some(libc::EMFILE));
    });
}

#[test]
fn a_first_spawn_without_an_arbiter_needs_as_many_as_documented() {
    isolated(|| {
        assert_eq!(block_on_thread(first_spawn(NEEDED_ALONE)), None);
    });
}

#[test]
fn a_first_spawn_without_an_arbiter_and_with_one_less_is_a_typed_error() {
    isolated(|| {
        assert_eq!(
            block_on_thread(first_spawn(NEEDED_ALONE - 1)),
            Some(libc::EMFILE)
        );
    });
}
