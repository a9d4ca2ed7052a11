//! How long to wait before the next try, after so many failures in a row.

use std::time::Duration;

/// How long to wait before the next try: longer after each failure, up to a cap, and never twice the same.
///
/// The delay before try `n + 1` is `first * factor^(n - 1)`, at most `cap`, with a random part of it added or taken away. By default
/// that is 200 ms, 400 ms, 800 ms, and so on up to 30 s, each up to 10 % shorter or longer, so that what fails together does not come
/// back together. 30 s of readiness make the next failure the first one again.
///
/// ```
/// use std::time::Duration;
/// use actix_process::monitor::Backoff;
///
/// let backoff = Backoff::new();
/// // Half of the way from 0 to 1 is a delay without jitter.
/// assert_eq!(backoff.delay(1, 0.5), Duration::from_millis(200));
/// assert_eq!(backoff.delay(4, 0.5), Duration::from_millis(1600));
/// assert_eq!(backoff.delay(4_000, 0.5), Duration::from_secs(30));
/// assert_eq!(backoff.delay(4_000, 0.0), Duration::from_secs(27));
/// assert_eq!(Backoff::none().delay(7, 0.9), Duration::ZERO);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[must_use]
pub struct Backoff {
    first: Duration,
    factor: f64,
    cap: Duration,
    jitter: f64,
    reset_after: Duration,
}

impl Backoff {
    /// 200 ms, twice as long after each failure, 30 s at most, 10 % jitter, forgotten after 30 s of readiness.
    pub const fn new() -> Self {
        Self {
            first: Duration::from_millis(200),
            factor: 2.0,
            cap: Duration::from_secs(30),
            jitter: 0.1,
            reset_after: Duration::from_secs(30),
        }
    }

    /// No delay at all. A program that cannot live is started again and again, as fast as the machine can. Only a start that
    /// gives no child at all is 10 ms from the next one.
    pub const fn none() -> Self {
        Self {
            first: Duration::ZERO,
            factor: 1.0,
            cap: Duration::ZERO,
            jitter: 0.0,
            reset_after: Duration::ZERO,
        }
    }

    /// The delay after the first failure: 200 ms unless set. At most the [`cap`](Self::cap); zero makes all delays zero.
    pub const fn first(mut self, delay: Duration) -> Self {
        self.first = delay;
        self
    }

    /// By what a delay is multiplied after each further failure: 2 unless set. 1 or more; 1 makes all delays the same.
    pub const fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// The longest delay, before the jitter: 30 s unless set. At least the [`first`](Self::first).
    pub const fn cap(mut self, delay: Duration) -> Self {
        self.cap = delay;
        self
    }

    /// How much of a delay is left to chance: 0.1 unless set, which makes it up to 10 % shorter or longer. 0 to 1. It is added to the
    /// [`cap`](Self::cap) as well, so that those who wait longest do not come back together.
    pub const fn jitter(mut self, fraction: f64) -> Self {
        self.jitter = fraction;
        self
    }

    /// After how long a readiness the failures before it are forgotten, so that the next delay is the [`first`](Self::first) again:
    /// 30 s unless set. Zero forgets them at each readiness.
    pub const fn reset_after(mut self, readiness: Duration) -> Self {
        self.reset_after = readiness;
        self
    }

    /// The delay after this many failures in a row; 0 is as 1.
    ///
    /// `random` is from 0, the shortest, to 1, the longest. Whatever the settings and the arguments, the delay is at most the
    /// [`cap`](Self::cap) times 1 + [`jitter`](Self::jitter).
    #[must_use]
    pub fn delay(&self, failures_in_a_row: u32, random: f64) -> Duration {
        let cap = self.cap.as_secs_f64();
        let first = self.first.as_secs_f64();
        if self.first.is_zero() {
            return Duration::ZERO;
        }
        let grown = first * self.factor.powf(f64::from(failures_in_a_row.max(1) - 1));
        let grown = if grown.is_nan() {
            cap
        } else {
            grown.clamp(0.0, cap)
        };
        let jitter = in_unit(self.jitter, 0.0) * in_unit(random, 0.5).mul_add(2.0, -1.0);
        Duration::try_from_secs_f64(jitter.mul_add(grown, grown)).unwrap_or(Duration::MAX)
    }

    /// Whether a readiness of this length makes the next failure the first one again.
    pub(crate) fn forgets_after(&self, readiness: Duration) -> bool {
        readiness >= self.reset_after
    }

    /// What is wrong with the settings, as words that follow "backoff: ".
    pub(crate) fn check(&self) -> Result<(), String> {
        let Self {
            first,
            factor,
            cap,
            jitter,
            reset_after: _,
        } = *self;
        if first > cap {
            return Err(format!(
                "the first delay, {first:?}, is above the cap, {cap:?}"
            ));
        }
        if !factor.is_finite() || factor < 1.0 {
            return Err(format!("the factor is {factor}; it must be 1 or more"));
        }
        if !(0.0..=1.0).contains(&jitter) {
            return Err(format!("the jitter is {jitter}; it must be from 0 to 1"));
        }
        Ok(())
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

/// The number, put between 0 and 1; `otherwise` for what is no number.
fn in_unit(number: f64, otherwise: f64) -> f64 {
    if number.is_nan() {
        otherwise
    } else {
        number.clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn delays_double_from_200_ms_to_30_s() {
        let backoff = Backoff::default();
        let delays: Vec<Duration> = (0..11).map(|n| backoff.delay(n, 0.5)).collect();
        let expected = [
            200, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000,
        ];
        assert_eq!(delays, expected.map(ms));
    }

    #[test]
    fn jitter_is_a_tenth_to_both_sides_and_goes_beyond_the_cap() {
        let backoff = Backoff::new();
        assert_eq!(backoff.delay(1, 0.0), ms(180));
        assert_eq!(backoff.delay(1, 1.0), ms(220));
        assert_eq!(backoff.delay(99, 0.0), ms(27_000));
        assert_eq!(backoff.delay(99, 1.0), ms(33_000));
    }

    #[test]
    fn a_factor_of_1_makes_all_delays_the_same() {
        let backoff = Backoff::new().first(ms(70)).factor(1.0).jitter(0.0);
        for failures in [1, 2, 100, u32::MAX] {
            assert_eq!(backoff.delay(failures, 0.9), ms(70));
        }
    }

    #[test]
    fn without_a_backoff_there_is_no_delay() {
        for backoff in [Backoff::none(), Backoff::new().first(Duration::ZERO)] {
            assert_eq!(backoff.check(), Ok(()));
            for failures in [0, 1, 2, u32::MAX] {
                assert_eq!(backoff.delay(failures, 1.0), Duration::ZERO);
            }
        }
    }

    #[test]
    fn failures_are_forgotten_after_30_s_of_readiness() {
        assert!(!Backoff::new().forgets_after(ms(29_999)));
        assert!(Backoff::new().forgets_after(ms(30_000)));
        assert!(Backoff::new().reset_after(ms(0)).forgets_after(ms(0)));
    }

    #[test]
    fn settings_that_make_no_sense_are_told() {
        let new = Backoff::new;
        for (backoff, problem) in [
            (
                new().first(ms(2)).cap(ms(1)),
                "the first delay, 2ms, is above the cap, 1ms",
            ),
            (
                Backoff::none().first(ms(1)),
                "the first delay, 1ms, is above the cap, 0ns",
            ),
            (
                new().factor(0.99),
                "the factor is 0.99; it must be 1 or more",
            ),
            (new().factor(-3.0), "the factor is -3; it must be 1 or more"),
            (
                new().factor(f64::NAN),
                "the factor is NaN; it must be 1 or more",
            ),
            (
                new().factor(f64::INFINITY),
                "the factor is inf; it must be 1 or more",
            ),
            (
                new().jitter(-0.1),
                "the jitter is -0.1; it must be from 0 to 1",
            ),
            (
                new().jitter(1.5),
                "the jitter is 1.5; it must be from 0 to 1",
            ),
            (
                new().jitter(f64::NAN),
                "the jitter is NaN; it must be from 0 to 1",
            ),
        ] {
            assert_eq!(backoff.check(), Err(problem.to_owned()));
        }
        for backoff in [
            new(),
            new().factor(1.0).jitter(0.0),
            new().jitter(1.0).first(ms(5)).cap(ms(5)),
            new().cap(Duration::MAX).factor(1e300),
        ] {
            assert_eq!(backoff.check(), Ok(()));
        }
    }

    fn durations() -> impl Strategy<Value = Duration> {
        prop_oneof![
            Just(Duration::ZERO),
            Just(Duration::MAX),
            (0..100_000_u64).prop_map(Duration::from_millis),
            any::<u64>().prop_map(Duration::from_secs),
        ]
    }

    proptest! {
        /// Also of settings that `check` refuses.
        #[test]
        fn no_delay_of_any_settings_is_above_the_cap_and_its_jitter(
            first in durations(),
            cap in durations(),
            factor in prop::num::f64::ANY,
            jitter in prop::num::f64::ANY,
            failures in any::<u32>(),
            random in prop::num::f64::ANY,
        ) {
            let backoff = Backoff::new().first(first).cap(cap).factor(factor).jitter(jitter);
            let most = cap.as_secs_f64() * (1.0 + in_unit(jitter, 0.0));
            let delay = backoff.delay(failures, random).as_secs_f64();
            prop_assert!(delay <= most.mul_add(1.0 + 1e-9, 1e-9), "{} of {}", delay, most);
        }

        #[test]
        fn a_delay_is_within_the_jitter_of_the_formula_and_never_shrinks(
            first in 1..10_000_u64,
            above in 0..100_000_u64,
            factor in 1.0..10.0_f64,
            jitter in 0.0..=1.0_f64,
            failures in 1..60_u32,
            random in 0.0..1.0_f64,
        ) {
            let backoff = Backoff::new().first(ms(first)).cap(ms(first + above)).factor(factor).jitter(jitter);
            prop_assert_eq!(backoff.check(), Ok(()));
            let mut plain = ms(first).as_secs_f64();
            for _ in 1..failures {
                plain = (plain * factor).min(ms(first + above).as_secs_f64());
            }
            let delay = backoff.delay(failures, random).as_secs_f64();
            prop_assert!(delay >= plain * (1.0 - jitter) - 1e-6, "{} of {}", delay, plain);
            prop_assert!(delay <= plain * (1.0 + jitter) + 1e-6, "{} of {}", delay, plain);
            prop_assert!(backoff.delay(failures, 0.5) <= backoff.delay(failures + 1, 0.5));
            prop_assert!(backoff.delay(failures, 0.0) <= backoff.delay(failures, random));
        }
    }
}
