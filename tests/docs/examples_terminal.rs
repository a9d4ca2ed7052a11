//! Runs the example `terminal` on a real terminal, as a shell's child: the test is who types and
//! looks.

use crate::common;

use actix_process::{Command, ProcessHandle, PtySize, Signal};
use common::example::{example, path, run_to_failure};
use common::trace::{Trace, spawned};
use common::{eventually, run};
use nix::unistd::Pid;

/// Sets modes that no terminal has by itself, so that it shows when they are not put back; runs the
/// example, and tells of its pid, its status, and the modes before and after.
const SHELL: &str = r#"
stty intr ^X -echoctl
echo "before $(stty -g)"
sh -c 'echo "pid $$"; exec "$@"' sh "$@"
echo "status $?"
echo "after $(stty -g)"
"#;

/// The outer terminal. What runs in the background in there is started before a trap is set, so that
/// the hang-up at the end finds it without one.
struct Window {
    shell: ProcessHandle,
    trace: Trace,
}

/// What it shows at the end.
struct Shown(String);

impl Window {
    /// With the example in it, which runs `sh -c SCRIPT`.
    async fn open(script: &str) -> Self {
        Self::with(&["sh", "-c", script]).await
    }

    async fn with(program: &[&str]) -> Self {
        Self::with_shell(SHELL, program).await
    }

    async fn with_shell(script: &str, program: &[&str]) -> Self {
        let shell = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(path("terminal"))
            .args(program)
            .pty(PtySize::new(33, 77));
        let (trace, shell) = spawned(shell).await;
        Self { shell, trace }
    }

    /// Waits until it shows `text`.
    async fn shows(&self, text: &str) -> Shown {
        let shown = self.trace.output(&self.shell, 1, text).await;
        Shown(String::from_utf8(shown).unwrap())
    }

    fn press(&self, keys: &'static str) {
        self.shell.write(keys).unwrap();
    }

    /// Waits for the shell's end. The modes must be what they were.
    async fn ended(&self) -> Shown {
        let history = self.trace.ended(&self.shell).await;
        let shown = Shown(history.text(1));
        assert_eq!(shown.after("before "), shown.after("after "), "{}", shown.0);
        shown
    }
}

impl Shown {
    /// The rest of the line that begins so.
    fn after(&self, beginning: &str) -> &str {
        let mut lines = self.0.lines();
        let line = lines.find_map(|line| line.strip_prefix(beginning));
        line.unwrap_or_else(|| panic!("no line {beginning:?} in\n{}", self.0))
    }

    fn pid(&self, beginning: &str) -> Pid {
        Pid::from_raw(self.after(beginning).parse().unwrap())
    }

    #[track_caller]
    fn assert_has(&self, text: &str) {
        assert!(self.0.contains(text), "no {text:?} in\n{}", self.0);
    }
}

/// Waits until nothing of the process runs; a zombie does not.
async fn gone(pid: Pid) {
    let stat = move || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let runs =
        move || matches!(stat().rsplit_once(") "), Some((_, rest)) if !rest.starts_with('Z'));
    let what = format!("{pid} to be gone");
    eventually(&what, || (!runs()).then_some(()), || stat_of(pid)).await;
}

fn stat_of(pid: Pid) -> String {
    format!("{:?}", std::fs::read_to_string(format!("/proc/{pid}/stat")))
}

#[test]
fn keys_are_passed_on_one_by_one_and_the_exit_code_back() {
    run(async {
        let window = Window::open(
            "stty -icanon -echo; echo ready
             key=$(dd bs=1 count=1 2>/dev/null); echo \"key <$key>\"; exit 5",
        )
        .await;
        window.shows("ready").await;
        // No end of line follows.
        window.press("x");
        let shown = window.ended().await;
        shown.assert_has("key <x>\r\n");
        assert_eq!(shown.after("status "), "5");
    });
}

#[test]
fn output_looks_as_it_would_without_it() {
    run(async {
        let window = Window::open("printf 'one\\ntwo\\n'; printf 'bad\\n' >&2").await;
        let shown = window.ended().await;
        shown.assert_has("\r\none\r\ntwo\r\nbad\r\nstatus 0\r\n");
    });
}

#[test]
fn the_window_has_the_outer_ones_size_at_the_start_and_after_a_change() {
    run(async {
        let window = Window::open(
            "sleep 100 & trap 'echo \"then $(stty size)\"; exit 0' WINCH
             echo \"first $(stty size)\"; wait",
        )
        .await;
        window.shows("first 33 77\r\n").await;
        window.shell.resize(PtySize::new(44, 99)).unwrap();
        let shown = window.ended().await;
        shown.assert_has("then 44 99\r\n");
        assert_eq!(shown.after("status "), "0");
    });
}

#[test]
fn ctrl_c_is_the_inner_programs() {
    run(async {
        // The outer terminal's own key for it is another one, and that goes inside as well.
        let window = Window::open(
            "sleep 100 & trap 'echo interrupted; exit 7' INT; stty -echo; echo ready; wait",
        )
        .await;
        window.shows("ready").await;
        window.press("\x18\x03");
        let shown = window.ended().await;
        shown.assert_has("interrupted\r\n");
        assert_eq!(shown.after("status "), "7");
    });
}

#[test]
fn a_program_that_a_signal_killed_is_told_of() {
    run(async {
        let window = Window::open("kill -9 $$").await;
        let shown = window.ended().await;
        shown.assert_has("\r\nthe program ended with signal: 9 (SIGKILL)\r\n");
        assert_eq!(shown.after("status "), "1");

        let window = Window::open("echo ready; read line").await;
        window.shows("ready").await;
        window.press("\x03");
        let shown = window.ended().await;
        shown.assert_has("the program ended with signal: 2 (SIGINT)\r\n");
    });
}

#[test]
fn a_missing_program_is_told_of() {
    run(async {
        let window = Window::with(&["/no/such/program"]).await;
        let shown = window.ended().await;
        shown.assert_has("\r\ncannot execute: /no/such/program");
        assert_eq!(shown.after("status "), "1");
    });
}

#[test]
fn told_to_end_it_hangs_the_inner_program_up() {
    run(async {
        for (signal, said) in [
            (nix::sys::signal::SIGTERM, "ended by SIGTERM"),
            (nix::sys::signal::SIGINT, "ended by SIGINT"),
            (nix::sys::signal::SIGHUP, "ended by SIGHUP"),
            (nix::sys::signal::SIGQUIT, "ended by SIGQUIT"),
        ] {
            let window = Window::open(
                "sleep 100 & trap 'echo tidy; exit' HUP; echo \"inner $$\"; echo ready; wait",
            )
            .await;
            let shown = window.shows("ready").await;
            nix::sys::signal::kill(shown.pid("pid "), signal).unwrap();
            let shown = window.ended().await;
            shown.assert_has("tidy\r\n");
            shown.assert_has(&format!("\r\n{said}\r\n"));
            assert_eq!(shown.after("status "), "1");
            gone(shown.pid("inner ")).await;
        }
    });
}

#[test]
fn told_to_end_it_leaves_no_program_that_will_not() {
    run(async {
        let window = Window::open("trap '' HUP; echo \"inner $$\"; echo ready; read line").await;
        let shown = window.shows("ready").await;
        nix::sys::signal::kill(shown.pid("pid "), nix::sys::signal::SIGTERM).unwrap();
        let shown = window.ended().await;
        shown.assert_has("ended by SIGTERM\r\n");
        gone(shown.pid("inner ")).await;
    });
}

#[test]
fn a_closed_window_ends_it_and_the_inner_program() {
    run(async {
        let window = Window::open("echo \"inner $$\"; echo ready; read line").await;
        let shown = window.shows("ready").await;
        window.shell.lose_connection();
        let status = window.trace.exited(&window.shell).await;
        assert_eq!(status.signal(), Some(Signal::HUP));
        gone(shown.pid("pid ")).await;
        gone(shown.pid("inner ")).await;
    });
}

#[test]
fn output_that_nobody_takes_ends_it_and_the_inner_program() {
    run(async {
        // The reader goes when it has had two lines, of which the second ends in CR LF.
        let reader = r#"{ read line; echo "$line"; read line; echo "${line%?}"; }"#;
        let into_a_pipe = SHELL.replace("sh \"$@\"", &format!("sh \"$@\" | {reader}"));
        let script = "echo \"inner $$\"; while :; do echo more; done";
        let window = Window::with_shell(&into_a_pipe, &["sh", "-c", script]).await;
        let shown = window.ended().await;
        shown.assert_has("standard output: Broken pipe");
        gone(shown.pid("inner ")).await;
    });
}

#[test]
fn without_a_terminal_it_says_so() {
    let said = run_to_failure(example("terminal").arg("true"));
    assert_eq!(said, "standard input is no terminal\n");
    let said = run_to_failure(&mut example("terminal"));
    assert!(said.starts_with("usage: "), "{said}");
}
