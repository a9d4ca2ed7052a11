//! What a command describes: plain data, checked when it is spawned.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix::ArbiterHandle;

use crate::capability::Capability;
use crate::command::fd_map::{Fd, FdMap};
use crate::command::name::ChildName;
use crate::command::pty::Pty;
use crate::command::taken_fds::TakenFds;
use crate::ladder::Ladder;
use crate::limits::{Limit, Resource};
use crate::signal::{IgnoredSignals, Signal};

/// What happens to a child when one of its owners is gone: its protocol actor, its `Process` actor, their
/// arbiter, its supervisor, or the System.
///
/// A child without a protocol ([`NoProtocol`](crate::NoProtocol)) cannot lose that owner. A child that a thread without a
/// System and an arbiter has spawned can lose only its protocol: its other owners live as long as the process.
/// A handle is no owner: dropping the last one does not orphan the child.
///
/// The pipes close in every case, also under [`Leave`](Self::Leave): no process reads what the child writes
/// then. After `std::process::exit`, and after a SIGKILL to the host, the policy is not applied: see
/// [`Command::parent_death_signal`](crate::Command::parent_death_signal).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnOrphaned {
    /// The child runs on, and is reaped when it exits.
    Leave,
    /// The child gets SIGKILL at once, and so do the processes of its cgroup, or else of the process group that
    /// it leads.
    #[default]
    Kill,
    /// The child gets SIGTERM at once, and SIGKILL after this time if both the child and the host are still
    /// alive. So do the processes of its cgroup, or else of the process group that it leads, to the last one.
    Terminate(Duration),
}

/// What happens to the other members of a child's group when the child has exited: those of the process group that it
/// leads, and those of its cgroup ([`contained`](crate::Command::contained), [`cgroup`](crate::Command::cgroup)).
///
/// A child with neither leaves no members: what it started is in the group of this program, or in groups
/// of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnLeftovers {
    /// Nothing. The default of [`Command::spawn`](crate::Command::spawn).
    #[default]
    Leave,
    /// SIGKILL at once. The default of [helpers](crate::Collect) such as [`Command::output`](crate::Command::output), of
    /// [`open`](crate::Command::open) and of [`stream`](crate::Command::stream).
    Kill,
    /// SIGTERM at once, and SIGKILL to those that are left after this time.
    Terminate(Duration),
    /// Nothing yet, and they stay in reach: for a program that calls [`stop`](crate::ProcessHandle::stop) for each child that has exited.
    /// With [`Leave`](Self::Leave) a stop reaches them after [`ProcessEnded`](crate::ProcessEvent::ProcessEnded) only where the kernel
    /// finds a group without its leader (from Linux 6.9 on). With this one the zombie of the child holds its number elsewhere, until a stop is
    /// over or the last handle is dropped.
    Hold,
}

/// How a child is to be contained for which the caller has no cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contain {
    /// The strongest hold that there is.
    Strongest,
    /// A cgroup, or no child.
    Cgroup,
}

/// See [`Command::DEFAULT_WINDOW`](crate::Command::DEFAULT_WINDOW).
pub(crate) const DEFAULT_WINDOW: usize = 1024 * 1024;

/// Everything about a child to be.
#[derive(Clone)]
pub(crate) struct Spec {
    pub(crate) program: OsString,
    pub(crate) name: Option<ChildName>,
    pub(crate) arg0: Option<OsString>,
    pub(crate) args: Vec<OsString>,
    pub(crate) env_clear: bool,
    pub(crate) env: BTreeMap<OsString, Option<OsString>>,
    pub(crate) current_dir: Option<PathBuf>,
    pub(crate) chdir_as_parent: bool,
    pub(crate) process_group: Option<i32>,
    pub(crate) setsid: bool,
    pub(crate) user: Option<String>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) groups: Option<Vec<u32>>,
    pub(crate) ambient: Vec<Capability>,
    pub(crate) umask: Option<u32>,
    pub(crate) limits: BTreeMap<Resource, Limit>,
    pub(crate) nice: Option<i32>,
    pub(crate) oom_score_adj: Option<i32>,
    pub(crate) no_new_privs: bool,
    pub(crate) parent_death_signal: Option<Signal>,
    /// `None`: by whether there is a terminal.
    pub(crate) ignored_signals: Option<IgnoredSignals>,
    pub(crate) cgroup: Option<Arc<OwnedFd>>,
    /// That cgroup was made for this child: nobody else is in it.
    pub(crate) cgroup_is_new: bool,
    pub(crate) contain: Option<Contain>,
    pub(crate) fds: FdMap,
    /// The numbers that the caller has set; the others are the default's, or the terminal's.
    pub(crate) named: Vec<i32>,
    pub(crate) pty: Option<Pty>,
    /// Where its actors live; `None`: where the spawn is asked for.
    pub(crate) arbiter: Option<ArbiterHandle>,
    pub(crate) on_orphaned: OnOrphaned,
    pub(crate) is_quiet_orphan: bool,
    /// `None`: the default of the call that spawns.
    pub(crate) on_leftovers: Option<OnLeftovers>,
    pub(crate) ended_timeout: Option<Duration>,
    pub(crate) timeout: Option<(Duration, Ladder)>,
    pub(crate) window: usize,
    /// The child is killed if nobody takes its handle.
    pub(crate) kill_untaken: bool,
}

impl Spec {
    pub(crate) fn new(program: &OsStr) -> Self {
        Self {
            program: program.to_owned(),
            name: None,
            arg0: None,
            args: Vec::new(),
            env_clear: false,
            env: BTreeMap::new(),
            current_dir: None,
            chdir_as_parent: false,
            process_group: None,
            setsid: false,
            user: None,
            uid: None,
            gid: None,
            groups: None,
            ambient: Vec::new(),
            umask: None,
            limits: BTreeMap::new(),
            nice: None,
            oom_score_adj: None,
            no_new_privs: false,
            parent_death_signal: None,
            ignored_signals: None,
            cgroup: None,
            cgroup_is_new: false,
            contain: None,
            fds: FdMap::stdio(),
            named: Vec::new(),
            pty: None,
            arbiter: None,
            on_orphaned: OnOrphaned::default(),
            is_quiet_orphan: false,
            on_leftovers: None,
            ended_timeout: None,
            timeout: None,
            window: DEFAULT_WINDOW,
            kill_untaken: false,
        }
    }

    /// Gives the terminal what the caller has not named.
    pub(crate) fn place_terminal(&mut self) {
        if self.pty.is_some() {
            for n in (0..=2).filter(|n| !self.named.contains(n)) {
                self.fds.put(n, Fd::terminal());
            }
        }
    }

    /// Whether the child ignores what this program ignores. On a terminal of its own it does not: what
    /// shields it from another terminal would make it deaf to its own Ctrl-C.
    pub(crate) fn keeps_ignored(&self) -> bool {
        match self.ignored_signals {
            Some(policy) => policy == IgnoredSignals::Inherit,
            None => self.pty.is_none(),
        }
    }

    /// Takes out all descriptors that this spawn is given for good.
    pub(crate) fn take_fds(&self) -> TakenFds {
        let pty = self.pty.as_ref().and_then(Pty::take);
        TakenFds::new(self.fds.take_fds(), pty)
    }

    /// The program as text, for messages.
    pub(crate) fn program_name(&self) -> Arc<str> {
        self.program.to_string_lossy().into()
    }

    /// What its child is called.
    pub(crate) fn child_name(&self) -> Arc<str> {
        self.given_name().unwrap_or_else(|| self.program_name())
    }

    /// The name that the command gives its child, if it gives one that can be taken.
    pub(crate) fn given_name(&self) -> Option<Arc<str>> {
        self.name.as_ref()?.get().ok().cloned()
    }
}

/// Of arguments only how many there are, and of the environment only names: the rest may be secret.
impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |set: bool| -> Vec<&OsString> {
            let changes = self.env.iter();
            changes
                .filter_map(|(name, value)| (value.is_some() == set).then_some(name))
                .collect()
        };
        f.debug_struct("Spec")
            .field("program", &self.program)
            .field("name", &self.given_name())
            .field("args", &self.args.len())
            .field("env_clear", &self.env_clear)
            .field("env_set", &names(true))
            .field("env_removed", &names(false))
            .field("current_dir", &self.current_dir)
            .field("process_group", &self.process_group)
            .field("setsid", &self.setsid)
            .field("user", &self.user)
            .field("uid", &self.uid)
            .field("gid", &self.gid)
            .field("groups", &self.groups)
            .field("limits", &self.limits)
            .field("fds", &self.fds)
            .field("pty", &self.pty)
            .field("on_orphaned", &self.on_orphaned)
            .finish_non_exhaustive()
    }
}
