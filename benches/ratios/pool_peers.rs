//! What jobs are given to otherwise: a loop that is written by hand, a bare pipe, Python's own pool.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use actix_process::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::harness::{Scale, Side, Skipped};
use crate::helper;

/// The worker of the examples.
pub(crate) const WORKER_PY: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/examples/workers/worker.py");

type Order = (Bytes, oneshot::Sender<Bytes>);

/// Workers of which each has a task; they take jobs from one channel.
#[derive(Clone)]
pub(crate) struct HandWritten {
    jobs: mpsc::UnboundedSender<Order>,
}

impl HandWritten {
    pub(crate) fn start(workers: usize) -> Self {
        let (jobs, orders) = mpsc::unbounded_channel::<Order>();
        let orders = Arc::new(Mutex::new(orders));
        for _ in 0..workers {
            let orders = Arc::clone(&orders);
            tokio::spawn(async move {
                let (_child, mut stdin, mut stdout) = echo();
                loop {
                    let order = orders.lock().await.recv().await;
                    let Some((body, tell)) = order else { return };
                    let _ = tell.send(trip(&mut stdin, &mut stdout, &body).await);
                }
            });
        }
        Self { jobs }
    }

    pub(crate) async fn submit(&self, body: Bytes) -> Bytes {
        let (tell, told) = oneshot::channel();
        let sent = self.jobs.send((body, tell));
        sent.unwrap_or_else(|_| panic!("the workers live"));
        told.await.expect("the workers live")
    }
}

fn echo() -> (Child, ChildStdin, ChildStdout) {
    let mut command = tokio::process::Command::new(helper::program());
    command
        .arg("@length")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command
        .kill_on_drop(true)
        .spawn()
        .expect("it can be spawned");
    let stdin = child.stdin.take().expect("it is piped");
    let stdout = child.stdout.take().expect("it is piped");
    (child, stdin, stdout)
}

/// A job with its length before it, by one write, and its answer.
async fn trip(stdin: &mut ChildStdin, stdout: &mut ChildStdout, body: &[u8]) -> Bytes {
    let length = u32::try_from(body.len()).expect("it is short");
    let mut frame = Vec::with_capacity(4 + body.len());
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(body);
    stdin.write_all(&frame).await.expect("it reads");
    let mut answer = Vec::with_capacity(4 + body.len());
    while answer.len() < 4 + body.len() {
        stdout.read_buf(&mut answer).await.expect("it writes");
    }
    Bytes::from(answer).slice(4..)
}

/// One round trip after the other, of so many bytes.
pub(crate) async fn round_trips(trips: usize, size: usize) -> Vec<f64> {
    let (_child, mut stdin, mut stdout) = echo();
    let body = vec![b'x'; size];
    let mut times = Vec::with_capacity(trips);
    for _ in 0..trips {
        let sent = Instant::now();
        trip(&mut stdin, &mut stdout, &body).await;
        times.push(sent.elapsed().as_secs_f64() * 1e6);
    }
    times
}

const EXECUTOR: &str = "\
import sys, time
from concurrent.futures import ProcessPoolExecutor

def echo(body):
    return body

if __name__ == '__main__':
    jobs = int(sys.argv[1])
    body = b'x' * 1024
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(echo, [body] * 2))
        begun = time.perf_counter()
        for answer in pool.map(echo, [body] * jobs):
            assert len(answer) == 1024
        print(jobs / (time.perf_counter() - begun))
";

/// Python measures itself.
pub(crate) fn executor(scale: Scale) -> Result<Side, Skipped> {
    let jobs = scale.pick(20_000, 100).to_string();
    let there = Command::new("python3").args(["-c", ""]).status();
    if !there.is_ok_and(|status| status.success()) {
        return Err(Skipped("there is no python3".into()));
    }
    Ok(Box::new(move || {
        let python = Command::new("python3")
            .args(["-c", EXECUTOR, &jobs])
            .output();
        let python = python.expect("python3 can be spawned");
        let text = String::from_utf8_lossy(&python.stdout);
        let rate = text.trim().parse();
        vec![rate.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&python.stderr)))]
    }))
}
