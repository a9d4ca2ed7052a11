//! What a program once did, to be done again where the program is not there.

use std::fmt;
use std::fs;
use std::future::{Future, IntoFuture};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_core::Stream;

use super::recording_text;
use super::script::{Script, ScriptStep};
use crate::command::Command;
use crate::command::fd_map::Fd;
use crate::command::group::{GroupChoice, grouped};
use crate::error::SpawnError;
use crate::event::ProcessEvent;
use crate::signal::Signal;
use crate::status::ExitStatus;

/// What a program wrote to its standard output and error, when, and how it ended. A test replays it on a machine without the program.
///
/// ```
/// use actix_process::Command;
/// use actix_process::testing::Recording;
///
/// # actix::System::new().block_on(async {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("tr.recording");
/// // Once, where the program is there.
/// let upper = Command::new("tr").args(["a-z", "A-Z"]);
/// Recording::of(&upper).input("hello\n").await?.save(&path)?;
///
/// // In each test.
/// let stand_in = Recording::load(&path)?.replay().stand_in("tr")?;
/// let output = stand_in.command().output().input("hello\n").await?;
/// assert_eq!(output.stdout, b"HELLO\n");
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
///
/// It holds what the program wrote, so look through it before it is published. It holds no value of the environment, not the input, and
/// the arguments only [if asked](RecordingOf::keep_args).
///
/// # The file
///
/// UTF-8 text, a line for each thing, in this order; [`save`](Self::save) writes it and [`load`](Self::load) reads it. Times are seconds since
/// the start, with nine digits. Bytes that are not printable ASCII are `\xNN`, a newline `\n`, a backslash `\\`.
///
/// ```text
/// actix-process recording 1
/// program ffmpeg
/// arg -i                      one for each argument, if asked
/// input                       if the program was given an input
/// 0.012000000 2 loading\n     time, descriptor (1 or 2), bytes
/// 1.500000000 1 \xff\xfbsound
/// 1.600000000 exit 0          or: signal 9
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Recording {
    pub(super) program: String,
    pub(super) args: Vec<Vec<u8>>,
    pub(super) has_input: bool,
    pub(super) pieces: Vec<RecordedPiece>,
    pub(super) ended_at: Duration,
    pub(super) end: RecordedEnd,
}

/// What was read at once.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(super) struct RecordedPiece {
    pub(super) at: Duration,
    pub(super) fd: i32,
    pub(super) bytes: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RecordedEnd {
    Exit(u8),
    Signal(Signal),
}

/// Why there is no recording.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// The program was not started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// The program wrote more than [`RecordingOf::limit`], and was killed; or the file is longer than any recording's.
    #[error("more than {limit} bytes")]
    #[non_exhaustive]
    TooMuch {
        /// The limit.
        limit: usize,
    },
    /// Nobody knows how the program ended: see [`ExitStatus::Unknown`].
    #[error("the program ended in an unknown way")]
    UnknownEnd,
    /// The file cannot be read or written.
    #[error("{}: {source}", path.display())]
    #[non_exhaustive]
    Io {
        /// The file.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// The file holds no recording.
    #[error("line {line} of the recording is not {wanted}")]
    #[non_exhaustive]
    Format {
        /// Its number, from 1 on.
        line: usize,
        /// What is expected there.
        wanted: &'static str,
    },
}

impl Recording {
    /// The most that a recording may hold, in bytes that the program wrote; also what it may hold unless [`RecordingOf::limit`] says less.
    pub const MAX: usize = 16 << 20;

    /// No text is longer: of each byte it makes four, and of the smallest piece a line.
    const LONGEST: u64 = 40 * Self::MAX as u64;

    /// Runs `command` to its end and records it, when awaited.
    pub fn of(command: &Command) -> RecordingOf {
        RecordingOf {
            command: command.clone(),
            input: None,
            limit: Self::MAX,
            keep_args: false,
        }
    }

    /// Writes it to a file, which is replaced.
    ///
    /// # Errors
    ///
    /// [`RecordingError::Io`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), RecordingError> {
        let path = path.as_ref();
        fs::write(path, self.to_string()).map_err(|source| RecordingError::Io {
            path: path.to_owned(),
            source,
        })
    }

    /// Reads a file that [`save`](Self::save) has written, or somebody by hand.
    ///
    /// # Errors
    ///
    /// [`RecordingError::Io`], [`RecordingError::TooMuch`], and [`RecordingError::Format`] with the line that is wrong.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, RecordingError> {
        let path = path.as_ref();
        let mut text = Vec::new();
        let read = fs::File::open(path)
            .and_then(|file| file.take(Self::LONGEST + 1).read_to_end(&mut text));
        read.map_err(|source| RecordingError::Io {
            path: path.to_owned(),
            source,
        })?;
        if text.len() as u64 > Self::LONGEST {
            return Err(RecordingError::TooMuch { limit: Self::MAX });
        }
        recording_text::parsed(&text)
    }

    /// All that it does, without the time that it took: for [`Script::stand_in`].
    ///
    /// If the program was given an input, the stand-in reads its input to the end before it says anything.
    pub fn replay(&self) -> Script {
        self.script(false)
    }

    /// The same, as slowly as it was.
    pub fn replay_timed(&self) -> Script {
        self.script(true)
    }

    fn script(&self, timed: bool) -> Script {
        let mut script = Script::new();
        if self.has_input {
            script = script.read_stdin();
        }
        let mut now = Duration::ZERO;
        let mut wait = |script: Script, until: Duration| {
            let delay = until.saturating_sub(now);
            now = now.max(until);
            match timed && !delay.is_zero() {
                true => script.delay(delay),
                false => script,
            }
        };
        for piece in &self.pieces {
            script = wait(script, piece.at).step(ScriptStep::Write(piece.fd, piece.bytes.clone()));
        }
        script = wait(script, self.ended_at);
        match self.end {
            RecordedEnd::Exit(code) => script.exit(code),
            RecordedEnd::Signal(signal) => script.raise(signal),
        }
    }

    /// The program, as its command named it.
    #[must_use]
    pub fn program(&self) -> &str {
        &self.program
    }

    /// How the program ended.
    #[must_use]
    pub fn status(&self) -> ExitStatus {
        match self.end {
            RecordedEnd::Exit(code) => ExitStatus::from_code(code),
            RecordedEnd::Signal(signal) => ExitStatus::from_signal(signal),
        }
    }

    /// All that it wrote to its standard output.
    #[must_use]
    pub fn stdout(&self) -> Vec<u8> {
        self.written_to(1)
    }

    /// All that it wrote to its standard error.
    #[must_use]
    pub fn stderr(&self) -> Vec<u8> {
        self.written_to(2)
    }

    fn written_to(&self, fd: i32) -> Vec<u8> {
        let pieces = self.pieces.iter().filter(|piece| piece.fd == fd);
        pieces.flat_map(|piece| piece.bytes.clone()).collect()
    }
}

/// Of the arguments and of what it wrote only how much they are.
impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording")
            .field("program", &self.program)
            .field("args", &self.args.len())
            .field("pieces", &self.pieces.len())
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

/// A program that is to be recorded, by [`Recording::of`]; `.await` runs it. Dropping the future kills the program and its group.
#[derive(Clone)]
#[must_use = "nothing runs unless it is awaited"]
pub struct RecordingOf {
    command: Command,
    input: Option<Bytes>,
    limit: usize,
    keep_args: bool,
}

impl RecordingOf {
    /// Writes `input` to the program's standard input and closes it. Without this the program reads `/dev/null`, unless the command says
    /// otherwise.
    pub fn input(mut self, input: impl Into<Bytes>) -> Self {
        self.input = Some(input.into());
        self
    }

    /// How many bytes the program may write; [`Recording::MAX`] at most, and unless set. A program that writes more is killed.
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes.min(Recording::MAX);
        self
    }

    /// Keeps the arguments in the recording, for those who read its file. They may be secret.
    pub const fn keep_args(mut self) -> Self {
        self.keep_args = true;
        self
    }

    /// The command with its pipes.
    fn prepared(&self) -> Command {
        let command = self.command.clone();
        let is_ours = command.fd_map().get(0).is_none_or(Fd::is_write);
        let command = match self.input {
            Some(_) => command.stdin(Fd::write()),
            None if is_ours => command.stdin(Fd::null()),
            None => command,
        };
        let piped = [1, 2].into_iter().fold(command, |command, n| {
            match command.fd_map().get(n).is_some_and(Fd::is_read) {
                true => command.fd(n, Fd::read()),
                false => command,
            }
        });
        grouped(piped, GroupChoice::Fitting)
    }

    async fn record(self) -> Result<Recording, RecordingError> {
        let spawning = self.prepared().events();
        let begun = Instant::now();
        let mut events = spawning.await?;
        let process = events.process().clone();
        let has_input = self.input.is_some();
        if let Some(input) = self.input {
            // Refused only if the child closed it already, which is no error.
            let _ = process.write(input);
            process.close_stdin();
        }
        let mut pieces = Vec::new();
        let mut left = self.limit;
        let status = loop {
            let next = std::future::poll_fn(|cx| Pin::new(&mut events).poll_next(cx)).await;
            match next {
                Some(ProcessEvent::ChildDataReceived {
                    fd: fd @ (1 | 2),
                    data,
                }) => {
                    let Some(room) = left.checked_sub(data.len()) else {
                        return Err(RecordingError::TooMuch { limit: self.limit });
                    };
                    left = room;
                    pieces.push(RecordedPiece {
                        at: begun.elapsed(),
                        fd,
                        // A slice would hold on to the buffer that it was read into.
                        bytes: Bytes::copy_from_slice(&data),
                    });
                }
                Some(ProcessEvent::ProcessEnded { status }) => break status,
                Some(_) => {}
                None => return Err(RecordingError::UnknownEnd),
            }
        };
        let args: Vec<_> = self.command.get_args().collect();
        let bytes = |arg: &std::ffi::OsStr| arg.as_encoded_bytes().to_vec();
        Ok(Recording {
            program: process.program().to_owned(),
            args: match self.keep_args {
                true => args.into_iter().map(bytes).collect(),
                false => Vec::new(),
            },
            has_input,
            pieces,
            ended_at: begun.elapsed(),
            end: match status {
                ExitStatus::Exited { code, .. } => {
                    RecordedEnd::Exit(u8::try_from(code).map_err(|_| RecordingError::UnknownEnd)?)
                }
                ExitStatus::Signaled { signal, .. } => RecordedEnd::Signal(signal),
                _ => return Err(RecordingError::UnknownEnd),
            },
        })
    }
}

impl IntoFuture for RecordingOf {
    type Output = Result<Recording, RecordingError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.record())
    }
}

/// Of the input only how much it is.
impl fmt::Debug for RecordingOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordingOf")
            .field("command", &self.command)
            .field("input", &self.input.as_ref().map(Bytes::len))
            .finish_non_exhaustive()
    }
}
