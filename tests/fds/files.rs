//! Files that a child writes to.

use crate::common;

use std::future::IntoFuture;

use actix_process::Fd;
use common::helper::helper;
use common::isolated::isolated;
use common::{in_time, run};
use nix::sys::stat::Mode;

#[test]
fn a_file_is_made_and_emptied_and_all_children_of_the_command_write_to_it() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        std::fs::write(&path, "old").unwrap();
        let command = helper(["say", "one"]).stdout(Fd::create(&path).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        for _ in 0..2 {
            assert!(
                in_time(command.status().into_future())
                    .await
                    .unwrap()
                    .success()
            );
        }
        assert_eq!(std::fs::read(&path).unwrap(), b"one\none\n");
    });
}

#[test]
fn what_is_appended_goes_behind_what_is_there_whoever_else_writes() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "old\n").unwrap();
        let commands =
            ["a", "b"].map(|word| helper(["say", word]).stdout(Fd::append(&path).unwrap()));
        for command in commands.iter().chain(&commands) {
            assert!(
                in_time(command.status().into_future())
                    .await
                    .unwrap()
                    .success()
            );
        }
        assert_eq!(std::fs::read(&path).unwrap(), b"old\na\nb\na\nb\n");
    });
}

#[test]
fn a_path_that_cannot_be_opened_is_an_error_at_the_call_and_a_fifo_without_a_reader_too() {
    let dir = tempfile::tempdir().unwrap();
    let error = Fd::create(dir.path().join("no/such")).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    let fifo = dir.path().join("fifo");
    nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let error = Fd::append(&fifo).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(nix::libc::ENXIO));
}

#[test]
fn the_child_gets_a_file_that_blocks_and_that_only_it_inherits() {
    isolated(|| {
        run(async {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("out");
            let command = helper(["fds"]).fd(3, Fd::create(&path).unwrap());
            let listed = in_time(command.output().into_future()).await.unwrap();
            let listed = String::from_utf8_lossy(&listed.stdout);
            let line = listed.lines().find(|line| line.starts_with("3 ")).unwrap();
            assert!(
                line.contains("out") && line.ends_with("blocking"),
                "{listed}"
            );
            assert!(!line.ends_with("non-blocking"), "{listed}");
            let other = in_time(helper(["fds"]).output().into_future())
                .await
                .unwrap();
            let other = String::from_utf8_lossy(&other.stdout);
            assert!(!other.contains(path.to_str().unwrap()), "{other}");
        });
    });
}
