//! 100 MB out of a child through one pipe.

use std::process::Stdio;

use actix::prelude::*;
use actix_process::{Bytes, Command, ExitStatus, Fd, FdMap, ProcessHandle, ProcessProtocol};
use actix_process::{NoProtocol, process_protocol};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;

const BYTES: u64 = 100_000_000;

fn args() -> [String; 3] {
    ["-c".into(), BYTES.to_string(), "/dev/zero".into()]
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

async fn ours() {
    let (done, bytes) = oneshot::channel();
    let counter = Counter {
        bytes: 0,
        done: Some(done),
    };
    let only_stdout = FdMap::from([(0, Fd::null()), (1, Fd::read()), (2, Fd::inherit(2))]);
    let head = Command::new("head").args(args()).fds(only_stdout);
    head.spawn(counter.start()).await.unwrap();
    assert_eq!(bytes.await, Ok(BYTES));
}

async fn tokio_process() {
    let mut head = tokio::process::Command::new("head")
        .args(args())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = head.stdout.take().unwrap();
    let mut buffer = vec![0; 64 * 1024];
    let mut bytes = 0;
    loop {
        match stdout.read(&mut buffer).await.unwrap() {
            0 => break,
            n => bytes += n as u64,
        }
    }
    head.wait().await.unwrap();
    assert_eq!(bytes, BYTES);
}

fn throughput(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("throughput");
    group.throughput(Throughput::Bytes(BYTES)).sample_size(20);
    group.bench_function("actix-process", |bencher| {
        let system = System::new();
        // The supervisor's thread is there from the first spawn on.
        system.block_on(async { Command::new("true").spawn(NoProtocol).await.unwrap() });
        bencher.iter(|| system.block_on(ours()));
    });
    group.bench_function("tokio::process", |bencher| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        bencher.iter(|| runtime.block_on(tokio_process()));
    });
    group.finish();
}

criterion_group!(benches, throughput);
criterion_main!(benches);
