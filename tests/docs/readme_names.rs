//! The public names that README.md and the pages of `coming_from` may use: each is called, matched or imported here, so it exists.

#![allow(unused_mut, reason = "the macros make one closure for all receivers")]

use std::os::fd::OwnedFd;
use std::time::Duration;

use actix::{Actor, Context, Handler, Recipient};
use actix_process::monitor::{
    Alive, Backoff, CgroupLimits, CgroupPlace, Lease, Monitor, MonitorHandle, OnHostDeath, Ready,
    Restart, Service, ServiceState, Since, Start, When,
};
use actix_process::pool::{Framing, Job, JobError, Noise, Pool, PoolHandle, PoolStats, Session};
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

/// Functions without a receiver, called.
macro_rules! functions {
    ($($ty:ident { $($name:ident($($arg:expr),*);)* })*) => {
        pub(crate) const FUNCTIONS: &[&str] = &[$($(concat!(stringify!($ty), "::", stringify!($name)),)*)*];
        $($(const _: fn() = || { let _unused = $ty::$name($($arg),*); };)*)*
    };
}

/// Methods, called on a value.
macro_rules! methods {
    ($($ty:ident as $full:ty { $($name:ident($($arg:expr),*);)* })*) => {
        pub(crate) const METHODS: &[&str] = &[$($(concat!(stringify!($ty), "::", stringify!($name)),)*)*];
        $($(const _: fn($full) = |mut value| { let _unused = value.$name($($arg),*); };)*)*
    };
}

macro_rules! callbacks {
    ($($name:ident)*) => {
        pub(crate) const CALLBACKS: &[&str] = &[$(concat!("ProcessProtocol::", stringify!($name)),)*];
        $(const _: fn() = || { let _unused = <Nobody as ProcessProtocol>::$name; };)*
    };
}

/// Variants of enums, matched.
macro_rules! variants {
    ($($ty:ident { $($name:ident)* })*) => {
        pub(crate) const VARIANTS: &[&str] = &[$($(concat!(stringify!($ty), "::", stringify!($name)),)*)*];
        $($(const _: fn($ty) -> bool = |value| matches!(value, $ty::$name { .. });)*)*
    };
}

/// Public fields, looked at.
macro_rules! fields {
    ($($ty:ident { $($name:ident)* })*) => {
        pub(crate) const FIELDS: &[&str] = &[$($(concat!(stringify!($ty), "::", stringify!($name)),)*)*];
        $($(const _: fn(&$ty) = |value| { let _unused = &value.$name; };)*)*
    };
}

/// Types, traits, modules and macros, imported.
macro_rules! types {
    ($($name:ident)* $(; $module:ident: $($of_module:ident)*)*) => {
        pub(crate) const TYPES: &[&str] = &[$(stringify!($name),)* $(stringify!($module), $(stringify!($of_module),)*)*];
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
    codec testing monitor pool
    process_protocol;
    producer: ProducerCommand ProducerError ProducerGuard ProducerKind ToProducer;
    codec: ContentLength;
    monitor: Alive Backoff CgroupLimits CgroupPlace Event EventKind Events Exit ExitKind Follow FollowRaw Followed FollowedRaw Lease
        LinePattern Monitor MonitorContainment MonitorError MonitorHandle OnHostDeath Ready Reported Restart Service ServiceLine
        ServiceName ServiceState Since SpecError Start StartCommand StartError StartFailure Status Usage When messages;
    pool: Answer AnswerStream Framing Histogram Job JobError Noise Outcomes Pool PoolError PoolEvent PoolEventKind PoolEvents PoolHandle PoolReport
        PoolReported PoolStats Recycled Recycling Session SessionFrame worker;
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
    Pool { new(Command::new("")); one_shot(Command::new("")); }
    Job { new(""); }
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
        addr(); add(Service::new("", Command::new(""))); add_all([]); remove(""); start(""); ready(""); all_ready(); stop(""); restart("");
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
    Job as Job { arg(""); args([""]); urgent(); key(""); expires(Duration::ZERO); timeout(Duration::ZERO); retry_on_loss(1); }
    Pool as Pool {
        workers(0..=1); queue(0); framing(Framing::Frames); noise(Noise::Log); spare(0); success_codes([0]); ready_within(Duration::ZERO);
        job_timeout(Duration::ZERO); idle_timeout(Duration::ZERO); soft(Duration::ZERO); stop(Ladder::new()); max_jobs(1);
        max_age(Duration::ZERO); max_rss(1); max_rss_hard(1); backoff(Backoff::new()); max_frame(1); max_answer(1); window(1); name("");
        on(&actix::Arbiter::current()); guard(true); start();
    }
    PoolHandle as PoolHandle {
        addr(); submit(Job::new("")); submit_wait(Job::new("")); stream(Job::new("")); checkout(); ready_for_more(); stats(); events();
        follow(1, Since::Now); reload(Command::new("")); drain(Duration::ZERO); shutdown(Duration::ZERO); closing(); closed();
    }
    Session as Session { ask(""); send(""); next(); worker(); pid(); }
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
    Framing { Frames JsonLines OneShot }
    JobError {
        Remote Failed QueueFull TooLarge Expired Timeout Cancelled WorkerLost Poisoned Protocol PoolDown ShuttingDown
    }
    Noise { Error Log }
    ServiceState { Waiting Starting Running Stopping Backoff Exited Failed Stopped }
    When { Ready Ended Succeeded }
    SpawnStep { Invalid Fds Pty Identity Limits Cwd Clone Exec Register }
    WriteError { NotWritable Closed }
}

fields! {
    PoolStats { waiting running outcomes recycled stale wait run }
    Output { status stdout stderr truncated stdout_left_out stderr_left_out }
    Rusage { user_time system_time max_rss }
    Tail { bytes left_out }
    TerminalModes { echo canonical signals }
}
