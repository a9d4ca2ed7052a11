//! From a command to what the kernel wants: everything is checked, looked up and opened before there
//! is a child. Runs on a spawner thread, since a look-up may block.

use std::ffi::CString;
use std::io::Error;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use crate::command::spec::{Contain, Spec};
use crate::command::taken_fds::TakenFds;
use crate::error::{SpawnError, SpawnStep};
use crate::spawn::check::check;
use crate::spawn::environment::{self, EnvGeneration, Environment};
use crate::spawn::explain::{self, Explanation};
use crate::spawn::identity::Identity;
use crate::spawn::opening::{self, OpenedFds, ParentEnds, Source};
use crate::spawn::plan::{CGROUP, CgroupJoin, Plan, StepLabels};
use crate::spawn::program::{argv, c_string, candidates};
use crate::sys;
use crate::sys::clone::{CloneError, Cloned, Image, Stack, Ticket};
use crate::sys::clone3;
use crate::sys::fdplan::{self, FdMapping};
use crate::sys::handshake::Failed;
use crate::sys::reserved_fds::{self, BorrowedSlots};
use crate::sys::strings::Strings;
use crate::sys::trampoline::{self, Files, Trampoline};
use crate::tree::cgroup::Cgroup;

/// A command that is ready to be cloned.
#[derive(Debug)]
pub(crate) struct Prepared {
    candidates: Strings,
    argv: Strings,
    environment: Arc<Environment>,
    cwd: Option<CString>,
    identity: Identity,
    mappings: Vec<FdMapping>,
    /// How the child gets into its cgroup.
    join: CgroupJoin,
    /// The directory of the cgroup, for a join by the clone.
    birthplace: Option<OwnedFd>,
    /// The child's ends, open in the parent until the clone.
    sources: Vec<Source>,
    parent_ends: ParentEnds,
    /// What the child joins.
    cgroup: Option<Cgroup>,
}

impl Prepared {
    pub(crate) fn new(
        spec: &Spec,
        taken: TakenFds,
        asked: EnvGeneration,
    ) -> Result<Self, SpawnError> {
        check(spec)?;
        opening::check(spec, &taken)?;
        environment::check(spec)?;
        let identity = Identity::resolve(spec)?;
        let environment = Environment::of(spec, identity.account.as_ref(), asked)?;
        let candidates = candidates(&spec.program, environment.path())?;
        let argv = argv(spec)?;
        let cwd = match &spec.current_dir {
            Some(dir) => Some(c_string(dir.as_os_str(), "the current directory")?),
            None => None,
        };
        let OpenedFds {
            mappings,
            sources,
            parent_ends,
        } = OpenedFds::new(spec, taken, identity.uid)?;
        let cgroup = Cgroup::of(spec)?;
        let mut prepared = Self {
            candidates,
            argv,
            environment,
            cwd,
            identity,
            mappings,
            join: CgroupJoin::None,
            birthplace: None,
            sources,
            parent_ends,
            cgroup,
        };
        let birthplace = prepared.cgroup.as_ref();
        match birthplace.and_then(|cgroup| cgroup.birthplace()) {
            Some(directory) => {
                prepared.birthplace = Some(directory.map_err(cgroup_error)?);
                prepared.join = CgroupJoin::ByClone;
            }
            None => prepared.join_by_step()?,
        }
        Ok(prepared)
    }

    /// The child joins its cgroup, if it has one, by a step.
    fn join_by_step(&mut self) -> Result<(), SpawnError> {
        let Some(cgroup) = &self.cgroup else {
            return Ok(());
        };
        let procs = cgroup.open_procs().map_err(cgroup_error)?;
        let target = self.place(procs.as_raw_fd());
        self.sources.push(Source::Owned(procs));
        self.join = CgroupJoin::ByStep(target);
        Ok(())
    }

    /// Clones the child; its ends are closed in the parent when this returns.
    pub(crate) fn spawn(
        mut self,
        spec: &Spec,
        ticket: &Ticket,
        stack: &mut Stack,
    ) -> Result<(Cloned, ParentEnds, Option<Cgroup>), SpawnError> {
        let mut result = self.attempt_with_ids(spec, ticket, stack);
        if self.join == CgroupJoin::ByClone
            && let Err((_, CloneError::Clone(refused))) = &result
        {
            let is_refusal = sys::is_refusal(refused);
            // Else its error is told, as that of the cgroup if it is.
            self.join_by_step()?;
            result = self.attempt_with_ids(spec, ticket, stack);
            if is_refusal && result.is_ok() {
                clone3::refuse_cgroups();
            }
        }
        if let Err((labels, clone_error)) = &result
            && labels.is_cgroup(clone_error)
            && let Some(cgroup) = self.cgroup.take()
        {
            cgroup.distrust();
            if spec.contain == Some(Contain::Strongest) {
                if let CgroupJoin::ByStep(procs) = self.join {
                    self.mappings.retain(|mapping| mapping.target != procs);
                }
                self.join = CgroupJoin::None;
                result = self.attempt(spec, false, ticket, stack);
            }
        }
        // The child has them.
        self.sources.clear();
        match result {
            Ok(cloned) => {
                let cgroup = self.cgroup.filter(Cgroup::holds_the_child);
                Ok((cloned, self.parent_ends, cgroup))
            }
            Err((labels, clone_error)) => Err(self.error_of(spec, &labels, clone_error)),
        }
    }

    /// By a trampoline, if the ids change and that may be.
    fn attempt_with_ids(
        &mut self,
        spec: &Spec,
        ticket: &Ticket,
        stack: &mut Stack,
    ) -> Result<Cloned, (StepLabels, CloneError)> {
        let by_trampoline = self.identity.changes_ids();
        let result = self.attempt(spec, by_trampoline, ticket, stack);
        if let Err((_, CloneError::Child { failed, errno })) = &result
            && *failed == Failed::Trampoline
        {
            if sys::is_refusal(&Error::from_raw_os_error(*errno)) {
                trampoline::refuse();
            }
            return self.attempt(spec, false, ticket, stack);
        }
        result
    }

    /// By reserved slots, if that may be.
    fn attempt(
        &mut self,
        spec: &Spec,
        by_trampoline: bool,
        ticket: &Ticket,
        stack: &mut Stack,
    ) -> Result<Cloned, (StepLabels, CloneError)> {
        let mut result = self.clone_once(spec, by_trampoline, true, ticket, stack);
        if let Err((_, CloneError::Child { failed, errno })) = &result
            && *failed == Failed::Unshare
        {
            if sys::is_refusal(&Error::from_raw_os_error(*errno)) {
                reserved_fds::disable();
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
    ) -> Result<Cloned, (StepLabels, CloneError)> {
        let program = by_trampoline.then(Trampoline::new).flatten();
        let own_wishes = self.mappings.len();
        let files = program.as_ref().map(Trampoline::files);
        let places = files.map(|files| Files {
            program: self.place(files.program),
            report: self.place(files.report),
        });
        let is_files =
            |source| files.is_some_and(|files| source == files.program || source == files.report);
        let is_lent = |source| !self.owns(source) && !is_files(source);
        let slots = by_slots
            .then(|| reserved_fds::borrow(&self.mappings, is_lent))
            .flatten();
        let mappings = slots
            .as_ref()
            .map_or(self.mappings.as_slice(), BorrowedSlots::mappings);
        let fds = fdplan::plan(mappings);
        let plan = Plan::new(spec, self.cwd.clone(), &self.identity, &fds, self.join);
        let mut kept: Vec<RawFd> = self.mappings.iter().map(|mapping| mapping.target).collect();
        kept.sort_unstable();
        let trampoline = program.as_ref().zip(places);
        let image = Image {
            candidates: &self.candidates,
            argv: &self.argv,
            envp: self.environment.strings(),
            listen_pid: self.environment.listen_pid(),
            steps: plan.steps,
            changes_ids: self.identity.changes_ids(),
            trampoline: trampoline.map(|(program, places)| (program, plan.identity, places)),
            kept,
            keep_ignored: spec.keeps_ignored(),
            unshare_from: slots.as_ref().map(BorrowedSlots::end),
            cgroup: match self.join {
                CgroupJoin::ByClone => self.birthplace.as_ref().map(AsFd::as_fd),
                CgroupJoin::None | CgroupJoin::ByStep(_) => None,
            },
        };
        let result = sys::clone::spawn(&image, ticket, stack);
        drop(slots);
        self.mappings.truncate(own_wishes);
        result.map_err(|clone_error| (plan.labels, clone_error))
    }

    /// Gives the child `source` under a number that it does not have; tells which.
    fn place(&mut self, source: RawFd) -> RawFd {
        let target = unused(&self.mappings);
        self.mappings.push(FdMapping { target, source });
        target
    }

    /// Whether `source` is closed in the parent after the spawn, and not the host's to use further.
    fn owns(&self, source: RawFd) -> bool {
        let is_it = |owned: &Source| matches!(owned, Source::Owned(fd) if fd.as_raw_fd() == source);
        self.sources.iter().any(is_it)
    }

    fn error_of(&self, spec: &Spec, plan: &StepLabels, clone_error: CloneError) -> SpawnError {
        let program = spec.program.to_string_lossy();
        let (failed, errno) = match clone_error {
            CloneError::Clone(error) => return SpawnError::new(SpawnStep::Clone, program, error),
            CloneError::Child { failed, errno } => (failed, errno),
        };
        let source = Error::from_raw_os_error(errno);
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

fn cgroup_error(error: Error) -> SpawnError {
    SpawnError::new(SpawnStep::Limits, CGROUP, error)
}

/// The lowest number above 2 that the child shall not have.
fn unused(mappings: &[FdMapping]) -> RawFd {
    let is_free = |number: &RawFd| mappings.iter().all(|mapping| mapping.target != *number);
    (3..).find(is_free).unwrap_or(RawFd::MAX)
}
