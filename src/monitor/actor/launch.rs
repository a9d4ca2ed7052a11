//! A start: from its command to its readiness, and the watch after that.

use std::io;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::place::ServiceRun;
use super::told::StartTold;
use super::{Engine, GuardSlot, Told};
use crate::Command;
use crate::Fd;
use crate::Ladder;
use crate::OnLeftovers;
use crate::OnOrphaned;
use crate::ProcessHandle;
use crate::Signal;
use crate::host::spawn::CancellableSpawn;
use crate::monitor::alive::{self, Beats};
use crate::monitor::core::{Fact, Slot};
use crate::monitor::error::StartFailure;
use crate::monitor::host_death::OnHostDeath;
use crate::monitor::notify::{self, Heard, NotifySocket};
use crate::monitor::output::SeenLine;
use crate::monitor::ready;
use crate::monitor::service::CommandSource;
use crate::monitor::start::Start;

/// After the child's death a process that has left its group may hold its output open for so long.
const DRAIN: Duration = Duration::from_millis(500);

/// Why there is no child of a start.
struct NoChild {
    failure: StartFailure,
    /// To try again cannot help.
    permanent: bool,
}

impl NoChild {
    fn now(failure: StartFailure) -> Box<Self> {
        let permanent = false;
        Box::new(Self { failure, permanent })
    }
}

impl Engine {
    pub(in crate::monitor) fn guard_started(&mut self, guard: GuardSlot) {
        let GuardSlot::Coming(waiting) = std::mem::replace(&mut self.guard, guard) else {
            return;
        };
        self.tick();
        Command::spawning_together(|| {
            for (slot, generation, attempt) in waiting {
                if self.core.get(slot).is_some_and(|instance| {
                    instance.generation == generation && instance.is_alive()
                }) {
                    self.launch(slot, generation, attempt);
                }
            }
        });
    }

    /// What was announced is told before a spawn of it is submitted: no task runs before this call.
    pub(super) fn tell_guard(&self) {
        if let GuardSlot::There(guard) = &self.guard {
            guard.tell();
        }
    }

    pub(super) fn launch(&mut self, slot: Slot, generation: u64, attempt: u32) {
        if let GuardSlot::Coming(waiting) = &mut self.guard {
            return waiting.push((slot, generation, attempt));
        }
        // The shutdown comes, which gives this start up.
        if self.shared.kill_all.has_killed() {
            return;
        }
        let Some(place) = self.place(slot) else {
            return;
        };
        let (id, key) = (Arc::clone(&place.name.id), place.name.key.clone());
        let start = Start::new(id, key, generation, attempt);
        place.output.started(generation);
        place.run = Some(Box::new(ServiceRun::new(start)));
        log::debug!("service {} starts, generation {generation}", place.name);
        match place.spec.source.clone() {
            CommandSource::Fixed(command) => self.spawn(slot, generation, command),
            CommandSource::Made(make) => self.make(slot, generation, make),
        }
    }

    /// Spawns the command of a start.
    pub(super) fn spawn(&mut self, slot: Slot, generation: u64, command: Command) {
        match self.prepare(slot, generation, command) {
            Err(why) => self.refuse(slot, generation, why.failure, why.permanent),
            Ok((command, socket)) => self.spawn_prepared(slot, generation, &command, socket),
        }
    }

    /// The command as the monitor needs it, and the socket by which the service tells of itself. Or why there is none.
    fn prepare(
        &mut self,
        slot: Slot,
        generation: u64,
        mut command: Command,
    ) -> Result<(Command, Option<NotifySocket>), Box<NoChild>> {
        let gone = || NoChild::now(StartFailure::Command("it is gone".into()));
        let cgroups = self.cgroups.clone();
        let mut mark = None;
        let place = self.place_at(slot).ok_or_else(gone)?;
        let spec = Arc::clone(&place.spec);
        if spec.on_host_death == OnHostDeath::Kill
            && let GuardSlot::There(guard) = &self.guard
        {
            mark = Some(guard.announce(generation));
        }
        let place = self.place(slot).ok_or_else(gone)?;
        let name = place.name.to_string();
        let run = place.run.as_mut().ok_or_else(gone)?;
        run.guarded = mark.is_some();
        if matches!(spec.source, CommandSource::Made(_)) {
            let problem = spec.check_command(&command);
            problem.map_err(|problem| {
                let text = format!("{}: {}", problem.field, problem.problem);
                let failure = StartFailure::Command(text.into());
                let permanent = true;
                Box::new(NoChild { failure, permanent })
            })?;
        }
        if let Some(fd) = spec.ready.notification_fd() {
            command = command.fd(fd, Fd::read());
        }
        let period = spec
            .alive
            .as_ref()
            .and_then(|alive| alive.watchdog_period());
        let wants_socket = spec.ready.wants_notify() || period.is_some();
        let failed = |what| move |error: io::Error| NoChild::now(StartFailure::setup(what, error));
        let socket = match wants_socket {
            true => Some(NotifySocket::bind().map_err(failed("its notification socket"))?),
            false => None,
        };
        command = notify::environment(command, socket.as_ref(), period);
        if !command.is_contained() && cgroups.command_makes_it(&spec.limits) {
            command = command.contained_by_cgroup();
            run.made_cgroup = true;
        } else if !command.is_contained() {
            let leaf = cgroups.leaf(&name, generation, &spec.limits);
            let leaf = leaf.map_err(|error| failed("its cgroup")(error.into()))?;
            if let Some(leaf) = leaf {
                let directory = leaf.directory().map_err(failed("its cgroup"))?;
                command = command.new_cgroup(directory);
                run.leaf = Some(leaf);
            }
        }
        if command.get_process_group().is_none() {
            command = command.process_group(0);
        }
        if spec.spawn_for.is_none() {
            command = command.ended_timeout(DRAIN);
        }
        if spec.on_host_death == OnHostDeath::Kill {
            command = command.parent_death_signal(Signal::KILL);
        }
        // The stop at its exit deals with them.
        command = command.on_leftovers(OnLeftovers::Hold);
        // Without its protocol nobody reads what it writes, and without the monitor nobody stops it.
        command = command.on_orphaned(OnOrphaned::Kill).orphaned_quietly();
        if let Some((name, value)) = mark {
            command = command.env(name, value);
        }
        Ok((command, socket))
    }

    fn spawn_prepared(
        &mut self,
        slot: Slot,
        generation: u64,
        command: &Command,
        socket: Option<NotifySocket>,
    ) {
        let address = self.address.clone();
        if self
            .place_at(slot)
            .is_some_and(|place| place.spec.spawn_for.is_some())
        {
            // The closure may submit the spawn.
            self.tell_guard();
        }
        let Some(place) = self.place(slot) else {
            return;
        };
        let spec = Arc::clone(&place.spec);
        let Some(run) = &mut place.run else {
            return;
        };
        let spawning = match &spec.spawn_for {
            None => command.spawn(address.clone()),
            Some(spawn_for) => {
                // The monitor is not its protocol: a start that is given up is known by its future alone.
                let command = command.clone().killed_if_untaken();
                let call = || Command::spawning_apart(|| spawn_for(&command, &run.start));
                let spawned = catch_unwind(AssertUnwindSafe(call));
                match spawned {
                    Ok(spawning) => spawning,
                    Err(_) => {
                        let problem = "the closure of its protocol panicked".into();
                        let failure = StartFailure::Command(problem);
                        return self.refuse(slot, generation, failure, false);
                    }
                }
            }
        };
        let id = spawning.id();
        run.id = Some(id);
        let map = command.fd_map();
        let on_terminal = map.iter().any(|(_, fd)| fd.is_terminal());
        let pipes = map.iter().filter(|(_, fd)| fd.is_read() || fd.is_write());
        run.pipes = pipes.count() + usize::from(on_terminal);
        place.output.on_terminal(on_terminal);
        run.beats = spec.alive.as_ref().map(Beats::new);
        let is_read: Vec<i32> = map
            .iter()
            .filter(|(_, fd)| fd.is_read() || fd.is_terminal())
            .map(|(n, _)| n)
            .collect();
        let (feed, ready) = ready::begin(&spec.ready, &run.start, &|fd| is_read.contains(&fd));
        run.ready = Some(feed.clone());
        let at_once = spec.ready.is_at_once();
        let own_protocol = spec.spawn_for.is_some();
        let tell = move |told| address.do_send(Told::Start(slot, generation, told));
        let (cancel, cancelled) = oneshot::channel();
        run.cancel = Some(cancel);
        let spawning = CancellableSpawn::new(spawning, cancelled);
        run.task.set(async move {
            let process = match spawning.await {
                Ok(process) => process,
                Err(error) => return tell(StartTold::NotSpawned(error)),
            };
            if own_protocol {
                tell(StartTold::Spawned(process));
            }
            if !at_once {
                tell(StartTold::Ready(ready.await));
            }
        });
        if let Some(socket) = socket {
            // It listens when the child is there, whose number it needs.
            run.socket = Some(socket);
        }
        let watched = is_read.iter().copied();
        for fd in watched.filter(|fd| spec.ready.watches_lines_of(*fd)) {
            let feed = feed.clone();
            place.output.watch_lines(fd, move |seen| {
                match seen {
                    SeenLine::Line(line) => feed.line(fd, line),
                    SeenLine::Closed => feed.closed(fd),
                }
                ControlFlow::Continue(())
            });
        }
        self.by_process.insert(id, (slot, generation));
    }

    /// The child of a start runs.
    pub(super) fn spawned(&mut self, slot: Slot, generation: u64, process: &ProcessHandle) {
        let address = self.address.clone();
        let Some(place) = self.places.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        let own_protocol = place.spec.spawn_for.is_some();
        let at_once = place.spec.ready.is_at_once();
        let Some(run) = &mut place.run else {
            return;
        };
        run.process = Some(process.clone());
        run.cancel = None;
        let abandoned = run.abandoned;
        run.killed |= abandoned;
        if at_once {
            run.ready = None;
            run.task.let_go();
        }
        self.shared.kill_all.add(generation, process);
        if let (true, GuardSlot::There(guard)) = (run.guarded, &self.guard) {
            guard.add(generation, process);
        }
        let tell = move |told| address.do_send(Told::Start(slot, generation, told));
        if let Some(socket) = run.socket.take() {
            let (feed, beats) = (run.ready.clone(), run.beats.clone());
            let (process, tell) = (process.clone(), tell.clone());
            run.notify.set(async move {
                let listening = socket.listen(process, |heard| {
                    let message = match heard {
                        Heard::Message(message) => message,
                        // Nobody can say whose it was.
                        Heard::Late => return,
                        Heard::Malformed | Heard::Descriptors | Heard::Stranger => {
                            return tell(StartTold::Ignored);
                        }
                    };
                    if let Some(feed) = &feed {
                        feed.message(&message);
                    }
                    if let Some(beats) = &beats {
                        beats.message(&message);
                    }
                    if message.tells_state() {
                        tell(StartTold::Notified(Box::new(message)));
                    }
                });
                // The arguments of a log macro are not evaluated where nobody logs.
                let error = listening.await;
                log::warn!("a service is not heard any more: {error}");
            });
        }
        if own_protocol {
            let process = process.clone();
            actix_rt::spawn(async move {
                tell(StartTold::Exited(process.exited().await));
                let _ = actix_rt::time::timeout(DRAIN, process.ended()).await;
                tell(StartTold::Drained);
            });
        }
        let pid = process.spawned_pid();
        self.core.fact(slot, generation, Fact::Spawned { pid });
        if abandoned {
            // It was too late to cancel the spawn.
            self.climb(slot, generation, process, Ladder::new().kill());
        } else if at_once {
            self.core.fact(slot, generation, Fact::Ready);
        }
    }

    /// There will be no child of this start, as is found while it is launched. It is told later: a start that follows at once must not be
    /// launched within this one.
    pub(super) fn refuse(
        &self,
        slot: Slot,
        generation: u64,
        failure: StartFailure,
        permanent: bool,
    ) {
        let told = StartTold::NotStarted(failure, permanent);
        self.address.do_send(Told::Start(slot, generation, told));
    }

    /// There is no child of this start.
    pub(super) fn not_started(
        &mut self,
        slot: Slot,
        generation: u64,
        failure: StartFailure,
        permanent: bool,
    ) {
        self.clear_run(slot, generation);
        let fact = Fact::NotStarted { failure, permanent };
        self.core.fact(slot, generation, fact);
    }

    /// Gives up a start that has no child yet. The core is told when nothing of it is left.
    pub(super) fn abandon(&mut self, slot: Slot, generation: u64) {
        let run = self.place(slot).and_then(|place| place.run.as_mut());
        if let Some(run) = run.filter(|run| run.generation == generation)
            && let Some(cancel) = run.cancel.take()
        {
            run.abandoned = true;
            let _ = cancel.send(());
            return;
        }
        let failure = StartFailure::Command("it was given up".into());
        self.not_started(slot, generation, failure, false);
    }

    /// Begins to look after the liveness of a start that is ready.
    pub(super) fn watch(&mut self, slot: Slot, generation: u64) {
        let address = self.address.clone();
        let Some(place) = self.place(slot) else {
            return;
        };
        if let (Some(alive), Some(run)) = (place.spec.alive.clone(), &mut place.run)
            && let Some(beats) = &run.beats
        {
            let watch = alive::watch(&alive, &run.start, beats);
            run.task.set(async move {
                let told = StartTold::Unhealthy(watch.await);
                address.do_send(Told::Start(slot, generation, told));
            });
        }
    }
}
