//! What a stand-in for a program does, step by step.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::shell;
use super::stand_in::{StandIn, StandInError};
use crate::signal::Signal;

/// What a stand-in for a program does when it is run: the steps in their order. [`stand_in`](Self::stand_in) makes the program.
///
/// The program is real: a script of `/bin/sh` with real pipes and a real status. So the code under test spawns it by
/// [`Command::output`](crate::Command::output), [`open`](crate::Command::open), [`stream`](crate::Command::stream) or any other way as
/// it spawns the program that it is written for.
///
/// ```
/// use actix_process::Command;
/// use actix_process::testing::Script;
///
/// /// The code under test.
/// async fn convert(encoder: &Command, sound: &'static str) -> Result<Vec<u8>, String> {
///     let encoded = encoder.clone().args(["-i", "-"]).output().input(sound).await;
///     let encoded = encoded.map_err(|error| error.to_string())?;
///     match encoded.status.success() {
///         true => Ok(encoded.stdout),
///         false => Err(String::from_utf8_lossy(&encoded.stderr).into_owned()),
///     }
/// }
///
/// # actix::System::new().block_on(async {
/// let works = Script::new().read_stdin().stdout("sound").stand_in("ffmpeg")?;
/// assert_eq!(convert(&works.command(), "noise").await?, b"sound");
/// assert_eq!(works.runs()?[0].args, ["-i", "-"]);
/// assert_eq!(works.runs()?[0].stdin, b"noise");
///
/// let fails = Script::new().stdout("half").stderr("oops").exit(1).stand_in("ffmpeg")?;
/// assert_eq!(convert(&fails.command(), "noise").await.unwrap_err(), "oops");
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
///
/// Without [`exit`](Self::exit) the program ends with code 0 after the last step. What is no step is not done: a script without
/// [`read_stdin`](Self::read_stdin) reads nothing. `Debug` shows how many bytes there are, not which.
#[derive(Clone, Default)]
#[must_use = "a script does nothing until it is a stand-in"]
pub struct Script {
    pub(super) steps: Vec<ScriptStep>,
}

#[derive(Clone)]
pub(super) enum ScriptStep {
    Write(i32, Bytes),
    Close(i32),
    Delay(Duration),
    ReadStdin,
    WaitForLine(String),
    Gate(String),
    Raise(Signal),
    Exit(u8),
}

impl Script {
    /// Without a step: a program that ends with code 0 at once.
    pub const fn new() -> Self {
        Self { steps: Vec::new() }
    }

    pub(super) fn step(mut self, step: ScriptStep) -> Self {
        self.steps.push(step);
        self
    }

    /// Writes to its standard output: any bytes, of any length. What is no longer than 1 KiB is one write.
    pub fn stdout(self, bytes: impl Into<Bytes>) -> Self {
        self.write(1, bytes)
    }

    /// Writes to its standard error.
    pub fn stderr(self, bytes: impl Into<Bytes>) -> Self {
        self.write(2, bytes)
    }

    /// Writes to its descriptor `fd`, 0 to 9.
    pub fn write(self, fd: i32, bytes: impl Into<Bytes>) -> Self {
        self.step(ScriptStep::Write(fd, bytes.into()))
    }

    /// Closes its descriptor `fd`, 0 to 9.
    pub fn close(self, fd: i32) -> Self {
        self.step(ScriptStep::Close(fd))
    }

    /// Does nothing for so long. A [gate](Self::gate) says better when a test goes on.
    ///
    /// The script waits by `sleep`, a second at most each time. If the script alone is killed, that process outlives it so long; it has
    /// none of the descriptors 0, 1 and 2.
    pub fn delay(self, time: Duration) -> Self {
        self.step(ScriptStep::Delay(time))
    }

    /// Reads its standard input to the end; [`StandIn::runs`] has it.
    pub fn read_stdin(self) -> Self {
        self.step(ScriptStep::ReadStdin)
    }

    /// Reads lines from its standard input until one is `line`. If the input ends before, the program says so on its standard error and
    /// exits with code 70.
    pub fn wait_for_line(self, line: impl Into<String>) -> Self {
        self.step(ScriptStep::WaitForLine(line.into()))
    }

    /// Waits until the test calls [`StandIn::open_gate`] with this name; for ever if the test never does.
    ///
    /// ```
    /// use actix_process::testing::Script;
    /// use futures::StreamExt;
    ///
    /// # actix::System::new().block_on(async {
    /// let script = Script::new().stdout("loading\n").gate("loaded").stdout("ready\n");
    /// let server = script.stand_in("server")?;
    /// let mut child = server.command().open().await?;
    /// assert_eq!(child.stdout.next().await.unwrap(), "loading\n");
    /// server.open_gate("loaded")?;
    /// assert_eq!(child.stdout.next().await.unwrap(), "ready\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn gate(self, name: impl Into<String>) -> Self {
        self.step(ScriptStep::Gate(name.into()))
    }

    /// Sends itself `signal`; no core is dumped. The script goes on after a signal that does not kill it.
    pub fn raise(self, signal: Signal) -> Self {
        self.step(ScriptStep::Raise(signal))
    }

    /// Exits with `code`. Steps that follow are never done.
    pub fn exit(self, code: u8) -> Self {
        self.step(ScriptStep::Exit(code))
    }

    /// Writes the program, which is called `name`, into a directory of its own.
    ///
    /// # Errors
    ///
    /// [`StandInError::Name`] unless `name` is a file's; [`StandInError::Descriptor`] for a descriptor above 9; [`StandInError::Line`] for a line
    /// to wait for that holds a newline or a NUL; [`StandInError::Io`] where the directory cannot be written.
    pub fn stand_in(&self, name: &str) -> Result<StandIn, StandInError> {
        let stand_in = StandIn::empty(name)?;
        let text = shell::text(self, &stand_in)?;
        stand_in.write_program(&text, 0o700)?;
        Ok(stand_in)
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.steps).finish()
    }
}

impl fmt::Debug for ScriptStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(fd, bytes) => write!(f, "write {} bytes to {fd}", bytes.len()),
            Self::Close(fd) => write!(f, "close {fd}"),
            Self::Delay(time) => write!(f, "delay {time:?}"),
            Self::ReadStdin => f.write_str("read_stdin"),
            Self::WaitForLine(_) => f.write_str("wait_for_line"),
            Self::Gate(name) => write!(f, "gate {name:?}"),
            Self::Raise(signal) => write!(f, "raise {}", signal.number()),
            Self::Exit(code) => write!(f, "exit {code}"),
        }
    }
}
