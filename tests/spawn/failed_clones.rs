//! A clone that fails after the kernel has given the child's pidfd a number: in a cgroup that is full.

use crate::common;

use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use crate::tools::asker::{CAP_SYS_ADMIN, change_capabilities};
use crate::tools::full_cgroup::FullCgroup;
use crate::tools::held_calls::HeldCall;
use actix_process::{NoProtocol, SpawnStep};
use common::census::threads;
use common::helper::helper;
use common::isolated::{isolated, skipped};
use common::report::may_change_ids;
use common::{eventually, run, start_all_threads};
use nix::libc;

/// More than a spawn has open.
const NUMBERS: usize = 64;

/// The number is free again then, and another thread's pidfd may get it before the spawner thread has told
/// that there is no child.
#[test]
fn a_cancel_after_the_clone_has_failed_signals_nobody() {
    isolated(|| {
        if !may_change_ids() {
            return;
        }
        // The one after a clone puts the signal mask back.
        let call = HeldCall::with_third_null(libc::SYS_rt_sigprocmask);
        // A thread that might add filters unseen would make a thread for each spawn, which the cgroup forbids.
        let no_admin = |sets: &mut [u32; 3]| *sets = sets.map(|set| set & !(1 << CAP_SYS_ADMIN));
        change_capabilities(|halves| no_admin(&mut halves[0])).unwrap();
        run(async {
            start_all_threads().await;
            let mut bystander = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
            let Some(_full) = FullCgroup::enter() else {
                drop(bystander.stdin.take());
                bystander.wait().unwrap();
                return skipped("no cgroup that counts processes can be made");
            };
            let error = helper(["pause"]).spawn(NoProtocol).await.unwrap_err();
            let seen = (error.step(), error.errno());
            assert_eq!(seen, (SpawnStep::Clone, Some(libc::EAGAIN)), "{error}");

            call.arm();
            let mut spawn = Box::pin(helper(["pause"]).spawn(NoProtocol));
            assert!(futures::poll!(&mut spawn).is_pending());
            let is_held = || call.is_held().then_some(());
            eventually("the call after the clone", is_held, || {
                format!("{:?}", threads())
            })
            .await;
            let pidfds: Vec<OwnedFd> = (0..NUMBERS).map(|_| pidfd(bystander.id())).collect();
            drop(spawn);
            call.let_go();
            drop(pidfds);
            // Too late for one that was killed.
            // SAFETY: integers; the child is not reaped yet.
            unsafe { libc::kill(bystander.id() as i32, libc::SIGTERM) };
            let status = bystander.wait().unwrap();
            assert_eq!(status.signal(), Some(libc::SIGTERM));
        });
    });
}

fn pidfd(pid: u32) -> OwnedFd {
    // SAFETY: integers; the kernel makes the descriptor that it answers.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        assert!(fd >= 0, "no pidfd: {}", std::io::Error::last_os_error());
        OwnedFd::from_raw_fd(fd as i32)
    }
}
