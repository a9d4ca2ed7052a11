//! The way from the record of a child to its protocol.

use std::fmt;
use std::sync::Arc;
use std::task::Waker;

use super::Child;
use crate::child::framer::Framer;
use crate::event::ProcessEvent;
use crate::port::window::Credit;

/// What is to be dropped when the record is unlocked: a message that could not be sent may go on in its
/// drop.
pub(crate) type Receipt = Arc<dyn Send + Sync>;

/// The way to a protocol.
pub(crate) trait EventSink: fmt::Debug + Send + Sync {
    /// Queues the first or the last event, which keeps the protocol's mailbox connected until it is
    /// handled. Called with the record's lock held: must not call back.
    fn emit_with_receipt(self: Arc<Self>, child: &Arc<Child>, event: ProcessEvent) -> Receipt;
    /// Queues an event between them. May be called with the record's lock held: must not call back.
    fn emit(&self, child: &Arc<Child>, event: ProcessEvent, credit: Option<Credit>);
    /// Whose task is to be woken for what was emitted, if that is not a mailbox's: when no lock is held.
    fn take_waker(&self) -> Option<Waker> {
        None
    }
    /// Whether the protocol's mailbox is open.
    fn is_connected(&self) -> bool;
    /// What makes frames of the data of `fd`, if the protocol wants that. Once.
    fn take_framer(&self, _: i32) -> Option<Box<dyn Framer>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;
    use crate::child::Origin;
    use crate::child::lifecycle::LifecycleInput;
    use crate::child::live_process::LiveProcess;
    use crate::command::containment::Containment;
    use crate::command::spec::{OnLeftovers, OnOrphaned};

    #[derive(Debug, Default)]
    struct Counted(AtomicUsize);
    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A taker that takes each event as soon as it is queued, on another thread, and waits for the last with another task.
    #[derive(Debug)]
    struct Moving {
        waits: Mutex<Option<Waker>>,
        then: Mutex<Option<Waker>>,
    }
    impl EventSink for Moving {
        fn emit_with_receipt(self: Arc<Self>, _: &Arc<Child>, event: ProcessEvent) -> Receipt {
            if let ProcessEvent::ProcessEnded { .. } = event {
                // It waits with the other one since it has taken the exit.
                *self.waits.lock().unwrap() = self.then.lock().unwrap().take();
            }
            Arc::new(())
        }
        fn emit(&self, _: &Arc<Child>, _: ProcessEvent, _: Option<Credit>) {}
        fn take_waker(&self) -> Option<Waker> {
            self.waits.lock().unwrap().take()
        }
        fn is_connected(&self) -> bool {
            true
        }
    }

    #[test]
    fn whoever_waits_for_the_last_of_several_events_is_woken() {
        let [before, ended] = [(); 2].map(|()| Arc::<Counted>::default());
        let [waits, then] =
            [&before, &ended].map(|counted| Mutex::new(Some(Waker::from(Arc::clone(counted)))));
        let sink = Arc::new(Moving {
            waits: Mutex::default(),
            then,
        });
        let origin = Origin {
            id: crate::id::ProcessId::next(),
            program: "x".into(),
            name: "x".into(),
            spawned_pid: 1,
            event_sink: Some(sink.clone()),
            mailbox_turns: Arc::default(),
            on_orphaned: OnOrphaned::default(),
            is_quiet_orphan: false,
            on_leftovers: OnLeftovers::default(),
            ended_timeout: None,
            time_limit: None,
            readers: 0,
            live: LiveProcess::default(),
            containment: Containment::Process,
        };
        let child = Child::new(origin, []);
        child.apply(LifecycleInput::Made);
        *sink.waits.lock().unwrap() = waits.into_inner().unwrap();
        child.apply(LifecycleInput::Reaped);
        assert_eq!(
            ended.0.load(Ordering::SeqCst),
            1,
            "the task that waits for the end sleeps for ever"
        );
    }
}
