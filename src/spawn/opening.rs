//! A child's descriptors and its terminal, checked and opened before there is a child.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

use nix::libc;

use crate::command::fd_map::{Fd, Kind};
use crate::command::pty::Pty;
use crate::command::spec::Spec;
use crate::command::taken_fds::TakenFds;
use crate::error::{SpawnError, SpawnStep};
use crate::port::kept::Keep;
use crate::port::piped::Piped;
use crate::port::role::Role;
use crate::port::window::PACKET;
use crate::sys;
use crate::sys::fdplan::FdMapping;
use crate::sys::tty::PtyEnds;

/// All that was opened for a child.
#[derive(Debug)]
pub(crate) struct OpenedFds {
    pub(crate) mappings: Vec<FdMapping>,
    /// The child's ends, open in the parent until the clone.
    pub(crate) sources: Vec<Source>,
    pub(crate) parent_ends: ParentEnds,
}

/// The parent's ends, not blocking.
#[derive(Debug, Default)]
pub(crate) struct ParentEnds {
    pub(crate) pipes: Vec<Piped<OwnedFd>>,
    pub(crate) terminal: Option<TerminalEnd>,
}

/// A terminal's master, and what is done with its output.
#[derive(Debug)]
pub(crate) struct TerminalEnd {
    pub(crate) master: OwnedFd,
    output: Role,
}

impl TerminalEnd {
    /// The descriptors that its halves are.
    pub(crate) const fn halves(&self) -> [(i32, Role); 2] {
        Role::halves_of_terminal(self.output)
    }
}

impl ParentEnds {
    /// What each descriptor is for; a terminal is two.
    pub(crate) fn roles(&self) -> impl Iterator<Item = (i32, Role)> {
        let terminal = self.terminal.iter().flat_map(TerminalEnd::halves);
        terminal.chain(self.pipes.iter().map(|piped| (piped.fd, piped.role)))
    }
}

/// What a descriptor of the child is copied from.
#[derive(Debug)]
pub(crate) enum Source {
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

impl OpenedFds {
    /// Opens what `spec` says, for a child that becomes the user `owner`, if it changes its user.
    pub(crate) fn new(
        spec: &Spec,
        mut taken: TakenFds,
        owner: Option<u32>,
    ) -> Result<Self, SpawnError> {
        let mut opened = Self {
            mappings: Vec::new(),
            sources: Vec::new(),
            parent_ends: ParentEnds::default(),
        };
        let mut slave = None;
        if let Some(pty) = &spec.pty {
            let ends = terminal(pty, &mut taken, owner)?;
            let window = at_least_a_page(pty.window.unwrap_or(spec.window));
            let output = pty.kept.map_or(
                Role::Output {
                    window,
                    stream: pty.stream,
                },
                Role::Kept,
            );
            opened.parent_ends.terminal = Some(TerminalEnd {
                master: ends.master,
                output,
            });
            slave = Some(ends.slave.as_raw_fd());
            opened.sources.push(Source::Owned(ends.slave));
        }
        let mut originals = Vec::new();
        for (target, fd) in spec.fds.iter() {
            if spec.fds.original(target) != Some(target) {
                continue;
            }
            let window = at_least_a_page(fd.window.unwrap_or(spec.window));
            let (source, piped) = match (&fd.kind, slave) {
                (Kind::Terminal, Some(slave)) => (Source::Number(slave), None),
                _ => open(target, fd, window, &mut taken, owner)?,
            };
            originals.push((target, source.number()));
            opened.sources.push(source);
            opened.parent_ends.pipes.extend(piped);
        }
        for (target, _) in spec.fds.iter() {
            let original = spec.fds.original(target);
            let opened_as = |(number, _): &&(i32, RawFd)| Some(*number) == original;
            if let Some((_, source)) = originals.iter().find(opened_as) {
                let source = *source;
                opened.mappings.push(FdMapping { target, source });
            }
        }
        Ok(opened)
    }
}

/// Whether what is given is there, before anything is opened: that might get an inherited number.
pub(crate) fn check(spec: &Spec, taken: &TakenFds) -> Result<(), SpawnError> {
    check_taken(spec, taken)?;
    check_inherited(spec)
}

fn check_taken(spec: &Spec, taken: &TakenFds) -> Result<(), SpawnError> {
    for (target, fd) in spec.fds.iter() {
        let is_taken = || spec.fds.original(target).is_some_and(|n| taken.has(n));
        if matches!(fd.kind, Kind::Moved(_)) && !is_taken() {
            return Err(taken_before(target));
        }
    }
    if spec.pty.as_ref().is_some_and(Pty::is_given) && taken.pty.is_none() {
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
    taken: &mut TakenFds,
    owner: Option<u32>,
) -> Result<(Source, Option<Piped<OwnedFd>>), SpawnError> {
    let failed = |error| SpawnError::new(SpawnStep::Fds, format!("fd {target}"), error);
    match &fd.kind {
        Kind::Read | Kind::Lines(_) | Kind::Stream | Kind::Tail(_) | Kind::Kept(_) => {
            let (ours, theirs) = sys::io::pipe().map_err(failed)?;
            give(theirs.as_fd(), owner).map_err(failed)?;
            let stream = matches!(fd.kind, Kind::Stream);
            let role = match fd.kind {
                Kind::Lines(max) => Role::Lines { window, max },
                Kind::Tail(bytes) => Role::Kept(Keep::last(bytes)),
                Kind::Kept(keep) => Role::Kept(keep),
                _ => Role::Output { window, stream },
            };
            let piped = piped(target, role, ours)?;
            Ok((Source::Owned(theirs), Some(piped)))
        }
        Kind::Write => {
            let (theirs, ours) = sys::io::pipe().map_err(failed)?;
            give(theirs.as_fd(), owner).map_err(failed)?;
            let piped = piped(target, Role::Input, ours)?;
            Ok((Source::Owned(theirs), Some(piped)))
        }
        Kind::Inherit(n) => Ok((Source::Number(*n), None)),
        Kind::Moved(_) => match taken.take(target) {
            Some(fd) => {
                sys::io::set_blocking(fd.as_fd()).map_err(failed)?;
                Ok((Source::Owned(fd), None))
            }
            None => Err(taken_before(target)),
        },
        Kind::Shared(fd) => Ok((Source::Shared(Arc::clone(fd)), None)),
        Kind::Null => {
            let null = sys::io::open_null()
                .map_err(|error| failed(error).with_detail("opening /dev/null"))?;
            Ok((Source::Owned(null), None))
        }
        // Refused by `check`, or told from an original before.
        Kind::Terminal | Kind::SameAs(_) => Err(SpawnError::invalid(
            format!("fd {target}"),
            "has no terminal, or no original",
        )),
    }
}

fn piped(fd: i32, role: Role, end: OwnedFd) -> Result<Piped<OwnedFd>, SpawnError> {
    sys::io::set_fresh_nonblocking(end.as_fd())
        .map_err(|error| SpawnError::new(SpawnStep::Fds, format!("fd {fd}"), error))?;
    Ok(Piped { fd, role, end })
}

/// A window that lets a page through, however small the one that is asked for.
fn at_least_a_page(window: usize) -> usize {
    window.max(PACKET)
}

/// Gives a pipe or terminal that was made for the child to the child's user, which could not open it by name
/// otherwise (`/dev/stdout`). Where this process lacks the right to do so, the child has it all the same.
fn give(fd: BorrowedFd<'_>, owner: Option<u32>) -> std::io::Result<()> {
    match owner.map(|owner| sys::io::set_owner(fd, owner)) {
        Some(Err(error)) if is_lack_of_right(&error) => {
            log::debug!("what is made for a child stays this user's: {error}");
            Ok(())
        }
        result => result.unwrap_or(Ok(())),
    }
}

/// EINVAL: the user is none of this user namespace, as the child's own step will find.
fn is_lack_of_right(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::EINVAL))
}

/// The child's terminal, as it shall find it.
fn terminal(pty: &Pty, taken: &mut TakenFds, owner: Option<u32>) -> Result<PtyEnds, SpawnError> {
    let ends = match taken.pty.take() {
        Some(ends) => {
            check_given(&ends)?;
            let slave = ends.slave.as_fd();
            sys::io::set_blocking(slave).map_err(pty_failed("the slave that was given"))?;
            ends
        }
        None => new_terminal(owner)?,
    };
    let (master, slave) = (ends.master.as_fd(), ends.slave.as_fd());
    if let Some(size) = pty.size {
        sys::tty::set_size(master, size).map_err(pty_failed("its size"))?;
    }
    sys::tty::set_modes(slave, pty.raw, pty.echo).map_err(pty_failed("its modes"))?;
    sys::io::set_nonblocking(master).map_err(pty_failed("its master"))?;
    Ok(ends)
}

fn new_terminal(owner: Option<u32>) -> Result<PtyEnds, SpawnError> {
    let opening = "opening a terminal";
    let ends = sys::tty::open()
        .map_err(pty_failed(opening))?
        .ok_or_else(|| SpawnError::pty(opening, "/dev/pts has another one of that name"))?;
    give(ends.slave.as_fd(), owner).map_err(pty_failed("its owner"))?;
    sys::tty::set_utf8(ends.slave.as_fd()).map_err(pty_failed("its modes"))?;
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
