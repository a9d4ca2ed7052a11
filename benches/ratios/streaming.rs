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

use crate::harness::{Bar, Bench, Metric, Round, Sample, Scale, Skipped, USUAL, median, p99};
use crate::measure::{Cost, cost, pin};
use crate::{crowd, helper, peer};

pub(crate) fn benches() -> Vec<Bench> {
    vec![
        Bench {
            name: "stdout_cross",
            metrics: vec![throughput(2.5, 4.0)],
            rounds: USUAL,
            setup: |scale| stdout(scale, 1, None),
        },
        Bench {
            name: "stdout_cross_equal",
            metrics: vec![throughput(0.95, 1.0)],
            rounds: USUAL,
            setup: |scale| stdout(scale, 1, Some(256 * 1024)),
        },
        Bench {
            name: "stdout_same",
            metrics: vec![throughput(0.90, 1.0)],
            rounds: USUAL,
            setup: |scale| stdout(scale, 0, None),
        },
        Bench {
            name: "duplex",
            metrics: vec![throughput(0.95, 1.5)],
            rounds: USUAL,
            setup: duplex,
        },
        Bench {
            name: "echo",
            metrics: vec![
                at_most("p50", "us", 1.30, 1.0),
                at_most("p99", "us", 1.4, 1.0),
            ],
            rounds: USUAL,
            setup: echo,
        },
        Bench {
            name: "chatty",
            metrics: vec![
                at_most("wall", "s", 1.0, 0.9),
                at_most("cpu", "s", 1.20, 1.0),
            ],
            rounds: USUAL,
            setup: chatty,
        },
    ]
}

fn throughput(bar: f64, aim: f64) -> Metric {
    Metric {
        name: "",
        unit: "GB/s",
        bar: Bar::AtLeast(bar),
        aim: Bar::AtLeast(aim),
    }
}

fn at_most(name: &'static str, unit: &'static str, bar: f64, aim: f64) -> Metric {
    Metric {
        name,
        unit,
        bar: Bar::AtMost(bar),
        aim: Bar::AtMost(aim),
    }
}

fn gigabytes_per_second(bytes: usize, ours: Cost, peer: Cost) -> Sample {
    Sample {
        ours: bytes as f64 / 1e9 / ours.wall,
        peer: bytes as f64 / 1e9 / peer.wall,
    }
}

/// 1 GB from a child on `cpu`, this process being on CPU 0, to a protocol actor, against tokio with
/// a buffer of 64 KiB, its pipe grown to `peers_pipe` if given.
fn stdout(scale: Scale, cpu: usize, peers_pipe: Option<usize>) -> Result<Round, Skipped> {
    if std::thread::available_parallelism().is_ok_and(|n| n.get() <= cpu) {
        return Err(Skipped("there is one CPU only".into()));
    }
    let bytes = scale.pick(1_000_000_000, 1_000_000);
    pin(0);
    let args = ["@pour", &bytes.to_string(), "65536", &cpu.to_string()];
    let args = helper::args(&args);
    Ok(Box::new(move |sides, order| {
        let (ours, peer) = order.run(
            || cost(|| sides.ours(ours_reads(args.clone(), bytes))),
            || cost(|| sides.tokio(tokio_reads(args.clone(), bytes, peers_pipe))),
        );
        vec![gigabytes_per_second(bytes, ours, peer)]
    }))
}

async fn ours_reads(args: Vec<String>, bytes: usize) {
    let only_stdout = [(0, Fd::null()), (1, Fd::read()), (2, Fd::inherit(2))];
    let command = Command::new(helper::program())
        .args(args)
        .fds(FdMap::from(only_stdout));
    let totals = crowd::relay(command, 1, 1).await;
    assert_eq!(totals.bytes, bytes);
}

async fn tokio_reads(args: Vec<String>, bytes: usize, pipe: Option<usize>) {
    let mut child = tokio::process::Command::new(helper::program())
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program can be spawned");
    let mut stdout = child.stdout.take().expect("it is piped");
    if let Some(size) = pipe {
        let size = i32::try_from(size).expect("a small number");
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

/// 300 MB through `cat`, written 64 KiB at a time, every byte compared, against tokio.
fn duplex(scale: Scale) -> Result<Round, Skipped> {
    let pieces = scale.pick(300_000_000, 1_000_000) / PIECE;
    let sample = sample();
    Ok(Box::new(move |sides, order| {
        let (ours, peer) = order.run(
            || cost(|| sides.ours(ours_duplex(&sample, pieces))),
            || cost(|| sides.tokio(tokio_duplex(&sample, pieces))),
        );
        vec![gigabytes_per_second(pieces * PIECE, ours, peer)]
    }))
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

async fn ours_duplex(sample: &Bytes, pieces: usize) {
    let (ended, seen) = oneshot::channel();
    let comparing = Comparing {
        comparison: Comparison {
            sample: sample.clone(),
            seen: 0,
        },
        ended: Some(ended),
    };
    let cat = Command::new("cat").spawn(comparing.start()).await;
    let mut stdin = cat.expect("cat can be spawned").stdin();
    let mut all = stream::iter((0..pieces).map(|number| Ok(piece(sample, number))));
    stdin.send_all(&mut all).await.expect("cat reads all");
    stdin.close().await.expect("cat reads all");
    assert_eq!(seen.await, Ok(pieces * PIECE));
}

async fn tokio_duplex(sample: &Bytes, pieces: usize) {
    let mut cat = peer::piped("cat", &[]).spawn().expect("cat can be spawned");
    let mut stdin = cat.stdin.take().expect("it is piped");
    let mut stdout = cat.stdout.take().expect("it is piped");
    let stderr = cat.stderr.take().expect("it is piped");
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

/// Round trips of one line through `cat`, all on one CPU, against tokio: the median and the 99th
/// percentile.
fn echo(scale: Scale) -> Result<Round, Skipped> {
    let trips = scale.pick(20_000, 100);
    pin(0);
    Ok(Box::new(move |sides, order| {
        let (ours, peer) = order.run(
            || sides.ours(ours_echo(trips)),
            || sides.tokio(tokio_echo(trips)),
        );
        let sample = |of: fn(&[f64]) -> f64| Sample {
            ours: of(&ours),
            peer: of(&peer),
        };
        vec![sample(median), sample(p99)]
    }))
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

/// 200 children write 10,000 lines of 100 bytes each; the lines are counted in one protocol actor,
/// against tokio with a task for each child.
fn chatty(scale: Scale) -> Result<Round, Skipped> {
    let (children, lines) = scale.pick((200, 10_000), (5, 100));
    let args = helper::args(&["@lines", &lines.to_string()]);
    Ok(Box::new(move |sides, order| {
        let counted = |totals: crowd::Totals| assert_eq!(totals.lines, children * lines);
        let (ours, peer) = order.run(
            || {
                let command = Command::new(helper::program()).args(&args);
                cost(|| counted(sides.ours(crowd::relay(command, children, children))))
            },
            || {
                let command = peer::piped(&helper::program(), &args);
                cost(|| counted(sides.tokio(peer::chatter(command, children))))
            },
        );
        let sample = |of: fn(Cost) -> f64| Sample {
            ours: of(ours),
            peer: of(peer),
        };
        vec![sample(|cost| cost.wall), sample(|cost| cost.cpu)]
    }))
}
