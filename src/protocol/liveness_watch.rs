//! What tells a protocol's children that their protocol is gone, and their readers that it had its turn.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use actix::{Actor, ActorFuture, AsyncContext};

use crate::child::Child;
use crate::port::mailbox_turns::Inbox;
use crate::sys;

/// Sees to it that the actor's context watches over `child`: one future an actor, whatever the
/// number of its children.
pub(super) fn attend<A>(child: &Arc<Child>, ctx: &mut A::Context)
where
    A: Actor,
    A::Context: AsyncContext<A>,
{
    if child.outcome.is_ended() {
        return;
    }
    let ward: Weak<Child> = Arc::downgrade(child);
    child.inbox.attend(ward);
    if child.inbox.watch() {
        ctx.spawn(Watch {
            inbox: Arc::clone(&child.inbox),
        });
    }
}

/// Lives in the protocol actor's context from its first child to the end of its last. It is polled
/// when the actor's mailbox was drained, and dropped when the actor dies.
struct Watch {
    inbox: Arc<Inbox>,
}

impl<A: Actor> ActorFuture<A> for Watch {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut A, _: &mut A::Context, _: &mut Context<'_>) -> Poll<()> {
        if self.inbox.turn() {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if sys::copy::is_copy() {
            return;
        }
        for child in self.inbox.unwatch() {
            child.protocol_gone();
        }
    }
}
