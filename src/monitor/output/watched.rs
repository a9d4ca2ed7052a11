//! A value that one thread changes and others wait for, on any runtime: the lock of a log and the wakers of those who read it.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// A value under a lock, and who waits for a change of it.
///
/// Wakers are called and dropped outside the lock: a waker may be the last owner of a task, and its drop then drops what reads here.
#[derive(Default)]
pub(super) struct Watched<T> {
    state: Mutex<WatchedState<T>>,
}

#[derive(Default)]
struct WatchedState<T> {
    value: T,
    /// A place for each reader that has ever waited.
    places: Vec<WaitPlace>,
    free: Vec<usize>,
    waiting: usize,
}

type WaitPlace = Option<Waker>;

impl<T> Watched<T> {
    pub(super) const fn new(value: T) -> Self {
        Self {
            state: Mutex::new(WatchedState {
                value,
                places: Vec::new(),
                free: Vec::new(),
                waiting: 0,
            }),
        }
    }

    /// What is under the lock is valid after each assignment, so a panic of another holder does no harm.
    fn lock(&self) -> MutexGuard<'_, WatchedState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the value, or changes what nobody waits for.
    pub(super) fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        act(&mut self.lock().value)
    }

    /// Changes the value, and wakes who waits.
    pub(super) fn change<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        let mut state = self.lock();
        let result = act(&mut state.value);
        let wakers = state.take_wakers();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        result
    }
}

impl<T> WatchedState<T> {
    fn take_wakers(&mut self) -> Vec<Waker> {
        let waiting = mem::take(&mut self.waiting);
        if waiting == 0 {
            return Vec::new();
        }
        let mut wakers = Vec::with_capacity(waiting);
        wakers.extend(self.places.iter_mut().filter_map(Option::take));
        wakers
    }
}

/// Somebody who waits for changes of a [`Watched`].
pub(super) struct Watcher<T> {
    watched: Arc<Watched<T>>,
    place: Option<usize>,
}

impl<T> Watcher<T> {
    pub(super) const fn new(watched: Arc<Watched<T>>) -> Self {
        Self {
            watched,
            place: None,
        }
    }

    /// Ready with what `look` gives. As long as it gives nothing, the next change wakes.
    pub(super) fn poll<R>(
        &mut self,
        cx: &mut Context<'_>,
        look: impl FnOnce(&mut T) -> Option<R>,
    ) -> Poll<R> {
        let mut locked = self.watched.lock();
        let state = &mut *locked;
        if let Some(result) = look(&mut state.value) {
            return Poll::Ready(result);
        }
        let index = *self.place.get_or_insert_with(|| {
            state.free.pop().unwrap_or_else(|| {
                state.places.push(None);
                state.places.len() - 1
            })
        });
        let mut former = None;
        if let Some(place) = state.places.get_mut(index) {
            match place {
                Some(waker) if waker.will_wake(cx.waker()) => {}
                _ => {
                    former = place.replace(cx.waker().clone());
                    state.waiting += usize::from(former.is_none());
                }
            }
        }
        drop(locked);
        drop(former);
        Poll::Pending
    }
}

impl<T> Drop for Watcher<T> {
    fn drop(&mut self) {
        if let Some(index) = self.place {
            let mut state = self.watched.lock();
            let waker = state.places.get_mut(index).and_then(Option::take);
            state.waiting -= usize::from(waker.is_some());
            state.free.push(index);
            if state.free.len() == state.places.len() {
                // Nobody is left.
                state.places = Vec::new();
                state.free = Vec::new();
            }
            drop(state);
            drop(waker);
        }
    }
}
