//! Bytes through pipes: throughput, round trips, lines.

use std::os::fd::AsFd;
use std::time::Instant;

use actix::prelude::*;
use actix_process::{
    Bytes, Command, ExitStatus, Fd, FdMap, ProcessHandle, ProcessProtocol, process_protocol,
};
use futures::{SinkExt, stream};
use nix::fcntl::{FcntlArg, fcntl};
use std::process::Stdio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

use crate::harness::{Bench, MANY, Metric, Scale, Side, Skipped, USUAL, median, p99};
use crate::measure::{apart, cost, pin};
use crate::sides::{Ours, Tokio};
use crate::{crowd, helper, peer};

pub(crate) fn benches() -> Vec<Bench> {
    let stdout = |name, bar, aim, ours, peer| Bench {
        name,
        metrics: vec![Metric::at_least("", "GB/s", bar, aim)],
        rounds: MANY,
        ours,
        peer,
    };
    vec![
        // 1 GB from a child on the other CPU to a protocol actor, against tokio with a buffer of
        // 64 KiB and the pipe as it comes.
        stdout(
            "stdout_cross",
            2.5,
            4.0,
            |scale| stdout_ours(scale, 1),
            |scale| stdout_tokio(scale, 1, None),
        ),
        // The same, tokio's pipe grown by hand to what ours grows to.
        stdout(
            "stdout_cross_equal",
            0.95,
            1.0,
            |scale| stdout_ours(scale, 1),
            |scale| stdout_tokio(scale, 1, Some(256 * 1024)),
        ),
        // The same on one CPU, the pipe as it comes.
        stdout(
            "stdout_same",
            0.90,
            1.0,
            |scale| stdout_ours(scale, 0),
            |scale| stdout_tokio(scale, 0, None),
        ),
        // 300 MB through `cat`, written 64 KiB at a time, every byte compared, against tokio.
        Bench {
            name: "duplex",
            metrics: vec![Metric::at_least("", "GB/s", 0.95, 1.5)],
            rounds: USUAL,
            ours: |scale| Ok(duplex_ours(scale, &CAT)),
            peer: |scale| Ok(duplex_tokio(scale, &CAT, None)),
        },
        // The same with `cat` on the other CPU, both of tokio's pipes grown by hand to what ours grow to.
        Bench {
            name: "duplex_equal",
            metrics: vec![Metric::at_least("", "GB/s", 0.90, 1.0)],
            rounds: USUAL,
            ours: |scale| apart(1).map(|()| duplex_ours(scale, &CAT_APART)),
            peer: |scale| apart(1).map(|()| duplex_tokio(scale, &CAT_APART, Some(256 * 1024))),
        },
        // Round trips of one line through `cat`, all on one CPU, against tokio.
        Bench {
            name: "echo",
            metrics: vec![
                Metric::at_most("p50", "us", 1.30, 1.0),
                Metric::at_most("p99", "us", 1.4, 1.0),
            ],
            rounds: MANY,
            ours: echo_ours,
            peer: echo_tokio,
        },
        // 200 children write 10,000 lines of 100 bytes each; the lines are counted in one protocol
        // actor, against tokio with a task for each child.
        Bench {
            name: "chatty",
            metrics: vec![
                Metric::at_most("wall", "s", 1.0, 0.9),
                Metric::at_most("cpu", "s", 1.20, 1.0),
            ],
            rounds: USUAL,
            ours: chatty_ours,
            peer: chatty_tokio,
        },
    ]
}

/// How much is poured, on which CPU.
fn pour(scale: Scale, cpu: usize) -> Result<(usize, Vec<String>), Skipped> {
    apart(cpu)?;
    let bytes = scale.pick(1_000_000_000, 1_000_000);
    let (cpu, size) = (cpu.to_string(), bytes.to_string());
    let args = ["@on", &cpu, "@pour", &size, "65536"];
    Ok((bytes, helper::args(&args)))
}

fn gigabytes_per_second(bytes: usize, work: impl FnOnce()) -> Vec<f64> {
    vec![bytes as f64 / 1e9 / cost(work).wall]
}

fn stdout_ours(scale: Scale, cpu: usize) -> Result<Side, Skipped> {
    let (bytes, args) = pour(scale, cpu)?;
    let ours = Ours::new();
    Ok(Box::new(move || {
        gigabytes_per_second(bytes, || ours.run(ours_reads(&args, bytes)))
    }))
}

fn stdout_tokio(scale: Scale, cpu: usize, pipe: Option<i32>) -> Result<Side, Skipped> {
    let (bytes, args) = pour(scale, cpu)?;
    let tokio = Tokio::new();
    Ok(Box::new(move || {
        gigabytes_per_second(bytes, || tokio.run(tokio_reads(&args, bytes, pipe)))
    }))
}

async fn ours_reads(args: &[String], bytes: usize) {
    let only_stdout = [(0, Fd::null()), (1, Fd::read()), (2, Fd::inherit(2))];
    let command = Command::new(helper::program())
        .args(args)
        .fds(FdMap::from(only_stdout));
    let totals = crowd::relay(command, 1, 1).await;
    assert_eq!(totals.bytes, bytes);
}

async fn tokio_reads(args: &[String], bytes: usize, pipe: Option<i32>) {
    let mut child = tokio::process::Command::new(helper::program())
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program can be spawned");
    let mut stdout = child.stdout.take().expect("it is piped");
    if let Some(size) = pipe {
        fcntl(stdout.as_fd(), FcntlArg::F_SETPIPE_SZ(size)).expect("there are pipe pages left");
    }
    let mut buffer = vec![0; 64 * 1024];
    let mut count = 0;
    loop {
        match stdout.read(&mut buffer).await.expect("a pipe can be read") {
            0 => break,
            n => count += n,
        }
    }
    child.wait().await.expect("the child can be waited for");
    assert_eq!(count, bytes);
}

/// What goes through `cat`, again and again.
fn sample() -> Bytes {
    let mut state = 1_u32;
    let byte = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    Bytes::from(
        std::iter::repeat_with(byte)
            .take(1 << 20)
            .collect::<Vec<_>>(),
    )
}

/// Compares what comes back with what was sent.
struct Comparison {
    sample: Bytes,
    seen: usize,
}

impl Comparison {
    fn compare(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let rest = &self.sample[self.seen % self.sample.len()..];
            let length = rest.len().min(data.len());
            assert_eq!(rest[..length], data[..length], "after {} bytes", self.seen);
            self.seen += length;
            data = &data[length..];
        }
    }
}

const CAT: [&str; 1] = ["cat"];
/// On CPU 1.
const CAT_APART: [&str; 4] = ["taskset", "-c", "1", "cat"];

fn duplex_ours(scale: Scale, cat: &'static [&str]) -> Side {
    let (sample, pieces) = (sample(), pieces(scale));
    let ours = Ours::new();
    Box::new(move || {
        gigabytes_per_second(pieces * PIECE, || {
            ours.run(ours_duplex(cat, &sample, pieces))
        })
    })
}

fn duplex_tokio(scale: Scale, cat: &'static [&str], pipes: Option<i32>) -> Side {
    let (sample, pieces) = (sample(), pieces(scale));
    let tokio = Tokio::new();
    Box::new(move || {
        gigabytes_per_second(pieces * PIECE, || {
            tokio.run(tokio_duplex(cat, &sample, pieces, pipes))
        })
    })
}

fn pieces(scale: Scale) -> usize {
    scale.pick(300_000_000, 1_000_000) / PIECE
}

const PIECE: usize = 64 * 1024;

/// The piece with this number.
fn piece(sample: &Bytes, number: usize) -> Bytes {
    let begin = number * PIECE % sample.len();
    sample.slice(begin..begin + PIECE)
}

struct Comparing {
    comparison: Comparison,
    ended: Option<oneshot::Sender<usize>>,
}

impl Actor for Comparing {
    type Context = Context<Self>;
}

impl ProcessProtocol for Comparing {
    fn out_received(&mut self, _: &ProcessHandle, data: Bytes, _: &mut Context<Self>) {
        self.comparison.compare(&data);
    }

    fn process_ended(&mut self, _: &ProcessHandle, status: ExitStatus, _: &mut Context<Self>) {
        assert!(status.success(), "{status}");
        if let Some(ended) = self.ended.take() {
            let _ = ended.send(self.comparison.seen);
        }
    }
}
process_protocol!(Comparing);

async fn ours_duplex(cat: &[&str], sample: &Bytes, pieces: usize) {
    let (ended, seen) = oneshot::channel();
    let comparing = Comparing {
        comparison: Comparison {
            sample: sample.clone(),
            seen: 0,
        },
        ended: Some(ended),
    };
    let cat = Command::new(cat[0])
        .args(&cat[1..])
        .spawn(comparing.start())
        .await;
    let mut stdin = cat.expect("cat can be spawned").stdin();
    let mut all = stream::iter((0..pieces).map(|number| Ok(piece(sample, number))));
    stdin.send_all(&mut all).await.expect("cat reads all");
    stdin.close().await.expect("cat reads all");
    assert_eq!(seen.await, Ok(pieces * PIECE));
}

async fn tokio_duplex(cat: &[&str], sample: &Bytes, pieces: usize, pipes: Option<i32>) {
    let args: Vec<String> = cat[1..].iter().map(|arg| (*arg).to_owned()).collect();
    let cat = peer::piped(cat[0], &args).spawn();
    let mut cat = cat.expect("cat can be spawned");
    let mut stdin = cat.stdin.take().expect("it is piped");
    let mut stdout = cat.stdout.take().expect("it is piped");
    let stderr = cat.stderr.take().expect("it is piped");
    if let Some(size) = pipes {
        for pipe in [stdin.as_fd(), stdout.as_fd()] {
            fcntl(pipe, FcntlArg::F_SETPIPE_SZ(size)).expect("there are pipe pages left");
        }
    }
    let write = async move {
        for number in 0..pieces {
            stdin
                .write_all(&piece(sample, number))
                .await
                .expect("cat reads all");
        }
    };
    let mut comparison = Comparison {
        sample: sample.clone(),
        seen: 0,
    };
    let read = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match stdout.read(&mut buffer).await.expect("a pipe can be read") {
                0 => break,
                n => comparison.compare(&buffer[..n]),
            }
        }
    };
    tokio::join!(write, read, peer::drain(stderr));
    cat.wait().await.expect("cat can be waited for");
    assert_eq!(comparison.seen, pieces * PIECE);
}

const LINE: &[u8] = b"a line of thirty-two characters\n";

fn echo_ours(scale: Scale) -> Result<Side, Skipped> {
    pin(0);
    let ours = Ours::new();
    Ok(Box::new(move || {
        quantiles(&ours.run(ours_echo(scale.pick(20_000, 100))))
    }))
}

fn echo_tokio(scale: Scale) -> Result<Side, Skipped> {
    pin(0);
    let tokio = Tokio::new();
    Ok(Box::new(move || {
        quantiles(&tokio.run(tokio_echo(scale.pick(20_000, 100))))
    }))
}

fn quantiles(times: &[f64]) -> Vec<f64> {
    vec![median(times), p99(times)]
}

/// Sends the next line when the last one is back.
struct Echo {
    trips: usize,
    sent: Instant,
    back: usize,
    times: Vec<f64>,
    ended: Option<oneshot::Sender<Vec<f64>>>,
}

impl Echo {
    fn send(&mut self, process: &ProcessHandle) {
        if self.times.len() == self.trips {
            process.close_stdin();
            return;
        }
        self.sent = Instant::now();
        process.write(LINE).expect("cat reads");
    }
}

impl Actor for Echo {
    type Context = Context<Self>;
}

impl ProcessProtocol for Echo {
    fn connection_made(&mut self, process: &ProcessHandle, _: &mut Context<Self>) {
        self.send(process);
    }

    fn out_received(&mut self, process: &ProcessHandle, data: Bytes, _: &mut Context<Self>) {
        self.back += data.len();
        if self.back == LINE.len() {
            self.back = 0;
            self.times.push(self.sent.elapsed().as_secs_f64() * 1e6);
            self.send(process);
        }
    }

    fn process_ended(&mut self, _: &ProcessHandle, _: ExitStatus, _: &mut Context<Self>) {
        if let Some(ended) = self.ended.take() {
            let _ = ended.send(std::mem::take(&mut self.times));
        }
    }
}
process_protocol!(Echo);

async fn ours_echo(trips: usize) -> Vec<f64> {
    let (ended, times) = oneshot::channel();
    let echo = Echo {
        trips,
        sent: Instant::now(),
        back: 0,
        times: Vec::with_capacity(trips),
        ended: Some(ended),
    };
    let cat = Command::new("cat").spawn(echo.start()).await;
    cat.expect("cat can be spawned");
    times.await.expect("cat ends")
}

async fn tokio_echo(trips: usize) -> Vec<f64> {
    let mut cat = peer::piped("cat", &[]).spawn().expect("cat can be spawned");
    let mut stdin = cat.stdin.take().expect("it is piped");
    let mut stdout = cat.stdout.take().expect("it is piped");
    let stderr = cat.stderr.take().expect("it is piped");
    let talk = async move {
        let mut times = Vec::with_capacity(trips);
        let mut buffer = vec![0; 4096];
        for _ in 0..trips {
            let sent = Instant::now();
            stdin.write_all(LINE).await.expect("cat reads");
            let mut back = 0;
            while back < LINE.len() {
                back += stdout.read(&mut buffer).await.expect("a pipe can be read");
            }
            times.push(sent.elapsed().as_secs_f64() * 1e6);
        }
        times
    };
    let (times, ()) = tokio::join!(talk, peer::drain(stderr));
    cat.wait().await.expect("cat can be waited for");
    times
}

fn chatty_ours(scale: Scale) -> Result<Side, Skipped> {
    let (children, lines) = chatter(scale);
    let command = Command::new(helper::program()).args(chatter_args(lines));
    let ours = Ours::new();
    Ok(Box::new(move || {
        let work = crowd::chatter(command.clone(), children);
        wall_and_cpu(children * lines, || ours.run(work))
    }))
}

fn chatty_tokio(scale: Scale) -> Result<Side, Skipped> {
    let (children, lines) = chatter(scale);
    let mut command = peer::piped(&helper::program(), &chatter_args(lines));
    let tokio = Tokio::new();
    Ok(Box::new(move || {
        let work = peer::chatter(&mut command, children);
        wall_and_cpu(children * lines, || tokio.run(work))
    }))
}

/// How many children, and how many lines each.
fn chatter(scale: Scale) -> (usize, usize) {
    scale.pick((200, 10_000), (5, 100))
}

fn chatter_args(lines: usize) -> Vec<String> {
    helper::args(&["@lines", &lines.to_string()])
}

fn wall_and_cpu(lines: usize, work: impl FnOnce() -> crowd::Totals) -> Vec<f64> {
    let cost = cost(|| assert_eq!(work().lines, lines));
    vec![cost.wall, cost.cpu]
}
