//! A script as a program of `/bin/sh`.
//!
//! What the shell does by itself (`printf`, `read`, `kill`) is one process, as the program that it stands in for.

use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use super::script::{Script, ScriptStep};
use super::stand_in::{StandIn, StandInError};

/// Up to so many bytes are in the script itself; more are in a file, which `cat` writes.
const INLINE: usize = 1024;

/// The longest delay: as good as for ever, and a number that each shell can count to.
const LONGEST: u64 = 1_000_000_000;

/// Each run takes the first number that is free, and writes how many arguments it has, and which. `cat` dies of a signal as the program
/// would.
const BEGIN: &str = r#"
n=0
set -C
until { true >"$d/runs/$n.args"; } 2>/dev/null; do
  [ -e "$d/runs/$n.args" ] || exit 70
  n=$((n + 1))
done
set +C
r=$d/runs/$n
printf '%s\0' "$#" "$@" >|"$r.args"
put() {
  cat "$d/parts/$1" </dev/null >&"$2" 2>/dev/null
  s=$?
  [ $s -le 128 ] || kill -$((s - 128)) $$
}
pause() {
  i=0
  while [ $i -lt "$1" ]; do
    sleep 1 </dev/null >/dev/null 2>&1
    i=$((i + 1))
  done
  sleep "0.$2" </dev/null >/dev/null 2>&1
}
wait_for_line() {
  while IFS= read -r line; do
    printf '%s\n' "$line" >>"$r.stdin"
    [ "$line" != "$1" ] || return 0
  done
  printf '%s' "$line" >>"$r.stdin"
  [ -z "$line" ] || [ "$line" != "$1" ] || return 0
  echo "stand-in: the input ended before the line that was waited for" >&2
  exit 70
}
"#;

/// The text of the program. Longer pieces of bytes are written to the stand-in's files, and its gates are made.
pub(super) fn text(script: &Script, stand_in: &StandIn) -> Result<Vec<u8>, StandInError> {
    let mut text = b"#!/bin/sh\nPATH=/usr/bin:/bin${PATH:+:$PATH}\numask 077\nd=".to_vec();
    text.extend(quoted(stand_in.folder().as_os_str().as_bytes()));
    text.extend(BEGIN.as_bytes());
    for step in &script.steps {
        text.extend(line(step, stand_in)?);
        text.push(b'\n');
    }
    text.extend(b"exit 0\n");
    Ok(text)
}

fn line(step: &ScriptStep, stand_in: &StandIn) -> Result<Vec<u8>, StandInError> {
    let line = match step {
        ScriptStep::Write(_, bytes) if bytes.is_empty() => ":".to_owned(),
        ScriptStep::Write(fd, bytes) if bytes.len() <= INLINE => {
            let mut line = String::from("printf '");
            for byte in bytes {
                // A `String` takes whatever it is given.
                let _ = write!(line, "\\{byte:03o}");
            }
            let _ = write!(line, "' >&{}", checked(*fd)?);
            line
        }
        ScriptStep::Write(fd, bytes) => {
            let fd = checked(*fd)?;
            format!("put {} {fd}", stand_in.write_part(bytes)?)
        }
        ScriptStep::Close(fd) => format!("exec {}>&-", checked(*fd)?),
        ScriptStep::Delay(time) => {
            let most = Duration::from_secs(LONGEST);
            let time = time.min(&most);
            format!("pause {} {:09}", time.as_secs(), time.subsec_nanos())
        }
        ScriptStep::ReadStdin => "cat >>\"$r.stdin\" 2>/dev/null".to_owned(),
        ScriptStep::WaitForLine(line) => {
            if line.contains(['\n', '\0']) {
                return Err(StandInError::Line { line: line.clone() });
            }
            let mut call = b"wait_for_line ".to_vec();
            call.extend(quoted(line.as_bytes()));
            return Ok(call);
        }
        ScriptStep::Gate(name) => {
            format!("read -r _ <\"$d/gates/{}\"", stand_in.make_gate(name)?)
        }
        ScriptStep::Raise(signal) => format!("ulimit -c 0; kill -{} $$", signal.number()),
        ScriptStep::Exit(code) => format!("exit {code}"),
    };
    Ok(line.into_bytes())
}

/// A descriptor that the shell can name.
fn checked(fd: i32) -> Result<i32, StandInError> {
    match fd {
        0..=9 => Ok(fd),
        _ => Err(StandInError::Descriptor { fd }),
    }
}

/// As one word, of which nothing is expanded.
fn quoted(bytes: &[u8]) -> Vec<u8> {
    let mut word = vec![b'\''];
    for byte in bytes {
        match byte {
            b'\'' => word.extend(b"'\\''"),
            byte => word.push(*byte),
        }
    }
    word.push(b'\'');
    word
}
