//! The curve of throughput: up to 100 MB out of a child through one pipe, written in chunks of 512
//! bytes to 1 MiB.

use std::process::Stdio;

use actix::prelude::*;
use actix_process::{Bytes, Command, ExitStatus, Fd, FdMap, ProcessHandle, ProcessProtocol};
use actix_process::{NoProtocol, process_protocol};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;

/// What the child writes at once.
const CHUNKS: [u64; 5] = [512, 4096, 32_768, 262_144, 1_048_576];

/// About 100 MB; small chunks are slow, so fewer of them.
const fn bytes(chunk: u64) -> u64 {
    let count = 100_000_000 / chunk;
    chunk * if count > 20_000 { 20_000 } else { count }
}

/// dd writes chunks as they are.
fn args(chunk: u64) -> [String; 4] {
    let count = bytes(chunk) / chunk;
    [
        "if=/dev/zero".into(),
        "status=none".into(),
        format!("bs={chunk}"),
        format!("count={count}"),
    ]
}

/// Looks at what comes and drops it.
struct Counter {
    bytes: u64,
    done: Option<oneshot::Sender<u64>>,
}

impl Actor for Counter {
    type Context = Context<Self>;
}

impl ProcessProtocol for Counter {
    fn out_received(&mut self, _: &ProcessHandle, data: Bytes, _: &mut Context<Self>) {
        self.bytes += data.len() as u64;
    }

    fn process_ended(&mut self, _: &ProcessHandle, _: ExitStatus, _: &mut Context<Self>) {
        if let Some(done) = self.done.take() {
            let _ = done.send(self.bytes);
        }
    }
}
process_protocol!(Counter);

async fn ours(chunk: u64) {
    let (done, seen) = oneshot::channel();
    let counter = Counter {
        bytes: 0,
        done: Some(done),
    };
    let only_stdout = FdMap::from([(0, Fd::null()), (1, Fd::read()), (2, Fd::inherit(2))]);
    let dd = Command::new("dd").args(args(chunk)).fds(only_stdout);
    dd.spawn(counter.start()).await.unwrap();
    assert_eq!(seen.await, Ok(bytes(chunk)));
}

async fn tokio_process(chunk: u64) {
    let mut dd = tokio::process::Command::new("dd")
        .args(args(chunk))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = dd.stdout.take().unwrap();
    let mut buffer = vec![0; 64 * 1024];
    let mut seen = 0;
    loop {
        match stdout.read(&mut buffer).await.unwrap() {
            0 => break,
            n => seen += n as u64,
        }
    }
    dd.wait().await.unwrap();
    assert_eq!(seen, bytes(chunk));
}

fn throughput(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("throughput");
    group.sample_size(10);
    for chunk in CHUNKS {
        group.throughput(Throughput::Bytes(bytes(chunk)));
        group.bench_function(BenchmarkId::new("actix-process", chunk), |bencher| {
            let system = System::new();
            // Its threads are there from the first spawn on.
            system.block_on(async { Command::new("true").spawn(NoProtocol).await.unwrap() });
            bencher.iter(|| system.block_on(ours(chunk)));
        });
        group.bench_function(BenchmarkId::new("tokio::process", chunk), |bencher| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            bencher.iter(|| runtime.block_on(tokio_process(chunk)));
        });
    }
    group.finish();
}

criterion_group!(benches, throughput);
criterion_main!(benches);
