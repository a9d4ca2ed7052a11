//! What an errno of execve leaves open: a look at the files tells the rest.
//!
//! What is looked at is somebody else's, and may have changed since the exec. So nothing is opened
//! that is no regular file, whatever takes its place meanwhile, and nothing is claimed that was not
//! seen. A dead mount may hold up the look as it may hold up the exec before it: it costs the one
//! spawner thread that an exec that hangs costs.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::{AccessFlags, faccessat};

use crate::command::spec::Spec;
use crate::sys::strings::Strings;
use crate::text::Escaped;

/// Why an exec failed, as far as it is known; empty when the errno says it all.
#[derive(Debug, Default)]
pub(crate) struct Explanation {
    /// For everybody: without anything that PATH holds.
    pub(crate) text: String,
    /// For callers of `SpawnError::detail`.
    pub(crate) detail: String,
}

impl Explanation {
    fn plain(text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            detail: text.clone(),
            text,
        }
    }
}

/// Why none of `candidates`, which are those in `path` for a bare name, could be executed.
pub(crate) fn exec_failure(
    spec: &Spec,
    candidates: &Strings,
    path: &OsStr,
    errno: i32,
) -> Explanation {
    let errno = Errno::from_raw(errno);
    if errno == Errno::E2BIG {
        return Explanation::plain("arguments and environment are too long");
    }
    let files = candidates.iter().map(|candidate| {
        let file = OsStr::from_bytes(candidate.to_bytes());
        let found = if has_other_eyes(spec) {
            FoundFile::unseen()
        } else {
            follow(spec, file)
        };
        (in_dir(spec, file), found)
    });
    if spec.program.as_bytes().contains(&b'/') {
        let mut files = files;
        let text = files.next().and_then(|(file, found)| {
            let why = found.why(errno)?;
            Some(why.of(&shown(file.as_os_str())))
        });
        return Explanation::plain(text.unwrap_or_default());
    }
    of_search(files, path, errno)
}

/// Whether the child sees another file system than this thread, as to rights or as to files. (A
/// cgroup, a session, limits or `no_new_privs` change nothing of it.)
fn has_other_eyes(spec: &Spec) -> bool {
    spec.user.is_some() || spec.uid.is_some() || spec.gid.is_some() || spec.groups.is_some()
}

/// Relative to where the child was when it exec'd.
fn in_dir(spec: &Spec, file: &OsStr) -> PathBuf {
    match &spec.current_dir {
        Some(dir) => dir.join(file),
        None => file.into(),
    }
}

fn of_search(
    files: impl Iterator<Item = (PathBuf, FoundFile)>,
    path: &OsStr,
    errno: Errno,
) -> Explanation {
    let mut all_seen = true;
    let mut odd = String::new();
    for (index, (file, found)) in files.enumerate() {
        let element = format!("element {} of PATH", index + 1);
        let file = shown(file.as_os_str());
        if let Some(why) = found.why(errno) {
            return Explanation {
                text: why.of(&format!("the file in {element}")),
                detail: why.of(&file),
            };
        }
        all_seen &= !matches!(found.end, Look::Unseen);
        match (found.end, found.chain.is_empty()) {
            (Look::Failed(seen), true) if is_absence(seen) => {}
            (Look::Failed(seen), true) if seen == errno => {
                return Explanation {
                    detail: format!("{element} ({file})"),
                    text: element,
                };
            }
            (Look::Failed(seen), true) if odd.is_empty() => {
                odd = format!(", and {element} failed ({seen:?})");
            }
            // The kernel went no further than to the first that is there.
            (Look::Program | Look::Unread | Look::Script(_), _) if !is_absence(errno) => {
                return Explanation {
                    detail: format!("found as {file}"),
                    text: format!("found in {element}"),
                };
            }
            _ => {}
        }
    }
    if !is_absence(errno) {
        return Explanation::default();
    }
    let verb = if all_seen { "not found" } else { "looked for" };
    Explanation {
        text: format!("{verb} in PATH{odd}"),
        detail: format!("{verb} in PATH ({}){odd}", Escaped(&path.to_string_lossy())),
    }
}

/// Whether the errno says that nothing is there.
fn is_absence(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::ENOTDIR)
}

/// A name for a line of text, of bounded length.
fn shown(name: &OsStr) -> String {
    const MOST: usize = 256;
    let name = name.to_string_lossy();
    match name.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", Escaped(name.get(..end).unwrap_or_default())),
        None => Escaped(&name).to_string(),
    }
}

/// What a look at one file gave.
enum Look {
    /// It was not looked at.
    Unseen,
    /// It could not be reached, with this errno.
    Failed(Errno),
    DanglingLink,
    Directory,
    /// A device, a FIFO, a socket.
    Special,
    NotExecutable,
    /// It begins with `#!` and this name.
    Script(OsString),
    /// What else may be executed, as far as was seen.
    Program,
    /// May be executed, but not read.
    Unread,
}

/// A candidate, the interpreters that it leads to, and what the last of them is.
struct FoundFile {
    chain: Vec<OsString>,
    end: Look,
}

/// Looks at a file, and at what its `#!` line names, as far as the kernel follows it.
fn follow(spec: &Spec, file: &OsStr) -> FoundFile {
    const MOST_SCRIPTS: usize = 5;
    let mut chain = Vec::new();
    let mut end = look(&in_dir(spec, file));
    while chain.len() < MOST_SCRIPTS
        && let Look::Script(name) = end
    {
        end = look(&in_dir(spec, &name));
        chain.push(name);
    }
    FoundFile { chain, end }
}

/// Never opens anything but a regular file, and never waits for one that is open elsewhere.
fn look(file: &Path) -> Look {
    // Of these this process has others than the child.
    if [
        "/proc",
        "/dev/fd",
        "/dev/stdin",
        "/dev/stdout",
        "/dev/stderr",
    ]
    .iter()
    .any(|own| file.starts_with(own))
    {
        return Look::Unseen;
    }
    // What is examined, and then read, is this one file, whatever the name leads to by then.
    let held = match open(file, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()) {
        Ok(held) => held,
        Err(Errno::ENOENT) if file.is_symlink() => return Look::DanglingLink,
        Err(errno) => return Look::Failed(errno),
    };
    match fstat(&held).map(|stat| SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT) {
        Ok(SFlag::S_IFREG) => {}
        Ok(SFlag::S_IFDIR) => return Look::Directory,
        Ok(_) => return Look::Special,
        Err(_) => return Look::Unseen,
    }
    let held_path = PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd()));
    // As the exec asks: for the effective ids.
    let asked = faccessat(AT_FDCWD, &held_path, AccessFlags::X_OK, AtFlags::AT_EACCESS);
    if asked == Err(Errno::EACCES) {
        return Look::NotExecutable;
    }
    match first_bytes(&held_path) {
        None => Look::Unread,
        Some(start) => match interpreter(&start) {
            Some(name) => Look::Script(OsString::from_vec(name.to_vec())),
            None => Look::Program,
        },
    }
}

/// As much as the kernel reads (BINPRM_BUF_SIZE; 128 before Linux 5.1), with NULs behind the end.
fn first_bytes(file: &Path) -> Option<[u8; 256]> {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let mut file = std::fs::File::from(open(file, flags, Mode::empty()).ok()?);
    let mut start = [0; 256];
    let mut rest = start.as_mut_slice();
    while !rest.is_empty() {
        match file.read(rest) {
            Ok(0) => break,
            Ok(count) => rest = rest.get_mut(count..)?,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    Some(start)
}

/// What the `#!` line names, by the kernel's rules (`fs/binfmt_script.c`): blanks and tabs surround
/// the name, nothing else does, and a name that may go on behind what was read is none.
fn interpreter(start: &[u8]) -> Option<&[u8]> {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let line = start.strip_prefix(b"#!")?;
    let name = line.get(line.iter().position(|byte| !is_blank(byte))?..)?;
    let end = name
        .iter()
        .position(|byte| is_blank(byte) || matches!(byte, b'\n' | 0))?;
    name.get(..end).filter(|name| !name.is_empty())
}

/// A sentence about a candidate, or about the last interpreter that it leads to.
struct Obstacle<'a> {
    chain: &'a [OsString],
    what: Cow<'static, str>,
}

impl FoundFile {
    const fn unseen() -> Self {
        Self {
            chain: Vec::new(),
            end: Look::Unseen,
        }
    }

    /// What was seen, where it explains `errno`.
    fn why(&self, errno: Errno) -> Option<Obstacle<'_>> {
        let is_interpreter = !self.chain.is_empty();
        let what: Cow<'static, str> = match (&self.end, errno) {
            (Look::Failed(seen), errno)
                if is_interpreter && is_absence(*seen) && is_absence(errno) =>
            {
                "is missing".into()
            }
            (Look::Failed(seen), errno) if is_interpreter && *seen == errno => {
                format!("cannot be reached ({seen:?})").into()
            }
            (Look::DanglingLink, Errno::ENOENT) => "is a dangling link".into(),
            (Look::Program | Look::Unread, Errno::ENOENT) => {
                "is there, but its loader or interpreter may not be".into()
            }
            (Look::Directory, Errno::EACCES) => "is a directory".into(),
            (Look::Special, Errno::EACCES) => "is no regular file".into(),
            (Look::NotExecutable, Errno::EACCES) => "is not executable".into(),
            (Look::Program, Errno::EACCES) => "may not be executed".into(),
            (Look::Unread, Errno::EACCES) => "or its interpreter may not be executed".into(),
            (Look::Unread, Errno::ENOEXEC) => "or its interpreter has no known format".into(),
            (Look::Program, Errno::ENOEXEC) => "has no known format".into(),
            _ => return None,
        };
        Some(Obstacle {
            chain: &self.chain,
            what,
        })
    }
}

impl Obstacle<'_> {
    /// The sentence, with this name for the candidate.
    fn of(&self, candidate: &str) -> String {
        let what = &self.what;
        match self.chain {
            [] => format!("{candidate} {what}"),
            [last] => format!("the interpreter of {candidate}, {}, {what}", shown(last)),
            [.., parent, last] => {
                let (parent, last) = (shown(parent), shown(last));
                format!("the interpreter of {parent}, {last}, {what}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interpreter_is_what_the_kernel_takes_for_it() {
        for (start, name) in [
            (&b"#!/bin/sh\n"[..], Some(&b"/bin/sh"[..])),
            (b"#! \t/bin/sh\t-e -u\n", Some(b"/bin/sh")),
            (b"#!/bin/sh\r\n", Some(b"/bin/sh\r")),
            (b"#!\x0b/bin/sh\x0c -e\n", Some(b"\x0b/bin/sh\x0c")),
            // Behind the end of the file there are NULs.
            (b"#!/bin/sh\0\0", Some(b"/bin/sh")),
            (b"#!/bin/sh", None),
            (b"#! \t\n/bin/sh\n", None),
            (b"#!\n", None),
            (b"#!\0", None),
            (b"#!  ", None),
            (b" #!/bin/sh\n", None),
            (b"", None),
        ] {
            assert_eq!(
                interpreter(start),
                name,
                "{:?}",
                start.escape_ascii().to_string()
            );
        }
    }
}
