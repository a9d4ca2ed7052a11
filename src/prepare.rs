//! From a command to what the kernel wants: everything is checked, looked up and opened here,
//! before there is a child. Runs on a spawner thread, since a look-up may block.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use nix::libc;

use crate::check::check;
use crate::environment::{Environment, Moment};
use crate::error::{SpawnError, SpawnStep};
use crate::explain;
use crate::fds::{Fd, Kind};
use crate::identity::{Identity, ambient_set};
use crate::moved::Moved;
use crate::plan::{CGROUP, Meanings, Plan};
use crate::process::Purpose;
use crate::program::{argv, c_string, candidates};
use crate::pty::Pty;
use crate::spec::Spec;
use crate::sys;
use crate::sys::clone::{Born, Image, Stack, Stillborn, Ticket};
use crate::sys::fdplan::{self, Wish};
use crate::sys::handshake::Failed;
use crate::sys::slots::{self, Loaded};
use crate::sys::strings::Strings;
use crate::sys::trampoline::{self, Trampoline};
use crate::sys::tty::PtyEnds;

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
    cgroup: Option<RawFd>,
    /// The child's ends, open in the parent until the clone.
    sources: Vec<Source>,
    parent_ends: ParentEnds,
}

/// The parent's ends, not blocking.
#[derive(Debug, Default)]
pub(crate) struct ParentEnds {
    pub(crate) pipes: Vec<ParentEnd>,
    /// A terminal's master, and how much of its output may be on its way.
    pub(crate) terminal: Option<(OwnedFd, usize)>,
}

/// The parent's end of one pipe.
#[derive(Debug)]
pub(crate) struct ParentEnd {
    pub(crate) fd: i32,
    pub(crate) purpose: Purpose,
    pub(crate) end: OwnedFd,
}

impl ParentEnds {
    /// What each descriptor is for; a terminal is two.
    pub(crate) fn purposes(&self) -> impl Iterator<Item = (i32, Purpose)> {
        let terminal = self.terminal.iter().flat_map(|(_, window)| {
            let (window, stream) = (*window, false);
            [(0, Purpose::Input), (1, Purpose::Output { window, stream })]
        });
        terminal.chain(self.pipes.iter().map(|end| (end.fd, end.purpose)))
    }
}

/// What a descriptor of the child is copied from.
#[derive(Debug)]
enum Source {
    Owned(OwnedFd),
    Shared(Arc<OwnedFd>),
    Number(RawFd),
}

impl Source {
    fn number(&self) -> RawFd {
        match self {
            Self::Owned(fd) => fd.as_raw_fd(),
            Self::Shared(fd) => fd.as_raw_fd(),
            Self::Number(fd) => *fd,
        }
    }
}

impl Prepared {
    pub(crate) fn new(spec: &Spec, mut moved: Moved, asked: Moment) -> Result<Self, SpawnError> {
        check(spec)?;
        check_moved(spec, &moved)?;
        check_inherited(spec)?;
        let environment = Environment::of(spec, asked)?;
        let candidates = candidates(&spec.program, environment.path())?;
        let argv = argv(spec)?;
        let cwd = match &spec.current_dir {
            Some(dir) => Some(c_string(dir.as_os_str(), "the current directory")?),
            None => None,
        };
        let identity = Identity::resolve(spec)?;

        let mut sources = Vec::new();
        let mut parent_ends = ParentEnds::default();
        let mut wishes = Vec::new();
        let mut slave = None;
        if let Some(pty) = &spec.pty {
            let ends = terminal(pty, &mut moved)?;
            parent_ends.terminal = Some((ends.master, at_least_a_page(spec.window)));
            slave = Some(ends.slave.as_raw_fd());
            sources.push(Source::Owned(ends.slave));
        }
        for (target, fd) in spec.fds.iter() {
            let window = at_least_a_page(fd.window.unwrap_or(spec.window));
            let (source, parent_end) = match (&fd.kind, slave) {
                (Kind::Terminal, Some(slave)) => (Source::Number(slave), None),
                _ => open(target, fd, window, &mut moved)?,
            };
            wishes.push(Wish {
                target,
                source: source.number(),
            });
            sources.push(source);
            parent_ends.pipes.extend(parent_end);
        }
        let cgroup = match &spec.cgroup {
            Some(directory) => {
                let procs = sys::io::open_cgroup(directory.as_fd())
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
            cgroup,
            sources,
            parent_ends,
        })
    }

    /// Clones the child; its ends are closed in the parent when this returns.
    pub(crate) fn spawn(
        mut self,
        spec: &Spec,
        ticket: &Ticket,
        stack: &mut Stack,
    ) -> Result<(Born, ParentEnds), SpawnError> {
        let trampoline = if self.identity.changes_ids() {
            Trampoline::new(ambient_set(spec))
        } else {
            None
        };
        let program = trampoline.map(|(program, file)| {
            let (target, source) = (unused(&self.wishes), file.as_raw_fd());
            self.wishes.push(Wish { target, source });
            self.sources.push(Source::Owned(file));
            (program, target)
        });
        let by_trampoline = program.is_some();
        let mut result = self.attempt(spec, program, ticket, stack);
        if by_trampoline
            && let Err((_, Stillborn::Child { failed, errno })) = &result
            && *failed == Failed::Trampoline
        {
            if is_refusal(*errno) {
                trampoline::refuse();
            }
            self.wishes.pop();
            result = self.attempt(spec, None, ticket, stack);
        }
        // The child has them.
        self.sources.clear();
        match result {
            Ok(born) => Ok((born, self.parent_ends)),
            Err((meanings, stillborn)) => Err(self.error_of(spec, &meanings, stillborn)),
        }
    }

    /// By reserved slots, if that may be.
    fn attempt(
        &mut self,
        spec: &Spec,
        trampoline: Option<(Trampoline, RawFd)>,
        ticket: &Ticket,
        stack: &mut Stack,
    ) -> Result<Born, (Meanings, Stillborn)> {
        let mut trampoline = trampoline;
        let slots = slots::load(&self.wishes, |source| !self.owns(source));
        let mut result = self.clone_once(spec, slots.as_ref(), &mut trampoline, ticket, stack);
        drop(slots);
        if let Err((_, Stillborn::Child { failed, errno })) = &result
            && *failed == Failed::Unshare
        {
            if is_refusal(*errno) {
                slots::refuse();
            }
            result = self.clone_once(spec, None, &mut trampoline, ticket, stack);
        }
        result
    }

    fn clone_once(
        &mut self,
        spec: &Spec,
        slots: Option<&Loaded>,
        trampoline: &mut Option<(Trampoline, RawFd)>,
        ticket: &Ticket,
        stack: &mut Stack,
    ) -> Result<Born, (Meanings, Stillborn)> {
        let fds = fdplan::plan(slots.map_or(self.wishes.as_slice(), Loaded::wishes));
        let plan = Plan::new(spec, self.cwd.clone(), &self.identity, &fds, self.cgroup);
        let mut kept: Vec<RawFd> = self.wishes.iter().map(|wish| wish.target).collect();
        kept.sort_unstable();
        let trampoline = trampoline.as_mut();
        let trampoline = trampoline.map(|(program, file)| (program, plan.identity, *file));
        let mut image = Image {
            candidates: &self.candidates,
            argv: &self.argv,
            envp: self.environment.strings(),
            steps: plan.steps,
            changes_ids: self.identity.changes_ids(),
            trampoline,
            kept,
            keep_ignored: spec.keeps_ignored(),
            unshare_from: slots.map(Loaded::end),
        };
        sys::clone::spawn(&mut image, ticket, stack).map_err(|stillborn| (plan.meanings, stillborn))
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
                let detail =
                    explain::exec_failure(spec, &self.candidates, self.environment.path(), errno);
                SpawnError::new(SpawnStep::Exec, program, source).with_detail(detail)
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

fn check_moved(spec: &Spec, moved: &Moved) -> Result<(), SpawnError> {
    for (target, fd) in spec.fds.iter() {
        if matches!(fd.kind, Kind::Moved(_)) && !moved.has(target) {
            return Err(taken_before(target));
        }
    }
    if spec.pty.as_ref().is_some_and(Pty::is_given) && moved.pty.is_none() {
        let taken = "an earlier spawn took its descriptors";
        return Err(SpawnError::invalid("pty", taken));
    }
    Ok(())
}

fn taken_before(target: i32) -> SpawnError {
    SpawnError::invalid(
        format!("fd {target}"),
        "an earlier spawn took its descriptor",
    )
}

/// Before anything is opened, which might get such a number.
fn check_inherited(spec: &Spec) -> Result<(), SpawnError> {
    for (target, fd) in spec.fds.iter() {
        if let Kind::Inherit(n) = fd.kind {
            sys::io::check_open(n).map_err(|error| {
                SpawnError::new(SpawnStep::Fds, format!("fd {target}"), error)
                    .with_detail(format!("the parent's fd {n} is not open"))
            })?;
        }
    }
    Ok(())
}

/// Opens what descriptor `target` of the child shall be.
fn open(
    target: i32,
    fd: &Fd,
    window: usize,
    moved: &mut Moved,
) -> Result<(Source, Option<ParentEnd>), SpawnError> {
    let failed = |error| SpawnError::new(SpawnStep::Fds, format!("fd {target}"), error);
    match &fd.kind {
        Kind::Read | Kind::Stream => {
            let (ours, theirs) = sys::io::pipe().map_err(failed)?;
            let stream = matches!(fd.kind, Kind::Stream);
            let end = parent_end(target, Purpose::Output { window, stream }, ours)?;
            Ok((Source::Owned(theirs), Some(end)))
        }
        Kind::Write => {
            let (theirs, ours) = sys::io::pipe().map_err(failed)?;
            let end = parent_end(target, Purpose::Input, ours)?;
            Ok((Source::Owned(theirs), Some(end)))
        }
        Kind::Inherit(n) => Ok((Source::Number(*n), None)),
        Kind::Moved(_) => match moved.take(target) {
            Some(fd) => Ok((Source::Owned(fd), None)),
            None => Err(taken_before(target)),
        },
        Kind::Shared(fd) => Ok((Source::Shared(Arc::clone(fd)), None)),
        Kind::Null => {
            let null = sys::io::open_null()
                .map_err(|error| failed(error).with_detail("opening /dev/null"))?;
            Ok((Source::Owned(null), None))
        }
        Kind::Terminal => Err(SpawnError::invalid(
            format!("fd {target}"),
            "has no terminal",
        )),
    }
}

fn parent_end(fd: i32, purpose: Purpose, end: OwnedFd) -> Result<ParentEnd, SpawnError> {
    sys::io::set_fresh_nonblocking(end.as_fd())
        .map_err(|error| SpawnError::new(SpawnStep::Fds, format!("fd {fd}"), error))?;
    Ok(ParentEnd { fd, purpose, end })
}

/// A window that lets something through whatever is asked.
fn at_least_a_page(window: usize) -> usize {
    window.max(4096)
}

/// The child's terminal, as it shall find it.
fn terminal(pty: &Pty, moved: &mut Moved) -> Result<PtyEnds, SpawnError> {
    let ends = match moved.pty.take() {
        Some(ends) => {
            check_given(&ends)?;
            ends
        }
        None => sys::tty::open().map_err(pty_failed("opening a terminal"))?,
    };
    let (master, slave) = (ends.master.as_fd(), ends.slave.as_fd());
    if let Some(size) = pty.size {
        sys::tty::set_size(master, size).map_err(pty_failed("its size"))?;
    }
    sys::tty::set_modes(slave, pty.raw, pty.echo).map_err(pty_failed("its modes"))?;
    sys::io::set_nonblocking(master).map_err(pty_failed("its master"))?;
    Ok(ends)
}

/// Before anything about them is changed.
fn check_given(ends: &PtyEnds) -> Result<(), SpawnError> {
    let (of_master, of_slave) = ("the master that was given", "the slave that was given");
    let (master, slave) = (ends.master.as_fd(), ends.slave.as_fd());
    sys::tty::check_master(master).map_err(pty_failed(of_master))?;
    match sys::tty::is_slave_of(slave, master).map_err(pty_failed(of_slave))? {
        true => Ok(()),
        false => Err(SpawnError::pty(of_slave, "is not the master's other end")),
    }
}

fn pty_failed(what: &str) -> impl FnOnce(std::io::Error) -> SpawnError {
    move |error| SpawnError::new(SpawnStep::Pty, what, error)
}
