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
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let index = MICROS.partition_point(|bound| *bound * 1_000 < nanos);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn of(times: &[Duration]) -> Histogram {
        let mut histogram = Histogram::default();
        times.iter().for_each(|time| histogram.add(*time));
        histogram
    }

    #[test]
    fn bounds_are_one_two_five_of_each_power_of_ten() {
        let bounds = Histogram::default();
        let bounds: Vec<_> = bounds.buckets().filter_map(|(bound, _)| bound).collect();
        let first = [100, 200, 500, 1_000, 2_000, 5_000, 10_000];
        assert_eq!(bounds[..7], first.map(Duration::from_micros));
        assert_eq!(bounds[20], Duration::from_secs(500));
        assert!(bounds.is_sorted());
    }

    #[test]
    fn a_time_falls_into_the_first_bucket_that_is_not_shorter() {
        let bucket = |time| {
            let histogram = of(&[time]);
            let mut counted = histogram.buckets().filter(|(_, count)| *count == 1);
            let (bound, _) = counted.next().unwrap();
            assert_eq!(counted.next(), None);
            bound
        };
        assert_eq!(bucket(Duration::ZERO), Some(Duration::from_micros(100)));
        assert_eq!(bucket(millis(1)), Some(millis(1)));
        assert_eq!(bucket(millis(1) + Duration::from_nanos(1)), Some(millis(2)));
        assert_eq!(
            bucket(Duration::from_secs(500)),
            Some(Duration::from_secs(500))
        );
        assert_eq!(bucket(Duration::from_secs(501)), None);
    }

    #[test]
    fn all_are_counted_and_added_up() {
        let histogram = of(&[millis(1), millis(30), Duration::MAX, millis(2)]);
        assert_eq!(histogram.count(), 4);
        assert_eq!(histogram.sum(), Duration::MAX);
        assert_eq!(of(&[millis(1), millis(30)]).sum(), millis(31));
        assert_eq!(histogram.buckets().count(), 22);
    }

    #[test]
    fn a_quantile_is_the_end_of_its_bucket() {
        let mut times = vec![millis(1); 90];
        times.extend([millis(40); 9]);
        times.push(Duration::from_secs(1000));
        let histogram = of(&times);
        let quantile = |share| histogram.quantile(share);
        assert_eq!(quantile(0.0), Some(millis(1)));
        assert_eq!(quantile(0.9), Some(millis(1)));
        assert_eq!(quantile(0.91), Some(millis(50)));
        assert_eq!(quantile(0.99), Some(millis(50)));
        assert_eq!(quantile(1.0), None);
        assert_eq!(quantile(7.0), None);
        assert_eq!(Histogram::default().quantile(0.5), None);
    }
}
