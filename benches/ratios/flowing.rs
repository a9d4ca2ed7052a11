//! What flow control costs, and what it saves.

use std::time::{Duration, Instant};

use actix::prelude::*;
use actix_process::{
    Bytes, Command, ExitStatus, Fd, FdMap, FromProcess, ProcessEvent, ProcessHandle,
    ProcessProtocol, process_protocol,
};
use tokio::sync::oneshot;

use crate::harness::{Bar, Bench, Metric, Round, Sample, Scale, Skipped, USUAL};
use crate::measure::{Counting, cost};
use crate::helper;

/// The default of `Command::window`.
const WINDOW: f64 = 1024.0 * 1024.0;

pub(crate) fn benches() -> Vec<Bench> {
    vec![Bench {
        name: "credit_bound",
        metrics: vec![
            Metric {
                name: "memory",
                unit: "windows",
                bar: Bar::AtMost(2.0),
                aim: Bar::AtMost(1.0),
            },
            Metric {
                name: "rate",
                unit: "GB/s",
                bar: Bar::AtLeast(0.85),
                aim: Bar::AtLeast(1.0),
            },
        ],
        rounds: USUAL,
        setup: credit_bound,
    }]
}

/// Takes 50 us for each message.
struct Slow {
    bytes: usize,
    ended: Option<oneshot::Sender<usize>>,
}

impl Slow {
    fn take(&mut self, data: &Bytes) {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_micros(50) {
            std::hint::spin_loop();
        }
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

/// 300 MB to a protocol on another arbiter that takes 50 us a message: the most memory beyond what
/// was there before, in windows, and the rate against ourselves without a limit.
fn credit_bound(scale: Scale) -> Result<Round, Skipped> {
    let bytes: usize = scale.pick(300_000_000, 1_000_000);
    Ok(Box::new(move |sides, order| {
        let arbiter = sides.ours(async { Arbiter::new() });
        let run = |limited: bool| {
            let (ended, seen) = oneshot::channel();
            let slow = Slow {
                bytes: 0,
                ended: Some(ended),
            };
            let slow = Slow::start_in_arbiter(&arbiter.handle(), |_| slow);
            Counting::start();
            let cost = cost(|| sides.ours(pour(slow, limited, bytes, seen)));
            (Counting::peak() / WINDOW, bytes as f64 / 1e9 / cost.wall)
        };
        let ((memory, rate), (loose_memory, loose_rate)) = order.run(|| run(true), || run(false));
        arbiter.stop();
        arbiter.join().expect("the arbiter's thread ends");
        eprintln!("    at most {memory:.2} windows, without a limit {loose_memory:.2}");
        vec![
            Sample {
                ours: memory,
                peer: 1.0,
            },
            Sample {
                ours: rate,
                peer: loose_rate,
            },
        ]
    }))
}

async fn pour(slow: Addr<Slow>, limited: bool, bytes: usize, seen: oneshot::Receiver<usize>) {
    let only_stdout = [(0, Fd::null()), (1, Fd::read()), (2, Fd::inherit(2))];
    let args = ["@pour", &bytes.to_string(), "65536", "0"];
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
}
