//! A fork() of the host shares no memory with it: what the copy writes, as whatever user, reaches
//! no spawn of the host's.

use crate::common;

use actix_process::{Command, NoProtocol};
use common::hanging_exec::HangingExec;
use common::isolated::isolated;
use common::report::may_change_ids;
use common::run;
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;

/// What a copy of this process shares with it and may write to.
fn shared_with_a_copy() -> Vec<String> {
    // SAFETY: the copy makes one call, over and over, until it is killed.
    let copy = match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Parent { child } => child,
        nix::unistd::ForkResult::Child => loop {
            // SAFETY: no arguments.
            unsafe { libc::pause() };
        },
    };
    let maps = std::fs::read_to_string(format!("/proc/{copy}/maps")).unwrap();
    kill(copy, Signal::SIGKILL).unwrap();
    waitpid(copy, None).unwrap();
    let shared = |line: &&str| line.split(' ').nth(1).is_some_and(|mode| mode == "rw-s");
    maps.lines().filter(shared).map(str::to_owned).collect()
}

#[test]
fn a_fork_of_the_host_shares_no_memory_with_it() {
    isolated(|| {
        run(async {
            assert!(Command::new("true").status().await.unwrap().success());
            assert_eq!(shared_with_a_copy(), Vec::<String>::new());
            if !may_change_ids() {
                return;
            }
            let child = || Command::new("/bin/true").uid(65534).current_dir("/");
            assert!(child().status().await.unwrap().success());
            assert_eq!(shared_with_a_copy(), Vec::<String>::new());
        });
    });
}

/// Who writes there would change a program that runs with the host's rights.
#[test]
fn a_fork_of_the_host_has_no_trampoline_that_is_under_way() {
    if !may_change_ids() || cfg!(actix_process_force_no_trampoline) {
        return;
    }
    isolated(|| {
        run(async {
            let mut hung = HangingExec::new();
            let child = hung.helper(["exit", "0"]).uid(65534).gid(65534);
            let spawning = child.current_dir("/").env_clear().spawn(NoProtocol);
            let spawning = actix_rt::spawn(spawning);
            hung.until_children(1).await;
            assert_eq!(shared_with_a_copy(), Vec::<String>::new());
            hung.release();
            spawning.await.unwrap().unwrap();
        });
    });
}
