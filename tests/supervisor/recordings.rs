//! `testing::Recording`: what a program did is done again, byte for byte, by a stand-in that needs neither the program nor its time.

use crate::common;

use std::fs;
use std::time::{Duration, Instant};

use actix_process::testing::{Recording, RecordingError, Script};
use actix_process::{Command, Fd, ProcessEvent, PtySize, Signal, SpawnStep};
use common::helper::{helper, pattern};
use common::isolated::isolated;
use common::trace::history;
use common::{in_time, run, start_all_threads};
use futures::StreamExt;

/// A program that writes all bytes to both of its outputs, much of it, and dies.
fn odd() -> Script {
    let all: Vec<u8> = (0..=255).collect();
    let script = Script::new()
        .read_stdin()
        .stdout(all.clone())
        .stderr("oops\n\\n \n");
    script.stdout(pattern(1 << 20)).stderr(all)
}

#[test]
fn a_replay_says_what_the_program_said_through_every_way_to_run_it() {
    run(async {
        let ends = [
            (odd().exit(3), (Some(3), None)),
            (odd().raise(Signal::TERM), (None, Some(Signal::TERM))),
        ];
        for (script, (code, signal)) in ends {
            let program = script.stand_in("program").unwrap();
            let said = program.command().output().input("x").await.unwrap();
            let recording = Recording::of(&program.command()).input("asked").await;
            let recording = recording.unwrap();
            assert_eq!(program.runs().unwrap()[1].stdin, b"asked");

            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("recording");
            recording.save(&path).unwrap();
            let loaded = Recording::load(&path).unwrap();
            assert!(loaded == recording);
            assert_eq!(
                (loaded.status().code(), loaded.status().signal()),
                (code, signal)
            );
            assert!(loaded.stdout() == said.stdout && loaded.stderr() == said.stderr);

            let replay = loaded.replay().stand_in("program").unwrap();
            drop(program);
            let output = replay
                .command()
                .arg("a")
                .output()
                .input("in")
                .await
                .unwrap();
            assert!(output.stdout == said.stdout && output.stderr == said.stderr);
            assert_eq!(
                (output.status.code(), output.status.signal()),
                (code, signal)
            );
            assert_eq!(replay.runs().unwrap()[0].stdin, b"in");

            let child = replay.command().open().await.unwrap();
            drop(child.stdin);
            let [out, err] = [child.stdout, child.stderr].map(|stream| stream.collect::<Vec<_>>());
            let (out, err) = in_time(futures::future::join(out, err)).await;
            assert!(out.concat() == said.stdout && err.concat() == said.stderr);

            let mut stream = replay.command().stream().input("in").start().await.unwrap();
            let mut out = Vec::new();
            while let Some(Ok(data)) = stream.next().await {
                out.extend(data);
            }
            assert!(out == said.stdout);
            assert_eq!(stream.status().unwrap().code(), code);

            let told = history(&replay.command().stdin(Fd::null())).await;
            assert!(told.data(1) == said.stdout && told.data(2) == said.stderr);
            assert_eq!(
                (told.status().code(), told.status().signal()),
                (code, signal)
            );
        }
    });
}

#[test]
fn the_order_between_its_outputs_is_kept() {
    run(async {
        // Each piece has time to be read.
        let apart = Duration::from_millis(150);
        let script = Script::new()
            .stdout("a")
            .delay(apart)
            .stderr("b")
            .delay(apart);
        let script = script.stdout("c").delay(apart).stderr("d").stderr("e");
        let program = script.stand_in("program").unwrap();
        let recording = Recording::of(&program.command()).await.unwrap();
        let replay = recording.replay().stand_in("program").unwrap();
        let merged = replay.command().output().merge_stderr().await.unwrap();
        assert_eq!(merged.stdout, b"abcde");
    });
}

#[test]
fn a_timed_replay_takes_the_time_and_another_none() {
    run(async {
        let script = Script::new()
            .stdout("1")
            .delay(Duration::from_millis(400))
            .stdout("2");
        let program = script
            .delay(Duration::from_millis(300))
            .stand_in("program")
            .unwrap();
        let recording = Recording::of(&program.command()).await.unwrap();
        let timed = recording.replay_timed().stand_in("program").unwrap();
        let mut events = timed.command().events().await.unwrap();
        let mut marks = Vec::new();
        while let Some(event) = in_time(events.next()).await {
            if matches!(
                event,
                ProcessEvent::ChildDataReceived { .. } | ProcessEvent::ProcessEnded { .. }
            ) {
                marks.push(Instant::now());
            }
        }
        assert_eq!(marks.len(), 3);
        // What was recorded a little late is replayed so.
        assert!(
            marks[1] - marks[0] > Duration::from_millis(200),
            "{marks:?}"
        );
        assert!(
            marks[2] - marks[1] > Duration::from_millis(100),
            "{marks:?}"
        );
        let text = recording.replay();
        assert!(!format!("{text:?}").contains("delay"), "{text:?}");
    });
}

#[test]
fn a_program_that_says_too_much_is_killed_and_not_recorded() {
    isolated(|| {
        run(async {
            let before = start_all_threads().await;
            let endless = Recording::of(&helper(["spam", "5000000", "pause"])).limit(1_000_000);
            let refused = in_time(async { endless.await }).await.unwrap_err();
            assert!(
                matches!(
                    refused,
                    RecordingError::TooMuch {
                        limit: 1_000_000,
                        ..
                    }
                ),
                "{refused}"
            );
            before.assert_restored_but_spawners().await;
            let missing = Recording::of(&Command::new("no-such-program"))
                .await
                .unwrap_err();
            assert!(matches!(missing, RecordingError::Spawn(_)), "{missing}");
            before.assert_restored_but_spawners().await;
        });
    });
}

#[test]
fn a_program_on_a_terminal_is_recorded_without_an_input() {
    run(async {
        let program = Script::new().stdout("shown\n").stderr("as well").exit(2);
        let program = program.stand_in("program").unwrap();
        let shown = program.command().pty(PtySize::new(24, 80));
        let recording = Recording::of(&shown).await.unwrap();
        assert_eq!(recording.stdout(), b"shown\r\nas well");
        assert_eq!(recording.status().code(), Some(2));
        let refused = Recording::of(&shown).input("x").await.unwrap_err();
        assert!(
            matches!(&refused, RecordingError::Spawn(error) if error.step() == SpawnStep::Invalid),
            "{refused}"
        );
    });
}

#[test]
fn a_file_holds_no_environment_no_input_and_arguments_only_if_asked() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recording");
        let command = Command::new("true")
            .arg("SENTINEL-arg\n")
            .env("NAME", "SENTINEL-env");
        let recorded = |keep: bool| {
            let recording = Recording::of(&command).input("SENTINEL-input");
            if keep {
                recording.keep_args()
            } else {
                recording
            }
        };
        let silent = recorded(false).await.unwrap();
        silent.save(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("SENTINEL"), "{text}");
        let asked = recorded(true).await.unwrap();
        asked.save(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("\narg SENTINEL-arg\\n\n"), "{text}");
        assert!(!text.contains("-env") && !text.contains("-input"), "{text}");
        let debug = format!("{asked:?} {:?}", recorded(true));
        assert!(!debug.contains("SENTINEL"), "{debug}");
        assert!(Recording::load(&path).unwrap() == asked);
    });
}

#[test]
fn a_file_that_is_no_recording_is_refused_by_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recording");
    fs::write(&path, "actix-process recording 1\nprogram x\nnonsense\n").unwrap();
    let refused = Recording::load(&path).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "line 3 of the recording is not `TIME FD BYTES`, `TIME exit CODE` or `TIME signal NUMBER`"
    );
    let missing = Recording::load(folder.path().join("missing")).unwrap_err();
    assert!(matches!(missing, RecordingError::Io { .. }), "{missing}");
}
