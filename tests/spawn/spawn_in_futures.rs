//! What children of its own cost the context of an actor.

use crate::common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix::dev::OneshotSender;
use actix::prelude::*;
use actix_process::{Command, ProcessHandle, ProcessProtocol, SpawnError, process_protocol};
use common::helper::helper;
use common::{eventually, in_time, run};
use futures::StreamExt;
use futures::channel::mpsc::{UnboundedSender, unbounded};

mod counted {
    //! A context that counts the futures that are in it.

    use std::pin::Pin;
    use std::task;

    use actix::dev::{AsyncContextParts, ContextFut, ContextParts, Envelope, Mailbox, ToEnvelope};
    use actix::fut::LocalBoxActorFuture;

    use super::*;

    pub(super) struct Counted<A: Actor<Context = Self>> {
        parts: ContextParts<A>,
        futures: Arc<AtomicUsize>,
    }

    /// Starts `actor`; `futures` has how many are in its context.
    pub(super) fn start<A: Actor<Context = Counted<A>>>(
        actor: A,
        futures: &Arc<AtomicUsize>,
    ) -> Addr<A> {
        let mailbox = Mailbox::default();
        let context = Counted {
            parts: ContextParts::new(mailbox.sender_producer()),
            futures: Arc::clone(futures),
        };
        let address = context.address();
        actix_rt::spawn(ContextFut::new(context, actor, mailbox));
        address
    }

    struct Item<A: Actor>(LocalBoxActorFuture<A, ()>, Arc<AtomicUsize>);

    impl<A: Actor> Drop for Item<A> {
        fn drop(&mut self) {
            self.1.fetch_sub(1, Ordering::SeqCst);
        }
    }

    impl<A: Actor> ActorFuture<A> for Item<A> {
        type Output = ();

        fn poll(
            mut self: Pin<&mut Self>,
            actor: &mut A,
            ctx: &mut A::Context,
            task: &mut task::Context<'_>,
        ) -> task::Poll<()> {
            self.0.as_mut().poll(actor, ctx, task)
        }
    }

    impl<A: Actor<Context = Self>> ActorContext for Counted<A> {
        fn stop(&mut self) {
            self.parts.stop();
        }
        fn terminate(&mut self) {
            self.parts.terminate();
        }
        fn state(&self) -> ActorState {
            self.parts.state()
        }
    }

    impl<A: Actor<Context = Self>> AsyncContext<A> for Counted<A> {
        fn address(&self) -> Addr<A> {
            self.parts.address()
        }
        fn spawn<F>(&mut self, future: F) -> SpawnHandle
        where
            F: ActorFuture<A, Output = ()> + 'static,
        {
            self.futures.fetch_add(1, Ordering::SeqCst);
            let count = Arc::clone(&self.futures);
            self.parts.spawn(Item(future.boxed_local(), count))
        }
        fn wait<F>(&mut self, future: F)
        where
            F: ActorFuture<A, Output = ()> + 'static,
        {
            self.parts.wait(future);
        }
        fn waiting(&self) -> bool {
            self.parts.waiting()
        }
        fn cancel_future(&mut self, handle: SpawnHandle) -> bool {
            self.parts.cancel_future(handle)
        }
    }

    impl<A: Actor<Context = Self>> AsyncContextParts<A> for Counted<A> {
        fn parts(&mut self) -> &mut ContextParts<A> {
            &mut self.parts
        }
    }

    impl<A, M> ToEnvelope<A, M> for Counted<A>
    where
        A: Actor<Context = Self> + Handler<M>,
        M: Message + Send + 'static,
        M::Result: Send,
    {
        fn pack(message: M, to: Option<OneshotSender<M::Result>>) -> Envelope<A> {
            Envelope::new(message, to)
        }
    }
}

/// Owns children in a context that counts.
struct Crowd {
    commands: Vec<Command>,
    made: UnboundedSender<ProcessHandle>,
    failed: usize,
}

impl Actor for Crowd {
    type Context = counted::Counted<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        for command in self.commands.drain(..) {
            command.spawn_in(ctx);
        }
    }
}

impl ProcessProtocol for Crowd {
    fn connection_made(&mut self, process: &ProcessHandle, _: &mut Self::Context) {
        let _ = self.made.unbounded_send(process.clone());
    }
    fn spawn_failed(&mut self, _: &str, _: SpawnError, _: &mut Self::Context) {
        self.failed += 1;
    }
}
process_protocol!(Crowd);

#[test]
fn no_future_stays_in_the_context_for_a_child_that_runs() {
    run(async {
        let futures = Arc::new(AtomicUsize::new(0));
        let mut commands = vec![helper(["pause"]); 20];
        commands.push(Command::new("/no/such"));
        let (made, mut handles) = unbounded();
        let crowd = Crowd {
            commands,
            made,
            failed: 0,
        };
        let crowd = counted::start(crowd, &futures);
        let mut running = Vec::new();
        while running.len() < 20 {
            running.push(in_time(handles.next()).await.unwrap());
        }
        // One for the actor, whatever the number of its children.
        let count = || futures.load(Ordering::SeqCst);
        let one = || (count() == 1).then_some(());
        eventually("one future", one, || format!("{} futures", count())).await;
        for process in &running {
            assert_eq!(process.try_status(), None);
            assert!(process.kill());
        }
        for process in running {
            in_time(process.ended()).await;
        }
        drop(crowd);
        let none = || (count() == 0).then_some(());
        eventually("no future", none, || format!("{} futures", count())).await;
    });
}
