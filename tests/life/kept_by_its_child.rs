//! A protocol actor that nothing but its child keeps alive.
//!
//! Born from a hang: an actor stops when its last address drops while it has nothing to do, and
//! what came into its mailbox since it last looked is lost. That was the last event.

use crate::common;

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use actix::prelude::*;
use actix_process::{Command, ExitStatus, ProcessHandle, ProcessProtocol, process_protocol};
use common::run;
use futures::channel::oneshot;

struct Lonely {
    process: Option<ProcessHandle>,
    is_watched: bool,
    tell: Option<oneshot::Sender<ExitStatus>>,
}

impl Actor for Lonely {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        // Before the crate's own watch, so that the watch finds the child ended.
        ctx.spawn(UntilEnded);
    }
}

impl ProcessProtocol for Lonely {
    fn connection_made(&mut self, process: &ProcessHandle, _: &mut Context<Self>) {
        self.process = Some(process.clone());
    }

    fn process_ended(&mut self, _: &ProcessHandle, status: ExitStatus, _: &mut Context<Self>) {
        let _ = self.tell.take().unwrap().send(status);
    }
}
process_protocol!(Lonely);

/// Polled when the actor has found its mailbox empty; blocks its thread until the last event is in
/// that mailbox, and leaves the actor with nothing to do.
struct UntilEnded;

impl ActorFuture<Lonely> for UntilEnded {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        lonely: &mut Lonely,
        _: &mut Context<Lonely>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<()> {
        if lonely.process.is_none() {
            return Poll::Pending;
        }
        if !std::mem::replace(&mut lonely.is_watched, true) {
            // The watch is in its place at the next poll.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some(process) = lonely.process.take() else {
            return Poll::Pending;
        };
        let ended = process.ended();
        let waiter = std::thread::spawn(move || futures::executor::block_on(ended));
        let _ = waiter.join();
        Poll::Ready(())
    }
}

#[test]
fn is_told_of_the_end() {
    run(async {
        // The child's own actors need an arbiter that is not blocked: this one.
        let arbiter = Arbiter::new();
        for round in 0..100 {
            let (tell, told) = oneshot::channel();
            let lonely = Lonely::start_in_arbiter(&arbiter.handle(), |_| Lonely {
                process: None,
                is_watched: false,
                tell: Some(tell),
            });
            Command::new("true").spawn(lonely).await.unwrap();
            let status = told.await;
            assert!(
                status.is_ok_and(|s| s.success()),
                "round {round}: {status:?}"
            );
        }
        arbiter.stop();
    });
}
