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
        /// What each argument points to. It tells, not the address: where one memory ends another may
        /// begin.
        pointers: [Option<Pointer>; 5],
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

/// A place in the memory that the steps own: in which piece of it, and from which byte on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pointer {
    owned: usize,
    offset: usize,
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
    fn bytes(&self) -> &[u8] {
        let (begin, length) = match self {
            Self::Text(text) => return text.as_bytes_with_nul(),
            Self::Groups(groups) => (groups.as_ptr().cast(), size_of_val(&**groups)),
            Self::Caps(caps) => (caps.as_ptr().cast(), size_of_val(&**caps)),
            Self::Limit(limit) => (ptr::from_ref(&**limit).cast::<u8>(), size_of_val(&**limit)),
        };
        // SAFETY: the bytes of a live value without padding.
        unsafe { std::slice::from_raw_parts(begin, length) }
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
            pointers: [None; 5],
            optional: false,
        });
    }

    /// Keeps what the next calls point to.
    fn own(&mut self, memory: Owned) -> usize {
        self.owned.push(memory);
        self.owned.len() - 1
    }

    /// Makes an argument of the last call point into an owned memory.
    fn point(&mut self, argument: usize, owned: usize, offset: usize) {
        let memory = self.owned.get(owned).map(|owned| owned.bytes().as_ptr());
        if let Some(Step::Call { args, pointers, .. }) = self.steps.last_mut()
            && let (Some(arg), Some(pointer)) = (args.get_mut(argument), pointers.get_mut(argument))
            && let Some(memory) = memory
        {
            *arg = memory.wrapping_add(offset) as c_long;
            *pointer = Some(Pointer { owned, offset });
        }
    }

    fn memory_at(&self, place: Pointer) -> Option<&[u8]> {
        self.owned.get(place.owned)?.bytes().get(place.offset..)
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
                for (memory, pointer) in memory.iter_mut().zip(pointers) {
                    if let Some(place) = pointer {
                        *memory = Some(self.memory_at(*place)?);
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
            FdStep::Place { from, to } => (libc::SYS_dup3, from, to, 0),
            FdStep::Keep { fd } => (libc::SYS_fcntl, fd, libc::F_SETFD, 0),
        };
        self.call(call, &[fd.into(), argument.into(), flags.into()]);
    }

    pub(crate) fn close_others(&mut self) {
        self.steps.push(Step::CloseOthers);
    }

    pub(crate) fn chdir(&mut self, dir: CString) {
        let dir = self.own(Owned::Text(dir));
        self.call(libc::SYS_chdir, &[]);
        self.point(0, dir, 0);
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
        let limit = self.own(Owned::Limit(limit));
        self.call(libc::SYS_prlimit64, &[0, resource.number().into()]);
        self.point(2, limit, 0);
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
        let text = self.own(Owned::Text(c"0".to_owned()));
        self.call(libc::SYS_write, &[fd.into(), 0, 1]);
        self.point(1, text, 0);
        self.call(libc::SYS_close, &[fd.into()]);
    }

    /// Groups that `may_stay` as they are stay so where they may not be set.
    pub(crate) fn set_groups(&mut self, groups: &[libc::gid_t], may_stay: bool) {
        let groups: Box<[libc::gid_t]> = groups.into();
        let count = groups.len() as c_long;
        let groups = self.own(Owned::Groups(groups));
        self.call(libc::SYS_setgroups, &[count]);
        self.point(1, groups, 0);
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
        let raw = self.own(Owned::Caps(Box::new(sets.raw())));
        self.call(libc::SYS_capset, &[]);
        self.point(0, raw, 0);
        self.point(1, raw, caps::DATA * size_of::<u32>());
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What the trampoline copies for each argument is what the child's own call would read.
    #[test]
    fn each_call_has_the_memory_that_it_was_given_and_no_others() {
        let limit = Limit { soft: 1, hard: 2 };
        let sets = CapSets {
            effective: 3,
            permitted: 4,
            inheritable: 5,
        };
        let mut steps = Steps::default();
        steps.set_limit(Resource::Core, limit);
        steps.set_groups(&[6, 7, 8, 9], false);
        steps.set_limit(Resource::Nice, limit);
        steps.set_groups(&[], true);
        steps.set_capabilities(sets);
        steps.chdir(c"/a".to_owned());
        steps.join_cgroup(9);
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let (raw, limit) = (sets.raw(), words(&[1, 0, 2, 0]));
        let expected: [Vec<(usize, Vec<u8>)>; 8] = [
            vec![(2, Vec::clone(&limit))],
            vec![(1, words(&[6, 7, 8, 9]))],
            vec![(2, limit)],
            vec![(1, vec![])],
            vec![(0, words(&raw)), (1, words(&raw[caps::DATA..]))],
            vec![(0, b"/a\0".to_vec())],
            vec![(1, b"0\0".to_vec())],
            vec![],
        ];
        for (call, expected) in steps.calls(0).unwrap().iter().zip(expected) {
            let pointers = call.memory.iter().enumerate();
            let found = pointers.filter_map(|(index, memory)| Some((index, (*memory)?)));
            let found: Vec<_> = found.collect();
            let bytes: Vec<_> = found
                .iter()
                .map(|(i, bytes)| (*i, bytes.to_vec()))
                .collect();
            assert_eq!(bytes, expected, "{call:?}");
            for (index, memory) in found {
                assert_eq!(call.args[index], memory.as_ptr() as c_long, "{call:?}");
            }
        }
    }
}
