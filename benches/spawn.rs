//! From spawn to end: how fast children that do nothing come and go, 16 at a time.

use std::process::Stdio;
use std::time::Instant;

use actix_process::{Command, NoProtocol};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::{StreamExt, stream};

/// How many children live at a time.
const AT_A_TIME: usize = 16;

async fn ours() {
    let process = Command::new("true").spawn(NoProtocol).await.unwrap();
    assert!(process.ended().await.unwrap().success());
}

async fn tokio_process() {
    let child = tokio::process::Command::new("true")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    assert!(child.wait_with_output().await.unwrap().status.success());
}

async fn many<F: Future<Output = ()>>(children: u64, one: fn() -> F) {
    stream::iter(0..children)
        .map(|_| one())
        .buffer_unordered(AT_A_TIME)
        .collect::<()>()
        .await;
}

fn spawn(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("spawn");
    group.throughput(Throughput::Elements(1));
    group.bench_function("actix-process", |bencher| {
        let system = actix::System::new();
        bencher.iter_custom(|children| {
            let begun = Instant::now();
            system.block_on(many(children, ours));
            begun.elapsed()
        });
    });
    group.bench_function("tokio::process", |bencher| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        bencher.iter_custom(|children| {
            let begun = Instant::now();
            runtime.block_on(many(children, tokio_process));
            begun.elapsed()
        });
    });
    group.finish();
}

criterion_group!(benches, spawn);
criterion_main!(benches);
