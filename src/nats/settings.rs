//! What a feed is, checked before the server is asked.

use std::time::Duration;

use super::error::FeedError;
use super::names::{beside, check_name, check_subject};
use crate::monitor::Backoff;

/// What a redelivery may take beside the times that are set.
const SLACK: Duration = Duration::from_secs(10);

/// A progress is due three times in it, and a round trip must fit.
const LEAST_ACK_WAIT: Duration = Duration::from_millis(100);

/// The server refuses more than a tenth of this in some versions, and nobody wants to wait longer.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How a feed works.
#[derive(Debug, Clone)]
pub(super) struct FeedSettings {
    pub(super) stream: String,
    pub(super) consumer: String,
    pub(super) subject: String,
    pub(super) results: Option<String>,
    pub(super) dead: Option<String>,
    pub(super) ack_wait: Duration,
    pub(super) max_deliver: u32,
    pub(super) backoff: Backoff,
    pub(super) longest_backoff: Duration,
    pub(super) prefetch: Option<usize>,
    pub(super) dedup_window: Duration,
    pub(super) keep_results: Duration,
    pub(super) replicas: usize,
    pub(super) max_ack_pending: i64,
    pub(super) pull_expires: Duration,
    pub(super) domain: Option<String>,
    pub(super) adopt: bool,
}

impl FeedSettings {
    /// With what holds unless it is set.
    pub(super) fn new(stream: String, consumer: String) -> Self {
        Self {
            subject: format!("jobs.{consumer}"),
            stream,
            consumer,
            results: None,
            dead: None,
            ack_wait: Duration::from_secs(30),
            max_deliver: 5,
            backoff: backoff(Duration::from_secs(1), Duration::from_secs(60)),
            longest_backoff: Duration::from_secs(60),
            prefetch: None,
            dedup_window: Duration::from_secs(120),
            keep_results: Duration::from_secs(24 * 60 * 60),
            replicas: 1,
            max_ack_pending: 20_000,
            pull_expires: Duration::from_secs(30),
            domain: None,
            adopt: false,
        }
    }

    pub(super) fn results_subject(&self) -> String {
        self.results
            .clone()
            .unwrap_or_else(|| beside(&self.subject, "results"))
    }

    pub(super) fn dead_subject(&self) -> String {
        self.dead
            .clone()
            .unwrap_or_else(|| beside(&self.subject, "dead"))
    }

    /// The stream where lost attempts are counted.
    pub(super) fn attempts_stream(&self) -> String {
        format!("{}_ATTEMPTS", self.stream)
    }

    /// What the streams of results and of dead jobs are called if they are made.
    pub(super) fn made_stream(&self, what: &str) -> String {
        format!("{}_{what}", self.stream)
    }

    /// What is wrong with it.
    pub(super) fn check(&self) -> Result<(), FeedError> {
        let problem = |field, problem: String| Err(FeedError::Spec { field, problem });
        let (results, dead) = (self.results_subject(), self.dead_subject());
        for (field, name) in [("stream", &self.stream), ("consumer", &self.consumer)] {
            if let Err(text) = check_name(name) {
                return problem(field, text.to_owned());
            }
        }
        if let Some(Err(text)) = self.domain.as_deref().map(check_name) {
            return problem("domain", text.to_owned());
        }
        let subjects = [
            ("subject", &self.subject),
            ("results", &results),
            ("dead", &dead),
        ];
        for (field, subject) in subjects {
            if let Err(text) = check_subject(subject) {
                return problem(field, text.to_owned());
            }
        }
        if self.subject == results || self.subject == dead || results == dead {
            return problem(
                "subject",
                "jobs, results and dead jobs need subjects of their own".to_owned(),
            );
        }
        if self.ack_wait < LEAST_ACK_WAIT {
            return problem("ack_wait", format!("is less than {LEAST_ACK_WAIT:?}"));
        }
        if self.max_deliver == 0 {
            return problem("max_deliver", "is zero".to_owned());
        }
        if let Err(text) = self.backoff.check() {
            return problem("backoff", text);
        }
        if self.pull_expires < Duration::from_secs(1) {
            return problem("pull_expires", "is less than a second".to_owned());
        }
        let times = [
            ("ack_wait", self.ack_wait),
            ("backoff", self.longest_backoff),
            ("keep_results", self.keep_results),
            ("dedup_window", self.dedup_window),
            ("pull_expires", self.pull_expires),
        ];
        for (field, time) in times {
            if time > LONGEST {
                return problem(field, "is longer than a year".to_owned());
            }
        }
        let least = self.ack_wait + self.longest_backoff.mul_f64(1.1) + SLACK;
        if self.dedup_window < least {
            let text = format!(
                "is less than {least:?}: a job that comes again after ack_wait and a backoff could have a second result"
            );
            return problem("dedup_window", text);
        }
        if self.keep_results < self.dedup_window {
            return problem("keep_results", "is less than dedup_window".to_owned());
        }
        if self.replicas == 0 {
            return problem("replicas", "is zero".to_owned());
        }
        if self.max_ack_pending == 0 || self.max_ack_pending < -1 {
            return problem("max_ack_pending", "is neither -1 nor above zero".to_owned());
        }
        Ok(())
    }
}

/// Delays from `first` to `most`, each twice the one before.
pub(super) const fn backoff(first: Duration, most: Duration) -> Backoff {
    Backoff::new().first(first).cap(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> FeedSettings {
        FeedSettings::new("JOBS".to_owned(), "convert".to_owned())
    }

    #[test]
    fn what_holds_unless_it_is_set_is_acceptable() {
        let settings = settings();
        assert_eq!(settings.check(), Ok(()));
        assert_eq!(settings.subject, "jobs.convert");
        assert_eq!(settings.results_subject(), "results.convert");
        assert_eq!(settings.dead_subject(), "dead.convert");
    }

    #[test]
    fn each_field_is_checked() {
        type Change = fn(&mut FeedSettings);
        let changes: [(&str, Change); 13] = [
            ("stream", |it| it.stream = "a.b".to_owned()),
            ("consumer", |it| it.consumer = String::new()),
            ("domain", |it| it.domain = Some("a b".to_owned())),
            ("subject", |it| it.subject = "jobs.>".to_owned()),
            ("results", |it| it.results = Some("a b".to_owned())),
            ("dead", |it| it.dead = Some("$SYS".to_owned())),
            ("subject", |it| it.dead = Some("results.convert".to_owned())),
            ("ack_wait", |it| it.ack_wait = Duration::ZERO),
            ("max_deliver", |it| it.max_deliver = 0),
            ("backoff", |it| {
                it.backoff = backoff(Duration::from_secs(2), Duration::from_secs(1))
            }),
            ("dedup_window", |it| it.ack_wait = Duration::from_secs(60)),
            ("replicas", |it| it.replicas = 0),
            ("max_ack_pending", |it| it.max_ack_pending = 0),
        ];
        for (wanted, change) in changes {
            let mut settings = settings();
            change(&mut settings);
            match settings.check() {
                Err(FeedError::Spec { field, .. }) => assert_eq!(field, wanted),
                other => panic!("{wanted}: {other:?}"),
            }
        }
    }
}
