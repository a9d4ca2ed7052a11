//! Tries a worker of a pool against docs/wire.md, one line a rule, and fails if one fails:
//! `cargo run --example pool_conformance -- COMMAND ARGS...`, as in
//! `cargo run --example pool_conformance -- python3 examples/workers/worker.py`.
//!
//! The worker knows the jobs of docs/wire.md, "What the conformance test asks". Each answer may take ten seconds, and the start
//! a minute beyond the last progress; `--within SECONDS` before the command says otherwise of both.

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use actix_process::{Bytes, Command, ExitStatus, Fd, FdSink, FdStream, Opened};
use futures::{SinkExt, StreamExt};
use tokio::time::timeout;

const JOB: u8 = 1;
const CHUNK: u8 = 2;
const END: u8 = 3;
const ERROR: u8 = 4;
const CANCEL: u8 = 5;
const READY: u8 = 6;
const PROGRESS: u8 = 7;
const PING: u8 = 8;
const PONG: u8 = 9;
const BACK: u8 = 10;
const NAMES: [&str; 11] = [
    "?", "job", "chunk", "end", "error", "cancel", "ready", "progress", "ping", "pong", "back",
];
/// The most bytes of a frame's body.
const MAX: usize = 8 << 20;

/// How long the start, and each step after it, may take.
const START: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_secs(10);

/// What was seen that breaks the rule.
type Outcome = Result<(), String>;
type Rule = for<'a> fn(&'a mut Talk) -> Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// A worker that is ready, and what has come from it.
struct Talk {
    process: Opened,
    jobs: FdSink,
    answers: FdStream,
    arrived: Vec<u8>,
    /// The job that was sent last.
    id: u64,
    within: Duration,
    /// 3 was not closed.
    is_open: bool,
    /// It says that it takes jobs ahead.
    takes_ahead: bool,
}

/// A frame, shortly.
fn shown((kind, id, body): &(u8, u64, Vec<u8>)) -> String {
    let name = NAMES.get(usize::from(*kind)).unwrap_or(&"?");
    let text = String::from_utf8_lossy(body.get(..40).unwrap_or(body));
    format!("{name} {id} of {} bytes: {text:?}", body.len())
}

fn frame(kind: u8, id: u64, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(9 + body.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &[kind], &id.to_be_bytes(), body].concat()
}

impl Talk {
    /// Starts the worker and waits until it is ready.
    async fn start(command: &Command, within: Option<Duration>) -> Result<Self, String> {
        let command = command.clone().stdin(Fd::null());
        let command = command.stdout(Fd::tail(1000)).stderr(Fd::tail(1000));
        let command = command.fd(3, Fd::write()).fd(4, Fd::stream());
        let process = command.open().await.map_err(|error| error.to_string())?;
        let jobs = process.process.sink(3).map_err(|error| error.to_string())?;
        let answers = process.process.take_stream(4);
        let mut talk = Self {
            jobs,
            answers: answers.map_err(|error| error.to_string())?,
            process,
            arrived: Vec::new(),
            id: 0,
            is_open: true,
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

    async fn send(&mut self, kind: u8, id: u64, body: &[u8]) -> Outcome {
        self.write(frame(kind, id, body)).await
    }

    async fn write(&mut self, bytes: Vec<u8>) -> Outcome {
        match timeout(self.within, self.jobs.send(Bytes::from(bytes))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(format!("3 cannot be written: {error}")),
            Err(_) => Err("the worker does not read 3".to_owned()),
        }
    }

    /// Sends a job with a new id.
    async fn job(&mut self, body: &[u8]) -> Outcome {
        self.id += 1;
        self.send(JOB, self.id, body).await
    }

    /// The next frame, or the worker's end.
    async fn next(&mut self) -> Result<Option<(u8, u64, Vec<u8>)>, String> {
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

    async fn frame(&mut self) -> Result<(u8, u64, Vec<u8>), String> {
        let frame = self.next().await?;
        frame.ok_or_else(|| "the worker closed 4".to_owned())
    }

    /// The chunks of the job's answer, and its last frame. Progress of the job is left out.
    async fn answer(&mut self) -> Result<(Vec<Vec<u8>>, u8, Vec<u8>), String> {
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
    async fn echo(&mut self, body: &[u8]) -> Outcome {
        self.job(&[b"echo ", body].concat()).await?;
        let (chunks, kind, last) = self.answer().await?;
        let answer = [chunks.concat(), last].concat();
        match kind == END && answer == body {
            true => Ok(()),
            false => Err(format!("came {}", shown(&(kind, self.id, answer)))),
        }
    }

    async fn expect(&mut self, kind: u8, id: u64, body: &[u8]) -> Outcome {
        let found = self.frame().await?;
        match (found.0, found.1, &found.2[..]) == (kind, id, body) {
            true => Ok(()),
            false => Err(format!("came {}", shown(&found))),
        }
    }

    async fn close(&mut self) -> Outcome {
        self.is_open = false;
        let closed = self.jobs.close().await;
        closed.map_err(|error| error.to_string())
    }

    async fn exit(&mut self) -> Result<ExitStatus, String> {
        let exited = timeout(self.within, self.process.process.exited()).await;
        exited.map_err(|_| "the worker does not exit".to_owned())
    }

    /// Begins the job without an end, until its first chunk has come.
    async fn slow(&mut self) -> Outcome {
        self.job(b"slow").await?;
        match self.frame().await? {
            (CHUNK, id, _) if id == self.id => Ok(()),
            other => Err(format!("came {}", shown(&other))),
        }
    }

    async fn cancel(&mut self) -> Outcome {
        self.send(CANCEL, self.id, b"").await?;
        self.answer().await.map(drop)
    }
}

async fn chunks_in_order(talk: &mut Talk) -> Outcome {
    talk.job(b"chunks 500").await?;
    let (chunks, kind, last) = talk.answer().await?;
    let expected = (1..=500).map(|number| number.to_string().into_bytes());
    match kind == END && last.is_empty() && chunks.iter().cloned().eq(expected) {
        true => Ok(()),
        false => Err(format!(
            "{} chunks came, and {}",
            chunks.len(),
            shown(&(kind, talk.id, last))
        )),
    }
}

async fn an_error(talk: &mut Talk) -> Outcome {
    talk.job("error no such thing: ä".as_bytes()).await?;
    let text = "no such thing: ä".as_bytes();
    talk.expect(ERROR, talk.id, text).await?;
    talk.echo(b"after an error").await
}

async fn a_cancel(talk: &mut Talk) -> Outcome {
    for _ in 0..5 {
        talk.slow().await?;
        talk.cancel().await?;
        talk.echo(b"after a cancel").await?;
    }
    Ok(())
}

async fn a_late_cancel(talk: &mut Talk) -> Outcome {
    talk.echo(b"answered").await?;
    talk.send(CANCEL, talk.id, b"").await?;
    talk.echo(b"after a late cancel").await?;
    talk.slow().await?;
    // Of a job that was answered, while another one is done.
    talk.send(CANCEL, talk.id - 1, b"").await?;
    for _ in 0..3 {
        match talk.frame().await? {
            (CHUNK, id, _) if id == talk.id => {}
            other => return Err(format!("came {}", shown(&other))),
        }
    }
    talk.cancel().await?;
    talk.echo(b"after both").await
}

async fn a_ping_between(talk: &mut Talk) -> Outcome {
    for (id, body) in [(0, &b""[..]), (u64::MAX, b"are you there?")] {
        talk.send(PING, id, body).await?;
        talk.expect(PONG, id, body).await?;
    }
    talk.echo(b"after a ping").await
}

async fn a_ping_during(talk: &mut Talk) -> Outcome {
    talk.slow().await?;
    talk.send(PING, 5, b"busy?").await?;
    loop {
        match talk.frame().await? {
            (CHUNK, id, _) if id == talk.id => {}
            (PONG, 5, body) if body == b"busy?" => break,
            other => return Err(format!("came {}", shown(&other))),
        }
    }
    // Both in one write.
    let both = [frame(PING, 6, b""), frame(CANCEL, talk.id, b"")].concat();
    talk.write(both).await?;
    let (mut pongs, mut ends) = (0, 0);
    while pongs + ends < 2 {
        match talk.frame().await? {
            (CHUNK, id, _) if id == talk.id && ends == 0 => {}
            (PONG, 6, _) => pongs += 1,
            (END | ERROR, id, _) if id == talk.id && ends == 0 => ends += 1,
            other => return Err(format!("came {}", shown(&other))),
        }
    }
    talk.echo(b"after both").await
}

/// Behind a short job, and behind one with many chunks.
async fn ahead(talk: &mut Talk) -> Outcome {
    for first in [&b"echo ahead"[..], b"chunks 500"] {
        let mut runs = talk.id + 1;
        let mut all = frame(JOB, runs, first);
        talk.id += 8;
        for id in runs + 1..=talk.id {
            all.extend(frame(JOB, id, b"echo ahead"));
        }
        // All at once: they are there while it does the first.
        talk.write(all).await?;
        let mut left: Vec<u64> = (runs + 1..=talk.id).collect();
        loop {
            match talk.frame().await? {
                (CHUNK | PROGRESS, id, _) if id == runs => {}
                (END, id, _) if id == runs && left.is_empty() => break,
                (END, id, _) if id == runs => runs = left.remove(0),
                (BACK, id, body) if left.contains(&id) && body.is_empty() => {
                    left.retain(|left| *left != id);
                }
                other => return Err(format!("in job {runs} came {}", shown(&other))),
            }
        }
    }
    Ok(())
}

async fn prints(talk: &mut Talk) -> Outcome {
    talk.job(b"print").await?;
    talk.expect(END, talk.id, b"printed").await?;
    talk.echo(b"after prints").await
}

async fn the_end(talk: &mut Talk) -> Outcome {
    talk.close().await?;
    if let Some(frame) = talk.next().await? {
        return Err(format!("after 3 was closed came {}", shown(&frame)));
    }
    match talk.exit().await? {
        status if status.code() == Some(0) => Ok(()),
        status => Err(status.to_string()),
    }
}

async fn the_end_during_a_job(talk: &mut Talk) -> Outcome {
    talk.slow().await?;
    talk.close().await?;
    // Chunks, and whatever the worker makes of the job.
    while talk.next().await?.is_some() {}
    talk.exit().await.map(drop)
}

/// By name, each a function of a worker that waits for a job.
macro_rules! rules {
    ($($name:literal: $rule:expr,)*) => {
        [$(($name, (|talk| Box::pin($rule(talk))) as Rule),)*]
    };
}

const RULES: [(&str, Rule); 15] = rules! {
    "ready comes first": |_| std::future::ready(Ok(())),
    "0 bytes come back": |talk| Talk::echo(talk, b""),
    "1 byte comes back": |talk| Talk::echo(talk, b"\n"),
    "1 KiB comes back": |talk| Talk::echo(talk, &[0; 1024]),
    "1 MiB comes back": |talk| Talk::echo(talk, &[255; 1 << 20]),
    "chunks come in order": chunks_in_order,
    "an error is one, and the next job is right": an_error,
    "a cancel is answered, and the next job is right": a_cancel,
    "a cancel of an answered job is ignored": a_late_cancel,
    "a ping between jobs is answered": a_ping_between,
    "a ping during a job is answered": a_ping_during,
    "jobs ahead are done in order, or given back": ahead,
    "prints on 1 and 2 harm nothing": prints,
    "exits with 0 when 3 closes, and writes no more": the_end,
    "exits when 3 closes during a job": the_end_during_a_job,
};

/// Prints what came of a rule; whether it holds.
fn holds(name: &str, outcome: &Outcome) -> bool {
    match outcome {
        Ok(()) => println!("ok      {name}"),
        Err(saw) => println!("FAILED  {name}: {saw}"),
    }
    outcome.is_ok()
}

/// Whether all rules hold. A rule that fails, or is about the end, ends the worker; the next rule has a new one.
async fn try_all(command: &Command, within: Option<Duration>) -> bool {
    let (mut all, mut ready) = (true, None);
    for (name, rule) in RULES {
        let mut talk = match ready.take() {
            Some(talk) => talk,
            None => match Talk::start(command, within).await {
                Ok(talk) => talk,
                Err(saw) => return holds("ready comes first", &Err(saw)),
            },
        };
        if name.starts_with("jobs ahead") && !talk.takes_ahead {
            ready = Some(talk);
            continue;
        }
        let tried = async {
            rule(&mut talk).await?;
            if talk.is_open {
                let after = talk.echo(b"and no more").await;
                after.map_err(|saw| format!("{saw}, after it"))?;
            }
            Ok(())
        };
        // Each step has its deadline; this one is for a worker that says something for ever.
        let most = 3 * within.unwrap_or(STEP);
        let outcome = timeout(most, tried).await;
        let outcome = outcome.unwrap_or_else(|_| Err(format!("no end of it after {most:?}")));
        if holds(name, &outcome) {
            ready = talk.is_open.then_some(talk);
            continue;
        }
        all = false;
        if let Some(said) = talk.process.process.tail(2) {
            let said = String::from_utf8_lossy(&said.bytes);
            let last = said.lines().rfind(|line| !line.is_empty());
            let last: String = last.unwrap_or("nothing").chars().take(100).collect();
            println!("        last on 2: {last}");
        }
    }
    all
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1).peekable();
    let mut within = None;
    if args.next_if(|arg| arg == "--within").is_some() {
        let seconds = args.next().and_then(|arg| arg.to_str()?.parse().ok());
        within = seconds.map(Duration::from_secs);
    }
    let Some(program) = args.next() else {
        eprintln!("usage: pool_conformance [--within SECONDS] COMMAND ARGS...");
        return ExitCode::from(2);
    };
    let command = Command::new(program).args(args);
    match try_all(&command, within).await {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
