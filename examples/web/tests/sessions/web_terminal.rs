//! Uses the example `web_terminal` as its users do, in a browser; and as those do who hang, or are not wanted.

use crate::common;

use std::path::Path;

use crate::tools::browser::CTRL;
use crate::tools::websocket::WebSocket;
use common::example::{program, run_to_failure};
use common::mounts::isolated_with_mounts;
use nix::mount::{MsFlags, mount};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::tools::web_terminal::{Page, SCREEN, Server, Viewer, WEB_TERMINAL, XTERM, gone};

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
    second.types("head -c 1000000 /dev/zero | tr '\\0' '\\045'; echo e$((1+1))d\r");
    while second.seen.len() < 100_000 {
        second.shows();
    }
    let mut other = server.view("b");
    other.types("echo other$((1+1))\r");
    other.sees("other2");
    // It goes on: bash has waited, and both miss nothing.
    let second = std::thread::spawn(move || second.sees("e2d"));
    for seen in [hung.sees("e2d"), second.join().unwrap()] {
        assert_eq!(seen.matches('%').count(), 1_000_000);
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
    let head = crate::tools::http::head(&server.address, "/");
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
        let said = run_to_failure(program(WEB_TERMINAL).env("PORT", "0"));
        assert!(said.contains("npm ci --prefix"), "{said}");
    });
}

/// `ACTIX_PROCESS_PICTURE=1 cargo test -p web coloured_output` makes the picture of the README anew.
#[test]
fn coloured_output_is_shown_and_is_the_picture_of_the_readme() {
    let Some(page) = Page::open() else { return };
    page.browser.resize(760, 400);
    page.browser.press(
        "PS1='\\[\\e[1;32m\\]~\\[\\e[m\\] $ '; cd ..; clear; LS_COLORS='*.rs=0;36:di=1;34'\n",
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
    assert!(made.starts_with(b"\x89PNG"), "{} bytes", made.len());
    if std::env::var_os("ACTIX_PROCESS_PICTURE").is_some() {
        let picture = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/web_terminal.png");
        std::fs::write(picture, made).unwrap();
    }
}
