//! Bytes through pipes.

use std::os::fd::AsFd;

use actix::prelude::*;
use actix_process::{
    Bytes, Command, ExitStatus, Fd, FdMap, ProcessHandle, ProcessProtocol, process_protocol,
};
use futures::{SinkExt, StreamExt, stream};
use nix::fcntl::{FcntlArg, fcntl};
use std::process::Stdio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

use crate::harness::{Bench, MANY, Metric, Scale, Side, Skipped, USUAL};
use crate::measure::{cost, pin};
use crate::sides::{ByHand, Ours, Tokio};
use crate::{by_hand, crowd, helper, peer};

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
        // 64 KiB and the pipe as it comes. The bar is what a pipe of 128 KiB earns within the 256 KiB
        // that a busy child may keep in a cache.
        stdout(
            "stdout_cross",
            1.7,
            2.5,
            |scale| stdout_ours(scale, 1),
            |scale| stdout_tokio(scale, 1, None),
        ),
        // The same, tokio's pipe grown by hand to what ours grows to.
        stdout(
            "stdout_cross_equal",
            0.97,
            1.0,
            |scale| stdout_ours(scale, 1),
            |scale| stdout_tokio(scale, 1, Some(GROWN)),
        ),
        // The same on one CPU, the pipe as it comes.
        stdout(
            "stdout_same",
            0.95,
            1.0,
            |scale| stdout_ours(scale, 0),
            |scale| stdout_tokio(scale, 0, None),
        ),
        // The same against what an actix user would write by hand.
        Bench {
            name: "stdout_same_by_hand",
            metrics: vec![
                Metric::at_least("rate", "GB/s", 1.0, 1.05),
                Metric::at_most("cpu", "s", 1.0, 0.95),
            ],
            rounds: MANY,
            ours: |scale| {
                let (bytes, args) = pour(scale, 0)?;
                let ours = Ours::new();
                let reads = move || ours.run(ours_reads(&args, bytes));
                Ok(rate_and_cpu(bytes, reads))
            },
            peer: |scale| {
                let (bytes, args) = pour(scale, 0)?;
                let system = ByHand::new();
                let reads = move || system.run(by_hand_reads(&args, bytes));
                Ok(rate_and_cpu(bytes, reads))
            },
        },
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
            metrics: vec![Metric::at_least("", "GB/s", 0.95, 1.0)],
            rounds: USUAL,
            ours: |scale| apart(1).map(|()| duplex_ours(scale, &CAT_APART)),
            peer: |scale| apart(1).map(|()| duplex_tokio(scale, &CAT_APART, Some(GROWN))),
        },
        // The same by `Command::stream`: a stream of pieces in, a stream of pieces out.
        Bench {
            name: "stream_body",
            metrics: vec![Metric::at_least("", "GB/s", 0.9, 1.0)],
            rounds: USUAL,
            ours: |scale| apart(1).map(|()| stream_ours(scale, &CAT_APART)),
            peer: |scale| apart(1).map(|()| duplex_tokio(scale, &CAT_APART, Some(GROWN))),
        },
    ]
}

/// What our pipes grow to, given to a peer's pipe where the two are to be equal.
const GROWN: i32 = 128 * 1024;

/// Puts this process on CPU 0; its children will be on `cpu`.
pub(crate) fn apart(cpu: usize) -> Result<(), Skipped> {
    if std::thread::available_parallelism().is_ok_and(|n| n.get() <= cpu) {
        return Err(Skipped("there is one CPU only".into()));
    }
    pin(0);
    Ok(())
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

fn rate_and_cpu(bytes: usize, work: impl Fn() + 'static) -> Side {
    Box::new(move || {
        let cost = cost(&work);
        vec![bytes as f64 / 1e9 / cost.wall, cost.cpu]
    })
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

async fn by_hand_reads(args: &[String], bytes: usize) {
    let command = only_stdout(args);
    let totals = by_hand::relay(command, 1, 1).await;
    assert_eq!(totals.bytes, bytes);
}

fn only_stdout(args: &[String]) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(helper::program());
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

async fn tokio_reads(args: &[String], bytes: usize, pipe: Option<i32>) {
    let mut child = only_stdout(args)
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

fn stream_ours(scale: Scale, cat: &'static [&str]) -> Side {
    let (sample, pieces) = (sample(), pieces(scale));
    let ours = Ours::new();
    Box::new(move || {
        gigabytes_per_second(pieces * PIECE, || {
            ours.run(ours_stream(cat, &sample, pieces))
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
    let mut stdin = cat
        .expect("cat can be spawned")
        .stdin()
        .expect("it is a pipe");
    let mut all = stream::iter((0..pieces).map(|number| Ok(piece(sample, number))));
    stdin.send_all(&mut all).await.expect("cat reads all");
    stdin.close().await.expect("cat reads all");
    assert_eq!(seen.await, Ok(pieces * PIECE));
}

async fn ours_stream(cat: &[&str], sample: &Bytes, pieces: usize) {
    let of = sample.clone();
    let body = (0..pieces).map(move |number| Ok::<_, std::io::Error>(piece(&of, number)));
    let cat = Command::new(cat[0]).args(&cat[1..]);
    let output = cat.stream().input(stream::iter(body)).start().await;
    let mut output = output.expect("cat can be spawned");
    let mut comparison = Comparison {
        sample: sample.clone(),
        seen: 0,
    };
    while let Some(data) = output.next().await {
        comparison.compare(&data.expect("cat succeeds"));
    }
    assert_eq!(comparison.seen, pieces * PIECE);
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
