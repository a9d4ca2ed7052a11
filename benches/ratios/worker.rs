//! A side in a process of its own, which measures when it is told to.
//!
//! So no side finds the threads, signal masks, memory or affinity of the other.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::harness::{Bench, Scale, Skipped};

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Ours,
    Peer,
}

impl Who {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Peer => "peer",
        }
    }
}

pub(crate) struct Worker {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts this program as one side of `bench`.
    pub(crate) fn start(bench: &Bench, who: Who, scale: Scale) -> Result<Self, Skipped> {
        let program = std::env::current_exe().expect("this program has a path");
        let mut child = Command::new(program)
            .args([bench.name, "--worker", who.name()])
            .args((scale == Scale::Smoke).then_some("--test"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program can be executed");
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut worker = Self {
            child,
            orders,
            answers,
        };
        match worker.answer().split_once(' ') {
            Some(("SKIPPED", why)) => Err(Skipped(why.to_owned())),
            _ => Ok(worker),
        }
    }

    /// One measurement.
    pub(crate) fn measure(&mut self) -> Vec<f64> {
        let orders = self.orders.as_mut().expect("it is there until the drop");
        // A worker that is gone is noticed by its answer.
        let _ = orders.write_all(b"\n");
        let answer = self.answer();
        let numbers = answer.split(' ').map(|number| number.parse());
        numbers
            .collect::<Result<_, _>>()
            .unwrap_or_else(|_| panic!("a worker answered {answer:?}"))
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line);
        read.expect("its answers are text");
        line.trim_end().to_owned()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.child.wait();
    }
}

/// Is a worker: measures once for each line, until there is no more.
pub(crate) fn serve(bench: &Bench, who: Who, scale: Scale) {
    let mut side = match bench.side(who, scale) {
        Ok(side) => side,
        Err(Skipped(why)) => return println!("SKIPPED {why}"),
    };
    println!("ready");
    for _ in std::io::stdin().lines() {
        let numbers: Vec<String> = side().iter().map(f64::to_string).collect();
        println!("{}", numbers.join(" "));
    }
}
