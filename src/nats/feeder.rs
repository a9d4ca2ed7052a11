//! The loop of a feed: as many jobs from the stream as the pool can take.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::context::FeedContext;
use super::event::FeedEvent;
use super::held::{HeldEnd, hold};
use super::message::JobMessage;
use super::puller::{OldInbox, Pulled, Puller, next_of_old};
use super::recover::{Recovered, Sweep, Swept, recover, sweep};
use super::report::FeedReport;
use super::stage::FeedStages;
use super::verdict::WhyGivenBack;
use crate::Bytes;

/// Something that is under way, if it is.
type UnderWay<T> = Option<Pin<Box<dyn Future<Output = T> + Send>>>;

/// The number of a job in its stream, and when it was stored there.
type JobPlace = (u64, Duration);

/// So many more jobs than the pool may have can wait for the server to store their results.
const STORED_LATE: usize = 16;

/// How long fetching rests, at least, when workers cannot be started.
const LEAST_REST: Duration = Duration::from_millis(100);

/// A trouble that comes back sooner than this is looked into after a rest.
const REST_AFTER_MENDING: Duration = Duration::from_secs(1);

/// How long the server has to take what is written at the end.
const FLUSHED_WITHIN: Duration = Duration::from_secs(1);

/// The jobs that this host has, and the way to more.
pub(super) struct Feeder {
    context: Arc<FeedContext>,
    stages: FeedStages,
    puller: Puller,
    /// Of the time before the last trouble.
    old: Option<OldInbox>,
    /// How many jobs the pool may have of this feed.
    capacity: usize,
    held: JoinSet<HeldEnd>,
    /// The jobs that are held, by their tasks.
    tasks: HashMap<Id, JobPlace>,
    jobs: HashSet<JobPlace>,
    /// The greatest number of a job that has come. A stream that is made anew begins with 1: then more jobs are looked at than need be.
    greatest: u64,
    /// No more is fetched until then.
    rests: Option<Instant>,
    sweep: Sweep,
    recovery: UnderWay<Recovered>,
    /// How often the client had connected when the last trouble was over.
    connects: u64,
    /// When the last trouble was over.
    mended: Option<Instant>,
    /// The server was silent, so that its answer is news.
    is_silent: bool,
    sweeping: UnderWay<Swept>,
    report: FeedReport,
}

impl Feeder {
    pub(super) fn new(context: Arc<FeedContext>, stages: FeedStages) -> Self {
        let settings = &context.settings;
        let workers = context.pool.most_workers();
        Self {
            puller: Puller::new(
                &context.api,
                &settings.stream,
                &settings.consumer,
                settings.pull_expires,
            ),
            capacity: workers.saturating_add(settings.prefetch.unwrap_or(workers)),
            old: None,
            stages,
            held: JoinSet::new(),
            tasks: HashMap::new(),
            jobs: HashSet::new(),
            greatest: 0,
            rests: None,
            sweep: Sweep::new(),
            recovery: None,
            connects: connects(&context.api.client),
            mended: None,
            is_silent: false,
            sweeping: None,
            report: FeedReport::default(),
            context,
        }
    }

    /// Works until the feed stops, or its pool does.
    pub(super) async fn run(mut self) -> FeedReport {
        let shared = Arc::clone(&self.context.shared);
        let mut pool_closes = Box::pin(self.context.pool.closing());
        let mut stages = self.stages.clone();
        let mut stops = Box::pin(async move { stages.stops().await });
        loop {
            let room = self.room();
            let is_full = self.context.pool.free_places() == 0;
            let pool = self.context.pool.clone();
            tokio::select! {
                biased;
                () = &mut stops => break,
                () = &mut pool_closes => break,
                Some(ended) = self.held.join_next_with_id() => self.ended(ended),
                recovered = under_way(&mut self.recovery) => self.recovered(recovered),
                swept = under_way(&mut self.sweeping) => {
                    self.sweeping = None;
                    self.sweep.looked(swept.is_quiet);
                    if swept.stood_still && self.recovery.is_none() {
                        self.old = self.puller.renew();
                    }
                }
                () = shared.has_room() => {}
                _ = pool.ready_for_more(), if is_full => {}
                () = sleep_until(self.rests.unwrap_or_else(Instant::now)), if self.rests.is_some() => self.rests = None,
                message = next_of_old(&mut self.old) => self.take(message),
                pulled = self.puller.next(room), if self.recovery.is_none() => self.pulled(pulled),
            }
        }
        self.stop().await
    }

    /// How many jobs there is room for. Requests for one job after the other would cost more than the jobs.
    fn room(&self) -> usize {
        if self.rests.is_some() {
            return 0;
        }
        let in_pool = self.context.shared.in_pool();
        let most_held = self.capacity.saturating_mul(2).saturating_add(STORED_LATE);
        let room = self.capacity.saturating_sub(in_pool);
        // In this order: a job that is submitted meanwhile counts twice, and not never.
        let will_take = self.context.shared.not_submitted();
        let free = self.context.pool.free_places();
        let room = room.min(free.saturating_sub(will_take));
        let room = room.min(most_held.saturating_sub(self.held.len()));
        let room = room.saturating_sub(self.puller.owed());
        // Where others have the pool's places, each that becomes free counts.
        let is_own_limit = free.saturating_sub(will_take) >= self.capacity.saturating_sub(in_pool);
        if in_pool > 0 && is_own_limit && room < self.capacity.div_ceil(4) {
            return 0;
        }
        room
    }

    fn pulled(&mut self, pulled: Pulled) {
        match pulled {
            Pulled::Message(message) => self.take(*message),
            Pulled::Nothing => {
                if self.sweep.is_due() && self.sweeping.is_none() {
                    let looks = sweep(Arc::clone(&self.context), self.sweep.is_early());
                    self.sweep.begun();
                    self.sweeping = Some(Box::pin(looks));
                }
            }
            Pulled::LongEmpty => self.begin_recovery(),
            Pulled::Trouble => {
                if !self.is_silent {
                    self.is_silent = true;
                    log::debug!(
                        "the server is silent about the consumer {}",
                        self.context.settings.consumer
                    );
                    self.context.shared.count(|stats| stats.silences += 1);
                    self.context.shared.events.publish(FeedEvent::Silent);
                }
                self.begin_recovery();
            }
        }
    }

    fn begin_recovery(&mut self) {
        // What did not help is not done over and over.
        let is_new = self
            .mended
            .is_none_or(|mended| mended.elapsed() > REST_AFTER_MENDING);
        let rest = if is_new {
            Duration::ZERO
        } else {
            REST_AFTER_MENDING
        };
        self.recovery = Some(Box::pin(recover(Arc::clone(&self.context), rest)));
    }

    fn recovered(&mut self, recovered: Recovered) {
        self.recovery = None;
        self.mended = Some(Instant::now());
        let shared = &self.context.shared;
        let pending = recovered.pending;
        shared.count(|stats| stats.waiting = pending);
        let was_silent = std::mem::take(&mut self.is_silent);
        // A server that was there all the time, with this connection, and gave nothing.
        let connects = connects(&self.context.api.client);
        let is_stall = recovered.at_once && recovered.may_deliver && connects == self.connects;
        self.connects = connects;
        if is_stall {
            log::warn!(
                "{pending} jobs waited for the consumer {}, and none came",
                self.context.settings.consumer
            );
            shared.count(|stats| stats.stalls += 1);
            shared.events.publish(FeedEvent::Stalled { pending });
        }
        if was_silent {
            shared.events.publish(FeedEvent::Heard);
            self.sweep = Sweep::new();
        }
        if was_silent || is_stall {
            self.old = self.puller.renew();
        }
    }

    fn take(&mut self, message: async_nats::Message) {
        let context = &self.context;
        let Some(mut message) = JobMessage::read(message, &context.settings.stream) else {
            log::debug!("a message that no stream has delivered is dropped");
            return;
        };
        let (sequence, pending) = (message.delivery.sequence, message.delivery.pending);
        // It was not heard that the job is in progress. It is: the result is the same.
        let job = (sequence, message.delivery.stored);
        let again = !self.jobs.insert(job);
        context.shared.count(|stats| {
            stats.fetched += 1;
            stats.waiting = pending;
            stats.again += u64::from(again);
        });
        if again {
            return;
        }
        // A server of version 2.9 that comes back to a job may count its deliveries anew. First deliveries come in the order of the stream.
        message.is_first &= sequence > self.greatest;
        self.greatest = self.greatest.max(sequence);
        log::debug!(
            "job {} came, delivery {}",
            message.id,
            message.delivery.delivered
        );
        let place = context.shared.enter_pool();
        let held = hold(Arc::clone(context), message, place, self.stages.clone());
        let task = self.held.spawn(held);
        self.tasks.insert(task.id(), job);
    }

    fn ended(&mut self, ended: Result<(Id, HeldEnd), JoinError>) {
        let end = match ended {
            Ok((id, end)) => {
                self.forget(id);
                end
            }
            Err(error) => {
                self.forget(error.id());
                self.report.given_back += 1;
                log::warn!("a job of the feed was given up: {error}");
                return;
            }
        };
        match end {
            HeldEnd::Finished => self.report.finished += 1,
            HeldEnd::GivenBack(why) => {
                self.report.given_back += 1;
                if why == WhyGivenBack::PoolDown {
                    let rest = self.context.settings.backoff.delay(1, 0.5).max(LEAST_REST);
                    self.rests = Some(Instant::now() + rest);
                    self.context.shared.events.publish(FeedEvent::PoolDown);
                }
            }
        }
    }

    fn forget(&mut self, task: Id) {
        if let Some(job) = self.tasks.remove(&task) {
            self.jobs.remove(&job);
        }
    }

    /// What is on its way goes back at once. The jobs that are held hear of the stop by themselves.
    async fn stop(mut self) -> FeedReport {
        let context = Arc::clone(&self.context);
        log::debug!("the feed of consumer {} stops", context.settings.consumer);
        context.shared.events.publish(FeedEvent::StopBegan);
        context.shared.closing.begin();
        self.report = FeedReport::default();
        let puller = std::mem::replace(
            &mut self.puller,
            Puller::new(&context.api, "", "", Duration::from_secs(1)),
        );
        let client = &context.api.client;
        for message in puller.drain().await {
            if let Some(reply) = message.reply {
                // A client that is away may take nothing; then the job is delivered again after the ack wait.
                let told = client.publish(reply, Bytes::from_static(b"-NAK"));
                let _ = timeout(FLUSHED_WITHIN, told).await;
                context.shared.count(|stats| stats.given_back += 1);
                self.report.given_back += 1;
            }
        }
        // A pool that has ended leaves nothing to wait for but the server's word.
        let pool_over = context.pool.closed();
        let ack_wait = context.settings.ack_wait;
        let mut no_more = Box::pin(async move {
            pool_over.await;
            sleep(ack_wait).await;
        });
        loop {
            tokio::select! {
                biased;
                ended = self.held.join_next_with_id() => match ended {
                    Some(ended) => self.ended(ended),
                    None => break,
                },
                () = &mut no_more => self.held.abort_all(),
            }
        }
        let _ = timeout(FLUSHED_WITHIN, client.flush()).await;
        self.report
    }
}

/// How often a client has connected.
fn connects(client: &async_nats::Client) -> u64 {
    client.statistics().connects.load(Ordering::Relaxed)
}

/// Ends when what is under way does; never if nothing is.
async fn under_way<T>(work: &mut UnderWay<T>) -> T {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}
