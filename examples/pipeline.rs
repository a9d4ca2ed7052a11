//! Joins programs as a shell does, the output of each to the input of the next, and tells how each
//! one ended. What they pass on does not go through this program.
//!
//! `cargo run --example pipeline`: `yes | head -n 1000 | wc`
//! `cargo run --example pipeline -- ls -l / '|' sort -r '|' head -n 3`: any others. As in a shell
//! the last one decides whether it was a success.

use std::process::ExitCode;

use actix_process::{Command, ExitStatus, Fd, NoProtocol, ProcessHandle};
use futures::future::join_all;

type Error = Box<dyn std::error::Error>;

const WORDS: &str = "yes | head -n 1000 | wc";

fn commands(words: &[String]) -> Result<Vec<Command>, Error> {
    let commands = words.split(|word| word == "|").map(|words| match words {
        [program, args @ ..] => Ok(Command::new(program).args(args)),
        [] => Err("there is no command before or after a |".into()),
    });
    commands.collect()
}

/// Starts them all. The first reads what this program reads, the last writes where it writes.
async fn start(commands: Vec<Command>) -> Result<Vec<ProcessHandle>, Error> {
    let mut started = Vec::new();
    let mut input = Fd::inherit(0);
    let last = commands.len() - 1;
    for (place, command) in commands.into_iter().enumerate() {
        let command = command.stdin(input).stderr(Fd::inherit(2));
        let (command, reader) = if place < last {
            let (reader, writer) = Fd::pipe()?;
            (command.stdout(writer), reader)
        } else {
            (command.stdout(Fd::inherit(1)), Fd::null())
        };
        // With it our copies of its ends are closed: when it is gone, its neighbours notice.
        started.push(command.spawn(NoProtocol).await?);
        input = reader;
    }
    Ok(started)
}

/// Waits for its end and tells of it.
async fn report(process: ProcessHandle) -> ExitStatus {
    let status = process.ended().await;
    eprintln!("{}: {status}", process.program());
    status
}

async fn run(words: &[String]) -> Result<bool, Error> {
    // If one cannot be started, those before it are killed when this program ends.
    let started = start(commands(words)?).await?;
    let statuses = join_all(started.into_iter().map(report)).await;
    Ok(statuses.last().is_some_and(ExitStatus::success))
}

#[actix::main]
async fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    if words.is_empty() {
        words = WORDS.split(' ').map(str::to_owned).collect();
    }
    match run(&words).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
