//! One job of the stream, from its delivery to its end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::api::{ApiError, STREAM_NOT_FOUND};
use super::attempts::Attempts;
use super::context::{FeedContext, InPool};
use super::dead::{dead_headers, smaller};
use super::event::FeedEvent;
use super::message::{JobMessage, NoJob};
use super::result::{JobStatus, result_headers};
use super::stage::FeedStages;
use super::verdict::{JobVerdict, LostAttempt, LostHow, WhyGivenBack};
use crate::Bytes;
use crate::pool::{Job, JobError};

/// How long the server has to hear of what goes back at the end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How a job left the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeldEnd {
    /// It has a result, or another attempt follows.
    Finished,
    GivenBack(WhyGivenBack),
}

/// A job that this host has.
struct HeldJob {
    context: Arc<FeedContext>,
    message: JobMessage,
    stages: FeedStages,
    /// Of the stream that the job was delivered from.
    stream_created: Arc<str>,
    /// When the server last said that it has heard of this job.
    heard: Mutex<Instant>,
}

/// Does a job, and says so to the server while it lasts.
pub(super) async fn hold(
    context: Arc<FeedContext>,
    message: JobMessage,
    place: InPool,
    stages: FeedStages,
) -> HeldEnd {
    let mut over = stages.clone();
    let held = HeldJob {
        stream_created: context.shared.stream_created(),
        heard: Mutex::new(Instant::now()),
        context,
        message,
        stages,
    };
    let mut attempts = held.attempts();
    let end = tokio::select! {
        biased;
        end = held.work(&mut attempts, place) => Some(end),
        () = held.stay_in_progress() => None,
        () = over.over() => None,
    };
    match end {
        Some(end) => end,
        None => held.give_up(&mut attempts).await,
    }
}

impl HeldJob {
    fn attempts(&self) -> Attempts {
        let settings = &self.context.settings;
        let subject = format!("attempts.{}.{}", settings.stream, settings.consumer);
        let message = &self.message;
        Attempts::new(
            settings.attempts_stream(),
            &subject,
            &message.delivery,
            message.is_first,
        )
    }

    /// The server delivers it to nobody else meanwhile. It never ends.
    async fn stay_in_progress(&self) {
        let every = self.context.settings.ack_wait / 3;
        let api = &self.context.api;
        loop {
            sleep(every).await;
            if !self.is_current() {
                continue;
            }
            let progress = Bytes::from_static(b"+WPI");
            match api.acknowledge(&self.message.reply, progress).await {
                // Who was cut off for too long does not make up for that: another host has had the job since.
                Ok(()) if !self.is_too_late() => *self.heard() = Instant::now(),
                Ok(()) => {}
                Err(error) => log::debug!(
                    "the progress of job {} is not told: {error}",
                    self.message.id
                ),
            }
        }
    }

    fn heard(&self) -> MutexGuard<'_, Instant> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the job may have a result that the stream of results does not know any more: another host has the job since the server has not heard of
    /// this one.
    fn is_too_late(&self) -> bool {
        self.is_current() && self.heard().elapsed() > self.context.settings.dedup_window
    }

    /// Whether the stream is the one that the job was delivered from. In one that was made anew the job's number is that of another job.
    fn is_current(&self) -> bool {
        self.context.shared.stream_created() == self.stream_created
    }

    async fn work(&self, attempts: &mut Attempts, mut place: InPool) -> HeldEnd {
        let api = &self.context.api;
        let mut retry = self.retry("how often it was tried");
        while let Err(error) = attempts.look(api).await {
            retry.after(error).await;
        }
        let most = self.context.settings.max_deliver;
        if attempts.before() >= most {
            drop(place);
            let lost = LostAttempt::bare(LostHow::Host);
            return self.bury(attempts, attempts.before(), lost).await;
        }
        let job = match self.message.job(SystemTime::now()) {
            Ok(job) => job,
            Err(no_job) => {
                drop(place);
                let (status, body) = match no_job {
                    NoJob::Expired => (JobStatus::Expired, Bytes::new()),
                    NoJob::Header(what) => {
                        (JobStatus::Protocol, Bytes::from_static(what.as_bytes()))
                    }
                };
                return self.finish(attempts, attempts.before(), status, body).await;
            }
        };
        let mut retry = self.retry("that it is tried");
        while let Err(error) = attempts.begin(api).await {
            retry.after(error).await;
        }
        let outcome = self.outcome(job, &mut place).await;
        drop(place);
        match JobVerdict::of(outcome) {
            JobVerdict::Final(status, body) => {
                self.finish(attempts, attempts.number(), status, body).await
            }
            JobVerdict::Lost(lost) => self.lost(attempts, lost).await,
            JobVerdict::GivenBack(why) => self.give_back(attempts, why).await,
        }
    }

    /// What the pool says. When the feed stops, the job is taken back unless a worker has begun with it.
    async fn outcome(&self, job: Job, place: &mut InPool) -> Result<Bytes, JobError> {
        let mut stages = self.stages.clone();
        let mut answer = self.context.pool.submit(job);
        place.submitted();
        tokio::select! {
            biased;
            outcome = &mut answer => return outcome,
            () = stages.stops() => answer.withdraw(),
        }
        answer.await
    }

    /// The job has its result.
    async fn finish(
        &self,
        attempts: &Attempts,
        tries: u32,
        status: JobStatus,
        body: Bytes,
    ) -> HeldEnd {
        if self.store_result(tries, status, body).await {
            self.acknowledge(Bytes::from_static(b"+ACK")).await;
            attempts.forget(&self.context.api).await;
        }
        HeldEnd::Finished
    }

    async fn lost(&self, attempts: &mut Attempts, lost: LostAttempt) -> HeldEnd {
        attempts.settle();
        self.context.shared.count(|stats| match lost.how {
            LostHow::Timeout => stats.timeouts += 1,
            LostHow::Worker | LostHow::Host => stats.lost_workers += 1,
        });
        let settings = &self.context.settings;
        let number = attempts.number();
        if number >= settings.max_deliver {
            return self.bury(attempts, number, lost).await;
        }
        let api = &self.context.api;
        let mut retry = self.retry("that an attempt is lost");
        while let Err(error) = attempts.record(api).await {
            retry.after(error).await;
        }
        let delay = settings.backoff.delay(number, fastrand::f64());
        self.acknowledge(not_acknowledged(delay)).await;
        log::debug!(
            "job {} lost attempt {number}: {}",
            self.message.id,
            lost.how.as_str()
        );
        self.context.shared.count(|stats| stats.retried += 1);
        self.tell(FeedEvent::Retried {
            job: self.message.id.clone(),
            attempt: number,
            how: lost.how,
            delay,
        });
        HeldEnd::Finished
    }

    /// It has had all of its attempts.
    async fn bury(&self, attempts: &Attempts, number: u32, lost: LostAttempt) -> HeldEnd {
        let id = &self.message.id;
        let mut headers = dead_headers(&self.message, &lost, number);
        let mut body = self.message.body.clone();
        let (api, dead) = (&self.context.api, &self.context.dead);
        let mut retry = self.retry("that it is dead");
        while let Err(error) = api.store(dead, headers.clone(), body.clone()).await {
            if error == ApiError::TooLarge {
                smaller(&mut headers, &mut body);
            }
            retry.after(error).await;
        }
        log::warn!(
            "job {id} is dead after {number} attempts: {}",
            lost.how.as_str()
        );
        self.context.shared.count(|stats| stats.dead += 1);
        self.tell(FeedEvent::Dead {
            job: id.clone(),
            attempts: number,
            how: lost.how,
        });
        if self
            .store_result(number, JobStatus::Dead, Bytes::new())
            .await
        {
            self.acknowledge(Bytes::from_static(b"+TERM")).await;
            attempts.forget(&self.context.api).await;
        }
        HeldEnd::Finished
    }

    /// The job goes back, and this was no attempt.
    async fn give_back(&self, attempts: &mut Attempts, why: WhyGivenBack) -> HeldEnd {
        let delay = match why {
            WhyGivenBack::Ending => Duration::ZERO,
            WhyGivenBack::QueueFull | WhyGivenBack::PoolDown => {
                let times = u32::try_from(self.message.delivery.delivered).unwrap_or(u32::MAX);
                self.context.settings.backoff.delay(times, fastrand::f64())
            }
        };
        let api = &self.context.api;
        let mut retry = self.retry("that it was not tried");
        while let Err(error) = attempts.take_back(api).await {
            retry.after(error).await;
        }
        self.acknowledge(not_acknowledged(delay)).await;
        self.context.shared.count(|stats| stats.given_back += 1);
        HeldEnd::GivenBack(why)
    }

    /// The feed has no more time. The server hears of it once.
    async fn give_up(&self, attempts: &mut Attempts) -> HeldEnd {
        let api = &self.context.api;
        let told = async {
            let taken = attempts.take_back(api).await;
            let back = not_acknowledged(Duration::ZERO);
            let given = match self.is_current() {
                true => api.acknowledge(&self.message.reply, back).await,
                false => Ok(()),
            };
            taken.and(given)
        };
        if !matches!(timeout(LAST_WORDS, told).await, Ok(Ok(()))) {
            let id = &self.message.id;
            log::debug!("the server has not heard that job {id} goes back");
        }
        self.context.shared.count(|stats| stats.given_back += 1);
        HeldEnd::GivenBack(WhyGivenBack::Ending)
    }

    /// `false` if it is too late for a result: the job, and what is counted of it, is another host's.
    async fn store_result(&self, tries: u32, mut status: JobStatus, mut body: Bytes) -> bool {
        let (id, traceparent) = (self.message.id.as_str(), self.message.traceparent());
        let (api, results) = (&self.context.api, &self.context.results);
        let mut retry = self.retry("its result");
        let stored = loop {
            if self.is_too_late() {
                log::warn!(
                    "job {id}: the server was not heard of for too long, and the result is not stored"
                );
                self.context.shared.count(|stats| stats.too_late += 1);
                return false;
            }
            let unique = &self.message.unique;
            let headers = result_headers(unique, id, status, tries, traceparent);
            match api.store(results, headers, body.clone()).await {
                Ok(stored) => break stored,
                Err(ApiError::TooLarge) if status != JobStatus::TooLarge => {
                    status = JobStatus::TooLarge;
                    body = Bytes::new();
                }
                Err(error) => retry.after(error).await,
            }
        };
        self.context.shared.count(|stats| {
            stats.done += 1;
            stats.not_ok += u64::from(status != JobStatus::Ok);
            stats.duplicates += u64::from(stored.is_duplicate);
        });
        true
    }

    /// Says what becomes of the message until the server has heard, for one ack wait: then the job is delivered again.
    async fn acknowledge(&self, what: Bytes) {
        if !self.is_current() {
            return;
        }
        let until = Instant::now() + self.context.settings.ack_wait;
        let api = &self.context.api;
        let told = async {
            let mut retry = self.retry("what becomes of it");
            while let Err(error) = api.acknowledge(&self.message.reply, what.clone()).await {
                retry.after(error).await;
            }
        };
        tokio::select! {
            biased;
            () = told => {}
            () = sleep_until(until) => self.context.shared.count(|stats| stats.unacknowledged += 1),
        }
    }

    const fn retry(&self, what: &'static str) -> Retry<'_> {
        Retry {
            held: self,
            what,
            delay: Duration::from_millis(50),
            was_told: false,
        }
    }

    fn tell(&self, event: FeedEvent) {
        self.context.shared.events.publish(event);
    }
}

/// Something that the server is asked until it has heard, for as long as the feed lives.
struct Retry<'a> {
    held: &'a HeldJob,
    what: &'static str,
    delay: Duration,
    was_told: bool,
}

impl Retry<'_> {
    /// The time for the next try. The first error is told.
    async fn after(&mut self, error: ApiError) {
        if !self.was_told {
            let id = &self.held.message.id;
            log::debug!("job {id}: the server has not heard {}: {error}", self.what);
            self.held.tell(FeedEvent::NotStored {
                job: id.clone(),
                problem: error.to_string(),
            });
            self.was_told = true;
        }
        if error == ApiError::NoResponders || error.is(STREAM_NOT_FOUND) {
            self.held.context.mend().await;
        }
        sleep(self.delay).await;
        self.delay = Duration::from_secs(1).min(self.delay * 2);
    }
}

/// A negative acknowledgement: the job is delivered again after `delay`.
fn not_acknowledged(delay: Duration) -> Bytes {
    if delay.is_zero() {
        return Bytes::from_static(b"-NAK");
    }
    format!(r#"-NAK {{"delay":{}}}"#, delay.as_nanos()).into()
}
