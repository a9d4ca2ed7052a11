//! Tries a worker of a pool against docs/wire.md, one line a rule, and fails if one fails:
//! `cargo run --example pool_conformance -- COMMAND ARGS...`, as in
//! `cargo run --example pool_conformance -- python3 examples/workers/worker.py`.
//!
//! The worker knows the jobs of docs/wire.md, "What the conformance test asks". Each answer may take ten seconds, and the start
//! a minute beyond the last progress; `--within SECONDS` before the command says otherwise of both.

mod ahead;
mod rules;
mod talk;

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use actix_process::Command;
use tokio::time::timeout;

use ahead::*;
use rules::*;
use talk::*;

type Rule = for<'a> fn(&'a mut Talk) -> Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// By name, each a function of a worker that waits for a job.
macro_rules! rules {
    ($($name:literal: $rule:expr,)*) => {
        [$(($name, (|talk| Box::pin($rule(talk))) as Rule),)*]
    };
}

const RULES: [(&str, Rule); 21] = rules! {
    "ready comes first": |_| std::future::ready(Ok(())),
    "0 bytes come back": |talk| Talk::echo(talk, b""),
    "1 byte comes back": |talk| Talk::echo(talk, b"\n"),
    "1 KiB comes back": |talk| Talk::echo(talk, &[0; 1024]),
    "1 MiB comes back": |talk| Talk::echo(talk, &[255; 1 << 20]),
    "chunks come in order": chunks_in_order,
    "an error is one, and the next job is right": an_error,
    "a cancel is answered, and the next job is right": a_cancel,
    "a cancel of an answered job is ignored": a_late_cancel,
    "a ping between jobs is answered": a_ping_between,
    "a ping during a job is answered": a_ping_during,
    "jobs ahead come as packets, and each is read whole": packets,
    "jobs ahead are done in order, or given back": in_order,
    "jobs ahead that are read during a job are given back": given_back,
    "jobs ahead may be cancelled": cancelled,
    "prints on 1 and 2 harm nothing": prints,
    "exits with 0 when 3 closes, and writes no more": the_end,
    "exits when 3 closes during a job": the_end_during_a_job,
    "exits with another status than 0 after a frame of an unknown type": |talk| told_wrong(talk, frame(99, 1, b"")),
    "exits with another status than 0 after a length below 9": |talk| told_wrong(talk, vec![0; 13]),
    "exits with another status than 0 when 3 closes in a frame": |talk| told_wrong(talk, vec![0, 0]),
};

/// Prints what came of a rule; whether it holds.
fn holds(name: &str, outcome: &Outcome) -> bool {
    match outcome {
        Ok(()) => println!("ok      {name}"),
        Err(saw) => println!("FAILED  {name}: {saw}"),
    }
    outcome.is_ok()
}

/// Whether all rules hold. A rule that fails, or is about the end, ends the worker; the next rule has a new one.
async fn try_all(command: &Command, within: Option<Duration>) -> bool {
    let (mut all, mut ready) = (true, None);
    for (name, rule) in RULES {
        let mut talk = match ready.take() {
            Some(talk) => talk,
            None => match Talk::start(command, within).await {
                Ok(talk) => talk,
                Err(saw) => return holds("ready comes first", &Err(saw)),
            },
        };
        if name.starts_with("jobs ahead") && !talk.takes_ahead {
            ready = Some(talk);
            continue;
        }
        let tried = async {
            rule(&mut talk).await?;
            if talk.is_open() {
                let after = talk.echo(b"and no more").await;
                after.map_err(|saw| format!("{saw}, after it"))?;
            }
            Ok(())
        };
        // Each step has its deadline; this one is for a worker that says something for ever.
        let most = 3 * within.unwrap_or(STEP);
        let outcome = timeout(most, tried).await;
        let outcome = outcome.unwrap_or_else(|_| Err(format!("no end of it after {most:?}")));
        if holds(name, &outcome) {
            ready = talk.is_open().then_some(talk);
            continue;
        }
        all = false;
        if let Some(said) = talk.process.process.tail(2) {
            let said = String::from_utf8_lossy(&said.bytes);
            let last = said.lines().rfind(|line| !line.is_empty());
            let last: String = last.unwrap_or("nothing").chars().take(100).collect();
            println!("        last on 2: {last}");
        }
    }
    all
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1).peekable();
    let mut within = None;
    if args.next_if(|arg| arg == "--within").is_some() {
        let seconds = args.next().and_then(|arg| arg.to_str()?.parse().ok());
        within = seconds.map(Duration::from_secs);
    }
    let Some(program) = args.next() else {
        eprintln!("usage: pool_conformance [--within SECONDS] COMMAND ARGS...");
        return ExitCode::from(2);
    };
    let command = Command::new(program).args(args);
    match try_all(&command, within).await {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
