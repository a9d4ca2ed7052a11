//! The workers of these tests: this program once more, which does what each job says.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use actix_process::Command;
use actix_process::pool::worker::{WorkerJob, serve};
use actix_process::pool::{Pool, PoolHandle};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid, getppid};

use crate::common::isolated::MARK;

/// Says that this process is a worker.
const WORKER: &str = "ACTIX_PROCESS_NATS_WORKER";

/// So many workers, started.
pub(crate) fn workers(count: usize) -> PoolHandle {
    pool(count).start().unwrap()
}

/// So many workers. A job is a list of words, done one after the other:
///
/// | words | what they do |
/// |---|---|
/// | `log PATH TEXT` | adds a line to this file |
/// | `until PATH` | waits until there is this file |
/// | `sleep MILLIS` | takes so long |
/// | `once PATH` | makes this file and dies; nothing if the file is there |
/// | `first PATH` | makes this file and hangs; nothing if the file is there |
/// | `die TEXT` | says this on standard error, and dies by SIGKILL |
/// | `kill-host` | kills its host by SIGKILL |
/// | `hang` | takes for ever |
/// | `pid` | answers the number of this process |
/// | `large N` | answers N bytes |
/// | `fail TEXT` | answers with this error |
/// | `echo TEXT` | answers this |
///
/// A job whose words end without an answer has an empty one.
pub(crate) fn pool(count: usize) -> Pool {
    let program = std::env::current_exe().unwrap();
    let command = Command::new(program)
        .args([
            "tools::worker::worker",
            "--exact",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(WORKER, "1")
        // It is no test that runs alone.
        .env_remove(MARK);
    Pool::new(command).workers(count..=count)
}

/// No test but the worker of all others.
#[test]
fn worker() {
    if std::env::var_os(WORKER).is_some() {
        let _ = serve(answer);
        std::process::exit(0);
    }
}

fn answer(job: &WorkerJob) -> Result<String, String> {
    let text = String::from_utf8_lossy(job.body());
    let mut words = text.split(' ');
    while let Some(word) = words.next() {
        let mut next = || words.next().unwrap_or_default();
        match word {
            "log" => {
                let file = File::options().create(true).append(true).open(next());
                let line = format!("{}\n", next());
                file.unwrap().write_all(line.as_bytes()).unwrap();
            }
            "until" => {
                let path = Path::new(next());
                wait_until(job, || path.exists());
            }
            "sleep" => {
                let time = Duration::from_millis(next().parse().unwrap());
                std::thread::sleep(time);
            }
            "once" if File::create_new(next()).is_ok() => die(getpid()),
            "first" if File::create_new(next()).is_ok() => wait_until(job, || false),
            "once" | "first" => {}
            "die" => {
                eprintln!("{}", next());
                die(getpid());
            }
            // Which is the parent, unless it is gone already.
            "kill-host" if getppid().as_raw() != 1 => die(getppid()),
            "kill-host" => {}
            "hang" => wait_until(job, || false),
            "pid" => return Ok(getpid().to_string()),
            "large" => return Ok("x".repeat(next().parse().unwrap())),
            "fail" => return Err(next().to_owned()),
            "echo" => return Ok(next().to_owned()),
            "" => {}
            other => panic!("no job is named {other}"),
        }
    }
    Ok(String::new())
}

/// Waits for this, or until nobody wants the answer.
fn wait_until(job: &WorkerJob, holds: impl Fn() -> bool) {
    while !holds() && !job.is_cancelled() {
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn die(whom: Pid) {
    let _ = kill(whom, Signal::SIGKILL);
    loop {
        std::thread::park();
    }
}
