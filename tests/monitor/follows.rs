//! A follow replays what is kept, goes on without a gap, counts what it missed, and ends with its service.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::Arbiter;
use actix_process::monitor::{Follow, Followed, Monitor, Restart, Service, Since};
use actix_process::{Command, Ladder};
use futures::StreamExt;

use crate::common::census::is_gone;
use crate::common::helper::{helper, hex};
use crate::common::isolated::isolated;
use crate::common::{amount, in_time, peak_memory, run};
use crate::tools::streams::{SHUTDOWN, has_ended, next, rest};

fn shell(script: impl AsRef<str>) -> Command {
    Command::new("sh").args(["-c", script.as_ref()])
}

#[test]
fn each_since_begins_where_it_says() {
    run(async {
        let echo = Service::new("echo", helper(["cat"]));
        // This arbiter has not begun with the monitor when the follow begins: nothing is left out.
        let monitor = Monitor::new().service(echo).on(&Arbiter::current());
        let monitor = monitor.start().unwrap();
        let mut first = monitor.follow("echo", Since::Start);
        monitor.ready("echo").await.unwrap();
        monitor.write("echo", "one\ntwo\nthree\n").await.unwrap();
        assert_eq!(
            next(&mut first, 3).await,
            ["1 1 one", "2 1 two", "3 1 three"]
        );
        let mut follows = [
            (Since::Start, vec!["1 1 one", "2 1 two", "3 1 three"]),
            (Since::Last(2), vec!["2 1 two", "3 1 three"]),
            (Since::Last(99), vec!["1 1 one", "2 1 two", "3 1 three"]),
            (Since::Seq(1), vec!["2 1 two", "3 1 three"]),
            (Since::Seq(3), vec![]),
            // Of an earlier run of the program.
            (Since::Seq(4711), vec!["1 1 one", "2 1 two", "3 1 three"]),
            (Since::Now, vec![]),
        ]
        .map(|(since, replay)| (since, monitor.follow("echo", since), replay));
        monitor.write("echo", "four\n").await.unwrap();
        for (since, follow, replay) in &mut follows {
            replay.push("4 1 four");
            assert_eq!(next(follow, replay.len()).await, *replay, "{since:?}");
        }
        monitor.shutdown(SHUTDOWN).await;
        for (since, follow, _) in follows {
            assert_eq!(rest(follow).await, ["closed"], "{since:?}");
        }
    });
}

#[test]
fn one_sequence_counts_the_lines_of_both_outputs_over_a_restart() {
    run(async {
        let words = helper([
            "say", "a", "tell", "2", "b", "say", "c", "tell", "2", "d", "pause",
        ]);
        let monitor = Monitor::new();
        let monitor = monitor
            .service(Service::new("words", words))
            .start()
            .unwrap();
        let mut follow = monitor.follow("words", Since::Start);
        let mut both = next(&mut follow, 4).await;
        monitor.restart("words").await.unwrap();
        assert_eq!(next(&mut follow, 1).await, ["restarted"]);
        both.extend(next(&mut follow, 4).await);
        let numbers: Vec<_> = both
            .iter()
            .map(|line| line.split(' ').next().unwrap())
            .collect();
        assert_eq!(numbers, ["1", "2", "3", "4", "5", "6", "7", "8"]);
        for (fd, texts) in [("1", ["a", "c", "a", "c"]), ("2", ["b", "d", "b", "d"])] {
            let of_fd = both.iter().filter_map(|line| {
                let (of, text) = line.split_once(' ')?.1.split_once(' ')?;
                (of == fd).then_some(text)
            });
            assert_eq!(of_fd.collect::<Vec<_>>(), texts, "of {fd} in {both:?}");
        }
        // Somebody who comes back with a number of the first generation hears of the restart.
        let mut late = monitor.follow("words", Since::Seq(4));
        assert_eq!(next(&mut late, 1).await, ["restarted"]);
        monitor.shutdown(SHUTDOWN).await;
    });
}

/// The lines are numbers: each line tells whether something is missing before it. How many lines, and how many were missed.
async fn counted(follow: Follow) -> (u64, u64) {
    let (mut lines, mut missed) = (0, 0);
    let mut follow = follow;
    loop {
        match in_time(follow.next()).await.unwrap() {
            Followed::Line { seq, bytes, .. } => {
                lines += 1;
                assert_eq!(seq, lines + missed);
                assert_eq!(seq.to_string().as_bytes(), bytes);
            }
            Followed::Lagged(more) => missed += more,
            Followed::Closed => return (lines, missed),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_follower_that_lags_in_a_flood_knows_exactly_what_it_missed_and_holds_up_nobody() {
    run(async {
        let count = amount(2_000_000, 200_000) as u64;
        let flood = Service::new("flood", Command::new("seq").arg(count.to_string()))
            .restart(Restart::never());
        let monitor = Monitor::new().service(flood).start().unwrap();
        let mut events = monitor.events();
        let sleeper = monitor.follow("flood", Since::Start);
        let reader = tokio::task::spawn_local(counted(monitor.follow("flood", Since::Start)));
        // Though one of the followers takes nothing.
        has_ended(&monitor, &mut events, "flood").await;
        monitor.remove("flood").await.unwrap();
        let (lines, missed) = in_time(reader).await.unwrap();
        assert_eq!(lines + missed, count);
        let (lines, missed) = counted(sleeper).await;
        assert_eq!(lines + missed, count);
        assert!(missed > 0 && lines > 0, "{lines} lines, {missed} missed");
        monitor.shutdown(SHUTDOWN).await;
    });
}

#[test]
fn a_removed_service_and_one_that_was_never_there_are_closed() {
    run(async {
        let words = Service::new("words", helper(["say", "a", "pause"]));
        let monitor = Monitor::new().service(words).start().unwrap();
        let mut follow = monitor.follow("words", Since::Start);
        assert_eq!(next(&mut follow, 1).await, ["1 1 a"]);
        monitor.remove("words").await.unwrap();
        assert_eq!(rest(follow).await, ["closed"]);
        assert_eq!(
            rest(monitor.follow("words", Since::Start)).await,
            ["closed"]
        );
        assert_eq!(rest(monitor.follow("other", Since::Now)).await, ["closed"]);
        // One of the same name begins anew.
        let words = Service::new("words", helper(["say", "b", "pause"]));
        monitor.add(words).await.unwrap();
        let mut follow = monitor.follow("words", Since::Start);
        assert_eq!(next(&mut follow, 1).await, ["1 1 b"]);
        monitor.shutdown(SHUTDOWN).await;
        assert_eq!(rest(follow).await, ["closed"]);
        assert_eq!(
            rest(monitor.follow("words", Since::Start)).await,
            ["closed"]
        );
    });
}

#[test]
fn a_follow_ends_when_the_shutdown_begins_and_a_sink_gets_the_last_words() {
    run(async {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        let stubborn = Service::new(
            "stubborn",
            shell("trap 'echo bye' TERM; echo ready; while :; do read x; done"),
        )
        .stop(Ladder::new().term(Duration::from_secs(60)).kill())
        .on_line(move |line| {
            let text = String::from_utf8_lossy(line.bytes).into_owned();
            kept.lock().unwrap().push((line.seq, text));
        });
        let monitor = Monitor::new().service(stubborn).start().unwrap();
        let mut follow = monitor.follow("stubborn", Since::Start);
        let raw = monitor.follow_raw("stubborn");
        assert_eq!(next(&mut follow, 1).await, ["1 1 ready"]);
        let pid = monitor.status("stubborn").await.unwrap().pid.unwrap();
        let shutdown = monitor.shutdown(Duration::from_secs(60));
        assert_eq!(rest(follow).await, ["closed"]);
        in_time(raw.collect::<Vec<_>>()).await;
        // While the service lives. One who comes now gets what was kept, and the end.
        assert!(!is_gone(pid));
        let late = monitor.follow("stubborn", Since::Start);
        assert_eq!(rest(late).await, ["1 1 ready", "closed"]);
        let has_said_bye = || lines.lock().unwrap().last().cloned();
        crate::common::eventually(
            "the last words",
            || (has_said_bye()? == (2, "bye".to_owned())).then_some(()),
            || format!("{:?}", has_said_bye()),
        )
        .await;
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL).unwrap();
        in_time(shutdown).await;
    });
}

#[test]
fn long_lines_are_cut_a_last_line_needs_no_newline_and_bytes_stay_bytes() {
    run(async {
        let bytes = hex(b"0123456789ab\ncr\r\n\n\x00\xff\xfe\x1b[2J\nlast");
        let words = Service::new("words", helper(["put", "1", &bytes]))
            .max_line(8)
            .restart(Restart::never());
        let monitor = Monitor::new().service(words).start().unwrap();
        let mut follow = monitor.follow("words", Since::Start);
        let wanted = [
            "1 1 01234567+",
            "2 1 89ab",
            "3 1 cr",
            "4 1 ",
            r"5 1 \x00\xff\xfe\x1b[2J",
            "6 1 last",
        ];
        assert_eq!(next(&mut follow, 6).await, wanted);
        monitor.shutdown(SHUTDOWN).await;
        assert_eq!(rest(follow).await, ["closed"]);
    });
}

#[test]
fn a_closure_that_panics_is_called_no_more_and_everything_goes_on() {
    run(async {
        let calls = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&calls);
        let echo = Service::new("echo", helper(["cat"])).on_line(move |line| {
            *counted.lock().unwrap() += 1;
            assert!(
                line.bytes != b"two",
                "this closure panics, as it is meant to"
            );
        });
        let other = Service::new("other", helper(["cat"]));
        let monitor = Monitor::new().services([echo, other]).start().unwrap();
        let mut follow = monitor.follow("echo", Since::Start);
        monitor.ready("echo").await.unwrap();
        monitor.ready("other").await.unwrap();
        for line in ["one", "two", "three"] {
            monitor.write("echo", format!("{line}\n")).await.unwrap();
            assert!(next(&mut follow, 1).await[0].ends_with(line));
        }
        assert_eq!(*calls.lock().unwrap(), 2);
        let mut follow = monitor.follow("other", Since::Start);
        monitor.write("other", "hello\n").await.unwrap();
        assert_eq!(next(&mut follow, 1).await, ["1 1 hello"]);
        monitor.restart("other").await.unwrap();
        assert_eq!(next(&mut follow, 1).await, ["restarted"]);
        let report = monitor.shutdown(SHUTDOWN).await;
        assert_eq!(report.clean.len(), 2, "{report:?}");
    });
}

#[test]
fn a_flood_into_a_ring_takes_no_memory() {
    isolated(|| {
        run(async {
            let size = amount(1_000_000_000, 50_000_000);
            let script = format!("yes {} | head -c {size}", "x".repeat(99));
            let flood = Service::new("flood", shell(script)).restart(Restart::never());
            let echo = Service::new("echo", helper(["cat"]));
            let monitor = Monitor::new()
                .services([flood.on_demand(), echo])
                .start()
                .unwrap();
            monitor.ready("echo").await.unwrap();
            let before = peak_memory();
            let mut events = monitor.events();
            let _sleeper = monitor.follow("flood", Since::Now);
            let _raw = monitor.follow_raw("flood");
            let mut echoed = monitor.follow("echo", Since::Now);
            let _ = monitor.start("flood").await;
            // Meanwhile another service is served.
            monitor.write("echo", "hello\n").await.unwrap();
            assert_eq!(next(&mut echoed, 1).await, ["1 1 hello"]);
            has_ended(&monitor, &mut events, "flood").await;
            let last = next(&mut monitor.follow("flood", Since::Last(1)), 1).await;
            assert!(
                last[0].starts_with(&format!("{} 1 xxx", size / 100)),
                "{last:?}"
            );
            let more = peak_memory() - before;
            assert!(more < 16 << 20, "{more} bytes more");
            monitor.shutdown(SHUTDOWN).await;
        });
    });
}
