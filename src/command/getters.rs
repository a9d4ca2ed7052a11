//! What a command tells of itself, by std's names.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::Command;

impl Command {
    /// The program, as it was given to [`new`](Self::new).
    #[must_use]
    pub fn get_program(&self) -> &OsStr {
        &self.spec.program
    }

    /// The arguments that were added, without the zeroth.
    ///
    /// They may be secret: the crate itself shows none of them.
    ///
    /// ```
    /// use actix_process::Command;
    ///
    /// let echo = Command::new("echo").args(["first", "second"]);
    /// assert_eq!(echo.get_program(), "echo");
    /// assert!(echo.get_args().eq(["first", "second"]));
    /// ```
    #[must_use]
    pub fn get_args(&self) -> impl ExactSizeIterator<Item = &OsStr> {
        self.spec.args.iter().map(OsString::as_os_str)
    }

    /// The variables that were set, with their values, and those that were removed, with `None`; by name.
    /// What the child inherits is not among them.
    ///
    /// The values may be secret: the crate itself shows none of them.
    ///
    /// ```
    /// use actix_process::Command;
    ///
    /// let ls = Command::new("ls").env("TERM", "dumb").env_remove("TZ");
    /// let changes: Vec<_> = ls.get_envs().collect();
    /// assert_eq!(changes, [
    ///     ("TERM".as_ref(), Some("dumb".as_ref())),
    ///     ("TZ".as_ref(), None),
    /// ]);
    /// ```
    #[must_use]
    pub fn get_envs(&self) -> impl ExactSizeIterator<Item = (&OsStr, Option<&OsStr>)> {
        let changes = self.spec.env.iter();
        changes.map(|(name, value)| (name.as_os_str(), value.as_deref()))
    }

    /// The directory that was set by [`current_dir`](Self::current_dir); `None` for the parent's.
    #[must_use]
    pub fn get_current_dir(&self) -> Option<&Path> {
        self.spec.current_dir.as_deref()
    }

    /// The process group that the child joins: 0 if it leads one of its own, by [`process_group`](Self::process_group),
    /// [`setsid`](Self::setsid), a [`pty`](Self::pty) or [`contained`](Self::contained). `None`: it stays in this program's group.
    ///
    /// ```
    /// use actix_process::Command;
    ///
    /// assert_eq!(Command::new("true").get_process_group(), None);
    /// assert_eq!(Command::new("true").setsid(true).get_process_group(), Some(0));
    /// ```
    #[must_use]
    pub fn get_process_group(&self) -> Option<i32> {
        let leads = crate::command::containment::Containment::of(&self.spec, false);
        let own = leads == crate::command::containment::Containment::Group;
        self.spec.process_group.or_else(|| own.then_some(0))
    }

    /// Whether the command says by what the child is held: by [`cgroup`](Self::cgroup), [`contained`](Self::contained) or
    /// [`contained_by_cgroup`](Self::contained_by_cgroup). Whoever runs the commands of others can leave those as they are.
    ///
    /// ```
    /// use actix_process::Command;
    ///
    /// assert!(!Command::new("true").is_contained());
    /// assert!(Command::new("true").contained().is_contained());
    /// ```
    #[must_use]
    pub fn is_contained(&self) -> bool {
        self.spec.cgroup.is_some() || self.spec.contain.is_some()
    }
}
