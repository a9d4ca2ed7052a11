//! What flow control costs, and what it saves.

use std::time::Duration;

use actix::prelude::*;
use actix_process::{
    Bytes, Command, ExitStatus, Fd, FdMap, FromProcess, ProcessEvent, ProcessHandle,
    ProcessProtocol, process_protocol,
};
use tokio::sync::oneshot;

use crate::harness::{Bench, MANY, Metric, Scale, Side};
use crate::helper;
use crate::measure::{Counting, cost, work_for};
use crate::sides::Ours;

/// The default of `Command::window`.
const WINDOW: f64 = 1024.0 * 1024.0;

pub(crate) fn benches() -> Vec<Bench> {
    // 300 MB to a protocol on another arbiter that takes 50 us a message: the most memory in a round beyond
    // what was there before the first, in windows, and the rate against ourselves without a limit.
    vec![Bench {
        name: "credit_bound",
        metrics: vec![
            Metric::at_most("memory", "windows", 2.0, 1.0).by_value(),
            Metric::at_least("rate", "GB/s", 0.85, 1.0),
        ],
        rounds: MANY,
        ours: |scale| Ok(credit_bound(scale, true)),
        peer: |scale| Ok(credit_bound(scale, false)),
    }]
}

/// Takes 50 us for each message.
struct Slow {
    bytes: usize,
    ended: Option<oneshot::Sender<usize>>,
}

impl Slow {
    fn take(&mut self, data: &Bytes) {
        work_for(Duration::from_micros(50));
        self.bytes += data.len();
    }

    fn end(&mut self) {
        if let Some(ended) = self.ended.take() {
            let _ = ended.send(self.bytes);
        }
    }
}

impl Actor for Slow {
    type Context = Context<Self>;
}

impl ProcessProtocol for Slow {
    fn out_received(&mut self, _: &ProcessHandle, data: Bytes, _: &mut Context<Self>) {
        self.take(&data);
    }

    fn process_ended(&mut self, _: &ProcessHandle, _: ExitStatus, _: &mut Context<Self>) {
        self.end();
    }
}
process_protocol!(Slow);

/// Data that carries no credit.
#[derive(Message)]
#[rtype(result = "()")]
struct Loose(Bytes);

#[derive(Message)]
#[rtype(result = "()")]
struct End;

impl Handler<Loose> for Slow {
    type Result = ();

    fn handle(&mut self, Loose(data): Loose, _: &mut Context<Self>) {
        self.take(&data);
    }
}

impl Handler<End> for Slow {
    type Result = ();

    fn handle(&mut self, _: End, _: &mut Context<Self>) {
        self.end();
    }
}

/// A protocol on the readers' arbiter that gives each credit back at once and forwards the data by
/// `do_send`: ourselves without a limit.
struct Unlimited(Addr<Slow>);

impl Actor for Unlimited {
    type Context = Context<Self>;
}

impl Handler<FromProcess> for Unlimited {
    type Result = ();

    fn handle(&mut self, message: FromProcess, _: &mut Context<Self>) {
        match message.event {
            ProcessEvent::ChildDataReceived { data, .. } => self.0.do_send(Loose(data)),
            ProcessEvent::ProcessEnded { .. } => self.0.do_send(End),
            _ => {}
        }
    }
}

fn credit_bound(scale: Scale, limited: bool) -> Side {
    let bytes: usize = scale.pick(300_000_000, 1_000_000);
    let ours = Ours::new();
    // Once: what a round leaves in the pool counts in the next.
    Counting::start();
    Box::new(move || {
        Counting::forget_peak();
        let mut peak = 0.0;
        let cost = cost(|| peak = ours.run(pour(limited, bytes)));
        vec![peak / WINDOW, bytes as f64 / 1e9 / cost.wall]
    })
}

/// Gives the most memory that was in use.
async fn pour(limited: bool, bytes: usize) -> f64 {
    let arbiter = Arbiter::new();
    let (ended, seen) = oneshot::channel();
    let slow = Slow {
        bytes: 0,
        ended: Some(ended),
    };
    let slow = Slow::start_in_arbiter(&arbiter.handle(), |_| slow);
    let only_stdout = [(0, Fd::null()), (1, Fd::read()), (2, Fd::inherit(2))];
    let args = ["@pour", &bytes.to_string(), "65536"];
    let command = Command::new(helper::program())
        .args(helper::args(&args))
        .fds(FdMap::from(only_stdout));
    let spawning = if limited {
        command.spawn(slow)
    } else {
        command.spawn(Unlimited(slow).start().recipient())
    };
    spawning.await.expect("this program can be spawned");
    assert_eq!(seen.await, Ok(bytes));
    arbiter.stop();
    Counting::peak()
}
