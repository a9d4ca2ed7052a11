//! The text of a run that failed: the program, how it ended, and what it said last.

use std::fmt;

use crate::status::ExitStatus;
use crate::text::Escaped;

/// The most lines, and bytes, of a complaint that a text ends with.
const LINES: usize = 5;
const BYTES: usize = 1024;

/// "`sh` exited with code 3: oops".
pub(crate) struct FailedRun<'a> {
    program: &'a str,
    status: ExitStatus,
    stderr: &'a [u8],
}

impl<'a> FailedRun<'a> {
    /// `stderr`: all of the child's standard error, or the last of it.
    pub(crate) const fn new(program: &'a str, status: ExitStatus, stderr: &'a [u8]) -> Self {
        Self {
            program,
            status,
            stderr,
        }
    }
}

impl fmt::Display for FailedRun<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ", Escaped(self.program))?;
        match self.status {
            ExitStatus::Exited { code, .. } => write!(f, "exited with code {code}")?,
            ExitStatus::Signaled { signal, .. } => match signal.name() {
                Some(name) => write!(f, "was killed by {name}")?,
                None => write!(f, "was killed by signal {}", signal.number())?,
            },
            ExitStatus::StillRunning => f.write_str("is still running")?,
            ExitStatus::Unknown => f.write_str("ended in an unknown way")?,
        }
        f.write_str(&complaint(self.stderr))
    }
}

/// What a child complained of, for the end of a text: its last lines, with what does not print escaped.
pub(crate) fn complaint(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let said = text.trim_end();
    let mut begin = said.len().saturating_sub(BYTES);
    while !said.is_char_boundary(begin) {
        begin += 1;
    }
    let last = said.get(begin..).unwrap_or_default();
    let mut all_lines = last.lines().rev();
    let mut lines: Vec<&str> = all_lines.by_ref().take(LINES).collect();
    let is_all = begin == 0 && all_lines.next().is_none();
    lines.reverse();
    let shown = lines.join("\n");
    match shown.as_str() {
        "" => String::new(),
        all if is_all => format!(": {}", Escaped(all)),
        end => format!(": .. {}", Escaped(end)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::Signal;

    fn text(status: ExitStatus, stderr: &[u8]) -> String {
        FailedRun::new("s\nh", status, stderr).to_string()
    }

    #[test]
    fn it_reads_as_a_sentence() {
        let failed = ExitStatus::from_code(3);
        assert_eq!(text(failed, b"oops\n"), "`s\\nh` exited with code 3: oops");
        assert_eq!(text(failed, b" \n"), "`s\\nh` exited with code 3");
        let killed = ExitStatus::from_signal(Signal::KILL);
        assert_eq!(
            text(killed, b"\x1b[2J"),
            "`s\\nh` was killed by SIGKILL: \\u{1b}[2J"
        );
    }

    #[test]
    fn only_the_last_lines_are_shown_and_what_is_left_out_is_marked() {
        let many: String = (1..=9).map(|n| format!("{n}\n")).collect();
        assert_eq!(complaint(many.as_bytes()), ": .. 5\\n6\\n7\\n8\\n9");
        assert_eq!(complaint(b"1\n2\n3\n4\n5\n"), ": 1\\n2\\n3\\n4\\n5");
        assert_eq!(complaint(b"one\r\ntwo\r\n"), ": one\\ntwo");
        assert_eq!(complaint(b"one\r\ntwo\r\n"), ": one\\ntwo");
        let long = "\u{e9}".repeat(2000);
        let shown = complaint(long.as_bytes());
        assert!(
            shown.len() <= BYTES + 5 && shown.ends_with('\u{e9}'),
            "{}",
            shown.len()
        );
    }
}
