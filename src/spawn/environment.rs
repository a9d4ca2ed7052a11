//! The environment that a child gets.

use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr, OsString};
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
    /// What comes first: this program's own, as it is.
    own: Option<Arc<Self>>,
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
        if !spec.env_clear && account.is_none() && sockets.is_empty() {
            let own = LATEST.since(asked);
            if own.has_none_of(&spec.env) {
                return Self::with_more(own, &spec.env).map(Arc::new);
            }
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

    /// Whether all of these are new variables: none is changed or taken away.
    fn has_none_of(&self, changes: &BTreeMap<OsString, Option<OsString>>) -> bool {
        let is_of = |string: &CStr, name: &OsStr| {
            let rest = string.to_bytes().strip_prefix(name.as_bytes());
            rest.is_some_and(|rest| rest.starts_with(b"="))
        };
        changes.iter().all(|(name, value)| {
            value.is_some() && !self.strings.iter().any(|string| is_of(string, name))
        })
    }

    /// `own` with these variables.
    fn with_more(
        own: Arc<Self>,
        changes: &BTreeMap<OsString, Option<OsString>>,
    ) -> Result<Self, SpawnError> {
        let mut environment = Self {
            own: Some(own),
            strings: Strings::default(),
            path: None,
            listen_pid: None,
        };
        for (key, value) in changes {
            if let Some(value) = value {
                environment.add(key, value)?;
            }
        }
        Ok(environment)
    }

    fn new() -> Self {
        Self {
            own: None,
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

    /// Two lists: the second follows the first.
    pub(crate) fn strings(&self) -> [&Strings; 2] {
        static NONE: Strings = Strings::new();
        let first = self.own.as_ref().map_or(&NONE, |own| &own.strings);
        [first, &self.strings]
    }

    /// To be added to the strings.
    pub(crate) const fn listen_pid(&self) -> Option<&ListenPid> {
        self.listen_pid.as_ref()
    }

    /// Where a bare program name is looked up.
    pub(crate) fn path(&self) -> &OsStr {
        let own = self.own.as_ref().and_then(|own| own.path.as_deref());
        own.or(self.path.as_deref())
            .unwrap_or_else(|| DEFAULT_PATH.as_ref())
    }
}

/// Without its strings, and without PATH.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Environment").field(&self.strings()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Command;

    #[test]
    fn spawns_that_were_asked_before_share_what_one_reads_and_later_ones_read_anew() {
        let [first, second] = [EnvGeneration::now(), EnvGeneration::now()];
        let latest = Latest(Mutex::default());
        let one = latest.since(first);
        let other = latest.since(second);
        assert!(Arc::ptr_eq(&one, &other));
        let later = latest.since(EnvGeneration::now());
        assert!(!Arc::ptr_eq(&one, &later));
        assert!(one.strings.iter().eq(later.strings.iter()));
    }

    #[test]
    fn what_only_adds_shares_the_rest_and_comes_last() {
        let of = |change: &dyn Fn(Command) -> Command| {
            let command = change(Command::new("true"));
            Environment::of(command.spec(), None, EnvGeneration::now()).unwrap()
        };
        let lines = |environment: &Environment| {
            let both = environment
                .strings()
                .map(|list| list.iter().map(CStr::to_owned));
            both.into_iter().flatten().collect::<Vec<_>>()
        };
        let own = of(&|command| command);
        let (name, value) = std::env::vars_os().next().unwrap();
        let added = of(&|command| {
            command
                .env("ACTIX_PROCESS_B", "2")
                .env("ACTIX_PROCESS_A", "1")
        });
        assert!(added.own.is_some());
        let mut expected = lines(&own);
        expected.extend([
            c"ACTIX_PROCESS_A=1".to_owned(),
            c"ACTIX_PROCESS_B=2".to_owned(),
        ]);
        assert_eq!(lines(&added), expected);
        assert_eq!(added.path(), own.path());
        // A change and a removal share nothing.
        for changed in [
            of(&|command| command.env(&name, "other")),
            of(&|command| command.env_remove(&name)),
            of(&|command| command.env_clear().env(&name, &value)),
        ] {
            assert!(changed.own.is_none());
        }
        // A name that begins as another one does is none of the others.
        let mut longer = name;
        longer.push("_");
        assert!(of(&|command| command.env(&longer, "1")).own.is_some());
    }
}
