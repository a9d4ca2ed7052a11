//! What a service is: its command, and how it is kept.

mod checks;
mod output;

pub(super) use checks::checked;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::alive::Alive;
use super::containment::CgroupLimits;
use super::core::{Kinship, Policy, Precondition};
use super::host_death::OnHostDeath;
use super::output::OutputSpec;
use super::ready::Ready;
use super::restart::Restart;
use super::start::{Start, StartError};
use crate::Command;
use crate::IntoProtocol;
use crate::Ladder;
use crate::Spawning;

/// The time after the last lease, unless [`Service::idle_stop`] says otherwise.
const IDLE: Duration = Duration::from_secs(300);

/// The instances of a keyed service, unless [`Service::at_most`] says otherwise.
const INSTANCES: usize = 64;

/// What a service waits for of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum When {
    /// The other one is ready.
    Ready,
    /// The other one has ended, and is not started again: [`Exited`](super::ServiceState::Exited) or
    /// [`Failed`](super::ServiceState::Failed).
    Ended,
    /// The other one has ended with success.
    Succeeded,
}

pub(super) type Make = Arc<dyn Fn(&Start) -> Result<Command, StartError> + Send + Sync>;
pub(super) type SpawnFor = Arc<dyn Fn(&Command, &Start) -> Spawning + Send + Sync>;

/// Where the command of a start comes from.
#[derive(Clone)]
pub(super) enum CommandSource {
    Fixed(Command),
    /// Called on a thread of its own, for each start.
    Made(Make),
}

/// All that a monitor has to know of a service.
#[derive(Clone)]
pub(super) struct ServiceSpec {
    pub(super) policy: Policy,
    pub(super) source: CommandSource,
    pub(super) ready: Ready,
    pub(super) alive: Option<Alive>,
    pub(super) ladder: Ladder,
    pub(super) on_host_death: OnHostDeath,
    pub(super) limits: CgroupLimits,
    pub(super) output: OutputSpec,
    /// The protocol actor of the user, if there is one.
    pub(super) spawn_for: Option<SpawnFor>,
    /// How many instances were asked for, though the service is not keyed.
    pub(super) at_most_set: bool,
    pub(super) idle_stop_set: bool,
}

/// A program that a [`Monitor`](super::Monitor) keeps running: its command, when it counts as ready, when it is started again, how it is
/// stopped, and what becomes of its output.
///
/// Unless something else is said, a service is started when it is added, is [ready](Self::ready) as soon as it runs, and is started
/// again when it [fails](Restart::on_failure). It is stopped by SIGTERM to its group, and SIGKILL after 10 seconds, and the last 64 KiB of its lines
/// are kept.
///
/// ```
/// use std::time::Duration;
///
/// use actix_process::monitor::{Ready, Restart, Service, Start, When};
/// use actix_process::{Command, Ladder};
///
/// let secs = Duration::from_secs;
/// let db = Service::new("db", Command::new("redis-server").args(["--port", "7001"]))
///     .ready(Ready::tcp("127.0.0.1:7001").within(secs(10)));
/// let web = Service::new("web", |start: &Start| {
///     let port = start.free_port()?;
///     Ok(Command::new("python3").args(["-m", "http.server", &port.to_string()]))
/// })
/// .after("db", When::Ready)
/// .restart(Restart::on_failure().fatal([78]))
/// .stop(Ladder::eof(secs(1)).term(secs(10)).kill());
/// # let _ = (db, web);
/// ```
#[derive(Clone)]
#[must_use = "a service does nothing until a monitor has it"]
pub struct Service {
    pub(super) spec: ServiceSpec,
}

/// Where the commands of a service come from: a [`Command`], or a closure that makes one for each start. Sealed.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no command of a service",
    label = "neither a `Command` nor `Fn(&Start) -> Result<Command, StartError>`",
    note = "a closure names the type of its argument: `|start: &Start| Ok(Command::new(..))`"
)]
pub trait StartCommand: sealed::SealedStartCommand {}

mod sealed {
    use super::CommandSource;

    pub trait SealedStartCommand {
        #[doc(hidden)]
        #[allow(private_interfaces, reason = "sealed")]
        fn into_source(self) -> CommandSource;
    }
}

impl sealed::SealedStartCommand for Command {
    #[allow(private_interfaces, reason = "sealed")]
    fn into_source(self) -> CommandSource {
        CommandSource::Fixed(self)
    }
}
impl StartCommand for Command {}

impl<F> sealed::SealedStartCommand for F
where
    F: Fn(&Start) -> Result<Command, StartError> + Send + Sync + 'static,
{
    #[allow(private_interfaces, reason = "sealed")]
    fn into_source(self) -> CommandSource {
        CommandSource::Made(Arc::new(self))
    }
}
impl<F> StartCommand for F where F: Fn(&Start) -> Result<Command, StartError> + Send + Sync + 'static
{}

impl Service {
    /// A service with this id: 1 to 128 letters and digits of ASCII, and `_`, `.`, `:`, `-`; no other service of the monitor has it.
    ///
    /// `command` is a [`Command`], or a closure that makes one anew for each start: see [`Start`]. The closure runs on a thread of its
    /// own, so it may read files and look things up. An error or a panic of it is a failed start.
    pub fn new(id: impl Into<String>, command: impl StartCommand) -> Self {
        Self::of(id.into(), command.into_source(), Kinship::Always)
    }

    /// A service with any number of instances, one for each key that somebody [leases](super::MonitorHandle::lease_key). It is
    /// [on demand](Self::on_demand). `command` makes the command of the instance with this key.
    ///
    /// ```
    /// use actix_process::Command;
    /// use actix_process::monitor::{Service, Start};
    ///
    /// let lsp = Service::keyed("lsp", |key: &str, _: &Start| Ok(Command::new("pylsp").current_dir(key)));
    /// # let _ = lsp.at_most(8);
    /// ```
    pub fn keyed<F>(id: impl Into<String>, command: F) -> Self
    where
        F: Fn(&str, &Start) -> Result<Command, StartError> + Send + Sync + 'static,
    {
        let make = move |start: &Start| command(start.key.as_deref().unwrap_or_default(), start);
        let kinship = Kinship::Keyed { at_most: INSTANCES };
        Self::of(id.into(), CommandSource::Made(Arc::new(make)), kinship)
    }

    fn of(id: String, source: CommandSource, kinship: Kinship) -> Self {
        Self {
            spec: ServiceSpec {
                policy: Policy {
                    id: id.into(),
                    kinship,
                    restart: Restart::default(),
                    launch_within: Duration::ZERO,
                    idle_stop: IDLE,
                    essential: false,
                    after: Vec::new(),
                    with: Vec::new(),
                },
                source,
                ready: Ready::default(),
                alive: None,
                ladder: Ladder::new().term(Duration::from_secs(10)).kill(),
                on_host_death: OnHostDeath::default(),
                limits: CgroupLimits::default(),
                output: OutputSpec::default(),
                spawn_for: None,
                at_most_set: false,
                idle_stop_set: false,
            },
        }
    }

    pub(super) fn into_spec(mut self) -> ServiceSpec {
        self.spec.policy.launch_within = self.spec.ready.get_within();
        self.spec
    }

    /// When a start of the service counts as ready: [`Ready::started`] unless set.
    pub fn ready(mut self, ready: Ready) -> Self {
        self.spec.ready = ready;
        self
    }

    /// How the service is watched while it is ready: not at all unless set.
    pub fn alive(mut self, alive: Alive) -> Self {
        self.spec.alive = Some(alive);
        self
    }

    /// After which ends the service is started again: [`Restart::on_failure`] unless set.
    pub fn restart(mut self, restart: Restart) -> Self {
        self.spec.policy.restart = restart;
        self
    }

    /// How the service is stopped: SIGTERM, 10 seconds, SIGKILL unless set. Signals go to the group of the service, or to its cgroup. A
    /// ladder without a step, or whose last step is not SIGKILL with 100 ms or more, is refused: it could leave the service running.
    pub fn stop(mut self, ladder: Ladder) -> Self {
        self.spec.ladder = ladder;
        self
    }

    /// The service starts only when the service `id` is as far as `when` says, in the present run of `id`. In a shutdown the service is
    /// stopped before `id`. May be called once for each service that this one waits for.
    ///
    /// What happens to `id` later does not touch the service: [`with`](Self::with) is for that. If `id` is
    /// [on demand](Self::on_demand), `id` runs as long as this service is wanted.
    pub fn after(mut self, id: impl AsRef<str>, when: When) -> Self {
        self.spec.policy.after.push(Precondition {
            id: id.as_ref().into(),
            when,
        });
        self
    }

    /// The service is stopped when the service `id` is stopped, restarted or fails, and is started again when `id` is: see
    /// [the pictures](crate::monitor#stopped-and-restarted-together). When `id` ends with success, nothing happens. May be called more than
    /// once.
    pub fn with(mut self, id: impl AsRef<str>) -> Self {
        self.spec.policy.with.push(id.as_ref().into());
        self
    }

    /// When the service ends for good, [exited](super::ServiceState::Exited) or [failed](super::ServiceState::Failed), the monitor shuts
    /// down. A stop or a restart by hand is no such end. Refused together with [`Restart::always`](super::Restart::always) that has neither a limit
    /// nor fatal codes: there is no such end then.
    pub const fn essential(mut self) -> Self {
        self.spec.policy.essential = true;
        self
    }

    /// The service runs only while somebody has a [lease](super::MonitorHandle::lease) of it, and for [`idle_stop`](Self::idle_stop) after
    /// the last one.
    pub fn on_demand(mut self) -> Self {
        if self.spec.policy.kinship == Kinship::Always {
            self.spec.policy.kinship = Kinship::OnDemand;
        }
        self
    }

    /// How long the service runs on after its last lease was dropped: 5 minutes unless set; zero stops it at once. Refused for a service
    /// that is not on demand.
    pub const fn idle_stop(mut self, time: Duration) -> Self {
        self.spec.policy.idle_stop = time;
        self.spec.idle_stop_set = true;
        self
    }

    /// How many instances of a keyed service may run at a time: 64 unless set. For one more, the instance goes that nobody has leased for
    /// the longest time. If all are leased, the lease fails with [`MonitorError::AllLeased`](super::MonitorError::AllLeased).
    pub const fn at_most(mut self, instances: usize) -> Self {
        if let Kinship::Keyed { at_most } = &mut self.spec.policy.kinship {
            *at_most = instances;
        }
        self.spec.at_most_set = true;
        self
    }

    /// What becomes of the service when this program dies: [`OnHostDeath::Kill`] unless set.
    pub const fn on_host_death(mut self, policy: OnHostDeath) -> Self {
        self.spec.on_host_death = policy;
        self
    }

    /// What the processes of the service may use together, in place of all limits that were set before: for what the three methods below
    /// cannot say. Refused as [`memory_max`](Self::memory_max) is.
    ///
    /// ```
    /// use actix_process::Command;
    /// use actix_process::monitor::{CgroupLimits, Service};
    ///
    /// // One worker may die for want of memory, and the others live on.
    /// let limits = CgroupLimits::new().memory_max(1 << 30).oom_kills_all(false);
    /// let pool = Service::new("pool", Command::new("pool")).limits(limits);
    /// # let _ = pool;
    /// ```
    pub const fn limits(mut self, limits: CgroupLimits) -> Self {
        self.spec.limits = limits;
        self
    }

    /// The most memory, in bytes, that the processes of the service may use together. Refused where the monitor has no
    /// [cgroups with the controller](super::MonitorContainment) `memory`, and for a command that says itself by what its child is held:
    /// [`Command::is_contained`](crate::Command::is_contained).
    pub fn memory_max(mut self, bytes: u64) -> Self {
        self.spec.limits = self.spec.limits.memory_max(bytes);
        self
    }

    /// The most processes and threads that it may have. Refused as [`memory_max`](Self::memory_max) is.
    pub fn pids_max(mut self, pids: u64) -> Self {
        self.spec.limits = self.spec.limits.pids_max(pids);
        self
    }

    /// The most CPU time that the service may use: 1.5 is one and a half CPUs. Refused as [`memory_max`](Self::memory_max) is.
    pub fn cpu_max(mut self, cpus: f64) -> Self {
        self.spec.limits = self.spec.limits.cpu_max(cpus);
        self
    }

    /// The protocol of each start is what this closure gives: an address of an actor, for example. The actor has the output, with its
    /// window: a slow one holds up the child. So nothing of it is kept here, or goes to a sink, and nobody can follow it. An
    /// [`Exit::tail`](super::Exit::tail) is there if the command's standard error is an [`Fd::tail`](crate::Fd::tail).
    ///
    /// The closure is called on the monitor's arbiter, where the child's actors live. It must not block. An actor that it starts lives
    /// there too, and ends when the child has ended. If the actor ends before, by a panic or by itself, the child is killed with its group,
    /// whatever the command says of [`on_orphaned`](crate::Command::on_orphaned), and the service follows its
    /// [`Restart`](super::Restart).
    ///
    /// ```
    /// use actix::prelude::*;
    /// use actix_process::monitor::{Monitor, Ready, Service, Start};
    /// use actix_process::{Command, Fd, Line, ProcessHandle, ProcessProtocol, process_protocol};
    ///
    /// /// Asks a calculator for a sum as soon as it has greeted.
    /// struct Sums(Start);
    ///
    /// impl Actor for Sums {
    ///     type Context = Context<Self>;
    /// }
    ///
    /// impl ProcessProtocol for Sums {
    ///     fn line_received(&mut self, process: &ProcessHandle, _: i32, line: Line, _: &mut Context<Self>) {
    ///         if line.text == "hello" {
    ///             self.0.set_ready();
    ///             let _ = process.write("2 + 3\n");
    ///         } else {
    ///             println!("the sum is {}", String::from_utf8_lossy(&line.text));
    ///         }
    ///     }
    /// }
    /// process_protocol!(Sums);
    ///
    /// # System::new().block_on(async {
    /// let script = "echo hello; while read sum; do echo $(($sum)); done";
    /// let command = Command::new("sh").args(["-c", script]).stdout(Fd::lines(1024));
    /// let sums = Service::new("sums", command)
    ///     .ready(Ready::protocol())
    ///     .protocol(|start: &Start| Sums(start.clone()).start());
    /// let monitor = Monitor::new().service(sums).start()?;
    /// monitor.ready("sums").await?;
    /// # monitor.shutdown(std::time::Duration::from_secs(20)).await;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn protocol<F, P>(mut self, protocol: F) -> Self
    where
        F: Fn(&Start) -> P + Send + Sync + 'static,
        P: IntoProtocol,
    {
        self.spec.spawn_for = Some(Arc::new(move |command, start| {
            command.spawn(protocol(start))
        }));
        self
    }
}

/// Neither its command nor its closures.
impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("id", &self.spec.policy.id)
            .field("kinship", &self.spec.policy.kinship)
            .field("ready", &self.spec.ready)
            .field("after", &self.spec.policy.after)
            .field("with", &self.spec.policy.with)
            .finish_non_exhaustive()
    }
}
