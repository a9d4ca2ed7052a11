//! The pipe of an input grows for a child that reads more slowly than we write, and for no other.

use crate::common;

use std::fs::File;

use actix_process::{NoProtocol, ProcessHandle};
use common::helper::helper;
use common::trace::spawned;
use common::{eventually, run};
use nix::fcntl::{FcntlArg, fcntl};

const DEFAULT: i32 = 64 * 1024;
const GROWN: i32 = 128 * 1024;

/// How much the child's standard input holds at most.
fn capacity(process: &ProcessHandle) -> i32 {
    let pid = process.pid().expect("the child lives");
    let input = File::open(format!("/proc/{pid}/fd/0")).unwrap();
    fcntl(&input, FcntlArg::F_GETPIPE_SZ).unwrap()
}

#[test]
fn a_child_that_reads_nothing_keeps_the_pipe_that_it_has() {
    run(async {
        let (trace, process) = spawned(helper(["say", "ready", "pause"])).await;
        trace.output(&process, 1, "ready").await;
        process.write(vec![b'x'; 200_000]).unwrap();
        for _ in 0..100 {
            process.write("x").unwrap();
            // The writer is woken by each.
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(capacity(&process), DEFAULT);
        assert!(process.kill());
        trace.ended(&process).await;
    });
}

#[test]
fn a_child_that_reads_on_gets_a_larger_pipe() {
    run(async {
        // It rests after each 64 KiB, so that the pipe is full whenever it is looked at.
        let child = helper(["digest", "0", "500"]);
        let process = child.spawn(NoProtocol).await.unwrap();
        process.write(vec![b'x'; 8_000_000]).unwrap();
        eventually(
            "a grown pipe",
            || (capacity(&process) == GROWN).then_some(()),
            || format!("a pipe of {}", capacity(&process)),
        )
        .await;
        assert!(process.kill());
        process.ended().await;
    });
}
