//! The builder of a child to be.

pub(crate) mod arbiter;
pub(crate) mod containment;
pub(crate) mod fd_map;
mod getters;
pub(crate) mod name;
pub(crate) mod pty;
mod rights;
pub(crate) mod spec;
pub(crate) mod taken_fds;

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::command::fd_map::{Fd, FdMap};
use crate::command::name::ChildName;
use crate::command::pty::Pty;
use crate::command::spec::{DEFAULT_WINDOW, OnLeftovers, OnOrphaned, Spec};

/// A child to be spawned: [`std::process::Command`]'s names where std has the thing, and more.
///
/// Nothing is checked, opened or looked up before the spawn. A command can be cloned and spawned
/// many times.
///
/// Unlike std's, a command is a value: each method takes it and gives it back changed, so a command can
/// be kept, cloned, and made by a closure. A line of its own is `command = command.arg("-v");`, and a
/// condition in a chain is [`when`](Self::when). And unlike std's, a spawned child has three pipes unless
/// told otherwise.
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

    /// Changes the command by `change` if `condition` holds.
    ///
    /// ```
    /// use actix_process::Command;
    ///
    /// let (verbose, jobs) = (true, None);
    /// let make = Command::new("make")
    ///     .when(verbose, |command| command.arg("V=1"))
    ///     .when(jobs == Some(1), |command| command.arg("-j1"));
    /// assert!(make.get_args().eq(["V=1"]));
    /// ```
    #[must_use = "a command is changed by value: `command = command.when(..)`"]
    pub fn when(self, condition: bool, change: impl FnOnce(Self) -> Self) -> Self {
        if condition { change(self) } else { self }
    }

    /// Adds one argument, passed as it is.
    #[must_use = "a command is changed by value: `command = command.arg(..)`"]
    pub fn arg(self, arg: impl AsRef<OsStr>) -> Self {
        self.edit(|spec| spec.args.push(arg.as_ref().to_owned()))
    }

    /// Adds arguments.
    #[must_use = "a command is changed by value: `command = command.args(..)`"]
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

    /// What the child is called here: in [`ProcessHandle::name`](crate::ProcessHandle::name),
    /// [`List`](crate::supervisor::List), lines of the log and [`SpawnError`](crate::SpawnError)s. Without one the program
    /// stands there. The child does not see it; many children may have one name.
    ///
    /// 1 to 128 bytes that print: a spawn with an empty or longer one, or with control characters, line
    /// separators or marks of direction in it, is [`SpawnStep::Invalid`](crate::SpawnStep::Invalid).
    ///
    /// ```
    /// use actix_process::{Command, NoProtocol};
    ///
    /// # actix::System::new().block_on(async {
    /// let sleep = Command::new("sleep").arg("60").name("web");
    /// let process = sleep.spawn(NoProtocol).await?;
    /// assert_eq!(process.name(), "web");
    /// # process.kill();
    ///
    /// let error = sleep.current_dir("/no/such").spawn(NoProtocol).await.unwrap_err();
    /// assert!(error.to_string().starts_with("web: cannot change directory: /no/such: "));
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    #[must_use = "a command is changed by value: `command = command.name(..)`"]
    pub fn name(self, name: impl AsRef<str>) -> Self {
        self.edit(|spec| spec.name = Some(ChildName::new(name.as_ref())))
    }

    /// What the child sees as its own name, in place of the program as given.
    #[must_use = "a command is changed by value: `command = command.arg0(..)`"]
    pub fn arg0(self, arg0: impl AsRef<OsStr>) -> Self {
        self.edit(|spec| spec.arg0 = Some(arg0.as_ref().to_owned()))
    }

    /// Sets one environment variable.
    #[must_use = "a command is changed by value: `command = command.env(..)`"]
    pub fn env(self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.edit(|spec| {
            spec.env
                .insert(key.as_ref().to_owned(), Some(value.as_ref().to_owned()));
        })
    }

    /// Sets environment variables.
    #[must_use = "a command is changed by value: `command = command.envs(..)`"]
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
    #[must_use = "a command is changed by value: `command = command.env_remove(..)`"]
    pub fn env_remove(self, key: impl AsRef<OsStr>) -> Self {
        self.edit(|spec| {
            spec.env.insert(key.as_ref().to_owned(), None);
        })
    }

    /// Starts from an empty environment; what was set before is forgotten as well.
    #[must_use = "a command is changed by value: `command = command.env_clear(..)`"]
    pub fn env_clear(self) -> Self {
        self.edit(|spec| {
            spec.env_clear = true;
            spec.env.clear();
        })
    }

    /// The directory in which the program runs. An empty path is no directory (`ENOENT` at
    /// [`SpawnStep::Cwd`](crate::SpawnStep::Cwd)); `"."` is the parent's.
    #[must_use = "a command is changed by value: `command = command.current_dir(..)`"]
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
    /// [`Shutdown`](crate::supervisor::Shutdown), and [`on_leftovers`](Self::on_leftovers).
    #[must_use = "a command is changed by value: `command = command.process_group(..)`"]
    pub fn process_group(self, group: i32) -> Self {
        self.edit(|spec| spec.process_group = Some(group))
    }

    /// Makes the child lead a session of its own, and so a process group, without a terminal.
    /// Excludes [`process_group`](Self::process_group).
    #[must_use = "a command is changed by value: `command = command.setsid(..)`"]
    pub fn setsid(self, setsid: bool) -> Self {
        self.edit(|spec| spec.setsid = setsid)
    }

    /// The child's standard input: an [`Fd`], or what becomes one (a file, a socket, the end of a pipe).
    ///
    /// ```
    /// use actix_process::Command;
    ///
    /// # actix::System::new().block_on(async {
    /// let file = std::fs::File::open("Cargo.toml")?;
    /// let counted = Command::new("wc").arg("-l").stdin(file).output().await?;
    /// assert!(counted.status.success());
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    #[must_use = "a command is changed by value: `command = command.stdin(..)`"]
    pub fn stdin(self, fd: impl Into<Fd>) -> Self {
        self.fd(0, fd)
    }

    /// The child's standard output.
    #[must_use = "a command is changed by value: `command = command.stdout(..)`"]
    pub fn stdout(self, fd: impl Into<Fd>) -> Self {
        self.fd(1, fd)
    }

    /// The child's standard error.
    #[must_use = "a command is changed by value: `command = command.stderr(..)`"]
    pub fn stderr(self, fd: impl Into<Fd>) -> Self {
        self.fd(2, fd)
    }

    /// The child's descriptor `n`, in place of what it was.
    #[must_use = "a command is changed by value: `command = command.fd(..)`"]
    pub fn fd(self, n: i32, fd: impl Into<Fd>) -> Self {
        let fd = fd.into();
        self.edit(|spec| {
            spec.fds.put(n, fd);
            spec.named.push(n);
        })
    }

    /// All of the child's descriptors: what `map` does not name is closed, 0, 1 and 2 too.
    #[must_use = "a command is changed by value: `command = command.fds(..)`"]
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
    /// comes as data of 1 ([`out_received`](crate::ProcessProtocol::out_received), or as a stream by
    /// [`Pty::stream`]), with the terminal's echo and its CR LF; set [`stderr`](Self::stderr) to split that off. What is
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
    #[must_use = "a command is changed by value: `command = command.pty(..)`"]
    pub fn pty(self, pty: impl Into<Pty>) -> Self {
        self.edit(|spec| {
            spec.pty = Some(pty.into());
            spec.place_terminal();
        })
    }

    /// For a child whose output is collected: nobody else has its handle, so one that nobody takes kills
    /// it. Its terminal is a stream if that is collected.
    pub(crate) fn collected(self, terminal: bool) -> Self {
        self.edit(|spec| {
            spec.kill_untaken = true;
            if let Some(pty) = &mut spec.pty {
                pty.stream = terminal;
            }
        })
    }

    /// All of the child's descriptors as they are set now.
    #[must_use]
    pub fn fd_map(&self) -> &FdMap {
        &self.spec.fds
    }

    /// What happens to the child when its owner is gone. [`OnOrphaned::Kill`] unless set.
    #[must_use = "a command is changed by value: `command = command.on_orphaned(..)`"]
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
    #[must_use = "a command is changed by value: `command = command.on_leftovers(..)`"]
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

    /// Closes what pipes remain open when the child has been dead for `timeout`, whatever its descendants
    /// (grandchildren that hold its pipes) write.
    ///
    /// The clock runs while the child is reaped, but not while a descriptor is paused, nor before all
    /// that a protocol's pipe held at the reap was read: a protocol may be slow with the child's own last
    /// words. Time in which descendants write, however much, counts, and so does time in which a protocol is
    /// behind with that. At the deadline what the pipes hold is read and delivered, and nothing that is
    /// written later; they close with [`CloseReason::Cut`](crate::CloseReason::Cut), and `ProcessEnded`
    /// comes. Without it, `ProcessEnded` waits for the last descendant.
    ///
    /// A [stream](crate::Fd::stream) holds up neither the clock nor the cut: see
    /// [`cut_connection`](crate::ProcessHandle::cut_connection).
    #[must_use = "a command is changed by value: `command = command.ended_timeout(..)`"]
    pub fn ended_timeout(self, timeout: Duration) -> Self {
        self.edit(|spec| spec.ended_timeout = Some(timeout))
    }

    /// How many bytes of one descriptor may be on their way to the protocol before its reader
    /// stops: at least 4096, by default 1 MiB. It also stops while less than 4096 bytes are left of it, lest
    /// it cut a packet of a pipe in packet mode. [`Fd::window`] sets it for one descriptor.
    #[must_use = "a command is changed by value: `command = command.window(..)`"]
    pub fn window(self, bytes: usize) -> Self {
        self.edit(|spec| spec.window = bytes)
    }
}

impl From<&Self> for Command {
    /// A clone: whatever takes a command takes a reference to one.
    fn from(command: &Self) -> Self {
        command.clone()
    }
}
