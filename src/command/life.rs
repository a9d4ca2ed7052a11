//! How long a child lives, what ends it, and what may wait for what.

use std::time::Duration;

use crate::command::Command;
use crate::command::spec::{OnLeftovers, OnOrphaned};
use crate::ladder::Ladder;

impl Command {
    /// What happens to the child when one of its owners is gone. [`OnOrphaned::Kill`] unless set.
    #[must_use = "a command is changed by value: `command = command.on_orphaned(..)`"]
    pub fn on_orphaned(self, policy: OnOrphaned) -> Self {
        self.edit(|spec| spec.on_orphaned = policy)
    }

    /// Logs at the level debug, in place of warn, that the child is an orphan. For a program that keeps many children and tells of their
    /// end by itself, once for all of them.
    #[must_use = "a command is changed by value: `command = command.orphaned_quietly(..)`"]
    pub fn orphaned_quietly(self) -> Self {
        self.edit(|spec| spec.is_quiet_orphan = true)
    }

    /// Kills the child if nobody takes its handle: if the [`Spawning`](crate::Spawning) is dropped when it is too late to cancel the spawn. Without
    /// this such a child belongs to its protocol, which has been told of it. For a spawn whose handle is the only one that counts, as in
    /// a timeout around it.
    ///
    /// ```
    /// use actix_process::{Command, NoProtocol};
    /// use std::time::Duration;
    ///
    /// # actix::System::new().block_on(async {
    /// let sleep = Command::new("sleep").arg("60").killed_if_untaken();
    /// // Over in time or not: no `sleep` is left behind that nobody has.
    /// let _ = tokio::time::timeout(Duration::from_micros(100), sleep.spawn(NoProtocol)).await.map(|child| child.map(|child| child.kill()));
    /// # });
    /// ```
    #[must_use = "a command is changed by value: `command = command.killed_if_untaken(..)`"]
    pub fn killed_if_untaken(self) -> Self {
        self.edit(|spec| spec.kill_untaken = true)
    }

    /// What happens to the other members of the process group that the child leads when the child has exited.
    /// [`OnLeftovers::Leave`] unless set; [helpers](crate::Collect) such as [`output`](Self::output), [`open`](Self::open) and
    /// [`stream`](Self::stream) kill them.
    ///
    /// If a timeout or a [`stop`](crate::ProcessHandle::stop) is under way, which reaches those members itself, this
    /// policy waits until that is over. It does nothing for a child without a group
    /// ([`process_group`](Self::process_group), [`setsid`](Self::setsid), [`pty`](Self::pty)) or a cgroup.
    #[must_use = "a command is changed by value: `command = command.on_leftovers(..)`"]
    pub fn on_leftovers(self, policy: OnLeftovers) -> Self {
        self.edit(|spec| spec.on_leftovers = Some(policy))
    }

    /// The same, unless the command has a policy already: for the default of a helper.
    pub(crate) fn on_leftovers_unless_set(self, policy: OnLeftovers) -> Self {
        self.edit(|spec| {
            spec.on_leftovers.get_or_insert(policy);
        })
    }

    /// In the parent's group, in place of an earlier setting.
    pub(crate) fn without_process_group(self) -> Self {
        self.edit(|spec| spec.process_group = None)
    }

    /// Stops the child by `ladder` when it has lived for `timeout`, with the group that it leads, or its cgroup: as
    /// [`ProcessHandle::stop`](crate::ProcessHandle::stop) does, without anybody who waits. The time begins with
    /// [`ConnectionMade`](crate::ProcessEvent::ConnectionMade) and ends with the child's exit.
    /// [`ProcessHandle::has_timed_out`](crate::ProcessHandle::has_timed_out) tells whether it was over.
    ///
    /// The [`timeout`](crate::Collect::timeout) of a helper is another one: that bounds the helper's answer, and is an error of it.
    ///
    /// ```
    /// use actix_process::{Command, Ladder, NoProtocol, Signal};
    /// use std::time::Duration;
    ///
    /// # actix::System::new().block_on(async {
    /// let ladder = Ladder::new().term(Duration::from_secs(5)).kill();
    /// let sleep = Command::new("sleep").arg("600").timeout(Duration::from_millis(50), ladder);
    /// let process = sleep.spawn(NoProtocol).await?;
    /// assert_eq!(process.ended().await.signal(), Some(Signal::TERM));
    /// assert!(process.has_timed_out());
    /// # Ok::<(), actix_process::SpawnError>(()) }).unwrap();
    /// ```
    #[must_use = "a command is changed by value: `command = command.timeout(..)`"]
    pub fn timeout(self, timeout: Duration, ladder: Ladder) -> Self {
        self.edit(|spec| spec.timeout = Some((timeout, ladder)))
    }

    /// Closes the pipes that are still open when the child has been dead for `timeout`, also while descendants
    /// that hold them write.
    ///
    /// The clock starts when the child is reaped and the crate has read what the protocol's pipes held at the
    /// reap. So a protocol may be slow with the child's own last words. The clock stands still while a
    /// descriptor is paused. It runs while descendants write, however much, and while the protocol is behind
    /// with what they wrote. At the deadline the crate delivers what the pipes hold, and nothing that is written
    /// later; the pipes close with [`CloseReason::Cut`](crate::CloseReason::Cut), and `ProcessEnded` comes.
    /// Without a timeout, `ProcessEnded` waits for the last descendant that holds a pipe.
    ///
    /// A [stream](crate::Fd::stream) holds up neither the clock nor the cut: see
    /// [`cut_connection`](crate::ProcessHandle::cut_connection).
    ///
    /// ```
    /// use actix_process::Command;
    /// use std::time::Duration;
    ///
    /// # actix::System::new().block_on(async {
    /// // The child exits at once; its own child keeps the pipes for five seconds.
    /// let daemon = Command::new("sh").args(["-c", "echo up; setsid sleep 5 &"]);
    /// let output = daemon.ended_timeout(Duration::from_millis(100)).output().await?;
    /// assert_eq!(output.stdout, b"up\n");
    /// # Ok::<(), actix_process::CollectError>(()) }).unwrap();
    /// ```
    #[must_use = "a command is changed by value: `command = command.ended_timeout(..)`"]
    pub fn ended_timeout(self, timeout: Duration) -> Self {
        self.edit(|spec| spec.ended_timeout = Some(timeout))
    }

    /// How many bytes of one descriptor may be on their way to the protocol before its reader stops: 1 MiB
    /// unless set; fewer than 4096 count as 4096. The reader also stops while less than 4096 bytes of the window
    /// are left, so that it never cuts a packet of a pipe in packet mode. [`Fd::window`](crate::Fd::window) sets it for one
    /// descriptor.
    #[must_use = "a command is changed by value: `command = command.window(..)`"]
    pub fn window(self, bytes: usize) -> Self {
        self.edit(|spec| spec.window = bytes)
    }
}

impl From<&Self> for Command {
    /// A clone: a function that takes an `Into<Command>` takes a reference.
    fn from(command: &Self) -> Self {
        command.clone()
    }
}
