//! Rounds, medians and verdicts.

use std::time::{Duration, Instant};

use crate::sides::Sides;

/// One comparison.
pub(crate) struct Bench {
    pub(crate) name: &'static str,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) rounds: Rounds,
    /// Makes what a round needs; the round measures ours and the peer once each.
    pub(crate) setup: fn(Scale) -> Result<Round, Skipped>,
}

pub(crate) type Round = Box<dyn FnMut(&Sides, Order) -> Vec<Sample>>;

/// What is measured in each round.
pub(crate) struct Metric {
    /// Added to the bench's name where it has several.
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) bar: Bar,
    pub(crate) aim: Bar,
}

#[derive(Clone, Copy)]
pub(crate) enum Bar {
    AtLeast(f64),
    AtMost(f64),
}

/// One round's measurement of one metric.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) ours: f64,
    /// 1 where the measurement is judged by itself.
    pub(crate) peer: f64,
}

/// Why a bench cannot run here.
pub(crate) struct Skipped(pub String);

/// Who comes first in a round: they take turns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    OursFirst,
    PeerFirst,
}

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

impl Bench {
    pub(crate) fn run(self, scale: Scale) -> Verdict {
        let begun = Instant::now();
        let mut round = match (self.setup)(scale) {
            Ok(round) => round,
            Err(Skipped(why)) => {
                println!("{} SKIPPED {why}", self.name);
                return Verdict::Skipped;
            }
        };
        // After the setup, whose affinity its threads inherit.
        let sides = Sides::new();
        if scale == Scale::Smoke {
            round(&sides, Order::OursFirst);
            println!("{} runs", self.name);
            return Verdict::Ok;
        }
        let mut samples = Vec::new();
        let mut order = Order::OursFirst;
        loop {
            let round_begun = Instant::now();
            samples.push(round(&sides, order));
            order = order.other();
            let late = begun.elapsed() + round_begun.elapsed() > TIME;
            let enough = samples.len() >= self.rounds.least && self.is_met(&samples);
            if enough || samples.len() >= self.rounds.most || late {
                break;
            }
        }
        self.report(&samples, begun.elapsed());
        if self.is_met(&samples) {
            Verdict::Ok
        } else {
            Verdict::Short
        }
    }

    fn is_met(&self, samples: &[Vec<Sample>]) -> bool {
        let medians = self.ratios(samples).map(|ratios| median(&ratios));
        self.metrics
            .iter()
            .zip(medians)
            .all(|(m, ratio)| m.bar.is_met(ratio))
    }

    /// The ratios of all rounds, for each metric.
    fn ratios(&self, samples: &[Vec<Sample>]) -> impl Iterator<Item = Vec<f64>> {
        (0..self.metrics.len()).map(|index| {
            samples
                .iter()
                .map(|round| round[index].ours / round[index].peer)
                .collect()
        })
    }

    fn report(&self, samples: &[Vec<Sample>], took: Duration) {
        for (index, (metric, ratios)) in self.metrics.iter().zip(self.ratios(samples)).enumerate() {
            let ratio = median(&ratios);
            let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
            let most = ratios.iter().copied().fold(0.0, f64::max);
            let verdict = if metric.bar.is_met(ratio) {
                "ok"
            } else {
                "SHORT"
            };
            let slash = if metric.name.is_empty() { "" } else { "/" };
            println!(
                "{}{slash}{} {} [{}-{}] bar {} {verdict}",
                self.name,
                metric.name,
                three_digits(ratio),
                three_digits(least),
                three_digits(most),
                metric.bar,
            );
            let side = |pick: fn(&Sample) -> f64| {
                let values: Vec<f64> = samples.iter().map(|round| pick(&round[index])).collect();
                three_digits(median(&values))
            };
            let reached = if metric.aim.is_met(ratio) {
                "reached"
            } else {
                "not reached"
            };
            eprintln!(
                "    ours {}, peer {} {}; aim {} {reached}; {} rounds, {:.0} s",
                side(|sample| sample.ours),
                side(|sample| sample.peer),
                metric.unit,
                metric.aim,
                samples.len(),
                took.as_secs_f64(),
            );
        }
    }
}

impl Bar {
    fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(bar) => ratio >= bar,
            Self::AtMost(bar) => ratio <= bar,
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

impl Order {
    const fn other(self) -> Self {
        match self {
            Self::OursFirst => Self::PeerFirst,
            Self::PeerFirst => Self::OursFirst,
        }
    }

    /// Runs both in this order.
    pub(crate) fn run<T>(self, ours: impl FnOnce() -> T, peer: impl FnOnce() -> T) -> (T, T) {
        match self {
            Self::OursFirst => {
                let ours = ours();
                (ours, peer())
            }
            Self::PeerFirst => {
                let peer = peer();
                (ours(), peer)
            }
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
