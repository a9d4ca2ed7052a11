//! The curve of the spawn rate: children that do nothing, 1 to 256 at a time, from spawn to end.

use std::process::Stdio;
use std::time::Instant;

use actix_process::{Command, NoProtocol};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures::{StreamExt, stream};

/// How many children live at a time.
const AT_A_TIME: [usize; 5] = [1, 4, 16, 64, 256];

async fn ours() {
    let process = Command::new("/bin/true").spawn(NoProtocol).await.unwrap();
    assert!(process.ended().await.success());
}

async fn tokio_process() {
    let child = tokio::process::Command::new("/bin/true")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    assert!(child.wait_with_output().await.unwrap().status.success());
}

async fn async_process() {
    let child = async_process::Command::new("/bin/true")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    assert!(child.output().await.unwrap().status.success());
}

async fn many<F: Future<Output = ()>>(children: u64, at_a_time: usize, one: fn() -> F) {
    stream::iter(0..children)
        .map(|_| one())
        .buffer_unordered(at_a_time)
        .collect::<()>()
        .await;
}

fn spawn(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("spawn");
    group.throughput(Throughput::Elements(1)).sample_size(20);
    for at_a_time in AT_A_TIME {
        group.bench_function(BenchmarkId::new("actix-process", at_a_time), |bencher| {
            let system = actix::System::new();
            bencher.iter_custom(|children| {
                let begun = Instant::now();
                system.block_on(many(children, at_a_time, ours));
                begun.elapsed()
            });
        });
        group.bench_function(BenchmarkId::new("tokio::process", at_a_time), |bencher| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            bencher.iter_custom(|children| {
                let begun = Instant::now();
                runtime.block_on(many(children, at_a_time, tokio_process));
                begun.elapsed()
            });
        });
        group.bench_function(BenchmarkId::new("async-process", at_a_time), |bencher| {
            bencher.iter_custom(|children| {
                let begun = Instant::now();
                futures::executor::block_on(many(children, at_a_time, async_process));
                begun.elapsed()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, spawn);
criterion_main!(benches);
