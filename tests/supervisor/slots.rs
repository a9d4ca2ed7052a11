//! `Slots`: never more children than slots, the rest in a bounded queue, first come first served, and no slot is lost.

use crate::common;

use std::future::{Future, IntoFuture};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use actix_process::{CollectError, Command, NoProtocol, SlotPermit, Slots, SlotsError};
use common::helper::helper;
use common::isolated::isolated;
use common::{amount, block_on_thread, eventually, in_time, on_tokio, run};
use futures::future::join_all;
use futures::{FutureExt, StreamExt, poll};

/// Takes the first of four locks that is free, for as long as it lives, some 10 ms, and says which; fails where none is.
const LOCKED: &str =
    "for n in 1 2 3 4; do exec 9>$0/$n; flock -n 9 && echo $n && exec sleep 0.01; done; exit 1";

async fn until_free(slots: &Slots) {
    let free = || (slots.running() == 0).then_some(());
    eventually("a free slot", free, || format!("{slots:?}")).await;
}

/// Takes a slot that is free.
fn taken(slots: &Slots) -> SlotPermit {
    slots.acquire().now_or_never().unwrap().unwrap()
}

#[test]
fn many_runs_in_four_slots_are_never_more_than_four_children() {
    isolated(|| {
        run(async {
            let locks = tempfile::tempdir().unwrap();
            let locked = Command::new("sh").args(["-c", LOCKED]).arg(locks.path());
            let count = amount(1000, 400);
            let slots = Slots::new(4).queue(count);
            let runs = (0..count).map(|_| slots.run(locked.output()));
            let mut taken = [0; 4];
            for output in join_all(runs).await {
                let output = output.unwrap();
                assert!(output.status.success(), "four others lived");
                let lock = String::from_utf8(output.stdout).unwrap();
                taken[lock.trim().parse::<usize>().unwrap() - 1] += 1;
            }
            assert!(taken[2] > 0, "the slots were not used: {taken:?}");
            assert_eq!((slots.running(), slots.waiting()), (0, 0));
        });
    });
}

#[test]
fn the_next_is_refused_at_once_when_the_queue_is_full() {
    run(async {
        let slots = Slots::new(1).queue(2);
        let permit = taken(&slots);
        let mut waiting = [Box::pin(slots.acquire()), Box::pin(slots.acquire())];
        for waits in &mut waiting {
            assert!(poll!(waits).is_pending());
        }
        assert_eq!((slots.running(), slots.waiting()), (1, 2));
        let refused = slots.run(helper(["say", "no"]).output()).now_or_never();
        let refused = refused.expect("an answer at once").unwrap_err();
        assert!(matches!(refused, SlotsError::QueueFull { limit: 2, .. }));
        assert_eq!(refused.to_string(), "2 are waiting already");
        drop(permit);
        let [first, second] = waiting;
        let first = in_time(first).await.unwrap();
        assert_eq!((slots.running(), slots.waiting()), (1, 1));
        drop(first);
        drop(in_time(second).await.unwrap());
        let said = slots.run(helper(["say", "yes"]).output()).await.unwrap();
        assert_eq!(said.stdout, b"yes\n");
    });
}

#[test]
fn who_came_first_gets_the_next_slot() {
    run(async {
        let slots = Slots::new(1);
        let permit = taken(&slots);
        let order = AtomicUsize::new(0);
        let one = |place: usize| {
            let (slots, order) = (&slots, &order);
            async move {
                let _permit = slots.acquire().await.unwrap();
                assert_eq!(order.fetch_add(1, Ordering::Relaxed), place);
            }
        };
        let mut all = pin!(join_all((0..20).map(one)));
        assert!(poll!(&mut all).is_pending());
        assert_eq!(slots.waiting(), 20);
        drop(permit);
        in_time(all).await;
    });
}

#[test]
fn a_wait_that_is_dropped_leaves_the_queue_and_passes_its_slot_on() {
    run(async {
        let slots = Slots::new(1).queue(2);
        let permit = taken(&slots);
        let mut gone = Box::pin(slots.acquire());
        let mut granted = Box::pin(slots.acquire());
        assert!(poll!(&mut gone).is_pending() && poll!(&mut granted).is_pending());
        drop(gone);
        assert_eq!(slots.waiting(), 1);
        let last = tokio::task::spawn_local(slots.acquire());
        eventually(
            "it to wait",
            || (slots.waiting() == 2).then_some(()),
            || format!("{slots:?}"),
        )
        .await;
        // The slot is the second one's now, who never looks.
        drop(permit);
        assert_eq!((slots.running(), slots.waiting()), (1, 1));
        drop(granted);
        drop(in_time(last).await.unwrap().unwrap());
        assert_eq!((slots.running(), slots.waiting()), (0, 0));
    });
}

#[test]
fn a_wait_ends_after_its_time_also_before_the_first_spawn() {
    isolated(|| {
        block_on_thread(async {
            let slots = Slots::new(1);
            let _permit = taken(&slots);
            let impatient = slots.clone().queue_timeout(Duration::from_millis(20));
            let begun = Instant::now();
            let refused = impatient.run(helper(["say", "no"]).output()).await;
            let refused = refused.unwrap_err();
            assert!(
                matches!(refused, SlotsError::TimedOut { .. }),
                "{refused:?}"
            );
            assert_eq!(refused.to_string(), "no slot was free for 20ms");
            assert!(begun.elapsed() >= Duration::from_millis(20));
            assert_eq!((slots.running(), slots.waiting()), (1, 0));
        });
    });
}

#[test]
fn a_dropped_run_has_its_slot_until_its_child_is_reaped() {
    run(async {
        let slots = Slots::new(1);
        let (tell, mut told) = tokio::net::unix::pipe::pipe().unwrap();
        let child = helper(["take", "0", "1", "tell", "5", "ready", "pause"]);
        let child = child.fd(5, tell.into_blocking_fd().unwrap());
        let mut running = Box::pin(slots.run(child.output().input("x")));
        let mut ready = [0; 6];
        let reading = tokio::io::AsyncReadExt::read_exact(&mut told, &mut ready);
        futures::future::select(&mut running, pin!(reading)).await;
        assert_eq!(&ready, b"ready\n");
        drop(running);
        // The child is reaped by this thread, which has not gone on.
        assert_eq!(slots.running(), 1);
        until_free(&slots).await;
        slots.run(helper(["exit"]).status()).await.unwrap();
    });
}

#[test]
fn a_run_that_fails_frees_its_slot() {
    run(async {
        let slots = Slots::new(1).queue(0);
        let missing = slots.run(Command::new("no-such-program").output()).await;
        assert!(matches!(
            missing,
            Err(SlotsError::Run(CollectError::Spawn(_)))
        ));
        let late = helper(["pause"])
            .output()
            .timeout(Duration::from_millis(50));
        let late = slots.run(late).await;
        assert!(matches!(
            late,
            Err(SlotsError::Run(CollectError::TimedOut(_)))
        ));
        // Any future, such as a spawn.
        let child = slots.run(helper(["exit"]).spawn(NoProtocol)).await.unwrap();
        assert_eq!(slots.running(), 0);
        child.ended().await;
        let cancelled = slots.run(helper(["pause"]).output());
        drop(cancelled);
        assert_eq!(slots.running(), 0);
    });
}

#[test]
fn a_permit_is_held_until_the_exit_of_any_child() {
    run(async {
        let slots = Slots::new(2);
        let stream = helper(["say", "x", "drain", "0"])
            .stream()
            .input(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
        let mut stream = stream.start().await.unwrap();
        taken(&slots).until_exit(stream.process());
        let opened = helper(["drain", "0"]).open().await.unwrap();
        taken(&slots).until_exit(&opened.process);
        assert_eq!(stream.next().await.unwrap().unwrap(), "x\n");
        assert_eq!(slots.running(), 2);
        let third = slots.acquire();
        drop(stream);
        drop(in_time(third).await.unwrap());
        assert!(opened.wait().await.success());
        until_free(&slots).await;
        // One that has exited already holds nothing.
        let gone = helper(["exit"]).spawn(NoProtocol).await.unwrap();
        gone.ended().await;
        taken(&slots).until_exit(&gone);
        assert_eq!(slots.running(), 0);
    });
}

#[test]
fn runs_on_many_threads_and_without_a_runtime_share_the_slots() {
    let slots = Slots::new(3).queue(200);
    let most = Arc::new(AtomicUsize::new(0));
    let some = |slots: Slots, most: Arc<AtomicUsize>| async move {
        let runs = (0..20).map(|_| {
            let (slots, most) = (slots.clone(), Arc::clone(&most));
            async move {
                let job = async {
                    most.fetch_max(slots.running(), Ordering::Relaxed);
                    helper(["say", "done"]).output().await
                };
                assert_eq!(slots.run(job).await.unwrap().stdout, b"done\n");
            }
        });
        join_all(runs).await;
    };
    let thread = {
        let job = some(slots.clone(), Arc::clone(&most));
        std::thread::spawn(move || block_on_thread(job))
    };
    let (shared, seen) = (slots.clone(), Arc::clone(&most));
    on_tokio(4, async move {
        let tasks = (0..4).map(|_| tokio::spawn(some(shared.clone(), Arc::clone(&seen))));
        for task in join_all(tasks).await {
            task.unwrap();
        }
    });
    thread.join().unwrap();
    assert_eq!((slots.running(), slots.waiting()), (0, 0));
    assert!((2..=3).contains(&most.load(Ordering::Relaxed)), "{most:?}");
}

#[test]
fn a_run_is_a_future_that_any_thread_may_poll() {
    fn sent<T: Future + Send>(future: T) -> T {
        future
    }
    let slots = Slots::new(1);
    let output = helper(["say", "sent"]).output();
    let said = block_on_thread(sent(slots.run(output.clone()))).unwrap();
    assert_eq!(said.stdout, b"sent\n");
    block_on_thread(sent(slots.run(output.into_future()))).unwrap();
}
