//! The table and the log of one service, live, until the monitor has shut down.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::pin::pin;
use std::time::Duration;

use actix_process::PtySize;
use actix_process::monitor::{
    Follow, Followed, Lease, MonitorError, MonitorHandle, ServiceName, Since, Status,
};
use futures::StreamExt;
use futures::future::LocalBoxFuture;
use futures::stream::FuturesUnordered;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use super::{Error, SHUTDOWN};
use crate::keys::{Key, RawMode, keys, show};
use crate::table::{name, printable, table};

/// How often the numbers are looked at again. Each look reads a file of each process of the machine.
const REFRESH: Duration = Duration::from_millis(500);

/// How many lines of the log are there to be shown.
const LINES: usize = 200;

/// What came of a key.
enum Outcome {
    Said(String),
    Leased(ServiceName, Lease),
}

struct View<'a> {
    monitor: &'a MonitorHandle,
    services: Vec<Status>,
    selected: usize,
    /// The log of the selected service; of none before the first look.
    follow: Option<Follow>,
    log: VecDeque<String>,
    leases: HashMap<ServiceName, Lease>,
    /// What is being done, so that no key waits for another one.
    under_way: FuturesUnordered<LocalBoxFuture<'static, Outcome>>,
    said: String,
}

/// Shows the services, and does what keys ask for, until the monitor has ended.
pub async fn live(monitor: &MonitorHandle) -> Result<(), Error> {
    // Before the terminal is changed: else such a signal would leave it so.
    let mut hangup = signal(SignalKind::hangup())?;
    let mut quit = signal(SignalKind::quit())?;
    let _raw = RawMode::set()?;
    let mut keys = keys()?;
    let mut closed = pin!(monitor.closed());
    let mut clock = interval(REFRESH);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut view = View::new(monitor);
    loop {
        tokio::select! {
            _ = &mut closed => return Ok(()),
            _ = hangup.recv() => view.quit(),
            _ = quit.recv() => view.quit(),
            key = keys.recv(), if !keys.is_closed() => match key {
                Some(key) => view.press(key),
                None => view.quit(),
            },
            Some(outcome) = view.under_way.next() => view.done(outcome),
            Some(line) = next_line(&mut view.follow) => {
                view.add(line);
                // The clock shows it, however many there are.
                continue;
            }
            _ = clock.tick() => view.look().await,
        }
        view.draw()?;
    }
}

async fn next_line(follow: &mut Option<Follow>) -> Option<Followed> {
    follow.as_mut()?.next().await
}

impl<'a> View<'a> {
    fn new(monitor: &'a MonitorHandle) -> Self {
        Self {
            monitor,
            services: Vec::new(),
            selected: 0,
            follow: None,
            log: VecDeque::new(),
            leases: HashMap::new(),
            under_way: FuturesUnordered::new(),
            said: String::new(),
        }
    }

    /// Gets the numbers. When the monitor ends, the last ones stay.
    async fn look(&mut self) {
        if let Ok(services) = self.monitor.all_with_usage().await {
            self.services = services;
        }
        if self.follow.is_none() {
            self.select(self.selected);
        }
    }

    fn select(&mut self, index: usize) {
        let Some(status) = self.services.get(index) else {
            return;
        };
        self.selected = index;
        self.log.clear();
        self.follow = Some(self.monitor.follow(name(status), Since::Last(LINES)));
    }

    fn add(&mut self, followed: Followed) {
        let line = match followed {
            Followed::Line { bytes, .. } => printable(&String::from_utf8_lossy(&bytes)),
            Followed::Lagged(count) => format!("-- {count} lines were missed"),
            Followed::Restarted => "-- started anew".to_owned(),
            _ => return,
        };
        if self.log.len() == LINES {
            self.log.pop_front();
        }
        self.log.push_back(line);
    }

    fn quit(&mut self) {
        self.said = "shutting down".to_owned();
        // Has begun with this call; the end is waited for elsewhere.
        drop(self.monitor.shutdown(SHUTDOWN));
    }

    fn press(&mut self, key: Key) {
        let Some(service) = self.services.get(self.selected).map(name) else {
            return;
        };
        let monitor = self.monitor.clone();
        match key {
            Key::Up => self.select(self.selected.saturating_sub(1)),
            Key::Down => self.select(self.selected + 1),
            Key::Quit => self.quit(),
            Key::Restart => self.under_way.push(Box::pin(async move {
                let done = monitor.restart(&service).await;
                told(&service, done.map(|()| "restarted"))
            })),
            Key::Stop => self.under_way.push(Box::pin(async move {
                let done = monitor.stop(&service).await;
                told(&service, done.map(|()| "stopped"))
            })),
            Key::Lease => match self.leases.remove(&service) {
                Some(_given_back) => self.said = format!("{service}: the lease is given back"),
                None => self.under_way.push(Box::pin(async move {
                    match monitor.lease(&service.id).await {
                        Ok(lease) => Outcome::Leased(service, lease),
                        Err(error) => told(&service, Err(error)),
                    }
                })),
            },
        }
    }

    fn done(&mut self, outcome: Outcome) {
        self.said = match outcome {
            Outcome::Said(said) => said,
            Outcome::Leased(service, lease) => {
                let said = format!("{service}: leased");
                self.leases.insert(service, lease);
                said
            }
        };
    }

    /// All of it anew, line by line over what was there, so that nothing flickers.
    fn draw(&self) -> io::Result<()> {
        let size = PtySize::of(io::stdout())?;
        let (rows, columns) = (usize::from(size.rows), usize::from(size.cols));
        let mut lines =
            vec!["up, down: select   r: restart   s: stop   l: lease   q: quit".to_owned()];
        lines.extend(table(&self.services));
        let selected = 2 + self.selected;
        lines.push(String::new());
        let above = lines.len();
        // The last line is for what was said.
        let room = rows.saturating_sub(above + 1);
        let old = self.log.len().saturating_sub(room);
        lines.extend(self.log.iter().skip(old).cloned());
        lines.resize(rows.saturating_sub(1).max(above), String::new());
        lines.push(self.said.clone());
        lines.truncate(rows);

        let mut frame = String::from("\x1b[H");
        for (index, line) in lines.iter().enumerate() {
            let line: String = line.chars().take(columns).collect();
            let (on, off) = match index {
                _ if index == selected => ("\x1b[7m", "\x1b[m"),
                _ => ("", ""),
            };
            let end = if index + 1 < lines.len() { "\r\n" } else { "" };
            frame += &format!("{on}{line}{off}\x1b[K{end}");
        }
        show(frame.as_bytes())
    }
}

fn told(service: &ServiceName, done: Result<&str, MonitorError>) -> Outcome {
    Outcome::Said(match done {
        Ok(done) => format!("{service}: {done}"),
        Err(error) => printable(&error.to_string()),
    })
}
