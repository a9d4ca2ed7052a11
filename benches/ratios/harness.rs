//! Rounds, medians and verdicts.

use std::time::{Duration, Instant};

use crate::measure::{Counting, thread_times};
use crate::worker::{Who, Worker};

/// One comparison.
pub(crate) struct Bench {
    pub(crate) name: &'static str,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) rounds: Rounds,
    pub(crate) ours: Setup,
    pub(crate) peer: Setup,
}

/// Makes what one side needs, in its own process.
pub(crate) type Setup = fn(Scale) -> Result<Side, Skipped>;

/// Measures once: a number for each metric.
pub(crate) type Side = Box<dyn FnMut() -> Vec<f64>>;

/// What is measured in each round.
pub(crate) struct Metric {
    /// Added to the bench's name where it has several.
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) judged: Judged,
    pub(crate) bar: Bar,
    pub(crate) aim: Bar,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    /// Ours divided by the peer's.
    ByRatio,
    /// Ours; the peer's is only told.
    ByValue,
}

#[derive(Clone, Copy)]
pub(crate) enum Bar {
    AtLeast(f64),
    AtMost(f64),
}

/// Why a bench cannot run here.
#[derive(Debug)]
pub(crate) struct Skipped(pub(crate) String);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    Full,
    /// Once, small, unjudged: does it run at all?
    Smoke,
}

/// How often: a median that is short after the least number runs on to the most.
#[derive(Clone, Copy)]
pub(crate) struct Rounds {
    pub(crate) least: usize,
    pub(crate) most: usize,
}

/// As an exit status.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Ok = 0,
    Short = 1,
    Skipped = 2,
}

/// No further round begins that might end later than this.
const TIME: Duration = Duration::from_secs(55);

pub(crate) const USUAL: Rounds = Rounds { least: 7, most: 21 };

/// Where the machine's noise is large beside the margin that is left to the bar.
pub(crate) const MANY: Rounds = Rounds {
    least: 21,
    most: 63,
};

/// One round's measurements.
struct Round {
    ours: Vec<f64>,
    peer: Vec<f64>,
}

impl Bench {
    pub(crate) fn side(&self, who: Who, scale: Scale) -> Result<Side, Skipped> {
        match who {
            Who::Ours => (self.ours)(scale),
            Who::Peer => (self.peer)(scale),
        }
    }

    /// Measures both sides in turn, and judges.
    pub(crate) fn run(&self, scale: Scale) -> Verdict {
        let begun = Instant::now();
        let start = |who| Worker::start(self, who, scale);
        let (mut ours, mut peer) = match (start(Who::Ours), start(Who::Peer)) {
            (Ok(ours), Ok(peer)) => (ours, peer),
            (Err(Skipped(why)), _) | (_, Err(Skipped(why))) => {
                println!("{} SKIPPED {why}", self.name);
                // A smoke run only asks whether what can run does.
                return scale.pick(Verdict::Skipped, Verdict::Ok);
            }
        };
        let mut rounds = Vec::new();
        loop {
            let round_begun = Instant::now();
            rounds.push(Round::run(&mut ours, &mut peer, rounds.len() % 2 == 0));
            if scale == Scale::Smoke {
                println!("{} runs", self.name);
                return Verdict::Ok;
            }
            let late = begun.elapsed() + round_begun.elapsed() > TIME;
            // Looked at once: one that stops as soon as it is met would be met by chance.
            let enough = rounds.len() == self.rounds.least && self.is_met(&rounds);
            if enough || rounds.len() >= self.rounds.most || late {
                break;
            }
        }
        self.report(&rounds, begun.elapsed());
        if self.is_met(&rounds) {
            Verdict::Ok
        } else {
            Verdict::Short
        }
    }

    /// One side only, in this process, unjudged: for a profiler to watch. Tells what a round costs.
    pub(crate) fn profile(&self, who: Who, rounds: usize, scale: Scale) -> Verdict {
        let mut side = match self.side(who, scale) {
            Ok(side) => side,
            Err(Skipped(why)) => {
                println!("{} SKIPPED {why}", self.name);
                return Verdict::Skipped;
            }
        };
        // What is made once and stays is there.
        side();
        let before = thread_times();
        Counting::start();
        for _ in 0..rounds {
            side();
        }
        let allocations = Counting::allocations() / rounds.max(1);
        println!(
            "{} {}, in a round: {allocations} allocations",
            self.name,
            who.name()
        );
        for (thread, time) in thread_times() {
            let before = before.get(&thread).copied().unwrap_or_default();
            let each = (time - before) / rounds.max(1) as f64;
            println!("    {} {}: {:.2} ms of CPU", thread.1, thread.0, each * 1e3);
        }
        Verdict::Ok
    }

    fn is_met(&self, rounds: &[Round]) -> bool {
        let metrics = self.metrics.iter().enumerate();
        metrics.into_iter().all(|(index, metric)| {
            let results = metric.results(index, rounds);
            metric.bar.is_met(median(&results))
        })
    }

    fn report(&self, rounds: &[Round], took: Duration) {
        for (index, metric) in self.metrics.iter().enumerate() {
            let results = metric.results(index, rounds);
            let result = median(&results);
            let least = results.iter().copied().fold(f64::INFINITY, f64::min);
            let most = results.iter().copied().fold(0.0, f64::max);
            let met = metric.bar.is_met(result);
            println!(
                "{}{}{} {} [{}-{}] bar {} {}",
                self.name,
                if metric.name.is_empty() { "" } else { "/" },
                metric.name,
                three_digits(result),
                three_digits(least),
                three_digits(most),
                metric.bar,
                if met { "ok" } else { "SHORT" },
            );
            let of = |side: fn(&Round) -> &Vec<f64>| {
                let values: Vec<f64> = rounds.iter().map(|round| side(round)[index]).collect();
                three_digits(median(&values))
            };
            eprintln!(
                "    ours {}, peer {} {}; aim {} {}reached; {} rounds, {:.0} s",
                of(|round| &round.ours),
                of(|round| &round.peer),
                metric.unit,
                metric.aim,
                if metric.aim.is_met(result) {
                    ""
                } else {
                    "not "
                },
                rounds.len(),
                took.as_secs_f64(),
            );
        }
    }
}

impl Round {
    /// They take turns in being first.
    fn run(ours: &mut Worker, peer: &mut Worker, ours_first: bool) -> Self {
        if ours_first {
            let ours = ours.measure();
            let peer = peer.measure();
            Self { ours, peer }
        } else {
            let peer = peer.measure();
            let ours = ours.measure();
            Self { ours, peer }
        }
    }
}

impl Metric {
    pub(crate) const fn at_least(
        name: &'static str,
        unit: &'static str,
        bar: f64,
        aim: f64,
    ) -> Self {
        Self {
            name,
            unit,
            judged: Judged::ByRatio,
            bar: Bar::AtLeast(bar),
            aim: Bar::AtLeast(aim),
        }
    }

    pub(crate) const fn at_most(
        name: &'static str,
        unit: &'static str,
        bar: f64,
        aim: f64,
    ) -> Self {
        Self {
            bar: Bar::AtMost(bar),
            aim: Bar::AtMost(aim),
            ..Self::at_least(name, unit, bar, aim)
        }
    }

    pub(crate) const fn by_value(self) -> Self {
        Self {
            judged: Judged::ByValue,
            ..self
        }
    }

    /// What is judged, of each round.
    fn results(&self, index: usize, rounds: &[Round]) -> Vec<f64> {
        let result = |round: &Round| match self.judged {
            Judged::ByRatio => round.ours[index] / round.peer[index],
            Judged::ByValue => round.ours[index],
        };
        rounds.iter().map(result).collect()
    }
}

impl Bar {
    fn is_met(self, value: f64) -> bool {
        match self {
            // A peer that measured nothing is no peer.
            Self::AtLeast(bar) => value >= bar && value.is_finite(),
            Self::AtMost(bar) => value <= bar,
        }
    }
}

impl std::fmt::Display for Bar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(bar) => write!(f, ">= {bar}"),
            Self::AtMost(bar) => write!(f, "<= {bar}"),
        }
    }
}

impl Scale {
    /// `full`, or `smoke` in a smoke run.
    pub(crate) fn pick<T>(self, full: T, smoke: T) -> T {
        match self {
            Self::Full => full,
            Self::Smoke => smoke,
        }
    }
}

impl Verdict {
    /// Short is worse than skipped.
    pub(crate) const fn worse(self, other: Self) -> Self {
        match (self, other) {
            (Self::Short, _) | (_, Self::Short) => Self::Short,
            (Self::Skipped, _) | (_, Self::Skipped) => Self::Skipped,
            (Self::Ok, Self::Ok) => Self::Ok,
        }
    }
}

pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// The value below which 99 of 100 are.
pub(crate) fn p99(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let index = (sorted.len() * 99 / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

fn three_digits(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}
