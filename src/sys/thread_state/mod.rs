//! What Linux keeps for each thread and a child takes over, read for the calling thread.
//!
//! A child gets the state of the thread that clones it. Two threads of equal [`ThreadState`] may clone for
//! each other. What can change only by a privilege that the thread has given up for good is read
//! once for it: capabilities never come back without an exec.

mod security_modules;

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_long};
use std::io::Error;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::libc;

use security_modules::{look_at_parent, may_not_mount, read_labels};

/// What the calling thread is like, as far as it can be read.
#[derive(Debug)]
pub(crate) enum Asker {
    /// Like every thread with an equal state.
    Like(ThreadState),
    /// The thread may be confined in ways that cannot be read: only a thread that it makes is surely like it.
    Confined,
    /// The thread has left the descriptor table of the process: no number of ours means anything there.
    TableOfItsOwn,
}

/// The state of a thread. Descriptors, directory, root and umask are in none: see [`shares_fs`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ThreadState {
    credentials: Credentials,
    others: Vec<u64>,
}

/// Capabilities, ids and groups: what libc's setuid and the like change for all threads at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// Effective, permitted, inheritable.
    capabilities: [u64; 3],
    /// Real, effective, saved; users before groups.
    ids: [u32; 6],
    groups: Groups,
}

/// The supplementary groups, and what the kernel said of their number.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Groups {
    count: i64,
    numbers: Vec<u32>,
}

impl ThreadState {
    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }
}

const CAP_SETPCAP: u64 = 1 << 8;
const CAP_SYS_ADMIN: u64 = 1 << 21;

thread_local! {
    /// What needs a privilege that the thread does not have, and never gets again.
    static FIXED: RefCell<Option<Vec<u64>>> = RefCell::default();
    static NUMBER: u64 = {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed)
    };
}

/// The calling thread. The descriptor table is that of thread `ours`, or of the main thread, which may
/// have left that of the others.
pub(crate) fn of_this_thread(ours: Option<libc::pid_t>) -> Asker {
    match shares_table(ours) {
        Some(true) => {}
        Some(false) => return Asker::TableOfItsOwn,
        // `shares_fs` could not tell either.
        None => return Asker::Confined,
    }
    if prctl(libc::PR_GET_NO_NEW_PRIVS, 0) != 0 {
        // It may have added seccomp filters and Landlock domains at any time.
        return Asker::Confined;
    }
    let credentials = Credentials::ours();
    let [_, permitted, inheritable] = credentials.capabilities;
    let filtered = prctl(libc::PR_GET_SECCOMP, 0) != 0;
    let may_change_all = permitted & (CAP_SYS_ADMIN | CAP_SETPCAP) != 0;
    let parent = may_change_all.then(look_at_parent).flatten();
    // It may have added another domain to the one that is seen.
    if permitted & CAP_SYS_ADMIN != 0 && (filtered || may_not_mount(parent)) {
        return Asker::Confined;
    }
    let mut others = Vec::with_capacity(96);
    // Filters cannot be compared, but this thread has lost the means to add one: what it makes is
    // like it, now and later.
    others.push(if filtered {
        NUMBER.try_with(|number| *number).unwrap_or(u64::MAX)
    } else {
        0
    });
    read_what_anybody_can_change(&mut others);
    others.push(ambient(inheritable));
    let known = FIXED.try_with(|fixed| {
        if may_change_all {
            read_what_needs_privilege(&mut others, parent);
        } else {
            let read = || {
                let mut state = Vec::new();
                read_what_needs_privilege(&mut state, look_at_parent());
                state
            };
            others.extend(fixed.borrow_mut().get_or_insert_with(read).iter());
        }
    });
    if known.is_err() {
        // The thread is ending.
        return Asker::Confined;
    }
    Asker::Like(ThreadState {
        credentials,
        others,
    })
}

/// Whether the calling thread has the descriptor table of the process, as far as anybody can tell.
pub(crate) fn shares_descriptors() -> bool {
    shares_table(None) != Some(false)
}

/// The same, by comparison with thread `ours`, or with the main thread; `None` where nobody can tell: in a sandbox, or by a
/// kernel without the call.
fn shares_table(ours: Option<libc::pid_t>) -> Option<bool> {
    // SAFETY: no arguments.
    let process = unsafe { libc::getpid() };
    match kcmp(ours.unwrap_or(process), this_thread(), KCMP_FILES) {
        0 => Some(true),
        refused if refused < 0 => None,
        _ => Some(ours.is_none() && is_zombie(process)),
    }
}

/// Whether thread `other` of this process has the directory, root and umask of the calling one, and
/// so its mount namespace.
pub(crate) fn shares_fs(other: libc::pid_t) -> bool {
    kcmp(this_thread(), other, KCMP_FS) == 0
}

/// The kernel's number of the calling thread.
pub(crate) fn this_thread() -> libc::pid_t {
    // SAFETY: no arguments.
    unsafe { libc::syscall(libc::SYS_gettid) as libc::pid_t }
}

impl Credentials {
    /// Whether the calling thread has these. Asked directly before a clone: libc's setuid may have changed them
    /// for all threads since the state was read.
    pub(crate) fn are_ours(&self) -> bool {
        let Groups { count, numbers } = &self.groups;
        self.capabilities == capabilities()
            && self.ids == ids()
            && with_groups(|ours, groups| ours == *count && groups == numbers)
    }

    /// The credentials of the calling thread.
    pub(crate) fn ours() -> Self {
        Self {
            capabilities: capabilities(),
            ids: ids(),
            groups: with_groups(|count, groups| Groups {
                count,
                numbers: groups.to_vec(),
            }),
        }
    }
}

fn capabilities() -> [u64; 3] {
    let header = [0x2008_0522_u32, 0]; // Version 3, this thread.
    let mut halves = [[0_u32; 3]; 2];
    let (header, address) = (header.as_ptr() as c_long, halves.as_mut_ptr() as c_long);
    call(libc::SYS_capget, [header, address, 0, 0, 0]);
    let [low, high] = halves;
    let mut capabilities = [0; 3];
    for (whole, (low, high)) in capabilities.iter_mut().zip(low.into_iter().zip(high)) {
        *whole = u64::from(low) | u64::from(high) << 32;
    }
    capabilities
}

fn ids() -> [u32; 6] {
    let [mut user, mut effective_user, mut saved_user] = [0_u32; 3];
    let [mut group, mut effective_group, mut saved_group] = [0_u32; 3];
    let address = |id: &mut u32| ptr::from_mut(id) as c_long;
    let users = [&mut user, &mut effective_user, &mut saved_user].map(address);
    let groups = [&mut group, &mut effective_group, &mut saved_group].map(address);
    for (number, [real, effective, saved]) in
        [(libc::SYS_getresuid, users), (libc::SYS_getresgid, groups)]
    {
        call(number, [real, effective, saved, 0, 0]);
    }
    [
        user,
        effective_user,
        saved_user,
        group,
        effective_group,
        saved_group,
    ]
}

/// What the kernel says of the number of groups, and the groups.
fn with_groups<T>(act: impl FnOnce(i64, &[u32]) -> T) -> T {
    let mut groups = [0_u32; 64];
    let args = [64, groups.as_mut_ptr() as c_long, 0, 0, 0];
    let count = call(libc::SYS_getgroups, args);
    if let Some(groups) = usize::try_from(count).ok().and_then(|n| groups.get(..n)) {
        return act(count, groups);
    }
    // There are more, or nobody can tell.
    let groups = nix::unistd::getgroups().unwrap_or_default();
    let groups: Vec<u32> = groups.iter().map(|group| group.as_raw()).collect();
    act(count, &groups)
}

/// A raw system call's result, or its errno negated: which call is refused is a part of the state.
pub(super) fn call(number: c_long, args: [c_long; 5]) -> i64 {
    let [a, b, c, d, e] = args;
    // SAFETY: the caller vouches for the arguments: integers, or pointers to live memory that is large enough
    // for what the call writes.
    match unsafe { libc::syscall(number, a, b, c, d, e) } {
        -1 => -i64::from(Error::last_os_error().raw_os_error().unwrap_or(1)),
        result => result,
    }
}

fn prctl(option: c_int, argument: c_long) -> i64 {
    call(libc::SYS_prctl, [option.into(), argument, 0, 0, 0])
}

pub(super) const KCMP_VM: c_long = 1;
const KCMP_FILES: c_long = 2;
const KCMP_FS: c_long = 3;

pub(super) fn kcmp(one: libc::pid_t, other: libc::pid_t, what: c_long) -> i64 {
    call(libc::SYS_kcmp, [one.into(), other.into(), what, 0, 0])
}

/// The main thread may have ended before the others: it shares nothing then.
fn is_zombie(main_thread: libc::pid_t) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{main_thread}/stat"));
    stat.is_ok_and(|stat| {
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('Z'))
    })
}

const SPEC_L1D_FLUSH: c_int = 2;

fn read_what_anybody_can_change(state: &mut Vec<u64>) {
    let mut note = |value: i64| state.push(value as u64);
    note(prctl(libc::PR_GET_SECUREBITS, 0));
    note(prctl(libc::PR_GET_TIMERSLACK, 0));
    note(prctl(libc::PR_MCE_KILL_GET, 0));
    for kind in [
        libc::PR_SPEC_STORE_BYPASS as c_int,
        libc::PR_SPEC_INDIRECT_BRANCH as c_int,
        SPEC_L1D_FLUSH,
    ] {
        note(prctl(libc::PR_GET_SPECULATION_CTRL, kind.into()));
    }
    let mut tsc: c_int = 0;
    note(prctl(libc::PR_GET_TSC, &raw mut tsc as c_long));
    note(tsc.into());
    note(call(libc::SYS_personality, [0xffff_ffff, 0, 0, 0, 0]));
    note(call(libc::SYS_ioprio_get, [1, 0, 0, 0, 0]));
    // An id that none is: only asks.
    note(call(libc::SYS_setfsuid, [-1, 0, 0, 0, 0]));
    note(call(libc::SYS_setfsgid, [-1, 0, 0, 0, 0]));
    // Policy, nice value, real-time priority, deadline, utilisation clamps.
    let mut scheduling = [0_u64; 7];
    let size = size_of_val(&scheduling) as c_long;
    let address = scheduling.as_mut_ptr() as c_long;
    note(call(libc::SYS_sched_getattr, [0, address, size, 0, 0]));
    state.extend(scheduling);
    read_processors(state);
    read_memory_policy(state);
    read_labels(state);
}

fn read_processors(state: &mut Vec<u64>) {
    // 8,192 processors, the most that a kernel is built for.
    let mut processors = [0_u64; 128];
    let (size, address) = (size_of_val(&processors), processors.as_mut_ptr());
    let args = [0, size as c_long, address as c_long, 0, 0];
    let bytes = call(libc::SYS_sched_getaffinity, args);
    state.push(bytes as u64);
    let words = usize::try_from(bytes).unwrap_or(0).div_ceil(8);
    state.extend(processors.iter().take(words));
}

fn read_memory_policy(state: &mut Vec<u64>) {
    let mut mode: c_int = 0;
    let mut nodes = [0_u64; 16];
    let args = [
        &raw mut mode as c_long,
        nodes.as_mut_ptr() as c_long,
        1024,
        0,
        0,
    ];
    state.push(call(libc::SYS_get_mempolicy, args) as u64);
    state.push(mode as u64);
    if mode != 0 {
        state.extend(nodes);
    }
}

/// What only a privileged thread can change: its bounding set, Landlock without `no_new_privs`, as our
/// `parent` looks from it, and its namespaces.
fn read_what_needs_privilege(state: &mut Vec<u64>, parent: Option<i64>) {
    state.extend([bounding(), parent.unwrap_or(0) as u64]);
    read_namespaces(state);
}

/// The bounding set of the calling thread. It only shrinks, so what was out of it is not looked at again.
fn bounding() -> u64 {
    thread_local! {
        static LAST: Cell<u64> = const { Cell::new(u64::MAX) };
    }
    let last = LAST.try_with(Cell::get).unwrap_or(u64::MAX);
    let mut bounding = 0;
    for capability in (0..64).filter(|capability| last & 1 << capability != 0) {
        match prctl(libc::PR_CAPBSET_READ, capability) {
            1 => bounding |= 1 << capability,
            0 => {}
            // Past the last that this kernel knows.
            _ => break,
        }
    }
    let _ = LAST.try_with(|last| last.set(bounding));
    bounding
}

/// The numbers of the namespaces, but of two: [`shares_fs`] compares the mount namespace, and a thread of
/// several cannot change its user namespace.
fn read_namespaces(state: &mut Vec<u64>) {
    // By way of the directory: to walk to each by itself takes half as long again.
    let (path, flags) = (c"/proc/thread-self/ns", libc::O_PATH | libc::O_CLOEXEC);
    let (at, path) = (libc::AT_FDCWD.into(), path.as_ptr() as c_long);
    let directory = call(libc::SYS_openat, [at, path, flags.into(), 0, 0]);
    for name in [
        c"net",
        c"pid_for_children",
        c"uts",
        c"ipc",
        c"cgroup",
        c"time_for_children",
    ] {
        if directory >= 0 {
            read_link(state, directory, name.to_bytes_with_nul());
        } else {
            // There may be no descriptor left. Without /proc nobody can be told apart.
            let path = [b"/proc/thread-self/ns/", name.to_bytes_with_nul()].concat();
            read_link(state, at, &path);
        }
    }
    if directory >= 0 {
        call(libc::SYS_close, [directory, 0, 0, 0, 0]);
    }
}

/// `path` ends with a null byte.
fn read_link(state: &mut Vec<u64>, directory: c_long, path: &[u8]) {
    let mut text = [0_u64; 5];
    let (address, size) = (text.as_mut_ptr() as c_long, size_of_val(&text) as c_long);
    let args = [directory, path.as_ptr() as c_long, address, size, 0];
    state.push(call(libc::SYS_readlinkat, args) as u64);
    state.extend(text);
}

/// The ambient capabilities, which are inheritable ones.
fn ambient(inheritable: u64) -> u64 {
    let mut ambient = 0;
    for capability in (0..64).filter(|capability| inheritable & 1 << capability != 0) {
        let is_set = libc::PR_CAP_AMBIENT_IS_SET as c_long;
        let args = [libc::PR_CAP_AMBIENT.into(), is_set, capability, 0, 0];
        if call(libc::SYS_prctl, args) == 1 {
            ambient |= 1 << capability;
        }
    }
    ambient
}
