//! Whether a command makes sense, before anything is looked up or opened.

use std::ffi::OsStr;
use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::command::Command;
use crate::command::fd_map::{Fd, Kind};
use crate::command::listen_fds;
use crate::command::name::ChildName;
use crate::command::spec::{Contain, Spec};
use crate::error::SpawnError;
use crate::spawn::environment;
use crate::spawn::program::{argv, c_string, candidates};

impl Command {
    /// Whether a spawn would refuse this command as it is, whatever the host has: a NUL, an empty program, a descriptor that is named
    /// twice, options that exclude each other. Looks nothing up and opens nothing.
    ///
    /// For programs that take commands from somewhere and want to tell what is wrong early. A spawn does the same check.
    ///
    /// # Errors
    ///
    /// The error that the spawn would give, of the step [`Invalid`](crate::SpawnStep::Invalid).
    ///
    /// ```
    /// use actix_process::Command;
    ///
    /// assert!(Command::new("cat").check().is_ok());
    /// let error = Command::new("cat").setsid(true).process_group(0).check().unwrap_err();
    /// assert_eq!(error.to_string(), "invalid command: setsid: excludes process_group");
    /// ```
    pub fn check(&self) -> Result<(), SpawnError> {
        let spec = self.spec();
        check(spec)?;
        environment::check(spec)?;
        // The directories of PATH do not matter here.
        candidates(&spec.program, OsStr::new(""))?;
        argv(spec)?;
        if let Some(directory) = &spec.current_dir {
            c_string(directory.as_os_str(), "the current directory")?;
        }
        Ok(())
    }
}

/// Refuses what can be refused by the command alone.
pub(crate) fn check(spec: &Spec) -> Result<(), SpawnError> {
    if let Some(Err(why)) = spec.name.as_ref().map(ChildName::get) {
        return Err(SpawnError::invalid("name", why));
    }
    for (index, (n, fd)) in spec.fds.iter().enumerate() {
        if n < 0 {
            return Err(SpawnError::invalid(format!("fd {n}"), "is negative"));
        }
        if spec.fds.iter().take(index).any(|(before, _)| before == n) {
            return Err(SpawnError::invalid(format!("fd {n}"), "is named twice"));
        }
        check_fd(spec, n, fd)?;
    }
    check_sockets(spec)?;
    if let Some(group) = spec.process_group
        && group < 0
    {
        let subject = format!("process group {group}");
        return Err(SpawnError::invalid(subject, "is negative"));
    }
    excludes(
        "setsid",
        spec.setsid,
        "process_group",
        spec.process_group.is_some(),
    )?;
    excludes(
        "pty",
        spec.pty.is_some(),
        "process_group",
        spec.process_group.is_some(),
    )?;
    let contained = spec.contain.is_some();
    excludes("contained", contained, "cgroup", spec.cgroup.is_some())?;
    // Where there is no cgroup, the child must lead a group of its own.
    excludes(
        "contained",
        spec.contain == Some(Contain::Strongest),
        "process_group",
        spec.process_group.is_some_and(|group| group != 0),
    )?;
    excludes("user", spec.user.is_some(), "uid", spec.uid.is_some())?;
    within("nice", spec.nice, -20..=19)?;
    within("oom_score_adj", spec.oom_score_adj, -1000..=1000)?;
    within("umask", spec.umask, 0..=0o777)?;
    // The kernel takes -1 for "as it is".
    within("uid", spec.uid, 0..=u32::MAX - 1)?;
    within("gid", spec.gid, 0..=u32::MAX - 1)?;
    for (resource, limit) in &spec.limits {
        if limit.soft > limit.hard {
            let subject = format!("rlimit {resource:?}");
            return Err(SpawnError::invalid(
                subject,
                "its soft limit is above the hard one",
            ));
        }
    }
    Ok(())
}

fn check_fd(spec: &Spec, n: i32, fd: &Fd) -> Result<(), SpawnError> {
    let why = if fd.window.is_some() && !fd.is_read() {
        "has a window, but we do not read it"
    } else if fd.window.is_some() && fd.is_tail() {
        "has a window, but nobody waits for its tail"
    } else if fd.socket_name.is_some() && !fd.is_given() {
        "is a socket of listen_fds, but nothing is given"
    } else if matches!(fd.kind, Kind::Lines(0)) {
        "has lines of at most 0 bytes"
    } else if matches!(fd.kind, Kind::Tail(0)) {
        "has a tail of 0 bytes"
    } else if matches!(fd.kind, Kind::SameAs(_)) && spec.fds.original(n).is_none() {
        "is the same as one that is not there, or as itself"
    } else if fd.is_terminal() && spec.pty.is_none() {
        "is a terminal, but the command has none"
    } else if spec.pty.is_some() && n <= 1 && !fd.is_terminal() {
        "is the terminal's, by pty"
    } else {
        return Ok(());
    };
    Err(SpawnError::invalid(format!("fd {n}"), why))
}

/// Those of `listen_fds` must be the first from 3 on.
fn check_sockets(spec: &Spec) -> Result<(), SpawnError> {
    let sockets = listen_fds::sockets(&spec.fds);
    for (expected, (n, name)) in (listen_fds::FIRST..).zip(sockets) {
        if n != expected {
            let why = "is a socket of listen_fds under another number";
            return Err(SpawnError::invalid(format!("fd {n}"), why));
        }
        let is_fit = |byte: u8| matches!(byte, b' '..=b'~') && byte != b':';
        if name.is_empty() || name.len() > 255 || !name.bytes().all(is_fit) {
            return Err(SpawnError::invalid(
                format!("the name of the socket on fd {n}"),
                "is not 1 to 255 printable characters of ASCII without a colon",
            ));
        }
    }
    Ok(())
}

fn excludes(one: &str, has_one: bool, other: &str, has_other: bool) -> Result<(), SpawnError> {
    if has_one && has_other {
        return Err(SpawnError::invalid(one, format!("excludes {other}")));
    }
    Ok(())
}

fn within<T>(what: &str, value: Option<T>, range: RangeInclusive<T>) -> Result<(), SpawnError>
where
    T: PartialOrd + Display,
{
    match value {
        Some(value) if !range.contains(&value) => Err(SpawnError::invalid(
            format!("{what} {value}"),
            format!("is not from {} to {}", range.start(), range.end()),
        )),
        _ => Ok(()),
    }
}
