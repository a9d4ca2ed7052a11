//! Each message of `monitor::messages` is answered, and asked twice it is answered twice.

use std::sync::Arc;
use std::time::Duration;

use actix_process::monitor::{
    Followed, Monitor, MonitorError, Service, ServiceState, Since, messages,
};
use actix_process::{Bytes, PtySize, Signal};
use futures::StreamExt;

use crate::common::helper::helper;
use crate::common::{eventually, in_time, run};
use crate::gate::Gate;
use crate::tools::streams::{SHUTDOWN, next};

/// Sends a message twice, and gives both answers.
macro_rules! twice {
    ($address:expr, $message:expr) => {{
        let first = in_time($address.send($message)).await.expect("an answer");
        let second = in_time($address.send($message)).await.expect("an answer");
        (first, second)
    }};
}

macro_rules! done_twice {
    ($address:expr, $message:expr) => {{
        let (first, second) = twice!($address, $message);
        (first.unwrap(), second.unwrap())
    }};
}

#[test]
fn each_message_is_answered_and_repeated_without_harm() {
    run(async {
        let echo = Service::new("echo", helper(["cat"]).pty(PtySize::new(24, 80)));
        let leased = Service::keyed("leased", |_: &str, _: &_| Ok(helper(["pause"])));
        let monitor = Monitor::new().services([echo, leased]).start().unwrap();
        let address = monitor.addr();
        let name = || "echo".into();
        done_twice!(address, messages::Ready { name: name() });
        done_twice!(address, messages::Start { name: name() });

        let status = |name| messages::Status { name, usage: false };
        let (first, second) = done_twice!(address, status(Some(name())));
        assert_eq!(first[0].state, ServiceState::Running { ready: true });
        assert_eq!((first.len(), first[0].pid), (1, second[0].pid));
        assert_eq!(first[0].generation, 1);
        let (all, _) = done_twice!(
            address,
            messages::Status {
                name: None,
                usage: true
            }
        );
        assert!(all.len() == 1 && all[0].usage.is_some(), "{all:?}");

        let since = Since::Start;
        let (mut follow, _) = done_twice!(
            address,
            messages::Follow {
                name: name(),
                since
            }
        );
        let (mut events, _) = done_twice!(address, messages::Events);
        let data = Bytes::from_static(b"hello\r");
        done_twice!(
            address,
            messages::Write {
                name: name(),
                data: data.clone()
            }
        );
        let item = in_time(follow.next()).await.unwrap();
        assert!(matches!(item, Followed::Line { seq: 1, .. }), "{item:?}");
        done_twice!(
            address,
            messages::Resize {
                name: name(),
                size: PtySize::new(30, 100)
            }
        );
        done_twice!(address, messages::ReopenFiles);
        done_twice!(address, messages::AllReady);
        done_twice!(address, messages::RestartNow { name: name() });
        done_twice!(
            address,
            messages::Signal {
                name: name(),
                signal: Signal::CONT
            }
        );
        let (first, _) = done_twice!(address, status(Some(name())));
        assert_eq!(first[0].generation, 1, "nothing of this was a restart");
        done_twice!(address, messages::Restart { name: name() });
        let (first, _) = done_twice!(address, status(Some(name())));
        assert!(first[0].is_ready() && first[0].generation > 2, "{first:?}");
        in_time(events.next()).await.unwrap();

        let name_of_lease = || ("leased", "key").into();
        let (one, two) = done_twice!(
            address,
            messages::Lease {
                name: name_of_lease()
            }
        );
        assert_eq!(one.process().pid(), two.process().pid());
        drop((one, two));
        done_twice!(address, messages::Stop { name: name() });
        let (stopped, _) = twice!(
            address,
            messages::Signal {
                name: name(),
                signal: Signal::CONT
            }
        );
        assert!(
            matches!(stopped, Err(MonitorError::State { .. })),
            "{stopped:?}"
        );
        let (first, second) = twice!(
            address,
            messages::Add {
                services: vec![Service::new("more", helper(["pause"]))]
            }
        );
        first.unwrap();
        assert!(matches!(second, Err(MonitorError::Spec(_))), "{second:?}");
        let (first, second) = twice!(
            address,
            messages::Remove {
                name: "more".into()
            }
        );
        first.unwrap();
        assert!(
            matches!(second, Err(MonitorError::NotFound { .. })),
            "{second:?}"
        );

        let report = in_time(address.send(messages::Shutdown { deadline: SHUTDOWN })).await;
        let report = report.expect("an answer").unwrap();
        assert_eq!(report, monitor.closed().await);
        let after = in_time(address.send(messages::Start { name: name() })).await;
        assert!(after.is_err(), "{after:?}");
    });
}

#[test]
fn all_who_ask_for_the_shutdown_by_message_get_its_report() {
    run(async {
        let gate = Arc::new(Gate::default());
        let held = Arc::clone(&gate);
        let sleep = Service::new("sleep", helper(["say", "ready", "pause"]));
        let sleep = sleep.on_line(move |_| held.pass());
        let monitor = Monitor::new().service(sleep).start().unwrap();
        let address = monitor.addr();
        let holds = || (gate.waiting() == 1).then_some(());
        eventually("the monitor to be held", holds, String::new).await;
        let deadline = Duration::from_secs(60);
        // As many as its mailbox has room for: a message that comes after the end has no answer.
        let all = (0..16).map(|_| address.send(messages::Shutdown { deadline }));
        let all: Vec<_> = all.collect();
        gate.open();
        for report in in_time(futures::future::join_all(all)).await {
            assert_eq!(report.expect("an answer").unwrap().clean, ["sleep"]);
        }
    });
}

#[test]
fn a_request_by_message_that_is_overtaken_says_by_what() {
    run(async {
        let never = Service::new("never", helper(["say", "ready", "pause"]))
            .ready(actix_process::monitor::Ready::line("not this").within(SHUTDOWN));
        let monitor = Monitor::new().service(never).start().unwrap();
        let mut follow = monitor.follow("never", Since::Start);
        assert_eq!(next(&mut follow, 1).await, ["1 1 ready"]);
        let address = monitor.addr();
        let waits = address.send(messages::Ready {
            name: "never".into(),
        });
        let stops = address.send(messages::Stop {
            name: "never".into(),
        });
        let (waits, stops) = in_time(futures::future::join(waits, stops)).await;
        let waits = waits.expect("an answer");
        assert!(
            matches!(waits, Err(MonitorError::Overtaken { by: "stop", .. })),
            "{waits:?}"
        );
        stops.expect("an answer").unwrap();
        monitor.shutdown(SHUTDOWN).await;
    });
}
