//! A bounded log of values that many follow, each at a pace of its own.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::since::Since;
use super::watched::{Watched, Watcher};

/// The last values that were published, for any number of subscribers. A clone is the same feed.
pub(crate) struct Broadcast<T> {
    log: Arc<Watched<BroadcastLog<T>>>,
}

struct BroadcastLog<T> {
    limit: usize,
    values: VecDeque<T>,
    /// How many have come.
    count: u64,
    closed: bool,
}

/// What a subscriber gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BroadcastItem<T> {
    Value(T),
    /// So many values came and went before this subscriber took them.
    Lagged(u64),
}

/// The values of a [`Broadcast`]. It ends when the feed is closed, behind the last value.
pub(crate) struct Subscription<T> {
    watcher: Watcher<BroadcastLog<T>>,
    /// The number of the next value, from 1 on.
    next: u64,
}

impl<T: Clone> Broadcast<T> {
    /// Keeps the last `limit` values, at least one.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            log: Arc::new(Watched::new(BroadcastLog {
                limit: limit.max(1),
                values: VecDeque::new(),
                count: 0,
                closed: false,
            })),
        }
    }

    pub(crate) fn publish(&self, value: T) {
        // The drop of a value is not for the time of the lock.
        let _oldest = self.log.change(|log| {
            let is_full = log.values.len() >= log.limit;
            let oldest = is_full.then(|| log.values.pop_front());
            log.values.push_back(value);
            log.count += 1;
            oldest
        });
    }

    /// What is published from `since` on. Values have the numbers from 1 on.
    pub(crate) fn subscribe(&self, since: Since) -> Subscription<T> {
        let next = self.log.with(|log| since.first(log.first(), log.count));
        Subscription {
            watcher: Watcher::new(Arc::clone(&self.log)),
            next,
        }
    }

    /// Nothing more comes.
    pub(crate) fn close(&self) {
        self.log.change(|log| log.closed = true);
    }
}

impl<T> BroadcastLog<T> {
    fn first(&self) -> u64 {
        self.count - self.values.len() as u64 + 1
    }
}

impl<T: Clone> Stream for Subscription<T> {
    type Item = BroadcastItem<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<BroadcastItem<T>>> {
        let Self { watcher, next } = &mut *self;
        let item = ready!(watcher.poll(cx, |log| {
            let first = log.first();
            let missed = first.saturating_sub(*next);
            if missed > 0 {
                *next = first;
                return Some(Some(BroadcastItem::Lagged(missed)));
            }
            let index = usize::try_from(*next - first).ok()?;
            if let Some(value) = log.values.get(index) {
                *next += 1;
                return Some(Some(BroadcastItem::Value(value.clone())));
            }
            log.closed.then_some(None)
        }));
        Poll::Ready(item)
    }
}

impl<T> Clone for Broadcast<T> {
    fn clone(&self) -> Self {
        Self {
            log: Arc::clone(&self.log),
        }
    }
}

impl<T> fmt::Debug for Broadcast<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcast").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}
