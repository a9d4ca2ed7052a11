//! As which user a child runs, what it may do, and what holds it.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::Command;
use crate::capability::Capability;
use crate::command::spec::Contain;
use crate::limits::{Limit, Resource};
use crate::signal::{IgnoredSignals, Signal};

impl Command {
    /// The user as which the program runs, by name: uid, group and supplementary groups are those of passwd
    /// and group, unless [`gid`](Self::gid) or [`groups`](Self::groups) say otherwise.
    /// Excludes [`uid`](Self::uid). Looked up at the spawn, not on an arbiter.
    ///
    /// HOME, USER, LOGNAME and SHELL become the user's, by passwd, unless the command sets, removes or
    /// [clears](Self::env_clear) them. This option changes no other variable, not PATH either.
    ///
    /// The pipes, and the new terminal, that are made for a child of another user belong to that user, so
    /// that it can open them by name (`/dev/stdout`). A descriptor that the program gives away keeps its owner, an end of
    /// [`Fd::pipe`](crate::Fd::pipe) too.
    #[must_use = "a command is changed by value: `command = command.user(..)`"]
    pub fn user(self, name: impl Into<String>) -> Self {
        self.edit(|spec| spec.user = Some(name.into()))
    }

    /// The user id with which the program runs. Without a [`gid`](Self::gid) the group is the one that passwd
    /// names for that user; a uid that passwd does not have needs a `gid`. The supplementary groups become that
    /// user's, never the parent's. The child's pipes belong to the user, as with [`user`](Self::user); HOME,
    /// USER, LOGNAME and SHELL stay the parent's.
    #[must_use = "a command is changed by value: `command = command.uid(..)`"]
    pub fn uid(self, uid: u32) -> Self {
        self.edit(|spec| spec.uid = Some(uid))
    }

    /// The group id with which the program runs. The supplementary groups become the user's even if
    /// only this is given, see [`groups`](Self::groups).
    #[must_use = "a command is changed by value: `command = command.gid(..)`"]
    pub fn gid(self, gid: u32) -> Self {
        self.edit(|spec| spec.gid = Some(gid))
    }

    /// The supplementary groups of the program; an empty list for none. A parent without
    /// privilege may name those that it has, with the child's own group or without.
    #[must_use = "a command is changed by value: `command = command.groups(..)`"]
    pub fn groups(self, groups: impl IntoIterator<Item = u32>) -> Self {
        self.edit(|spec| spec.groups = Some(groups.into_iter().collect()))
    }

    /// The capabilities that the program has under any [`uid`](Self::uid), and hands on to the programs that it
    /// executes (its ambient set). This process must have each of them.
    ///
    /// Without this option a change of the uid takes all capabilities away, also where this process is not
    /// root and has them as ambient ones itself. Only a program that runs as root has root's.
    ///
    /// ```
    /// use actix_process::{Capability, Command};
    ///
    /// let server = Command::new("server").user("www-data").ambient([Capability::NET_BIND_SERVICE]);
    /// # drop(server);
    /// ```
    #[must_use = "a command is changed by value: `command = command.ambient(..)`"]
    pub fn ambient(self, capabilities: impl IntoIterator<Item = Capability>) -> Self {
        self.edit(|spec| spec.ambient = capabilities.into_iter().collect())
    }

    /// Whether the child changes to [`current_dir`](Self::current_dir) with the parent's ids, before it takes
    /// its own: for a directory that the child's user may not enter.
    #[must_use = "a command is changed by value: `command = command.chdir_as_parent(..)`"]
    pub fn chdir_as_parent(self, as_parent: bool) -> Self {
        self.edit(|spec| spec.chdir_as_parent = as_parent)
    }

    /// The mode bits that files made by the child do not get, 0 to 0o777; others fail the spawn at
    /// [`SpawnStep::Invalid`](crate::SpawnStep::Invalid).
    #[must_use = "a command is changed by value: `command = command.umask(..)`"]
    pub fn umask(self, mask: u32) -> Self {
        self.edit(|spec| spec.umask = Some(mask))
    }

    /// A resource limit: the soft one, which is in force, and the hard one, up to which the child may raise the
    /// soft one. [`UNLIMITED`](crate::UNLIMITED) for none. A soft limit above the hard one fails the spawn at
    /// [`SpawnStep::Invalid`](crate::SpawnStep::Invalid).
    ///
    /// ```
    /// use actix_process::{Command, Resource, UNLIMITED};
    ///
    /// let limited = Command::new("make").rlimit(Resource::Cpu, 60, 120);
    /// let limited = limited.rlimit(Resource::Core, 0, UNLIMITED);
    /// # drop(limited);
    /// ```
    #[must_use = "a command is changed by value: `command = command.rlimit(..)`"]
    pub fn rlimit(self, resource: Resource, soft: u64, hard: u64) -> Self {
        self.edit(|spec| {
            spec.limits.insert(resource, Limit { soft, hard });
        })
    }

    /// The nice value: -20 (most favoured; needs privilege) to 19. Others fail the spawn at
    /// [`SpawnStep::Invalid`](crate::SpawnStep::Invalid).
    #[must_use = "a command is changed by value: `command = command.nice(..)`"]
    pub fn nice(self, nice: i32) -> Self {
        self.edit(|spec| spec.nice = Some(nice))
    }

    /// How readily the kernel kills the child when memory is short: -1000 (never; needs privilege) to 1000
    /// (first of all). Others fail the spawn at [`SpawnStep::Invalid`](crate::SpawnStep::Invalid).
    #[must_use = "a command is changed by value: `command = command.oom_score_adj(..)`"]
    pub fn oom_score_adj(self, adjustment: i32) -> Self {
        self.edit(|spec| spec.oom_score_adj = Some(adjustment))
    }

    /// Whether the child, and all that it runs, can never gain privileges by an exec.
    #[must_use = "a command is changed by value: `command = command.no_new_privs(..)`"]
    pub fn no_new_privs(self, no_new_privs: bool) -> Self {
        self.edit(|spec| spec.no_new_privs = no_new_privs)
    }

    /// The signal that the kernel sends the child when this process dies in any way, also by SIGKILL or
    /// `std::process::exit`. The child may choose another signal, or none; an exec of a set-user-id program
    /// clears it.
    #[must_use = "a command is changed by value: `command = command.parent_death_signal(..)`"]
    pub fn parent_death_signal(self, signal: Signal) -> Self {
        self.edit(|spec| spec.parent_death_signal = Some(signal))
    }

    /// What the child does with the signals that this program ignores. [`IgnoredSignals::Inherit`] unless set;
    /// [`IgnoredSignals::Reset`] on a [`pty`](Self::pty), whose Ctrl-C is the child's own.
    #[must_use = "a command is changed by value: `command = command.ignored_signals(..)`"]
    pub fn ignored_signals(self, policy: IgnoredSignals) -> Self {
        self.edit(|spec| spec.ignored_signals = Some(policy))
    }

    /// The cgroup (version 2) that the child joins before its program runs: its directory, open.
    ///
    /// Everything that the child starts stays in the cgroup, even after it leaves the process group or
    /// session. **The crate takes all processes in the cgroup, and below it, for the child's:** a signal to the child's
    /// [group](crate::ProcessHandle::signal_group) goes to all of them, and **the end of a
    /// [helper](Self::output) kills all of them**, unless [`on_leftovers`](Self::on_leftovers) says
    /// [`Leave`](crate::OnLeftovers::Leave). So children that do not belong together need a cgroup each.
    ///
    /// If the cgroup holds this program itself, or cannot list its members (version 1, or threads only), the child joins it
    /// and the crate signals no process in it; [`containment`](crate::ProcessHandle::containment) tells what else holds the
    /// child. If this program is moved into the cgroup later, a signal goes to all other processes there, one by one.
    ///
    /// A directory that is not a cgroup's fails the spawn with
    /// [`SpawnStep::Limits`](crate::SpawnStep::Limits), before anything in it is opened.
    ///
    /// The crate does not remove the cgroup. Excludes [`contained`](Self::contained), which makes and removes one.
    #[must_use = "a command is changed by value: `command = command.cgroup(..)`"]
    pub fn cgroup(self, directory: OwnedFd) -> Self {
        self.edit(|spec| {
            spec.cgroup = Some(Arc::new(directory));
            spec.cgroup_is_new = false;
        })
    }

    /// The same with a cgroup of version 2 that was made for this child, so that nobody is in it. This program is not
    /// moved there.
    #[cfg(feature = "monitor")]
    pub(crate) fn new_cgroup(self, directory: OwnedFd) -> Self {
        self.edit(|spec| {
            spec.cgroup = Some(Arc::new(directory));
            spec.cgroup_is_new = true;
        })
    }

    /// Holds the child, and all that it starts, by the strongest means that this host has.
    ///
    /// That is a new cgroup (version 2) below the host's own where the host may make one: as root, in a
    /// container with a cgroup of its own, in a systemd service with `Delegate=yes`. Elsewhere it is a process
    /// group, which the child leads, as it does anyhow with [`setsid`](Self::setsid) or a
    /// [`pty`](Self::pty). [`ProcessHandle::containment`](crate::ProcessHandle::containment) tells which, and
    /// [`Containment`](crate::Containment) what each does not hold.
    ///
    /// The cgroup costs this program two descriptors until it is removed, so that the crate can kill what is left in it
    /// also at the limit of descriptors. A spawn that cannot have the two fails.
    ///
    /// The cgroup has no limits of its own, and is removed when the child has exited and no process is left
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
    /// child.kill();
    /// child.ended().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    #[must_use = "a command is changed by value: `command = command.contained(..)`"]
    pub fn contained(self) -> Self {
        self.edit(|spec| spec.contain = Some(Contain::Strongest))
    }

    /// As [`contained`](Self::contained), but by a cgroup or not at all: where this host may make none,
    /// or the child cannot join it, the spawn fails with [`SpawnStep::Limits`](crate::SpawnStep::Limits).
    /// The later of the two calls counts.
    #[must_use = "a command is changed by value: `command = command.contained_by_cgroup(..)`"]
    pub fn contained_by_cgroup(self) -> Self {
        self.edit(|spec| spec.contain = Some(Contain::Cgroup))
    }
}
