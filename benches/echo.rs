//! One line to a child and back, through cat.

use std::process::Stdio;
use std::time::Instant;

use actix::prelude::*;
use actix_process::{Bytes, Command, ProcessHandle, ProcessProtocol, process_protocol};
use criterion::{Criterion, criterion_group, criterion_main};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::oneshot;

const LINE: &str = "a line of some thirty characters\n";

/// Sends the line again each time that it came back.
#[derive(Default)]
struct Echo {
    left: u64,
    /// Of the line on its way, how much is back.
    back: usize,
    done: Option<oneshot::Sender<()>>,
}

impl Actor for Echo {
    type Context = Context<Self>;
}

impl ProcessProtocol for Echo {
    fn out_received(&mut self, process: &ProcessHandle, data: Bytes, _: &mut Context<Self>) {
        self.back += data.len();
        if self.back < LINE.len() {
            return;
        }
        self.back = 0;
        self.left -= 1;
        if self.left > 0 {
            process.write(LINE).unwrap();
        } else if let Some(done) = self.done.take() {
            let _ = done.send(());
        }
    }
}
process_protocol!(Echo);

#[derive(Message)]
#[rtype(result = "()")]
struct Rounds {
    process: ProcessHandle,
    count: u64,
    done: oneshot::Sender<()>,
}

impl Handler<Rounds> for Echo {
    type Result = ();

    fn handle(&mut self, rounds: Rounds, _: &mut Context<Self>) {
        self.left = rounds.count;
        self.done = Some(rounds.done);
        rounds.process.write(LINE).unwrap();
    }
}

fn echo(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("echo");
    group.bench_function("actix-process", |bencher| {
        let system = System::new();
        let (echo, process) = system.block_on(async {
            let echo = Echo::default().start();
            let process = Command::new("cat").spawn(&echo).await.unwrap();
            (echo, process)
        });
        bencher.iter_custom(|count| {
            let begun = Instant::now();
            system.block_on(async {
                let (done, all_back) = oneshot::channel();
                let process = process.clone();
                echo.do_send(Rounds {
                    process,
                    count,
                    done,
                });
                all_back.await.unwrap();
            });
            begun.elapsed()
        });
        process.close_stdin();
        system.block_on(process.ended()).unwrap();
    });
    group.bench_function("tokio::process", |bencher| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let mut cat = {
            let _entered = runtime.enter();
            tokio::process::Command::new("cat")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        };
        let mut stdin = cat.stdin.take().unwrap();
        let mut stdout = BufReader::new(cat.stdout.take().unwrap());
        bencher.iter_custom(|count| {
            let begun = Instant::now();
            runtime.block_on(async {
                let mut back = String::new();
                for _ in 0..count {
                    back.clear();
                    stdin.write_all(LINE.as_bytes()).await.unwrap();
                    stdout.read_line(&mut back).await.unwrap();
                    assert_eq!(back, LINE);
                }
            });
            begun.elapsed()
        });
        drop(stdin);
        runtime.block_on(cat.wait()).unwrap();
    });
    group.finish();
}

criterion_group!(benches, echo);
criterion_main!(benches);
