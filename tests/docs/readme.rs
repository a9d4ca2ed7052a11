//! The README says what is so: its programs are the ones that are compiled here, and what it calls
//! ours exists.

#![allow(unused_mut, reason = "the macros make one closure for all receivers")]

use crate::common;

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::time::Duration;

use actix::{Actor, Context, Recipient};
use actix_process::producer::{
    ProducerCommand, ProducerError, ProducerGuard, ProducerKind, ToProducer,
};
use actix_process::{
    Capability, CloseReason, Collect, CollectError, Command, Containment, Decoded, Encoded,
    ExitStatus, Fd, FdMap, FdSink, FdStream, IgnoredSignals, Ladder, NoProtocol, OnLeftovers,
    OnOrphaned, Output, ProcessEvent, ProcessHandle, ProcessProtocol, ProcessSupervisor, Pty,
    PtySize, ResizeError, Resource, Rusage, Signal, SignalError, Spawn, SpawnError, SpawnStep,
    Spawning, StreamError, TerminalModes, TerminalModesError, WriteError, process_protocol,
};
use common::run;
use tokio_util::codec::LinesCodec;

const README: &str = include_str!("../../README.md");
const WC: &str = include_str!("../../examples/wc.rs");
const THIS: &str = include_str!("readme.rs");

/// A line of the README, and whether it is inside a code block, and of which language.
fn lines() -> impl Iterator<Item = (Option<&'static str>, &'static str)> {
    let mut block = None;
    README.lines().filter_map(move |line| {
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

/// The README's blocks of Rust.
fn rust_blocks() -> Vec<String> {
    README
        .split("\n```")
        .filter_map(|part| part.strip_prefix("rust\n"))
        .map(|block| format!("{block}\n"))
        .collect()
}

/// The lines that matter, without their indentation and line breaks.
fn squeezed(code: &str) -> String {
    code.split_whitespace().collect()
}

#[test]
fn the_wc_program_is_the_example() {
    let body = WC.lines().skip_while(|line| line.starts_with("//!"));
    let body: Vec<&str> = body.skip_while(|line| line.is_empty()).collect();
    let blocks = rust_blocks();
    let wc = blocks.iter().find(|block| block.contains("fn main"));
    let wc: Vec<&str> = wc.expect("a whole program").lines().collect();
    for (readme, example) in wc.iter().zip(&body) {
        assert_eq!(readme, example, "README.md and examples/wc.rs differ");
    }
    assert_eq!(wc.len(), body.len(), "one of them goes on");
}

#[test]
fn every_other_piece_of_rust_is_compiled_in_this_file() {
    let this = squeezed(THIS);
    let blocks = rust_blocks();
    let pieces = blocks.iter().filter(|block| !block.contains("fn main"));
    let mut count = 0;
    for piece in pieces {
        assert!(this.contains(&squeezed(piece)), "not in here:\n{piece}");
        count += 1;
    }
    assert_eq!(count, 3, "the README has other pieces of Rust than it had");
}

#[test]
fn the_two_commands_are_there() {
    let shell = lines().filter(|(block, _)| *block == Some("sh"));
    let shell: Vec<&str> = shell.map(|(_, line)| line).collect();
    for command in ["cargo run --example wc -- README.md", "cargo test"] {
        let given = |line: &&str| line.split('#').next().unwrap().trim() == command;
        assert!(shell.iter().any(given), "no `{command}` in {shell:?}");
    }
}

#[test]
fn its_files_exist() {
    for (_, line) in lines() {
        for target in line.split("](").skip(1) {
            let path = target.split(')').next().unwrap();
            let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
            assert!(root.join(path).exists(), "{path} is not there");
        }
    }
}

#[test]
fn every_example_is_named() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in std::fs::read_dir(root.join("examples")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(README.contains(&format!("(examples/{name})")), "{name}");
    }
}

#[test]
fn output_without_an_actor() {
    run(async {
        let sorted = Command::new("sort").output().input("b\na\n").await?;
        assert_eq!(sorted.stdout, b"a\nb\n");
        Ok::<(), CollectError>(())
    })
    .unwrap();
}

#[test]
fn one_childs_output_is_the_others_input() {
    run(async {
        let (reader, writer) = Fd::pipe()?;
        let echo = Command::new("echo").arg("one two").stdout(writer);
        let wc = Command::new("wc").arg("-w").stdin(reader);
        let (echo, wc) =
            futures::future::try_join(echo.status().into_future(), wc.output().into_future())
                .await?;
        assert!(echo.success());
        assert_eq!(wc.stdout.trim_ascii(), b"2");
        Ok::<(), Box<dyn std::error::Error>>(())
    })
    .unwrap();
}

#[test]
fn wrappers_stand_in_for_options() {
    let without_capabilities = Command::new("setpriv").args(["--bounding-set", "-all", "--", "id"]);
    let on_one_cpu = Command::new("taskset").args(["--cpu-list", "0", "make"]);
    let off_the_net = Command::new("unshare").args(["--map-root-user", "--net", "--", "make"]);
    // They need programs and rights that not every machine has; that they are commands is all
    // that this test can tell.
    for (command, program) in [
        (without_capabilities, "setpriv"),
        (on_one_cpu, "taskset"),
        (off_the_net, "unshare"),
    ] {
        assert!(format!("{command:?}").contains(program), "{command:?}");
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
    for (_, line) in lines().filter(|(block, _)| block.is_none()) {
        match line.split('|').collect::<Vec<_>>()[..] {
            ["", _, " actix-process ", _, ""] => middle_is_ours = true,
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
    assert!(seen > 100, "only {seen} names found: the tables changed");
}

/// What the line has in backticks, up to arguments and braces.
fn names(line: &str) -> impl Iterator<Item = &str> {
    let quoted = line.split('`').skip(1).step_by(2);
    quoted.map(|code| code.split(['(', '{', '!', ' ']).next().unwrap_or(code))
}

#[test]
fn every_table_row_has_its_columns() {
    for (_, line) in lines().filter(|(_, line)| line.starts_with('|')) {
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

/// Never called, as [`nobody`].
fn no_context<'a>() -> &'a mut Context<Nobody> {
    unreachable!("the macros only make closures")
}

types! {
    Bytes Capability CloseReason Collect CollectError Collecting Command Containment Decoded Encoded ExitStatus Fd FdMap FdSink
    FdStream FromProcess KillOnDrop Pty PtySize ResizeError StreamError TerminalModes TerminalModesError
    IgnoredSignals IntoProtocol Ladder Leftover NoProtocol OnLeftovers OnOrphaned Output ParseSignalError ProcessEvent ProcessHandle
    ProcessId ProcessProtocol ProcessSupervisor Protocol Resource Rusage Signal SignalError Spawn SpawnError SpawnStep Spawning Stopped StoppedBy Unkillable
    WriteError codec testing
    process_protocol;
    producer: ProducerCommand ProducerError ProducerGuard ProducerKind ToProducer;
    supervisor: List ProcessInfo ProcessState Shutdown ShutdownReport
}

functions! {
    Capability { new(0); }
    Command { new(""); }
    Fd {
        read(); stream(); write(); inherit(0); null(); pipe(); same_as(0);
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
}

methods! {
    Command as Command {
        arg(""); args([""]); arg0(""); env("", ""); envs([("", "")]); env_remove(""); env_clear();
        current_dir(""); chdir_as_parent(true); process_group(0); setsid(true); user(""); uid(0);
        gid(0); groups([]); ambient([]); umask(0); rlimit(Resource::Core, 0, 0); nice(0); oom_score_adj(0);
        no_new_privs(true); parent_death_signal(Signal::TERM); ignored_signals(IgnoredSignals::Reset);
        cgroup(OwnedFd::from(std::io::pipe().unwrap().0)); contained(); contained_by_cgroup(); stdin(Fd::null()); stdout(Fd::null());
        stderr(Fd::null()); pty(PtySize::new(0, 0)); fd(0, Fd::null()); fds(FdMap::new()); fd_map();
        on_orphaned(OnOrphaned::Kill); when(true, |command| command); name("");
        get_program(); get_args(); get_envs(); get_current_dir(); on_leftovers(OnLeftovers::Kill); ended_timeout(Duration::ZERO); window(0);
        spawn(NoProtocol); spawn_in(no_context()); output(); status(); read();
    }
    Collect as Collect<Output> {
        input(""); timeout(Duration::ZERO); grace(Duration::ZERO); output_limit(0); merge_stderr();
        own_group(); foreground();
    }
    ProcessHandle as ProcessHandle {
        id(); pid(); spawned_pid(); program(); name(); write(""); write_sequence([""]); write_to_child(0, "");
        close_stdin(); close_stdout(); close_stderr(); close_child_fd(0); lose_connection();
        cut_connection(); abort(0); signal(Signal::TERM); signal_group(Signal::TERM); kill(); kill_on_drop();
        terminate(Duration::ZERO); terminate_group(Duration::ZERO); stop(Ladder::new()); pause_producing();
        resume_producing(); pause_child_fd(0); resume_child_fd(0); exited(); ended();
        try_status(); containment(); stdin(); stdout(); stderr(); sink(0); take_stream(1); resize(PtySize::new(0, 0));
        terminal_modes(); wait_for_terminal_modes(|modes| !modes.echo, Duration::ZERO);
        register_producer(0, ProducerKind::Pull, nobody());
    }
    Fd as Fd { window(0); is_read(); is_stream(); is_write(); is_terminal(); }
    FdStream as FdStream { lines(0); decode(LinesCodec::new()); }
    FdSink as FdSink { encode(LinesCodec::new()); close(); close_on_drop(); }
    Encoded as Encoded<LinesCodec> { get_ref(); get_mut(); into_inner(); encoder(); encoder_mut(); close(); }
    Decoded as Decoded<LinesCodec> { get_ref(); into_inner(); decoder(); decoder_mut(); }
    ProducerGuard as ProducerGuard { write(""); fd(); }
    Pty as Pty { size(PtySize::new(0, 0)); echo(true); raw(true); stream(); window(0); }
    ExitStatus as ExitStatus { success(); code(); signal(); core_dumped(); rusage(); }
    SpawnError as SpawnError { step(); errno(); subject(); detail(); name(); id(); }
    Spawning as Spawning { id(); }
}

callbacks! {
    connection_made child_data_received out_received err_received child_connection_lost
    in_connection_lost out_connection_lost err_connection_lost process_exited process_ended
    spawn_failed
}

variants! {
    CloseReason { ByChild ByParent Aborted Cut Failed Gone }
    Containment { Process Group Cgroup }
    CollectError { Spawn TimedOut Stderr Gone }
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
    SpawnStep { Invalid Fds Pty Identity Limits Cwd Clone Exec Register }
    WriteError { NotWritable Closed }
}

fields! {
    Output { status stdout stderr truncated }
    Rusage { user_time system_time max_rss }
    TerminalModes { echo canonical signals }
}
