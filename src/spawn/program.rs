//! What is executed: the paths to try, and the arguments.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;

use crate::command::spec::Spec;
use crate::error::SpawnError;
use crate::sys::strings::{HoldsNul, Strings};

/// The program's arguments, the zeroth included.
pub(crate) fn argv(spec: &Spec) -> Result<Strings, SpawnError> {
    let arg0 = spec.arg0.as_ref().unwrap_or(&spec.program);
    let args = std::iter::once(arg0).chain(&spec.args);
    let length = args.clone().map(|arg| arg.len() + 1).sum();
    let mut argv = Strings::with_capacity(spec.args.len() + 1, length);
    for (index, arg) in args.enumerate() {
        argv.push(&[arg.as_bytes()])
            .map_err(|HoldsNul| holds_nul(format!("argument {index}")))?;
    }
    Ok(argv)
}

pub(crate) fn c_string(text: &OsStr, what: &str) -> Result<CString, SpawnError> {
    CString::new(text.as_bytes()).map_err(|_| holds_nul(what))
}

fn holds_nul(what: impl Into<String>) -> SpawnError {
    SpawnError::invalid(what, "holds a NUL")
}

/// The paths to exec in turn. An empty entry of PATH is the current directory, of the child.
pub(crate) fn candidates(program: &OsStr, path: &OsStr) -> Result<Strings, SpawnError> {
    let what = |HoldsNul| holds_nul("the program");
    let program = program.as_bytes();
    if program.is_empty() {
        return Err(SpawnError::invalid("the program", "is empty"));
    }
    if program.contains(&b'/') {
        let mut candidates = Strings::with_capacity(1, program.len() + 1);
        candidates.push(&[program]).map_err(what)?;
        return Ok(candidates);
    }
    let mut candidates = Strings::default();
    for dir in path.as_bytes().split(|byte| *byte == b':') {
        let dir = if dir.is_empty() { b"." } else { dir };
        candidates.push(&[dir, b"/", program]).map_err(what)?;
    }
    Ok(candidates)
}
