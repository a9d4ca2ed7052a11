//! The child's work before its exec, as data: one step a system call, in order.
//!
//! The parent prepares the steps, with all they point to; the child has nothing left to decide.

use std::ffi::{CString, c_long};
use std::os::fd::RawFd;
use std::ptr;

use nix::libc;

use super::caps::{self, CapSets};
use super::fdplan::FdStep;
use crate::capability::Capability;
use crate::limits::{Limit, Resource};
use crate::signal::Signal;

/// One step.
#[derive(Debug)]
pub(super) enum Step {
    /// A raw system call; -1 is its failure.
    Call {
        number: c_long,
        args: [c_long; 5],
        /// Bit n: argument n points into what the steps own.
        pointers: u8,
        /// EPERM is no failure.
        optional: bool,
    },
    /// Closes every descriptor that the map does not name.
    CloseOthers,
    /// Writes to a file of the kernel's.
    WriteFile { path: CString, text: CString },
    /// Fails if the parent is gone already.
    CheckParent,
}

/// The kernel's -1 for an id that stays.
const AS_IT_IS: c_long = -1;

/// Steps, and the memory that they point to.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    steps: Vec<Step>,
    /// Never touched after it was made: the calls hold addresses in it.
    owned: Vec<Owned>,
}

/// Memory that a call points to, on the heap, so that it does not move.
#[derive(Debug)]
enum Owned {
    Text(CString),
    Groups(Box<[libc::gid_t]>),
    Caps(Box<caps::Raw>),
    Limit(Box<libc::rlimit64>),
}

impl Owned {
    /// The rest of it from an address in it on.
    fn at(&self, address: c_long) -> Option<&[u8]> {
        let (begin, length) = match self {
            Self::Text(text) => (text.as_ptr().cast(), text.as_bytes_with_nul().len()),
            Self::Groups(groups) => (groups.as_ptr().cast(), size_of_val(&**groups)),
            Self::Caps(caps) => (caps.as_ptr().cast(), size_of_val(&**caps)),
            Self::Limit(limit) => (ptr::from_ref(&**limit).cast::<u8>(), size_of_val(&**limit)),
        };
        // SAFETY: the bytes of a live value without padding.
        let bytes = unsafe { std::slice::from_raw_parts(begin, length) };
        bytes.get((address as usize).checked_sub(begin.addr())?..)
    }
}

/// A step as a call: by its arguments, or by the memory that an argument points to.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) number: c_long,
    pub(super) args: [c_long; 5],
    pub(super) memory: [Option<&'a [u8]>; 5],
    /// It must answer the parent's pid.
    pub(super) checks_parent: bool,
    /// EPERM is no failure.
    pub(super) optional: bool,
}

impl Steps {
    pub(super) fn as_slice(&self) -> &[Step] {
        &self.steps
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether a step compares the parent's pid.
    pub(super) fn compare_parent(&self) -> bool {
        let mut steps = self.steps.iter();
        steps.any(|step| matches!(step, Step::CheckParent))
    }

    fn call(&mut self, number: c_long, args: &[c_long]) {
        let mut all = [0; 5];
        for (slot, arg) in all.iter_mut().zip(args) {
            *slot = *arg;
        }
        self.steps.push(Step::Call {
            number,
            args: all,
            pointers: 0,
            optional: false,
        });
    }

    /// The last call's arguments that are pointers, a bit each.
    fn with_pointers(&mut self, mask: u8) {
        if let Some(Step::Call { pointers, .. }) = self.steps.last_mut() {
            *pointers = mask;
        }
    }

    /// The steps from `first` on, for the trampoline. `None` if one is more than a call.
    pub(super) fn calls(&self, first: usize) -> Option<Vec<Call<'_>>> {
        let steps = self.steps.iter().skip(first);
        steps.map(|step| self.call_of(step)).collect()
    }

    fn call_of(&self, step: &Step) -> Option<Call<'_>> {
        match step {
            Step::Call {
                number,
                args,
                pointers,
                optional,
            } => {
                let mut memory = [None; 5];
                for (index, (place, arg)) in memory.iter_mut().zip(args).enumerate() {
                    if pointers & 1 << index != 0 {
                        *place = Some(self.owned.iter().find_map(|owned| owned.at(*arg))?);
                    }
                }
                Some(Call {
                    number: *number,
                    args: *args,
                    memory,
                    checks_parent: false,
                    optional: *optional,
                })
            }
            Step::CheckParent => Some(Call {
                number: libc::SYS_getppid,
                args: [0; 5],
                memory: [None; 5],
                checks_parent: true,
                optional: false,
            }),
            Step::CloseOthers | Step::WriteFile { .. } => None,
        }
    }

    pub(crate) fn set_session(&mut self) {
        self.call(libc::SYS_setsid, &[]);
    }

    /// The terminal on 0 becomes that of the session which this process leads, with its group in
    /// the foreground.
    pub(crate) fn set_controlling_terminal(&mut self) {
        self.call(libc::SYS_ioctl, &[0, libc::TIOCSCTTY as c_long, 0]);
    }

    pub(crate) fn set_process_group(&mut self, group: libc::pid_t) {
        self.call(libc::SYS_setpgid, &[0, group.into()]);
    }

    pub(crate) fn fd(&mut self, step: FdStep) {
        let (call, fd, argument, flags) = match step {
            FdStep::Save { from, to } => (libc::SYS_dup3, from, to, libc::O_CLOEXEC),
            FdStep::Place { from, to, .. } => (libc::SYS_dup3, from, to, 0),
            FdStep::Keep { fd } => (libc::SYS_fcntl, fd, libc::F_SETFD, 0),
        };
        self.call(call, &[fd.into(), argument.into(), flags.into()]);
    }

    pub(crate) fn close_others(&mut self) {
        self.steps.push(Step::CloseOthers);
    }

    pub(crate) fn chdir(&mut self, dir: CString) {
        let address = dir.as_ptr() as c_long;
        self.owned.push(Owned::Text(dir));
        self.call(libc::SYS_chdir, &[address]);
        self.with_pointers(0b1);
    }

    pub(crate) fn set_umask(&mut self, mask: u32) {
        self.call(libc::SYS_umask, &[mask.into()]);
    }

    pub(crate) fn set_nice(&mut self, nice: i32) {
        let this_process = (c_long::from(libc::PRIO_PROCESS as i32), 0);
        self.call(
            libc::SYS_setpriority,
            &[this_process.0, this_process.1, nice.into()],
        );
    }

    pub(crate) fn set_limit(&mut self, resource: Resource, limit: Limit) {
        let limit = Box::new(libc::rlimit64 {
            rlim_cur: limit.soft,
            rlim_max: limit.hard,
        });
        let address = ptr::from_ref(&*limit) as c_long;
        self.owned.push(Owned::Limit(limit));
        self.call(libc::SYS_prlimit64, &[0, resource.number().into(), address]);
    }

    pub(crate) fn write_oom_score_adj(&mut self, adjustment: i32) {
        self.steps.push(Step::WriteFile {
            path: c"/proc/self/oom_score_adj".to_owned(),
            // A number holds no NUL.
            text: CString::new(adjustment.to_string()).unwrap_or_default(),
        });
    }

    /// Joins the cgroup whose `cgroup.procs` is open as `fd`, which is closed then.
    pub(crate) fn join_cgroup(&mut self, fd: RawFd) {
        let (text, length) = (c"0".as_ptr() as c_long, 1);
        self.call(libc::SYS_write, &[fd.into(), text, length]);
        self.call(libc::SYS_close, &[fd.into()]);
    }

    /// Groups that `may_stay` as they are stay so where they may not be set.
    pub(crate) fn set_groups(&mut self, groups: &[libc::gid_t], may_stay: bool) {
        let groups: Box<[libc::gid_t]> = groups.into();
        let (count, address) = (groups.len() as c_long, groups.as_ptr() as c_long);
        self.owned.push(Owned::Groups(groups));
        self.call(libc::SYS_setgroups, &[count, address]);
        self.with_pointers(0b10);
        if may_stay && let Some(Step::Call { optional, .. }) = self.steps.last_mut() {
            *optional = true;
        }
    }

    /// The real and the effective gid: [`settle_ids`](Self::settle_ids) does the rest.
    pub(crate) fn set_gid(&mut self, gid: libc::gid_t) {
        let gid = gid.into();
        self.call(libc::SYS_setresgid, &[gid, gid, AS_IT_IS]);
    }

    /// The real and the effective uid. As long as the saved one is another, no process of this user
    /// may trace the child.
    pub(crate) fn set_uid(&mut self, uid: libc::uid_t) {
        let uid = uid.into();
        self.call(libc::SYS_setresuid, &[uid, uid, AS_IT_IS]);
    }

    /// Closes the child's memory, which must not be the parent's, to tracers and core dumps until the
    /// exec; then the saved ids follow. The kernel closes it by itself unless fs.suid_dumpable is set.
    pub(crate) fn settle_ids(&mut self, uid: Option<libc::uid_t>, gid: Option<libc::gid_t>) {
        self.call(libc::SYS_prctl, &[libc::PR_SET_DUMPABLE.into(), 0]);
        let saved = |id: u32| [AS_IT_IS, AS_IT_IS, id.into()];
        if let Some(uid) = uid {
            self.call(libc::SYS_setresuid, &saved(uid));
        }
        if let Some(gid) = gid {
            self.call(libc::SYS_setresgid, &saved(gid));
        }
    }

    /// Whether the permitted capabilities outlive a change from root to another user.
    pub(crate) fn set_keep_capabilities(&mut self, keep: bool) {
        self.call(
            libc::SYS_prctl,
            &[libc::PR_SET_KEEPCAPS.into(), keep.into()],
        );
    }

    /// Ambient capabilities that are not in these permitted and inheritable sets go, too.
    pub(crate) fn set_capabilities(&mut self, sets: CapSets) {
        let raw = Box::new(sets.raw());
        let header = raw.as_ptr();
        let data = header.wrapping_add(caps::DATA);
        self.owned.push(Owned::Caps(raw));
        self.call(libc::SYS_capset, &[header as c_long, data as c_long]);
        self.with_pointers(0b11);
    }

    pub(crate) fn raise_ambient(&mut self, capability: Capability) {
        let (ambient, raise) = (libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE);
        let number = capability.number().into();
        self.call(libc::SYS_prctl, &[ambient.into(), raise.into(), number]);
    }

    pub(crate) fn set_no_new_privs(&mut self) {
        self.call(libc::SYS_prctl, &[libc::PR_SET_NO_NEW_PRIVS.into(), 1]);
    }

    /// After every change of ids, which clears it.
    pub(crate) fn set_parent_death_signal(&mut self, signal: Signal) {
        self.call(
            libc::SYS_prctl,
            &[libc::PR_SET_PDEATHSIG.into(), signal.number().into()],
        );
    }

    pub(crate) fn check_parent(&mut self) {
        self.steps.push(Step::CheckParent);
    }
}
