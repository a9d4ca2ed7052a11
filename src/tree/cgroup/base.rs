//! Where cgroups for children can be made: below the host's own cgroup, in the hierarchy of version 2.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{AccessFlags, UnlinkatFlags, faccessat, unlinkat};

use super::files::{Version, exists, is_shortage, members_of, read};
use super::name::Host;
use super::sweep::sweep;
use crate::error::{SpawnError, SpawnStep};
use crate::sync::lock;
use crate::sys;

/// A directory in which this host makes cgroups.
#[derive(Debug)]
pub(super) struct Base {
    /// Open, so that neither a chroot nor another mount comes in between.
    pub(super) dir: OwnedFd,
    /// For the child, which has no descriptor of it.
    pub(super) path: PathBuf,
}

/// Why this host makes none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    why: &'static str,
    errno: Option<i32>,
}

impl Refusal {
    const fn new(why: &'static str) -> Self {
        Self { why, errno: None }
    }

    pub(super) fn io(why: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| Self {
            why,
            errno: error.raw_os_error(),
        }
    }

    /// It may be over in a moment, and says nothing of the place.
    pub(super) fn is_shortage(&self) -> bool {
        is_shortage(self.errno)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.why)?;
        match self.errno {
            Some(errno) => write!(f, ": {}", io::Error::from_raw_os_error(errno)),
            None => Ok(()),
        }
    }
}

impl From<Refusal> for SpawnError {
    fn from(Refusal { why, errno }: Refusal) -> Self {
        match errno.map(io::Error::from_raw_os_error) {
            Some(source) => Self::new(SpawnStep::Limits, "cgroup", source).with_detail(why),
            None => Self::limits("cgroup", why),
        }
    }
}

/// What a look found, and in which cgroup this host was then.
type LookUp = (String, Result<Arc<Base>, Refusal>);

static FOUND: Mutex<Option<LookUp>> = Mutex::new(None);

/// The base of this host. One that was found is taken as it is, until [`forget`]; none is looked for
/// again once the host is in another cgroup.
pub(super) fn base() -> Result<Arc<Base>, Refusal> {
    if let Some((_, Ok(base))) = &*lock(&FOUND) {
        return Ok(Arc::clone(base));
    }
    let text = fs::read_to_string("/proc/self/cgroup")
        .map_err(Refusal::io("/proc/self/cgroup cannot be read"))?;
    let own = own_cgroup(&text).ok_or(Refusal::new("there are no cgroups of version 2"))?;
    if let Some((before, Err(refusal))) = &*lock(&FOUND)
        && before == own
    {
        return Err(*refusal);
    }
    // Not under the lock: a look at a path may take long.
    let looked = look(own);
    let mut found = lock(&FOUND);
    match &*found {
        // Another thread was faster.
        Some((_, Ok(base))) => Ok(Arc::clone(base)),
        _ if looked.as_ref().is_err_and(Refusal::is_shortage) => looked,
        _ => {
            *found = Some((own.to_owned(), looked.clone()));
            looked
        }
    }
}

/// The base did not do: it is looked for again.
pub(super) fn forget(base: &Arc<Base>) {
    let mut found = lock(&FOUND);
    if let Some((_, Ok(known))) = &*found
        && Arc::ptr_eq(known, base)
    {
        *found = None;
    }
}

fn look(own: &str) -> Result<Arc<Base>, Refusal> {
    let mounts = fs::read("/proc/self/mountinfo")
        .map_err(Refusal::io("/proc/self/mountinfo cannot be read"))?;
    let mut refused = Refusal::new("no cgroup file system of version 2 is mounted");
    for path in directories(&mounts, own) {
        match try_out(path) {
            Ok(base) => return Ok(Arc::new(base)),
            Err(refusal) if refusal.is_shortage() => return Err(refusal),
            Err(refusal) => refused = refusal,
        }
    }
    Err(refused)
}

/// Whether cgroups can be made, joined and killed there: one is made.
fn try_out(path: PathBuf) -> Result<Base, Refusal> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let dir = nix::fcntl::open(&path, flags, Mode::empty())
        .map_err(|error| Refusal::io("its own cgroup cannot be opened")(error.into()))?;
    let base = Base {
        dir: sys::io::above_stdio(dir),
        path,
    };
    let version = Version::of(&base.dir).map_err(Refusal::io("its own cgroup's kind"))?;
    if version != Some(Version::Two) {
        return Err(Refusal::new("its own cgroup is not below the mount"));
    }
    let we = std::process::id().cast_signed();
    let members = members_of(&base.dir, Path::new(""));
    let members = members.map_err(Refusal::io("its own cgroup cannot be read"))?;
    if !members.contains(&we) {
        return Err(Refusal::new("its own cgroup is not below the mount"));
    }
    // A process that moves another needs that here, too: the common ancestor.
    let writable = faccessat(
        &base.dir,
        "cgroup.procs",
        AccessFlags::W_OK,
        AtFlags::AT_EACCESS,
    );
    writable.map_err(|error| Refusal::io("its own cgroup is not delegated to it")(error.into()))?;
    let host = Host::this();
    sweep(&base.dir, &base.path, &host);
    let made = base.make(&host);
    let name = made.map_err(Refusal::io("no cgroup can be made in its own"))?;
    let usable = check(&base, &name);
    let _ = base.remove(&name);
    usable.map(|()| base)
}

fn check(base: &Base, name: &Path) -> Result<(), Refusal> {
    let kind = read(&base.dir, name, "cgroup.type").map_err(Refusal::io("cgroup.type"))?;
    if kind.trim_end() != "domain" {
        return Err(Refusal::new("its own cgroup is for threads only"));
    }
    let kills = exists(&base.dir, name, "cgroup.kill");
    if !kills && sys::signal::open_pidfd(std::process::id().cast_signed()).is_err() {
        return Err(Refusal::new("a cgroup cannot be killed"));
    }
    Ok(())
}

impl Base {
    /// Makes a cgroup that nobody else has; gives its name.
    pub(super) fn make(&self, host: &Host) -> io::Result<PathBuf> {
        /// Names that somebody else has taken are passed over: so many at most.
        const TRIES: usize = 1000;
        for _ in 0..TRIES {
            let name = PathBuf::from(host.next_name());
            match mkdirat(&self.dir, &name, Mode::from_bits_truncate(0o755)) {
                Ok(()) => return Ok(name),
                Err(nix::errno::Errno::EEXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Removes an empty one.
    pub(super) fn remove(&self, name: &Path) -> io::Result<()> {
        unlinkat(&self.dir, name, UnlinkatFlags::RemoveDir)?;
        Ok(())
    }
}

/// This process's cgroup in the hierarchy of version 2.
pub(super) fn own_cgroup(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("0::"))
}

/// The directories that `own` may be, one a mount.
fn directories<'a>(mountinfo: &'a [u8], own: &'a str) -> impl Iterator<Item = PathBuf> + 'a {
    let lines = mountinfo.split(|byte| *byte == b'\n');
    lines.filter_map(move |line| {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let dash = fields.iter().position(|field| *field == b"-")?;
        if *fields.get(dash + 1)? != b"cgroup2" {
            return None;
        }
        let (root, mount) = (unescape(fields.get(3)?), unescape(fields.get(4)?));
        // Above what the mount, or this process, sees of the hierarchy.
        let above = |path: &Path| path.components().any(|part| part.as_os_str() == "..");
        let below = Path::new(own).strip_prefix(&root).ok()?;
        (!above(&root) && !above(below)).then(|| mount.join(below))
    })
}

/// mountinfo writes blanks, tabs, newlines and backslashes as octal numbers.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let octal = match (first, after) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..]) => {
                Some((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'))
            }
            _ => None,
        };
        bytes.push(octal.unwrap_or(*first));
        rest = after
            .get(if octal.is_some() { 3 } else { 0 }..)
            .unwrap_or(&[]);
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_cgroup_is_the_line_of_version_2() {
        assert_eq!(own_cgroup("0::/\n"), Some("/"));
        let hybrid = "4:memory:/a/b\n1:name=systemd:/c\n0::/user.slice/x y\n";
        assert_eq!(own_cgroup(hybrid), Some("/user.slice/x y"));
        assert_eq!(own_cgroup("4:memory:/a/b\n"), None);
    }

    #[test]
    fn its_directory_is_below_the_mount() {
        let of = |mounts: &str, own: &str| {
            let found: Vec<_> = directories(mounts.as_bytes(), own).collect();
            found
        };
        let usual = "24 1 8:1 / / rw - ext4 /dev/root rw\n\
            30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(of(usual, "/a/b"), [Path::new("/sys/fs/cgroup/a/b")]);
        assert_eq!(of(usual, "/"), [Path::new("/sys/fs/cgroup")]);
        // Outside of the cgroup namespace.
        assert_eq!(of(usual, "/../c"), [] as [&Path; 0]);
        let part = "30 24 0:26 /docker/7 /my\\040cgroups\\134 ro - cgroup2 none rw\n";
        assert_eq!(of(part, "/docker/7/x"), [Path::new("/my cgroups\\/x")]);
        assert_eq!(of(part, "/docker/77"), [] as [&Path; 0]);
        let version_1 = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\n- -\n";
        assert_eq!(of(version_1, "/"), [] as [&Path; 0]);
    }
}
