//! From a command to what the kernel wants: everything is checked, looked up and opened before there
//! is a child. Runs on a spawner thread, since a look-up may block.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
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
use crate::plan::{Meanings, Plan};
use crate::spec::{Contain, Spec};
use crate::sys;
use crate::sys::child::Failed;
use crate::sys::clone::{Born, Image, Stack, Stillborn, Ticket};
use crate::sys::fdplan::{self, Wish};
use crate::sys::slots::{self, Loaded};
use crate::sys::strings::{HoldsNul, Strings};

/// A command that is ready to be cloned.
#[derive(Debug)]
pub(crate) struct Prepared {
    candidates: Strings,
    argv: Strings,
    environment: Arc<Environment>,
    cwd: Option<CString>,
    identity: Identity,
    wishes: Vec<Wish>,
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
            wishes,
            sources,
            parent_ends,
        } = Opened::new(spec, moved, identity.uid)?;
        Ok(Self {
            candidates,
            argv,
            environment,
            cwd,
            identity,
            wishes,
            sources,
            parent_ends,
            cgroup: Cgroup::of(spec)?,
        })
    }

    /// Clones the child; its ends are closed in the parent when this returns.
    pub(crate) fn spawn(
        mut self,
        spec: &Spec,
        ticket: &Ticket,
        stack: &mut Stack,
    ) -> Result<(Born, ParentEnds, Option<Cgroup>), SpawnError> {
        // The cgroup's directory is in no slot: leaving the table would close it.
        let slots = if spec.cgroup.is_none() {
            slots::load(&self.wishes, |source| !self.owns(source))
        } else {
            None
        };
        let mut result = self.clone_once(spec, slots.as_ref(), ticket, stack);
        drop(slots);
        if let Err((_, Stillborn::Child { failed, errno })) = &result
            && *failed == Failed::Unshare
        {
            if is_refusal(*errno) {
                slots::refuse();
            }
            result = self.clone_once(spec, None, ticket, stack);
        }
        if let Err((meanings, stillborn)) = &result
            && meanings.is_cgroup(stillborn)
            && let Some(cgroup) = self.cgroup.take()
        {
            cgroup.distrust();
            if spec.contain == Some(Contain::Strongest) {
                result = self.clone_once(spec, None, ticket, stack);
            }
        }
        // The child has them.
        self.sources.clear();
        match result {
            Ok(born) => Ok((born, self.parent_ends, self.cgroup)),
            Err((meanings, stillborn)) => Err(self.error_of(spec, &meanings, stillborn)),
        }
    }

    fn clone_once(
        &mut self,
        spec: &Spec,
        slots: Option<&Loaded>,
        ticket: &Ticket,
        stack: &mut Stack,
    ) -> Result<Born, (Meanings, Stillborn)> {
        let fds = fdplan::plan(slots.map_or(self.wishes.as_slice(), Loaded::wishes));
        let plan = Plan::new(
            spec,
            self.cwd.clone(),
            &self.identity,
            self.cgroup.as_ref(),
            &fds,
        );
        let mut kept: Vec<RawFd> = self.wishes.iter().map(|wish| wish.target).collect();
        kept.sort_unstable();
        let image = Image {
            candidates: &self.candidates,
            argv: &self.argv,
            envp: self.environment.strings(),
            steps: plan.steps,
            changes_ids: self.identity.changes_ids(),
            kept,
            unshare_from: slots.map(Loaded::end),
        };
        sys::clone::spawn(&image, ticket, stack).map_err(|stillborn| (plan.meanings, stillborn))
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

fn argv(spec: &Spec) -> Result<Strings, SpawnError> {
    let arg0 = spec.arg0.as_ref().unwrap_or(&spec.program);
    let args = std::iter::once(arg0).chain(&spec.args);
    let length = args.clone().map(|arg| arg.len() + 1).sum();
    let mut argv = Strings::with_capacity(spec.args.len() + 1, length);
    for (index, arg) in args.enumerate() {
        argv.push(&[arg.as_bytes()])
            .map_err(|HoldsNul| holds_nul(format!("argument {index}")))?;
    }
    Ok(argv)
}

fn c_string(text: &OsStr, what: &str) -> Result<CString, SpawnError> {
    CString::new(text.as_bytes()).map_err(|_| holds_nul(what))
}

fn holds_nul(what: impl Into<String>) -> SpawnError {
    SpawnError::invalid(what, "holds a NUL")
}

/// The paths to exec in turn. An empty entry of PATH is the current directory, of the child.
fn candidates(program: &OsStr, path: &OsStr) -> Result<Strings, SpawnError> {
    let what = |HoldsNul| holds_nul("the program");
    let program = program.as_bytes();
    if program.is_empty() {
        return Err(SpawnError::invalid("the program", "is empty"));
    }
    if program.contains(&b'/') {
        let mut candidates = Strings::with_capacity(1, program.len() + 1);
        candidates.push(&[program]).map_err(what)?;
        return Ok(candidates);
    }
    let mut candidates = Strings::default();
    for dir in path.as_bytes().split(|byte| *byte == b':') {
        let dir = if dir.is_empty() { b"." } else { dir };
        candidates.push(&[dir, b"/", program]).map_err(what)?;
    }
    Ok(candidates)
}
