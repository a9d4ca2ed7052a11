//! A parent some of whose descriptors 0, 1 and 2 are closed.

use crate::common;

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use actix_process::Fd;
use common::census::{open_fds, threads};
use common::helper::{helper, numbers};
use common::isolated::isolated;
use common::trace::{Trace, history};
use common::{DEADLINE, run};
use nix::libc;

/// Some of 0, 1 and 2, closed while this lives.
struct Closed {
    saved: Vec<(i32, OwnedFd)>,
}

impl Closed {
    /// Those whose bits are set.
    fn new(subset: u32) -> Self {
        let closed = (0..3).filter(|fd| subset & (1 << fd) != 0);
        let save = |fd| {
            // SAFETY: makes a descriptor of ours, and closes one that nothing in this process
            // (which runs one test) uses meanwhile.
            unsafe {
                let saved = libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 100);
                libc::close(fd);
                (fd, OwnedFd::from_raw_fd(saved))
            }
        };
        let saved = closed.map(save).collect();
        Self { saved }
    }

    fn has(&self, fd: i32) -> bool {
        self.saved.iter().any(|(closed, _)| *closed == fd)
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        for (fd, saved) in &self.saved {
            // SAFETY: integers.
            unsafe { libc::dup2(saved.as_raw_fd(), *fd) };
        }
    }
}

/// Holds in a parent with some of 0, 1, 2 closed. A panic there would not be seen, hence a text.
async fn spawns_work() -> Result<(), String> {
    let (trace, protocol) = Trace::start();
    let process = helper(["fds", "cat", "tell", "2", "err"])
        .spawn(&protocol)
        .await
        .map_err(|error| error.to_string())?;
    process
        .write("through")
        .map_err(|error| error.to_string())?;
    process.close_stdin();
    let ended = trace.ended(&process).await;
    let out = ended.text(1);
    let (listing, echo) = out.split_at(out.rfind('\n').map_or(0, |at| at + 1));
    if numbers(listing) != [0, 1, 2] || echo != "through" || ended.text(2) != "err\n" {
        return Err(format!("{ended:?}"));
    }
    let null = helper(["fds"]).fds([(0, Fd::null()), (1, Fd::read()), (2, Fd::null())].into());
    let text = history(&null).await.text(1);
    if numbers(&text) != [0, 1, 2] || text.matches("/dev/null").count() != 2 {
        return Err(text);
    }
    Ok(())
}

#[test]
fn a_parent_without_0_1_or_2_can_spawn() {
    isolated(|| {
        for subset in 0..8 {
            let (result, landed) = run(async {
                // What the first spawn opens for good is open before.
                history(&helper(["fds"])).await;
                let (trace, protocol) = Trace::start();
                let closed = Closed::new(subset);
                let result = spawns_work().await;
                let process = helper(["pause"]).spawn(&protocol).await;
                let mut landed = open_fds();
                landed.retain(|fd, what| closed.has(*fd) && !what.starts_with("/proc"));
                if let Ok(process) = process {
                    process.kill();
                    trace.ended(&process).await;
                }
                (result, landed)
            });
            assert_eq!(result, Ok(()), "closed: {subset:03b}");
            // A `println!` of the parent's would go there.
            assert!(landed.is_empty(), "closed: {subset:03b}: {landed:?}");
        }
    });
}

#[test]
fn a_parent_that_never_had_0_1_and_2_can_spawn() {
    isolated(|| {
        let closed = Closed::new(0b111);
        let result = run(spawns_work());
        // A runtime that is still closing its descriptors may have had these numbers.
        let begun = Instant::now();
        let stopping = || threads().iter().any(|name| name.starts_with("actix-rt"));
        while stopping() && begun.elapsed() < DEADLINE {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(closed);
        assert_eq!(result, Ok(()));
    });
}
