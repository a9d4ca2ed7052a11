//! A thread that lacks a capability, although it is root's. For tests in a process of their own.

use nix::libc;

/// Whether this thread, and those that it starts from now on, may signal processes of others.
pub fn may_kill_others(may: bool) {
    const CAP_KILL: u32 = 5;
    set_capability(CAP_KILL, may);
}

/// Whether this thread, and those that it starts from now on, may raise hard limits.
pub fn may_raise_limits(may: bool) {
    const CAP_SYS_RESOURCE: u32 = 24;
    set_capability(CAP_SYS_RESOURCE, may);
}

fn set_capability(number: u32, on: bool) {
    let header = [0x2008_0522_u32, 0];
    let mut halves = [[0_u32; 3]; 2];
    // SAFETY: the kernel reads the header and writes two halves.
    let got = unsafe { libc::syscall(libc::SYS_capget, header.as_ptr(), halves.as_mut_ptr()) };
    assert_eq!(got, 0);
    halves[0][0] &= !(1 << number);
    halves[0][0] |= u32::from(on) << number;
    // SAFETY: the kernel reads the header and two halves.
    let set = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), halves.as_ptr()) };
    assert_eq!(set, 0);
}
