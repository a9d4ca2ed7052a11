//! What followers see of lines, bytes, restarts and the end, on any thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::thread;

use futures::StreamExt;
use futures::executor::block_on;

use super::super::line_ring::LINE_OVERHEAD;
use super::super::{Follow, Followed, FollowedRaw, OutputSource, OutputSpec, ServiceOutput, Since};
use super::{output, take_ready};

fn short(items: Vec<Followed>) -> Vec<String> {
    let short = |item| match item {
        Followed::Line {
            seq,
            fd,
            bytes,
            partial,
            ..
        } => {
            let cut = if partial { "+" } else { "" };
            format!("{seq} {fd} {}{cut}", String::from_utf8_lossy(&bytes))
        }
        other => format!("{other:?}"),
    };
    items.into_iter().map(short).collect()
}

#[test]
fn one_number_counts_the_lines_of_both_outputs_over_all_generations() {
    let mut output = output(&OutputSpec {
        max_line: 4,
        ..OutputSpec::default()
    });
    let mut early = output.source().follow(Since::Start);
    output.started(7);
    output.data(1, b"a\nb");
    output.data(2, b"err\r\nlonger");
    output.data(1, b"c\n\nend");
    output.closed(1);
    output.closed(2);
    output.ended();
    let first = [
        "1 1 a",
        "2 2 err",
        "3 2 long+",
        "4 1 bc",
        "5 1 ",
        "6 1 end",
        "7 2 er",
    ];
    assert_eq!(short(take_ready(&mut early)), first);
    output.started(8);
    assert_eq!(short(take_ready(&mut early)), ["Restarted"]);
    output.data(1, b"new\n");
    output.close();
    assert_eq!(short(take_ready(&mut early)), ["8 1 new", "Closed"]);
    let again = output.source().follow(Since::Seq(6));
    assert_eq!(
        short(block_on(again.collect())),
        ["7 2 er", "Restarted", "8 1 new", "Closed"]
    );
    let after_the_restart = output.source().follow(Since::Seq(7));
    assert_eq!(
        short(block_on(after_the_restart.collect())),
        ["Restarted", "8 1 new", "Closed"]
    );
    let last = output.source().follow(Since::Last(1));
    assert_eq!(short(block_on(last.collect())), ["8 1 new", "Closed"]);
}

#[test]
fn a_slow_follower_is_told_exactly_how_many_lines_it_missed() {
    let spec = OutputSpec {
        ring: 3 * (1 + LINE_OVERHEAD),
        ..OutputSpec::default()
    };
    let mut output = output(&spec);
    let mut slow = output.source().follow(Since::Now);
    output.data(1, b"1\n2\n3\n4\n5\n");
    assert_eq!(
        short(take_ready(&mut slow)),
        ["Lagged(2)", "3 1 3", "4 1 4", "5 1 5"]
    );
    let resumed = output.source().follow(Since::Seq(1));
    drop(output);
    let items = short(block_on(resumed.collect()));
    assert_eq!(items, ["Lagged(1)", "3 1 3", "4 1 4", "5 1 5", "Closed"]);
}

#[test]
fn without_a_ring_followers_are_told_of_each_line_as_missed() {
    let mut output = output(&OutputSpec {
        ring: 0,
        ..OutputSpec::default()
    });
    let mut follow = output.source().follow(Since::Start);
    output.data(1, b"1\n2\n");
    assert_eq!(short(take_ready(&mut follow)), ["Lagged(2)"]);
    assert_eq!(output.counters().lines, 2);
}

#[test]
fn a_service_that_is_not_there_is_closed() {
    let none = OutputSource::none();
    assert_eq!(
        block_on(none.follow(Since::Start).collect::<Vec<_>>()),
        [Followed::Closed]
    );
    assert_eq!(
        block_on(none.follow_raw(1).collect::<Vec<_>>()),
        [FollowedRaw::Closed]
    );
}

/// Each follower is on a thread of its own, and checks what it gets; gives how many lines it saw or missed.
fn follow_on_threads(output: &ServiceOutput, count: usize) -> Vec<thread::JoinHandle<(u64, u64)>> {
    let follower = |_| {
        let follow = output.source().follow(Since::Start);
        thread::spawn(move || {
            block_on(follow.fold((0, 0), |(next, missed), item| async move {
                match item {
                    Followed::Line { seq, bytes, .. } => {
                        assert_eq!((seq, &bytes[..]), (next + 1, seq.to_string().as_bytes()));
                        (seq, missed)
                    }
                    Followed::Lagged(more) => (next + more, missed + more),
                    Followed::Restarted | Followed::Closed => (next, missed),
                }
            }))
        })
    };
    (0..count).map(follower).collect()
}

#[test]
fn followers_on_other_threads_get_every_line_or_know_how_many_they_missed() {
    let mut output = output(&OutputSpec {
        ring: 4096,
        ..OutputSpec::default()
    });
    output.started(1);
    let threads = follow_on_threads(&output, 8);
    for batch in 0..2000_u64 {
        let lines: String = (batch * 10 + 1..=batch * 10 + 10)
            .map(|seq| format!("{seq}\n"))
            .collect();
        output.data(1, lines.as_bytes());
        if batch % 500 == 0 {
            output.started(batch + 2);
        }
    }
    output.close();
    for thread in threads {
        let (last, missed) = thread.join().unwrap();
        assert!(last == 20_000 && missed < 20_000, "{last} {missed}");
    }
}

struct CountWakes(AtomicUsize);

impl Wake for CountWakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn only_who_waits_is_woken_and_once_for_each_time() {
    let mut output = output(&OutputSpec::default());
    let wakes = Arc::new(CountWakes(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&wakes));
    let cx = &mut Context::from_waker(&waker);
    let mut followers: Vec<_> = (0..1000)
        .map(|_| output.source().follow(Since::Now))
        .collect();
    for follow in &mut followers {
        // A task that polls twice waits once.
        assert!(follow.poll_next_unpin(cx).is_pending() && follow.poll_next_unpin(cx).is_pending());
    }
    followers.truncate(900);
    for _ in 0..10 {
        output.data(1, b"line\n");
    }
    assert_eq!(wakes.0.load(Ordering::Relaxed), 900);
    drop(followers);
    output.data(1, b"line\n");
    assert_eq!(wakes.0.load(Ordering::Relaxed), 900);
    assert_eq!(Arc::strong_count(&wakes), 2, "a waker is kept");
}

/// The last owner of a task is often its waker.
#[test]
fn a_waker_may_drop_the_follower_that_it_wakes() {
    struct Owner(#[expect(dead_code, reason = "dropped")] std::sync::Mutex<Option<Follow>>);
    impl Wake for Owner {
        fn wake(self: Arc<Self>) {}
    }
    let mut output = output(&OutputSpec::default());
    let owner = Arc::new(Owner(std::sync::Mutex::new(Some(
        output.source().follow(Since::Now),
    ))));
    let waker = Waker::from(owner);
    let mut follow = output.source().follow(Since::Now);
    assert!(
        follow
            .poll_next_unpin(&mut Context::from_waker(&waker))
            .is_pending()
    );
    drop(waker);
    assert!(
        follow
            .poll_next_unpin(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
    output.data(1, b"line\n");
    assert_eq!(take_ready(&mut follow).len(), 1);
}

#[test]
fn a_terminal_that_is_attached_again_gets_its_last_bytes_and_then_what_comes() {
    let spec = OutputSpec {
        raw_ring: 16,
        ..OutputSpec::default()
    };
    let mut output = output(&spec);
    output.started(1);
    output.on_terminal(true);
    output.data(1, b"\x1b[2Jgone before the screen");
    let mut follow = output.source().follow_raw(1);
    let data = |text: &'static [u8]| FollowedRaw::Data(text.into());
    assert_eq!(take_ready(&mut follow), [data(b"efore the screen")]);
    output.data(1, b"$ ");
    assert_eq!(take_ready(&mut follow), [data(b"$ ")]);
    output.data(1, b"a flood that is longer");
    assert_eq!(
        take_ready(&mut follow),
        [FollowedRaw::Lagged(6), data(b"d that is longer")]
    );
    assert_eq!(&output.tail()[output.tail().len() - 6..], b"longer");
    output.started(2);
    output.data(1, b"login: ");
    assert_eq!(
        take_ready(&mut follow),
        [FollowedRaw::Restarted, data(b"login: ")]
    );
    output.close();
    assert_eq!(take_ready(&mut follow), [FollowedRaw::Closed]);
    let late = take_ready(&mut output.source().follow_raw(1));
    let replay = [
        data(b"is longer"),
        FollowedRaw::Restarted,
        data(b"login: "),
        FollowedRaw::Closed,
    ];
    assert_eq!(late, replay);
}

#[test]
fn raw_bytes_of_a_pipe_are_kept_while_somebody_follows_them() {
    let mut output = output(&OutputSpec::default());
    output.data(2, b"before");
    let mut follow = output.source().follow_raw(2);
    output.data(2, b"half");
    output.data(1, b"other");
    assert_eq!(take_ready(&mut follow), [FollowedRaw::Data("half".into())]);
    drop(follow);
    output.data(2, b" a line");
    let mut follow = output.source().follow_raw(2);
    output.data(2, b"\n");
    assert_eq!(take_ready(&mut follow), [FollowedRaw::Data("\n".into())]);
}

#[test]
fn debug_shows_nothing_of_what_a_service_wrote() {
    let mut output = output(&OutputSpec::default());
    let mut follow = output.source().follow(Since::Start);
    let mut raw = output.source().follow_raw(1);
    output.data(1, b"secret\n");
    let shown = format!(
        "{:?} {:?} {output:?} {follow:?} {raw:?}",
        take_ready(&mut follow),
        take_ready(&mut raw)
    );
    assert!(
        shown.contains("Line") && !shown.contains("secret") && !shown.contains("115, 101"),
        "{shown}"
    );
}
