//! A model in Python behind a pool: it loads for two seconds, answers word by word, and one prompt crashes it.
//!
//! `cargo run --features json --example model`. It needs python3. The workers are `examples/workers/model.py`.

use std::io::Write;
use std::time::Duration;

use actix_process::Command;
use actix_process::pool::{Job, JobError, Pool, PoolHandle};
use futures::StreamExt;
use serde::Serialize;

type Error = Box<dyn std::error::Error>;

/// A job of the model, which it gets as JSON.
#[derive(Serialize)]
struct Prompt<'a> {
    prompt: &'a str,
    words: u32,
}

/// Prints the answer as it comes.
async fn ask(pool: &PoolHandle, prompt: &str, words: u32) -> Result<(), JobError> {
    println!("> {prompt}");
    let job = Job::json(&Prompt { prompt, words })?;
    let mut answer = pool.stream(job).await?;
    while let Some(word) = answer.next().await {
        print!("{}", String::from_utf8_lossy(&word?));
        let _ = std::io::stdout().flush();
    }
    println!();
    Ok(())
}

#[actix::main]
async fn main() -> Result<(), Error> {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/workers/model.py");
    let pool = Pool::new(Command::new("python3").arg(model))
        .name("model")
        .workers(1..=1)
        // Loading has a time of its own, which goes on as long as the worker says that it does.
        .ready_within(Duration::from_secs(10))
        .job_timeout(Duration::from_secs(10))
        .start()?;
    for prompt in [
        "a first prompt",
        "a prompt with crash in it",
        "a prompt after that one",
    ] {
        match ask(&pool, prompt, 8).await {
            Ok(()) => {}
            Err(JobError::WorkerLost {
                status: Some(status),
                tail,
                ..
            }) => {
                let tail = String::from_utf8_lossy(&tail);
                println!("the model is lost ({status}): {}", tail.trim_end());
            }
            Err(error) => println!("no answer: {error}"),
        }
    }
    let stats = pool.stats().await?;
    println!(
        "{} answered, {} lost",
        stats.outcomes.answered, stats.outcomes.worker_lost
    );
    pool.drain(Duration::from_secs(10)).await;
    Ok(())
}
