//! How long a timer is held up on an arbiter that spawns, or whose protocol is flooded.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix::prelude::*;
use actix_process::{
    Bytes, Command, ExitStatus, Fd, ProcessHandle, ProcessProtocol, process_protocol,
};
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use crate::harness::{Bench, Metric, Rounds, Scale, Side, Skipped, USUAL, p99};
use crate::helper;
use crate::measure::{Ticker, cost, work_for};
use crate::sides::{Ours, Tokio};
use crate::{crowd, peer};

pub(crate) fn benches() -> Vec<Bench> {
    vec![
        // A timer of 1 ms on the thread that asks for 1,000 spawns, 16 at a time, against tokio.
        Bench {
            name: "loop_stall",
            metrics: vec![
                Metric::at_most("p99", "ms", 0.40, 0.20),
                Metric::at_least("rate", "children/s", 0.95, 1.0),
            ],
            rounds: USUAL,
            ours: loop_stall_ours,
            peer: loop_stall_tokio,
        },
        // The worst gap of a timer of 1 ms on the protocol's arbiter, while 100 children write single
        // bytes that readers on another arbiter forward, and whether they are a flood; beside it, nobody
        // writes.
        Bench {
            name: "fair_flood",
            metrics: vec![
                Metric::at_most("", "ms", 20.0, 5.0).by_value(),
                Metric::at_least("messages", "a second", 30_000.0, 100_000.0).by_value(),
            ],
            rounds: USUAL,
            ours: |scale| Ok(flooded(scale, Flood::OfUs, &PACED)),
            peer: |scale| Ok(flooded(scale, Flood::Nobody, &PACED)),
        },
        // The same with children that never rest, so that the kernel's scheduling of a hundred busy
        // processes is in it; against as many that write to /dev/null.
        Bench {
            name: "fair_flood_crowded",
            metrics: vec![
                Metric::at_most("", "ms", 2.5, 1.0),
                Metric::at_least("messages", "a second", 100.0, 500.0).by_value(),
            ],
            rounds: Rounds { least: 7, most: 9 },
            ours: |scale| Ok(flooded(scale, Flood::OfUs, &RESTLESS)),
            peer: |scale| Ok(flooded(scale, Flood::Elsewhere, &RESTLESS)),
        },
    ]
}

const PROGRAM: &str = "/bin/true";

/// So many microseconds apart most messages come, on two CPUs: an arbiter that had no turns would stand
/// for seconds. Children that never rest take the CPUs from whoever reads, and what they write meanwhile
/// comes as one message.
const PACED: [&str; 2] = ["@drip", "500"];
const RESTLESS: [&str; 2] = ["@drip", "0"];

fn loop_stall_ours(scale: Scale) -> Result<Side, Skipped> {
    let count = scale.pick(1000, 20);
    let ours = Ours::new();
    Ok(Box::new(move || {
        let mut gaps = Vec::new();
        let cost = cost(|| {
            gaps = ours.run(async {
                let (ticker, tick) = Ticker::new();
                actix_rt::spawn(tick);
                crowd::relay(Command::new(PROGRAM), count, 16).await;
                ticker.stop()
            });
        });
        vec![p99(&gaps), count as f64 / cost.wall]
    }))
}

fn loop_stall_tokio(scale: Scale) -> Result<Side, Skipped> {
    let count = scale.pick(1000, 20);
    let tokio = Tokio::new();
    Ok(Box::new(move || {
        let mut gaps = Vec::new();
        let cost = cost(|| {
            gaps = tokio.run(LocalSet::new().run_until(async {
                let (ticker, tick) = Ticker::new();
                tokio::task::spawn_local(tick);
                peer::relay(&mut peer::piped(PROGRAM, &[]), count, 16).await;
                ticker.stop()
            }));
        });
        vec![p99(&gaps), count as f64 / cost.wall]
    }))
}

/// Takes 2 us for each message.
struct Flooded {
    messages: Arc<AtomicUsize>,
    left: usize,
    ended: Option<oneshot::Sender<()>>,
}

impl Actor for Flooded {
    type Context = Context<Self>;
}

impl ProcessProtocol for Flooded {
    fn out_received(&mut self, _: &ProcessHandle, data: Bytes, _: &mut Context<Self>) {
        work_for(Duration::from_micros(2));
        std::hint::black_box(data);
        self.messages.fetch_add(1, Ordering::Relaxed);
    }

    fn process_ended(&mut self, _: &ProcessHandle, _: ExitStatus, _: &mut Context<Self>) {
        self.left -= 1;
        if self.left == 0
            && let Some(ended) = self.ended.take()
        {
            let _ = ended.send(());
        }
    }
}
process_protocol!(Flooded);

/// Whom the children flood.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flood {
    OfUs,
    Elsewhere,
    Nobody,
}

fn flooded(scale: Scale, flood: Flood, args: &[&str]) -> Side {
    let children = scale.pick(100, 5);
    let time = Duration::from_millis(scale.pick(1000, 200));
    let drip = Command::new(helper::program()).args(helper::args(args));
    let drip = match flood {
        Flood::OfUs => drip,
        Flood::Elsewhere | Flood::Nobody => drip.stdout(Fd::null()),
    };
    let ours = Ours::new();
    Box::new(move || {
        ours.run(async {
            let arbiter = Arbiter::new();
            let seen = if flood == Flood::Nobody {
                vec![worst_gap(&arbiter, time).await, 0.0]
            } else {
                flooded_gap(&arbiter, &drip, children, time).await
            };
            arbiter.stop();
            seen
        })
    })
}

/// Lets the timer run on `arbiter` for `time`; gives its worst gap in milliseconds.
async fn worst_gap(arbiter: &Arbiter, time: Duration) -> f64 {
    let (done, gaps) = oneshot::channel();
    arbiter.spawn_fn(move || {
        let (ticker, tick) = Ticker::new();
        actix_rt::spawn(tick);
        actix_rt::spawn(async move {
            tokio::time::sleep(time).await;
            let _ = done.send(ticker.stop());
        });
    });
    let gaps = gaps.await.expect("the arbiter runs");
    gaps.into_iter().fold(0.0, f64::max)
}

/// The same beside children; also how many messages a second the protocol got.
async fn flooded_gap(
    arbiter: &Arbiter,
    drip: &Command,
    children: usize,
    time: Duration,
) -> Vec<f64> {
    let (ended, end) = oneshot::channel();
    let messages = Arc::new(AtomicUsize::new(0));
    let flooded = Flooded {
        messages: Arc::clone(&messages),
        left: children,
        ended: Some(ended),
    };
    let protocol = Flooded::start_in_arbiter(&arbiter.handle(), |_| flooded);
    let mut handles = Vec::with_capacity(children);
    for _ in 0..children {
        handles.push(
            drip.spawn(&protocol)
                .await
                .expect("this program can be spawned"),
        );
    }
    for process in &handles {
        process.close_stdin();
    }
    let before = messages.load(Ordering::Relaxed);
    let gap = worst_gap(arbiter, time).await;
    let messages = messages.load(Ordering::Relaxed) - before;
    for process in handles {
        assert!(process.kill(), "it drips");
    }
    end.await.expect("every child ends");
    vec![gap, messages as f64 / time.as_secs_f64()]
}
