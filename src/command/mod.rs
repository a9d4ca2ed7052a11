//! The builder of a child.

pub(crate) mod arbiter;
pub(crate) mod containment;
mod fd_file;
mod fd_from;
pub(crate) mod fd_map;
mod fd_tail;
mod getters;
pub(crate) mod group;
mod life;
pub(crate) mod listen_fds;
pub(crate) mod name;
pub(crate) mod pty;
mod rights;
pub(crate) mod spec;
pub(crate) mod taken_fds;

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use crate::command::fd_map::{Fd, FdMap};
use crate::command::name::ChildName;
use crate::command::pty::Pty;
use crate::command::spec::{DEFAULT_WINDOW, Spec};
use crate::port::kept::Keep;

/// Describes a child to be spawned, by the names of [`std::process::Command`] where std has the same thing.
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
    /// [`current_dir`](Self::current_dir). An empty element of PATH (`:/usr/bin`) means that directory too: do not use one
    /// where other users may write to the directory. An element that cannot hold the program (it is too long, no directory, or
    /// on a file system that does not answer) does not end the search. No shell takes part, not even for a script without
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

    /// Adds one argument. The child gets it as it is: no shell splits or expands it.
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

    /// What the child is called in this program: in [`ProcessHandle::name`](crate::ProcessHandle::name),
    /// [`List`](crate::supervisor::List), lines of the log and [`SpawnError`](crate::SpawnError)s. Without a name these
    /// show the program. The child does not see its name; many children may have the same name.
    ///
    /// A name is 1 to 128 bytes that print. A spawn with an empty or longer name, or with control characters, line
    /// separators or marks of direction in it, fails at [`SpawnStep::Invalid`](crate::SpawnStep::Invalid).
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

    /// The child's zeroth argument, in place of the program as given.
    #[must_use = "a command is changed by value: `command = command.arg0(..)`"]
    pub fn arg0(self, arg0: impl AsRef<OsStr>) -> Self {
        self.edit(|spec| spec.arg0 = Some(arg0.as_ref().to_owned()))
    }

    /// Sets one environment variable. A `key` that is empty, or has a `=` or a NUL byte, fails the spawn at
    /// [`SpawnStep::Invalid`](crate::SpawnStep::Invalid).
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

    /// Removes one environment variable, so that the child does not inherit it.
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

    /// Puts the child into process group `group`; 0 makes a new one that the child leads. A negative number
    /// fails the spawn at [`SpawnStep::Invalid`](crate::SpawnStep::Invalid).
    ///
    /// Without this option a spawned child stays in the parent's group, so that a terminal's Ctrl-C reaches it. The child of
    /// [`open`](Self::open) and [`stream`](Self::stream) leads a group of its own; for [`output`](Self::output) and the other
    /// helpers see [`Collect::own_group`](crate::Collect::own_group). What ends a child that leads a group ends the whole
    /// group: [`stop`](crate::ProcessHandle::stop), [`terminate_group`](crate::ProcessHandle::terminate_group),
    /// [`OnOrphaned`](crate::OnOrphaned), [`Shutdown`](crate::supervisor::Shutdown), and [`on_leftovers`](Self::on_leftovers).
    #[must_use = "a command is changed by value: `command = command.process_group(..)`"]
    pub fn process_group(self, group: i32) -> Self {
        self.edit(|spec| spec.process_group = Some(group))
    }

    /// Whether the child leads a session of its own, and so a process group, without a terminal; false unless
    /// set. Excludes [`process_group`](Self::process_group).
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

    /// Sets the child's descriptor `n`, in place of what the command has there. A negative `n` fails the spawn
    /// at [`SpawnStep::Invalid`](crate::SpawnStep::Invalid).
    #[must_use = "a command is changed by value: `command = command.fd(..)`"]
    pub fn fd(self, n: i32, fd: impl Into<Fd>) -> Self {
        let fd = fd.into();
        self.edit(|spec| {
            spec.fds.put(n, fd);
            spec.named.push(n);
        })
    }

    /// All of the child's descriptors. A number that `map` does not name is closed in the child, 0, 1 and 2 too.
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
    /// [`Pty::stream`]), with the terminal's echo and its CR LF; set [`stderr`](Self::stderr) to keep standard error apart.
    /// What this program writes to 0 is typed: Ctrl-C (`\x03`), Ctrl-\ (`\x1c`) and Ctrl-D (`\x04`) act as at a
    /// keyboard. Further descriptors are as without a terminal.
    ///
    /// Unless the terminal is [`raw`](Pty::raw), the kernel keeps at most 4,095 bytes of a line and its end. It drops what is
    /// typed beyond that before the end of the line, without an error.
    ///
    /// When all processes have closed the terminal, everything that was written before is delivered, and then 0 and 1 are
    /// reported closed ([`CloseReason::ByChild`](crate::CloseReason::ByChild)). The terminal
    /// itself lives until the child is reaped, so that a child which closed it and works on is not
    /// hung up. If such a child opens the terminal again, what it writes there is lost.
    /// [`lose_connection`](crate::ProcessHandle::lose_connection) hangs the terminal up, and so does the loss
    /// of an owner, whatever the [`on_orphaned`](Self::on_orphaned) is.
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

    /// Nobody else has the child's handle: one that nobody takes kills it.
    pub(crate) fn killed_if_untaken(self) -> Self {
        self.edit(|spec| spec.kill_untaken = true)
    }

    /// Whoever keeps it warns of its end, once for all that are kept.
    pub(crate) fn orphaned_quietly(self) -> Self {
        self.edit(|spec| spec.is_quiet_orphan = true)
    }

    /// What a terminal of the child shows is a stream.
    pub(crate) fn streamed(self) -> Self {
        self.edit(|spec| {
            if let Some(pty) = &mut spec.pty {
                pty.stream = true;
            }
        })
    }

    /// For a child whose output is collected: it is killed if nobody takes its handle, and so much is kept of a terminal's
    /// output.
    pub(crate) fn collected(self, terminal: Option<Keep>) -> Self {
        self.killed_if_untaken().edit(|spec| {
            if let Some(pty) = &mut spec.pty {
                pty.stream = false;
                pty.kept = terminal;
            }
        })
    }

    /// All of the child's descriptors as they are set now.
    #[must_use]
    pub fn fd_map(&self) -> &FdMap {
        &self.spec.fds
    }
}
