//! Real commands, closures and messages.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::FutureExt;
use tokio::time::{Instant, sleep, timeout};

use super::super::exit::ExitKind;
use super::super::notify::{NotifyMessage, WatchdogWord};
use super::*;

const DEADLINE: Duration = Duration::from_secs(60);
const PERIOD: Duration = Duration::from_millis(20);

fn run(test: impl Future<Output = ()>) {
    let timed = async { timeout(DEADLINE, test).await };
    let ended = actix::System::new().block_on(timed.boxed_local());
    ended.expect("the test hangs");
}

fn start() -> Start {
    Start::new("service".into(), None, 1, 1)
}

fn watched(alive: &Alive) -> impl Future<Output = Unhealthy> + use<> {
    watch(alive, &start(), &Beats::new(alive))
}

#[test]
fn so_many_misses_in_a_row_are_the_end() {
    run(async {
        // Two misses, a success, and then no success any more.
        let tries = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&tries);
        let alive = Alive::probe(move |_| {
            let which = counted.fetch_add(1, Ordering::SeqCst);
            std::future::ready(if which == 2 {
                Ok(())
            } else {
                Err(format!("try {which}").into())
            })
        });
        let alive = alive.every(PERIOD);
        let begun = Instant::now();
        let end = watched(&alive).await;
        assert_eq!(end.to_string(), "missed its probes: try 5");
        assert_eq!(end.kind, ExitKind::Unhealthy);
        assert_eq!(tries.load(Ordering::SeqCst), 6);
        // The first try comes after a period.
        assert!(begun.elapsed() >= PERIOD * 6);
    });
}

#[test]
fn a_try_that_hangs_is_a_miss() {
    run(async {
        let alive = Alive::exec(Command::new("sleep").arg("60"));
        let alive = alive.every(PERIOD).misses(2).timeout(PERIOD / 2);
        let end = watched(&alive).await;
        assert_eq!(end.last.as_deref(), Some("no answer in 10ms"));
        let panics = Alive::probe(|_| async { panic!("on purpose") });
        let end = watched(&panics.every(PERIOD).misses(1)).await;
        assert_eq!(end.last.as_deref(), Some("panicked"));
    });
}

#[test]
fn a_service_that_answers_is_watched_for_ever() {
    run(async {
        let tries = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&tries);
        let alive = Alive::probe(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            std::future::ready(Ok(()))
        });
        let alive = alive.every(Duration::from_millis(1)).misses(1);
        let mut watch = pin!(watched(&alive));
        while tries.load(Ordering::SeqCst) < 20 {
            let watched = timeout(Duration::from_millis(1), watch.as_mut()).await;
            assert!(watched.is_err());
        }
    });
}

fn beat() -> NotifyMessage {
    NotifyMessage {
        watchdog: Some(WatchdogWord::Alive),
        ..NotifyMessage::default()
    }
}

fn period(time: Duration) -> NotifyMessage {
    NotifyMessage {
        watchdog_period: Some(time),
        ..NotifyMessage::default()
    }
}

#[test]
fn a_watchdog_that_is_silent_for_its_periods_is_missed() {
    run(async {
        for misses in [1, 3] {
            let alive = Alive::watchdog().every(PERIOD).misses(misses);
            let begun = Instant::now();
            let end = watched(&alive).await;
            assert_eq!(end.kind, ExitKind::Watchdog);
            assert_eq!(end.to_string(), "missed its watchdog");
            assert!(begun.elapsed() >= PERIOD * misses);
        }
    });
}

#[test]
fn beats_put_the_miss_off() {
    run(async {
        let alive = Alive::watchdog().every(Duration::from_secs(1));
        let beats = Beats::new(&alive);
        let mut watch = pin!(watch(&alive, &start(), &beats));
        let begun = Instant::now();
        let mut last = begun;
        let mut is_over = false;
        while !is_over && begun.elapsed() < Duration::from_millis(2500) {
            last = Instant::now();
            beats.message(&beat());
            // It may be over only where this test itself was too late with the next beat.
            is_over = timeout(Duration::from_millis(50), watch.as_mut())
                .await
                .is_ok();
        }
        if !is_over {
            watch.await;
        }
        assert!(last.elapsed() >= Duration::from_secs(1));
    });
}

#[test]
fn silence_before_the_service_is_ready_is_no_miss() {
    run(async {
        let alive = Alive::watchdog().every(Duration::from_millis(200));
        let beats = Beats::new(&alive);
        sleep(Duration::from_millis(300)).await;
        let begun = Instant::now();
        watch(&alive, &start(), &beats).await;
        assert!(begun.elapsed() >= Duration::from_millis(200));
    });
}

#[test]
fn the_service_triggers_its_watchdog_and_changes_its_period() {
    run(async {
        let alive = Alive::watchdog().every(DEADLINE);
        let beats = Beats::new(&alive);
        let mut triggered = pin!(watch(&alive, &start(), &beats));
        assert_eq!(triggered.as_mut().now_or_never(), None);
        beats.message(&NotifyMessage {
            watchdog: Some(WatchdogWord::Trigger),
            ..NotifyMessage::default()
        });
        assert_eq!(triggered.await.kind, ExitKind::Watchdog);

        let beats = Beats::new(&alive);
        let mut watch = pin!(watch(&alive, &start(), &beats));
        assert_eq!(watch.as_mut().now_or_never(), None);
        beats.message(&period(PERIOD));
        // Zero turns it off, also before the shorter period is over.
        beats.message(&period(Duration::ZERO));
        let off = timeout(PERIOD * 3, watch.as_mut()).await;
        assert!(off.is_err());
        beats.message(&period(PERIOD));
        watch.await;
    });
}

#[test]
fn what_cannot_work_is_a_problem() {
    let zero = Duration::ZERO;
    let tcp = || Alive::tcp("127.0.0.1:1");
    for bad in [
        tcp().every(zero),
        tcp().misses(0),
        tcp().timeout(zero),
        tcp().timeout(Duration::from_secs(11)),
        Alive::tcp("localhost:1"),
        Alive::exec(Command::new("")),
        Alive::watchdog().every(Duration::from_nanos(1)),
    ] {
        assert!(bad.problem().is_some(), "{bad:?}");
    }
    for good in [tcp(), tcp().every(PERIOD), Alive::port(), Alive::watchdog()] {
        assert_eq!(good.problem(), None, "{good:?}");
    }
    assert_eq!(tcp().watchdog_period(), None);
    assert!(Alive::watchdog().watchdog_period().is_some() && tcp().watchdog_period().is_none());
}
