//! Runs the example with its six services: once without a terminal, and on a real one, with keys.

mod common;

use actix_process::{Command, FdStream, NoProtocol, ProcessHandle, Pty, PtySize};
use common::example::program;
use common::{DEADLINE, eventually, run};

const SERVICES: &str = env!("CARGO_BIN_EXE_services");

/// In the environment of the example, and so of all that it starts.
const MARK: &str = "ACTIX_PROCESS_SERVICES_TEST";

/// Waits until no process has this value of the mark.
async fn nothing_is_left(of: &str) {
    let mark = format!("{MARK}={of}").into_bytes();
    let left = || {
        let processes = std::fs::read_dir("/proc").unwrap();
        let marked = processes.filter_map(|process| {
            let path = process.unwrap().path();
            let environment = std::fs::read(path.join("environ")).ok()?;
            let mut variables = environment.split(|byte| *byte == 0);
            variables.any(|variable| variable == mark).then_some(path)
        });
        marked.collect::<Vec<_>>()
    };
    let none = || left().is_empty().then_some(());
    eventually("nothing to be left", none, || format!("{:?}", left())).await;
}

#[test]
fn once_prints_the_table_when_all_is_ready_and_leaves_nothing() {
    let mark = format!("once-{}", std::process::id());
    let (printed, said) = common::example::run(program(SERVICES).arg("--once").env(MARK, &mark));
    let lines: Vec<_> = printed.lines().collect();
    let [heading, rows @ .., end] = &lines[..] else {
        panic!("{printed}");
    };
    assert!(heading.starts_with("SERVICE      STATE"), "{printed}");
    let rows: Vec<Vec<_>> = rows
        .iter()
        .map(|row| row.split_whitespace().collect())
        .collect();
    let ids: Vec<_> = rows.iter().map(|row| row[0]).collect();
    let expected = ["web", "crash", "stubborn", "family", "notify", "lease"];
    assert_eq!(ids, expected, "{printed}");
    for row in rows.iter().filter(|row| row[0] != "crash") {
        assert_eq!(row[1..3], ["running", "yes"], "{printed}");
        assert!(row[3].parse::<i32>().is_ok(), "{printed}");
        // CPU and RSS.
        assert_eq!(row[row.len() - 2], "MB", "{printed}");
    }
    assert!(end.starts_with("shut down in "), "{printed}");
    assert!(end.contains("; killed: stubborn"), "{printed}");
    assert_eq!(said, "");
    run(nothing_is_left(&mark));
}

#[test]
fn a_file_with_a_mistake_is_refused() {
    let file = std::env::temp_dir().join(format!("services-{}.toml", std::process::id()));
    let text = "[[service]]\nid = \"web\"\ncommand = [\"true\"]\nafter = [\"no-such-service\"]\n";
    std::fs::write(&file, text).unwrap();
    let said = common::example::run_to_failure(program(SERVICES).arg("--once").arg(&file));
    std::fs::remove_file(&file).unwrap();
    assert!(said.starts_with("service `web`: after: "), "{said}");
    assert!(said.contains("no-such-service"), "{said}");
}

#[test]
fn a_live_table_needs_a_terminal() {
    let said = common::example::run_to_failure(&mut program(SERVICES));
    assert_eq!(said, "this is no terminal; --once needs none\n");
}

/// Tells of the terminal's modes before and after the example, and of its status. Ctrl-C does not end the shell.
const SHELL: &str = r#"
trap : INT
echo "before $(stty -g) "
"$@"
echo "status $? "
echo "after $(stty -g) "
"#;

/// A terminal with the example in it.
struct Screen {
    shell: ProcessHandle,
    shown: FdStream,
}

impl Screen {
    async fn open(mark: &str) -> Self {
        let terminal = Pty::new(PtySize::new(30, 140)).stream();
        let shell = Command::new("sh")
            .args(["-c", SHELL, "sh", SERVICES])
            .env(MARK, mark)
            .pty(terminal);
        let shell = shell.spawn(NoProtocol).await.unwrap();
        let shown = shell.stdout().unwrap();
        Self { shell, shown }
    }

    fn press(&self, keys: &'static str) {
        self.shell.write(keys).unwrap();
    }

    /// Waits until it shows this, and gives what it showed before.
    async fn shows(&mut self, text: &str) -> String {
        let before = self.shown.find(text, DEADLINE).await;
        let before = before.unwrap_or_else(|error| panic!("{text:?}: {error}"));
        String::from_utf8(before.to_vec()).unwrap()
    }

    /// The text behind this one, up to a space.
    async fn after(&mut self, text: &str) -> String {
        self.shows(text).await;
        self.shows(" ").await
    }

    /// Waits until the row of this service is so, and gives its columns.
    async fn row(&mut self, id: &str, is_so: impl Fn(&[&str]) -> bool) -> Vec<String> {
        let begun = std::time::Instant::now();
        loop {
            self.shows(&format!("{id:<12} ")).await;
            let row = self.shows("\x1b").await;
            let columns: Vec<_> = row.split_whitespace().collect();
            if is_so(&columns) {
                return columns.into_iter().map(str::to_owned).collect();
            }
            assert!(begun.elapsed() < DEADLINE, "{id}: {row}");
        }
    }
}

fn is_ready(row: &[&str]) -> bool {
    row.starts_with(&["running", "yes"])
}

fn is_stopped(row: &[&str]) -> bool {
    row.starts_with(&["stopped", "no"])
}

#[test]
fn keys_restart_stop_and_lease_and_ctrl_c_leaves_nothing() {
    run(async {
        let mark = format!("keys-{}", std::process::id());
        let mut screen = Screen::open(&mark).await;
        let before = screen.after("before ").await;
        let web = screen.row("web", is_ready).await;
        screen.row("notify", is_ready).await;

        screen.press("r");
        screen.shows("web: restarted").await;
        let is_another = |row: &[&str]| is_ready(row) && row[2] != web[2];
        screen.row("web", is_another).await;

        // The log is that of the service that is selected.
        screen.press("jj");
        screen.shows("ignores SIGTERM").await;
        screen.press("s");
        screen.shows("stubborn: stopped").await;
        let row = screen.row("stubborn", is_stopped).await;
        assert!(row.contains(&"escalated".to_owned()), "{row:?}");

        screen.press("\x1b[B\x1b[Bj");
        screen.press("l");
        screen.shows("lease: leased").await;
        screen.shows("somebody wants me").await;
        screen.row("lease", is_ready).await;
        screen.press("l");
        screen.shows("the lease is given back").await;
        screen.row("lease", is_stopped).await;

        screen.press("\x03");
        screen.shows("shut down in ").await;
        let report = screen.shows("\r\n").await;
        assert!(report.contains("; clean: "), "{report}");
        assert!(!report.contains("killed"), "{report}");
        assert_eq!(screen.after("status ").await, "0");
        assert_eq!(screen.after("after ").await, before);
        screen.shell.ended().await;
        nothing_is_left(&mark).await;
    });
}

#[test]
fn sigterm_and_a_hang_up_put_the_terminal_right_and_leave_nothing() {
    run(async {
        for signal in ["TERM", "HUP"] {
            let mark = format!("{signal}-{}", std::process::id());
            let mut screen = Screen::open(&mark).await;
            let before = screen.after("before ").await;
            screen.row("web", is_ready).await;
            // The example is the shell's only child.
            let pid = screen.shell.pid().unwrap();
            let kill = Command::new("pkill").args([&format!("-{signal}"), "-P", &pid.to_string()]);
            assert!(kill.status().await.unwrap().success());
            screen.shows("shut down in ").await;
            assert_eq!(screen.after("status ").await, "0", "{signal}");
            assert_eq!(screen.after("after ").await, before, "{signal}");
            screen.shell.ended().await;
            nothing_is_left(&mark).await;
        }
    });
}
