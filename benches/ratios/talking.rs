//! Lines to and from children: round trips, and many children that talk at once.

use std::time::Instant;

use actix::prelude::*;
use actix_process::{Bytes, Command, ExitStatus, ProcessHandle, ProcessProtocol, process_protocol};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

use crate::harness::{Bench, MANY, Metric, Scale, Setup, Side, Skipped, USUAL, median, p99};
use crate::measure::{cost, pin};
use crate::sides::{ByHand, Ours, Tokio};
use crate::{by_hand, crowd, helper, peer};

pub(crate) fn benches() -> Vec<Bench> {
    vec![
        // Round trips of one line through `cat`, all on one CPU, against tokio.
        Bench {
            name: "echo",
            metrics: vec![
                Metric::at_most("p50", "us", 1.30, 1.0),
                Metric::at_most("p99", "us", 1.4, 1.0),
            ],
            rounds: MANY,
            ours: echo_ours,
            peer: echo_tokio,
        },
        // The same against what an actix user would write by hand.
        by_hand(
            "echo_by_hand",
            "round trips/s",
            |scale| {
                pin(0);
                let ours = Ours::new();
                Ok(echo_rate(scale, move |trips| {
                    drop(ours.run(ours_echo(trips, false)))
                }))
            },
            |scale| {
                pin(0);
                let system = ByHand::new();
                let echo = |trips| by_hand::echo(peer::piped("cat", &[]), LINE, trips);
                Ok(echo_rate(scale, move |trips| system.run(echo(trips))))
            },
        ),
        // 200 children write 10,000 lines of 100 bytes each; the lines are counted in one protocol
        // actor, against tokio with a task for each child.
        Bench {
            name: "chatty",
            metrics: vec![
                Metric::at_most("wall", "s", 1.0, 0.9),
                Metric::at_most("cpu", "s", 1.20, 1.0),
            ],
            rounds: USUAL,
            ours: chatty_ours,
            peer: chatty_tokio,
        },
        // The same against what an actix user would write by hand.
        by_hand(
            "chatty_by_hand",
            "lines/s",
            |scale| Ok(as_rate(scale, chatty_ours(scale)?)),
            |scale| Ok(as_rate(scale, chatty_by_hand(scale)?)),
        ),
    ]
}

fn by_hand(name: &'static str, unit: &'static str, ours: Setup, peer: Setup) -> Bench {
    Bench {
        name,
        metrics: vec![
            Metric::at_least("rate", unit, 1.0, 1.05),
            Metric::at_most("cpu", "s", 1.0, 0.95),
        ],
        rounds: USUAL,
        ours,
        peer,
    }
}

const LINE: &[u8] = b"a line of thirty-two characters\n";

fn echo_ours(scale: Scale) -> Result<Side, Skipped> {
    pin(0);
    let ours = Ours::new();
    Ok(Box::new(move || {
        quantiles(&ours.run(ours_echo(scale.pick(20_000, 100), true)))
    }))
}

fn echo_tokio(scale: Scale) -> Result<Side, Skipped> {
    pin(0);
    let tokio = Tokio::new();
    Ok(Box::new(move || {
        quantiles(&tokio.run(tokio_echo(scale.pick(20_000, 100))))
    }))
}

fn echo_rate(scale: Scale, echo: impl Fn(usize) + 'static) -> Side {
    let trips = scale.pick(20_000, 100);
    Box::new(move || {
        let cost = cost(|| echo(trips));
        vec![trips as f64 / cost.wall, cost.cpu]
    })
}

fn quantiles(times: &[f64]) -> Vec<f64> {
    vec![median(times), p99(times)]
}

/// Sends the next line when the last one is back.
struct Echo {
    /// Still to be sent.
    left: usize,
    /// When, of one whose time is taken.
    sent: Option<Instant>,
    back: usize,
    times: Vec<f64>,
    ended: Option<oneshot::Sender<Vec<f64>>>,
}

impl Echo {
    fn send(&mut self, process: &ProcessHandle) {
        if self.left == 0 {
            process.close_stdin();
            return;
        }
        self.left -= 1;
        if let Some(sent) = &mut self.sent {
            *sent = Instant::now();
        }
        process.write(LINE).expect("cat reads");
    }
}

impl Actor for Echo {
    type Context = Context<Self>;
}

impl ProcessProtocol for Echo {
    fn connection_made(&mut self, process: &ProcessHandle, _: &mut Context<Self>) {
        self.send(process);
    }

    fn out_received(&mut self, process: &ProcessHandle, data: Bytes, _: &mut Context<Self>) {
        self.back += data.len();
        if self.back == LINE.len() {
            self.back = 0;
            if let Some(sent) = self.sent {
                self.times.push(sent.elapsed().as_secs_f64() * 1e6);
            }
            self.send(process);
        }
    }

    fn process_ended(&mut self, _: &ProcessHandle, _: ExitStatus, _: &mut Context<Self>) {
        if let Some(ended) = self.ended.take() {
            let _ = ended.send(std::mem::take(&mut self.times));
        }
    }
}
process_protocol!(Echo);

async fn ours_echo(trips: usize, timed: bool) -> Vec<f64> {
    let (ended, times) = oneshot::channel();
    let echo = Echo {
        left: trips,
        sent: timed.then(Instant::now),
        back: 0,
        times: Vec::with_capacity(trips),
        ended: Some(ended),
    };
    let cat = Command::new("cat").spawn(echo.start()).await;
    cat.expect("cat can be spawned");
    times.await.expect("cat ends")
}

async fn tokio_echo(trips: usize) -> Vec<f64> {
    let mut cat = peer::piped("cat", &[]).spawn().expect("cat can be spawned");
    let mut stdin = cat.stdin.take().expect("it is piped");
    let mut stdout = cat.stdout.take().expect("it is piped");
    let stderr = cat.stderr.take().expect("it is piped");
    let talk = async move {
        let mut times = Vec::with_capacity(trips);
        let mut buffer = vec![0; 4096];
        for _ in 0..trips {
            let sent = Instant::now();
            stdin.write_all(LINE).await.expect("cat reads");
            let mut back = 0;
            while back < LINE.len() {
                back += stdout.read(&mut buffer).await.expect("a pipe can be read");
            }
            times.push(sent.elapsed().as_secs_f64() * 1e6);
        }
        times
    };
    let (times, ()) = tokio::join!(talk, peer::drain(stderr));
    cat.wait().await.expect("cat can be waited for");
    times
}

fn chatty_ours(scale: Scale) -> Result<Side, Skipped> {
    let (children, lines) = chatter(scale);
    let command = Command::new(helper::program()).args(chatter_args(lines));
    let ours = Ours::new();
    Ok(Box::new(move || {
        let work = crowd::chatter(command.clone(), children);
        wall_and_cpu(children * lines, || ours.run(work))
    }))
}

fn chatty_tokio(scale: Scale) -> Result<Side, Skipped> {
    let (children, lines) = chatter(scale);
    let mut command = peer::piped(&helper::program(), &chatter_args(lines));
    let tokio = Tokio::new();
    Ok(Box::new(move || {
        let work = peer::chatter(&mut command, children);
        wall_and_cpu(children * lines, || tokio.run(work))
    }))
}

fn chatty_by_hand(scale: Scale) -> Result<Side, Skipped> {
    let (children, lines) = chatter(scale);
    let args = chatter_args(lines);
    let system = ByHand::new();
    Ok(Box::new(move || {
        let work = by_hand::chatter(peer::piped(&helper::program(), &args), children);
        wall_and_cpu(children * lines, || system.run(work))
    }))
}

/// A side of `chatty`, with lines a second in place of the wall time.
fn as_rate(scale: Scale, mut side: Side) -> Side {
    let (children, lines) = chatter(scale);
    Box::new(move || {
        let mut results = side();
        results[0] = (children * lines) as f64 / results[0];
        results
    })
}

/// How many children, and how many lines each.
fn chatter(scale: Scale) -> (usize, usize) {
    scale.pick((200, 10_000), (5, 100))
}

fn chatter_args(lines: usize) -> Vec<String> {
    helper::args(&["@lines", &lines.to_string()])
}

fn wall_and_cpu(lines: usize, work: impl FnOnce() -> crowd::Totals) -> Vec<f64> {
    let cost = cost(|| assert_eq!(work().lines, lines));
    vec![cost.wall, cost.cpu]
}
