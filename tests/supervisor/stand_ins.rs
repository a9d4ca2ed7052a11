//! `testing::Script` and `StandIn`: a program that stands in for another one does what its script says, byte for byte, whoever runs it
//! in whatever way; it tells what it was asked; and it leaves nothing.

use crate::common;

use std::ffi::OsString;
use std::future::IntoFuture;
use std::os::unix::ffi::OsStringExt;
use std::time::{Duration, Instant};

use actix_process::testing::{Script, StandIn, StandInError};
use actix_process::{CollectError, Command, Fd, Signal, SpawnStep, StreamFailure};
use common::helper::pattern;
use common::isolated::isolated;
use common::trace::{history, spawned};
use common::{DEADLINE, eventually, in_time, run, start_all_threads};
use futures::future::join_all;
use futures::{SinkExt, StreamExt};
use nix::libc;

const HOUR: Duration = Duration::from_secs(3600);

/// Each byte there is, with what a shell would take for its own.
fn odd_bytes() -> Vec<u8> {
    let all = (0..=255).collect::<Vec<u8>>();
    [&all[..], b"%s\\n'\"$(id)`id`\n\n\0\0"].concat()
}

fn script() -> Script {
    let big = pattern(1 << 20);
    Script::new()
        .stdout(odd_bytes())
        .stderr(big.clone())
        .stdout(big)
        .stderr(odd_bytes())
        .stdout("")
        .exit(3)
}

fn expected() -> [Vec<u8>; 2] {
    let big = pattern(1 << 20);
    [
        [odd_bytes(), big.clone()].concat(),
        [big, odd_bytes()].concat(),
    ]
}

#[test]
fn every_byte_comes_through_output_open_and_stream() {
    run(async {
        let stand_in = script().stand_in("program").unwrap();
        let [stdout, stderr] = expected();

        let output = stand_in.command().output().await.unwrap();
        assert!(output.stdout == stdout && output.stderr == stderr);
        assert_eq!(output.status.code(), Some(3));

        let child = stand_in.command().open().await.unwrap();
        let [out, err] = [child.stdout, child.stderr].map(|stream| stream.collect::<Vec<_>>());
        let (out, err) = in_time(futures::future::join(out, err)).await;
        assert!(out.concat() == stdout && err.concat() == stderr);
        assert_eq!(child.process.ended().await.code(), Some(3));

        let mut stream = stand_in.command().stream().start().await.unwrap();
        let mut out = Vec::new();
        let failure = loop {
            match stream.next().await.unwrap() {
                Ok(data) => out.extend(data),
                Err(failure) => break failure,
            }
        };
        assert!(out == stdout);
        assert!(
            matches!(failure, StreamFailure::Failed { status, .. } if status.code() == Some(3))
        );

        let told = history(&stand_in.command()).await;
        assert!(told.data(1) == stdout && told.data(2) == stderr);
        assert_eq!(told.status().code(), Some(3));
        told.assert_rules(&[0, 1, 2]);
    });
}

#[test]
fn a_protocol_hears_of_its_pieces_in_order() {
    run(async {
        let script = Script::new()
            .stdout("one\n")
            .gate("go")
            .stderr("two\n")
            .gate("on");
        let stand_in = script.stdout("three\n").stand_in("program").unwrap();
        let (trace, process) = spawned(stand_in.command()).await;
        trace.output(&process, 1, "one\n").await;
        stand_in.open_gate("go").unwrap();
        trace.output(&process, 2, "two\n").await;
        stand_in.open_gate("on").unwrap();
        trace.output(&process, 1, "one\nthree\n").await;
        trace.ended(&process).await;
    });
}

#[test]
fn it_dies_of_the_signal_that_it_raises() {
    run(async {
        for signal in [
            Signal::KILL,
            Signal::TERM,
            Signal::SEGV,
            Signal::new(40).unwrap(),
        ] {
            let script = Script::new().stdout("half").raise(signal).stdout("never");
            let stand_in = script.stand_in("program").unwrap();
            let output = stand_in.command().output().await.unwrap();
            assert_eq!(output.status.signal(), Some(signal));
            assert!(!output.status.core_dumped());
            assert_eq!(output.stdout, b"half");
        }
    });
}

#[test]
fn a_writer_that_nobody_reads_dies_of_sigpipe() {
    run(async {
        for bytes in [pattern(1 << 20), vec![0]] {
            let script = Script::new().gate("go").stdout(bytes).gate("never");
            let stand_in = script.stand_in("program").unwrap();
            let (trace, process) = spawned(stand_in.command()).await;
            process.close_stdout();
            trace.lost(&process, 1).await;
            stand_in.open_gate("go").unwrap();
            let status = trace.ended(&process).await.status();
            assert_eq!(status.signal(), Some(Signal::PIPE));
        }
    });
}

#[test]
fn it_tells_which_arguments_and_which_input_it_got() {
    run(async {
        let stand_in = Script::new().read_stdin().stand_in("program").unwrap();
        assert!(stand_in.runs().unwrap().is_empty());
        let args = ["", "two words", "a\nb\n", "$HOME", "'", "-n", "%s"].map(OsString::from);
        let odd = OsString::from_vec(vec![0xff, 0x01, 0xfe]);
        let args: Vec<_> = args.into_iter().chain([odd]).collect();
        let input = pattern(300_000);
        let first = stand_in.command().args(&args).output().input(input.clone());
        assert!(first.await.unwrap().status.success());
        assert!(stand_in.command().status().await.unwrap().success());
        let third = stand_in.command().arg("").output().input(odd_bytes());
        third.await.unwrap();
        let runs = stand_in.runs().unwrap();
        assert_eq!(runs.len(), 3);
        assert_eq!(runs[0].args, args);
        assert!(runs[0].stdin == input);
        assert!(runs[1].args.is_empty() && runs[1].stdin.is_empty());
        assert_eq!(runs[2].args, [""]);
        assert_eq!(runs[2].stdin, odd_bytes());
    });
}

#[test]
fn it_waits_for_a_line_of_its_input() {
    run(async {
        let script = Script::new()
            .stdout("> ")
            .wait_for_line("it's 'quoted' $x")
            .stdout("ok\n");
        let stand_in = script.read_stdin().stand_in("program").unwrap();
        let mut child = stand_in.command().open().await.unwrap();
        assert_eq!(child.stdout.next().await.unwrap(), "> ");
        child
            .stdin
            .send("  other\\n\nit's 'quoted'".into())
            .await
            .unwrap();
        child.stdin.send(" $x\nrest".into()).await.unwrap();
        assert_eq!(in_time(child.stdout.next()).await.unwrap(), "ok\n");
        assert!(child.wait().await.success());
        let stdin = &stand_in.runs().unwrap()[0].stdin;
        assert_eq!(stdin, b"  other\\n\nit's 'quoted' $x\nrest");

        let unheard = stand_in
            .command()
            .output()
            .input("something else\nand an end");
        let output = unheard.await.unwrap();
        assert_eq!(output.status.code(), Some(70));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(
            stderr.contains("the input ended before the line"),
            "{stderr}"
        );
        assert_eq!(
            stand_in.runs().unwrap()[1].stdin,
            b"something else\nand an end"
        );
        // The last line need not end.
        let last = stand_in.command().output().input("it's 'quoted' $x");
        assert!(last.await.unwrap().status.success());
    });
}

#[test]
fn runs_at_the_same_time_are_told_apart() {
    run(async {
        let script = Script::new().read_stdin().gate("all").stdout("done");
        let stand_in = script.stand_in("program").unwrap();
        let one = |n: u32| {
            stand_in
                .command()
                .arg(n.to_string())
                .output()
                .input(n.to_string())
        };
        let all = join_all((0..20).map(|n| one(n).into_future()));
        let opens = async {
            let all_read = || {
                let runs = stand_in.runs().unwrap();
                let read = runs.iter().filter(|run| !run.stdin.is_empty());
                (read.count() == 20).then_some(())
            };
            eventually("20 runs", all_read, || format!("{:?}", stand_in.runs())).await;
            stand_in.open_gate("all").unwrap();
        };
        let (outputs, ()) = in_time(futures::future::join(all, opens)).await;
        assert!(
            outputs
                .into_iter()
                .all(|output| output.unwrap().stdout == b"done")
        );
        let mut seen = Vec::new();
        for run in stand_in.runs().unwrap() {
            assert_eq!(run.args, [OsString::from_vec(run.stdin)]);
            seen.push(run.args[0].to_str().unwrap().parse::<u32>().unwrap());
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..20).collect::<Vec<_>>());
    });
}

#[test]
fn a_gate_lets_all_through_once_it_is_open() {
    run(async {
        let script = Script::new()
            .gate("a")
            .stdout("1")
            .gate("b")
            .stdout("2")
            .gate("a");
        let stand_in = script.stand_in("program").unwrap();
        stand_in.open_gate("a").unwrap();
        stand_in.open_gate("a").unwrap();
        let mut child = stand_in.command().open().await.unwrap();
        assert_eq!(in_time(child.stdout.next()).await.unwrap(), "1");
        stand_in.open_gate("b").unwrap();
        assert_eq!(in_time(child.stdout.next()).await.unwrap(), "2");
        for _ in 0..3 {
            let output = in_time(async { stand_in.command().output().await });
            assert_eq!(output.await.unwrap().stdout, b"12");
        }
        let unknown = stand_in.open_gate("c").unwrap_err();
        assert!(matches!(unknown, StandInError::NoGate { .. }), "{unknown}");
    });
}

#[test]
fn one_that_cannot_be_started_fails_as_a_real_one() {
    run(async {
        let missing = StandIn::missing("ffmpeg").unwrap();
        let refused = StandIn::not_executable("ffmpeg").unwrap();
        for (stand_in, errno) in [(&missing, libc::ENOENT), (&refused, libc::EACCES)] {
            let CollectError::Spawn(error) = stand_in.command().output().await.unwrap_err() else {
                panic!("no error of a spawn");
            };
            assert_eq!(error.step(), SpawnStep::Exec);
            assert_eq!(error.errno(), Some(errno));
            let opened = stand_in.command().open().await.unwrap_err();
            assert_eq!(opened.errno(), Some(errno));
            let started = stand_in.command().stream().start().await.unwrap_err();
            assert_eq!(started.errno(), Some(errno));
        }
    });
}

#[test]
fn it_is_found_by_its_name() {
    run(async {
        // Its own tools are found though it has the name of one.
        for name in ["ffmpeg", "cat", "with space", "sleep"] {
            let script = Script::new()
                .stdout(pattern(5000))
                .read_stdin()
                .delay(Duration::from_millis(1));
            let stand_in = script.stand_in(name).unwrap();
            let command = Command::new(name).env("PATH", stand_in.search_path());
            let output = command.output().input("x").await.unwrap();
            assert!(output.stdout == pattern(5000), "{output:?}");
            let alone = stand_in.command().env_clear().current_dir("/");
            assert!(alone.output().await.unwrap().stdout == pattern(5000));
            assert_eq!(stand_in.runs().unwrap().len(), 2);
        }
    });
}

#[test]
fn a_delay_takes_its_time_and_holds_up_no_end() {
    run(async {
        let short = Script::new().delay(Duration::from_millis(1050)).stdout("x");
        let short = short.stand_in("program").unwrap();
        let begun = Instant::now();
        let output = short.command().output().await.unwrap();
        assert_eq!(output.stdout, b"x");
        assert!(begun.elapsed() >= Duration::from_millis(1050));

        let long = Script::new()
            .stdout("x")
            .delay(Duration::MAX)
            .stand_in("program")
            .unwrap();
        let (trace, process) = spawned(long.command()).await;
        trace.output(&process, 1, "x").await;
        // The script alone: what it waits by lives on, for a second.
        let begun = Instant::now();
        process.signal(Signal::TERM).unwrap();
        let status = trace.ended(&process).await.status();
        assert_eq!(status.signal(), Some(Signal::TERM));
        assert!(begun.elapsed() < DEADLINE / 6);
    });
}

#[test]
fn other_descriptors_are_written_and_closed() {
    run(async {
        let script = Script::new().write(5, "five").close(5).close(1).gate("go");
        let stand_in = script.stderr("two").stand_in("program").unwrap();
        let command = stand_in.command().fd(5, Fd::stream());
        let mut child = command.open().await.unwrap();
        let five = child.process.take_stream(5).unwrap();
        assert_eq!(in_time(five.collect::<Vec<_>>()).await.concat(), b"five");
        assert!(in_time(child.stdout.next()).await.is_none());
        stand_in.open_gate("go").unwrap();
        assert_eq!(in_time(child.stderr.next()).await.unwrap(), "two");
    });
}

#[test]
fn nothing_is_left_of_it() {
    isolated(|| {
        run(async {
            let folder = tempfile::tempdir().unwrap();
            // SAFETY: no other thread of this process looks at the environment.
            unsafe { std::env::set_var("TMPDIR", folder.path()) };
            let before = start_all_threads().await;
            {
                let script = Script::new().stdout("x").gate("never").delay(HOUR);
                let hung = script.stand_in("program").unwrap();
                let missing = StandIn::missing("program").unwrap();
                assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
                let output = hung.command().output();
                let output = output.timeout(Duration::from_millis(50)).await;
                assert!(matches!(output, Err(CollectError::TimedOut(_))));
                let mut child = hung.command().open().await.unwrap();
                assert_eq!(child.stdout.next().await.unwrap(), "x");
                hung.open_gate("never").unwrap();
                drop(child);
                let streamed = hung.command().stream().start().await.unwrap();
                drop(streamed);
                assert!(missing.command().open().await.is_err());
            }
            let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
            assert!(left.is_empty(), "{left:?}");
            before.assert_restored_but_spawners().await;
        });
    });
}

#[test]
fn what_no_script_can_do_is_refused() {
    for name in ["", ".", "..", "a/b", "a\0b"] {
        let refused = Script::new().stand_in(name).unwrap_err();
        assert!(matches!(refused, StandInError::Name { .. }), "{refused}");
    }
    for script in [Script::new().write(10, "x"), Script::new().close(-1)] {
        let refused = script.stand_in("program");
        assert!(matches!(refused, Err(StandInError::Descriptor { .. })));
    }
    for line in ["a\nb", "a\0b"] {
        let refused = Script::new().wait_for_line(line).stand_in("program");
        assert!(matches!(refused, Err(StandInError::Line { .. })));
    }
}
