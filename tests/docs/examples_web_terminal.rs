//! Uses the example `web_terminal` as its users do, in a browser; and as those do who hang, or are not wanted.

use crate::common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::DEADLINE;
use common::browser::{Browser, CTRL};
use common::census::{is_gone, state_and_parent};
use common::example::{example, run_to_failure};
use common::isolated::skipped;
use common::mounts::isolated_with_mounts;
use common::websocket::{Frame, WebSocket};
use nix::mount::{MsFlags, mount};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const XTERM: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/examples/web_terminal/node_modules"
);

/// What the terminal of the page has, line by line.
const SCREEN: &str = "
    const buffer = terminal.buffer.active;
    let text = '';
    for (let row = Math.max(0, buffer.length - 100); row < buffer.length; row++) {
        const line = buffer.getLine(row);
        text += (line.isWrapped || row === 0 ? '' : '\\n') + line.translateToString(true);
    }
    return text.trimEnd();";

struct Server {
    process: Child,
    address: String,
    /// Bash's home, without any settings.
    _home: tempfile::TempDir,
}

impl Server {
    /// `None`, and a word to the user, where the page's parts are not installed.
    fn start(settings: &[(&str, &str)]) -> Option<Self> {
        if !Path::new(XTERM).exists() {
            skipped("xterm.js is not installed: npm ci --prefix examples/web_terminal");
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        let mut process = example("web_terminal")
            .env("PORT", "0")
            .env("HOME", home.path())
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("open http://");
        let address = address.unwrap_or_else(|| panic!("it said {line:?}"));
        Some(Self {
            address: address.trim_end_matches('/').to_owned(),
            process,
            _home: home,
        })
    }

    /// A viewer that is no browser, and has a window of 24 rows.
    fn view(&self, session: &str) -> Viewer {
        let origin = format!("Origin: http://{}\r\n", self.address);
        let path = format!("/sessions/{session}");
        let mut socket = WebSocket::open(&self.address, &path, &origin).unwrap_or_else(|status| {
            panic!("refused with {status}");
        });
        socket.text("24 80");
        Viewer::of(socket)
    }

    fn pid(&self) -> i32 {
        self.process.id().cast_signed()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Viewer {
    socket: WebSocket,
    seen: String,
}

impl Viewer {
    const fn of(socket: WebSocket) -> Self {
        let seen = String::new();
        Self { socket, seen }
    }

    fn types(&mut self, keys: &str) {
        self.socket.binary(keys.as_bytes());
    }

    /// Shows what comes until `text` does, and gives that and what came before.
    fn sees(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.seen.find(text) {
                let rest = self.seen.split_off(at + text.len());
                return std::mem::replace(&mut self.seen, rest);
            }
            self.shows();
        }
    }

    /// Shows the next that comes.
    fn shows(&mut self) {
        match self.socket.next() {
            Some(Frame::Binary(shown)) => {
                self.seen += &String::from_utf8_lossy(&shown);
                self.socket.text("shown");
            }
            other => panic!("{other:?} came; saw {:?}", self.seen),
        }
    }

    /// Types a command, and what prints a pid; gives that.
    fn pid(&mut self, command: &str, which: &str) -> i32 {
        // What is typed is echoed, and is not what it prints.
        self.types(&format!("{command} echo pid$((1+1))={which}.\r"));
        self.after("pid2=").parse().unwrap()
    }

    /// Starts a job in the background, and gives its pid when `sleep` runs: a shell that is not yet `sleep` may miss a signal.
    fn job(&mut self, command: &str) -> i32 {
        let job = self.pid(command, "$!");
        let name = || std::fs::read_to_string(format!("/proc/{job}/comm")).unwrap_or_default();
        wait("sleep", || name() == "sleep\n", name);
        job
    }

    /// What comes after `beginning`, to a full stop.
    fn after(&mut self, beginning: &str) -> String {
        self.sees(beginning);
        self.sees(".").trim_end_matches('.').to_owned()
    }

    /// Shows all that comes until it is told that it is over, and gives the reason; empty if it is told none.
    fn closed(mut self) -> String {
        loop {
            match self.socket.next() {
                Some(Frame::Binary(_)) => self.socket.text("shown"),
                Some(Frame::Close(reason)) => return reason,
                None => return String::new(),
            }
        }
    }
}

/// Waits for what can only be looked at; fails with what `seen` gives.
fn wait(what: &str, condition: impl Fn() -> bool, seen: impl Fn() -> String) {
    let begun = Instant::now();
    while !condition() {
        assert!(
            begun.elapsed() < DEADLINE,
            "waited for {what}; saw {}",
            seen()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn gone(pid: i32) {
    let seen = || format!("{:?}", state_and_parent(pid));
    wait("a death", || is_gone(pid), seen);
}

/// A page with a terminal, in a browser.
struct Page {
    browser: Browser,
    server: Server,
}

impl Page {
    fn open() -> Option<Self> {
        let server = Server::start(&[])?;
        let browser = Browser::start()?;
        let page = Self { browser, server };
        page.go();
        Some(page)
    }

    /// Waits for the first thing that bash shows: what is typed before that is nobody's.
    fn go(&self) {
        self.browser.go(&format!("http://{}/", self.server.address));
        self.is_ready();
    }

    fn is_ready(&self) {
        self.browser.wait("return replayed || null", SCREEN);
    }

    /// Waits until a line of the screen is `line`.
    fn shows(&self, line: &str) {
        let lines = format!("(() => {{ {SCREEN} }})().split('\\n')");
        let there = format!("return {lines}.includes({line:?}) || null");
        self.browser.wait(&there, SCREEN);
    }

    fn screen(&self) -> String {
        self.browser.script(SCREEN).as_str().unwrap().to_owned()
    }
}

#[test]
fn typed_keys_reach_bash_and_what_it_shows_is_seen() {
    let Some(page) = Page::open() else { return };
    page.browser.press("echo $((40+2)) 'grün'\n");
    page.shows("42 grün");
    // Bash edits its line.
    page.browser
        .press("echo wron\u{e003}\u{e003}\u{e003}\u{e003}right$((1+1))\n");
    page.shows("right2");
}

#[test]
fn the_terminal_is_as_large_as_the_window() {
    let Some(page) = Page::open() else { return };
    for (width, height) in [(900, 600), (600, 800)] {
        let before = page
            .browser
            .script("return `${terminal.rows} ${terminal.cols}`");
        page.browser.resize(width, height);
        let changed = format!(
            "const size = `${{terminal.rows}} ${{terminal.cols}}`; return size === {before} ? null : size"
        );
        let size = page.browser.wait(&changed, SCREEN);
        page.browser.press("echo \"size $(stty size)\"\n");
        page.shows(&format!("size {}", size.as_str().unwrap()));
    }
}

#[test]
fn ctrl_c_interrupts_what_runs() {
    let Some(page) = Page::open() else { return };
    page.browser
        .press("sh -c 'echo be$((1+1)); exec sleep 100'\n");
    page.shows("be2");
    page.browser.press(&format!("{CTRL}c"));
    page.shows("^C");
    page.browser.press("echo status $?\n");
    page.shows("status 130");
}

#[test]
fn a_page_that_is_loaded_again_shows_what_it_showed() {
    let Some(page) = Page::open() else { return };
    // A program asks where the cursor is, and the page answers by keys.
    page.browser
        .press("printf '\\e[6n'; read -rsdR place; echo asked$((1+1))\n");
    page.shows("asked2");
    let before = page.screen();
    page.browser.reload();
    page.is_ready();
    assert_eq!(page.screen(), before);
    // What was asked then is not answered once more: that would be keys for bash.
    page.browser.press("PS1=; clear; echo clean$((1+1))\n");
    page.browser.wait(
        &format!("return (() => {{ {SCREEN} }})().trim() === 'clean2' || null"),
        SCREEN,
    );
}

#[test]
fn two_hundred_thousand_lines_come_through() {
    let Some(page) = Page::open() else { return };
    page.browser.press("seq 200000; echo e$((1+1))d\n");
    page.shows("e2d");
    page.shows("200000");
    page.shows("199950");
}

#[test]
fn a_second_window_sees_the_same_and_types_as_well() {
    let Some(page) = Page::open() else { return };
    let first = page.browser.window();
    page.browser.press("echo first$((1+1))\n");
    page.shows("first2");
    page.browser.open_window();
    page.go();
    page.shows("first2");
    page.browser.press("echo second$((1+1))\n");
    page.shows("second2");
    page.browser.go_to_window(&first);
    page.shows("second2");
    // It is closed; the other one goes on.
    page.browser.press("echo third$((1+1))\n");
    page.shows("third2");
}

#[test]
fn the_page_says_how_bash_ended_and_enter_begins_anew() {
    let Some(page) = Page::open() else { return };
    page.browser.press("exit 3\n");
    page.shows("[bash ended: exit status: 3; press Enter]");
    page.browser.press("\n");
    page.is_ready();
    page.browser.press("echo again$((1+1))\n");
    page.shows("again2");
}

#[test]
fn bash_is_seen_whole_in_each_window() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let mut asked = 0;
    let mut size = |viewer: &mut Viewer| {
        asked += 1;
        viewer.types(&format!("echo size$((1000+{asked})) $(stty size).\r"));
        viewer.after(&format!("size{} ", 1000 + asked))
    };
    let mut first = server.view("a");
    assert_eq!(size(&mut first), "24 80");
    let mut second = server.view("a");
    second.socket.text("30 60");
    assert_eq!(size(&mut second), "24 60");
    drop(first);
    // It leaves by another way than the one by which the second one types.
    while size(&mut second) != "30 60" {}
    // As long as nobody says a size, it stays.
    drop(second);
    let origin = format!("Origin: http://{}\r\n", server.address);
    let socket = WebSocket::open(&server.address, "/sessions/a", &origin);
    let mut third = Viewer::of(socket.ok().unwrap());
    assert_eq!(size(&mut third), "30 60");
}

#[test]
fn a_viewer_that_hangs_holds_up_bash_and_no_other_session() {
    let Some(server) = Server::start(&[("PATIENCE", "3600")]) else {
        return;
    };
    let mut hung = server.view("a");
    let mut second = server.view("a");
    second.types("head -c 1000000 /dev/zero | tr '\\0' '\\170'; echo e$((1+1))d\r");
    while second.seen.len() < 100_000 {
        second.shows();
    }
    let mut other = server.view("b");
    other.types("echo other$((1+1))\r");
    other.sees("other2");
    // It goes on: bash has waited, and both miss nothing.
    let second = std::thread::spawn(move || second.sees("e2d"));
    for seen in [hung.sees("e2d"), second.join().unwrap()] {
        assert_eq!(seen.matches('x').count(), 1_000_000);
    }
}

#[test]
fn a_viewer_that_hangs_for_too_long_is_sent_away() {
    let Some(server) = Server::start(&[("PATIENCE", "1")]) else {
        return;
    };
    let _hung = server.view("a");
    let mut second = server.view("a");
    second.types("seq 200000; echo e$((1+1))d\r");
    let seen = second.sees("e2d");
    assert!(seen.contains("\r\n199999\r\n200000\r\n"));
}

#[test]
fn what_is_typed_while_bash_reads_nothing_is_bounded_and_harms_nobody() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let mut viewer = server.view("a");
    viewer.types("stty -echo -icanon; echo be$((1+1)); sleep 100\r");
    viewer.sees("be2");
    for _ in 0..1000 {
        viewer.types(&"x".repeat(60_000));
    }
    let mut other = server.view("b");
    other.types("echo other$((1+1))\r");
    other.sees("other2");
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: usize = line.unwrap().trim_end_matches("kB").trim().parse().unwrap();
    assert!(kib < 40 * 1024, "{kib} KiB");
}

#[test]
fn bash_lives_without_a_viewer_for_a_time() {
    let Some(server) = Server::start(&[("IDLE", "1")]) else {
        return;
    };
    let mut viewer = server.view("a");
    let pid = viewer.pid("", "$$");
    // Longer than that, with a viewer.
    viewer.types("sleep 1.5; echo late$((1+1))\r");
    viewer.sees("late2");
    let mut job = viewer.job("sleep 100 &");
    drop(viewer);
    gone(pid);
    gone(job);
    // The name begins anew.
    job = server.view("a").pid("", "$$");
    assert_ne!(job, pid);
}

#[test]
fn a_stop_leaves_no_bash_and_no_job_and_tells_the_viewers() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let Some(mut server) = Server::start(&[]) else {
            return;
        };
        let [mut plain, mut deaf] = ["a", "b"].map(|session| server.view(session));
        let pids = [
            plain.job("sleep 100 &"),
            plain.pid("", "$$"),
            // It is killed.
            deaf.pid("trap '' HUP;", "$$"),
        ];
        server.signal(signal);
        assert_eq!(plain.closed(), "bash ended: signal: 1 (SIGHUP)");
        assert_eq!(deaf.closed(), "bash ended: signal: 9 (SIGKILL)");
        assert!(server.process.wait().unwrap().success());
        pids.into_iter().for_each(gone);
    }
}

#[test]
fn a_job_that_holds_the_terminal_does_not_hold_up_the_end() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let mut viewer = server.view("a");
    let job = viewer.job("(trap '' HUP; exec sleep 100) &");
    viewer.types("disown; exit 4\r");
    assert_eq!(viewer.closed(), "bash ended: exit status: 4");
    // Nobody's but ours.
    kill(Pid::from_raw(job), Signal::SIGKILL).unwrap();
    gone(job);
}

#[test]
fn a_page_of_another_site_gets_no_socket() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let port = server.address.rsplit(':').next().unwrap();
    let refused = [
        String::new(),
        "Origin: http://example.com\r\n".to_owned(),
        "Origin: null\r\n".to_owned(),
        format!("Origin: http://example.com:{port}\r\n"),
        format!("Origin: https://127.0.0.1:{port}\r\n"),
        "Origin: http://127.0.0.1:1\r\n".to_owned(),
    ];
    for origin in refused {
        let answer = WebSocket::open(&server.address, "/sessions/a", &origin);
        assert_eq!(answer.err(), Some(403), "{origin:?}");
    }
    let origin = format!("Origin: http://localhost:{port}\r\n");
    assert!(WebSocket::open(&server.address, "/sessions/a", &origin).is_ok());
    // Nor may it show the page as a part of itself.
    let head = common::http::head(&server.address, "/");
    assert!(head.contains("x-frame-options: DENY"), "{head}");
}

#[test]
fn a_viewer_that_breaks_the_protocol_is_sent_away() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let mut viewer = server.view("a");
    viewer.types("echo first$((1+1))\r");
    viewer.sees("first2");
    // There is no such kind.
    viewer.socket.send(0x83, b"");
    assert_eq!(viewer.closed(), "");
    server.view("a").sees("first2");
}

#[test]
fn there_are_so_many_sessions_and_no_more() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let viewers: Vec<_> = (0..16).map(|n| server.view(&n.to_string())).collect();
    let origin = format!("Origin: http://{}\r\n", server.address);
    let more = WebSocket::open(&server.address, "/sessions/more", &origin);
    assert_eq!(more.err(), Some(503));
    assert!(WebSocket::open(&server.address, "/sessions/0", &origin).is_ok());
    drop(viewers);
}

#[test]
fn a_bash_that_cannot_be_started_is_told_of() {
    let empty = tempfile::tempdir().unwrap();
    let Some(server) = Server::start(&[("PATH", empty.path().to_str().unwrap())]) else {
        return;
    };
    let why = server.view("a").closed();
    assert!(why.starts_with("cannot execute: bash: "), "{why}");
}

#[test]
fn without_xterm_it_says_what_to_type() {
    isolated_with_mounts(|| {
        if Path::new(XTERM).exists() {
            let nothing = None::<&str>;
            mount(nothing, XTERM, Some("tmpfs"), MsFlags::empty(), nothing).unwrap();
        }
        let said = run_to_failure(example("web_terminal").env("PORT", "0"));
        assert!(said.contains("npm ci --prefix"), "{said}");
    });
}

/// `cargo test --test docs picture -- --ignored`, then `git diff`.
#[test]
#[ignore = "makes docs/web_terminal.png"]
fn picture() {
    let Some(page) = Page::open() else { return };
    page.browser.resize(760, 400);
    page.browser.press(
        "PS1='\\[\\e[1;32m\\]~\\[\\e[m\\] $ '; cd examples; clear; LS_COLORS='*.rs=0;36:di=1;34'\n",
    );
    let commands = [
        "",
        "ls --color\n",
        "stty size\n",
        "printf '\\e[3%dm▇▇▇▇\\e[m' {1..6}; echo\n",
        "seq 1000000 | tail -n 3\n",
    ];
    for (n, command) in commands.into_iter().enumerate() {
        page.browser.press(command);
        let prompts = format!("(() => {{ {SCREEN} }})().match(/^~ \\$/gm)?.length");
        page.browser
            .wait(&format!("return {prompts} === {} || null", n + 1), SCREEN);
    }
    let made = page.browser.screenshot();
    std::fs::write(
        concat!(env!("CARGO_MANIFEST_DIR"), "/docs/web_terminal.png"),
        made,
    )
    .unwrap();
}
