//! The environment that a child gets.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use crate::command::listen_fds;
use crate::command::spec::Spec;
use crate::error::SpawnError;
use crate::spawn::identity::Account;
use crate::sync::lock;
use crate::sys::listen_pid::ListenPid;
use crate::sys::strings::{HoldsNul, Strings};

/// Where posix_spawnp looks when there is no PATH (glibc's `_CS_PATH`).
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// The variables of a child that gets sockets.
const OF_SOCKETS: [&str; 3] = ["LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID"];

/// Refuses variables that there cannot be.
pub(crate) fn check(spec: &Spec) -> Result<(), SpawnError> {
    for (key, value) in &spec.env {
        let name = key.as_bytes();
        if name.is_empty() || name.contains(&b'=') || name.contains(&0) {
            // What follows the '=' is a value, most likely.
            let name = name.split(|byte| *byte == b'=').next().unwrap_or_default();
            return Err(SpawnError::invalid(
                format!("environment variable {:?}", OsStr::from_bytes(name)),
                "its name is empty or holds '=' or NUL",
            ));
        }
        if let Some(value) = value
            && value.as_bytes().contains(&0)
        {
            return Err(SpawnError::invalid(
                format!("environment variable {key:?}"),
                "holds a NUL",
            ));
        }
    }
    Ok(())
}

/// When a spawn was asked for: it inherits this program's environment as it is at some time later.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EnvGeneration(u64);

static MOMENTS: AtomicU64 = AtomicU64::new(0);

impl EnvGeneration {
    pub(crate) fn now() -> Self {
        Self(MOMENTS.fetch_add(1, Ordering::SeqCst))
    }
}

/// What was last read of this program's own environment, while a spawn uses it, and when.
struct Latest(Mutex<(u64, Weak<Environment>)>);

static LATEST: Latest = Latest(Mutex::new((0, Weak::new())));

impl Latest {
    /// This program's own environment, later than `asked`. So spawns that wait for a thread at the
    /// same time share what one of them reads.
    fn since(&self, asked: EnvGeneration) -> Arc<Environment> {
        let mut latest = lock(&self.0);
        let (read_at, environment) = &*latest;
        if asked.0 < *read_at
            && let Some(environment) = environment.upgrade()
        {
            return environment;
        }
        // Every spawn with a smaller number was asked for by now.
        let read_at = MOMENTS.load(Ordering::SeqCst);
        let mut environment = Environment::new();
        for (key, value) in std::env::vars_os() {
            // It came from strings that end with a NUL, so it holds none.
            let _ = environment.add(&key, &value);
        }
        let environment = Arc::new(environment);
        *latest = (read_at, Arc::downgrade(&environment));
        environment
    }
}

/// An environment for the kernel, and where its PATH leads.
pub(crate) struct Environment {
    strings: Strings,
    path: Option<OsString>,
    /// One more, of a child that gets sockets. This environment is that child's alone then.
    listen_pid: Option<ListenPid>,
}

impl Environment {
    /// The environment of `spec`, which was asked for at `asked`, for a user with this account.
    pub(crate) fn of(
        spec: &Spec,
        account: Option<&Account>,
        asked: EnvGeneration,
    ) -> Result<Arc<Self>, SpawnError> {
        let sockets = listen_fds::sockets(&spec.fds);
        if !spec.env_clear && spec.env.is_empty() && account.is_none() && sockets.is_empty() {
            return Ok(LATEST.since(asked));
        }
        // What is said of the sockets elsewhere is not so.
        let is_ours =
            |key: &OsStr| !sockets.is_empty() && OF_SOCKETS.iter().any(|name| key == *name);
        let mut environment = Self::new();
        if !spec.env_clear {
            let accounts = account.map(Account::variables).into_iter().flatten();
            let accounts = accounts.filter(|(key, _)| !spec.env.contains_key(OsStr::new(key)));
            for (key, value) in accounts.clone() {
                environment.add(key.as_ref(), value)?;
            }
            let said = |key: &OsStr| {
                is_ours(key)
                    || spec.env.contains_key(key)
                    || accounts.clone().any(|(named, _)| key == named)
            };
            for (key, value) in std::env::vars_os().filter(|(key, _)| !said(key)) {
                environment.add(&key, &value)?;
            }
        }
        for (key, value) in &spec.env {
            if let Some(value) = value
                && !is_ours(key)
            {
                environment.add(key, value)?;
            }
        }
        if !sockets.is_empty() {
            let names: Vec<&str> = sockets.iter().map(|(_, name)| &***name).collect();
            let [count, joined] = [sockets.len().to_string(), names.join(":")];
            environment.add("LISTEN_FDS".as_ref(), count.as_ref())?;
            environment.add("LISTEN_FDNAMES".as_ref(), joined.as_ref())?;
            environment.listen_pid = Some(ListenPid::new());
        }
        Ok(Arc::new(environment))
    }

    fn new() -> Self {
        Self {
            // More than most have.
            strings: Strings::with_capacity(64, 4096),
            path: None,
            listen_pid: None,
        }
    }

    fn add(&mut self, key: &OsStr, value: &OsStr) -> Result<(), SpawnError> {
        if self.path.is_none() && key == "PATH" {
            // The first of two is what getenv finds.
            self.path = Some(value.to_owned());
        }
        let parts = [key.as_bytes(), b"=", value.as_bytes()];
        self.strings.push(&parts).map_err(|HoldsNul| {
            SpawnError::invalid(format!("environment variable {key:?}"), "holds a NUL")
        })
    }

    pub(crate) const fn strings(&self) -> &Strings {
        &self.strings
    }

    /// To be added to the strings.
    pub(crate) const fn listen_pid(&self) -> Option<&ListenPid> {
        self.listen_pid.as_ref()
    }

    /// Where a bare program name is looked up.
    pub(crate) fn path(&self) -> &OsStr {
        self.path
            .as_deref()
            .unwrap_or_else(|| DEFAULT_PATH.as_ref())
    }
}

/// Without its strings, and without PATH.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Environment").field(&self.strings).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spawns_that_were_asked_before_share_what_one_reads_and_later_ones_read_anew() {
        let [first, second] = [EnvGeneration::now(), EnvGeneration::now()];
        let latest = Latest(Mutex::default());
        let one = latest.since(first);
        let other = latest.since(second);
        assert!(Arc::ptr_eq(&one, &other));
        let later = latest.since(EnvGeneration::now());
        assert!(!Arc::ptr_eq(&one, &later));
        assert!(one.strings().iter().eq(later.strings().iter()));
    }
}
