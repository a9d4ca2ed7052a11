//! A worker and what goes to and fro, as a pool does it.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::time::Duration;

use actix_process::{Command, ExitStatus, Fd, FdStream, Opened};
use futures::StreamExt;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe::Sender;
use tokio::time::timeout;

pub(crate) const JOB: u8 = 1;
pub(crate) const CHUNK: u8 = 2;
pub(crate) const END: u8 = 3;
pub(crate) const ERROR: u8 = 4;
pub(crate) const CANCEL: u8 = 5;
pub(crate) const READY: u8 = 6;
pub(crate) const PROGRESS: u8 = 7;
pub(crate) const PING: u8 = 8;
pub(crate) const PONG: u8 = 9;
pub(crate) const BACK: u8 = 10;
const NAMES: [&str; 11] = [
    "?", "job", "chunk", "end", "error", "cancel", "ready", "progress", "ping", "pong", "back",
];
/// The most bytes of a frame's body.
const MAX: usize = 8 << 20;
/// The bytes of a frame before its body.
pub(crate) const HEAD: usize = 13;
/// The most bytes of a packet.
pub(crate) const MAX_PACKET: usize = 4096;

/// How long the start, and each step after it, may take.
pub(crate) const START: Duration = Duration::from_secs(60);
pub(crate) const STEP: Duration = Duration::from_secs(10);

/// What was seen that breaks the rule.
pub(crate) type Outcome = Result<(), String>;

/// A worker that is ready, and what has come from it.
pub(crate) struct Talk {
    pub(crate) process: Opened,
    /// Gone when it was closed.
    jobs: Option<Sender>,
    answers: FdStream,
    arrived: Vec<u8>,
    /// The job that was sent last.
    pub(crate) id: u64,
    within: Duration,
    /// It says that it takes jobs ahead.
    pub(crate) takes_ahead: bool,
}

/// Takes back what the worker has not read.
pub(crate) struct Taker(File);

impl Taker {
    /// Takes one packet, if one is there.
    pub(crate) fn take(&mut self) -> Result<bool, String> {
        match self.0.read(&mut [0; MAX_PACKET]) {
            Ok(count) => Ok(count > 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(format!("3 cannot be read: {error}")),
        }
    }
}

/// A frame, shortly.
pub(crate) fn shown((kind, id, body): &(u8, u64, Vec<u8>)) -> String {
    let name = NAMES.get(usize::from(*kind)).unwrap_or(&"?");
    let text = String::from_utf8_lossy(body.get(..40).unwrap_or(body));
    format!("{name} {id} of {} bytes: {text:?}", body.len())
}

pub(crate) fn frame(kind: u8, id: u64, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(9 + body.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &[kind], &id.to_be_bytes(), body].concat()
}

impl Talk {
    /// Starts the worker and waits until it is ready.
    pub(crate) async fn start(command: &Command, within: Option<Duration>) -> Result<Self, String> {
        let command = command.clone().stdin(Fd::null());
        let command = command.stdout(Fd::tail(1000)).stderr(Fd::tail(1000));
        // Its own, for the packets.
        let (reader, jobs) = io::pipe().map_err(|error| error.to_string())?;
        let command = command.fd(3, Fd::share(Arc::new(reader.into())));
        let command = command.fd(4, Fd::stream());
        let process = command.open().await.map_err(|error| error.to_string())?;
        let jobs = Sender::from_owned_fd(jobs.into()).map_err(|error| error.to_string())?;
        let answers = process.process.take_stream(4);
        let mut talk = Self {
            jobs: Some(jobs),
            answers: answers.map_err(|error| error.to_string())?,
            process,
            arrived: Vec::new(),
            id: 0,
            takes_ahead: false,
            within: within.unwrap_or(START),
        };
        loop {
            match talk.frame().await? {
                (PROGRESS, 0, text) if text.len() <= 256 => {}
                (READY, 0, body) if matches!(body.first(), Some(1 | 2)) && body.len() <= 129 => {
                    talk.takes_ahead = body.first() == Some(&2);
                    break;
                }
                other => return Err(format!("first came {}", shown(&other))),
            }
        }
        talk.within = within.unwrap_or(STEP);
        Ok(talk)
    }

    pub(crate) async fn send(&mut self, kind: u8, id: u64, body: &[u8]) -> Outcome {
        self.write(frame(kind, id, body)).await
    }

    /// What a pool sends to a worker that takes no jobs ahead, and what is longer than a packet.
    pub(crate) async fn write(&mut self, bytes: Vec<u8>) -> Outcome {
        let within = self.within;
        let jobs = self.jobs(OFlag::empty())?;
        let written = timeout(within, jobs.write_all(&bytes)).await;
        Self::written(written.ok())
    }

    /// As one packet, of which a read that has no room for it loses the rest.
    pub(crate) async fn send_packet(&mut self, kind: u8, id: u64, body: &[u8]) -> Outcome {
        let frame = frame(kind, id, body);
        assert!(frame.len() <= MAX_PACKET);
        let within = self.within;
        let jobs = self.jobs(OFlag::O_DIRECT)?;
        let written = async {
            loop {
                jobs.writable().await?;
                match jobs.try_write(&frame) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    written => return written.map(drop),
                }
            }
        };
        Self::written(timeout(within, written).await.ok())
    }

    /// The pipe, for writes with this flag.
    fn jobs(&mut self, flag: OFlag) -> Result<&mut Sender, String> {
        let jobs = self.jobs.as_mut().ok_or("3 is closed")?;
        let flags = FcntlArg::F_SETFL(OFlag::O_NONBLOCK | flag);
        fcntl(&*jobs, flags).map_err(|error| error.to_string())?;
        Ok(jobs)
    }

    fn written(written: Option<io::Result<()>>) -> Outcome {
        match written {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(format!("3 cannot be written: {error}")),
            None => Err("the worker does not read 3".to_owned()),
        }
    }

    /// Another reader of the pipe, as the pool has one. While it is open the worker's end would be missed by no write.
    pub(crate) fn taker(&self) -> Result<Taker, String> {
        let jobs = self.jobs.as_ref().ok_or("3 is closed")?;
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
        let opened = options.open(format!("/proc/self/fd/{}", jobs.as_raw_fd()));
        let opened = opened.map_err(|error| format!("no other reader of 3: {error}"));
        opened.map(Taker)
    }

    /// Sends a job with a new id.
    pub(crate) async fn job(&mut self, body: &[u8]) -> Outcome {
        self.id += 1;
        self.send(JOB, self.id, body).await
    }

    /// The next frame, or the worker's end.
    pub(crate) async fn next(&mut self) -> Result<Option<(u8, u64, Vec<u8>)>, String> {
        loop {
            if let Some((length, rest)) = self.arrived.split_first_chunk() {
                let length = u32::from_be_bytes(*length) as usize;
                if !(9..=MAX + 9).contains(&length) {
                    return Err(format!("a frame of the length {length}"));
                }
                if let Some((frame, after)) = rest.split_at_checked(length)
                    && let Some((kind, frame)) = frame.split_first()
                    && let Some((id, body)) = frame.split_first_chunk()
                {
                    let frame = (*kind, u64::from_be_bytes(*id), body.to_vec());
                    self.arrived = after.to_vec();
                    return Ok(Some(frame));
                }
            }
            match timeout(self.within, self.answers.next()).await {
                Ok(Some(data)) => self.arrived.extend_from_slice(&data),
                Ok(None) if self.arrived.is_empty() => return Ok(None),
                Ok(None) => return Err(format!("4 closed after half a frame, {:?}", self.arrived)),
                Err(_) if self.arrived.is_empty() => return Err("nothing came in time".to_owned()),
                Err(_) => return Err("half a frame came in time".to_owned()),
            }
        }
    }

    pub(crate) async fn frame(&mut self) -> Result<(u8, u64, Vec<u8>), String> {
        let frame = self.next().await?;
        frame.ok_or_else(|| "the worker closed 4".to_owned())
    }

    /// The chunks of the job's answer, and its last frame. Progress of the job is left out.
    pub(crate) async fn answer(&mut self) -> Result<(Vec<Vec<u8>>, u8, Vec<u8>), String> {
        let mut chunks = Vec::new();
        loop {
            match self.frame().await? {
                (CHUNK, id, body) if id == self.id => chunks.push(body),
                (PROGRESS, id, _) if id == self.id => {}
                (kind @ (END | ERROR), id, body) if id == self.id => {
                    return Ok((chunks, kind, body));
                }
                other => return Err(format!("in job {} came {}", self.id, shown(&other))),
            }
        }
    }

    /// A job whose whole answer is this.
    pub(crate) async fn echo(&mut self, body: &[u8]) -> Outcome {
        self.job(&[b"echo ", body].concat()).await?;
        self.echoed(body).await
    }

    pub(crate) async fn echoed(&mut self, body: &[u8]) -> Outcome {
        let (chunks, kind, last) = self.answer().await?;
        let answer = [chunks.concat(), last].concat();
        match kind == END && answer == body {
            true => Ok(()),
            false => Err(format!("came {}", shown(&(kind, self.id, answer)))),
        }
    }

    pub(crate) async fn expect(&mut self, kind: u8, id: u64, body: &[u8]) -> Outcome {
        let found = self.frame().await?;
        match (found.0, found.1, &found.2[..]) == (kind, id, body) {
            true => Ok(()),
            false => Err(format!("came {}", shown(&found))),
        }
    }

    pub(crate) fn close(&mut self) {
        self.jobs = None;
    }

    pub(crate) fn is_open(&self) -> bool {
        self.jobs.is_some()
    }

    pub(crate) async fn exit(&mut self) -> Result<ExitStatus, String> {
        let exited = timeout(self.within, self.process.process.exited()).await;
        exited.map_err(|_| "the worker does not exit".to_owned())
    }

    /// Begins the job without an end, until its first chunk has come.
    pub(crate) async fn slow(&mut self) -> Outcome {
        self.job(b"slow").await?;
        match self.frame().await? {
            (CHUNK, id, _) if id == self.id => Ok(()),
            other => Err(format!("came {}", shown(&other))),
        }
    }

    pub(crate) async fn cancel(&mut self) -> Outcome {
        self.send(CANCEL, self.id, b"").await?;
        self.answer().await.map(drop)
    }
}
