//! From a command to what the kernel wants: everything is checked, looked up and opened before there
//! is a child. Runs on a spawner thread, since a look-up may block.

use std::ffi::CString;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use nix::libc;

use crate::cgroup::Cgroup;
use crate::check::check;
use crate::environment::{self, Environment, Moment};
use crate::error::{SpawnError, SpawnStep};
use crate::explain::{self, Explanation};
use crate::identity::Identity;
use crate::moved::Moved;
use crate::opening::{self, Opened, ParentEnds, Source};
use crate::plan::{CGROUP, Meanings, Plan};
use crate::program::{argv, c_string, candidates};
use crate::spec::{Contain, Spec};
use crate::sys;
use crate::sys::clone::{Born, Image, Stack, Stillborn, Ticket};
use crate::sys::fdplan::{self, Wish};
use crate::sys::handshake::Failed;
use crate::sys::slots::{self, Loaded};
use crate::sys::strings::Strings;
use crate::sys::trampoline::{self, Files, Trampoline};

/// A command that is ready to be cloned.
#[derive(Debug)]
pub(crate) struct Prepared {
    candidates: Strings,
    argv: Strings,
    environment: Arc<Environment>,
    cwd: Option<CString>,
    identity: Identity,
    wishes: Vec<Wish>,
    /// Which of them is the cgroup's file, until it is joined.
    procs: Option<RawFd>,
    /// The child's ends, open in the parent until the clone.
    sources: Vec<Source>,
    parent_ends: ParentEnds,
    /// What the child joins.
    cgroup: Option<Cgroup>,
}

impl Prepared {
    pub(crate) fn new(spec: &Spec, moved: Moved, asked: Moment) -> Result<Self, SpawnError> {
        check(spec)?;
        opening::check(spec, &moved)?;
        environment::check(spec)?;
        let identity = Identity::resolve(spec)?;
        let environment = Environment::of(spec, identity.account.as_ref(), asked)?;
        let candidates = candidates(&spec.program, environment.path())?;
        let argv = argv(spec)?;
        let cwd = match &spec.current_dir {
            Some(dir) => Some(c_string(dir.as_os_str(), "the current directory")?),
            None => None,
        };
        let Opened {
            mut wishes,
            mut sources,
            parent_ends,
        } = Opened::new(spec, moved, identity.uid)?;
        let cgroup = Cgroup::of(spec)?;
        let procs = match &cgroup {
            Some(cgroup) => {
                let procs = cgroup
                    .open_procs()
                    .map_err(|error| SpawnError::new(SpawnStep::Limits, CGROUP, error))?;
                let target = unused(&wishes);
                let source = procs.as_raw_fd();
                wishes.push(Wish { target, source });
                sources.push(Source::Owned(procs));
                Some(target)
            }
            None => None,
        };
        Ok(Self {
            candidates,
            argv,
            environment,
            cwd,
            identity,
            wishes,
            procs,
            sources,
            parent_ends,
            cgroup,
        })
    }

    /// Clones the child; its ends are closed in the parent when this returns.
    pub(crate) fn spawn(
        mut self,
        spec: &Spec,
        ticket: &Ticket,
        stack: &mut Stack,
    ) -> Result<(Born, ParentEnds, Option<Cgroup>), SpawnError> {
        let by_trampoline = self.identity.changes_ids();
        let mut result = self.attempt(spec, by_trampoline, ticket, stack);
        if let Err((_, Stillborn::Child { failed, errno })) = &result
            && *failed == Failed::Trampoline
        {
            if is_refusal(*errno) {
                trampoline::refuse();
            }
            result = self.attempt(spec, false, ticket, stack);
        }
        if let Err((meanings, stillborn)) = &result
            && meanings.is_cgroup(stillborn)
            && let Some(cgroup) = self.cgroup.take()
        {
            cgroup.distrust();
            if spec.contain == Some(Contain::Strongest) {
                let procs = self.procs.take();
                self.wishes.retain(|wish| Some(wish.target) != procs);
                result = self.attempt(spec, false, ticket, stack);
            }
        }
        // The child has them.
        self.sources.clear();
        match result {
            Ok(born) => {
                let cgroup = self.cgroup.filter(Cgroup::holds_the_child);
                Ok((born, self.parent_ends, cgroup))
            }
            Err((meanings, stillborn)) => Err(self.error_of(spec, &meanings, stillborn)),
        }
    }

    /// By reserved slots, if that may be.
    fn attempt(
        &mut self,
        spec: &Spec,
        by_trampoline: bool,
        ticket: &Ticket,
        stack: &mut Stack,
    ) -> Result<Born, (Meanings, Stillborn)> {
        let mut result = self.clone_once(spec, by_trampoline, true, ticket, stack);
        if let Err((_, Stillborn::Child { failed, errno })) = &result
            && *failed == Failed::Unshare
        {
            if is_refusal(*errno) {
                slots::refuse();
            }
            result = self.clone_once(spec, by_trampoline, false, ticket, stack);
        }
        result
    }

    /// By a trampoline of its own and by reserved slots, where both may be and there are any.
    fn clone_once(
        &mut self,
        spec: &Spec,
        by_trampoline: bool,
        by_slots: bool,
        ticket: &Ticket,
        stack: &mut Stack,
    ) -> Result<Born, (Meanings, Stillborn)> {
        let program = by_trampoline.then(Trampoline::new).flatten();
        let own_wishes = self.wishes.len();
        let files = program.as_ref().map(Trampoline::files);
        let places = files.map(|files| Files {
            program: self.place(files.program),
            report: self.place(files.report),
        });
        let is_files =
            |source| files.is_some_and(|files| source == files.program || source == files.report);
        let is_lent = |source| !self.owns(source) && !is_files(source);
        let slots = by_slots
            .then(|| slots::load(&self.wishes, is_lent))
            .flatten();
        let wishes = slots
            .as_ref()
            .map_or(self.wishes.as_slice(), Loaded::wishes);
        let fds = fdplan::plan(wishes);
        let plan = Plan::new(spec, self.cwd.clone(), &self.identity, &fds, self.procs);
        let mut kept: Vec<RawFd> = self.wishes.iter().map(|wish| wish.target).collect();
        kept.sort_unstable();
        let trampoline = program.as_ref().zip(places);
        let image = Image {
            candidates: &self.candidates,
            argv: &self.argv,
            envp: self.environment.strings(),
            steps: plan.steps,
            changes_ids: self.identity.changes_ids(),
            trampoline: trampoline.map(|(program, places)| (program, plan.identity, places)),
            kept,
            keep_ignored: spec.keeps_ignored(),
            unshare_from: slots.as_ref().map(Loaded::end),
        };
        let result = sys::clone::spawn(&image, ticket, stack);
        drop(slots);
        self.wishes.truncate(own_wishes);
        result.map_err(|stillborn| (plan.meanings, stillborn))
    }

    /// Gives the child `source` under a number that it does not have; tells which.
    fn place(&mut self, source: RawFd) -> RawFd {
        let target = unused(&self.wishes);
        self.wishes.push(Wish { target, source });
        target
    }

    /// Whether `source` is closed in the parent after the spawn, and not the host's to use further.
    fn owns(&self, source: RawFd) -> bool {
        let is_it = |owned: &Source| matches!(owned, Source::Owned(fd) if fd.as_raw_fd() == source);
        self.sources.iter().any(is_it)
    }

    fn error_of(&self, spec: &Spec, plan: &Meanings, stillborn: Stillborn) -> SpawnError {
        let program = spec.program.to_string_lossy();
        let (failed, errno) = match stillborn {
            Stillborn::Clone(error) => return SpawnError::new(SpawnStep::Clone, program, error),
            Stillborn::Child { failed, errno } => (failed, errno),
        };
        let source = std::io::Error::from_raw_os_error(errno);
        match failed {
            Failed::Step(index) => plan.error(index, source),
            Failed::Trampoline => SpawnError::new(SpawnStep::Clone, program, source),
            Failed::Unshare => SpawnError::new(SpawnStep::Fds, "the descriptor table", source),
            Failed::Cancelled => SpawnError::register(program, "the spawn was cancelled"),
            Failed::Exec => {
                let Explanation { detail, text } =
                    explain::exec_failure(spec, &self.candidates, self.environment.path(), errno);
                SpawnError::new(SpawnStep::Exec, program, source).with_private_detail(detail, text)
            }
        }
    }
}

/// Whether a call fails always: the kernel does not have it, or a sandbox forbids it.
fn is_refusal(errno: i32) -> bool {
    matches!(
        errno,
        libc::ENOSYS | libc::EINVAL | libc::EPERM | libc::EACCES
    )
}

/// The lowest number above 2 that the child shall not have.
fn unused(wishes: &[Wish]) -> RawFd {
    let is_free = |number: &RawFd| wishes.iter().all(|wish| wish.target != *number);
    (3..).find(is_free).unwrap_or(RawFd::MAX)
}
