//! Threads that change what Linux keeps for each, and then ask for a child.

use std::thread;

use actix_process::Command;
use nix::libc;

use crate::common::helper::helper;
use crate::common::isolated::{isolated, skipped};
use crate::common::run;

/// What `command` writes, spawned by this thread.
pub fn output_of(command: Command) -> String {
    run(async move {
        let output = command.output().await.unwrap();
        String::from_utf8(output.stdout).unwrap()
    })
}

/// A line of a child's /proc/self/status.
pub fn status_line(name: &str) -> String {
    let status = output_of(helper(["status"]));
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|line| line.strip_prefix(':'));
    value
        .unwrap_or_else(|| panic!("no {name} in {status}"))
        .trim()
        .to_owned()
}

/// This thread's children run, and talk.
pub fn assert_spawns() {
    run(async {
        let output = helper(["say", "hi"]).output().await.unwrap();
        assert_eq!(output.stdout, b"hi\n");
    });
}

/// Runs `act` on a thread of its own.
pub fn on_a_thread<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    thread::spawn(act).join().unwrap()
}

/// A thread changes itself, and asks for the first child of all: it has the change, another's has not.
pub fn assert_the_first(
    look: fn() -> String,
    change: fn() -> Result<(), String>,
    is_changed: fn(&str) -> bool,
) {
    isolated(|| {
        let changed = on_a_thread(move || change().map(|()| look()));
        let changed = match changed {
            Ok(changed) => changed,
            Err(why) => return skipped(&why),
        };
        assert!(is_changed(&changed), "the asker's own: {changed}");
        let other = on_a_thread(look);
        assert!(!is_changed(&other), "another thread's: {other}");
    });
}

/// A thread changes itself after it has asked, and others have: its next child has the change, and
/// no other's.
pub fn assert_a_later_one(
    look: fn() -> String,
    change: fn() -> Result<(), String>,
    is_changed: fn(&str) -> bool,
) {
    isolated(|| {
        let other = look();
        assert!(!is_changed(&other), "before: {other}");
        let changed = on_a_thread(move || {
            let before = look();
            change().map(|()| (before, look()))
        });
        let (before, changed) = match changed {
            Ok(changed) => changed,
            Err(why) => return skipped(&why),
        };
        assert!(!is_changed(&before), "before: {before}");
        assert!(is_changed(&changed), "the asker's own: {changed}");
        let other = look();
        assert!(!is_changed(&other), "another thread's: {other}");
    });
}

/// Two tests of each: what a child shows, how a thread changes itself, whether the child has the change.
#[macro_export]
macro_rules! follows_the_asker {
    ($($(#[$doc:meta])* $name:ident: $look:expr, $change:expr, $is_changed:expr;)*) => {
        $(
            $(#[$doc])*
            mod $name {
                use super::*;
                use $crate::tools::asker::{assert_a_later_one, assert_the_first};

                #[test]
                fn of_the_first_asker() {
                    assert_the_first($look, $change, $is_changed);
                }

                #[test]
                fn of_a_later_asker() {
                    assert_a_later_one($look, $change, $is_changed);
                }
            }
        )*
    };
}

pub fn done(result: i64) -> Result<(), String> {
    if result < 0 {
        return Err(std::io::Error::last_os_error().to_string());
    }
    Ok(())
}

/// A raw system call: libc's would change all threads.
pub fn call(number: libc::c_long, args: [libc::c_long; 5]) -> i64 {
    let [a, b, c, d, e] = args;
    // SAFETY: each caller passes integers, or pointers to what the call reads.
    unsafe { libc::syscall(number, a, b, c, d, e) }
}

pub fn prctl(option: i32, argument: libc::c_long) -> i64 {
    call(libc::SYS_prctl, [option.into(), argument, 0, 0, 0])
}

pub fn unshare(flags: i32) -> Result<(), String> {
    done(call(libc::SYS_unshare, [flags.into(), 0, 0, 0, 0]))
}

/// Without these capabilities, by number; `sets` says in which of effective, permitted, inheritable.
pub fn change_capabilities(change: impl FnOnce(&mut [[u32; 3]; 2])) -> Result<(), String> {
    let header = [0x2008_0522_u32, 0];
    let mut halves = [[0_u32; 3]; 2];
    let args = |halves: &mut [[u32; 3]; 2]| {
        let halves = halves.as_mut_ptr() as libc::c_long;
        [header.as_ptr() as libc::c_long, halves, 0, 0, 0]
    };
    done(call(libc::SYS_capget, args(&mut halves)))?;
    change(&mut halves);
    done(call(libc::SYS_capset, args(&mut halves)))
}

pub const CAP_NET_RAW: u32 = 13;
pub const CAP_SYS_ADMIN: u32 = 21;

pub fn has(capability: u32, set: &str) -> bool {
    u64::from_str_radix(set, 16).unwrap() & 1 << capability != 0
}
