//! The janitor's deadlines.

use super::*;

#[test]
fn jobs_run_in_the_order_of_their_deadlines_and_survive_a_panic() {
    start().unwrap();
    let (tell, told) = mpsc::channel();
    let timers = [(60, "third"), (20, "first"), (40, "second")].map(|(delay, name)| {
        let tell = tell.clone();
        after(Duration::from_millis(delay), move || {
            let _ = tell.send(name);
            assert_ne!(name, "second", "a job that panics");
        })
    });
    let request: Vec<_> = (0..3)
        .map(|_| told.recv_timeout(Duration::from_secs(10)).unwrap())
        .collect();
    assert_eq!(request, ["first", "second", "third"]);
    drop(timers);
}

#[test]
fn a_deadline_that_is_withdrawn_is_forgotten() {
    let held = Arc::new(());
    let day = Duration::from_secs(24 * 3600);
    let timers: Vec<_> = (0..100)
        .map(|_| {
            let held = Arc::clone(&held);
            after(day, move || drop(held))
        })
        .collect();
    assert_eq!(Arc::strong_count(&held), 101);
    drop(timers);
    assert_eq!(Arc::strong_count(&held), 1);
}

/// The lock is another thread's at the fork, here this one's own.
#[test]
fn a_copy_of_the_process_waits_for_no_lock() {
    let day = Duration::from_secs(24 * 3600);
    let mut timer = Some(after(day, || {}));
    let queue = lock(&QUEUE);
    let done = sys::copy::tests::is_done_in_a_copy(|| {
        drop(timer.take());
        drop(after(day, || {}));
        soon(|| {});
    });
    drop(queue);
    assert!(done);
}
