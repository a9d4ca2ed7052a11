//! Spawns that one thread asks for together: the thread's state is read for the first of them.

use std::cell::RefCell;
use std::mem;

use super::Seat;

thread_local! {
    static NOW: RefCell<AskedHow> = const { RefCell::new(AskedHow::Apart) };
}

enum AskedHow {
    Apart,
    /// With a place where the first was asked for, if there is a pool like this thread.
    Together(Option<Seat>),
}

/// Runs `act`, which does nothing that changes the calling thread's state: all spawns that it asks for have the same place.
pub(crate) fn together<T>(act: impl FnOnce() -> T) -> T {
    let _scope = Scope::enter(AskedHow::Together(None));
    act()
}

/// Runs code of others within [`together`]: the state is read for each of its spawns, and anew after it.
pub(crate) fn apart<T>(act: impl FnOnce() -> T) -> T {
    let scope = Scope::enter(AskedHow::Apart);
    let result = act();
    drop(scope);
    NOW.with_borrow_mut(|now| {
        if let AskedHow::Together(seat) = now {
            *seat = None;
        }
    });
    result
}

/// One more place like the last one that was kept.
pub(super) fn seat() -> Option<Seat> {
    NOW.try_with(|now| match &*now.borrow() {
        AskedHow::Together(seat) => seat.as_ref().map(Seat::another),
        AskedHow::Apart => None,
    })
    .ok()
    .flatten()
}

/// Keeps a place like this one, if the next spawns are asked for together with this.
pub(super) fn keep(like: &Seat) {
    let _ = NOW.try_with(|now| {
        if let AskedHow::Together(seat) = &mut *now.borrow_mut() {
            *seat = Some(like.another());
        }
    });
}

/// What was before comes back at its drop.
struct Scope(AskedHow);

impl Scope {
    fn enter(asked: AskedHow) -> Self {
        Self(NOW.replace(asked))
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        NOW.set(mem::replace(&mut self.0, AskedHow::Apart));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Place, SpawnerPool};
    use super::*;

    fn pool() -> Option<Arc<SpawnerPool>> {
        match Place::promised() {
            Place::Pool(seat) => Some(Arc::clone(&seat.0)),
            _ => None,
        }
    }

    #[test]
    fn the_state_is_read_once_for_what_is_asked_together_and_anew_after_code_of_others() {
        let Place::Pool(like_us) = Place::for_this_thread() else {
            return println!("skipped: the state of this thread cannot be read");
        };
        let is_like_us =
            |found: Option<Arc<SpawnerPool>>| found.is_some_and(|it| Arc::ptr_eq(&it, &like_us.0));
        // Part of a thread's state. A pool of other threads with this one is made by no test.
        let change = |nanoseconds| nix::sys::prctl::set_timerslack(nanoseconds).unwrap();
        let before = nix::sys::prctl::get_timerslack().unwrap();
        together(|| {
            assert!(is_like_us(pool()));
            change(77_777);
            assert!(is_like_us(pool()), "read again");
            apart(|| assert!(!is_like_us(pool()), "not read for code of others"));
            assert!(!is_like_us(pool()), "not read after code of others");
            change(before.cast_unsigned().into());
        });
        change(77_777);
        assert!(!is_like_us(pool()), "not read any more");
        change(before.cast_unsigned().into());
        assert!(is_like_us(pool()));
    }
}
