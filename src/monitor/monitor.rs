//! The monitor: what it is made of, and its start.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorFutureExt, ArbiterHandle, AsyncContext, Context, System, WrapFuture};

use super::access::Access;
use super::actor::{Engine, GuardSlot, Setup, Told, check_limits};
use super::containment::{CgroupPlace, ServiceCgroups};
use super::core::Kinship;
use super::error::MonitorError;
use super::graph;
use super::handle::MonitorHandle;
use super::name::ServiceName;
use super::service::{Service, checked};
use super::shared::MonitorShared;
use super::shutdown_report::ShutdownReport;
use crate::ToArbiterHandle;
use crate::host::guard::Guard;
use crate::host::home::ActorHome;

/// The time of a shutdown that nobody has given a deadline, unless [`Monitor::shutdown_within`] says otherwise.
const SHUTDOWN: Duration = Duration::from_secs(20);

/// Keeps [services](Service) running. It is an actor on an arbiter of its own; [`start`](Self::start) gives a [`MonitorHandle`] to it.
///
/// ```
/// use std::time::Duration;
///
/// use actix_process::Command;
/// use actix_process::monitor::{Monitor, Service, When};
///
/// # actix::System::new().block_on(async {
/// let monitor = Monitor::new()
///     .service(Service::new("clock", Command::new("sh").args(["-c", "while date; do sleep 1; done"])))
///     .service(Service::new("sleep", Command::new("sleep").arg("60")).after("clock", When::Ready))
///     .start()?;
/// monitor.ready("sleep").await?;
/// let report = monitor.shutdown(Duration::from_secs(20)).await;
/// assert_eq!(report.clean, ["sleep", "clock"]);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[must_use = "a monitor does nothing until it is started"]
pub struct Monitor {
    services: Vec<Service>,
    arbiter: Option<ArbiterHandle>,
    cgroups: CgroupPlace,
    guarded: bool,
    shutdown_within: Duration,
    /// There while it runs.
    pub(super) engine: Option<Box<Engine>>,
}

impl Monitor {
    /// A monitor without services.
    pub fn new() -> Self {
        Self {
            services: Vec::new(),
            arbiter: None,
            cgroups: CgroupPlace::default(),
            guarded: true,
            shutdown_within: SHUTDOWN,
            engine: None,
        }
    }

    /// Adds a service.
    pub fn service(mut self, service: Service) -> Self {
        self.services.push(service);
        self
    }

    /// Adds services.
    pub fn services(mut self, services: impl IntoIterator<Item = Service>) -> Self {
        self.services.extend(services);
        self
    }

    /// The arbiter where the monitor and the children of its services live, in place of one of its own. What blocks that arbiter holds up
    /// all of them.
    pub fn on(mut self, arbiter: &impl ToArbiterHandle) -> Self {
        self.arbiter = Some(arbiter.to_arbiter_handle());
        self
    }

    /// Where the monitor makes the cgroups of its services: [`CgroupPlace::Found`] unless set.
    pub fn cgroups(mut self, place: CgroupPlace) -> Self {
        self.cgroups = place;
        self
    }

    /// Whether a guard kills the groups of the services when this program dies: yes unless set. The guard is one `/bin/sh` for all; see
    /// [`OnHostDeath::Kill`](super::OnHostDeath::Kill).
    pub const fn guard(mut self, guard: bool) -> Self {
        self.guarded = guard;
        self
    }

    /// How long a shutdown may take that nobody has given a deadline: one that [an essential service](Service::essential) or
    /// [a signal](MonitorHandle::closing_on_signals) begins. 20 seconds unless set.
    pub const fn shutdown_within(mut self, time: Duration) -> Self {
        self.shutdown_within = time;
        self
    }

    /// Starts the monitor, and with it all services that are not on demand. This call waits for none of them.
    ///
    /// In a System the monitor lives on a new arbiter of that System, and ends with it. A thread in no System (under `#[tokio::main]`, say)
    /// gets a thread for it that has a System of its own.
    ///
    /// # Errors
    ///
    /// [`MonitorError::Spec`] if a service is not acceptable: nothing was spawned. [`MonitorError::Cgroups`] if the place of
    /// [`cgroups`](Self::cgroups) does not do, [`MonitorError::Arbiter`] if no thread can be started.
    pub fn start(self) -> Result<MonitorHandle, MonitorError> {
        let services = checked(self.services)?;
        let policies: Vec<_> = services.iter().map(|spec| spec.policy.clone()).collect();
        graph::check(std::iter::empty(), &policies)?;
        let found = ServiceCgroups::find(&self.cgroups);
        let cgroups = found.map_err(|why| MonitorError::Cgroups(why.into()))?;
        check_limits(&cgroups, &services)?;
        let home = match self.arbiter {
            Some(arbiter) => ActorHome::Given(arbiter),
            None => ActorHome::start("monitor")
                .map_err(|error| MonitorError::Arbiter(Arc::new(error)))?,
        };
        let shared = Arc::new(MonitorShared::new(cgroups.containment()));
        for spec in &services {
            // Whoever follows it before the monitor is there gets all of it.
            if !matches!(spec.policy.kinship, Kinship::Keyed { .. }) {
                let id = Arc::clone(&spec.policy.id);
                shared.make_output(&ServiceName { id, key: None }, &spec.output);
            }
        }
        let arbiter = home.arbiter();
        let unstarted = EndsUnstarted(Some(Arc::clone(&shared)));
        let setup = Setup {
            services,
            cgroups,
            home,
            shared: Arc::clone(&shared),
            guarded: self.guarded,
            shutdown_within: self.shutdown_within,
        };
        let address = Self::start_in_arbiter(&arbiter, move |ctx| {
            unstarted.has_started();
            let engine = Engine::new(setup, ctx.address());
            Self {
                engine: Some(Box::new(engine)),
                ..Self::new()
            }
        });
        let access = Access { address, shared };
        end_with_the_system(access.clone());
        Ok(MonitorHandle::new(access))
    }

    /// Does something with what runs, and what follows from that.
    pub(super) fn with(&mut self, ctx: &mut Context<Self>, act: impl FnOnce(&mut Engine)) {
        if let Some(engine) = &mut self.engine {
            act(engine);
            engine.settle(ctx);
        }
    }
}

/// Ends a monitor whose arbiter has ended before the monitor could start there.
struct EndsUnstarted(Option<Arc<MonitorShared>>);

impl EndsUnstarted {
    fn has_started(mut self) {
        self.0 = None;
    }
}

impl Drop for EndsUnstarted {
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            shared.end(ShutdownReport::default());
        }
    }
}

/// The System of this thread, if there is one, drops what its first arbiter has before the call that runs it returns. The monitor's own
/// arbiter, on another thread, may be later than the end of `main`.
fn end_with_the_system(access: Access) {
    struct KillAtDrop(Access);

    impl Drop for KillAtDrop {
        fn drop(&mut self) {
            if !self.0.shared.has_ended() {
                self.0.kill("the System of a monitor has ended");
            }
        }
    }

    let Some(system) = System::try_current() else {
        return;
    };
    let (closed, kill) = (access.shared.closed(), KillAtDrop(access));
    system.arbiter().spawn(async move {
        closed.await;
        drop(kill);
    });
}

impl Actor for Monitor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let wants_guard = |engine: &Engine| engine.wants_guard();
        if self.engine.as_deref().is_some_and(wants_guard) {
            let address = ctx.address();
            let starting = Guard::start(move |event| address.do_send(Told::Guard(event)));
            let started = starting.into_actor(self).map(|guard, monitor, ctx| {
                monitor.with(ctx, |engine| engine.guard_started(GuardSlot::There(guard)));
            });
            ctx.spawn(started);
        }
        self.with(ctx, |_| {});
    }
}

impl Default for Monitor {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor")
            .field("services", &self.services)
            .field("runs", &self.engine.is_some())
            .finish_non_exhaustive()
    }
}
