//! Times, counted in fixed buckets.

use std::time::Duration;

/// The upper ends of the buckets, in microseconds: 1, 2, 5 of each power of ten, from 100 microseconds to 500 seconds. One more bucket has what is
/// longer.
const MICROS: [u64; 21] = [
    100,
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
];

/// How many times fell into which bucket, as a Prometheus histogram has them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Histogram {
    counts: [u64; MICROS.len() + 1],
    sum: Duration,
}

impl Histogram {
    pub(super) fn add(&mut self, time: Duration) {
        let index = MICROS.partition_point(|bound| Duration::from_micros(*bound) < time);
        if let Some(count) = self.counts.get_mut(index) {
            *count += 1;
        }
        self.sum = self.sum.saturating_add(time);
    }

    /// How many times were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum of all of them.
    #[must_use]
    pub const fn sum(&self) -> Duration {
        self.sum
    }

    /// The buckets: the longest time that belongs there, `None` for the last one, and how many did. Not cumulative.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> + '_ {
        let bounds = MICROS
            .into_iter()
            .map(|bound| Some(Duration::from_micros(bound)))
            .chain([None]);
        bounds.zip(self.counts)
    }

    /// The upper end of the bucket in which the time is that so large a share (0.0 to 1.0) of all times does not exceed; `None` if there are no times, or
    /// the time is in the last bucket.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = (share.clamp(0.0, 1.0) * self.count() as f64)
            .ceil()
            .max(1.0) as u64;
        let mut seen = 0;
        for (bound, count) in self.buckets() {
            seen += count;
            if seen >= rank {
                return bound;
            }
        }
        None
    }
}
