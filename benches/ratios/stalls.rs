//! How long a timer is held up on an arbiter that spawns, or whose protocol is flooded.

use std::time::{Duration, Instant};

use actix::prelude::*;
use actix_process::{
    Bytes, Command, ExitStatus, Fd, FdMap, ProcessHandle, ProcessProtocol, process_protocol,
};
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use crate::harness::{Bar, Bench, Metric, Round, Rounds, Sample, Scale, Skipped, USUAL, p99};
use crate::helper;
use crate::measure::{Ticker, cost};
use crate::{crowd, peer};

pub(crate) fn benches() -> Vec<Bench> {
    vec![
        Bench {
            name: "loop_stall",
            metrics: vec![
                Metric {
                    name: "p99",
                    unit: "ms",
                    bar: Bar::AtMost(0.40),
                    aim: Bar::AtMost(0.20),
                },
                Metric {
                    name: "rate",
                    unit: "children/s",
                    bar: Bar::AtLeast(0.95),
                    aim: Bar::AtLeast(1.0),
                },
            ],
            rounds: USUAL,
            setup: loop_stall,
        },
        Bench {
            name: "fair_flood",
            metrics: vec![Metric {
                name: "",
                unit: "ms",
                bar: Bar::AtMost(20.0),
                aim: Bar::AtMost(5.0),
            }],
            rounds: Rounds { least: 7, most: 9 },
            setup: fair_flood,
        },
    ]
}

/// A timer of 1 ms on the thread that asks for 1,000 spawns, 16 at a time, against tokio.
fn loop_stall(scale: Scale) -> Result<Round, Skipped> {
    const PROGRAM: &str = "/bin/true";
    let count = scale.pick(1000, 20);
    Ok(Box::new(move |sides, order| {
        let ours = || {
            let mut gaps = Vec::new();
            let cost = cost(|| {
                gaps = sides.ours(async {
                    let (ticker, tick) = Ticker::new();
                    actix_rt::spawn(tick);
                    crowd::relay(Command::new(PROGRAM), count, 16).await;
                    ticker.stop()
                });
            });
            (p99(&gaps), count as f64 / cost.wall)
        };
        let tokios = || {
            let mut gaps = Vec::new();
            let cost = cost(|| {
                gaps = sides.tokio(LocalSet::new().run_until(async {
                    let (ticker, tick) = Ticker::new();
                    tokio::task::spawn_local(tick);
                    peer::relay(peer::piped(PROGRAM, &[]), count, 16).await;
                    ticker.stop()
                }));
            });
            (p99(&gaps), count as f64 / cost.wall)
        };
        let ((gap, rate), (peers_gap, peers_rate)) = order.run(ours, tokios);
        vec![
            Sample {
                ours: gap,
                peer: peers_gap,
            },
            Sample {
                ours: rate,
                peer: peers_rate,
            },
        ]
    }))
}

/// Takes 2 us for each message.
struct Flooded {
    messages: usize,
    left: usize,
    ended: Option<oneshot::Sender<usize>>,
}

impl Actor for Flooded {
    type Context = Context<Self>;
}

impl ProcessProtocol for Flooded {
    fn out_received(&mut self, _: &ProcessHandle, data: Bytes, _: &mut Context<Self>) {
        work_for(Duration::from_micros(2));
        std::hint::black_box(data);
        self.messages += 1;
    }

    fn process_ended(&mut self, _: &ProcessHandle, _: ExitStatus, _: &mut Context<Self>) {
        self.left -= 1;
        if self.left == 0
            && let Some(ended) = self.ended.take()
        {
            let _ = ended.send(self.messages);
        }
    }
}
process_protocol!(Flooded);

fn work_for(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// The worst gap of a timer of 1 ms on the protocol's arbiter, while 100 children write single
/// bytes that readers on another arbiter forward. The idle arbiter's worst gap is told beside it.
fn fair_flood(scale: Scale) -> Result<Round, Skipped> {
    let children = scale.pick(100, 5);
    let time = Duration::from_millis(scale.pick(2000, 200));
    Ok(Box::new(move |sides, order| {
        let arbiter = sides.ours(async { Arbiter::new() });
        let (idle, flooded) = order.run(
            || sides.ours(worst_gap(&arbiter, time)),
            || sides.ours(flooded_gap(&arbiter, children, time)),
        );
        arbiter.stop();
        arbiter.join().expect("the arbiter's thread ends");
        eprintln!("    worst gap idle {idle:.1} ms, flooded {flooded:.1} ms");
        vec![Sample {
            ours: flooded,
            peer: 1.0,
        }]
    }))
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

async fn flooded_gap(arbiter: &Arbiter, children: usize, time: Duration) -> f64 {
    let (ended, messages) = oneshot::channel();
    let flooded = Flooded {
        messages: 0,
        left: children,
        ended: Some(ended),
    };
    let protocol = Flooded::start_in_arbiter(&arbiter.handle(), |_| flooded);
    let only_stdout = [(0, Fd::null()), (1, Fd::read()), (2, Fd::inherit(2))];
    let drip = Command::new(helper::program())
        .args(helper::args(&["@drip"]))
        .fds(FdMap::from(only_stdout));
    let mut handles = Vec::with_capacity(children);
    for _ in 0..children {
        handles.push(
            drip.spawn(&protocol)
                .await
                .expect("this program can be spawned"),
        );
    }
    let gap = worst_gap(arbiter, time).await;
    for process in handles {
        process.kill().expect("it drips");
    }
    assert!(messages.await.expect("every child ends") > 0);
    gap
}
