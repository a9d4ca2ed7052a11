//! A worker of a pool in Rust, which does the jobs that `pool_conformance` asks for. A pool starts it; by hand it is tried by
//! `cargo run --example pool_conformance -- target/debug/examples/pool_worker`.

use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use actix_process::Bytes;
use actix_process::pool::worker::{Worker, WorkerJob};

fn answer(job: &WorkerJob) -> Result<Bytes, Box<dyn std::error::Error>> {
    let body = job.body();
    let space = body.iter().position(|byte| *byte == b' ');
    let (what, rest) = match space {
        Some(space) => (body.slice(..space), body.slice(space + 1..)),
        None => (body.clone(), Bytes::new()),
    };
    match &what[..] {
        b"echo" => Ok(rest),
        b"chunks" => {
            let count: usize = str::from_utf8(&rest)?.parse()?;
            for number in 1..=count {
                job.chunk(number.to_string())?;
            }
            Ok(Bytes::new())
        }
        b"slow" => loop {
            // Ends the function when the job is cancelled.
            job.chunk("tick")?;
            sleep(Duration::from_millis(5));
        },
        b"print" => {
            println!("{}", "1".repeat(100_000));
            eprintln!("{}", "2".repeat(100_000));
            Ok("printed".into())
        }
        _ => Err(str::from_utf8(&rest)?.into()),
    }
}

fn serve() -> std::io::Result<()> {
    let worker = Worker::new()?.name("pool_worker");
    // Here a worker loads what it needs for all jobs.
    worker.progress("loading")?;
    worker.serve(answer)
}

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}. Is it started by a pool?");
            ExitCode::FAILURE
        }
    }
}
