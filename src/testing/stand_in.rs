//! A program that stands in for another one in a test, with what it was asked.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::command::Command;
use crate::sync::lock;
use crate::sys;

/// More runs than ever wait at a gate in the moment in which it is opened.
const THROUGH: [u8; 4096] = [b'\n'; 4096];

/// A program on disk that stands in for another one; made by [`Script::stand_in`](super::Script::stand_in), or one that cannot be started.
///
/// Its directory is below [`std::env::temp_dir`] and removed when this is dropped: keep it until its runs have ended. It can be run many
/// times, also at once. Who runs it must be this user, or root.
///
/// - Code that takes a [`Command`] gets [`command`](Self::command).
/// - Code that takes a path gets [`path`](Self::path).
/// - Code that names its program itself finds it by [`search_path`](Self::search_path).
///
/// ```
/// use actix_process::testing::{Script, StandIn};
/// use actix_process::{Command, SpawnStep};
///
/// # actix::System::new().block_on(async {
/// let ffmpeg = Script::new().stdout("v7").stand_in("ffmpeg")?;
/// let version = Command::new("ffmpeg").arg("-version").env("PATH", ffmpeg.search_path());
/// assert_eq!(version.output().await?.stdout, b"v7");
///
/// let missing = StandIn::missing("ffmpeg")?;
/// let error = missing.command().open().await.unwrap_err();
/// assert_eq!(error.step(), SpawnStep::Exec);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
pub struct StandIn {
    /// With `bin`, `parts`, `runs` and `gates`.
    folder: PathBuf,
    name: OsString,
    parts: AtomicU64,
    gates: Mutex<BTreeMap<String, StandInGate>>,
}

struct StandInGate {
    number: usize,
    /// Kept open for writing, so that nobody who comes late waits.
    opened: Option<File>,
}

/// One run of a [`StandIn`].
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Run {
    /// The arguments, without the program's name.
    pub args: Vec<OsString>,
    /// What it has read from its standard input so far.
    pub stdin: Vec<u8>,
}

/// Why there is no stand-in, or why it cannot be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StandInError {
    /// No file has such a name: it is empty, `.` or `..`, or holds a `/` or a NUL.
    #[error("no program can be called {name:?}")]
    #[non_exhaustive]
    Name {
        /// The name.
        name: String,
    },
    /// A line holds no newline and no NUL.
    #[error("{line:?} is not one line")]
    #[non_exhaustive]
    Line {
        /// The text.
        line: String,
    },
    /// A script writes to descriptors 0 to 9.
    #[error("a script has no descriptor {fd}")]
    #[non_exhaustive]
    Descriptor {
        /// The descriptor.
        fd: i32,
    },
    /// No [`gate`](super::Script::gate) of the script has this name.
    #[error("the script has no gate {name:?}")]
    #[non_exhaustive]
    NoGate {
        /// The name.
        name: String,
    },
    /// A file of the stand-in cannot be made or read.
    #[error("{}: {source}", path.display())]
    #[non_exhaustive]
    Io {
        /// The file, or the directory.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
}

/// Names the file in the error.
fn at<T>(path: &Path, result: io::Result<T>) -> Result<T, StandInError> {
    result.map_err(|source| StandInError::Io {
        path: path.to_owned(),
        source,
    })
}

impl StandIn {
    /// A program that is not there: its spawn fails as that of any program that is missing.
    ///
    /// # Errors
    ///
    /// As [`Script::stand_in`](super::Script::stand_in).
    pub fn missing(name: &str) -> Result<Self, StandInError> {
        Self::empty(name)
    }

    /// A file that may not be executed: its spawn fails with EACCES, for root as well.
    ///
    /// # Errors
    ///
    /// As [`Script::stand_in`](super::Script::stand_in).
    pub fn not_executable(name: &str) -> Result<Self, StandInError> {
        let stand_in = Self::empty(name)?;
        stand_in.write_program(b"#!/bin/sh\n", 0o600)?;
        Ok(stand_in)
    }

    /// The directories, without the program.
    pub(super) fn empty(name: &str) -> Result<Self, StandInError> {
        if matches!(name, "" | "." | "..") || name.contains(['/', '\0']) {
            let name = name.to_owned();
            return Err(StandInError::Name { name });
        }
        let stand_in = Self {
            folder: new_folder()?,
            name: name.into(),
            parts: AtomicU64::new(0),
            gates: Mutex::default(),
        };
        for folder in ["bin", "parts", "runs", "gates"] {
            let path = stand_in.folder.join(folder);
            at(&path, DirBuilder::new().mode(0o700).create(&path))?;
        }
        Ok(stand_in)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn write_program(&self, text: &[u8], mode: u32) -> Result<(), StandInError> {
        let path = self.path();
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(mode);
        let write = |mut file: File| file.write_all(text);
        at(&path, options.open(&path).and_then(write))
    }

    /// Writes bytes to a file of their own; gives its name.
    pub(super) fn write_part(&self, bytes: &[u8]) -> Result<String, StandInError> {
        let name = self.parts.fetch_add(1, Ordering::Relaxed).to_string();
        let path = self.folder.join("parts").join(&name);
        at(&path, fs::write(&path, bytes))?;
        Ok(name)
    }

    /// Makes the gate of this name, unless it is there; gives its number.
    pub(super) fn make_gate(&self, name: &str) -> Result<usize, StandInError> {
        let mut gates = lock(&self.gates);
        if let Some(gate) = gates.get(name) {
            return Ok(gate.number);
        }
        let number = gates.len();
        let path = self.gate(number);
        let made = mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR);
        at(&path, made.map_err(io::Error::from))?;
        let opened = None;
        gates.insert(name.to_owned(), StandInGate { number, opened });
        Ok(number)
    }

    fn gate(&self, number: usize) -> PathBuf {
        self.folder.join("gates").join(number.to_string())
    }

    /// Lets the runs go on that wait at the [gate](super::Script::gate) of this name, and all that come to it later.
    ///
    /// # Errors
    ///
    /// [`StandInError::NoGate`] and [`StandInError::Io`].
    pub fn open_gate(&self, name: &str) -> Result<(), StandInError> {
        let mut gates = lock(&self.gates);
        let Some(gate) = gates.get_mut(name) else {
            let name = name.to_owned();
            return Err(StandInError::NoGate { name });
        };
        if gate.opened.is_some() {
            return Ok(());
        }
        let path = self.gate(gate.number);
        // Open for both, so that it does not wait for a reader.
        let fifo = OpenOptions::new().read(true).write(true).open(&path);
        let mut fifo = at(&path, fifo)?;
        // Who comes from now on finds a file.
        let file = path.with_extension("open");
        at(&file, fs::write(&file, b"\n"))?;
        at(&path, fs::rename(&file, &path))?;
        at(&path, fifo.write_all(&THROUGH))?;
        gate.opened = Some(fifo);
        Ok(())
    }

    /// The program's file, in a directory that holds nothing else.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.join("bin").join(&self.name)
    }

    /// A command that runs it, without arguments.
    pub fn command(&self) -> Command {
        Command::new(self.path())
    }

    /// A value of PATH by which it is found first, and other programs as before.
    #[must_use]
    pub fn search_path(&self) -> OsString {
        let mut path = self.folder.join("bin").into_os_string();
        if let Some(others) = std::env::var_os("PATH") {
            path.push(":");
            path.push(others);
        }
        path
    }

    /// Its runs so far, in the order in which they began.
    ///
    /// # Errors
    ///
    /// [`StandInError::Io`] where their files cannot be read.
    pub fn runs(&self) -> Result<Vec<Run>, StandInError> {
        let mut runs = Vec::new();
        for number in 0_u64.. {
            let file = |ending| self.folder.join("runs").join(format!("{number}.{ending}"));
            let Some(args) = read(&file("args"))? else {
                break;
            };
            // `None` where it has only just begun.
            if let Some(args) = parsed(&args) {
                let stdin = read(&file("stdin"))?.unwrap_or_default();
                runs.push(Run { args, stdin });
            }
        }
        Ok(runs)
    }
}

/// A new directory that nobody else can read.
fn new_folder() -> Result<PathBuf, StandInError> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("actix-process-stand-in-{}-{number}", process::id());
        let path = std::env::temp_dir().join(name);
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            // Left by a process that had our pid.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(StandInError::Io { path, source }),
        }
    }
}

/// The file's content, if it is there.
fn read(path: &Path) -> Result<Option<Vec<u8>>, StandInError> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => at(path, read.map(Some)),
    }
}

/// A count and as many arguments, each with a NUL; `None` if they are not all there.
fn parsed(text: &[u8]) -> Option<Vec<OsString>> {
    let mut words: Vec<&[u8]> = text.split(|byte| *byte == 0).collect();
    // What comes after the last NUL.
    words.pop()?;
    let (count, args) = words.split_first()?;
    let count: usize = str::from_utf8(count).ok()?.parse().ok()?;
    let owned = |arg: &&[u8]| OsString::from_vec(arg.to_vec());
    (args.len() == count).then(|| args.iter().map(owned).collect())
}

impl Drop for StandIn {
    fn drop(&mut self) {
        // In a copy of the process the directory is the parent's.
        if sys::copy::is_copy() {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            log::debug!("cannot remove {}: {error}", self.folder.display());
        }
    }
}

impl fmt::Debug for StandIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StandIn").field(&self.path()).finish()
    }
}

/// It is for the test that asserts it.
impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("args", &self.args)
            .field("stdin", &OsStr::from_bytes(&self.stdin))
            .finish()
    }
}
