//! Forks of the host, that run without an exec.

use nix::libc;
use nix::sys::wait::{WaitStatus, waitpid};

/// Forks; the copy runs `act` and reports by its exit whether it held. It may take a minute.
pub fn in_a_copy(act: impl FnOnce()) -> WaitStatus {
    // SAFETY: the copy runs what this test gives it, on its only thread, and ends without unwinding
    // into the harness; that it may be up against locks of threads it does not have is the test.
    match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Parent { child } => waitpid(child, None).unwrap(),
        nix::unistd::ForkResult::Child => {
            // SAFETY: integers. One that hangs dies of SIGALRM.
            unsafe { libc::alarm(20) };
            let acted = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
            let code = i32::from(acted.is_err());
            // SAFETY: ends the copy at once.
            unsafe { libc::_exit(code) }
        }
    }
}

/// Fails unless the copy ended well.
pub fn assert_held(status: WaitStatus) {
    assert!(matches!(status, WaitStatus::Exited(_, 0)), "{status:?}");
}
