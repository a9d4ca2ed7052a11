//! The builder of a child to be.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::capability::Capability;
use crate::fds::{Fd, FdMap};
use crate::limits::{Limit, Resource};
use crate::pty::Pty;
use crate::signal::{IgnoredSignals, Signal};
use crate::spec::{Contain, DEFAULT_WINDOW, OnLeftovers, OnOrphaned, Spec};

/// A child to be spawned: [`std::process::Command`]'s names where std has the thing, and more.
///
/// Nothing is checked, opened or looked up before the spawn. A command can be cloned and spawned
/// many times.
///
/// Unlike std's, the builder is passed by value: where a call hangs on a condition, write
/// `command = command.arg("-v");`. And unlike std's, a spawned child has three pipes unless told
/// otherwise.
///
/// `Debug` shows of the arguments only how many there are, and of the environment only names.
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
    /// Shared by the command's clones, and by spawns on their way.
    spec: Arc<Spec>,
}

impl Command {
    /// The window of a descriptor unless [`window`](Self::window) says otherwise: 1 MiB.
    pub const DEFAULT_WINDOW: usize = DEFAULT_WINDOW;

    /// A child that runs `program`, with the parent's environment and directory, and three pipes.
    ///
    /// A name without a slash is looked up in the PATH of the environment that the child will
    /// get (`/bin:/usr/bin` if it has none). A relative path is relative to the
    /// [`current_dir`](Self::current_dir). So is an empty element of PATH (`:/usr/bin`), by which
    /// programs of that directory are run; one that others may write is no place for it. There is no shell in it, not even for a script without
    /// a `#!` line.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            spec: Arc::new(Spec::new(program.as_ref())),
        }
    }

    /// What it describes, as it is now.
    pub(crate) const fn spec(&self) -> &Arc<Spec> {
        &self.spec
    }

    fn edit(mut self, edit: impl FnOnce(&mut Spec)) -> Self {
        edit(Arc::make_mut(&mut self.spec));
        self
    }

    /// Adds one argument, passed as it is.
    pub fn arg(self, arg: impl AsRef<OsStr>) -> Self {
        self.edit(|spec| spec.args.push(arg.as_ref().to_owned()))
    }

    /// Adds arguments.
    pub fn args<I>(self, args: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        self.edit(|spec| {
            spec.args
                .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()))
        })
    }

    /// What the child sees as its own name, in place of the program as given.
    pub fn arg0(self, arg0: impl AsRef<OsStr>) -> Self {
        self.edit(|spec| spec.arg0 = Some(arg0.as_ref().to_owned()))
    }

    /// Sets one environment variable.
    pub fn env(self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.edit(|spec| {
            spec.env
                .insert(key.as_ref().to_owned(), Some(value.as_ref().to_owned()));
        })
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
    pub fn env_remove(self, key: impl AsRef<OsStr>) -> Self {
        self.edit(|spec| {
            spec.env.insert(key.as_ref().to_owned(), None);
        })
    }

    /// Starts from an empty environment; what was set before is forgotten as well.
    pub fn env_clear(self) -> Self {
        self.edit(|spec| {
            spec.env_clear = true;
            spec.env.clear();
        })
    }

    /// The directory in which the program runs. An empty path is no directory (`ENOENT` at
    /// [`SpawnStep::Cwd`](crate::SpawnStep::Cwd)); `"."` is the parent's.
    pub fn current_dir(self, dir: impl AsRef<Path>) -> Self {
        self.edit(|spec| spec.current_dir = Some(dir.as_ref().to_owned()))
    }

    /// Puts the child into process group `group`; 0 makes a new one that it leads.
    ///
    /// Without it a spawned child stays in the parent's group, so that a terminal's Ctrl-C reaches it;
    /// for [`output`](Self::output), [`status`](Self::status) and [`read`](Self::read) see
    /// [`Collect::own_group`](crate::Collect::own_group). A child that leads a group is that group to
    /// all that ends it: [`stop`](crate::ProcessHandle::stop),
    /// [`terminate_group`](crate::ProcessHandle::terminate_group), [`OnOrphaned`],
    /// [`Shutdown`](crate::Shutdown), and [`on_leftovers`](Self::on_leftovers).
    pub fn process_group(self, group: i32) -> Self {
        self.edit(|spec| spec.process_group = Some(group))
    }

    /// Makes the child lead a session of its own, and so a process group, without a terminal.
    /// Excludes [`process_group`](Self::process_group).
    pub fn setsid(self, setsid: bool) -> Self {
        self.edit(|spec| spec.setsid = setsid)
    }

    /// The user as whom the program runs, by name: uid, group and supplementary groups as passwd
    /// and group have them, unless [`gid`](Self::gid) or [`groups`](Self::groups) say otherwise.
    /// Excludes [`uid`](Self::uid). Looked up at the spawn, not on an arbiter.
    ///
    /// HOME, USER, LOGNAME and SHELL become the user's, by passwd, unless the command sets, removes or
    /// [clears](Self::env_clear) them. The rest of the environment, PATH included, is as without it.
    ///
    /// The pipes, and the new terminal, that are made for a child of another user belong to that user, so
    /// that it can open them by name (`/dev/stdout`). What is given to it keeps its owner, the ends of
    /// [`Fd::pipe`] too.
    pub fn user(self, name: impl Into<String>) -> Self {
        self.edit(|spec| spec.user = Some(name.into()))
    }

    /// The user id with which the program runs. Without a [`gid`](Self::gid) its group is the one
    /// that passwd has for it; the supplementary groups become that user's, never the parent's. Pipes
    /// are the user's as by [`user`](Self::user); HOME, USER, LOGNAME and SHELL stay the parent's.
    pub fn uid(self, uid: u32) -> Self {
        self.edit(|spec| spec.uid = Some(uid))
    }

    /// The group id with which the program runs. The supplementary groups become the user's even if
    /// only this is given, see [`groups`](Self::groups).
    pub fn gid(self, gid: u32) -> Self {
        self.edit(|spec| spec.gid = Some(gid))
    }

    /// The supplementary groups of the program; an empty list for none. A parent without
    /// privilege may name those that it has, with the child's own group or without.
    pub fn groups(self, groups: impl IntoIterator<Item = u32>) -> Self {
        self.edit(|spec| spec.groups = Some(groups.into_iter().collect()))
    }

    /// The capabilities that the program has whatever its [`uid`](Self::uid), and hands on to what it
    /// executes (its ambient set). Each must be one that this process has.
    ///
    /// Without it a change of the uid takes all capabilities away, also where this process is not
    /// root and has them as ambient ones itself; only a program that runs as root has root's.
    ///
    /// ```
    /// use actix_process::{Capability, Command};
    ///
    /// let server = Command::new("server").user("www-data").ambient([Capability::NET_BIND_SERVICE]);
    /// # drop(server);
    /// ```
    pub fn ambient(self, capabilities: impl IntoIterator<Item = Capability>) -> Self {
        self.edit(|spec| spec.ambient = capabilities.into_iter().collect())
    }

    /// Whether the change to [`current_dir`](Self::current_dir) is made with the parent's ids, not
    /// yet the child's own: for a directory that the child's user may not enter.
    pub fn chdir_as_parent(self, as_parent: bool) -> Self {
        self.edit(|spec| spec.chdir_as_parent = as_parent)
    }

    /// The mode bits that files made by the child do not get, 0 to 0o777.
    pub fn umask(self, mask: u32) -> Self {
        self.edit(|spec| spec.umask = Some(mask))
    }

    /// A resource limit: the soft one, in force, and the hard one, up to which the child may raise
    /// it. [`UNLIMITED`](crate::UNLIMITED) for none.
    pub fn rlimit(self, resource: Resource, soft: u64, hard: u64) -> Self {
        self.edit(|spec| {
            spec.limits.insert(resource, Limit { soft, hard });
        })
    }

    /// The nice value: -20 (most favoured; needs privilege) to 19.
    pub fn nice(self, nice: i32) -> Self {
        self.edit(|spec| spec.nice = Some(nice))
    }

    /// How readily the kernel kills the child when memory is short: -1000 (never; needs privilege)
    /// to 1000 (first of all).
    pub fn oom_score_adj(self, adjustment: i32) -> Self {
        self.edit(|spec| spec.oom_score_adj = Some(adjustment))
    }

    /// Whether the child, and all that it runs, can never gain privileges by an exec.
    pub fn no_new_privs(self, no_new_privs: bool) -> Self {
        self.edit(|spec| spec.no_new_privs = no_new_privs)
    }

    /// The signal that the kernel sends the child when this process dies, in whatever way: also of
    /// SIGKILL or `std::process::exit`. The child may change it; an exec of a set-user-id program
    /// clears it.
    pub fn parent_death_signal(self, signal: Signal) -> Self {
        self.edit(|spec| spec.parent_death_signal = Some(signal))
    }

    /// What becomes of the signals that this program ignores. [`IgnoredSignals::Inherit`] unless set;
    /// [`IgnoredSignals::Reset`] on a [`pty`](Self::pty), whose Ctrl-C is the child's own.
    pub fn ignored_signals(self, policy: IgnoredSignals) -> Self {
        self.edit(|spec| spec.ignored_signals = Some(policy))
    }

    /// The cgroup (version 2) that the child joins before its program runs: its directory, open.
    ///
    /// Whatever the child starts is in it as well, also who leaves the child's process group or
    /// session. All that is in it is taken for the child's: a signal to its
    /// [group](crate::ProcessHandle::signal_group) goes to everybody there, and the end of a
    /// [helper](Self::output) kills them. So children that do not belong together need a cgroup each.
    /// It is not removed. Excludes [`contained`](Self::contained), which makes and removes one.
    pub fn cgroup(self, directory: OwnedFd) -> Self {
        self.edit(|spec| spec.cgroup = Some(Arc::new(directory)))
    }

    /// Holds the child, and all that it starts, by the strongest means that this host has.
    ///
    /// That is a new cgroup (version 2) below the host's own where the host may make one: as root, in a
    /// container with a cgroup of its own, in a systemd service with `Delegate=yes`. Elsewhere it is a process
    /// group, which the child leads, as it does anyhow with [`setsid`](Self::setsid) or a
    /// [`pty`](Self::pty). [`ProcessHandle::containment`](crate::ProcessHandle::containment) tells which, and
    /// [`Containment`](crate::Containment) what each does not hold.
    ///
    /// The cgroup has no limits of its own, and is removed when the child has exited and nobody is left
    /// in it. If the host is killed before that, the next one in the same cgroup removes it once it is empty.
    ///
    /// Excludes [`cgroup`](Self::cgroup), and a [`process_group`](Self::process_group) that another
    /// process leads.
    ///
    /// ```
    /// use actix_process::{Command, Containment, NoProtocol};
    ///
    /// # actix::System::new().block_on(async {
    /// let child = Command::new("sleep").arg("60").contained().spawn(NoProtocol).await?;
    /// assert!(child.containment() >= Containment::Group);
    /// child.kill()?;
    /// child.ended().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn contained(self) -> Self {
        self.edit(|spec| spec.contain = Some(Contain::Strongest))
    }

    /// As [`contained`](Self::contained), but by a cgroup or not at all: where this host may make none,
    /// or the child cannot join it, the spawn fails with [`SpawnStep::Limits`](crate::SpawnStep::Limits).
    /// The later of the two calls counts.
    pub fn contained_by_cgroup(self) -> Self {
        self.edit(|spec| spec.contain = Some(Contain::Cgroup))
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
    pub fn fd(self, n: i32, fd: Fd) -> Self {
        self.edit(|spec| {
            spec.fds.set(n, fd);
            spec.named.push(n);
        })
    }

    /// All of the child's descriptors: what `map` does not name is closed, 0, 1 and 2 too.
    pub fn fds(self, map: FdMap) -> Self {
        self.edit(|spec| {
            spec.named = map.iter().map(|(n, _)| n).collect();
            spec.fds = map;
            spec.place_terminal();
        })
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
    /// Unless it is [`raw`](Pty::raw), the kernel keeps at most 4,095 bytes of a line and its end: what
    /// more is typed before the end of the line is lost, and no error.
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
    pub fn pty(self, pty: impl Into<Pty>) -> Self {
        self.edit(|spec| {
            spec.pty = Some(pty.into());
            spec.place_terminal();
        })
    }

    /// All of the child's descriptors as they are set now.
    #[must_use]
    pub fn fd_map(&self) -> &FdMap {
        &self.spec.fds
    }

    /// What happens to the child when its owner is gone. [`OnOrphaned::Kill`] unless set.
    pub fn on_orphaned(self, policy: OnOrphaned) -> Self {
        self.edit(|spec| spec.on_orphaned = policy)
    }

    /// What becomes of the rest of the process group that the child leads when the child has exited.
    /// [`OnLeftovers::Leave`] unless set; [`output`](Self::output), [`status`](Self::status) and
    /// [`read`](Self::read) kill it.
    ///
    /// It follows once an escalation that is under way (a timeout, a [`stop`](crate::ProcessHandle::stop))
    /// is over, which reaches those processes itself. Without a group
    /// ([`process_group`](Self::process_group), [`setsid`](Self::setsid), [`pty`](Self::pty)) nothing
    /// follows.
    pub fn on_leftovers(self, policy: OnLeftovers) -> Self {
        self.edit(|spec| spec.on_leftovers = Some(policy))
    }

    /// The same for a helper's default.
    pub(crate) fn on_leftovers_unless_set(self, policy: OnLeftovers) -> Self {
        self.edit(|spec| {
            spec.on_leftovers.get_or_insert(policy);
        })
    }

    /// In the parent's group, whatever was said before.
    pub(crate) fn without_process_group(self) -> Self {
        self.edit(|spec| spec.process_group = None)
    }

    /// Closes what pipes remain open when the child has been dead for `timeout` and its heirs
    /// (grandchildren that hold its pipes) had nothing more to say.
    ///
    /// The clock runs while the child is reaped, but not while a descriptor is paused, nor before all
    /// that a protocol's pipe held at the reap was read: a protocol may be slow with the child's own last
    /// words. Time in which heirs write, however much, counts, and so does time in which a protocol is
    /// behind with that. At the deadline what the pipes hold is read and delivered, and nothing that is
    /// written later; they close with [`CloseReason::Cut`](crate::CloseReason::Cut), and `ProcessEnded`
    /// comes. Without it, `ProcessEnded` waits for the last heir.
    ///
    /// A [stream](crate::Fd::stream) holds up neither the clock nor the cut: see
    /// [`cut_connection`](crate::ProcessHandle::cut_connection).
    pub fn ended_timeout(self, timeout: Duration) -> Self {
        self.edit(|spec| spec.ended_timeout = Some(timeout))
    }

    /// How many bytes of one descriptor may be on their way to the protocol before its reader
    /// stops: at least 4096, by default 1 MiB. It also stops while less than 4096 bytes are left of it, lest
    /// it cut a packet of a pipe in packet mode. [`Fd::window`] sets it for one descriptor.
    pub fn window(self, bytes: usize) -> Self {
        self.edit(|spec| spec.window = bytes)
    }
}
