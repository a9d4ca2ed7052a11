//! What an errno of execve leaves open: a look at the file tells the rest.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::libc;
use nix::unistd::{AccessFlags, access};

use crate::spec::Spec;
use crate::sys::strings::Strings;

/// Why none of `candidates` could be executed; empty when the errno says it all. May block, and
/// may see another file than the exec did.
pub(crate) fn exec_failure(spec: &Spec, candidates: &Strings, path: &OsStr, errno: i32) -> String {
    let in_path = !spec.program.as_bytes().contains(&b'/');
    let files = candidates.iter().map(|c| {
        let file = Path::new(OsStr::from_bytes(c.to_bytes()));
        // Relative to where the child was when it exec'd.
        match &spec.current_dir {
            Some(dir) => dir.join(file),
            None => file.to_owned(),
        }
    });
    let found = files
        .into_iter()
        .find(|file| file.symlink_metadata().is_ok());
    match (errno, found) {
        (libc::ENOENT | libc::ENOTDIR, None) if in_path => {
            format!("not found in PATH ({})", path.to_string_lossy())
        }
        (libc::ENOENT | libc::ENOTDIR, Some(file)) => missing_part(&file),
        (libc::EACCES, Some(file)) => refused(&file),
        (libc::ENOEXEC, Some(file)) => format!("{} has no known format", file.display()),
        (libc::E2BIG, _) => "arguments and environment are too long".to_owned(),
        _ => String::new(),
    }
}

/// The file is there, and yet something was not.
fn missing_part(file: &Path) -> String {
    if !file.exists() {
        return format!("{} is a dangling link", file.display());
    }
    match interpreter(file) {
        Some(interpreter) => format!(
            "the interpreter of {}, {}, is missing",
            file.display(),
            interpreter.display()
        ),
        None => format!("the loader of {} is missing", file.display()),
    }
}

fn refused(file: &Path) -> String {
    let what = if file.is_dir() {
        "is a directory"
    } else if access(file, AccessFlags::X_OK).is_err() {
        "is not executable"
    } else {
        match interpreter(file) {
            Some(interpreter) => {
                return format!(
                    "{} or its interpreter, {}, may not be executed",
                    file.display(),
                    interpreter.display()
                );
            }
            None => "may not be executed",
        }
    };
    format!("{} {what}", file.display())
}

/// What the file's `#!` line names.
fn interpreter(file: &Path) -> Option<PathBuf> {
    // Opening anything else could block or have effects.
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return None;
    }
    let mut start = Vec::new();
    // The kernel reads no further either (BINPRM_BUF_SIZE).
    File::open(file)
        .ok()?
        .take(256)
        .read_to_end(&mut start)
        .ok()?;
    let line = start
        .strip_prefix(b"#!")?
        .split(|byte| *byte == b'\n')
        .next()?;
    let name = line.trim_ascii().split(u8::is_ascii_whitespace).next()?;
    Some(PathBuf::from(OsStr::from_bytes(name)))
}
