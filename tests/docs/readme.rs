//! README.md and the pages of `coming_from` say what is so: their pieces of Rust are compiled and run here, and what
//! they call ours exists.

#![allow(unused_mut, reason = "the macros make one closure for all receivers")]

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use actix::{Actor, Context, Handler, Recipient};
use actix_process::monitor::{
    Alive, Backoff, CgroupLimits, CgroupPlace, Lease, Monitor, MonitorHandle, OnHostDeath, Ready,
    Restart, Service, ServiceState, Since, Start, When,
};
use actix_process::producer::{
    ProducerCommand, ProducerError, ProducerGuard, ProducerKind, ToProducer,
};
use actix_process::testing::{Recording, Script};
use actix_process::{
    Capability, CloseReason, Collect, CollectError, Command, Containment, Decoded, Encoded,
    ExitStatus, Fd, FdMap, FdSink, FdStream, FramedProtocol, FromFrames, IgnoredSignals, Ladder,
    NoProtocol, OnLeftovers, OnOrphaned, Opened, Output, ProcessEvent, ProcessHandle,
    ProcessProtocol, ProcessSupervisor, Pty, PtySize, ResizeError, Resource, Rusage, Signal,
    SignalError, Slots, Spawn, SpawnError, SpawnStep, Spawning, StreamError, Tail, TerminalModes,
    TerminalModesError, WriteError, process_protocol,
};
use tokio_util::codec::LinesCodec;

const README: &str = include_str!("../../README.md");
const TWISTED: &str = include_str!("../../src/coming_from/twisted.md");
const TOKIO: &str = include_str!("../../src/coming_from/tokio.md");
const MANAGERS: &str = include_str!("../../src/coming_from/managers.md");
const PAGES: [&str; 4] = [README, TWISTED, TOKIO, MANAGERS];
const PIECES: &str = include_str!("readme_pieces.rs");

/// A line of a page, and whether it is inside a code block, and of which language.
fn lines(page: &'static str) -> impl Iterator<Item = (Option<&'static str>, &'static str)> {
    let mut block = None;
    page.lines().filter_map(move |line| {
        if let Some(language) = line.strip_prefix("```") {
            block = match block {
                None => Some(language),
                Some(_) => None,
            };
            return None;
        }
        Some((block, line))
    })
}

/// A page's blocks of Rust, without the lines that rustdoc does not show.
fn rust_blocks(page: &'static str) -> Vec<String> {
    let shown = |block: &str| {
        let lines = block.lines().filter(|line| !line.starts_with("# "));
        lines.map(|line| format!("{line}\n")).collect()
    };
    page.split("\n```")
        .filter_map(|part| part.strip_prefix("rust\n"))
        .map(shown)
        .collect()
}

/// The lines that matter, without their indentation and line breaks.
fn squeezed(code: &str) -> String {
    code.split_whitespace().collect()
}

#[test]
fn every_piece_of_rust_is_compiled_and_run_here() {
    let here = squeezed(PIECES);
    let mut count = 0;
    for piece in PAGES.into_iter().flat_map(rust_blocks) {
        assert!(here.contains(&squeezed(&piece)), "not in here:\n{piece}");
        count += 1;
    }
    assert_eq!(
        count, 11,
        "the pages have other pieces of Rust than they had"
    );
}

#[test]
fn the_two_commands_are_there() {
    let shell = lines(README).filter(|(block, _)| *block == Some("sh"));
    let shell: Vec<&str> = shell.map(|(_, line)| line).collect();
    for command in ["cargo run --example wc -- README.md", "cargo test"] {
        let given = |line: &&str| line.split('#').next().unwrap().trim() == command;
        assert!(shell.iter().any(given), "no `{command}` in {shell:?}");
    }
}

#[test]
fn its_files_exist() {
    for (_, line) in lines(README) {
        for target in line.split("](").skip(1) {
            let path = target.split(')').next().unwrap();
            let root = Path::new(env!("CARGO_MANIFEST_DIR"));
            assert!(root.join(path).exists(), "{path} is not there");
        }
    }
}

/// The programs in a folder: a file, or a folder of one program or crate; of `web` those that it holds.
fn examples(folder: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut examples = Vec::new();
    for entry in std::fs::read_dir(root.join(folder)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let name = format!("{folder}/{name}");
        if name == "examples/web" {
            examples.extend(self::examples(&name));
        } else if ["main.rs", "src/main.rs"].map(|main| path.join(main).exists()) != [false; 2]
            || name.ends_with(".rs")
        {
            examples.push(name);
        }
    }
    examples
}

#[test]
fn every_example_is_named() {
    let examples = examples("examples");
    assert!(examples.contains(&"examples/web/http.rs".to_owned()));
    for name in examples {
        assert!(README.contains(&format!("({name})")), "{name}");
    }
}

/// Every name in backticks that the tables' middle column, or any text outside of code, gives as
/// ours.
#[test]
fn every_name_that_is_ours_exists() {
    let known: BTreeSet<&str> = [FUNCTIONS, METHODS, CALLBACKS, VARIANTS, FIELDS, TYPES]
        .into_iter()
        .flatten()
        .copied()
        .collect();
    let mut seen = 0;
    let mut middle_is_ours = false;
    let pages = PAGES.into_iter().flat_map(lines);
    for (_, line) in pages.filter(|(block, _)| block.is_none()) {
        match line.split('|').collect::<Vec<_>>()[..] {
            ["", _, " actix-process " | " you call ", _, ""] => middle_is_ours = true,
            ["", _, middle, _, ""] if middle_is_ours => {
                for name in names(middle) {
                    assert!(known.contains(name), "{name} does not exist: {line}");
                    seen += 1;
                }
            }
            _ => middle_is_ours &= line.starts_with('|'),
        }
        for name in names(line) {
            let Some((owner, _)) = name.split_once("::") else {
                continue;
            };
            if TYPES.contains(&owner) {
                assert!(known.contains(name), "{name} does not exist: {line}");
            }
        }
    }
    assert!(seen > 280, "only {seen} names found: the tables changed");
}

/// What the line has in backticks, up to arguments and braces.
fn names(line: &str) -> impl Iterator<Item = &str> {
    let quoted = line.split('`').skip(1).step_by(2);
    quoted.map(|code| code.split(['(', '{', '!', ' ']).next().unwrap_or(code))
}

/// A builder method by value is what a user of std's or tokio's `Command` meets first.
#[test]
fn coming_from_tokio_begins_with_the_builder_by_value() {
    let first = lines(TOKIO)
        .filter(|(_, line)| line.starts_with('|'))
        .nth(2);
    assert!(first.unwrap().1.contains("[`Command::when`]"), "{first:?}");
}

#[test]
fn every_table_row_has_its_columns() {
    let pages = PAGES.into_iter().flat_map(lines);
    for (_, line) in pages.filter(|(_, line)| line.starts_with('|')) {
        let columns = line.split('|').count();
        assert_eq!(columns, 5, "three columns: {line}");
    }
}

/// Functions without a receiver, called.
macro_rules! functions {
    ($($ty:ident { $($name:ident($($arg:expr),*);)* })*) => {
        const FUNCTIONS: &[&str] = &[$($(concat!(stringify!($ty), "::", stringify!($name)),)*)*];
        $($(const _: fn() = || { let _unused = $ty::$name($($arg),*); };)*)*
    };
}

/// Methods, called on a value.
macro_rules! methods {
    ($($ty:ident as $full:ty { $($name:ident($($arg:expr),*);)* })*) => {
        const METHODS: &[&str] = &[$($(concat!(stringify!($ty), "::", stringify!($name)),)*)*];
        $($(const _: fn($full) = |mut value| { let _unused = value.$name($($arg),*); };)*)*
    };
}

macro_rules! callbacks {
    ($($name:ident)*) => {
        const CALLBACKS: &[&str] = &[$(concat!("ProcessProtocol::", stringify!($name)),)*];
        $(const _: fn() = || { let _unused = <Nobody as ProcessProtocol>::$name; };)*
    };
}

/// Variants of enums, matched.
macro_rules! variants {
    ($($ty:ident { $($name:ident)* })*) => {
        const VARIANTS: &[&str] = &[$($(concat!(stringify!($ty), "::", stringify!($name)),)*)*];
        $($(const _: fn($ty) -> bool = |value| matches!(value, $ty::$name { .. });)*)*
    };
}

/// Public fields, looked at.
macro_rules! fields {
    ($($ty:ident { $($name:ident)* })*) => {
        const FIELDS: &[&str] = &[$($(concat!(stringify!($ty), "::", stringify!($name)),)*)*];
        $($(const _: fn(&$ty) = |value| { let _unused = &value.$name; };)*)*
    };
}

/// Types, traits, modules and macros, imported.
macro_rules! types {
    ($($name:ident)* $(; $module:ident: $($of_module:ident)*)*) => {
        const TYPES: &[&str] = &[$(stringify!($name),)* $(stringify!($module), $(stringify!($of_module),)*)*];
        mod imported {
            #[expect(unused_imports, reason = "that they can be imported is the test")]
            use actix_process::{$($name as _,)* $($module::{$($of_module as _,)*},)*};
        }
    };
}

/// Never called: only its type counts.
fn nobody() -> Recipient<ToProducer> {
    unreachable!("the macros only make closures")
}

struct Nobody;

impl Actor for Nobody {
    type Context = Context<Self>;
}

impl ProcessProtocol for Nobody {}
process_protocol!(Nobody);

impl Handler<FromFrames<LinesCodec>> for Nobody {
    type Result = ();

    fn handle(&mut self, _: FromFrames<LinesCodec>, _: &mut Context<Self>) {}
}

/// Never called, as [`nobody`].
fn no_context<'a>() -> &'a mut Context<Nobody> {
    unreachable!("the macros only make closures")
}

types! {
    Bytes Capability CloseReason Collect CollectError Collecting Command Containment Decoded Encoded ExitStatus Fd FdMap FdSink
    FdStream FramedProtocol FromFrames FromProcess KillOnDrop Line Pty PtySize ResizeError StreamError TerminalModes TerminalModesError
    IgnoredSignals IntoProtocol Ladder Leftover NoProtocol OnLeftovers OnOrphaned Output ParseSignalError ProcessEvent ProcessHandle
    ProcessId ProcessProtocol ProcessSupervisor Protocol Resource Rusage Signal SignalError Slots SlotsError Spawn SpawnError SpawnStep Spawning Stopped StoppedBy Tail Unkillable
    Why WriteError ExitFailure FindError Needle Open Opened Opening Io ProcessEvents StreamCommand OutputStream OutputLines StreamFailure IntoInput BytesInput StreamInput
    codec testing monitor
    process_protocol;
    producer: ProducerCommand ProducerError ProducerGuard ProducerKind ToProducer;
    codec: ContentLength;
    monitor: Alive Backoff CgroupLimits CgroupPlace Event EventKind Events Exit ExitKind Follow FollowRaw Followed FollowedRaw Lease
        LinePattern Monitor MonitorContainment MonitorError MonitorHandle OnHostDeath Ready Reported Restart Service ServiceLine
        ServiceName ServiceState Since SpecError Start StartCommand StartError StartFailure Status Usage When messages;
    supervisor: List ProcessInfo ProcessState Shutdown ShutdownReport;
    testing: Recording Script StandIn TestProcess
}

functions! {
    Capability { new(0); }
    Command { new(""); }
    Fd {
        read(); lines(1); stream(); tail(1); write(); create(""); append(""); inherit(0); null(); pipe(); same_as(0);
        from(OwnedFd::from(std::io::pipe().unwrap().0));
        share(OwnedFd::from(std::io::pipe().unwrap().0).into());
    }
    FdMap { new(); stdio(); inherit(); }
    Pty {
        new(PtySize::new(0, 0));
        from_ends(std::io::pipe().unwrap().0.into(), std::io::pipe().unwrap().1.into());
    }
    PtySize { new(0, 0); of(std::io::stdin()); }
    ProcessSupervisor { new(); current(); }
    Signal { new(1); }
    Spawn { new(Command::new(""), NoProtocol); }
    Alive { watchdog(); tcp(""); port(); exec(Command::new("")); }
    Backoff { new(); none(); }
    Monitor { new(); }
    Ready { started(); after(Duration::ZERO); line(""); fd(3); notify(); protocol(); tcp(""); port(); exec(Command::new("")); }
    Restart { always(); on_failure(); never(); }
    Service { new("", Command::new("")); keyed("", |_: &str, _: &Start| Ok(Command::new(""))); }
}

methods! {
    Command as Command {
        arg(""); args([""]); arg0(""); env("", ""); envs([("", "")]); env_remove(""); env_clear();
        current_dir(""); chdir_as_parent(true); process_group(0); setsid(true); user(""); uid(0);
        gid(0); groups([]); ambient([]); umask(0); rlimit(Resource::Core, 0, 0); nice(0); oom_score_adj(0);
        no_new_privs(true); parent_death_signal(Signal::TERM); ignored_signals(IgnoredSignals::Reset);
        cgroup(OwnedFd::from(std::io::pipe().unwrap().0)); contained(); contained_by_cgroup(); listen_fds([("", Fd::null())]); stdin(Fd::null()); stdout(Fd::null());
        stderr(Fd::null()); pty(PtySize::new(0, 0)); fd(0, Fd::null()); fds(FdMap::new()); fd_map();
        on_orphaned(OnOrphaned::Kill); on(&actix::Arbiter::current()); when(true, |command| command); name("");
        get_program(); get_args(); get_envs(); get_current_dir(); on_leftovers(OnLeftovers::Kill); ended_timeout(Duration::ZERO); window(0);
        spawn(NoProtocol); spawn_in(no_context()); output(); status(); read(); text(); lines(); probe(); open(); events(); stream();
        timeout(Duration::ZERO, Ladder::new());
    }
    Collect as Collect<Output> {
        input(""); timeout(Duration::ZERO); grace(Duration::ZERO); output_limit(0); output_limit_kills(0); keep_ends(0); merge_stderr();
        own_group(); foreground(); checked(); ok_codes([0]); each_line(1, |_| ());
        cancelled_by(std::future::pending());
        input_stream(futures::stream::empty::<std::io::Result<Vec<u8>>>());
    }
    ProcessHandle as ProcessHandle {
        id(); pid(); spawned_pid(); program(); name(); write(""); write_sequence([""]); write_to_child(0, "");
        close_stdin(); close_stdout(); close_stderr(); close_child_fd(0); lose_connection();
        cut_connection(); abort(0); signal(Signal::TERM); signal_group(Signal::TERM); kill(); kill_on_drop();
        terminate(Duration::ZERO); terminate_group(Duration::ZERO); stop(Ladder::new()); pause_producing();
        resume_producing(); pause_child_fd(0); resume_child_fd(0); exited(); ended();
        try_status(); failure(); has_timed_out(); containment(); stdin(); stdout(); stderr(); sink(0); take_stream(1); tail(2); resize(PtySize::new(0, 0));
        terminal_modes(); wait_for_terminal_modes(|modes| !modes.echo, Duration::ZERO);
        register_producer(0, ProducerKind::Pull, nobody());
    }
    Fd as Fd { window(0); is_read(); is_stream(); is_tail(); is_write(); is_terminal(); }
    FdStream as FdStream { lines(0); decode(LinesCodec::new()); find("", Duration::ZERO); present(); }
    Opened as Opened { io(); wait(); stop(Ladder::new()); detach(); resize(PtySize::new(0, 0)); }
    FramedProtocol as FramedProtocol<Nobody> { decode(1, 0, LinesCodec::new()); }
    FdSink as FdSink { encode(LinesCodec::new()); close(); close_on_drop(); }
    Encoded as Encoded<LinesCodec> { get_ref(); get_mut(); into_inner(); encoder(); encoder_mut(); close(); }
    Decoded as Decoded<LinesCodec> { get_ref(); into_inner(); decoder(); decoder_mut(); }
    ProducerGuard as ProducerGuard { write(""); fd(); }
    Pty as Pty { size(PtySize::new(0, 0)); echo(true); raw(true); stream(); window(0); }
    ExitStatus as ExitStatus { success(); code(); signal(); core_dumped(); rusage(); }
    SpawnError as SpawnError { step(); errno(); subject(); detail(); name(); id(); }
    Recording as Recording { replay(); }
    Script as Script { stand_in(""); }
    Slots as Slots { run(std::future::ready(Ok::<(), ()>(()))); acquire(); }
    Spawning as Spawning { id(); }
    Alive as Alive { every(Duration::ZERO); misses(1); timeout(Duration::ZERO); }
    Backoff as Backoff { first(Duration::ZERO); factor(2.0); cap(Duration::ZERO); jitter(0.1); reset_after(Duration::ZERO); delay(1, 0.5); }
    Lease as Lease { name(); process(); start(); is_current(); changed(); }
    Monitor as Monitor {
        service(Service::new("", Command::new(""))); services([]); on(&actix::Arbiter::current()); cgroups(CgroupPlace::Found);
        guard(true); shutdown_within(Duration::ZERO); start();
    }
    MonitorHandle as MonitorHandle {
        addr(); add(Service::new("", Command::new(""))); add_all([]); remove(""); start(""); ready(""); stop(""); restart("");
        restart_now(""); signal("", Signal::TERM); write("", ""); resize("", PtySize::new(0, 0)); reopen_files(); status("");
        all(); all_with_usage(); lease(""); lease_key("", ""); follow("", Since::Now); follow_raw(""); events(); containment();
        shutdown(Duration::ZERO); closing(); closed(); closing_on_signals();
    }
    Ready as Ready { within(Duration::ZERO); every(Duration::ZERO); timeout(Duration::ZERO); on(1); }
    Restart as Restart {
        success_codes([1]); success_signals([Signal::TERM]); fatal([78]); backoff(Backoff::new()); limit(1, Duration::ZERO);
        retry_missing();
    }
    Service as Service {
        ready(Ready::started()); alive(Alive::port()); restart(Restart::never()); stop(Ladder::new()); after("", When::Ready); with("");
        essential(); on_demand(); idle_stop(Duration::ZERO); at_most(1); on_host_death(OnHostDeath::Kill); memory_max(1); pids_max(1);
        limits(CgroupLimits::new()); cpu_max(1.0); protocol(|_: &Start| NoProtocol); ring(0); raw_ring(0); max_line(1); on_line(|_| ()); log("");
        log_rate(1, Duration::ZERO); file("");
    }
    Start as Start { free_port(); port(); set_ready(); }
}

callbacks! {
    connection_made child_data_received line_received out_received err_received child_connection_lost
    in_connection_lost out_connection_lost err_connection_lost process_exited process_ended
    spawn_failed
}

variants! {
    CloseReason { ByChild ByParent Aborted Cut Failed Gone }
    Containment { Process Group Cgroup }
    CollectError { Spawn TimedOut OutputLimit Stderr Gone }
    ExitStatus { Exited Signaled StillRunning Unknown }
    IgnoredSignals { Inherit Reset }
    OnLeftovers { Leave Kill Terminate }
    OnOrphaned { Leave Kill Terminate }
    ProcessEvent {
        ConnectionMade ChildDataReceived ChildConnectionLost ProcessExited ProcessEnded
    }
    SignalError { Exited NotPermitted NotGroupLeader Io }
    ProducerCommand { Resume Pause Stop }
    ProducerError { Write AlreadyRegistered }
    ProducerKind { Push Pull }
    ResizeError { NoTerminal Closed Failed }
    StreamError { NotStream Taken }
    TerminalModesError { NoTerminal Closed TimedOut Failed }
    CgroupPlace { Found MoveHost Directory Nowhere }
    OnHostDeath { Leave StdinEof Kill }
    ServiceState { Waiting Starting Running Stopping Backoff Exited Failed Stopped }
    When { Ready Ended Succeeded }
    SpawnStep { Invalid Fds Pty Identity Limits Cwd Clone Exec Register }
    WriteError { NotWritable Closed }
}

fields! {
    Output { status stdout stderr truncated stdout_left_out stderr_left_out }
    Rusage { user_time system_time max_rss }
    Tail { bytes left_out }
    TerminalModes { echo canonical signals }
}
