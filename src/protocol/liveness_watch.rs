//! What tells a protocol's children that their protocol is gone, and their readers that it had its turn.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use actix::{Actor, ActorFuture, AsyncContext};

use crate::child::Child;
use crate::port::mailbox_turns::MailboxTurns;
use crate::sys;

/// Sees to it that the actor's context watches over `child`: one future an actor, whatever the
/// number of its children.
pub(super) fn attend<A>(child: &Arc<Child>, ctx: &mut A::Context)
where
    A: Actor,
    A::Context: AsyncContext<A>,
{
    if child.progress.is_ended() {
        return;
    }
    let dependent: Weak<Child> = Arc::downgrade(child);
    child.mailbox_turns.attend(dependent);
    if child.mailbox_turns.watch() {
        ctx.spawn(LivenessWatch {
            mailbox_turns: Arc::clone(&child.mailbox_turns),
        });
    }
}

/// Lives in the protocol actor's context from its first child to the end of its last. It is polled
/// when the actor's mailbox was drained, and dropped when the actor dies.
struct LivenessWatch {
    mailbox_turns: Arc<MailboxTurns>,
}

impl<A: Actor> ActorFuture<A> for LivenessWatch {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut A, _: &mut A::Context, _: &mut Context<'_>) -> Poll<()> {
        if self.mailbox_turns.turn() {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }
}

impl Drop for LivenessWatch {
    fn drop(&mut self) {
        if sys::copy::is_copy() {
            return;
        }
        for child in self.mailbox_turns.unwatch() {
            child.protocol_gone();
        }
    }
}
