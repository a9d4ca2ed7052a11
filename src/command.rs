//! The description of a child to be: plain data, checked when it is spawned.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::fds::{Fd, FdMap};
use crate::limits::{Limit, Resource};
pub(crate) use crate::moved::Moved;
use crate::pty::Pty;
use crate::signal::Signal;

/// What happens to a child whose owner is gone: its protocol actor, its `Process` actor, their
/// arbiter, its supervisor, or the System.
///
/// A child without a protocol ([`NoProtocol`](crate::NoProtocol)) cannot lose it, only the others.
/// Its handles own nothing: dropping the last one does not orphan it.
///
/// The pipes close in every case: the child writes to nobody then, also under
/// [`Leave`](Self::Leave). `std::process::exit` and a SIGKILL to the host run none of this; see
/// [`Command::parent_death_signal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnOrphaned {
    /// It is left running, and reaped when it exits.
    Leave,
    /// It gets SIGKILL at once.
    #[default]
    Kill,
    /// It gets SIGTERM at once, and SIGKILL after this time if it lives on and so does the host.
    Terminate(Duration),
}

/// A child to be spawned: [`std::process::Command`]'s names where std has the thing, and more.
///
/// Nothing is checked, opened or looked up before the spawn. A command can be cloned and spawned
/// many times.
///
/// Unlike std's, the builder is passed by value: where a call hangs on a condition, write
/// `command = command.arg("-v");`. And unlike std's, a spawned child has three pipes unless told
/// otherwise.
///
/// ```
/// use actix_process::{Command, Fd};
///
/// let sort = Command::new("sort")
///     .arg("-u")
///     .env("LC_ALL", "C")
///     .current_dir("/tmp")
///     .stderr(Fd::inherit(2));
/// # drop(sort);
/// ```
#[derive(Debug, Clone)]
#[must_use = "a command does nothing until it is spawned"]
pub struct Command {
    pub(crate) program: OsString,
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
    pub(crate) umask: Option<u32>,
    pub(crate) limits: BTreeMap<Resource, Limit>,
    pub(crate) nice: Option<i32>,
    pub(crate) oom_score_adj: Option<i32>,
    pub(crate) no_new_privs: bool,
    pub(crate) parent_death_signal: Option<Signal>,
    pub(crate) cgroup: Option<Arc<OwnedFd>>,
    pub(crate) fds: FdMap,
    /// The numbers that the caller has set; the others are the default's, or the terminal's.
    named: Vec<i32>,
    pub(crate) pty: Option<Pty>,
    pub(crate) on_orphaned: OnOrphaned,
    pub(crate) ended_timeout: Option<Duration>,
    pub(crate) window: usize,
}

impl Command {
    /// The window of a descriptor unless [`window`](Self::window) says otherwise: 1 MiB.
    pub const DEFAULT_WINDOW: usize = 1024 * 1024;

    /// A child that runs `program`, with the parent's environment and directory, and three pipes.
    ///
    /// A name without a slash is looked up in the PATH of the environment that the child will
    /// get (`/bin:/usr/bin` if it has none). A relative path is relative to the
    /// [`current_dir`](Self::current_dir). There is no shell in it, not even for a script without
    /// a `#!` line.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
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
            umask: None,
            limits: BTreeMap::new(),
            nice: None,
            oom_score_adj: None,
            no_new_privs: false,
            parent_death_signal: None,
            cgroup: None,
            fds: FdMap::stdio(),
            named: Vec::new(),
            pty: None,
            on_orphaned: OnOrphaned::default(),
            ended_timeout: None,
            window: Self::DEFAULT_WINDOW,
        }
    }

    /// Adds one argument, passed as it is.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args<I>(mut self, args: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// What the child sees as its own name, in place of the program as given.
    pub fn arg0(mut self, arg0: impl AsRef<OsStr>) -> Self {
        self.arg0 = Some(arg0.as_ref().to_owned());
        self
    }

    /// Sets one environment variable.
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env
            .insert(key.as_ref().to_owned(), Some(value.as_ref().to_owned()));
        self
    }

    /// Sets environment variables.
    pub fn envs<I, K, V>(self, vars: I) -> Self
    where
        I: IntoIterator<Item = (K, V)>,
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        vars.into_iter()
            .fold(self, |command, (key, value)| command.env(key, value))
    }

    /// Takes one environment variable away.
    pub fn env_remove(mut self, key: impl AsRef<OsStr>) -> Self {
        self.env.insert(key.as_ref().to_owned(), None);
        self
    }

    /// Starts from an empty environment; what was set before is forgotten as well.
    pub fn env_clear(mut self) -> Self {
        self.env_clear = true;
        self.env.clear();
        self
    }

    /// The directory in which the program runs.
    pub fn current_dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.current_dir = Some(dir.as_ref().to_owned());
        self
    }

    /// Puts the child into process group `group`; 0 makes a new one that it leads.
    ///
    /// Without it the child stays in the parent's group, so that a terminal's Ctrl-C reaches it.
    pub fn process_group(mut self, group: i32) -> Self {
        self.process_group = Some(group);
        self
    }

    /// Makes the child lead a session of its own, and so a process group, without a terminal.
    /// Excludes [`process_group`](Self::process_group).
    pub fn setsid(mut self, setsid: bool) -> Self {
        self.setsid = setsid;
        self
    }

    /// The user as whom the program runs, by name: uid, group and supplementary groups as passwd
    /// and group have them, unless [`gid`](Self::gid) or [`groups`](Self::groups) say otherwise.
    /// Excludes [`uid`](Self::uid). Looked up at the spawn, not on an arbiter.
    pub fn user(mut self, name: impl Into<String>) -> Self {
        self.user = Some(name.into());
        self
    }

    /// The user id with which the program runs. Without a [`gid`](Self::gid) its group is the one
    /// that passwd has for it; the supplementary groups become that user's, never the parent's.
    pub fn uid(mut self, uid: u32) -> Self {
        self.uid = Some(uid);
        self
    }

    /// The group id with which the program runs. The supplementary groups become the user's even if
    /// only this is given, see [`groups`](Self::groups).
    pub fn gid(mut self, gid: u32) -> Self {
        self.gid = Some(gid);
        self
    }

    /// The supplementary groups of the program; an empty list for none.
    pub fn groups(mut self, groups: impl IntoIterator<Item = u32>) -> Self {
        self.groups = Some(groups.into_iter().collect());
        self
    }

    /// Whether the change to [`current_dir`](Self::current_dir) is made with the parent's ids, not
    /// yet the child's own: for a directory that the child's user may not enter.
    pub fn chdir_as_parent(mut self, as_parent: bool) -> Self {
        self.chdir_as_parent = as_parent;
        self
    }

    /// The mode bits that files made by the child do not get, 0 to 0o777.
    pub fn umask(mut self, mask: u32) -> Self {
        self.umask = Some(mask);
        self
    }

    /// A resource limit: the soft one, in force, and the hard one, up to which the child may raise
    /// it. [`UNLIMITED`](crate::UNLIMITED) for none.
    pub fn rlimit(mut self, resource: Resource, soft: u64, hard: u64) -> Self {
        self.limits.insert(resource, Limit { soft, hard });
        self
    }

    /// The nice value: -20 (most favoured; needs privilege) to 19.
    pub fn nice(mut self, nice: i32) -> Self {
        self.nice = Some(nice);
        self
    }

    /// How readily the kernel kills the child when memory is short: -1000 (never; needs privilege)
    /// to 1000 (first of all).
    pub fn oom_score_adj(mut self, adjustment: i32) -> Self {
        self.oom_score_adj = Some(adjustment);
        self
    }

    /// Whether the child, and all that it runs, can never gain privileges by an exec.
    pub fn no_new_privs(mut self, no_new_privs: bool) -> Self {
        self.no_new_privs = no_new_privs;
        self
    }

    /// The signal that the kernel sends the child when this process dies, in whatever way: also of
    /// SIGKILL or `std::process::exit`. The child may change it; an exec of a set-user-id program
    /// clears it.
    pub fn parent_death_signal(mut self, signal: Signal) -> Self {
        self.parent_death_signal = Some(signal);
        self
    }

    /// The cgroup (version 2) that the child joins before its program runs: its directory, open.
    ///
    /// Whatever the child starts is in it as well, also who leaves the child's process group or
    /// session: 1, written to the file `cgroup.kill` in the directory, kills them all.
    pub fn cgroup(mut self, directory: OwnedFd) -> Self {
        self.cgroup = Some(Arc::new(directory));
        self
    }

    /// The child's standard input.
    pub fn stdin(self, fd: Fd) -> Self {
        self.fd(0, fd)
    }

    /// The child's standard output.
    pub fn stdout(self, fd: Fd) -> Self {
        self.fd(1, fd)
    }

    /// The child's standard error.
    pub fn stderr(self, fd: Fd) -> Self {
        self.fd(2, fd)
    }

    /// The child's descriptor `n`, in place of what it was.
    pub fn fd(mut self, n: i32, fd: Fd) -> Self {
        self.fds.set(n, fd);
        self.named.push(n);
        self
    }

    /// All of the child's descriptors: what `map` does not name is closed, 0, 1 and 2 too.
    pub fn fds(mut self, map: FdMap) -> Self {
        self.named = map.iter().map(|(n, _)| n).collect();
        self.fds = map;
        self.place_terminal();
        self
    }

    /// Runs the program on a terminal of its own: a new one, by its [`PtySize`](crate::PtySize) or
    /// with modes, or one that is given; see [`Pty`].
    ///
    /// The child leads a session of its own, with the terminal as its controlling one and its own
    /// process group in the foreground. The terminal is its 0, 1 and 2. All that it writes there
    /// comes as data of 1 ([`out_received`](crate::ProcessProtocol::out_received)), with the
    /// terminal's echo and its CR LF; set [`stderr`](Self::stderr) to split that off. What is
    /// written to 0 is typed: Ctrl-C (`\x03`), Ctrl-\ (`\x1c`) and Ctrl-D (`\x04`) act as at a
    /// keyboard. Further descriptors are as without a terminal.
    ///
    /// When the child, and all others, have closed the terminal, 0 and 1 are reported closed
    /// ([`CloseReason::ByChild`](crate::CloseReason::ByChild)), with whatever was written before delivered; the terminal
    /// itself lives until the child is reaped, so that a child which closed it and works on is not
    /// hung up. What such a child writes to it when it opens it again is lost.
    /// [`lose_connection`](crate::ProcessHandle::lose_connection) hangs it up, and so does the loss
    /// of its owner, whatever the [`on_orphaned`](Self::on_orphaned) is.
    ///
    /// Excludes [`process_group`](Self::process_group), and other descriptors for 0 and 1.
    ///
    /// ```
    /// use actix_process::{Command, PtySize};
    ///
    /// # actix::System::new().block_on(async {
    /// let size = Command::new("stty").arg("size").pty(PtySize::new(30, 100));
    /// assert_eq!(size.output().await?.stdout, b"30 100\r\n");
    /// # Ok::<(), actix_process::CollectError>(()) }).unwrap();
    /// ```
    pub fn pty(mut self, pty: impl Into<Pty>) -> Self {
        self.pty = Some(pty.into());
        self.place_terminal();
        self
    }

    fn place_terminal(&mut self) {
        if self.pty.is_some() {
            for n in (0..=2).filter(|n| !self.named.contains(n)) {
                self.fds.set(n, Fd::terminal());
            }
        }
    }

    /// Takes out all descriptors that this spawn is given for good.
    pub(crate) fn take_moved(&self) -> Moved {
        let pty = self.pty.as_ref().and_then(Pty::take);
        Moved::new(self.fds.take_moved(), pty)
    }

    /// The program as text, for messages.
    pub(crate) fn program_name(&self) -> Arc<str> {
        self.program.to_string_lossy().into()
    }

    /// All of the child's descriptors as they are set now.
    #[must_use]
    pub const fn fd_map(&self) -> &FdMap {
        &self.fds
    }

    /// What happens to the child when its owner is gone. [`OnOrphaned::Kill`] unless set.
    pub fn on_orphaned(mut self, policy: OnOrphaned) -> Self {
        self.on_orphaned = policy;
        self
    }

    /// Closes what pipes remain open when the child has been dead for `timeout` and its heirs
    /// (grandchildren that hold its pipes) had nothing more to say.
    ///
    /// The clock runs while the child is reaped and all its readers wait for data; never while
    /// one is paused or waits for the protocol. At the deadline what the pipes hold is read and
    /// delivered, then they close with [`CloseReason::Cut`](crate::CloseReason::Cut), and
    /// `ProcessEnded` comes. Without it, `ProcessEnded` waits for the last heir.
    pub fn ended_timeout(mut self, timeout: Duration) -> Self {
        self.ended_timeout = Some(timeout);
        self
    }

    /// How many bytes of one descriptor may be on their way to the protocol before its reader
    /// stops: at least 4096, by default 1 MiB. [`Fd::window`] sets it for one descriptor.
    pub fn window(mut self, bytes: usize) -> Self {
        self.window = bytes;
        self
    }
}
