//! Who has a slot and who waits for one, in the order of arrival: plain data, without a clock or a lock.

use std::collections::{BTreeMap, BTreeSet};
use std::task::Waker;

/// `running` counts the slots that are taken, those that were granted to a waiter which has not noticed yet among them.
#[derive(Debug)]
pub(super) struct Turns {
    slots: usize,
    /// The most that may wait.
    pub(super) limit: usize,
    running: usize,
    next: u64,
    /// By number, so by arrival.
    waiting: BTreeMap<u64, Waker>,
    granted: BTreeSet<u64>,
}

/// What becomes of one that asks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// It has a slot.
    Taken,
    /// It waits, under this number.
    Waits(u64),
    /// Too many wait.
    Full,
}

impl Turns {
    pub(super) const fn new(slots: usize, limit: usize) -> Self {
        Self {
            slots,
            limit,
            running: 0,
            next: 0,
            waiting: BTreeMap::new(),
            granted: BTreeSet::new(),
        }
    }

    pub(super) const fn running(&self) -> usize {
        self.running
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn ask(&mut self, waker: &Waker) -> Asked {
        if self.running < self.slots {
            self.running += 1;
            return Asked::Taken;
        }
        if self.waiting.len() >= self.limit {
            return Asked::Full;
        }
        let number = self.next;
        self.next += 1;
        self.waiting.insert(number, waker.clone());
        Asked::Waits(number)
    }

    /// Whether the one with this number has got a slot by now. If not, `waker` is woken when it has; the waker that it had is
    /// given back, to be dropped under no lock.
    pub(super) fn look(&mut self, number: u64, waker: &Waker) -> (bool, Option<Waker>) {
        if self.granted.remove(&number) {
            return (true, None);
        }
        let new = match self.waiting.get(&number) {
            Some(known) if known.will_wake(waker) => None,
            _ => self.waiting.insert(number, waker.clone()),
        };
        (false, new)
    }

    /// A slot is free: it goes to the one that has waited longest, who is to be woken.
    #[must_use = "to be woken"]
    pub(super) fn give_back(&mut self) -> Option<Waker> {
        match self.waiting.pop_first() {
            Some((number, waker)) => {
                self.granted.insert(number);
                Some(waker)
            }
            None => {
                self.running = self.running.saturating_sub(1);
                None
            }
        }
    }

    /// The one with this number waits no more. A slot that was granted to it goes on to the next.
    #[must_use = "to be woken, if `Wake`"]
    pub(super) fn leave(&mut self, number: u64) -> Left {
        if let Some(waker) = self.waiting.remove(&number) {
            return Left::Drop(waker);
        }
        match self.granted.remove(&number) {
            true => self.give_back().map_or(Left::Nothing, Left::Wake),
            false => Left::Nothing,
        }
    }
}

/// What a waiter that leaves leaves to be done under no lock.
#[derive(Debug)]
pub(super) enum Left {
    Nothing,
    Drop(Waker),
    Wake(Waker),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Counted(AtomicUsize);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[derive(Debug, Clone, Copy)]
    enum Move {
        Ask,
        GiveBack,
        Look(usize),
        Leave(usize),
    }

    fn moves() -> impl Strategy<Value = Vec<Move>> {
        let one = prop_oneof![
            3 => Just(Move::Ask),
            2 => Just(Move::GiveBack),
            2 => (0usize..12).prop_map(Move::Look),
            1 => (0usize..12).prop_map(Move::Leave),
        ];
        proptest::collection::vec(one, 1..80)
    }

    /// One that has asked and has not been let in.
    struct Waiter {
        number: u64,
        woken: Arc<Counted>,
    }

    proptest! {
        /// Held against a model after every order of moves: never more than the slots, nobody overtakes, nobody who was granted a slot
        /// is not woken, and no slot is lost.
        #[test]
        fn whatever_the_order_slots_are_bounded_fair_and_never_lost(
            slots in 1usize..4,
            limit in 0usize..6,
            moves in moves(),
        ) {
            let mut turns = Turns::new(slots, limit);
            let mut holders = 0;
            // In the order of arrival; the first `granted` of them have been woken.
            let mut waiters: VecDeque<Waiter> = VecDeque::new();
            let mut granted: Vec<u64> = Vec::new();
            for step in moves {
                match step {
                    Move::Ask => {
                        let woken = Arc::<Counted>::default();
                        match turns.ask(&Arc::clone(&woken).into()) {
                            Asked::Taken => {
                                prop_assert!(waiters.len() == granted.len(), "overtook");
                                holders += 1;
                            }
                            Asked::Waits(number) => waiters.push_back(Waiter { number, woken }),
                            Asked::Full => prop_assert_eq!(waiters.len() - granted.len(), limit),
                        }
                    }
                    Move::GiveBack if holders > 0 => {
                        holders -= 1;
                        let first = waiters.iter().find(|waiter| !granted.contains(&waiter.number));
                        let first = first.map(|waiter| waiter.number);
                        if let Some(waker) = turns.give_back() {
                            waker.wake();
                        }
                        granted.extend(first);
                    }
                    Move::GiveBack => {}
                    Move::Look(which) if which < waiters.len() => {
                        let waker = Arc::clone(&waiters[which].woken).into();
                        let (got, _) = turns.look(waiters[which].number, &waker);
                        prop_assert_eq!(got, granted.contains(&waiters[which].number));
                        if got {
                            let waiter = waiters.remove(which).unwrap();
                            granted.retain(|number| *number != waiter.number);
                            holders += 1;
                        }
                    }
                    Move::Leave(which) if which < waiters.len() => {
                        let waiter = waiters.remove(which).unwrap();
                        let had = granted.contains(&waiter.number);
                        granted.retain(|number| *number != waiter.number);
                        let next = waiters.iter().find(|waiter| !granted.contains(&waiter.number));
                        let next = next.map(|waiter| waiter.number);
                        if let Left::Wake(waker) = turns.leave(waiter.number) {
                            prop_assert!(had);
                            waker.wake();
                        }
                        granted.extend(next.filter(|_| had));
                    }
                    Move::Look(_) | Move::Leave(_) => {}
                }
                prop_assert!(turns.running() <= slots);
                prop_assert_eq!(turns.running(), holders + granted.len());
                prop_assert_eq!(turns.waiting(), waiters.len() - granted.len());
                prop_assert!(turns.waiting() == 0 || turns.running() == slots, "a slot is lost");
                for waiter in &waiters {
                    let woken = waiter.woken.0.load(Ordering::Relaxed) > 0;
                    prop_assert_eq!(woken, granted.contains(&waiter.number));
                }
            }
        }
    }
}
