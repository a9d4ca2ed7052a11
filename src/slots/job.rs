//! What can be run in a slot.

use std::future::Future;
use std::sync::{Arc, Mutex};

use super::SlotPermit;
use super::hold::UntilExit;
use crate::collect::{Collect, CollectError};
use crate::sync::lock;

/// What [`Slots::run`](crate::Slots::run) runs: a [`Collect`], or any future of a `Result`.
pub trait SlotJob {
    /// What it gives.
    type Output;
    /// Why it may give nothing.
    type Error;

    /// Runs it, and gives the slot back when it is over.
    fn run_in(self, permit: SlotPermit) -> impl Future<Output = Result<Self::Output, Self::Error>>;
}

impl<F, T, E> SlotJob for F
where
    F: Future<Output = Result<T, E>>,
{
    type Output = T;
    type Error = E;

    async fn run_in(self, permit: SlotPermit) -> Result<T, E> {
        let result = self.await;
        drop(permit);
        result
    }
}

impl<T: 'static> SlotJob for Collect<T> {
    type Output = T;
    type Error = CollectError;

    async fn run_in(self, permit: SlotPermit) -> Result<T, CollectError> {
        let permit = Mutex::new(Some(permit));
        let holds = Arc::new(Mutex::new(None));
        let to = Arc::clone(&holds);
        let collecting = self.on_child(Arc::new(move |process| {
            if let Some(permit) = lock(&permit).take() {
                *lock(&to) = Some(UntilExit::hold(permit, process));
            }
        }));
        let result = collecting.await;
        // Whoever has the result finds the slot free.
        if let Some(held) = lock(&holds).take() {
            held.look();
        }
        result
    }
}
